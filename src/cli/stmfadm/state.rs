//! `list-state`, and bringing LUs and targets online and offline (`cli.md` 2.8, 2.9).

use super::DIGITS_LONG;
use crate::cli::command_line::{Invocation, JSON};
use crate::cli::patience::Patience;
use crate::cli::text::{common_failure, passed_on, state_lower};
use crate::cli::{Console, Service, document, lu_name, values};
use crate::framework::{ConfigState, ObjectState};
use crate::types::Status;
use serde::Serialize;

const LU_TIMEOUT: &str = "Logical Unit state change request submitted. Waiting for completion timed out";
/// Only this one ends in a full stop.
const TARGET_TIMEOUT: &str = "Target state change request submitted. Waiting for completion timed out.";

/// `list-state`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let json = invocation.has(JSON);
    let state = match service.state() {
        Ok(state) => state,
        Err(status) => {
            let exit = state_failure(status, console);
            if json {
                document::print("list-state", None::<State>, service, console);
            }
            return exit;
        }
    };
    let alua = service.alua();
    let exit = match alua {
        Ok(_) => 0,
        Err(status) => state_failure(status, console),
    };
    let operational = state_lower(state.operational);
    let config = match state.config {
        ConfigState::None => "uninitialized",
        ConfigState::Init => "initializing",
        ConfigState::InitDone => "initialized",
    };
    if json {
        let data = State {
            operational,
            config,
            alua_enabled: alua.ok().map(|alua| alua.enabled),
            alua_node: alua.ok().map(|alua| alua.node),
        };
        document::print("list-state", Some(data), service, console);
        return exit;
    }
    let (enabled, node) = match alua {
        Ok(alua) => (
            if alua.enabled { "enabled" } else { "disabled" },
            match alua.node {
                0 => "0",
                1 => "1",
                _ => "unknown",
            },
        ),
        Err(_) => ("unknown", "unknown"),
    };
    for (label, value) in [
        ("Operational Status", operational),
        ("Config Status", config),
        ("ALUA Status", enabled),
        ("ALUA Node", node),
    ] {
        let value = console.state(value);
        console.line(format_args!("{label:<18}: {value}"));
    }
    exit
}

/// `data` of `list-state --json`.
#[derive(Serialize)]
struct State {
    operational: &'static str,
    config: &'static str,
    alua_enabled: Option<bool>,
    alua_node: Option<u8>,
}

/// The service's state could not be read: its line and exit status.
fn state_failure(status: Status, console: &mut Console<'_>) -> u8 {
    match (common_failure(status), status) {
        (Some(line), _) => console.fail(status, line),
        (None, Status::Busy) => console.fail(status, "resource busy"),
        (None, other) => console.fail(status, format_args!("unknown error: {}", other.code())),
    }
    passed_on(status.code())
}

/// `online-lu`.
pub fn online_lu(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if let Err(exit) = service_is_online(service, console) {
        return exit;
    }
    lu(ObjectState::Online, invocation, service, console)
}

/// `offline-lu`.
pub fn offline_lu(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    lu(ObjectState::Offline, invocation, service, console)
}

/// `online-target`.
pub fn online_target(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if let Err(exit) = service_is_online(service, console) {
        return exit;
    }
    target(ObjectState::Online, invocation, service, console)
}

/// `offline-target`.
pub fn offline_target(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    target(ObjectState::Offline, invocation, service, console)
}

fn service_is_online(service: &dyn Service, console: &mut Console<'_>) -> Result<(), u8> {
    match service.state() {
        Ok(state) if matches!(state.operational, ObjectState::Offline | ObjectState::Offlining) => {
            console.error("STMF service is offline");
            Err(1)
        }
        Ok(_) => Ok(()),
        Err(status) => Err(state_failure(status, console)),
    }
}

fn lu(wanted: ObjectState, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let operand = invocation.operand();
    let guid = match lu_name::parse(operand, service) {
        Ok(guid) => guid,
        Err(wrong) => {
            console.error(wrong.line(operand, DIGITS_LONG));
            return 1;
        }
    };
    let request = || match wanted {
        ObjectState::Online => service.lu_online(guid),
        _ => service.lu_offline(guid),
    };
    let look = || {
        service
            .lu_info(guid)
            .and_then(|info| info.state.ok_or(Status::NotFound))
    };
    let change = Change {
        wanted,
        request,
        look,
        timeout: LU_TIMEOUT,
    };
    change.make(invocation, service, console)
}

