//! What tests of whole programs share: a running `stmfd`, tools run against it, the place of the built library.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod rpc;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything. Generous: it only ends a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Directory of the built programs and of `libstmf.so` (`target/<profile>`).
pub fn build_dir() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_stmfd"))
        .parent()
        .expect("a program is in a directory")
        .to_owned()
}

/// A TCP port of loopback that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("loopback has free ports")
        .port()
}

/// Polls until the condition holds; panics with `what` when patience ends.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The service manager, as `sd_notify(3)` sees it. Wants to hear every 50 ms that a daemon lives.
pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ServiceManager {
    pub fn start(directory: &Path) -> ServiceManager {
        let path = directory.join("notify");
        let socket = UnixDatagram::bind(&path).expect("socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("time-out");
        ServiceManager { socket, path }
    }

    /// The daemon of this command is one of its services.
    pub fn watch<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("NOTIFY_SOCKET", &self.path)
            .env("WATCHDOG_USEC", "100000")
            .env_remove("WATCHDOG_PID")
    }

    /// The next messages.
    pub fn told(&self, count: usize) -> Vec<String> {
        let message = |_| {
            let mut bytes = [0; 64];
            let length = self.socket.recv(&mut bytes).expect("a message");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        (0..count).map(message).collect()
    }
}

/// Runs a command to its end and returns its output; panics when it cannot be started.
pub fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

/// Standard output of a command that must succeed.
pub fn must(command: &mut Command) -> String {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Bytes.
pub const MIB: u64 = 1 << 20;

/// A sparse file for an LU.
pub fn disk_file(path: &Path, size: u64) -> String {
    std::fs::File::create(path)
        .and_then(|f| f.set_len(size))
        .expect("backing file");
    path.to_str().expect("UTF-8").to_owned()
}

/// `stmfadm create-lu`; gives the GUID.
pub fn create_lu(stmfd: &Stmfd, path: &str) -> String {
    let text = must(&mut stmfd.tool("stmfadm", &["create-lu", path]));
    text.strip_prefix("Logical unit created: ")
        .expect(&text)
        .trim()
        .to_owned()
}

/// Creates an LU on the path, maps it to everybody on a target of its own, and gives its URL.
pub fn serve(stmfd: &Stmfd, path: &str) -> String {
    let guid = create_lu(stmfd, path);
    must(&mut stmfd.tool("stmfadm", &["add-view", "-n", "0", &guid]));
    let target = "iqn.2026-11.example:t";
    must(&mut stmfd.tool("itadm", &["create-target", "-n", target]));
    wait_for("the target is online", || {
        must(&mut stmfd.tool("itadm", &["list-target"])).contains("online ")
    });
    format!("iscsi://{}/{target}/0", stmfd.portal)
}

/// Runs commands of qemu-io on an LU; the output is in the error if one of them failed.
pub fn qemu_io(url: &str, commands: &[&str]) -> Result<String, String> {
    let mut qemu = Command::new("qemu-io");
    for command in commands {
        qemu.args(["-c", command]);
    }
    let output = run(qemu.args(["-f", "raw", url]));
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    // It ends with 0 also when what it read differs.
    let lower = text.to_lowercase();
    if output.status.success() && !lower.contains("failed") && !lower.contains("error") {
        Ok(text)
    } else {
        Err(text)
    }
}

/// A file system of 16 MiB, gone when the test ends however it ends.
pub struct SmallStore(pub PathBuf);

impl SmallStore {
    /// Mounted on a directory that it creates.
    pub fn new(place: &Path) -> SmallStore {
        std::fs::create_dir(place).expect("a place to mount on");
        must(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=16m", "none"])
                .arg(place),
        );
        SmallStore(place.to_owned())
    }
}

impl Drop for SmallStore {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

/// A running `stmfd`; killed when dropped.
pub struct Stmfd {
    child: Child,
    door: PathBuf,
    /// Its iSCSI portal, `127.0.0.1:PORT`.
    pub portal: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Stmfd {
    /// The command line for a state directory, with the door inside it.
    pub fn command(dir: &Path, portal: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stmfd"));
        command
            .arg("--foreground")
            .arg("--state-dir")
            .arg(dir)
            .arg("--door")
            .arg(dir.join("door"));
        command.args(["--iscsi-portal", portal]);
        command
    }

    /// Starts it and waits until it serves.
    pub fn start(dir: &Path) -> Stmfd {
        Self::start_at(dir, &format!("127.0.0.1:{}", free_port()))
    }

    /// The same, on a given portal.
    pub fn start_at(dir: &Path, portal: &str) -> Stmfd {
        Self::start_command(Self::command(dir, portal), dir, portal)
    }

    /// The same with a command line of [`Stmfd::command`] that was added to.
    pub fn start_command(mut command: Command, dir: &Path, portal: &str) -> Stmfd {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("stmfd starts");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines();
        let mut seen = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line == "stmfd: ready" => break,
                Some(Ok(line)) => seen.push(line),
                _ => panic!(
                    "stmfd ended before it was ready: {}\n{}",
                    child.wait().expect("wait"),
                    seen.join("\n")
                ),
            }
        }
        // Its further log lines go to the test's output, too.
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                kept.lock().expect("no panic").push(line);
            }
        });
        Stmfd {
            child,
            door: dir.join("door"),
            portal: portal.to_owned(),
            log,
        }
    }

    /// Lines of its log since it serves that contain this.
    pub fn logged(&self, word: &str) -> usize {
        let log = self.log.lock().expect("no panic");
        log.iter().filter(|line| line.contains(word)).count()
    }

    /// Value of `STMF_ENDPOINT` for clients of this daemon.
    pub fn endpoint(&self) -> String {
        format!("daemon:{}", self.door.display())
    }

    /// One of our tools, set up to talk to this daemon.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(build_dir().join(name));
        command.args(arguments).env("STMF_ENDPOINT", self.endpoint());
        command
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// SIGTERM; its exit status must be 0.
    pub fn stop(mut self) {
        must(Command::new("kill").args(["-TERM", &self.pid().to_string()]));
        let status = self.child.wait().expect("wait");
        assert!(status.success(), "stmfd stopped with {status}");
    }
}

impl Drop for Stmfd {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.child.kill().expect("kill");
            self.child.wait().expect("wait");
        }
    }
}
