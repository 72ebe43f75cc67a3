//! `kill -9` of `stmfd` at random moments under writers that note every acknowledged change: after each restart all of
//! them are there, and a change that was not answered is there wholly or not at all (`libstmf-api.md` 1.8).
//!
//! `STMF_CRASH_SEED` starts with another seed (a failure prints its own), `STMF_CRASH_ROUNDS` sets the number of kills (default
//! 20), `STMF_CRASH_CHANGES` that of changes on a failing disk (default 25).
#![forbid(unsafe_code)]

mod common;
#[allow(dead_code, reason = "a part is used")]
#[path = "crash/disk.rs"]
mod disk;
#[path = "crash/model.rs"]
mod model;
#[path = "crash/observe.rs"]
mod observe;
#[allow(dead_code, reason = "a part is used")]
#[path = "pair_sim/rng.rs"]
mod rng;

use common::rpc::Rpc;
use common::{PATIENCE, Stmfd, must, run};
use disk::FaultyDisk;
use model::{Config, Op, Writer};
use rng::Rng;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;
use stmf::framework::GroupKind;
use stmf::service::{Request, Response};
use stmf::store::{Snapshot, Store};
use stmf::types::{DevId, GroupName, Status};

const WRITERS: u8 = 4;
const PORTAL: &str = "127.0.0.1:0";
/// Longest life of a `stmfd` under load, milliseconds.
const LIFE: u64 = 100;
/// Longest life of one that is killed while it starts.
const START: u64 = 60;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text}: not a number")),
        Err(_) => default,
    }
}

#[test]
fn acknowledged_changes_survive_kills() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("STMF_CRASH_SEED", u64::from(now.expect("after 1970").subsec_nanos()));
    let rounds = number("STMF_CRASH_ROUNDS", 20);
    println!("STMF_CRASH_SEED={seed} STMF_CRASH_ROUNDS={rounds}");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let state = directory.path().join("state");
    let mut rng = Rng::new(seed);
    let mut writers: Vec<Writer> = (0..WRITERS).map(|n| Writer::new(n, directory.path(), seed)).collect();
    let (mut survived, mut vanished) = (0, 0);
    let mut stmfd = Stmfd::start_at(&state, PORTAL);
    for round in 0..rounds {
        let threads: Vec<_> = writers
            .drain(..)
            .map(|writer| {
                let door = state.join("door");
                thread::spawn(move || write(writer, &door))
            })
            .collect();
        thread::sleep(rng.ms(LIFE));
        stmfd.kill();
        let end = Instant::now() + PATIENCE;
        while !threads.iter().all(thread::JoinHandle::is_finished) {
            assert!(Instant::now() < end, "round {round}: a call outlives stmfd");
            thread::sleep(std::time::Duration::from_millis(1));
        }
        writers.extend(
            threads
                .into_iter()
                .map(|thread| thread.join().expect("the writer's reason is above")),
        );
        if rng.chance(30) {
            kill_while_starting(&state, &mut rng);
        }
        let stored = copy_of_store(&state, directory.path());
        stmfd = Stmfd::start_at(&state, PORTAL);
        let rpc = Rpc::open(&state.join("door")).expect("stmfd is ready");
        observe::compare_with_store(&rpc, &stored);
        for writer in &mut writers {
            match writer.reconcile(&observe::objects(&rpc, writer)) {
                Some(true) => survived += 1,
                Some(false) => vanished += 1,
                None => {}
            }
        }
    }
    let acknowledged: u64 = writers.iter().map(|writer| writer.acknowledged).sum();
    println!(
        "{acknowledged} changes acknowledged, {survived} not answered but there, {vanished} not answered and not there"
    );
    assert!(acknowledged >= rounds, "too few changes to mean anything");
    assert!(survived + vanished >= rounds, "kills did not interrupt calls");
    stmfd.stop();
}

