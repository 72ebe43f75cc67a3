//! Two real nodes, a host with both paths that verifies every block, and what happens to a pair: planned moves, crashes, a
//! cut channel, wrong orders. The host is `c-tests/pair_io.c`.

mod common;
#[path = "iscsi/initiator.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "only what a polite host needs; a test program"
)]
mod initiator;
#[path = "pair/snapshot.rs"]
mod snapshot;
#[path = "pair/tap.rs"]
mod tap;
#[path = "pair/wire.rs"]
mod wire;

use common::rpc::Rpc;
use common::{Stmfd, build_dir, free_port, must, run, wait_for};
use initiator::{Initiator, read10, write10};
use snapshot::Snapshot;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stmf::service::{Request, Response};
use stmf::types::{AccessState, Guid, LuProperties};
use tap::Tap;
use wire::Wire;

const BLOCKS: u32 = 8192;

/// Two nodes that share one disk.
struct Pair {
    dir: tempfile::TempDir,
    nodes: [Option<Stmfd>; 2],
    proxies: [Option<Child>; 2],
    portals: [String; 2],
    channel: String,
    wire: Option<Wire>,
    /// The channel is TLS, through this.
    tap: Option<Tap>,
    disk: String,
    guid: String,
}

fn target(node: usize) -> String {
    format!("iqn.2026-11.example.pair:node{node}")
}

impl Pair {
    /// The LU is Active on node 0, Standby on node 1, mapped as LUN 0 on both.
    fn start() -> Pair {
        Self::start_with(false)
    }

    /// The same, with TLS between the nodes, and somebody who listens there.
    fn start_over_tls() -> Pair {
        Self::start_with(true)
    }

    fn start_with(tls: bool) -> Pair {
        let dir = tempfile::tempdir().expect("temporary directory");
        let disk = dir.path().join("disk");
        fs::File::create(&disk).and_then(|f| f.set_len(16 << 20)).expect("disk");
        let portals = [(); 2].map(|()| format!("127.0.0.1:{}", free_port()));
        let mut pair = Pair {
            nodes: [None, None],
            proxies: [None, None],
            channel: format!("127.0.0.1:{}", free_port()),
            wire: None,
            tap: None,
            disk: disk.to_str().expect("UTF-8").to_owned(),
            guid: String::new(),
            portals,
            dir,
        };
        for node in [0, 1] {
            pair.start_stmfd(node);
            must(&mut pair.tool(node, "itadm", &["create-target", "-n", &target(node)]));
        }
        if tls {
            pair.exchange_certificates();
            pair.tap = Some(Tap::to(&pair.channel));
        }
        for node in [1, 0] {
            pair.start_proxy(node);
        }
        for node in [0, 1] {
            wait_for("ALUA is enabled", || {
                must(&mut pair.tool(node, "stmfadm", &["list-state"])).contains(": enabled")
            });
        }
        let created = must(&mut pair.tool(0, "stmfadm", &["create-lu", &pair.disk]));
        pair.guid = created.trim().rsplit(' ').next().expect("GUID").to_owned();
        pair.wait_access(1, "Standby");
        for node in [0, 1] {
            must(&mut pair.tool(node, "stmfadm", &["add-view", "-n", "0", &pair.guid]));
        }
        pair.wait_path(1);
        pair
    }

    fn rpc(&self) -> [Rpc; 2] {
        [0, 1].map(|node| Rpc::open(&self.node_dir(node).join("door")).expect("a door"))
    }

