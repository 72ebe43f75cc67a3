//! Calls on logical units (`libstmf-api.md` 3.7, 3.9, 6.2).

use super::alua::machine::{self, Event, LuState};
use super::cell::{Inner, Source};
use super::effects::{about_to, rehearsing};
use super::live::{Finale, Stop};
use super::logical_unit::LogicalUnit;
use super::{AccessReport, Effect, Framework, LuInfo, ObjectState, Release};
use crate::store::LuRow;
use crate::types::{Guid, LuProperties, Status};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// How long a call waits for an LU to go offline.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(5);
/// Longest alias of an LU.
const MAX_ALIAS: usize = 255;

impl Framework {
    pub(super) fn list_lus(&self) -> Vec<Guid> {
        let Ok(state) = self.configured() else {
            return Vec::new();
        };
        let mut all: Vec<Guid> = state.lus.keys().chain(state.views.guids()).copied().collect();
        drop(state);
        // Two ascending runs, which the stable sort merges.
        all.sort();
        all.dedup();
        all
    }

    pub(super) fn info_of_lu(&self, guid: &Guid) -> Result<LuInfo, Status> {
        let (lu, has_views) = {
            let state = self.configured()?;
            (state.lus.get(guid).cloned(), state.views.has_entries(guid))
        };
        let mut info = LuInfo {
            guid: *guid,
            state: None,
            provider: String::new(),
            alias: String::new(),
            vendor: [0; 8],
            product: [0; 16],
            revision: [0; 4],
        };
        let Some(lu) = lu else {
            return if has_views { Ok(info) } else { Err(Status::NotFound) };
        };
        info.state = Some(lu.state());
        info.provider = lu.provider.to_owned();
        info.alias = lu.name();
        let unit = lu.unit();
        if let Some(alias) = unit.as_ref().and_then(|unit| unit.properties().alias) {
            info.alias = alias;
        }
        if let Some(words) = unit.map(|unit| unit.inquiry()).or_else(|| lu.identity.words()) {
            (info.vendor, info.product, info.revision) = (words.vendor, words.product, words.revision);
        }
        cut(&mut info.alias, MAX_ALIAS);
        Ok(info)
    }

    pub(super) fn access_of_lu(&self, guid: &Guid) -> Result<AccessReport, Status> {
        let lu = self.configured()?.lu(guid)?.clone();
        let properties = lu.unit().map_or_else(LuProperties::default, |unit| unit.properties());
        Ok(AccessReport {
            access: lu.access(),
            properties,
        })
    }

    pub(super) fn create_lu(&self, properties: &LuProperties) -> Result<Guid, Status> {
        let data_file = properties.data_file.as_ref().ok_or(Status::MissingPropVal)?;
        let name = properties.meta_file.as_ref().unwrap_or(data_file);
        if self.configured()?.names.contains_key(name) {
            return Err(Status::FileInUse);
        }
        let provider = self.provider().ok_or(Status::Error)?;
        let taken = |guid: &Guid| {
            let state = self.state.lock();
            state.lus.contains_key(guid) || (properties.guid.is_none() && state.views.has_entries(guid))
        };
        self.adopt(provider.create(properties, &taken)?)
    }

    pub(super) fn import_lu(&self, path: &str) -> Result<Guid, (Status, Option<Guid>)> {
        let plain = |status| (status, None);
        let named = self.configured().map_err(plain)?.names.get(path).copied();
        let guid = match named {
            Some(guid) => guid,
            None => {
                let provider = self.provider().ok_or((Status::Error, None))?;
                provider.identify(path).map_err(plain)?
            }
        };
        let cell = self.cell(&guid);
        let inner = cell.lock_for_action().map_err(plain)?;
        let own_path = inner.lu.as_ref().is_none_or(|lu| lu.name() == path);
        let source = Source {
            path: Some(path),
            boot: false,
        };
        let event = Event::Import { own_path };
        let reply = match rehearsing() {
            true => self.rehearse_import(&cell, inner, event, source),
            false => self.feed(&cell, inner, event, source),
        };
        match reply {
            None | Some(Ok(())) => Ok(guid),
            Some(Err(Status::FileInUse)) => Err((Status::FileInUse, Some(guid))),
            Some(Err(status)) => Err((status, None)),
        }
    }

