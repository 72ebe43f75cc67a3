//! Two nodes, a store, a channel, initiators, operators and faults, in model time.

use crate::checker::{Checker, Verdict};
use crate::link::Envelope;
use crate::node::Node;
use crate::operator::Plan;
use crate::rng::Rng;
use crate::rules::Rule;
use crate::store::{BLOCKS, Store};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use stmf::framework::PeerView;
use stmf::framework::alua::machine::{Event, LuState};
use stmf::framework::alua::ownership::Found;

pub use crate::link::Message;

const TRACE: usize = 80;
/// Steps between two checks that everything comes to rest (I3, I5).
const SETTLE_EVERY: u64 = 2_500;

/// An initiator's command under way.
pub struct Op {
    pub node: usize,
    pub block: usize,
    pub write: Option<u64>,
    /// Its host waits until then.
    pub gives_up: Duration,
    /// [`Checker::surprises`] when it began.
    pub surprises: u64,
    /// Of a forwarded write: the owner did not give out its token after this.
    pub proof: Option<Duration>,
    /// Nobody will say what became of it; its host hears at this moment that the path is gone.
    pub fails_at: Option<Duration>,
}

pub struct World {
    pub now: Duration,
    pub rng: Rng,
    pub nodes: [Node; 2],
    pub store: Store,
    pub channel: Vec<Envelope>,
    pub partitioned: bool,
    /// Access policy (7.7): writes through the node that does not own the LU.
    pub non_optimized: bool,
    pub ops: BTreeMap<u64, Op>,
    pub next_value: u64,
    pub checker: Checker,
    pub plan: Option<Plan>,
    /// No new faults and no operators: things come to rest.
    pub quiet: bool,
    pub counts: BTreeMap<&'static str, u64>,
    broken: Option<Rule>,
    trace: VecDeque<String>,
}

impl World {
    pub fn new(seed: u64, broken: Option<Rule>) -> World {
        let mut rng = Rng::new(seed);
        let (shared_locks, leases_in_directory, non_optimized) = (rng.chance(50), rng.chance(50), rng.chance(60));
        World {
            now: Duration::from_secs(1),
            rng,
            nodes: [Node::new(0), Node::new(1)],
            store: Store::new(shared_locks, leases_in_directory),
            channel: Vec::new(),
            partitioned: false,
            non_optimized,
            ops: BTreeMap::new(),
            next_value: 1,
            checker: Checker::new(),
            plan: None,
            quiet: false,
            counts: BTreeMap::new(),
            broken,
            trace: VecDeque::new(),
        }
    }

    pub fn broken(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }

