//! What many LUs cost: `cargo bench --bench scale [-- NAME...]`. Names of measurements: `call`, `scan`, `failover`, `many`.
//!
//! Each endpoint is measured in a process of its own, as a process keeps the endpoint of its first call. `STMF_BENCH_LUS` is the
//! number of LUs of `many` (default 100,000, or what the limit of open files allows), `STMF_BENCH_DIR` a directory for their
//! files (default: the system's for temporary files).

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
        other => panic!("{other}: no such measurement"),
    }
}

fn report(label: &str, what: &str, took: Duration, goal: &str) {
    println!("{label:12} {what:66} {:9.3} s   {goal}", took.as_secs_f64());
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

fn many() {}

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

    fn kill(&mut self) {
        self.process.kill().expect("kill stmfd");
        self.process.wait().expect("wait for stmfd");
    }
}
