//! Performs the actions of the machine: releases and tasks. Claims and renewals: `claim.rs`.

use crate::checker::Verdict;
use crate::node::{Cached, Import, Task};
use crate::rules::Rule;
use crate::world::{Message, World};
use std::time::Duration;
use stmf::framework::alua::machine::{Action, Event, LuState, step};
use stmf::framework::alua::ownership::Found;

/// I/O that takes longer is cancelled: shorter than what a claimant waits beyond the lease.
const IO_TIMEOUT: Duration = Duration::from_secs(4);

impl World {
    /// Feeds one event and performs what follows.
    pub fn feed(&mut self, n: usize, event: Event) -> Verdict {
        let node = &mut self.nodes[n];
        if matches!(event, Event::Import { .. } | Event::BootImport) && node.job.is_empty() {
            let boot = event == Event::BootImport;
            node.import = Some(Import {
                first: None,
                previous: None,
                boot,
            });
        }
        let transition = step(node.state, event);
        self.trace(format!(
            "{n}: {:?} + {event:?} -> {:?} {:?}",
            self.nodes[n].state, transition.next, transition.actions
        ));
        let node = &mut self.nodes[n];
        node.state = transition.next;
        if transition.reply.is_some() {
            node.last_reply = transition.reply;
        }
        transition
            .actions
            .into_iter()
            .try_for_each(|action| self.perform(n, action))
    }

    fn perform(&mut self, n: usize, action: Action) -> Verdict {
        match action {
            Action::Flush | Action::SaveReservations | Action::Release | Action::Claim | Action::Load => {
                let due = self.now + self.rng.ms(300);
                let node = &mut self.nodes[n];
                node.job.push_back(action);
                node.job_due = due;
            }
            Action::KillTasks if self.broken(Rule::KillTasks) => {}
            Action::KillTasks => self.kill_tasks(n)?,
            Action::CloseWithoutWriting if self.broken(Rule::CloseWhenLost) => {}
            Action::CloseWithoutWriting => self.close(n),
            Action::SendActive => {
                let recent = |at: Duration| self.now < at + Duration::from_secs(1);
                if !self.nodes[n].active_sent.is_some_and(recent) {
                    self.nodes[n].active_sent = Some(self.now);
                    self.announce(n);
                }
            }
            Action::SendRegister => self.announce(n),
            Action::SendDeregister => self.send(n, Message::Deregister),
            Action::SendGivenUp => self.send(n, Message::GivenUp(self.nodes[n].closed)),
            Action::MarkActive => (self.nodes[n].configured, self.nodes[n].marked) = (true, false),
            Action::MarkStandby => self.nodes[n].marked = true,
            Action::Remove => self.nodes[n].configured = false,
            Action::Register | Action::CreateStandby | Action::UpdatePath | Action::ResetInquiry => {}
            Action::UnitAttention(_) | Action::Log(_) => {}
        }
        Ok(())
    }

    fn announce(&mut self, n: usize) {
        if let Some(generation) = self.nodes[n].state.generation() {
            self.send(n, Message::Active(generation));
        }
    }

    /// Started I/O is waited for or cancelled; nothing of it happens later.
    fn kill_tasks(&mut self, n: usize) -> Verdict {
        for mut task in std::mem::take(&mut self.nodes[n].tasks) {
            if task.started.is_some() && !task.landed && !self.stalled(n) && self.rng.chance(50) {
                self.end_write(n, &mut task)?;
            }
            self.no_answer(&task);
            self.count("task aborted");
        }
        Ok(())
    }

    /// Drops the unit and whatever was only in its cache.
    pub fn close(&mut self, n: usize) {
        if let Some(unit) = self.nodes[n].unit.take() {
            self.nodes[n].closed = unit.claim.generation;
            self.checker.reservation = None;
        }
        self.store.unlock(n);
        self.forsake(n);
        for cached in &mut self.nodes[n].cache {
            *cached = cached.filter(|cached| !cached.dirty);
        }
    }

    /// What is only in the cache of this node will not come back: its power is off, or another node takes over. An
    /// acknowledged write that nobody made durable may be lost then, as with any volatile write cache.
    pub fn forsake(&mut self, n: usize) {
        for block in 0..self.nodes[n].cache.len() {
            let Some(cached) = &mut self.nodes[n].cache[block] else {
                continue;
            };
            if cached.dirty && !std::mem::replace(&mut cached.forsaken, true) {
                self.checker.cache_lost(block);
                self.count("cache lost");
            }
        }
    }

