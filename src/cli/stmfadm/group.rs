//! Host groups and target groups (`cli.md` 2.3, 2.4, 2.8).

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::text::{common_failure, failures};
use crate::cli::{Console, Service, document, values};
use crate::framework::GroupKind;
use crate::types::{DevId, GroupName, Status};
use serde::Serialize;

macro_rules! both_kinds {
    ($($host:ident, $target:ident => $common:ident;)*) => {
        $(pub fn $host(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
            $common(GroupKind::Host, invocation, service, console)
        }
        pub fn $target(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
            $common(GroupKind::Target, invocation, service, console)
        })*
    };
}

both_kinds! {
    create_host, create_target => create;
    delete_host, delete_target => delete;
    add_host, add_target => add;
    remove_host, remove_target => remove;
    list_host, list_target => list;
}

fn create(kind: GroupKind, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    on_group(invocation, console, |name| service.group_create(kind, name))
}

fn delete(kind: GroupKind, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    on_group(invocation, console, |name| service.group_delete(kind, name))
}

fn on_group(invocation: &Invocation, console: &mut Console<'_>, call: impl Fn(GroupName) -> Result<(), Status>) -> u8 {
    let operand = values::group_operand(invocation.operand());
    let Err(status) = values::group_name(operand).ok_or(Status::Error).and_then(call) else {
        return 0;
    };
    let reason = match status {
        Status::Exists => "already exists",
        Status::NotFound | Status::GroupNotFound => "not found",
        Status::GroupInUse => "group is in use by existing view entry",
        Status::Busy => "resource busy",
        _ => "unknown error",
    };
    match common_failure(status) {
        Some(line) => console.error(line),
        None => console.error(format_args!("{operand}: {reason}")),
    }
    1
}

fn add(kind: GroupKind, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    on_members(invocation, console, |name, member| {
        service.group_add(kind, name, member)
    })
}

fn remove(kind: GroupKind, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    on_members(invocation, console, |name, member| {
        service.group_remove(kind, name, member)
    })
}

/// Each member by itself; a failure does not stop the rest.
fn on_members(
    invocation: &Invocation,
    console: &mut Console<'_>,
    call: impl Fn(GroupName, DevId) -> Result<(), Status>,
) -> u8 {
    let group = invocation.value('g').unwrap_or("");
    let mut failed = 0;
    for operand in &invocation.operands {
        let message = match values::device_id(operand) {
            None => format!("{operand}: unrecognized device id"),
            Some(member) => match values::group_name(group)
                .ok_or(Status::Error)
                .and_then(|name| call(name, member))
            {
                Ok(()) => continue,
                Err(status) => member_failure(status, group, operand),
            },
        };
        console.error(message);
        failed += 1;
    }
    failures(failed)
}

fn member_failure(status: Status, group: &str, operand: &str) -> String {
    let reason = match status {
        Status::GroupNotFound => return format!("{group}: not found"),
        Status::TgOnline => return "STMF target must be offline".to_owned(),
        Status::ServiceOnline => return "STMF service must be offline".to_owned(),
        Status::Exists => "already exists",
        Status::MemberNotFound | Status::NotFound => "not found",
        Status::Busy => "resource busy",
        _ => "unknown error",
    };
    common_failure(status).map_or_else(|| format!("{operand}: {reason}"), str::to_owned)
}

fn list(kind: GroupKind, invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let (label, command) = match kind {
        GroupKind::Host => ("Host Group", "list-hg"),
        GroupKind::Target => ("Target Group", "list-tg"),
    };
    if invocation.has(JSON) {
        let mut data = Vec::new();
        let exit = each(kind, invocation, service, console, &mut |name, console| {
            let members = members(kind, name, service, console);
            let exit = u8::from(members.is_none());
            data.push(Group {
                name: name.to_string(),
                members: members.map(|members| members.iter().map(DevId::to_string).collect()),
            });
            exit
        });
        document::print(command, data, service, console);
        return exit;
    }
    each(kind, invocation, service, console, &mut |name, console| {
        console.line(format_args!("{label}: {name}"));
        if !invocation.has('v') {
            return 0;
        }
        let members = members(kind, name, service, console);
        for member in members.iter().flatten() {
            console.line(format_args!("\tMember: {member}"));
        }
        u8::from(members.is_none())
    })
}

