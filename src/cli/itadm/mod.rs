//! `itadm` (`cli.md` chapter 4): its own parser, its own help, its own error style.
//!
//! The service serves targets with name and alias so far. Options for authentication and portal groups are known, so that
//! they are refused by name instead of being ignored; so are the subcommands that need them.
#![forbid(unsafe_code)]

mod command_line;

use self::command_line::{Parsed, Subcommand};
use super::text::{common_failure, or_dash, passed_on, printable};
use super::values::{self, NodeNameError};
use super::{Console, Service};
use crate::framework::ObjectState;
use crate::service::TargetInfo;
use crate::types::Status;

/// System error numbers that are passed on; the same on Linux as in the original.
const EPERM: i32 = 1;
const EFAULT: i32 = 14;
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;

const READ: &str = "solaris.smf.read.stmf";
const MODIFY: &str = "solaris.smf.modify.stmf";

/// Runs `itadm`; `arguments` come after `argv[0]`. Returns the exit status.
pub fn run(arguments: &[String], service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let posixly_correct = std::env::var_os("POSIXLY_CORRECT").is_some();
    let parsed = match command_line::parse(arguments, posixly_correct, console) {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    if let Err(exit) = service_is_online(&parsed, service, console) {
        return exit;
    }
    let done = match parsed.subcommand {
        Subcommand::CreateTarget => create_target(&parsed, service, console),
        Subcommand::DeleteTarget => delete_target(&parsed, service),
        Subcommand::ListTarget => list_target(&parsed, service, console),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => failed(&parsed, &failure, console),
    }
}

/// What went wrong, and the number that the closing line and the exit status tell.
struct Failure {
    line: String,
    number: i32,
}

fn failure(line: impl Into<String>, number: i32) -> Failure {
    Failure {
        line: line.into(),
        number,
    }
}

fn failed(parsed: &Parsed, failure: &Failure, console: &mut Console<'_>) -> u8 {
    console.error_line(&failure.line);
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
        Ok(state) if state.operational == ObjectState::Online => Ok(()),
        Ok(_) | Err(Status::ServiceNotFound) => {
            console.error_line("The iSCSI target service must be online before running this command.");
            console.error_line("Use 'systemctl enable --now stmfd.service' to start it,");
            console.error_line("and 'systemctl status stmfd.service' to see why it does not run.");
            Err(1)
        }
        Err(status) => {
            let failure = refused(parsed, status, "Error retrieving iSCSI target configuration");
            Err(failed(parsed, &failure, console))
        }
    }
}

/// A failure without a line of its own: `WHAT: REASON`, or the missing authorization.
fn refused(parsed: &Parsed, status: Status, what: &str) -> Failure {
    if status == Status::Perm {
        let name = if parsed.subcommand == Subcommand::ListTarget {
            READ
        } else {
            MODIFY
        };
        return failure(format!("Error, operation requires authorization {name}"), EPERM);
    }
    let reason = common_failure(status).unwrap_or(match status {
        Status::Busy => "resource busy",
        Status::NoMem => "out of memory",
        _ => "unknown error",
    });
    failure(format!("{what}: {reason}"), status.code())
}

fn create_target(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let typed = parsed.value('n');
    let name = typed.map(stored_name).transpose()?;
    let alias = parsed
        .value('l')
        .filter(|alias| !alias.eq_ignore_ascii_case("none"))
        .map(str::to_owned);
    let created = service
        .iscsi_target_create(name, alias)
        .map_err(|status| match (status, typed) {
            (Status::Exists, Some(name)) => failure(format!("iSCSI target {name} already configured"), EEXIST),
            (Status::InvalidArg, Some(name)) => failure(format!("Invalid iSCSI name {name}"), EFAULT),
            (other, _) => refused(parsed, other, "Error creating target"),
        })?;
    console.line(format_args!("Target {created} successfully created"));
    Ok(())
}

fn stored_name(typed: &str) -> Result<String, Failure> {
    values::node_name(typed).map_err(|error| match error {
        NodeNameError::Prefix => failure(format!("Invalid name {typed}"), EINVAL),
        NodeNameError::Form => failure(format!("Invalid iSCSI name {typed}"), EFAULT),
    })
}

fn delete_target(parsed: &Parsed, service: &dyn Service) -> Result<(), Failure> {
    let typed = parsed.operand();
    let name = values::node_name(typed).unwrap_or_else(|_| typed.to_owned());
    service
        .iscsi_target_delete(name, parsed.has('f'))
        .map_err(|status| match status {
            Status::NotFound | Status::InvalidArg => failure(format!("Target {typed} not found"), EPERM),
            Status::Busy | Status::TgOnline => failure(
                format!("The target is online or busy. Use the -f (force) option, or 'stmfadm offline-target {typed}'"),
                EBUSY,
            ),
            other => refused(parsed, other, "Error deleting target"),
        })
}

