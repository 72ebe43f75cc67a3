//! `itadm` (`cli.md` chapter 4): its own parser, its own help, its own error style.
#![forbid(unsafe_code)]

mod command_line;
mod defaults;
mod group;
mod initiator;
mod json;
mod secret;
mod target;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(super) use self::command_line::Tables;
use self::command_line::{Parsed, Subcommand};
use super::command_line::{COLOR, EXPLAIN, JSON, is_added};
use super::exit_class::{self, Class};
use super::text::{common_failure, passed_on};
use super::values::{self, NodeNameError};
use super::watch::{self, Rhythm};
use super::{Console, Service, completion, document, effects, explain};
use crate::framework::ObjectState;
use crate::iscsi::admin::{Change, Listing, Refusal, Set};
use crate::types::Status;

/// System error numbers that are passed on; the same on Linux as in the original.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const E2BIG: i32 = 7;
const EFAULT: i32 = 14;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

const READ: &str = "solaris.smf.read.stmf";
const MODIFY: &str = "solaris.smf.modify.stmf";

/// Runs `itadm`; `arguments` come after `argv[0]`. Returns the exit status.
pub fn run(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if let Some(exit) = completion::run(arguments, &command_line::Tables, service, console) {
        return exit;
    }
    let exit = run_line(arguments, service, console);
    exit_class::of(exit, arguments, console)
}

