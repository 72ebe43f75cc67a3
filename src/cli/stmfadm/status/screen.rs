//! The screen of `status`.

use super::figures::{Percentiles, Rates, ms, ns, short, span};
use super::snapshot::{Lu, Node, Snapshot};
use crate::cli::Console;
use crate::cli::colour::Painted;
use crate::cli::text::printable;
use std::time::Duration;

/// Longest alias that is shown whole, in characters.
const ALIAS_WIDTH: usize = 20;

/// All of it. Rates are since the screen before, or since the start of the nodes.
pub fn show(snapshot: &Snapshot, before: Option<&Snapshot>, verbose: bool, console: &mut Console<'_>) {
    if snapshot.nodes.is_empty() {
        console.line("no peer: ALUA is disabled");
        return;
    }
    for node in &snapshot.nodes {
        let line = node_line(node, console);
        console.line(line);
    }
    console.line("");
    let access = |state: &str| snapshot.lus.iter().filter(|lu| lu.access_here == Some(state)).count();
    let (active, standby) = (access("active"), access("standby"));
    let unloaded = snapshot.lus.iter().filter(|lu| lu.access_here.is_none()).count();
    let on_peer = snapshot
        .lus
        .iter()
        .filter(|lu| lu.access_peer == Some("active"))
        .count();
    console.line(format_args!(
        "LUs      {:5}   {active} active here, {on_peer} active on peer, {standby} standby here, {} in transition, {unloaded} not loaded",
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
    let here: usize = own().map(|target| target.sessions).sum();
    let there = snapshot
        .nodes
        .iter()
        .filter(|node| !node.local)
        .filter_map(|node| node.sessions);
    let there = there
        .map(|sessions| format!(", {sessions} on peer"))
        .collect::<String>();
    console.line(format_args!("Sessions {here:5}   {here} here{there}"));
    let loads = Loads::new(snapshot, before);
    for node in &snapshot.nodes {
        let label = if node.local { "here" } else { "peer" };
        if let Some(line) = loads.node(node) {
            console.line(format_args!("I/O {label}       {line}"));
        }
    }
    if !snapshot.lus.is_empty() {
        console.line("");
        table(&snapshot.lus, &loads, console);
    }
    if verbose {
        latencies(snapshot, console);
        sessions(snapshot, before, console);
    }
    if !snapshot.conditions.is_empty() {
        console.line("");
        conditions(snapshot, console);
    }
}

/// What was counted since the screen before, by node.
struct Loads<'a> {
    now: &'a Snapshot,
    before: Option<&'a Snapshot>,
}

impl<'a> Loads<'a> {
    fn new(now: &'a Snapshot, before: Option<&'a Snapshot>) -> Loads<'a> {
        Loads { now, before }
    }

    /// The time that the counters of a node are of, and the node before it; without one it is since the start.
    fn time(&self, local: bool) -> (Duration, Option<&'a Node>) {
        let of = |snapshot: &'a Snapshot| snapshot.nodes.iter().find(|node| node.local == local);
        let uptime = of(self.now).map_or(Duration::ZERO, |node| node.uptime);
        // A node that was started anew counts from zero.
        let before = self
            .before
            .and_then(of)
            .filter(|node| !node.uptime.is_zero() && node.uptime <= uptime);
        (uptime - before.map_or(Duration::ZERO, |node| node.uptime), before)
    }

    fn node(&self, node: &Node) -> Option<String> {
        let (time, before) = self.time(node.local);
        let io = node.io?.since(&before.and_then(|before| before.io).unwrap_or_default());
        let rates = Rates::of(&io, time)?;
        Some(format!(
            "{} reads/s   {} writes/s   {} MB/s read   {} MB/s written   {} ms avg{}",
            short(rates.reads),
            short(rates.writes),
            short(rates.read_mb),
            short(rates.write_mb),
            ms(rates.ms),
            if before.is_some() { "" } else { "   (since start)" }
        ))
    }

    /// `at`: its place in the list, which was the same before unless LUs have come or gone.
    fn lu(&self, at: usize, lu: &Lu) -> Option<Rates> {
        let local = !lu.served_by_peer();
        let io = |lu: &Lu| if local { Some(lu.io) } else { lu.io_peer };
        let (time, node) = self.time(local);
        let before = self.before.filter(|_| node.is_some());
        let same = |other: &&Lu| other.guid == lu.guid;
        let before = before.map(|before| &before.lus);
        let before = before.and_then(|lus| lus.get(at).filter(same).or_else(|| lus.iter().find(same)));
        Rates::of(&io(lu)?.since(&before.and_then(io).unwrap_or_default()), time)
    }
}

fn latencies(snapshot: &Snapshot, console: &mut Console<'_>) {
    let measured: Vec<&Lu> = snapshot
        .lus
        .iter()
        .filter(|lu| lu.read_latency.max_ns.is_some() || lu.write_latency.max_ns.is_some())
        .collect();
    if measured.is_empty() {
        return;
    }
    console.line("");
    console.line(
        "LATENCY THROUGH THIS NODE (ms)    READ p50     p90     p99     max  WRITE p50     p90     p99     max  ERRORS",
    );
    for lu in measured {
        let columns = |it: &Percentiles| [it.p50_ns, it.p90_ns, it.p99_ns, it.max_ns].map(ns);
        let (read, write) = (columns(&lu.read_latency), columns(&lu.write_latency));
        console.line(format_args!(
            "{:<32}  {:>8}  {:>6}  {:>6}  {:>6}  {:>9}  {:>6}  {:>6}  {:>6}  {:>6}",
            lu.guid, read[0], read[1], read[2], read[3], write[0], write[1], write[2], write[3], lu.io.errors
        ));
    }
}

