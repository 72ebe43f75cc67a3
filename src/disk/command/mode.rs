//! MODE SENSE(6) and (10) (SPC-4 6.13, 6.14).

use super::{Action, Call, Command, any_fields, cut};
use crate::scsi::mode::{self, PageControl};
use crate::scsi::{Sense, cdb};

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x1a, 0x08, 0xff, 0xff, 0xff, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| Ok(cut(pages(call, false)?, u32::from(call.cdb[4])))),
    },
    Command {
        usage: &[0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| Ok(cut(pages(call, true)?, u32::from(cdb::be16(call.cdb, 7))))),
    },
];

fn pages(call: &Call<'_>, long: bool) -> Result<Vec<u8>, Sense> {
    let control = PageControl::from_bits(call.cdb[2] >> 6);
    mode::sense(&call.lu.mode_medium(), long, control, call.cdb[2] & 0x3f, call.cdb[3])
}
