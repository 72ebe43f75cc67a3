//! The SCSI commands of a disk: one table, and the checks before execution in their order (`scsi-sbd.md` 2.1, 2.3).
#![forbid(unsafe_code)]

pub(super) mod access;
mod atomic;
mod cache;
mod capacity;
mod copy;
mod defects;
mod identifying;
mod inquiry;
mod mode;
mod persistent;
mod prefetch;
mod read;
mod reserve;
mod status;
mod supported;
mod unmap;
mod verify;
mod write;
mod write_same;

pub use copy::Copies;

use super::gate::TaskKey;
use super::lu::Lu;
use super::sys::Mode;
use crate::framework::{Done, Expected, Nexus, Outcome, Parts, Start};
use crate::scsi::vpd::TargetPort;
use crate::scsi::{Extent, Sense, cdb};
use std::sync::Arc;
use std::time::Duration;

/// Longest transfer at a time, bytes: bounds the memory of a task. READ and WRITE of more are executed in parts. The other
/// commands are refused, though VPD page B0 reports no limit: it can only report one that READ and WRITE have, too.
pub const MAX_TRANSFER: u32 = 64 << 20;

/// One command, or one service action of an opcode.
pub struct Command {
    /// CDB usage data (SPC-4 6.35): byte 0 is the opcode, the last one CONTROL, the length that of the CDB.
    usage: &'static [u8],
    /// SERVICE ACTION, bits 4 to 0 of byte 1, for opcodes that have one.
    service_action: Option<u8>,
    /// Refused on a write-protected LU.
    writes: bool,
    /// Addresses blocks: its extent is checked against the capacity.
    medium: bool,
    /// Checks the fields of the CDB (row 10).
    fields: fn(&Call<'_>) -> Result<(), Sense>,
    action: Action,
}

/// What a command does once its checks have passed.
enum Action {
    /// Ends at once: data for the host, or none.
    Data(fn(&Call<'_>) -> Result<Vec<u8>, Sense>),
    /// Touches the store.
    Store {
        /// Bytes wanted from the host.
        want: fn(&Call<'_>) -> Result<u32, Outcome>,
        run: fn(Job),
    },
    /// Reads or writes blocks and does nothing else, so that it may be done in parts.
    Move {
        /// Bytes to be moved.
        length: fn(&Call<'_>) -> Result<u32, Outcome>,
        run: fn(Job),
    },
}

/// A command that is being looked at.
pub struct Call<'a> {
    /// The LU.
    pub lu: &'a Lu,
    /// First 16 bytes of the CDB.
    pub cdb: &'a [u8; 16],
    /// The initiator's expectation.
    pub expected: Expected,
    /// Id of the nexus.
    pub nexus: u64,
    /// The port through which it came.
    pub port: TargetPort<'a>,
}

/// A command that touches the store, with the host's data.
pub struct Job {
    /// The LU.
    pub lu: Arc<Lu>,
    /// First 16 bytes of the CDB.
    pub cdb: [u8; 16],
    /// The initiator's expectation.
    pub expected: Expected,
    /// Names the task.
    pub key: TaskKey,
    /// It must not reach the store for the first time later than this ([`crate::framework::Origin::Peer`]).
    pub start_by: Option<Duration>,
    /// How its first step may behave, on the caller's thread.
    pub inline: Mode,
    /// The nexus.
    pub nexus: Arc<Nexus>,
    /// Data from the host, as many bytes as were wanted.
    pub data: Vec<u8>,
    /// Receives the outcome.
    pub done: Done,
}

/// Searched in order; medium access first.
const FAMILIES: &[&[Command]] = &[
    read::COMMANDS,
    write::COMMANDS,
    status::COMMANDS,
    cache::COMMANDS,
    inquiry::COMMANDS,
    capacity::COMMANDS,
    mode::COMMANDS,
    verify::COMMANDS,
    prefetch::COMMANDS,
    defects::COMMANDS,
    identifying::COMMANDS,
    atomic::COMMANDS,
    write_same::COMMANDS,
    unmap::COMMANDS,
    reserve::COMMANDS,
    persistent::COMMANDS,
    copy::COMMANDS,
    supported::COMMANDS,
];

impl Command {
    const fn opcode(&self) -> u8 {
        self.usage[0]
    }

    const fn control(&self) -> usize {
        self.usage.len() - 1
    }
}

/// The commands of an LU.
fn commands(lu: &Lu) -> impl Iterator<Item = &'static Command> {
    let thin = if lu.thin() { unmap::THIN_COMMANDS } else { &[] };
    FAMILIES.iter().copied().flatten().chain(thin)
}

/// Row 8: `05/20/00` for an unknown opcode, `05/24/00` at byte 1 for an unknown service action.
fn find(lu: &Lu, cdb: &[u8; 16]) -> Result<&'static Command, Sense> {
    let mut error = Sense::INVALID_OPCODE;
    for command in commands(lu) {
        if command.opcode() != cdb[0] {
            continue;
        }
        match command.service_action {
            Some(action) if action != cdb[1] & 0x1f => error = Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1),
            _ => return Ok(command),
        }
    }
    Err(error)
}

/// Rows 8 to 12, then the data wanted from the host, or the outcome of a command without store access.
pub fn start(call: &Call<'_>) -> Start {
    decide(call).unwrap_or_else(Start::Done)
}

fn decide(call: &Call<'_>) -> Result<Start, Outcome> {
    let command = find(call.lu, call.cdb).map_err(Outcome::check)?;
    check(command, call).map_err(Outcome::check)?;
    Ok(match command.action {
        Action::Data(data) => Start::Done(Outcome::data_in(data(call).map_err(Outcome::check)?)),
        Action::Store { want, .. } => Start::Execute { want: want(call)? },
        Action::Move { length, .. } => match (length(call)?, command.writes) {
            (length, from_host) if length > MAX_TRANSFER => {
                Start::InParts(Parts::new(length, MAX_TRANSFER, call.implied(), from_host))
            }
            (length, true) => Start::Execute { want: length },
            (_, false) => Start::Execute { want: 0 },
        },
    })
}

fn check(command: &Command, call: &Call<'_>) -> Result<(), Sense> {
    let control = command.control();
    if call.cdb[control] & cdb::NACA != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(u16::try_from(control).unwrap_or(0)));
    }
    (command.fields)(call)?;
    if command.writes && call.lu.write_protected() {
        return Err(Sense::WRITE_PROTECTED);
    }
    if command.medium {
        call.extent().check(call.lu.blocks())?;
    }
    Ok(())
}

