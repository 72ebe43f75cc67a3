//! `status`, which is new: the service, its peer, LUs and targets on one screen (`cli.md` 10.2, 10.3).

mod conditions;
mod figures;
mod screen;
mod snapshot;
mod store;

use crate::cli::command_line::{CHECK, COUNT, Invocation, JSON, NODE, WATCH};
use crate::cli::text::{common_failure, failures};
use crate::cli::watch::{self, Rhythm};
use crate::cli::{Console, Service, document, lu_name};
use crate::metrics;
use crate::types::{Guid, Status};
pub(super) use figures::{Percentiles, ns};
pub(in crate::cli) use screen::size;
use snapshot::Snapshot;

/// `--format`.
pub const FORMAT: char = '\u{e043}';
/// Its only value.
const PROMETHEUS: &str = "prometheus";

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
    let usage = |message: String| (Status::InvalidArg, message);
    let plan = nodes(invocation).and_then(|nodes| Ok((nodes, Rhythm::of(invocation)?, exposes(invocation)?)));
    let plan = plan
        .map_err(usage)
        .and_then(|plan| Ok((plan, wanted(invocation, service)?)));
    let ((nodes, rhythm, exposes), wanted) = match plan {
        Ok(plan) => plan,
        Err((status, message)) => {
            console.fail(status, message);
            if invocation.has(JSON) {
                document::print("status", None::<Snapshot>, service, console);
            }
            return match status {
                Status::InvalidArg | Status::NotFound => 1,
                _ => failure_exit(invocation),
            };
        }
    };
    let mut before = None;
    let mut screen = |console: &mut Console<'_>| match exposes {
        true => expose(service, console),
        false => once(invocation, nodes, &wanted, &mut before, service, console),
    };
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

/// Are metrics asked for in place of a screen? They are those of this node: its peer tells its own.
fn exposes(invocation: &Invocation) -> Result<bool, String> {
    let others = [JSON, CHECK, NODE, WATCH, COUNT];
    match invocation.value(FORMAT) {
        None => Ok(false),
        Some(PROMETHEUS) if invocation.operands.is_empty() && !others.iter().any(|option| invocation.has(*option)) => {
            Ok(true)
        }
        Some(PROMETHEUS) => Err("--format=prometheus goes with no other option and no operand".to_owned()),
        Some(other) => Err(format!("{other}: format must be {PROMETHEUS}")),
    }
}

fn expose(service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let read = service
        .node_status()
        .and_then(|status| Ok((status, service.alua_report()?)));
    match read {
        Ok((status, alua)) => {
            console.text(metrics::exposition(&status, &alua, metrics::Format::Prometheus));
            0
        }
        Err(status) => {
            console.fail(status, reason(status));
            1
        }
    }
}

/// What is said when the service does not tell.
fn reason(status: Status) -> &'static str {
    common_failure(status).unwrap_or(match status {
        Status::Busy => "resource busy",
        _ => "unknown error",
    })
}

/// What monitoring is to know is that the service does not tell.
fn failure_exit(invocation: &Invocation) -> u8 {
    if invocation.has(CHECK) { DOWN } else { 1 }
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
            console.fail(status, reason(status));
            if invocation.has(JSON) {
                document::print("status", None::<Snapshot>, service, console);
            }
            return failure_exit(invocation);
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
fn wanted(invocation: &Invocation, service: &dyn Service) -> Result<Vec<Guid>, (Status, String)> {
    let guid = |operand: &String| {
        let wrong = |wrong: lu_name::NoLu| (wrong.status(), wrong.line(operand, super::DIGITS_LONG));
        lu_name::parse(operand, service).map_err(wrong)
    };
    invocation.operands.iter().map(guid).collect()
}

#[cfg(test)]
mod tests;
