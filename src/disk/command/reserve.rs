//! RESERVE(6), RELEASE(6) (SPC-2 7.21, 7.17) and PREVENT ALLOW MEDIUM REMOVAL (SBC-3 5.15).

use super::{Action, Call, Command, Job, any_fields, want_nothing};
use crate::framework::Outcome;
use crate::scsi::{ScsiStatus, Sense};

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x16, 0, 0, 0, 0, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: whole_unit,
        action: Action::Store {
            want: want_nothing,
            run: reserve,
        },
    },
    Command {
        usage: &[0x17, 0, 0, 0, 0, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: whole_unit,
        action: Action::Store {
            want: want_nothing,
            run: |job| {
                job.lu.reservations().nexus_lost(job.nexus.id);
                (job.done)(Outcome::good());
            },
        },
    },
    // The medium cannot be removed, so nothing is to be remembered.
    Command {
        usage: &[0x1e, 0, 0, 0, 0x03, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|_| Ok(Vec::new())),
    },
];

/// Neither third party nor extents.
fn whole_unit(call: &Call<'_>) -> Result<(), Sense> {
    match call.cdb[1] {
        0 => Ok(()),
        _ => Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(1)),
    }
}

/// Executed, not answered at the start: the framework tells of the end of the nexus only after what it executes has ended.
fn reserve(job: Job) {
    (job.done)(match job.lu.reservations().reserve(job.nexus.id) {
        true => Outcome::good(),
        false => Outcome::status(ScsiStatus::ReservationConflict),
    });
}
