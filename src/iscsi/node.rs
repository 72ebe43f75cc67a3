//! What workers, janitor, acceptor and provider share.

use super::directory::{AuthPolicy, Directory, LoginStatus, SessionKey, SessionLookup, TargetRecord, TargetView};
use super::engine::mailbox::Mailbox;
use super::janitor::Job;
use super::sessions::{ConnectionId, Sessions};
use super::target::{Target, TargetState};
use super::worker::Mail;
use crate::framework::Framework;
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;

/// Tag of the default portal group, the only one for now (`iscsi-target.md` chapter 1).
pub const DEFAULT_TAG: u16 = 1;
/// Bits of a [`ConnectionId`] below the worker's number.
const WORKER_SHIFT: u32 = 48;

/// The shared state.
pub struct Node {
    /// The framework.
    pub framework: Arc<Framework>,
    /// All targets, by canonical name.
    pub targets: RwLock<BTreeMap<String, Arc<Target>>>,
    /// All sessions.
    pub sessions: Mutex<Sessions>,
    /// The janitor's queue.
    pub jobs: Sender<Job>,
    /// One per worker.
    pub workers: Vec<Arc<Mailbox<Mail>>>,
    /// Addresses of the open listeners.
    pub portals: RwLock<Vec<SocketAddr>>,
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

    /// `addr:port,tag` of every portal, the one of `local` first. A wildcard portal stands for every address of the host but
    /// loopback.
    fn addresses(&self, local: SocketAddr) -> Vec<String> {
        let mut all = vec![local];
        for portal in self.portals.read().iter() {
            if !portal.ip().is_unspecified() {
                all.push(*portal);
            } else {
                let fits = |ip: &IpAddr| portal.is_ipv6() || ip.is_ipv4();
                all.extend(
                    host_addresses()
                        .into_iter()
                        .filter(fits)
                        .map(|ip| SocketAddr::new(ip, portal.port())),
                );
            }
        }
        let mut seen = std::collections::HashSet::new();
        all.retain(|address| seen.insert(*address));
        all.iter().map(|address| format!("{address},{DEFAULT_TAG}")).collect()
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
    fn find(&self, name: &str, _initiator: &str, _local: SocketAddr) -> Result<TargetView, LoginStatus> {
        let target = self.target(name).ok_or(LoginStatus::NOT_FOUND)?;
        if target.state() != TargetState::Online {
            return Err(LoginStatus::UNAVAILABLE);
        }
        Ok(TargetView {
            alias: target.alias.clone(),
            portal_group: DEFAULT_TAG,
            auth: AuthPolicy::None,
        })
    }

    fn list(&self, name: Option<&str>, local: SocketAddr) -> Vec<TargetRecord> {
        let addresses = self.addresses(local);
        let targets = self.targets.read();
        targets
            .values()
            .filter(|target| target.state() == TargetState::Online && name.is_none_or(|name| name == target.name))
            .map(|target| TargetRecord {
                name: target.name.clone(),
                addresses: addresses.clone(),
            })
            .collect()
    }

    fn session(&self, key: &SessionKey, tsih: u16, cid: u16) -> SessionLookup {
        self.sessions.lock().lookup(key, tsih, cid)
    }
}
