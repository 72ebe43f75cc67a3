//! Target ports and nexuses.

use super::changes;
use super::effects::{about_to, count};
use super::events::{self, Happening};
use super::io::Ledger;
use super::live::Finale;
use super::mapping::Unmapped;
use super::state::State;
use super::{
    Announcement, Effect, Framework, LunMap, Nexus, NexusInfo, NexusSpec, ObjectState, Port, PortInfo, PortSpec,
};
use crate::framework::alua::rtpg;
use crate::store::Change;
use crate::types::{DevId, NodeId, Status};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the end of a nexus waits for tasks that touch a store (KillTasks, `alua-proxy.md` 8.2).
const TASKS_PATIENCE: Duration = Duration::from_secs(10);

impl Port {
    fn set_state(&self, state: ObjectState) {
        let before = self.state.swap(state as u8, Ordering::AcqRel);
        if before != state as u8 && !self.image {
            events::happened(Happening::TargetState(self.devid.clone(), state));
        }
        changes::note();
    }

    fn info(&self) -> PortInfo {
        PortInfo {
            devid: self.devid.clone(),
            provider: self.provider.to_owned(),
            alias: self.alias.lock().clone(),
            state: self.state(),
            protocol: self.protocol,
            rtpid: self.rtpid,
        }
    }
}

/// The node whose range an rtpid is in (`alua-proxy.md` 7.9).
pub(super) fn node_of(rtpid: u16) -> NodeId {
    NodeId::new(u8::from(rtpid > 255)).expect("0 or 1")
}

impl State {
    /// The rtpid of a local port: the one it had, else the lowest one that no port ever had, else one whose port is gone.
    fn local_rtpid(&self, devid: &DevId, node: NodeId) -> Result<u16, Status> {
        let range = rtpg::rtpid_range(node);
        if let Some(rtpid) = self.rtpids.get(devid).filter(|r| range.contains(r)) {
            return Ok(*rtpid);
        }
        let in_use = |rtpid| self.ports.iter().any(|p| p.rtpid == rtpid);
        let known = |rtpid| in_use(rtpid) || self.rtpids.values().any(|r| *r == rtpid);
        rtpg::allocate_rtpid(node, known)
            .or_else(|| rtpg::allocate_rtpid(node, in_use))
            .ok_or_else(|| {
                log::error!("target port {devid}: node {} has 255 target ports already", node.get());
                Status::Error
            })
    }

    /// Changes that give `devid` this rtpid and take it from a port that is gone.
    fn rtpid_changes(&self, devid: &DevId, rtpid: u16) -> Vec<Change> {
        let mut changes: Vec<Change> = self
            .rtpids
            .iter()
            .filter(|(other, r)| **r == rtpid && *other != devid)
            .map(|(other, _)| Change::RemovePort { devid: other.clone() })
            .collect();
        if self.rtpids.get(devid) != Some(&rtpid) {
            changes.push(Change::PutPort {
                devid: devid.clone(),
                rtpid,
            });
        }
        changes
    }

    fn apply_rtpid(&mut self, devid: &DevId, rtpid: u16) {
        self.rtpids.retain(|_, r| *r != rtpid);
        self.rtpids.insert(devid.clone(), rtpid);
    }
}

