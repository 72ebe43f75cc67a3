//! The peer daemon as a process, between a real `stmfd` and a peer made of plain sockets that behaves like the original
//! demo daemon (`alua-proxy.md` chapter 4, `cli.md` chapter 6).

mod common;

use common::{PATIENCE, ServiceManager, Stmfd, build_dir, free_port, must, wait_for};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

const STREAM: &[u8] = include_bytes!("vectors/stream-node1-greeting-register-lun.bin");
const GREETING: &[u8] = b"\0\0\0\x06node1\0";
/// The LU in [`STREAM`].
const GUID: &str = "600144F0C0FFEE0000005A3C817E0001";

fn command(arguments: &[&str], endpoint: &str) -> Command {
    let mut command = Command::new(build_dir().join("stmfproxy"));
    command
        .args(arguments)
        .env("STMF_ENDPOINT", endpoint)
        .stdin(Stdio::null());
    command
}

/// A daemon in the foreground; killed when dropped.
struct Proxy(Child);

impl Proxy {
    fn start(arguments: &[&str], stmfd: &Stmfd) -> Proxy {
        let child = command(&[&["-f", "--plain"], arguments].concat(), &stmfd.endpoint()).spawn();
        Proxy(child.expect("stmfproxy starts"))
    }

    fn signal(&self, name: &str) {
        must(Command::new("kill").args([name, &self.0.id().to_string()]));
    }

    fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.0.try_wait().expect("wait") {
                Some(status) => return status,
                None => assert!(Instant::now() < end, "stmfproxy does not end"),
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            self.0.kill().expect("kill");
            self.0.wait().expect("wait");
        }
    }
}

fn host() -> Vec<u8> {
    let mut name = std::fs::read("/proc/sys/kernel/hostname").expect("host name");
    name.pop();
    name.push(0);
    name
}

fn read_frame(peer: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    peer.read_exact(&mut header).expect("length of a frame");
    let mut message = vec![0; u32::from_be_bytes(header) as usize];
    peer.read_exact(&mut message).expect("rest of a frame");
    message
}

/// Calls a listening daemon until it answers with its greeting.
fn call(port: u16) -> TcpStream {
    let mut peer = None;
    wait_for("stmfproxy greets", || {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            return false;
        };
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        let mut greeting = vec![0; 4 + host().len()];
        let greeted = stream.read_exact(&mut greeting).is_ok();
        if greeted {
            assert_eq!(greeting[4..], host());
            peer = Some(stream);
        }
        greeted
    });
    peer.expect("greeted")
}

/// Waits for a calling daemon and its greeting.
fn accept(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).expect("non-blocking");
    let mut peer = None;
    wait_for("stmfproxy calls", || {
        peer = listener.accept().ok();
        peer.is_some()
    });
    let (mut peer, _) = peer.expect("accepted");
    peer.set_nonblocking(false).expect("blocking");
    peer.set_read_timeout(Some(PATIENCE)).expect("time-out");
    assert_eq!(read_frame(&mut peer), host());
    peer
}

fn list_state(stmfd: &Stmfd) -> String {
    must(&mut stmfd.tool("stmfadm", &["list-state"]))
}

fn wait_for_alua(stmfd: &Stmfd, node: u8) {
    let line = format!("ALUA Status       : enabled\nALUA Node         : {node}\n");
    wait_for("ALUA is enabled", || list_state(stmfd).ends_with(&line));
}

/// An nvlist in XDR, big-endian or little-endian, as every message of the framework is.
fn is_message(frame: &[u8]) -> bool {
    frame.len() > 8 && frame[0] == 1
}

#[test]
fn an_original_peer_calls_and_its_lu_appears() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    must(&mut stmfd.tool("itadm", &["create-target"]));
    let port = free_port();
    let mut proxy = Proxy::start(&["--listen", &format!("127.0.0.1:{port}")], &stmfd);
    let mut peer = call(port);
    peer.write_all(STREAM).unwrap();
    wait_for_alua(&stmfd, 1);
    assert!(is_message(&read_frame(&mut peer)), "our port or a probe is announced");
    wait_for("the peer's LU is there", || {
        must(&mut stmfd.tool("stmfadm", &["list-lu", "-v"])).contains("Access State      : Standby")
    });
    assert_eq!(
        must(&mut stmfd.tool("stmfadm", &["list-lu"])),
        format!("LU Name: {GUID}\n")
    );
    proxy.signal("-TERM");
    assert_eq!(proxy.wait().code(), Some(0));
}

