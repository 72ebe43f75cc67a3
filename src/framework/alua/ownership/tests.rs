use super::*;
use proptest::prelude::*;

const ME: InstallationId = InstallationId([1; 16]);
const OTHER: InstallationId = InstallationId([2; 16]);
const SECOND: Duration = Duration::from_secs(1);

fn record(owner: InstallationId, released: bool) -> Record {
    Record {
        released,
        lease_in_directory: false,
        guid: Guid([0x60; 16]),
        owner,
        incarnation: 0x1122_3344_5566_7788,
        generation: 7,
        counter: 41,
        lease_ms: 10_000,
        node: NodeId::new(1).unwrap(),
        written_ns: 0x0102_0304_0506_0708,
        handover: if released { 7 } else { 0 },
    }
}

fn sighting(record: Found, at: Duration) -> Sighting {
    Sighting {
        record,
        lease: None,
        at,
    }
}

fn reachable(says: Option<AccessState>) -> PeerView {
    PeerView {
        reachable: true,
        says,
        ..PeerView::default()
    }
}

const ORIGINAL: PeerView = PeerView {
    reachable: true,
    original: true,
    says: None,
    fenced: false,
    cold_start: false,
    given_up: None,
};
const UNREACHABLE: PeerView = PeerView {
    reachable: false,
    original: false,
    says: None,
    fenced: false,
    cold_start: false,
    given_up: None,
};
const FENCED: PeerView = PeerView {
    fenced: true,
    ..UNREACHABLE
};

/// All views of the peer.
fn views() -> Vec<PeerView> {
    let mut views = Vec::new();
    for says in [None, Some(0), Some(1), Some(2), Some(3)] {
        for bits in 0..8 {
            views.push(PeerView {
                reachable: bits & 1 != 0,
                cold_start: false,
                original: bits & 2 != 0,
                fenced: bits & 4 != 0,
                says: says.and_then(AccessState::from_number),
                given_up: None,
            });
        }
    }
    views
}

fn at_once(found: Found, peer: &PeerView) -> Decision {
    let look = sighting(found, 100 * SECOND);
    decide(&ME, peer, &look, &look)
}

/// Waits from 100 s on: not a moment less than lease and margin, and never when the lease moves.
#[track_caller]
fn waits(found: Found, peer: &PeerView) {
    let (first, until) = (sighting(found, 100 * SECOND), 115 * SECOND);
    let wait = Decision::WaitAndWatch { until };
    assert_eq!(decide(&ME, peer, &first, &first), wait);
    let look = |at| decide(&ME, peer, &first, &sighting(found, at));
    assert_eq!(look(until - Duration::from_nanos(1)), wait);
    assert_eq!(look(until), Decision::Grant);
    if let Found::Valid(record) = found {
        let moved = Found::Valid(Record {
            counter: record.counter + 1,
            ..record
        });
        assert_eq!(decide(&ME, peer, &first, &sighting(moved, until)), Decision::Refuse);
    }
}

// --- the decision table ----------------------------------------------------------------------------------------------

#[test]
fn no_record_or_released_is_granted() {
    for peer in views() {
        for found in [Found::Blank, Found::Foreign, Found::Valid(record(OTHER, true))] {
            assert_eq!(at_once(found, &peer), Decision::Grant, "{found:?} {peer:?}");
        }
    }
}

#[test]
fn own_record_is_granted() {
    for peer in views() {
        assert_eq!(
            at_once(Found::Valid(record(ME, false)), &peer),
            Decision::Grant,
            "{peer:?}"
        );
    }
}

#[test]
fn other_owner_and_the_reachable_peer_says_not_active() {
    for says in [AccessState::Standby, AccessState::TransitionToStandby] {
        waits(Found::Valid(record(OTHER, false)), &reachable(Some(says)));
    }
}

#[test]
fn other_owner_and_the_reachable_peer_says_active() {
    for says in [AccessState::Active, AccessState::TransitionToActive] {
        let peer = reachable(Some(says));
        assert_eq!(at_once(Found::Valid(record(OTHER, false)), &peer), Decision::Refuse);
    }
}

#[test]
fn other_owner_and_the_reachable_peer_says_nothing() {
    waits(Found::Valid(record(OTHER, false)), &reachable(None));
}

