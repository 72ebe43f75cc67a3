//! `status`, which is new: the service, its peer, LUs and targets on one screen (`cli.md` 10.2, 10.3).

mod conditions;
mod figures;
mod screen;
mod snapshot;
mod store;

use crate::cli::command_line::{CHECK, Invocation, JSON, NODE};
use crate::cli::text::{common_failure, failures};
use crate::cli::watch::{self, Rhythm};
use crate::cli::{Console, Service, document, lu_name};
use crate::types::{Guid, Status};
pub(super) use figures::{Percentiles, ns};
pub(in crate::cli) use screen::size;
use snapshot::Snapshot;

/// Exit statuses of `--check`, for monitoring systems.
const SOME: u8 = 3;
const DOWN: u8 = 4;

/// Which nodes are looked at (`--node`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nodes {
    /// Both.
    All,
    /// This one.
    Local,
    /// The other one.
    Peer,
}

/// `status`.
pub fn status(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let plan = nodes(invocation).and_then(|nodes| {
        let rhythm = Rhythm::of(invocation)?;
        Ok((nodes, rhythm, wanted(invocation, service)?))
    });
    let (nodes, rhythm, wanted) = match plan {
        Ok(plan) => plan,
        Err(message) => {
            console.fail(Status::InvalidArg, message);
            if invocation.has(JSON) {
                document::print("status", None::<Snapshot>, service, console);
            }
            return 1;
        }
    };
    let mut before = None;
    let mut screen = |console: &mut Console<'_>| once(invocation, nodes, &wanted, &mut before, service, console);
    match rhythm {
        None => screen(console),
        Some(rhythm) => watch::repeat(&rhythm, invocation.has(JSON), service, console, &mut screen),
    }
}

fn nodes(invocation: &Invocation) -> Result<Nodes, String> {
    match invocation.value(NODE) {
        None | Some("all") => Ok(Nodes::All),
        Some("local") => Ok(Nodes::Local),
        Some("peer") => Ok(Nodes::Peer),
        Some(other) => Err(format!("{other}: node must be local, peer or all")),
    }
}

/// One screen; `before` is the one before it, and then this one.
fn once(
    invocation: &Invocation,
    nodes: Nodes,
    wanted: &[Guid],
    before: &mut Option<Snapshot>,
    service: &dyn Service,
    console: &mut Console<'_>,
) -> u8 {
    let check = invocation.has(CHECK);
    let snapshot = match Snapshot::take(wanted, nodes, service) {
        Ok(snapshot) => snapshot,
        Err(status) => {
            console.fail(
                status,
                common_failure(status).unwrap_or(match status {
                    Status::Busy => "resource busy",
                    _ => "unknown error",
                }),
            );
            if invocation.has(JSON) {
                document::print("status", None::<Snapshot>, service, console);
            }
            return if check { DOWN } else { 1 };
        }
    };
    for guid in &snapshot.missing {
        console.fail_operand(&guid.to_string(), Status::NotFound, "not found");
    }
    if invocation.has(JSON) {
        document::print("status", Some(&snapshot), service, console);
    } else if check {
        screen::conditions(&snapshot, console);
    } else {
        screen::show(&snapshot, before.as_ref(), invocation.has('v'), console);
    }
    let exit = match check {
        true if snapshot.conditions.iter().any(|it| it.down()) => DOWN,
        true if !snapshot.conditions.is_empty() => SOME,
        _ => failures(snapshot.missing.len()).min(1),
    };
    *before = Some(snapshot);
    exit
}

/// The LUs that are named; none: all.
fn wanted(invocation: &Invocation, service: &dyn Service) -> Result<Vec<Guid>, String> {
    let guid = |operand: &String| {
        let wrong = |wrong: lu_name::NoLu| wrong.line(operand, super::DIGITS_LONG);
        lu_name::parse(operand, service).map_err(wrong)
    };
    invocation.operands.iter().map(guid).collect()
}

#[cfg(test)]
mod tests;
