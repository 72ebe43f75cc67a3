//! Access to the store in steps that never block a caller: inline while the page cache can serve it, then on the pool;
//! every step passes the gate of the LU first.

use super::super::gate::{TaskKey, Verdict};
use super::super::lu::Lu;
use super::super::range::Held;
use super::super::sys::{Mode, boottime_ns};
use crate::framework::{Done, Outcome};
use crate::scsi::{ScsiStatus, Sense};
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What every access carries.
pub struct Task {
    pub lu: Arc<Lu>,
    pub key: TaskKey,
    /// See [`super::Job`].
    pub start_by: Option<Duration>,
    /// See [`super::Job`].
    pub inline: Mode,
    /// Set when it is aborted; only of long accesses.
    pub stop: Option<Arc<AtomicBool>>,
    pub done: Done,
}

/// How far a step came.
pub enum Step<A> {
    Done(Outcome),
    /// Go on with this on the pool.
    Pool(A),
    /// The store is not needed any more, but the outcome comes later.
    Later(Box<dyn FnOnce(Done) + Send>),
}

/// An access under way.
pub trait Access: Send + Sized + 'static {
    /// It may take so long that an abort ends it between two steps, what is done being done.
    const LONG: bool = false;

    /// It leaves something behind that a successor in ownership might not find.
    const CHANGES: bool = true;

    /// Does what it can in `mode`.
    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self>;
}

/// Runs `access` to its end, here as far as nothing blocks.
pub fn run<A: Access>(task: Task, access: A) {
    let mode = task.inline;
    advance(task.watched::<A>(), access, mode);
}

/// As [`run`], with blocks locked against others meanwhile: from before the first step, when all data are there, to the
/// last one.
pub fn run_locked<A: Access>(task: Task, blocks: Range<u64>, access: A) {
    let mode = task.inline;
    let task = task.watched::<A>();
    match task.lu.locks().try_take(blocks) {
        Ok(held) => advance(task, Locked { access, held }, mode),
        Err(blocks) => {
            let locks = Arc::clone(task.lu.locks());
            // Always through the pool: whoever frees the range must not run what waited for it, or it would run those
            // who wait for that, and so on.
            locks.take(blocks, move |held| submit(task, Locked { access, held }));
        }
    }
}

impl Task {
    fn watched<A: Access>(mut self) -> Task {
        if A::LONG && self.stop.is_none() {
            self.stop = Some(self.lu.gate().watch(self.key));
        }
        self
    }

    fn stopped(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Acquire))
    }
}

struct Locked<A> {
    access: A,
    held: Held,
}

impl<A: Access> Access for Locked<A> {
    const CHANGES: bool = A::CHANGES;

    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self> {
        let Locked { access, held } = self;
        match access.step(lu, file, mode) {
            Step::Done(outcome) => Step::Done(outcome),
            Step::Pool(access) => Step::Pool(Locked { access, held }),
            Step::Later(then) => Step::Later(then),
        }
    }
}

fn advance<A: Access>(mut task: Task, access: A, mode: Mode) {
    if task
        .start_by
        .is_some_and(|by| u128::from(boottime_ns()) >= by.as_nanos())
    {
        return (task.done)(Outcome::status(ScsiStatus::Busy));
    }
    if task.stopped() {
        return refuse(task, access, Verdict::Aborted);
    }
    let Task { lu, key, .. } = &task;
    match lu.gate().check() {
        Some(Verdict::Open) => {}
        Some(verdict) => return refuse(task, access, verdict),
        None => {
            let (lu, key) = (Arc::clone(lu), *key);
            return lu.gate().wait(
                key,
                Box::new(move |verdict| match verdict {
                    Verdict::Open => submit(task, access),
                    verdict => refuse(task, access, verdict),
                }),
            );
        }
    }
    let open = lu.medium().open();
    let Some(file) = open.as_deref() else {
        drop(open);
        return refuse(task, access, Verdict::Closed);
    };
    let step = access.step(lu, file, mode);
    if mode == Mode::Wait {
        // Begun.
        task.start_by = None;
    }
    // Before the outcome is told: nobody may see the task as ended while it holds the file open.
    drop(open);
    match step {
        Step::Done(outcome) if A::CHANGES => answer(task, outcome),
        Step::Done(outcome) => (task.done)(outcome),
        Step::Pool(access) => submit(task, access),
        Step::Later(then) => then(Box::new(move |outcome| answer(task, outcome))),
    }
}

/// Tells the outcome of a change while the lease holds. After a lease that ran out meanwhile (the machine slept, the device
/// hung) another node may own the LU and not have the change: then it waits for the next renewal.
fn answer(task: Task, outcome: Outcome) {
    let Task { lu, key, .. } = &task;
    if lu.gate().lease_holds() {
        return (task.done)(outcome);
    }
    let (lu, key) = (Arc::clone(lu), *key);
    lu.gate().wait(
        key,
        Box::new(move |verdict| match verdict {
            Verdict::Open => (task.done)(outcome),
            verdict => refuse(task, (), verdict),
        }),
    );
}

fn submit<A: Access>(task: Task, access: A) {
    let lu = Arc::clone(&task.lu);
    lu.pool().submit(Box::new(move || advance(task, access, Mode::Wait)));
}

fn refuse<A>(task: Task, access: A, verdict: Verdict) {
    // Who hears of the end may take the blocks.
    drop(access);
    (task.done)(match verdict {
        Verdict::Aborted => Outcome::status(ScsiStatus::TaskAborted),
        _ => Outcome::check(Sense::ALUA_TRANSITION),
    });
}