    /// Path of a file in the directory that both nodes share.
    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("node{node}"))
    }

    fn start_stmfd(&mut self, node: usize) {
        self.nodes[node] = Some(Stmfd::start_at(&self.node_dir(node), &self.portals[node]));
    }

    fn start_proxy(&mut self, node: usize) {
        let child = self.proxy(node).spawn();
        self.proxies[node] = Some(child.expect("stmfproxy starts"));
    }

    /// Each message passes through this daemon.
    fn start_debugging_proxy(&mut self, node: usize) {
        let child = self.proxy(node).arg("-d").stderr(Stdio::null()).spawn();
        self.proxies[node] = Some(child.expect("stmfproxy starts"));
    }

    fn proxy(&self, node: usize) -> Command {
        let (role, address) = match (node, &self.wire, &self.tap) {
            (0, Some(wire), _) => ("--connect", &wire.address),
            (0, None, Some(tap)) => ("--connect", &tap.address),
            (0, None, None) => ("--connect", &self.channel),
            _ => ("--listen", &self.channel),
        };
        let mut command = Command::new(build_dir().join("stmfproxy"));
        command.args(["-f", "-n", &node.to_string(), role, address]);
        match self.tap {
            None => command.arg("--plain"),
            Some(_) => command.args(["--tls-dir", &self.file(&format!("tls{node}"))]),
        };
        command
            .env("STMF_ENDPOINT", self.node(node).endpoint())
            .stdin(Stdio::null());
        command
    }

    fn exchange_certificates(&self) {
        let pairing = |node: usize, arguments: &[&str]| {
            let dir = self.file(&format!("tls{node}"));
            let mut command = Command::new(build_dir().join("stmfproxy"));
            must(command.args(["pair", "--tls-dir", &dir]).args(arguments))
        };
        for node in [0, 1] {
            let init = ["--init", "--cluster", "san", "-n", &node.to_string()];
            fs::write(self.file(&format!("{node}.pair")), pairing(node, &init)).expect("written");
        }
        for node in [0, 1] {
            pairing(node, &["--accept", &self.file(&format!("{}.pair", 1 - node))]);
        }
    }

    /// From now on the channel goes through a wire that can be held.
    fn lay_wire(&mut self) {
        self.stop_proxy(0);
        self.wire = Some(Wire::to(&self.channel));
        self.start_proxy(0);
        self.wait_path(1);
    }

    fn wire(&self) -> &Wire {
        self.wire.as_ref().expect("laid")
    }

    fn tap(&self) -> &Tap {
        self.tap.as_ref().expect("over TLS")
    }

    fn stop_proxy(&mut self, node: usize) {
        let mut child = self.proxies[node].take().expect("running");
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    fn node(&self, node: usize) -> &Stmfd {
        self.nodes[node].as_ref().expect("running")
    }

    fn tool(&self, node: usize, name: &str, arguments: &[&str]) -> Command {
        self.node(node).tool(name, arguments)
    }

    fn access(&self, node: usize) -> String {
        let listed = run(&mut self.tool(node, "stmfadm", &["list-lu", "-v", &self.guid]));
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("    Access State      : "));
        line.unwrap_or("none").to_owned()
    }

    fn wait_access(&self, node: usize, state: &str) {
        wait_for(&format!("the LU is {state} on node {node}"), || {
            self.access(node) == state
        });
    }

    /// The host can reach the LU through this node.
    fn wait_path(&self, node: usize) {
        wait_for("the path answers", || {
            run(Command::new("iscsi-readcapacity16").arg(self.url(node)))
                .status
                .success()
        });
    }

    fn url(&self, node: usize) -> String {
        format!("iscsi://{}/{}/0", self.portals[node], target(node))
    }

    fn standby(&self, node: usize) {
        must(&mut self.tool(node, "aluaadm", &["standby", &self.guid]));
    }

    fn import(&self, node: usize) -> Output {
        run(&mut self.tool(node, "stmfadm", &["import-lu", &self.disk]))
    }

    /// A planned move to the other node; gives how long it took.
    fn fail_over(&self, from: usize) -> Duration {
        let begin = Instant::now();
        self.standby(from);
        self.finish_move(from, begin)
    }

    /// The same, and the disk as it was when the former owner had given it up.
    fn fail_over_watched(&self, from: usize) -> (Duration, Snapshot) {
        let begin = Instant::now();
        self.standby(from);
        let snapshot = Snapshot::take(&self.disk, from);
        (self.finish_move(from, begin), snapshot)
    }

    fn finish_move(&self, from: usize, begin: Instant) -> Duration {
        let imported = self.import(1 - from);
        assert!(imported.status.success(), "{imported:?}");
        let took = begin.elapsed();
        self.wait_access(from, "Standby");
        took
    }

    /// Policy `non-optimized`, on both nodes.
    fn allow_writes_on_both(&self) {
        must(&mut self.tool(0, "aluaadm", &["policy", &self.guid, "non-optimized"]));
        wait_for("the policy holds on both nodes", || self.policy(1) == "non-optimized\n");
    }

    fn policy(&self, node: usize) -> String {
        must(&mut self.tool(node, "aluaadm", &["policy", &self.guid]))
    }

    /// A host on one path that does what it is told.
    fn initiator(&self, node: usize) -> Initiator {
        let portal = self.portals[node].parse().expect("an address");
        let mut host = Initiator::login(portal, "iqn.2026-11.example:both", &target(node), &[]);
        host.test_unit_ready();
        host
    }

    /// The blocks of the lingering write, through both paths. When the second one answers, the owner has read everything
    /// that came before.
    fn check_fill(&self, fill: u8) {
        self.wait_path(1);
        for mut host in [self.initiator(1), self.initiator(0)] {
            let (status, data) = host.read(&read10(8, 16), 8192);
            assert_eq!((status, data.len()), (0, 8192));
            assert!(data.iter().all(|byte| *byte == fill), "the first write came late");
        }
    }

    /// The verifying host, for some seconds.
    fn host(&self, seconds: u32, seed: u32) -> Host {
        self.host_with(seconds, seed, &[])
    }

    fn host_with(&self, seconds: u32, seed: u32, mode: &[&str]) -> Host {
        let program = self.dir.path().join("pair_io");
        if !program.exists() {
            let mut cc = Command::new("cc");
            cc.args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-o"]);
            must(cc.arg(&program).arg(source()).arg("-liscsi"));
        }
        let mut command = Command::new(program);
        command.args([format!("iqn.2026-11.example:host{seed}"), self.url(0), self.url(1)]);
        command.args([seconds.to_string(), BLOCKS.to_string(), seed.to_string()]);
        command.args(mode);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Host(command.spawn().expect("the host starts"))
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("c-tests/pair_io.c")
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in self.proxies.iter_mut().flatten() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }
}

