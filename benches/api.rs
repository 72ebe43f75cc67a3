//! What a call of the API costs, in process and through `stmfd`: `cargo bench --bench api`. Microseconds per call, the median of
//! 200 turns, and how many round trips of an empty door that is, measured in turns with it.
//!
//! Each endpoint is measured in a process of its own, as a process keeps the endpoint of its first call.

use std::ffi::CString;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use stmf::capi::*;
use stmf::{client, door};

const TURNS: usize = 200;
const CALLS: u32 = 100;
/// 64 bytes there and back.
const DOOR: &str = "STMF_BENCH_DOOR";
const CHILD: &str = "STMF_BENCH_CHILD";

fn measure(endpoint: &str, what: &str, mut call: impl FnMut()) {
    let path = std::env::var_os(DOOR).expect("set by the parent");
    let door = door::open(Path::new(&path)).expect("the parent's door");
    let mut echo = || drop(door::call(door.as_fd(), &[7; 64], &[]).expect("an answer"));
    let turn = |call: &mut dyn FnMut()| {
        let begin = Instant::now();
        (0..CALLS).for_each(|_| call());
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
    };
    let (calls, trips): (Vec<f64>, Vec<f64>) = (0..TURNS).map(|_| (turn(&mut call), turn(&mut echo))).unzip();
    let (each, trip) = (median(calls), median(trips));
    println!(
        "{endpoint:10} {what:46} {each:8.2} us  {:6.2} x door ({trip:.2} us)",
        each / trip
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
        let mut properties = std::mem::zeroed();
        measure(endpoint, "stmfGetLogicalUnitProperties", || {
            assert_eq!(stmfGetLogicalUnitProperties(&mut guid, &mut properties), 0)
        });
        let mut n = 0;
        measure(endpoint, "stmfCreateHostGroup, stmfDeleteHostGroup", || {
            n += 1;
            let mut name = [0; 256];
            for (to, from) in name.iter_mut().zip(format!("group-{n}").bytes()) {
                *to = from.cast_signed();
            }
            assert_eq!(stmfCreateHostGroup(&mut name), 0);
            assert_eq!(stmfDeleteHostGroup(&mut name), 0);
        });
        measure(endpoint, "get resource, stmfGetLuProp, free (remembered)", || {
            assert_eq!(stmfGetLuResource(&mut guid, &mut resource), 0);
            get(resource, &mut text);
            assert_eq!(stmfFreeLuResource(resource), 0);
        });
        assert_eq!(stmfDeleteLu(&mut guid), 0);
    }
}

fn child(name: &str, endpoint: &str, door: &Path) {
    let this = std::env::current_exe().expect("path of the bench");
    let status = Command::new(this)
        .env(CHILD, name)
        .env(DOOR, door)
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
    let directory = tempfile::tempdir().expect("temporary directory");
    let echo = directory.path().join("echo");
    let server = door::Server::create(0, |call| door::Reply {
        data: call.data.to_vec(),
        descriptors: Vec::new(),
    })
    .expect("a door");
    server.attach(&echo, 0o600).expect("a path");
    child("in process", "embedded", &echo);
    let door = directory.path().join("door");
    let mut process = daemon(directory.path(), &door);
    child("stmfd", &format!("daemon:{}", door.display()), &echo);
    process.kill().expect("kill stmfd");
    process.wait().expect("wait for stmfd");
}
