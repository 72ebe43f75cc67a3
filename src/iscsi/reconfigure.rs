//! From one configuration to another while the provider runs: all of it or nothing (`iscsi-target.md` 16.2). The new one
//! comes from a change of an administrator, from provider data that a program has set, or from the store.

use super::admin::Refusal;
use super::config::{Config as Settings, PROVIDER, SECRETS};
use super::janitor::devid;
use super::provider::{ChangeError, Provider};
use crate::framework::ObjectState;
use crate::store;
use crate::types::{ProviderKey, ProviderKind, ProviderName, Status};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a target that must go waits for its port to go offline.
const OFFLINE_WAIT: Duration = Duration::from_secs(30);
/// Pause between two looks at that.
const POLL: Duration = Duration::from_millis(20);

/// Writes the second configuration over the first one; gives the token of the provider data.
type Save<'a> = &'a dyn Fn(&Settings, &Settings) -> Result<u64, ChangeError>;

/// Key of the stored data.
pub fn key() -> ProviderKey {
    ProviderKey {
        kind: ProviderKind::Port,
        name: ProviderName::new(PROVIDER.as_bytes()).expect("a provider name"),
    }
}

/// Can this be the provider's data? Nothing is known of what a node has.
pub fn check_data(packed: &[u8]) -> Result<(), Refusal> {
    Settings::default().replaced(packed).map(drop)
}

impl Provider {
    /// `stmfSetProviderData(Prot)` of this provider: puts the configuration in force that the data describes, and stores it.
    /// Gives the new token. `ProvDataStale` when the token is not the current one. A target that is to go must be offline
    /// and without sessions, unless it is renamed.
    pub fn set_data(&self, data: &[u8], token: Option<u64>) -> Result<u64, ChangeError> {
        let _alone = self.changing.lock();
        let current = self.node.framework.provider_token(&key()).map_err(ChangeError::Save)?;
        if token.is_some_and(|token| token != current) {
            return Err(ChangeError::Save(Status::ProvDataStale));
        }
        let old = self.node.config.load_full();
        let new = old.replaced(data).map_err(ChangeError::Refused)?;
        let force = |name: &str| new.renamed.iter().any(|(old, _)| old == name);
        let config = Arc::new(new.config.clone());
        self.put_in_force(&old, config, force, &new.renamed, &|before, after| {
            self.save(before, after)
        })
    }

    /// `stmfClearProviderData` of this provider: no data is an empty configuration.
    pub fn clear_data(&self) -> Result<(), ChangeError> {
        let _alone = self.changing.lock();
        let old = self.node.config.load_full();
        let save = |before: &Settings, after: &Settings| {
            if before == &*old {
                let removed = self.node.framework.remove_provider_data(&key(), secrets(before, after));
                removed.map(|()| 0).map_err(ChangeError::Save)
            } else {
                self.save(before, after)
            }
        };
        let token = self.node.framework.provider_token(&key()).map_err(ChangeError::Save)?;
        if token == 0 {
            // None in force; there may be some in the store.
            return save(&old, &Settings::default()).map(drop);
        }
        self.put_in_force(&old, Arc::default(), |_| false, &[], &save).map(drop)
    }

    /// `stmfLoadConfig`: what the store says is in force again. `load` makes the framework read it.
    pub fn reload(&self, load: impl FnOnce() -> Result<(), Status>) -> Result<(), ChangeError> {
        let _alone = self.changing.lock();
        load().map_err(ChangeError::Save)?;
        let old = self.node.config.load_full();
        let new = Arc::new(self.stored()?);
        self.put_in_force(&old, new, |_| true, &[], &|_, _| Ok(0)).map(drop)
    }

    /// The configuration of the live provider data and the stored secrets.
    pub(super) fn stored(&self) -> Result<Settings, ChangeError> {
        let framework = &self.node.framework;
        let data = match framework.provider_data(&key()) {
            Ok(data) => data.data,
            Err(Status::NotFound) => return Ok(Settings::default()),
            Err(status) => return Err(ChangeError::Save(status)),
        };
        let settings = framework.store().load().map_err(ChangeError::Store)?.settings;
        let secrets = settings.into_iter().filter(|(key, _)| key.starts_with(SECRETS));
        Settings::unpack(&data, &secrets.collect()).map_err(ChangeError::Damaged)
    }

    /// One transaction: the provider data, and the secrets that have changed. Gives the new token.
    pub(super) fn save(&self, old: &Settings, new: &Settings) -> Result<u64, ChangeError> {
        let saved = self
            .node
            .framework
            .put_provider_data(&key(), new.pack(), secrets(old, new));
        saved.map_err(ChangeError::Save)
    }

    /// Stores a new configuration and puts it in force; `changing` is held. Targets that are not part of it any more go:
    /// taken offline first where `force` says so. A target that is only renamed, from the first name to the second, stays
    /// offline if it was. When something fails, everything is as it was.
    pub(super) fn put_in_force(
        &self,
        old: &Arc<Settings>,
        new: Arc<Settings>,
        force: impl Fn(&str) -> bool,
        renamed: &[(String, String)],
        save: Save<'_>,
    ) -> Result<u64, ChangeError> {
        self.check_targets(old, &new, &force)?;
        let gone: Vec<&str> = missing(old, &new).collect();
        let come: Vec<&str> = missing(&new, old).collect();
        let mut steps = Steps::default();
        match self.take_steps(&mut steps, (old, &new), (&gone, &come, renamed), force, save) {
            Ok(token) => {
                self.rename_ports(old, &new);
                self.node.portals_changed();
                Ok(token)
            }
            Err(error) => {
                self.undo(&steps, (old, &new), save);
                Err(error)
            }
        }
    }

