//! A SCSI command or task management function on its way from a port to a logical unit and back.

use super::{Nexus, Parts, Port};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::Guid;
use std::sync::Arc;
use std::time::Duration;

/// A CDB of 1 to 260 bytes (SPC-4 4.2). Bytes beyond the end read as zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cdb {
    bytes: [u8; 16],
    length: u16,
    /// Bytes 16 and up of a long CDB.
    rest: Vec<u8>,
}

impl Cdb {
    /// Longest CDB (SPC-4 4.2.3).
    pub const MAX: usize = 260;

    /// `None` when empty or longer than [`Cdb::MAX`].
    pub fn new(cdb: &[u8]) -> Option<Cdb> {
        if cdb.is_empty() || cdb.len() > Self::MAX {
            return None;
        }
        let mut bytes = [0; 16];
        let head = cdb.len().min(16);
        bytes[..head].copy_from_slice(&cdb[..head]);
        let length = u16::try_from(cdb.len()).ok()?;
        Some(Cdb {
            bytes,
            length,
            rest: cdb.get(16..).unwrap_or_default().to_vec(),
        })
    }

    /// Byte 0.
    pub fn opcode(&self) -> u8 {
        self.bytes[0]
    }

    /// The first 16 bytes, zero-padded.
    pub fn head(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// All bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = self.bytes[..usize::from(self.length).min(16)].to_vec();
        all.extend_from_slice(&self.rest);
        all
    }
}

/// Task attribute (SAM-4 8.6). Numbers as in iSCSI and in the peer protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskAttribute {
    /// None given.
    Untagged = 0,
    /// SIMPLE.
    Simple = 1,
    /// ORDERED.
    Ordered = 2,
    /// HEAD OF QUEUE.
    HeadOfQueue = 3,
    /// ACA.
    Aca = 4,
}

/// What the initiator expects to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// The initiator expects data from the device.
    pub read: bool,
    /// The initiator sends data.
    pub write: bool,
    /// Expected data transfer length (EDTL), bytes.
    pub length: u32,
}

/// Where a task came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Through a local port.
    Local,
    /// Forwarded by the peer, through the image of one of its ports.
    Peer {
        /// The LU that the peer meant (`icsc_lun_id`); `None` when it was zero. Must be the one mapped here (hazard H12).
        lun_id: Option<Guid>,
        /// A write of the peer: it must not reach the medium for the first time at this boot time or later, for then its
        /// host may have been told that it did not happen (`alua-proxy.md` 7.7). It ends with BUSY instead.
        start_by: Option<Duration>,
    },
}

/// One SCSI command. The host's data is not in it: it comes with [`ReadyTask::execute`].
#[derive(Debug, Clone)]
pub struct Task {
    /// The I_T nexus.
    pub nexus: Arc<Nexus>,
    /// Logical unit number as the transport carried it.
    pub lun: [u8; 8],
    /// The command.
    pub cdb: Cdb,
    /// Tag of the transport, unique among the live tasks of the nexus.
    pub tag: u64,
    /// Queueing attribute.
    pub attribute: TaskAttribute,
    /// The initiator's expectation.
    pub expected: Expected,
    /// Local or forwarded.
    pub origin: Origin,
}

impl Task {
    /// The port through which the command came.
    pub fn port(&self) -> &Port {
        &self.nexus.port
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Status byte.
    pub status: ScsiStatus,
    /// Sense data, empty unless CHECK CONDITION (at most 252 bytes).
    pub sense: Vec<u8>,
    /// Data for the host, already cut to allocation length; the port cuts it to the expected length.
    pub data: Vec<u8>,
    /// Length implied by the command (SPDTL), bytes: `data.len()` for data-in parameter commands, blocks x block size
    /// for medium access, 0 when refused before any transfer (`scsi-sbd.md` 1.10).
    pub implied: u64,
}

/// Residual of a finished command (`scsi-sbd.md` 1.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residual {
    /// Exactly what was expected.
    None,
    /// The command implied this many bytes more than expected.
    Overflow(u32),
    /// This many of the expected bytes did not move.
    Underflow(u32),
}

impl Outcome {
    /// GOOD, nothing moved.
    pub fn good() -> Outcome {
        Outcome {
            status: ScsiStatus::Good,
            sense: Vec::new(),
            data: Vec::new(),
            implied: 0,
        }
    }

    /// GOOD with data for the host.
    pub fn data_in(data: Vec<u8>) -> Outcome {
        let implied = data.len() as u64;
        Outcome {
            status: ScsiStatus::Good,
            sense: Vec::new(),
            data,
            implied,
        }
    }

    /// GOOD after `length` bytes from the host.
    pub fn data_out(length: u64) -> Outcome {
        Outcome {
            implied: length,
            ..Outcome::good()
        }
    }

    /// CHECK CONDITION, refused before any transfer.
    pub fn check(sense: Sense) -> Outcome {
        Outcome {
            status: ScsiStatus::CheckCondition,
            sense: sense.to_fixed().to_vec(),
            ..Outcome::good()
        }
    }