/// An element of `list-hg --json` and `list-tg --json`.
#[derive(Serialize)]
struct Group {
    name: String,
    /// `null` when they could not be read.
    members: Option<Vec<String>>,
}

/// Members of a group; the failure is told.
fn members(kind: GroupKind, name: &GroupName, service: &dyn Service, console: &mut Console<'_>) -> Option<Vec<DevId>> {
    let failed = |status| {
        let text = list_failure(status);
        console.complain(text);
        console.remember(Some(name.as_str()), Some(status), text);
    };
    service.group_members(kind, name.clone()).map_err(failed).ok()
}

/// What is done with each group that is to be listed; returns its part of the exit status.
type Visit<'a> = dyn FnMut(&GroupName, &mut Console<'_>) -> u8 + 'a;

fn each(
    kind: GroupKind,
    invocation: &Invocation,
    service: &dyn Service,
    console: &mut Console<'_>,
    visit: &mut Visit<'_>,
) -> u8 {
    let groups = match service.group_list(kind) {
        Ok(groups) => groups,
        Err(status) => {
            console.fail(status, list_failure(status));
            return 1;
        }
    };
    let mut exit = 0;
    if invocation.operands.is_empty() {
        groups.iter().for_each(|group| exit |= visit(group, console));
    }
    for operand in invocation.operands.iter().map(|o| values::group_operand(o)) {
        match groups.iter().find(|group| group.as_str() == operand) {
            Some(group) => exit |= visit(group, console),
            None => {
                console.fail_operand(operand, Status::NotFound, "not found");
                exit = 1;
            }
        }
    }
    exit
}