impl Framework {
    /// `stay_offline`: the port is not told to go online, whatever the service does.
    pub(super) fn register_port(&self, spec: PortSpec, stay_offline: bool) -> Result<Arc<Port>, Status> {
        let image = spec.image_rtpid.is_some();
        // A local port has its identifier from the configuration; images come and go with the peer.
        let mut state = if image { self.state.lock() } else { self.configured()? };
        if state.port(&spec.devid).is_ok() {
            return Err(Status::Exists);
        }
        let rtpid = match spec.image_rtpid {
            Some(0) => return Err(Status::InvalidArg),
            Some(rtpid) => rtpid,
            None => {
                let node = state.node.unwrap_or(NodeId::new(0).expect("0 is a node"));
                let rtpid = state.local_rtpid(&spec.devid, node)?;
                self.commit(&state.rtpid_changes(&spec.devid, rtpid))?;
                state.apply_rtpid(&spec.devid, rtpid);
                rtpid
            }
        };
        // The image of a port of the peer serves commands that the peer forwards; whether this node serves its own
        // initiators does not matter to it.
        let online = image || (!stay_offline && state.initial(state.ports_online) == ObjectState::Online);
        let initial = if online {
            ObjectState::Onlining
        } else {
            ObjectState::Offline
        };
        let port = Arc::new(Port {
            devid: spec.devid,
            protocol: spec.protocol,
            provider: spec.provider,
            alias: Mutex::new(spec.alias),
            rtpid,
            group: node_of(rtpid),
            image,
            state: AtomicU8::new(initial as u8),
            control: spec.control,
            io: Arc::default(),
        });
        state.ports.push(port.clone());
        changes::note();
        if image {
            state.peer_ports.insert(port.devid.clone(), rtpid);
        }
        drop(state);
        if !image {
            self.announce(Announcement::PortUp {
                port: port.devid.clone(),
                rtpid,
            });
        }
        if online {
            port.control.go_online();
        }
        Ok(port)
    }

    pub(super) fn deregister_port(&self, devid: &DevId) -> Result<(), Status> {
        let mut state = self.state.lock();
        let port = state.port(devid)?.clone();
        let in_use = state.nexuses.iter().any(|n| n.port.devid == *devid);
        if port.state() != ObjectState::Offline || in_use {
            return Err(Status::Busy);
        }
        // The rtpid stays with the name: the provider may only be restarting.
        state.ports.retain(|p| !Arc::ptr_eq(p, &port));
        state.restarting.remove(devid);
        drop(state);
        if !port.image {
            self.announce(Announcement::PortDown { port: devid.clone() });
        }
        Ok(())
    }

    /// Brings a port online or offline, as an administrator asks.
    pub(super) fn change_port(&self, devid: &DevId, online: bool) -> Result<(), Status> {
        let state = self.state.lock();
        if state.changing {
            return Err(Status::Busy);
        }
        let port = state.port(devid)?.clone();
        if !port_changes(&port, online)? {
            return Ok(());
        }
        about_to(|| {
            let sessions = state.nexuses.iter().filter(|nexus| nexus.port.devid == *devid).count();
            Ok(vec![match online {
                true => Effect::TargetOnline(devid.clone()),
                false => Effect::TargetOffline(devid.clone(), count(sessions)),
            }])
        })?;
        begin_port_change(&port, online)?;
        drop(state);
        tell(&port, online);
        Ok(())
    }

    pub(super) fn port_is(&self, devid: &DevId, online: bool) {
        let mut state = self.state.lock();
        let Ok(port) = state.port(devid).cloned() else {
            log::warn!("target port {devid}: a change of state is reported, but it is not registered");
            return;
        };
        if online && port.state() == ObjectState::Offlining {
            // The end of an earlier change; the later one is on its way.
            return;
        }
        port.set_state(if online {
            ObjectState::Online
        } else {
            ObjectState::Offline
        });
        if !online && state.restarting.remove(devid) {
            port.set_state(ObjectState::Onlining);
            drop(state);
            port.control.go_online();
        }
    }

    pub(super) fn ports_info(&self, devid: &DevId) -> Result<PortInfo, Status> {
        Ok(self.configured()?.port(devid)?.info())
    }

    /// Newest first.
    pub(super) fn nexus_infos(&self, devid: &DevId) -> Result<Vec<NexusInfo>, Status> {
        let state = self.configured()?;
        state.port(devid)?;
        let of_port = state.nexuses.iter().rev().filter(|n| n.port.devid == *devid);
        Ok(of_port
            .map(|nexus| NexusInfo {
                initiator: nexus.initiator.clone(),
                alias: nexus.alias.clone(),
                created: nexus.created,
            })
            .collect())
    }

