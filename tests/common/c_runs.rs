//! The circumstances in which programs of `c-tests/` run: where their service is, and what is wrong with it.

use crate::c::{Bench, Daemon, create_target, preload};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Where the service of a program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Process,
    Daemon,
}

/// One run of a program.
pub struct Run<'a> {
    pub place: Place,
    pub endpoint: &'a str,
    pub program: &'a str,
    pub arguments: &'a [&'a str],
    pub variables: &'a [(&'a str, String)],
}

impl<'a> Run<'a> {
    /// One that needs nothing but its endpoint.
    pub fn plain(place: Place, endpoint: &'a str, program: &'a str) -> Run<'a> {
        Run {
            place,
            endpoint,
            program,
            arguments: &[],
            variables: &[],
        }
    }
}

/// A store that a service of this process refuses to open.
fn spoiled_store(directory: &Path, spoil: impl FnOnce(&Path)) -> String {
    let database = directory.join("stmf.db");
    fs::create_dir(directory).expect("state directory");
    spoil(&database);
    format!("embedded:{}", directory.display())
}

/// Commands of a host run for as long as the program wants.
fn run_busy(bench: &Bench, run: &mut impl FnMut(&Run)) {
    let directory = bench.path("slow");
    fs::create_dir(&directory).expect("state directory");
    let gate = directory.join("gate").display().to_string();
    let portal = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let portal = portal.expect("a free port").to_string();
    let slow = format!("LD_PRELOAD={}", preload(bench, "slow_flush").display());
    let daemon = Daemon::start_with(
        &directory,
        &[&slow, &format!("SLOW_GATE={gate}")],
        &["--iscsi-portal", &portal],
    );
    let target = "iqn.2026-01.test:busy";
    create_target(&daemon, target);
    let url = format!("iscsi://{portal}/{target}");
    run(&Run {
        arguments: &[&url],
        variables: &[("SLOW_GATE", gate)],
        ..Run::plain(Place::Daemon, &daemon.endpoint(), "busy")
    });
    daemon.stop();
}

/// Runs the programs that need more than an endpoint. The last of them leave the door of the daemon as it was.
pub fn run_circumstances(bench: &Bench, daemon: &Daemon, mut run: impl FnMut(&Run)) {
    run_busy(bench, &mut run);
    let mut run = |place: Place, endpoint: &str, program: &str, arguments: &[&str], variables: &[(&str, String)]| {
        run(&Run {
            place,
            endpoint,
            program,
            arguments,
            variables,
        });
    };
    let state = bench.path("state-faults");
    let store = |directory: &Path| ("STMF_TEST_STORE", directory.join("stmf.db").display().to_string());
    let endpoint = format!("embedded:{}", state.display());
    run(Place::Process, &endpoint, "faults", &[], &[store(&state)]);
    let of_daemon = [
        store(&bench.path("state")),
        ("STMF_TEST_PID", daemon.process.id().to_string()),
    ];
    run(Place::Daemon, &daemon.endpoint(), "faults", &[], &of_daemon);

    let target = "iqn.2026-01.test:coverage";
    create_target(daemon, target);
    run(Place::Daemon, &daemon.endpoint(), "target", &[target], &[]);
    let nobody = format!("daemon:{}", bench.path("nobody.door").display());
    run(Place::Process, "nonsense", "no_service", &[], &[]);
    run(Place::Process, "nonsense", "every", &["8009", "nothing"], &[]);
    run(Place::Daemon, &nobody, "every", &["8009", "nothing"], &[]);
    run(
        Place::Daemon,
        &daemon.endpoint(),
        "every",
        &["8006", "descriptors"],
        &[],
    );
    // The daemon has the directory.
    let locked = format!("embedded:{}", bench.path("state").display());
    run(Place::Process, &locked, "every", &["8001", "nothing"], &[]);
    let newer = spoiled_store(&bench.path("newer"), |database| {
        let database = rusqlite::Connection::open(database).expect("database");
        database.pragma_update(None, "user_version", 99).expect("version");
    });
    run(Place::Process, &newer, "every", &["8010", "nothing"], &[]);
    let damaged = spoiled_store(&bench.path("damaged"), |database| {
        fs::write(database, [b'x'; 8192]).expect("database");
    });
    run(Place::Process, &damaged, "every", &["8000", "nothing"], &[]);
    // Root becomes somebody else, who may connect and is refused; another user is kept from connecting.
    let root = nix::unistd::geteuid().is_root();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
    mode(bench.directory.path(), 0o755);
    mode(&daemon.door, if root { 0o666 } else { 0 });
    run(Place::Daemon, &daemon.endpoint(), "every", &["8005", "nobody"], &[]);
    if root {
        run(Place::Daemon, &daemon.endpoint(), "every", &["8005", "post"], &[]);
    }
    mode(&daemon.door, 0o600);
}
