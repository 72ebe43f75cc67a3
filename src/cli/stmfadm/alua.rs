//! `list-alua`, which is new: the pair as this node sees it (`alua-proxy.md` chapter 9).

mod json;

use crate::cli::command_line::{Invocation, JSON};
use crate::cli::text::{access_word, common_failure, printable};
use crate::cli::{Console, Service, document};
use crate::framework::{AluaLu, AluaPort, AluaReport, MirrorReport, Owner, PeerReport};
use std::fmt::Display;
use std::time::Duration;

/// `list-alua`.
pub fn list(invocation: &Invocation, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let report = service.alua_report();
    if let Err(status) = report {
        console.fail(status, common_failure(status).unwrap_or("unknown error"));
    }
    if invocation.has(JSON) {
        document::print(
            "list-alua",
            report.as_ref().ok().map(json::Alua::from),
            service,
            console,
        );
    } else if let Ok(report) = &report {
        show(report, invocation.has('v'), console);
    }
    u8::from(report.is_err())
}

fn show(report: &AluaReport, verbose: bool, console: &mut Console<'_>) {
    let mode = if report.enabled { "enabled" } else { "disabled" };
    console.line(format_args!("ALUA Status: {mode}"));
    property(console, "Node", report.node);
    peer(&report.peer, verbose, console);
    if verbose {
        mirror(&report.mirror, console);
    }
    report.ports.iter().for_each(|it| port(it, console));
    report.lus.iter().for_each(|it| lu(it, verbose, console));
}

fn property(console: &mut Console<'_>, label: &str, value: impl Display) {
    console.line(format_args!("    {label:<18}: {value}"));
}

fn peer(peer: &PeerReport, verbose: bool, console: &mut Console<'_>) {
    let state = match (peer.status.door, peer.status.reachable) {
        (false, _) => "no door",
        (true, true) => "reachable",
        (true, false) => "unreachable",
    };
    let state = console.state(state);
    console.line(format_args!("Peer: {state}"));
    property(
        console,
        "Kind",
        match peer.status.original {
            Some(true) => "original",
            Some(false) => "ours",
            None => "unknown",
        },
    );
    property(console, "Node", or_dash(peer.node));
    property(
        console,
        "Incarnation",
        or_dash(peer.incarnation.map(|it| format!("{it:016x}"))),
    );
    property(console, "Last Heard", ago(peer.silent));
    property(
        console,
        "Round Trip",
        or_dash(peer.round_trip.map(|it| format!("{} us", it.as_micros()))),
    );
    if !verbose {
        return;
    }
    property(console, "Reachable for", or_dash(peer.up.map(seconds)));
    property(console, "Reconnects", peer.reconnects);
    property(console, "Waiting to Send", peer.to_send);
    property(console, "Waiting to Handle", peer.to_handle);
    property(console, "Lost", peer.lost);
    property(console, "Dropped", peer.dropped);
    property(console, "Refused", peer.refused);
    for count in peer.messages.iter().filter(|count| count.sent + count.received > 0) {
        console.line(format_args!(
            "    {:<22}: {} sent, {} received",
            count.name, count.sent, count.received
        ));
    }
}

fn mirror(mirror: &MirrorReport, console: &mut Console<'_>) {
    console.line(format_args!("Mirroring: {}", if mirror.on { "on" } else { "off" }));
    property(
        console,
        "Nodes Alike",
        or_dash(mirror.alike.map(|alike| if alike { "yes" } else { "no" })),
    );
    property(console, "Waiting", mirror.waiting);
    property(console, "Applied", mirror.applied);
    property(console, "Refused", mirror.refused);
    property(console, "Lost", mirror.lost);
    property(console, "Last Trouble", crate::cli::text::or_dash(&mirror.trouble));
}

fn port(port: &AluaPort, console: &mut Console<'_>) {
    console.line(format_args!("Target: {}", printable(&port.devid.to_string())));
    property(console, "Relative Port Id", port.rtpid);
    property(console, "Node", if port.of_peer { "peer" } else { "this" });
    if !port.of_peer {
        property(console, "Accepted by Peer", if port.accepted { "yes" } else { "no" });
    }
}

