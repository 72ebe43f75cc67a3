//! `create-lu`, `import-lu`, `modify-lu` (`cli.md` 3.2, 3.4).

use super::table;
use crate::cli::command_line::{DRY_RUN, Invocation};
use crate::cli::stmfadm::modify::{self, Lu};
use crate::cli::text::common_failure;
use crate::cli::{Console, Service, lu_property, values};
use crate::types::{LuProperties, Status};

/// `create-lu`.
pub fn create(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let size = match invocation.value('s').map(values::size) {
        None => None,
        Some(Some(size)) => Some(size),
        Some(None) => {
            console.error("s: size param invalid");
            return 1;
        }
    };
    let file = invocation.operand();
    if file.len() > lu_property::MAX_PATH {
        console.error("could not set filename");
        return 1;
    }
    let properties = LuProperties {
        size,
        data_file: Some(file.to_owned()),
        ..LuProperties::default()
    };
    match service.lu_create(properties) {
        // There is none to show.
        Ok(_) if invocation.has(DRY_RUN) => 0,
        Ok(guid) => table::one("Created", guid, service, console),
        Err(status @ (Status::InvalidBlkSize | Status::InvalidBlockSize)) => {
            console.error("invalid block size");
            exit(status)
        }
        Err(status) => refused(status, file, console),
    }
}

/// `import-lu`.
pub fn import(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let file = invocation.operand();
    match service.lu_import(file) {
        Ok(_) if invocation.has(DRY_RUN) => 0,
        Ok(guid) => table::one("Imported", guid, service, console),
        Err((status, _)) => refused(status, file, console),
    }
}

/// `modify-lu`: an operand that starts with a slash is a file.
pub fn modify(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let operand = invocation.operand();
    let lu = if operand.starts_with('/') {
        Ok(Lu::File(operand))
    } else {
        Lu::named(operand, service)
    };
    let result = lu.and_then(|lu| {
        modify::size(invocation.value('s').unwrap_or_default())
            .and_then(|change| lu.modify(change, service))
            .map_err(|status| modify::failure(status).map_or_else(|| modify::unknown("size", status), str::to_owned))
    });
    match result {
        Ok(()) => 0,
        Err(message) => {
            console.error(message);
            1
        }
    }
}

fn refused(status: Status, file: &str, console: &mut Console<'_>) -> u8 {
    match status {
        Status::FileInUse => console.error(format_args!("filename {file}: in use")),
        Status::Busy | Status::LuBusy => console.error("resource busy"),
        Status::GuidInUse => console.error("guid in use"),
        Status::MetaFileName => console.error("meta file error"),
        Status::DataFileName => console.error("data file error"),
        Status::SizeOutOfRange => console.error("invalid size"),
        Status::MetaCreation => console.error("could not create meta file"),
        other => console.error(common_failure(other).unwrap_or("unknown error")),
    }
    exit(status)
}

/// An accident of the original that scripts may know: the low byte of the status, plus one (`cli.md` 3.2); below 128 for
/// every status (D-01).
fn exit(status: Status) -> u8 {
    status.code().to_le_bytes()[0].saturating_add(1).min(127)
}
