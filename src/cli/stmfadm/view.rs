//! View entries (`cli.md` 2.8, 2.10).

use super::{DIGITS, DIGITS_LONG};
use crate::cli::command_line::{Invocation, JSON};
use crate::cli::text::{common_failure, failures};
use crate::cli::{Console, Service, document, lu_name, values};
use crate::framework::{ViewEntry, ViewRequest};
use crate::types::{GroupName, Guid, Lun, Status};
use serde::Serialize;

/// `add-view`.
pub fn add(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    match try_add(invocation, service) {
        Ok(()) => 0,
        Err(message) => {
            console.error(message);
            1
        }
    }
}

fn try_add(invocation: &Invocation, service: &dyn Service) -> Result<(), String> {
    let operand = invocation.operand();
    let guid = lu_name::parse(operand, service).map_err(|wrong| wrong.line(operand, DIGITS))?;
    let request = ViewRequest {
        lun: invocation.value('n').map(wanted_lun).transpose()?,
        host_group: group(invocation, 'h', "invalid host group")?,
        target_group: group(invocation, 't', "invalid target group")?,
    };
    service.view_add(guid, request).map(drop).map_err(|status| {
        let line = match status {
            Status::VeConflict => "view entry exists",
            Status::LunInUse => "LUN already in use",
            Status::InvalidHg => "invalid host group",
            Status::InvalidTg => "invalid target group",
            Status::ConfigNone => "STMF service is not initialized",
            Status::Exists => return format!("{operand}: already exists"),
            Status::Busy => return format!("{operand}: resource busy"),
            other => return common_failure(other).map_or_else(|| format!("{operand}: unknown error"), str::to_owned),
        };
        line.to_owned()
    })
}

/// As typed, so that the line names what the user sees (`cli.md` D-16).
fn wanted_lun(text: &str) -> Result<Lun, String> {
    values::lun(text).ok_or_else(|| format!("{text}: Logical unit number must be less than 16384"))
}

fn group(invocation: &Invocation, letter: char, no_such_group: &str) -> Result<Option<GroupName>, String> {
    let Some(text) = invocation.value(letter) else {
        return Ok(None);
    };
    if text.len() > 255 {
        return Err(format!("{}: unknown error", invocation.operand()));
    }
    values::group_name(text)
        .map(Some)
        .ok_or_else(|| no_such_group.to_owned())
}

/// The LU of `-l`, and its entries; there is at least one.
fn entries(invocation: &Invocation, service: &dyn Service) -> Result<(Guid, Vec<ViewEntry>), (Status, String)> {
    let text = invocation.value('l').unwrap_or("");
    let guid = lu_name::parse(text, service).map_err(|wrong| (wrong.status(), wrong.line(text, DIGITS_LONG)))?;
    match service.view_list(guid) {
        Ok(entries) if !entries.is_empty() => Ok((guid, entries)),
        Ok(_) | Err(Status::NotFound) => Err((Status::NotFound, format!("{guid:x}: no views found"))),
        Err(status @ Status::Busy) => Err((status, format!("{guid:x}: resource busy"))),
        Err(status @ Status::ConfigNone) => Err((status, "STMF service is not initialized".to_owned())),
        Err(status) => {
            let line = common_failure(status).map_or_else(|| format!("{guid:x}: unknown error"), str::to_owned);
            Err((status, line))
        }
    }
}

/// `list-view`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if !invocation.has(JSON) {
        return each(invocation, service, console, &mut |_, entry, console| {
            show(entry, console)
        });
    }
    let mut data = Vec::new();
    let exit = each(invocation, service, console, &mut |guid, entry, _| {
        data.push(View::new(guid, entry));
    });
    document::print("list-view", data, service, console);
    exit
}

/// An element of `list-view --json`; a group that is `null` stands for all.
#[derive(Serialize)]
struct View {
    lu: String,
    index: u32,
    host_group: Option<String>,
    target_group: Option<String>,
    lun: u16,
}

impl View {
    fn new(guid: Guid, entry: &ViewEntry) -> View {
        View {
            lu: guid.to_string(),
            index: entry.index,
            host_group: entry.host_group.as_ref().map(GroupName::to_string),
            target_group: entry.target_group.as_ref().map(GroupName::to_string),
            lun: entry.lun.get(),
        }
    }
}

/// What is done with each view entry that is to be listed.
type Visit<'a> = dyn FnMut(Guid, &ViewEntry, &mut Console<'_>) + 'a;

fn each(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>, visit: &mut Visit<'_>) -> u8 {
    let (guid, mut entries) = match entries(invocation, service) {
        Ok(found) => found,
        Err((status, message)) => {
            console.fail(status, message);
            return 1;
        }
    };
    entries.sort_by_key(|entry| entry.index);
    if invocation.operands.is_empty() {
        entries.iter().for_each(|entry| visit(guid, entry, console));
        return 0;
    }
    let mut exit = 0;
    for operand in &invocation.operands {
        let number = values::decimal(operand);
        match entries.iter().find(|entry| Some(u64::from(entry.index)) == number) {
            Some(entry) => visit(guid, entry, console),
            None => {
                console.complain(format_args!("{guid:x}, {operand}: not found"));
                console.remember(Some(operand), Some(Status::NotFound), "not found");
                exit = 1;
            }
        }
    }
    exit
}

