//! READ DEFECT DATA(10), (12) (SBC-3 5.12, 5.13): there are none.

use super::{Action, Command, any_fields, cut};
use crate::scsi::cdb;

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| {
            let data = vec![0, call.cdb[2] & 0x1f, 0, 0];
            Ok(cut(data, u32::from(cdb::be16(call.cdb, 7))))
        }),
    },
    Command {
        usage: &[0xb7, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| {
            let data = vec![0, call.cdb[1] & 0x1f, 0, 0, 0, 0, 0, 0];
            Ok(cut(data, cdb::be32(call.cdb, 6)))
        }),
    },
];