struct Host(Child);

impl Host {
    /// Nothing may have been lost, stale or stuck; gives its line of figures.
    fn finish(self) -> String {
        must(Command::new("kill").args(["-TERM", &self.0.id().to_string()]));
        let output = self.0.wait_with_output().expect("wait");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "the host saw: {}", text(&output.stderr));
        text(&output.stdout)
    }
}

/// Hazards H6, H7 and H8: every acknowledged write is read through the new owner, and the former one writes no block more.
#[test]
fn planned_moves_lose_nothing() {
    let pair = Pair::start();
    let host = pair.host(600, 1);
    let (mut longest, mut written) = (Duration::ZERO, 0);
    for round in 0..20 {
        std::thread::sleep(Duration::from_millis(150));
        let (took, snapshot) = pair.fail_over_watched(round % 2);
        longest = longest.max(took);
        std::thread::sleep(Duration::from_millis(150));
        written += snapshot.check(&pair.disk);
    }
    assert!(written > 1000, "the checker saw {written} blocks being written");
    println!(
        "20 moves, longest {longest:?}, {written} blocks by the right node; host: {}",
        host.finish()
    );
}

/// `stmfadm move-lu`: each acknowledged write is read through the new owner, and an LU that the peer cannot take comes back.
#[test]
fn one_command_moves_an_lu_or_leaves_it() {
    let mut pair = Pair::start();
    let host = pair.host(600, 9);
    for round in 0..10 {
        std::thread::sleep(Duration::from_millis(150));
        let from = round % 2;
        let rehearsed = must(&mut pair.tool(from, "stmfadm", &["move-lu", "--dry-run", &pair.guid]));
        assert!(
            rehearsed.starts_with(&format!("would move logical unit {} on ", pair.guid)),
            "{rehearsed}"
        );
        assert_eq!(pair.access(from), "Active");
        assert_eq!(
            must(&mut pair.tool(from, "stmfadm", &["move-lu", "--to=peer", &pair.guid])),
            ""
        );
        assert_eq!(
            (pair.access(from), pair.access(1 - from)),
            ("Standby".into(), "Active".into())
        );
        let again = run(&mut pair.tool(from, "stmfadm", &["move-lu", &pair.guid]));
        let text = String::from_utf8_lossy(&again.stderr).into_owned();
        assert_eq!(
            (again.status.code(), text),
            (Some(1), format!("stmfadm: {}: is not active on this node\n", pair.guid))
        );
    }
    let events = must(&mut pair.tool(0, "stmfadm", &["events"]));
    let moved = format!("LU {} is standby on this node", pair.guid);
    assert!(events.matches(&moved).count() >= 5, "{events}");

    // The peer has another LU on a file that it cannot open, and so has to refuse: it stays where it is.
    let private = pair.dir.path().join("private");
    fs::File::create(&private)
        .and_then(|f| f.set_len(4 << 20))
        .expect("disk");
    let created = must(&mut pair.tool(0, "stmfadm", &["create-lu", private.to_str().expect("UTF-8")]));
    let guid = created.trim().rsplit(' ').next().expect("GUID").to_owned();
    wait_for("the peer knows the LU", || {
        let listed = run(&mut pair.tool(1, "stmfadm", &["list-lu", "-v", &guid]));
        String::from_utf8_lossy(&listed.stdout).contains("Access State      : Standby")
    });
    let hidden = pair.dir.path().join("hidden");
    fs::rename(&private, &hidden).expect("rename");
    let refused = run(&mut pair.tool(0, "stmfadm", &["move-lu", &guid]));
    fs::rename(&hidden, &private).expect("rename");
    // Neither node could open it then; now one can.
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(
        text.contains("may be active on no node: the peer could not take it over, its log tells why"),
        "{text}"
    );
    must(&mut pair.tool(0, "stmfadm", &["import-lu", private.to_str().expect("UTF-8")]));

    // No peer: nothing is done.
    pair.stop_proxy(0);
    wait_for("the peer is gone", || {
        let refused = run(&mut pair.tool(0, "stmfadm", &["move-lu", &guid]));
        String::from_utf8_lossy(&refused.stderr).contains("stays here: the peer does not answer")
    });
    assert!(must(&mut pair.tool(0, "stmfadm", &["list-lu", "-v", &guid])).contains("Access State      : Active"));
    println!("10 moves; host: {}", host.finish());
}

