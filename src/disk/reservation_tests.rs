//! Reservations of a disk: in force, on the store, handed over.

use super::lu::Disk;
use super::testing::{cdb, create, execute_from, properties, provider, read, run_from, write};
use crate::disk::Provider;
use crate::framework::{Expected, LuNexuses, Nexus, Outcome, PeerView, Release, Unit};
use crate::scsi::reservation::{Kind, State};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{DevId, TransportId};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const NONE: Expected = Expected {
    read: false,
    write: false,
    length: 0,
};
const APTPL: u8 = 1;

struct Bench {
    _directory: tempfile::TempDir,
    _provider: Provider,
    path: String,
    disk: Arc<Disk>,
    nexuses: [Arc<Nexus>; 3],
}

fn bench() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let properties = properties(directory.path(), "disk");
    Bench {
        disk: create(&provider, &properties),
        path: properties.data_file.unwrap(),
        _provider: provider,
        _directory: directory,
        nexuses: [Nexus::detached(0), Nexus::detached(1), Nexus::detached(2)],
    }
}

impl Bench {
    fn run(&self, n: usize, bytes: &[u8], expected: Expected, data: &[u8]) -> ScsiStatus {
        run_from(&self.nexuses[n], &self.disk, bytes, expected, data).status
    }

    fn out(&self, n: usize, action: u8, kind: u8, key: u8, action_key: u8, flags: u8) -> Outcome {
        let mut list = [0; 24];
        (list[7], list[15], list[20]) = (key, action_key, flags);
        let bytes = [0x5f, action, kind, 0, 0, 0, 0, 0, 24, 0];
        run_from(&self.nexuses[n], &self.disk, &bytes, write(24), &list)
    }

    fn good(&self, n: usize, action: u8, kind: u8, key: u8, action_key: u8, flags: u8) {
        let outcome = self.out(n, action, kind, key, action_key, flags);
        assert_eq!(outcome.status, ScsiStatus::Good, "{outcome:?}");
    }

    fn state(&self) -> State {
        self.disk.lu().reservations().state()
    }

    /// Two registrants, the first with a Write Exclusive reservation.
    fn reserve(&self, flags: u8) {
        self.good(0, 0, 0, 0, 1, flags);
        self.good(1, 0, 0, 0, 2, flags);
        self.good(0, 1, 1, 1, 0, 0);
    }

    fn import(&mut self, provider: &Provider, peer: PeerView) {
        self.disk = provider.import_disk(&self.path, peer).unwrap();
    }
}