/// With no target configured nothing is printed, not even the heading. Targets come in the service's order, which is by
/// name: it does not keep the order of creation that `cli.md` 1.9 asks for.
fn list_target(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut targets = service
        .iscsi_target_list()
        .map_err(|status| refused(parsed, status, "Error retrieving iSCSI target configuration"))?;
    if let Some(name) = parsed.operands.first() {
        targets.retain(|target| target.name.eq_ignore_ascii_case(name));
        if targets.is_empty() {
            return Err(failure(format!("Target {name} not found!"), EPERM));
        }
    }
    let (parsable, verbose) = (parsed.has('p'), parsed.has('v'));
    if !parsable && !targets.is_empty() {
        console.line(format_args!("{:<61}{:<9}{:<9}", "TARGET NAME", "STATE", "SESSIONS"));
    }
    for target in &targets {
        if parsable {
            console.line(parsable_row(target, verbose));
        } else {
            show(target, verbose, console);
        }
    }
    Ok(())
}

fn state_word(target: &TargetInfo) -> &'static str {
    match target.online {
        Some(true) => "online",
        Some(false) => "offline",
        None => "-",
    }
}

/// Label and value of the five lines of `-v`. What the service does not serve yet has its unset value.
fn details(target: &TargetInfo) -> [(&'static str, String); 5] {
    [
        ("alias:", or_dash(target.alias.as_deref().unwrap_or(""))),
        ("auth:", "none (defaults)".to_owned()),
        ("targetchapuser:", "-".to_owned()),
        ("targetchapsecret:", "unset".to_owned()),
        ("tpg-tags:", "default".to_owned()),
    ]
}

fn show(target: &TargetInfo, verbose: bool, console: &mut Console<'_>) {
    let name = printable(&target.name);
    let tab = if name.len() > 60 { "\t" } else { "" };
    console.line(format_args!(
        "{name:<61}{tab}{:<9}{:<9}",
        state_word(target),
        target.sessions
    ));
    if verbose {
        for (label, value) in details(target) {
            console.line(format_args!("\t{label:<20}\t{value}"));
        }
    }
}

fn parsable_row(target: &TargetInfo, verbose: bool) -> String {
    let mut row = format!(
        "{}\t{}\t{}",
        printable(&target.name),
        state_word(target),
        target.sessions
    );
    if verbose {
        for (_, value) in details(target) {
            row.push('\t');
            row.push_str(&value);
        }
    }
    row
}

#[cfg(test)]
mod tests {
    use crate::cli::itadm;
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::framework::{ObjectState, ServiceState};
    use crate::service::TargetInfo;
    use crate::types::Status;

    const LONG: &str = "iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44";
    const RACK: &str = "iqn.2010-08.org.illumos:02:rack4";

    fn online() -> Script {
        let state = ServiceState {
            operational: ObjectState::Online,
            configured: true,
        };
        Script::new().ok("state()", state)
    }

    fn itadm(line: &str, script: &Script) -> Ran {
        run(itadm::run, &format!("itadm {line}"), script)
    }

    fn targets() -> Vec<TargetInfo> {
        let target = |name: &str, alias: Option<&str>, online, sessions| TargetInfo {
            name: name.into(),
            alias: alias.map(str::to_owned),
            online,
            sessions,
        };
        vec![
            target(LONG, Some("rack4-front"), Some(true), 2),
            target(RACK, None, Some(false), 0),
        ]
    }

    #[test]
    fn creates() {
        let script = online().ok("iscsi_target_create(None, None)", LONG.to_owned());
        let out = format!("Target {LONG} successfully created\n");
        assert_eq!(itadm("create-target", &script), ran(0, &out, ""));
        let call = format!("iscsi_target_create(Some({RACK:?}), Some(\"front\"))");
        let script = online().ok(&call, RACK.to_owned());
        let out = format!("Target {RACK} successfully created\n");
        assert_eq!(
            itadm(
                "create-target -n iqn.2010-08.org.illumos:02:RACK4 --alias=front",
                &script
            ),
            ran(0, &out, "")
        );
        let script = online().ok("iscsi_target_create(None, None)", LONG.to_owned());
        assert_eq!(itadm("create-target -l None", &script).status, 0);
    }

    #[test]
    fn create_failures() {
        let call = format!("iscsi_target_create(Some({RACK:?}), None)");
        for (status, exit, err) in [
            (Status::Exists, 17, format!("iSCSI target {RACK} already configured\nitadm create-target failed with error 17\n")),
            (Status::Busy, 1, "Error creating target: resource busy\nitadm create-target failed with error 32769\n".into()),
            (Status::Error, 1, "Error creating target: unknown error\nitadm create-target failed with error 32768\n".into()),
            (Status::NoMem, 6, "Error creating target: out of memory\nitadm create-target failed with error 32774\n".into()),
            (
                Status::Perm,
                1,
                "Error, operation requires authorization solaris.smf.modify.stmf\nitadm create-target failed with error 1\n"
                    .into(),
            ),
        ] {
            let script = online().fail(&call, status);
            assert_eq!(itadm(&format!("create-target -n {RACK}"), &script), ran(exit, "", &err));
        }
        let err = "Invalid name rack4\nitadm create-target failed with error 22\n";
        assert_eq!(itadm("create-target -n rack4", &online()), ran(22, "", err));
        let err = "Invalid iSCSI name iqn.rack4\nitadm create-target failed with error 14\n";
        assert_eq!(itadm("create-target -n iqn.rack4", &online()), ran(14, "", err));
    }

    #[test]
    fn deletes() {
        let script = online().ok(&format!("iscsi_target_delete({RACK:?}, true)"), ());
        assert_eq!(itadm(&format!("delete-target {RACK} -f"), &script), ran(0, "", ""));
        let call = format!("iscsi_target_delete({RACK:?}, false)");
        for (status, exit, err) in [
            (
                Status::Busy,
                16,
                format!(
                    "The target is online or busy. Use the -f (force) option, or 'stmfadm offline-target {RACK}'\n\
                     itadm delete-target failed with error 16\n"
                ),
            ),
            (
                Status::NotFound,
                1,
                format!("Target {RACK} not found\nitadm delete-target failed with error 1\n"),
            ),
            (
                Status::Error,
                1,
                "Error deleting target: unknown error\nitadm delete-target failed with error 32768\n".into(),
            ),
        ] {
            let script = online().fail(&call, status);
            assert_eq!(itadm(&format!("delete-target {RACK}"), &script), ran(exit, "", &err));
        }
    }

    #[test]
    fn lists_byte_for_byte() {
        let list = || online().ok("iscsi_target_list()", targets());
        let out = "\
TARGET NAME                                                  STATE    SESSIONS \n\
iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44\tonline   2        \n\
iqn.2010-08.org.illumos:02:rack4                             offline  0        \n";
        assert_eq!(itadm("list-target", &list()), ran(0, out, ""));
        let out = "\
TARGET NAME                                                  STATE    SESSIONS \n\
iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44\tonline   2        \n\
\talias:              \track4-front\n\
\tauth:               \tnone (defaults)\n\
\ttargetchapuser:     \t-\n\
\ttargetchapsecret:   \tunset\n\
\ttpg-tags:           \tdefault\n";
        assert_eq!(
            itadm(&format!("list-target {LONG} --verbose"), &list()),
            ran(0, out, "")
        );
        assert_eq!(
            itadm("list-target -p", &list()),
            ran(0, &format!("{LONG}\tonline\t2\n{RACK}\toffline\t0\n"), "")
        );
        let out = format!("{RACK}\toffline\t0\t-\tnone (defaults)\t-\tunset\tdefault\n");
        assert_eq!(
            itadm("list-target -pv iqn.2010-08.org.illumos:02:RACK4", &list()),
            ran(0, &out, "")
        );
        let empty = online().ok("iscsi_target_list()", Vec::<TargetInfo>::new());
        assert_eq!(itadm("list-target", &empty), ran(0, "", ""));
        let err = "Target iqn.x not found!\nitadm list-target failed with error 1\n";
        assert_eq!(itadm("list-target iqn.x", &list()), ran(1, "", err));
        let mut unknown = targets();
        unknown[1].online = None;
        let script = online().ok("iscsi_target_list()", unknown);
        assert!(itadm("list-target -p", &script).out.ends_with("rack4\t-\t0\n"));
    }

    #[test]
    fn list_failures() {
        let script = online().fail("iscsi_target_list()", Status::Perm);
        let err =
            "Error, operation requires authorization solaris.smf.read.stmf\nitadm list-target failed with error 1\n";
        assert_eq!(itadm("list-target", &script), ran(1, "", err));
        let script = online().fail("iscsi_target_list()", Status::ServiceDataVersion);
        let err = "Error retrieving iSCSI target configuration: STMF service version incorrect\n\
                   itadm list-target failed with error 32784\n";
        assert_eq!(itadm("list-target", &script), ran(16, "", err));
    }

    #[test]
    fn the_service_must_be_online() {
        let offline = ServiceState {
            operational: ObjectState::Offline,
            configured: true,
        };
        for script in [
            Script::new().ok("state()", offline),
            Script::new().fail("state()", Status::ServiceNotFound),
        ] {
            let result = itadm("list-target", &script);
            assert_eq!((result.status, result.out.as_str()), (1, ""));
            let first = "The iSCSI target service must be online before running this command.";
            assert_eq!(result.err.lines().next(), Some(first));
            assert!(!result.err.contains("failed with error"));
        }
    }
}
