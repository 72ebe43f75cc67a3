//! Golden tests: calls, standard output, standard error and exit status, byte for byte.

use crate::cli::itadm;
use crate::cli::script::{Ran, Script, ran, run};
use crate::framework::{ConfigState, ObjectState, ServiceState};
use crate::iscsi::admin::{
    Auth, Change, DefaultsChange, DefaultsInfo, GroupInfo, InitiatorChange, InitiatorInfo, Listing, Refusal, Set,
    TargetChange, TargetInfo,
};
use crate::types::{Secret, Status};

const LONG: &str = "iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44";
const RACK: &str = "iqn.2010-08.org.illumos:02:rack4";
const HOST: &str = "iqn.1993-08.org.debian:01:9a1f0c2d7e";

fn online() -> Script {
    let state = ServiceState {
        operational: ObjectState::Online,
        config: ConfigState::InitDone,
    };
    Script::new().ok("state()", state)
}

/// The tool makes this change; the service answers so.
fn asked(change: Change, answer: Result<&str, Refusal>) -> Script {
    online().ok(&format!("iscsi_change({change:?})"), answer.map(str::to_owned))
}

fn listed(listing: Listing) -> Script {
    online().ok("iscsi_listing()", listing)
}

fn itadm(line: &str, script: &Script) -> Ran {
    run(itadm::run, &format!("itadm {line}"), script)
}

/// What fails, with its lines and the closing one.
fn fails(line: &str, script: &Script, number: u8, lines: &str) {
    let subcommand = line.split(' ').next().unwrap();
    let err = format!("{lines}\nitadm {subcommand} failed with error {number}\n");
    assert_eq!(itadm(line, script), ran(number, "", &err), "{line}");
}

fn named(name: &str) -> TargetChange {
    TargetChange {
        name: Some(name.into()),
        ..TargetChange::default()
    }
}

fn target(name: &str, online: Option<bool>, sessions: u32) -> TargetInfo {
    TargetInfo {
        name: name.into(),
        alias: None,
        online,
        sessions,
        auth: None,
        chap_user: None,
        secret: false,
        groups: Vec::new(),
    }
}

fn targets() -> Listing {
    let first = TargetInfo {
        alias: Some("rack4-front".into()),
        groups: vec![("tpgB".into(), 3), ("tpgA".into(), 2)],
        ..target(LONG, Some(true), 2)
    };
    let second = TargetInfo {
        auth: Some(Auth::Chap),
        chap_user: Some("backup-svc".into()),
        secret: true,
        ..target(RACK, Some(false), 0)
    };
    Listing {
        targets: vec![first, second],
        ..Listing::default()
    }
}

#[test]
fn creates_targets() {
    let out = format!("Target {LONG} successfully created\n");
    let script = asked(Change::CreateTarget(TargetChange::default()), Ok(LONG));
    assert_eq!(itadm("create-target", &script), ran(0, &out, ""));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secret");
    std::fs::write(&path, "correct horse\n").unwrap();
    let all = TargetChange {
        alias: Set::To("front".into()),
        auth: Set::To(Auth::Chap),
        chap_user: Set::To("me".into()),
        secret: Some(Secret::new(b"correct horse".to_vec()).unwrap()),
        groups: Some(vec!["tpgA".into(), "tpgB".into()]),
        ..named(RACK)
    };
    let line = format!(
        "create-target -n iqn.2010-08.org.illumos:02:RACK4 --alias=front -a chap -u me -S {} -t tpgA,tpgB",
        path.display()
    );
    let out = format!("Target {RACK} successfully created\n");
    let script = asked(Change::CreateTarget(all), Ok(RACK));
    assert_eq!(itadm(&line, &script), ran(0, &out, ""));
    let cleared = TargetChange {
        alias: Set::Clear,
        auth: Set::Clear,
        chap_user: Set::Clear,
        groups: Some(Vec::new()),
        ..TargetChange::default()
    };
    let script = asked(Change::CreateTarget(cleared), Ok(LONG));
    assert_eq!(
        itadm("create-target -l None -a default -u NONE -t default", &script).status,
        0
    );
}

