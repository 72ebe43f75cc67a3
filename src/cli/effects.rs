//! What a changing command does, told by the service: `--dry-run` (`cli.md` 10.6) and `--json` (10.1).
#![forbid(unsafe_code)]

use super::command_line::{DRY_RUN, Invocation, JSON};
use super::text::printable;
use super::{Console, Service, document};
use crate::framework::{Effect, GroupKind, IscsiObject, ViewEntry};
use crate::types::{GroupName, LuChange};
use serde_json::{Value, json};

/// Runs a changing command. With one of the two options it prints nothing itself, and what it did, or would have done, is
/// told in its place.
pub fn run(
    command: &str,
    invocation: &Invocation,
    service: &dyn Service,
    console: &mut Console<'_>,
    change: impl FnOnce(&mut Console<'_>) -> u8,
) -> u8 {
    let (rehearsal, json) = (invocation.has(DRY_RUN), invocation.has(JSON));
    if !rehearsal && !json {
        return change(console);
    }
    service.tell(rehearsal);
    console.silence(true);
    let exit = change(console);
    let effects = service.told();
    console.silence(false);
    if json {
        let data: Vec<Value> = effects.iter().map(value).collect();
        document::print_change(command, rehearsal, data, service, console);
    } else {
        let lines = effects.iter().map(text);
        lines.for_each(|text| console.line(format_args!("would {text}")));
    }
    exit
}

const fn group_word(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Host => "host group",
        GroupKind::Target => "target group",
    }
}

fn or_all(group: &Option<GroupName>) -> &str {
    group.as_ref().map_or("All", GroupName::as_str)
}

fn entry_words(entry: &ViewEntry) -> String {
    let (host, target) = (or_all(&entry.host_group), or_all(&entry.target_group));
    format!("host group {host}, target group {target}, LUN {}", entry.lun.get())
}

