//! LUs on block devices: loop devices with sectors of 512 and 4096 bytes, under stmfd and a real initiator.

mod common;

use common::{MIB, SmallStore, Stmfd, disk_file, must, qemu_io, run, serve};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

/// A loop device, gone when the test ends however it ends.
struct Loop(String);

impl Loop {
    fn new(file: &Path, options: &[&str]) -> Loop {
        let device = must(
            Command::new("losetup")
                .args(["--find", "--show"])
                .args(options)
                .arg(file),
        );
        Loop(device.trim().to_owned())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run(Command::new("losetup").args(["--detach", &self.0]));
    }
}

/// Bytes of the disk that a file takes.
fn allocated(file: &str) -> u64 {
    fs::metadata(file).expect("it exists").blocks() * 512
}

#[test]
fn what_a_host_unmaps_becomes_a_hole_and_reads_as_zeros() {
    for sector in ["512", "4096"] {
        let dir = tempfile::tempdir().unwrap();
        let file = disk_file(&dir.path().join("device"), 64 * MIB);
        let device = Loop::new(Path::new(&file), &["--sector-size", sector]);
        let stmfd = Stmfd::start(&dir.path().join("state"));
        let url = serve(&stmfd, &device.0);
        qemu_io(&url, &["write -P 0x3c 1M 32M", "flush"]).unwrap();
        let full = allocated(&file);
        assert!(full >= 32 * MIB, "{full} bytes after 32 MiB were written");
        // Once while it is in the cache only, once when it is on the device.
        qemu_io(
            &url,
            &[
                "write -P 0x3d 1M 4M",
                "discard 1M 4M",
                "read -P 0 1M 4M",
                "write -P 0x3c 1M 4M",
                "flush",
            ],
        )
        .unwrap();
        qemu_io(&url, &["discard 2M 24M", "flush"]).unwrap();
        let thin = allocated(&file);
        assert!(thin + 20 * MIB < full, "{sector}: {thin} of {full} bytes are left");
        let seen = [
            "read -P 0x3c 1M 1M",
            "read -P 0 2M 24M",
            "read -P 0x3c 26M 7M",
            // Of one block of the host, less than one of the device.
            "write -z 1536K 512",
            "read -P 0 1536K 512",
            "read -P 0x3c 1573376 4096",
        ];
        qemu_io(&url, &seen).unwrap_or_else(|said| panic!("sectors of {sector}: {said}"));
        stmfd.stop();
        let stmfd = Stmfd::start(&dir.path().join("state"));
        let url = url.replace(url.split('/').nth(2).unwrap(), &stmfd.portal);
        qemu_io(&url, &["read -P 0 2M 24M", "read -P 0x3c 26M 7M"]).unwrap();
        stmfd.stop();
    }
}

#[test]
fn blocks_of_4096_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let file = disk_file(&dir.path().join("device"), 64 * MIB);
    let device = Loop::new(Path::new(&file), &["--sector-size", "4096"]);
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let created = must(&mut stmfd.tool("stmfadm", &["create-lu", "-p", "blk=4096", &device.0]));
    let guid = created.trim().rsplit(' ').next().unwrap().to_owned();
    must(&mut stmfd.tool("stmfadm", &["add-view", "-n", "0", &guid]));
    let target = "iqn.2026-11.example:t4096";
    must(&mut stmfd.tool("itadm", &["create-target", "-n", target]));
    let url = format!("iscsi://{}/{target}/0", stmfd.portal);
    let capacity = must(Command::new("iscsi-readcapacity16").arg(&url));
    assert!(capacity.contains("LENGTH IN BYTES:4096"), "{capacity}");
    // Each in a process of its own; they write, and read back what they wrote.
    for test in [
        "Write16.Simple",
        "CompareAndWrite.Simple",
        "WriteSame16.Simple",
        "Unmap.Simple",
        "WriteVerify16.Simple",
    ] {
        let output = must(Command::new("iscsi-test-cu").args(["--dataloss", "--test", &format!("SCSI.{test}"), &url]));
        assert!(
            output.contains("passed") && !output.contains("[SKIPPED]"),
            "{test}: {output}"
        );
    }
    stmfd.stop();
}