#[test]
fn create_target_failures() {
    let refused = |change: TargetChange, refusal| asked(Change::CreateTarget(change), Err(refusal));
    let line = format!("create-target -n {RACK}");
    for (refusal, number, lines) in [
        (
            Refusal::Exists(RACK.into()),
            17,
            format!("iSCSI target {RACK} already configured"),
        ),
        (Refusal::TooMany(255), 7, "Maximum of 255 iSCSI targets".into()),
        (
            Refusal::property("alias", "wrong"),
            22,
            "Error setting target properties: 22\n\talias: wrong".into(),
        ),
    ] {
        fails(&line, &refused(named(RACK), refusal), number, &lines);
    }
    let with = |groups: &[&str]| TargetChange {
        groups: Some(groups.iter().map(|&group| group.into()).collect()),
        ..TargetChange::default()
    };
    let script = refused(with(&["a", "b"]), Refusal::NoGroup("b".into()));
    fails("create-target -t a,b", &script, 1, "Invalid tpg-tag b, tag not defined");
    let script = refused(with(&["a", "a"]), Refusal::GroupTwice("a".into()));
    let lines = "Could not add target portal group tag a: File exists";
    fails("create-target -t a,a", &script, 17, lines);
    let lines = "Invalid tpg-tag default, tag not defined";
    fails("create-target -t a,default", &online(), 1, lines);
    fails("create-target -n rack4", &online(), 22, "Invalid name rack4");
    fails(
        "create-target -n iqn.rack4",
        &online(),
        14,
        "Invalid iSCSI name iqn.rack4",
    );
    let lines = "Error setting target properties: 22\n\tCHAP: must be none, chap, radius or default";
    fails("create-target -a CHAP", &online(), 22, lines);
    let call = format!("iscsi_change({:?})", Change::CreateTarget(named(RACK)));
    for (status, exit, err) in [
        (
            Status::Busy,
            1,
            "Error creating target: resource busy\nitadm create-target failed with error 32769\n",
        ),
        (
            Status::Error,
            1,
            "Error creating target: unknown error\nitadm create-target failed with error 32768\n",
        ),
        (
            Status::NoMem,
            6,
            "Error creating target: out of memory\nitadm create-target failed with error 32774\n",
        ),
        (
            Status::Perm,
            1,
            "Error, operation requires authorization solaris.smf.modify.stmf\nitadm create-target failed with error 1\n",
        ),
    ] {
        assert_eq!(itadm(&line, &online().fail(&call, status)), ran(exit, "", err));
    }
    let script = refused(named(RACK), Refusal::Failed(Status::Error));
    assert_eq!(
        itadm(&line, &script).err,
        "Error creating target: unknown error\nitadm create-target failed with error 32768\n"
    );
}

#[test]
fn bad_secret_files_show_the_usage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    let result = itadm(&format!("create-initiator -S {path} {HOST}"), &Script::new());
    assert_eq!(
        (result.status, result.err),
        (9, format!("Invalid secret file {path}\n"))
    );
    assert!(result.out.starts_with("usage:\n\tcreate-initiator\t"));
    let result = itadm(&format!("create-target -S {path}/none"), &Script::new());
    let err = format!("Could not open secret file {path}/none: No such file or directory\n");
    assert_eq!((result.status, result.err), (2, err));
}

#[test]
fn modifies_targets() {
    let modify = |name: &str, change| Change::ModifyTarget {
        name: name.into(),
        change,
    };
    let script = asked(modify(RACK, named(LONG)), Ok(LONG));
    let out = format!("Target {LONG} successfully modified\n");
    assert_eq!(
        itadm(&format!("modify-target {RACK} -n {LONG}"), &script),
        ran(0, &out, "")
    );
    let refused = |refusal| asked(modify(RACK, named(LONG)), Err(refusal));
    let line = format!("modify-target -n {LONG} {RACK}");
    for (refusal, number, lines) in [
        (Refusal::NotFound(RACK.into()), 22, format!("Target {RACK} not found")),
        (
            Refusal::Exists(LONG.into()),
            1,
            format!("A target with name {LONG} already exists"),
        ),
        (
            Refusal::NoGroup("x".into()),
            1,
            "Invalid tpg-name x: not defined".into(),
        ),
        (Refusal::NoTag, 7, "Error, no portal tag available".into()),
        (
            Refusal::property("radius", "not available in this version"),
            22,
            "Error setting target properties: 22\n\tradius: not available in this version".into(),
        ),
    ] {
        fails(&line, &refused(refusal), number, &lines);
    }
    let lines = "Invalid iSCSI name rack4";
    fails(&format!("modify-target -n rack4 {RACK}"), &online(), 1, lines);
}

