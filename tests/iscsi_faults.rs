//! Faults of initiators, networks and administrators under I/O, against a running `stmfd`: data that was acknowledged is
//! there, others are served, memory and descriptors stay what they were.
//!
//! Short by default. `make soak` sets `STMF_FAULT_SCALE` (10 runs everything ten times as long, and what takes half a
//! minute at all), `STMF_HOSTILE_SECONDS`, `STMF_LOGIN_SECONDS`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test may")]

mod common;
#[allow(dead_code, reason = "a part is used")]
#[path = "crash/disk.rs"]
mod disk;
#[path = "iscsi_faults/hostile.rs"]
mod hostile;
#[allow(dead_code, reason = "a part is used")]
#[path = "iscsi/initiator.rs"]
mod initiator;
#[allow(dead_code, reason = "a part is used")]
#[path = "pair_sim/rng.rs"]
mod rng;
#[path = "iscsi_faults/served.rs"]
mod served;
#[path = "iscsi_faults/store.rs"]
mod store;

use common::wait_for;
use initiator::{Initiator, read10, write10};
use rng::Rng;
use served::{KEYS, Served, TARGET, exercise, host, stamped, try_write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use stmf::iscsi::pdu::opcode;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={text}: not a number")),
        Err(_) => default,
    }
}

fn scale() -> u64 {
    number("STMF_FAULT_SCALE", 1)
}

/// Runs the body on several threads, with their numbers.
fn several(count: usize, body: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        let body = &body;
        let threads: Vec<_> = (0..count).map(|thread| scope.spawn(move || body(thread))).collect();
        for thread in threads {
            thread.join().expect("a thread failed");
        }
    });
}

#[test]
fn initiators_that_break_off_in_the_middle_of_a_write_leave_no_trace() {
    let served = Served::start();
    let mut steady = served.login(&host(0));
    exercise(&mut steady, 0, 2048, 1);
    let old = stamped(0, 2048, 1);
    let mut rng = Rng::new(7);
    for round in 0..u32::try_from(20 * scale()).unwrap() {
        let mut breaking = served.login(&host(1));
        let data = stamped(0, 2048, 2);
        let itt = breaking.request(Initiator::command(&write10(0, 2048), 0xa0, 1 << 20), &data[..8192]);
        let r2t = breaking.receive().header;
        assert_eq!((r2t.opcode(), r2t.itt(), r2t.word::<40>()), (opcode::R2T, itt, 8192));
        // Some whole Data-Out, then a part of one.
        let segments = usize::try_from(rng.below(3)).unwrap();
        for number in 0..segments {
            let at = 8192 + number * 65536;
            let sn = u32::try_from(number).unwrap();
            breaking.data_out(itt, r2t.ttt(), sn, at, false, &data[at..at + 65536]);
        }
        breaking.part_of_data_out(itt, r2t.ttt(), 30_000);
        drop(breaking);
        exercise(&mut steady, 4096, 64, round);
    }
    let back = steady.read(&read10(0, 2048), 1 << 20);
    assert!(back == (0, old), "nothing of an unfinished write is on the disk");
    steady.logout();
    served.wait_idle();
}