/// `scsi-sbd.md` 4.4, LU online.
#[test]
fn an_lu_whose_device_has_become_too_small_stays_offline() {
    let dir = tempfile::tempdir().unwrap();
    let file = disk_file(&dir.path().join("device"), 64 * MIB);
    let device = Loop::new(Path::new(&file), &[]);
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let created = must(&mut stmfd.tool("stmfadm", &["create-lu", &device.0]));
    let guid = created.trim().rsplit(' ').next().unwrap().to_owned();
    let resize = |bytes| {
        let file = fs::File::options().write(true).open(&file).unwrap();
        file.set_len(bytes).unwrap();
        must(Command::new("losetup").args(["--set-capacity", &device.0]));
    };
    let online = || run(&mut stmfd.tool("stmfadm", &["online-lu", &guid])).status.success();
    must(&mut stmfd.tool("stmfadm", &["offline-lu", &guid]));
    resize(32 * MIB);
    assert!(!online());
    resize(64 * MIB);
    assert!(online());
    stmfd.stop();
}

/// The device takes writes into its cache and cannot keep them: the file system under it is full.
#[test]
fn a_device_that_fails_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let store = SmallStore::new(&dir.path().join("store"));
    let file = disk_file(&store.0.join("device"), 64 * MIB);
    let device = Loop::new(Path::new(&file), &[]);
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let url = serve(&stmfd, &device.0);
    qemu_io(&url, &["write -P 0x5a 0 1M", "flush"]).unwrap();
    let lost = qemu_io(&url, &["write -P 0xa5 2M 32M", "flush"]);
    assert!(lost.is_err(), "32 MiB are said to be durable on 16: {lost:?}");
    // Whoever asks again hears it again: what was acknowledged is lost.
    assert!(qemu_io(&url, &["write -P 0x5a 0 512", "flush"]).is_err());
    qemu_io(&url, &["read -P 0x5a 0 1M"]).unwrap();
    // Such an LU is not handed over; the one who has it in hand is told.
    let guid = must(&mut stmfd.tool("stmfadm", &["list-lu"]))
        .trim()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    assert!(!run(&mut stmfd.tool("stmfadm", &["delete-lu", &guid])).status.success());
    must(&mut stmfd.tool("stmfadm", &["delete-lu", &guid]));
    stmfd.stop();
}

/// With the write cache off each write answers for itself.
#[test]
fn without_a_write_cache_the_write_itself_fails() {
    let dir = tempfile::tempdir().unwrap();
    let store = SmallStore::new(&dir.path().join("store"));
    let file = disk_file(&store.0.join("device"), 64 * MIB);
    let device = Loop::new(Path::new(&file), &[]);
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let created = must(&mut stmfd.tool("stmfadm", &["create-lu", "-p", "wcd=true", &device.0]));
    let guid = created.trim().rsplit(' ').next().unwrap().to_owned();
    must(&mut stmfd.tool("stmfadm", &["add-view", "-n", "0", &guid]));
    let target = "iqn.2026-11.example:uncached";
    must(&mut stmfd.tool("itadm", &["create-target", "-n", target]));
    let url = format!("iscsi://{}/{target}/0", stmfd.portal);
    qemu_io(&url, &["write -P 0x5a 0 1M"]).unwrap();
    assert!(qemu_io(&url, &["write -P 0xa5 2M 32M"]).is_err());
    qemu_io(&url, &["read -P 0x5a 0 1M"]).unwrap();
    stmfd.kill();
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let url = format!("iscsi://{}/{target}/0", stmfd.portal);
    qemu_io(&url, &["read -P 0x5a 0 1M"]).unwrap();
    drop(stmfd);
}

#[test]
fn a_mounted_device_does_not_become_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = disk_file(&dir.path().join("device"), 64 * MIB);
    must(Command::new("mkfs.ext4").args(["-q", "-F", &file]));
    let device = Loop::new(Path::new(&file), &[]);
    let stmfd = Stmfd::start(&dir.path().join("state"));
    let place = dir.path().join("mounted");
    fs::create_dir(&place).unwrap();
    must(Command::new("mount").arg(&device.0).arg(&place));
    let refused = run(&mut stmfd.tool("stmfadm", &["create-lu", &device.0]));
    must(Command::new("umount").arg(&place));
    assert!(!refused.status.success(), "a mounted device became a disk");
    // It still has its file system.
    must(Command::new("fsck.ext4").args(["-f", "-n", &device.0]));
    stmfd.stop();
}
