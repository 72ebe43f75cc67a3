//! `import-lu --scan`, which is new (`cli.md` 10.4): the files of a directory that carry the metadata of an LU.

use super::status::size;
use crate::cli::command_line::{DRY_RUN, Invocation, JSON, VERIFY};
use crate::cli::text::{common_failure, failures, or_dash, printable, reason};
use crate::cli::{Console, Service, document};
use crate::disk::scan::{self, Found};
use crate::types::Status;
use serde::Serialize;
use std::path::Path;

/// An element of the data of `--json`.
#[derive(Serialize)]
struct Store {
    file: String,
    guid: String,
    size: u64,
    alias: Option<String>,
    /// Where it is another one.
    data_file: Option<String>,
    /// An LU of this GUID is loaded on this node.
    loaded: bool,
}

/// Lists; a file that cannot be looked at is told, and counted in the exit status.
pub fn scan(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let mut stores = Vec::new();
    let exit = read(invocation, service, console, &mut stores);
    if invocation.has(JSON) {
        document::print("import-lu", stores, service, console);
    } else if !stores.is_empty() {
        console.line(format_args!("{:<32}  {:>6}  {:<10}  FILE", "LU", "SIZE", "STATE"));
        for store in &stores {
            let state = if store.loaded { "loaded" } else { "not loaded" };
            let alias = or_dash(store.alias.as_deref().unwrap_or(""));
            let file = printable(&store.file);
            let more = if alias == "-" || alias == file {
                String::new()
            } else {
                format!(" ({alias})")
            };
            console.line(format_args!(
                "{}  {:>6}  {state:<10}  {file}{more}",
                store.guid,
                size(store.size)
            ));
        }
    }
    exit
}

fn read(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>, stores: &mut Vec<Store>) -> u8 {
    let operand = invocation.operand();
    if [DRY_RUN, VERIFY].iter().any(|option| invocation.has(*option)) {
        console.fail(Status::InvalidArg, "--scan only looks: neither --dry-run nor --verify");
        return 1;
    }
    let scanned = std::path::absolute(operand).and_then(|path| scan::directory(&path));
    let (found, wrong) = match scanned {
        Ok(scanned) => scanned,
        Err(error) => {
            console.fail_operand(operand, Status::InvalidArg, reason(&error));
            return 1;
        }
    };
    for one in found {
        match loaded(&one, service) {
            Ok(loaded) => stores.push(Store::new(&one, loaded)),
            Err(status) => {
                console.fail(status, common_failure(status).unwrap_or("unknown error"));
                return 1;
            }
        }
    }
    for (path, error) in &wrong {
        console.fail_operand(&printable(&path.to_string_lossy()), Status::MetaFileName, reason(error));
    }
    failures(wrong.len())
}

fn loaded(found: &Found, service: &dyn Service) -> Result<bool, Status> {
    match service.lu_info(found.guid) {
        Ok(info) => Ok(info.state.is_some()),
        Err(Status::NotFound) => Ok(false),
        Err(status) => Err(status),
    }
}

impl Store {
    fn new(found: &Found, loaded: bool) -> Store {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Store {
            file: text(&found.path),
            guid: found.guid.to_string(),
            size: found.size,
            alias: found.alias.clone(),
            data_file: found.data_file.clone(),
            loaded,
        }
    }
}
