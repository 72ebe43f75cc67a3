//! VERIFY(10), (12), (16) (SBC-3 5.29 to 5.31).

use super::super::lu::Lu;
use super::super::medium::Progress;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Call, Command, Job, medium_fields};
use crate::framework::Outcome;
use crate::scsi::Sense;
use std::fs::File;
use std::io;

pub const COMMANDS: &[Command] = &[
    command(&[0x2f, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    command(&[0xaf, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4]),
    command(&[
        0x8f, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
];

const fn command(usage: &'static [u8]) -> Command {
    Command {
        usage,
        service_action: None,
        writes: false,
        medium: true,
        fields,
        action: Action::Store { want, run: verify },
    }
}

/// BYTCHK 11b.
const EACH: u8 = 3;
/// Bytes compared between two looks at the gate.
const CHUNK: u64 = 256 << 10;

/// BYTCHK, bits 2-1 of byte 1: 00 nothing is compared, 01 block for block, 11 one block with each.
pub fn bytchk(cdb: &[u8; 16]) -> u8 {
    cdb[1] >> 1 & 3
}

/// BYTCHK 10b is reserved. Without a comparison nothing is transferred, so any length will do.
fn fields(call: &Call<'_>) -> Result<(), Sense> {
    match bytchk(call.cdb) {
        0 if call.cdb[1] & 0xe0 == 0 => Ok(()),
        0 | 1 | 3 => medium_fields(call),
        _ => Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1)),
    }
}

/// All the blocks, or the one block, or none at all: never a comparison of part of them.
fn want(call: &Call<'_>) -> Result<u32, Outcome> {
    let implied = match bytchk(call.cdb) {
        0 => return Ok(0),
        EACH => call.implied().min(u64::from(call.lu.block_length())),
        _ => call.implied(),
    };
    let offered = if call.expected.write { call.expected.length } else { 0 };
    if implied > u64::from(offered) {
        return Err(Outcome {
            implied,
            ..Outcome::check(Sense::INVALID_FIELD_IN_IU)
        });
    }
    Ok(u32::try_from(implied).expect("at most the expected length"))
}

fn verify(job: Job) {
    if bytchk(&job.cdb) == 0 {
        return (job.done)(Outcome::good());
    }
    let (each, offset, length) = (bytchk(&job.cdb) == EACH, job.offset(), job.implied());
    let mut job = job;
    let compare = Compare {
        offset,
        buffer: Vec::new(),
        data: std::mem::take(&mut job.data),
    };
    let task = job.into_task();
    match each {
        true => access::run(task, CompareEach { compare, left: length }),
        false => access::run(task, compare),
    }
}

struct Compare {
    offset: u64,
    buffer: Vec<u8>,
    data: Vec<u8>,
}

impl Access for Compare {
    const CHANGES: bool = false;

    fn step(mut self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        let length = self.data.len();
        match lu.medium().read(file, &mut self.buffer, length, self.offset, mode) {
            Ok(Progress::Complete) => Step::Done(compare(&self.buffer, &self.data)),
            Ok(Progress::WouldBlock) => Step::Pool(self),
            Err(error) => Step::Done(self.unreadable(lu, length, &error)),
        }
    }
}

impl Compare {
    fn unreadable(&self, lu: &Lu, length: usize, error: &io::Error) -> Outcome {
        log::error!(
            "{}: reading {length} bytes at {}: {error}",
            lu.medium().path(),
            self.offset
        );
        Outcome::check(Sense::READ_ERROR)
    }
}

/// One block with each of many.
struct CompareEach {
    compare: Compare,
    /// Bytes of the medium that are still to be compared.
    left: u64,
}

impl Access for CompareEach {
    const LONG: bool = true;
    const CHANGES: bool = false;

    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        let CompareEach { mut compare, left } = self;
        let length = left.min(CHUNK);
        let size = usize::try_from(length).expect("at most CHUNK");
        match lu.medium().read(file, &mut compare.buffer, size, compare.offset, mode) {
            Ok(Progress::WouldBlock) => return Step::Pool(CompareEach { compare, left }),
            Err(error) => return Step::Done(compare.unreadable(lu, size, &error)),
            Ok(Progress::Complete) => {}
        }
        for block in compare.buffer.chunks_exact(compare.data.len().max(1)) {
            let outcome = self::compare(block, &compare.data);
            if !outcome.sense.is_empty() {
                return Step::Done(outcome);
            }
        }
        if left == length {
            return Step::Done(Outcome::data_out(compare.data.len() as u64));
        }
        compare.offset += length;
        compare.buffer.clear();
        Step::Pool(CompareEach {
            compare,
            left: left - length,
        })
    }
}

/// INFORMATION: byte offset of the first difference in the host's data.
pub fn compare(medium: &[u8], data: &[u8]) -> Outcome {
    let implied = data.len() as u64;
    match medium.iter().zip(data).position(|(a, b)| a != b) {
        None => Outcome::data_out(implied),
        Some(at) => Outcome {
            implied,
            ..Outcome::check(Sense::MISCOMPARE.with_information(u32::try_from(at).unwrap_or(u32::MAX)))
        },
    }
}
