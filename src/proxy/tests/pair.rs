//! Acceptance list 6, 9, 10 of `alua-proxy.md` chapter 10, between two of our nodes.

use super::nodes::*;
use crate::framework::{AnnouncedLu, Announcement, Expected, PeerLink, Residual};
use crate::scsi::ScsiStatus;
use crate::types::{AccessState, Guid, Status};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub const SIZES: [usize; 5] = [BLOCK, 128 << 10, (128 << 10) + BLOCK, 300 << 10, 4 << 20];

/// The same data and the same residual through the standby path as through the active one.
pub fn compare_reads(active: &Node, standby: &Node) {
    for at in [0, 7 * BLOCK] {
        for size in SIZES {
            let (here, there) = (active.read(at, size), standby.read(at, size));
            for (path, outcome) in [("active", &here), ("standby", &there)] {
                assert_eq!(
                    (outcome.status, &outcome.sense[..]),
                    (ScsiStatus::Good, &[][..]),
                    "{size} bytes at {at} through the {path} path"
                );
            }
            assert!(
                here.data == there.data && here.data == content()[at..at + size],
                "{size} bytes at {at}"
            );
            assert_eq!((there.status, there.implied), (ScsiStatus::Good, here.implied));
            let moved = u32::try_from(there.data.len()).unwrap();
            assert_eq!(there.residual(read(size), moved), Residual::None);
        }
    }
}

#[test]
fn reads_through_the_standby_path_equal_those_of_the_active_path() {
    let pair = Pair::new();
    compare_reads(&pair.a, &pair.b);
    // Less and more than the command implies.
    let command = cdb(0x28, 0, 2 * BLOCK);
    for length in [BLOCK, 2 * BLOCK, 3 * BLOCK] {
        let (here, there) = (
            pair.a.run(&command, read(length), &[]),
            pair.b.run(&command, read(length), &[]),
        );
        let moved = |data: &[u8]| u32::try_from(data.len().min(length)).unwrap();
        assert_eq!(there.data, here.data[..here.data.len().min(length)]);
        assert_eq!(
            here.residual(read(length), moved(&here.data)),
            there.residual(read(length), moved(&there.data)),
            "{length} bytes expected"
        );
    }
    let standby = pair.b.run(
        &cdb(0x2a, 0, BLOCK),
        Expected {
            read: false,
            write: true,
            length: 512,
        },
        &[0; 512],
    );
    assert_eq!(sense(&standby), (2, 4, 0xb), "WRITE is not forwarded");
}

#[test]
fn planned_failover_and_back() {
    let pair = Pair::new();
    let failover = |from: &Node, to: &Node| {
        from.framework.lu_standby(&pair.guid).unwrap();
        assert_eq!(to.framework.lu_import(&pair.path), Ok(pair.guid));
        wait("Standby at the former owner", || {
            from.access(&pair.guid) == Some(AccessState::Standby)
        });
        assert_eq!(to.access(&pair.guid), Some(AccessState::Active));
        compare_reads(to, from);
    };
    failover(&pair.a, &pair.b);
    failover(&pair.b, &pair.a);
}

/// Counted in messages with data or status from the active node.
fn cut_after(pair: &Pair, messages: usize) {
    let passed = AtomicUsize::new(0);
    pair.a.wire.filter(move |message| {
        if is_data(&message) {
            passed.fetch_add(1, Ordering::Relaxed);
        }
        if passed.load(Ordering::Relaxed) > messages {
            vec![]
        } else {
            vec![message]
        }
    });
}

#[test]
fn a_channel_cut_in_the_middle_of_a_read_ends_it_and_heals() {
    let pair = Pair::watchful(|_| ());
    pair.enable();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    cut_after(&pair, 3);
    let outcome = pair.b.start(&cdb(0x28, 0, 4 << 20), read(4 << 20), &[]);
    wait("PeerDown", || !pair.b.proxy.status().reachable);
    let down = Instant::now();
    let outcome = outcome.recv_timeout(Duration::from_secs(10)).expect("a status");
    assert!(down.elapsed() < Duration::from_secs(1), "within 1 s of PeerDown");
    assert_eq!(sense(&outcome), (2, 4, 0xc));
    assert_eq!(sense(&pair.b.read(0, BLOCK)), (2, 4, 0xc));
    let inquiry = pair.b.run(&[0x12, 0, 0, 0, 96, 0], read(96), &[]);
    assert_eq!(inquiry.status, ScsiStatus::Good, "answered locally");

    pair.a.wire.heal();
    pair.wait_ready();
    wait("a usable path", || pair.b.read(0, BLOCK).status == ScsiStatus::Good);
    compare_reads(&pair.a, &pair.b);
    assert_eq!(pair.b.access(&pair.guid), Some(AccessState::Standby));
    assert_eq!(pair.a.access(&pair.guid), Some(AccessState::Active));
}

