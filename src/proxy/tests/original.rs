//! Acceptance list 11: node a behaves at message level like an original node.

use super::super::message::{Body, Message};
use super::nodes::*;
use super::pair::compare_reads;
use crate::framework::PeerLink;
use crate::scsi::ScsiStatus;
use crate::types::{AccessState, Status};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

const BUFFER: usize = 128 << 10;

/// What an original node would have sent: no extensions, the size of its buffer instead of that of the data (hazard H20).
fn as_original(mut message: Message, long: &Mutex<HashSet<u64>>) -> Vec<Message> {
    message.strip_extensions();
    match &mut message.body {
        Body::EchoRequest(_) => return Vec::new(),
        Body::ScsiData(data) if data.data.len() == BUFFER => drop(long.lock().insert(data.task)),
        Body::ScsiData(data) if long.lock().contains(&data.task) => data.data.resize(BUFFER, 0xee),
        _ => {}
    }
    vec![message]
}

/// Node a is the original one. Its decoder refuses nothing, but knows no extensions; ECHO is answered with a copy.
fn with_original() -> Pair {
    let pair = Pair::watchful(|pair| {
        let long = Mutex::default();
        pair.a.wire.filter(move |message| as_original(message, &long));
        let back = Arc::downgrade(&pair.a.wire);
        pair.b.wire.filter(move |mut message| {
            message.strip_extensions();
            if let Body::EchoRequest(data) = &message.body {
                let copy = Message::new(0, Body::EchoReply(data.clone()));
                back.upgrade().expect("the pair lives").inject(&copy);
                return Vec::new();
            }
            assert!(
                !matches!(&message.body, Body::ScsiCmd(cmd) if cmd.function == 1),
                "it would reset the LU"
            );
            vec![message]
        });
    });
    pair.enable();
    wait("recognition", || pair.b.proxy.status().original == Some(true));
    pair
}

/// Hazard H20: an original peer sends the size of its buffer.
#[test]
fn reads_and_failover_with_an_original_peer() {
    let pair = with_original();
    compare_reads(&pair.a, &pair.b);
    pair.a.framework.lu_standby(&pair.guid).unwrap();
    assert_eq!(pair.b.framework.lu_import(&pair.path), Ok(pair.guid));
    wait("Standby at the original", || {
        pair.a.access(&pair.guid) == Some(AccessState::Standby)
    });
    assert_eq!(pair.b.access(&pair.guid), Some(AccessState::Active));
    compare_reads(&pair.b, &pair.a);
}

#[test]
fn an_original_peer_that_falls_silent_and_returns() {
    let pair = with_original();
    assert_eq!(pair.b.read(0, BLOCK).status, ScsiStatus::Good);
    let out = pair.b.wire.take_filter();
    pair.b.wire.cut();
    wait("PeerDown", || !pair.b.proxy.status().reachable);
    assert_eq!(sense(&pair.b.read(0, BLOCK)), (2, 4, 0xc));
    pair.b.wire.put_filter(out);
    wait("PeerUp", || pair.b.ready());
    wait("a usable path", || pair.b.read(0, BLOCK).status == ScsiStatus::Good);
}

/// 7.7: an original peer executes no writes of ours.
#[test]
fn the_policy_non_optimized_is_refused_towards_an_original_peer() {
    let pair = with_original();
    pair.a.framework.lu_standby(&pair.guid).unwrap();
    pair.b.framework.lu_import(&pair.path).unwrap();
    wait("the peer is known", || pair.b.proxy.status().original == Some(true));
    assert_eq!(
        pair.b.framework.set_lu_policy(&pair.guid, true),
        Err(Status::InvalidArg)
    );
    assert_eq!(pair.b.framework.set_lu_policy(&pair.guid, false), Ok(()));
}
