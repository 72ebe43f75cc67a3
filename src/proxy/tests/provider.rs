//! The three C calls, and the rules of the door (`alua-proxy.md` 2.2 to 2.4).

use super::super::message::{Body, Message};
use super::super::{Proxy, Upcall};
use super::nodes::*;
use crate::framework::{Announcement, Framework, PeerLink};
use crate::store::Store;
use crate::types::{DevId, NodeId, Status};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A door that answers what it is told to, then 0.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<io::Result<u32>>>,
    calls: Mutex<Vec<(Instant, Vec<u8>)>>,
}

impl Script {
    fn kinds(&self) -> Vec<u8> {
        self.calls
            .lock()
            .iter()
            .map(|(_, bytes)| Message::decode(bytes).unwrap().body.number())
            .collect()
    }
}

impl Upcall for Script {
    fn call(&self, message: &[u8]) -> io::Result<u32> {
        self.calls.lock().push((Instant::now(), message.to_vec()));
        self.answers.lock().pop_front().unwrap_or(Ok(0))
    }
}

fn node() -> (Arc<Framework>, Arc<Proxy>) {
    let framework = Framework::new(Store::volatile());
    let proxy = Proxy::new(&framework, config()).unwrap();
    (framework, proxy)
}

fn register() -> Announcement {
    Announcement::PortUp {
        port: DevId::new(b"iqn.2010-08.org.example:t").unwrap(),
        rtpid: 1,
    }
}

fn echo() -> Vec<u8> {
    Message::new(1, Body::EchoRequest(b"ping".to_vec())).encode()
}

#[test]
fn one_door_at_a_time() {
    let (_framework, proxy) = node();
    let door = proxy.install_upcall(Arc::new(Script::default())).unwrap();
    assert_eq!(
        proxy.install_upcall(Arc::new(Script::default())),
        Err(Status::DoorInstalled)
    );
    assert_eq!(proxy.destroy_door(door + 1), Err(Status::InvalidArg));
    proxy.destroy_door(door).unwrap();
    assert_eq!(proxy.destroy_door(door), Err(Status::InvalidArg));
    let next = proxy.install_upcall(Arc::new(Script::default())).unwrap();
    assert_ne!(next, door);
    assert_eq!(proxy.post(door, &echo()), Err(Status::InvalidArg));
}

#[test]
fn what_is_no_door_is_refused() {
    let (_framework, proxy) = node();
    let file = tempfile::tempfile().unwrap();
    assert_eq!(proxy.install_door(file.into()), Err(Status::InvalidArg));
}

/// Ruling 1.
#[test]
fn posts_are_taken_or_refused() {
    let (_framework, proxy) = node();
    let door = proxy.install_upcall(Arc::new(Script::default())).unwrap();
    for bad in [
        &b""[..],
        b"hello",
        &[1, 1, 0, 0, 0, 0, 0, 0],
        &vec![1; Proxy::MAX_MESSAGE + 1],
    ] {
        assert_eq!(proxy.post(door, bad), Err(Status::PostMsgFailed));
    }
    assert_eq!(
        proxy.post(door, &echo()),
        Err(Status::PostMsgFailed),
        "ALUA mode is disabled"
    );
    let lun = include_bytes!("../../../tests/vectors/02-register-lun.bin");
    assert_eq!(proxy.post(door, lun), Ok(()), "held");
    proxy.enabled(NodeId::new(0).unwrap());
    assert_eq!(proxy.post(door, &echo()), Ok(()));
    let incomplete = {
        let mut list = crate::nvlist::NvList::new();
        list.push("icm_msg_type", crate::nvlist::Value::UInt8(12));
        list.pack()
    };
    assert_eq!(proxy.post(door, &incomplete), Ok(()), "dropped and counted");
    let counters = proxy.counters();
    assert_eq!(
        (
            counters.refused,
            counters.dropped,
            counters.received[12],
            counters.received[2]
        ),
        (5, 1, 1, 1)
    );
}

