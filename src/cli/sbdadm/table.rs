//! The table of LUs (`cli.md` 3.1): everything about an LU in one line, the first on line 6 of `list-lu` and on line 5
//! of the others.

use crate::cli::command_line::Invocation;
use crate::cli::text::{common_failure, printable};
use crate::cli::{Console, Service};
use crate::types::{AccessState, Guid, Status};

/// The provider whose LUs are listed.
const PROVIDER: &str = "sbd";

const HEAD: &str = "
\t      GUID                    DATA SIZE           SOURCE
--------------------------------  -------------------  ----------------
";

/// `list-lu`. Without LUs nothing at all is printed.
pub fn list(_: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    match rows(service) {
        Ok(rows) if rows.is_empty() => 0,
        Ok(rows) => {
            console.text(format_args!("\nFound {} LU(s)\n{HEAD}{}", rows.len(), rows.concat()));
            0
        }
        Err(status) => {
            console.error(common_failure(status).unwrap_or(match status {
                Status::Busy => "resource busy",
                _ => "list failed",
            }));
            1
        }
    }
}

/// Tells about an LU that is there now.
pub fn one(done: &str, guid: Guid, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let row = row(guid, service).unwrap_or_else(|_| line(guid, "-", "-"));
    console.text(format_args!("{done} the following LU:\n{HEAD}{row}"));
    0
}

/// In the order of the GUIDs. An LU that goes away meanwhile is left out.
fn rows(service: &dyn Service) -> Result<Vec<String>, Status> {
    let mut guids = service.lu_list()?;
    guids.sort_unstable();
    let mut rows = Vec::with_capacity(guids.len());
    for guid in guids {
        match service.lu_info(guid) {
            Ok(info) if info.state.is_some() && info.provider == PROVIDER => {}
            Ok(_) | Err(Status::NotFound) => continue,
            Err(status) => return Err(status),
        }
        match row(guid, service) {
            Ok(row) => rows.push(row),
            Err(Status::NotFound) => {}
            Err(status) => return Err(status),
        }
    }
    Ok(rows)
}

/// What is known only to the node that has the store is a dash elsewhere (`cli.md` D-09).
fn row(guid: Guid, service: &dyn Service) -> Result<String, Status> {
    let report = service.lu_resource(guid)?;
    if report.access != AccessState::Active {
        return Ok(line(guid, "-", "-"));
    }
    let not_set = || "not set".to_owned();
    let size = report.properties.size.map_or_else(not_set, |size| size.to_string());
    let file = report.properties.data_file.filter(|file| !file.is_empty());
    Ok(line(guid, &size, &file.map_or_else(not_set, |file| printable(&file))))
}

fn line(guid: Guid, size: &str, source: &str) -> String {
    format!("{guid:x}  {size:<19}  {source}\n")
}
