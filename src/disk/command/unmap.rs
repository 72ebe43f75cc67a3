//! UNMAP (SBC-3 5.28), on thin LUs, and GET LBA STATUS (SBC-3 5.5).

use super::super::lu::Lu;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Call, Command, Job, any_fields, cut, exact_list, want_nothing};
use crate::framework::Outcome;
use crate::scsi::provisioning::{lba_status, unmap_list};
use crate::scsi::{Extent, Sense, cdb};
use std::fs::File;

/// Only on thin LUs.
pub const THIN_COMMANDS: &[Command] = &[Command {
    usage: &[0x42, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 4],
    service_action: None,
    writes: true,
    medium: false,
    fields: unmap_fields,
    action: Action::Store {
        want: |call| exact_list(call, u32::from(cdb::be16(call.cdb, 7))),
        run: unmap,
    },
}];

pub const COMMANDS: &[Command] = &[Command {
    usage: &[
        0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ],
    service_action: Some(0x12),
    writes: false,
    medium: false,
    fields: status_fields,
    action: Action::Store {
        want: want_nothing,
        run: |job| {
            let status = Status {
                lba: cdb::be64(&job.cdb, 2),
                allocation: cdb::be32(&job.cdb, 10),
            };
            access::run(job.into_task(), status);
        },
    },
}];

/// Anchored blocks do not exist here.
fn unmap_fields(call: &Call<'_>) -> Result<(), Sense> {
    const ANCHOR: u8 = 0x01;
    match call.cdb[1] & ANCHOR {
        0 => any_fields(call),
        _ => Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1)),
    }
}

fn unmap(job: Job) {
    let extents = match unmap_list(&job.data, job.lu.blocks()) {
        Ok(extents) => extents,
        Err(sense) => return (job.done)(Outcome::check(sense)),
    };
    let implied = job.data.len() as u64;
    let first = extents.iter().map(|e| e.lba).min().unwrap_or(0);
    let end = extents.iter().map(|e| e.lba + u64::from(e.blocks)).max().unwrap_or(0);
    let unmap = Unmap { extents, implied };
    access::run_locked(job.into_task(), first..end, unmap);
}

/// Deallocates extents that are in range.
pub struct Unmap {
    pub extents: Vec<Extent>,
    pub implied: u64,
}

impl Access for Unmap {
    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        let (medium, shift) = (lu.medium(), lu.block_shift());
        for extent in &self.extents {
            let (offset, length) = (extent.lba << shift, u64::from(extent.blocks) << shift);
            if let Err(error) = medium.punch(file, offset, length) {
                log::error!("{}: unmapping {length} bytes at {offset}: {error}", medium.path());
                return Step::Done(Outcome::check(Sense::WRITE_ERROR));
            }
        }
        Step::Done(match !lu.write_cache() && !self.extents.is_empty() {
            true if medium.flush(file).is_err() => Outcome::check(Sense::WRITE_ERROR),
            _ => Outcome::data_out(self.implied),
        })
    }
}

/// The starting block must exist.
fn status_fields(call: &Call<'_>) -> Result<(), Sense> {
    let extent = Extent {
        lba: cdb::be64(call.cdb, 2),
        blocks: 1,
    };
    extent.check(call.lu.blocks())
}

struct Status {
    lba: u64,
    allocation: u32,
}

impl Access for Status {
    const CHANGES: bool = false;

    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        /// Descriptors in one answer; the host asks on from the last one.
        const MAX_RUNS: usize = 1024;
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        let fit = usize::try_from(self.allocation.saturating_sub(8) / 16).unwrap_or(MAX_RUNS);
        let limit = fit.clamp(1, MAX_RUNS);
        let medium = lu.medium();
        Step::Done(
            match medium.runs(file, self.lba, lu.blocks(), lu.block_shift(), limit) {
                Ok(runs) => Outcome::data_in(cut(lba_status(&runs), self.allocation)),
                Err(error) => {
                    log::error!("{}: looking for holes at block {}: {error}", medium.path(), self.lba);
                    Outcome::check(Sense::READ_ERROR)
                }
            },
        )
    }
}
