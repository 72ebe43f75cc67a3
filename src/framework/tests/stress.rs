//! Everything at once: commands from several initiators while LUs move, vanish and come back. The model of the store
//! asserts that it is never open twice (I1); here it is asserted that every command is answered, and that what was
//! acknowledged is read back (I2).

use super::model::*;
use crate::framework::*;
use crate::scsi::ScsiStatus;
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const ROUNDS: usize = 150;

/// Sends a command again while the host would: unit attention, transition, busy, aborted.
fn persist(node: &Node, nexus: &Arc<Nexus>, cdb: &[u8], data: &[u8], stop: &AtomicBool) -> Option<Outcome> {
    static TAG: AtomicU64 = AtomicU64::new(1);
    loop {
        let tag = TAG.fetch_add(1, Ordering::Relaxed);
        let received = node.submit(nexus, 0, cdb, data, tag);
        let outcome = received.recv_timeout(Duration::from_secs(30)).expect("a command ends");
        match outcome.status {
            ScsiStatus::Good => return Some(outcome),
            ScsiStatus::CheckCondition => {
                let (key, asc, ascq) = sense(&outcome);
                assert!(
                    matches!((key, asc, ascq), (6, ..) | (2, 4, 0x0a..=0x0c) | (5, 0x25, 0)),
                    "{key:x}/{asc:x}/{ascq:x}"
                );
            }
            ScsiStatus::Busy | ScsiStatus::TaskAborted => {}
            other => panic!("{other:?}"),
        }
        if stop.load(Ordering::Acquire) {
            return None;
        }
        std::thread::yield_now();
    }
}

/// One writer writes what it then reads through its own node; nobody else writes.
fn write_and_read(node: &Node, nexus: &Arc<Nexus>, stop: &AtomicBool) -> u64 {
    let mut acknowledged = 0;
    for value in (1..=255u8).cycle() {
        if persist(node, nexus, WRITE, &[value], stop).is_none() {
            break;
        }
        let Some(read) = persist(node, nexus, READ, &[], stop) else {
            break;
        };
        assert_eq!(read.data, [value], "an acknowledged write is lost");
        acknowledged += 1;
        if stop.load(Ordering::Acquire) {
            break;
        }
    }
    acknowledged
}

#[test]
fn an_lu_moves_under_load() {
    let (a, b) = pair();
    a.create("/x", 1).unwrap();
    wait("b knows the LU", || b.access(1) == Some(AccessState::Standby));
    a.view_all(1, 0);
    b.view_all(1, 0);
    let stop = AtomicBool::new(false);
    let on_a = a.login("iqn.port-a", "iqn.writer");
    let readers = [(&a, "iqn.r1"), (&b, "iqn.r2")].map(|(node, name)| {
        let port = if std::ptr::eq(node, &a) {
            "iqn.port-a"
        } else {
            "iqn.port-b"
        };
        (node, node.login(port, name))
    });
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_and_read(&a, &on_a, &stop));
        for (node, nexus) in &readers {
            scope.spawn(|| while persist(node, nexus, READ, &[], &stop).is_some() && !stop.load(Ordering::Acquire) {});
        }
        for round in 0..ROUNDS {
            let (from, to) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            assert_eq!(from.framework.lu_standby(&guid(1)), Ok(()));
            assert_eq!(to.framework.lu_import("/x"), Ok(guid(1)));
            wait("the move is known", || from.access(1) == Some(AccessState::Standby));
            if round % 2 == 1 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        wait("the last writes", || a.access(1) == Some(AccessState::Active));
        std::thread::sleep(Duration::from_millis(20));
        stop.store(true, Ordering::Release);
        assert!(writer.join().unwrap() > 0, "the writer got through between the moves");
    });
    assert_eq!(a.provider.shared.0.lock()["/x"].open, 1);
}

#[test]
fn maps_change_under_load() {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/x", 1).unwrap();
    node.view_all(1, 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for host in 0..3 {
            let (node, stop) = (&node, &stop);
            scope.spawn(move || {
                let name = format!("iqn.host{host}");
                while !stop.load(Ordering::Acquire) {
                    let nexus = node.login("iqn.t", &name);
                    for _ in 0..20 {
                        persist(node, &nexus, READ, &[], stop);
                    }
                    let function = [TmFunction::LunReset, TmFunction::ClearTaskSet, TmFunction::AbortTaskSet][host];
                    let answer = node.tm(&nexus, 0, function, 0).recv_timeout(Duration::from_secs(30));
                    assert!(
                        matches!(answer, Ok(TmResponse::Complete | TmResponse::NoSuchLun)),
                        "{answer:?}"
                    );
                    node.framework.nexus_deregister(&nexus);
                }
            });
        }
        for round in 0..ROUNDS {
            match round % 3 {
                0 => {
                    node.framework.lu_offline(&guid(1)).unwrap();
                    node.framework.lu_online(&guid(1)).unwrap();
                }
                1 => {
                    node.framework.view_remove(&guid(1), 0).unwrap();
                    node.view_all(1, 0);
                }
                _ => {
                    node.framework.lu_delete(&guid(1)).unwrap();
                    node.framework.lu_import("/x").unwrap();
                }
            }
        }
        stop.store(true, Ordering::Release);
    });
    node.framework.shutdown();
    assert_eq!(node.provider.shared.0.lock()["/x"].open, 0);
    assert_eq!(node.framework.port_nexuses(&devid("iqn.t")), Ok(vec![]));
}
