//! Eight processes call one `stmfd` through the library at the same time, while a ninth caller creates and deletes LUs and
//! targets. What each was told must fit some order of all calls in which every one takes effect at once, between its
//! beginning and its end. In every other round `stmfd` is killed again and again.
//!
//! `STMF_HISTORY_SEED` starts with another seed (a failure prints its own; the schedule is the machine's), `STMF_HISTORY_CALLS`
//! sets the calls per process and round (default 80), `STMF_HISTORY_MINUTES` goes on for so long (default: two rounds).

#[path = "linearizability/checker.rs"]
mod checker;
mod common;
#[path = "linearizability/history.rs"]
mod history;
#[path = "linearizability/model.rs"]
mod model;
#[allow(dead_code, reason = "a part is used")]
#[path = "pair_sim/rng.rs"]
mod rng;
#[path = "linearizability/worker.rs"]
mod worker;
#[allow(dead_code, reason = "a part is used")]
#[path = "crash/model.rs"]
mod writer;

use checker::check;
use common::Stmfd;
use common::rpc::Rpc;
use history::{Event, Lane, Op, Outcome};
use rng::Rng;
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use stmf::service::{Request, Response};
use stmf::types::{LuProperties, Status};
use writer::Writer;

const PROCESSES: u32 = 8;
const PORTAL: &str = "127.0.0.1:0";
/// A round that is not done by then hangs.
const LONGEST_ROUND: Duration = Duration::from_secs(300);
/// Makes this program one of the eight: number, seed, calls, whether `stmfd` is killed, file for the history.
const WORKER: &str = "STMF_HISTORY_WORKER";

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text}: not a number")),
        Err(_) => default,
    }
}

#[test]
fn eight_processes_agree() {
    if let Ok(task) = std::env::var(WORKER) {
        return be_worker(&task);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number("STMF_HISTORY_SEED", u64::from(now.expect("after 1970").subsec_nanos()));
    let calls = number("STMF_HISTORY_CALLS", 80);
    let end = Instant::now() + Duration::from_secs(60 * number("STMF_HISTORY_MINUTES", 0));
    println!("STMF_HISTORY_SEED={seed} STMF_HISTORY_CALLS={calls}");
    let mut rng = Rng::new(seed);
    for round in 0.. {
        if round >= 2 && Instant::now() > end {
            break;
        }
        let kills = round % 2 == 1;
        let history = record(&mut rng, calls, kills);
        let count: usize = history.iter().map(Vec::len).sum();
        let lost = history.iter().flatten().filter(|event| event.outcome.is_none()).count();
        println!("round {round}: {count} calls, {lost} of them not answered");
        if let Err(why) = check(&history) {
            panic!("round {round}: {why}");
        }
        if !kills {
            notice_lies(&history);
        }
    }
}

fn be_worker(task: &str) {
    let fields: Vec<&str> = task.splitn(5, ' ').collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    let small = |at: usize| u32::try_from(number(at)).expect("a small number");
    let lanes = worker::work(small(0), number(1), small(2), number(3) == 1);
    let bytes = postcard::to_stdvec(&lanes).expect("plain data");
    fs::write(fields[4], bytes).expect("a file");
}

/// One round on a fresh `stmfd`.
fn record(rng: &mut Rng, calls: u64, kills: bool) -> Vec<Lane> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let state = directory.path().join("state");
    let stmfd = Stmfd::start_at(&state, PORTAL);
    let endpoint = stmfd.endpoint();
    create_lus(&state, directory.path());
    let mut workers: Vec<(Child, PathBuf)> = (0..PROCESSES)
        .map(|number| {
            let path = directory.path().join(format!("history-{number}"));
            let task = format!("{number} {} {calls} {} {}", rng.next(), u8::from(kills), path.display());
            (spawn(&task, &endpoint), path)
        })
        .collect();
    let stop = AtomicBool::new(false);
    let begin = Instant::now();
    let stmfd = thread::scope(|scope| {
        let mut stmfd = stmfd;
        scope.spawn(|| make_noise(directory.path(), &state.join("door"), &stop));
        while workers
            .iter_mut()
            .any(|(worker, _)| worker.try_wait().expect("wait").is_none())
        {
            if begin.elapsed() > LONGEST_ROUND {
                let pids = workers.iter().map(|(worker, _)| worker.id()).chain([stmfd.pid()]);
                pids.for_each(show_threads);
                stop.store(true, Ordering::Relaxed);
                workers.iter_mut().for_each(|(worker, _)| worker.kill().expect("kill"));
                panic!("the round hangs");
            }
            thread::sleep(Duration::from_millis(5) + rng.ms(150));
            if kills {
                stmfd.kill();
                stmfd = Stmfd::start_at(&state, PORTAL);
            }
        }
        stop.store(true, Ordering::Relaxed);
        stmfd
    });
    stmfd.stop();
    let read = |(worker, path): &mut (Child, PathBuf)| -> Vec<Lane> {
        assert!(worker.wait().expect("wait").success(), "the worker's reason is above");
        postcard::from_bytes(&fs::read(path).expect("its history")).expect("its history")
    };
    workers.iter_mut().flat_map(read).collect()
}

