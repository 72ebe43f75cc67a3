//! The screen of `status`.

use super::snapshot::{Lu, Node, Snapshot};
use crate::cli::text::printable;
use crate::cli::{Console, document};

/// Longest alias that is shown whole, in characters.
const ALIAS_WIDTH: usize = 20;

/// In front of each screen of `--watch`: the time, or, on a terminal, a clean screen and the time.
pub fn heading(console: &mut Console<'_>) {
    if console.on_terminal() {
        console.text("\u{1b}[H\u{1b}[2J");
    }
    console.line(document::utc(document::now()).unwrap_or_default());
}

/// All of it.
pub fn show(snapshot: &Snapshot, console: &mut Console<'_>) {
    for node in &snapshot.nodes {
        console.line(node_line(node));
    }
    console.line("");
    let access = |state: &str| snapshot.lus.iter().filter(|lu| lu.access_here == Some(state)).count();
    let (active, standby) = (access("active"), access("standby"));
    let unloaded = snapshot.lus.iter().filter(|lu| lu.access_here.is_none()).count();
    console.line(format_args!(
        "LUs      {:5}   {active} active here, {standby} standby here, {} in transition, {unloaded} not loaded",
        snapshot.lus.len(),
        snapshot.lus.len() - active - standby - unloaded
    ));
    let own = || snapshot.targets.iter().filter(|target| !target.of_peer);
    console.line(format_args!(
        "Targets  {:5}   {} online, {} of the peer",
        snapshot.targets.len(),
        snapshot
            .targets
            .iter()
            .filter(|target| target.status == "online")
            .count(),
        snapshot.targets.len() - own().count()
    ));
    console.line(format_args!(
        "Sessions {:5}",
        own().map(|target| target.sessions).sum::<usize>()
    ));
    if !snapshot.lus.is_empty() {
        console.line("");
        table(&snapshot.lus, console);
    }
    if !snapshot.conditions.is_empty() {
        console.line("");
        conditions(snapshot, console);
    }
}

/// One line each.
pub fn conditions(snapshot: &Snapshot, console: &mut Console<'_>) {
    for condition in &snapshot.conditions {
        console.line(format_args!("! {}: {}", printable(&condition.object), condition.text));
    }
}

fn node_line(node: &Node) -> String {
    let number = node
        .node
        .map_or("node unknown".to_owned(), |node| format!("node {node}"));
    let name = node.host.as_deref().unwrap_or("peer");
    let who = if node.local { ", this node" } else { "" };
    let mut facts: Vec<String> = Vec::new();
    facts.extend(node.operational.map(str::to_owned));
    facts.extend(node.config.map(str::to_owned));
    facts.extend(
        node.alua_enabled
            .map(|on| format!("ALUA {}", if on { "enabled" } else { "disabled" })),
    );
    facts.extend(node.link.map(|link| {
        if link == "no-door" {
            "no stmfproxy".to_owned()
        } else {
            link.to_owned()
        }
    }));
    facts.extend(
        node.last_heard_ms
            .map(|ms| format!("heard {}.{} s ago", ms / 1000, ms % 1000 / 100)),
    );
    facts.extend(node.round_trip_us.map(|us| format!("round trip {us} us")));
    format!("{:<40} {}", format!("{name} ({number}{who})"), facts.join(", "))
}

fn table(lus: &[Lu], console: &mut Console<'_>) {
    let aliases: Vec<String> = lus.iter().map(|lu| alias(lu.alias.as_deref())).collect();
    let width = aliases
        .iter()
        .map(|alias| alias.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    console.line(format_args!(
        "{:<32}  {:<width$}  {:>6}  {:<17}  {:<8}  VIEWS",
        "LU", "ALIAS", "SIZE", "HERE", "PEER"
    ));
    for (lu, alias) in lus.iter().zip(aliases) {
        console.line(format_args!(
            "{:<32}  {alias:<width$}  {:>6}  {:<17}  {:<8}  {:>5}",
            lu.guid,
            lu.size.map_or("-".to_owned(), size),
            lu.access_here.unwrap_or("not loaded"),
            lu.access_peer.unwrap_or("-"),
            lu.view_entry_count
        ));
    }
}

/// An alias that is a path is told apart by its end.
fn alias(alias: Option<&str>) -> String {
    let text = printable(alias.unwrap_or("-"));
    let length = text.chars().count();
    if length <= ALIAS_WIDTH {
        return text;
    }
    let end: String = text.chars().skip(length - (ALIAS_WIDTH - 3)).collect();
    format!("...{end}")
}

/// `10G`, `1.5T`: one decimal, powers of 1024, rounded down.
pub fn size(bytes: u64) -> String {
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    while tenths >= 10240 && unit < 6 {
        tenths /= 1024;
        unit += 1;
    }
    let letter = ["B", "K", "M", "G", "T", "P", "E"][unit];
    match tenths % 10 {
        0 => format!("{}{letter}", tenths / 10),
        rest => format!("{}.{rest}{letter}", tenths / 10),
    }
}