#[test]
fn deletes_targets() {
    let delete = |force| Change::DeleteTarget {
        name: RACK.into(),
        force,
    };
    let script = asked(delete(true), Ok(RACK));
    assert_eq!(itadm(&format!("delete-target {RACK} -f"), &script), ran(0, "", ""));
    let line = format!("delete-target {RACK}");
    let lines = format!("The target is online or busy. Use the -f (force) option, or 'stmfadm offline-target {RACK}'");
    fails(
        &line,
        &asked(delete(false), Err(Refusal::Busy(RACK.into()))),
        16,
        &lines,
    );
    let lines = format!("Target {RACK} not found");
    fails(
        &line,
        &asked(delete(false), Err(Refusal::NotFound(RACK.into()))),
        1,
        &lines,
    );
    let script = asked(delete(false), Err(Refusal::Failed(Status::Error)));
    let err = "Error deleting target: unknown error\nitadm delete-target failed with error 32768\n";
    assert_eq!(itadm(&line, &script), ran(1, "", err));
}

#[test]
fn lists_targets() {
    let out = "\
TARGET NAME                                                  STATE    SESSIONS \n\
iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44\tonline   2        \n\
iqn.2010-08.org.illumos:02:rack4                             offline  0        \n";
    assert_eq!(itadm("list-target", &listed(targets())), ran(0, out, ""));
    let out = "\
TARGET NAME                                                  STATE    SESSIONS \n\
iqn.2010-08.org.illumos:02:4b1c7f6e-0d35-4c11-9a57-6f0e2b9d1a44\tonline   2        \n\
\talias:              \track4-front\n\
\tauth:               \tnone (defaults)\n\
\ttargetchapuser:     \t-\n\
\ttargetchapsecret:   \tunset\n\
\ttpg-tags:           \ttpgB = 3,tpgA = 2\n\
iqn.2010-08.org.illumos:02:rack4                             offline  0        \n\
\talias:              \t-\n\
\tauth:               \tchap \n\
\ttargetchapuser:     \tbackup-svc\n\
\ttargetchapsecret:   \tset\n\
\ttpg-tags:           \tdefault\n";
    assert_eq!(itadm("list-target -v", &listed(targets())), ran(0, out, ""));
    let out = format!("{LONG}\tonline\t2\n{RACK}\toffline\t0\n");
    assert_eq!(itadm("list-target -p", &listed(targets())), ran(0, &out, ""));
    let out = format!("{RACK}\toffline\t0\t-\tchap \tbackup-svc\tset\tdefault\n");
    let line = "list-target -pv iqn.2010-08.org.illumos:02:RACK4";
    assert_eq!(itadm(line, &listed(targets())), ran(0, &out, ""));
    assert_eq!(itadm("list-target", &listed(Listing::default())), ran(0, "", ""));
    fails("list-target iqn.x", &listed(targets()), 1, "Target iqn.x not found!");
    let mut changed = targets();
    changed.targets[0].online = None;
    changed.defaults.auth = Some(Auth::Chap);
    changed.defaults.alias = Some("all".into());
    changed.targets[0].alias = None;
    let out = format!("{LONG}\t-\t2\tall\tchap (defaults)\t-\tunset\ttpgB = 3,tpgA = 2\n");
    assert_eq!(
        itadm(&format!("list-target -pv {LONG}"), &listed(changed)),
        ran(0, &out, "")
    );
}

#[test]
fn list_failures() {
    let script = online().fail("iscsi_listing()", Status::Perm);
    fails(
        "list-target",
        &script,
        1,
        "Error, operation requires authorization solaris.smf.read.stmf",
    );
    let script = online().fail("iscsi_listing()", Status::ServiceDataVersion);
    let err = "Error retrieving iSCSI target configuration: STMF service version incorrect\n\
               itadm list-tpg failed with error 32784\n";
    assert_eq!(itadm("list-tpg", &script), ran(16, "", err));
}

