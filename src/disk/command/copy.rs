//! EXTENDED COPY(LID1) and RECEIVE COPY RESULTS (SPC-3 6.3, 6.18): copies between LUs of the asker's own LUN map.

use super::super::gate::Verdict;
use super::super::lu::{Disk, Lu};
use super::super::medium::Progress;
use super::super::reservations::refuses;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Call, Command, Job, any_fields, cut, exact_list};
use crate::framework::{Nexus, Outcome};
use crate::scsi::copy::{self, Copy, Ended};
use crate::scsi::{ScsiStatus, Sense, cdb};
use crate::types::Guid;
use parking_lot::Mutex;
use std::any::Any;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0),
        writes: false,
        medium: false,
        fields: |call| match cdb::be32(call.cdb, 10) {
            // Longer than any list that we understand; told before the host sends it.
            length if length > copy::MAX_LIST => Err(Sense::PARAMETER_LIST_LENGTH),
            _ => Ok(()),
        },
        action: Action::Store {
            want: |call| exact_list(call, cdb::be32(call.cdb, 10)),
            run: extended_copy,
        },
    },
    Command {
        usage: &[0x84, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0),
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(copy_status),
    },
    Command {
        usage: &[0x84, 0x03, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0x03),
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| {
            let max_segment = u32::from(u16::MAX) << call.lu.block_shift();
            let data = copy::operating_parameters(max_segment);
            Ok(cut(data.to_vec(), cdb::be32(call.cdb, 10)))
        }),
    },
];

/// COPY STATUS of a copy of the same nexus that ended lately.
fn copy_status(call: &Call<'_>) -> Result<Vec<u8>, Sense> {
    let ended = call.lu.copies().find(call.nexus, call.cdb[2]);
    let ended = ended.ok_or(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2))?;
    Ok(cut(copy::status(ended).to_vec(), cdb::be32(call.cdb, 10)))
}

/// Results of the latest copies of an LU, for COPY STATUS.
#[derive(Default)]
pub struct Copies(Mutex<VecDeque<(u64, u8, Ended)>>);

impl Copies {
    /// Copies that are remembered.
    const MAX: usize = 64;

    fn find(&self, nexus: u64, list_id: u8) -> Option<Ended> {
        let copies = self.0.lock();
        let of = |(n, id, _): &&(u64, u8, Ended)| (*n, *id) == (nexus, list_id);
        copies.iter().rev().find(of).map(|(_, _, ended)| *ended)
    }

    fn add(&self, nexus: u64, list_id: u8, ended: Ended) {
        let mut copies = self.0.lock();
        if copies.len() == Self::MAX {
            copies.pop_front();
        }
        copies.push_back((nexus, list_id, ended));
    }
}

/// Remembers how the copy ends.
fn remember(job: &mut Job, list_id: u8, bytes: u64) {
    let (lu, nexus) = (Arc::clone(&job.lu), job.nexus.id);
    let done = std::mem::replace(&mut job.done, Box::new(|_| {}));
    job.done = Box::new(move |outcome| {
        let good = outcome.status == ScsiStatus::Good;
        let bytes = if good { bytes } else { 0 };
        lu.copies().add(nexus, list_id, Ended { good, bytes });
        done(outcome);
    });
}

/// Bytes copied between two looks at the gates.
const CHUNK: usize = 1 << 20;

fn extended_copy(mut job: Job) {
    let implied = job.data.len() as u64;
    let plan = copy::decode(&job.data).map_err(Outcome::check);
    let list_id = plan.as_ref().ok().copied().flatten().and_then(|copy| copy.list_id);
    match plan.and_then(|copy| copy.map(|copy| plan_of(&job, &copy)).transpose()) {
        Ok(Some((plan, destination))) => {
            if let Some(list_id) = list_id {
                remember(&mut job, list_id, plan.length);
            }
            let shift = destination.block_shift();
            let blocks = plan.to >> shift..(plan.to + plan.length) >> shift;
            let mut task = job.into_task();
            // An abort comes to the LU that has the command; the steps pass the gate of the one that is written to.
            task.stop = Some(task.lu.gate().watch(task.key));
            task.lu = destination;
            access::run_locked(task, blocks, Transfer { implied, ..plan });
        }
        Ok(None) => (job.done)(Outcome::data_out(implied)),
        Err(outcome) => (job.done)(outcome),
    }
}