    pub fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub fn trace(&mut self, text: String) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>9.3} {text}", self.now.as_secs_f64()));
    }

    /// The last events before a violation.
    pub fn history(&self) -> String {
        let Store {
            shared_locks,
            leases_in_directory,
            ..
        } = self.store;
        let world = format!("{shared_locks:?} shared locks, {leases_in_directory:?} leases in directory\n");
        self.trace.iter().fold(world, |text, line| text + line + "\n")
    }

    /// Runs and checks I1 and I2 after each step, I3 and I5 now and then.
    pub fn run(&mut self, steps: u64) -> Verdict {
        for step in 0..steps {
            self.step()?;
            if step % SETTLE_EVERY == SETTLE_EVERY - 1 {
                self.settle()?;
            }
        }
        Ok(())
    }

    pub fn step(&mut self) -> Verdict {
        self.now += self.rng.ms(150);
        self.deliver()?;
        for n in 0..2 {
            if self.now < self.nodes[n].frozen_until {
                self.run_device(n)?;
            } else if self.nodes[n].up {
                self.run_node(n)?;
            }
        }
        self.initiators()?;
        if !self.quiet {
            self.operators()?;
            self.faults()?;
        }
        self.follow_plan()?;
        self.one_writer()
    }

    /// What a node does by itself, beginning anywhere: after a pause, tasks may run before the renewal does.
    fn run_node(&mut self, n: usize) -> Verdict {
        let first = self.rng.below(4);
        for part in 0..4 {
            match (first + part) % 4 {
                0 => self.renew(n)?,
                1 => self.run_tasks(n)?,
                2 => self.background_write(n)?,
                _ => self.run_job(n)?,
            }
        }
        self.liveness(n)
    }

    /// Invariant I1.
    fn one_writer(&self) -> Verdict {
        let writable = |n: usize| self.nodes[n].up && self.may_touch(n);
        if writable(0) && writable(1) {
            return Err("I1: both nodes may write".into());
        }
        for (n, node) in self.nodes.iter().enumerate() {
            let open = node.unit.is_some() || self.broken(Rule::CloseWhenLost);
            if matches!(node.state, LuState::Active { .. }) && !open {
                return Err(format!("node {n} is Active without a store"));
            }
            if node.unit.is_some() && node.job.is_empty() && !node.state.store_open() && node.import.is_none() {
                return Err(format!("node {n} keeps the store open in {:?}", node.state));
            }
        }
        Ok(())
    }

    /// The page cache writes back when it likes, and what was queued goes out when a pause ends; the fence must hold it.
    fn background_write(&mut self, n: usize) -> Verdict {
        let loose = self.broken(Rule::FenceWriteback) && self.nodes[n].unit.is_some() && !self.may_touch(n);
        let now_and_then = self.may_touch(n) && self.rng.chance(5);
        if self.stalled(n) || !(loose || now_and_then) {
            return Ok(());
        }
        let block = self.rng.below(BLOCKS as u64) as usize;
        self.write_back(n, block)
    }

    pub fn peer_view(&self, n: usize) -> PeerView {
        let node = &self.nodes[n];
        PeerView {
            cold_start: false,
            reachable: node.peer_up,
            original: false,
            says: node.says,
            fenced: node.fenced,
            given_up: match self.store.record() {
                Found::Valid(record) if self.broken(Rule::GivenUpGeneration) => {
                    node.given_up.map(|_| record.generation)
                }
                _ => node.given_up,
            },
        }
    }

    // --- faults ------------------------------------------------------------------------------------------------------

    fn faults(&mut self) -> Verdict {
        let n = self.rng.node();
        match self.rng.below(1_500) {
            0..2 if self.nodes[n].up => self.crash(n),
            2..12 if !self.nodes[n].up && !matches!(self.plan, Some(Plan::Fenced(_))) => return self.restart(n),
            12..14 => {
                self.partitioned = true;
                self.count("partition");
            }
            14..22 => self.partitioned = false,
            22..25 => {
                self.nodes[n].stalled_until = self.now + self.rng.ms(40_000);
                self.count("disk stall");
            }
            25..28 => self.nodes[n].flush_fails = true,
            28..30 => self.nodes[n].load_fails = true,
            30..32 if self.store.lose_lock() => self.count("lock lost"),
            32..34 => {
                self.nodes[n].frozen_until = self.now + self.rng.ms(40_000);
                self.count("node paused");
            }
            34..38 if self.nodes[n].up => return self.replace_door(n),
            _ => {}
        }
        Ok(())
    }

    pub fn crash(&mut self, n: usize) {
        self.trace(format!("{n}: crash, plan {:?}", self.plan));
        self.count("crash");
        self.close(n);
        for task in std::mem::take(&mut self.nodes[n].tasks) {
            self.no_answer(&task);
        }
        let old = std::mem::replace(&mut self.nodes[n], Node::new(n as u8));
        self.nodes[n] = Node {
            up: false,
            incarnation: old.incarnation + 1,
            enabled: old.enabled,
            configured: old.configured,
            marked: old.marked,
            stalled_until: old.stalled_until,
            frozen_until: old.frozen_until,
            ..Node::new(n as u8)
        };
    }

    pub fn restart(&mut self, n: usize) -> Verdict {
        self.count("restart");
        self.nodes[n].up = true;
        self.nodes[n].heard_at = self.now;
        match (self.nodes[n].configured, self.nodes[n].marked) {
            (false, _) => Ok(()),
            (true, true) => self.feed(n, Event::BootStandby),
            (true, false) => self.feed(n, Event::BootImport),
        }
    }
}