#[test]
fn other_owner_and_an_original_peer() {
    waits(Found::Valid(record(OTHER, false)), &ORIGINAL);
    let announced = PeerView {
        says: Some(AccessState::Active),
        ..ORIGINAL
    };
    waits(Found::Valid(record(OTHER, false)), &announced);
}

#[test]
fn other_owner_and_the_peer_is_unreachable() {
    waits(Found::Valid(record(OTHER, false)), &UNREACHABLE);
    let last_word = PeerView {
        says: Some(AccessState::Active),
        ..UNREACHABLE
    };
    waits(Found::Valid(record(OTHER, false)), &last_word);
}

#[test]
fn other_owner_and_the_peer_is_fenced() {
    assert_eq!(at_once(Found::Valid(record(OTHER, false)), &FENCED), Decision::Grant);
    assert_eq!(at_once(Found::Damaged, &FENCED), Decision::Grant);
    let came_back = PeerView {
        reachable: true,
        ..FENCED
    };
    waits(Found::Valid(record(OTHER, false)), &came_back);
}

/// Whether it can be reached now, and whatever its lease does; of that claim only, and only of a record that can be read.
#[test]
fn other_owner_and_the_peer_has_given_it_up() {
    let found = Found::Valid(record(OTHER, false));
    for view in views() {
        let said = |generation| PeerView {
            given_up: Some(generation),
            ..view
        };
        assert_eq!(at_once(found, &said(found.generation())), Decision::Grant);
        for other in [found.generation() - 1, found.generation() + 1] {
            assert_eq!(at_once(found, &said(other)), at_once(found, &view));
        }
        assert_eq!(at_once(Found::Damaged, &said(0)), at_once(Found::Damaged, &view));
    }
}

#[test]
fn a_damaged_record_may_have_an_owner() {
    waits(Found::Damaged, &UNREACHABLE);
}

#[test]
fn a_newer_record_is_refused() {
    for peer in views() {
        assert_eq!(at_once(Found::Newer(2), &peer), Decision::Refuse);
    }
}

#[test]
fn released_while_watching_is_granted() {
    let first = sighting(Found::Valid(record(OTHER, false)), 100 * SECOND);
    let latest = sighting(Found::Valid(record(OTHER, true)), 101 * SECOND);
    assert_eq!(decide(&ME, &UNREACHABLE, &first, &latest), Decision::Grant);
}

#[test]
fn claimed_by_another_while_watching_is_refused() {
    let first = sighting(Found::Valid(record(OTHER, false)), 100 * SECOND);
    let third = InstallationId([3; 16]);
    let latest = sighting(Found::Valid(record(third, false)), 200 * SECOND);
    assert_eq!(decide(&ME, &UNREACHABLE, &first, &latest), Decision::Refuse);
}

#[test]
fn a_lease_in_the_directory_is_watched_there_and_a_missing_one_stands_still() {
    let found = Found::Valid(Record {
        lease_in_directory: true,
        ..record(OTHER, false)
    });
    let mut lease = Record::lease_file(OTHER, 9, NodeId::new(1).unwrap());
    let look = |lease: Option<Record>, at| Sighting {
        record: found,
        lease: lease.map(Found::Valid),
        at,
    };
    let first = look(Some(lease), 100 * SECOND);
    let still = look(Some(lease), 115 * SECOND);
    assert_eq!(decide(&ME, &UNREACHABLE, &first, &still), Decision::Grant);
    lease.counter += 1;
    let moved = look(Some(lease), 115 * SECOND);
    assert_eq!(decide(&ME, &UNREACHABLE, &first, &moved), Decision::Refuse);
    let (missing, later) = (look(None, 100 * SECOND), look(None, 115 * SECOND));
    assert_eq!(decide(&ME, &UNREACHABLE, &missing, &later), Decision::Grant);
    assert_eq!(
        decide(&ME, &UNREACHABLE, &missing, &first),
        Decision::Refuse,
        "it appeared: somebody lives"
    );
}

#[test]
fn the_wait_follows_the_lease_in_the_record() {
    let long = Found::Valid(Record {
        lease_ms: 60_000,
        ..record(OTHER, false)
    });
    let until = 165 * SECOND;
    assert_eq!(at_once(long, &UNREACHABLE), Decision::WaitAndWatch { until });
}

