//! PRE-FETCH(10), (16) (SBC-3 5.6, 5.7).

use super::{Action, Command, Job, any_fields, want_nothing};
use crate::framework::Outcome;

pub const COMMANDS: &[Command] = &[
    command(&[0x34, 0x02, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 4]),
    command(&[
        0x90, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4,
    ]),
];

const fn command(usage: &'static [u8]) -> Command {
    Command {
        usage,
        service_action: None,
        writes: false,
        medium: true,
        fields: any_fields,
        action: Action::Store {
            want: want_nothing,
            run: prefetch,
        },
    }
}

/// A hint to the page cache; the status does not wait for it, whatever IMMED says, and CONDITION MET is never claimed.
fn prefetch(job: Job) {
    let (offset, length) = (job.offset(), job.implied());
    let lu = job.lu;
    lu.clone().pool().submit(Box::new(move || {
        if let Some(file) = lu.medium().open().as_deref() {
            lu.medium().will_need(file, offset, length);
        }
    }));
    (job.done)(Outcome::good());
}