fn spawn(task: &str, endpoint: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "eight_processes_agree", "--nocapture"])
        .env(WORKER, task)
        .env("STMF_ENDPOINT", endpoint)
        .stdout(Stdio::null());
    command.spawn().expect("a process")
}

fn create_lus(state: &Path, directory: &Path) {
    let rpc = Rpc::open(&state.join("door")).expect("stmfd is ready");
    for number in 0..2 {
        let path = directory.join(format!("lu-{number}"));
        let file = fs::File::create(&path).and_then(|file| file.set_len(2 << 20));
        file.expect("a backing file");
        let created = rpc.ask(&Request::LuCreate(Box::new(LuProperties {
            alias: Some("0".to_owned()),
            data_file: Some(path.to_str().expect("a text").to_owned()),
            guid: Some(worker::lu(number)),
            ..LuProperties::default()
        })));
        assert!(
            matches!(created, Response::Guid(guid) if guid == worker::lu(number)),
            "{created:?}"
        );
    }
}

/// Other changes at the same time, until the end of the round or of `stmfd`.
fn make_noise(directory: &Path, door: &Path, stop: &AtomicBool) {
    let mut writer = Writer::new(1, directory, 0);
    let Ok(rpc) = Rpc::open(door) else { return };
    while !stop.load(Ordering::Relaxed) {
        let op = writer.choose();
        match rpc.call(&writer.request(&op)) {
            Ok(response) => writer.acknowledge(&op, &response),
            Err(_) => return,
        }
    }
}

/// Where the threads of a process are.
fn show_threads(pid: u32) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    for task in tasks {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        println!(
            "process {pid}: {} in {}: {}",
            read("comm").trim(),
            read("wchan"),
            read("syscall").trim()
        );
    }
}