#[test]
fn portal_groups() {
    let create = |portals: &[&str]| Change::CreateGroup {
        name: "tpgA".into(),
        portals: portals.iter().map(|portal| portal.parse().unwrap()).collect(),
    };
    let both = create(&["192.0.2.10:3260", "[2001:db8::10]:3260"]);
    let line = "create-tpg tpgA 192.0.2.10 [2001:db8::10]";
    assert_eq!(itadm(line, &asked(both.clone(), Ok("tpgA"))), ran(0, "", ""));
    let exists = Err(Refusal::Exists("tpgA".into()));
    fails(
        line,
        &asked(both.clone(), exists),
        1,
        "Target Portal Group tpgA already exists",
    );
    let used = Err(Refusal::PortalInUse("[2001:db8::10]:3260".parse().unwrap()));
    fails(line, &asked(both, used), 17, "Portal [2001:db8::10] already in use");
    let long = "x".repeat(256);
    for (line, lines) in [
        ("create-tpg tpgA", "Error, no portal addresses specified"),
        ("create-tpg tpgA a,b", "Bad portal name a,b"),
        (
            "create-tpg tpgA host",
            "Could not create the target portal group: Invalid argument",
        ),
        (
            "create-tpg tpgA 192.0.2.1 host",
            "Error adding portal host: Invalid argument",
        ),
        (
            &format!("create-tpg {long} 192.0.2.1"),
            "Target Portal Group name must be no longer than 255 characters",
        ),
    ] {
        fails(line, &online(), 22, lines);
    }
    let delete = |force| Change::DeleteGroup {
        name: "tpgA".into(),
        force,
    };
    assert_eq!(
        itadm("delete-tpg -f tpgA", &asked(delete(true), Ok("tpgA"))),
        ran(0, "", "")
    );
    let busy = asked(delete(false), Err(Refusal::Busy("tpgA".into())));
    let lines = "Target portal group associated with one or more targets.  Cannot delete.";
    fails("delete-tpg tpgA", &busy, 16, lines);
    let missing = asked(delete(false), Err(Refusal::NotFound("tpgA".into())));
    fails(
        "delete-tpg tpgA",
        &missing,
        1,
        "Target portal group tpgA does not exist",
    );
}

#[test]
fn lists_portal_groups() {
    let group = |name: &str, portals: &[&str]| GroupInfo {
        name: name.into(),
        portals: portals.iter().map(|portal| portal.parse().unwrap()).collect(),
    };
    let groups = || Listing {
        groups: vec![
            group("tpgB", &["192.0.2.20:3260"]),
            group("tpgA", &["[2001:db8::10]:3260", "192.0.2.10:3260"]),
        ],
        ..Listing::default()
    };
    let out = "\
TARGET PORTAL GROUP           PORTAL COUNT\n\
tpgB                          1        \n\
\x20   portals:\t192.0.2.20:3260\n\
tpgA                          2        \n\
\x20   portals:\t[2001:db8::10]:3260,192.0.2.10:3260\n";
    assert_eq!(itadm("list-tpg -v", &listed(groups())), ran(0, out, ""));
    let out = "TARGET PORTAL GROUP           PORTAL COUNT\ntpgA                          2        \n";
    assert_eq!(itadm("list-tpg tpgA", &listed(groups())), ran(0, out, ""));
    assert_eq!(
        itadm("list-tpg -p", &listed(groups())),
        ran(0, "tpgB\t1\ntpgA\t2\n", "")
    );
    let out = "tpgB\t1\t192.0.2.20:3260\ntpgA\t2\t[2001:db8::10]:3260,192.0.2.10:3260\n";
    assert_eq!(itadm("list-tpg -pv", &listed(groups())), ran(0, out, ""));
    assert_eq!(itadm("list-tpg", &listed(Listing::default())), ran(0, "", ""));
    fails(
        "list-tpg TPGA",
        &listed(groups()),
        1,
        "Target Portal Group TPGA not found!\n",
    );
}

