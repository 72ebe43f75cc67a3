//! What the framework asks of the proxy port provider, and what it hears from it.

use super::{Done, Nexus, Port, Task, TmDone, TmRequest};
use crate::types::{AccessState, DevId, Guid, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What this node knows of the peer when an LU is to be claimed (`alua-proxy.md` 6.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PeerView {
    /// Messages arrive.
    pub reachable: bool,
    /// The peer does not speak our extensions.
    pub original: bool,
    /// Access state of the LU in the peer's last announcement.
    pub says: Option<AccessState>,
    /// The cluster software declared the peer fenced.
    pub fenced: bool,
    /// The configuration is being loaded: nobody asked for this import, and what was volatile is gone.
    pub cold_start: bool,
    /// Ownership generation of the newest claim that the peer says it has given up without writing the record: its store
    /// is closed, and nothing is written under that claim any more.
    pub given_up: Option<u64>,
}

/// The peer as the proxy sees it, for answers to initiators and for listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerStatus {
    /// A door is installed.
    pub door: bool,
    /// Messages arrive (liveness probe, `alua-proxy.md` 8.2).
    pub reachable: bool,
    /// `Some(true)` an original peer, `Some(false)` one of ours, `None` not known.
    pub original: Option<bool>,
    /// It executes forwarded writes (capability 4).
    pub writes: bool,
}

/// An LU that is Active here, as the peer is to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnnouncedLu {
    /// The LU.
    pub guid: Guid,
    /// Its name: the path that the peer must import.
    pub name: String,
    /// Ownership generation.
    pub generation: u64,
    /// Access policy `non-optimized` (`alua-proxy.md` 7.7): the owner's holds on both nodes.
    pub non_optimized: bool,
}

/// The peer and the way to it, for people (`stmfadm list-alua`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PeerReport {
    /// Door, reachable, kind.
    pub status: PeerStatus,
    /// Its node id; `None`: an original peer, or not yet known.
    pub node: Option<u8>,
    /// Its present life; `None`: an original peer, or never heard.
    pub incarnation: Option<u64>,
    /// Time since its last message; `None`: never heard.
    pub silent: Option<Duration>,
    /// From the last answered probe to its answer.
    pub round_trip: Option<Duration>,
    /// How often it came back.
    pub reconnects: u64,
    /// How long it has been there; `None`: it is not.
    pub up: Option<Duration>,
    /// Messages that wait for the door.
    pub to_send: usize,
    /// Messages and events that wait for the provider.
    pub to_handle: usize,
    /// By type, in the order of their numbers.
    pub messages: Vec<MessageCount>,
    /// Not delivered: no door, or it failed or refused them.
    pub lost: u64,
    /// Well-formed messages of the peer that were not understood.
    pub dropped: u64,
    /// No messages at all, or refused because ALUA mode is disabled.
    pub refused: u64,
}

/// How often a type of message came and went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageCount {
    /// Name of the type.
    pub name: String,
    /// Given to the door.
    pub sent: u64,
    /// Taken from the peer.
    pub received: u64,
}

/// A message to the peer about a port or an LU. Queued, never sent inside the call (hazard H30); the newest per object
/// is kept and resent while the peer cannot be reached (`alua-proxy.md` 5.13).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Announcement {
    /// REGISTER_PROXY_PORT.
    PortUp {
        /// The port.
        port: DevId,
        /// Its relative target port identifier.
        rtpid: u16,
    },
    /// DEREGISTER_PROXY_PORT.
    PortDown {
        /// The port.
        port: DevId,
    },
    /// REGISTER_LUN: Active here.
    LuRegister(AnnouncedLu),
    /// LUN_ACTIVE: this node has taken the LU over.
    LuActive(AnnouncedLu),
    /// DEREGISTER_LUN: deleted here.
    LuDeregister {
        /// The LU.
        guid: Guid,
    },
    /// Ownership was lost here and the store is closed, but the record may still name this node. Between our nodes only:
    /// DEREGISTER_LUN with `icx_access_state` Standby and `icx_generation`; an original peer would delete the LU.
    LuGivenUp {
        /// The LU.
        guid: Guid,
        /// Of the claim that ended.
        generation: u64,
    },
}

