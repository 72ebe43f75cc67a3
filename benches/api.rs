//! What a call of the API costs, in process and through `stmfd`: `cargo bench --bench api`. Microseconds per call.
//!
//! Each endpoint is measured in a process of its own, as a process keeps the endpoint of its first call.

use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use stmf::capi::*;
use stmf::client;

const CALLS: u32 = 20_000;
const WARM_UP: u32 = 1_000;
const CHILD: &str = "STMF_BENCH_CHILD";

fn measure(endpoint: &str, what: &str, mut call: impl FnMut()) {
    (0..WARM_UP).for_each(|_| call());
    let begin = Instant::now();
    (0..CALLS).for_each(|_| call());
    let each = begin.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS);
    println!("{endpoint:10} {what:42} {each:8.2} us");
}

fn run(endpoint: &str) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = directory.path().join("lu");
    std::fs::File::create(&file)
        .and_then(|f| f.set_len(4 << 20))
        .expect("backing file");
    let path = CString::new(file.to_str().expect("a text")).expect("a path");

    let mut resource: luResource = std::ptr::null_mut();
    let mut guid = _stmfGuid { guid: [0; 16] };
    let mut state = _stmfState {
        operationalState: 0,
        configState: 0,
    };
    let mut text = [0; 64];
    let file_name = _stmfLuProp::STMF_LU_PROP_FILENAME as u32;
    let access_state = _stmfLuProp::STMF_LU_PROP_ACCESS_STATE as u32;
    // SAFETY: all pointers are to live variables of the right types, and texts end with NUL.
    unsafe {
        let get = |resource, text: &mut [_; 64]| {
            let mut length = text.len();
            assert_eq!(stmfGetLuProp(resource, access_state, text.as_mut_ptr(), &mut length), 0);
        };
        assert_eq!(stmfCreateLuResource(0, &mut resource), 0);
        assert_eq!(stmfSetLuProp(resource, file_name, path.as_ptr()), 0);
        assert_eq!(stmfCreateLu(resource, &mut guid), 0);
        assert_eq!(stmfFreeLuResource(resource), 0);

        measure(endpoint, "stmfGetState", || assert_eq!(stmfGetState(&mut state), 0));
        assert_eq!(stmfGetLuResource(&mut guid, &mut resource), 0);
        measure(endpoint, "stmfGetLuProp(ACCESS_STATE) of a snapshot", || {
            get(resource, &mut text)
        });
        assert_eq!(stmfFreeLuResource(resource), 0);
        measure(endpoint, "get resource, stmfGetLuProp, free", || {
            assert_eq!(stmfGetLuResource(&mut guid, &mut resource), 0);
            get(resource, &mut text);
            assert_eq!(stmfFreeLuResource(resource), 0);
        });
        assert_eq!(stmfDeleteLu(&mut guid), 0);
    }
}

fn child(name: &str, endpoint: &str) {
    let this = std::env::current_exe().expect("path of the bench");
    let status = Command::new(this)
        .env(CHILD, name)
        .env(client::ENDPOINT_VARIABLE, endpoint)
        .status();
    assert!(status.expect("bench starts").success(), "{endpoint}");
}

fn daemon(directory: &Path, door: &Path) -> Child {
    let mut process = Command::new(env!("CARGO_BIN_EXE_stmfd"))
        .args(["--foreground", "--state-dir"])
        .arg(directory.join("state"))
        .arg("--door")
        .arg(door)
        .args(["--iscsi-portal", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("stmfd starts");
    let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    assert!(
        lines.any(|line| line.is_ok_and(|line| line == "stmfd: ready")),
        "stmfd ended"
    );
    std::thread::spawn(move || lines.for_each(drop));
    process
}

fn main() {
    if let Ok(name) = std::env::var(CHILD) {
        return run(&name);
    }
    child("in process", "embedded");
    let directory = tempfile::tempdir().expect("temporary directory");
    let door = directory.path().join("door");
    let mut process = daemon(directory.path(), &door);
    child("stmfd", &format!("daemon:{}", door.display()));
    process.kill().expect("kill stmfd");
    process.wait().expect("wait for stmfd");
}