#[test]
fn doors_of_restarted_daemons_are_as_good_as_the_first() {
    let pair = Pair::new();
    compare_reads(&pair.a, &pair.b);
    pair.reinstall();
    // The daemons call stmfSetAluaState again once their channel exists.
    pair.enable();
    wait("a usable path", || pair.b.read(0, BLOCK).status == ScsiStatus::Good);
    compare_reads(&pair.a, &pair.b);
}

#[test]
fn destroying_the_door_takes_the_images_of_the_peer() {
    let pair = Pair::new();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    assert!(pair.a.framework.port_list().contains(&pair.b.port()));
    assert_eq!(pair.a.framework.port_nexuses(&pair.b.port()).unwrap().len(), 1);
    pair.a.proxy.destroy_door(*pair.a.door.lock()).unwrap();
    assert_eq!(pair.a.framework.port_list(), [pair.a.port()]);
    assert!(!pair.a.proxy.status().door);
}

#[test]
fn sessions_of_the_peer_end_with_those_of_its_initiators() {
    let pair = Pair::new();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    let sessions = || pair.a.framework.port_nexuses(&pair.b.port()).unwrap().len();
    assert_eq!(sessions(), 1);
    pair.b.logout();
    wait("SESSION_DESTROY", || sessions() == 0);
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    assert_eq!(sessions(), 1);
}

fn write(length: usize) -> Expected {
    Expected {
        read: false,
        write: true,
        length: u32::try_from(length).unwrap(),
    }
}

/// 7.7: every command, data of any length, through the node that does not own the LU.
#[test]
fn under_the_policy_non_optimized_both_paths_do_everything() {
    let pair = Pair::new();
    pair.a.framework.set_lu_policy(&pair.guid, true).unwrap();
    wait("the policy on both nodes", || {
        pair.b.framework.lu_policy(&pair.guid) == Ok(true)
    });
    for size in SIZES.into_iter().chain([(256 << 10) + BLOCK, 6 << 20]) {
        let data: Vec<u8> = (0..size)
            .map(|n| u8::try_from((n + size / BLOCK) % 249).unwrap())
            .collect();
        let outcome = pair.b.run(&cdb(0x2a, BLOCK, size), write(size), &data);
        assert_eq!(
            (outcome.status, outcome.implied),
            (ScsiStatus::Good, size as u64),
            "{:?}",
            outcome.sense
        );
        assert!(
            pair.a.read(BLOCK, size).data == data && pair.b.read(BLOCK, size).data == data,
            "{size}"
        );
    }
    let none = Expected::default();
    assert_eq!(
        pair.b.run(&[0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0], none, &[]).status,
        ScsiStatus::Good
    );
    let beyond = pair.b.run(&cdb(0x2a, SIZE, BLOCK), write(BLOCK), &[0; BLOCK]);
    assert_eq!(sense(&beyond), (5, 0x21, 0), "the owner decides");
    // The owner moves; the policy is there.
    pair.a.framework.lu_standby(&pair.guid).unwrap();
    assert_eq!(pair.b.framework.lu_import(&pair.path), Ok(pair.guid));
    wait("Standby", || pair.a.access(&pair.guid) == Some(AccessState::Standby));
    let outcome = pair.a.run(&cdb(0x2a, 0, BLOCK), write(BLOCK), &[7; BLOCK]);
    assert_eq!(outcome.status, ScsiStatus::Good);
    assert_eq!(pair.b.read(0, BLOCK).data, [7; BLOCK]);
    // And back to the default.
    pair.b.framework.set_lu_policy(&pair.guid, false).unwrap();
    wait("the default on both nodes", || {
        pair.a.framework.lu_policy(&pair.guid) == Ok(false)
    });
    let refused = pair.a.run(&cdb(0x2a, 0, BLOCK), write(BLOCK), &[7; BLOCK]);
    assert_eq!(sense(&refused), (2, 4, 0xb));
}

#[test]
fn many_commands_at_once_all_end() {
    let pair = Pair::new();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    let data = content();
    let size = 64 << 10;
    let outcomes: Vec<_> = (0..100)
        .map(|n| pair.b.start(&cdb(0x28, n * size, size), read(size), &[]))
        .collect();
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let outcome = outcome
            .recv_timeout(Duration::from_secs(30))
            .expect("every command ends");
        assert!(
            outcome.status == ScsiStatus::Good && outcome.data == data[n * size..][..size],
            "command {n}"
        );
    }
}

#[test]
fn disabling_withdraws_everything() {
    let pair = Pair::new();
    pair.a.framework.set_alua(false, None).unwrap();
    wait("the end of the Standby LU", || pair.b.access(&pair.guid).is_none());
    wait("the end of the image", || {
        pair.b.framework.port_list() == [pair.b.port()]
    });
    assert_eq!(pair.a.access(&pair.guid), Some(AccessState::Active));
}