    /// True while this node may touch the store.
    pub fn may_touch(&self, n: usize) -> bool {
        let unit = self.nodes[n].unit.as_ref();
        unit.is_some_and(|unit| self.broken(Rule::Fence) || !unit.lost && unit.fence.may_start(self.now))
    }

    pub fn stalled(&self, n: usize) -> bool {
        self.now < self.nodes[n].stalled_until
    }

    // --- multi-step operations ---------------------------------------------------------------------------------------

    pub fn run_job(&mut self, n: usize) -> Verdict {
        if self.stalled(n) || self.now < self.nodes[n].job_due {
            return Ok(());
        }
        let Some(&action) = self.nodes[n].job.front() else {
            return Ok(());
        };
        self.nodes[n].job_due = self.now + self.rng.ms(300);
        match action {
            Action::Claim => self.claim(n),
            Action::Load => self.load(n),
            _ if self.nodes[n].unit.as_ref().is_some_and(|unit| unit.lost) => {
                self.nodes[n].job.clear();
                self.feed(n, Event::ReleaseFailed)
            }
            // Flushing is writing: it waits for the lease like every write.
            _ if !self.may_touch(n) => Ok(()),
            Action::Flush => self.flush(n),
            Action::SaveReservations => {
                let unit = self.nodes[n].unit.as_ref().expect("a release has an open unit");
                if !self.broken(Rule::SaveReservations) {
                    self.store.handover = Some((unit.claim.generation, unit.reservation));
                }
                self.nodes[n].job.pop_front();
                Ok(())
            }
            _ => self.release(n),
        }
    }

    fn flush(&mut self, n: usize) -> Verdict {
        if std::mem::take(&mut self.nodes[n].flush_fails) && !self.broken(Rule::FlushFailureKeepsActive) {
            self.count("flush failed");
            self.nodes[n].job.clear();
            return self.feed(n, Event::ReleaseFailed);
        }
        self.nodes[n].job.pop_front();
        let kept = self.broken(Rule::FlushBeforeRelease) || self.broken(Rule::FlushFailureKeepsActive);
        for block in 0..self.nodes[n].cache.len() {
            if !kept || self.rng.chance(50) {
                self.write_back(n, block)?;
            }
        }
        Ok(())
    }

    fn release(&mut self, n: usize) -> Verdict {
        let found = self.store.record();
        let unit = self.nodes[n].unit.as_ref().expect("a release has an open unit");
        let saved = self
            .store
            .handover
            .is_some_and(|(generation, _)| generation == unit.claim.generation);
        let Found::Valid(record) = found else {
            return Err("the record vanished".into());
        };
        self.nodes[n].job.clear();
        if !unit.claim.holds(&found) {
            return self.feed(n, Event::ReleaseFailed);
        }
        let planned = matches!(self.nodes[n].state, LuState::GivingUp { .. });
        self.store
            .write_record(&record.released(planned && (saved || self.broken(Rule::SaveReservations)), 0));
        self.store.unlock(n);
        self.nodes[n].unit = None;
        if !planned {
            self.checker.reservation = None;
        }
        for block in 0..self.nodes[n].cache.len() {
            if let Some(cached) = &mut self.nodes[n].cache[block] {
                cached.dirty = false;
            }
        }
        self.checker.handed_over();
        self.count("released");
        self.feed(n, Event::ReleaseOk)
    }

    // --- tasks -------------------------------------------------------------------------------------------------------

    pub fn run_tasks(&mut self, n: usize) -> Verdict {
        let mut tasks = std::mem::take(&mut self.nodes[n].tasks);
        if self.broken(Rule::WritesInOrder) {
            tasks.reverse();
        }
        // Reads wait for no write.
        if self.rng.chance(50) {
            tasks.sort_by_key(|task| task.write.is_some());
        }
        let mut waiting: Vec<Task> = Vec::new();
        for mut task in tasks {
            let before = |other: &Task| other.block == task.block && other.write.is_some();
            if task.write.is_some() && waiting.iter().any(before) && !self.broken(Rule::WritesInOrder) {
                waiting.push(task);
                continue;
            }
            if task.started.is_none() && task.start_by.is_some_and(|by| self.now >= by) {
                self.count("late write refused");
                self.send(
                    n,
                    Message::WriteReply {
                        op: task.op,
                        done: false,
                    },
                );
                continue;
            }
            let fenced = task.write.is_some() || !self.broken(Rule::FenceReads);
            if task.started.is_none() && (self.may_touch(n) || !fenced) {
                task.started = Some(self.now);
            }
            // What is cached can be read while the disk hangs.
            let stalled = self.stalled(n) && (task.write.is_some() || self.nodes[n].cache[task.block].is_none());
            match task.started {
                Some(at) if stalled && self.now >= at + IO_TIMEOUT => {
                    self.count("I/O cancelled");
                    self.no_answer(&task);
                }
                Some(_) if !stalled && self.now >= task.due => {
                    if !self.finish(n, &mut task)? {
                        waiting.push(task);
                    }
                }
                _ => waiting.push(task),
            }
        }
        self.nodes[n].tasks.extend(waiting);
        Ok(())
    }

