//! Commands on blocks beyond reading and writing, and mode parameters.

use crate::disk::lu::Disk;
use crate::disk::testing::{cdb, create, execute, properties, provider, read, run, write};
use crate::framework::{Expected, Outcome};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::LuProperties;
use std::sync::Arc;
use std::time::Duration;

const NONE: Expected = Expected {
    read: false,
    write: false,
    length: 0,
};

fn disk() -> (tempfile::TempDir, Arc<Disk>) {
    let directory = tempfile::tempdir().unwrap();
    let disk = create(&provider(0), &properties(directory.path(), "disk"));
    (directory, disk)
}

fn ten(opcode: u8, flags: u8, lba: u8, blocks: u8) -> [u8; 10] {
    [opcode, flags, 0, 0, 0, lba, 0, 0, blocks, 0]
}

fn sixteen(opcode: u8, flags: u8, lba: u8, blocks: u8) -> [u8; 16] {
    [opcode, flags, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, blocks, 0, 0]
}

#[track_caller]
fn good(outcome: Outcome) -> Outcome {
    assert_eq!(outcome.status, ScsiStatus::Good, "{outcome:?}");
    outcome
}

#[track_caller]
fn refused(outcome: &Outcome, sense: Sense) {
    let got = outcome.sense.get(2).zip(outcome.sense.get(12..14));
    assert_eq!(got, Some((&sense.key, &[sense.asc, sense.ascq][..])), "{outcome:?}");
}

fn put(disk: &Disk, lba: u8, data: &[u8]) {
    let blocks = u8::try_from(data.len() / 512).unwrap();
    let length = u32::try_from(data.len()).unwrap();
    good(run(disk, &ten(0x2a, 0, lba, blocks), write(length), data));
}

fn get(disk: &Disk, lba: u8, blocks: u8) -> Vec<u8> {
    let length = u32::from(blocks) * 512;
    good(run(disk, &ten(0x28, 0, lba, blocks), read(length), &[])).data
}

fn unmap_list(extents: &[(u8, u8)]) -> Vec<u8> {
    let length = u8::try_from(extents.len() * 16).unwrap();
    let mut list = vec![0, length + 6, 0, length, 0, 0, 0, 0];
    for (lba, blocks) in extents {
        list.extend([0, 0, 0, 0, 0, 0, 0, *lba, 0, 0, 0, *blocks, 0, 0, 0, 0]);
    }
    list
}

#[test]
fn unmapped_blocks_are_holes_and_zeros() {
    let (_directory, disk) = disk();
    put(&disk, 0, &[7; 64 * 512]);
    let list = unmap_list(&[(8, 8), (32, 3)]);
    let length = u8::try_from(list.len()).unwrap();
    let bytes = [0x42, 0, 0, 0, 0, 0, 0, 0, length, 0];
    good(run(&disk, &bytes, write(length.into()), &list));
    let data = get(&disk, 0, 64);
    for (block, data) in data.chunks(512).enumerate() {
        let hole = (8..16).contains(&block) || (32..35).contains(&block);
        assert!(data.iter().all(|b| *b == if hole { 0 } else { 7 }), "block {block}");
    }
    // The smaller extent is zeroed within blocks of the file system, and so is mapped.
    let status = |lba: u8| {
        let bytes = [0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, lba, 0, 0, 0, 24, 0, 0];
        let data = good(run(&disk, &bytes, read(24), &[])).data;
        assert_eq!(data.len(), 24);
        assert_eq!(data[15], lba, "exactly where asked");
        (data[19], data[20])
    };
    assert_eq!(status(3), (5, 0));
    assert_eq!(status(10), (6, 1));
    assert_eq!(status(16).1, 0);
    let short = [0x42, 0, 0, 0, 0, 0, 0, 0, length - 1, 0];
    refused(
        &run(&disk, &short, write(length.into()), &list),
        Sense::PARAMETER_LIST_LENGTH,
    );
    let anchor = [0x42, 1, 0, 0, 0, 0, 0, 0, length, 0];
    refused(
        &run(&disk, &anchor, write(length.into()), &list),
        Sense::INVALID_FIELD_IN_CDB,
    );
    good(run(&disk, &[0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0], NONE, &[]));
    let far = [0x9e, 0x12, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 24, 0, 0];
    refused(&run(&disk, &far, read(24), &[]), Sense::LBA_OUT_OF_RANGE);
}

