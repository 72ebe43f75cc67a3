//! `events`, which is new (`cli.md` 10.10): what has happened on this node since the service was started, as far as it remembers.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::document::{self, utc};
use crate::cli::text::{common_failure, printable, state_lower};
use crate::cli::{Console, Service};
use crate::framework::{Event, Happening};
use crate::types::{AccessState, Status};
use serde::Serialize;
use std::time::Duration;

/// `--follow`.
pub const FOLLOW: char = '\u{e042}';

/// The service answers at the latest then, and is asked again.
const ROUND: Duration = Duration::from_secs(1);

/// An element of the data of `--json`.
#[derive(Debug, Serialize)]
struct Entry {
    /// From 1 on, without a gap unless some are forgotten.
    number: u64,
    time: Option<String>,
    /// `login`, `logout`, `lu-state`, `lu-unloaded`, `lu-access`, `target-state`, `service-state`, `peer`.
    event: &'static str,
    /// LU or target.
    object: Option<String>,
    initiator: Option<String>,
    state: Option<&'static str>,
}

/// `events`.
pub fn events(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let (follow, json) = (invocation.has(FOLLOW), invocation.has(JSON));
    let (mut last, mut waits) = (0, Duration::ZERO);
    loop {
        let events = match service.events(last, waits) {
            Ok(events) => events,
            Err(status) => {
                let line = common_failure(status).unwrap_or(match status {
                    Status::Busy => "resource busy",
                    _ => "unknown error",
                });
                console.fail(status, line);
                if json {
                    document::print("events", [(); 0], service, console);
                }
                return 1;
            }
        };
        if last > 0
            && let Some(first) = events.first().filter(|first| first.number > last + 1 && !json)
        {
            console.line(format_args!(
                "({} events are not known any more)",
                first.number - last - 1
            ));
        }
        let entries: Vec<Entry> = events.iter().map(Entry::from).collect();
        if json {
            // Nothing to tell is told once.
            if !entries.is_empty() || waits.is_zero() {
                document::print("events", &entries, service, console);
            }
        } else {
            entries.iter().for_each(|entry| show(entry, console));
        }
        if !follow || console.output_failure().is_some() {
            return 0;
        }
        last = events.last().map_or(last, |event| event.number);
        waits = ROUND;
    }
}

fn show(entry: &Entry, console: &mut Console<'_>) {
    let time = entry.time.as_deref().unwrap_or("-");
    let object = printable(entry.object.as_deref().unwrap_or(""));
    let initiator = printable(entry.initiator.as_deref().unwrap_or(""));
    let state = console.state(entry.state.unwrap_or(""));
    match entry.event {
        "login" => console.line(format_args!("{time}  session of {initiator} with {object} begins")),
        "logout" => console.line(format_args!("{time}  session of {initiator} with {object} ended")),
        "lu-state" => console.line(format_args!("{time}  LU {object} is {state}")),
        "lu-unloaded" => console.line(format_args!("{time}  LU {object} is not loaded any more")),
        "lu-access" => console.line(format_args!("{time}  LU {object} is {state} on this node")),
        "target-state" => console.line(format_args!("{time}  target {object} is {state}")),
        "peer" => console.line(format_args!("{time}  peer is {state}")),
        _ => console.line(format_args!("{time}  service is {state}")),
    }
}

impl From<&Event> for Entry {
    fn from(event: &Event) -> Entry {
        let plain = |event: &'static str| Entry {
            number: 0,
            time: None,
            event,
            object: None,
            initiator: None,
            state: None,
        };
        let of = |event, object: &dyn ToString, state| Entry {
            object: Some(object.to_string()),
            state,
            ..plain(event)
        };
        let session = |event, initiator: &dyn ToString, target: &dyn ToString| Entry {
            initiator: Some(initiator.to_string()),
            ..of(event, target, None)
        };
        let entry = match &event.what {
            Happening::Login { initiator, target } => session("login", initiator, target),
            Happening::Logout { initiator, target } => session("logout", initiator, target),
            Happening::LuState(guid, state) => of("lu-state", guid, Some(state_lower(*state))),
            Happening::LuUnloaded(guid) => of("lu-unloaded", guid, None),
            Happening::LuAccess(guid, access) => of("lu-access", guid, Some(access_lower(*access))),
            Happening::TargetState(target, state) => of("target-state", target, Some(state_lower(*state))),
            Happening::ServiceState(state) => Entry {
                state: Some(state_lower(*state)),
                ..plain("service-state")
            },
            Happening::Peer(reachable) => Entry {
                state: Some(if *reachable { "reachable" } else { "unreachable" }),
                ..plain("peer")
            },
        };
        Entry {
            number: event.number,
            time: utc(event.time),
            ..entry
        }
    }
}

/// As in `list-lu --json`.
fn access_lower(access: AccessState) -> &'static str {
    match access {
        AccessState::Active => "active",
        AccessState::Standby => "standby",
        AccessState::TransitionToStandby => "active-to-standby",
        AccessState::TransitionToActive => "standby-to-active",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::script::{Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::ObjectState;
    use crate::types::DevId;

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    fn event(number: u64, what: Happening) -> Event {
        Event {
            number,
            time: 1_741_076_109,
            what,
        }
    }

    fn devid(name: &str) -> DevId {
        DevId::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn one_line_each() {
        let guid = || GUID.parse().unwrap();
        let login = Happening::Login {
            initiator: devid("iqn.host"),
            target: devid("iqn.t"),
        };
        let events = vec![
            event(1, Happening::ServiceState(ObjectState::Online)),
            event(2, login),
            event(3, Happening::LuAccess(guid(), AccessState::TransitionToStandby)),
            event(4, Happening::LuUnloaded(guid())),
            event(5, Happening::Peer(false)),
        ];
        let script = Script::new().ok("events(0, 0ns)", events);
        let at = "2025-03-04T08:15:09Z  ";
        let out = format!(
            "{at}service is online\n{at}session of iqn.host with iqn.t begins\n{at}LU {GUID} is active-to-standby on this \
             node\n{at}LU {GUID} is not loaded any more\n{at}peer is unreachable\n"
        );
        assert_eq!(run(stmfadm::run, "stmfadm events", &script), ran(0, &out, ""));
    }

    #[test]
    fn following_asks_for_what_comes_behind() {
        let target = || Happening::TargetState(devid("iqn.t"), ObjectState::Offline);
        let script = Script::new()
            .ok("events(0, 0ns)", vec![event(7, target())])
            .ok("events(7, 1s)", Vec::<Event>::new())
            .ok("events(7, 1s)", vec![event(10, target())])
            .fail("events(10, 1s)", Status::ServiceNotFound);
        let line = "2025-03-04T08:15:09Z  target iqn.t is offline\n";
        let out = format!("{line}(2 events are not known any more)\n{line}");
        let err = "stmfadm: STMF service not found\n";
        assert_eq!(run(stmfadm::run, "stmfadm events --follow", &script), ran(1, &out, err));
    }
}
