//! READ(6), (10), (12), (16) (SBC-3 5.8 to 5.11).

use super::super::lu::Lu;
use super::super::medium::Progress;
use super::super::sys::Mode;
use super::access::{self, Access, Step};
use super::{Action, Command, Job, protect_field};
use crate::framework::{Expected, Outcome};
use crate::scsi::Sense;
use std::fs::File;

pub const COMMANDS: &[Command] = &[
    command(&[0x28, 0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    command(&[
        0x88, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
    command(&[0x08, 0x1f, 0xff, 0xff, 0xff, 4]),
    command(&[0xa8, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4]),
];

/// DPO is a hint; FUA needs nothing, because the page cache is coherent with the medium.
const fn command(usage: &'static [u8]) -> Command {
    Command {
        usage,
        service_action: None,
        writes: false,
        medium: true,
        fields: protect_field,
        action: Action::Move {
            length: |call| Ok(length(call.implied(), call.expected)),
            run: read,
        },
    }
}

/// What the initiator expects, at most (`scsi-sbd.md` 2.2); nothing when it expects to send.
fn length(implied: u64, expected: Expected) -> u32 {
    match expected {
        Expected {
            write: true,
            read: false,
            ..
        } => 0,
        _ => u32::try_from(implied).unwrap_or(u32::MAX).min(expected.length),
    }
}

fn read(job: Job) {
    let implied = job.implied();
    let read = Read {
        offset: job.offset(),
        length: length(implied, job.expected) as usize,
        buffer: Vec::new(),
        implied,
    };
    access::run(job.into_task(), read);
}

struct Read {
    offset: u64,
    length: usize,
    buffer: Vec<u8>,
    implied: u64,
}

impl Access for Read {
    const CHANGES: bool = false;

    fn step(mut self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        match lu.medium().read(file, &mut self.buffer, self.length, self.offset, mode) {
            Ok(Progress::Complete) => Step::Done(Outcome {
                implied: self.implied,
                ..Outcome::data_in(self.buffer)
            }),
            Ok(Progress::WouldBlock) => Step::Pool(self),
            Err(error) => {
                log::error!(
                    "{}: reading {} bytes at {}: {error}",
                    lu.medium().path(),
                    self.length,
                    self.offset
                );
                Step::Done(Outcome::check(Sense::READ_ERROR))
            }
        }
    }
}