/// Hazard H1: the crashed node comes back while its LU is Active on the other one.
#[test]
fn a_crash_of_the_active_node_loses_nothing() {
    let mut pair = Pair::start();
    let host = pair.host(600, 2);
    for round in 0..4 {
        let active = round % 2;
        std::thread::sleep(Duration::from_millis(500));
        pair.nodes[active].take().expect("running").kill();
        let snapshot = Snapshot::take(&pair.disk, active);
        must(&mut pair.tool(1 - active, "aluaadm", &["fenced"]));
        let imported = pair.import(1 - active);
        assert!(imported.status.success(), "{imported:?}");
        std::thread::sleep(Duration::from_millis(300));
        pair.start_stmfd(active);
        pair.wait_access(active, "Standby");
        pair.wait_path(active);
        assert_eq!(pair.access(1 - active), "Active");
        snapshot.check(&pair.disk);
    }
    println!("4 crashes; host: {}", host.finish());
}

/// Hazards H4, H18 and H26: import before standby, standby twice, a change of mind, both at once.
#[test]
fn a_cut_channel_heals_and_wrong_orders_are_refused() {
    let mut pair = Pair::start();
    let host = pair.host(600, 3);
    // Import before standby.
    assert!(!pair.import(1).status.success());
    assert_eq!((pair.access(0), pair.access(1)), ("Active".into(), "Standby".into()));
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        pair.stop_proxy(1);
        // The peer cannot be asked and its lease moves.
        assert!(!pair.import(1).status.success());
        pair.start_proxy(1);
        pair.wait_path(1);
    }
    // Standby twice, then a change of mind.
    pair.standby(0);
    pair.standby(0);
    assert!(pair.import(0).status.success());
    assert!(!pair.import(1).status.success());
    pair.fail_over(0);
    // Both at once: one of them at most.
    pair.standby(1);
    let both = std::thread::scope(|scope| {
        let first = scope.spawn(|| pair.import(0).status.success());
        let second = pair.import(1).status.success();
        [first.join().expect("no panic"), second]
    });
    assert_ne!(both, [true, true], "two owners");
    wait_for("one node has the LU", || {
        let states = [pair.access(0), pair.access(1)];
        assert_ne!(states, ["Active", "Active"]);
        let mut sorted = states.clone();
        sorted.sort();
        if sorted == ["Active", "Standby"] {
            return true;
        }
        // Nobody: an import on either node ends it.
        if !states.contains(&"Active".to_owned()) {
            pair.import(0);
        }
        false
    });
    pair.wait_path(0);
    pair.wait_path(1);
    println!("host: {}", host.finish());
}

