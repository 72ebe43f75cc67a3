//! What an administrator may see of the pair: mode, peer, ports and LUs (`stmfadm list-alua`).

use super::alua::machine::LuState;
use super::cell::Inner;
use super::{Framework, MirrorReport, PeerReport};
use crate::types::{AccessState, DevId, Guid};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The pair as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AluaReport {
    /// ALUA mode.
    pub enabled: bool,
    /// Last node enabled, 0 if none ever was.
    pub node: u8,
    /// The peer and the way to it.
    pub peer: PeerReport,
    /// Registered target ports, those of the peer included, in the order of their registration.
    pub ports: Vec<AluaPort>,
    /// LUs of this node by GUID.
    pub lus: Vec<AluaLu>,
    /// Groups and view entries are taken over to the peer.
    pub mirror: MirrorReport,
}

/// A target port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AluaPort {
    /// Identity.
    pub devid: DevId,
    /// Relative target port identifier.
    pub rtpid: u16,
    /// It is the image of a port of the peer.
    pub of_peer: bool,
    /// The peer accepted it; always `false` for a port of the peer.
    pub accepted: bool,
}

/// Who has the store of an LU, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owner {
    /// This node.
    Local,
    /// The peer says it has.
    Peer,
    /// Given up, or never heard of.
    Unknown,
}

/// An LU on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AluaLu {
    /// The LU.
    pub guid: Guid,
    /// Access state.
    pub access: AccessState,
    /// Who has the store.
    pub owner: Owner,
    /// Ownership generation of this node's claim; `None` without one, 0 when the store cannot hold a record.
    pub generation: Option<u64>,
    /// Since the last renewal of the lease; `None`: no lease here.
    pub lease_age: Option<Duration>,
    /// Moves to another access state since the LU is known here.
    pub moves: u64,
    /// How long the last move through a transition state took.
    pub last_move: Option<Duration>,
    /// Time in transition states, altogether.
    pub move_time: Duration,
    /// How long it is in a transition state now; `None`: it is in none.
    pub moving: Option<Duration>,
}

impl Framework {
    /// The pair as it is now. Each LU is looked at by itself.
    pub fn alua_report(&self) -> AluaReport {
        let link = self.link();
        let (enabled, node) = self.alua();
        let ports = self.state.lock().ports.clone();
        let mut lus: Vec<AluaLu> = self
            .all_cells()
            .iter()
            .filter_map(|cell| report(cell.guid, &cell.lock()))
            .collect();
        lus.sort_unstable_by_key(|lu| lu.guid);
        AluaReport {
            enabled,
            node: node.get(),
            peer: link.as_ref().map(|link| link.report()).unwrap_or_default(),
            ports: ports
                .iter()
                .map(|port| AluaPort {
                    devid: port.devid.clone(),
                    rtpid: port.rtpid,
                    of_peer: port.image,
                    accepted: link.as_ref().is_some_and(|link| link.port_accepted(port)),
                })
                .collect(),
            lus,
            mirror: self.mirror_report(),
        }
    }
}

fn report(guid: Guid, inner: &Inner) -> Option<AluaLu> {
    let access = inner.state.access()?;
    Some(AluaLu {
        guid,
        access,
        owner: owner(inner.state, inner.says),
        generation: inner.state.generation(),
        lease_age: inner.unit().and_then(|unit| unit.lease_age()),
        moves: inner.moves.count,
        last_move: inner.moves.last,
        move_time: inner.moves.total,
        moving: inner.moves.moving(),
    })
}

fn owner(state: LuState, says: Option<AccessState>) -> Owner {
    match (state.store_open(), says) {
        (true, _) => Owner::Local,
        (false, Some(AccessState::Active)) => Owner::Peer,
        _ => Owner::Unknown,
    }
}
