//! The nodes as JSON: `/status.json`. Totals since the start, never rates; times in the units that the names say.

use crate::framework::{
    AluaReport, ConfigState, Framework, IoTotals, LuStatus, NodeStatus, ObjectState, Owner, PeerNode, PortStatus,
};
use crate::types::AccessState;
use serde::Serialize;
use std::time::{Duration, SystemTime};

/// LUs, targets and sessions that are listed; the counts beside the lists tell of all of them.
const MAX_LISTED: usize = 1000;

/// Everything.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Milliseconds since 1970.
    time_ms: u64,
    /// This node.
    #[serde(flatten)]
    here: Node,
    /// The way to the peer.
    peer: Peer,
    /// The peer as it says itself; `null`: it never said anything.
    peer_node: Option<There>,
}

/// A node.
#[derive(Debug, Serialize)]
struct Node {
    node: Facts,
    /// Over all LUs.
    io: IoTotals,
    lu_count: usize,
    lus: Vec<Lu>,
    target_count: usize,
    session_count: usize,
    targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
struct There {
    /// Since it said so.
    age_ms: u64,
    #[serde(flatten)]
    node: Node,
}

#[derive(Debug, Serialize)]
struct Facts {
    host: String,
    release: String,
    uptime_s: u64,
    operational: &'static str,
    config: &'static str,
    alua: bool,
    number: u8,
}

#[derive(Debug, Serialize)]
struct Peer {
    /// A peer daemon is attached.
    channel: bool,
    /// Messages arrive.
    reachable: bool,
    /// It runs the original's code; `null`: not known.
    original: Option<bool>,
    number: Option<u8>,
    /// Since its last message; `null`: never heard.
    silent_ms: Option<u64>,
    /// Since it came up; `null`: it is not there.
    up_s: Option<u64>,
    reconnects: u64,
    round_trip_us: Option<u64>,
    to_send: usize,
    lost: u64,
    dropped: u64,
    refused: u64,
    /// Groups and view entries are mirrored.
    mirror: bool,
    /// Both nodes have the same groups and view entries; `null`: not known.
    alike: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Lu {
    guid: String,
    alias: String,
    state: &'static str,
    /// Access state on this node; `null`: not registered.
    access: Option<&'static str>,
    /// Who has the store: `local`, `peer`, `unknown`.
    owner: &'static str,
    /// Bytes; `null` while the LU is not Active here.
    size: Option<u64>,
    views: usize,
    sessions: usize,
    io: IoTotals,
    /// 99 % of all reads and writes took at most so long; `null`: none, or not known.
    read_p99_ns: Option<u64>,
    write_p99_ns: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Target {
    name: String,
    alias: String,
    state: &'static str,
    /// A target of the other node, through which that node forwards commands.
    of_peer: bool,
    io: IoTotals,
    session_count: usize,
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    initiator: String,
    alias: String,
    /// Seconds since 1970.
    since_s: u64,
    luns: usize,
    io: IoTotals,
}

impl Status {
    /// As it is now.
    pub fn of(framework: &Framework) -> Status {
        let report = framework.alua_report();
        Status {
            time_ms: SystemTime::UNIX_EPOCH.elapsed().map_or(0, milliseconds),
            here: node(framework.node_status(MAX_LISTED)),
            peer: peer(&report),
            peer_node: report.enabled.then(|| framework.peer_node()).flatten().map(there),
        }
    }
}

fn there(peer: PeerNode) -> There {
    let mut status = peer.status;
    status.lus.truncate(MAX_LISTED);
    status.ports.truncate(MAX_LISTED);
    There {
        age_ms: milliseconds(peer.age),
        node: node(status),
    }
}

fn node(status: NodeStatus) -> Node {
    Node {
        node: Facts {
            host: status.host,
            release: status.release,
            uptime_s: status.uptime.as_secs(),
            operational: state_name(status.operational),
            config: config_name(status.config),
            alua: status.alua,
            number: status.node,
        },
        io: status.io.totals,
        lu_count: status.lu_count,
        lus: status.lus.into_iter().map(lu).collect(),
        target_count: status.port_count,
        session_count: status.session_count,
        targets: status.ports.into_iter().map(target).collect(),
    }
}

fn peer(alua: &AluaReport) -> Peer {
    let report = &alua.peer;
    Peer {
        channel: report.status.door,
        reachable: report.status.reachable,
        original: report.status.original,
        number: report.node,
        silent_ms: report.silent.map(milliseconds),
        up_s: report.up.map(|up| up.as_secs()),
        reconnects: report.reconnects,
        round_trip_us: report
            .round_trip
            .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        to_send: report.to_send,
        lost: report.lost,
        dropped: report.dropped,
        refused: report.refused,
        mirror: alua.mirror.on,
        alike: alua.mirror.alike,
    }
}

fn lu(status: LuStatus) -> Lu {
    Lu {
        guid: status.guid.to_string(),
        alias: status.alias,
        state: status.state.map_or("unregistered", state_name),
        access: status.access.map(access_name),
        owner: match status.owner {
            Owner::Local => "local",
            Owner::Peer => "peer",
            Owner::Unknown => "unknown",
        },
        size: status.size,
        views: status.views,
        sessions: status.sessions,
        io: status.io.totals,
        read_p99_ns: status.io.read_latency.percentile(99),
        write_p99_ns: status.io.write_latency.percentile(99),
    }
}

fn target(status: PortStatus) -> Target {
    Target {
        name: status.devid.to_string(),
        alias: status.alias,
        state: state_name(status.state),
        of_peer: status.of_peer,
        io: status.io.totals,
        session_count: status.session_count,
        sessions: status
            .sessions
            .into_iter()
            .map(|session| Session {
                initiator: session.initiator.to_string(),
                alias: session.alias,
                since_s: session.created,
                luns: session.luns,
                io: session.io.totals,
            })
            .collect(),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const fn state_name(state: ObjectState) -> &'static str {
    match state {
        ObjectState::Offline => "offline",
        ObjectState::Offlining => "offlining",
        ObjectState::Online => "online",
        ObjectState::Onlining => "onlining",
    }
}

const fn config_name(config: ConfigState) -> &'static str {
    match config {
        ConfigState::None => "none",
        ConfigState::Init => "initializing",
        ConfigState::InitDone => "initialized",
    }
}

const fn access_name(access: AccessState) -> &'static str {
    match access {
        AccessState::Active => "active",
        AccessState::Standby => "standby",
        AccessState::TransitionToActive => "transition to active",
        AccessState::TransitionToStandby => "transition to standby",
    }
}
