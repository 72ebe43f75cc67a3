//! COMPARE AND WRITE (SBC-3 5.2) and ORWRITE(16) (SBC-3 5.25): read, decide, write, with the range locked against every
//! other command that writes, whatever its session or port.

use super::super::lu::Lu;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::verify::compare;
use super::{Action, Call, Command, Job, medium_fields};
use crate::framework::Outcome;
use crate::scsi::{Sense, cdb};
use std::fs::File;

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[
            0x89, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0, 4,
        ],
        service_action: None,
        writes: true,
        medium: true,
        fields: compare_fields,
        action: Action::Store {
            want: want_twice,
            run: |job| begin(job, Operation::Compare),
        },
    },
    Command {
        usage: &[
            0x8b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
        ],
        service_action: None,
        writes: true,
        medium: true,
        fields: medium_fields,
        action: Action::Store {
            want: super::write::want,
            run: |job| begin(job, Operation::Or),
        },
    },
];

/// Blocks of one COMPARE AND WRITE, at most (VPD page B0).
pub const MAX_COMPARE_AND_WRITE: u8 = 32;

/// The length is byte 13 alone; the bytes before it are reserved.
fn compare_fields(call: &Call<'_>) -> Result<(), Sense> {
    medium_fields(call)?;
    if call.extent().blocks > u32::from(MAX_COMPARE_AND_WRITE) {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(13));
    }
    Ok(())
}

/// Both halves, whole, or nothing is done.
fn want_twice(call: &Call<'_>) -> Result<u32, Outcome> {
    let twice = 2 * call.implied();
    let offered = if call.expected.write { call.expected.length } else { 0 };
    match u64::from(offered) == twice {
        true => Ok(offered),
        false => Err(Outcome::check(Sense::INVALID_FIELD_IN_CDB)),
    }
}

#[derive(Clone, Copy)]
enum Operation {
    /// Data are what must be there, then what replaces it.
    Compare,
    /// Data are bits to be set.
    Or,
}

fn begin(job: Job, operation: Operation) {
    let extent = job.extent();
    let fua = job.cdb[1] & cdb::FUA != 0;
    let implied = match operation {
        Operation::Compare => job.data.len() as u64,
        Operation::Or => job.implied(),
    };
    let mut job = job;
    let replace = Replace {
        offset: job.offset(),
        data: std::mem::take(&mut job.data),
        operation,
        fua,
        implied,
    };
    let range = extent.lba..extent.lba + u64::from(extent.blocks);
    access::run_locked(job.into_task(), range, replace);
}

struct Replace {
    offset: u64,
    data: Vec<u8>,
    operation: Operation,
    fua: bool,
    implied: u64,
}

impl Access for Replace {
    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait && !self.data.is_empty() {
            return Step::Pool(self);
        }
        Step::Done(self.replace(lu, file))
    }
}

impl Replace {
    /// On the pool, where it may block.
    fn replace(mut self, lu: &Lu, file: &File) -> Outcome {
        let medium = lu.medium();
        if self.data.is_empty() {
            return Outcome::data_out(self.implied);
        }
        let length = match self.operation {
            Operation::Compare => self.data.len() / 2,
            Operation::Or => self.data.len(),
        };
        let mut old = Vec::new();
        if let Err(error) = medium.read(file, &mut old, length, self.offset, Mode::Wait) {
            log::error!("{}: reading {length} bytes at {}: {error}", medium.path(), self.offset);
            return Outcome::check(Sense::READ_ERROR);
        }
        let new = match self.operation {
            Operation::Compare => {
                let (expected, new) = self.data.split_at(length);
                let outcome = compare(&old, expected);
                if !outcome.sense.is_empty() {
                    return outcome;
                }
                new
            }
            Operation::Or => {
                self.data.iter_mut().zip(&old).for_each(|(new, old)| *new |= old);
                &self.data
            }
        };
        let mut written = 0;
        let result = medium.write(file, new, &mut written, self.offset, Mode::Wait);
        let durable = self.fua || !lu.write_cache();
        let result = result.and_then(|_| if durable { medium.flush(file) } else { Ok(()) });
        match result {
            Ok(()) => Outcome::data_out(self.implied),
            Err(error) => {
                log::error!("{}: writing {length} bytes at {}: {error}", medium.path(), self.offset);
                Outcome::check(Sense::WRITE_ERROR)
            }
        }
    }
}