    /// Targets that are to go may go, and the names of those that come are free.
    pub(super) fn check_targets(
        &self,
        old: &Settings,
        new: &Settings,
        force: &impl Fn(&str) -> bool,
    ) -> Result<(), ChangeError> {
        for name in missing(old, new).filter(|name| !force(name)) {
            self.is_idle(name)?;
        }
        missing(new, old).try_for_each(|name| self.is_free(name))
    }

    fn take_steps<'a>(
        &self,
        steps: &mut Steps<'a>,
        (old, new): (&Arc<Settings>, &Arc<Settings>),
        (gone, come, renamed): (&[&'a str], &[&'a str], &[(String, String)]),
        force: impl Fn(&str) -> bool,
        save: Save<'_>,
    ) -> Result<u64, ChangeError> {
        for name in gone {
            let was_online = self.retire(name, force(name))?;
            steps.retired.push((name, was_online));
        }
        let token = save(old, new)?;
        steps.saved = true;
        self.node.config.store(new.clone());
        for name in come {
            let before = renamed.iter().find(|(_, new)| new == name).map(|(old, _)| old);
            let was_offline = |(old, online): &(&str, bool)| !online && before.is_some_and(|before| before == old);
            self.register(name, steps.retired.iter().any(was_offline))?;
            steps.registered.push(name);
        }
        Ok(token)
    }

    /// Takes the steps back. What fails here is told to the log; the next start follows the store.
    fn undo(&self, steps: &Steps<'_>, (old, new): (&Arc<Settings>, &Arc<Settings>), save: Save<'_>) {
        let complain = |what: &str, error: ChangeError| log::error!("taking back a change: {what}: {error}");
        for name in &steps.registered {
            if let Err(error) = self.retire(name, true) {
                complain(name, error);
            }
        }
        self.node.config.store(old.clone());
        if steps.saved
            && let Err(error) = save(new, old)
        {
            complain("stored configuration", error);
        }
        for (name, was_online) in &steps.retired {
            if let Err(error) = self.register(name, !was_online) {
                complain(name, error);
            }
        }
    }

    /// A target that may go: its port is offline and has no sessions.
    fn is_idle(&self, name: &str) -> Result<(), ChangeError> {
        let offline = devid(name).and_then(|devid| self.node.framework.port_info(&devid).ok());
        let offline = offline.is_none_or(|port| port.state == ObjectState::Offline);
        if offline && self.node.sessions.lock().of_target(name) == 0 {
            return Ok(());
        }
        Err(ChangeError::Refused(Refusal::Busy(name.to_owned())))
    }

    /// No port of another provider, or of the peer, has the name.
    fn is_free(&self, name: &str) -> Result<(), ChangeError> {
        let taken = devid(name).is_some_and(|devid| self.node.framework.port_info(&devid).is_ok());
        match taken {
            true => Err(ChangeError::Refused(Refusal::Exists(name.to_owned()))),
            false => Ok(()),
        }
    }

    /// Deregisters the port of a target, which is taken offline first with `force`. Its sessions have ended then. Tells
    /// whether it was online; one that could not go is again.
    fn retire(&self, name: &str, force: bool) -> Result<bool, ChangeError> {
        let framework = &self.node.framework;
        let failed = |status| match status {
            Status::Busy => ChangeError::Refused(Refusal::Busy(name.to_owned())),
            status => ChangeError::Framework(name.to_owned(), status),
        };
        let devid = devid(name).ok_or_else(|| ChangeError::Refused(Refusal::NotFound(name.to_owned())))?;
        let was_online = framework.port_info(&devid).map_err(failed)?.state != ObjectState::Offline;
        if was_online {
            if !force {
                return Err(failed(Status::Busy));
            }
            framework.port_offline(&devid).map_err(failed)?;
        }
        let begin = Instant::now();
        while let Err(status) = framework.port_deregister(&devid) {
            if status != Status::Busy || !force || begin.elapsed() > OFFLINE_WAIT {
                if was_online && let Err(status) = framework.port_online(&devid) {
                    log::error!("target {name} stays offline: {status}");
                }
                return Err(failed(status));
            }
            std::thread::sleep(POLL);
        }
        self.node.targets.write().remove(name);
        Ok(was_online)
    }

    /// Ports that stay get the aliases that their targets have now.
    fn rename_ports(&self, old: &Settings, new: &Settings) {
        for target in &new.targets {
            let before = old.target(&target.name).map(|before| &before.alias);
            if before.is_some_and(|before| *before != target.alias)
                && let Some(devid) = devid(&target.name)
                && let Err(status) = (self.node.framework).port_rename(&devid, target.alias.as_deref().unwrap_or(""))
            {
                log::error!("alias of target {}: {status}", target.name);
            }
        }
    }
}

/// What has been done of a change.
#[derive(Default)]
struct Steps<'a> {
    /// And was it online?
    retired: Vec<(&'a str, bool)>,
    saved: bool,
    registered: Vec<&'a str>,
}

/// Names of targets of `some` that are none of `others`.
fn missing<'a>(some: &'a Settings, others: &'a Settings) -> impl Iterator<Item = &'a str> {
    let names = some.targets.iter().map(|target| target.name.as_str());
    names.filter(|name| others.target(name).is_none())
}

/// The secrets that have changed.
fn secrets(old: &Settings, new: &Settings) -> Vec<store::Change> {
    let (before, after) = (old.secrets(), new.secrets());
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| store::Change::RemoveSetting { key: key.clone() });
    let put = after.iter().filter(|(key, value)| before.get(*key) != Some(value));
    let put = put.map(|(key, value)| store::Change::PutSetting {
        key: key.clone(),
        value: value.clone(),
    });
    gone.chain(put).collect()
}