    /// A status without sense or data.
    pub fn status(status: ScsiStatus) -> Outcome {
        Outcome {
            status,
            ..Outcome::good()
        }
    }

    /// The residual rule. `moved` is the number of bytes that crossed the transport.
    pub fn residual(&self, expected: Expected, moved: u32) -> Residual {
        let edtl = u64::from(expected.length);
        let cut = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        if self.implied > edtl {
            Residual::Overflow(cut(self.implied - edtl))
        } else if moved < expected.length {
            Residual::Underflow(expected.length - moved)
        } else {
            Residual::None
        }
    }
}

/// Receives the outcome, once, on any thread; often on the caller's before [`Handler::execute`] returns. Never blocks.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// What a handler says when it first sees a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// Ended already; no data is wanted from the host.
    Done(Outcome),
    /// Call `execute` with this many bytes from the host (0: none wanted). Never more than the expected length.
    Execute {
        /// Bytes wanted from the host.
        want: u32,
    },
    /// As `Execute`, but it moves too much for one go: [`Handler::part`].
    InParts(Parts),
}

/// Something that executes commands: an open disk, the forwarder to the peer.
pub trait Handler: Send + Sync {
    /// Decides from the CDB alone: field checks, write protect, range, in that order, before any data is requested
    /// (`scsi-sbd.md` 2.1 rows 8 to 12). Never blocks.
    fn start(&self, task: &Task) -> Start;

    /// The task that moves `length` bytes of such a command, `offset` bytes behind its first one. Asked only for what `start`
    /// answered with [`Start::InParts`].
    fn part(&self, task: &Task, _offset: u32, _length: u32) -> Task {
        task.clone()
    }

    /// Executes. `data` has exactly the length that `start` wanted. Work that would block goes to the handler's own threads.
    fn execute(&self, task: Task, data: Vec<u8>, done: Done);

    /// True when the nexus of this task may not run this command because of a reservation (RESERVATION CONFLICT).
    fn reservation_conflict(&self, _task: &Task) -> bool {
        false
    }

    /// The framework no longer wants the outcome of this task of `execute`; `done` must still be called, soon.
    fn abort(&self, _nexus: &Nexus, _tag: u64) {}
}

/// Answer to [`super::Framework::start`].
pub enum Started {
    /// The command ended without data from the host.
    Done(Outcome),
    /// The LU accepted it.
    Ready(Box<ReadyTask>),
}

/// A command that an LU has accepted and that counts as one of its live tasks. Dropping it without `execute` ends the
/// task unexecuted (the nexus went away, or the task was aborted while its data was on the way).
pub struct ReadyTask {
    pub(super) task: Task,
    pub(super) want: u32,
    pub(super) live: super::LiveTask,
    pub(super) parts: Option<Parts>,
}

impl std::fmt::Debug for ReadyTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyTask")
            .field("want", &self.want)
            .finish_non_exhaustive()
    }
}

impl ReadyTask {
    /// Bytes to collect from the host before [`ReadyTask::execute`].
    pub fn want(&self) -> u32 {
        self.want
    }

    /// It moves too much for one go: [`ReadyTask::execute_part`] is to be called, again and again. Never so for what the
    /// peer forwards.
    pub fn in_parts(&self) -> bool {
        self.parts.is_some()
    }

    /// For ABORT TASK and for the port's own table.
    pub fn handle(&self) -> TaskHandle {
        self.live.handle()
    }
}

pub use super::live::TaskHandle;

/// Task management function (numbers of the peer protocol, `alua-proxy.md` 3.6, equal to iSCSI's up to 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TmFunction {
    /// ABORT TASK.
    AbortTask = 1,
    /// ABORT TASK SET.
    AbortTaskSet = 2,
    /// CLEAR ACA.
    ClearAca = 3,
    /// CLEAR TASK SET.
    ClearTaskSet = 4,
    /// LOGICAL UNIT RESET.
    LunReset = 5,
    /// TARGET WARM RESET.
    TargetWarmReset = 6,
    /// TARGET COLD RESET.
    TargetColdReset = 7,
}

/// A task management request.
#[derive(Debug, Clone)]
pub struct TmRequest {
    /// Who asks.
    pub nexus: Arc<Nexus>,
    /// LUN as the transport carried it; ignored by target resets.
    pub lun: [u8; 8],
    /// What to do.
    pub function: TmFunction,
    /// Tag of the task to abort, for ABORT TASK.
    pub referenced_tag: u64,
    /// Local, or from the peer (then it is not sent back).
    pub origin: Origin,
}

/// Answer to a task management request (SAM-4 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TmResponse {
    /// Every task it names is gone.
    Complete,
    /// ABORT TASK: no such task.
    NoSuchTask,
    /// The LUN is not mapped.
    NoSuchLun,
    /// Not supported.
    NotSupported,
    /// Could not be done in time.
    Rejected,
}

/// Receives the answer, once, on any thread.
pub type TmDone = Box<dyn FnOnce(TmResponse) + Send>;
