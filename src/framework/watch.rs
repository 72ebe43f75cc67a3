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

thread_local!(static OWN: RefCell<Option<Arc<dyn Watcher>>> = const { RefCell::new(None) });

/// The calling thread is this watcher's.
pub fn adopt(watcher: Arc<dyn Watcher>) {
    OWN.with(|own| *own.borrow_mut() = Some(watcher));
}

/// The watcher whose thread is calling.
pub fn own() -> Option<Arc<dyn Watcher>> {
    // While the thread ends there is none any more.
    OWN.try_with(|own| own.borrow().clone()).ok().flatten()
}
