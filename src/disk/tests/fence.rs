//! The fence of the owner: what waits for the lease, and what is lost with it.

use super::*;
use crate::disk::command::access::{self, Access, Step};
use crate::disk::lu::Lu;
use crate::disk::sys::{Mode, boottime_ns};

/// Breaks the lease of `provider(0)` in `directory`: a directory is where its file must be.
fn block_lease(directory: &Path) -> std::path::PathBuf {
    let lease = directory.join(lease_file_name(&InstallationId([0; 16])));
    std::fs::remove_file(&lease).unwrap();
    // The thread may be creating it anew just now.
    while std::fs::create_dir(&lease).is_err() {
        let _ = std::fs::remove_file(&lease);
    }
    lease
}

/// Its owner lives, as its other disk shows, and says that this one it has given up.
#[test]
fn a_store_that_was_lost_to_nobody_is_granted_at_the_word_of_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (provider(0), provider(1));
    let properties = [
        properties(directory.path(), "disk"),
        properties(directory.path(), "other"),
    ];
    let [disk, _other] = properties.each_ref().map(|properties| create(&a, properties));
    let generation = disk.generation();
    disk.release(Release::Lost).unwrap();
    drop(disk);
    let import = |given_up| b.import_disk(path(&properties[0]), PeerView { given_up, ..ACTIVE });
    for other in [None, Some(generation - 1), Some(generation + 1)] {
        assert!(matches!(failure(import(other)), ImportError::Refused(_)));
    }
    let taken = import(Some(generation)).map_err(|_| "granted").unwrap();
    assert_eq!(taken.generation(), generation + 1);
}

/// Hazard H8.
#[test]
fn writes_wait_for_a_late_renewal_and_go_on_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let a = provider(0);
    let disk = create(&a, &properties(directory.path(), "disk"));
    let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
    disk.on_ownership_lost(Box::new({
        let lost = Arc::clone(&lost);
        move || lost.store(true, std::sync::atomic::Ordering::SeqCst)
    }));
    let lease = block_lease(directory.path());
    while disk.lu().gate().check().is_some() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let start = |fill| execute(&disk, &cdb(&WRITE_BLOCK_0), write(512), &[fill; 512]);
    let aborted = start(1);
    assert!(aborted.recv_timeout(Duration::from_millis(500)).is_err(), "waits");
    disk.lu().gate().abort(KEY);
    assert_eq!(aborted.recv_timeout(LONG).unwrap().status, ScsiStatus::TaskAborted);
    let waiting = start(2);
    // A write of the peer does not wait: its host may hear meanwhile that it did not happen (7.7).
    let soon = Duration::from_nanos(boottime_ns()) + Duration::from_millis(200);
    let forwarded = execute_by(&disk, &cdb(&WRITE_BLOCK_0), write(512), &[3; 512], soon);
    std::thread::sleep(Duration::from_millis(400));
    let reading = execute(&disk, &cdb(&READ_BLOCK_0), read(512), &[]);
    std::fs::remove_dir(lease).unwrap();
    assert_eq!(waiting.recv_timeout(LONG).unwrap().status, ScsiStatus::Good);
    assert_eq!(forwarded.recv_timeout(LONG).unwrap().status, ScsiStatus::Busy);
    assert_eq!(reading.recv_timeout(LONG).unwrap().status, ScsiStatus::Good);
    assert_eq!(block_0(&disk), [2; 512]);
    assert!(!lost.load(std::sync::atomic::Ordering::SeqCst));
}