fn sessions(snapshot: &Snapshot, before: Option<&Snapshot>, console: &mut Console<'_>) {
    if snapshot.sessions.is_empty() {
        return;
    }
    console.line("");
    console.line("LUNS     r/s     w/s    MB/s      ms  INITIATOR -> TARGET");
    let (time, node) = Loads::new(snapshot, before).time(true);
    for (target, session) in &snapshot.sessions {
        let earlier = before.filter(|_| node.is_some()).map(|before| &before.sessions);
        let earlier = earlier.and_then(|all| all.iter().find(|(_, other)| other.id == session.id));
        let io = earlier.map(|(_, other)| other.io.totals).unwrap_or_default();
        let rates = Rates::of(&session.io.totals.since(&io), time).unwrap_or_default();
        console.line(format_args!(
            "{:>4}  {:>6}  {:>6}  {:>6}  {:>6}  {} -> {}",
            session.luns,
            short(rates.reads),
            short(rates.writes),
            short(rates.read_mb + rates.write_mb),
            ms(rates.ms),
            printable(&session.initiator.to_string()),
            printable(target)
        ));
    }
}

/// One line each.
pub fn conditions(snapshot: &Snapshot, console: &mut Console<'_>) {
    let paints = console.paints();
    for condition in &snapshot.conditions {
        let text = printable(&condition.text);
        let text = Painted::condition(&text, condition.severity == "critical", paints);
        console.line(format_args!("! {}: {text}", printable(&condition.object)));
    }
}

fn node_line(node: &Node, console: &Console<'_>) -> String {
    let number = node
        .node
        .map_or("node unknown".to_owned(), |node| format!("node {node}"));
    let name = node.host.as_deref().unwrap_or("peer");
    let who = if node.local { ", this node" } else { "" };
    let mut facts: Vec<String> = Vec::new();
    let state = |word: &str| console.state(word).to_string();
    facts.extend(node.operational.map(state));
    facts.extend(node.config.map(state));
    facts.extend(
        node.alua_enabled
            .map(|on| format!("ALUA {}", if on { "enabled" } else { "disabled" })),
    );
    facts.extend(node.link.map(|link| {
        if link == "no-door" {
            "no stmfproxy".to_owned()
        } else {
            state(link)
        }
    }));
    facts.extend(
        node.last_heard_ms
            .map(|ms| format!("heard {}.{} s ago", ms / 1000, ms % 1000 / 100)),
    );
    facts.extend(node.round_trip_us.map(|us| format!("round trip {us} us")));
    facts.extend(node.link_up_s.map(|up| format!("link up {}", span(up))));
    facts.extend(node.reconnects.map(|count| format!("{count} reconnects")));
    facts.extend(node.uptime_s.map(|up| format!("up {}", span(up))));
    facts.extend(
        node.age_ms
            .map(|ms| format!("as it said {}.{} s ago", ms / 1000, ms % 1000 / 100)),
    );
    format!("{:<40} {}", format!("{name} ({number}{who})"), facts.join(", "))
}

fn table(lus: &[Lu], loads: &Loads<'_>, console: &mut Console<'_>) {
    let aliases: Vec<String> = lus.iter().map(|lu| alias(lu.alias.as_deref())).collect();
    let width = aliases
        .iter()
        .map(|alias| alias.chars().count())
        .max()
        .unwrap_or(0)
        .max(5);
    let widest = |state: fn(&Lu) -> &'static str| lus.iter().map(|lu| state(lu).len()).max().unwrap_or(0).max(7);
    let (here, peer) = (widest(here), widest(there));
    console.line(format_args!(
        "{:<32}  {:<width$}  {:>6}  {:<here$}  {:<peer$}  VIEWS  SESS     r/s     w/s    MB/s      ms",
        "LU", "ALIAS", "SIZE", "HERE", "PEER"
    ));
    for (at, (lu, alias)) in lus.iter().zip(aliases).enumerate() {
        let rates = loads.lu(at, lu);
        console.line(format_args!(
            "{:<32}  {alias:<width$}  {:>6}  {}  {}  {:>5}  {:>4}  {:>6}  {:>6}  {:>6}  {:>6}",
            lu.guid,
            lu.size.map_or("-".to_owned(), size),
            console.state(&format!("{:<here$}", self::here(lu))),
            console.state(&format!("{:<peer$}", there(lu))),
            lu.view_entry_count,
            lu.sessions + lu.sessions_peer.unwrap_or(0),
            rates.map_or("-".to_owned(), |rates| short(rates.reads)),
            rates.map_or("-".to_owned(), |rates| short(rates.writes)),
            rates.map_or("-".to_owned(), |rates| short(rates.read_mb + rates.write_mb)),
            ms(rates.and_then(|rates| rates.ms))
        ));
    }
}

/// Access state on this node.
fn here(lu: &Lu) -> &'static str {
    lu.access_here.unwrap_or("not loaded")
}

/// Access state on the peer.
fn there(lu: &Lu) -> &'static str {
    lu.access_peer.unwrap_or("-")
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

/// `10G`, `1.5T`: one decimal at most, powers of 1024, the nearest.
pub fn size(bytes: u64) -> String {
    let (mut unit, mut one) = (0, 1_u128);
    let tenths = |one: u128| (u128::from(bytes) * 10 + one / 2) / one;
    while tenths(one) >= 10240 {
        one *= 1024;
        unit += 1;
    }
    let tenths = tenths(one);
    let letter = ["B", "K", "M", "G", "T", "P", "E"][unit];
    match tenths % 10 {
        0 => format!("{}{letter}", tenths / 10),
        rest => format!("{}.{rest}{letter}", tenths / 10),
    }
}
