//! Target ports and I_T nexuses (sessions).

use super::io::Ledger;
use super::{LunMap, Unit};
use crate::types::{DevId, Guid, NodeId, Protocol, TransportId};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// State of a port or LU (`scsi-sbd.md` 1.3). Numbers of `stmfLogicalUnitProperties.status`; a port adds 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum ObjectState {
    /// Serves nobody.
    Offline = 0,
    /// On the way to offline.
    Offlining = 1,
    /// Serves.
    Online = 2,
    /// On the way to online.
    Onlining = 3,
}

impl ObjectState {
    /// From the number.
    pub const fn from_number(n: u8) -> Option<ObjectState> {
        Some(match n {
            0 => ObjectState::Offline,
            1 => ObjectState::Offlining,
            2 => ObjectState::Online,
            3 => ObjectState::Onlining,
            _ => return None,
        })
    }
}

/// What a port provider does when its port changes state. Calls may come with framework locks held: they only start the
/// change; the provider reports its end with [`super::Framework::port_changed`].
pub trait PortControl: Send + Sync {
    /// Open for logins.
    fn go_online(&self);
    /// Close all sessions, refuse new ones.
    fn go_offline(&self);
}

/// A port to be registered.
pub struct PortSpec {
    /// Identity.
    pub devid: DevId,
    /// Transport.
    pub protocol: Protocol,
    /// Name of the port provider: `iscsit`, `pppt`.
    pub provider: &'static str,
    /// Display name.
    pub alias: String,
    /// For the image of a port of the peer: its rtpid. `None`: a local port, the framework allocates (`alua-proxy.md` 7.9).
    pub image_rtpid: Option<u16>,
    /// The provider's side.
    pub control: Arc<dyn PortControl>,
}

/// A registered target port.
pub struct Port {
    /// Identity.
    pub devid: DevId,
    /// Transport.
    pub protocol: Protocol,
    /// Port provider.
    pub provider: &'static str,
    /// Display name; the provider may change it.
    pub(super) alias: Mutex<String>,
    /// Relative target port identifier, 1 to 510, never 0.
    pub rtpid: u16,
    /// Target port group = node of the port's owner (`alua-proxy.md` 7.2).
    pub group: NodeId,
    /// True for the image of a port of the peer.
    pub image: bool,
    pub(super) state: AtomicU8,
    pub(super) control: Arc<dyn PortControl>,
    /// What hosts have read and written through it.
    pub(super) io: Arc<Ledger>,
}

impl Port {
    /// Present state.
    pub fn state(&self) -> ObjectState {
        ObjectState::from_number(self.state.load(Ordering::Acquire)).expect("only states are stored")
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Port({}, {})", self.devid, self.rtpid)
    }
}

/// A nexus to be registered.
pub struct NexusSpec {
    /// The target port; must be online.
    pub port: DevId,
    /// Initiator port name.
    pub initiator: DevId,
    /// Initiator's TransportID, with ISID for iSCSI.
    pub transport_id: TransportId,
    /// Initiator's alias, empty if unknown.
    pub alias: String,
    /// For a session of the peer: its session id. `None`: the framework numbers (ns since 1970, growing over restarts).
    pub image_id: Option<u64>,
}

/// An I_T nexus: one session of an initiator on a target port.
pub struct Nexus {
    /// Session id, `alua-proxy.md` 3.8.
    pub id: u64,
    /// Target port.
    pub port: Arc<Port>,
    /// Initiator port name.
    pub initiator: DevId,
    /// Initiator's TransportID.
    pub transport_id: TransportId,
    /// Initiator's alias.
    pub alias: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Immutable snapshot, swapped when views or LU states change.
    pub(super) lun_map: ArcSwap<LunMap>,
    /// REPORTED LUNS DATA HAS CHANGED is pending (06/3F/0E).
    pub(super) luns_changed: AtomicBool,
    /// What it has read and written.
    pub(super) io: Ledger,
}

impl Nexus {
    /// The open unit of an LU that is mapped on this nexus and Active on this node.
    pub fn unit(&self, guid: &Guid) -> Option<Arc<dyn Unit>> {
        let map = self.lun_map.load();
        map.itls().find(|itl| itl.lu.guid == *guid)?.lu.unit()
    }

    /// A nexus outside of any framework, without LUs, of initiator `iqn.i` with ISID `id`, on iSCSI port `iqn.a`.
    #[cfg(test)]
    pub fn detached(id: u64) -> Arc<Nexus> {
        struct Nothing;
        impl PortControl for Nothing {
            fn go_online(&self) {}
            fn go_offline(&self) {}
        }
        let initiator = DevId::new(b"iqn.i").expect("a name");
        let isid = id.to_be_bytes();
        let port = Port {
            devid: DevId::new(b"iqn.a").expect("a name"),
            protocol: Protocol::Iscsi,
            provider: "test",
            alias: Mutex::default(),
            rtpid: 1,
            group: NodeId::new(0).expect("0 is a node"),
            image: false,
            state: AtomicU8::new(ObjectState::Online as u8),
            control: Arc::new(Nothing),
            io: Arc::default(),
        };
        Arc::new(Nexus {
            id,
            port: Arc::new(port),
            transport_id: TransportId::iscsi(&initiator, [isid[2], isid[3], isid[4], isid[5], isid[6], isid[7]]),
            initiator,
            alias: String::new(),
            created: 0,
            lun_map: ArcSwap::default(),
            luns_changed: AtomicBool::new(false),
            io: Ledger::default(),
        })
    }
}

impl std::fmt::Debug for Nexus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nexus({:#x}, {} -> {})", self.id, self.initiator, self.port.devid)
    }
}
