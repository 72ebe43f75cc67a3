//! `stmfadm export-config` and `import-config` against a real `stmfd`.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Stmfd, free_port, must, run, wait_for};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const A: &str = "iqn.2026-11.example:a";
const B: &str = "iqn.2026-11.example:b";

fn tool(stmfd: &Stmfd, line: &str) -> Command {
    let mut words = line.split(' ');
    let name = words.next().unwrap();
    stmfd.tool(name, &words.collect::<Vec<_>>())
}

/// Exit status, standard output, standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let output = run(command);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// A node with something of everything.
fn furnish(stmfd: &Stmfd, dir: &Path) -> Vec<String> {
    let mut guids = Vec::new();
    for (name, more) in [
        ("one", "-p alias=first -p wcd=true -p serial=42"),
        ("two", "-p wp=true"),
    ] {
        let disk = dir.join(name);
        std::fs::File::create(&disk).unwrap().set_len(4 << 20).unwrap();
        let line = format!("stmfadm create-lu {more} {}", disk.display());
        let made = must(&mut tool(stmfd, &line));
        guids.push(made.rsplit(' ').next().unwrap().trim_end().to_owned());
    }
    let secret = dir.join("secret");
    std::fs::write(&secret, "correct horse").unwrap();
    for line in [
        "stmfadm create-hg hosts".to_owned(),
        "stmfadm create-hg empty".to_owned(),
        "stmfadm add-hg-member -g hosts iqn.1998-01.com.example:a wwn.210000E08B8B8B8B".to_owned(),
        "stmfadm create-tg front".to_owned(),
        format!("stmfadm add-tg-member -g front {A}"),
        format!("stmfadm add-view -h hosts -t front -n 3 {}", guids[0]),
        format!("stmfadm add-view {}", guids[1]),
        format!("itadm create-tpg here 127.0.0.1:{}", free_port()),
        format!(
            "itadm create-initiator -u user -S {} iqn.1998-01.com.example:A",
            secret.display()
        ),
        format!("itadm create-target -n {A} -l disk -a chap"),
        format!("itadm create-target -n {B} -t here"),
        "itadm modify-defaults -a none".to_owned(),
        "aluaadm enable 1".to_owned(),
        "aluaadm reads refuse".to_owned(),
        format!("aluaadm policy {} non-optimized", guids[0]),
    ] {
        must(&mut tool(stmfd, &line));
    }
    guids
}

