//! What this process holds: the link to its framework and its proxy door handles. A forked child starts with nothing: it
//! connects anew, an embedded volatile framework is a fresh one, and its parent's handles are not valid.
#![forbid(unsafe_code)]

use super::answers::Answers;
use super::handles::Handles;
use super::link::Link;
use super::telling::Telling;
use crate::logging;
use crate::service::{Request, Response};
use crate::types::{PersistMethod, Status};
use arc_swap::ArcSwapOption;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// State of one process.
pub(super) struct Process {
    pid: u32,
    pub(super) link: Link,
    pub(super) handles: Handles,
    /// Number of the process's own persist method, 0 for none.
    persist: AtomicU8,
    answers: Mutex<Answers>,
    /// Tools alone set it, which make one call at a time.
    telling: Mutex<Option<Telling>>,
}

// No lock guards this: one that another thread held at a fork would stay locked in the child for ever.
static CURRENT: ArcSwapOption<Process> = ArcSwapOption::const_empty();

impl Process {
    /// Sends one request, with the process's own persist method if it has one.
    pub(super) fn send(&self, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Response, Status> {
        let mut telling = self.telling();
        if let Some(telling) = telling.as_mut().filter(|_| descriptors.is_empty()) {
            return telling.send(self, request);
        }
        // Other threads call meanwhile.
        drop(telling);
        self.link.send(self.persist(), request, descriptors)
    }

    /// Set while this process wants to be told what its calls do.
    pub(super) fn telling(&self) -> MutexGuard<'_, Option<Telling>> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An answer that is remembered and still true, or a new one, which is remembered if nothing changes meanwhile.
    pub(super) fn remembered<T: Clone>(
        &self,
        recall: impl FnOnce(&Answers) -> Option<T>,
        ask: impl FnOnce() -> Result<T, Status>,
        keep: impl FnOnce(&mut Answers, T),
    ) -> Result<T, Status> {
        let Some(watch) = self.link.watch() else { return ask() };
        let answers = || self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers().valid(&watch).and_then(recall) {
            return Ok(answer);
        }
        let stamp = watch.quiet();
        let answer = ask()?;
        if let Some(stamp) = stamp {
            let mut answers = answers();
            answers.begin(&watch, stamp);
            keep(&mut answers, answer.clone());
        }
        Ok(answer)
    }

    /// The process's own persist method, if it ever set one.
    pub(super) fn persist(&self) -> Option<PersistMethod> {
        PersistMethod::from_number(self.persist.load(Ordering::Relaxed))
    }

    pub(super) fn set_persist(&self, method: Option<PersistMethod>) {
        self.persist.store(method.map_or(0, |m| m as u8), Ordering::Relaxed);
    }

    /// The state of the calling process, if it has called the library.
    pub(super) fn existing() -> Option<Arc<Process>> {
        CURRENT.load_full().filter(|process| process.pid == std::process::id())
    }

    /// The state of the calling process.
    pub(super) fn current() -> Arc<Process> {
        let pid = std::process::id();
        loop {
            let seen = CURRENT.load_full();
            match seen {
                Some(process) if process.pid == pid => return process,
                other => {
                    logging::init_library();
                    let fresh = Arc::new(Process {
                        pid,
                        link: Link::default(),
                        handles: Handles::default(),
                        answers: Mutex::default(),
                        telling: Mutex::default(),
                        // The one thing that a child keeps, as every other variable of the program.
                        persist: AtomicU8::new(other.as_ref().map_or(0, |p| p.persist.load(Ordering::Relaxed))),
                    });
                    let before = CURRENT.compare_and_swap(&other, Some(fresh));
                    let replaced = match (&*before, &other) {
                        (Some(before), Some(other)) => Arc::ptr_eq(before, other),
                        _ => false,
                    };
                    if replaced && let Some(parent) = other {
                        parent.link.abandon();
                        // Its destructors must not run here: they belong to the parent's files and threads.
                        std::mem::forget(parent);
                    }
                }
            }
        }
    }
}
