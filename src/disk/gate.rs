//! The fence of the owner (`alua-proxy.md` 6.6): medium access starts only while the lease is known to hold. Late renewal
//! makes tasks wait; loss of ownership ends them.
#![forbid(unsafe_code)]

use super::sys;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Until when the lease certainly holds, in boot time ns. Shared by all LUs of one lease.
#[derive(Debug)]
pub struct Validity(AtomicU64);

impl Validity {
    /// Expired until the first renewal.
    pub fn expired() -> Arc<Validity> {
        Arc::new(Validity(AtomicU64::new(0)))
    }

    /// For a store without an ownership record: its lock is all there is.
    pub fn forever() -> Arc<Validity> {
        Arc::new(Validity(AtomicU64::new(u64::MAX)))
    }

    /// A renewal succeeded.
    pub fn extend(&self, until: u64) {
        self.0.store(until, Ordering::Release);
    }

    /// Boot time ns until which it holds; the maximum: for ever.
    pub fn until(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Does the lease hold now?
    pub fn holds(&self) -> bool {
        let until = self.until();
        until == u64::MAX || sys::boottime_ns() < until
    }
}

/// Names a task: nexus and tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskKey {
    /// Session id.
    pub nexus: u64,
    /// Tag of the transport.
    pub tag: u64,
}

/// What an access hears from the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Open,
    /// The store is being given up, or is lost.
    Closed,
    /// The task was aborted while it waited.
    Aborted,
}

type Waiter = Box<dyn FnOnce(Verdict) + Send>;

/// The gate of one LU.
pub struct Gate {
    validity: Arc<Validity>,
    closed: AtomicBool,
    waiting: Mutex<Vec<(TaskKey, Waiter)>>,
    /// Long accesses, as long as somebody has their flags.
    watched: Mutex<Vec<(TaskKey, Weak<AtomicBool>)>>,
}

impl Gate {
    /// Open while `validity` holds.
    pub fn new(validity: Arc<Validity>) -> Gate {
        Gate {
            validity,
            closed: AtomicBool::new(false),
            waiting: Mutex::default(),
            watched: Mutex::default(),
        }
    }

    /// `None`: not now, [`Gate::wait`].
    pub fn check(&self) -> Option<Verdict> {
        if self.closed.load(Ordering::Acquire) {
            return Some(Verdict::Closed);
        }
        self.validity.holds().then_some(Verdict::Open)
    }

    /// Is this node certainly the owner still? Of a gate that was closed for a release, too.
    pub fn lease_holds(&self) -> bool {
        self.validity.holds()
    }

    /// Calls `waiter` when the gate opens or closes for good, or the task is aborted; possibly at once.
    pub fn wait(&self, key: TaskKey, waiter: Waiter) {
        let mut waiting = self.waiting.lock();
        // Under the lock, so that a renewal or close that happened since `check` is not missed.
        if let Some(verdict) = self.check() {
            drop(waiting);
            return waiter(verdict);
        }
        waiting.push((key, waiter));
    }

    /// The lease was renewed.
    pub fn renewed(&self) {
        if let Some(verdict) = self.check() {
            self.tell_all(verdict);
        }
    }

    /// No access begins any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.tell_all(Verdict::Closed);
    }

    /// A release failed; the LU goes on.
    pub fn reopen(&self) {
        self.closed.store(false, Ordering::Release);
    }

    /// A flag that is set when the task is aborted. The gate forgets it when it is dropped.
    pub fn watch(&self, key: TaskKey) -> Arc<AtomicBool> {
        let flag = Arc::new(AtomicBool::new(false));
        let mut watched = self.watched.lock();
        watched.retain(|(_, flag)| flag.strong_count() > 0);
        watched.push((key, Arc::downgrade(&flag)));
        flag
    }

    /// Ends the waiting of one task, and tells it if it is watched.
    pub fn abort(&self, key: TaskKey) {
        let flags = self.watched.lock();
        let of_task = flags.iter().filter(|(watched, _)| *watched == key);
        of_task
            .filter_map(|(_, flag)| flag.upgrade())
            .for_each(|flag| flag.store(true, Ordering::Release));
        drop(flags);
        let mut waiting = self.waiting.lock();
        let found = waiting.iter().position(|(k, _)| *k == key).map(|n| waiting.remove(n));
        drop(waiting);
        if let Some((_, waiter)) = found {
            waiter(Verdict::Aborted);
        }
    }

    fn tell_all(&self, verdict: Verdict) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(|(_, waiter)| waiter(verdict));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const KEY: TaskKey = TaskKey { nexus: 1, tag: 2 };

    #[test]
    fn waits_for_renewal_close_or_abort() {
        let validity = Validity::expired();
        let gate = Gate::new(Arc::clone(&validity));
        let (sender, receiver) = mpsc::channel();
        let wait = || {
            let sender = sender.clone();
            gate.wait(KEY, Box::new(move |verdict| sender.send(verdict).unwrap()));
        };
        assert_eq!(gate.check(), None);
        wait();
        gate.renewed();
        assert!(receiver.try_recv().is_err(), "still late");
        gate.abort(TaskKey { nexus: 1, tag: 3 });
        gate.abort(KEY);
        assert_eq!(receiver.try_recv(), Ok(Verdict::Aborted));
        wait();
        validity.extend(u64::MAX);
        gate.renewed();
        assert_eq!(receiver.try_recv(), Ok(Verdict::Open));
        validity.extend(0);
        wait();
        gate.close();
        assert_eq!(receiver.try_recv(), Ok(Verdict::Closed));
        wait();
        assert_eq!(receiver.try_recv(), Ok(Verdict::Closed), "at once");
    }

    #[test]
    fn a_watched_task_hears_of_its_abort() {
        let gate = Gate::new(Validity::forever());
        let (mine, other) = (gate.watch(KEY), gate.watch(TaskKey { nexus: 1, tag: 3 }));
        gate.abort(KEY);
        assert!(mine.load(Ordering::Acquire) && !other.load(Ordering::Acquire));
        drop((mine, other));
        let again = gate.watch(KEY);
        assert_eq!(gate.watched.lock().len(), 1, "nothing is kept");
        assert!(!again.load(Ordering::Acquire));
    }
}
