//! The provider: targets of the configuration, and the life of everything below it.

use super::config::{Config as Stored, PROVIDER, TARGETS_MAX, TargetConfig};
use super::engine::{mailbox::Mailbox, thread};
use super::janitor::{self, Job, devid};
use super::name::{self, InvalidName};
use super::node::Node;
use super::portal::{Acceptor, PortalError, Portals};
use super::sessions::Sessions;
use super::target::{Control, Target};
use super::worker::{self, Mail};
use crate::framework::{Framework, ObjectState, PortSpec};
use crate::service::TargetInfo;
use crate::store::{Change, ProviderRow, StoreError};
use crate::types::{Protocol, Status};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Kind of the stored data: a port provider's.
const KIND: u8 = 2;
/// Longest target alias, bytes.
const ALIAS_MAX: usize = 255;
/// How long a forced deletion waits for the port to go offline.
const OFFLINE_WAIT: Duration = Duration::from_secs(30);
/// Pause between two looks at that.
const POLL: Duration = Duration::from_millis(20);

/// How the provider is to run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on; port 0 takes a free one.
    pub portals: Vec<SocketAddr>,
    /// Worker threads; `None`: one for each CPU.
    pub workers: Option<usize>,
    /// Connections that may be open at once; more are closed as they come.
    pub connections_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            portals: Vec::new(),
            workers: None,
            connections_max: 4096,
        }
    }
}

/// Why a target operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TargetError {
    /// Not an iSCSI target name.
    Name(String, InvalidName),
    /// The alias is empty or too long.
    Alias,
    /// A target of this name exists.
    Exists(String),
    /// No such target.
    NotFound(String),
    /// The target is online or has sessions.
    Busy(String),
    /// The node has as many targets as it may have.
    TooMany,
    /// The framework refused.
    Framework(String, Status),
    /// The configuration could not be written.
    Store(StoreError),
    /// The stored configuration cannot be read. It is left alone.
    Damaged(String),
    /// No random numbers for a name.
    Random(String),
}

impl TargetError {
    /// The nearest status of the C API.
    pub const fn status(&self) -> Status {
        match self {
            TargetError::Name(..) | TargetError::Alias => Status::InvalidArg,
            TargetError::Exists(_) => Status::Exists,
            TargetError::NotFound(_) => Status::NotFound,
            TargetError::Busy(_) => Status::Busy,
            TargetError::Framework(_, status) => *status,
            TargetError::Damaged(_) => Status::ServiceDataVersion,
            TargetError::TooMany | TargetError::Store(_) | TargetError::Random(_) => Status::Error,
        }
    }
}

impl std::fmt::Display for TargetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TargetError::Name(name, why) => write!(f, "target '{name}': {why}"),
            TargetError::Alias => write!(
                f,
                "a target alias has 1 to {ALIAS_MAX} bytes without control characters"
            ),
            TargetError::Exists(name) => write!(f, "target {name} exists already"),
            TargetError::NotFound(name) => write!(f, "target {name} not found"),
            TargetError::Busy(name) => write!(f, "target {name} is online or has sessions"),
            TargetError::TooMany => write!(f, "there are {TARGETS_MAX} targets already"),
            TargetError::Framework(name, status) => write!(f, "target {name}: {status}"),
            TargetError::Store(error) => write!(f, "iSCSI configuration: {error}"),
            TargetError::Damaged(why) => write!(f, "stored iSCSI configuration: {why}"),
            TargetError::Random(why) => write!(f, "no random numbers for a target name: {why}"),
        }
    }
}

impl std::error::Error for TargetError {}

/// Why the provider did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A portal could not be opened.
    Portal(PortalError),
    /// Threads or descriptors are lacking.
    System(io::Error),
    /// The stored targets could not be restored.
    Targets(TargetError),
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
    workers: Vec<JoinHandle<()>>,
}

