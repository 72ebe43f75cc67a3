//! Two peer daemons over TLS as processes, each with its own `stmfd`, and what tries to come between them
//! (`alua-proxy.md` chapter 9).

mod common;

use common::{PATIENCE, Stmfd, build_dir, free_port, must, run, wait_for};
use rcgen::{CertificateParams, KeyPair};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

fn stmfproxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(build_dir().join("stmfproxy"));
    command.args(arguments);
    command
}

/// A daemon in the foreground and what it logs; killed when dropped.
struct Proxy {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn start(arguments: &[&str], dir: &Path, stmfd: &Stmfd) -> Proxy {
        let dir = dir.to_str().expect("UTF-8");
        let mut command = stmfproxy(&[&["-f", "--tls-dir", dir], arguments].concat());
        Self::spawn(command.env("STMF_ENDPOINT", stmfd.endpoint()))
    }

    fn spawn(command: &mut Command) -> Proxy {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("stmfproxy starts");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (log, all) = (child.stderr.take().expect("piped"), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                eprintln!("{line}");
                all.lock().expect("lines").push(line);
            }
        });
        Proxy { child, lines }
    }

    fn count(&self, word: &str) -> usize {
        let lines = self.lines.lock().expect("lines");
        lines.iter().filter(|line| line.contains(word)).count()
    }

    fn wait_for_line(&self, word: &str) {
        wait_for(word, || self.count(word) > 0);
    }

    fn threads(&self) -> usize {
        fs::read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("it lives")
            .count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().expect("kill");
            self.child.wait().expect("wait");
        }
    }
}

/// Directories of both nodes, for the service and for TLS.
struct Pair {
    top: TempDir,
}

