//! READ CAPACITY(10) and (16) (SBC-3 5.16, 5.17).

use super::{Action, Command, any_fields, cut};
use crate::scsi::{capacity, cdb};

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 4],
        service_action: None,
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| Ok(capacity::read_capacity_10(call.lu.blocks(), call.lu.block_length()).to_vec())),
    },
    Command {
        usage: &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0x10),
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| {
            let data = capacity::read_capacity_16(call.lu.blocks(), call.lu.block_length(), call.lu.thin());
            Ok(cut(data.to_vec(), cdb::be32(call.cdb, 10)))
        }),
    },
];