// --- the owner -------------------------------------------------------------------------------------------------------

#[test]
fn writes_start_only_well_inside_the_lease() {
    let fence = Fence {
        renewed: 100 * SECOND,
        lease: LEASE,
    };
    let instant = Duration::from_nanos(1);
    assert!(fence.may_start(100 * SECOND));
    assert!(fence.may_start(108 * SECOND - instant));
    assert!(!fence.may_start(108 * SECOND));
    assert!(!fence.lapsed(110 * SECOND - instant));
    assert!(fence.lapsed(110 * SECOND));
    let tiny = Fence { lease: SECOND, ..fence };
    assert!(!tiny.may_start(100 * SECOND));
}

/// Hazard H8: the owner stops before anybody else may start.
#[test]
fn owner_is_fenced_before_any_claimant_is_granted() {
    // The claimant looks first right after the last renewal was written, which began earlier.
    let fence = Fence {
        renewed: 100 * SECOND,
        lease: LEASE,
    };
    let first = sighting(Found::Valid(record(OTHER, false)), fence.renewed);
    for ms in 0..20_000 {
        let now = fence.renewed + Duration::from_millis(ms);
        let latest = sighting(first.record, now);
        let granted = decide(&ME, &UNREACHABLE, &first, &latest) == Decision::Grant;
        assert!(!granted || !fence.may_start(now) && fence.lapsed(now));
    }
}

#[test]
fn renewal_goes_on_while_the_record_names_the_claim() {
    let mine = record(ME, false);
    let next = Record {
        counter: 42,
        written_ns: 5,
        ..mine
    };
    assert_eq!(renew(&mine.claim(), &Found::Valid(mine), 5), Renewal::Write(next));
    assert_eq!(
        renew(&mine.claim(), &Found::Valid(next), 5),
        Renewal::Write(Record { counter: 43, ..next })
    );
}

#[test]
fn renewal_is_lost_when_it_does_not() {
    let mine = record(ME, false);
    let others = [
        Record { owner: OTHER, ..mine },
        Record { generation: 8, ..mine },
        Record { incarnation: 1, ..mine },
        Record { released: true, ..mine },
    ];
    let unreadable = [Found::Blank, Found::Foreign, Found::Damaged, Found::Newer(2)];
    for found in others.map(Found::Valid).into_iter().chain(unreadable) {
        assert_eq!(renew(&mine.claim(), &found, 5), Renewal::Lost, "{found:?}");
        assert!(!mine.claim().holds(&found));
    }
}

#[test]
fn a_claim_counts_generations_and_drops_the_handover() {
    let previous = Found::Valid(record(OTHER, true));
    let claimed = Record::claimed(record(ME, true), &previous);
    assert_eq!((claimed.generation, claimed.released, claimed.handover), (8, false, 0));
    assert_ne!(Found::Valid(claimed), previous);
    assert_eq!(Record::claimed(record(ME, false), &Found::Blank).generation, 1);
}

#[test]
fn handover_data_is_valid_only_after_a_planned_release() {
    let mine = Record::claimed(record(ME, false), &Found::Blank);
    assert!(!mine.handover_valid());
    assert!(mine.released(true, 1).handover_valid());
    assert!(!mine.released(false, 1).handover_valid());
    let older = Record {
        handover: mine.generation + 1,
        ..mine.released(true, 1)
    };
    assert!(!older.handover_valid());
}

// --- the bytes -------------------------------------------------------------------------------------------------------

#[test]
fn bytes_are_those_of_the_table() {
    let bytes = Record {
        lease_in_directory: true,
        ..record(OTHER, true)
    }
    .encode();
    let mut expected = Vec::new();
    expected.extend(b"STMFOWN1");
    expected.extend([0, 0, 0, 1, 0, 0, 0, 3]);
    expected.extend([0x60; 16]);
    expected.extend([2; 16]);
    expected.extend([0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 41]);
    expected.extend([0, 0, 0x27, 0x10, 1, 0, 0, 0]);
    expected.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    expected.extend([0, 0, 0, 0, 0, 0, 0, 7]);
    expected.resize(508, 0);
    assert_eq!(bytes[..508], expected[..]);
    // The check value of CRC-32C (RFC 3720 B.4): its bit order and byte order are as stated.
    assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(bytes[508..], crc32c::crc32c(&expected).to_be_bytes());
}

