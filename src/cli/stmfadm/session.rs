//! `list-session`, which is new (`cli.md` 10.10): sessions with what they have read and written.

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::document::{set, utc};
use crate::cli::stmfadm::status::{Percentiles, ns};
use crate::cli::text::{common_failure, printable};
use crate::cli::{Console, Service, document};
use crate::framework::{IoTotals, PortStatus, SessionStatus};
use serde::Serialize;

/// An element of the data of `--json`.
#[derive(Serialize)]
struct Session {
    id: String,
    initiator: String,
    alias: Option<String>,
    target: String,
    /// It belongs to the peer, which forwards its commands.
    of_peer: bool,
    since: Option<String>,
    luns: usize,
    io: IoTotals,
    read_latency: Percentiles,
    write_latency: Percentiles,
}

impl Session {
    fn new(port: &PortStatus, session: &SessionStatus) -> Session {
        Session {
            id: format!("{:016x}", session.id),
            initiator: session.initiator.to_string(),
            alias: set(&session.alias).map(str::to_owned),
            target: port.devid.to_string(),
            of_peer: port.of_peer,
            since: utc(session.created),
            luns: session.luns,
            io: session.io.totals,
            read_latency: (&session.io.read_latency).into(),
            write_latency: (&session.io.write_latency).into(),
        }
    }
}

/// `list-session`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let status = service.node_status();
    if let Err(status) = status {
        console.fail(status, common_failure(status).unwrap_or("unknown error"));
    }
    let exit = u8::from(status.is_err());
    let ports = status.map(|status| status.ports).unwrap_or_default();
    let of_port = |port: &PortStatus| -> Vec<Session> {
        port.sessions
            .iter()
            .map(|session| Session::new(port, session))
            .collect()
    };
    let sessions: Vec<Session> = ports.iter().flat_map(of_port).collect();
    if invocation.has(JSON) {
        document::print("list-session", sessions, service, console);
    } else {
        sessions.iter().for_each(|it| show(it, invocation.has('v'), console));
    }
    exit
}

fn show(session: &Session, verbose: bool, console: &mut Console<'_>) {
    console.line(format_args!("Session: {}", session.id));
    let mut property = |label: &str, value: String| {
        console.line(format_args!("    {label:<18}: {}", printable(&value)));
    };
    property("Initiator", session.initiator.clone());
    property("Target", session.target.clone());
    property("Logged in since", session.since.clone().unwrap_or("-".to_owned()));
    property("LUs", session.luns.to_string());
    property("Reads", session.io.read_ops.to_string());
    property("Bytes Read", session.io.read_bytes.to_string());
    property("Writes", session.io.write_ops.to_string());
    property("Bytes Written", session.io.write_bytes.to_string());
    property("Errors", session.io.errors.to_string());
    if verbose {
        let times = |it: &Percentiles| {
            let [p50, p90, p99, max] = [it.p50_ns, it.p90_ns, it.p99_ns, it.max_ns].map(ns);
            format!("p50 {p50}, p90 {p90}, p99 {p99}, max {max} ms")
        };
        property("Alias", session.alias.clone().unwrap_or("-".to_owned()));
        property("Of the Peer", if session.of_peer { "yes" } else { "no" }.to_owned());
        property("Read Latency", times(&session.read_latency));
        property("Write Latency", times(&session.write_latency));
    }
}