#[test]
fn initiators() {
    let change = InitiatorChange {
        chap_user: Set::To("hv11".into()),
        secret: None,
    };
    let create = Change::CreateInitiator {
        name: HOST.into(),
        change: change.clone(),
    };
    let modify = Change::ModifyInitiator {
        name: HOST.into(),
        change,
    };
    let delete = Change::DeleteInitiator { name: HOST.into() };
    let (create_line, modify_line) = (
        format!("create-initiator -u hv11 {HOST}"),
        format!("modify-initiator {HOST} -u hv11"),
    );
    let delete_line = format!("delete-initiator {HOST}");
    for (line, change) in [
        (&create_line, &create),
        (&modify_line, &modify),
        (&delete_line, &delete),
    ] {
        assert_eq!(itadm(line, &asked(change.clone(), Ok(HOST))), ran(0, "", ""));
    }
    let exists = asked(create, Err(Refusal::Exists(HOST.into())));
    fails(&create_line, &exists, 22, &format!("Initiator {HOST} already exists"));
    let missing = || Err(Refusal::NotFound(HOST.into()));
    fails(
        &modify_line,
        &asked(modify.clone(), missing()),
        2,
        &format!("Error, initiator {HOST} not found"),
    );
    let shared = Err(Refusal::property("chapsecret", "is the secret of a target"));
    fails(
        &modify_line,
        &asked(modify, shared),
        22,
        "Error setting initiator properties: 22\n\tchapsecret: is the secret of a target",
    );
    fails(
        &delete_line,
        &asked(delete, missing()),
        1,
        &format!("Initiator {HOST} not found"),
    );
    fails("create-initiator host", &online(), 22, "Invalid name host");
    fails(
        "create-initiator iqn.host",
        &online(),
        14,
        "Invalid iSCSI name iqn.host",
    );
}

#[test]
fn lists_initiators() {
    let info = |name: &str, user: Option<&str>, secret| InitiatorInfo {
        name: name.into(),
        chap_user: user.map(Into::into),
        secret,
    };
    let initiators = || Listing {
        initiators: vec![
            info(HOST, Some("hv11"), true),
            info("eui.02004567A425678D", None, false),
        ],
        ..Listing::default()
    };
    let out = "\
INITIATOR NAME                                               CHAPUSER  SECRET \n\
iqn.1993-08.org.debian:01:9a1f0c2d7e                         hv11           set \n\
eui.02004567A425678D                                         <none>         unset\n";
    assert_eq!(itadm("list-initiator -v", &listed(initiators())), ran(0, out, ""));
    let out = "eui.02004567A425678D\t<none>\tunset\n";
    assert_eq!(
        itadm("list-initiator -p eui.02004567a425678d", &listed(initiators())),
        ran(0, out, "")
    );
    fails("list-initiator x", &listed(initiators()), 1, "Initiator x not found!");
}

