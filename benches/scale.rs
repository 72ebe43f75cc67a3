//! What many LUs cost: `cargo bench --bench scale [-- NAME...]`. Names of measurements: `call`, `scan`, `failover`, `many`.
//!
//! Each endpoint is measured in a process of its own, as a process keeps the endpoint of its first call. `STMF_BENCH_LUS` is the
//! number of LUs of `many` (default 100,000, or what the limit of open files allows), `STMF_BENCH_DIR` a directory for their
//! files (default: the system's for temporary files).

use nix::sys::resource::{Resource, getrlimit};
use std::ffi::{CStr, CString};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use stmf::capi::*;
use stmf::client;

const TASK: &str = "STMF_BENCH_TASK";
/// LUs of the failover and of the scan.
const LUS: usize = 1000;
const THOUSAND: usize = 1000;
const MANY: usize = 100_000;
const LU_SIZE: u64 = (1 << 20) + 65536;

fn main() {
    if let Ok(task) = std::env::var(TASK) {
        let fields: Vec<&str> = task.splitn(3, ' ').collect();
        return run(fields[0], fields[1], Path::new(fields[2]));
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    // `cargo test --benches` runs this too.
    let all = std::env::args().any(|argument| argument == "--bench");
    for name in ["scan", "failover"] {
        if wanted.iter().any(|w| w == name) || (wanted.is_empty() && all) {
            in_process(name);
            through_stmfd(name);
        }
    }
    if wanted.iter().any(|w| w == "many") || (wanted.is_empty() && all) {
        many();
    }
}

fn scratch() -> tempfile::TempDir {
    let parent = std::env::var_os("STMF_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).expect("a directory")
}

fn child(name: &str, label: &str, endpoint: &str, directory: &Path) {
    let status = Command::new(std::env::current_exe().expect("path of the bench"))
        .env(TASK, format!("{name} {label} {}", directory.display()))
        .env(client::ENDPOINT_VARIABLE, endpoint)
        .status();
    assert!(status.expect("bench starts").success(), "{name} {label}");
}

fn in_process(name: &str) {
    let directory = scratch();
    child(name, "in-process", "embedded", directory.path());
}

fn through_stmfd(name: &str) {
    let directory = scratch();
    let mut daemon = Daemon::start(directory.path());
    child(name, "stmfd", &daemon.endpoint(), directory.path());
    daemon.kill();
}

fn run(name: &str, label: &str, directory: &Path) {
    match name {
        "scan" => scan(label, directory),
        "failover" => failover(label, directory),
        "many" => create_many(label, directory),
        "list" => list_many(),
        other => panic!("{other}: no such measurement"),
    }
}

fn report(label: &str, what: &str, took: Duration, goal: &str) {
    println!("{label:12} {what:66} {:10.4} s  {goal}", took.as_secs_f64());
}

// --- LUs ------------------------------------------------------------------------------------------------------------

fn paths(directory: &Path, count: usize) -> Vec<CString> {
    let path = |n| {
        let path = directory.join(format!("lu{n}"));
        let file = fs::File::create(&path).and_then(|file| file.set_len(LU_SIZE));
        file.expect("a backing file");
        CString::new(path.to_str().expect("a text")).expect("a path")
    };
    (0..count).map(path).collect()
}

fn create(path: &CStr) -> stmfGuid {
    let mut resource: luResource = std::ptr::null_mut();
    let mut guid = _stmfGuid { guid: [0; 16] };
    // SAFETY: all pointers are to live variables of the right types, and texts end with NUL.
    unsafe {
        assert_eq!(stmfCreateLuResource(0, &mut resource), 0);
        let file_name = _stmfLuProp::STMF_LU_PROP_FILENAME as u32;
        assert_eq!(stmfSetLuProp(resource, file_name, path.as_ptr()), 0);
        assert_eq!(stmfCreateLu(resource, &mut guid), 0);
        assert_eq!(stmfFreeLuResource(resource), 0);
    }
    guid
}

fn list() -> Vec<stmfGuid> {
    let mut list: *mut stmfGuidList = std::ptr::null_mut();
    // SAFETY: the list is what the library hands out: a count and so many elements.
    unsafe {
        assert_eq!(stmfGetLogicalUnitList(&mut list), 0);
        let first = (&raw const (*list).guid).cast::<stmfGuid>();
        let guids = std::slice::from_raw_parts(first, (*list).cnt as usize).to_vec();
        stmfFreeMemory(list.cast());
        guids
    }
}

// --- measurements ---------------------------------------------------------------------------------------------------

/// "For each of 1,000 names: list all LUs, for each get resource, get the file name, free."
fn scan(label: &str, directory: &Path) {
    let names = paths(directory, LUS);
    for path in &names {
        create(path);
    }
    let property = _stmfLuProp::STMF_LU_PROP_FILENAME as u32;
    let mut found = 0;
    let begin = Instant::now();
    for name in &names {
        for mut guid in list() {
            let mut resource: luResource = std::ptr::null_mut();
            let mut text = [0; 4096];
            let mut length = text.len();
            // SAFETY: all pointers are to live variables of the right types, and texts end with NUL.
            unsafe {
                assert_eq!(stmfGetLuResource(&mut guid, &mut resource), 0);
                assert_eq!(stmfGetLuProp(resource, property, text.as_mut_ptr(), &mut length), 0);
                assert_eq!(stmfFreeLuResource(resource), 0);
                found += usize::from(CStr::from_ptr(text.as_ptr()) == name.as_c_str());
            }
        }
    }
    assert_eq!(found, LUS);
    let goal = if label == "stmfd" { "goal 10 s" } else { "goal 1 s" };
    report(
        label,
        "1,000 x (list, 1,000 x (get resource, file name, free))",
        begin.elapsed(),
        goal,
    );
}

/// 1,000 LUs imported and brought online by 1,000 threads at once.
fn failover(label: &str, directory: &Path) {
    let names = paths(directory, LUS);
    let guids: Vec<stmfGuid> = names.iter().map(|path| create(path)).collect();
    // SAFETY: the GUIDs are live variables.
    guids
        .iter()
        .for_each(|guid| unsafe { assert_eq!(stmfLuStandby(&mut guid.clone()), 0) });
    let start = std::sync::Barrier::new(LUS + 1);
    let took = std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|path| {
                let start = &start;
                let work = move || {
                    start.wait();
                    let mut guid = _stmfGuid { guid: [0; 16] };
                    // SAFETY: all pointers are to live variables of the right types, and texts end with NUL.
                    unsafe {
                        assert_eq!(stmfImportLu(0, path.as_ptr().cast_mut(), &mut guid), 0);
                        assert_eq!(stmfOnlineLogicalUnit(&mut guid), 0);
                    }
                };
                let builder = std::thread::Builder::new().stack_size(128 << 10);
                builder.spawn_scoped(scope, work).expect("a thread")
            })
            .collect();
        start.wait();
        let begin = Instant::now();
        threads.into_iter().for_each(|thread| thread.join().expect("imported"));
        begin.elapsed()
    });
    let goal = if label == "stmfd" { "goal 2 s" } else { "" };
    report(
        label,
        "1,000 LUs imported and brought online by 1,000 threads",
        took,
        goal,
    );
}