const WRITE: [u8; 10] = [0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const READ: [u8; 10] = [0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const RESERVE: [u8; 6] = [0x16, 0, 0, 0, 0, 0];
const RELEASE: [u8; 6] = [0x17, 0, 0, 0, 0, 0];
const MODE_SENSE: [u8; 6] = [0x1a, 0, 0x3f, 0, 255, 0];

#[test]
fn reserve_and_release_by_six_bytes() {
    let bench = bench();
    let (good, conflict) = (ScsiStatus::Good, ScsiStatus::ReservationConflict);
    assert_eq!(bench.run(0, &RESERVE, NONE, &[]), good);
    assert_eq!(bench.run(0, &RESERVE, NONE, &[]), good);
    assert_eq!(bench.run(1, &RESERVE, NONE, &[]), conflict);
    assert_eq!(bench.run(1, &MODE_SENSE, read(255), &[]), conflict);
    assert_eq!(bench.run(1, &[0x12, 0, 0, 0, 36, 0], read(36), &[]), good);
    assert_eq!(bench.run(1, &RELEASE, NONE, &[]), good, "no effect");
    assert_eq!(bench.run(1, &READ, read(512), &[]), conflict);
    assert_eq!(bench.out(1, 0, 0, 0, 2, 0).status, ScsiStatus::ReservationConflict);
    assert_eq!(bench.run(0, &RELEASE, NONE, &[]), good);
    assert_eq!(bench.run(1, &RESERVE, NONE, &[]), good);
    bench.disk.nexus_lost(0);
    assert_eq!(bench.run(0, &READ, read(512), &[]), conflict);
    bench.disk.nexus_lost(1);
    assert_eq!(bench.run(0, &RESERVE, NONE, &[]), good);
    bench.disk.reset();
    assert_eq!(bench.run(1, &READ, read(512), &[]), good);
    assert_eq!(
        bench.run(1, &[0x16, 1, 0, 0, 0, 0], NONE, &[]),
        ScsiStatus::CheckCondition
    );
    // Registrations exclude it.
    bench.good(0, 0, 0, 0, 1, 0);
    assert_eq!(bench.run(0, &RESERVE, NONE, &[]), conflict);
    assert_eq!(bench.run(1, &RELEASE, NONE, &[]), conflict);
}

#[test]
fn a_reservation_is_in_force_and_outlives_a_reset() {
    let bench = bench();
    bench.reserve(0);
    bench.disk.reset();
    bench.disk.nexus_lost(0);
    assert_eq!(bench.run(0, &WRITE, write(512), &[1; 512]), ScsiStatus::Good);
    for n in [1, 2] {
        assert_eq!(
            bench.run(n, &WRITE, write(512), &[1; 512]),
            ScsiStatus::ReservationConflict
        );
        assert_eq!(bench.run(n, &READ, read(512), &[]), ScsiStatus::Good);
    }
    let keys = |length: u8| {
        let bytes = [0x5e, 0, 0, 0, 0, 0, 0, 0, length, 0];
        run_from(&bench.nexuses[2], &bench.disk, &bytes, read(255), &[]).data
    };
    assert_eq!(keys(255)[..8], [0, 0, 0, 2, 0, 0, 0, 16]);
    assert_eq!(keys(8), keys(255)[..8], "the length is never cut");
    assert!(keys(0).is_empty());
    let bad = run_from(
        &bench.nexuses[0],
        &bench.disk,
        &[0x5e, 4, 0, 0, 0, 0, 0, 0, 255, 0],
        read(255),
        &[],
    );
    assert_eq!(bad.status, ScsiStatus::CheckCondition);
    let short = [0x5f, 0, 0, 0, 0, 0, 0, 0, 24, 0];
    let cut = run_from(&bench.nexuses[0], &bench.disk, &short, write(20), &[0; 20]);
    assert_eq!(cut.sense[12], 0x1a);
}

/// `scsi-sbd.md` 2.9.2. It was so: it stayed free for every ISID until a PERSISTENT RESERVE OUT.
#[test]
fn a_registration_for_any_isid_belongs_to_the_first_that_uses_it() {
    let bench = bench();
    let host = DevId::new(b"iqn.2026-11.example:host").unwrap();
    let session = |n: u8| {
        let mut nexus = Arc::into_inner(Nexus::detached(u64::from(n))).unwrap();
        nexus.transport_id = TransportId::iscsi(&host, [n; 6]);
        Arc::new(nexus)
    };
    let (one, two) = (session(1), session(2));
    let mut id = vec![5, 0, 0, 28];
    id.extend_from_slice(host.as_bytes());
    id.resize(32, 0);
    let mut list = vec![0; 24];
    (list[15], list[20]) = (7, 0x08);
    list.extend([&[0, 0, 0, 32][..], &id].concat());
    let outcome = run_from(
        &bench.nexuses[0],
        &bench.disk,
        &[0x5f, 0, 0, 0, 0, 0, 0, 0, 60, 0],
        write(60),
        &list,
    );
    assert_eq!(outcome.status, ScsiStatus::Good, "{outcome:?}");
    // Registrants only: nobody else may write.
    bench.good(0, 1, 5, 7, 0, 0);
    let conflict = |nexus: &Arc<Nexus>| bench.disk.lu().reservations().refuse(nexus, &cdb(&WRITE));
    assert!(!conflict(&two), "the first to come");
    assert!(conflict(&one) && !conflict(&two));
    assert_eq!(bench.state().registrations[1].initiator, two.transport_id);
}

/// A crash: nothing was released. What has APTPL is there again, with it the reservation; nothing else is.
#[test]
fn aptpl_outlives_a_crash_and_what_came_before_the_status_is_on_the_store() {
    for (flags, kept) in [(APTPL, 2), (0, 0)] {
        let mut bench = bench();
        bench.reserve(flags);
        bench.disk = create(&provider(0), &properties(bench._directory.path(), "other"));
        bench.import(&provider(0), PeerView::default());
        let state = bench.state();
        assert_eq!(state.registrations.len(), kept);
        assert_eq!(state.reserved, (kept > 0).then_some(Kind::WriteExclusive));
        assert_eq!(state.aptpl, kept > 0);
    }
}

#[test]
fn every_change_under_aptpl_is_saved_and_without_it_nothing_stays() {
    let mut bench = bench();
    bench.reserve(APTPL);
    bench.good(0, 2, 1, 1, 0, 0);
    let reload = |bench: &mut Bench| {
        bench.disk = create(&provider(0), &properties(bench._directory.path(), "other"));
        bench.import(&provider(0), PeerView::default());
        std::fs::remove_file(bench._directory.path().join("other")).unwrap();
        bench.state()
    };
    let state = reload(&mut bench);
    assert_eq!(
        (state.registrations.len(), state.reserved),
        (2, None),
        "RELEASE was saved"
    );
    // APTPL=0 in the latest registration: the copy on the store is erased.
    bench.good(0, 6, 0, 0, 3, 0);
    assert!(reload(&mut bench).is_empty());
}

/// Hazards H9 and H10: reservations without APTPL go with a planned hand-over, to the next owner only.
#[test]
fn handed_over_in_order() {
    let mut bench = bench();
    bench.reserve(0);
    let before = bench.state();
    bench.disk.release(Release::Handover).unwrap();
    let other = provider(1);
    bench.import(&other, PeerView::default());
    assert_eq!(bench.state(), before, "PRGENERATION included");
    // The new owner crashes: the data of the former hand-over are not taken for its state.
    bench.good(1, 0, 0, 2, 0, 0);
    drop(std::mem::replace(
        &mut bench.disk,
        create(&provider(0), &properties(bench._directory.path(), "other")),
    ));
    let again = Provider::new(super::Config {
        incarnation: 8,
        ..config(1)
    });
    bench.import(&again, PeerView::default());
    assert!(bench.state().is_empty());
}

fn config(n: u8) -> super::Config {
    let node = crate::types::NodeId::new(n % 2).unwrap();
    super::Config::new([n; 16], 7, Arc::new(move || node))
}

#[test]
fn never_at_a_cold_start() {
    let cold = PeerView {
        cold_start: true,
        ..PeerView::default()
    };
    for (flags, kept) in [(0, 0), (APTPL, 2)] {
        let mut bench = bench();
        bench.reserve(flags);
        bench.disk.release(Release::Handover).unwrap();
        bench.import(&provider(1), cold);
        assert_eq!(bench.state().registrations.len(), kept);
    }
}

/// Unit attentions by nexus id, and the tasks that were to be aborted.
#[derive(Default)]
struct Script {
    nexuses: Vec<Arc<Nexus>>,
    told: Mutex<Vec<(u64, Sense)>>,
    aborted: Mutex<Vec<u64>>,
    gone: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl LuNexuses for Script {
    fn attention(&self, sense: Sense, to: &dyn Fn(&Nexus) -> bool) {
        let told = self
            .nexuses
            .iter()
            .filter(|nexus| to(nexus))
            .map(|nexus| (nexus.id, sense));
        self.told.lock().extend(told);
    }

    fn abort_tasks(&self, except: (u64, u64), of: &dyn Fn(&Nexus) -> bool, gone: Box<dyn FnOnce() + Send>) {
        assert_eq!(except, (0, 1));
        let of = self.nexuses.iter().filter(|nexus| of(nexus)).map(|nexus| nexus.id);
        self.aborted.lock().extend(of);
        *self.gone.lock() = Some(gone);
    }

    fn ports(&self) -> Vec<(DevId, u16)> {
        vec![(self.nexuses[0].port.devid.clone(), 1)]
    }
}

fn scripted(bench: &Bench) -> Arc<Script> {
    let script = Arc::new(Script {
        nexuses: bench.nexuses.to_vec(),
        ..Script::default()
    });
    bench.disk.attach(Arc::clone(&script) as Arc<dyn LuNexuses>);
    script
}

#[test]
fn others_hear_of_it() {
    let bench = bench();
    let script = scripted(&bench);
    bench.reserve(0);
    assert_eq!(*script.told.lock(), []);
    bench.good(1, 4, 1, 2, 1, 0);
    assert_eq!(*script.told.lock(), [(0, Sense::REGISTRATIONS_PREEMPTED)]);
    bench.good(0, 0, 0, 0, 1, 0);
    bench.good(1, 3, 0, 2, 0, 0);
    assert_eq!(script.told.lock()[1..], [(0, Sense::RESERVATIONS_PREEMPTED)]);
    // A reservation by RESERVE(6) ends when the LU is given up, and its holder hears of it.
    assert_eq!(bench.run(2, &RESERVE, NONE, &[]), ScsiStatus::Good);
    bench.disk.release(Release::Handover).unwrap();
    assert_eq!(script.told.lock()[2..], [(2, Sense::RESERVATIONS_PREEMPTED)]);
}

/// PREEMPT AND ABORT ends when the tasks of the preempted are gone, not before.
#[test]
fn preempt_and_abort_waits_for_the_aborted() {
    let bench = bench();
    let script = scripted(&bench);
    bench.good(0, 0, 0, 0, 1, 0);
    bench.good(1, 0, 0, 0, 2, 0);
    bench.good(2, 0, 0, 0, 2, 0);
    let mut list = [0; 24];
    (list[7], list[15]) = (1, 2);
    let mut cdb = [0; 16];
    cdb[..9].copy_from_slice(&[0x5f, 5, 1, 0, 0, 0, 0, 0, 24]);
    // The key of the task is that of nexus 0 here.
    let outcome = execute_from(&bench.nexuses[0], &bench.disk, &cdb, write(24), &list);
    let gone = loop {
        if let Some(gone) = script.gone.lock().take() {
            break gone;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(outcome.try_recv().is_err(), "not before they are gone");
    assert_eq!(*script.aborted.lock(), [1, 2]);
    gone();
    assert_eq!(
        outcome.recv_timeout(Duration::from_secs(60)).unwrap().status,
        ScsiStatus::Good
    );
}