/// Executes a command that [`start`] accepted.
pub fn execute(job: Job) {
    match find(&job.lu, &job.cdb).map(|command| &command.action) {
        Ok(Action::Store { run, .. } | Action::Move { run, .. }) => run(job),
        // Nothing that `start` sends here: the framework broke its promise.
        Ok(Action::Data(_)) => (job.done)(Outcome::check(Sense::INTERNAL_FAILURE)),
        Err(sense) => (job.done)(Outcome::check(sense)),
    }
}

/// READ(16) or WRITE(16) of `length` bytes, `offset` bytes behind the first one of a command that [`start`] wanted in parts.
pub fn part(lu: &Lu, cdb: &[u8; 16], offset: u32, length: u32) -> [u8; 16] {
    const READ_16: u8 = 0x88;
    const WRITE_16: u8 = 0x8a;
    let first = Extent::from_cdb(cdb).map_or(0, |extent| extent.lba);
    let writes = find(lu, cdb).is_ok_and(|command| command.writes);
    let mut part = [0; 16];
    part[0] = if writes { WRITE_16 } else { READ_16 };
    // DPO and FUA.
    part[1] = cdb[1];
    part[2..10].copy_from_slice(&(first + u64::from(offset >> lu.block_shift())).to_be_bytes());
    part[10..14].copy_from_slice(&length.div_ceil(lu.block_length()).to_be_bytes());
    part
}

impl Call<'_> {
    /// Blocks that a medium access command addresses.
    fn extent(&self) -> Extent {
        Extent::from_cdb(self.cdb).expect("medium access commands have 6, 10, 12 or 16 bytes")
    }

    /// Length that the CDB implies (SPDTL), bytes.
    fn implied(&self) -> u64 {
        u64::from(self.extent().blocks) << self.lu.block_shift()
    }
}

impl Job {
    /// For an access to the store.
    fn into_task(self) -> access::Task {
        access::Task {
            lu: self.lu,
            key: self.key,
            start_by: self.start_by,
            inline: self.inline,
            stop: None,
            done: self.done,
        }
    }

    fn extent(&self) -> Extent {
        Extent::from_cdb(&self.cdb).expect("medium access commands have 6, 10, 12 or 16 bytes")
    }

    fn implied(&self) -> u64 {
        u64::from(self.extent().blocks) << self.lu.block_shift()
    }

    /// Byte offset of the first block; the range check keeps it below the size of the LU.
    fn offset(&self) -> u64 {
        self.extent().lba << self.lu.block_shift()
    }
}

/// No field to check.
fn any_fields(_: &Call<'_>) -> Result<(), Sense> {
    Ok(())
}

/// RDPROTECT or WRPROTECT must be 0.
fn protect_field(call: &Call<'_>) -> Result<(), Sense> {
    const PROTECT: u8 = 0xe0;
    let six_bytes = call.cdb[0] >> 5 == 0;
    if !six_bytes && call.cdb[1] & PROTECT != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1));
    }
    Ok(())
}

/// RDPROTECT, WRPROTECT or VRPROTECT must be 0, and the length within [`MAX_TRANSFER`].
fn medium_fields(call: &Call<'_>) -> Result<(), Sense> {
    protect_field(call)?;
    if call.implied() > u64::from(MAX_TRANSFER) {
        let length_field = match call.cdb[0] >> 5 {
            4 => 10,
            5 => 6,
            _ => 7,
        };
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(length_field));
    }
    Ok(())
}

/// No data wanted from the host.
fn want_nothing(_: &Call<'_>) -> Result<u32, Outcome> {
    Ok(0)
}

/// A parameter list of the length that the CDB says: part of one is never acted on (`scsi-sbd.md` 2.2).
fn exact_list(call: &Call<'_>, length: u32) -> Result<u32, Outcome> {
    let offered = if call.expected.write { call.expected.length } else { 0 };
    match length {
        0 => Ok(0),
        length if length == offered => Ok(length),
        _ => Err(Outcome::check(Sense::PARAMETER_LIST_LENGTH)),
    }
}

/// Cuts parameter data to the allocation length.
fn cut(mut data: Vec<u8>, allocation: u32) -> Vec<u8> {
    data.truncate(usize::try_from(allocation).unwrap_or(usize::MAX));
    data
}

#[cfg(test)]
mod block_tests;
#[cfg(test)]
mod tests;