/// Each change with the disk full, read-only or broken at its first write, at the second, and so on: it fails and changes
/// nothing, neither live nor after a restart, or it succeeds wholly. The store is as good as new afterwards.
#[test]
fn a_disk_that_fails_in_mid_change() {
    let seed = number("STMF_CRASH_SEED", 1);
    let changes = number("STMF_CRASH_CHANGES", 25);
    println!("STMF_CRASH_SEED={seed} STMF_CRASH_CHANGES={changes}");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let state = directory.path().join("state");
    let disk = FaultyDisk::new(directory.path());
    let start = || {
        let mut command = Stmfd::command(&state, PORTAL);
        disk.under(&state, &mut command);
        let stmfd = Stmfd::start_command(command, &state, PORTAL);
        (stmfd, Rpc::open(&state.join("door")).expect("stmfd is ready"))
    };
    let mut rng = Rng::new(seed);
    let mut writer = Writer::new(0, directory.path(), seed);
    let (mut stmfd, mut rpc) = start();
    let mut failed = 0;
    for _ in 0..changes {
        let op = writer.choose();
        let errno = [libc::ENOSPC, libc::EROFS, libc::EIO][rng.below(3) as usize];
        // A disk that fails once must not leave anything; one that fails for long may leave what it said it would not, whole.
        let once = rng.chance(50);
        for passes in 0.. {
            disk.fail(errno, passes, if once { 1 } else { i32::MAX });
            let response = rpc.ask(&writer.request(&op));
            let failures = disk.work();
            let Some(status) = failure(&response) else {
                writer.acknowledge(&op, &response);
                break;
            };
            assert!(failures > 0, "{op:?}: {status} though nothing has failed");
            let standby = matches!(op, Op::Import(_)) && status == Status::AccessStateSet;
            assert!(status == Status::Error || standby, "{op:?}: {status}");
            failed += 1;
            writer.check(&observe::objects(&rpc, &writer), &op);
            if rng.chance(20) {
                stmfd.kill();
                let stored = copy_of_store(&state, directory.path());
                (stmfd, rpc) = start();
                observe::compare_with_store(&rpc, &stored);
                writer.in_flight = (!once).then(|| op.clone());
                if writer.reconcile(&observe::objects(&rpc, &writer)) == Some(true) {
                    break;
                }
            }
        }
    }
    println!("{failed} failures");
    assert!(failed > changes, "the disk hardly ever failed");
    stmfd.stop();
}

fn failure(response: &Response) -> Option<Status> {
    match response {
        Response::Failed(status) | Response::ImportFailed(status, _) => Some(*status),
        Response::IscsiChanged(Err(refusal)) => Some(refusal.status()),
        _ => None,
    }
}

#[test]
fn a_store_on_a_read_only_file_system_is_refused_by_name_and_left_alone() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let state = directory.path().join("state");
    fs::create_dir(&state).expect("a directory");
    let mount = |options: &str| {
        let mut mount = Command::new("mount");
        must(mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(&state));
    };
    mount("size=4m");
    let result = std::panic::catch_unwind(|| {
        let stmfd = Stmfd::start_at(&state, PORTAL);
        must(&mut stmfd.tool("stmfadm", &["create-hg", "kept"]));
        stmfd.stop();
        let before = fs::read(state.join(Store::DATABASE)).expect("the database");
        mount("remount,ro");
        let output = run(&mut Stmfd::command(&state, PORTAL));
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(
            text.contains("Read-only file system") && text.contains(state.to_str().expect("a text")),
            "{text}"
        );
        assert_eq!(fs::read(state.join(Store::DATABASE)).expect("the database"), before);
        mount("remount,rw");
        let stmfd = Stmfd::start_at(&state, PORTAL);
        assert!(must(&mut stmfd.tool("stmfadm", &["list-hg"])).contains("kept"));
        stmfd.stop();
    });
    must(Command::new("umount").arg("-l").arg(&state));
    result.expect("the reason is above");
}