    /// False: the answer is still to come.
    fn finish(&mut self, n: usize, task: &mut Task) -> Result<bool, String> {
        let Some(value) = task.write else {
            let value = self.cached(n, task.block);
            self.answer_read(n, task, value)?;
            return Ok(true);
        };
        if !task.landed {
            self.end_write(n, task)?;
        }
        if !self.may_touch(n) && !self.broken(Rule::AnswerAsOwner) {
            self.count("answer waited");
            return Ok(false);
        }
        if task.forwarded {
            // Acknowledged when the answer arrives.
            let (op, done) = (task.op, true);
            self.send(n, Message::WriteReply { op, done });
        } else if self.ops.contains_key(&task.op) {
            self.checker.acknowledged(task.block, value, task.durable);
            self.end_op(task.op);
        }
        Ok(true)
    }

    /// The I/O of a write ends.
    fn end_write(&mut self, n: usize, task: &mut Task) -> Verdict {
        let Some(value) = task.write else { return Ok(()) };
        task.landed = true;
        self.land(n, task)?;
        if self.ops.contains_key(&task.op) {
            self.checker.uncertain(task.block, value);
        } else if task.limit.is_none_or(|limit| task.started.is_some_and(|at| at < limit)) {
            self.checker.late(task.block, value);
        }
        Ok(())
    }

    /// The node is paused, its device is not: the writes that this has been given end.
    pub fn run_device(&mut self, n: usize) -> Verdict {
        let mut tasks = std::mem::take(&mut self.nodes[n].tasks);
        let under_way = |task: &Task| task.write.is_some() && task.durable && !task.landed;
        for task in tasks.iter_mut().filter(|task| under_way(task)) {
            if task.started.is_some() && !self.stalled(n) && self.now >= task.due {
                self.count("written in a pause");
                self.end_write(n, task)?;
            }
        }
        let cancelled = |task: &Task| under_way(task) && task.started.is_some_and(|at| self.now >= at + IO_TIMEOUT);
        let (cancelled, rest): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(cancelled);
        self.nodes[n].tasks = rest;
        for task in &cancelled {
            self.count("I/O cancelled");
            self.no_answer(task);
        }
        Ok(())
    }

    /// A write reaches the cache, or the store when it is a write through.
    fn land(&mut self, n: usize, task: &Task) -> Verdict {
        let Some(value) = task.write else { return Ok(()) };
        self.nodes[n].cache[task.block] = Some(Cached {
            value,
            dirty: true,
            forsaken: false,
        });
        if task.durable {
            self.write_back(n, task.block)
        } else {
            Ok(())
        }
    }

    fn cached(&mut self, n: usize, block: usize) -> u64 {
        let value = self.store.durable[block];
        self.nodes[n].cache[block]
            .get_or_insert(Cached {
                value,
                dirty: false,
                forsaken: false,
            })
            .value
    }

    /// One dirty block becomes durable. Invariant I1: nobody else has the store meanwhile.
    pub fn write_back(&mut self, n: usize, block: usize) -> Verdict {
        let Some(cached) = &mut self.nodes[n].cache[block] else {
            return Ok(());
        };
        if !std::mem::take(&mut cached.dirty) {
            return Ok(());
        }
        self.store.durable[block] = cached.value;
        let generation = self.nodes[n].unit.as_ref().map(|unit| unit.claim.generation);
        match &self.nodes[1 - n].unit {
            Some(other) if Some(other.claim.generation) > generation => Err(format!(
                "I1: node {n} writes block {block} after node {} claimed",
                1 - n
            )),
            _ => Ok(()),
        }
    }
}
