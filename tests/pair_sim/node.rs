//! One node: the pure cores plus what a shell keeps.

use crate::store::BLOCKS;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use stmf::framework::alua::machine::{Action, LuState};
use stmf::framework::alua::ownership::{Claim, Fence, Found, InstallationId, Sighting};
use stmf::types::{AccessState, Status};

/// An open store.
pub struct Unit {
    pub claim: Claim,
    pub fence: Fence,
    pub reservation: u64,
    /// A renewal found another owner, or no lock: nothing is written any more.
    pub lost: bool,
}

/// A command on its way through the LU.
#[derive(Clone, Copy)]
pub struct Task {
    pub op: u64,
    pub block: usize,
    /// `None` reads.
    pub write: Option<u64>,
    /// Write through.
    pub durable: bool,
    /// When its I/O was started; `None` while it waits for the lease.
    pub started: Option<Duration>,
    /// A write of the peer begins before this, or not at all.
    pub start_by: Option<Duration>,
    /// The same, for the checker: also when the rule is broken.
    pub limit: Option<Duration>,
    pub due: Duration,
    /// Its I/O has ended; the answer is left.
    pub landed: bool,
    /// It came from the peer, the answer goes back there.
    pub forwarded: bool,
}

/// A cached block.
#[derive(Clone, Copy)]
pub struct Cached {
    pub value: u64,
    pub dirty: bool,
    /// Another node took the store over: it can only be dropped.
    pub forsaken: bool,
}

/// A claim under way.
pub struct Import {
    pub first: Option<Sighting>,
    /// The record that the claim replaced.
    pub previous: Option<Found>,
    pub boot: bool,
}

pub struct Node {
    pub up: bool,
    pub id: InstallationId,
    pub incarnation: u64,
    pub state: LuState,
    pub enabled: bool,
    pub unit: Option<Unit>,
    pub cache: [Option<Cached>; BLOCKS],
    pub tasks: Vec<Task>,
    pub job: VecDeque<Action>,
    pub job_due: Duration,
    pub import: Option<Import>,
    /// The LU is in the stored configuration, and whether with the standby mark.
    pub configured: bool,
    pub marked: bool,
    /// Disk I/O makes no progress until then.
    pub stalled_until: Duration,
    /// The whole node is paused until then (a virtual machine).
    pub frozen_until: Duration,
    pub next_renewal: Duration,
    /// Faults that are armed.
    pub flush_fails: bool,
    pub load_fails: bool,
    // What is known of the peer.
    pub peer_up: bool,
    pub peer_incarnation: Option<u64>,
    pub heard_at: Duration,
    pub says: Option<AccessState>,
    pub fenced: bool,
    /// Newest claim that the peer says it has given up.
    pub given_up: Option<u64>,
    /// The claim whose store was closed without writing.
    pub closed: u64,
    pub next_echo: Duration,
    /// Nonces of our latest probes, and the newest of the peer's.
    pub tokens: VecDeque<(u64, Duration)>,
    pub peer_token: Option<u64>,
    /// When that came.
    pub peer_token_at: Duration,
    pub peer_generation: u64,
    /// Writes of the peer that have arrived.
    pub seen: HashSet<u64>,
    pub next_register: Duration,
    pub active_sent: Option<Duration>,
    /// The newest registration that arrived while the mode was disabled.
    pub held: Option<Option<u64>>,
    pub last_reply: Option<Result<(), Status>>,
}

impl Node {
    pub fn new(index: u8) -> Node {
        Node {
            up: true,
            id: InstallationId([index + 1; 16]),
            incarnation: u64::from(index) << 32,
            state: LuState::Absent,
            enabled: true,
            unit: None,
            cache: [None; BLOCKS],
            tasks: Vec::new(),
            job: VecDeque::new(),
            job_due: Duration::ZERO,
            import: None,
            configured: false,
            marked: false,
            stalled_until: Duration::ZERO,
            frozen_until: Duration::ZERO,
            next_renewal: Duration::ZERO,
            flush_fails: false,
            load_fails: false,
            peer_up: false,
            peer_incarnation: None,
            heard_at: Duration::ZERO,
            says: None,
            fenced: false,
            given_up: None,
            closed: 0,
            next_echo: Duration::ZERO,
            tokens: VecDeque::new(),
            peer_token: None,
            peer_token_at: Duration::ZERO,
            peer_generation: 0,
            seen: HashSet::new(),
            next_register: Duration::ZERO,
            active_sent: None,
            held: None,
            last_reply: None,
        }
    }

    pub fn access(&self) -> Option<AccessState> {
        self.state.access()
    }

    pub fn active(&self) -> bool {
        self.access() == Some(AccessState::Active)
    }
}
