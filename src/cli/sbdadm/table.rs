//! The table of LUs (`cli.md` 3.1): everything about an LU in one line, the first on line 6 of `list-lu` and on line 5
//! of the others.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::text::{common_failure, printable};
use crate::cli::{Console, Service, document};
use crate::framework::AccessReport;
use crate::types::{AccessState, Guid, Status};
use serde::Serialize;

/// The provider whose LUs are listed.
const PROVIDER: &str = "sbd";

const HEAD: &str = "
\t      GUID                    DATA SIZE           SOURCE
--------------------------------  -------------------  ----------------
";

/// `list-lu`. Without LUs nothing at all is printed.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let rows = rows(service).map_err(|status| {
        let line = common_failure(status).unwrap_or(match status {
            Status::Busy => "resource busy",
            _ => "list failed",
        });
        console.fail(status, line);
    });
    let exit = u8::from(rows.is_err());
    let rows = rows.unwrap_or_default();
    if invocation.has(JSON) {
        let data: Vec<Lu> = rows.iter().map(Lu::from).collect();
        document::print("list-lu", data, service, console);
    } else if !rows.is_empty() {
        let text: String = rows.iter().map(Row::line).collect();
        console.text(format_args!("\nFound {} LU(s)\n{HEAD}{text}", rows.len()));
    }
    exit
}

/// An element of `list-lu --json`.
#[derive(Serialize)]
struct Lu<'a> {
    guid: String,
    size: Option<u64>,
    source: Option<&'a str>,
    unavailable: &'static [&'static str],
}

impl<'a> From<&'a Row> for Lu<'a> {
    fn from(row: &'a Row) -> Self {
        Lu {
            guid: row.guid.to_string(),
            size: row.known.as_ref().and_then(|known| known.size),
            source: row.known.as_ref().and_then(|known| known.source.as_deref()),
            unavailable: if row.known.is_some() { &[] } else { &["size", "source"] },
        }
    }
}

/// Tells about an LU that is there now.
pub fn one(done: &str, guid: Guid, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let row = row(guid, service).unwrap_or(Row { guid, known: None });
    console.text(format_args!("{done} the following LU:\n{HEAD}{}", row.line()));
    0
}

/// In the order of the GUIDs. An LU that goes away meanwhile is left out.
fn rows(service: &dyn Service) -> Result<Vec<Row>, Status> {
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

/// A line of the table.
struct Row {
    guid: Guid,
    /// `None` where the node does not have the store (`cli.md` D-09).
    known: Option<Known>,
}

/// `None`: not set.
struct Known {
    size: Option<u64>,
    source: Option<String>,
}

fn row(guid: Guid, service: &dyn Service) -> Result<Row, Status> {
    let AccessReport { access, properties } = service.lu_resource(guid)?;
    let known = (access == AccessState::Active).then(|| Known {
        size: properties.size,
        source: properties.data_file.filter(|file| !file.is_empty()),
    });
    Ok(Row { guid, known })
}

impl Row {
    fn line(&self) -> String {
        let not_set = || "not set".to_owned();
        let (size, source) = match &self.known {
            None => ("-".to_owned(), "-".to_owned()),
            Some(known) => (
                known.size.map_or_else(not_set, |size| size.to_string()),
                known.source.as_deref().map_or_else(not_set, printable),
            ),
        };
        format!("{:x}  {size:<19}  {source}\n", self.guid)
    }
}
