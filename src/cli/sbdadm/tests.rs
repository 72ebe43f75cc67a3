use crate::cli::sbdadm;
use crate::cli::script::{Ran, Script, ran, run};
use crate::framework::{AccessReport, LuInfo, ObjectState, ViewEntry};
use crate::types::{AccessState, Guid, LuProperties, Status};

const ONE: &str = "600144F0C73ABF00000065A1B2C30001";
const TWO: &str = "600144F0C73ABF00000065A1B2D70002";
const THREE: &str = "600144F0C73ABF00000065A1B2E90003";

fn guid(text: &str) -> Guid {
    text.parse().unwrap()
}

fn sbdadm(line: &str, script: &Script) -> Ran {
    run(sbdadm::run, &format!("/usr/sbin/sbdadm {line}"), script)
}

fn report(access: AccessState, size: Option<u64>, file: Option<&str>) -> AccessReport {
    let properties = LuProperties {
        size,
        data_file: file.map(str::to_owned),
        ..LuProperties::default()
    };
    AccessReport { access, properties }
}

fn active(size: u64, file: &str) -> AccessReport {
    report(AccessState::Active, Some(size), Some(file))
}

fn info(name: &str, provider: &str, state: Option<ObjectState>) -> LuInfo {
    LuInfo {
        guid: guid(name),
        state,
        provider: provider.to_owned(),
        alias: String::new(),
        vendor: *b"SUN     ",
        product: *b"COMSTAR         ",
        revision: *b"1.0 ",
    }
}

fn lu(script: Script, name: &str, report: AccessReport) -> Script {
    script
        .ok(
            &format!("lu_info({name})"),
            info(name, "sbd", Some(ObjectState::Online)),
        )
        .ok(&format!("lu_resource({name})"), report)
}

fn create_call(size: Option<u64>) -> String {
    let properties = LuProperties {
        size,
        data_file: Some("/a".into()),
        ..LuProperties::default()
    };
    format!("lu_create({properties:?})")
}

const TABLE: &str = "
Found 2 LU(s)

\t      GUID                    DATA SIZE           SOURCE
--------------------------------  -------------------  ----------------
600144f0c73abf00000065a1b2c30001  10737418240          /dev/zvol/tank/vm01
600144f0c73abf00000065a1b2d70002  2199023255552        /srv/lu/archive.img
";

#[test]
fn the_list_byte_for_byte() {
    let script = Script::new().ok("lu_list()", vec![guid(TWO), guid(ONE)]);
    let script = lu(script, ONE, active(10_737_418_240, "/dev/zvol/tank/vm01"));
    let script = lu(script, TWO, active(2_199_023_255_552, "/srv/lu/archive.img"));
    let result = sbdadm("list-lu", &script);
    assert_eq!(result, ran(0, TABLE, ""));
    // `cli.md` 8.2: data from line 6 on; 8.1: the first field of the line with the path is the GUID.
    let line = result.out.lines().nth(5).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(fields, [&ONE.to_lowercase(), "10737418240", "/dev/zvol/tank/vm01"]);
    let heading = result.out.lines().nth(3).unwrap();
    let expected = format!(
        "\t{}GUID{}DATA SIZE{}SOURCE",
        " ".repeat(6),
        " ".repeat(20),
        " ".repeat(11)
    );
    assert_eq!(heading, expected);
}

#[test]
fn nothing_when_there_is_nothing() {
    let script = Script::new().ok("lu_list()", Vec::<Guid>::new());
    assert_eq!(sbdadm("LIST-LU", &script), ran(0, "", ""));
    // Not loaded, of another provider, gone meanwhile.
    let script = Script::new()
        .ok("lu_list()", vec![guid(ONE), guid(TWO), guid(THREE)])
        .ok(&format!("lu_info({ONE})"), info(ONE, "sbd", None))
        .ok(
            &format!("lu_info({TWO})"),
            info(TWO, "other", Some(ObjectState::Online)),
        )
        .fail(&format!("lu_info({THREE})"), Status::NotFound);
    assert_eq!(sbdadm("list-lu", &script), ran(0, "", ""));
}

