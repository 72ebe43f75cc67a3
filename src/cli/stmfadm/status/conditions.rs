//! What is worth a look (`cli.md` 10.2).

use super::figures::span;
use super::snapshot::{Lu, Node, Target};
use crate::cli::document::{now, utc};
use crate::framework::{AluaReport, GroupKind, Owner};
use crate::types::{AccessState, GroupName, Guid};
use serde::Serialize;
use std::time::Duration;

/// A transition that takes longer is worth a look.
const TRANSITION: Duration = Duration::from_secs(30);

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
    /// RFC 3339; `None`: not known.
    pub since: Option<String>,
}

impl Condition {
    fn new(code: &'static str, severity: &'static str, object: &str, text: impl Into<String>) -> Condition {
        Condition {
            code,
            severity,
            object: object.to_owned(),
            text: text.into(),
            since: None,
        }
    }

    /// It has been so for this long.
    fn lasting(self, time: Option<Duration>) -> Condition {
        let begun = time.and_then(|time| utc(now().saturating_sub(time.as_secs())));
        Condition { since: begun, ..self }
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
            let condition = Condition::new("peer-unreachable", "critical", host, format!("{why}, {heard}"));
            Some(condition.lasting(node.last_heard_ms.map(Duration::from_millis)))
        }
        _ => None,
    }
}

fn lu(lu: &Lu, report: &AluaReport) -> Vec<Condition> {
    let full = lu.nearly_full.as_ref();
    let full = full.map(|text| Condition::new("store-nearly-full", "warning", &lu.guid, text.as_str()));
    access(lu, report).into_iter().chain(full).collect()
}

fn access(lu: &Lu, report: &AluaReport) -> Option<Condition> {
    // They are in the order of their GUIDs, and may be ten thousand.
    let guid: Option<Guid> = lu.guid.parse().ok();
    let at = guid.and_then(|guid| report.lus.binary_search_by_key(&guid, |it| it.guid).ok());
    let Some(alua) = at.map(|at| &report.lus[at]) else {
        let entries = if lu.view_entry_count == 1 { "entry" } else { "entries" };
        let text = format!("{} view {entries}, not loaded on this node", lu.view_entry_count);
        return Some(Condition::new("lu-not-loaded", "warning", &lu.guid, text));
    };
    match alua.access {
        AccessState::TransitionToActive | AccessState::TransitionToStandby => {
            let time = alua.moving.filter(|time| *time > TRANSITION)?;
            let here = lu.access_here.unwrap_or("unknown");
            let text = format!("in transition for {}: {here}", span(time.as_secs()));
            Some(Condition::new("lu-in-transition", "warning", &lu.guid, text).lasting(Some(time)))
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
