//! SYNCHRONIZE CACHE(10), (16) and START STOP UNIT (SBC-3 5.21, 5.19).

use super::super::lu::Lu;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Call, Command, Job, any_fields, want_nothing};
use crate::framework::Outcome;
use crate::scsi::Sense;
use std::fs::File;

pub const COMMANDS: &[Command] = &[
    synchronize(&[0x35, 0x02, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    synchronize(&[
        0x91, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
    Command {
        usage: &[0x1b, 0x01, 0, 0, 0x03, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: start_stop_fields,
        action: Action::Store {
            want: want_nothing,
            run: start_stop,
        },
    },
];

/// IMMED bit of SYNCHRONIZE CACHE, byte 1.
const SYNC_IMMED: u8 = 0x02;
/// START bit of START STOP UNIT, byte 4.
const START: u8 = 0x01;

const fn synchronize(usage: &'static [u8]) -> Command {
    Command {
        usage,
        service_action: None,
        writes: false,
        medium: true,
        fields: synchronize_fields,
        action: Action::Store {
            want: want_nothing,
            run: synchronize_cache,
        },
    }
}

/// Only IMMED and SYNC_NV in byte 1, GROUP NUMBER in the last byte but one, and nothing in CONTROL.
fn synchronize_fields(call: &Call<'_>) -> Result<(), Sense> {
    const GROUP_NUMBER: u8 = 0x1f;
    let (group, control) = if call.cdb[0] == 0x35 { (6, 9) } else { (14, 15) };
    for (byte, known) in [(1, 0x06), (group, GROUP_NUMBER), (control, 0)] {
        if call.cdb[byte] & !known != 0 {
            return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(u16::try_from(byte).unwrap_or(0)));
        }
    }
    Ok(())
}

/// Flushes the whole LU, whatever the range. With IMMED the status comes first; a failure of the flush then shows in every
/// later one ([`super::super::medium::Medium::flush`]).
fn synchronize_cache(mut job: Job) {
    if job.cdb[1] & SYNC_IMMED != 0 {
        let done = std::mem::replace(&mut job.done, Box::new(|_| {}));
        done(Outcome::good());
    }
    flush(job);
}

/// No power conditions, and the medium cannot be ejected.
fn start_stop_fields(call: &Call<'_>) -> Result<(), Sense> {
    if call.cdb[4] & 0xfe != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(4));
    }
    any_fields(call)
}

/// START=0 flushes the write cache; nothing else happens.
fn start_stop(job: Job) {
    if job.cdb[4] & START != 0 {
        return (job.done)(Outcome::good());
    }
    flush(job);
}

fn flush(job: Job) {
    access::run(job.into_task(), Flush);
}

struct Flush;

impl Access for Flush {
    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        if mode != Mode::Wait {
            return Step::Pool(self);
        }
        // The medium logs the failure.
        Step::Done(match lu.medium().flush(file) {
            Ok(()) => Outcome::good(),
            Err(_) => Outcome::check(Sense::WRITE_ERROR),
        })
    }
}