/// 7.7: a host that writes through both paths, whoever owns the LU, with planned moves, a crash and a cut channel.
#[test]
fn both_paths_write_under_the_policy_non_optimized() {
    let mut pair = Pair::start();
    pair.allow_writes_on_both();
    assert!(
        !run(&mut pair.tool(1, "aluaadm", &["policy", &pair.guid, "standby"]))
            .status
            .success(),
        "only where the LU is active"
    );
    let host = pair.host_with(600, 4, &["both"]);
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(300));
        pair.fail_over(round % 2);
    }
    // Each daemon ends with calls in its hands.
    for node in [1, 0, 1] {
        pair.stop_proxy(node);
        std::thread::sleep(Duration::from_millis(300));
        pair.start_proxy(node);
        pair.wait_path(1);
        std::thread::sleep(Duration::from_millis(500));
    }
    pair.nodes[0].take().expect("running").kill();
    must(&mut pair.tool(1, "aluaadm", &["fenced"]));
    assert!(pair.import(1).status.success());
    pair.start_stmfd(0);
    pair.wait_access(0, "Standby");
    pair.wait_path(0);
    assert_eq!(pair.policy(0), "non-optimized\n");
    std::thread::sleep(Duration::from_millis(500));
    let figures = host.finish();
    println!("host: {figures}");
    let writes = figures
        .split("writes ")
        .nth(1)
        .and_then(|rest| rest.split(',').next())
        .expect("figures");
    let counts: Vec<u32> = writes
        .split(" and ")
        .map(|count| count.parse().expect("number"))
        .collect();
    assert!(counts.iter().all(|count| *count > 20), "{counts:?}");
}

/// Somebody in the channel changes a bit of what the nodes say, again and again: each time that is the end of the connection,
/// the next one goes on, and the host sees nothing wrong. Nor does it while one of the daemons carries each message itself.
#[test]
fn damaged_records_cost_the_connection_and_nothing_else() {
    let mut pair = Pair::start_over_tls();
    pair.allow_writes_on_both();
    let host = pair.host_with(600, 7, &["both"]);
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(300));
        let (node, calls) = (round % 2, pair.tap().calls());
        pair.tap().damage(node);
        wait_for("something is said", || pair.tap().damaged(node));
        wait_for("another connection", || pair.tap().calls() > calls);
        pair.wait_path(1);
    }
    let refused = [0, 1].map(|node| {
        let node = pair.nodes[node].as_ref().expect("running");
        node.logged("the stream to the peer is given up: cannot decrypt")
    });
    assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
    for node in [1, 0] {
        pair.stop_proxy(node);
        pair.start_debugging_proxy(node);
        pair.wait_path(1);
        std::thread::sleep(Duration::from_millis(500));
        pair.stop_proxy(node);
        pair.start_proxy(node);
        pair.wait_path(1);
    }
    std::thread::sleep(Duration::from_millis(300));
    println!("host: {}", host.finish());
}