/// What a caller remembers is over when anything changes, and when `stmfd` ends, however it ends.
#[test]
fn remembered_answers_end_with_changes_and_with_stmfd() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for kill in [true, false] {
        let stmfd = Stmfd::start_at(directory.path(), PORTAL);
        let rpc = Rpc::open(&directory.path().join("door")).expect("stmfd is ready");
        let watch = rpc.watch();
        let quiet = || {
            let mut stamp = None;
            common::wait_for("nothing changes", || {
                stamp = watch.quiet();
                stamp.is_some()
            });
            stamp.expect("waited for")
        };
        let stamp = quiet();
        rpc.ask(&Request::GetState);
        assert!(watch.still(stamp), "a question is no change");
        rpc.ask(&Request::GroupCreate(
            GroupKind::Host,
            GroupName::new(&[b'a' + u8::from(kill)]).expect("a name"),
        ));
        assert!(!watch.still(stamp), "a change");
        let stamp = quiet();
        match kill {
            true => stmfd.kill(),
            false => stmfd.stop(),
        }
        assert!(!watch.still(stamp) && watch.quiet().is_none(), "stmfd has ended");
    }
}

/// The test of the test: what is lost, made up or half done does not pass.
#[test]
fn wrong_outcomes_are_noticed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let name = GroupName::new(b"group-0-0").expect("a name");
    let create = Op::CreateGroup(GroupKind::Host, name.clone());
    let add = Op::AddMember(GroupKind::Host, name, DevId::new(b"iqn.x").expect("a devid"));
    let writer = |acknowledged: &[&Op], in_flight: Option<&Op>| {
        let mut writer = Writer::new(1, directory.path(), 0);
        acknowledged
            .iter()
            .for_each(|op| writer.acknowledge(op, &Response::Done));
        writer.in_flight = in_flight.cloned();
        writer
    };
    let config = |ops: &[&Op]| writer(ops, None).config;
    let passes = |mut writer: Writer, seen: &Config| {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| writer.reconcile(seen)));
        result.ok()
    };
    let (none, group, both) = (config(&[]), config(&[&create]), config(&[&create, &add]));
    assert_eq!(passes(writer(&[&create], None), &group), Some(None));
    assert_eq!(passes(writer(&[&create], None), &none), None, "lost");
    assert_eq!(passes(writer(&[], None), &group), None, "made up");
    assert_eq!(passes(writer(&[&create], Some(&add)), &group), Some(Some(false)));
    assert_eq!(passes(writer(&[&create], Some(&add)), &both), Some(Some(true)));
    assert_eq!(
        passes(writer(&[&create], Some(&add)), &none),
        None,
        "lost with the next one"
    );
}

/// Changes things until the service is gone.
fn write(mut writer: Writer, door: &Path) -> Writer {
    let Ok(rpc) = Rpc::open(door) else {
        return writer;
    };
    loop {
        let op = writer.choose();
        match rpc.call(&writer.request(&op)) {
            Ok(response) => writer.acknowledge(&op, &response),
            Err(_) => {
                writer.in_flight = Some(op);
                return writer;
            }
        }
    }
}

fn kill_while_starting(state: &Path, rng: &mut Rng) {
    let mut command = Stmfd::command(state, PORTAL);
    let mut child = command.stderr(Stdio::null()).spawn().expect("stmfd starts");
    thread::sleep(rng.ms(START));
    child.kill().expect("kill");
    child.wait().expect("wait");
}

/// What a restart will find. A copy is read: opening the store itself would repair it ahead of `stmfd`.
fn copy_of_store(state: &Path, scratch: &Path) -> Snapshot {
    let copy = scratch.join("copy");
    fs::create_dir_all(&copy).expect("a directory");
    for name in [Store::DATABASE, "stmf.db-wal"] {
        match fs::copy(state.join(name), copy.join(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::remove_file(copy.join(name)).unwrap_or_else(|_| println!("no {name}"));
            }
            result => drop(result.expect("a copy")),
        }
    }
    let stored = Store::open(&copy)
        .and_then(|store| store.load())
        .expect("the store is intact");
    fs::remove_dir_all(&copy).expect("the directory is ours");
    stored
}