    pub(super) fn register_nexus(&self, spec: NexusSpec) -> Result<Arc<Nexus>, Status> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut state = self.state.lock();
        let port = state.port(&spec.port)?.clone();
        if port.state() != ObjectState::Online {
            return Err(Status::Busy);
        }
        let id = match spec.image_id {
            Some(id) => id,
            None => {
                let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
                state.last_nexus = nanoseconds.max(state.last_nexus.saturating_add(1));
                state.last_nexus
            }
        };
        if state.nexuses.iter().any(|n| n.id == id && n.port.image == port.image) {
            return Err(Status::Exists);
        }
        let nexus = Arc::new(Nexus {
            id,
            port,
            initiator: spec.initiator,
            transport_id: spec.transport_id,
            alias: spec.alias,
            created: now.as_secs(),
            lun_map: ArcSwap::from_pointee(LunMap::default()),
            luns_changed: AtomicBool::new(false),
            io: Ledger::default(),
        });
        // The map was empty: nothing is lost, and nothing is told (`scsi-sbd.md` 1.4).
        state.remap_nexus(&nexus, &mut Unmapped::default());
        state.nexuses.push(nexus.clone());
        drop(state);
        if !nexus.port.image {
            let (initiator, target) = (nexus.initiator.clone(), nexus.port.devid.clone());
            events::happened(Happening::Login { initiator, target });
        }
        Ok(nexus)
    }

    pub(super) fn deregister_nexus(&self, nexus: &Arc<Nexus>) {
        let (finale, gone) = Finale::channel();
        {
            let mut state = self.state.lock();
            let before = state.nexuses.len();
            state.nexuses.retain(|n| !Arc::ptr_eq(n, nexus));
            if state.nexuses.len() == before {
                return;
            }
        }
        if !nexus.port.image {
            let (initiator, target) = (nexus.initiator.clone(), nexus.port.devid.clone());
            events::happened(Happening::Logout { initiator, target });
        }
        let map = nexus.lun_map.swap(Arc::default());
        Unmapped::all_of(&map).stop(&finale);
        drop(finale);
        if gone.recv_timeout(TASKS_PATIENCE).is_err() {
            log::error!(
                "{nexus:?}: a command still runs {} s after the nexus ended",
                TASKS_PATIENCE.as_secs()
            );
        }
        if !nexus.port.image
            && let Some(link) = self.link()
        {
            link.nexus_ended(nexus);
        }
    }

    /// Local ports outside of the range of a node id, with identifiers inside of it (`alua-proxy.md` 7.9).
    pub(super) fn renumber_ports(&self, state: &State, node: NodeId) -> Result<Vec<(Arc<Port>, Change)>, Status> {
        let range = rtpg::rtpid_range(node);
        let mut taken: Vec<u16> = state
            .ports
            .iter()
            .filter(|p| range.contains(&p.rtpid))
            .map(|p| p.rtpid)
            .collect();
        let mut renumbered = Vec::new();
        for port in state.ports.iter().filter(|p| !p.image && !range.contains(&p.rtpid)) {
            let rtpid = rtpg::allocate_rtpid(node, |r| taken.contains(&r)).ok_or(Status::Error)?;
            taken.push(rtpid);
            let change = Change::PutPort {
                devid: port.devid.clone(),
                rtpid,
            };
            let successor = Port {
                devid: port.devid.clone(),
                protocol: port.protocol,
                provider: port.provider,
                alias: Mutex::new(port.alias.lock().clone()),
                rtpid,
                group: node,
                image: false,
                state: AtomicU8::new(port.state() as u8),
                control: port.control.clone(),
                io: port.io.clone(),
            };
            renumbered.push((Arc::new(successor), change));
        }
        Ok(renumbered)
    }
}

/// `Ok(false)`: already there or on the way.
fn port_changes(port: &Port, online: bool) -> Result<bool, Status> {
    use ObjectState::{Offline, Offlining, Online, Onlining};
    match (port.state(), online) {
        (Online | Onlining, true) | (Offline | Offlining, false) => Ok(false),
        (Offlining, true) | (Onlining, false) => Err(Status::Busy),
        (Offline, true) | (Online, false) => Ok(true),
    }
}

/// Marks the beginning of a change, if there is one to make.
pub(super) fn begin_port_change(port: &Port, online: bool) -> Result<bool, Status> {
    let changes = port_changes(port, online)?;
    if changes {
        port.set_state(match online {
            true => ObjectState::Onlining,
            false => ObjectState::Offlining,
        });
    }
    Ok(changes)
}

pub(super) fn tell(port: &Port, online: bool) {
    match online {
        true => port.control.go_online(),
        false => port.control.go_offline(),
    }
}