/// Creation, restart, memory and the list with many LUs. An Active LU keeps two files open: what the limit of open files does
/// not allow is given up after its creation, and is Standby.
fn many() {
    let parent = std::env::var_os("STMF_BENCH_DIR").map_or_else(|| "/dev/shm".into(), PathBuf::from);
    let directory = tempfile::tempdir_in(parent).expect("a directory");
    let count = std::env::var("STMF_BENCH_LUS").map_or(MANY, |text| text.parse().expect("STMF_BENCH_LUS is a number"));
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let active = usize::try_from(files / 2).map_or(count, |most| count.min(most - 500));
    println!("stmfd        {count} LUs, {active} of them Active (limit of open files: {files})");
    let mut daemon = Daemon::start(directory.path());
    let empty = daemon.resident();
    child(
        "many",
        &format!("{count},{active}"),
        &daemon.endpoint(),
        directory.path(),
    );
    let memory = |daemon: &Daemon| daemon.resident().saturating_sub(empty) as f64 / count as f64;
    println!(
        "stmfd        memory per LU after creation                    {:9.0} bytes  goal 8192",
        memory(&daemon)
    );
    for kill in [true, false] {
        let begin = Instant::now();
        if kill {
            daemon.kill()
        } else {
            daemon.stop()
        }
        let (how, ended) = (if kill { "kill" } else { "clean stop" }, begin.elapsed());
        report("stmfd", how, ended, "");
        let begin = Instant::now();
        daemon = Daemon::start(directory.path());
        report(
            "stmfd",
            &format!("restart after it, {count} LUs"),
            begin.elapsed(),
            "goal 10 s",
        );
        println!(
            "stmfd        memory per LU after the restart                 {:9.0} bytes  goal 8192",
            memory(&daemon)
        );
    }
    child("list", "stmfd", &daemon.endpoint(), directory.path());
    daemon.kill();
}

