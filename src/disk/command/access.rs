//! Access to the store in steps that never block a caller: inline while the page cache can serve it, then on the pool;
//! every step passes the gate of the LU first.

use super::super::gate::{TaskKey, Verdict};
use super::super::lu::Lu;
use super::super::sys::Mode;
use crate::framework::{Done, Outcome};
use crate::scsi::{ScsiStatus, Sense};
use std::fs::File;
use std::sync::Arc;

/// What every access carries.
pub struct Task {
    pub lu: Arc<Lu>,
    pub key: TaskKey,
    pub done: Done,
}

/// How far a step came.
pub enum Step<A> {
    Done(Outcome),
    /// Go on with this on the pool.
    Pool(A),
}

/// An access under way.
pub trait Access: Send + Sized + 'static {
    /// Does what it can in `mode`.
    fn step(self, lu: &Lu, file: &File, mode: Mode) -> Step<Self>;
}

/// Runs `access` to its end, here as far as nothing blocks.
pub fn run<A: Access>(task: Task, access: A) {
    advance(task, access, Mode::NoWait);
}

fn advance<A: Access>(task: Task, access: A, mode: Mode) {
    let Task { lu, key, .. } = &task;
    match lu.gate().check() {
        Some(Verdict::Open) => {}
        Some(verdict) => return refuse(task, verdict),
        None => {
            let (lu, key) = (Arc::clone(lu), *key);
            return lu.gate().wait(
                key,
                Box::new(move |verdict| match verdict {
                    Verdict::Open => submit(task, access),
                    verdict => refuse(task, verdict),
                }),
            );
        }
    }
    let open = lu.medium().open();
    let Some(file) = open.as_deref() else {
        drop(open);
        return refuse(task, Verdict::Closed);
    };
    let step = access.step(lu, file, mode);
    // Before the outcome is told: nobody may see the task as ended while it holds the file open.
    drop(open);
    match step {
        Step::Done(outcome) => (task.done)(outcome),
        Step::Pool(access) => submit(task, access),
    }
}

fn submit<A: Access>(task: Task, access: A) {
    let lu = Arc::clone(&task.lu);
    lu.pool().submit(Box::new(move || advance(task, access, Mode::Wait)));
}

fn refuse(task: Task, verdict: Verdict) {
    (task.done)(match verdict {
        Verdict::Aborted => Outcome::status(ScsiStatus::TaskAborted),
        _ => Outcome::check(Sense::ALUA_TRANSITION),
    });
}
