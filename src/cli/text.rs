//! Words that several tools print.
#![forbid(unsafe_code)]

use crate::framework::ObjectState;
use crate::types::{AccessState, Status};
use nix::errno::Errno;
use std::io;

/// Exit status for a number of failed operands: never 128 or more (`cli.md` D-01).
pub fn failures(count: usize) -> u8 {
    u8::try_from(count.min(125)).expect("at most 125")
}

/// Exit status that passes a status or error number on: its low byte, never 0 and never 128 or more (`cli.md` 1.6, D-02).
pub fn passed_on(number: i32) -> u8 {
    match number.to_le_bytes()[0] {
        low @ 1..=127 => low,
        _ => 1,
    }
}

/// The three lines that can come from every subcommand (`cli.md` 1.7).
pub fn common_failure(status: Status) -> Option<&'static str> {
    match status {
        Status::Perm => Some("permission denied"),
        Status::ServiceNotFound => Some("STMF service not found"),
        Status::ServiceDataVersion => Some("STMF service version incorrect"),
        _ => None,
    }
}

/// Why the system refused something: the C library's text, without the number that Rust adds.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// As in listings of LUs and targets.
pub fn state_word(state: ObjectState) -> &'static str {
    match state {
        ObjectState::Offline => "Offline",
        ObjectState::Offlining => "Offlining",
        ObjectState::Online => "Online",
        ObjectState::Onlining => "Onlining",
    }
}

/// As in `list-state` and in JSON.
pub fn state_lower(state: ObjectState) -> &'static str {
    match state {
        ObjectState::Offline => "offline",
        ObjectState::Offlining => "offlining",
        ObjectState::Online => "online",
        ObjectState::Onlining => "onlining",
    }
}

/// As in listings of LUs.
pub fn access_word(state: AccessState) -> &'static str {
    match state {
        AccessState::Active => "Active",
        AccessState::Standby => "Standby",
        AccessState::TransitionToStandby => "Active->Standby",
        AccessState::TransitionToActive => "Standby->Active",
    }
}

/// Text that somebody else chose (an alias an initiator sent, a path the peer announced) for a listing that is read line
/// by line and shown on terminals: control characters become `?`, so that it can neither forge a line nor steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// [`printable`] text, or a dash.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() {
        "-".to_owned()
    } else {
        printable(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_stay_below_128_and_failures_are_not_0() {
        assert_eq!((failures(0), failures(3), failures(256)), (0, 3, 125));
        assert_eq!(passed_on(Status::Error.code()), 1);
        assert_eq!(passed_on(Status::FileInUse.code()), 1);
        assert_eq!(passed_on(Status::NotFound.code()), 2);
        assert_eq!(passed_on(Status::AccessStateSet.code()), 35);
        assert_eq!(passed_on(0x80ff), 1);
        assert!(Status::ALL.iter().all(|s| (1..128).contains(&passed_on(s.code()))));
    }

    #[test]
    fn foreign_text_cannot_forge_lines() {
        assert_eq!(printable("a\n\u{1b}[2J\u{9b}b"), "a??[2J?b");
        assert_eq!(or_dash(""), "-");
    }
}