fn list_failure(status: Status) -> &'static str {
    common_failure(status).unwrap_or(match status {
        Status::Busy => "resource busy",
        _ => "unknown error",
    })
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Script, ran, run, run_words};
    use crate::cli::stmfadm;
    use crate::types::{DevId, GroupName, Status};

    fn name(text: &str) -> GroupName {
        GroupName::new(text.as_bytes()).unwrap()
    }

    fn devid(text: &str) -> DevId {
        DevId::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn creates_and_deletes_in_silence() {
        let script = Script::new().ok("group_create(Host, GroupName(\"esx-prod\"))", ());
        assert_eq!(run(stmfadm::run, "stmfadm create-hg esx-prod", &script), ran(0, "", ""));
        let script = Script::new().ok("group_delete(Target, GroupName(\"tg\"))", ());
        assert_eq!(run(stmfadm::run, "stmfadm delete-tg tg", &script), ran(0, "", ""));
    }

    #[test]
    fn group_failures() {
        for (status, line) in [
            (Status::Exists, "stmfadm: web: already exists\n"),
            (Status::NotFound, "stmfadm: web: not found\n"),
            (
                Status::GroupInUse,
                "stmfadm: web: group is in use by existing view entry\n",
            ),
            (Status::Busy, "stmfadm: web: resource busy\n"),
            (Status::Error, "stmfadm: web: unknown error\n"),
            (Status::Perm, "stmfadm: permission denied\n"),
            (Status::ServiceNotFound, "stmfadm: STMF service not found\n"),
            (Status::ServiceDataVersion, "stmfadm: STMF service version incorrect\n"),
        ] {
            let script = Script::new().fail("group_create(Host, GroupName(\"web\"))", status);
            assert_eq!(run(stmfadm::run, "stmfadm create-hg web", &script), ran(1, "", line));
            let script = Script::new().fail("group_delete(Host, GroupName(\"web\"))", status);
            assert_eq!(run(stmfadm::run, "stmfadm delete-hg web", &script), ran(1, "", line));
        }
        assert_eq!(
            run(stmfadm::run, "stmfadm create-hg *web", &Script::new()),
            ran(1, "", "stmfadm: *web: unknown error\n")
        );
    }

    #[test]
    fn long_operands_are_cut() {
        let (long, cut) = ("g".repeat(300), "g".repeat(255));
        let script = Script::new().fail(&format!("group_create(Host, GroupName(\"{cut}\"))"), Status::Exists);
        assert_eq!(
            run(stmfadm::run, &format!("stmfadm create-hg {long}"), &script),
            ran(1, "", &format!("stmfadm: {cut}: already exists\n"))
        );
    }

    #[test]
    fn members_are_handled_one_by_one() {
        let script = Script::new()
            .ok(
                "group_add(Host, GroupName(\"esx-prod\"), iqn.1998-01.com.vmware:hv11-5d2c)",
                (),
            )
            .fail(
                "group_add(Host, GroupName(\"esx-prod\"), wwn.2100001B321A7C41)",
                Status::Exists,
            );
        let line = "stmfadm add-hg-member -g esx-prod iqn.1998-01.com.vmware:HV11-5d2c hv12 wwn.2100001b321a7c41";
        let err = "stmfadm: hv12: unrecognized device id\nstmfadm: wwn.2100001b321a7c41: already exists\n";
        assert_eq!(run(stmfadm::run, line, &script), ran(2, "", err));
    }

    #[test]
    fn member_failures() {
        for (status, line) in [
            (Status::MemberNotFound, "stmfadm: iqn.x: not found\n"),
            (Status::GroupNotFound, "stmfadm: tg: not found\n"),
            (Status::TgOnline, "stmfadm: STMF target must be offline\n"),
            (Status::ServiceOnline, "stmfadm: STMF service must be offline\n"),
            (Status::Busy, "stmfadm: iqn.x: resource busy\n"),
            (Status::NoMem, "stmfadm: iqn.x: unknown error\n"),
            (Status::Perm, "stmfadm: permission denied\n"),
        ] {
            let script = Script::new().fail("group_remove(Target, GroupName(\"tg\"), iqn.x)", status);
            assert_eq!(
                run(stmfadm::run, "stmfadm remove-tg-member -g tg iqn.x", &script),
                ran(1, "", line)
            );
        }
        let long = "g".repeat(256);
        assert_eq!(
            run(
                stmfadm::run,
                &format!("stmfadm add-hg-member -g {long} iqn.x"),
                &Script::new()
            ),
            ran(1, "", "stmfadm: iqn.x: unknown error\n")
        );
    }

    #[test]
    fn lists() {
        let groups = || vec![name("esx-prod"), name("backup")];
        let script = Script::new().ok("group_list(Host)", groups());
        assert_eq!(
            run(stmfadm::run, "stmfadm list-hg", &script),
            ran(0, "Host Group: esx-prod\nHost Group: backup\n", "")
        );
        let script = Script::new()
            .ok("group_list(Host)", groups())
            .ok(
                "group_members(Host, GroupName(\"esx-prod\"))",
                vec![devid("iqn.1998-01.com.vmware:hv11-5d2c"), devid("wwn.2100001B321A7C41")],
            )
            .ok("group_members(Host, GroupName(\"backup\"))", Vec::<DevId>::new());
        let out = "Host Group: esx-prod\n\tMember: iqn.1998-01.com.vmware:hv11-5d2c\n\tMember: wwn.2100001B321A7C41\n\
                   Host Group: backup\n";
        assert_eq!(run(stmfadm::run, "stmfadm list-hg -v", &script), ran(0, out, ""));
        let script = Script::new().ok("group_list(Target)", groups());
        assert_eq!(
            run(stmfadm::run, "stmfadm list-tg web backup", &script),
            ran(1, "Target Group: backup\n", "stmfadm: web: not found\n")
        );
        let script = Script::new().ok("group_list(Host)", Vec::<GroupName>::new());
        assert_eq!(run(stmfadm::run, "stmfadm list-hg", &script), ran(0, "", ""));
    }

    #[test]
    fn list_failures() {
        for (status, line) in [
            (Status::Busy, "stmfadm: resource busy\n"),
            (Status::Error, "stmfadm: unknown error\n"),
            (Status::ServiceNotFound, "stmfadm: STMF service not found\n"),
        ] {
            let script = Script::new().fail("group_list(Host)", status);
            assert_eq!(run(stmfadm::run, "stmfadm list-hg", &script), ran(1, "", line));
        }
    }

    #[test]
    fn names_with_spaces_stay_whole() {
        let script = Script::new().ok("group_create(Host, GroupName(\"my hosts\"))", ());
        let words = ["create-hg".to_owned(), "my hosts".to_owned()];
        assert_eq!(run_words(stmfadm::run, "stmfadm", &words, &script), ran(0, "", ""));
    }
}
