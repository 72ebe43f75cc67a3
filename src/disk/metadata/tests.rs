use super::*;
use crate::types::Guid;
use proptest::prelude::*;

fn info() -> LuInfo {
    LuInfo {
        guid: "600144f0c0ffee0000005a3c817e0001".parse().unwrap(),
        size: 1 << 20,
        block_shift: 9,
        separate_meta: false,
        meta_name: None,
        data_name: Some("/disks/one".into()),
        alias: Some("one".into()),
        serial: Some("S1".into()),
        mgmt_url: Some("http://a/".into()),
        vendor: Some(*b"ACME    "),
        product: Some(*b"DISK            "),
        revision: None,
        write_protected: false,
        write_cache_disabled: true,
    }
}

fn metadata(order: Order) -> Metadata {
    let reservations = Section {
        id: 2,
        order,
        content: vec![7; 16],
    };
    Metadata {
        order,
        info: info(),
        others: vec![reservations],
    }
}

/// The files are the contract with stores written by this release, in both byte orders.
#[test]
fn golden_bytes() {
    let fixtures: [(Order, &[u8]); 2] = [
        (
            Order::Little,
            include_bytes!("../../../tests/fixtures/disk-metadata-le.bin"),
        ),
        (
            Order::Big,
            include_bytes!("../../../tests/fixtures/disk-metadata-be.bin"),
        ),
    ];
    for (order, bytes) in fixtures {
        assert_eq!(metadata(order).encode(Slot::First).unwrap(), bytes, "{order:?}");
        assert_eq!(Metadata::decode(bytes), Ok(metadata(order)), "{order:?}");
    }
}

/// Byte for byte, by the tables of `scsi-sbd.md` 4.3, without the encoder.
#[test]
fn big_endian_by_hand() {
    let area = metadata(Order::Big).encode(Slot::First).unwrap();
    assert_eq!(&area[..8], b"SUNSBDLU");
    assert_eq!(area[40..46], [0, 1, 0, 1, 0, 0]);
    let section = &area[48..];
    assert_eq!(section[..8], (4096_u64 + 48).to_be_bytes(), "absolute offset");
    assert_eq!(section[12..15], [0, 1, 0]);
    assert_eq!(section[16..20], 0xbcc_u32.to_be_bytes(), "flags");
    assert_eq!(&section[24..48], b"ACME    DISK            ");
    assert_eq!(section[48..56], (1_u64 << 20).to_be_bytes());
    assert_eq!(section[88], 9);
    assert_eq!(section[92..98], [0xf1, 3, 0, 16, 0x60, 0x01]);
    assert_eq!(&section[368..], &area[416..]);
    assert_eq!(
        &area[416..],
        [&b"/disks/one\0one\0http://a/\0S1"[..], &area[443..]].concat()
    );
}

/// A writer that counts offsets from the metadata area.
#[test]
fn offsets_from_the_area() {
    let mut area = metadata(Order::Little).encode(Slot::First).unwrap();
    let first = u64::from(Order::Little.u32(area[56..60].try_into().unwrap()));
    for at in [48, 48 + first] {
        let field = usize::try_from(at).unwrap();
        area[field..field + 8].copy_from_slice(&at.to_le_bytes());
        // 4096 = 10h in the second byte: the sum shrinks by it.
        area[field + 15] = area[field + 15].wrapping_sub(0x10);
    }
    let used = area.len() as u64;
    area[16..24].copy_from_slice(&used.to_le_bytes());
    area[47] = area[47].wrapping_sub(0x10);
    assert_eq!(Metadata::decode(&area), Ok(metadata(Order::Little)));
}

#[test]
fn version_1_0() {
    let mut content = vec![0; 80 - 16];
    content[..8].copy_from_slice(&((1_u64 << 20) + 65536).to_be_bytes());
    content[40..44].copy_from_slice(&[0xf1, 3, 0, 16]);
    content[44..60].copy_from_slice(&info().guid.0);
    let section = Section {
        id: 0,
        order: Order::Big,
        content,
    };
    let decoded = LuInfo::decode_1_0(&section).unwrap();
    assert_eq!((decoded.size, decoded.block_shift), (1 << 20, 9));
    assert_eq!(decoded.guid, info().guid);
}

#[test]
fn foreign_and_newer() {
    assert_eq!(Metadata::decode(&[0; 4096]), Err(MetadataError::NoMagic));
    assert_eq!(Metadata::decode(b"SUNSBDLU"), Err(MetadataError::NoMagic));
    let mut old = vec![0; 4096];
    old[..8].copy_from_slice(b"SUNMICRO");
    assert_eq!(Metadata::decode(&old), Err(MetadataError::Version(0)));
    let mut newer = metadata(Order::Big).encode(Slot::First).unwrap();
    newer[41] = 2;
    newer[47] += 1;
    assert_eq!(Metadata::decode(&newer), Err(MetadataError::Version(2)));
}