#[test]
fn one_line_an_lu_whatever_is_known() {
    let script = Script::new().ok("lu_list()", vec![guid(ONE), guid(TWO), guid(THREE)]);
    let script = lu(script, ONE, report(AccessState::Standby, Some(1), Some("/a")));
    let script = lu(script, TWO, report(AccessState::Active, None, None));
    let script = lu(script, THREE, active(1, "/x\n/y"));
    let rows = format!(
        "{}  -                    -\n{}  not set              not set\n{}  1                    /x?/y\n",
        ONE.to_lowercase(),
        TWO.to_lowercase(),
        THREE.to_lowercase()
    );
    let result = sbdadm("list-lu", &script);
    assert!(result.out.starts_with("\nFound 3 LU(s)\n"));
    assert!(result.out.ends_with(&rows), "{}", result.out);
}

#[test]
fn list_failures() {
    for (status, line) in [
        (Status::Busy, "sbdadm: resource busy\n"),
        (Status::Error, "sbdadm: list failed\n"),
        (Status::Perm, "sbdadm: permission denied\n"),
        (Status::ServiceNotFound, "sbdadm: STMF service not found\n"),
    ] {
        let script = Script::new().fail("lu_list()", status);
        assert_eq!(sbdadm("list-lu", &script), ran(1, "", line));
        let script = Script::new()
            .ok("lu_list()", vec![guid(ONE)])
            .fail(&format!("lu_info({ONE})"), status);
        assert_eq!(sbdadm("list-lu", &script), ran(1, "", line));
    }
}

#[test]
fn creates_and_imports() {
    let out = |done: &str| {
        format!(
            "{done} the following LU:\n\n\t      GUID                    DATA SIZE           SOURCE\n\
             --------------------------------  -------------------  ----------------\n\
             600144f0c73abf00000065a1b2c30001  10737418240          /a\n"
        )
    };
    let resource = format!("lu_resource({ONE})");
    for option in ["-s 10g", "--disk-size 10g", "--size=10g", "--d 10g", "--s 10g", "-s10G"] {
        let script = Script::new()
            .ok(&create_call(Some(10 << 30)), guid(ONE))
            .ok(&resource, active(10 << 30, "/a"));
        let result = sbdadm(&format!("create-lu {option} /a"), &script);
        assert_eq!(result, ran(0, &out("Created"), ""), "{option}");
        assert!(result.out.lines().nth(4).unwrap().starts_with(&ONE.to_lowercase()));
    }
    let script = Script::new()
        .ok("lu_import(\"/a\")", guid(ONE))
        .ok(&resource, active(10 << 30, "/a"));
    assert_eq!(sbdadm("import-lu /a", &script), ran(0, &out("Imported"), ""));
    // It is created, whatever can be told of it.
    let script = Script::new()
        .ok(&create_call(None), guid(ONE))
        .fail(&resource, Status::Busy);
    let result = sbdadm("create-lu /a", &script);
    assert_eq!(result.status, 0);
    assert!(
        result
            .out
            .ends_with("600144f0c73abf00000065a1b2c30001  -                    -\n")
    );
}

/// The exit status is the status plus one, low byte (`cli.md` 3.2).
#[test]
fn store_failures() {
    for (status, line, exit) in [
        (Status::Busy, "resource busy", 2),
        (Status::LuBusy, "resource busy", 7),
        (Status::Perm, "permission denied", 6),
        (Status::FileInUse, "filename /a: in use", 1),
        (Status::GuidInUse, "guid in use", 3),
        (Status::MetaFileName, "meta file error", 4),
        (Status::DataFileName, "data file error", 5),
        (Status::SizeOutOfRange, "invalid size", 6),
        (Status::MetaCreation, "could not create meta file", 8),
        (Status::FileSizeInvalid, "unknown error", 9),
        (Status::WriteCacheSet, "unknown error", 10),
        (Status::Error, "unknown error", 1),
        (Status::InvalidArg, "unknown error", 8),
        (Status::AccessStateSet, "unknown error", 36),
        (Status::ServiceNotFound, "STMF service not found", 10),
        (Status::ServiceDataVersion, "STMF service version incorrect", 17),
    ] {
        let line = format!("sbdadm: {line}\n");
        let create = Script::new().fail(&create_call(None), status);
        assert_eq!(sbdadm("create-lu /a", &create), ran(exit, "", &line));
        let import = Script::new().fail("lu_import(\"/a\")", status);
        assert_eq!(sbdadm("import-lu /a", &import), ran(exit, "", &line));
    }
    let create = Script::new().fail(&create_call(None), Status::InvalidBlkSize);
    assert_eq!(
        sbdadm("create-lu /a", &create),
        ran(2, "", "sbdadm: invalid block size\n")
    );
    let import = Script::new().fail("lu_import(\"/a\")", Status::InvalidBlkSize);
    assert_eq!(sbdadm("import-lu /a", &import), ran(2, "", "sbdadm: unknown error\n"));
}

