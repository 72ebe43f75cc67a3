//! `list-lu` (`cli.md` 2.8): sixteen lines a loaded LU, always in this order; scripts address them by position.

pub(super) mod json;

use super::DIGITS_LONG;
use crate::cli::command_line::{Invocation, JSON};
use crate::cli::text::{access_word, common_failure, or_dash, printable, state_word};
use crate::cli::{Console, Service, document, lu_name};
use crate::framework::{AccessReport, LuInfo};
use crate::types::{AccessState, Guid, LuProperties, Status};

const STANDBY: &str = "prop unavailable in standby";
const UNREADABLE: &str = "<error retrieving property>";

/// `list-lu`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    if !invocation.has(JSON) {
        let verbose = invocation.has('v');
        return each(invocation, service, console, &mut |guid, console| {
            show(guid, verbose, service, console)
        });
    }
    let mut data = Vec::new();
    let exit = each(invocation, service, console, &mut |guid, console| {
        json::lu(guid, service, console, &mut data)
    });
    document::print("list-lu", data, service, console);
    exit
}

/// What is done with each LU that is to be listed; returns its part of the exit status.
type Visit<'a> = dyn FnMut(Guid, &mut Console<'_>) -> u8 + 'a;

fn each(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>, visit: &mut Visit<'_>) -> u8 {
    let mut known = match service.lu_list() {
        Ok(list) => list,
        Err(status) => {
            let line = common_failure(status).unwrap_or(match status {
                Status::Busy => "resource busy",
                _ => "list failed",
            });
            console.fail(status, line);
            return 1;
        }
    };
    known.sort_unstable();
    let mut exit = 0;
    if invocation.operands.is_empty() {
        known.iter().for_each(|guid| exit |= visit(*guid, console));
    }
    for operand in &invocation.operands {
        match lu_name::parse(operand, service) {
            Ok(guid) if known.binary_search(&guid).is_ok() => exit |= visit(guid, console),
            Ok(_) => {
                console.fail_operand(operand, Status::NotFound, "not found");
                exit = 1;
            }
            Err(wrong) => {
                console.fail_operand(operand, wrong.status(), wrong.text(DIGITS_LONG));
                exit = 1;
            }
        }
    }
    exit
}

fn show(guid: Guid, verbose: bool, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    console.line(format_args!("LU Name: {guid}"));
    if !verbose {
        return 0;
    }
    let Some(info) = info(guid, service, console) else {
        return 1;
    };
    let loaded = info.state.is_some();
    state(
        console,
        "Operational Status",
        info.state.map_or("unregistered", state_word),
    );
    let provider = match (loaded, info.provider.as_str()) {
        (false, _) => "unregistered",
        (true, "") => "unknown",
        (true, name) => name,
    };
    property(console, "Provider Name", provider);
    property(console, "Alias", &or_dash(&info.alias));
    let views = service
        .view_list(guid)
        .map_or("unknown".to_owned(), |views| views.len().to_string());
    property(console, "View Entry Count", &views);
    if !loaded {
        return 0;
    }
    match resource(guid, service, console) {
        Some(report) => extended(&report, console),
        None => return 1,
    }
    0
}

/// What every LU has; the failure is told.
fn info(guid: Guid, service: &dyn Service, console: &mut Console<'_>) -> Option<LuInfo> {
    let failed = |status, console: &mut Console<'_>| {
        let text = "get properties failed";
        // No space after the colon (`cli.md` 2.8).
        let line = format!("{}:{guid} {text}", console.tool());
        console.error_line(line);
        console.remember(Some(&guid.to_string()), Some(status), text);
    };
    service.lu_info(guid).map_err(|status| failed(status, console)).ok()
}

/// What a loaded LU has; the failure is told.
fn resource(guid: Guid, service: &dyn Service, console: &mut Console<'_>) -> Option<AccessReport> {
    let failed = |status, console: &mut Console<'_>| {
        let text = "get extended properties failed";
        console.complain(text);
        console.remember(Some(&guid.to_string()), Some(status), text);
    };
    service.lu_resource(guid).map_err(|status| failed(status, console)).ok()
}

