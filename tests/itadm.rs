//! `itadm` as a process against a real `stmfd` (`cli.md` chapter 4): the session of 4.9, secrets from the terminal, and what
//! survives a restart.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Stmfd, must, run};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const RACK: &str = "iqn.2010-08.org.illumos:02:rack4";
const HOST: &str = "iqn.1993-08.org.debian:01:9a1f0c2d7e";
const SECRET: &str = "correct horse battery";

fn itadm(stmfd: &Stmfd, line: &str) -> Command {
    stmfd.tool("itadm", &line.split(' ').collect::<Vec<_>>())
}

/// Exit status, standard output and standard error.
fn outcome(stmfd: &Stmfd, line: &str) -> (i32, String, String) {
    let output = run(&mut itadm(stmfd, line));
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn fails(stmfd: &Stmfd, line: &str, number: i32, text: &str) {
    let subcommand = line.split(' ').next().unwrap();
    let err = format!("{text}\nitadm {subcommand} failed with error {number}\n");
    assert_eq!(outcome(stmfd, line), (number, String::new(), err), "{line}");
}

/// Runs a line on a terminal of its own and types an answer after each prompt; what the terminal showed, and success.
fn on_a_terminal(stmfd: &Stmfd, line: &str, answers: &[&str]) -> (String, bool) {
    let command = format!("{} {line}", common::build_dir().join("itadm").display());
    let mut child = Command::new("script")
        .args(["-q", "-e", "-c", &command, "/dev/null"])
        .env("STMF_ENDPOINT", stmfd.endpoint())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = String::new();
    for answer in answers {
        let mut byte = [0];
        while !shown.ends_with("secret: ") {
            output
                .read_exact(&mut byte)
                .unwrap_or_else(|_| panic!("no prompt: {shown}"));
            shown.push(char::from(byte[0]));
        }
        shown.push('|');
        input.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    output.read_to_string(&mut shown).unwrap();
    (shown.replace("\r\n", "\n"), child.wait().unwrap().success())
}

#[test]
fn the_session_of_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let quiet = (0, String::new(), String::new());
    assert_eq!(outcome(&stmfd, "create-tpg tpgA 192.0.2.10 [2001:db8::10]"), quiet);
    let created = format!("Target {RACK} successfully created\n");
    assert_eq!(
        must(&mut itadm(&stmfd, &format!("create-target -n {RACK} -t tpgA"))),
        created
    );
    let upper = "iqn.2010-08.org.illumos:02:RACK4";
    let taken = format!("iSCSI target {upper} already configured");
    fails(&stmfd, &format!("create-target -n {upper}"), 17, &taken);
    let (shown, success) = on_a_terminal(&stmfd, &format!("create-initiator -s {HOST}"), &[SECRET, SECRET]);
    assert_eq!(
        (shown.as_str(), success),
        ("Enter CHAP secret: |\nRe-enter secret: |\n", true)
    );
    let modified = format!("Target {RACK} successfully modified\n");
    assert_eq!(
        must(&mut itadm(&stmfd, &format!("modify-target -a chap {RACK}"))),
        modified
    );
    let bound = "Target portal group associated with one or more targets.  Cannot delete.";
    fails(&stmfd, "delete-tpg tpgA", 16, bound);

    let listed = "INITIATOR NAME                                               CHAPUSER  SECRET \n\
                  iqn.1993-08.org.debian:01:9a1f0c2d7e                         <none>         set \n";
    let lists = [
        ("list-initiator", listed.to_owned()),
        (
            "list-tpg -pv",
            "tpgA\t2\t[2001:db8::10]:3260,192.0.2.10:3260\n".to_owned(),
        ),
        (
            "list-target -pv",
            format!("{RACK}\tonline\t0\t-\tchap \t-\tunset\ttpgA = 2\n"),
        ),
        (
            "list-defaults -p",
            "<none>\t<none>\t<none>\tunset\tdisabled\t<none>\n".to_owned(),
        ),
    ];
    for (line, expected) in &lists {
        assert_eq!(must(&mut itadm(&stmfd, line)), *expected);
    }
    stmfd.stop();
    // Everything is there again, nobody but its owner can read it, and the secret is in no other file.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir.path().join("stmf.db")), 0o600);
    let stmfd = Stmfd::start(dir.path());
    for (line, expected) in &lists {
        assert_eq!(must(&mut itadm(&stmfd, line)), *expected);
    }
    assert_eq!(outcome(&stmfd, "delete-tpg -f tpgA"), quiet);
    assert_eq!(outcome(&stmfd, &format!("delete-initiator {HOST}")), quiet);
    assert_eq!(outcome(&stmfd, &format!("delete-target -f {RACK}")), quiet);
    assert_eq!(outcome(&stmfd, "list-target"), quiet);
    stmfd.stop();
}

#[test]
fn order_is_latest_first() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    for name in ["b", "a", "c"] {
        must(&mut itadm(
            &stmfd,
            &format!("create-target -n iqn.2026-11.example:{name}"),
        ));
        must(&mut itadm(
            &stmfd,
            &format!("create-initiator iqn.2026-11.example:{name}"),
        ));
        let last = name.as_bytes()[0];
        must(&mut itadm(&stmfd, &format!("create-tpg {name} 192.0.2.{last}")));
    }
    for line in ["list-target -p", "list-initiator -p", "list-tpg -p"] {
        let out = must(&mut itadm(&stmfd, line));
        let names: Vec<&str> = out
            .lines()
            .filter_map(|line| line.split('\t').next()?.rsplit(':').next())
            .collect();
        assert_eq!(names, ["c", "a", "b"], "{line}");
    }
    must(&mut itadm(&stmfd, "modify-target -t b,a iqn.2026-11.example:a"));
    let out = must(&mut itadm(&stmfd, "list-target -pv iqn.2026-11.example:a"));
    assert!(out.ends_with("\ta = 3,b = 2\n"), "{out}");
    stmfd.stop();
}

#[test]
fn secrets_on_the_terminal_are_checked_and_not_echoed() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let line = format!("create-initiator -s {HOST}");
    for (answers, complaint) in [
        (&["short"][..], "Secret must be between 12 and 255 characters"),
        (&[SECRET, "something else"][..], "Secret validation failed"),
    ] {
        let (shown, success) = on_a_terminal(&stmfd, &line, answers);
        assert!(!success && shown.contains(&format!("{complaint}\nusage:\n")), "{shown}");
        assert!(answers.iter().all(|answer| !shown.contains(answer)), "{shown}");
    }
    assert_eq!(must(&mut itadm(&stmfd, "list-initiator")), "");
    // No terminal at all.
    let output = run(Command::new("setsid")
        .arg("--wait")
        .arg(common::build_dir().join("itadm"))
        .args(["create-initiator", "-s", HOST]));
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(6), "{err}");
    assert_eq!(err, "Could not read secret: No such device or address\n");
    stmfd.stop();
}

#[test]
fn what_is_incomplete_is_refused_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    must(&mut itadm(&stmfd, &format!("create-target -n {RACK}")));
    let heading = "Error setting global properties: 22\n\tradiusserver: missing required property";
    fails(&stmfd, "modify-defaults -a radius", 22, heading);
    let heading = "Error setting global properties: 22\n\tradiussecret: missing required property";
    fails(&stmfd, "modify-defaults -a radius -r 192.0.2.1", 22, heading);
    let out = must(&mut itadm(&stmfd, &format!("list-target -pv {RACK}")));
    assert!(out.contains("\tnone (defaults)\t"), "{out}");
    stmfd.stop();
}