fn show(entry: &ViewEntry, console: &mut Console<'_>) {
    let group = |name: &Option<GroupName>| name.as_ref().map_or("All".to_owned(), GroupName::to_string);
    console.line(format_args!("View Entry: {}", entry.index));
    console.line(format_args!("    {:<13}: {}", "Host group", group(&entry.host_group)));
    console.line(format_args!(
        "    {:<13}: {}",
        "Target group",
        group(&entry.target_group)
    ));
    console.line(format_args!("    {:<13}: {}", "LUN", entry.lun.get()));
}

/// `remove-view`.
pub fn remove(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let all = invocation.has('a');
    if !all && invocation.operands.is_empty() {
        console.error("no view entries specified");
        return 1;
    }
    let (guid, entries) = match entries(invocation, service) {
        Ok(found) => found,
        Err((_, message)) => {
            console.error(message);
            return 1;
        }
    };
    let names: Vec<String> = match all {
        true => entries.iter().map(|entry| entry.index.to_string()).collect(),
        false => invocation.operands.clone(),
    };
    let mut failed = 0;
    for name in names {
        if let Err(message) = remove_one(guid, &name, service) {
            console.error(message);
            failed += 1;
        }
    }
    failures(failed)
}

fn remove_one(guid: Guid, name: &str, service: &dyn Service) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{name}: invalid input"));
    }
    let not_found = || format!("{guid:x}: {name}: not found");
    let index: u32 = name.parse().map_err(|_| not_found())?;
    service.view_remove(guid, index).map_err(|status| match status {
        Status::NotFound => not_found(),
        Status::Busy => format!("{guid:x}: resource busy"),
        Status::ConfigNone => "STMF service is not initialized".to_owned(),
        other => common_failure(other).map_or_else(|| format!("{guid:x}, {name}: unknown error"), str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::{ViewEntry, ViewRequest};
    use crate::types::{GroupName, Lun, Status};

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";
    const LOWER: &str = "600144f0c73abf00000065a1b2c30001";

    fn group(name: &str) -> Option<GroupName> {
        Some(GroupName::new(name.as_bytes()).unwrap())
    }

    fn two_entries() -> Vec<ViewEntry> {
        let entry = |index, host_group, target_group, lun| ViewEntry {
            index,
            host_group,
            target_group,
            lun: Lun::new(lun).unwrap(),
        };
        vec![
            entry(0, group("esx-prod"), None, 4),
            entry(1, group("backup"), group("tg-front"), 0),
        ]
    }

    fn stmfadm(line: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm {line}"), script)
    }

    fn add_call(lun: Option<u16>, host: Option<&str>, target: Option<&str>) -> String {
        let request = ViewRequest {
            host_group: host.and_then(group),
            target_group: target.and_then(group),
            lun: lun.and_then(Lun::new),
        };
        format!("view_add({GUID}, {request:?})")
    }

    #[test]
    fn adds() {
        let script = Script::new().ok(
            &add_call(Some(4), Some("esx-prod"), Some("tg")),
            two_entries().remove(0),
        );
        assert_eq!(
            stmfadm(&format!("add-view -h esx-prod -n 4 --target=tg {LOWER}"), &script),
            ran(0, "", "")
        );
        let script = Script::new().ok(&add_call(None, None, None), two_entries().remove(0));
        assert_eq!(stmfadm(&format!("add-view {GUID}"), &script), ran(0, "", ""));
    }

    #[test]
    fn add_failures() {
        for (status, line) in [
            (Status::VeConflict, "stmfadm: view entry exists\n".to_owned()),
            (Status::LunInUse, "stmfadm: LUN already in use\n".to_owned()),
            (Status::InvalidHg, "stmfadm: invalid host group\n".to_owned()),
            (Status::InvalidTg, "stmfadm: invalid target group\n".to_owned()),
            (
                Status::ConfigNone,
                "stmfadm: STMF service is not initialized\n".to_owned(),
            ),
            (Status::Exists, format!("stmfadm: {GUID}: already exists\n")),
            (Status::Busy, format!("stmfadm: {GUID}: resource busy\n")),
            (Status::Error, format!("stmfadm: {GUID}: unknown error\n")),
            (Status::Perm, "stmfadm: permission denied\n".to_owned()),
        ] {
            let script = Script::new().fail(&add_call(None, None, None), status);
            assert_eq!(stmfadm(&format!("add-view {GUID}"), &script), ran(1, "", &line));
        }
        let none = Script::new();
        let digits = "stmfadm: 6001: must be 32 hexadecimal digits\n";
        assert_eq!(stmfadm("add-view 6001", &none), ran(1, "", digits));
        for bad in ["16384", "x", "65540", "-1"] {
            let line = format!("stmfadm: {bad}: Logical unit number must be less than 16384\n");
            assert_eq!(stmfadm(&format!("add-view -n {bad} {GUID}"), &none), ran(1, "", &line));
        }
        let long = "g".repeat(256);
        let line = format!("stmfadm: {GUID}: unknown error\n");
        assert_eq!(stmfadm(&format!("add-view -t {long} {GUID}"), &none), ran(1, "", &line));
    }

    #[test]
    fn lists() {
        let all = "View Entry: 0\n    Host group   : esx-prod\n    Target group : All\n    LUN          : 4\n\
                   View Entry: 1\n    Host group   : backup\n    Target group : tg-front\n    LUN          : 0\n";
        let call = format!("view_list({GUID})");
        let script = Script::new().ok(&call, two_entries());
        assert_eq!(stmfadm(&format!("list-view -l {GUID}"), &script), ran(0, all, ""));
        let script = Script::new().ok(&call, two_entries());
        let err = format!("stmfadm: {LOWER}, 7: not found\nstmfadm: {LOWER}, x: not found\n");
        let second = &all[all.find("View Entry: 1").unwrap()..];
        assert_eq!(
            stmfadm(&format!("list-view -l {LOWER} 7 1 x"), &script),
            ran(1, second, &err)
        );
    }

    #[test]
    fn list_failures() {
        let call = format!("view_list({GUID})");
        let script = Script::new().ok(&call, Vec::<ViewEntry>::new());
        let none = format!("stmfadm: {LOWER}: no views found\n");
        assert_eq!(stmfadm(&format!("list-view -l {GUID}"), &script), ran(1, "", &none));
        for (status, line) in [
            (Status::NotFound, none.as_str()),
            (Status::Busy, &format!("stmfadm: {LOWER}: resource busy\n")),
            (Status::Error, &format!("stmfadm: {LOWER}: unknown error\n")),
            (Status::ServiceNotFound, "stmfadm: STMF service not found\n"),
        ] {
            let script = Script::new().fail(&call, status);
            assert_eq!(stmfadm(&format!("list-view -l {GUID}"), &script), ran(1, "", line));
        }
        let bad = "g".repeat(32);
        let line = format!("stmfadm: {bad}: must be 32 hexadecimal digits long\n");
        assert_eq!(
            stmfadm(&format!("list-view -l {bad}"), &Script::new()),
            ran(1, "", &line)
        );
    }

    #[test]
    fn removes() {
        let (list, remove) = (format!("view_list({GUID})"), |n| format!("view_remove({GUID}, {n})"));
        let script = Script::new()
            .ok(&list, two_entries())
            .ok(&remove(0), ())
            .ok(&remove(1), ());
        assert_eq!(stmfadm(&format!("remove-view -l {GUID} -a"), &script), ran(0, "", ""));
        let script = Script::new()
            .ok(&list, two_entries())
            .fail(&remove(7), Status::NotFound)
            .ok(&remove(1), ())
            .fail(&remove(0), Status::Error)
            .fail(&remove(0), Status::Busy);
        let err = format!(
            "stmfadm: {LOWER}: 7: not found\nstmfadm: x: invalid input\nstmfadm: {LOWER}: 4294967296: not found\n\
             stmfadm: {LOWER}, 0: unknown error\nstmfadm: {LOWER}: resource busy\n"
        );
        assert_eq!(
            stmfadm(&format!("remove-view -l {GUID} 7 x 1 4294967296 0 0"), &script),
            ran(5, "", &err)
        );
    }

    #[test]
    fn remove_failures() {
        let none = Script::new();
        assert_eq!(
            stmfadm(&format!("remove-view -l {GUID}"), &none),
            ran(1, "", "stmfadm: no view entries specified\n")
        );
        // The word after -l is its value, whatever it looks like.
        let line = "stmfadm: no view entries specified\n";
        assert_eq!(stmfadm("remove-view -l -a", &none), ran(1, "", line));
        let line = "stmfadm: 60: must be 32 hexadecimal digits long\n";
        assert_eq!(stmfadm("remove-view -l 60 -a", &none), ran(1, "", line));
        let script = Script::new().ok(&format!("view_list({GUID})"), Vec::<ViewEntry>::new());
        let line = format!("stmfadm: {LOWER}: no views found\n");
        assert_eq!(stmfadm(&format!("remove-view -l {GUID} 0"), &script), ran(1, "", &line));
        let script = Script::new().fail(&format!("view_list({GUID})"), Status::ConfigNone);
        let line = "stmfadm: STMF service is not initialized\n";
        assert_eq!(stmfadm(&format!("remove-view -l {GUID} 0"), &script), ran(1, "", line));
    }
}