fn property(console: &mut Console<'_>, label: &str, value: &str) {
    console.line(format_args!("    {label:<18}: {value}"));
}

/// A property whose value is a state.
fn state(console: &mut Console<'_>, label: &str, value: &str) {
    let value = console.state(value);
    console.line(format_args!("    {label:<18}: {value}"));
}

fn extended(report: &AccessReport, console: &mut Console<'_>) {
    let active = report.access == AccessState::Active;
    for (label, value) in stored(&report.properties) {
        property(console, label, if active { &value } else { STANDBY });
    }
    state(console, "Access State", access_word(report.access));
}

/// The metadata file, when it is another than the data file.
fn separate_meta(properties: &LuProperties) -> Option<&str> {
    let meta = properties.meta_file.as_deref();
    meta.filter(|meta| Some(*meta) != properties.data_file.as_deref())
}

/// The ten lines that only the node with the store can fill.
fn stored(properties: &LuProperties) -> [(&'static str, String); 10] {
    let text = |value: &Option<String>| match value.as_deref() {
        None | Some("") => "not set".to_owned(),
        Some(text) => printable(text),
    };
    let padded = |value: &Option<String>, width: usize| match value.as_deref() {
        None | Some("") => "not set".to_owned(),
        Some(text) => format!("{:<width$}", printable(text)),
    };
    let number = |value: Option<u64>| value.map_or("not set".to_owned(), |n| n.to_string());
    let enabled = |value: Option<bool>| match value {
        Some(true) => "Enabled".to_owned(),
        Some(false) => "Disabled".to_owned(),
        None => UNREADABLE.to_owned(),
    };
    let separate = separate_meta(properties).map(str::to_owned);
    [
        ("Data File", text(&properties.data_file)),
        ("Meta File", text(&separate)),
        ("Size", number(properties.size)),
        ("Block Size", number(properties.block_size.map(u64::from))),
        ("Management URL", text(&properties.mgmt_url)),
        ("Vendor ID", padded(&properties.vendor, 8)),
        ("Product ID", padded(&properties.product, 16)),
        ("Serial Num", text(&properties.serial)),
        ("Write Protect", enabled(properties.write_protect)),
        (
            "Writeback Cache",
            enabled(properties.write_cache_disable.map(|disabled| !disabled)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Ran, Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::{AccessReport, LuInfo, ObjectState, ViewEntry};
    use crate::types::{AccessState, Guid, LuProperties, Lun, Status};

    const ONE: &str = "600144F0C73ABF00000065A1B2C30001";
    const TWO: &str = "600144F0C73ABF00000065A1B2D70002";
    const THREE: &str = "600144F0C73ABF00000065A1B2E90003";

    fn guid(text: &str) -> Guid {
        text.parse().unwrap()
    }

    fn info(name: &str, state: Option<ObjectState>, alias: &str) -> LuInfo {
        LuInfo {
            guid: guid(name),
            state,
            provider: if state.is_some() { "sbd".into() } else { String::new() },
            alias: alias.into(),
            vendor: *b"SUN     ",
            product: *b"COMSTAR         ",
            revision: *b"1.0 ",
        }
    }

    fn views(count: u32) -> Vec<ViewEntry> {
        let lun = Lun::new(0).unwrap();
        (0..count)
            .map(|index| ViewEntry {
                index,
                host_group: None,
                target_group: None,
                lun,
            })
            .collect()
    }

    fn report(access: AccessState) -> AccessReport {
        let properties = LuProperties {
            data_file: Some("/dev/zvol/tank/vm01".into()),
            size: Some(10_737_418_240),
            block_size: Some(512),
            vendor: Some("SUN".into()),
            product: Some("COMSTAR".into()),
            write_protect: Some(false),
            write_cache_disable: Some(false),
            ..LuProperties::default()
        };
        AccessReport { access, properties }
    }

    fn stmfadm(line: &str, script: &Script) -> Ran {
        run(stmfadm::run, &format!("stmfadm {line}"), script)
    }

    const ACTIVE: &str = "\
LU Name: 600144F0C73ABF00000065A1B2C30001
    Operational Status: Online
    Provider Name     : sbd
    Alias             : /dev/zvol/tank/vm01
    View Entry Count  : 1
    Data File         : /dev/zvol/tank/vm01
    Meta File         : not set
    Size              : 10737418240
    Block Size        : 512
    Management URL    : not set
    Vendor ID         : SUN     \n    Product ID        : COMSTAR         \n    Serial Num        : not set
    Write Protect     : Disabled
    Writeback Cache   : Enabled
    Access State      : Active
";

    const STANDBY: &str = "\
LU Name: 600144F0C73ABF00000065A1B2D70002
    Operational Status: Online
    Provider Name     : sbd
    Alias             : /dev/zvol/tank/vm02
    View Entry Count  : 1
    Data File         : prop unavailable in standby
    Meta File         : prop unavailable in standby
    Size              : prop unavailable in standby
    Block Size        : prop unavailable in standby
    Management URL    : prop unavailable in standby
    Vendor ID         : prop unavailable in standby
    Product ID        : prop unavailable in standby
    Serial Num        : prop unavailable in standby
    Write Protect     : prop unavailable in standby
    Writeback Cache   : prop unavailable in standby
    Access State      : Standby
";

    const UNLOADED: &str = "\
LU Name: 600144F0C73ABF00000065A1B2E90003
    Operational Status: unregistered
    Provider Name     : unregistered
    Alias             : -
    View Entry Count  : 2
";

    fn verbose_script() -> Script {
        Script::new()
            .ok("lu_list()", vec![guid(ONE), guid(TWO), guid(THREE)])
            .ok(
                &format!("lu_info({ONE})"),
                info(ONE, Some(ObjectState::Online), "/dev/zvol/tank/vm01"),
            )
            .ok(&format!("view_list({ONE})"), views(1))
            .ok(&format!("lu_resource({ONE})"), report(AccessState::Active))
            .ok(
                &format!("lu_info({TWO})"),
                info(TWO, Some(ObjectState::Online), "/dev/zvol/tank/vm02"),
            )
            .ok(&format!("view_list({TWO})"), views(1))
            .ok(&format!("lu_resource({TWO})"), report(AccessState::Standby))
            .ok(&format!("lu_info({THREE})"), info(THREE, None, ""))
            .ok(&format!("view_list({THREE})"), views(2))
    }

    #[test]
    fn short_list() {
        let script = Script::new().ok("lu_list()", vec![guid(ONE), guid(TWO)]);
        assert_eq!(
            stmfadm("list-lu", &script),
            ran(0, &format!("LU Name: {ONE}\nLU Name: {TWO}\n"), "")
        );
        let script = Script::new().ok("lu_list()", Vec::<Guid>::new());
        assert_eq!(stmfadm("LIST-LU", &script), ran(0, "", ""));
    }

    #[test]
    fn verbose_list_byte_for_byte() {
        assert_eq!(
            stmfadm("list-lu -v", &verbose_script()),
            ran(0, &format!("{ACTIVE}{STANDBY}{UNLOADED}"), "")
        );
        assert_eq!((ACTIVE.lines().count(), STANDBY.lines().count()), (16, 16));
    }

    /// `cli.md` 8.1, 8.2: the ways scripts cut this listing apart.
    #[test]
    fn scripts_can_still_parse_it() {
        let out = stmfadm("list-lu -v", &verbose_script()).out;
        let lines: Vec<&str> = out.lines().collect();
        let start = lines.iter().position(|l| l.contains("LU Name")).unwrap();
        assert_eq!(lines[start].split_whitespace().last(), Some(ONE));
        assert_eq!(lines[start].split(' ').nth(2), Some(ONE));
        assert_eq!(lines[start].replace(' ', "").split(':').nth(1), Some(ONE));
        let labels = [
            "Operational Status",
            "Provider Name",
            "Alias",
            "View Entry Count",
            "Data File",
            "Meta File",
            "Size",
            "Block Size",
            "Management URL",
            "Vendor ID",
            "Product ID",
            "Serial Num",
            "Write Protect",
            "Writeback Cache",
            "Access State",
        ];
        for (k, label) in labels.iter().enumerate() {
            assert_eq!(lines[start + k + 1].split(": ").next().unwrap().trim(), *label);
        }
        assert!(lines[start + 1].contains("Operational Status:"));
        assert_eq!(lines[start + 5].split_whitespace().nth(3), Some("/dev/zvol/tank/vm01"));
        assert_eq!(lines[start + 15].split_whitespace().nth(3), Some("Active"));
        assert_eq!(lines[start + 6].split(": ").nth(1), Some("not set"));
    }

    #[test]
    fn transitions_and_separate_metadata() {
        let mut moving = report(AccessState::TransitionToStandby);
        moving.properties.meta_file = Some("/meta".into());
        for (access, word) in [
            (
                AccessState::TransitionToStandby,
                "    Access State      : Active->Standby\n",
            ),
            (
                AccessState::TransitionToActive,
                "    Access State      : Standby->Active\n",
            ),
        ] {
            moving.access = access;
            let script = Script::new()
                .ok("lu_list()", vec![guid(ONE)])
                .ok(
                    &format!("lu_info({ONE})"),
                    info(ONE, Some(ObjectState::Onlining), "a\nb"),
                )
                .fail(&format!("view_list({ONE})"), Status::Busy)
                .ok(&format!("lu_resource({ONE})"), moving.clone());
            let result = stmfadm("list-lu -v", &script);
            assert!(result.out.ends_with(word), "{}", result.out);
            assert!(
                result
                    .out
                    .contains("    Data File         : prop unavailable in standby\n")
            );
            assert!(
                result
                    .out
                    .contains("    Alias             : a?b\n    View Entry Count  : unknown\n")
            );
            assert!(result.out.contains("    Operational Status: Onlining\n"));
        }
        moving.access = AccessState::Active;
        moving.properties.write_cache_disable = Some(true);
        moving.properties.write_protect = Some(true);
        let script = Script::new()
            .ok("lu_list()", vec![guid(ONE)])
            .ok(&format!("lu_info({ONE})"), info(ONE, Some(ObjectState::Offline), ""))
            .ok(&format!("view_list({ONE})"), views(0))
            .ok(&format!("lu_resource({ONE})"), moving);
        let result = stmfadm("list-lu -v", &script);
        assert!(result.out.contains("    Meta File         : /meta\n"));
        assert!(
            result
                .out
                .contains("    Write Protect     : Enabled\n    Writeback Cache   : Disabled\n")
        );
    }

    #[test]
    fn operands_in_their_order_and_failures() {
        let script = Script::new().ok("lu_list()", vec![guid(ONE), guid(TWO)]);
        let lower = ONE.to_lowercase();
        let err = format!("stmfadm: {THREE}: not found\nstmfadm: -v: must be 32 hexadecimal digits long\n");
        assert_eq!(
            stmfadm(&format!("list-lu {TWO} {THREE} {lower} -v"), &script),
            ran(1, &format!("LU Name: {TWO}\nLU Name: {ONE}\n"), &err)
        );
    }

    #[test]
    fn failures_of_the_service() {
        for (status, line) in [
            (Status::Busy, "stmfadm: resource busy\n"),
            (Status::Error, "stmfadm: list failed\n"),
            (Status::ServiceNotFound, "stmfadm: STMF service not found\n"),
            (Status::Perm, "stmfadm: permission denied\n"),
        ] {
            let script = Script::new().fail("lu_list()", status);
            assert_eq!(stmfadm("list-lu", &script), ran(1, "", line));
        }
        let script = Script::new()
            .ok("lu_list()", vec![guid(ONE), guid(TWO)])
            .fail(&format!("lu_info({ONE})"), Status::NotFound)
            .ok(&format!("lu_info({TWO})"), info(TWO, Some(ObjectState::Offlining), ""))
            .ok(&format!("view_list({TWO})"), views(0))
            .fail(&format!("lu_resource({TWO})"), Status::Busy);
        let out = format!(
            "LU Name: {ONE}\nLU Name: {TWO}\n    Operational Status: Offlining\n    Provider Name     : sbd\n    \
             Alias             : -\n    View Entry Count  : 0\n"
        );
        let err = format!("stmfadm:{ONE} get properties failed\nstmfadm: get extended properties failed\n");
        assert_eq!(stmfadm("list-lu -v", &script), ran(1, &out, &err));
    }
}
