//! The JSON document of a list (`cli.md` 10.1): exactly one on standard output, whatever happens. Its schemas are in
//! `docs/schema`.
#![forbid(unsafe_code)]

use super::console::Subject;
use super::text::printable;
use super::{Console, Failure, Service, explain};
use crate::types::Status;
use serde::Serialize;
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;

/// Grows only for an incompatible change; a new key is compatible.
pub const FORMAT: u32 = 1;

/// Is `--json` among the words before a `--`?
pub fn asked(arguments: &[String]) -> bool {
    arguments
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json")
}

#[derive(Serialize)]
struct Document<'a, T> {
    format: u32,
    tool: &'a str,
    command: &'a str,
    generated: String,
    node: Node,
    /// Of a change alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    data: T,
    errors: Vec<Error<'a>>,
}

#[derive(Serialize)]
struct Node {
    host: String,
    /// `None` when the service does not tell.
    alua_node: Option<u8>,
}

#[derive(Serialize)]
struct Error<'a> {
    operand: Option<&'a str>,
    status: Option<i32>,
    name: String,
    message: &'a str,
    /// What is behind it, as `--explain` says.
    detail: Option<String>,
}

impl<'a> Error<'a> {
    fn new(failure: &'a Failure, subject: &Subject, service: &dyn Service) -> Self {
        let told = match &failure.operand {
            Some(operand) if !failure.message.contains(operand) => format!("{operand}: {}", failure.message),
            _ => failure.message.clone(),
        };
        Error {
            operand: failure.operand.as_deref(),
            status: failure.status.map(Status::code),
            name: match failure.status {
                Some(status) => name(status),
                None if failure.usage => "usage".to_owned(),
                None => "failed".to_owned(),
            },
            message: &failure.message,
            detail: explain::detail(subject, &told, service).map(|text| printable(&text)),
        }
    }
}

/// Prints the document; the failures are those that the console remembers.
pub fn print(command: &str, data: impl Serialize, service: &dyn Service, console: &mut Console<'_>) {
    print_any(command, None, data, service, console);
}

/// The same for a command that changes something: what it did, or would do.
pub fn print_change(
    command: &str,
    rehearsal: bool,
    data: impl Serialize,
    service: &dyn Service,
    console: &mut Console<'_>,
) {
    print_any(command, Some(rehearsal), data, service, console);
}

fn print_any(
    command: &str,
    dry_run: Option<bool>,
    data: impl Serialize,
    service: &dyn Service,
    console: &mut Console<'_>,
) {
    let document = Document {
        format: FORMAT,
        tool: console.tool(),
        command,
        generated: utc(now()).unwrap_or_default(),
        node: Node {
            host: nix::unistd::gethostname().map_or_else(|_| String::new(), |host| host.to_string_lossy().into_owned()),
            alua_node: service.alua().ok().map(|alua| alua.node),
        },
        dry_run,
        data,
        errors: console
            .failures()
            .iter()
            .map(|failure| Error::new(failure, console.subject(), service))
            .collect(),
    };
    let text = serde_json::to_string(&document).expect("texts and numbers are JSON");
    console.line(text);
}

/// The document of a wrong command line; returns the exit status.
pub fn refused(command: &str, complaint: &str, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    console.remember_usage(complaint);
    let data = match command {
        "list-state" | "list-defaults" | "status" | "list-alua" => Value::Null,
        _ => Value::Array(Vec::new()),
    };
    print(command, data, service, console);
    1
}

/// A time in RFC 3339; `None` for 0, which stands for a time that is not known, and after the year 9999.
pub fn utc(seconds_since_1970: u64) -> Option<String> {
    let seconds = i64::try_from(seconds_since_1970).ok().filter(|seconds| *seconds != 0)?;
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    Some(format!(
        "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z",
        u8::from(month)
    ))
}

/// The present time, in seconds.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// `not-found` for `NotFound`.
fn name(status: Status) -> String {
    let mut text = String::new();
    for letter in format!("{status:?}").chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// A text, or `null` when it is not set.
pub fn set(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_names() {
        assert_eq!(utc(1_741_076_109).as_deref(), Some("2025-03-04T08:15:09Z"));
        assert_eq!((utc(0), utc(u64::MAX)), (None, None));
        assert_eq!(name(Status::NotFound), "not-found");
        assert_eq!(name(Status::ServiceDataVersion), "service-data-version");
    }

    #[test]
    fn only_words_before_the_end_of_options_count() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(asked(&words("-v --json x")));
        assert!(!asked(&words("-v -- --json")));
    }
}
