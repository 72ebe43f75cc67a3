//! TEST UNIT READY and REQUEST SENSE (SPC-4 6.47, 6.39).

use super::{Action, Call, Command, any_fields, cut};
use crate::scsi::Sense;

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x00, 0, 0, 0, 0, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|_| Ok(Vec::new())),
    },
    Command {
        usage: &[0x03, 0x01, 0, 0, 0xff, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(request_sense),
    },
];

/// The framework answers while a unit attention is pending; otherwise there is nothing to tell.
fn request_sense(call: &Call<'_>) -> Result<Vec<u8>, Sense> {
    const DESC: u8 = 0x01;
    let data = if call.cdb[1] & DESC != 0 {
        Sense::NO_SENSE.to_descriptor().to_vec()
    } else {
        Sense::NO_SENSE.to_fixed().to_vec()
    };
    Ok(cut(data, u32::from(call.cdb[4])))
}
