//! The provider: targets of the configuration, and the life of everything below it.

use super::admin::{Change, Listing, Refusal, Set, TargetChange, TargetInfo};
use super::config::{self, PROVIDER, StoredError, TARGETS_MAX};
use super::directory::Patience;
use super::engine::{mailbox::Mailbox, thread};
use super::isns;
use super::janitor::{self, Job, devid};
use super::name;
use super::node::Node;
use super::portal::{Acceptor, PortalError, Portals};
use super::sessions::Sessions;
use super::target::{Control, Target};
use super::worker::{self, Mail};
use crate::framework::effects::about_to;
use crate::framework::{Effect, Framework, IscsiObject, ObjectState, PortSpec};
use crate::store::StoreError;
use crate::types::{Protocol, Secret, Status};
use arc_swap::ArcSwap;
use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

/// How the provider is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub portals: Vec<SocketAddr>,
    /// Worker threads; `None`: one for each CPU.
    pub workers: Option<usize>,
    /// Connections that may be open at once; more are closed as they come.
    pub connections_max: usize,
    /// Data that all sessions together may hold, bytes: as they become many, each is served less at a time.
    pub memory_max: u64,
    /// How long initiators may keep the target waiting.
    pub patience: Patience,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            portals: Vec::new(),
            workers: None,
            connections_max: 4096,
            memory_max: 1 << 30,
            patience: Patience::default(),
        }
    }
}

/// Why a change of the configuration failed. Nothing has changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChangeError {
    /// It is not possible.
    Refused(Refusal),
    /// The framework refused to register or deregister a target's port.
    Framework(String, Status),
    /// The configuration could not be written.
    Save(Status),
    /// The store could not be read.
    Store(StoreError),
    /// The stored configuration cannot be read. It is left alone.
    Damaged(StoredError),
    /// No random numbers for a name.
    Random(String),
}

impl ChangeError {
    /// For the administrator.
    pub fn refusal(self) -> Refusal {
        match self {
            ChangeError::Refused(refusal) => refusal,
            ChangeError::Framework(_, status) | ChangeError::Save(status) => Refusal::Failed(status),
            ChangeError::Damaged(_) => Refusal::Failed(Status::ServiceDataVersion),
            ChangeError::Store(_) | ChangeError::Random(_) => Refusal::Failed(Status::Error),
        }
    }
}

impl ChangeError {
    /// For a program that sets provider data.
    pub fn data_status(self) -> Status {
        match self.refusal() {
            Refusal::Failed(status) => status,
            Refusal::Busy(_) => Status::Busy,
            _ => Status::InvalidArg,
        }
    }
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ChangeError::Refused(refusal) => refusal.fmt(f),
            ChangeError::Framework(name, status) => write!(f, "target {name}: {status}"),
            ChangeError::Save(status) => write!(f, "iSCSI configuration: {status}"),
            ChangeError::Store(error) => write!(f, "iSCSI configuration: {error}"),
            ChangeError::Damaged(why) => write!(f, "stored iSCSI configuration: {why}"),
            ChangeError::Random(why) => write!(f, "no random numbers for a target name: {why}"),
        }
    }
}

impl std::error::Error for ChangeError {}