#[test]
fn write_same() {
    let (_directory, disk) = disk();
    good(run(&disk, &ten(0x41, 0, 3, 5), write(512), &[9; 512]));
    assert_eq!(get(&disk, 2, 7), [&[0; 512][..], &[9; 5 * 512], &[0; 512]].concat());
    // No blocks: to the end. NDOB: zeros, without data.
    good(run(&disk, &sixteen(0x93, 0, 0, 0), write(512), &[8; 512]));
    assert_eq!(get(&disk, 100, 200), [8; 200 * 512]);
    good(run(&disk, &sixteen(0x93, 1, 1, 2), NONE, &[]));
    assert_eq!(get(&disk, 0, 4), [&[8; 512][..], &[0; 1024], &[8; 512]].concat());
    // UNMAP, with a block or without.
    good(run(&disk, &ten(0x41, 8, 8, 8), NONE, &[]));
    good(run(&disk, &sixteen(0x93, 8, 24, 8), write(512), &[0; 512]));
    assert_eq!(get(&disk, 24, 9), [&[0; 8 * 512][..], &[8; 512]].concat());
    // With UNMAP, a block that is not zero is written by the long form; the short form does not look at it.
    good(run(&disk, &sixteen(0x93, 8, 40, 2), write(512), &[7; 512]));
    good(run(&disk, &ten(0x41, 8, 42, 2), write(512), &[7; 512]));
    assert_eq!(get(&disk, 40, 4), [[7; 1024], [0; 1024]].concat());
    for (flags, expected) in [(0x20, 512), (0x10, 512), (0x18, 512), (0x06, 512), (0, 0), (0, 1024)] {
        let outcome = run(&disk, &ten(0x41, flags, 0, 1), write(expected), &[1; 1024]);
        refused(&outcome, Sense::INVALID_FIELD_IN_CDB);
    }
    refused(&run(&disk, &ten(0x41, 1, 0, 1), NONE, &[]), Sense::INVALID_FIELD_IN_CDB);
    let beyond = [0x41, 0, 0, 0, 8, 1, 0, 0, 0, 0];
    refused(&run(&disk, &beyond, write(512), &[1; 512]), Sense::LBA_OUT_OF_RANGE);
}

/// What VPD page B0 says is what is refused, and nothing less is.
#[test]
fn limits_are_those_that_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let properties = LuProperties {
        size: Some(2 << 30),
        ..properties(directory.path(), "disk")
    };
    let disk = create(&provider(0), &properties);
    let page = good(run(&disk, &[0x12, 1, 0xb0, 0, 64, 0], read(64), &[])).data;
    let word = |at: usize| u32::from_be_bytes(*page[at..].first_chunk().unwrap());
    assert_eq!(
        (page.len(), page[4] & 1, word(8), word(12)),
        (64, 0, 0, 0),
        "WSNZ, MAXIMUM and OPTIMAL TRANSFER"
    );
    let same = u64::from_be_bytes(*page[36..].first_chunk().unwrap());
    let same = u32::try_from(same).unwrap();
    let write_same = |blocks: u32| {
        let mut cdb = sixteen(0x93, 0x09, 0, 0);
        cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
        run(&disk, &cdb, NONE, &[])
    };
    good(write_same(same));
    refused(&write_same(same + 1), Sense::INVALID_FIELD_IN_CDB);
    // To the end is more.
    refused(&write_same(0), Sense::INVALID_FIELD_IN_CDB);
    let compare = u32::from(page[5]);
    let compare_and_write = |blocks: u32| {
        let data = vec![0; blocks as usize * 1024];
        let cdb = sixteen(0x89, 0, 0, u8::try_from(blocks).unwrap());
        run(&disk, &cdb, write(blocks * 1024), &data)
    };
    good(compare_and_write(compare));
    refused(&compare_and_write(compare + 1), Sense::INVALID_FIELD_IN_CDB);
    let unmap = |descriptors: u32, blocks: u32| {
        let length = u16::try_from(descriptors * 16).unwrap();
        let mut list = [(length + 6).to_be_bytes(), length.to_be_bytes(), [0; 2], [0; 2]].concat();
        for _ in 0..descriptors {
            list.extend([&[0; 8][..], &blocks.to_be_bytes(), &[0; 4]].concat());
        }
        let [high, low] = (length + 8).to_be_bytes();
        let cdb = [0x42, 0, 0, 0, 0, 0, 0, high, low, 0];
        run(&disk, &cdb, write(u32::from(length) + 8), &list)
    };
    let (blocks, descriptors) = (word(20), word(24));
    good(unmap(1, blocks));
    refused(&unmap(1, blocks + 1), Sense::INVALID_FIELD_IN_PARAMETER_LIST);
    good(unmap(descriptors, 1));
    refused(&unmap(descriptors + 1, 1), Sense::INVALID_FIELD_IN_PARAMETER_LIST);
}

