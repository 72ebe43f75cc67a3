//! Which metrics there are. Names do not change; the manual page of `stmfd` lists them.

use super::text::{Exposition, Format, Kind, Labels};
use crate::framework::{
    AluaReport, ConfigState, IoReport, LuStatus, NodeStatus, OCTAVES, ObjectState, PortStatus, SessionStatus,
};
use crate::types::{AccessState, DevId};
use std::time::Duration;

/// Buckets of the latency of the whole node, and of one object: every so many doublings.
const FINE: usize = 1;
const COARSE: usize = 2;

const STATES: [&str; 4] = ["offline", "offlining", "online", "onlining"];
const CONFIGS: [&str; 3] = ["none", "initializing", "initialized"];
const ACCESSES: [&str; 4] = ["active", "standby", "transition to active", "transition to standby"];

/// The node as text. LUs, targets and sessions beyond those that are listed in the status are counted in `stmf_unlisted_objects`.
pub fn exposition(status: &NodeStatus, alua: &AluaReport, format: Format) -> String {
    let mut text = Exposition::new(format);
    daemon(&mut text, status);
    let io = Io {
        read_bytes: "stmf_read_bytes",
        write_bytes: "stmf_write_bytes",
        errors: "stmf_errors",
        read_latency: "stmf_read_latency_seconds",
        write_latency: "stmf_write_latency_seconds",
        of: "of all logical units",
        step: FINE,
    };
    io.put(&mut text, &[status], |_| Vec::new(), |node| &node.io);
    lus(&mut text, &status.lus);
    targets(&mut text, &status.ports, alua);
    sessions(&mut text, &status.ports);
    peer(&mut text, alua);
    ownership(&mut text, alua, status);
    text.end()
}

fn daemon(text: &mut Exposition, status: &NodeStatus) {
    let info = [("host", status.host.as_str()), ("release", status.release.as_str())];
    text.family("stmf_daemon", Kind::Info, "", "The daemon.")
        .sample(&info, 1);
    text.family(
        "stmf_uptime_seconds",
        Kind::Gauge,
        "seconds",
        "Since the start of the daemon.",
    )
    .sample(&[], status.uptime.as_secs_f64());
    text.family(
        "stmf_service_state",
        Kind::StateSet,
        "",
        "Operational state of the service.",
    )
    .states(&[], &STATES, state(status.operational));
    let config = match status.config {
        ConfigState::None => CONFIGS[0],
        ConfigState::Init => CONFIGS[1],
        ConfigState::InitDone => CONFIGS[2],
    };
    text.family(
        "stmf_config_state",
        Kind::StateSet,
        "",
        "Whether the configuration is loaded.",
    )
    .states(&[], &CONFIGS, config);
    let listed_sessions: usize = status.ports.iter().map(|port| port.sessions.len()).sum();
    let sessions: usize = status.ports.iter().map(|port| port.session_count).sum();
    let mut objects = text.family("stmf_objects", Kind::Gauge, "", "Logical units, targets and sessions.");
    objects.sample(&[("kind", "lu")], status.lu_count);
    objects.sample(&[("kind", "target")], status.port_count);
    objects.sample(&[("kind", "session")], status.session_count);
    let help = "Objects without samples of their own: there are too many. The sums have them too.";
    let mut unlisted = text.family("stmf_unlisted_objects", Kind::Gauge, "", help);
    unlisted.sample(&[("kind", "lu")], status.lu_count.saturating_sub(status.lus.len()));
    unlisted.sample(
        &[("kind", "target")],
        status.port_count.saturating_sub(status.ports.len()),
    );
    unlisted.sample(&[("kind", "session")], sessions.saturating_sub(listed_sessions));
}

/// The families that count what hosts read and write, for one kind of object.
struct Io {
    read_bytes: &'static str,
    write_bytes: &'static str,
    errors: &'static str,
    read_latency: &'static str,
    write_latency: &'static str,
    of: &'static str,
    step: usize,
}

