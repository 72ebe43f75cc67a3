use crate::disk::lu::Disk;
use crate::disk::testing::{cdb, create, properties, provider, read, run, start, write};
use crate::disk::{Provider, command};
use crate::framework::{Expected, Outcome, Parts, Residual, Start};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::LuProperties;
use proptest::prelude::*;
use std::sync::Arc;

struct Bench {
    _directory: tempfile::TempDir,
    _provider: Provider,
    disk: Arc<Disk>,
}

fn bench(change: impl FnOnce(&mut LuProperties)) -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let mut properties = properties(directory.path(), "disk");
    change(&mut properties);
    let disk = create(&provider, &properties);
    Bench {
        _directory: directory,
        _provider: provider,
        disk,
    }
}

const NONE: Expected = Expected {
    read: false,
    write: false,
    length: 0,
};

#[track_caller]
fn assert_sense(outcome: &Outcome, sense: Sense) {
    assert_eq!(outcome.status, ScsiStatus::CheckCondition, "{outcome:?}");
    assert_eq!(outcome.sense[2], sense.key, "{outcome:?}");
    assert_eq!(outcome.sense[12..14], [sense.asc, sense.ascq], "{outcome:?}");
}

#[track_caller]
fn assert_good(outcome: &Outcome) {
    assert_eq!(outcome.status, ScsiStatus::Good, "{outcome:?}");
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 + n / 256) as u8).collect()
}

#[test]
fn all_forms_of_write_and_read() {
    let bench = bench(|_| {});
    let disk = &bench.disk;
    let forms: [(&[u8], &[u8]); 4] = [
        (&[0x0a, 0, 0, 5, 2, 0], &[0x08, 0, 0, 5, 2, 0]),
        (&[0x2a, 0, 0, 0, 0, 9, 0, 0, 2, 0], &[0x28, 0, 0, 0, 0, 9, 0, 0, 2, 0]),
        (
            &[0xaa, 0, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0],
            &[0xa8, 0x10, 0, 0, 0, 12, 0, 0, 0, 2, 0, 0],
        ),
        (
            &[0x8a, 0x18, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 2, 0, 0],
            &[0x88, 0x18, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0, 0, 2, 0, 0],
        ),
    ];
    for (n, (out, back)) in (1..).zip(forms) {
        let data = vec![n; 1024];
        let written = run(disk, out, write(1024), &data);
        assert_good(&written);
        assert_eq!(written.implied, 1024);
        assert_eq!(run(disk, back, read(1024), &[]).data, data);
    }
    assert_eq!(
        run(disk, &[0x28, 0, 0, 0, 0, 100, 0, 0, 1, 0], read(512), &[]).data,
        [0; 512]
    );
}

#[test]
fn length_zero_of_the_six_byte_forms_is_256_blocks() {
    let bench = bench(|_| {});
    let data = pattern(256 * 512);
    assert_good(&run(&bench.disk, &[0x0a, 0, 0, 1, 0, 0], write(131_072), &data));
    assert_eq!(run(&bench.disk, &[0x08, 0, 0, 1, 0, 0], read(131_072), &[]).data, data);
}

#[test]
fn range_is_checked_without_overflow() {
    let bench = bench(|_| {});
    let last = 2048_u64;
    for lba in [last, last + 1, u64::from(u32::MAX), 1 << 63, u64::MAX] {
        for opcode in [0x88, 0x8a, 0x8f] {
            let mut bytes = [opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0];
            bytes[2..10].copy_from_slice(&lba.to_be_bytes());
            assert_sense(&run(&bench.disk, &bytes, NONE, &[]), Sense::LBA_OUT_OF_RANGE);
            bytes[13] = 0;
            let nothing = run(&bench.disk, &bytes, NONE, &[]);
            if lba == last {
                assert_good(&nothing);
            } else {
                assert_sense(&nothing, Sense::LBA_OUT_OF_RANGE);
            }
        }
    }
    assert_sense(
        &run(&bench.disk, &[0x28, 0, 0, 0, 7, 0xff, 0, 0, 2, 0], read(1024), &[]),
        Sense::LBA_OUT_OF_RANGE,
    );
}