/// The iSCSI target port provider.
pub struct Provider {
    node: Arc<Node>,
    config: Config,
    /// Serialises changes of the configuration.
    stored: Mutex<Stored>,
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
            targets: RwLock::new(BTreeMap::new()),
            sessions: Mutex::new(Sessions::default()),
            jobs,
            workers,
            portals: RwLock::new(Vec::new()),
            connections: AtomicUsize::new(0),
        });
        let shared = node.clone();
        let janitor = thread::spawn("iscsi-janitor", move || janitor::run(shared, &queue))?;
        Ok(Provider {
            node,
            config,
            stored: Mutex::new(Stored::default()),
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
        self.node.post_all(|| Mail::Stop);
        for worker in threads.workers {
            if worker.join().is_err() {
                log::error!("an iSCSI worker has panicked");
            }
        }
    }

    /// Addresses that are listened on.
    pub fn portals(&self) -> Vec<SocketAddr> {
        self.node.portals.read().clone()
    }

    /// Creates a target, under a generated name if none is given; gives its canonical name. It goes online when the
    /// service is online.
    pub fn create_target(&self, name: Option<&str>, alias: Option<&str>) -> Result<String, TargetError> {
        let name = match name {
            Some(name) => name::canonical_target(name).map_err(|why| TargetError::Name(name.into(), why))?,
            None => name::generate().map_err(|error| TargetError::Random(error.to_string()))?,
        };
        if alias.is_some_and(|alias| alias.is_empty() || alias.len() > ALIAS_MAX || alias.contains(char::is_control)) {
            return Err(TargetError::Alias);
        }
        let mut stored = self.stored.lock();
        let count = self.node.targets.read().len();
        if self.node.target(&name).is_some() {
            return Err(TargetError::Exists(name));
        }
        if count >= TARGETS_MAX {
            return Err(TargetError::TooMany);
        }
        let target = TargetConfig {
            name: name.clone(),
            alias: alias.map(Into::into),
        };
        let before = stored.clone();
        stored.put(&target);
        if let Err(error) = self.save(&stored) {
            *stored = before;
            return Err(error);
        }
        if let Err(error) = self.register(target) {
            self.save(&before)?;
            *stored = before;
            return Err(error);
        }
        Ok(name)
    }

    /// Deletes a target. One that is online or has sessions is refused, or taken offline first with `force`.
    pub fn delete_target(&self, name: &str, force: bool) -> Result<(), TargetError> {
        let name = name::canonical(name).map_err(|why| TargetError::Name(name.into(), why))?;
        let mut stored = self.stored.lock();
        let (Some(target), Some(devid)) = (self.node.target(&name), devid(&name)) else {
            return Err(TargetError::NotFound(name));
        };
        let framework = &self.node.framework;
        let failed = |status| match status {
            Status::Busy => TargetError::Busy(name.clone()),
            status => TargetError::Framework(name.clone(), status),
        };
        let online = framework.port_info(&devid).map_err(failed)?.state != ObjectState::Offline;
        if online && !force {
            return Err(TargetError::Busy(name));
        }
        if online {
            framework.port_offline(&devid).map_err(failed)?;
        }
        let begin = Instant::now();
        while let Err(status) = framework.port_deregister(&devid) {
            if status != Status::Busy || !force || begin.elapsed() > OFFLINE_WAIT {
                return Err(failed(status));
            }
            std::thread::sleep(POLL);
        }
        self.node.targets.write().remove(&name);
        let before = stored.clone();
        stored.remove(&name);
        if let Err(error) = self.save(&stored) {
            // Nothing has changed: the target is back, as after a restart it would be.
            *stored = before;
            let alias = target.alias.clone();
            self.register(TargetConfig { name, alias })?;
            return Err(error);
        }
        Ok(())
    }

    /// All targets.
    pub fn list_targets(&self) -> Vec<TargetInfo> {
        let targets: Vec<Arc<Target>> = self.node.targets.read().values().cloned().collect();
        let info = |target: Arc<Target>| {
            let port = devid(&target.name).and_then(|devid| self.node.framework.port_info(&devid).ok());
            let sessions = self.node.sessions.lock().of_target(&target.name);
            TargetInfo {
                name: target.name.clone(),
                alias: target.alias.clone(),
                online: port.map(|port| port.state == ObjectState::Online),
                sessions: u32::try_from(sessions).unwrap_or(u32::MAX),
            }
        };
        targets.into_iter().map(info).collect()
    }

    fn restore(&self) -> Result<(), TargetError> {
        let snapshot = self.node.framework.store().load().map_err(TargetError::Store)?;
        let Some(row) = snapshot
            .providers
            .into_iter()
            .find(|row| row.name == PROVIDER && row.kind == KIND)
        else {
            return Ok(());
        };
        let config = Stored::unpack(&row.data).map_err(|error| TargetError::Damaged(error.to_string()))?;
        let mut stored = self.stored.lock();
        for target in config.targets() {
            if self.node.target(&target.name).is_none() {
                self.register(target)?;
            }
        }
        *stored = config;
        Ok(())
    }

    fn save(&self, stored: &Stored) -> Result<(), TargetError> {
        let store = self.node.framework.store();
        let token = store.next_token().map_err(TargetError::Store)?;
        let row = ProviderRow {
            name: PROVIDER.into(),
            kind: KIND,
            token,
            data: stored.pack(),
        };
        store.commit(&[Change::PutProvider(row)]).map_err(TargetError::Store)
    }

    /// Makes a target known to this node and to the framework, which tells it to go online when it is to.
    fn register(&self, config: TargetConfig) -> Result<(), TargetError> {
        let TargetConfig { name, alias } = config;
        let devid = devid(&name).ok_or_else(|| TargetError::NotFound(name.clone()))?;
        let spec = PortSpec {
            devid,
            protocol: Protocol::Iscsi,
            provider: PROVIDER,
            alias: alias.clone().unwrap_or_default(),
            image_rtpid: None,
            control: Arc::new(Control {
                name: name.clone(),
                jobs: self.node.jobs.clone(),
            }),
        };
        self.node
            .targets
            .write()
            .insert(name.clone(), Arc::new(Target::new(name.clone(), alias)));
        match self.node.framework.port_register(spec) {
            Ok(_) => Ok(()),
            Err(status) => {
                self.node.targets.write().remove(&name);
                Err(match status {
                    Status::Exists => TargetError::Exists(name),
                    status => TargetError::Framework(name, status),
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