fn target(wanted: ObjectState, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let operand = invocation.operand();
    let Some(target) = values::device_id(operand) else {
        console.error(format_args!("{operand}: unrecognized device id"));
        return 1;
    };
    let request = || match wanted {
        ObjectState::Online => service.target_online(target.clone()),
        _ => service.target_offline(target.clone()),
    };
    let look = || service.target_info(target.clone()).map(|info| info.state);
    let change = Change {
        wanted,
        request,
        look,
        timeout: TARGET_TIMEOUT,
    };
    change.make(invocation, service, console)
}

/// A change of an object's state.
struct Change<Request, Look> {
    wanted: ObjectState,
    request: Request,
    look: Look,
    /// What is said when the object is still on its way in the end.
    timeout: &'static str,
}

impl<Request: Fn() -> Result<(), Status>, Look: Fn() -> Result<ObjectState, Status>> Change<Request, Look> {
    fn make(&self, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
        let mut patience = match Patience::asked(invocation) {
            Ok(patience) => patience,
            Err(message) => {
                console.error(message);
                return 1;
            }
        };
        let requested = patience.ask(service, &self.request);
        match requested.and_then(|()| self.settle(patience, service)) {
            Ok(Some(true)) => return 0,
            Ok(Some(false)) => {}
            Ok(None) => console.error(self.timeout),
            Err(Status::NotFound) => console.error(format_args!("{}: not found", invocation.operand())),
            Err(Status::Busy) => console.error("resource busy"),
            Err(other) => console.error(common_failure(other).unwrap_or("unknown error")),
        }
        1
    }