/// Something the peer said, decoded, handed to [`super::Framework::peer_event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// REGISTER_PROXY_PORT.
    PortUp {
        /// The port.
        port: DevId,
        /// Its relative target port identifier.
        rtpid: u16,
    },
    /// DEREGISTER_PROXY_PORT.
    PortDown {
        /// The port.
        port: DevId,
    },
    /// STATUS success for REGISTER_PROXY_PORT: the peer accepted this port; it may forward commands now.
    PortAccepted {
        /// The port.
        port: DevId,
    },
    /// REGISTER_LUN or LUN_ACTIVE.
    LuActive {
        /// The LU.
        guid: Guid,
        /// Path of its metadata.
        name: String,
        /// `icx_generation`, absent from an original peer.
        generation: Option<u64>,
        /// `icx_policy`, absent from an original peer.
        non_optimized: Option<bool>,
        /// True for LUN_ACTIVE.
        taken_over: bool,
    },
    /// DEREGISTER_LUN.
    LuDeregister {
        /// The LU.
        guid: Guid,
    },
    /// [`Announcement::LuGivenUp`].
    LuGivenUp {
        /// The LU.
        guid: Guid,
        /// Of the claim that ended.
        generation: u64,
    },
    /// The first message after silence, or the peer's incarnation changed: everything is announced again.
    Up,
    /// Silent too long, or the door went away.
    Down,
    /// The end of a registration round of one of our peers: what was not mentioned is gone (capability 3).
    RoundComplete {
        /// Ports mentioned.
        ports: Vec<DevId>,
        /// LUs mentioned.
        lus: Vec<Guid>,
    },
}

/// Takes the answer to [`PeerLink::ask`]. Never blocks.
pub type Answered = Box<dyn FnOnce(Option<Vec<u8>>) + Send>;

/// The proxy port provider, as the framework uses it.
pub trait PeerLink: Send + Sync {
    /// Queues an announcement.
    fn announce(&self, announcement: Announcement);

    /// `stmfSetAluaState`: begins a registration round. Until the first call nothing goes through a new door (ruling 15).
    fn enabled(&self, node: NodeId);

    /// ALUA mode was switched off.
    fn disabled(&self);

    /// The peer was declared fenced: it counts as unreachable when this returns, until it is heard again.
    fn presume_gone(&self);

    /// Forwards a command of a Standby LU to the peer, with the host's data. Ends within bounded time (8.2).
    fn forward(&self, lu: Guid, task: Task, data: Vec<u8>, done: Done);

    /// ABORT TASK of a forwarded command.
    fn abort(&self, nexus: &Nexus, tag: u64);

    /// Forwards a task management function for an LU; `done` after the peer answered or after 5 s.
    fn forward_tm(&self, lu: Guid, request: TmRequest, done: TmDone);

    /// Asks the peer, one of ours, about itself ([`super::Framework::answer_node_request`]). `done` on any thread, within bounded
    /// time; it gets `None` when the peer cannot be asked or does not answer.
    fn ask(&self, _request: Vec<u8>, done: Answered) {
        done(None);
    }

    /// A nexus of a local port ended: SESSION_DESTROY if the peer knows it.
    fn nexus_ended(&self, nexus: &Nexus);

    /// What is known of the peer.
    fn status(&self) -> PeerStatus;

    /// Everything that is known, for listings.
    fn report(&self) -> PeerReport {
        PeerReport {
            status: self.status(),
            ..PeerReport::default()
        }
    }

    /// True when the peer has accepted this local port, so that its commands can be forwarded.
    fn port_accepted(&self, port: &Port) -> bool;
}
