//! The data of `list-alua --json`.

use crate::cli::document::set;
use crate::framework::{AluaLu, AluaPort, AluaReport, MessageCount, MirrorReport, Owner, PeerReport};
use crate::types::AccessState;
use serde::Serialize;
use std::time::Duration;

/// The pair as this node sees it; `None` is not known.
#[derive(Serialize)]
pub struct Alua<'a> {
    enabled: bool,
    node: u8,
    peer: Peer<'a>,
    mirror: Mirror<'a>,
    targets: Vec<Target>,
    lus: Vec<Lu>,
}

#[derive(Serialize)]
struct Peer<'a> {
    door: bool,
    reachable: bool,
    kind: &'static str,
    node: Option<u8>,
    incarnation: Option<String>,
    last_heard_ms: Option<u64>,
    up_ms: Option<u64>,
    reconnects: u64,
    round_trip_us: Option<u64>,
    waiting_to_send: usize,
    waiting_to_handle: usize,
    lost: u64,
    dropped: u64,
    refused: u64,
    messages: Vec<Messages<'a>>,
}

#[derive(Serialize)]
struct Messages<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    sent: u64,
    received: u64,
}

#[derive(Serialize)]
struct Mirror<'a> {
    on: bool,
    alike: Option<bool>,
    waiting: usize,
    applied: u64,
    refused: u64,
    lost: u64,
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
struct Target {
    name: String,
    relative_port_id: u16,
    of_peer: bool,
    /// Of a target of this node.
    accepted: Option<bool>,
}

#[derive(Serialize)]
struct Lu {
    guid: String,
    access_state: &'static str,
    owner: &'static str,
    generation: Option<u64>,
    lease_age_ms: Option<u64>,
    transitions: u64,
    last_transition_ms: Option<u64>,
    transition_time_ms: u64,
}

impl<'a> From<&'a AluaReport> for Alua<'a> {
    fn from(report: &'a AluaReport) -> Alua<'a> {
        Alua {
            enabled: report.enabled,
            node: report.node,
            peer: (&report.peer).into(),
            mirror: (&report.mirror).into(),
            targets: report.ports.iter().map(Target::from).collect(),
            lus: report.lus.iter().map(Lu::from).collect(),
        }
    }
}

impl<'a> From<&'a PeerReport> for Peer<'a> {
    fn from(peer: &'a PeerReport) -> Peer<'a> {
        Peer {
            door: peer.status.door,
            reachable: peer.status.reachable,
            kind: match peer.status.original {
                Some(true) => "original",
                Some(false) => "ours",
                None => "unknown",
            },
            node: peer.node,
            incarnation: peer.incarnation.map(|life| format!("{life:016x}")),
            last_heard_ms: peer.silent.map(milliseconds),
            up_ms: peer.up.map(milliseconds),
            reconnects: peer.reconnects,
            round_trip_us: peer
                .round_trip
                .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
            waiting_to_send: peer.to_send,
            waiting_to_handle: peer.to_handle,
            lost: peer.lost,
            dropped: peer.dropped,
            refused: peer.refused,
            messages: peer.messages.iter().map(Messages::from).collect(),
        }
    }
}

impl<'a> From<&'a MessageCount> for Messages<'a> {
    fn from(count: &'a MessageCount) -> Messages<'a> {
        Messages {
            name: &count.name,
            sent: count.sent,
            received: count.received,
        }
    }
}

impl<'a> From<&'a MirrorReport> for Mirror<'a> {
    fn from(mirror: &'a MirrorReport) -> Mirror<'a> {
        Mirror {
            on: mirror.on,
            alike: mirror.alike,
            waiting: mirror.waiting,
            applied: mirror.applied,
            refused: mirror.refused,
            lost: mirror.lost,
            trouble: set(&mirror.trouble),
        }
    }
}

impl From<&AluaPort> for Target {
    fn from(port: &AluaPort) -> Target {
        Target {
            name: port.devid.to_string(),
            relative_port_id: port.rtpid,
            of_peer: port.of_peer,
            accepted: (!port.of_peer).then_some(port.accepted),
        }
    }
}

impl From<&AluaLu> for Lu {
    fn from(lu: &AluaLu) -> Lu {
        Lu {
            guid: lu.guid.to_string(),
            access_state: match lu.access {
                AccessState::Active => "active",
                AccessState::Standby => "standby",
                AccessState::TransitionToStandby => "active-to-standby",
                AccessState::TransitionToActive => "standby-to-active",
            },
            owner: match lu.owner {
                Owner::Local => "this-node",
                Owner::Peer => "peer",
                Owner::Unknown => "unknown",
            },
            generation: lu.generation,
            lease_age_ms: lu.lease_age.map(milliseconds),
            transitions: lu.moves,
            last_transition_ms: lu.last_move.map(milliseconds),
            transition_time_ms: milliseconds(lu.move_time),
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