/// Hazard H27: the door's result ends nothing by itself.
#[test]
fn a_result_other_than_0_is_only_logged() {
    let (_framework, proxy) = node();
    let script = Arc::new(Script::default());
    script.answers.lock().extend([Ok(5), Ok(7), Ok(9)]);
    proxy.install_upcall(script.clone()).unwrap();
    proxy.enabled(NodeId::new(0).unwrap());
    wait("the next probes", || script.calls.lock().len() >= 5);
    assert_eq!(proxy.counters().lost, 0);
    assert!(proxy.status().door);
}

#[test]
fn without_a_server_thread_there_are_three_attempts() {
    let (_framework, proxy) = node();
    let script = Arc::new(Script::default());
    let no_thread = || Err(io::Error::from_raw_os_error(libc::EAGAIN));
    script.answers.lock().extend([no_thread(), no_thread(), no_thread()]);
    proxy.install_upcall(script.clone()).unwrap();
    proxy.enabled(NodeId::new(0).unwrap());
    wait("the next message", || script.calls.lock().len() >= 4);
    let calls = script.calls.lock();
    assert_eq!(calls[0].1, calls[1].1);
    assert_eq!(calls[0].1, calls[2].1);
    assert_ne!(calls[0].1, calls[3].1, "given up");
    for pair in calls[..4].windows(2) {
        assert!(
            pair[1].0 - pair[0].0 >= config().upcall_pause,
            "a pause after each attempt"
        );
    }
    assert_eq!(proxy.counters().lost, 1);
}

/// 2.3: the end of the door's owner is like stmfDestroyProxyDoor.
#[test]
fn a_door_whose_server_is_gone_is_removed() {
    let (_framework, proxy) = node();
    let script = Arc::new(Script::default());
    script
        .answers
        .lock()
        .push_back(Err(io::Error::from_raw_os_error(libc::EBADF)));
    let door = proxy.install_upcall(script).unwrap();
    proxy.enabled(NodeId::new(0).unwrap());
    wait("removal", || !proxy.status().door);
    assert_eq!(proxy.destroy_door(door), Err(Status::InvalidArg));
    assert!(proxy.install_upcall(Arc::new(Script::default())).is_ok());
}

/// Ruling 15: the demo daemon ends when it is called too early.
#[test]
fn a_new_door_is_left_alone_until_its_owner_is_ready() {
    let (_framework, proxy) = node();
    proxy.enabled(NodeId::new(0).unwrap());
    proxy.announce(register());
    let script = Arc::new(Script::default());
    let door = proxy.install_upcall(script.clone()).unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(script.kinds().is_empty());
    proxy.post(door, &echo()).unwrap();
    wait("reply and registration", || {
        script.kinds().contains(&13) && script.kinds().contains(&0)
    });
}

/// Hazards H27 and H31.
#[test]
fn a_door_call_that_hangs_does_not_hold_up_anybody() {
    struct Hanging;
    impl Upcall for Hanging {
        fn call(&self, _: &[u8]) -> io::Result<u32> {
            std::thread::sleep(Duration::from_secs(3));
            Ok(0)
        }
    }
    let framework = Framework::new(Store::volatile());
    let short = super::super::Config {
        upcall: Duration::from_millis(300),
        ..config()
    };
    let proxy = Proxy::new(&framework, short).unwrap();
    let door = proxy.install_upcall(Arc::new(Hanging)).unwrap();
    let began = Instant::now();
    proxy.enabled(NodeId::new(0).unwrap());
    proxy.announce(register());
    proxy.post(door, &echo()).unwrap();
    proxy.destroy_door(door).unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "before the call returned");
    let script = Arc::new(Script::default());
    proxy.install_upcall(script.clone()).unwrap();
    proxy.enabled(NodeId::new(0).unwrap());
    wait("the new door in use", || !script.calls.lock().is_empty());
}
