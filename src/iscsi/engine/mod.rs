//! How sockets are driven. [`Poller`] is the seam: the workers know nothing else of the engine (the choice is measured in
//! `docs/engine-experiment.md`).

mod epoll;
pub mod heap;
pub mod mailbox;
pub mod socket;
pub mod thread;

pub use epoll::Epoll;

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What a descriptor is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest {
    /// Something can be read.
    pub read: bool,
    /// Something can be written.
    pub write: bool,
}

/// A descriptor is ready (or in error, which shows at the next read or write).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The token it was watched under.
    pub token: u64,
}

/// Readiness of many descriptors, level-triggered.
pub trait Poller {
    /// Watches a descriptor under a token.
    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()>;
    /// Changes what it is watched for.
    fn change(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()>;
    /// Ends the watch of a descriptor that stays open.
    fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()>;
    /// Appends what is ready to `events`; waits until something is, or for `timeout`.
    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;
}