impl Io {
    fn put<T>(
        &self,
        text: &mut Exposition,
        objects: &[T],
        labels: impl Fn(&T) -> Vec<(&'static str, String)>,
        io: impl Fn(&T) -> &IoReport,
    ) {
        let of = self.of;
        let mut counter = |name, unit, help: &str, value: fn(&IoReport) -> u64| {
            let mut family = text.family(name, Kind::Counter, unit, &format!("{help} {of}."));
            for object in objects {
                with(&labels(object), |labels| family.sample(labels, value(io(object))));
            }
        };
        counter(self.read_bytes, "bytes", "Bytes that hosts have read", |io| {
            io.totals.read_bytes
        });
        counter(self.write_bytes, "bytes", "Bytes that hosts have written", |io| {
            io.totals.write_bytes
        });
        counter(self.errors, "", "Reads and writes that failed,", |io| io.totals.errors);
        let mut histogram = |name, help: &str, of_io: fn(&IoReport) -> &crate::framework::Latency| {
            let mut family = text.family(name, Kind::Histogram, "seconds", &format!("{help} {of}."));
            for object in objects {
                let latency = of_io(io(object));
                let buckets = OCTAVES
                    .step_by(self.step)
                    .map(|octave| (seconds(1 << octave), latency.count_within(octave)));
                with(&labels(object), |labels| {
                    family.histogram(labels, buckets, latency.count(), seconds(latency.sum_ns));
                });
            }
        };
        histogram(self.read_latency, "Time of the reads that succeeded,", |io| {
            &io.read_latency
        });
        histogram(self.write_latency, "Time of the writes that succeeded,", |io| {
            &io.write_latency
        });
    }
}

fn lus(text: &mut Exposition, lus: &[LuStatus]) {
    let name = |lu: &LuStatus| vec![("lu", lu.guid.to_string())];
    let mut info = text.family("stmf_lu", Kind::Info, "", "A logical unit.");
    for lu in lus {
        info.sample(&[("lu", &lu.guid.to_string()), ("alias", &lu.alias)], 1);
    }
    let mut states = text.family(
        "stmf_lu_state",
        Kind::StateSet,
        "",
        "State of a registered logical unit.",
    );
    for lu in lus {
        if let Some(present) = lu.state {
            states.states(&[("lu", &lu.guid.to_string())], &STATES, state(present));
        }
    }
    let mut accesses = text.family("stmf_lu_access", Kind::StateSet, "", "Access state on this node.");
    for lu in lus {
        if let Some(present) = lu.access {
            accesses.states(&[("lu", &lu.guid.to_string())], &ACCESSES, access(present));
        }
    }
    let mut sizes = text.family(
        "stmf_lu_size_bytes",
        Kind::Gauge,
        "bytes",
        "Size of a logical unit that is active here.",
    );
    for lu in lus {
        if let Some(size) = lu.size {
            sizes.sample(&[("lu", &lu.guid.to_string())], size);
        }
    }
    let mut gauge = |name, help, value: fn(&LuStatus) -> usize| {
        let mut family = text.family(name, Kind::Gauge, "", help);
        for lu in lus {
            family.sample(&[("lu", &lu.guid.to_string())], value(lu));
        }
    };
    gauge("stmf_lu_view_entries", "View entries of a logical unit.", |lu| lu.views);
    gauge("stmf_lu_sessions", "Sessions that see a logical unit.", |lu| {
        lu.sessions
    });
    let io = Io {
        read_bytes: "stmf_lu_read_bytes",
        write_bytes: "stmf_lu_write_bytes",
        errors: "stmf_lu_errors",
        read_latency: "stmf_lu_read_latency_seconds",
        write_latency: "stmf_lu_write_latency_seconds",
        of: "of a logical unit through this node",
        step: COARSE,
    };
    io.put(text, lus, name, |lu| &lu.io);
}

fn targets(text: &mut Exposition, ports: &[PortStatus], alua: &AluaReport) {
    let mut info = text.family(
        "stmf_target",
        Kind::Info,
        "",
        "A target; of the peer: its image, through which the peer forwards.",
    );
    for port in ports {
        let of = if port.of_peer { "peer" } else { "this" };
        info.sample(
            &[
                ("target", &port.devid.to_string()),
                ("alias", &port.alias),
                ("node", of),
            ],
            1,
        );
    }
    let mut states = text.family("stmf_target_state", Kind::StateSet, "", "State of a target.");
    for port in ports {
        states.states(&[("target", &port.devid.to_string())], &STATES, state(port.state));
    }
    let mut sessions = text.family("stmf_target_sessions", Kind::Gauge, "", "Sessions of a target.");
    for port in ports {
        sessions.sample(&[("target", &port.devid.to_string())], port.session_count);
    }
    let mut accepted = text.family(
        "stmf_target_accepted",
        Kind::Gauge,
        "",
        "1: the peer has accepted this target of this node.",
    );
    let listed = |devid: &DevId| ports.iter().any(|listed| listed.devid == *devid);
    for port in alua.ports.iter().filter(|port| !port.of_peer && listed(&port.devid)) {
        accepted.sample(&[("target", &port.devid.to_string())], u8::from(port.accepted));
    }
    let io = Io {
        read_bytes: "stmf_target_read_bytes",
        write_bytes: "stmf_target_write_bytes",
        errors: "stmf_target_errors",
        read_latency: "stmf_target_read_latency_seconds",
        write_latency: "stmf_target_write_latency_seconds",
        of: "through a target",
        step: COARSE,
    };
    io.put(
        text,
        ports,
        |port| vec![("target", port.devid.to_string())],
        |port| &port.io,
    );
}

fn sessions(text: &mut Exposition, ports: &[PortStatus]) {
    let sessions: Vec<(&PortStatus, &SessionStatus)> = ports
        .iter()
        .flat_map(|port| port.sessions.iter().map(move |session| (port, session)))
        .collect();
    let labels = |(port, session): &(&PortStatus, &SessionStatus)| {
        vec![
            ("target", port.devid.to_string()),
            ("initiator", session.initiator.to_string()),
            ("session", format!("{:016x}", session.id)),
        ]
    };
    let mut created = text.family(
        "stmf_session_start_timestamp_seconds",
        Kind::Gauge,
        "seconds",
        "When a session began, since 1970.",
    );
    for session in &sessions {
        with(&labels(session), |labels| created.sample(labels, session.1.created));
    }
    let mut luns = text.family(
        "stmf_session_luns",
        Kind::Gauge,
        "",
        "Logical units that a session sees.",
    );
    for session in &sessions {
        with(&labels(session), |labels| luns.sample(labels, session.1.luns));
    }
    let io = Io {
        read_bytes: "stmf_session_read_bytes",
        write_bytes: "stmf_session_write_bytes",
        errors: "stmf_session_errors",
        read_latency: "stmf_session_read_latency_seconds",
        write_latency: "stmf_session_write_latency_seconds",
        of: "of a session",
        step: COARSE,
    };
    io.put(text, &sessions, labels, |(_, session)| &session.io);
}

fn peer(text: &mut Exposition, alua: &AluaReport) {
    let peer = &alua.peer;
    let mut gauge = |name, unit, help, value: Option<f64>| {
        let mut family = text.family(name, Kind::Gauge, unit, help);
        if let Some(value) = value {
            family.sample(&[], value);
        }
    };
    let flag = |flag: bool| Some(f64::from(u8::from(flag)));
    let span = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    gauge("stmf_alua_enabled", "", "1: ALUA mode is enabled.", flag(alua.enabled));
    gauge("stmf_alua_node", "", "Number of this node.", Some(f64::from(alua.node)));
    gauge(
        "stmf_peer_door",
        "",
        "1: a peer daemon is attached.",
        flag(peer.status.door),
    );
    gauge(
        "stmf_peer_reachable",
        "",
        "1: the peer answers.",
        flag(peer.status.reachable),
    );
    gauge(
        "stmf_peer_up_seconds",
        "seconds",
        "How long the peer has answered.",
        span(peer.up),
    );
    gauge(
        "stmf_peer_silence_seconds",
        "seconds",
        "Since the last message of the peer.",
        span(peer.silent),
    );
    let help = "From the last answered probe to its answer.";
    gauge("stmf_peer_round_trip_seconds", "seconds", help, span(peer.round_trip));
    gauge(
        "stmf_mirror_enabled",
        "",
        "1: groups and view entries are mirrored.",
        flag(alua.mirror.on),
    );
    let help = "1: both nodes have the same groups and view entries, as far as this node knows.";
    gauge("stmf_mirror_alike", "", help, alua.mirror.alike.and_then(flag));
    let waiting = u32::try_from(alua.mirror.waiting).unwrap_or(u32::MAX);
    gauge(
        "stmf_mirror_waiting_changes",
        "",
        "Changes that wait for the peer.",
        Some(f64::from(waiting)),
    );

    let mut changes = text.family(
        "stmf_mirror_changes",
        Kind::Counter,
        "",
        "Changes that were sent to the peer.",
    );
    changes.sample(&[("result", "applied")], alua.mirror.applied);
    changes.sample(&[("result", "refused")], alua.mirror.refused);
    changes.sample(&[("result", "lost")], alua.mirror.lost);
    let kind = match peer.status.original {
        Some(true) => "original",
        Some(false) => "ours",
        None => "unknown",
    };
    let node = peer.node.map_or(String::new(), |node| node.to_string());
    let incarnation = peer.incarnation.map_or(String::new(), |life| format!("{life:016x}"));
    let info = [
        ("kind", kind),
        ("node", node.as_str()),
        ("incarnation", incarnation.as_str()),
    ];
    text.family("stmf_peer", Kind::Info, "", "The peer.").sample(&info, 1);
    text.family(
        "stmf_peer_reconnects",
        Kind::Counter,
        "",
        "How often the peer came back.",
    )
    .sample(&[], peer.reconnects);
    let mut queues = text.family("stmf_peer_queue_messages", Kind::Gauge, "", "Messages that wait.");
    queues.sample(&[("queue", "send")], peer.to_send);
    queues.sample(&[("queue", "receive")], peer.to_handle);
    let mut messages = text.family("stmf_peer_messages", Kind::Counter, "", "Messages by type.");
    for count in &peer.messages {
        messages.sample(&[("type", &count.name), ("direction", "sent")], count.sent);
        messages.sample(&[("type", &count.name), ("direction", "received")], count.received);
    }
    let mut failed = text.family(
        "stmf_peer_messages_failed",
        Kind::Counter,
        "",
        "Messages that did not get through.",
    );
    failed.sample(&[("reason", "lost")], peer.lost);
    failed.sample(&[("reason", "dropped")], peer.dropped);
    failed.sample(&[("reason", "refused")], peer.refused);
}

/// Of the LUs that are listed.
fn ownership(text: &mut Exposition, alua: &AluaReport, status: &NodeStatus) {
    let listed = |lu: &&crate::framework::AluaLu| status.lus.binary_search_by_key(&lu.guid, |lu| lu.guid).is_ok();
    let lus: Vec<_> = alua.lus.iter().filter(listed).collect();
    let mut generations = text.family(
        "stmf_lu_generation",
        Kind::Gauge,
        "",
        "Ownership generation of this node's claim.",
    );
    for lu in &lus {
        if let Some(generation) = lu.generation {
            generations.sample(&[("lu", &lu.guid.to_string())], generation);
        }
    }
    let help = "Since the last renewal of the lease that protects a logical unit.";
    let mut leases = text.family("stmf_lu_lease_age_seconds", Kind::Gauge, "seconds", help);
    for lu in &lus {
        if let Some(age) = lu.lease_age {
            leases.sample(&[("lu", &lu.guid.to_string())], age.as_secs_f64());
        }
    }
    let mut moves = text.family("stmf_lu_transitions", Kind::Counter, "", "Changes of the access state.");
    for lu in &lus {
        moves.sample(&[("lu", &lu.guid.to_string())], lu.moves);
    }
    let mut times = text.family(
        "stmf_lu_transition_seconds",
        Kind::Counter,
        "seconds",
        "Time in transition states.",
    );
    for lu in &lus {
        times.sample(&[("lu", &lu.guid.to_string())], lu.move_time.as_secs_f64());
    }
}

fn with(labels: &[(&'static str, String)], put: impl FnOnce(Labels<'_>)) {
    let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
    put(&labels);
}

fn seconds(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64()
}

const fn state(state: ObjectState) -> &'static str {
    STATES[state as usize]
}

const fn access(access: AccessState) -> &'static str {
    match access {
        AccessState::Active => ACCESSES[0],
        AccessState::Standby => ACCESSES[1],
        AccessState::TransitionToActive => ACCESSES[2],
        AccessState::TransitionToStandby => ACCESSES[3],
    }
}

#[cfg(test)]
#[path = "exposition_tests.rs"]
mod tests;
