//! REPORT SUPPORTED OPERATION CODES and REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS (SPC-4 6.35, 6.36): from the table.

use super::super::lu::Lu;
use super::{Action, Call, Command, any_fields, cut};
use crate::scsi::opcodes::{self, Supported};
use crate::scsi::{Sense, cdb};

pub const COMMANDS: &[Command] = &[
    Command {
        usage: &[0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0x0c),
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(operation_codes),
    },
    Command {
        usage: &[0xa3, 0x0d, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0x0d),
        writes: false,
        medium: false,
        fields: any_fields,
        action: Action::Data(|call| {
            const REPD: u8 = 0x80;
            let data = opcodes::task_management(call.cdb[2] & REPD != 0);
            Ok(cut(data, cdb::be32(call.cdb, 6)))
        }),
    },
];

/// REPORT LUNS and REPORT TARGET PORT GROUPS: the framework answers them.
const OF_THE_FRAMEWORK: &[Supported] = &[
    Supported {
        usage: &[0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: None,
    },
    Supported {
        usage: &[0xa3, 0xea, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 4],
        service_action: Some(0x0a),
    },
];

fn supported(lu: &Lu) -> Vec<Supported> {
    let own = super::commands(lu).map(|command| Supported {
        usage: command.usage,
        service_action: command.service_action,
    });
    own.chain(OF_THE_FRAMEWORK.iter().copied()).collect()
}

fn operation_codes(call: &Call<'_>) -> Result<Vec<u8>, Sense> {
    const RCTD: u8 = 0x80;
    let timeouts = call.cdb[2] & RCTD != 0;
    let (opcode, action) = (call.cdb[3], cdb::be16(call.cdb, 4));
    let commands = supported(call.lu);
    let of_opcode = || commands.iter().filter(|command| command.usage[0] == opcode);
    let has_actions = of_opcode().any(|command| command.service_action.is_some());
    let exact = of_opcode().find(|command| command.service_action.is_none_or(|a| u16::from(a) == action));
    let known = of_opcode().next().is_some();
    let data = match call.cdb[2] & 0x07 {
        0 => opcodes::all(&commands, timeouts),
        1 if has_actions => return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2)),
        2 if known && !has_actions => return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2)),
        1..=3 => opcodes::one(exact, timeouts),
        _ => return Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2)),
    };
    Ok(cut(data, cdb::be32(call.cdb, 6)))
}