#[test]
fn an_unused_section_is_skipped_whatever_it_holds() {
    let with_hole = Metadata {
        order: Order::Big,
        others: vec![Section {
            id: 0x1000,
            order: Order::Big,
            content: Vec::new(),
        }],
        info: info(),
    };
    let area = with_hole.encode(Slot::First).unwrap();
    assert_eq!(Metadata::decode(&area).unwrap().others, []);
}

/// A change that does not fit into the first block: until that is written, the old state counts.
#[test]
fn slots_are_used_in_turn_and_the_first_block_decides() {
    let with = |byte: u8, length: usize| Metadata {
        others: vec![Section {
            id: 2,
            order: Order::Little,
            content: vec![byte; length],
        }],
        ..metadata(Order::Little)
    };
    let mut area = with(0, 100).encode(Slot::First).unwrap();
    area.resize(AREA_SIZE, 0);
    for (byte, length) in [(1, 8000), (2, 20_000), (3, 5000), (4, 100), (5, 6000)] {
        let before = Metadata::decode(&area).unwrap();
        let slot = Slot::free(&area[..FIRST_BLOCK]);
        let next = with(byte, length).encode(slot).unwrap();
        if with(byte, length).uses_slot() {
            area[slot.start()..next.len()].copy_from_slice(&next[slot.start()..]);
            assert_eq!(Metadata::decode(&area).unwrap(), before, "a crash before the commit");
        }
        let head = next.len().min(FIRST_BLOCK);
        area[..head].copy_from_slice(&next[..head]);
        assert_eq!(Metadata::decode(&area).unwrap(), with(byte, length));
    }
    assert_eq!(with(0, 60_000).encode(Slot::First), None);
}

proptest! {
    #[test]
    fn every_damaged_byte_is_noticed(at in 0_usize..400, bit in 0_u8..8) {
        let mut area = metadata(Order::Little).encode(Slot::First).unwrap();
        area[at] ^= 1 << bit;
        prop_assert!(Metadata::decode(&area).is_err());
    }

    #[test]
    fn truncation_is_noticed(length in 0_usize..400) {
        let area = metadata(Order::Little).encode(Slot::First).unwrap();
        prop_assert!(Metadata::decode(&area[..length]).is_err());
    }

    #[test]
    fn no_bytes_panic(mut area in proptest::collection::vec(any::<u8>(), 0..700), resum: bool) {
        let real = metadata(Order::Little).encode(Slot::First).unwrap();
        let n = area.len().min(48);
        area[..n].copy_from_slice(&real[..n]);
        if resum && area.len() > 64 {
            area[48..60].copy_from_slice(&real[48..60]);
            area[60..64].copy_from_slice(&[1, 0, 0xff, 0]);
        }
        let _ = Metadata::decode(&area);
    }

    #[test]
    fn any_flags_and_offsets_of_a_section(content in proptest::collection::vec(any::<u8>(), 0..800), big: bool) {
        let order = if big { Order::Big } else { Order::Little };
        let _ = LuInfo::decode_1_1(&Section { id: 1, order, content: content.clone() });
        let _ = LuInfo::decode_1_0(&Section { id: 0, order, content });
    }

    #[test]
    fn round_trip(
        guid: [u8; 15], size in 1_u64..1 << 40, block_shift in 9_u8..=15, big: bool, protect: bool, wcd: bool,
        texts in proptest::array::uniform5(proptest::option::of("[^\0]{0,252}")),
        vendor: Option<[u8; 8]>, revision: Option<[u8; 4]>,
    ) {
        let [meta_name, data_name, alias, mgmt_url, serial] = texts;
        let mut id = [0x60; 16];
        id[1..].copy_from_slice(&guid);
        let info = LuInfo {
            guid: Guid(id), size: size << block_shift, block_shift, separate_meta: meta_name.is_some(), meta_name,
            data_name, alias, mgmt_url, serial, vendor, product: None, revision,
            write_protected: protect, write_cache_disabled: wcd,
        };
        let order = if big { Order::Big } else { Order::Little };
        let metadata = Metadata { order, info, others: Vec::new() };
        let area = metadata.encode(Slot::First).unwrap();
        prop_assert_eq!(Metadata::decode(&area), Ok(metadata));
    }
}
