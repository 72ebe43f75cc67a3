//! What workers, janitor, acceptor and provider share.

use super::admin::Auth;
use super::chap::CHALLENGE;
use super::config::{self, Config, DEFAULT_TAG};
use super::directory::{
    AuthPolicy, ChapPolicy, Directory, LoginStatus, Patience, SessionKey, TargetRecord, TargetView, Verifier,
};
use super::engine::mailbox::Mailbox;
use super::isns;
use super::janitor::Job;
use super::session::ConnectionId;
use super::sessions::Sessions;
use super::target::{Target, TargetState};
use super::worker::Mail;
use crate::framework::Framework;
use arc_swap::ArcSwap;
use nix::sys::eventfd::EventFd;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

/// Bits of a [`ConnectionId`] below the worker's number.
const WORKER_SHIFT: u32 = 48;

/// The shared state.
pub struct Node {
    /// The framework.
    pub framework: Arc<Framework>,
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    /// All targets, by canonical name.
    pub targets: RwLock<BTreeMap<String, Arc<Target>>>,
    /// All sessions.
    pub sessions: Mutex<Sessions>,
    /// The janitor's queue.
    pub jobs: Sender<Job>,
    /// One per worker.
    pub workers: Vec<Arc<Mailbox<Mail>>>,
    /// Addresses of the open listeners of the default portal group.
    pub portals: RwLock<Vec<SocketAddr>>,
    /// Wakes the accepting thread.
    pub acceptor: EventFd,
    /// False: the accepting thread is to end.
    pub accepting: AtomicBool,
    /// Tells the iSNS client that something has changed; false when it has ended.
    pub isns: Mutex<Option<Box<dyn Fn() -> bool + Send>>>,
    /// Questions to the RADIUS server under way.
    pub questions: AtomicUsize,
    /// Bytes of data that all sessions together may hold.
    pub memory_max: u64,
    /// What initiators may take.
    pub patience: Patience,
    /// Open connections.
    pub connections: AtomicUsize,
}

impl Node {
    /// An id for connection number `number` of a worker.
    pub fn connection_id(worker: usize, number: u64) -> ConnectionId {
        (worker as u64) << WORKER_SHIFT | number & ((1 << WORKER_SHIFT) - 1)
    }

    /// Tells the worker of a connection.
    pub fn post(&self, connection: ConnectionId, mail: Mail) {
        if let Some(worker) = self.workers.get((connection >> WORKER_SHIFT) as usize) {
            worker.post(mail);
        }
    }

    /// Tells all workers.
    pub fn post_all(&self, mail: impl Fn() -> Mail) {
        for worker in &self.workers {
            worker.post(mail());
        }
    }

    /// Leaves a job for the janitor, which lives as long as the node does.
    pub fn job(&self, job: Job) {
        if self.jobs.send(job).is_err() {
            log::error!("the iSCSI janitor has ended");
        }
    }

    /// A target, if there is one of this name.
    pub fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.targets.read().get(name).cloned()
    }

    /// A connection is gone.
    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
    }

    /// Which portals are needed may have changed.
    pub fn portals_changed(&self) {
        if let Err(error) = self.acceptor.write(1) {
            log::error!("waking the iSCSI listeners: {error}");
        }
        if let Some(tell) = &*self.isns.lock()
            && !tell()
        {
            log::error!("the iSNS client has ended");
        }
    }

    /// Portals of the groups that online targets use and that no listener of the default group serves.
    pub fn explicit_portals(&self) -> Vec<SocketAddr> {
        let serving = |name: &str| {
            self.target(name)
                .is_some_and(|target| target.state() != TargetState::Offline)
        };
        let config = self.config.load();
        let mut portals: Vec<SocketAddr> = config
            .portals_of(serving)
            .filter(|portal| !self.is_default(*portal))
            .collect();
        portals.sort_unstable();
        portals.dedup();
        portals
    }

    fn is_default(&self, local: SocketAddr) -> bool {
        self.portals.read().iter().any(|portal| config::covers(*portal, local))
    }

    /// The tag of a target's portal group with the portal of a local address.
    fn tag(&self, config: &Config, target: &config::Target, local: SocketAddr) -> Option<u16> {
        if target.bindings.is_empty() {
            return self.is_default(local).then_some(DEFAULT_TAG);
        }
        let serves = |group: &str| {
            let group = config.group(group);
            group.is_some_and(|group| group.portals.iter().any(|portal| config::covers(*portal, local)))
        };
        let binding = target.bindings.iter().find(|binding| serves(&binding.group))?;
        Some(binding.tag)
    }

    /// Tags and portals of a target.
    fn groups(
        &self,
        config: &Config,
        target: &config::Target,
        local: Option<SocketAddr>,
    ) -> Vec<(u16, Vec<SocketAddr>)> {
        if target.bindings.is_empty() {
            return vec![(DEFAULT_TAG, group_addresses(&self.portals.read(), local))];
        }
        let of = |binding: &config::Binding| {
            let portals = config.group(&binding.group).map_or(&[][..], |group| &group.portals);
            (binding.tag, group_addresses(portals, local))
        };
        target.bindings.iter().map(of).collect()
    }

    /// `addr:port,tag` of every portal of a target.
    fn addresses(&self, config: &Config, target: &config::Target, local: SocketAddr) -> Vec<String> {
        let groups = self.groups(config, target, Some(local)).into_iter();
        let lines = |(tag, portals): (u16, Vec<SocketAddr>)| {
            let line = move |portal: SocketAddr| format!("{portal},{tag}");
            portals.into_iter().map(line)
        };
        groups.flat_map(lines).collect()
    }

    /// The online targets as iSNS is to know them.
    pub fn isns_records(&self) -> Vec<isns::Record> {
        let config = self.config.load();
        let targets = self.targets.read();
        let record = |target: &Arc<Target>| {
            let online = target.state() == TargetState::Online;
            let settings = config.target(&target.name).filter(|_| online)?;
            Some(isns::Record {
                name: target.name.clone(),
                alias: settings.alias.clone(),
                auth: match config.auth(settings) {
                    Auth::None => "None",
                    Auth::Chap | Auth::Radius => "CHAP",
                },
                groups: self.groups(&config, settings, None),
            })
        };
        targets.values().filter_map(record).collect()
    }
}