/// Its host has given the first one up (the session broke, its peer node went) and has written anew: an older write that
/// still waits for a thread must not land on that.
#[test]
fn writes_of_the_same_blocks_land_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let provider = provider(0);
    let disk = create(&provider, &properties(directory.path(), "disk"));
    // The device hangs: all threads of the pool.
    let (release, hanging) = mpsc::channel::<()>();
    let hanging = Arc::new(parking_lot::Mutex::new(hanging));
    for _ in 0..2 {
        let hanging = Arc::clone(&hanging);
        disk.lu()
            .pool()
            .submit(Box::new(move || assert!(hanging.lock().recv().is_err())));
    }
    let mut durable = cdb(&WRITE_BLOCK_0);
    durable[1] = 0x08;
    let first = execute(&disk, &durable, write(512), &[1; 512]);
    disk.lu().gate().abort(KEY);
    let second = execute(&disk, &cdb(&WRITE_BLOCK_0), write(512), &[2; 512]);
    assert!(second.try_recv().is_err(), "not past the first one");
    drop(release);
    for outcome in [first, second] {
        assert_eq!(outcome.recv_timeout(LONG).unwrap().status, ScsiStatus::Good);
    }
    assert_eq!(block_0(&disk), [2; 512]);
}

#[test]
fn an_owner_that_was_replaced_is_fenced() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let a = provider(0);
    let disk = create(&a, &properties);
    assert_eq!(write_block_0(&disk, 1).status, ScsiStatus::Good);
    let (sender, lost) = mpsc::channel();
    disk.on_ownership_lost(Box::new(move || sender.send(()).unwrap()));
    let foreign = foreign(path(&properties), false);
    lost.recv_timeout(LONG).unwrap();
    assert!(!disk.owned());
    assert_eq!(write_block_0(&disk, 2).sense, Sense::ALUA_TRANSITION.to_fixed());
    disk.release(Release::Lost).unwrap();
    assert_eq!(record(path(&properties)), foreign, "nothing was written");
    assert_eq!(std::fs::read(path(&properties)).unwrap()[65536..65536 + 512], [1; 512]);
    // Told at once to whoever asks later.
    let (sender, late) = mpsc::channel();
    disk.on_ownership_lost(Box::new(move || sender.send(()).unwrap()));
    late.recv_timeout(LONG).unwrap();
}

/// While the lease stood still the store was claimed; the owner wakes up and must not write.
/// Hazard H8.
#[test]
fn an_owner_that_slept_looks_before_it_writes() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let a = provider(0);
    let disk = create(&a, &properties);
    let lease = block_lease(directory.path());
    while disk.lu().gate().check().is_some() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let waiting = execute(&disk, &cdb(&WRITE_BLOCK_0), write(512), &[9; 512]);
    foreign(path(&properties), false);
    std::fs::remove_dir(lease).unwrap();
    assert_eq!(
        waiting.recv_timeout(LONG).unwrap().sense,
        Sense::ALUA_TRANSITION.to_fixed()
    );
    assert!(
        std::fs::read(path(&properties)).unwrap().len() <= 65536,
        "nothing was written"
    );
}

/// A change that takes until the lease has run out: a device that hangs, a machine that sleeps.
struct Slow;

impl Access for Slow {
    fn step(self, lu: &Lu, _: &std::fs::File, _: Mode) -> Step<Self> {
        while lu.gate().lease_holds() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Step::Done(Outcome::good())
    }
}

/// Another node may own the LU by then, without the change.
/// Hazard H8.
#[test]
fn a_change_that_outlasts_the_lease_is_good_only_when_that_is_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let properties = properties(directory.path(), "disk");
    let a = provider(0);
    let disk = create(&a, &properties);
    let change = || {
        let lease = block_lease(directory.path());
        let (sender, receiver) = mpsc::channel();
        let task = access::Task {
            lu: Arc::clone(disk.lu()),
            key: KEY,
            start_by: None,
            inline: Mode::Wait,
            stop: None,
            done: Box::new(move |outcome| sender.send(outcome).unwrap()),
        };
        access::run(task, Slow);
        (lease, receiver)
    };
    let (lease, outcome) = change();
    assert!(
        outcome.recv_timeout(Duration::from_millis(300)).is_err(),
        "not yet known"
    );
    std::fs::remove_dir(lease).unwrap();
    assert_eq!(outcome.recv_timeout(LONG).unwrap().status, ScsiStatus::Good);

    let (lease, outcome) = change();
    foreign(path(&properties), false);
    std::fs::remove_dir(lease).unwrap();
    assert_eq!(
        outcome.recv_timeout(LONG).unwrap().sense,
        Sense::ALUA_TRANSITION.to_fixed()
    );
}
