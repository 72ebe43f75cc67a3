//! The live tasks of an LU: what must be gone before its store may be closed (action KillTasks, `alua-proxy.md` 6.3).
//!
//! A task is *ready* (accepted, its data still on the way), then *executing* (it may touch the store), then *ended* (the
//! handler has called `done`; only its response is on the way). An abort of a ready task takes effect at once: it never
//! executes. An executing one is waited for. One that has still to wait for its turn (see `turns`) counts as executing.

use super::itl::Itl;
use super::turns::Turn;
use super::{Handler, Nexus, Outcome};
use crate::scsi::{ScsiStatus, Sense};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};

/// The handler has the task.
const EXECUTING: u8 = 1;
/// No response: aborted by a task management function, or the nexus or the LUN went away.
const ABORTED: u8 = 2;
/// The LU is given up in order; what completed in spite of it counts.
const HANDED_OVER: u8 = 4;
/// Ownership is lost; nothing that completes may be acknowledged.
const LOST: u8 = 8;
/// `done` was called.
const ENDED: u8 = 16;
/// Somebody waits for the end of execution.
const WAITED: u8 = 32;

/// Why a task is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// No response is wanted any more.
    Abort,
    /// Planned change of access state: 02/04/0A, unless the task still ends by itself.
    HandOver,
    /// Ownership is lost: 02/04/0A whatever the unit says.
    Lost,
}

/// Who has to hear that a task is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    /// The handler has it, unless it waits for its turn.
    Handler,
    /// It will never be executed, and holds up others.
    TaskSet,
}

/// What handles, the registry and the completion of one task share.
pub(super) struct TaskState {
    flags: AtomicU8,
    pub nexus: Arc<Nexus>,
    pub tag: u64,
    handler: Arc<dyn Handler>,
    /// Its place in the task set, if that has places.
    pub turn: Option<Turn>,
}

impl TaskState {
    pub fn new(nexus: Arc<Nexus>, tag: u64, handler: Arc<dyn Handler>, turn: Option<Turn>) -> TaskState {
        TaskState {
            flags: AtomicU8::new(0),
            nexus,
            tag,
            handler,
            turn,
        }
    }

    /// True when it may touch the store now.
    pub fn executing(&self) -> bool {
        self.flags.load(Ordering::Acquire) & (EXECUTING | ENDED) == EXECUTING
    }

    /// True while a response may still follow: executing, or ended and not yet removed.
    pub fn responding(&self) -> bool {
        self.flags.load(Ordering::Acquire) & (EXECUTING | ENDED) != 0
    }

    /// Marks the task as stopped, and says who has to be told ([`TaskState::tell`]).
    pub fn mark(&self, how: Stop) -> Option<Whom> {
        let flag = match how {
            Stop::Abort => ABORTED,
            Stop::HandOver => HANDED_OVER,
            Stop::Lost => LOST,
        };
        let before = self.flags.fetch_or(flag, Ordering::AcqRel);
        match before & (EXECUTING | ENDED) {
            _ if before & flag != 0 => None,
            EXECUTING => Some(Whom::Handler),
            0 if self.turn.is_some() => Some(Whom::TaskSet),
            _ => None,
        }
    }

    /// No lock of the framework is held: the handler may complete the task on this thread.
    pub fn tell(&self, whom: Whom) {
        match (whom, &self.turn) {
            (Whom::TaskSet, Some(turn)) => turn.leave(),
            (Whom::Handler, Some(turn)) if turn.withdraw() => {}
            _ => self.handler.abort(&self.nexus, self.tag),
        }
    }

    /// True once it was marked as stopped.
    pub fn stopped(&self) -> bool {
        self.flags.load(Ordering::Acquire) & (ABORTED | HANDED_OVER | LOST) != 0
    }

    pub fn handler(&self) -> &Arc<dyn Handler> {
        &self.handler
    }