#[test]
fn what_was_exported_is_there_again_after_an_import() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let guids = furnish(&stmfd, dir.path());
    let (file, again) = (dir.path().join("config.json"), dir.path().join("again.json"));
    let export = |stmfd: &Stmfd, file: &Path| {
        must(&mut tool(
            stmfd,
            &format!("stmfadm export-config --with-secrets {}", file.display()),
        ))
    };
    let import = |stmfd: &Stmfd, options: &str| {
        outcome(&mut tool(
            stmfd,
            &format!("stmfadm import-config{options} {}", file.display()),
        ))
    };
    export(&stmfd, &file);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("Y29ycmVjdCBob3JzZQ==") && text.contains("\"version\": 1"),
        "{text}"
    );
    let plain = must(&mut tool(&stmfd, "stmfadm export-config"));
    assert!(plain.contains("(kept)") && !plain.contains("Y29y"), "{plain}");

    // On the same node it changes nothing.
    assert_eq!(import(&stmfd, " --exact"), (0, String::new(), String::new()));
    stmfd.stop();

    // A node that has nothing: shown first, then done, then nothing is left to do.
    let stmfd = Stmfd::start(&dir.path().join("wiped"));
    let (status, shown, notes) = import(&stmfd, " --dry-run");
    assert_eq!((status, notes.as_str()), (0, ""));
    for line in [
        "+ alua = enabled".to_owned(),
        "- alua = disabled".to_owned(),
        "+ alua standby-reads = refuse".to_owned(),
        format!("+ logical-unit {} policy = non-optimized", guids[0]),
        "+ host-group hosts member iqn.1998-01.com.example:a".to_owned(),
        format!("+ logical-unit {} alias = first", guids[0]),
        format!("+ view {} lun 3 host-group hosts target-group front", guids[0]),
        format!("+ target {B} portal-group here tag 2"),
        "+ initiator iqn.1998-01.com.example:A secret = (new)".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
    assert_eq!(must(&mut tool(&stmfd, "stmfadm list-lu")), "");
    assert_eq!(import(&stmfd, ""), (0, shown, String::new()));
    assert_eq!(import(&stmfd, " --exact"), (0, String::new(), String::new()));
    export(&stmfd, &again);
    assert_eq!(std::fs::read_to_string(&again).unwrap(), text);
    wait_for("the target is online", || {
        must(&mut tool(&stmfd, &format!("stmfadm list-target -v {B}"))).contains(": Online")
    });

    // What the file does not name goes with -x only; what differs comes back.
    for line in [
        "stmfadm create-hg extra".to_owned(),
        "stmfadm remove-hg-member -g hosts iqn.1998-01.com.example:a".to_owned(),
        format!("stmfadm add-view -h empty -n 9 {}", guids[0]),
        format!("stmfadm modify-lu -p alias=other {}", guids[0]),
        "itadm create-target -n iqn.2026-11.example:extra".to_owned(),
        format!("itadm modify-target -l other {A}"),
    ] {
        must(&mut tool(&stmfd, &line));
    }
    let (status, shown, _) = import(&stmfd, "");
    assert_eq!(status, 0);
    let expected = [
        "+ host-group hosts member iqn.1998-01.com.example:a".to_owned(),
        format!("- logical-unit {} alias = other", guids[0]),
        format!("+ logical-unit {} alias = first", guids[0]),
        format!("- target {A} alias = other"),
        format!("+ target {A} alias = disk"),
        format!("- view {} lun 9 host-group empty target-group (all)", guids[0]),
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    let (status, shown, _) = import(&stmfd, " --exact");
    assert_eq!(status, 0);
    let expected = ["- host-group extra", "- target iqn.2026-11.example:extra"];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    export(&stmfd, &again);
    fn canonical(text: &str) -> Vec<&str> {
        let mut lines: Vec<&str> = text.lines().map(|line| line.trim_end_matches(',')).collect();
        lines.sort();
        lines
    }
    assert_eq!(canonical(&std::fs::read_to_string(&again).unwrap()), canonical(&text));
    stmfd.stop();
}

#[test]
fn bad_files_are_refused_whole_and_said_clearly() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let guids = furnish(&stmfd, dir.path());
    let file = dir.path().join("config.json");
    let name = file.to_str().unwrap();
    must(&mut tool(&stmfd, &format!("stmfadm export-config {name}")));
    let good = std::fs::read_to_string(&file).unwrap();
    let before = good.clone();
    let other = guids[1].clone();
    let head = "{\"format\": \"stmf-config\", \"version\": 1";
    let lu = |more: &str| format!("{head}, \"logical-units\": [{{\"guid\": \"{}\", {more}}}]}}", guids[0]);
    for (text, said) in [
        (good[..good.len() / 2].to_owned(), "EOF while parsing"),
        (String::new(), "EOF while parsing"),
        ("[".repeat(100_000), "invalid type"),
        ("{}".to_owned(), "missing field `format`"),
        (
            good.replace("stmf-config", "other"),
            "the format is not \"stmf-config\"",
        ),
        (
            good.replace("\"version\": 1", "\"version\": 2"),
            "version 2 is not known to this program",
        ),
        (good.replace("\"hosts\"", "\"*hosts\""), "at line"),
        (good.replace("host-groups", "hostgroups"), "unknown field `hostgroups`"),
        (good.replace("\"lun\": 3", "\"lun\": 99999"), "at line"),
        (good.replace("\"lun\": 3", "\"lun\": 0"), "LUN 0 belongs to"),
        (
            good.replace("\"host-group\": \"hosts\"", "\"host-group\": \"nobody\""),
            "there is no host group nobody",
        ),
        (
            good.replace("\"enabled\": true", "\"enabled\": 1"),
            "expected a boolean",
        ),
        (
            good.replace("\"alias\": \"disk\"", "\"alias\": \"a\\u0000b\""),
            "target iqn.2026-11.example:a: a text is empty or has a NUL in it",
        ),
        (
            good.replace("example:b", "example:A"),
            "target iqn.2026-11.example:a: named twice",
        ),
        (
            good.replace("\"name\": \"iqn.2026-11.example:a\"", "\"name\": \"\""),
            "a text is empty",
        ),
        (good.replace("\"here\"", "\"a,b\""), "no comma"),
        (good.replace("\"tag\": 2", "\"tag\": 1"), "tag"),
        (lu("\"file\": \"/nonexistent/disk\""), "is registered with file"),
        (
            lu(&format!(
                "\"file\": \"{}\", \"size\": 1048576",
                dir.path().join("one").display()
            )),
            "size would shrink",
        ),
        (
            lu(&format!(
                "\"file\": \"{}\", \"vendor\": \"X\"",
                dir.path().join("one").display()
            )),
            "vendor cannot be changed",
        ),
        (
            format!("{head}, \"target-groups\": [{{\"name\": \"front\", \"members\": [\"{B}\"]}}]}}"),
            "must be offline to join or leave it",
        ),
        (
            format!(
                "{head}, \"provider-data\": [{{\"provider\": \"iscsit\", \"type\": \"port\", \"data\": \"AAAA\"}}]}}"
            ),
            "belongs to other sections",
        ),
        (
            format!(
                "{head}, \"logical-units\": [{{\"guid\": \"600144F0000000000000000000000001\", \"file\": \"/nonexistent\"}}]}}"
            ),
            "/nonexistent: No such file",
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        let (status, out, err) = outcome(&mut tool(&stmfd, &format!("stmfadm import-config {name}")));
        assert_eq!((status, out.as_str()), (1, ""), "{err}");
        assert!(
            err.contains(said) && err.starts_with("stmfadm: "),
            "{err:?} does not say {said:?}"
        );
        assert!(err.lines().all(|line| line.starts_with("stmfadm: ")), "{err:?}");
    }
    let (status, _, err) = outcome(&mut tool(&stmfd, "stmfadm import-config /nonexistent"));
    assert_eq!(
        (status, err.as_str()),
        (1, "stmfadm: /nonexistent: No such file or directory\n")
    );

    // A file that holds another LU is found out when it is imported; what was done before is told.
    must(&mut tool(&stmfd, &format!("stmfadm delete-lu -k {other}")));
    let text = format!(
        "{head}, \"host-groups\": [{{\"name\": \"early\", \"members\": []}}], \"logical-units\": [{{\"guid\": \
         \"600144F0000000000000000000000001\", \"file\": \"{}\"}}]}}",
        dir.path().join("two").display()
    );
    std::fs::write(&file, text).unwrap();
    let (status, _, err) = outcome(&mut tool(&stmfd, &format!("stmfadm import-config {name}")));
    assert_eq!(status, 1);
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].ends_with(&format!("holds logical unit {other}")), "{err}");
    assert_eq!(
        lines[1..],
        [
            "stmfadm: 1 of 2 changes were made:",
            "stmfadm:     create host group early"
        ]
    );
    must(&mut tool(&stmfd, "stmfadm delete-hg early"));
    must(&mut tool(
        &stmfd,
        &format!("stmfadm import-lu {}", dir.path().join("two").display()),
    ));
    assert_eq!(must(&mut tool(&stmfd, "stmfadm export-config")), before);
    stmfd.stop();
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let small = dir.path().join("small");
    std::fs::create_dir(&small).unwrap();
    must(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16k", "none"])
            .arg(&small),
    );
    let (file, fill) = (small.join("config.json"), small.join("fill"));
    let export = format!("stmfadm export-config {}", file.display());
    must(&mut tool(&stmfd, &export));
    let old = std::fs::read(&file).unwrap();
    // Whatever fits is filled.
    assert!(std::fs::write(&fill, vec![0; 32 << 10]).is_err());
    let (status, out, err) = outcome(&mut tool(&stmfd, &export));
    let left = std::fs::read_dir(&small).unwrap().count();
    let now = std::fs::read(&file).unwrap();
    must(Command::new("umount").arg(&small));
    let said = format!("stmfadm: {}: No space left on device\n", file.display());
    assert_eq!((status, out, err), (1, String::new(), said));
    assert!(now == old && left == 2);

    // A file that cannot be replaced, and one that is written to a pipe that nobody reads.
    let (status, _, err) = outcome(&mut tool(&stmfd, "stmfadm export-config /nonexistent/file"));
    assert_eq!(
        (status, err.as_str()),
        (1, "stmfadm: /nonexistent/file: No such file or directory\n")
    );
    symlink("/dev/full", dir.path().join("full")).unwrap();
    // What is no file is not replaced by one; a symbolic link stays one.
    let link = dir.path().join("full").display().to_string();
    let (status, _, err) = outcome(&mut tool(&stmfd, &format!("stmfadm export-config {link}")));
    assert_eq!(
        (status, err),
        (1, format!("stmfadm: {link}: No space left on device\n"))
    );
    let device = std::fs::symlink_metadata("/dev/full").unwrap();
    assert!(!device.is_file() && std::fs::read_link(dir.path().join("full")).is_ok());
    let (kept, alias) = (dir.path().join("kept.json"), dir.path().join("alias.json"));
    std::fs::write(&kept, "").unwrap();
    symlink(&kept, &alias).unwrap();
    must(&mut tool(&stmfd, &format!("stmfadm export-config {}", alias.display())));
    assert!(std::fs::read_link(&alias).is_ok() && std::fs::read(&kept).unwrap() == old);
    let full = std::fs::File::options()
        .write(true)
        .open(dir.path().join("full"))
        .unwrap();
    let status = tool(&stmfd, "stmfadm export-config").stdout(full).status().unwrap();
    assert!(!status.success());
    stmfd.stop();
}
