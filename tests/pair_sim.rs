//! Two nodes built from the pure ALUA cores, with a shared store, a bad channel, a model clock, crashes and operators
//! who get the order wrong: invariants I1 to I5 of `alua-proxy.md` 6.7 hold, and each broken rule is noticed.
//!
//! `STMF_SIM_SEED` starts with another seed (a failure prints its own), `STMF_SIM_STEPS` sets the steps (default 1,000,000), `STMF_SIM_RULE`
//! breaks only rules with this in their name.
#![forbid(unsafe_code)]

#[path = "pair_sim/checker.rs"]
mod checker;
#[path = "pair_sim/claim.rs"]
mod claim;
#[path = "pair_sim/host.rs"]
mod host;
#[path = "pair_sim/link.rs"]
mod link;
#[path = "pair_sim/node.rs"]
mod node;
#[path = "pair_sim/operator.rs"]
mod operator;
#[path = "pair_sim/rng.rs"]
mod rng;
#[path = "pair_sim/rules.rs"]
mod rules;
#[path = "pair_sim/shell.rs"]
mod shell;
#[path = "pair_sim/store.rs"]
mod store;
#[path = "pair_sim/world.rs"]
mod world;

use rules::Rule;
use std::collections::BTreeMap;
use world::World;

const STEPS_PER_LIFE: u64 = 10_000;

/// What a run must have met to mean anything.
const MUST_HAPPEN: &[&str] = &[
    "answer waited",
    "claim refused",
    "claimed what the peer gave up",
    "claim watched",
    "command timed out",
    "crash",
    "cut off alive",
    "deleted",
    "disabled",
    "disk stall",
    "door call broken off",
    "door replaced",
    "enabled both",
    "fenced",
    "flush failed",
    "forwarded write",
    "import in any order",
    "imported",
    "imported on both",
    "isolated",
    "late write refused",
    "load failed",
    "lock lost",
    "lock refused",
    "message delayed",
    "message lost",
    "message reordered",
    "message repeated",
    "node paused",
    "outcome waited",
    "ownership lost",
    "partition",
    "peer down",
    "planned failover",
    "refused",
    "released",
    "repeated write dropped",
    "restart",
    "settled",
    "standby in any order",
    "standby twice",
    "task aborted",
    "written in a pause",
];

fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

#[test]
fn two_nodes_hold_the_invariants() {
    let (first, steps) = (setting("STMF_SIM_SEED", 1), setting("STMF_SIM_STEPS", 1_000_000));
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut done, mut seed) = (0, first);
    while done < steps {
        let mut world = World::new(seed, None);
        if let Err(violation) = world.run(STEPS_PER_LIFE.min(steps - done)) {
            panic!("STMF_SIM_SEED={seed}: {violation}\n{}", world.history());
        }
        for (what, count) in &world.counts {
            *counts.entry(what).or_default() += count;
        }
        let checked = [
            ("reads", world.checker.reads),
            ("writes", world.checker.writes),
            ("reservations kept", world.checker.reservations_kept),
        ];
        for (what, count) in checked {
            *counts.entry(what).or_default() += count;
        }
        (done, seed) = (done + STEPS_PER_LIFE, seed.wrapping_add(1));
    }
    println!("{counts:#?}");
    if steps >= 100_000 {
        let missing: Vec<_> = MUST_HAPPEN.iter().filter(|what| !counts.contains_key(*what)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
        assert!(
            counts["reads"] > 1_000 && counts["writes"] > 1_000 && counts["reservations kept"] > 10,
            "{counts:?}"
        );
    }
}

#[test]
fn each_broken_rule_is_noticed() {
    const LIVES: u64 = 300;
    let only = std::env::var("STMF_SIM_RULE").unwrap_or_default();
    let unnoticed: Vec<Rule> = Rule::ALL
        .into_iter()
        .filter(|rule| format!("{rule:?}").contains(&only))
        .filter(|&rule| {
            let first = rule.rare();
            let noticed = (first..first + LIVES).any(|seed| {
                let mut world = World::new(seed, Some(rule));
                let violation = world.run(STEPS_PER_LIFE).err();
                if let Some(violation) = &violation {
                    println!("{rule:?} broken, seed {seed}: {violation}\n{}", world.history());
                }
                violation.is_some()
            });
            !noticed
        })
        .collect();
    assert!(
        unnoticed.is_empty(),
        "nobody notices when these are broken: {unnoticed:?}"
    );
}
