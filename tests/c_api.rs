//! The C library as C programs use it: compiled with two compilers, run in a framework of their own and against a real
//! `stmfd`.

#[path = "common/c.rs"]
mod c;
#[path = "common/c_runs.rs"]
mod c_runs;

use c::{
    Bench, COMPILERS, Daemon, NVPAIR, PROGRAMS, SANITIZERS, VALGRIND, WARNINGS, create_target, library, root, text,
};
use c_runs::{Place, Run, run_circumstances};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use stmf::service::{Request, Response};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// `compat` is C and C++ at once.
#[test]
fn the_opt_ins_choose_the_same_symbols_in_cpp() {
    let bench = Bench::new();
    for compiler in ["g++", "clang++"] {
        let program = bench.path(compiler);
        let output = Command::new(compiler)
            .args(["-std=c++17", "-x", "c++"])
            .args(WARNINGS)
            .args(NVPAIR)
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join("c-tests/compat.c"))
            .args(["-x", "none", "-o"])
            .arg(&program)
            .arg("-L")
            .arg(bench.directory.path())
            .args(["-lstmf", "-lnvpair"])
            .output()
            .expect(compiler);
        assert!(output.status.success(), "{compiler}: {}", text(&output));
        bench.check(bench.command(&program, "embedded"));
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
                _ if ours.contains(&name) || name.starts_with("stmfx") => "STMF_1.0",
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
    // 65 of the original's header and map, two 32-bit variants, one of the list of view entries; seven
    // that the original never had.
    assert_eq!(functions, 75);

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
        for program in PROGRAMS.into_iter().chain(["cplusplus", "fork", "loader"]) {
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

/// Runs each of the programs at the same time as the others, in a framework of its own and against a `stmfd` of its own; and
/// those that need more than that.
fn check_each(command: impl Fn(&Bench, &Run) -> Command + Sync) {
    let check = &|bench: &Bench, run: &Run| {
        let mut command = command(bench, run);
        let variables = run.variables.iter().map(|(name, value)| (name, value));
        command.args(run.arguments).envs(variables);
        bench.check(command);
    };
    std::thread::scope(|scope| {
        for program in PROGRAMS.into_iter().chain(["cplusplus", "fork", "loader"]) {
            scope.spawn(move || {
                let bench = Bench::new();
                check(&bench, &Run::plain(Place::Process, "embedded", program));
                let daemon = Daemon::start(bench.directory.path());
                let endpoint = daemon.endpoint();
                let arguments: &[&str] = if program == "fork" { &["shared"] } else { &[] };
                check(
                    &bench,
                    &Run {
                        arguments,
                        ..Run::plain(Place::Daemon, &endpoint, program)
                    },
                );
                daemon.stop();
            });
        }
        scope.spawn(move || {
            let bench = Bench::new();
            let daemon = Daemon::start(bench.directory.path());
            run_circumstances(&bench, &daemon, |run| check(&bench, run));
            daemon.stop();
        });
    });
}

/// No bad access, no use of what is not initialised, no block that nothing points to at the end. What the framework's threads
/// and statics still point to then is no leak.
#[test]
fn valgrind_finds_no_error_and_no_leak() {
    check_each(|bench, run| {
        let compiler = match run.place {
            Place::Process => "gcc",
            Place::Daemon => "clang",
        };
        let executable = bench.compile(compiler, run.program);
        // valgrind takes open descriptors above the limit for closed ones.
        if run.arguments.contains(&"descriptors") {
            return bench.command(executable, run.endpoint);
        }
        let mut command = bench.command("valgrind", run.endpoint);
        command
            .args(VALGRIND)
            .args(["--show-leak-kinds=definite", "--errors-for-leak-kinds=definite"]);
        // In a child nothing points any more to what the threads of its parent had.
        let leaks = if run.program == "fork" { "no" } else { "full" };
        command.arg(format!("--leak-check={leaks}")).arg(executable);
        command
    });
}

/// The library's heap is the sanitizer's too, so that a program which reads or writes behind what it was given is found.
/// Leaks are valgrind's part: LeakSanitizer needs ptrace, which containers refuse.
fn sanitizers_of(compiler: &str) {
    check_each(|bench, run| {
        let executable = bench.compile_with(compiler, run.program, &SANITIZERS);
        let mut command = bench.command(executable, run.endpoint);
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
fn sanitizers_of_gcc_find_no_error() {
    sanitizers_of("gcc");
}

#[test]
fn sanitizers_of_clang_find_no_error() {
    sanitizers_of("clang");
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
        for program in PROGRAMS.into_iter().chain(["cplusplus", "loader"]) {
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

/// Only root can become somebody else; without it there is nothing to be seen.
#[test]
fn calls_that_change_nothing_can_be_open_to_all() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    for (options, what) in [(&["--read-by-all"][..], "readers"), (&[], "owners")] {
        let bench = Bench::new();
        let daemon = Daemon::start_with(bench.directory.path(), &[], options);
        open(bench.directory.path(), 0o755);
        // What the service decides is the question here, not who may connect.
        if what == "owners" {
            open(&daemon.door, 0o666);
        }
        let mut command = bench.command(bench.compile("gcc", "readers"), &daemon.endpoint());
        command.arg(what);
        bench.check(command);
        assert!(matches!(daemon.ask(&Request::LuList), Response::Guids(l) if l.is_empty()));
        daemon.stop();
    }
}

#[test]
fn tokens_outlive_the_service() {
    let bench = Bench::new();
    let program = bench.compile("gcc", "tokens");
    let run = |endpoint: &str, what: &str| {
        let mut command = bench.command(&program, endpoint);
        command.arg(what).arg(bench.path("tokens"));
        bench.check(command);
    };
    let endpoint = format!("embedded:{}", bench.path("state-tokens").display());
    for what in ["set", "use", "set", "use"] {
        run(&endpoint, what);
    }
    let daemon = Daemon::start(bench.directory.path());
    run(&daemon.endpoint(), "set");
    daemon.kill();
    let daemon = Daemon::start(bench.directory.path());
    run(&daemon.endpoint(), "use");
    run(&daemon.endpoint(), "set");
    daemon.stop();
    let daemon = Daemon::start(bench.directory.path());
    run(&daemon.endpoint(), "use");
    daemon.stop();
}

/// Whatever call they are in the middle of. What such a caller held in the service goes with it, and the next call finds the
/// service whole.
#[test]
fn callers_that_are_killed_do_no_harm() {
    const CALLERS: usize = 4;
    const ROUNDS: u64 = 12;
    let bench = Bench::new();
    let program = bench.compile("gcc", "caller");
    let daemon = Daemon::start(bench.directory.path());
    let held = || {
        let count = |what: &str| fs::read_dir(format!("/proc/{}/{what}", daemon.process.id())).map(Iterator::count);
        count("fd").expect("it lives")
    };
    let files: Vec<_> = (0..CALLERS).map(|n| bench.path(&format!("lu-{n}"))).collect();
    for file in &files {
        fs::File::create(file)
            .and_then(|file| file.set_len(4 << 20))
            .expect("backing file");
    }
    let mut before = None;
    for round in 0..ROUNDS {
        let callers: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(n, file)| {
                let mut command = bench.command(&program, &daemon.endpoint());
                command.arg(n.to_string()).arg(file).spawn().expect("caller starts")
            })
            .collect();
        // Each time at another point of its calls.
        std::thread::sleep(Duration::from_millis(20 + 37 * round));
        for mut caller in callers {
            caller.kill().expect("kill");
            caller.wait().expect("wait");
        }
        // A call that was under way comes to its end; then everything that there is can be had and removed.
        let removed = std::time::Instant::now() + PATIENCE;
        loop {
            clean(&daemon);
            let open = held();
            let none_left = matches!(daemon.ask(&Request::LuList), Response::Guids(l) if l.is_empty());
            if none_left && open <= *before.get_or_insert(open) {
                break;
            }
            assert!(
                std::time::Instant::now() < removed,
                "round {round}: {open} descriptors, {before:?} before"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    daemon.stop();
}

/// Removes what callers left behind.
fn clean(daemon: &Daemon) {
    use stmf::framework::GroupKind;
    let Response::Guids(lus) = daemon.ask(&Request::LuList) else {
        panic!("a list")
    };
    for lu in lus {
        let Response::Views(views) = daemon.ask(&Request::ViewList(lu)) else {
            panic!("a list")
        };
        for view in views {
            daemon.ask(&Request::ViewRemove(lu, view.index));
        }
        daemon.ask(&Request::LuDelete(lu));
    }
    let Response::Groups(groups) = daemon.ask(&Request::GroupList(GroupKind::Host)) else {
        panic!("a list")
    };
    for group in groups {
        daemon.ask(&Request::GroupDelete(GroupKind::Host, group));
    }
    let Response::Providers(providers) = daemon.ask(&Request::ProviderDataList) else {
        panic!("a list")
    };
    for provider in providers
        .into_iter()
        .filter(|key| key.name.as_str().starts_with("caller"))
    {
        daemon.ask(&Request::ProviderDataClear(provider));
    }
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