/// Why the provider did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A portal could not be opened.
    Portal(PortalError),
    /// Threads or descriptors are lacking.
    System(io::Error),
    /// The stored targets could not be restored.
    Targets(ChangeError),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Portal(error) => error.fmt(f),
            StartError::System(error) => write!(f, "iSCSI workers: {error}"),
            StartError::Targets(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What runs between start and stop.
struct Threads {
    acceptor: Acceptor,
    isns: isns::Client,
    workers: Vec<JoinHandle<()>>,
}

/// The iSCSI target port provider.
pub struct Provider {
    pub(super) node: Arc<Node>,
    config: Config,
    /// Held while the configuration changes.
    pub(super) changing: Mutex<()>,
    threads: Mutex<Option<Threads>>,
    janitor: Option<JoinHandle<()>>,
}

impl Provider {
    /// A provider that does nothing yet.
    pub fn new(framework: &Arc<Framework>, config: Config) -> io::Result<Provider> {
        let count = match config.workers {
            Some(count) => count.max(1),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        let workers = (0..count)
            .map(|_| Mailbox::new().map(Arc::new))
            .collect::<io::Result<Vec<_>>>()?;
        let (jobs, queue) = channel();
        let node = Arc::new(Node {
            framework: framework.clone(),
            config: ArcSwap::default(),
            targets: RwLock::new(BTreeMap::new()),
            sessions: Mutex::new(Sessions::default()),
            jobs,
            workers,
            portals: RwLock::new(Vec::new()),
            acceptor: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            accepting: AtomicBool::new(false),
            isns: Mutex::new(None),
            questions: AtomicUsize::new(0),
            memory_max: config.memory_max,
            patience: config.patience,
            connections: AtomicUsize::new(0),
        });
        let shared = node.clone();
        let janitor = thread::spawn("iscsi-janitor", move || janitor::run(shared, &queue))?;
        Ok(Provider {
            node,
            config,
            changing: Mutex::new(()),
            threads: Mutex::new(None),
            janitor: Some(janitor),
        })
    }

    /// Opens the portals, restores the targets, serves.
    pub fn start(&self) -> Result<(), StartError> {
        let mut threads = self.threads.lock();
        if threads.is_some() {
            return Ok(());
        }
        let portals = Portals::open(&self.config.portals).map_err(StartError::Portal)?;
        *self.node.portals.write() = portals.addresses();
        self.restore().map_err(StartError::Targets)?;
        let mut workers = Vec::new();
        for number in 0..self.node.workers.len() {
            let node = self.node.clone();
            workers
                .push(thread::spawn("iscsi-worker", move || worker::run(number, &node)).map_err(StartError::System)?);
        }
        let acceptor = Acceptor::start(portals, self.node.clone(), self.config.connections_max);
        *threads = Some(Threads {
            acceptor: acceptor.map_err(StartError::System)?,
            isns: isns::Client::start(&self.node).map_err(StartError::System)?,
            workers,
        });
        Ok(())
    }

    /// Closes the portals, asks the initiators to log out, and closes what is left after a few seconds. To be called before
    /// [`Framework::shutdown`], so that the ports have no sessions left to wait for.
    pub fn stop(&self) {
        let Some(threads) = self.threads.lock().take() else {
            return;
        };
        threads.acceptor.stop();
        // Nobody is sent here any more.
        threads.isns.stop(&self.node);
        self.node.post_all(|| Mail::Stop);
        for worker in threads.workers {
            if worker.join().is_err() {
                log::error!("an iSCSI worker has panicked");
            }
        }
    }

    /// Addresses of the default portal group that are listened on.
    pub fn portals(&self) -> Vec<SocketAddr> {
        self.node.portals.read().clone()
    }

    /// Changes the configuration and gives the name of the object in the form it has now. All or nothing; what was
    /// answered with success is stored, and in force for the next login.
    pub fn change(&self, mut change: Change) -> Result<String, ChangeError> {
        if let Change::CreateTarget(target) = &mut change
            && target.name.is_none()
        {
            target.name = Some(name::generate().map_err(|error| ChangeError::Random(error.to_string()))?);
        }
        let _alone = self.changing.lock();
        let old = self.node.config.load_full();
        let (new, name) = old.changed(&change).map_err(ChangeError::Refused)?;
        // A target goes only when it was asked to, whatever its sessions; a rename asks for it.
        let force = |_: &str| !matches!(&change, Change::DeleteTarget { force: false, .. });
        self.check_targets(&old, &new, &force)?;
        about_to(|| Ok(vec![self.effect(&change, &name)])).map_err(ChangeError::Save)?;
        let renamed = match &change {
            Change::ModifyTarget { name: before, .. } => {
                name::canonical(before).map(|before| (before, name.clone())).ok()
            }
            _ => None,
        };
        self.put_in_force(&old, Arc::new(new), force, renamed.as_slice(), &|before, after| {
            self.save(before, after)
        })?;
        Ok(name)
    }

    fn effect(&self, change: &Change, name: &str) -> Effect {
        use IscsiObject::{Defaults, Initiator, PortalGroup, Target};
        let name = name.to_owned();
        match change {
            Change::CreateTarget(_) => Effect::IscsiCreated(Target, name),
            Change::ModifyTarget { .. } => Effect::IscsiModified(Target, name),
            Change::DeleteTarget { .. } => {
                let sessions = self.node.sessions.lock().of_target(&name);
                Effect::IscsiDeleted(Target, name, u32::try_from(sessions).unwrap_or(u32::MAX))
            }
            Change::CreateGroup { .. } => Effect::IscsiCreated(PortalGroup, name),
            Change::DeleteGroup { .. } => Effect::IscsiDeleted(PortalGroup, name, 0),
            Change::AddPortals { .. } | Change::RemovePortals { .. } => Effect::IscsiModified(PortalGroup, name),
            Change::CreateInitiator { .. } => Effect::IscsiCreated(Initiator, name),
            Change::ModifyInitiator { .. } => Effect::IscsiModified(Initiator, name),
            Change::DeleteInitiator { .. } => Effect::IscsiDeleted(Initiator, name, 0),
            Change::Defaults(_) => Effect::IscsiModified(Defaults, name),
        }
    }

    /// Creates a target, under a generated name if none is given; gives its canonical name. It goes online when the
    /// service is online.
    pub fn create_target(&self, name: Option<&str>, alias: Option<&str>) -> Result<String, ChangeError> {
        self.change(Change::CreateTarget(TargetChange {
            name: name.map(Into::into),
            alias: alias.map_or(Set::Keep, |alias| Set::To(alias.into())),
            ..TargetChange::default()
        }))
    }

    /// Deletes a target. One that is online or has sessions is refused, or taken offline first with `force`.
    pub fn delete_target(&self, name: &str, force: bool) -> Result<(), ChangeError> {
        let name = name.to_owned();
        self.change(Change::DeleteTarget { name, force }).map(drop)
    }

    /// The configuration and what runs of it.
    pub fn listing(&self) -> Listing {
        let config = self.node.config.load();
        Listing {
            targets: config.targets.iter().rev().map(|target| self.info(target)).collect(),
            groups: config.list_groups(),
            initiators: config.list_initiators(),
            defaults: config.list_defaults(),
        }
    }

    /// The CHAP secrets: `target/NAME` or `initiator/NAME`. For whoever can read the store anyway.
    pub fn secrets(&self) -> Vec<(String, Secret)> {
        self.node.config.load().all_secrets()
    }

    fn info(&self, target: &config::Target) -> TargetInfo {
        let port = devid(&target.name).and_then(|devid| self.node.framework.port_info(&devid).ok());
        let sessions = self.node.sessions.lock().of_target(&target.name);
        let bindings = target.bindings.iter().rev();
        TargetInfo {
            name: target.name.clone(),
            alias: target.alias.clone(),
            online: port.map(|port| port.state == ObjectState::Online),
            sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            auth: target.auth,
            chap_user: target.chap_user.clone(),
            secret: target.secret.is_some(),
            groups: bindings.map(|binding| (binding.group.clone(), binding.tag)).collect(),
        }
    }

    fn restore(&self) -> Result<(), ChangeError> {
        let _alone = self.changing.lock();
        let config = Arc::new(self.stored()?);
        self.node.config.store(config.clone());
        for target in config.targets.iter().take(TARGETS_MAX) {
            if self.node.target(&target.name).is_none() {
                self.register(&target.name, false)?;
            }
        }
        Ok(())
    }

    /// Makes a target of the configuration known to this node and to the framework, which tells it to go online when it
    /// is to and does not have to stay offline.
    pub(super) fn register(&self, name: &str, stay_offline: bool) -> Result<(), ChangeError> {
        let missing = || ChangeError::Refused(Refusal::NotFound(name.to_owned()));
        let config = self.node.config.load();
        let target = config.target(name).ok_or_else(missing)?;
        let spec = PortSpec {
            devid: devid(name).ok_or_else(missing)?,
            protocol: Protocol::Iscsi,
            provider: PROVIDER,
            alias: target.alias.clone().unwrap_or_default(),
            image_rtpid: None,
            control: Arc::new(Control {
                name: name.to_owned(),
                jobs: self.node.jobs.clone(),
            }),
        };
        self.node
            .targets
            .write()
            .insert(name.to_owned(), Arc::new(Target::new(name.to_owned())));
        let framework = &self.node.framework;
        let registered = match stay_offline {
            true => framework.port_register_offline(spec),
            false => framework.port_register(spec),
        };
        match registered {
            Ok(_) => Ok(()),
            Err(status) => {
                self.node.targets.write().remove(name);
                Err(match status {
                    Status::Exists => ChangeError::Refused(Refusal::Exists(name.to_owned())),
                    status => ChangeError::Framework(name.to_owned(), status),
                })
            }
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stop();
        self.node.job(Job::Quit);
        if let Some(janitor) = self.janitor.take()
            && janitor.join().is_err()
        {
            log::error!("the iSCSI janitor has panicked");
        }
    }
}