    pub(super) fn delete_lu(&self, guid: &Guid) -> Result<(), Status> {
        self.configured()?.lu(guid)?;
        let cell = self.cell(guid);
        let mut inner = cell.lock_for_action()?;
        let settled = matches!(
            inner.state,
            LuState::Active { .. } | LuState::Standby { .. } | LuState::Released { .. }
        );
        let state = inner.lu.as_ref().map(|lu| lu.state());
        if matches!(state, Some(ObjectState::Offlining | ObjectState::Onlining)) {
            return Err(Status::Busy);
        }
        tell(&inner, Event::LocalDelete, |lu| {
            Effect::LuUnloaded(*guid, lu.name(), lu.sessions())
        })?;
        inner.release = inner.on_delete;
        // Both the LU and its entry go, or neither: the entry first, since it can be put back.
        let row = if settled { self.remove_row(guid)? } else { None };
        let online = inner
            .lu
            .clone()
            .filter(|lu| settled && lu.state() == ObjectState::Online);
        let reply = match &online {
            Some(lu) if !self.take_offline(lu) => Err(Status::Busy),
            _ => self
                .feed(&cell, inner, Event::LocalDelete, Source::default())
                .unwrap_or(Ok(())),
        };
        // What the LU could not write will never be written. Whoever deletes it again, having been told, means it.
        if reply == Err(Status::Error) {
            cell.lock().on_delete = Release::Discard;
        }
        if let (Err(Status::Error), Some(lu)) = (reply, &online) {
            self.bring_online(lu);
        }
        self.restore_on_failure(reply, row)
    }

    pub(super) fn standby_lu(&self, guid: &Guid) -> Result<(), Status> {
        self.configured()?.lu(guid)?;
        let cell = self.cell(guid);
        let mut inner = cell.lock_for_action()?;
        tell(&inner, Event::LuStandby, |lu| {
            Effect::LuStandby(*guid, lu.name(), lu.sessions())
        })?;
        inner.release = Release::Handover;
        let row = match (inner.state, &inner.lu) {
            (LuState::Active { busy: false, .. }, Some(lu)) => Some(LuRow {
                guid: *guid,
                path: lu.name(),
                standby: false,
            }),
            _ => None,
        };
        // A crash in between leaves a Standby LU, never one that is Active against the will of the cluster.
        if let Some(row) = &row {
            self.put_row(LuRow {
                standby: true,
                ..row.clone()
            })?;
        }
        let reply = self
            .feed(&cell, inner, Event::LuStandby, Source::default())
            .unwrap_or(Ok(()));
        self.restore_on_failure(reply, row)
    }

    fn restore_on_failure(&self, reply: Result<(), Status>, row: Option<LuRow>) -> Result<(), Status> {
        if let (Err(status), Some(row)) = (reply, row) {
            let guid = row.guid;
            if self.put_row(row).is_err() {
                log::error!("LU {guid}: {status}; its entry in the configuration could not be restored");
            }
        }
        reply
    }

    // --- online and offline -----------------------------------------------------------------------------------------

    pub(super) fn online_lu(&self, guid: &Guid) -> Result<(), Status> {
        let lu = self.settled_lu(guid)?;
        match lu.state() {
            ObjectState::Online | ObjectState::Onlining => Ok(()),
            ObjectState::Offlining => Err(Status::Busy),
            ObjectState::Offline => {
                lu.check_store().map_err(|_| Status::Error)?;
                about_to(|| Ok(vec![Effect::LuOnline(*guid)]))?;
                self.bring_online(&lu);
                Ok(())
            }
        }
    }

