//! `list-target` (`cli.md` 2.8). The words `Online` and `Offline` occur once a target; scripts count them.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::document::{self, set};
use crate::cli::text::{common_failure, or_dash, printable, state_lower, state_word};
use crate::cli::{Console, Service, local_time, values};
use crate::framework::{NexusInfo, PortInfo};
use crate::types::{DevId, Protocol, Status};
use serde::Serialize;

/// `list-target`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if !invocation.has(JSON) {
        let verbose = invocation.has('v');
        return each(invocation, service, console, &mut |target, console| {
            show(target, verbose, service, console)
        });
    }
    let mut data = Vec::new();
    let exit = each(invocation, service, console, &mut |target, console| {
        let target = read(target, service, console);
        let exit = u8::from(target.status.is_none() || target.sessions.is_none());
        data.push(target);
        exit
    });
    document::print("list-target", data, service, console);
    exit
}

/// What is done with each target that is to be listed; returns its part of the exit status.
type Visit<'a> = dyn FnMut(&DevId, &mut Console<'_>) -> u8 + 'a;

fn each(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>, visit: &mut Visit<'_>) -> u8 {
    let mut known = match service.target_list() {
        Ok(list) => list,
        // No list at all is an empty list (`cli.md` D-19).
        Err(Status::NotFound) => Vec::new(),
        Err(status) => {
            let line = common_failure(status).unwrap_or(match status {
                Status::ServiceOffline => "STMF service offline",
                Status::Busy => "resource busy",
                _ => "unknown error",
            });
            console.fail(status, line);
            return 1;
        }
    };
    // The service lists in the order of registration; here the newest comes first (`cli.md` 1.9).
    known.reverse();
    let mut exit = 0;
    if invocation.operands.is_empty() {
        known.iter().for_each(|target| exit |= visit(target, console));
    }
    for operand in &invocation.operands {
        match values::device_id(operand).filter(|target| known.contains(target)) {
            Some(target) => exit |= visit(&target, console),
            None => {
                console.fail_operand(operand, Status::NotFound, "not found");
                exit = 1;
            }
        }
    }
    exit
}

fn show(target: &DevId, verbose: bool, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    console.line(format_args!("Target: {}", printable(&target.to_string())));
    if !verbose {
        return 0;
    }
    let mut exit = 0;
    let property = |console: &mut Console<'_>, label, value: &str| {
        console.line(format_args!("    {label:<18}: {value}"));
    };
    match info(target, service, console) {
        Some(info) => {
            let state = console.state(state_word(info.state)).to_string();
            property(console, "Operational Status", &state);
            property(console, "Provider Name", &info.provider);
            property(console, "Alias", &or_dash(&info.alias));
            property(console, "Protocol", protocol_word(info.protocol));
        }
        None => exit = 1,
    }
    let Some(sessions) = sessions(target, service, console) else {
        return 1;
    };
    property(console, "Sessions", &sessions.len().to_string());
    for session in sessions {
        console.line(format_args!(
            "        Initiator: {}",
            printable(&session.initiator.to_string())
        ));
        console.line(format_args!("            Alias: {}", or_dash(&session.alias)));
        console.line(format_args!(
            "            Logged in since: {}",
            local_time::text(session.created)
        ));
    }
    exit
}

/// Properties of a target; the failure is told.
fn info(target: &DevId, service: &dyn Service, console: &mut Console<'_>) -> Option<PortInfo> {
    let info = service.target_info(target.clone());
    told(info, target, "get properties failed", console)
}

/// Sessions of a target; the failure is told.
fn sessions(target: &DevId, service: &dyn Service, console: &mut Console<'_>) -> Option<Vec<NexusInfo>> {
    let sessions = service.target_sessions(target.clone());
    told(sessions, target, "get session info failed", console)
}

fn told<T>(result: Result<T, Status>, target: &DevId, text: &str, console: &mut Console<'_>) -> Option<T> {
    let failed = |status| {
        console.complain(text);
        console.remember(Some(&target.to_string()), Some(status), text);
    };
    result.map_err(failed).ok()
}

/// An element of `list-target --json`; what could not be read is `null`.
#[derive(Serialize)]
struct Target {
    name: String,
    status: Option<&'static str>,
    provider: Option<String>,
    alias: Option<String>,
    protocol: Option<&'static str>,
    sessions: Option<Vec<Session>>,
}

#[derive(Serialize)]
struct Session {
    initiator: String,
    alias: Option<String>,
    since: Option<String>,
}

fn read(target: &DevId, service: &dyn Service, console: &mut Console<'_>) -> Target {
    let info = info(target, service, console);
    let info = info.as_ref();
    let sessions = sessions(target, service, console);
    Target {
        name: target.to_string(),
        status: info.map(|info| state_lower(info.state)),
        provider: info.and_then(|info| set(&info.provider)).map(str::to_owned),
        alias: info.and_then(|info| set(&info.alias)).map(str::to_owned),
        protocol: info.map(|info| match info.protocol {
            Protocol::Iscsi => "iscsi",
            Protocol::FibreChannel => "fibre-channel",
            Protocol::Srp => "srp",
            Protocol::Sas => "sas",
            _ => "unknown",
        }),
        sessions: sessions.map(|sessions| sessions.iter().map(Session::from).collect()),
    }
}

