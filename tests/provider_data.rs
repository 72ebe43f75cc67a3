//! The iSCSI target provider follows its provider data when a C program changes it (`iscsi-target.md` 16.2): seen by real
//! initiators, at once and after a restart.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;

use common::{Stmfd, free_port, must, run, wait_for};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const A: &str = "iqn.2026-11.example:a";
const B: &str = "iqn.2026-11.example:b";
const HOST: &str = "iqn.2026-11.example:host";
/// `correct horse`
const SECRET: &str = "Y29ycmVjdCBob3JzZQ==";

fn program(directory: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = std::env::current_exe().unwrap().parent().unwrap().join("libstmf.so");
    symlink(library, directory.join("libstmf.so.1")).unwrap();
    symlink("libstmf.so.1", directory.join("libstmf.so")).unwrap();
    let program = directory.join("iscsit");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE"])
        .args([
            "-isystem",
            "/usr/include/libzfs",
            "-isystem",
            "/usr/include/libspl",
            "-I",
        ])
        .arg(root.join("include"))
        .arg(root.join("c-tests/iscsit.c"))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(directory)
        .args(["-lstmf", "-lnvpair"]);
    must(&mut cc);
    program
}

/// Runs a tool of libiscsi against a portal; is it content?
fn initiator(tool: &str, url: &str) -> bool {
    run(Command::new("timeout").args(["60", tool, "-i", HOST, url]))
        .status
        .success()
}

#[test]
fn the_running_provider_follows_and_refuses_what_makes_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    let iscsit = program(dir.path());
    let state = dir.path().join("state");
    let stmfd = Stmfd::start(&state);
    let set = |stmfd: &Stmfd, line: &str| {
        let mut command = Command::new(&iscsit);
        command.args(line.split(' ')).env("STMF_ENDPOINT", stmfd.endpoint());
        must(command.env("LD_LIBRARY_PATH", dir.path())).trim_end().to_owned()
    };
    let lines =
        |stmfd: &Stmfd, tool: &str, line: &str| must(&mut stmfd.tool(tool, &line.split(' ').collect::<Vec<_>>()));
    let disk = dir.path().join("disk");
    std::fs::File::create(&disk).unwrap().set_len(4 << 20).unwrap();
    let made = lines(&stmfd, "stmfadm", &format!("create-lu {}", disk.display()));
    lines(
        &stmfd,
        "stmfadm",
        &format!("add-view {}", made.rsplit(' ').next().unwrap().trim_end()),
    );

    // A target appears and serves.
    assert_eq!(set(&stmfd, &format!("alias {A} first")), "0x0000");
    let url = |name: &str, portal: &str| format!("iscsi://{portal}/{name}/0");
    wait_for("target a serves", || initiator("iscsi-inq", &url(A, &stmfd.portal)));
    assert!(lines(&stmfd, "itadm", "list-target -v").contains("first"));

    // Its alias changes without a restart.
    assert_eq!(set(&stmfd, &format!("alias {A} second")), "0x0000");
    let listed = lines(&stmfd, "stmfadm", &format!("list-target -v {A}"));
    assert!(listed.contains(": second\n"), "{listed}");

    // Nonsense, a stale token and the removal of a target that is online change nothing.
    assert_eq!(set(&stmfd, &format!("number {A}")), "0x8007");
    assert_eq!(set(&stmfd, &format!("auth {A} kerberos")), "0x8007");
    assert_eq!(set(&stmfd, &format!("bind {A} here nowhere")), "0x8007");
    assert_eq!(set(&stmfd, &format!("stale {A}")), "0x8013");
    assert_eq!(set(&stmfd, &format!("remove {A}")), "0x8001");
    assert_eq!(set(&stmfd, "clear"), "0x8001");
    assert!(initiator("iscsi-inq", &url(A, &stmfd.portal)));
    assert_eq!(lines(&stmfd, "itadm", "list-tpg"), "");

    // CHAP holds for the next login.
    assert_eq!(set(&stmfd, &format!("chap {HOST} {SECRET}")), "0x0000");
    assert_eq!(set(&stmfd, &format!("auth {A} chap")), "0x0000");
    assert!(!initiator("iscsi-inq", &url(A, &stmfd.portal)));
    let known = format!("iscsi://{HOST}%correct horse@{}/{A}/0", stmfd.portal);
    assert!(initiator("iscsi-inq", &known));
    // The next change, of data that shows no secret, keeps it.
    assert_eq!(set(&stmfd, &format!("alias {A} third")), "0x0000");
    assert!(initiator("iscsi-inq", &known));

    // A portal group of its own.
    let portal = format!("127.0.0.1:{}", free_port());
    assert_eq!(set(&stmfd, &format!("bind {B} here {portal}")), "0x0000");
    wait_for("target b serves", || initiator("iscsi-inq", &url(B, &portal)));
    assert!(!initiator("iscsi-inq", &url(B, &stmfd.portal)));

    // Everything survives a restart; then a target that is offline goes.
    stmfd.stop();
    let stmfd = Stmfd::start(&state);
    let known = format!("iscsi://{HOST}%correct horse@{}/{A}/0", stmfd.portal);
    wait_for("target a serves again", || initiator("iscsi-inq", &known));
    wait_for("target b serves again", || initiator("iscsi-inq", &url(B, &portal)));
    lines(&stmfd, "stmfadm", &format!("offline-target {B}"));
    assert_eq!(set(&stmfd, &format!("remove {B}")), "0x0000");
    assert!(!lines(&stmfd, "stmfadm", "list-target").contains(B));
    wait_for("the portal is closed", || {
        std::net::TcpStream::connect(&portal).is_err()
    });
    lines(&stmfd, "stmfadm", &format!("offline-target {A}"));
    assert_eq!(set(&stmfd, "clear"), "0x0000");
    assert_eq!(set(&stmfd, "clear"), "0x8002");
    assert_eq!(lines(&stmfd, "itadm", "list-target"), "");
    stmfd.stop();
}
