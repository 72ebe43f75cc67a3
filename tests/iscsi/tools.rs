//! The initiators of the distribution: libiscsi's tools and test suite, and qemu's block driver.

use super::node::{Node, SIZE, TARGET};
use std::process::Command;

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    run_with(program, arguments, &[])
}

/// Success, and what it printed, with these environment variables besides.
pub fn run_with(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new("timeout")
        .arg("60")
        .arg(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn succeed(program: &str, arguments: &[&str]) -> String {
    let (success, text) = run(program, arguments);
    assert!(success, "{program} {arguments:?}: {text}");
    text
}

#[test]
fn libiscsi_finds_and_reads_the_disk() {
    let node = Node::start();
    let listing = succeed("iscsi-ls", &["-s", &format!("iscsi://{}", node.address)]);
    assert!(listing.contains(TARGET) && listing.contains("Lun:0"), "{listing}");
    let inquiry = succeed("iscsi-inq", &[&node.url(0)]);
    assert!(inquiry.contains("Vendor:SUN"), "{inquiry}");
    let capacity = succeed("iscsi-readcapacity16", &[&node.url(0)]);
    assert!(capacity.contains(&SIZE.to_string()), "{capacity}");
    let digests = format!("iscsi://{}/{TARGET}/0?header_digest=crc32c", node.address);
    assert!(succeed("iscsi-inq", &[&digests]).contains("Vendor:SUN"));
}

#[test]
fn qemu_copies_an_image_there_and_back() {
    let node = Node::start();
    let directory = tempfile::tempdir().unwrap();
    let (there, back) = (directory.path().join("there"), directory.path().join("back"));
    std::fs::write(&there, super::pattern(SIZE as usize, 77)).unwrap();
    let (there, back) = (there.to_str().unwrap(), back.to_str().unwrap());
    let url = node.url(0);
    succeed("qemu-img", &["convert", "-n", "-f", "raw", "-O", "raw", there, &url]);
    succeed("qemu-img", &["convert", "-f", "raw", "-O", "raw", &url, back]);
    assert!(std::fs::read(there).unwrap() == std::fs::read(back).unwrap());
    succeed("qemu-img", &["compare", "-f", "raw", "-F", "raw", there, &url]);
}

/// The suite's exit status does not tell; the line `tests TOTAL RAN PASSED FAILED` of its summary does.
fn passed(output: &str) -> bool {
    let summary = output.lines().find_map(|line| line.trim_start().strip_prefix("tests "));
    let numbers: Vec<&str> = summary.unwrap_or_default().split_whitespace().collect();
    matches!(numbers[..], [_, "1", "1", "0", ..])
}

/// Tests of libiscsi's suite whose names begin so, one process each: one that fails there must not be able to disturb the
/// next.
fn suite(beginnings: &[&str]) {
    let node = Node::start();
    let url = node.url(0);
    let list = succeed("iscsi-test-cu", &["-l"]);
    let tests: Vec<&str> = list
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("ALL."))
        .filter(|test| test.contains('.') && beginnings.iter().any(|beginning| test.starts_with(beginning)))
        .collect();
    assert!(tests.len() >= beginnings.len(), "{tests:?}");
    for test in tests {
        let (_, text) = run("iscsi-test-cu", &["--dataloss", "--test", &format!("ALL.{test}"), &url]);
        assert!(passed(&text), "{test}: {text}");
    }
}

#[test]
fn libiscsi_suite_protocol() {
    suite(&[
        "iSCSIcmdsn.",
        "iSCSIdatasn.",
        "iSCSIResiduals.Read",
        "iSCSITMF.AbortTaskSimpleAsync",
    ]);
}

#[test]
fn libiscsi_suite_data() {
    suite(&[
        "Read6.", "Read10.", "Read12.", "Read16.", "Write10.", "Write12.", "Write16.",
    ]);
}

#[test]
fn libiscsi_suite_enquiries() {
    suite(&["Inquiry.", "TestUnitReady.", "ReadCapacity10.", "ReadCapacity16."]);
}