#[test]
fn verify_one_block_against_many() {
    let (_directory, disk) = disk();
    let blocks = 2000_u16;
    let [high, low] = blocks.to_be_bytes();
    let fill = [0x41, 0, 0, 0, 0, 0, 0, high, low, 0];
    good(run(&disk, &fill, write(512), &[6; 512]));
    let verify = [0x2f, 0x06, 0, 0, 0, 0, 0, high, low, 0];
    let outcome = run(&disk, &verify, write(512), &[6; 512]);
    assert_eq!((outcome.status, outcome.implied), (ScsiStatus::Good, 512));
    // The last block of more than one piece differs in one byte.
    let mut last = [6; 512];
    last[500] = 7;
    let [high, low] = (blocks - 1).to_be_bytes();
    let change = [0x2a, 0, 0, 0, high, low, 0, 0, 1, 0];
    good(run(&disk, &change, write(512), &last));
    let outcome = run(&disk, &verify, write(512), &[6; 512]);
    refused(&outcome, Sense::MISCOMPARE);
    assert_eq!(
        outcome.sense[..7],
        [0xf0, 0, 0x0e, 0, 0, 0x01, 0xf4],
        "its offset in the host's data"
    );
    // Nothing to compare; too little to compare with.
    good(run(&disk, &ten(0x2f, 0x06, 0, 0), NONE, &[]));
    refused(&run(&disk, &verify, write(256), &[6; 256]), Sense::INVALID_FIELD_IN_IU);
}

#[test]
fn compare_and_write() {
    let (_directory, disk) = disk();
    put(&disk, 4, &[1; 1024]);
    let new = [[1; 1024], [2; 1024]].concat();
    let bytes = sixteen(0x89, 0, 4, 2);
    good(run(&disk, &bytes, write(2048), &new));
    assert_eq!(get(&disk, 4, 2), [2; 1024]);
    let mut wrong = [[2; 1024], [3; 1024]].concat();
    wrong[600] = 0;
    let outcome = run(&disk, &bytes, write(2048), &wrong);
    refused(&outcome, Sense::MISCOMPARE);
    assert_eq!(outcome.sense[..7], [0xf0, 0, 0xe, 0, 0, 2, 0x58]);
    assert_eq!(get(&disk, 4, 2), [2; 1024], "unchanged");
    for expected in [0, 1024, 2560] {
        let outcome = run(&disk, &bytes, write(expected), &[0; 2560]);
        refused(&outcome, Sense::INVALID_FIELD_IN_CDB);
    }
    let long = sixteen(0x89, 0, 0, 33);
    refused(
        &run(&disk, &long, write(66 * 512), &[0; 66 * 512]),
        Sense::INVALID_FIELD_IN_CDB,
    );
    good(run(&disk, &sixteen(0x89, 0, 0, 0), NONE, &[]));
}

/// Whatever the interleaving, each COMPARE AND WRITE that succeeds has seen the one before.
#[test]
fn compare_and_write_is_atomic() {
    let (_directory, disk) = disk();
    const ROUNDS: usize = 100;
    let bytes = cdb(&sixteen(0x89, 0, 0, 1));
    let add = || {
        let disk = Arc::clone(&disk);
        std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                loop {
                    let old = get(&disk, 0, 1);
                    let mut new = old.clone();
                    let count = u32::from_be_bytes(*new.first_chunk().unwrap()) + 1;
                    new[..4].copy_from_slice(&count.to_be_bytes());
                    let outcome = execute(&disk, &bytes, write(1024), &[old, new].concat());
                    match outcome.recv_timeout(Duration::from_secs(60)).unwrap().status {
                        ScsiStatus::Good => break,
                        status => assert_eq!(status, ScsiStatus::CheckCondition),
                    }
                }
            }
        })
    };
    let threads: Vec<_> = (0..3).map(|_| add()).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(get(&disk, 0, 1)[..4], (3 * ROUNDS as u32).to_be_bytes());
}