fn counted(number: u32, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// ` (4 sessions)`, or nothing.
fn busy(sessions: u32) -> String {
    match sessions {
        0 => String::new(),
        sessions => format!(" ({})", counted(sessions, "session")),
    }
}

fn iscsi_words(object: IscsiObject, name: &str) -> String {
    match object {
        IscsiObject::Target => format!("target {name}"),
        IscsiObject::PortalGroup => format!("target portal group {}", printable(name)),
        IscsiObject::Initiator => format!("initiator {name}"),
        IscsiObject::Defaults => "the iSCSI defaults".to_owned(),
    }
}

/// Property, and its value as it is typed.
fn property(change: &LuChange) -> (&'static str, String) {
    match change {
        LuChange::Alias(alias) => ("alias", alias.clone()),
        LuChange::Size(bytes) => ("size", bytes.to_string()),
        LuChange::MgmtUrl(url) => ("mgmt-url", url.clone().unwrap_or_default()),
        LuChange::WriteProtect(set) => ("wp", set.to_string()),
        LuChange::WriteCacheDisable(set) => ("wcd", set.to_string()),
    }
}

/// What comes after `would `.
fn text(effect: &Effect) -> String {
    match effect {
        Effect::GroupCreated(kind, name) => format!("create {} {name}", group_word(*kind)),
        Effect::GroupDeleted(kind, name) => format!("delete {} {name}", group_word(*kind)),
        Effect::MemberAdded(kind, name, member) => format!("add {member} to {} {name}", group_word(*kind)),
        Effect::MemberRemoved(kind, name, member) => format!("remove {member} from {} {name}", group_word(*kind)),
        Effect::SessionsRemapped(sessions) => format!("map logical units anew for {}", counted(*sessions, "session")),
        Effect::ViewAdded(guid, entry) => format!("add view entry {} to {guid}: {}", entry.index, entry_words(entry)),
        Effect::ViewRemoved(guid, entry) => {
            format!("remove view entry {} from {guid}: {}", entry.index, entry_words(entry))
        }
        Effect::Shown(initiators, sessions) => format!(
            "make it visible to {} with {}",
            counted(*initiators, "initiator"),
            counted(*sessions, "session")
        ),
        Effect::Hidden(initiators, sessions) => format!(
            "hide it from {} with {}",
            counted(*initiators, "initiator"),
            counted(*sessions, "session")
        ),
        Effect::LuCreated { guid, file, size } => {
            format!("create logical unit {guid} on {}, {size} bytes", printable(file))
        }
        Effect::LuImported(guid, file) => format!("import logical unit {guid} from {}", printable(file)),
        Effect::LuUnloaded(guid, file, sessions) => {
            format!("unload logical unit {guid} on {}{}", printable(file), busy(*sessions))
        }
        Effect::LuModified(guid, change) => {
            let (name, value) = property(change);
            format!("set {name} of logical unit {guid} to '{}'", printable(&value))
        }
        Effect::LuOnline(guid) => format!("bring logical unit {guid} online"),
        Effect::LuOffline(guid, sessions) => format!("take logical unit {guid} offline{}", busy(*sessions)),
        Effect::LuStandby(guid, file, sessions) => {
            format!(
                "put logical unit {guid} on {} in standby{}",
                printable(file),
                busy(*sessions)
            )
        }
        Effect::TargetOnline(target) => format!("bring target {target} online"),
        Effect::TargetOffline(target, sessions) => format!("take target {target} offline{}", busy(*sessions)),
        Effect::AluaEnabled(node) => format!("enable ALUA as node {}", node.get()),
        Effect::AluaDisabled(0) => "disable ALUA".to_owned(),
        Effect::AluaDisabled(lus) => format!("disable ALUA and unload {}", counted(*lus, "standby logical unit")),
        Effect::PeerFenced => "declare the peer fenced".to_owned(),
        Effect::LuPolicy(guid, non_optimized) => {
            format!(
                "set the access policy of logical unit {guid} to {}",
                policy(*non_optimized)
            )
        }
        Effect::StandbyReads(forward) => format!("{} READ on standby logical units", reads(*forward)),
        Effect::LuMoved(guid, file, sessions) => {
            format!(
                "move logical unit {guid} on {} to the peer{}",
                printable(file),
                busy(*sessions)
            )
        }
        Effect::Mirror(on) => format!("switch mirroring of groups and view entries {}", on_off(*on)),
        Effect::IscsiCreated(object, name) => format!("create {}", iscsi_words(*object, name)),
        Effect::IscsiModified(object, name) => format!("modify {}", iscsi_words(*object, name)),
        Effect::IscsiDeleted(object, name, sessions) => {
            format!("delete {}{}", iscsi_words(*object, name), busy(*sessions))
        }
    }
}

const fn policy(non_optimized: bool) -> &'static str {
    if non_optimized { "non-optimized" } else { "standby" }
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

const fn reads(forward: bool) -> &'static str {
    if forward { "forward" } else { "refuse" }
}

const fn group_object(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Host => "host-group",
        GroupKind::Target => "target-group",
    }
}

const fn iscsi_object(object: IscsiObject) -> &'static str {
    match object {
        IscsiObject::Target => "target",
        IscsiObject::PortalGroup => "portal-group",
        IscsiObject::Initiator => "initiator",
        IscsiObject::Defaults => "defaults",
    }
}

