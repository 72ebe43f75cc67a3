//! Descriptors that belong to one process and must not live on in a child.
//!
//! The other end of such a socket learns of this process' death by its closing, so a child that kept a copy would keep
//! callers waiting for ever ("Doors belong to the process that made them, not to a child"). A handler that runs in the
//! child of each `fork` closes the copies. On `exec` they close by themselves.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// A standard mutex, since that one may be unlocked in a child while threads of the parent wait for it.
static TABLE: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());
/// Counts the forks on the way to this process.
static GENERATION: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The lock, while this thread is forking.
    static FORKING: Cell<Option<MutexGuard<'static, BTreeSet<RawFd>>>> = const { Cell::new(None) };
}

/// A descriptor that a child does not keep.
#[derive(Debug)]
pub struct Private {
    descriptor: Option<OwnedFd>,
    generation: u64,
}

/// While it lives no fork happens, so a descriptor made under it is adopted before a child could copy it. Nothing
/// [`Private`] may be dropped by the thread that holds it.
pub struct Guard(MutexGuard<'static, BTreeSet<RawFd>>);

/// Waits until no fork is under way and holds off the next one.
pub fn hold() -> Guard {
    static HANDLERS: Once = Once::new();
    HANDLERS.call_once(|| {
        // SAFETY: each handler does only what is allowed in a threaded process that forks.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    });
    Guard(table())
}

impl Guard {
    /// Makes a descriptor private to this process.
    pub fn adopt(&mut self, descriptor: OwnedFd) -> Private {
        self.0.insert(descriptor.as_raw_fd());
        Private {
            descriptor: Some(descriptor),
            generation: generation(),
        }
    }
}

/// A pair of sockets of which both ends are private to this process.
pub fn private_pair() -> io::Result<(Private, Private)> {
    let mut guard = hold();
    let (one, other) = super::sys::pair()?;
    Ok((guard.adopt(one), guard.adopt(other)))
}

/// A descriptor made by `make`, private to this process.
pub fn private(make: impl FnOnce() -> io::Result<OwnedFd>) -> io::Result<Private> {
    let mut guard = hold();
    Ok(guard.adopt(make()?))
}

/// Number of forks on the way to this process: differs between a process and its child.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

impl AsFd for Private {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_ref().expect("taken only when dropped").as_fd()
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let Some(descriptor) = self.descriptor.take() else {
            return;
        };
        if self.generation == generation() {
            // Closed under the lock: no fork in between, and the number cannot be adopted anew before it is taken out.
            let mut table = table();
            table.remove(&descriptor.as_raw_fd());
            drop(descriptor);
        } else {
            // The copy in this child is closed already.
            let _ = descriptor.into_raw_fd();
        }
    }
}

fn table() -> MutexGuard<'static, BTreeSet<RawFd>> {
    // The set is whole at every instant, whatever a thread that panicked was doing.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn before() {
    FORKING.set(Some(table()));
}

extern "C" fn in_parent() {
    drop(FORKING.take());
}

/// Only closes and counts: no memory is taken or given back, so it cannot wait for a lock of a thread that is gone.
extern "C" fn in_child() {
    let Some(mut table) = FORKING.take() else { return };
    for descriptor in table.iter() {
        // SAFETY: the table names descriptors of this module only; their owners see the new generation and let go.
        unsafe { libc::close(*descriptor) };
    }
    std::mem::forget(std::mem::take(&mut *table));
    super::process::forget();
    GENERATION.fetch_add(1, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_no_private_descriptor() {
        let (mine, other) = private_pair().unwrap();
        let kept = super::super::sys::pair().unwrap();
        let number = mine.as_fd().as_raw_fd();
        // SAFETY: the child only makes system calls and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as above.
            unsafe {
                let closed = libc::fcntl(number, libc::F_GETFD) == -1;
                let open = libc::fcntl(kept.0.as_raw_fd(), libc::F_GETFD) != -1;
                libc::_exit(i32::from(!(closed && open && generation() == 1)));
            }
        }
        let mut status = 0;
        // SAFETY: `status` is live.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
        assert!(!super::super::sys::is_hung_up(other.as_fd()));
        drop(mine);
        assert!(super::super::sys::is_hung_up(other.as_fd()));
    }
}
