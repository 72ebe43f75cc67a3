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

/// A verifying random load: up to 16 writes at a time, anywhere and of any length, then every block is read and compared.
#[test]
fn qemu_io_reads_what_it_wrote() {
    const BLOCK: usize = 4096;
    /// Few enough that most of them are written again and again.
    const BLOCKS: usize = 2048;
    let node = Node::start();
    let url = node.url(0);
    let mut rng = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |limit: usize| {
        rng ^= rng << 13;
        rng ^= rng >> 7;
        rng ^= rng << 17;
        usize::try_from(rng >> 33).unwrap() % limit
    };
    let mut model = vec![0_u8; BLOCKS];
    let mut commands = Vec::new();
    for _ in 0..20 {
        // Writes that are under way at the same time do not overlap: who is last is not said.
        let mut busy = vec![false; BLOCKS];
        for _ in 0..16 {
            let first = below(BLOCKS);
            let count = 1 + below(64.min(BLOCKS - first));
            let range = first..first + count;
            if busy[range.clone()].iter().any(|taken| *taken) {
                continue;
            }
            busy[range.clone()].fill(true);
            let pattern = u8::try_from(1 + below(255)).unwrap();
            model[range].fill(pattern);
            commands.push(format!("aio_write -P {pattern} {} {}", first * BLOCK, count * BLOCK));
        }
        commands.push("aio_flush".into());
    }
    let mut at = 0;
    for alike in model.chunk_by(PartialEq::eq) {
        commands.push(format!("read -P {} {} {}", alike[0], at * BLOCK, alike.len() * BLOCK));
        at += alike.len();
    }
    let mut arguments = vec!["-f", "raw"];
    commands.iter().for_each(|command| arguments.extend(["-c", command]));
    arguments.push(&url);
    let output = succeed("qemu-io", &arguments);
    let reads = model.chunk_by(PartialEq::eq).count();
    assert_eq!(
        output.matches("\nread ").count() + usize::from(output.starts_with("read ")),
        reads,
        "{output}"
    );
    assert!(!output.contains("failed"), "{output}");
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
