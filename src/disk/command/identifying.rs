//! REPORT IDENTIFYING INFORMATION (SPC-4 6.32).

use super::{Action, Call, Command, any_fields, cut};
use crate::scsi::{Sense, cdb};

pub const COMMANDS: &[Command] = &[Command {
    usage: &[0xa3, 0x05, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xfe, 4],
    service_action: Some(0x05),
    writes: false,
    medium: false,
    fields: any_fields,
    action: Action::Data(answer),
}];

/// Longest text, with its NUL.
const TEXT_MAX: usize = 256;

fn answer(call: &Call<'_>) -> Result<Vec<u8>, Sense> {
    let data = match call.cdb[10] >> 1 {
        // No peripheral device identifying information is stored.
        0 => vec![0; 4],
        2 => {
            let mut text = call.lu.alias().into_bytes();
            text.truncate(TEXT_MAX - 1);
            text.push(0);
            let length = u16::try_from(text.len()).expect("at most 256").to_be_bytes();
            [&[0, 0, length[0], length[1]][..], &text].concat()
        }
        // The types that exist, with their longest values.
        127 => vec![0, 0, 0, 8, 0, 0, 0, 0, 2 << 1, 0, 1, 0],
        _ => return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(10)),
    };
    Ok(cut(data, cdb::be32(call.cdb, 6)))
}