impl From<&NexusInfo> for Session {
    fn from(nexus: &NexusInfo) -> Self {
        Session {
            initiator: nexus.initiator.to_string(),
            alias: set(&nexus.alias).map(str::to_owned),
            since: document::utc(nexus.created),
        }
    }
}

fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Iscsi => "iSCSI",
        Protocol::FibreChannel => "Fibre Channel",
        Protocol::Srp => "SRP",
        Protocol::Sas => "SAS",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::{local_time, stmfadm};
    use crate::framework::{NexusInfo, ObjectState, PortInfo};
    use crate::types::{DevId, Protocol, Status};

    const FRONT: &str = "iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44";
    const FC: &str = "wwn.2100001B321A7C40";

    fn devid(text: &str) -> DevId {
        DevId::new(text.as_bytes()).unwrap()
    }

    /// In the order of registration.
    fn targets() -> Vec<DevId> {
        vec![devid(FC), devid(FRONT)]
    }

    fn stmfadm(line: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm {line}"), script)
    }

    fn port(name: &str, provider: &str, alias: &str, state: ObjectState, protocol: Protocol) -> PortInfo {
        PortInfo {
            devid: devid(name),
            provider: provider.into(),
            alias: alias.into(),
            state,
            protocol,
            rtpid: 1,
        }
    }

    #[test]
    fn newest_first() {
        let script = Script::new().ok("target_list()", targets());
        assert_eq!(
            stmfadm("list-target", &script),
            ran(0, &format!("Target: {FRONT}\nTarget: {FC}\n"), "")
        );
        let script = Script::new().fail("target_list()", Status::NotFound);
        assert_eq!(stmfadm("list-target", &script), ran(0, "", ""));
    }

    #[test]
    fn verbose_byte_for_byte() {
        let session = |name: &str, alias: &str, created| NexusInfo {
            initiator: devid(name),
            alias: alias.into(),
            created,
        };
        let script = Script::new()
            .ok("target_list()", targets())
            .ok(
                &format!("target_info({FRONT})"),
                port(FRONT, "iscsit", "rack4-front", ObjectState::Online, Protocol::Iscsi),
            )
            .ok(
                &format!("target_sessions({FRONT})"),
                vec![
                    session("iqn.1993-08.org.debian:01:9a1f0c2d7e", "hv11", 1_741_076_109),
                    session("iqn.1993-08.org.debian:01:77b0e3c4aa", "", 1_741_076_111),
                ],
            )
            .ok(
                &format!("target_info({FC})"),
                port(FC, "qlt", "", ObjectState::Offline, Protocol::FibreChannel),
            )
            .ok(&format!("target_sessions({FC})"), Vec::<NexusInfo>::new());
        let (first, second) = (local_time::text(1_741_076_109), local_time::text(1_741_076_111));
        let out = format!(
            "\
Target: iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44
    Operational Status: Online
    Provider Name     : iscsit
    Alias             : rack4-front
    Protocol          : iSCSI
    Sessions          : 2
        Initiator: iqn.1993-08.org.debian:01:9a1f0c2d7e
            Alias: hv11
            Logged in since: {first}
        Initiator: iqn.1993-08.org.debian:01:77b0e3c4aa
            Alias: -
            Logged in since: {second}
Target: wwn.2100001B321A7C40
    Operational Status: Offline
    Provider Name     : qlt
    Alias             : -
    Protocol          : Fibre Channel
    Sessions          : 0
"
        );
        let result = stmfadm("list-target -v", &script);
        assert_eq!(result, ran(0, &out, ""));
        assert_eq!(
            (
                result.out.matches("Online").count(),
                result.out.matches("Offline").count()
            ),
            (1, 1)
        );
    }

    #[test]
    fn operands_are_normalised() {
        let script = Script::new().ok("target_list()", targets());
        let err = "stmfadm: hv12: not found\nstmfadm: iqn.other: not found\n";
        assert_eq!(
            stmfadm("list-target hv12 wwn.2100001b321a7c40 iqn.other", &script),
            ran(1, &format!("Target: {FC}\n"), err)
        );
    }

    #[test]
    fn a_target_that_vanishes_does_not_stop_the_list() {
        let script = Script::new()
            .ok("target_list()", targets())
            .fail(&format!("target_info({FRONT})"), Status::NotFound)
            .fail(&format!("target_sessions({FRONT})"), Status::NotFound)
            .ok(
                &format!("target_info({FC})"),
                port(FC, "", "", ObjectState::Onlining, Protocol::Ssa),
            )
            .ok(&format!("target_sessions({FC})"), Vec::<NexusInfo>::new());
        let out = format!(
            "Target: {FRONT}\nTarget: {FC}\n    Operational Status: Onlining\n    Provider Name     : \n    \
             Alias             : -\n    Protocol          : unknown\n    Sessions          : 0\n"
        );
        let err = "stmfadm: get properties failed\nstmfadm: get session info failed\n";
        assert_eq!(stmfadm("list-target -v", &script), ran(1, &out, err));
    }

    #[test]
    fn failures_of_the_service() {
        for (status, line) in [
            (Status::ServiceOffline, "stmfadm: STMF service offline\n"),
            (Status::Busy, "stmfadm: resource busy\n"),
            (Status::Error, "stmfadm: unknown error\n"),
            (Status::ServiceNotFound, "stmfadm: STMF service not found\n"),
        ] {
            let script = Script::new().fail("target_list()", status);
            assert_eq!(stmfadm("list-target", &script), ran(1, "", line));
        }
    }
}