/// An LU that the asker may use: mapped on its nexus, Active here, a disk.
fn unit(job: &Job, guid: &Guid) -> Option<Arc<Lu>> {
    if *guid == job.lu.info().guid {
        return Some(Arc::clone(&job.lu));
    }
    let unit: Arc<dyn Any + Send + Sync> = job.nexus.unit(guid)?;
    Some(Arc::clone(unit.downcast::<Disk>().ok()?.lu()))
}

/// All checks, before anything is copied.
fn plan_of(job: &Job, copy: &Copy) -> Result<(Transfer, Arc<Lu>), Outcome> {
    let find = |guid| unit(job, guid).ok_or_else(|| Outcome::check(Sense::COPY_TARGET_UNREACHABLE));
    let source = find(&copy.source)?;
    let destination = find(&copy.destination)?;
    let nexus: &Nexus = &job.nexus;
    const READ: u8 = 0x88;
    const WRITE: u8 = 0x8a;
    if refuses(&source, nexus, READ) || refuses(&destination, nexus, WRITE) {
        return Err(Outcome::status(ScsiStatus::ReservationConflict));
    }
    if destination.write_protected() {
        return Err(Outcome::check(Sense::WRITE_PROTECTED));
    }
    let counted = if copy.destination_count { &destination } else { &source };
    let length = u64::from(copy.blocks) << counted.block_shift();
    let range = |lu: &Lu, lba: u64| {
        let whole = length.is_multiple_of(u64::from(lu.block_length()));
        let blocks = length >> lu.block_shift();
        let fits = lba <= lu.blocks() && blocks <= lu.blocks() - lba;
        match whole && fits {
            true => Ok(lba << lu.block_shift()),
            false => Err(Outcome::check(Sense::COPY_UNREACHABLE)),
        }
    };
    let transfer = Transfer {
        from: range(&source, copy.source_lba)?,
        to: range(&destination, copy.destination_lba)?,
        source,
        length,
        done: 0,
        implied: 0,
    };
    Ok((transfer, destination))
}

struct Transfer {
    source: Arc<Lu>,
    from: u64,
    to: u64,
    length: u64,
    done: u64,
    implied: u64,
}

impl Access for Transfer {
    const LONG: bool = true;

    fn step(mut self, destination: &Lu, file: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        if self.done < self.length {
            return match self.chunk(destination, file) {
                Some(moved) => {
                    self.done += moved;
                    Step::Pool(self)
                }
                None => Step::Done(Outcome::check(Sense::COPY_DEVICE_FAILURE)),
            };
        }
        let durable = !destination.write_cache() && self.length > 0;
        Step::Done(match durable && destination.medium().flush(file).is_err() {
            true => Outcome::check(Sense::COPY_DEVICE_FAILURE),
            false => Outcome::data_out(self.implied),
        })
    }
}

impl Transfer {
    /// Bytes moved; `None` when either side failed, or the source is being given up.
    fn chunk(&self, destination: &Lu, file: &File) -> Option<u64> {
        if self.source.gate().check() != Some(Verdict::Open) {
            log::error!(
                "{}: a copy from it ends early: it is being given up",
                self.source.medium().path()
            );
            return None;
        }
        let rest = usize::try_from(self.length - self.done).unwrap_or(CHUNK).min(CHUNK);
        let mut buffer = Vec::new();
        let source = self.source.medium();
        let open = source.open();
        let read = source.read(open.as_deref()?, &mut buffer, rest, self.from + self.done, Mode::Wait);
        drop(open);
        if let Err(error) = read {
            log::error!("{}: reading for a copy: {error}", source.path());
            return None;
        }
        let mut written = 0;
        match destination
            .medium()
            .write(file, &buffer, &mut written, self.to + self.done, Mode::Wait)
        {
            Ok(Progress::Complete) => Some(rest as u64),
            Ok(Progress::WouldBlock) => None,
            Err(error) => {
                log::error!("{}: writing a copy: {error}", destination.medium().path());
                None
            }
        }
    }
}
