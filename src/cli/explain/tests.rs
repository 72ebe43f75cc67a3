use super::*;
use crate::cli::command_line::EXPLAIN;
use crate::cli::script::{Script, ran, run};
use crate::cli::stmfadm;
use crate::framework::{ViewEntry, ViewRequest};
use crate::types::{GroupName, Guid, Lun};

const ONE: &str = "600144F0C73ABF00000065A1B2C30001";
const TWO: &str = "600144F0C73ABF00000065A1B2D70002";

fn group_named(name: &str) -> GroupName {
    GroupName::new(name.as_bytes()).unwrap()
}

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

fn explained(line: &str, script: &Script) -> crate::cli::script::Ran {
    run(stmfadm::run, &format!("stmfadm {line}"), script)
}

#[test]
fn a_group_that_was_mistyped() {
    let delete = |script: Script| {
        script.fail(
            &format!("group_delete(Host, {:?})", group_named("esx-prd")),
            Status::GroupNotFound,
        )
    };
    let line = "stmfadm: esx-prd: not found\n";
    assert_eq!(explained("delete-hg esx-prd", &delete(Script::new())), ran(1, "", line));
    let script = delete(Script::new()).ok("group_list(Host)", vec![group_named("web"), group_named("esx-prod")]);
    let detail = format!("{line}stmfadm: detail: did you mean esx-prod?\n");
    assert_eq!(explained("delete-hg --explain esx-prd", &script), ran(1, "", &detail));
}

#[test]
fn who_has_the_lun() {
    let request = ViewRequest {
        host_group: Some(group_named("esx")),
        target_group: None,
        lun: Lun::new(4),
    };
    let entry = |host: Option<&str>| ViewEntry {
        index: 3,
        host_group: host.map(group_named),
        target_group: None,
        lun: Lun::new(4).unwrap(),
    };
    let script = Script::new()
        .fail(&format!("view_add({ONE}, {request:?})"), Status::LunInUse)
        .ok("lu_list()", vec![guid(ONE), guid(TWO)])
        .ok(&format!("view_list({ONE})"), vec![entry(Some("backup"))])
        .ok(&format!("view_list({TWO})"), vec![entry(None)]);
    let err = format!(
        "stmfadm: LUN already in use\nstmfadm: detail: logical unit {TWO} has it: view entry 3 (host group All, target group \
         All, LUN 4)\n"
    );
    assert_eq!(
        explained(&format!("add-view --explain -h esx -n 4 {ONE}"), &script),
        ran(1, "", &err)
    );
}

#[test]
fn names_of_subcommands_options_and_properties() {
    let none = Script::new();
    let err = |line: &str| explained(line, &none).err;
    assert_eq!(err("list-l --explain"), "stmfadm: detail: did you mean list-lu?\n");
    assert_eq!(
        err("list-lu --verbos3 --explain"),
        "list-lu: illegal option -- verbos3\nstmfadm: detail: did you mean verbose?\n"
    );
    assert_eq!(
        err("create-lu --explain -p alas=x /a"),
        "stmfadm: invalid property specified: alas\nstmfadm: detail: did you mean alias?\n"
    );
    assert_eq!(
        err("create-lu --explain -p blk=big /a"),
        "stmfadm: unable to set blk: bad format\nstmfadm: detail: blk is a decimal number, a power of two from 512 to 32768\n"
    );
    assert_eq!(err("list-l"), "");
}

#[test]
fn numbers_of_statuses() {
    let subject = Subject::default();
    let text = |message: &str| detail(&subject, message, &Script::new());
    assert_eq!(
        text("could not set property: alias: 32770").unwrap(),
        "32770 is: not found"
    );
    assert_eq!(text("unknown error: 32774").unwrap(), "32774 is: out of memory");
    assert_eq!(text("list failed"), None);
    assert!(!subject.invocation.has(EXPLAIN));
}
