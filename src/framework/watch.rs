//! Threads that wait for descriptors may wait for one of somebody else too, so that what comes out of it is handled where it
//! is needed: a hand-over from one thread to another costs more than a command.

use std::cell::RefCell;
use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// Something that comes out of a descriptor.
pub trait Source: Send + Sync {
    /// What is to be watched for being readable.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// It is readable, or was a moment ago. Never waits. False: it is not to be watched any more.
    fn serve(&self) -> bool;
}

impl fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({:?})", self.descriptor())
    }
}

/// A thread that waits for descriptors.
pub trait Watcher: Send + Sync {
    /// From now on that thread watches the source, unless it ends or watches another one meanwhile: then it does not say so.
    /// Never waits.
    fn watch(&self, source: Arc<dyn Source>);
}

/// Something that may be done for several occasions at once.
pub trait Chore: Send + Sync {
    /// Never waits.
    fn perform(&self);
}

thread_local! {
    static OWN: RefCell<Option<Arc<dyn Watcher>>> = const { RefCell::new(None) };
    static LEFT: RefCell<Option<Arc<dyn Chore>>> = const { RefCell::new(None) };
}

/// The calling thread is this watcher's, and calls [`perform_left`] before it waits.
pub fn adopt(watcher: Arc<dyn Watcher>) {
    OWN.with(|own| *own.borrow_mut() = Some(watcher));
}

/// The watcher whose thread is calling.
pub fn own() -> Option<Arc<dyn Watcher>> {
    // While the thread ends there is none any more.
    OWN.try_with(|own| own.borrow().clone()).ok().flatten()
}

/// Leaves a chore to the calling thread, which performs it once before it waits, however often it is left. False: the thread is
/// no watcher's, or has another one left.
pub fn leave<C: Chore + 'static>(chore: &Arc<C>) -> bool {
    let is_watcher = OWN.try_with(|own| own.borrow().is_some()).unwrap_or(false);
    is_watcher
        && LEFT.with(|left| {
            let mut left = left.borrow_mut();
            let known = left.get_or_insert_with(|| chore.clone());
            std::ptr::addr_eq(Arc::as_ptr(known), Arc::as_ptr(chore))
        })
}

/// Performs what was left to the calling thread.
pub fn perform_left() {
    if let Some(chore) = LEFT.take() {
        chore.perform();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Counted(AtomicU32);

    impl Chore for Counted {
        fn perform(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Nobody;

    impl Watcher for Nobody {
        fn watch(&self, _: Arc<dyn Source>) {}
    }

    #[test]
    fn a_watcher_performs_once_what_was_left_often() {
        let chores = [Arc::new(Counted::default()), Arc::new(Counted::default())];
        let performed = || chores.each_ref().map(|chore| chore.0.load(Ordering::Relaxed));
        assert!(!leave(&chores[0]), "nobody would come to it");
        adopt(Arc::new(Nobody));
        for round in 1..3 {
            assert!(leave(&chores[0]) && leave(&chores[0]));
            assert!(!leave(&chores[1]), "one at a time");
            perform_left();
            perform_left();
            assert_eq!(performed(), [round, 0]);
        }
    }
}
