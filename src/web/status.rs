//! The node as JSON: `/status.json`. Totals since the start, never rates; times in the units that the names say.

use crate::framework::{AluaLu, AluaReport, ConfigState, Framework, IoTotals, ObjectState, Owner, PeerReport};
use crate::types::{AccessState, Guid};
use serde::Serialize;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

/// LUs, targets, and sessions of one target, that are listed; the counts beside the lists tell of all of them.
const MAX_LISTED: usize = 1000;

/// Everything.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Milliseconds since 1970.
    time_ms: u64,
    node: Node,
    peer: Peer,
    /// Over all LUs.
    io: IoTotals,
    lu_count: usize,
    lus: Vec<Lu>,
    target_count: usize,
    targets: Vec<Target>,
}

#[derive(Debug, Serialize)]
struct Node {
    host: String,
    release: &'static str,
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
    round_trip_us: Option<u64>,
    to_send: usize,
    lost: u64,
    dropped: u64,
    refused: u64,
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
    io: IoTotals,
}

#[derive(Debug, Serialize)]
struct Target {
    name: String,
    alias: String,
    state: &'static str,
    /// A target of the other node, through which that node forwards commands.
    of_peer: bool,
    session_count: usize,
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    initiator: String,
    alias: String,
    /// Seconds since 1970.
    since_s: u64,
}

impl Status {
    /// As it is now. Each object is looked at by itself; one that goes away meanwhile is left out.
    pub fn of(framework: &Framework, host: &str, uptime: Duration) -> Status {
        let report = framework.alua_report();
        let state = framework.state();
        let guids = framework.lu_list();
        let accesses: HashMap<Guid, &AluaLu> = report.lus.iter().map(|lu| (lu.guid, lu)).collect();
        let ports = framework.port_list();
        Status {
            time_ms: SystemTime::UNIX_EPOCH.elapsed().map_or(0, milliseconds),
            node: Node {
                host: host.to_owned(),
                release: env!("CARGO_PKG_VERSION"),
                uptime_s: uptime.as_secs(),
                operational: state_name(state.operational),
                config: config_name(state.config),
                alua: report.enabled,
                number: report.node,
            },
            peer: peer(&report.peer),
            io: guids
                .iter()
                .filter_map(|guid| framework.lu_io(guid).ok())
                .fold(IoTotals::default(), sum),
            lu_count: guids.len(),
            lus: guids
                .iter()
                .filter_map(|guid| lu(framework, guid, accesses.get(guid).copied()))
                .take(MAX_LISTED)
                .collect(),
            target_count: ports.len(),
            targets: targets(framework, &report),
        }
    }
}

fn peer(report: &PeerReport) -> Peer {
    Peer {
        channel: report.status.door,
        reachable: report.status.reachable,
        original: report.status.original,
        number: report.node,
        silent_ms: report.silent.map(milliseconds),
        round_trip_us: report
            .round_trip
            .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        to_send: report.to_send,
        lost: report.lost,
        dropped: report.dropped,
        refused: report.refused,
    }
}

fn lu(framework: &Framework, guid: &Guid, alua: Option<&AluaLu>) -> Option<Lu> {
    let info = framework.lu_info(guid).ok()?;
    let size = framework.lu_access(guid).ok().and_then(|report| report.properties.size);
    Some(Lu {
        guid: guid.to_string(),
        alias: info.alias,
        state: info.state.map_or("unregistered", state_name),
        access: alua.map(|lu| access_name(lu.access)),
        owner: match alua.map(|lu| lu.owner) {
            Some(Owner::Local) => "local",
            Some(Owner::Peer) => "peer",
            Some(Owner::Unknown) | None => "unknown",
        },
        size,
        views: framework.view_list(guid).map_or(0, |views| views.len()),
        io: framework.lu_io(guid).unwrap_or_default(),
    })
}

fn targets(framework: &Framework, report: &AluaReport) -> Vec<Target> {
    let target = |port: &crate::framework::AluaPort| {
        let info = framework.port_info(&port.devid).ok()?;
        let nexuses = framework.port_nexuses(&port.devid).ok()?;
        Some(Target {
            name: port.devid.to_string(),
            alias: info.alias,
            state: state_name(info.state),
            of_peer: port.of_peer,
            session_count: nexuses.len(),
            sessions: nexuses
                .into_iter()
                .take(MAX_LISTED)
                .map(|nexus| Session {
                    initiator: nexus.initiator.to_string(),
                    alias: nexus.alias,
                    since_s: nexus.created,
                })
                .collect(),
        })
    };
    report.ports.iter().filter_map(target).take(MAX_LISTED).collect()
}

fn sum(a: IoTotals, b: IoTotals) -> IoTotals {
    IoTotals {
        read_ops: a.read_ops.wrapping_add(b.read_ops),
        write_ops: a.write_ops.wrapping_add(b.write_ops),
        read_bytes: a.read_bytes.wrapping_add(b.read_bytes),
        write_bytes: a.write_bytes.wrapping_add(b.write_bytes),
        busy_ns: a.busy_ns.wrapping_add(b.busy_ns),
        errors: a.errors.wrapping_add(b.errors),
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
