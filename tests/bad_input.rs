//! What goes wrong around `stmfd`: each gets a message that names the object, the right status, and nothing is lost.

mod common;

use common::{MIB, Stmfd, create_lu, disk_file, free_port, must, qemu_io, run, serve, wait_for};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// `stmfd` must end by itself, with a failing status and a message that contains each of `words`.
fn refuses_to_start(command: &mut Command, words: &[&str]) {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it started: {text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

/// A tool must fail with exactly this line on standard error.
fn fails_with(command: &mut Command, line: &str) {
    let output = run(command);
    assert!(!output.status.success(), "{command:?} succeeded");
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end(), line, "{command:?}");
}

#[test]
fn two_stmfd_on_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let first = Stmfd::start(dir.path());
    let portal = format!("127.0.0.1:{}", free_port());
    refuses_to_start(
        &mut Stmfd::command(dir.path(), &portal),
        &[&first.pid().to_string(), "in use"],
    );
    must(&mut first.tool("stmfadm", &["list-state"]));
}

#[test]
fn a_port_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let portal = taken.local_addr().unwrap().to_string();
    refuses_to_start(&mut Stmfd::command(dir.path(), &portal), &[&portal, "in use"]);
}

#[test]
fn a_state_directory_without_permission() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("private");
    fs::create_dir(&inside).unwrap();
    let stmfd = Stmfd::command(&inside, &format!("127.0.0.1:{}", free_port()));
    let mut command = Command::new("setpriv");
    // An unprivileged user may not even look into the directory of the tests' root user, so the program is copied.
    let program = PathBuf::from("/tmp").join(format!("stmfd-{}", std::process::id()));
    fs::copy(env!("CARGO_BIN_EXE_stmfd"), &program).unwrap();
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(stmfd.get_args());
    refuses_to_start(&mut command, &[inside.to_str().unwrap()]);
    fs::remove_file(program).unwrap();
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 0);
}

#[test]
fn a_store_of_another_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Stmfd::start(dir.path()).stop();
    let database = dir.path().join("stmf.db");
    must(Command::new("sqlite3").arg(&database).arg("PRAGMA user_version = 99"));
    let before = fs::read(&database).unwrap();
    let portal = format!("127.0.0.1:{}", free_port());
    refuses_to_start(&mut Stmfd::command(dir.path(), &portal), &["version 99"]);
    assert_eq!(fs::read(&database).unwrap(), before);
}

#[test]
fn a_backing_file_that_is_corrupt_truncated_or_of_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let path = disk_file(&dir.path().join("disk"), 4 * MIB + 65536);
    let stmfd = Stmfd::start(&state);
    let guid = create_lu(&stmfd, &path);
    must(&mut stmfd.tool("stmfadm", &["delete-lu", &guid]));
    let good = fs::read(&path).unwrap();
    let import = |what: &str, line: &str| {
        let before = fs::read(&path).unwrap();
        fails_with(&mut stmfd.tool("stmfadm", &["import-lu", &path]), line);
        assert_eq!(fs::read(&path).unwrap(), before, "{what}: the file was changed");
    };

    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"X", 4096 + 60).unwrap();
    import("a flipped byte in a section", "stmfadm: meta file error");
    file.write_all_at(&[9, 0], 4096 + 40).unwrap();
    import("another version", "stmfadm: meta file error");
    file.set_len(5000).unwrap();
    import("truncated in the metadata", "stmfadm: meta file error");
    file.set_len(0).unwrap();
    import("empty", "stmfadm: meta file error");

    fs::write(&path, &good).unwrap();
    must(&mut stmfd.tool("stmfadm", &["import-lu", &path]));
}

#[test]
fn an_unusable_backing_file_does_not_keep_stmfd_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let path = disk_file(&dir.path().join("disk"), 4 * MIB + 65536);
    let other = disk_file(&dir.path().join("other"), 4 * MIB + 65536);
    let stmfd = Stmfd::start(&state);
    create_lu(&stmfd, &path);
    let kept = create_lu(&stmfd, &other);
    stmfd.stop();
    fs::rename(&path, dir.path().join("away")).unwrap();
    let stmfd = Stmfd::start(&state);
    assert_eq!(
        must(&mut stmfd.tool("stmfadm", &["list-lu"])),
        format!("LU Name: {kept}\n")
    );
}

