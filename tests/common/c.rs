//! Compiles the programs of `c-tests/` and runs them, against a `stmfd` of the test or none.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use stmf::door;
use stmf::iscsi::admin::{Change, TargetChange};
use stmf::service::{Request, Response, decode_response, encode_request};

pub const COMPILERS: [&str; 2] = ["gcc", "clang"];
pub const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
pub const NVPAIR: [&str; 5] = [
    "-isystem",
    "/usr/include/libzfs",
    "-isystem",
    "/usr/include/libspl",
    "-D_GNU_SOURCE",
];
/// An error ends the program with a status that none has by itself.
pub const VALGRIND: [&str; 5] = [
    "--quiet",
    "--error-exitcode=99",
    "--num-callers=30",
    "--fair-sched=try",
    "--vgdb=no",
];
pub const SANITIZERS: [&str; 3] = [
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];
/// Programs that need no argument and end with "N passed, 0 failed".
pub const PROGRAMS: [&str; 12] = [
    "abi",
    "compat",
    "seed",
    "lu",
    "modify",
    "view",
    "target",
    "settings",
    "provider",
    "threads",
    "extras",
    "bad_input",
];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared object that was built with this test.
pub fn library() -> PathBuf {
    let executable = std::env::current_exe().expect("path of the test");
    let built = executable.parent().expect("deps").join("libstmf.so");
    assert!(built.exists(), "{} is missing", built.display());
    built
}

/// A directory with the library under its two names, and what was compiled.
pub struct Bench {
    pub directory: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        let directory = tempfile::tempdir().expect("temporary directory");
        symlink(library(), directory.path().join("libstmf.so.1")).expect("link");
        symlink("libstmf.so.1", directory.path().join("libstmf.so")).expect("link");
        Bench { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn compile(&self, compiler: &str, program: &str) -> PathBuf {
        self.compile_with(compiler, program, &[])
    }

    pub fn compile_with(&self, compiler: &str, program: &str, flags: &[&str]) -> PathBuf {
        let (source, standard) = match program {
            "cplusplus" => ("cplusplus.cpp", "-std=c++17"),
            _ => (&*format!("{program}.c"), "-std=c11"),
        };
        let compiler = match (compiler, program) {
            ("gcc", "cplusplus") => "g++",
            ("clang", "cplusplus") => "clang++",
            _ => compiler,
        };
        let output = self.path(&format!("{program}-{compiler}"));
        let result = Command::new(compiler)
            // DWARF 4: the valgrind of Debian 12 cannot read clang's version 5 and says so.
            .args([standard, "-gdwarf-4", "-pthread"])
            .args(flags)
            .args(WARNINGS)
            .args(NVPAIR)
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join("c-tests").join(source))
            .arg("-o")
            .arg(&output)
            .arg("-L")
            .arg(self.directory.path())
            .args(if program == "busy" { &["-liscsi"][..] } else { &[] })
            // `loader` finds the library by itself.
            .args(if program == "loader" {
                ["-ldl", "-lnvpair"]
            } else {
                ["-lstmf", "-lnvpair"]
            })
            .output()
            .expect(compiler);
        assert!(result.status.success(), "{compiler} {source}: {}", text(&result));
        output
    }

    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, endpoint: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", self.directory.path())
            .env("TMPDIR", self.directory.path())
            .env("STMF_ENDPOINT", endpoint);
        command
    }

    /// Runs a program that counts its checks.
    pub fn check(&self, mut command: Command) {
        let what = format!("{command:?}");
        let output = command.output().expect("program starts");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let last = stdout.lines().last().unwrap_or_default();
        let passed = output.status.success() && last.ends_with(" passed, 0 failed") && output.stderr.is_empty();
        assert!(passed, "{what}: {}\n{}", output.status, text(&output));
        let left: Vec<_> = fs::read_dir(self.directory.path())
            .expect("directory")
            .map(|entry| entry.expect("entry").file_name())
            .filter(|name| {
                [".stmf-lease", "stmf-lu-"]
                    .iter()
                    .any(|left| name.to_string_lossy().starts_with(left))
            })
            .collect();
        assert!(left.is_empty(), "{what} left {left:?}");
    }
}

/// A library to be preloaded.
pub fn preload(bench: &Bench, program: &str) -> PathBuf {
    let library = bench.path(&format!("{program}.so"));
    let source = root().join("c-tests").join(program).with_extension("c");
    let mut compiler = Command::new("gcc");
    compiler
        .args(["-std=c11", "-D_GNU_SOURCE", "-shared", "-fPIC"])
        .args(WARNINGS);
    let output = compiler.arg(source).arg("-o").arg(&library).output().expect("gcc");
    assert!(output.status.success(), "{program}: {}", text(&output));
    library
}

pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A `stmfd` with a state directory and a door of its own.
pub struct Daemon {
    pub process: Child,
    pub door: PathBuf,
}

impl Daemon {
    pub fn start(directory: &Path) -> Daemon {
        Daemon::start_with(directory, &[], &[])
    }

    /// With variables of its own, and more options.
    pub fn start_with(directory: &Path, variables: &[&str], options: &[&str]) -> Daemon {
        let door = directory.join("stmfd.door");
        // A limit of what it may write is an error of the write then, not the end of the program.
        let mut process = Command::new("env")
            .arg("--ignore-signal=XFSZ")
            .args(variables)
            .args([env!("CARGO_BIN_EXE_stmfd"), "--foreground", "--state-dir"])
            .arg(directory.join("state"))
            .arg("--door")
            .arg(&door)
            .args(["--iscsi-portal", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("stmfd starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let mut seen = Vec::new();
        loop {
            let line = lines
                .next()
                .unwrap_or_else(|| panic!("stmfd ended: {seen:#?}"))
                .expect("stderr");
            if line == "stmfd: ready" {
                break;
            }
            seen.push(line);
        }
        // The rest is read so that the daemon never waits for a full pipe.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{}", line.unwrap_or_default())));
        Daemon { process, door }
    }

    pub fn endpoint(&self) -> String {
        format!("daemon:{}", self.door.display())
    }

    pub fn ask(&self, request: &Request) -> Response {
        use std::os::fd::AsFd;
        let door = door::open(&self.door).expect("door of stmfd");
        let reply = door::call(door.as_fd(), &encode_request(request), &[]).expect("call to stmfd");
        decode_response(&reply.data).expect("response of stmfd")
    }

    pub fn kill(mut self) {
        self.process.kill().expect("kill stmfd");
        self.process.wait().expect("wait for stmfd");
    }

    pub fn stop(mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("signal stmfd");
        let status = self.process.wait().expect("wait for stmfd");
        assert!(status.success(), "stmfd: {status}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After a failed test; an error means that it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An iSCSI target, online.
pub fn create_target(daemon: &Daemon, name: &str) {
    let create = Request::IscsiChange(Box::new(Change::CreateTarget(TargetChange {
        name: Some(name.to_owned()),
        ..TargetChange::default()
    })));
    let created = daemon.ask(&create);
    assert!(
        matches!(&created, Response::IscsiChanged(Ok(n)) if n == name),
        "{created:?}"
    );
}