/// `scsi-sbd.md` 2.2, reads.
#[test]
fn read_lengths() {
    let bench = bench(|_| {});
    let two = &[0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    for (expected, length) in [(0, 0), (200, 200), (512, 512), (1024, 1024), (10_000, 1024)] {
        let outcome = run(&bench.disk, two, read(expected), &[]);
        assert_good(&outcome);
        assert_eq!(outcome.data.len(), length);
        let residual = outcome.residual(read(expected), length as u32);
        let right = match expected {
            0..1024 => Residual::Overflow(1024 - expected),
            1024 => Residual::None,
            _ => Residual::Underflow(expected - 1024),
        };
        assert_eq!(residual, right);
    }
    let wrong_way = run(&bench.disk, two, write(1024), &[0; 1024]);
    assert_good(&wrong_way);
    assert!(wrong_way.data.is_empty());
}

/// `scsi-sbd.md` 2.2, writes.
#[test]
fn write_lengths() {
    let bench = bench(|_| {});
    let two = &[0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0];
    let whole = || run(&bench.disk, &[0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0], read(1024), &[]).data;
    let nothing = run(&bench.disk, two, NONE, &[]);
    assert_good(&nothing);
    assert_eq!(nothing.residual(NONE, 0), Residual::Overflow(1024));
    for expected in [200, 1000] {
        let outcome = run(&bench.disk, two, write(expected), &[1; 1024]);
        assert_sense(&outcome, Sense::INVALID_FIELD_IN_IU);
        assert_eq!(
            outcome.residual(write(expected), 0),
            Residual::Overflow(1024 - expected)
        );
        assert_eq!(whole(), [0; 1024], "nothing written");
    }
    let half = run(&bench.disk, two, write(512), &[2; 512]);
    assert_good(&half);
    assert_eq!(half.residual(write(512), 512), Residual::Overflow(512));
    assert_eq!(whole(), [[2; 512], [0; 512]].concat());
    let more = run(&bench.disk, two, write(4096), &[3; 4096]);
    assert_eq!(more.residual(write(4096), 1024), Residual::Underflow(3072));
    assert_eq!(whole(), [3; 1024]);
    assert_sense(&run(&bench.disk, two, read(1024), &[]), Sense::INVALID_FIELD_IN_IU);
}

#[test]
fn long_transfers() {
    let bench = bench(|properties| properties.size = Some(128 << 20));
    let data = pattern(32 << 20);
    let length = data.len() as u32;
    let blocks = (length / 512).to_be_bytes();
    let mut bytes = [
        0x8a, 0, 0, 0, 0, 0, 0, 0, 0, 3, blocks[0], blocks[1], blocks[2], blocks[3], 0, 0,
    ];
    assert_good(&run(&bench.disk, &bytes, write(length), &data));
    bytes[0] = 0x88;
    assert!(run(&bench.disk, &bytes, read(length), &[]).data == data);
    // More than is held at a time: refused with a pointer to the length field, however much is expected.
    bytes[10..14].copy_from_slice(&131_073_u32.to_be_bytes());
    for opcode in [0x8e, 0x8f, 0x8b] {
        let bytes = [&[opcode, 2][..], &bytes[2..]].concat();
        let outcome = run(&bench.disk, &bytes, write(512), &[0; 512]);
        assert_sense(&outcome, Sense::INVALID_FIELD_IN_CDB);
        assert_eq!(outcome.sense[15..18], [0xc0, 0, 10], "{opcode:#x}");
    }
    // READ and WRITE go on in parts, when as much is really to be moved.
    let outcome = run(&bench.disk, &bytes, read(512), &[]);
    assert_good(&outcome);
    assert_eq!(outcome.data, data[..512]);
    let whole = 131_073 * 512;
    for (opcode, expected) in [(0x88, read(whole)), (0x8a, write(whole))] {
        bytes[0] = opcode;
        let start = start(&bench.disk, &cdb(&bytes), expected);
        let parts = Parts::new(whole, 64 << 20, u64::from(whole), opcode == 0x8a);
        assert_eq!(start, Start::InParts(parts));
    }
    // The second part.
    bytes[1] = 0x08;
    let part = command::part(bench.disk.lu(), &bytes, 64 << 20, 512);
    assert_eq!(part[..2], [0x8a, 0x08]);
    assert_eq!(part[2..14], [0, 0, 0, 0, 0, 2, 0, 3, 0, 0, 0, 1]);
}

/// `scsi-sbd.md` 2.1 rows 8 to 12: the first match wins.
#[test]
fn order_of_checks() {
    let bench = bench(|properties| properties.write_protect = Some(true));
    let check = |bytes: &[u8], sense| {
        let outcome = run(&bench.disk, bytes, write(512), &[0; 512]);
        assert_sense(&outcome, sense);
        (outcome.sense[15], outcome.sense[17])
    };
    // Unknown opcode before NACA; unknown service action points to byte 1.
    check(&[0xc0, 0, 0, 0, 0, 4], Sense::INVALID_OPCODE);
    assert_eq!(check(&[0x9e, 0x1f], Sense::INVALID_FIELD_IN_CDB), (0xc0, 1));
    // NACA before protect bits before write protection before the range.
    let mut bytes = [0x2a, 0x20, 0xff, 0, 0, 0, 0, 0, 1, 4];
    assert_eq!(check(&bytes, Sense::INVALID_FIELD_IN_CDB), (0xc0, 9));
    bytes[9] = 0;
    assert_eq!(check(&bytes, Sense::INVALID_FIELD_IN_CDB), (0xc0, 1));
    bytes[1] = 0;
    check(&bytes, Sense::WRITE_PROTECTED);
    bytes[0] = 0x28;
    check(&bytes, Sense::LBA_OUT_OF_RANGE);
    assert_eq!(
        run(&bench.disk, &[0x1a, 0, 0x0a, 0, 255, 0], read(255), &[]).data[2],
        0x90
    );
}

#[test]
fn commands_of_the_table_below_2_3_are_unknown() {
    let bench = bench(|_| {});
    for opcode in [0x04, 0x1c, 0x1d, 0x3b, 0x3c, 0x48, 0x4d, 0x9c, 0xff] {
        assert_sense(&run(&bench.disk, &[opcode], NONE, &[]), Sense::INVALID_OPCODE);
    }
}

#[test]
fn inquiry_is_the_same_for_every_allocation_length() {
    let bench = bench(|properties| properties.vendor = Some("ACME".into()));
    let full = run(&bench.disk, &[0x12, 0, 0, 2, 0, 0], read(512), &[]).data;
    assert_eq!(full.len(), 74);
    assert_eq!(&full[8..36], b"ACME    COMSTAR         1.0 ");
    for length in 0..=255_u8 {
        let data = run(&bench.disk, &[0x12, 0, 0, 0, length, 0], read(255), &[]).data;
        assert_eq!(data, full[..usize::from(length).min(74)]);
    }
    for bad in [
        [0x12, 0, 0x80, 0, 255, 0],
        [0x12, 2, 0, 0, 255, 0],
        [0x12, 1, 0x42, 0, 255, 0],
        [0x12, 0, 0, 0, 255, 0x40],
    ] {
        assert_sense(&run(&bench.disk, &bad, read(255), &[]), Sense::INVALID_FIELD_IN_CDB);
    }
    let page = run(&bench.disk, &[0x12, 1, 0x83, 1, 0, 0], read(256), &[]).data;
    assert_eq!(&page[28..33], b"iqn.a");
    assert_eq!(page[8..24], bench.disk.lu().info().guid.0);
}

#[test]
fn capacity() {
    let bench = bench(|properties| properties.block_size = Some(4096));
    let ten = run(&bench.disk, &[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], read(8), &[]).data;
    assert_eq!(ten, [0, 0, 0, 255, 0, 0, 16, 0]);
    for allocation in [0, 12, 15, 32, 255] {
        let bytes = [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, allocation, 0, 0];
        let data = run(&bench.disk, &bytes, read(255), &[]).data;
        assert_eq!(data.len(), usize::from(allocation).min(32));
        if allocation >= 12 {
            assert_eq!(data[..12], [0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 16, 0]);
        }
    }
}

#[test]
fn status_commands() {
    let bench = bench(|_| {});
    assert_good(&run(&bench.disk, &[0; 6], NONE, &[]));
    let sense = |desc, length| run(&bench.disk, &[3, desc, 0, 0, length, 0], read(255), &[]).data;
    assert_eq!(sense(0, 255), Sense::NO_SENSE.to_fixed());
    assert_eq!(sense(1, 255)[0], 0x72);
    assert_eq!(sense(0, 4).len(), 4);
}

#[test]
fn cache_commands() {
    let bench = bench(|_| {});
    for bytes in [
        [0x35, 0x02, 0, 0, 0, 0, 0x1f, 0, 0, 0],
        [0x35, 0x04, 0, 0, 7, 0xff, 0, 0, 1, 0],
        [0x1b, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0x1b, 1, 0, 0, 1, 0, 0, 0, 0, 0],
    ] {
        assert_good(&run(&bench.disk, &bytes, NONE, &[]));
    }
    let check = |bytes: &[u8], sense| assert_sense(&run(&bench.disk, bytes, NONE, &[]), sense);
    check(&[0x35, 0x01], Sense::INVALID_FIELD_IN_CDB);
    check(&[0x35, 0, 0, 0, 0, 0, 0x20, 0, 0, 0], Sense::INVALID_FIELD_IN_CDB);
    check(&[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0x40], Sense::INVALID_FIELD_IN_CDB);
    check(
        &[0x91, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80],
        Sense::INVALID_FIELD_IN_CDB,
    );
    check(&[0x35, 0, 0, 0, 8, 1], Sense::LBA_OUT_OF_RANGE);
    check(&[0x1b, 0, 0, 0, 0x02], Sense::INVALID_FIELD_IN_CDB);
    check(&[0x1b, 0, 0, 0, 0x10], Sense::INVALID_FIELD_IN_CDB);
}

#[test]
fn durable_writes() {
    let bench = bench(|properties| properties.write_cache_disable = Some(true));
    assert_eq!(
        run(&bench.disk, &[0x1a, 0, 8, 0, 255, 0], read(255), &[]).data[6],
        0,
        "WCE"
    );
    assert_good(&run(
        &bench.disk,
        &[0x2a, 0x08, 0, 0, 0, 0, 0, 0, 1, 0],
        write(512),
        &[9; 512],
    ));
    assert_good(&run(
        &bench.disk,
        &[0x2a, 0, 0, 0, 0, 1, 0, 0, 1, 0],
        write(512),
        &[8; 512],
    ));
    let back = run(&bench.disk, &[0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0], read(1024), &[]).data;
    assert_eq!(back, [[9; 512], [8; 512]].concat());
}

#[test]
fn verify() {
    let bench = bench(|_| {});
    let mut data = pattern(1024);
    assert_good(&run(
        &bench.disk,
        &[0x2a, 0, 0, 0, 0, 0, 0, 0, 2, 0],
        write(1024),
        &data,
    ));
    let bytes = |bytchk: u8| [0x2f, bytchk << 1, 0, 0, 0, 0, 0, 0, 2, 0];
    let absorbed = run(&bench.disk, &bytes(0), write(1024), &data);
    assert_good(&absorbed);
    assert_eq!(absorbed.residual(write(1024), 0), Residual::Underflow(1024));
    assert_good(&run(&bench.disk, &bytes(1), write(1024), &data));
    data[700] ^= 1;
    let different = run(&bench.disk, &bytes(1), write(1024), &data);
    assert_sense(&different, Sense::MISCOMPARE);
    assert_eq!(different.sense[..7], [0xf0, 0, 0xe, 0, 0, 2, 0xbc]);
    assert_sense(
        &run(&bench.disk, &bytes(1), write(512), &data),
        Sense::INVALID_FIELD_IN_IU,
    );
    let reserved = run(&bench.disk, &bytes(2), write(1024), &data);
    assert_sense(&reserved, Sense::INVALID_FIELD_IN_CDB);
}

#[test]
fn write_and_verify() {
    let bench = bench(|_| {});
    let data = pattern(1024);
    for (bytchk, fill) in [(0, 1), (1, 2)] {
        let bytes = [0x2e, bytchk << 1, 0, 0, 0, fill, 0, 0, 2, 0];
        let outcome = run(&bench.disk, &bytes, write(1024), &data);
        assert_good(&outcome);
        assert_eq!(outcome.implied, 1024);
        assert_eq!(
            run(&bench.disk, &[0x28, 0, 0, 0, 0, fill, 0, 0, 2, 0], read(1024), &[]).data,
            data
        );
    }
    let reserved = run(&bench.disk, &[0x2e, 2 << 1, 0, 0, 0, 0, 0, 0, 2, 0], write(1024), &data);
    assert_sense(&reserved, Sense::INVALID_FIELD_IN_CDB);
    assert_good(&run(
        &bench.disk,
        &[0x8e, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        write(0),
        &[],
    ));
}

#[test]
fn prefetch_and_defects() {
    let bench = bench(|_| {});
    for bytes in [[0x34, 2, 0, 0, 0, 0, 0x1f, 0, 8, 0], [0x34, 0, 0, 0, 8, 0, 0, 0, 0, 0]] {
        assert_good(&run(&bench.disk, &bytes, NONE, &[]));
    }
    let beyond = run(&bench.disk, &[0x34, 0, 0, 0, 8, 1, 0, 0, 0, 0], NONE, &[]);
    assert_sense(&beyond, Sense::LBA_OUT_OF_RANGE);
    let ten = run(&bench.disk, &[0x37, 0, 0x1d, 0, 0, 0, 0, 0, 255, 0], read(255), &[]).data;
    assert_eq!(ten, [0, 0x1d, 0, 0]);
    let twelve = run(
        &bench.disk,
        &[0xb7, 0x0d, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0],
        read(255),
        &[],
    )
    .data;
    assert_eq!(twelve, [0, 0x0d, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn identifying_information() {
    let bench = bench(|properties| properties.alias = Some("al".into()));
    let of = |kind: u8| {
        run(
            &bench.disk,
            &[0xa3, 5, 0, 0, 0, 0, 0, 0, 1, 0, kind << 1, 0],
            read(256),
            &[],
        )
    };
    assert_eq!(of(0).data, [0; 4]);
    assert_eq!(of(2).data, *b"\0\0\0\x03al\0");
    assert_eq!(of(127).data, [0, 0, 0, 8, 0, 0, 0, 0, 4, 0, 1, 0]);
    assert_sense(&of(3), Sense::INVALID_FIELD_IN_CDB);
}

/// The rules of `scsi-sbd.md` 2.8.10 for every command of the list.
#[test]
fn supported_operation_codes() {
    let bench = bench(|_| {});
    let ask = |options: u8, opcode: u8, action: u8| {
        let bytes = [0xa3, 0x0c, options, opcode, 0, action, 0, 0, 4, 0, 0, 0];
        run(&bench.disk, &bytes, read(1024), &[])
    };
    let list = ask(0, 0, 0).data;
    assert_eq!(list[..4], (list.len() as u32 - 4).to_be_bytes());
    for entry in list[4..].chunks(8) {
        let (opcode, action, has_action) = (entry[0], entry[3], entry[5] & 1 != 0);
        assert!(has_action || action == 0);
        let (right, wrong) = if has_action { (2, 1) } else { (1, 2) };
        let data = ask(right, opcode, action).data;
        assert_eq!(data[..5], [0, 3, 0, entry[7], opcode]);
        assert_eq!(data.len(), 4 + usize::from(entry[7]));
        assert_sense(&ask(wrong, opcode, action), Sense::INVALID_FIELD_IN_CDB);
        assert_eq!(ask(3, opcode, action).data, data);
        assert_eq!(ask(right | 0x80, opcode, action).data[1], 0x83);
    }
    assert!(list[4..].chunks(8).any(|entry| entry[0] == 0xa0));
    assert_eq!(ask(1, 0x9c, 0).data, [0, 1, 0, 0]);
    assert_eq!(ask(3, 0x9e, 0x1f).data, [0, 1, 0, 0]);
    assert_sense(&ask(4, 0, 0), Sense::INVALID_FIELD_IN_CDB);
    let functions = run(&bench.disk, &[0xa3, 0x0d, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0], read(16), &[]).data;
    assert_eq!(functions, [0xda, 0, 0, 0]);
}

#[test]
fn the_table_is_well_formed() {
    for command in command::FAMILIES.iter().copied().flatten() {
        let length = match command.opcode() >> 5 {
            0 => 6,
            1 | 2 => 10,
            4 => 16,
            5 => 12,
            _ => panic!("opcode {:#x}", command.opcode()),
        };
        assert_eq!(command.usage.len(), length, "{:#x}", command.opcode());
        assert_eq!(command.usage[command.control()], 4);
        let same = command::FAMILIES.iter().copied().flatten();
        let same = same.filter(|c| c.opcode() == command.opcode() && c.service_action == command.service_action);
        assert_eq!(same.count(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// No CDB panics, and nothing wants more from the host than it offers.
    #[test]
    fn any_cdb(commands in proptest::collection::vec((any::<[u8; 16]>(), any::<u8>(), any::<bool>(), 0_u32..5000), 64)) {
        let bench = bench(|_| {});
        for (mut bytes, pick, out, length) in commands {
            let known: Vec<_> = command::FAMILIES.iter().copied().flatten().collect();
            bytes[0] = known[usize::from(pick) % known.len()].opcode();
            let expected = if out { write(length) } else { read(length) };
            if let Start::Execute { want } = start(&bench.disk, &cdb(&bytes), expected) {
                prop_assert!(want <= length);
                prop_assert!(want == 0 || out);
            }
            run(&bench.disk, &bytes, expected, &[0xa5; 5000]);
        }
    }
}