/// The portals of a group, the one of `local` first. A wildcard portal stands for every address of the host but loopback.
fn group_addresses(portals: &[SocketAddr], local: Option<SocketAddr>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    all.extend(local.filter(|local| portals.iter().any(|portal| config::covers(*portal, *local))));
    for portal in portals {
        if !portal.ip().is_unspecified() {
            all.push(*portal);
        } else {
            let fits = |ip: &IpAddr| portal.is_ipv6() || ip.is_ipv4();
            let addresses = host_addresses().into_iter().filter(fits);
            all.extend(addresses.map(|ip| SocketAddr::new(ip, portal.port())));
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|address| seen.insert(*address));
    all
}

/// What is asked of an initiator that logs in to a target.
fn policy(config: &Config, target: &config::Target, initiator: &str) -> Result<AuthPolicy, LoginStatus> {
    match config.auth(target) {
        Auth::None => Ok(AuthPolicy::None),
        Auth::Radius if config.radius().is_none() => {
            log::error!("target {}: no RADIUS server, or no secret of it, is set", target.name);
            Err(LoginStatus::TARGET_ERROR)
        }
        auth @ (Auth::Chap | Auth::Radius) => {
            let mut random = [0; 1 + CHALLENGE];
            getrandom::fill(&mut random).map_err(|error| {
                log::error!("no random numbers for a CHAP challenge: {error}");
                LoginStatus::TARGET_ERROR
            })?;
            let [identifier, challenge @ ..] = random;
            let context = config.initiator(initiator);
            let user = context.map(|context| context.chap_user.as_ref().unwrap_or(&context.name));
            Ok(AuthPolicy::Chap(Box::new(ChapPolicy {
                user: user.cloned().unwrap_or_default(),
                verifier: match auth {
                    Auth::Radius => Verifier::Radius,
                    _ => Verifier::Secret(context.and_then(|context| context.secret.clone())),
                },
                target: target.name.clone(),
                target_user: target.chap_user.as_ref().unwrap_or(&target.name).clone(),
                target_secret: target.secret.clone(),
                identifier,
                challenge,
            })))
        }
    }
}

/// Addresses of this host that another host can use.
fn host_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let storage = interface.address?;
        if let Some(v4) = storage.as_sockaddr_in() {
            return Some(IpAddr::V4(v4.ip()));
        }
        let v6 = storage.as_sockaddr_in6()?.ip();
        // A link-local address means nothing without its interface.
        (!v6.is_unicast_link_local()).then_some(IpAddr::V6(v6))
    };
    interfaces.filter_map(address).filter(|ip| !ip.is_loopback()).collect()
}

impl Directory for Node {
    fn find(&self, name: &str, initiator: &str, local: SocketAddr) -> Result<TargetView, LoginStatus> {
        let config = self.config.load();
        let target = self.target(name).ok_or(LoginStatus::NOT_FOUND)?;
        let settings = config.target(name).ok_or(LoginStatus::NOT_FOUND)?;
        let tag = self.tag(&config, settings, local).ok_or(LoginStatus::NOT_FOUND)?;
        if target.state() != TargetState::Online {
            return Err(LoginStatus::UNAVAILABLE);
        }
        Ok(TargetView {
            alias: settings.alias.clone(),
            portal_group: tag,
            auth: policy(&config, settings, initiator)?,
        })
    }

    fn list(&self, name: Option<&str>, local: SocketAddr) -> Vec<TargetRecord> {
        let config = self.config.load();
        let targets = self.targets.read();
        let record = |target: &Arc<Target>| {
            let wanted = target.state() == TargetState::Online && name.is_none_or(|name| name == target.name);
            let settings = config.target(&target.name).filter(|_| wanted)?;
            self.tag(&config, settings, local)?;
            Some(TargetRecord {
                name: target.name.clone(),
                addresses: self.addresses(&config, settings, local),
            })
        };
        targets.values().filter_map(record).collect()
    }

    fn session(&self, key: &SessionKey, tsih: u16) -> bool {
        self.sessions.lock().home(key, tsih).is_some()
    }

    fn patience(&self) -> Patience {
        self.patience
    }
}
