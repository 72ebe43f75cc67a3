//! PERSISTENT RESERVE IN and OUT (SPC-4 6.15, 6.16).

use super::super::lu::Lu;
use super::super::reservations::{self, persistent_reserve_out};
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Command, Job, any_fields, cut, exact_list, want_nothing};
use crate::framework::{Nexus, Outcome};
use crate::scsi::reservation::{self, Out, Refusal};
use crate::scsi::{ScsiStatus, cdb};
use std::fs::File;
use std::sync::Arc;

pub const COMMANDS: &[Command] = &[
    read(&[0x5e, 0x00, 0, 0, 0, 0, 0, 0xff, 0xff, 4], 0),
    read(&[0x5e, 0x01, 0, 0, 0, 0, 0, 0xff, 0xff, 4], 1),
    read(&[0x5e, 0x02, 0, 0, 0, 0, 0, 0xff, 0xff, 4], 2),
    read(&[0x5e, 0x03, 0, 0, 0, 0, 0, 0xff, 0xff, 4], 3),
    change(&[0x5f, 0x00, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 0),
    change(&[0x5f, 0x01, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 1),
    change(&[0x5f, 0x02, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 2),
    change(&[0x5f, 0x03, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 3),
    change(&[0x5f, 0x04, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 4),
    change(&[0x5f, 0x05, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 5),
    change(&[0x5f, 0x06, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 6),
    change(&[0x5f, 0x07, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 4], 7),
];

const fn read(usage: &'static [u8], action: u8) -> Command {
    Command {
        usage,
        service_action: Some(action),
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Store {
            want: want_nothing,
            run: report,
        },
    }
}

const fn change(usage: &'static [u8], action: u8) -> Command {
    Command {
        usage,
        service_action: Some(action),
        writes: false,
        medium: false,
        fields: |call| Out::check_cdb(call.cdb).map(|_| ()),
        action: Action::Store {
            want: |call| exact_list(call, cdb::be32(call.cdb, 5)),
            run: |job| {
                let change = Change {
                    nexus: Arc::clone(&job.nexus),
                    cdb: job.cdb,
                    task: (job.key.nexus, job.key.tag),
                    list: job.data.clone(),
                };
                access::run(job.into_task(), change);
            },
        },
    }
}

fn report(job: Job) {
    let state = job.lu.reservations().state();
    let data = match job.cdb[1] & 0x1f {
        0 => reservation::keys(&state),
        1 => reservation::reservation(&state),
        2 => reservation::capabilities(&state),
        _ => {
            let ports = reservations::ports(&job.lu);
            reservation::full_status(&state, &|port| reservations::rtpid_of(&ports, port))
        }
    };
    let allocation = u32::from(cdb::be16(&job.cdb, 7));
    (job.done)(Outcome::data_in(cut(data, allocation)));
}

struct Change {
    nexus: Arc<Nexus>,
    cdb: [u8; 16],
    task: (u64, u64),
    list: Vec<u8>,
}

impl Access for Change {
    /// On the pool, since it may write the metadata, and only while the store is owned.
    fn step(self, lu: &Lu, _: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        let out = match Out::decode(&self.cdb, &self.list) {
            Ok(out) => out,
            Err(sense) => return Step::Done(Outcome::check(sense)),
        };
        let change = match persistent_reserve_out(lu, &self.nexus, &out) {
            Ok(change) => change,
            Err(Refusal::Conflict) => return Step::Done(Outcome::status(ScsiStatus::ReservationConflict)),
            Err(Refusal::Check(sense)) => return Step::Done(Outcome::check(sense)),
        };
        let good = Outcome::data_out(self.list.len() as u64);
        if change.aborted.is_empty() {
            return Step::Done(good);
        }
        // A host that preempts and aborts writes next: no aborted write may land after the status (SPC-4 5.13.11.2.6).
        let nexuses = lu.nexuses().cloned();
        let task = self.task;
        Step::Later(Box::new(move |done| {
            reservations::abort(nexuses, task, &change, Box::new(move || done(good)));
        }))
    }
}