#[test]
fn a_full_file_system_under_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    must(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(&state),
    );
    let result = std::panic::catch_unwind(|| {
        let stmfd = Stmfd::start(&state);
        let path = disk_file(&dir.path().join("disk"), 4 * MIB + 65536);
        let guid = create_lu(&stmfd, &path);
        let mut filler = fs::File::create(state.join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
        // The store's log still has room for a few transactions; then each call fails and changes nothing.
        let mut added = 0;
        let failed = loop {
            let output = run(&mut stmfd.tool("stmfadm", &["create-hg", &format!("group-{added}-{}", "x".repeat(200))]));
            if !output.status.success() {
                break output;
            }
            added += 1;
            assert!(added < 10_000, "the file system never filled up");
        };
        assert_eq!(String::from_utf8_lossy(&failed.stderr).lines().count(), 1);
        let listed = must(&mut stmfd.tool("stmfadm", &["list-hg"])).lines().count();
        assert_eq!(listed, added, "a failed call changed the live configuration");
        must(&mut stmfd.tool("stmfadm", &["list-lu", "-v", &guid]));
        drop(filler);
        fs::remove_file(state.join("filler")).unwrap();
        must(&mut stmfd.tool("stmfadm", &["create-hg", "room-again"]));
        stmfd.kill();
        let stmfd = Stmfd::start(&state);
        assert_eq!(
            must(&mut stmfd.tool("stmfadm", &["list-hg"])).lines().count(),
            added + 1
        );
        stmfd.stop();
    });
    must(Command::new("umount").arg("-l").arg(&state));
    result.unwrap();
}

#[test]
fn rubbish_on_the_iscsi_port_and_on_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let mut random = fs::File::open("/dev/urandom").unwrap();
    for round in 0..200usize {
        let mut bytes = vec![0; 1 + round * 37];
        random.read_exact(&mut bytes).unwrap();
        let mut socket = TcpStream::connect(&stmfd.portal).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        // The target may have closed already.
        let sent = socket.write_all(&bytes);
        let heard = socket.read(&mut [0; 512]);
        assert!(sent.is_ok() || heard.is_err() || matches!(heard, Ok(0)));
    }
    for round in 0..50usize {
        let mut bytes = vec![0; 1 + round * 11];
        random.read_exact(&mut bytes).unwrap();
        let output = run(Command::new("python3")
            .arg("-c")
            .arg(DOOR_RUBBISH)
            .arg(dir.path().join("door"))
            .arg(hex(&bytes)));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    wait_for("stmfd still answers", || {
        run(&mut stmfd.tool("stmfadm", &["list-state"])).status.success()
    });
}

#[test]
fn a_full_file_system_under_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (state, store) = (dir.path().join("state"), dir.path().join("store"));
    fs::create_dir(&store).unwrap();
    must(
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "none"])
            .arg(&store),
    );
    let result = std::panic::catch_unwind(|| {
        let stmfd = Stmfd::start(&state);
        let url = serve(&stmfd, &disk_file(&store.join("disk"), 64 * MIB));
        let fits = qemu_io(&url, &["write -P 0x5a 0 1M", "flush"]);
        assert!(fits.is_ok(), "{fits:?}");
        let too_much = qemu_io(&url, &["write -P 0xa5 2M 32M"]);
        assert!(
            too_much.is_err(),
            "a write that does not fit was acknowledged: {too_much:?}"
        );
        let kept = qemu_io(&url, &["read -P 0x5a 0 1M"]);
        assert!(kept.is_ok(), "what was acknowledged is gone: {kept:?}");
        stmfd.stop();
    });
    must(Command::new("umount").arg("-l").arg(&store));
    result.unwrap();
}

#[test]
fn a_block_device_is_a_disk_and_is_not_shared_by_accident() {
    let dir = tempfile::tempdir().unwrap();
    let file = disk_file(&dir.path().join("device"), 64 * MIB);
    let device = must(Command::new("losetup").args(["--find", "--show", &file]))
        .trim()
        .to_owned();
    let result = std::panic::catch_unwind(|| {
        let stmfd = Stmfd::start(&dir.path().join("state"));
        let url = serve(&stmfd, &device);
        must(Command::new("qemu-io").args(["-f", "raw", "-c", "write -P 0x3c 1M 4M", "-c", "flush", &url]));
        let other = Stmfd::start(&dir.path().join("other"));
        fails_with(
            &mut other.tool("stmfadm", &["import-lu", &device]),
            "stmfadm: unknown error",
        );
        let read = must(Command::new("qemu-io").args(["-f", "raw", "-c", "read -P 0x3c 1M 4M", &url]));
        assert!(!read.contains("failed"), "{read}");
        stmfd.stop();
        // The record is released now.
        must(&mut other.tool("stmfadm", &["import-lu", &device]));
        other.stop();
    });
    must(Command::new("losetup").args(["--detach", &device]));
    result.unwrap();
}

/// Sends bytes to a Unix socket, whatever its type.
const DOOR_RUBBISH: &str = "
import socket, sys
for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    try:
        s.connect(sys.argv[1])
        s.send(bytes.fromhex(sys.argv[2]))
    except OSError:
        pass
    s.close()
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