fn lu(lu: &AluaLu, verbose: bool, console: &mut Console<'_>) {
    console.line(format_args!("LU Name: {}", lu.guid));
    property(console, "Access State", access_word(lu.access));
    property(
        console,
        "Owner",
        match lu.owner {
            Owner::Local => "this node",
            Owner::Peer => "peer",
            Owner::Unknown => "unknown",
        },
    );
    property(console, "Generation", or_dash(lu.generation));
    if !verbose {
        return;
    }
    property(console, "Lease Renewed", ago(lu.lease_age));
    property(console, "Moves", lu.moves);
    property(
        console,
        "Last Move",
        or_dash(lu.last_move.map(|it| format!("{} ms", it.as_millis()))),
    );
    property(
        console,
        "In Transition",
        format_args!("{} ms", lu.move_time.as_millis()),
    );
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn ago(time: Option<Duration>) -> String {
    or_dash(time.map(|time| format!("{} ago", seconds(time))))
}

#[cfg(test)]
mod tests {
    use crate::cli::script::{Script, ran, run};
    use crate::cli::stmfadm;
    use crate::framework::{AluaLu, AluaPort, AluaReport, MessageCount, MirrorReport, Owner, PeerReport, PeerStatus};
    use crate::service::AluaInfo;
    use crate::types::{AccessState, DevId, Status};
    use std::time::Duration;

    const GUID: &str = "600144F0C73ABF00000065A1B2C30001";
    const TARGET: &str = "iqn.2026-11.example:a";

    fn report() -> AluaReport {
        AluaReport {
            enabled: true,
            node: 1,
            peer: PeerReport {
                status: PeerStatus {
                    door: true,
                    reachable: true,
                    original: Some(false),
                    writes: true,
                },
                node: Some(0),
                incarnation: Some(0xabc),
                silent: Some(Duration::from_millis(340)),
                round_trip: Some(Duration::from_micros(215)),
                up: Some(Duration::from_secs(90)),
                reconnects: 2,
                messages: vec![MessageCount {
                    name: "ECHO_REPLY".to_owned(),
                    sent: 3,
                    received: 4,
                }],
                ..PeerReport::default()
            },
            ports: vec![AluaPort {
                devid: DevId::new(TARGET.as_bytes()).unwrap(),
                rtpid: 257,
                of_peer: false,
                accepted: true,
            }],
            lus: vec![AluaLu {
                guid: GUID.parse().unwrap(),
                access: AccessState::Active,
                owner: Owner::Local,
                generation: Some(7),
                lease_age: Some(Duration::from_millis(1500)),
                moves: 2,
                last_move: Some(Duration::from_millis(41)),
                move_time: Duration::from_millis(60),
                moving: None,
            }],
            mirror: MirrorReport {
                on: true,
                alike: Some(true),
                applied: 3,
                ..MirrorReport::default()
            },
        }
    }

    const SHORT: &str = "\
ALUA Status: enabled
    Node              : 1
Peer: reachable
    Kind              : ours
    Node              : 0
    Incarnation       : 0000000000000abc
    Last Heard        : 0.3 s ago
    Round Trip        : 215 us
Target: iqn.2026-11.example:a
    Relative Port Id  : 257
    Node              : this
    Accepted by Peer  : yes
LU Name: 600144F0C73ABF00000065A1B2C30001
    Access State      : Active
    Owner             : this node
    Generation        : 7
";

    #[test]
    fn both_layouts() {
        let script = || Script::new().ok("alua_report()", report());
        assert_eq!(run(stmfadm::run, "stmfadm list-alua", &script()), ran(0, SHORT, ""));
        let verbose = SHORT.replace(
            "215 us\n",
            "215 us\n    Reachable for     : 90.0 s\n    Reconnects        : 2\n    Waiting to Send   : 0\n    Waiting to Handle : 0\n    Lost              : 0\n    Dropped           : 0\n    Refused           : 0\n    ECHO_REPLY            : 3 sent, 4 received\nMirroring: on\n    Nodes Alike       : yes\n    Waiting           : 0\n    Applied           : 3\n    Refused           : 0\n    Lost              : 0\n    Last Trouble      : -\n",
        ) + "    Lease Renewed     : 1.5 s ago\n    Moves             : 2\n    Last Move         : 41 ms\n    In Transition     : 60 ms\n";
        assert_eq!(
            run(stmfadm::run, "stmfadm list-alua -v", &script()),
            ran(0, &verbose, "")
        );
    }

    #[test]
    fn as_a_document() {
        let node = AluaInfo { enabled: true, node: 1 };
        let script = Script::new().ok("alua_report()", report()).ok("alua()", node);
        let printed = run(stmfadm::run, "stmfadm list-alua --json", &script);
        assert_eq!((printed.status, printed.err.as_str()), (0, ""));
        let document: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
        let data = &document["data"];
        assert_eq!((&data["enabled"], &data["node"]), (&true.into(), &1.into()));
        assert_eq!(data["peer"]["incarnation"], "0000000000000abc");
        assert_eq!(
            data["peer"]["messages"][0],
            serde_json::json!({"type": "ECHO_REPLY", "sent": 3, "received": 4})
        );
        assert_eq!(data["targets"][0]["accepted"], true);
        assert_eq!(data["lus"][0]["transition_time_ms"], 60);
        assert_eq!(data["mirror"]["applied"], 3);
        let gone = Script::new()
            .fail("alua_report()", Status::ServiceNotFound)
            .fail("alua()", Status::ServiceNotFound);
        let printed = run(stmfadm::run, "stmfadm list-alua --json", &gone);
        assert_eq!(
            (printed.status, printed.err.as_str()),
            (1, "stmfadm: STMF service not found\n")
        );
        assert!(printed.out.contains("\"data\":null"), "{}", printed.out);
    }

    #[test]
    fn without_a_peer_and_without_a_service() {
        let nothing = AluaReport {
            enabled: false,
            node: 0,
            peer: PeerReport::default(),
            ports: Vec::new(),
            lus: Vec::new(),
            mirror: MirrorReport::default(),
        };
        let script = Script::new().ok("alua_report()", nothing);
        let expected = "ALUA Status: disabled\n    Node              : 0\nPeer: no door\n    Kind              : unknown\n    Node              : -\n    Incarnation       : -\n    Last Heard        : -\n    Round Trip        : -\n";
        assert_eq!(run(stmfadm::run, "stmfadm list-alua", &script), ran(0, expected, ""));
        let gone = Script::new().fail("alua_report()", Status::ServiceNotFound);
        let line = "stmfadm: STMF service not found\n";
        assert_eq!(run(stmfadm::run, "stmfadm list-alua", &gone), ran(1, "", line));
    }
}
