//! Stores that fail: what hosts hear, and that they hear the truth.

use super::common::{PATIENCE, SmallStore, Stmfd, disk_file, serve};
use super::disk::FaultyDisk;
use super::initiator::{Initiator, read10, write10};
use super::served::{KEYS, host, stamped};
use std::time::Instant;
use stmf::iscsi::pdu::opcode;

/// Status and sense of GOOD.
const GOOD: (u8, [u8; 3]) = (0, [0; 3]);
/// CHECK CONDITION, 03/0C/00: write error.
const WRITE_ERROR: (u8, [u8; 3]) = (2, [0x03, 0x0c, 0x00]);
/// CHECK CONDITION, 03/11/00: unrecovered read error.
const READ_ERROR: (u8, [u8; 3]) = (2, [0x03, 0x11, 0x00]);
const BLOCKS: u16 = 8;
const LENGTH: usize = 512 * BLOCKS as usize;

/// An initiator on the only LU.
fn login(url: &str) -> Initiator {
    let mut parts = url.split('/').skip(2);
    let (address, target) = (parts.next().unwrap(), parts.next().unwrap());
    let mut initiator = Initiator::login(address.parse().unwrap(), &host(0), target, KEYS);
    initiator.test_unit_ready();
    initiator
}

/// A command with its data: status and sense, and what came back.
fn command(initiator: &mut Initiator, cdb: &[u8], data: &[u8], expected: usize) -> ((u8, [u8; 3]), Vec<u8>) {
    let (flags, length) = if data.is_empty() {
        (0xc0, expected)
    } else {
        (0xa0, data.len())
    };
    let itt = initiator.request(Initiator::command(cdb, flags, u32::try_from(length).unwrap()), data);
    let mut back = Vec::new();
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "no answer");
        let pdu = initiator.receive();
        match pdu.header.opcode() {
            opcode::DATA_IN => back.extend_from_slice(&pdu.data),
            opcode::SCSI_RESPONSE => {}
            other => panic!("{other:#x}"),
        }
        assert_eq!(pdu.header.itt(), itt);
        if pdu.header.opcode() == opcode::SCSI_RESPONSE || pdu.header.flags() & 1 != 0 {
            let sense = match &pdu.data[..] {
                [_, _, _, _, key, ..] if pdu.header.0[3] == 2 => [*key, pdu.data[14], pdu.data[15]],
                _ => [0; 3],
            };
            return ((pdu.header.0[3], sense), back);
        }
    }
}

fn put(initiator: &mut Initiator, lba: u32, version: u32) -> (u8, [u8; 3]) {
    command(initiator, &write10(lba, BLOCKS), &stamped(lba, BLOCKS, version), 0).0
}

#[track_caller]
fn holds(initiator: &mut Initiator, lba: u32, version: u32) {
    let (outcome, back) = command(initiator, &read10(lba, BLOCKS), &[], LENGTH);
    assert_eq!(outcome, GOOD);
    assert!(back == stamped(lba, BLOCKS, version), "LBA {lba}");
}

/// The LU is on a disk that returns errors.
#[test]
fn a_disk_with_errors_is_told_of_with_the_right_sense() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let file = disk_file(&data.join("disk"), 16 << 20);
    let faulty = FaultyDisk::new(directory.path());
    let state = directory.path().join("state");
    let portal = format!("127.0.0.1:{}", super::common::free_port());
    let mut stmfd = Stmfd::command(&state, &portal);
    faulty.under(&data, &mut stmfd);
    let stmfd = Stmfd::start_command(stmfd, &state, &portal);
    let mut initiator = login(&serve(&stmfd, &file));
    assert_eq!(put(&mut initiator, 0, 1), GOOD);

    faulty.fail(libc::EIO, 0, i32::MAX);
    assert_eq!(put(&mut initiator, 0, 2), WRITE_ERROR);
    let mut same = [0; 10];
    same[..9].copy_from_slice(&[0x41, 0, 0, 0, 0, 0, 0, 0, 8]);
    assert_eq!(command(&mut initiator, &same, &[7; 512], 0).0, WRITE_ERROR);
    holds(&mut initiator, 0, 1);
    assert!(faulty.work() > 0);
    assert_eq!(put(&mut initiator, 0, 3), GOOD, "it works again");

    faulty.fail_reads(libc::EIO);
    let old = stamped(0, BLOCKS, 3);
    assert_eq!(
        command(&mut initiator, &read10(0, BLOCKS), &[], LENGTH),
        (READ_ERROR, vec![])
    );
    let mut verify = read10(0, BLOCKS);
    verify[..2].copy_from_slice(&[0x2f, 0x02]);
    assert_eq!(command(&mut initiator, &verify, &old, 0).0, READ_ERROR);
    let swap = [0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
    assert_eq!(command(&mut initiator, &swap, &[1; 1024], 0).0, READ_ERROR);
    faulty.fail_reads(0);
    assert_eq!(command(&mut initiator, &verify, &old, 0).0, GOOD);

    // What was acknowledged from the cache cannot be made durable: every later flush says so, too.
    faulty.fail(libc::EIO, 0, i32::MAX);
    let flush = [0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(command(&mut initiator, &flush, &[], 0).0, WRITE_ERROR);
    faulty.work();
    assert_eq!(command(&mut initiator, &flush, &[], 0).0, WRITE_ERROR);
    holds(&mut initiator, 0, 3);
    initiator.logout();
}

/// The LU is sparse, and its file system has less room than it promises.
#[test]
fn a_full_file_system_refuses_new_blocks_and_keeps_the_old() {
    let directory = tempfile::tempdir().unwrap();
    let store = SmallStore::new(&directory.path().join("store"));
    let file = disk_file(&store.0.join("disk"), 64 << 20);
    let stmfd = Stmfd::start(&directory.path().join("state"));
    let mut initiator = login(&serve(&stmfd, &file));
    let mut acknowledged = 0;
    let refused = loop {
        match put(&mut initiator, acknowledged * 8, 1) {
            GOOD => acknowledged += 1,
            other => break other,
        }
        assert!(acknowledged * 4096 < 16 << 20, "more than there is room for");
    };
    assert_eq!(refused, WRITE_ERROR);
    assert!(acknowledged > 1000, "{acknowledged}");
    for number in (0..acknowledged).step_by(50) {
        holds(&mut initiator, number * 8, 1);
        assert_eq!(put(&mut initiator, number * 8, 2), GOOD, "no new block");
        holds(&mut initiator, number * 8, 2);
    }
    assert_eq!(put(&mut initiator, acknowledged * 8, 3), WRITE_ERROR);
    // The host gives blocks back.
    let mut list = vec![0, 22, 0, 16, 0, 0, 0, 0];
    list.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0, 0]);
    let unmap = [0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0];
    assert_eq!(command(&mut initiator, &unmap, &list, 0).0, GOOD);
    assert_eq!(put(&mut initiator, acknowledged * 8, 4), GOOD);
    holds(&mut initiator, acknowledged * 8, 4);
    initiator.logout();
}
