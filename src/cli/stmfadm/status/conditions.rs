//! What is worth a look (`cli.md` 10.2).

use super::snapshot::{Lu, Node, Target};
use crate::framework::{AluaReport, GroupKind, Owner};
use crate::types::{AccessState, GroupName};
use serde::Serialize;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// For programs; the same for the same kind of condition.
    pub code: &'static str,
    /// `warning` or `critical`.
    pub severity: &'static str,
    /// What it is about.
    pub object: String,
    /// For people.
    pub text: String,
}

impl Condition {
    fn new(code: &'static str, severity: &'static str, object: &str, text: impl Into<String>) -> Condition {
        Condition {
            code,
            severity,
            object: object.to_owned(),
            text: text.into(),
        }
    }

    /// The service or the peer is not there: another exit status of `--check`.
    pub fn down(&self) -> bool {
        matches!(self.code, "service-offline" | "peer-unreachable")
    }
}

/// All conditions, the nodes' first.
pub fn of(
    nodes: &[Node],
    lus: &[Lu],
    targets: &[Target],
    report: &AluaReport,
    empty: &[(GroupKind, GroupName)],
) -> Vec<Condition> {
    let mut found: Vec<Condition> = nodes.iter().filter_map(node).collect();
    found.extend(pair(nodes, report));
    found.extend(lus.iter().flat_map(|it| lu(it, report)));
    found.extend(
        targets
            .iter()
            .filter(|target| target.status == "offline")
            .map(|target| Condition::new("target-offline", "warning", &target.name, "target is offline")),
    );
    found.extend(empty.iter().map(|(kind, name)| {
        let kind = match kind {
            GroupKind::Host => "host group",
            GroupKind::Target => "target group",
        };
        let text = format!("a view entry names this {kind}, which has no members");
        Condition::new("group-empty", "warning", name.as_str(), text)
    }));
    found
}

fn pair(nodes: &[Node], report: &AluaReport) -> Vec<Condition> {
    let mut found = Vec::new();
    if let [here, peer] = nodes
        && here.node.is_some()
        && here.node == peer.node
    {
        let name = peer.host.as_deref().unwrap_or("peer");
        let text = "both nodes have the same ALUA node number";
        found.push(Condition::new("node-numbers-equal", "critical", name, text));
    }
    if report.mirror.on && report.mirror.alike == Some(false) {
        let text = "groups or view entries differ between the nodes, see stmfadm compare-peer";
        found.push(Condition::new("pair-differs", "warning", "mirror", text));
    }
    found
}

fn node(node: &Node) -> Option<Condition> {
    let host = node.host.as_deref().unwrap_or("peer");
    match (node.operational, node.link) {
        (Some(state), None | Some("reachable")) if state != "online" => Some(Condition::new(
            "service-offline",
            "critical",
            host,
            format!("service is {state}"),
        )),
        (_, Some(link)) if link != "reachable" => {
            let heard = match node.last_heard_ms {
                Some(ms) => format!("last heard {}.{} s ago", ms / 1000, ms % 1000 / 100),
                None => "never heard".to_owned(),
            };
            let why = if link == "no-door" {
                "no stmfproxy here"
            } else {
                "no answer"
            };
            Some(Condition::new(
                "peer-unreachable",
                "critical",
                host,
                format!("{why}, {heard}"),
            ))
        }
        _ => None,
    }
}

fn lu(lu: &Lu, report: &AluaReport) -> Option<Condition> {
    let alua = report.lus.iter().find(|it| it.guid.to_string() == lu.guid);
    let Some(alua) = alua else {
        let text = format!("{} view entries, not loaded on this node", lu.view_entry_count);
        return Some(Condition::new("lu-not-loaded", "warning", &lu.guid, text));
    };
    match alua.access {
        AccessState::TransitionToActive | AccessState::TransitionToStandby => {
            let text = format!("in transition: {}", lu.access_here.unwrap_or("unknown"));
            Some(Condition::new("lu-in-transition", "warning", &lu.guid, text))
        }
        AccessState::Active if lu.access_peer == Some("active") => {
            let text = "active on both nodes";
            Some(Condition::new("lu-active-twice", "critical", &lu.guid, text))
        }
        AccessState::Standby if alua.owner != Owner::Peer => {
            let text = "standby here, and the peer does not say that it is active there";
            Some(Condition::new("lu-active-nowhere", "critical", &lu.guid, text))
        }
        _ if lu.status != "online" => Some(Condition::new(
            "lu-offline",
            "warning",
            &lu.guid,
            format!("LU is {}", lu.status),
        )),
        _ => None,
    }
}