/// Acceptance list 12, hazard H30: neither node waits for the other while it announces.
#[test]
fn both_nodes_announce_10_000_lus_at_the_same_moment() {
    const LUS: u32 = 10_000;
    let pair = Pair::new();
    let guid = |node: &Node, n: u32| {
        let mut bytes = [0x60; 16];
        bytes[8] = node.number;
        bytes[12..].copy_from_slice(&n.to_be_bytes());
        Guid(bytes)
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        for node in [&pair.a, &pair.b] {
            scope.spawn(move || {
                for n in 0..LUS {
                    node.proxy.announce(Announcement::LuRegister(AnnouncedLu {
                        guid: guid(node, n),
                        name: format!("/disks/{n}"),
                        generation: 1,
                        non_optimized: false,
                    }));
                }
            });
        }
    });
    for (node, other) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
        wait("all registrations", || {
            other.proxy.counters().received[2] >= u64::from(LUS)
        });
        wait("the last Standby LU", || {
            node.access(&guid(other, LUS - 1)) == Some(AccessState::Standby)
        });
    }
    println!("{LUS} LUs on each node: {:?}", began.elapsed());
}

/// Hazard H5: LUN_ACTIVE is lost, the former owner stays in transition; what is announced when the channel is back ends it.
#[test]
fn a_lost_lun_active_is_made_good() {
    let pair = Pair::watchful(|_| ());
    pair.enable();
    pair.a.framework.lu_standby(&pair.guid).unwrap();
    pair.b.wire.cut();
    assert_eq!(pair.b.framework.lu_import(&pair.path), Ok(pair.guid));
    wait("PeerDown", || !pair.a.proxy.status().reachable);
    assert_eq!(pair.a.access(&pair.guid), Some(AccessState::TransitionToStandby));
    pair.b.wire.heal();
    wait("Standby at the former owner", || {
        pair.a.access(&pair.guid) == Some(AccessState::Standby)
    });
    pair.wait_ready();
    compare_reads(&pair.b, &pair.a);
}

/// Descriptors of this process that lead to the file.
fn open_on(path: &str) -> usize {
    let links = std::fs::read_dir("/proc/self/fd").unwrap();
    let targets = links.filter_map(|link| std::fs::read_link(link.unwrap().path()).ok());
    targets.filter(|target| target.to_str() == Some(path)).count()
}

/// Hazard H26: the import fails after the peer has released the LU. Nothing stays open, and either node may import it.
#[test]
fn an_import_that_fails_leaves_the_lu_to_either_node() {
    let pair = Pair::new();
    for to in [&pair.b, &pair.a] {
        let from = if std::ptr::eq(to, &pair.a) { &pair.b } else { &pair.a };
        from.framework.lu_standby(&pair.guid).unwrap();
        // The metadata behind the ownership record cannot be read any more.
        let whole = std::fs::read(&pair.path).unwrap();
        let mut damaged = whole.clone();
        damaged[4096..8192].fill(0xff);
        std::fs::write(&pair.path, &damaged).unwrap();
        for node in [to, from] {
            let (status, _) = node.framework.lu_import(&pair.path).unwrap_err();
            assert!(
                matches!(status, Status::AccessStateSet | Status::MetaFileName),
                "{status:?}"
            );
            assert_eq!(open_on(&pair.path), 0);
        }
        std::fs::write(&pair.path, &whole).unwrap();
        assert_eq!(from.framework.lu_import(&pair.path), Ok(pair.guid), "a change of mind");
        from.framework.lu_standby(&pair.guid).unwrap();
        assert_eq!(to.framework.lu_import(&pair.path), Ok(pair.guid));
        wait("Standby at the former owner", || {
            from.access(&pair.guid) == Some(AccessState::Standby)
        });
        compare_reads(to, from);
    }
}

/// Hazard H28: two sessions of one initiator through one target are two on the other node as well.
#[test]
fn sessions_of_one_initiator_stay_apart() {
    let pair = Pair::new();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    let first = pair.b.change_nexus([0x23, 0, 0, 0, 0, 0x77]);
    let images = || pair.a.framework.port_nexuses(&pair.b.port()).unwrap().len();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    assert_eq!(images(), 2);
    // The first one was not replaced by the second.
    let second = pair.b.set_nexus(first);
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    assert_eq!(images(), 2);
    pair.b.framework.nexus_deregister(&second);
    wait("the end of the second one", || images() == 1);
}

/// Hazard H33: sense data of the peer is the command's own, whatever happens to the message it came in.
#[test]
fn sense_outlives_the_message_that_brought_it() {
    let pair = Pair::new();
    // LBA out of range, told by the owner.
    let beyond = cdb(0x28, SIZE, BLOCK);
    let outcomes: Vec<_> = (0..50).map(|_| pair.b.start(&beyond, read(BLOCK), &[])).collect();
    for _ in 0..50 {
        assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    }
    let mut told = 0;
    for outcome in outcomes {
        let outcome = outcome.recv_timeout(Duration::from_secs(30)).unwrap();
        // A unit attention of the pair's start may come first.
        if sense(&outcome).0 != 6 {
            assert_eq!(sense(&outcome), (5, 0x21, 0));
            assert_eq!(outcome.sense.len(), 18);
            told += 1;
        }
    }
    assert!(told > 40, "{told}");
}
