//! ALUA mode of the node: enabling, disabling, what is told to the peer and asked of it (`alua-proxy.md` 2.1).

use super::alua::machine::Event;
use super::alua::rtpg::{self, Peer, PortGroups};
use super::cell::Source;
use super::effects::{about_to, count};
use super::logical_unit::LogicalUnit;
use super::ports::{begin_port_change, node_of, tell};
use super::state::{ALUA_ENABLED, ALUA_NODE};
use super::{Announcement, Effect, Framework, ObjectState, Outcome, PeerLink, PeerView, Port, Task};
use crate::scsi::Sense;
use crate::store::Change;
use crate::types::{AccessState, Guid, NodeId, Status};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Framework {
    /// Announcements are dropped while the mode is disabled.
    pub(super) fn announce(&self, announcement: Announcement) {
        if self.alua_on.load(Ordering::Acquire)
            && let Some(link) = self.link()
        {
            link.announce(announcement);
        }
    }

    pub(super) fn link(&self) -> Option<Arc<dyn PeerLink>> {
        self.link.load().as_ref().map(|link| (**link).clone())
    }

    /// A command that comes through this port can be sent to the peer.
    pub(super) fn can_forward(&self, port: &Port) -> bool {
        self.alua_on.load(Ordering::Acquire)
            && self
                .link()
                .is_some_and(|link| link.status().reachable && link.port_accepted(port))
    }

    /// What a claimant needs to know of the peer. `says`: its last announcement of the LU; `given_up`: generation of the
    /// newest claim that it gave up; `fence`: a declaration that this claim may use.
    pub(super) fn peer_view(&self, says: Option<AccessState>, given_up: Option<u64>, fence: Option<u64>) -> PeerView {
        let status = self.link().map(|link| link.status()).unwrap_or_default();
        PeerView {
            reachable: status.reachable,
            original: status.original == Some(true),
            says,
            fenced: fence.is_some(),
            cold_start: false,
            given_up,
        }
    }

    pub(super) fn enable_alua(&self, node: NodeId) -> Result<(), Status> {
        let _one_at_a_time = self.alua_change.lock();
        let ports = {
            let mut state = self.state.lock();
            if state.alua && state.node != Some(node) {
                return Err(Status::InvalidArg);
            }
            let renumbered = self.renumber_ports(&state, node)?;
            about_to(|| Ok(vec![Effect::AluaEnabled(node)]))?;
            let mut changes: Vec<Change> = renumbered.iter().map(|(_, change)| change.clone()).collect();
            changes.push(setting(ALUA_ENABLED, "true"));
            changes.push(setting(ALUA_NODE, &node.get().to_string()));
            self.commit(&changes)?;
            state.alua = true;
            state.node = Some(node);
            for (port, _) in renumbered {
                state.rtpids.insert(port.devid.clone(), port.rtpid);
                self.replace_port(&mut state, port);
            }
            state.ports.iter().filter(|p| !p.image).cloned().collect::<Vec<_>>()
        };
        self.alua_on.store(true, Ordering::Release);
        if let Some(link) = self.link() {
            link.enabled(node);
        }
        self.announce_ports();
        ports.iter().for_each(|port| self.restart_if_renumbered(port));
        self.feed_all(Event::AluaEnable);
        self.apply_held_events();
        Ok(())
    }

    pub(super) fn disable_alua(&self) -> Result<(), Status> {
        let _one_at_a_time = self.alua_change.lock();
        let ports = {
            let mut state = self.state.lock();
            // Standby LUs go with the mode: no crash in between leaves some of them.
            let standby = state.lus.values().filter(|lu| lu.access() == AccessState::Standby);
            let standby: Vec<Guid> = standby.map(|lu| lu.guid).collect();
            about_to(|| Ok(vec![Effect::AluaDisabled(count(standby.len()))]))?;
            self.commit_without_rows(&mut state, &standby, vec![setting(ALUA_ENABLED, "false")])?;
            state.alua = false;
            state
                .ports
                .iter()
                .filter(|p| !p.image)
                .map(|p| p.devid.clone())
                .collect::<Vec<_>>()
        };
        // The last words: each Active LU and each port is withdrawn while the mode still lets them through.
        self.feed_all(Event::AluaDisable);
        ports
            .into_iter()
            .for_each(|port| self.announce(Announcement::PortDown { port }));
        if self.alua_on.swap(false, Ordering::AcqRel)
            && let Some(link) = self.link()
        {
            link.disabled();
        }
        Ok(())
    }

    /// Every local port takes part in ALUA.
    pub(super) fn announce_ports(&self) {
        let ports = self.state.lock().ports.clone();
        for port in ports.iter().filter(|p| !p.image) {
            self.announce(Announcement::PortUp {
                port: port.devid.clone(),
                rtpid: port.rtpid,
            });
        }
    }

    /// Feeds an event to every LU; those that are busy come last.
    pub(super) fn feed_all(&self, event: Event) {
        let mut busy = Vec::new();
        for cell in self.all_cells() {
            match cell.try_lock() {
                Some(inner) => {
                    self.feed(&cell, inner, event, Source::default());
                }
                None => busy.push(cell.clone()),
            }
        }
        for cell in busy {
            self.feed(&cell, cell.lock(), event, Source::default());
        }
    }

    /// Sessions of a port whose identifiers changed are dropped; it comes back when its provider reports it offline.
    fn restart_if_renumbered(&self, port: &Arc<Port>) {
        let mut state = self.state.lock();
        if state.restarting.contains(&port.devid) {
            match begin_port_change(port, false) {
                Ok(true) => {
                    drop(state);
                    tell(port, false);
                }
                _ => {
                    state.restarting.remove(&port.devid);
                }
            }
        }
    }

    // --- REPORT TARGET PORT GROUPS ----------------------------------------------------------------------------------

    /// Answered by each node itself, in every state (ruling 7).
    pub(super) fn report_target_port_groups(&self, task: &Task, lu: &LogicalUnit) -> Outcome {
        let cdb = task.cdb.head();
        let allocation = u32::from_be_bytes([cdb[6], cdb[7], cdb[8], cdb[9]]) as usize;
        if matches!(allocation, 1..=3) {
            return Outcome::check(Sense::INVALID_FIELD_IN_CDB);
        }
        let here = lu.access();
        let (node, local, images) = {
            let state = self.state.lock();
            let node = state.node.unwrap_or(NodeId::new(0).expect("0 is a node"));
            let local: Vec<u16> = state.ports.iter().filter(|p| !p.image).map(|p| p.rtpid).collect();
            let images: Vec<u16> = state
                .peer_ports
                .values()
                .copied()
                .filter(|r| node_of(*r) != node)
                .collect();
            (node, local, images)
        };
        let groups = PortGroups {
            node,
            here,
            peer: self.peer_of(lu, here),
            changed: lu.has_changed(),
            non_optimized: self.forwards_all(lu),
            local: &local,
            images: &images,
        };
        match rtpg::parameter_data(cdb, &groups) {
            Ok(mut data) => {
                data.truncate(allocation);
                Outcome::data_in(data)
            }
            Err(sense) => Outcome::check(sense),
        }
    }

    fn peer_of(&self, lu: &LogicalUnit, here: AccessState) -> Peer {
        if !self.alua_on.load(Ordering::Acquire) {
            return Peer::None;
        }
        if !self.link().is_some_and(|link| link.status().reachable) {
            return Peer::Unreachable;
        }
        // A peer that has said nothing about an LU does not have it Active.
        let says = lu.peer_says().unwrap_or(AccessState::Standby);
        match (here, says) {
            // The own claim is the newer news.
            (AccessState::Active, _) => Peer::Says(AccessState::Standby),
            _ => Peer::Says(says),
        }
    }
}

pub(super) fn setting(key: &str, value: &str) -> Change {
    Change::PutSetting {
        key: key.to_owned(),
        value: value.to_owned(),
    }
}

impl Framework {
    /// Puts a renumbered port in the place of the old one.
    fn replace_port(&self, state: &mut super::state::State, port: Arc<Port>) {
        if port.state() == ObjectState::Online {
            state.restarting.insert(port.devid.clone());
        }
        if let Some(old) = state.ports.iter_mut().find(|p| p.devid == port.devid) {
            *old = port;
        }
    }
}