    /// Marks that somebody waits; false when execution has ended already.
    pub fn wait(&self) -> bool {
        self.flags.fetch_or(WAITED, Ordering::AcqRel) & ENDED == 0
    }

    /// From ready to executing. `Err` with the outcome of a task that was stopped before.
    pub fn begin(&self) -> Result<Arc<dyn Handler>, Outcome> {
        let before = self.flags.fetch_or(EXECUTING, Ordering::AcqRel);
        if before & (ABORTED | HANDED_OVER | LOST) == 0 {
            return Ok(self.handler.clone());
        }
        self.flags.fetch_or(ENDED, Ordering::AcqRel);
        Err(stopped(before))
    }

    /// From executing back to ready. False when it was stopped meanwhile: it is to end.
    pub fn pause(&self) -> bool {
        const STOPPED: u8 = ABORTED | HANDED_OVER | LOST | WAITED;
        let ready = |flags: u8| (flags & STOPPED == 0).then_some(flags & !EXECUTING);
        self.flags
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, ready)
            .is_ok()
    }

    /// From executing to ended: the outcome that the port gets, and whether somebody waits.
    pub fn end(&self, outcome: Outcome) -> (Outcome, bool) {
        let before = self.flags.fetch_or(ENDED, Ordering::AcqRel);
        let stop = before & (ABORTED | HANDED_OVER | LOST);
        let replace = stop & (ABORTED | LOST) != 0 || (stop != 0 && outcome.status == ScsiStatus::TaskAborted);
        let outcome = if replace { stopped(before) } else { outcome };
        (outcome, before & WAITED != 0)
    }
}

fn stopped(flags: u8) -> Outcome {
    if flags & ABORTED != 0 {
        Outcome::status(ScsiStatus::TaskAborted)
    } else {
        Outcome::check(Sense::ALUA_TRANSITION)
    }
}

/// Membership of one task in its LU's set of live tasks; ends when dropped.
pub struct LiveTask {
    pub(super) itl: Arc<Itl>,
    pub(super) key: usize,
    pub(super) state: Arc<TaskState>,
}

impl LiveTask {
    pub(super) fn handle(&self) -> TaskHandle {
        TaskHandle {
            state: self.state.clone(),
        }
    }
}

impl Drop for LiveTask {
    fn drop(&mut self) {
        self.itl.remove(self.key);
        if let Some(turn) = &self.state.turn {
            turn.leave();
        }
    }
}

/// Names a live task, for aborting it.
#[derive(Clone)]
pub struct TaskHandle {
    state: Arc<TaskState>,
}

impl TaskHandle {
    /// ABORT TASK: the outcome is no longer wanted. `done` of the task is still called, with TASK ABORTED.
    pub fn abort(&self) {
        if let Some(whom) = self.state.mark(Stop::Abort) {
            self.state.tell(whom);
        }
    }

    /// True when no response may be sent any more: [`TaskHandle::abort`] was called, or a task management function, the
    /// loss of the LUN or of the nexus aborted the task. Tasks stopped by a change of access state are answered (02/04/0A).
    pub fn aborted(&self) -> bool {
        self.state.flags.load(Ordering::Acquire) & ABORTED != 0
    }
}

/// Runs its closure when the last holder drops it: "when all of these tasks are gone".
pub(super) struct Finale(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl Finale {
    pub fn new(last: impl FnOnce() + Send + 'static) -> Arc<Finale> {
        Arc::new(Finale(Mutex::new(Some(Box::new(last)))))
    }

    /// A finale to wait for.
    pub fn channel() -> (Arc<Finale>, Receiver<()>) {
        let (sender, receiver) = channel();
        // The receiver may have given up waiting.
        (
            Finale::new(move || {
                let _ = sender.send(());
            }),
            receiver,
        )
    }
}

impl Drop for Finale {
    fn drop(&mut self) {
        if let Some(last) = self.0.lock().take() {
            last();
        }
    }
}