#[test]
fn or_write() {
    let (_directory, disk) = disk();
    put(&disk, 1, &[0x0f; 512]);
    good(run(&disk, &sixteen(0x8b, 0x08, 0, 2), write(1024), &[0x30; 1024]));
    assert_eq!(get(&disk, 0, 2), [[0x30; 512], [0x3f; 512]].concat());
    refused(
        &run(&disk, &sixteen(0x8b, 0x20, 0, 1), write(512), &[0; 512]),
        Sense::INVALID_FIELD_IN_CDB,
    );
}

fn copy_list(disk: &Disk, from: u8, to: u8, blocks: u8) -> Vec<u8> {
    let mut list = vec![5, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 0];
    for _ in 0..2 {
        list.extend([0xe4, 0, 0, 0, 1, 3, 0, 16]);
        list.extend(disk.lu().info().guid.0);
        list.extend([0, 0, 0, 0, 0, 0, 2, 0]);
    }
    list.extend([2, 2, 0, 0x18, 0, 0, 0, 1, 0, 0, 0, blocks]);
    list.extend([0, 0, 0, 0, 0, 0, 0, from, 0, 0, 0, 0, 0, 0, 0, to]);
    list
}

#[test]
fn extended_copy() {
    let (_directory, disk) = disk();
    put(&disk, 0, &[5; 4 * 512]);
    let bytes = sixteen(0x83, 0, 0, 16 + 64 + 28);
    let copy = |list: &[u8]| run(&disk, &bytes, write(108), list);
    good(copy(&copy_list(&disk, 1, 20, 3)));
    assert_eq!(get(&disk, 19, 5), [&[0; 512][..], &[5; 3 * 512], &[0; 512]].concat());
    // 2048 blocks: beyond the end, checked before anything is copied.
    let mut list = copy_list(&disk, 0, 255, 4);
    list[16 + 64 + 20 + 6] = 7;
    list[16 + 64 + 11] = 2;
    refused(&copy(&list), Sense::COPY_UNREACHABLE);
    // Not in the LUN map of the nexus.
    let mut list = copy_list(&disk, 1, 20, 3);
    list[16 + 8 + 15] ^= 1;
    refused(&copy(&list), Sense::COPY_TARGET_UNREACHABLE);
    let status = good(run(
        &disk,
        &[0x84, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0],
        read(12),
        &[],
    ));
    assert_eq!(status.data, [0, 0, 0, 8, 1, 0, 1, 0, 0, 0, 6, 0]);
    let unknown = run(
        &disk,
        &[0x84, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0],
        read(12),
        &[],
    );
    refused(&unknown, Sense::INVALID_FIELD_IN_CDB);
    let long = [0x83, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    refused(&run(&disk, &long, write(65536), &[]), Sense::PARAMETER_LIST_LENGTH);
}

#[test]
fn mode_select() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let properties = properties(directory.path(), "disk");
    let disk = create(&provider, &properties);
    let wce = || run(&disk, &[0x1a, 0, 8, 0, 255, 0], read(255), &[]).data[6];
    let saved = || run(&disk, &[0x1a, 0, 0xc8, 0, 255, 0], read(255), &[]).data[6];
    let mut list = vec![0; 4];
    list.extend([8, 18]);
    list.resize(24, 0);
    let select = |flags: u8, list: &[u8]| {
        let length = u8::try_from(list.len()).unwrap();
        run(&disk, &[0x15, flags, 0, 0, length, 0], write(length.into()), list)
    };
    good(select(0x10, &list));
    assert_eq!((wce(), saved()), (0, 4));
    crate::framework::Unit::reset(&*disk);
    assert_eq!((wce(), saved()), (4, 4), "what was not saved ends with a reset");
    good(select(0x11, &list));
    crate::framework::Unit::reset(&*disk);
    assert_eq!((wce(), saved()), (0, 0));
    refused(&select(0x01, &list), Sense::INVALID_FIELD_IN_CDB);
    list[7] = 1;
    refused(&select(0x10, &list), Sense::INVALID_FIELD_IN_PARAMETER_LIST);
    // Software write protect.
    let mut control = vec![0, 0, 0, 0, 0x0a, 10, 0, 0x10, 8];
    control.resize(16, 0);
    good(select(0x10, &control));
    let denied = run(&disk, &ten(0x2a, 0, 0, 1), write(512), &[1; 512]);
    refused(&denied, Sense::WRITE_PROTECTED);
    control[8] = 0;
    good(select(0x10, &control));
    put(&disk, 0, &[1; 512]);
    // What was saved is in the metadata.
    let path = properties.data_file.unwrap();
    crate::framework::Unit::release(&*disk, crate::framework::Release::Handover).unwrap();
    let disk = provider
        .import_disk(&path, crate::framework::PeerView::default())
        .unwrap();
    assert!(!disk.lu().write_cache());
}