fn run_line(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let posixly_correct = std::env::var_os("POSIXLY_CORRECT").is_some();
    let parsed = match command_line::parse(arguments, posixly_correct, service, console) {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    console.set_subject(parsed.subcommand.name(), &parsed.given);
    let exit = once_or_again(&parsed, service, console);
    if parsed.has(EXPLAIN) {
        explain::failures(service, console);
    }
    exit
}

fn once_or_again(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let chosen = console.choose_colour(parsed.value(COLOR), parsed.subcommand.is_new());
    match chosen.and_then(|()| Rhythm::of(parsed)) {
        Ok(None) => once(parsed, service, console),
        Ok(Some(rhythm)) => watch::repeat(&rhythm, parsed.has(JSON), service, console, &mut |console| {
            once(parsed, service, console)
        }),
        Err(complaint) => {
            console.error_line(&complaint);
            console.classify(Class::Usage);
            if parsed.has(JSON) {
                document::refused(parsed.subcommand.name(), &complaint, service, console);
            }
            1
        }
    }
}

fn once(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if let Err(exit) = service_is_online(parsed, service, console) {
        if parsed.has(JSON) {
            json::print_nothing(parsed, service, console);
        }
        return exit;
    }
    if parsed.has(JSON) && parsed.subcommand.lists() {
        return json::list(parsed, service, console);
    }
    effects::run(parsed.subcommand.name(), &parsed.given, service, console, |console| {
        perform(parsed, service, console)
    })
}

fn perform(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let done = match parsed.subcommand {
        Subcommand::CreateTarget => target::create(parsed, service, console),
        Subcommand::ModifyTarget => target::modify(parsed, service, console),
        Subcommand::DeleteTarget => target::delete(parsed, service),
        Subcommand::ListTarget => target::list(parsed, service, console),
        Subcommand::CreateTpg => group::create(parsed, service),
        Subcommand::DeleteTpg => group::delete(parsed, service),
        Subcommand::ListTpg => group::list(parsed, service, console),
        Subcommand::CreateInitiator => initiator::create(parsed, service),
        Subcommand::ModifyInitiator => initiator::modify(parsed, service),
        Subcommand::ListInitiator => initiator::list(parsed, service, console),
        Subcommand::DeleteInitiator => initiator::delete(parsed, service),
        Subcommand::ModifyDefaults => defaults::modify(parsed, service),
        Subcommand::ListDefaults => defaults::list(parsed, service, console),
        Subcommand::AddPortal => group::add_portals(parsed, service),
        Subcommand::RemovePortal => group::remove_portals(parsed, service),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => failed(parsed, &failure, console),
    }
}

/// What went wrong, and the number that the closing line and the exit status tell.
struct Failure {
    line: String,
    number: i32,
    /// What the service said.
    status: Option<Status>,
}

fn failure(line: impl Into<String>, number: i32) -> Failure {
    Failure {
        line: line.into(),
        number,
        status: None,
    }
}

/// An object that is to be listed and does not exist.
fn not_found(line: String) -> Failure {
    Failure {
        status: Some(Status::NotFound),
        ..failure(line, EPERM)
    }
}

fn failed(parsed: &Parsed, failure: &Failure, console: &mut Console<'_>) -> u8 {
    console.error_line(&failure.line);
    console.remember(
        parsed.operands.first().map(String::as_str),
        failure.status,
        &failure.line,
    );
    if failure.status.is_none() {
        console.classify(Class::of_iscsi(&failure.line, failure.number));
    }
    console.error_line(format_args!(
        "itadm {} failed with error {}",
        parsed.subcommand.name(),
        failure.number
    ));
    passed_on(failure.number)
}

/// `cli.md` 4.2.
fn service_is_online(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), u8> {
    match service.state() {
        // Onlining: a single target or LU on its way makes it that (`libstmf-api.md` 1.7), as after each create-target.
        Ok(state) if matches!(state.operational, ObjectState::Online | ObjectState::Onlining) => Ok(()),
        offline @ (Ok(_) | Err(Status::ServiceNotFound)) => {
            let line = "The iSCSI target service must be online before running this command.";
            console.error_line(line);
            let status = offline.err().unwrap_or(Status::ServiceOffline);
            console.remember(None, Some(status), line);
            console.error_line("Use 'systemctl enable --now stmfd.service' to start it,");
            console.error_line("and 'systemctl status stmfd.service' to see why it does not run.");
            Err(1)
        }
        Err(status) => {
            let failure = refused(parsed, status, UNREADABLE);
            Err(failed(parsed, &failure, console))
        }
    }
}

const UNREADABLE: &str = "Error retrieving iSCSI target configuration";
const UNSTORABLE: &str = "Configuration change failed";

/// Longest CHAP user name, in bytes.
const MAX_CHAP_USER: usize = 255;

fn listing(parsed: &Parsed, service: &dyn Service) -> Result<Listing, Failure> {
    service
        .iscsi_listing()
        .map_err(|status| refused(parsed, status, UNREADABLE))
}

/// Makes a change. `explain` has the lines of the subcommand; what it leaves is `WHAT: REASON`.
fn change(
    parsed: &Parsed,
    service: &dyn Service,
    change: Change,
    what: &str,
    explain: impl FnOnce(&Refusal) -> Option<Failure>,
) -> Result<String, Failure> {
    let changed = service.iscsi_change(change);
    changed
        .map_err(|status| refused(parsed, status, what))?
        .map_err(|refusal| explain(&refusal).unwrap_or_else(|| refused(parsed, refusal.status(), what)))
}

/// A failure without a line of its own: `WHAT: REASON`, or the missing authorization.
fn refused(parsed: &Parsed, status: Status, what: &str) -> Failure {
    if status == Status::Perm {
        let name = if parsed.subcommand.lists() { READ } else { MODIFY };
        return Failure {
            status: Some(status),
            ..failure(format!("Error, operation requires authorization {name}"), EPERM)
        };
    }
    let reason = common_failure(status).unwrap_or(match status {
        Status::Busy => "resource busy",
        Status::NoMem => "out of memory",
        _ => "unknown error",
    });
    Failure {
        status: Some(status),
        ..failure(format!("{what}: {reason}"), status.code())
    }
}

/// The list of refused properties; `kind` is `target`, `initiator` or `global`.
fn properties(kind: &str, list: &[(String, String)]) -> Failure {
    let mut lines = format!("Error setting {kind} properties: {EINVAL}");
    for (name, wrong) in list {
        lines += &format!("\n\t{name}: {wrong}");
    }
    failure(lines, EINVAL)
}

/// An option whose value `none`, in any letter case, removes the property.
fn text_or_none(parsed: &Parsed, letter: char) -> Set<String> {
    match parsed.value(letter) {
        None => Set::Keep,
        Some(value) if value.eq_ignore_ascii_case("none") => Set::Clear,
        Some(value) => Set::To(value.to_owned()),
    }
}

/// `-u`, checked here for its own line (`cli.md` D-11).
fn chap_user(parsed: &Parsed, kind: &str, property: &str) -> Result<Set<String>, Failure> {
    match parsed.value('u') {
        Some(name) if name.len() > MAX_CHAP_USER => {
            Err(properties(kind, &[(property.to_owned(), "name too long".to_owned())]))
        }
        _ => Ok(text_or_none(parsed, 'u')),
    }
}

/// The name of a new object, in the form in which targets are stored.
fn stored_name(typed: &str) -> Result<String, Failure> {
    values::node_name(typed).map_err(|error| match error {
        NodeNameError::Prefix => failure(format!("Invalid name {typed}"), EINVAL),
        NodeNameError::Form => failure(format!("Invalid iSCSI name {typed}"), EFAULT),
    })
}

fn set_or_unset(set: bool) -> &'static str {
    if set { "set" } else { "unset" }
}

/// What listings show, or `<none>`.
fn or_none(text: &str) -> String {
    if text.is_empty() {
        "<none>".to_owned()
    } else {
        super::text::printable(text)
    }
}
