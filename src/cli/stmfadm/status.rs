//! `status`, which is new: the service, its peer, LUs and targets on one screen (`cli.md` 10.2, 10.3).

mod conditions;
mod figures;
mod screen;
mod snapshot;

use crate::cli::command_line::{CHECK, COUNT, Invocation, JSON, WATCH};
use crate::cli::text::{common_failure, failures};
use crate::cli::{Console, Service, document};
use crate::types::{Guid, Status};
pub(super) use figures::{Percentiles, ns};
use snapshot::Snapshot;
use std::time::Duration;

/// Exit statuses of `--check`, for monitoring systems.
const SOME: u8 = 3;
const DOWN: u8 = 4;

/// Between two screens, in seconds.
const INTERVALS: std::ops::RangeInclusive<f64> = 0.1..=86400.0;

/// `status`.
pub fn status(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let (wanted, rhythm) = match wanted(invocation).and_then(|wanted| Ok((wanted, Rhythm::of(invocation)?))) {
        Ok(plan) => plan,
        Err(message) => {
            console.fail(Status::InvalidArg, message);
            if invocation.has(JSON) {
                document::print("status", None::<Snapshot>, service, console);
            }
            return 1;
        }
    };
    let Some(rhythm) = rhythm else {
        return once(invocation, &wanted, &mut None, service, console);
    };
    let mut exit = 0;
    let mut left = rhythm.count;
    let mut before = None;
    while left != Some(0) {
        if !invocation.has(JSON) {
            screen::heading(console);
        }
        // The service may go away and come back meanwhile.
        exit = once(invocation, &wanted, &mut before, service, console);
        console.forget_failures();
        left = left.map(|left| left - 1);
        if left == Some(0) || console.output_failure().is_some() {
            break;
        }
        service.pause(rhythm.interval);
    }
    exit
}

/// One screen; `before` is the one before it, and then this one.
fn once(
    invocation: &Invocation,
    wanted: &[Guid],
    before: &mut Option<Snapshot>,
    service: &dyn Service,
    console: &mut Console<'_>,
) -> u8 {
    let check = invocation.has(CHECK);
    let snapshot = match Snapshot::take(wanted, service) {
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
fn wanted(invocation: &Invocation) -> Result<Vec<Guid>, String> {
    let guid = |operand: &String| {
        operand
            .parse()
            .map_err(|_| format!("{operand}: {}", super::DIGITS_LONG))
    };
    invocation.operands.iter().map(guid).collect()
}

/// How often, and how many screens.
struct Rhythm {
    interval: Duration,
    count: Option<u64>,
}

impl Rhythm {
    /// `None`: one screen, as without `--watch`.
    fn of(invocation: &Invocation) -> Result<Option<Rhythm>, String> {
        let count = match invocation.value(COUNT) {
            None => None,
            Some(text) => Some(
                crate::cli::values::decimal(text)
                    .filter(|count| *count > 0)
                    .ok_or_else(|| format!("{text}: count must be a number from 1"))?,
            ),
        };
        if !invocation.has(WATCH) && count.is_none() {
            return Ok(None);
        }
        let interval = match invocation.value(WATCH) {
            None | Some("") => 1.0,
            Some(text) => text
                .parse::<f64>()
                .ok()
                .filter(|seconds| INTERVALS.contains(seconds))
                .ok_or_else(|| {
                    format!(
                        "{text}: seconds between screens must be {} to {}",
                        INTERVALS.start(),
                        INTERVALS.end()
                    )
                })?,
        };
        Ok(Some(Rhythm {
            interval: Duration::from_secs_f64(interval),
            count,
        }))
    }
}

#[cfg(test)]
mod tests;