/// The test of the test: a true history with one wrong answer has no order.
fn notice_lies(history: &[Lane]) {
    let lies = Cell::new(0);
    let tell = |lane: usize, place: usize, outcome: Outcome| {
        let mut false_history = history.to_vec();
        false_history[lane][place].outcome = Some(outcome);
        let event = &history[lane][place];
        assert!(
            check(&false_history).is_err(),
            "{event:?} with another answer has passed"
        );
        lies.set(lies.get() + 1);
    };
    let writes: Vec<&Event> = history
        .iter()
        .flatten()
        .filter(|event| matches!(event.op, Op::UrlSet(_)))
        .collect();
    for (lane, events) in history.iter().enumerate() {
        for (place, event) in events.iter().enumerate() {
            match (&event.op, &event.outcome) {
                // A value that was over before the call.
                (Op::UrlGet, Some(_)) => {
                    let over = writes
                        .iter()
                        .find(|old| writes.iter().any(|new| old.end < new.start && new.end < event.start));
                    if let Some(Op::UrlSet(old)) = over.map(|write| &write.op) {
                        tell(lane, place, Outcome::Value(Some(*old)));
                    }
                }
                // A value that nobody wrote.
                (Op::AliasGet(_), Some(_)) => tell(lane, place, Outcome::Value(Some(u32::MAX))),
                (Op::Members(_), Some(Outcome::List(list))) => {
                    tell(lane, place, Outcome::List([list.as_slice(), &[9]].concat()));
                }
                (Op::DataSet(..), Some(Outcome::Token(_))) => tell(lane, place, Outcome::Token(0)),
                _ => {}
            }
            if lies.get() >= 20 {
                return;
            }
        }
    }
    assert!(lies.get() > 0, "nothing to lie about");
}

fn call(start: u64, end: u64, op: Op, outcome: impl Into<Option<Outcome>>) -> Event {
    let outcome = outcome.into();
    Event {
        start,
        end,
        op,
        outcome,
    }
}

/// Histories of which it is known whether there is an order.
#[test]
fn the_checker_decides_right() {
    let set = |start, end, value| call(start, end, Op::UrlSet(value), Outcome::Done);
    let get = |start, end, value| call(start, end, Op::UrlGet, Outcome::Value(value));
    let verdict = |lanes: &[&[Event]]| check(&lanes.iter().map(|lane| lane.to_vec()).collect::<Vec<_>>()).is_ok();
    // One after the other.
    assert!(verdict(&[&[set(0, 1, 1), get(2, 3, Some(1))]]));
    assert!(!verdict(&[&[set(0, 1, 1), get(2, 3, None)]]));
    assert!(
        !verdict(&[&[set(0, 1, 1), set(2, 3, 2)], &[get(4, 5, Some(1))]]),
        "a stale answer"
    );
    // At the same time: either is right, but not first new, then old.
    assert!(verdict(&[&[set(0, 9, 1)], &[get(1, 2, None), get(3, 4, Some(1))]]));
    assert!(!verdict(&[&[set(0, 9, 1)], &[get(1, 2, Some(1)), get(3, 4, None)]]));
    // Not answered: there or not, but not first there and then not, and not after its time.
    let lost = |end| call(0, end, Op::UrlSet(1), None);
    assert!(verdict(&[&[lost(5)], &[get(6, 7, None), get(8, 9, None)]]));
    assert!(verdict(&[&[lost(5)], &[get(6, 7, Some(1)), get(8, 9, Some(1))]]));
    assert!(!verdict(&[&[lost(5)], &[get(6, 7, Some(1)), get(8, 9, None)]]));
    assert!(!verdict(&[&[lost(5)], &[get(6, 7, None), get(8, 9, Some(1))]]));
    // Two callers cannot both create one group, nor both win with one token.
    let create = |outcome| call(0, 9, Op::GroupCreate(0), outcome);
    let exists = || Outcome::Failed(Status::Exists);
    assert!(verdict(&[&[create(Outcome::Done)], &[create(exists())]]));
    assert!(!verdict(&[&[create(Outcome::Done)], &[create(Outcome::Done)]]));
    assert!(!verdict(&[&[create(exists())], &[create(exists())]]));
    let first = call(0, 1, Op::DataSet(0, 1, None), Outcome::Token(1));
    let second = |token| call(2, 9, Op::DataSet(0, 2, Some(1)), token);
    let stale = || Outcome::Failed(Status::ProvDataStale);
    assert!(verdict(&[
        &[first.clone(), second(Outcome::Token(2))],
        &[second(stale())]
    ]));
    assert!(!verdict(&[
        &[first, second(Outcome::Token(2))],
        &[second(Outcome::Token(3))]
    ]));
}