/// Every golden message with each of its words damaged in turn, and noise: all of it is dropped, and what comes after is
/// heard.
/// Hazard H29.
#[test]
fn a_peer_that_sends_rubbish_is_endured() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let port = free_port();
    let _proxy = Proxy::start(&["--listen", &format!("127.0.0.1:{port}")], &stmfd);
    let mut peer = call(port);
    peer.write_all(GREETING).unwrap();
    wait_for_alua(&stmfd, 1);
    let mut ears = peer.try_clone().unwrap();
    // Answers are read and thrown away, or the daemon would have to wait for room.
    std::thread::spawn(move || std::io::copy(&mut ears, &mut std::io::sink()));
    let send = |peer: &mut TcpStream, message: &[u8]| {
        peer.write_all(&(message.len() as u32).to_be_bytes()).unwrap();
        peer.write_all(message).unwrap();
    };
    for entry in std::fs::read_dir("tests/vectors").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if !name.ends_with(".bin") || name.starts_with("stream") || name.starts_with("02") || name.starts_with("14") {
            continue;
        }
        let golden = std::fs::read(&path).unwrap();
        for at in (0..golden.len()).step_by(4) {
            let mut damaged = golden.clone();
            damaged[at..at + 4].copy_from_slice(&[0xff, 0x7f, at as u8, 0x80]);
            send(&mut peer, &damaged);
            if at > 0 {
                send(&mut peer, &golden[..at]);
            }
        }
    }
    must(&mut stmfd.tool("stmfadm", &["list-lu"]));
    peer.write_all(&STREAM[GREETING.len()..]).unwrap();
    wait_for("the peer's LU is there", || {
        must(&mut stmfd.tool("stmfadm", &["list-lu"])) == format!("LU Name: {GUID}\n")
    });
    stmfd.stop();
}

#[test]
fn calls_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let port = free_port();
    let mut proxy = Proxy::start(&["-d", "--connect", &format!("127.0.0.1:{port}")], &stmfd);
    // Refused for a while, then answered, then lost, then answered again.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    for _ in 0..3 {
        let mut peer = accept(&listener);
        peer.write_all(GREETING).unwrap();
        wait_for_alua(&stmfd, 0);
    }
    // A frame that is none ends the connection, not the daemon.
    let mut peer = accept(&listener);
    peer.write_all(GREETING).unwrap();
    peer.write_all(&[0xff; 8]).unwrap();
    let mut rest = Vec::new();
    // Whether the end shows as such or as a reset depends on what was still on the way.
    let _ = peer.read_to_end(&mut rest);
    drop(accept(&listener));
    proxy.signal("-HUP");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_new_connection_replaces_a_dead_one() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let port = free_port();
    let _proxy = Proxy::start(&["-n", "0", "--listen", &format!("127.0.0.1:{port}")], &stmfd);
    let mut old = call(port);
    old.write_all(GREETING).unwrap();
    wait_for_alua(&stmfd, 0);
    let mut new = call(port);
    new.write_all(STREAM).unwrap();
    let mut rest = Vec::new();
    let _ = old.read_to_end(&mut rest);
    wait_for("the message on the new connection arrives", || {
        must(&mut stmfd.tool("stmfadm", &["list-lu"])).contains(GUID)
    });
}