#[test]
fn defaults() {
    let script = asked(Change::Defaults(DefaultsChange::auth(Auth::Chap)), Ok(""));
    assert_eq!(itadm("modify-defaults -a chap", &script), ran(0, "", ""));
    fails("modify-defaults", &online(), 22, "Error, no properties specified");
    fails(
        "modify-defaults -a default",
        &online(),
        22,
        "Error setting global properties: 22\n\tauth: must be none, chap or radius",
    );
    let (lacking, wrong) = ("radiussecret", "missing required property");
    let change = DefaultsChange {
        radius_server: Set::To("192.0.2.6:1812".parse().unwrap()),
        isns: Some(true),
        isns_servers: Some(vec!["192.0.2.5:3205".parse().unwrap(), "192.0.2.7:1".parse().unwrap()]),
        ..DefaultsChange::auth(Auth::Radius)
    };
    let radius = asked(Change::Defaults(change), Err(Refusal::property(lacking, wrong)));
    fails(
        "modify-defaults -a radius -r 192.0.2.6 -i e -I 192.0.2.5,192.0.2.7:1",
        &radius,
        22,
        &format!("Error setting global properties: 22\n\t{lacking}: {wrong}"),
    );
    let none = DefaultsChange {
        radius_server: Set::Clear,
        isns: Some(false),
        isns_servers: Some(Vec::new()),
        ..DefaultsChange::default()
    };
    let script = asked(Change::Defaults(none), Ok(""));
    assert_eq!(
        itadm("modify-defaults -r none -i disable -I none", &script),
        ran(0, "", "")
    );
    for (line, name) in [("-r host", "radiusserver"), ("-I 192.0.2.5,host", "host")] {
        let lines = format!("Error setting global properties: 22\n\t{name}: invalid address");
        fails(&format!("modify-defaults {line}"), &online(), 22, &lines);
    }
    let empty = "iSCSI Target Default Properties:\n\n\
alias:         \t<none>\n\
auth:          \t<none>\n\
radiusserver:  \t<none>\n\
radiussecret:  \tunset\n\
isns:          \tdisabled\n\
isnsserver:    \t<none>\n";
    assert_eq!(itadm("list-defaults", &listed(Listing::default())), ran(0, empty, ""));
    let full = Listing {
        defaults: DefaultsInfo {
            alias: None,
            auth: Some(Auth::None),
            radius_server: Some("192.0.2.6:1812".into()),
            radius_secret: true,
            isns: true,
            isns_servers: vec!["192.0.2.5:3205".into(), "192.0.2.6:3205".into()],
        },
        ..Listing::default()
    };
    let out = "<none>\tnone\t192.0.2.6:1812\tset\tenabled\t192.0.2.5:3205,192.0.2.6:3205\n";
    assert_eq!(itadm("list-defaults -p", &listed(full)), ran(0, out, ""));
}

#[test]
fn the_service_must_be_online() {
    let offline = ServiceState {
        operational: ObjectState::Offline,
        config: ConfigState::InitDone,
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

#[test]
fn portals_are_added_and_removed() {
    let parse = |texts: &[&str]| texts.iter().map(|portal| portal.parse().unwrap()).collect();
    let add = |portals: &[&str]| Change::AddPortals {
        name: "tpgA".into(),
        portals: parse(portals),
    };
    let remove = |portals: &[&str]| Change::RemovePortals {
        name: "tpgA".into(),
        portals: parse(portals),
    };
    let two = ["192.0.2.1:3260", "[2001:db8::1]:99"];
    let line = "add-portal tpgA 192.0.2.1 [2001:db8::1]:99";
    assert_eq!(itadm(line, &asked(add(&two), Ok("tpgA"))), ran(0, "", ""));
    let line = "remove-portal tpgA 192.0.2.1 [2001:db8::1]:99";
    assert_eq!(itadm(line, &asked(remove(&two), Ok("tpgA"))), ran(0, "", ""));

    let one = || add(&["192.0.2.1:3260"]);
    let portal = "192.0.2.1:3260".parse().unwrap();
    let line = "add-portal tpgA 192.0.2.1";
    fails(
        line,
        &asked(one(), Err(Refusal::PortalInUse(portal))),
        17,
        "Portal 192.0.2.1 already in use",
    );
    let missing = Refusal::NotFound("tpgA".into());
    fails(
        line,
        &asked(one(), Err(missing)),
        1,
        "Target portal group tpgA does not exist",
    );
    fails("add-portal tpgA", &online(), 22, "Error, no portal addresses specified");
    fails(
        "add-portal tpgA x",
        &online(),
        22,
        "Error adding portal x: Invalid argument",
    );
    fails(
        "remove-portal tpgA 192.0.2.1 x",
        &online(),
        22,
        "Error removing portal x: Invalid argument",
    );
    fails("add-portal tpgA 1,2", &online(), 22, "Bad portal name 1,2");
    let one = || remove(&["192.0.2.1:3260"]);
    let line = "remove-portal tpgA 192.0.2.1";
    let stranger = asked(one(), Err(Refusal::NotInGroup(portal)));
    fails(
        line,
        &stranger,
        2,
        "Portal 192.0.2.1 is not in target portal group tpgA",
    );
    fails(
        line,
        &asked(one(), Err(Refusal::NoPortal)),
        22,
        "Target portal group tpgA needs a portal",
    );
}
