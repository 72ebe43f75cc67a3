//! The C library as C programs use it: compiled with two compilers, run in a framework of their own and against a real
//! `stmfd`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use stmf::door;
use stmf::iscsi::admin::{Change, TargetChange};
use stmf::service::{Request, Response, decode_response, encode_request};
use stmf::types::Status;

const COMPILERS: [&str; 2] = ["gcc", "clang"];
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
const NVPAIR: [&str; 5] = [
    "-isystem",
    "/usr/include/libzfs",
    "-isystem",
    "/usr/include/libspl",
    "-D_GNU_SOURCE",
];
/// Programs that need no argument and end with "N passed, 0 failed".
const PROGRAMS: [&str; 10] = [
    "abi", "compat", "seed", "lu", "modify", "view", "target", "settings", "provider", "threads",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared object that was built with this test.
fn library() -> PathBuf {
    let executable = std::env::current_exe().expect("path of the test");
    let built = executable.parent().expect("deps").join("libstmf.so");
    assert!(built.exists(), "{} is missing", built.display());
    built
}

/// A directory with the library under its two names, and what was compiled.
struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().expect("temporary directory");
        symlink(library(), directory.path().join("libstmf.so.1")).expect("link");
        symlink("libstmf.so.1", directory.path().join("libstmf.so")).expect("link");
        Bench { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn compile(&self, compiler: &str, program: &str) -> PathBuf {
        self.compile_with(compiler, program, &[])
    }

    fn compile_with(&self, compiler: &str, program: &str, flags: &[&str]) -> PathBuf {
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
            .args([standard, "-g", "-pthread"])
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
            .args(["-lstmf", "-lnvpair"])
            .output()
            .expect(compiler);
        assert!(result.status.success(), "{compiler} {source}: {}", text(&result));
        output
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, endpoint: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", self.directory.path())
            .env("TMPDIR", self.directory.path())
            .env("STMF_ENDPOINT", endpoint);
        command
    }

    /// Runs a program that counts its checks.
    fn check(&self, mut command: Command) {
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

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A `stmfd` with a state directory and a door of its own.
struct Daemon {
    process: Child,
    door: PathBuf,
}

impl Daemon {
    fn start(directory: &Path) -> Daemon {
        let door = directory.join("stmfd.door");
        let mut process = Command::new(env!("CARGO_BIN_EXE_stmfd"))
            .args(["--foreground", "--state-dir"])
            .arg(directory.join("state"))
            .arg("--door")
            .arg(&door)
            .args(["--iscsi-portal", "127.0.0.1:0"])
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

    fn endpoint(&self) -> String {
        format!("daemon:{}", self.door.display())
    }

    fn ask(&self, request: &Request) -> Response {
        use std::os::fd::AsFd;
        let door = door::open(&self.door).expect("door of stmfd");
        let reply = door::call(door.as_fd(), &encode_request(request), &[]).expect("call to stmfd");
        decode_response(&reply.data).expect("response of stmfd")
    }

    fn kill(mut self) {
        self.process.kill().expect("kill stmfd");
        self.process.wait().expect("wait for stmfd");
    }

    fn stop(mut self) {
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

#[test]
fn the_header_compiles_everywhere() {
    let bench = Bench::new();
    let source = bench.path("include.c");
    fs::write(&source, "#include <libstmf.h>\nstmfViewEntry entry;\nnvlist_t *list;\n").expect("source");
    for compiler in COMPILERS {
        for (language, standard) in [("c", "-std=c99"), ("c", "-std=gnu17"), ("c++", "-std=c++17")] {
            for macros in [
                "-DNOTHING",
                "-DLIBSTMF_ILLUMOS_COMPAT",
                "-DLIBSTMF_VIEW_LIST_NOT_FOUND",
                "-DLIBSTMF_NO_NVPAIR",
            ] {
                let mut command = Command::new(compiler);
                command.args(["-fsyntax-only", standard, macros]).args(WARNINGS);
                if macros != "-DLIBSTMF_NO_NVPAIR" {
                    command.args(NVPAIR);
                }
                command
                    .arg("-I")
                    .arg(root().join("include"))
                    .args(["-x", language])
                    .arg(&source);
                let output = command.output().expect(compiler);
                assert!(output.status.success(), "{command:?}: {}", text(&output));
            }
        }
    }
}

#[test]
fn exactly_the_public_symbols_are_exported_each_with_its_version() {
    let nm = Command::new("nm")
        .args(["-D", "--defined-only", "--with-symbol-versions"])
        .arg(library())
        .output();
    let nm = text(&nm.expect("nm"));
    let exported: Vec<&str> = nm.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let private = ["stmfOnline", "stmfOffline", "stmfLoadConfig", "stmfLoadStmfProps"];
    let ours = [
        "stmfSetAluaState32",
        "stmfGetAluaState32",
        "stmfGetViewEntryListNotFound",
        "stmfGetLogicalUnitProviderList",
        "stmfGetLocalPortProviderList",
        "stmfGetLogicalUnitProviderProperties",
        "stmfGetLocalPortProviderProperties",
    ];
    let header = fs::read_to_string(root().join("include/libstmf.h")).expect("libstmf.h");
    let mut functions = 0;
    for symbol in &exported {
        if ["SUNW_1.1", "SUNWprivate", "STMF_1.0"].contains(symbol) {
            continue;
        }
        let (name, version) = symbol
            .split_once("@@")
            .unwrap_or_else(|| panic!("{symbol} has no version"));
        if name.starts_with("stmf") {
            functions += 1;
            let expected = match name {
                _ if private.contains(&name) => "SUNWprivate",
                _ if ours.contains(&name) => "STMF_1.0",
                _ => "SUNW_1.1",
            };
            assert_eq!(version, expected, "{name}");
            assert!(header.contains(&format!("{name}(")), "{name} is not declared");
        } else {
            assert!(
                name.starts_with("door_") || ["fattach", "fdetach"].contains(&name),
                "{symbol} is exported"
            );
        }
    }
    let declared = header
        .lines()
        .filter(|line| line.starts_with("int stmf") || line.starts_with("void stmf"));
    let mut declared: Vec<&str> = declared.filter_map(|line| line.split([' ', '(']).nth(1)).collect();
    declared.sort_unstable();
    declared.dedup();
    assert_eq!(declared.len(), functions, "declared but not exported: {declared:?}");
    // 65 of the original's header and map, two 32-bit variants, one of the list of view entries.
    assert_eq!(functions, 68);

    let readelf = text(
        &Command::new("readelf")
            .arg("-d")
            .arg(library())
            .output()
            .expect("readelf"),
    );
    assert!(readelf.contains("Library soname: [libstmf.so.1]"), "{readelf}");
}

#[test]
fn programs_run_in_a_framework_of_their_own() {
    let bench = Bench::new();
    for compiler in COMPILERS {
        for program in PROGRAMS.into_iter().chain(["cplusplus", "fork"]) {
            let executable = bench.compile(compiler, program);
            bench.check(bench.command(&executable, "embedded"));
            let directory = bench.path(&format!("state-{compiler}-{program}"));
            if program != "fork" {
                let endpoint = format!("embedded:{}", directory.display());
                bench.check(bench.command(&executable, &endpoint));
                bench.check(bench.command(&executable, &endpoint));
            }
        }
    }
    let mut unset = bench.command(bench.compile("gcc", "seed"), "");
    unset.env_remove("STMF_ENDPOINT");
    bench.check(unset);
    let mut python = bench.command("python3", "embedded");
    python.arg(root().join("c-tests/ctypes_client.py"));
    bench.check(python);
}

/// Those that together pass every kind of memory between a program and the library.
const MEMORY_PROGRAMS: [&str; 5] = ["seed", "lu", "view", "settings", "provider"];

/// Runs each of `MEMORY_PROGRAMS` at the same time as the others, each in a directory of its own.
fn check_each(run: impl Fn(&Bench, &str) -> Command + Sync) {
    std::thread::scope(|scope| {
        for program in MEMORY_PROGRAMS {
            let run = &run;
            scope.spawn(move || {
                let bench = Bench::new();
                let command = run(&bench, program);
                bench.check(command);
            });
        }
    });
}

/// No bad access, no use of what is not initialised, no block that nothing points to at the end. What the framework's threads
/// and statics still point to then is no leak.
#[test]
fn valgrind_finds_no_error_and_no_leak() {
    check_each(|bench, program| {
        let executable = bench.compile("gcc", program);
        let mut command = bench.command("valgrind", "embedded");
        command
            .args(["--quiet", "--error-exitcode=99", "--num-callers=30", "--fair-sched=try"])
            .args([
                "--leak-check=full",
                "--show-leak-kinds=definite",
                "--errors-for-leak-kinds=definite",
            ])
            .arg(executable);
        command
    });
}

/// The library's heap is the sanitizer's too, so that a program which reads or writes behind what it was given is found.
/// Leaks are valgrind's part: LeakSanitizer needs ptrace, which containers refuse.
#[test]
fn sanitizers_find_no_error() {
    check_each(|bench, program| {
        let flags = [
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=all",
            "-fno-omit-frame-pointer",
        ];
        let executable = bench.compile_with("gcc", program, &flags);
        let mut command = bench.command(executable, "embedded");
        command
            .env(
                "ASAN_OPTIONS",
                "detect_leaks=0:detect_stack_use_after_return=1:strict_string_checks=1",
            )
            .env("UBSAN_OPTIONS", "print_stacktrace=1");
        command
    });
}

#[test]
fn a_program_can_carry_the_library_in_itself() {
    let bench = Bench::new();
    let program = bench.path("seed-static");
    let archive = library().with_file_name("libstmf.a");
    let result = Command::new("gcc")
        .args(["-std=c11", "-pthread"])
        .args(NVPAIR)
        .arg("-I")
        .arg(root().join("include"))
        .arg(root().join("c-tests/seed.c"))
        .arg("-o")
        .arg(&program)
        .arg(archive)
        .args(["-lnvpair", "-lsqlite3", "-lm", "-ldl"])
        .output()
        .expect("gcc");
    assert!(result.status.success(), "{}", text(&result));
    bench.check(bench.command(&program, "embedded"));
}

#[test]
fn programs_run_against_a_daemon() {
    let bench = Bench::new();
    let daemon = Daemon::start(bench.directory.path());
    for compiler in COMPILERS {
        for program in PROGRAMS.into_iter().chain(["cplusplus"]) {
            bench.check(bench.command(bench.compile(compiler, program), &daemon.endpoint()));
        }
        let mut fork = bench.command(bench.compile(compiler, "fork"), &daemon.endpoint());
        fork.arg("shared");
        bench.check(fork);
    }
    let name = "iqn.2026-01.test:c-api";
    create_target(&daemon, name);
    let mut target = bench.command(bench.compile("gcc", "target"), &daemon.endpoint());
    target.arg(name);
    bench.check(target);
    let mut python = bench.command("python3", &daemon.endpoint());
    python.arg(root().join("c-tests/ctypes_client.py"));
    bench.check(python);

    // Nothing is left behind.
    assert!(matches!(daemon.ask(&Request::LuList), Response::Guids(l) if l.is_empty()));
    for kind in [stmf::framework::GroupKind::Host, stmf::framework::GroupKind::Target] {
        assert!(matches!(daemon.ask(&Request::GroupList(kind)), Response::Groups(l) if l.is_empty()));
    }
    daemon.stop();
}

/// What the contract of every function promises and the programs must have seen (`libstmf-api.md` chapters 3, 5, 6), besides
/// success: `INVALID_ARG` for the functions that have arguments to check, and the following.
const STATUSES: [(&str, &[Status]); 24] = {
    use Status::*;
    [
        ("stmfAddToHostGroup", &[GroupNotFound, Exists]),
        ("stmfAddToTargetGroup", &[GroupNotFound, Exists]),
        (
            "stmfAddViewEntry",
            &[InvalidHg, InvalidTg, VeConflict, LunInUse, ServiceNotFound],
        ),
        ("stmfClearProviderData", &[NotFound, ServiceNotFound]),
        ("stmfCreateHostGroup", &[Exists, ServiceNotFound]),
        ("stmfDeleteHostGroup", &[NotFound, GroupInUse]),
        ("stmfDeleteLu", &[NotFound, ServiceNotFound]),
        ("stmfGetGlobalLuProp", &[InvalidProp, NoProp, ServiceNotFound]),
        ("stmfGetLogicalUnitProperties", &[NotFound]),
        ("stmfGetPersistMethod", &[PersistType]),
        ("stmfGetProviderDataProt", &[NotFound]),
        ("stmfInitProxyDoor", &[DoorInstalled, ServiceNotFound]),
        ("stmfLoadConfig", &[ServiceOnline, ServiceNotFound]),
        ("stmfLuStandby", &[NotFound, ServiceNotFound]),
        (
            "stmfModifyLu",
            &[
                NotFound,
                InvalidProp,
                InvalidPropSize,
                AccessStateSet,
                FileSizeInvalid,
                SizeOutOfRange,
                ServiceNotFound,
            ],
        ),
        (
            "stmfModifyLuByFname",
            &[
                InvalidProp,
                InvalidPropSize,
                MetaFileName,
                AccessStateSet,
                FileSizeInvalid,
                SizeOutOfRange,
                ServiceNotFound,
            ],
        ),
        ("stmfOffline", &[ServiceOffline]),
        ("stmfOnline", &[ServiceOnline]),
        ("stmfPostProxyMsg", &[PostMsgFailed]),
        ("stmfRemoveViewEntry", &[NotFound]),
        ("stmfSetGlobalLuProp", &[InvalidProp, InvalidPropSize, ServiceNotFound]),
        ("stmfSetPersistMethod", &[PersistType]),
        ("stmfSetProviderDataProt", &[ProvDataStale]),
        ("stmfValidateView", &[InvalidHg, InvalidTg, LunInUse, ServiceNotFound]),
    ]
};

/// Functions without arguments that could be wrong, and those that return nothing or are seen elsewhere.
const NO_ARGUMENTS: [&str; 4] = ["stmfOnline", "stmfOffline", "stmfLoadConfig", "stmfLoadStmfProps"];
const NO_STATUS: [&str; 2] = ["stmfFreeMemory", "stmfDestroyProxyDoor"];

fn create_target(daemon: &Daemon, name: &str) {
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

/// `UPDATE_COVERAGE=1 cargo test --test c_api` rewrites the table.
#[test]
fn every_function_is_tested_with_the_statuses_of_its_contract() {
    let bench = Bench::new();
    let mut seen: BTreeMap<String, BTreeMap<u32, BTreeSet<&str>>> = BTreeMap::new();
    let daemon = Daemon::start(bench.directory.path());
    let target = "iqn.2026-01.test:coverage";
    create_target(&daemon, target);
    let programs = PROGRAMS.map(|program| (program, None));
    for (program, argument) in programs
        .into_iter()
        .chain([("no_service", None), ("target", Some(target))])
    {
        let notes = bench.path(&format!("covered-{program}-{}", argument.is_some()));
        let endpoint = match (program, argument) {
            ("no_service", _) => "nonsense".to_owned(),
            ("settings", _) | (_, Some(_)) => daemon.endpoint(),
            _ => "embedded".to_owned(),
        };
        let mut command = bench.command(bench.compile("gcc", program), &endpoint);
        command.args(argument).env("STMF_COVERAGE", &notes);
        bench.check(command);
        for line in fs::read_to_string(&notes).unwrap_or_default().lines() {
            let (function, status) = line.split_once(" 0x").expect("function and status");
            // What the opt-ins of the header redirect.
            let function = match (program, function) {
                ("compat", "stmfSetAluaState") => "stmfSetAluaState32",
                ("compat", "stmfGetAluaState") => "stmfGetAluaState32",
                ("compat", "stmfGetViewEntryList") => "stmfGetViewEntryListNotFound",
                _ => function,
            };
            let status = u32::from_str_radix(status, 16).expect("a status");
            let entry = seen.entry(function.to_owned()).or_default();
            entry.entry(status).or_default().insert(program);
        }
    }
    daemon.stop();
    let names: BTreeMap<u32, String> = Status::ALL
        .iter()
        .map(|status| (status.code().unsigned_abs(), format!("{status:?}")))
        .chain([(0, "Success".to_owned())])
        .collect();

    let header = fs::read_to_string(root().join("include/libstmf.h")).expect("libstmf.h");
    let declared = header.lines().filter_map(|line| {
        let rest = line.strip_prefix("int ").or_else(|| line.strip_prefix("void "))?;
        Some(rest.split_once('(')?.0).filter(|name| name.starts_with("stmf"))
    });
    let declared: BTreeSet<&str> = declared.collect();
    let mut holes = Vec::new();
    for function in declared.iter().filter(|name| !NO_STATUS.contains(name)) {
        let promised = STATUSES
            .iter()
            .find(|(name, _)| name == function)
            .map_or(&[][..], |(_, s)| s);
        let mut wanted: Vec<u32> = promised.iter().map(|status| status.code().unsigned_abs()).collect();
        wanted.push(0);
        if !NO_ARGUMENTS.contains(function) {
            wanted.push(Status::InvalidArg.code().unsigned_abs());
        }
        let has = |status: &u32| seen.get(*function).is_some_and(|found| found.contains_key(status));
        let missing = wanted.iter().filter(|status| !has(status));
        holes.extend(missing.map(|status| format!("{function}: {}", names[status])));
    }
    assert!(holes.is_empty(), "never seen: {holes:#?}");

    let mut table = String::from(
        "# Statuses of the C API that the conformance programs have seen\n\nGenerated: `UPDATE_COVERAGE=1 cargo test --test c_api`. The programs are those of `c-tests/`.\n\n| function | status | programs |\n|---|---|---|\n",
    );
    for (function, statuses) in seen.iter().filter(|(function, _)| declared.contains(function.as_str())) {
        for (status, programs) in statuses {
            let programs: Vec<&str> = programs.iter().copied().collect();
            table += &format!("| `{function}` | {} | {} |\n", names[status], programs.join(", "));
        }
    }
    let path = root().join("docs/c-api-coverage.md");
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        fs::write(&path, &table).expect("docs/c-api-coverage.md");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == table,
        "docs/c-api-coverage.md is stale: UPDATE_COVERAGE=1 cargo test --test c_api"
    );
}

#[test]
fn without_a_daemon_the_service_is_not_found() {
    let bench = Bench::new();
    let program = bench.compile("gcc", "no_service");
    let endpoint = format!("daemon:{}", bench.path("nobody.door").display());
    bench.check(bench.command(&program, &endpoint));
    // The socket of a daemon that was killed is still there.
    let daemon = Daemon::start(bench.directory.path());
    let endpoint = daemon.endpoint();
    daemon.kill();
    assert!(bench.path("stmfd.door").exists());
    bench.check(bench.command(&program, &endpoint));
    bench.check(bench.command(&program, "nonsense"));
}

#[test]
fn a_program_outlives_its_daemon() {
    let bench = Bench::new();
    let daemon = Daemon::start(bench.directory.path());
    let mut session = bench
        .command(bench.compile("gcc", "session"), &daemon.endpoint())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("session starts");
    let mut ask = session.stdin.take().expect("piped");
    let mut answers = BufReader::new(session.stdout.take().expect("piped")).lines();
    let mut state = || {
        writeln!(ask, "state").expect("session reads");
        answers.next().expect("an answer").expect("session writes")
    };
    assert_eq!(state(), "0x0000");
    daemon.kill();
    assert_eq!(state(), "0x8009");
    assert_eq!(state(), "0x8009");
    let daemon = Daemon::start(bench.directory.path());
    assert_eq!(state(), "0x0000");
    daemon.kill();
    let daemon = Daemon::start(bench.directory.path());
    assert_eq!(state(), "0x0000", "restarted between two calls");
    drop(ask);
    assert!(session.wait().expect("session ends").success());
    daemon.stop();
}

#[test]
fn strangers_are_refused() {
    const NOBODY: u32 = 65534;
    let bench = Bench::new();
    let daemon = Daemon::start(bench.directory.path());
    let program = bench.compile("gcc", "session");
    // What another user needs to start the program and to find the door.
    fs::remove_file(bench.path("libstmf.so.1")).expect("link");
    fs::copy(library(), bench.path("libstmf.so.1")).expect("copy of the library");
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    open(bench.directory.path(), 0o755);
    let state_as = |user: u32| {
        let mut session = bench.command(&program, &daemon.endpoint());
        session.stdin(Stdio::piped()).stdout(Stdio::piped());
        if user != nix::unistd::geteuid().as_raw() {
            session.uid(user).gid(user);
        }
        let mut session = session.spawn().expect("session starts");
        writeln!(session.stdin.take().expect("piped"), "state").expect("session reads");
        text(&session.wait_with_output().expect("session ends"))
    };
    let own = nix::unistd::geteuid();
    assert_eq!(state_as(own.as_raw()), "0x0000\n");
    // Only root can become somebody else.
    if own.is_root() {
        assert_eq!(state_as(NOBODY), "0x8005\n", "the socket refuses");
        open(&daemon.door, 0o666);
        assert_eq!(state_as(NOBODY), "0x8005\n", "the service refuses");
    }
    daemon.stop();
}

#[test]
fn a_program_that_ends_gives_its_units_up() {
    let bench = Bench::new();
    let program = bench.compile("gcc", "leave");
    let file = bench.path("lu");
    fs::File::create(&file)
        .and_then(|file| file.set_len(4 << 20))
        .expect("backing file");
    // `check` looks for the lease files that a crash would leave.
    for what in ["create", "import", "import", "create"] {
        let mut command = bench.command(&program, "embedded");
        command.arg(what).arg(&file);
        bench.check(command);
    }
}

#[test]
fn a_directory_serves_one_process() {
    let bench = Bench::new();
    let program = bench.compile("gcc", "session");
    let endpoint = format!("embedded:{}", bench.path("state").display());
    let mut first = bench
        .command(&program, &endpoint)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("session starts");
    let mut ask = first.stdin.take().expect("piped");
    let mut answers = BufReader::new(first.stdout.take().expect("piped")).lines();
    writeln!(ask, "state").expect("session reads");
    assert_eq!(answers.next().expect("an answer").expect("session writes"), "0x0000");

    let second = || {
        let mut second = bench
            .command(&program, &endpoint)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("session starts");
        writeln!(second.stdin.take().expect("piped"), "state").expect("session reads");
        text(&second.wait_with_output().expect("session ends"))
    };
    assert_eq!(second(), "0x8001\n");
    drop(ask);
    assert!(first.wait().expect("session ends").success());
    assert_eq!(second(), "0x0000\n");
}