fn create_many(label: &str, directory: &Path) {
    let (count, active) = label.split_once(',').expect("two numbers");
    let (count, active): (usize, usize) = (count.parse().expect("a number"), active.parse().expect("a number"));
    let names = paths(directory, count);
    let mut times = Vec::new();
    for (n, path) in names.iter().enumerate() {
        let begin = Instant::now();
        let mut guid = create(path);
        times.push(begin.elapsed());
        if n >= THOUSAND.min(active / 2) && n < count - active.saturating_sub(THOUSAND) {
            // SAFETY: the GUID is a live variable.
            unsafe { assert_eq!(stmfLuStandby(&mut guid), 0) };
        }
    }
    let thousand = THOUSAND.min(count);
    let (first, last) = (&times[..thousand], &times[count - thousand..]);
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    let (sum, last_sum) = (first.iter().sum::<Duration>(), last.iter().sum::<Duration>());
    let ratio = last_sum.as_secs_f64() / sum.as_secs_f64();
    report("stmfd", "creation of the first thousand", sum, "");
    report("stmfd", "creation of the last thousand", last_sum, "");
    println!(
        "stmfd        last / first: {ratio:.2}, of medians {:.2}; goal 1.2",
        median(last) / median(first)
    );
}

/// `stmfGetLogicalUnitList` after a change each time, so that nothing is remembered.
fn list_many() {
    let mut times: Vec<Duration> = (0..51)
        .map(|turn| {
            let url = CString::new(format!("http://{turn}")).expect("a text");
            // SAFETY: the text ends with NUL.
            let set = unsafe { stmfSetGlobalLuProp(0, _stmfLuProp::STMF_LU_PROP_MGMT_URL as u32, url.as_ptr()) };
            assert_eq!(set, 0);
            let begin = Instant::now();
            list();
            begin.elapsed()
        })
        .collect();
    times.sort();
    report(
        "stmfd",
        "stmfGetLogicalUnitList, median of 51",
        times[times.len() / 2],
        "goal 0.050 s",
    );
}

// --- stmfd ----------------------------------------------------------------------------------------------------------

struct Daemon {
    process: Child,
    directory: PathBuf,
}

impl Daemon {
    fn start(directory: &Path) -> Daemon {
        let mut process = Command::new(env!("CARGO_BIN_EXE_stmfd"))
            .args(["--foreground", "--state-dir"])
            .arg(directory.join("state"))
            .arg("--door")
            .arg(directory.join("door"))
            .args(["--iscsi-portal", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("stmfd starts");
        let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let ready = lines.any(|line| line.is_ok_and(|line| line == "stmfd: ready"));
        assert!(ready, "stmfd ended");
        std::thread::spawn(move || lines.for_each(drop));
        Daemon {
            process,
            directory: directory.to_owned(),
        }
    }

    fn endpoint(&self) -> String {
        format!("daemon:{}", self.directory.join("door").display())
    }

    /// Bytes of memory in use.
    fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it lives");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("Linux tells");
        let kib: usize = line
            .split_whitespace()
            .nth(1)
            .and_then(|n| n.parse().ok())
            .expect("a number");
        kib << 10
    }

    fn stop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("signal stmfd");
        assert!(self.process.wait().expect("wait for stmfd").success());
    }

    fn kill(&mut self) {
        self.process.kill().expect("kill stmfd");
        self.process.wait().expect("wait for stmfd");
    }
}
