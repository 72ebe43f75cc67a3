//! Initiators: one command per block at a time, through either node.

use crate::checker::Verdict;
use crate::link::WRITE_LIFE;
use crate::node::Task;
use crate::rules::Rule;
use crate::store::BLOCKS;
use crate::world::{Message, Op, World};
use std::time::Duration;
use stmf::types::AccessState;

/// How long a host waits: most give up before another node may take over, some do not.
const TIMEOUTS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

impl World {
    pub fn initiators(&mut self) -> Verdict {
        self.time_out();
        let block = self.rng.below(BLOCKS as u64) as usize;
        if self.rng.chance(60) {
            self.submit_if_free(block);
        }
        if self.rng.chance(2) {
            self.reserve();
        }
        Ok(())
    }

    /// A node is in the middle of its work, and its hosts are patient.
    pub fn busy(&mut self, n: usize) -> Verdict {
        (0..BLOCKS).for_each(|block| self.submit_if_free(block));
        let gives_up = self.now + TIMEOUTS[1];
        self.ops.values_mut().for_each(|op| op.gives_up = gives_up);
        self.run_tasks(n)
    }

    fn submit_if_free(&mut self, block: usize) {
        if self.ops.values().all(|op| op.block != block) {
            self.submit(block);
        }
    }

    fn submit(&mut self, block: usize) {
        let n = self.rng.node();
        if !self.nodes[n].up {
            return;
        }
        let id = self.next_value;
        self.next_value += 1;
        let write = self.rng.chance(50).then_some(id);
        let (mut proof, mut broken_off) = (None, false);
        match self.nodes[n].access() {
            Some(AccessState::Active) => {
                let durable = self.rng.chance(30);
                let due = self.now + self.access_time();
                self.nodes[n].tasks.push(Task {
                    op: id,
                    block,
                    write,
                    durable,
                    started: None,
                    start_by: None,
                    limit: None,
                    due,
                    landed: false,
                    forwarded: false,
                });
            }
            // WRITE is refused with 02/04/0B, nothing happens.
            Some(AccessState::Standby) if write.is_none() && self.nodes[n].peer_up && self.nodes[n].enabled => {
                self.send(n, Message::Read { op: id, block });
            }
            Some(AccessState::Standby) if self.non_optimized && self.nodes[n].peer_up && self.nodes[n].enabled => {
                let Some(token) = self.nodes[n].peer_token else {
                    return self.count("refused");
                };
                let generation = self.nodes[n].peer_generation;
                let durable = self.rng.chance(30);
                let message = Message::Write {
                    op: id,
                    block,
                    durable,
                    generation,
                    token,
                };
                proof = Some(self.nodes[n].peer_token_at);
                // The daemon ends with the write in its hands; it may have sent it on.
                broken_off = !self.quiet && self.rng.chance(5);
                if !broken_off || self.rng.chance(50) {
                    self.send(n, message);
                }
            }
            _ => return self.count("refused"),
        }
        let (node, surprises) = (n, self.checker.surprises(block));
        let gives_up = self.now + TIMEOUTS[usize::from(self.rng.chance(30))];
        let op = Op {
            node,
            block,
            write,
            gives_up,
            surprises,
            proof,
            fails_at: None,
        };
        self.ops.insert(id, op);
        if broken_off {
            self.count("door call broken off");
            self.outlast(id);
        }
    }

    /// Some wait for a thread or the device, no longer than I/O may take.
    pub fn access_time(&mut self) -> Duration {
        let slow = if self.rng.chance(30) { 3_900 } else { 50 };
        self.rng.ms(slow)
    }

    /// Nobody will say what became of a command of this node.
    fn outlast(&mut self, id: u64) {
        let waits = !self.broken(Rule::OutcomeWaits);
        let (now, life) = (self.now, WRITE_LIFE + WRITE_LIFE / 10);
        if let Some(op) = self.ops.get_mut(&id) {
            op.fails_at = Some(op.proof.filter(|_| waits).map_or(now, |at| now.max(at + life)));
        }
    }

    /// The peer of this node is gone.
    pub fn outlast_all(&mut self, n: usize) {
        let forwarded = |(id, op): (&u64, &Op)| (op.node == n && op.proof.is_some()).then_some(*id);
        for id in self.ops.iter().filter_map(forwarded).collect::<Vec<_>>() {
            self.outlast(id);
        }
    }

    /// PERSISTENT RESERVE OUT without APTPL: memory of the active node.
    fn reserve(&mut self) {
        let (n, state) = (self.rng.node(), self.rng.below(1_000));
        if self.nodes[n].up && self.nodes[n].active() && self.may_touch(n) {
            let unit = self.nodes[n].unit.as_mut().expect("Active");
            unit.reservation = state;
            self.checker.reservation = Some(state);
        }
    }

    /// The host gives up, ABORT TASK on its node; or it hears that the path is gone.
    fn time_out(&mut self) {
        let now = self.now;
        let old: Vec<u64> = self
            .ops
            .iter()
            .filter(|(_, op)| now > op.gives_up || op.fails_at.is_some_and(|at| now >= at))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            let op = self.ops.remove(&id).expect("just listed");
            if op.fails_at.is_some() {
                self.count("outcome waited");
            }
            // In a pause what was begun goes on; the rest hears of the end of its session before it begins.
            let paused = now < self.nodes[op.node].frozen_until;
            let goes_on = |task: &Task| paused && task.started.is_some();
            self.nodes[op.node].tasks.retain(|task| task.op != id || goes_on(task));
            if let Some(value) = op.write {
                self.checker.uncertain(op.block, value);
            }
            self.count("command timed out");
        }
    }

    pub fn end_op(&mut self, id: u64) {
        self.ops.remove(&id);
    }

    /// A task ends without a result that its host could rely on.
    pub fn no_answer(&mut self, task: &Task) {
        if task.forwarded {
            // Its host gives up in the end.
            return;
        }
        if let (Some(value), Some(_)) = (task.write, self.ops.remove(&task.op)) {
            self.checker.uncertain(task.block, value);
        }
    }

    pub fn answer_read(&mut self, n: usize, task: &Task, value: u64) -> Verdict {
        if task.forwarded {
            let (op, value) = (task.op, Some(value));
            self.send(n, Message::ReadReply { op, value });
            return Ok(());
        }
        self.read_ends(task.op, Some(value))
    }

    /// The answer of a forwarded write.
    pub fn write_ends(&mut self, id: u64, done: bool) {
        let Some(op) = self.ops.remove(&id) else { return };
        match op.write {
            // Not durable, and its cache is gone since: it may be lost, like any.
            Some(value) if done && op.surprises != self.checker.surprises(op.block) => {
                self.checker.uncertain(op.block, value);
            }
            Some(value) if done => self.checker.acknowledged(op.block, value, false),
            _ => {}
        }
    }

    /// Answers of commands that ended before are dropped.
    pub fn read_ends(&mut self, id: u64, value: Option<u64>) -> Verdict {
        let Some(op) = self.ops.remove(&id) else { return Ok(()) };
        match value {
            Some(value) => self.checker.read(op.block, value, op.surprises),
            None => Ok(()),
        }
    }
}