#[test]
fn values_that_are_none() {
    let none = Script::new();
    for bad in ["x", "-5m", "10x", ""] {
        assert_eq!(
            sbdadm(&format!("create-lu -s {bad} /a"), &none),
            ran(1, "", "sbdadm: s: size param invalid\n")
        );
    }
    let long = format!("create-lu /{}", "x".repeat(4095));
    assert_eq!(sbdadm(&long, &none), ran(1, "", "sbdadm: could not set filename\n"));
    // Options come first (`cli.md` 1.3).
    let usage = "\nUsage:\tsbdadm create-lu [OPTIONS] <Full path of the file to initialize>\n\tOPTIONS:\n\
                 \t\t-s, --disk-size  <Size with <none>/k/m/g/t/p/e modifier>\n";
    let out = format!("sbdadm: create-lu accepts only a single operand\n{usage}");
    assert_eq!(sbdadm("create-lu /a -s 10g", &none), ran(1, &out, ""));
}

#[test]
fn deletes() {
    let script = Script::new().ok(&format!("lu_delete({ONE})"), ());
    assert_eq!(sbdadm(&format!("delete-lu -k {ONE}"), &script), ran(0, "", ""));
    let script = Script::new()
        .fail(&format!("lu_delete({ONE})"), Status::NotFound)
        .ok(&format!("view_list({ONE})"), Vec::<ViewEntry>::new());
    let err = format!("sbdadm: {}: not found\n", ONE.to_lowercase());
    assert_eq!(sbdadm(&format!("delete-lu {ONE}"), &script), ran(1, "", &err));
    let err = "sbdadm: 60: must be 32 hexadecimal digits long\n";
    assert_eq!(sbdadm("delete-lu 60", &Script::new()), ran(1, "", err));
}

#[test]
fn modifies() {
    let by_guid = format!("lu_modify({ONE}, Size(1048576))");
    let script = Script::new().ok(&by_guid, ());
    let line = format!("modify-lu -s 1m {}", ONE.to_lowercase());
    assert_eq!(sbdadm(&line, &script), ran(0, "", ""));
    let script = Script::new().ok("lu_modify_file(\"/a\", Size(1048576))", ());
    assert_eq!(sbdadm("modify-lu --size 1m /a", &script), ran(0, "", ""));
    for (status, message) in [
        (Status::Busy, "resource busy"),
        (Status::LuBusy, "resource busy"),
        (Status::InvalidBlkSize, "invalid block size"),
        (Status::GuidInUse, "guid in use"),
        (Status::MetaFileName, "meta file error"),
        (Status::DataFileName, "data file error"),
        (Status::FileSizeInvalid, "file size invalid"),
        (Status::SizeOutOfRange, "invalid size"),
        (Status::MetaCreation, "could not create meta file"),
        (Status::Perm, "permission denied"),
        (Status::ServiceNotFound, "STMF service not found"),
        (Status::ServiceDataVersion, "STMF service version incorrect"),
        (Status::NotFound, "could not set property: size: 32770"),
        (Status::InvalidProp, "could not set property: size: 32800"),
        (Status::WriteCacheSet, "could not set property: size: 33033"),
        (Status::AccessStateSet, "could not set property: size: 32803"),
        (Status::NoPropStandby, "could not set property: size: 32804"),
    ] {
        let script = Script::new().fail(&by_guid, status);
        let err = format!("sbdadm: {message}\n");
        assert_eq!(sbdadm(&format!("modify-lu -s 1m {ONE}"), &script), ran(1, "", &err));
    }
    let none = Script::new();
    assert_eq!(
        sbdadm(&format!("modify-lu -s x {ONE}"), &none),
        ran(1, "", "sbdadm: could not set property: size: 32775\n")
    );
    assert_eq!(
        sbdadm("modify-lu -s 1m disk.img", &none),
        ran(1, "", "sbdadm: disk.img: must be 32 hexadecimal digits\n")
    );
    let usage = "\nUsage:\tsbdadm modify-lu <OPTIONS> <Full path of the LU or GUID of a registered LU>\n\tOPTIONS:\n\
                 \t\t-s, --disk-size  <Size with <none>/k/m/g/t/p/e modifier>\n";
    assert_eq!(
        sbdadm("modify-lu /a", &none),
        ran(1, &format!("sbdadm: at least one option required\n{usage}"), "")
    );
}