impl Pair {
    /// Paired by the commands that the manual page names.
    fn new() -> Pair {
        let pair = Pair {
            top: tempfile::tempdir().expect("directory"),
        };
        let files = ["0", "1"].map(|node| {
            let dir = pair.dir(node);
            let text = must(&mut stmfproxy(&[
                "pair",
                "--tls-dir",
                &dir,
                "--init",
                "--cluster",
                "san",
                "-n",
                node,
            ]));
            let file = pair.path(&format!("{node}.pair"));
            fs::write(&file, text).expect("written");
            file
        });
        for (node, peer) in [("0", &files[1]), ("1", &files[0])] {
            let told = must(&mut stmfproxy(&[
                "pair",
                "--tls-dir",
                &pair.dir(node),
                "--accept",
                text(peer),
            ]));
            assert_eq!(told.lines().count(), 2);
            assert!(told.contains("of cluster san") && told.contains("SHA-256"), "{told}");
        }
        pair
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// The node's directory for TLS.
    fn dir(&self, node: &str) -> String {
        text(&self.path(&format!("tls{node}"))).to_owned()
    }

    fn stmfd(&self, name: &str) -> Stmfd {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("directory");
        Stmfd::start(&dir)
    }

    /// A copy of a node's directory, to be spoilt.
    fn copy(&self, node: &str, name: &str) -> PathBuf {
        let dir = self.path(name);
        must(Command::new("cp").args(["-a", &self.dir(node), text(&dir)]));
        dir
    }

    /// An LU on a file, at the active node.
    fn create_lu(&self, stmfd: &Stmfd, name: &str) -> String {
        let file = self.path(name);
        let size = fs::File::create(&file).and_then(|file| file.set_len(16 << 20));
        size.expect("backing file");
        let told = must(&mut stmfd.tool("stmfadm", &["create-lu", text(&file)]));
        told.trim().rsplit(' ').next().expect("a GUID").to_owned()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn list(stmfd: &Stmfd) -> String {
    must(&mut stmfd.tool("stmfadm", &["list-lu", "-v"]))
}

/// The peer has told of the LU: the channel carries messages.
fn wait_for_standby(stmfd: &Stmfd, guid: &str) {
    wait_for("the peer's LU is there", || {
        let listed = list(stmfd);
        let lu = listed.split("LU Name: ").find(|lu| lu.starts_with(guid));
        lu.is_some_and(|lu| lu.contains("Access State      : Standby"))
    });
}

fn alua_node(stmfd: &Stmfd) -> String {
    let listed = must(&mut stmfd.tool("stmfadm", &["list-state"]));
    listed.lines().last().unwrap_or_default().to_owned()
}

/// Both nodes up, and node 0's LU at node 1, which listens.
struct Serving {
    pair: Pair,
    nodes: [Stmfd; 2],
    listens: Proxy,
    calls: Proxy,
    port: u16,
    lus: usize,
}

impl Serving {
    fn start() -> Serving {
        let pair = Pair::new();
        let nodes = [pair.stmfd("node0"), pair.stmfd("node1")];
        let port = free_port();
        let address = format!("127.0.0.1:{port}");
        let listens = Proxy::start(&["--listen", &address], Path::new(&pair.dir("1")), &nodes[1]);
        let calls = Proxy::start(&["--connect", &address], Path::new(&pair.dir("0")), &nodes[0]);
        let mut serving = Serving {
            pair,
            nodes,
            listens,
            calls,
            port,
            lus: 0,
        };
        serving.check();
        serving
    }

    /// A new LU of node 0 appears at node 1.
    fn check(&mut self) {
        self.lus += 1;
        let guid = self.pair.create_lu(&self.nodes[0], &format!("lu{}", self.lus));
        wait_for_standby(&self.nodes[1], &guid);
    }

    fn stranger(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        stream
    }

    /// A daemon that calls with another directory is refused, for this reason, and nothing else changes.
    fn refuses(&mut self, dir: &Path, here: &str, there: &str) {
        let stmfd = self.pair.stmfd(&format!("stmfd of {}", text(dir).replace('/', "_")));
        let proxy = Proxy::start(&["--connect", &format!("127.0.0.1:{}", self.port)], dir, &stmfd);
        self.listens.wait_for_line(here);
        proxy.wait_for_line(there);
        // It tries again and again; both sides told it once.
        std::thread::sleep(std::time::Duration::from_millis(700));
        assert_eq!((self.listens.count(here), proxy.count(there)), (1, 1));
        assert_eq!(proxy.count("connected to"), 0);
        assert!(proxy.count("connecting to") <= 1);
        self.check();
        assert_eq!(
            self.listens.count("connected to"),
            1,
            "the good connection is the first one"
        );
    }
}

#[test]
fn a_pair_over_tls_survives_restarts() {
    let mut serving = Serving::start();
    assert_eq!(alua_node(&serving.nodes[0]), "ALUA Node         : 0");
    assert_eq!(alua_node(&serving.nodes[1]), "ALUA Node         : 1", "by the pairing");
    let address = format!("127.0.0.1:{}", serving.port);
    serving.calls = Proxy::start(
        &["--connect", &address],
        Path::new(&serving.pair.dir("0")),
        &serving.nodes[0],
    );
    serving.check();
    // The old one ends first: the port is its.
    serving.listens.child.kill().unwrap();
    serving.listens.child.wait().unwrap();
    serving.listens = Proxy::start(
        &["-n", "1", "--listen", &address],
        Path::new(&serving.pair.dir("1")),
        &serving.nodes[1],
    );
    serving.check();
}

#[test]
fn strangers_are_refused_and_the_pair_keeps_serving() {
    let mut serving = Serving::start();
    // A key of its own, and a pairing made with a copy of what is public.
    let impostor = serving.pair.path("impostor");
    let init = ["--init", "--cluster", "san", "-n", "0", "--tls-dir", text(&impostor)];
    must(&mut stmfproxy(&[&["pair"], &init[..]].concat()));
    let public = serving.pair.path("1.pair");
    must(&mut stmfproxy(&[
        "pair",
        "--tls-dir",
        text(&impostor),
        "--accept",
        text(&public),
    ]));
    serving.refuses(
        &impostor,
        "certificate is not the pinned one",
        "pinned another certificate",
    );

    // The right certificate, but a greeting of another cluster.
    let other = serving.pair.copy("0", "other-cluster");
    for name in ["node.pair", "peer.pair"] {
        let file = fs::read_to_string(other.join(name)).unwrap();
        fs::write(other.join(name), file.replace("cluster: san", "cluster: other")).unwrap();
    }
    serving.refuses(
        &other,
        "the peer belongs to cluster other",
        "the peer belongs to cluster san",
    );

    // The right certificate, but the number of the listening node.
    let twin = serving.pair.copy("0", "twin");
    for (name, from, to) in [("node.pair", "node: 0", "node: 1"), ("peer.pair", "node: 1", "node: 0")] {
        let file = fs::read_to_string(twin.join(name)).unwrap();
        fs::write(twin.join(name), file.replace(from, to)).unwrap();
    }
    serving.refuses(
        &twin,
        "both nodes of cluster san are node 1",
        "both nodes of cluster san are node 1",
    );

    // A peer of the plain kind.
    let mut plain = serving.stranger();
    plain
        .write_all(include_bytes!("vectors/stream-node1-greeting-register-lun.bin"))
        .unwrap();
    serving.listens.wait_for_line("does not speak TLS");
    // It is told nothing but an alert (RFC 8446 section 6), and its LU is nowhere.
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(answer.len() <= 7, "{answer:?}");
    assert!(!list(&serving.nodes[1]).contains("600144F0C0FFEE0000005A3C817E0001"));
    serving.check();
    assert_eq!(serving.calls.count("lost"), 0);
}

/// HUP: nothing changed, something unreadable, a new key of node 0.
#[test]
fn certificates_and_pins_are_read_again() {
    let mut serving = Serving::start();
    let hang_up = |proxy: &Proxy| drop(must(Command::new("kill").args(["-HUP", &proxy.child.id().to_string()])));
    for proxy in [&serving.listens, &serving.calls] {
        hang_up(proxy);
        proxy.wait_for_line(": read again");
    }
    let node_0 = PathBuf::from(serving.pair.dir("0"));
    fs::rename(node_0.join("node.key"), node_0.join("old.key")).unwrap();
    hang_up(&serving.calls);
    serving.calls.wait_for_line("going on with what was read before");
    serving.check();
    assert_eq!(serving.listens.count("connected to"), 1, "the channel went on");

    let init = [
        "pair",
        "--init",
        "--cluster",
        "san",
        "-n",
        "0",
        "--tls-dir",
        text(&node_0),
    ];
    let renewed = must(&mut stmfproxy(&init));
    let file = serving.pair.path("renewed.pair");
    fs::write(&file, renewed).unwrap();
    let node_1 = serving.pair.dir("1");
    must(&mut stmfproxy(&["pair", "--tls-dir", &node_1, "--accept", text(&file)]));
    hang_up(&serving.listens);
    serving.listens.wait_for_line("the peer is not the pinned one any more");
    serving.listens.wait_for_line("certificate is not the pinned one");
    hang_up(&serving.calls);
    serving.check();
    assert_eq!(serving.listens.count("connected to"), 2);

    // Another node than before: not without a restart.
    for name in ["node.pair", "peer.pair"] {
        let file = fs::read_to_string(node_0.join(name)).unwrap();
        fs::write(node_0.join(name), file.replace("cluster: san", "cluster: lan")).unwrap();
    }
    hang_up(&serving.calls);
    serving.calls.wait_for_line("which takes a restart");
    serving.check();
}

/// What node 0 said to node 1 once, said again by somebody who listened.
#[test]
fn replayed_bytes_are_refused() {
    let mut serving = Serving::start();
    // The caller's daemon is restarted with somebody in between.
    let tap = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tap.local_addr().unwrap().to_string();
    serving.calls = Proxy::start(
        &["--connect", &address],
        Path::new(&serving.pair.dir("0")),
        &serving.nodes[0],
    );
    let (mut caller, _) = tap.accept().unwrap();
    let mut listener = serving.stranger();
    let (mut from, mut to) = (listener.try_clone().unwrap(), caller.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let (mut recorded, mut buffer) = (Vec::new(), [0; 4096]);
    while serving.listens.count("connected to") < 2 || recorded.len() < 2000 {
        let count = caller.read(&mut buffer).unwrap();
        assert!(count > 0, "the daemon hung up");
        recorded.extend_from_slice(&buffer[..count]);
        listener.write_all(&buffer[..count]).unwrap();
    }
    let mut stranger = serving.stranger();
    stranger.write_all(&recorded).unwrap();
    serving.listens.wait_for_line("a record cannot be decrypted");
    assert_eq!(serving.listens.count("connected to"), 2, "not by replayed bytes");
    let _ = (caller.shutdown(Shutdown::Both), listener.shutdown(Shutdown::Both));
    drop(tap);
    let address = format!("127.0.0.1:{}", serving.port);
    serving.calls = Proxy::start(
        &["--connect", &address],
        Path::new(&serving.pair.dir("0")),
        &serving.nodes[0],
    );
    serving.check();
}

#[test]
fn floods_of_half_open_connections_are_bounded() {
    let mut serving = Serving::start();
    let before = serving.listens.threads();
    let mut flood = Vec::new();
    for n in 0..300 {
        let mut stranger = serving.stranger();
        // Some say nothing, some begin a handshake and stop.
        if n % 2 == 0 {
            stranger
                .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
                .unwrap();
        }
        flood.push(stranger);
        // 64 connections, and as much again for threads that have given their place back but not ended yet.
        assert!(serving.listens.threads() <= before + 128, "threads are bounded");
    }
    serving.check();
    // A peer that comes now gets through all the same.
    let address = format!("127.0.0.1:{}", serving.port);
    serving.calls = Proxy::start(
        &["--connect", &address],
        Path::new(&serving.pair.dir("0")),
        &serving.nodes[0],
    );
    serving.calls.wait_for_line("connected to");
    serving.check();
    let told = serving.listens.count("no channel with") + serving.listens.count("too many connections");
    assert!((1..=16).contains(&told), "{told} lines");
    // All but those in the lobby have been hung up.
    let closed = flood.iter().filter(|stranger| {
        stranger.set_nonblocking(true).unwrap();
        let read = (&mut &**stranger).read(&mut [0; 64]);
        !matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    assert!(closed.count() >= 300 - 64);
}

/// A node's directory with a certificate that holds from and to so many days from now, as both sides have it.
fn forge(pair: &Pair, from: i64, to: i64) -> (PathBuf, PathBuf) {
    let (calls, listens) = (
        pair.copy("0", &format!("calls{from}")),
        pair.copy("1", &format!("listens{from}")),
    );
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(vec!["stmfproxy".to_owned()]).expect("parameters");
    parameters.not_before = OffsetDateTime::now_utc() + Duration::days(from);
    parameters.not_after = OffsetDateTime::now_utc() + Duration::days(to);
    let certificate = parameters.self_signed(&key).expect("a certificate").pem();
    let file = format!("stmfproxy-pairing: 1\nhost: old\ncluster: san\nnode: 0\n{certificate}");
    fs::write(calls.join("node.pair"), &file).expect("written");
    fs::write(calls.join("node.key"), key.serialize_pem()).expect("written");
    fs::write(listens.join("peer.pair"), &file).expect("written");
    (calls, listens)
}

#[test]
fn certificates_out_of_their_time_are_refused_and_explained() {
    let pair = Pair::new();
    let nodes = [pair.stmfd("node0"), pair.stmfd("node1")];
    for (from, to, word) in [(-2, -1, "expired on"), (1, 2, "is valid from")] {
        let (calls, listens) = forge(&pair, from, to);
        let address = format!("127.0.0.1:{}", free_port());
        let listens = Proxy::start(&["--listen", &address], &listens, &nodes[1]);
        let calls = Proxy::start(&["--connect", &address], &calls, &nodes[0]);
        // Once at the start, once for the connection.
        wait_for("the listener refuses", || {
            listens.count(&format!("the peer's certificate {word}")) == 2
        });
        calls.wait_for_line(&format!("this node's certificate {word}"));
        calls.wait_for_line("compare the clocks of both nodes");
        assert_eq!((listens.count("connected to"), calls.count("connected to")), (0, 0));
        assert!(listens.count("correct the clock") > 0);
        let accepted = run(&mut stmfproxy(&[
            "pair",
            "--tls-dir",
            &pair.dir("1"),
            "--accept",
            text(&pair.path(&format!("calls{from}/node.pair"))),
        ]));
        assert_eq!(accepted.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&accepted.stderr).contains(word));
    }
}

#[test]
fn tls_on_a_plain_port_is_refused_by_both() {
    let pair = Pair::new();
    let nodes = [pair.stmfd("node0"), pair.stmfd("node1")];
    let address = format!("127.0.0.1:{}", free_port());
    let mut plain = stmfproxy(&["-f", "--plain", "--listen", &address]);
    let plain = Proxy::spawn(plain.env("STMF_ENDPOINT", nodes[1].endpoint()));
    let calls = Proxy::start(&["--connect", &address], Path::new(&pair.dir("0")), &nodes[0]);
    plain.wait_for_line("the peer speaks TLS, but this node is run with --plain");
    calls.wait_for_line("the peer does not speak TLS");
    assert_eq!((plain.count("connected to"), calls.count("connected to")), (0, 0));
}

#[test]
fn directories_that_stop_the_daemon() {
    let pair = Pair::new();
    let refused = |arguments: &[&str], word: &str| {
        let output = run(stmfproxy(arguments).env("STMF_ENDPOINT", "daemon:/nonexistent/door"));
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(96), "{err}");
        assert!(err.contains(word), "{err}");
    };
    let with = |dir: &str, word: &str| refused(&["-f", "--listen", "127.0.0.1:1", "--tls-dir", dir], word);
    with(text(&pair.path("none")), "stmfproxy pair --init");
    let alone = pair.copy("0", "alone");
    fs::remove_file(alone.join("peer.pair")).unwrap();
    with(text(&alone), "stmfproxy pair --accept FILE");
    let open = pair.copy("0", "open");
    fs::set_permissions(open.join("node.key"), fs::Permissions::from_mode(0o640)).unwrap();
    with(text(&open), "node.key: mode 640 lets others in");
    let mixed = pair.copy("0", "mixed");
    fs::copy(Path::new(&pair.dir("1")).join("node.key"), mixed.join("node.key")).unwrap();
    with(text(&mixed), "this node's key and certificate");
    let dir = pair.dir("0");
    refused(
        &["-f", "-n", "1", "--listen", "127.0.0.1:1", "--tls-dir", &dir],
        "-n differs from the pairing",
    );
    refused(
        &["-f", "--plain", "--listen", "127.0.0.1:1", "--tls-dir", &dir],
        "without --plain",
    );
    refused(&["pair", "--init"], "Usage: ");
    let again = run(&mut stmfproxy(&[
        "pair",
        "--tls-dir",
        &dir,
        "--init",
        "--cluster",
        "san",
        "-n",
        "0",
    ]));
    assert_eq!(again.status.code(), Some(1), "a key is never overwritten");
}