/// Begins a command that waits for block 0, lets something happen, and gives its outcome.
fn meanwhile(disk: &Disk, bytes: &[u8], data: &[u8], happening: impl FnOnce()) -> Outcome {
    let held = disk.lu().locks().try_take(0..1).expect("nobody has it");
    let length = u32::try_from(data.len()).unwrap();
    let outcome = execute(disk, &cdb(bytes), write(length), data);
    happening();
    drop(held);
    outcome.recv_timeout(Duration::from_secs(60)).unwrap()
}

/// `scsi-sbd.md` 2.4: with the cache disabled status means stable storage, also of what began before.
#[test]
fn a_write_under_way_hears_that_the_cache_is_disabled() {
    let list = unmap_list(&[(0, 8)]);
    let twice = [[0; 512], [1; 512]].concat();
    let commands: [(&[u8], &[u8]); 7] = [
        (&ten(0x2a, 0, 0, 1), &[1; 512]),
        (&ten(0x41, 0, 0, 1), &[1; 512]),
        (&ten(0x41, 8, 0, 1), &[0; 512]),
        (&[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0], &list),
        (&sixteen(0x8b, 0, 0, 1), &[1; 512]),
        (&sixteen(0x89, 0, 0, 1), &twice),
        (&sixteen(0x83, 0, 0, 108), &[]),
    ];
    for (bytes, data) in commands {
        let (_directory, disk) = disk();
        let copy = copy_list(&disk, 1, 0, 3);
        let data = if bytes[0] == 0x83 { &copy[..] } else { data };
        // A flush is seen by its failure.
        let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().0));
        let disable = || {
            disk.lu().set_write_cache(false);
            assert!(disk.lu().medium().flush(&pipe).is_err());
        };
        let outcome = meanwhile(&disk, bytes, data, disable);
        let failed = if bytes[0] == 0x83 {
            Sense::COPY_DEVICE_FAILURE
        } else {
            Sense::WRITE_ERROR
        };
        refused(&outcome, failed);
    }
}

#[test]
fn what_takes_long_ends_when_it_is_aborted() {
    let (_directory, disk) = disk();
    put(&disk, 8, &[5; 3 * 512]);
    let copy = copy_list(&disk, 8, 0, 3);
    let commands: [(&[u8], &[u8]); 2] = [(&ten(0x41, 0, 0, 3), &[1; 512]), (&sixteen(0x83, 0, 0, 108), &copy)];
    for (bytes, data) in commands {
        let nexus = crate::framework::Nexus::detached(1);
        let abort = || crate::framework::Handler::abort(&*disk, &nexus, 1);
        let outcome = meanwhile(&disk, bytes, data, abort);
        assert_eq!(outcome.status, ScsiStatus::TaskAborted);
        assert_eq!(get(&disk, 0, 3), [0; 3 * 512]);
    }
}

/// `scsi-sbd.md` 6, ReadOnly: before any data.
#[test]
fn write_protected() {
    let directory = tempfile::tempdir().unwrap();
    let mut properties = properties(directory.path(), "disk");
    properties.write_protect = Some(true);
    let disk = create(&provider(0), &properties);
    for bytes in [
        &ten(0x41, 0, 0, 1)[..],
        &ten(0x41, 8, 0, 1),
        &sixteen(0x93, 0, 0, 1),
        &sixteen(0x93, 9, 0, 1),
        &sixteen(0x8b, 0, 0, 1),
        &sixteen(0x89, 0, 0, 1),
        &[0x42, 0, 0, 0, 0, 0, 0, 0, 24, 0],
    ] {
        refused(&run(&disk, bytes, NONE, &[]), Sense::WRITE_PROTECTED);
    }
}
