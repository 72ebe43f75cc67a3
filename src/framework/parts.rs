//! Commands that move more than is to be held at a time: they are executed in parts, one after the other, and the LU executes
//! each like a command of its own. Between two parts a task is as before the first: ready, its data on the way, and an abort
//! ends it at once.

use super::io::Running;
use super::live::LiveTask;
use super::{Outcome, ReadyTask, Start, Task, routing};
use crate::scsi::{ScsiStatus, Sense};

/// What such a command moves, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    length: u32,
    part: u32,
    implied: u64,
    from_host: bool,
    done: u32,
}

impl Parts {
    /// `length` bytes, more than the `part` that is moved at a time; `implied` is [`Outcome::implied`] of the whole command.
    pub fn new(length: u32, part: u32, implied: u64, from_host: bool) -> Parts {
        Parts {
            length,
            part,
            implied,
            from_host,
            done: 0,
        }
    }

    /// Bytes of the next part.
    fn next(&self) -> u32 {
        self.part.min(self.length - self.done)
    }

    /// Bytes that the host sends for it.
    pub(super) fn want(&self) -> u32 {
        if self.from_host { self.next() } else { 0 }
    }

    /// When the next part has ended; `None`: it is the last.
    fn after(self) -> Option<Parts> {
        let done = self.done + self.next();
        (done < self.length).then_some(Parts { done, ..self })
    }
}

/// How a part ended.
pub enum PartEnd {
    /// The command has ended. Its outcome, with the data of the last part.
    Ended(Outcome),
    /// There is more to be moved.
    More {
        /// Data for the host.
        data: Vec<u8>,
        /// To be gone on with.
        rest: Box<ReadyTask>,
    },
}

/// Receives it, as [`super::Done`] does an outcome.
pub type PartDone = Box<dyn FnOnce(PartEnd) + Send>;

pub(super) fn execute(ready: ReadyTask, data: Vec<u8>, done: PartDone) {
    let Some(parts) = ready.parts else {
        return routing::execute(ready, data, Box::new(move |outcome| done(PartEnd::Ended(outcome))));
    };
    let ReadyTask { task, want, live, .. } = ready;
    let handler = match live.state.begin() {
        Ok(handler) => handler,
        Err(outcome) => return done(PartEnd::Ended(outcome)),
    };
    let state = live.state.clone();
    let mut part = Part {
        io: Running::begin(task.cdb.opcode()),
        task,
        parts,
        live: Some(live),
        done: Some(done),
    };
    if data.len() != want as usize {
        log::error!("{} bytes came for a part where {want} were wanted", data.len());
        return part.end(Outcome::check(Sense::INTERNAL_FAILURE), 0);
    }
    let stopped = || state.stopped();
    let whole = state.clone();
    let run = move || {
        if whole.stopped() {
            return part.end(Outcome::status(ScsiStatus::TaskAborted), 0);
        }
        if handler.reservation_conflict(&part.task) {
            return part.end(Outcome::status(ScsiStatus::ReservationConflict), 0);
        }
        let task = handler.part(&part.task, parts.done, parts.next());
        // What has changed since the part before counts: the size, write protect.
        match handler.start(&task) {
            Start::Execute { want } if want as usize == data.len() => {
                handler.execute(task, data, Box::new(move |outcome| part.finish(outcome)));
            }
            Start::Done(outcome) => part.end(outcome, 0),
            Start::Execute { .. } | Start::InParts(_) => part.end(Outcome::status(ScsiStatus::Busy), 0),
        }
    };
    match &state.turn {
        Some(turn) => turn.wait(stopped, Box::new(run)),
        None => run(),
    }
}

/// A part that is being executed.
struct Part {
    task: Task,
    /// Before it.
    parts: Parts,
    /// Until it has ended.
    live: Option<LiveTask>,
    io: Option<Running>,
    done: Option<PartDone>,
}

impl Part {
    fn finish(mut self, outcome: Outcome) {
        let good = outcome.status == ScsiStatus::Good;
        match self.parts.after() {
            Some(parts) if good => self.pause(parts, outcome),
            None if good => self.end(outcome, self.parts.implied),
            _ => self.end(outcome, 0),
        }
    }

    fn pause(mut self, parts: Parts, outcome: Outcome) {
        // An abort may have come meanwhile; then the rest is not for anybody.
        if !self.live.as_ref().is_some_and(|live| live.state.pause()) {
            return self.end(Outcome::status(ScsiStatus::TaskAborted), 0);
        }
        self.count(&outcome);
        if let (Some(live), Some(done)) = (self.live.take(), self.done.take()) {
            let rest = ReadyTask {
                task: self.task.clone(),
                want: parts.want(),
                live,
                parts: Some(parts),
            };
            done(PartEnd::More {
                data: outcome.data,
                rest: Box::new(rest),
            });
        }
    }

    /// `implied`: by the whole command.
    fn end(&mut self, outcome: Outcome, implied: u64) {
        let (Some(done), Some(live)) = (self.done.take(), &self.live) else {
            return;
        };
        let (mut outcome, waited) = live.state.end(outcome);
        self.count(&outcome);
        if waited {
            live.itl.ended(live.key);
        }
        outcome.implied = implied;
        done(PartEnd::Ended(outcome));
    }

    fn count(&self, outcome: &Outcome) {
        if let (Some(running), Some(live)) = (&self.io, &self.live) {
            live.itl.io().end(running, outcome);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.done.is_some() {
            log::error!("a part of a command was dropped by its handler");
            self.end(Outcome::check(Sense::INTERNAL_FAILURE), 0);
        }
    }
}