#[test]
fn a_restarted_stmfd_is_served_again() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let port = free_port();
    let mut proxy = Proxy::start(&["--listen", &format!("127.0.0.1:{port}")], &stmfd);
    let mut peer = call(port);
    peer.write_all(GREETING).unwrap();
    wait_for_alua(&stmfd, 1);
    stmfd.kill();
    // The peer learns that everything begins anew.
    let mut rest = Vec::new();
    let _ = peer.read_to_end(&mut rest);
    let stmfd = Stmfd::start(dir.path());
    let mut peer = call(port);
    peer.write_all(STREAM).unwrap();
    wait_for("the message reaches the new stmfd", || {
        must(&mut stmfd.tool("stmfadm", &["list-lu"])).contains(GUID)
    });
    wait_for_alua(&stmfd, 1);
    proxy.signal("-INT");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn the_next_daemon_takes_over_the_door_of_a_killed_one() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut first = Proxy::start(&["--listen", &address], &stmfd);
    drop(call(port));
    first.signal("-KILL");
    let _second = Proxy::start(&["--listen", &address], &stmfd);
    first.wait();
    let mut peer = call(port);
    peer.write_all(GREETING).unwrap();
    wait_for_alua(&stmfd, 1);
}

/// Exit status and standard error of a daemon that must end by itself.
fn ended(arguments: &[&str], endpoint: &str) -> (Option<i32>, String) {
    let output = common::run(&mut command(arguments, endpoint));
    assert_eq!(output.stdout, b"");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

#[test]
fn exit_statuses() {
    let nobody = "daemon:/nonexistent/door";
    let usage = "Usage: stmfproxy [-d][-f][-n nodeid] nodename\nNote: nodename must be the same on both nodes\n";
    for wrong in [&[][..], &["-x"], &["-n", "2", "name"], &["192.0.2.1"], &["no:host:set"]] {
        let (code, err) = ended(wrong, nobody);
        assert_eq!(code, Some(96), "{wrong:?}");
        assert!(err.contains(usage), "{err}");
    }
    // Never plain by accident.
    let (code, err) = ended(&["-f", "--listen", "127.0.0.1:1", "--tls-dir", "/nonexistent"], nobody);
    assert_eq!(code, Some(96));
    assert!(
        err.contains("stmfproxy pair --init") && err.contains("--plain"),
        "{err}"
    );
    let (code, err) = ended(&["-f", "--plain", "--connect", "127.0.0.1:1"], nobody);
    assert_eq!(code, Some(95));
    assert!(err.contains("STMF service not found"), "{err}");
    let (code, err) = ended(&["-f", "name"], "deamon");
    assert_eq!(code, Some(96));
    assert!(err.contains("deamon"), "{err}");

    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, err) = ended(&["-f", "--plain", "--listen", &address], &stmfd.endpoint());
    assert_eq!(code, Some(1));
    assert!(err.contains("bind() call failed: 98"), "{err}");
}

/// The process whose command line names `word`.
fn pid_of(word: &str) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        (words.first()?.ends_with(b"stmfproxy") && words.contains(&word.as_bytes())).then_some(pid)
    })
}

#[test]
fn leaves_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let parent = command(&["--plain", "--connect", &address], &stmfd.endpoint())
        .status()
        .unwrap();
    assert_eq!(parent.code(), Some(0), "the parent ends at once");
    let mut peer = accept(&listener);
    peer.write_all(GREETING).unwrap();
    wait_for_alua(&stmfd, 0);
    let pid = pid_of(&address).expect("the child lives");
    let process = Path::new("/proc").join(pid.to_string());
    let link = |name: &str| std::fs::read_link(process.join(name)).expect("readable");
    assert_eq!(link("cwd"), Path::new("/"));
    for descriptor in ["fd/0", "fd/1", "fd/2"] {
        assert_eq!(link(descriptor), Path::new("/dev/null"));
    }
    let stat = std::fs::read_to_string(process.join("stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, pid.to_string(), "leader of its session");
    must(Command::new("kill").args(["-QUIT", &pid.to_string()]));
    wait_for("the child ends", || pid_of(&address) != Some(pid));
}

#[test]
fn tells_the_service_manager_when_it_is_attached_and_that_it_lives() {
    let dir = tempfile::tempdir().unwrap();
    let stmfd = Stmfd::start(dir.path());
    let manager = ServiceManager::start(dir.path());
    let port = free_port();
    let mut command = command(
        &["-f", "--plain", "--connect", &format!("127.0.0.1:{port}")],
        &stmfd.endpoint(),
    );
    let proxy = Proxy(manager.watch(&mut command).spawn().unwrap());
    // Before any peer is there.
    assert_eq!(manager.told(3), ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    drop(proxy);
}