#[test]
fn blocks_that_are_not_records() {
    let good = record(ME, false).encode();
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        bytes
    };
    let sealed = |mut bytes: [u8; RECORD_SIZE]| {
        let crc = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_be_bytes());
        Found::decode(&bytes)
    };
    assert_eq!(Found::decode(&[0; BLOCK_SIZE]), Found::Blank);
    assert_eq!(Found::decode(&[]), Found::Damaged);
    assert_eq!(Found::decode(&good[..511]), Found::Damaged);
    assert_eq!(Found::decode(&with(0, b'X')), Found::Foreign);
    let mut label = [0; BLOCK_SIZE];
    label[510..512].copy_from_slice(&[0x55, 0xaa]);
    assert_eq!(Found::decode(&label), Found::Foreign);
    assert_eq!(Found::decode(&with(60, 1)), Found::Damaged);
    assert_eq!(sealed(with(11, 2)), Found::Newer(2));
    assert_eq!(sealed(with(76, 2)), Found::Damaged, "node id");
    assert_eq!(sealed(with(72, 0xff)), Found::Damaged, "lease length");
    assert_eq!(
        sealed(with(300, 9)),
        Found::Valid(record(ME, false)),
        "reserved bytes are ignored"
    );
    let mut block = [0xee; BLOCK_SIZE];
    block[..RECORD_SIZE].copy_from_slice(&good);
    assert_eq!(
        Found::decode(&block),
        Found::Valid(record(ME, false)),
        "the rest of the block is not ours"
    );
}

#[test]
fn lease_files_have_the_owner_in_their_name() {
    assert_eq!(lease_file_name(&ME), format!(".stmf-lease.{}", "01".repeat(16)));
    let lease = Record::lease_file(ME, 3, NodeId::new(0).unwrap());
    assert_eq!(Found::decode(&lease.encode()), Found::Valid(lease));
    assert!(matches!(renew(&lease.claim(), &Found::Valid(lease), 0), Renewal::Write(r) if r.counter == 2));
}

prop_compose! {
    fn any_record()(
        (released, lease_in_directory) in any::<(bool, bool)>(),
        (guid, owner) in any::<([u8; 16], [u8; 16])>(),
        (incarnation, generation, counter) in any::<(u64, u64, u64)>(),
        (written_ns, handover) in any::<(u64, u64)>(),
        (lease_ms, node) in (LEASE_MS, 0u8..2),
    ) -> Record {
        Record {
            released, lease_in_directory, guid: Guid(guid), owner: InstallationId(owner), incarnation, generation,
            counter, lease_ms, node: NodeId::new(node).unwrap(), written_ns, handover,
        }
    }
}

proptest! {
    #[test]
    fn decode_of_encode_is_identity(record in any_record()) {
        prop_assert_eq!(Found::decode(&record.encode()), Found::Valid(record));
    }

    #[test]
    fn one_wrong_byte_is_noticed(record in any_record(), at in 8..RECORD_SIZE, xor in 1u8..) {
        let mut bytes = record.encode();
        bytes[at] ^= xor;
        prop_assert_eq!(Found::decode(&bytes), Found::Damaged);
    }

    #[test]
    fn no_block_panics(mut block in proptest::collection::vec(any::<u8>(), 0..600), magic: bool, seal: bool) {
        if magic && block.len() >= 8 {
            block[..8].copy_from_slice(&MAGIC);
        }
        if seal && block.len() >= RECORD_SIZE {
            let crc = crc32c::crc32c(&block[..508]);
            block[508..512].copy_from_slice(&crc.to_be_bytes());
        }
        let found = Found::decode(&block);
        let look = Sighting { record: found, lease: Some(found), at: Duration::MAX / 2 };
        decide(&ME, &UNREACHABLE, &look, &look);
        if let Found::Valid(record) = found {
            let _ = renew(&record.claim(), &found, 0);
            let _ = Record::claimed(record, &found).released(true, 0).encode();
        }
    }
}