/// What becomes of the node whose write lingers in the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// Its daemon is killed.
    Daemon,
    /// It does not reach its peer any more.
    Peer,
    /// The host's session with it breaks.
    Session,
}

/// The host writes anew through the owner as soon as it hears anything of its first write, or for so long after its session
/// broke as the manual tells it to wait; and then the first write arrives.
#[test]
fn a_write_that_lingers_in_the_channel_does_not_come_late() {
    const LENGTH: u32 = 8192;
    let mut pair = Pair::start();
    pair.allow_writes_on_both();
    pair.lay_wire();
    for (loss, old) in [(Loss::Daemon, 1), (Loss::Peer, 3), (Loss::Session, 5)] {
        let new = old + 1;
        let (mut owner, mut other) = (pair.initiator(0), pair.initiator(1));
        let write = |host: &mut Initiator, fill: u8| {
            let data = [fill; LENGTH as usize];
            host.write(&write10(8, 16), &data, data.len(), 0, data.len())
        };
        wait_for("writes are forwarded", || write(&mut other, old) == 0);
        pair.wire().hold_next_write();
        let header = Initiator::command(&write10(8, 16), 0xa0, LENGTH);
        other.request(header, &[old; LENGTH as usize]);
        wait_for("the write is on its way", || pair.wire().holds());
        if loss == Loss::Session {
            drop(other);
            std::thread::sleep(Duration::from_secs(5));
        } else {
            if loss == Loss::Daemon {
                pair.stop_proxy(1);
            }
            assert_eq!(other.receive().header.0[3], 0x02, "{loss:?}: CHECK CONDITION");
        }
        assert_eq!(write(&mut owner, new), 0);
        pair.wire().release();
        if loss == Loss::Daemon {
            pair.start_proxy(1);
        }
        pair.check_fill(new);
    }
}

/// Hazard H24: ALUA is disabled while the LU moves; hazard H25: the other node's id.
#[test]
fn disabling_in_the_middle_of_a_move_loses_nothing() {
    let pair = Pair::start();
    let host = pair.host(600, 5);
    std::thread::sleep(Duration::from_millis(300));
    pair.standby(0);
    must(&mut pair.tool(0, "aluaadm", &["disable"]));
    assert_eq!(pair.access(0), "Active->Standby");
    let imported = pair.import(1);
    assert!(imported.status.success(), "{imported:?}");
    let other = run(&mut pair.tool(1, "aluaadm", &["enable", "0"]));
    assert!(!other.status.success(), "{other:?}");
    must(&mut pair.tool(0, "aluaadm", &["enable", "0"]));
    pair.wait_access(0, "Standby");
    pair.wait_path(0);
    pair.fail_over(1);
    println!("host: {}", host.finish());
}

/// 1,000 LUs move at once, 32 at a time, each imported as soon as it is given up. How long it takes is printed.
#[test]
fn a_thousand_lus_move_at_once() {
    const LUS: usize = 1000;
    let pair = Pair::start();
    let rpc = pair.rpc();
    let paths: Vec<String> = (0..LUS).map(|n| pair.file(&format!("many{n}"))).collect();
    let created = at_once(&paths, |path| (create(&rpc[0], 0, path), path.clone()));
    let lus: Vec<(Guid, String)> = created.into_iter().map(|(lu, _)| lu).collect();
    wait_for("the other node knows them", || listed(&rpc[1]).len() == LUS + 1);

    for (from, to) in [(0, 1), (1, 0)] {
        let moved = at_once(&lus, |(guid, path)| {
            let given_up = rpc[from].ask(&Request::LuStandby(*guid));
            assert!(matches!(given_up, Response::Done), "{path}: {given_up:?}");
            let imported = rpc[to].ask(&Request::LuImport(path.clone()));
            assert!(matches!(imported, Response::Guid(_)), "{path}: {imported:?}");
        });
        let (first, last) = (moved[0].1, moved[LUS - 1].1);
        println!("{LUS} LUs moved: the first after {first:?}, all after {last:?}");
        for (guid, _) in &lus {
            assert_eq!(access(&rpc[to], guid), AccessState::Active);
            wait_for("the former owner is Standby", || {
                access(&rpc[from], guid) == AccessState::Standby
            });
        }
    }
}