    /// An LU, while the service as a whole is not going on- or offline.
    fn settled_lu(&self, guid: &Guid) -> Result<Arc<LogicalUnit>, Status> {
        let state = self.state.lock();
        if state.changing {
            return Err(Status::Busy);
        }
        state.lu(guid).cloned()
    }

    pub(super) fn offline_lu(&self, guid: &Guid) -> Result<(), Status> {
        let lu = self.settled_lu(guid)?;
        match lu.state() {
            ObjectState::Offline | ObjectState::Offlining => Ok(()),
            ObjectState::Onlining => Err(Status::Busy),
            ObjectState::Online => {
                about_to(|| Ok(vec![Effect::LuOffline(*guid, lu.sessions())]))?;
                match self.take_offline(&lu) {
                    true => Ok(()),
                    false => Err(Status::Busy),
                }
            }
        }
    }

    pub(super) fn bring_online(&self, lu: &Arc<LogicalUnit>) {
        let state = self.state.lock();
        lu.set_state(ObjectState::Online);
        let unmapped = state.remap_lu(lu);
        drop(state);
        unmapped.stop_unattended();
    }

    /// Unmaps, aborts, waits, flushes (`scsi-sbd.md` 1.3, 4.4). False when a task still runs after 5 s; the LU goes offline
    /// when it ends.
    pub(super) fn take_offline(&self, lu: &Arc<LogicalUnit>) -> bool {
        let (finale, gone) = Finale::channel();
        let unmapped = {
            let state = self.state.lock();
            lu.set_state(ObjectState::Offlining);
            state.remap_lu(lu)
        };
        unmapped.stop(&finale);
        // Those of sessions that have ended are not mapped any more, and touch the store all the same.
        lu.stop_tasks(Stop::Abort, &finale);
        drop(finale);
        if gone.recv_timeout(OFFLINE_PATIENCE).is_ok() {
            went_offline(lu);
            return true;
        }
        let gone = Arc::new(Mutex::new(gone));
        let (theirs, going) = (gone.clone(), lu.clone());
        let rest = move || offline_at_last(&going, &theirs.lock());
        let thread = std::thread::Builder::new().name("lu-offline".into()).spawn(rest);
        if let Err(error) = thread {
            // Else it would be on its way offline for ever.
            log::error!("LU {}: this call waits for the end of its commands: {error}", lu.guid);
            offline_at_last(lu, &gone.lock());
            return true;
        }
        false
    }
}

/// Waits for the last command, however long it takes.
fn offline_at_last(lu: &LogicalUnit, gone: &Receiver<()>) {
    // The other end is dropped only with the last task.
    let _ = gone.recv();
    went_offline(lu);
}

/// No command touches the store any more: what was acknowledged becomes durable, and what was not made persistent is dropped.
fn went_offline(lu: &LogicalUnit) {
    if let Some(unit) = lu.unit() {
        if let Err(status) = unit.flush() {
            log::error!("LU {}: going offline: its cache is not flushed: {status}", lu.guid);
        }
        unit.reset();
    }
    lu.set_state(ObjectState::Offline);
}

/// Tells what an event does with the LU, unless the machine has nothing to do for it.
fn tell(inner: &Inner, event: Event, effect: impl FnOnce(&LogicalUnit) -> Effect) -> Result<(), Status> {
    about_to(|| {
        let transition = machine::step(inner.state, event);
        match (transition.reply, &inner.lu) {
            (Some(Err(status)), _) => Err(status),
            (_, Some(lu)) if !transition.actions.is_empty() => Ok(vec![effect(lu)]),
            _ => Ok(Vec::new()),
        }
    })
}

/// Cuts at a character boundary.
fn cut(text: &mut String, bytes: usize) {
    let end = (0..=bytes.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    text.truncate(end);
}