    /// Looks at once, then after each pause. `Some(true)` reached, `Some(false)` fell back, `None` still on the way.
    fn settle(&self, mut patience: Patience, service: &dyn Service) -> Result<Option<bool>, Status> {
        if patience.is_none() {
            return Ok(Some(true));
        }
        loop {
            match (self.look)()? {
                state if state == self.wanted => return Ok(Some(true)),
                ObjectState::Online | ObjectState::Offline => return Ok(Some(false)),
                ObjectState::Onlining | ObjectState::Offlining if patience.pause(service) => {}
                ObjectState::Onlining | ObjectState::Offlining => return Ok(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::{ConfigState, LuInfo, ObjectState, PortInfo, ServiceState};
    use crate::service::AluaInfo;
    use crate::types::{DevId, Protocol, Status};

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    fn state(operational: ObjectState) -> ServiceState {
        ServiceState {
            operational,
            config: ConfigState::InitDone,
        }
    }

    fn stmfadm(line: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm {line}"), script)
    }

    fn lu(state: ObjectState) -> LuInfo {
        LuInfo {
            guid: GUID.parse().unwrap(),
            state: Some(state),
            provider: "sbd".into(),
            alias: String::new(),
            vendor: [0; 8],
            product: [0; 16],
            revision: [0; 4],
        }
    }

    #[test]
    fn four_lines() {
        let script = Script::new()
            .ok("state()", state(ObjectState::Online))
            .ok("alua()", AluaInfo { enabled: true, node: 0 });
        let out = "Operational Status: online\nConfig Status     : initialized\nALUA Status       : enabled\n\
                   ALUA Node         : 0\n";
        assert_eq!(stmfadm("list-state", &script), ran(0, out, ""));
        let script = Script::new()
            .ok(
                "state()",
                ServiceState {
                    operational: ObjectState::Offlining,
                    config: ConfigState::None,
                },
            )
            .ok(
                "alua()",
                AluaInfo {
                    enabled: false,
                    node: 1,
                },
            );
        let out = "Operational Status: offlining\nConfig Status     : uninitialized\nALUA Status       : disabled\n\
                   ALUA Node         : 1\n";
        assert_eq!(stmfadm("list-state", &script), ran(0, out, ""));
    }

    #[test]
    fn state_failures() {
        for (status, exit, line) in [
            (Status::Perm, 5, "stmfadm: permission denied\n"),
            (Status::ServiceNotFound, 9, "stmfadm: STMF service not found\n"),
            (Status::Busy, 1, "stmfadm: resource busy\n"),
            (
                Status::ServiceDataVersion,
                16,
                "stmfadm: STMF service version incorrect\n",
            ),
            (Status::Error, 1, "stmfadm: unknown error: 32768\n"),
        ] {
            let script = Script::new().fail("state()", status);
            assert_eq!(stmfadm("list-state", &script), ran(exit, "", line));
        }
        let script = Script::new()
            .ok("state()", state(ObjectState::Online))
            .fail("alua()", Status::NoMem);
        let out = "Operational Status: online\nConfig Status     : initialized\nALUA Status       : unknown\n\
                   ALUA Node         : unknown\n";
        assert_eq!(
            stmfadm("list-state", &script),
            ran(6, out, "stmfadm: unknown error: 32774\n")
        );
    }

    #[test]
    fn waits_for_the_lu() {
        let script = Script::new()
            .ok("state()", state(ObjectState::Online))
            .ok(&format!("lu_online({GUID})"), ())
            .ok(&format!("lu_info({GUID})"), lu(ObjectState::Onlining))
            .ok(&format!("lu_info({GUID})"), lu(ObjectState::Online));
        assert_eq!(stmfadm(&format!("online-lu {GUID}"), &script), ran(0, "", ""));
        assert_eq!(script.pauses(), 1);
        // Fell back: no word.
        let script = Script::new()
            .ok(&format!("lu_offline({GUID})"), ())
            .ok(&format!("lu_info({GUID})"), lu(ObjectState::Online));
        assert_eq!(stmfadm(&format!("offline-lu {GUID}"), &script), ran(1, "", ""));
    }

    #[test]
    fn gives_up_after_thirty_looks() {
        let mut script = Script::new().ok(&format!("lu_offline({GUID})"), ());
        for _ in 0..30 {
            script = script.ok(&format!("lu_info({GUID})"), lu(ObjectState::Offlining));
        }
        let err = "stmfadm: Logical Unit state change request submitted. Waiting for completion timed out\n";
        assert_eq!(stmfadm(&format!("offline-lu {GUID}"), &script), ran(1, "", err));
        assert_eq!(script.pauses(), 29);

        let info = PortInfo {
            devid: DevId::new(b"iqn.x").unwrap(),
            provider: "iscsit".into(),
            alias: String::new(),
            state: ObjectState::Offlining,
            protocol: Protocol::Iscsi,
            rtpid: 1,
        };
        let mut script = Script::new().ok("target_offline(iqn.x)", ());
        for _ in 0..30 {
            script = script.ok("target_info(iqn.x)", info.clone());
        }
        let err = "stmfadm: Target state change request submitted. Waiting for completion timed out.\n";
        assert_eq!(stmfadm("offline-target iqn.X", &script), ran(1, "", err));
    }

    #[test]
    fn waits_as_long_as_asked() {
        let offline = format!("lu_offline({GUID})");
        let script = Script::new().ok(&offline, ());
        assert_eq!(stmfadm(&format!("offline-lu --wait=0 {GUID}"), &script), ran(0, "", ""));
        // Commands of hosts still run: busy at first, then on its way.
        let script = Script::new()
            .fail(&offline, Status::Busy)
            .ok(&offline, ())
            .ok(&format!("lu_info({GUID})"), lu(ObjectState::Offlining))
            .ok(&format!("lu_info({GUID})"), lu(ObjectState::Offline));
        assert_eq!(stmfadm(&format!("offline-lu --wait {GUID}"), &script), ran(0, "", ""));
        assert_eq!(script.pauses(), 2);
        let err = "stmfadm: x: seconds to wait must be 0 to 86400\n";
        assert_eq!(
            stmfadm(&format!("offline-lu --wait=x {GUID}"), &Script::new()),
            ran(1, "", err)
        );
    }

    #[test]
    fn online_needs_the_service() {
        for word in ["online-lu 60", "online-target x"] {
            for offline in [ObjectState::Offline, ObjectState::Offlining] {
                let script = Script::new().ok("state()", state(offline));
                assert_eq!(stmfadm(word, &script), ran(1, "", "stmfadm: STMF service is offline\n"));
            }
            let script = Script::new().fail("state()", Status::ServiceNotFound);
            assert_eq!(stmfadm(word, &script), ran(9, "", "stmfadm: STMF service not found\n"));
        }
    }

    #[test]
    fn failures() {
        let none = Script::new();
        let line = "stmfadm: 60: must be 32 hexadecimal digits long\n";
        assert_eq!(stmfadm("offline-lu 60", &none), ran(1, "", line));
        let line = "stmfadm: hv12: unrecognized device id\n";
        assert_eq!(stmfadm("offline-target hv12", &none), ran(1, "", line));
        for (status, line) in [
            (Status::NotFound, format!("stmfadm: {GUID}: not found\n")),
            (Status::Busy, "stmfadm: resource busy\n".to_owned()),
            (Status::Perm, "stmfadm: permission denied\n".to_owned()),
            (Status::Error, "stmfadm: unknown error\n".to_owned()),
        ] {
            let script = Script::new().fail(&format!("lu_offline({GUID})"), status);
            assert_eq!(stmfadm(&format!("offline-lu {GUID}"), &script), ran(1, "", &line));
        }
    }
}
