//! WRITE(6), (10), (12), (16) and WRITE AND VERIFY(10), (12), (16) (SBC-3 5.33 to 5.39).

use super::super::lu::Lu;
use super::super::medium::Progress;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::verify::{bytchk, compare};
use super::{Action, Call, Command, Job, medium_fields, protect_field};
use crate::buffers;
use crate::framework::Outcome;
use crate::scsi::{Sense, cdb};
use std::fs::File;

pub const COMMANDS: &[Command] = &[
    command(&[0x2a, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    command(&[
        0x8a, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
    command(&[0x0a, 0x1f, 0xff, 0xff, 0xff, 4]),
    command(&[0xaa, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4]),
    and_verify(&[0x2e, 0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    and_verify(&[0xae, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4]),
    and_verify(&[
        0x8e, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
];

/// Bytes written between two looks at the gate, so that a large write stops soon after the lease ran out.
const CHUNK: usize = 1 << 20;

const fn command(usage: &'static [u8]) -> Command {
    Command {
        usage,
        service_action: None,
        writes: true,
        medium: true,
        fields: protect_field,
        action: Action::Move {
            length: want,
            run: write,
        },
    }
}

/// As WRITE with FUA, and with BYTCHK=01 the blocks are read back and compared.
const fn and_verify(usage: &'static [u8]) -> Command {
    Command {
        fields: verify_fields,
        action: Action::Store {
            want,
            run: write_and_verify,
        },
        ..command(usage)
    }
}

fn verify_fields(call: &Call<'_>) -> Result<(), Sense> {
    if bytchk(call.cdb) > 1 {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1));
    }
    medium_fields(call)
}

/// The smaller of SPDTL and EDTL (`scsi-sbd.md` 2.2). An initiator that expects to send less than whole blocks, or to
/// receive, is refused. Of one that sends nothing at all nothing is written, which the residual tells.
pub fn want(call: &Call<'_>) -> Result<u32, Outcome> {
    let implied = call.implied();
    let offered = if call.expected.write { call.expected.length } else { 0 };
    let block = 1_u32 << call.lu.block_shift();
    let wrong_way = offered == 0 && call.expected.length > 0;
    if implied > u64::from(offered) && (wrong_way || offered % block != 0) {
        return Err(Outcome {
            implied,
            ..Outcome::check(Sense::INVALID_FIELD_IN_IU)
        });
    }
    Ok(u32::try_from(implied.min(u64::from(offered))).expect("at most the expected length"))
}

fn write(job: Job) {
    let six_bytes = job.cdb[0] >> 5 == 0;
    let fua = !six_bytes && job.cdb[1] & cdb::FUA != 0;
    begin(job, fua, false);
}

fn write_and_verify(job: Job) {
    let compare = bytchk(&job.cdb) == 1;
    begin(job, true, compare);
}

fn begin(mut job: Job, fua: bool, compare: bool) {
    let extent = job.extent();
    let data = std::mem::take(&mut job.data);
    let write = Write {
        offset: job.offset(),
        written: 0,
        fua,
        compare: compare && !data.is_empty(),
        implied: job.implied(),
        data,
    };
    let range = extent.lba..extent.lba + u64::from(extent.blocks);
    access::run_locked(job.into_task(), range, write);
}

struct Write {
    offset: u64,
    data: Vec<u8>,
    written: usize,
    /// On stable storage before the status, whatever the write cache.
    fua: bool,
    /// Read back and compared.
    compare: bool,
    implied: u64,
}

impl Access for Write {
    fn step(mut self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        // A durable write blocks anyhow.
        if mode != Mode::Wait && self.durable(lu) {
            return Step::Pool(self);
        }
        let medium = lu.medium();
        let end = self.data.len().min(self.written.saturating_add(CHUNK));
        let result = medium.write(file, &self.data[..end], &mut self.written, self.offset, mode);
        let result = match result {
            Ok(Progress::Complete) if self.written < self.data.len() => return Step::Pool(self),
            Ok(Progress::WouldBlock) => return Step::Pool(self),
            // Asked when all is written: the cache may have been disabled, and flushed, since the write began.
            Ok(Progress::Complete) if self.durable(lu) => match mode {
                Mode::Wait => medium.flush(file),
                Mode::NoWait | Mode::Brief => return Step::Pool(self),
            },
            Ok(Progress::Complete) => Ok(()),
            Err(error) => Err(error),
        };
        Step::Done(match result {
            Ok(()) if self.compare => self.compare(lu, file),
            Ok(()) => Outcome::data_out(self.implied),
            Err(error) => {
                let length = self.data.len();
                log::error!("{}: writing {length} bytes at {}: {error}", medium.path(), self.offset);
                Outcome::check(Sense::WRITE_ERROR)
            }
        })
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        buffers::give(std::mem::take(&mut self.data));
    }
}

impl Write {
    /// Does the status wait for stable storage? Nothing has to be made durable for an empty write.
    fn durable(&self, lu: &Lu) -> bool {
        !self.data.is_empty() && (self.fua || !lu.write_cache())
    }

    /// Blocks, so only for a step on the pool; a durable write always is.
    fn compare(&self, lu: &Lu, file: &File) -> Outcome {
        let mut back = Vec::new();
        match lu
            .medium()
            .read(file, &mut back, self.data.len(), self.offset, Mode::Wait)
        {
            Ok(_) => Outcome {
                implied: self.implied,
                ..compare(&back, &self.data)
            },
            Err(error) => {
                log::error!("{}: reading back at {}: {error}", lu.medium().path(), self.offset);
                Outcome::check(Sense::READ_ERROR)
            }
        }
    }
}