#[test]
fn a_real_initiator_killed_in_the_middle_of_its_work_can_be_replaced() {
    let served = Served::start();
    let image = served.path().join("image");
    std::fs::write(&image, stamped(0, 65535, 3)).unwrap();
    let (image, url) = (image.to_str().unwrap(), served.url());
    for round in 0..3 * scale() {
        let mut child = Command::new("qemu-img")
            .args(["convert", "-n", "-f", "raw", "-O", "raw", image, &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(30 + round % 5 * 40));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    served.wait_idle();
    let mut initiator = served.login(&host(2));
    exercise(&mut initiator, 0, 128, 4);
    initiator.logout();
}

#[test]
fn a_cut_network_is_survived() {
    let served = Served::start();
    let mut cut = served.login(&host(0));
    let mut other = served.login(&host(1));
    // The other end says nothing any more: no data for a write, no answer taken, no end of the connection.
    cut.request(Initiator::command(&write10(0, 2048), 0xa0, 1 << 20), &[]);
    for _ in 0..30 {
        cut.request(Initiator::command(&read10(0, 2048), 0xc0, 1 << 20), &[]);
    }
    exercise(&mut other, 0, 64, 1);
    if scale() > 1 {
        // Nobody comes back.
        let end = Instant::now() + Duration::from_secs(45);
        while Instant::now() < end {
            exercise(&mut other, 0, 64, 2);
            std::thread::sleep(Duration::from_millis(100));
        }
        other.logout();
        served.wait_idle();
    }
    // The initiator comes back by another way, its old connection still hanging.
    let mut back = served.login(&host(0));
    exercise(&mut back, 0, 64, 3);
    back.logout();
    drop(cut);
}

/// The same with a real initiator behind a real interface, which goes down.
#[test]
fn a_network_that_goes_down_costs_its_sessions_only() {
    let network = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let portal = format!("{}:{}", Network::NEAR, common::free_port());
    let stmfd = common::Stmfd::start_at(&directory.path().join("state"), &portal);
    let file = common::disk_file(&directory.path().join("disk"), 64 << 20);
    let url = common::serve(&stmfd, &file);
    let far = |commands: &[&str]| {
        let mut qemu = network.far("qemu-io");
        for command in commands {
            qemu.args(["-c", command]);
        }
        qemu.args(["-f", "raw", &url]);
        qemu
    };
    common::must(&mut far(&["write -P 0x11 0 4M", "flush"]));
    // It writes for ever, and the network goes away under it.
    let endless = vec!["write -P 0x22 8M 8M"; 10_000];
    let mut writer = far(&endless)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let sessions = || {
        common::must(&mut stmfd.tool("itadm", &["list-target", "-p"]))
            .trim_end()
            .ends_with("\t1")
    };
    wait_for("it has logged in", sessions);
    std::thread::sleep(Duration::from_millis(300));
    network.set("down");
    // Near initiators are served meanwhile, and the silent one is given up.
    common::qemu_io(
        &url,
        &["write -P 0x33 20M 4M", "read -P 0x33 20M 4M", "read -P 0x11 0 4M"],
    )
    .unwrap();
    wait_for("the session is given up", || {
        common::must(&mut stmfd.tool("itadm", &["list-target", "-p"]))
            .trim_end()
            .ends_with("\t0")
    });
    writer.kill().unwrap();
    writer.wait().unwrap();
    network.set("up");
    wait_for("the network is back", || {
        common::run(&mut far(&["read -P 0x11 0 4M"])).status.success()
    });
    let seen = common::must(&mut far(&[
        "read -P 0x11 0 4M",
        "read -P 0x33 20M 4M",
        "write -P 0x44 8M 8M",
        "read -P 0x44 8M 8M",
    ]));
    assert!(!seen.contains("failed"), "{seen}");
    stmfd.stop();
}

/// A network namespace with one wire to this one.
struct Network {
    name: String,
}

impl Network {
    const NEAR: &str = "198.51.100.1";

    fn new() -> Network {
        let network = Network {
            name: format!("stmf{}", std::process::id()),
        };
        let (near, far) = (network.near(), format!("{}f", network.name));
        let ip = |line: String| common::must(Command::new("ip").args(line.split_whitespace()));
        ip(format!("netns add {}", network.name));
        ip(format!("link add {near} type veth peer name {far}"));
        ip(format!("link set {far} netns {}", network.name));
        ip(format!("addr add {}/30 dev {near}", Network::NEAR));
        ip(format!("link set {near} up"));
        ip(format!("-n {} addr add 198.51.100.2/30 dev {far}", network.name));
        ip(format!("-n {} link set {far} up", network.name));
        network
    }

    fn near(&self) -> String {
        format!("{}n", self.name)
    }

    /// A program at the other end.
    fn far(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    fn set(&self, state: &str) {
        common::must(Command::new("ip").args(["link", "set", &self.near(), state]));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        common::run(Command::new("ip").args(["link", "del", &self.near()]));
        common::run(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// Task attributes put the commands of all hosts into one order; a host that is not heard of again must not stop it.
#[test]
fn an_ordered_write_that_is_never_finished_holds_others_until_its_session_ends() {
    let served = Served::start();
    let mut breaking = served.login(&host(0));
    let mut other = served.login(&host(1));
    exercise(&mut other, 0, 64, 1);
    let mut write = Initiator::command(&write10(0, 64), 0xa0, 64 * 512);
    write.set_byte::<1>(0xa2);
    breaking.request(write, &[]);
    assert_eq!(breaking.receive().header.opcode(), opcode::R2T);
    let read = other.request(Initiator::command(&read10(0, 64), 0xc0, 64 * 512), &[]);
    let mut head = Initiator::command(&read10(0, 1), 0xc0, 512);
    head.set_byte::<1>(0xc3);
    let head = other.request(head, &[]);
    assert_eq!(other.receive().header.itt(), head, "the head of the queue comes first");
    drop(breaking);
    let mut back = Vec::new();
    while back.len() < 64 * 512 {
        let pdu = other.receive();
        assert_eq!((pdu.header.opcode(), pdu.header.itt()), (opcode::DATA_IN, read));
        back.extend_from_slice(&pdu.data);
    }
    assert!(back == stamped(0, 64, 1), "nothing of the unfinished write is there");
    other.logout();
    served.wait_idle();
}

/// `scsi-sbd.md` 1.10; the time is a setting.
#[test]
fn a_write_whose_data_do_not_come_ends_and_its_session_goes_on() {
    let served = Served::start_with(&["--task-timeout", "3"]);
    let mut silent = served.login(&host(0));
    let itt = silent.request(Initiator::command(&write10(0, 64), 0xa0, 64 * 512), &[]);
    assert_eq!(silent.receive().header.opcode(), opcode::R2T);
    let answer = silent.receive();
    assert_eq!(
        (answer.header.opcode(), answer.header.itt(), answer.header.0[3]),
        (opcode::SCSI_RESPONSE, itt, 2)
    );
    assert_eq!((answer.data[4], &answer.data[14..16]), (0x0b, &[0x4b, 0x06][..]));
    exercise(&mut silent, 0, 64, 1);
    silent.logout();
}

#[test]
fn slow_readers_cost_bounded_memory_and_slow_nobody_else() {
    let served = Served::start();
    let mut other = served.login(&host(0));
    exercise(&mut other, 0, 2048, 1);
    let sessions = usize::try_from(32 * scale().min(8)).unwrap();
    let before = served.memory();
    let slow: Vec<Initiator> = (0..sessions)
        .map(|number| {
            let mut initiator = Initiator::connect(served.address);
            initiator.isid = u8::try_from(number).unwrap();
            assert_eq!(initiator.try_login(&host(1), TARGET, KEYS).header.0[36], 0);
            initiator.test_unit_ready();
            for _ in 0..100 {
                initiator.request(Initiator::command(&read10(0, 2048), 0xc0, 1 << 20), &[]);
            }
            initiator
        })
        .collect();
    for version in 0..50 {
        exercise(&mut other, 0, 2048, version);
    }
    let grown = served.memory().saturating_sub(before);
    println!("{} slow readers: {grown} bytes", slow.len());
    // Half of the pool of 1 GiB is for reads, as much for commands beyond a share; 256 KiB more for each session.
    assert!(grown < 1200 << 20, "{grown} bytes for {} slow readers", slow.len());
    // Of the 100 MiB that each one has asked for, a share of 8 MiB at most, and one command beyond it.
    let each = grown / slow.len() as u64;
    assert!(each < 12 << 20, "{each} bytes for each slow reader");
    drop(slow);
    other.logout();
    served.wait_idle();
}

#[test]
fn logins_and_logouts_leave_nothing_behind() {
    let served = Served::start();
    let cycle = |number: usize| {
        let mut initiator = served.login(&host(number));
        assert_eq!(initiator.read(&[0; 6], 0).0, 0);
        initiator.logout();
    };
    several(4, |thread| (0..20).for_each(|_| cycle(thread)));
    served.wait_idle();
    let (memory, descriptors) = (served.memory(), served.descriptors());
    // 1,000 a minute.
    let seconds = number("STMF_LOGIN_SECONDS", 12);
    let (start, done) = (Instant::now(), AtomicU32::new(0));
    several(4, |thread| {
        loop {
            let due = Duration::from_millis(u64::from(done.fetch_add(1, Ordering::Relaxed)) * 60);
            if due >= Duration::from_secs(seconds) {
                return;
            }
            std::thread::sleep(due.saturating_sub(start.elapsed()));
            cycle(thread);
        }
    });
    served.wait_idle();
    let (rate, grown) = (
        f64::from(done.load(Ordering::Relaxed)) * 60.0 / start.elapsed().as_secs_f64(),
        served.memory().saturating_sub(memory),
    );
    println!("{rate:.0} logins a minute, {grown} bytes more");
    assert!(grown < 16 << 20, "{grown} bytes more after {done:?} logins");
    wait_for("the descriptors are closed", || served.descriptors() <= descriptors);
}

#[test]
fn two_hundred_and_fifty_six_sessions_at_once() {
    let served = Served::start();
    let rounds = u32::try_from(3 * scale()).unwrap();
    several(8, |thread| {
        let mut sessions: Vec<Initiator> = (0..32u8)
            .map(|number| {
                let mut initiator = Initiator::connect(served.address);
                initiator.isid = number;
                let answer = initiator.try_login(&host(thread), TARGET, KEYS).header;
                assert_eq!((answer.0[36], answer.0[37], answer.0[1]), (0, 0, 0x87));
                initiator.test_unit_ready();
                initiator
            })
            .collect();
        for round in 0..rounds {
            for (number, initiator) in sessions.iter_mut().enumerate() {
                let lba = u32::try_from(thread * 32 + number).unwrap() * 256;
                exercise(initiator, lba, 8 + u16::try_from(number).unwrap() * 4, round);
            }
        }
        sessions.iter_mut().for_each(Initiator::logout);
    });
    served.wait_idle();
}

/// Writers that note what was acknowledged; runs `fault` under them and gives the last acknowledged version of each.
fn under_writers(served: &Served, obedient: bool, fault: impl FnOnce()) -> Vec<u32> {
    let (acknowledged, enough) = (
        (0..4).map(|_| AtomicU32::new(0)).collect::<Vec<_>>(),
        AtomicBool::new(false),
    );
    std::thread::scope(|scope| {
        for (number, acknowledged) in acknowledged.iter().enumerate() {
            let (served, enough) = (&*served, &enough);
            scope.spawn(move || {
                let mut initiator = served.login(&host(number));
                initiator.obedient = obedient;
                let lba = u32::try_from(number).unwrap() * 1024;
                for version in 1.. {
                    match try_write(&mut initiator, lba, 64, version) {
                        Some(0) => acknowledged.store(version, Ordering::SeqCst),
                        Some(_) | None => return,
                    }
                    assert!(!enough.load(Ordering::SeqCst), "nothing has stopped it");
                }
            });
        }
        wait_for("all have written", || {
            acknowledged.iter().all(|version| version.load(Ordering::SeqCst) > 20)
        });
        fault();
    });
    acknowledged
        .iter()
        .map(|version| version.load(Ordering::SeqCst))
        .collect()
}

/// What was acknowledged, or the one write after it.
fn check(served: &Served, acknowledged: &[u32]) {
    for (number, &version) in acknowledged.iter().enumerate() {
        let mut initiator = served.login(&host(number));
        let lba = u32::try_from(number).unwrap() * 1024;
        let (status, back) = initiator.read(&read10(lba, 64), 64 * 512);
        assert_eq!(status, 0);
        let found = back == stamped(lba, 64, version) || back == stamped(lba, 64, version + 1);
        assert!(found, "host {number}: version {version} was acknowledged");
        initiator.logout();
    }
}

#[test]
fn a_target_goes_offline_under_io_and_comes_back() {
    let served = Served::start();
    // Obedient initiators log out when asked to; the others are dropped after their time.
    let modes: &[bool] = if scale() > 1 { &[true, false] } else { &[true] };
    for &obedient in modes {
        let start = Instant::now();
        let acknowledged = under_writers(&served, obedient, || {
            // The tool waits for less time than initiators have that do not obey.
            let outcome = served.try_tool("stmfadm", &["offline-target", TARGET]);
            assert!(outcome || !obedient);
            wait_for("the target is offline", || served.targets().contains("\toffline\t0"));
        });
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
        let answer = Initiator::connect(served.address).try_login(&host(0), TARGET, KEYS);
        assert_eq!((answer.header.0[36], answer.header.0[37]), (3, 1));
        served.tool("stmfadm", &["online-target", TARGET]);
        served.wait_online();
        check(&served, &acknowledged);
    }
}

#[test]
fn stmfd_is_stopped_under_io_and_started_again() {
    let mut served = Served::start();
    for _ in 0..2 * scale() {
        let pid = served.pid();
        let acknowledged = under_writers(&served, true, || {
            common::must(Command::new("kill").args(["-TERM", &pid.to_string()]));
        });
        served.stop();
        served.start_again();
        check(&served, &acknowledged);
    }
}