/// An element of `data` (`docs/schema/change.json`): `result` and `object` tell which other keys there are.
fn value(effect: &Effect) -> Value {
    let lu = |result: &str, guid| json!({"result": result, "object": "logical-unit", "guid": format!("{guid}")});
    let with = |mut value: Value, key: &str, more: Value| {
        value[key] = more;
        value
    };
    let entry = |result: &str, guid, entry: &ViewEntry| {
        json!({
            "result": result, "object": "view-entry", "guid": format!("{guid}"), "index": entry.index,
            "host_group": entry.host_group.as_ref().map(GroupName::as_str),
            "target_group": entry.target_group.as_ref().map(GroupName::as_str),
            "lun": entry.lun.get(),
        })
    };
    let member = |result: &str, kind, name: &GroupName, member| {
        json!({"result": result, "object": "member", "kind": group_object(kind), "group": name.as_str(),
               "member": format!("{member}")})
    };
    let group = |result: &str, kind, name: &GroupName| json!({"result": result, "object": group_object(kind), "name": name.as_str()});
    let sessions = |result: &str, initiators: Option<u32>, sessions: u32| json!({"result": result, "object": "sessions", "initiators": initiators, "sessions": sessions});
    let iscsi = |result: &str, object, name: &str| {
        let name = Some(name).filter(|name| !name.is_empty());
        json!({"result": result, "object": iscsi_object(object), "name": name})
    };
    match effect {
        Effect::GroupCreated(kind, name) => group("created", *kind, name),
        Effect::GroupDeleted(kind, name) => group("deleted", *kind, name),
        Effect::MemberAdded(kind, name, devid) => member("added", *kind, name, devid),
        Effect::MemberRemoved(kind, name, devid) => member("removed", *kind, name, devid),
        Effect::SessionsRemapped(count) => sessions("remapped", None, *count),
        Effect::ViewAdded(guid, view) => entry("added", guid, view),
        Effect::ViewRemoved(guid, view) => entry("removed", guid, view),
        Effect::Shown(initiators, count) => sessions("shown", Some(*initiators), *count),
        Effect::Hidden(initiators, count) => sessions("hidden", Some(*initiators), *count),
        Effect::LuCreated { guid, file, size } => {
            with(with(lu("created", guid), "file", json!(file)), "size", json!(size))
        }
        Effect::LuImported(guid, file) => with(lu("imported", guid), "file", json!(file)),
        Effect::LuUnloaded(guid, file, count) => with(
            with(lu("unloaded", guid), "file", json!(file)),
            "sessions",
            json!(count),
        ),
        Effect::LuModified(guid, change) => {
            let (name, value) = property(change);
            with(
                with(lu("modified", guid), "property", json!(name)),
                "value",
                json!(value),
            )
        }
        Effect::LuOnline(guid) => lu("online", guid),
        Effect::LuOffline(guid, count) => with(lu("offline", guid), "sessions", json!(count)),
        Effect::LuStandby(guid, file, count) => {
            with(with(lu("standby", guid), "file", json!(file)), "sessions", json!(count))
        }
        Effect::TargetOnline(target) => iscsi("online", IscsiObject::Target, &target.to_string()),
        Effect::TargetOffline(target, count) => {
            let target = iscsi("offline", IscsiObject::Target, &target.to_string());
            with(target, "sessions", json!(count))
        }
        Effect::AluaEnabled(node) => json!({"result": "enabled", "object": "alua", "node": node.get()}),
        Effect::AluaDisabled(lus) => json!({"result": "disabled", "object": "alua", "standby_unloaded": lus}),
        Effect::PeerFenced => json!({"result": "fenced", "object": "peer"}),
        Effect::LuPolicy(guid, set) => {
            let modified = with(lu("modified", guid), "property", json!("policy"));
            with(modified, "value", json!(policy(*set)))
        }
        Effect::StandbyReads(forward) => {
            json!({"result": "modified", "object": "standby-reads", "value": reads(*forward)})
        }
        Effect::LuMoved(guid, file, count) => {
            with(with(lu("moved", guid), "file", json!(file)), "sessions", json!(count))
        }
        Effect::Mirror(on) => json!({"result": "modified", "object": "mirror", "value": on_off(*on)}),
        Effect::IscsiCreated(object, name) => iscsi("created", *object, name),
        Effect::IscsiModified(object, name) => iscsi("modified", *object, name),
        Effect::IscsiDeleted(object, name, count) => with(iscsi("deleted", *object, name), "sessions", json!(count)),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Script, ran, run};
    use crate::cli::{itadm, stmfadm};
    use crate::framework::{ConfigState, Effect, ObjectState, ServiceState, ViewEntry};
    use crate::iscsi::admin::{Change, Refusal};
    use crate::types::{Guid, LuProperties, Lun, Status};

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";

    fn guid() -> Guid {
        GUID.parse().unwrap()
    }

    #[test]
    fn a_dry_run_tells_what_would_happen() {
        let entry = ViewEntry {
            index: 1,
            host_group: Some(crate::types::GroupName::new(b"esx").unwrap()),
            target_group: None,
            lun: Lun::new(5).unwrap(),
        };
        let script = Script::new()
            .ok(
                &format!("view_add({GUID}, ViewRequest {{ host_group: None, target_group: None, lun: None }})"),
                entry.clone(),
            )
            .told(true, vec![Effect::ViewAdded(guid(), entry), Effect::Shown(1, 3)]);
        let out = format!(
            "would add view entry 1 to {GUID}: host group esx, target group All, LUN 5\n\
             would make it visible to 1 initiator with 3 sessions\n"
        );
        let line = format!("stmfadm add-view --dry-run {GUID}");
        assert_eq!(run(stmfadm::run, &line, &script), ran(0, &out, ""));
    }

    #[test]
    fn a_command_that_is_told_of_prints_nothing_itself() {
        let properties = LuProperties {
            data_file: Some("/a".into()),
            ..LuProperties::default()
        };
        let call = format!("lu_create({properties:?})");
        let created = Effect::LuCreated {
            guid: guid(),
            file: "/a".into(),
            size: 512,
        };
        let script = Script::new().ok(&call, guid()).told(true, vec![created.clone()]);
        let out = format!("would create logical unit {GUID} on /a, 512 bytes\n");
        assert_eq!(
            run(stmfadm::run, "stmfadm create-lu --dry-run /a", &script),
            ran(0, &out, "")
        );

        let script = Script::new()
            .ok(&call, guid())
            .told(false, vec![created])
            .fail("alua()", Status::Busy);
        let seen = run(stmfadm::run, "stmfadm create-lu --json /a", &script);
        let document: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
        assert_eq!((seen.status, &document["dry_run"]), (0, &serde_json::json!(false)));
        let expected = serde_json::json!([
            {"result": "created", "object": "logical-unit", "guid": GUID, "file": "/a", "size": 512}
        ]);
        assert_eq!(document["data"], expected);
    }

    #[test]
    fn failures_are_those_of_the_real_run() {
        let script = Script::new()
            .fail(&format!("lu_delete({GUID})"), Status::Busy)
            .told(true, Vec::new());
        let line = format!("stmfadm delete-lu --dry-run {GUID}");
        let busy = ran(1, "", "stmfadm: resource busy\n");
        assert_eq!(run(stmfadm::run, &line, &script), busy);

        let script = Script::new()
            .fail(&format!("lu_delete({GUID})"), Status::Busy)
            .told(true, Vec::new())
            .fail("alua()", Status::Busy);
        let seen = run(
            stmfadm::run,
            &format!("stmfadm delete-lu --json --dry-run {GUID}"),
            &script,
        );
        let document: serde_json::Value = serde_json::from_str(&seen.out).unwrap();
        assert_eq!(document["errors"][0]["message"], "resource busy");
        assert_eq!(
            (seen.status, document["errors"][0]["name"].as_str()),
            (1, Some("failed"))
        );
    }

    #[test]
    fn what_a_dry_run_cannot_tell_is_refused() {
        let line = format!("stmfadm delete-lu --dry-run {GUID} {}", GUID.to_lowercase());
        let err = format!(
            "stmfadm: {}: named twice, which --dry-run cannot evaluate\n",
            GUID.to_lowercase()
        );
        assert_eq!(run(stmfadm::run, &line, &Script::new()), ran(1, "", &err));
    }

    #[test]
    fn itadm_too() {
        let online = ServiceState {
            operational: ObjectState::Online,
            config: ConfigState::InitDone,
        };
        let change = Change::DeleteTarget {
            name: "iqn.2010-08.org.x:t".into(),
            force: true,
        };
        let target = Effect::IscsiDeleted(crate::framework::IscsiObject::Target, "iqn.2010-08.org.x:t".into(), 2);
        let script = Script::new()
            .ok("state()", online)
            .ok::<Result<String, Refusal>>(&format!("iscsi_change({change:?})"), Ok(String::new()))
            .told(true, vec![target]);
        let line = "itadm delete-target -f --dry-run iqn.2010-08.org.x:t";
        let out = "would delete target iqn.2010-08.org.x:t (2 sessions)\n";
        assert_eq!(run(itadm::run, line, &script), ran(0, out, ""));
    }
}