/// Hazard H30 with real LUs: both nodes enable at the same moment, each owner of half of them. `STMF_PAIR_LUS`: how many.
#[test]
fn both_nodes_enable_at_once_with_many_lus() {
    let many = match std::env::var("STMF_PAIR_LUS") {
        Ok(text) => text.parse().expect("STMF_PAIR_LUS is a number"),
        Err(_) => 1000,
    };
    let pair = Pair::start();
    for node in [1, 0] {
        must(&mut pair.tool(node, "aluaadm", &["disable"]));
    }
    let rpc = pair.rpc();
    let wanted: Vec<(usize, String)> = (0..many).map(|n| (n % 2, pair.file(&format!("many{n}")))).collect();
    let created = at_once(&wanted, |(node, path)| (create(&rpc[*node], *node, path), *node));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for node in ["0", "1"] {
            let mut enable = pair.tool(node.parse().expect("a number"), "aluaadm", &["enable", node]);
            scope.spawn(move || must(&mut enable));
        }
    });
    wait_for("each node knows all", || {
        rpc.iter().all(|rpc| listed(rpc).len() == many + 1)
    });
    println!("{many} LUs known on both nodes after {:?}", begin.elapsed());
    for ((guid, owner), _) in created {
        let states = [owner, 1 - owner].map(|node| access(&rpc[node], &guid));
        assert_eq!(states, [AccessState::Active, AccessState::Standby]);
    }
}

/// Wrong order: both nodes are given the same number. The LU stays where it is, and the right number heals it.
#[test]
fn equal_node_ids_make_no_second_writer() {
    let pair = Pair::start();
    let host = pair.host(600, 6);
    let alua = |arguments: &[&str]| must(&mut pair.tool(1, "aluaadm", arguments));
    alua(&["disable"]);
    alua(&["enable", "0"]);
    for _ in 0..5 {
        assert!(!pair.import(1).status.success());
        assert_eq!(pair.access(0), "Active");
        assert_ne!(pair.access(1), "Active");
        std::thread::sleep(Duration::from_millis(100));
    }
    alua(&["disable"]);
    alua(&["enable", "1"]);
    // Both say again what they have (5.12).
    must(&mut pair.tool(0, "aluaadm", &["enable", "0"]));
    pair.wait_access(1, "Standby");
    pair.wait_path(1);
    pair.fail_over(0);
    println!("host: {}", host.finish());
}

fn listed(rpc: &Rpc) -> Vec<Guid> {
    match rpc.ask(&Request::LuList) {
        Response::Guids(guids) => guids,
        other => panic!("{other:?}"),
    }
}

fn access(rpc: &Rpc, guid: &Guid) -> AccessState {
    match rpc.ask(&Request::LuResource(*guid)) {
        Response::Resource(report) => report.access,
        other => panic!("{other:?}"),
    }
}

/// A small LU on a new file. Both nodes are one host, from whose number GUIDs are made: so each gets its own.
fn create(rpc: &Rpc, node: usize, path: &str) -> Guid {
    fs::File::create(path)
        .and_then(|file| file.set_len(2 << 20))
        .expect("disk");
    let properties = LuProperties {
        data_file: Some(path.to_owned()),
        host_id: u32::try_from(node + 1).ok(),
        ..LuProperties::default()
    };
    match rpc.ask(&Request::LuCreate(Box::new(properties))) {
        Response::Guid(guid) => guid,
        other => panic!("{path}: {other:?}"),
    }
}

/// Does something with each, 32 at a time; the results in the order in which they came, and when.
fn at_once<T: Sync, R: Send>(items: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<(R, Duration)> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = each(item);
                    results.lock().expect("no panic").push((result, begin.elapsed()));
                }
            });
        }
    });
    results.into_inner().expect("no panic")
}
