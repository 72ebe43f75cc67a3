//! [`Poller`] on epoll. Closing a descriptor ends its watch.

use super::{Event, Interest, Poller};
use nix::errno::Errno;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// Events taken by one wait.
const BATCH: usize = 128;

/// An epoll instance.
pub struct Epoll {
    inner: nix::sys::epoll::Epoll,
    ready: Vec<EpollEvent>,
}

impl Epoll {
    /// A new, empty one.
    pub fn new() -> io::Result<Epoll> {
        let inner = nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Epoll {
            inner,
            ready: vec![EpollEvent::empty(); BATCH],
        })
    }
}

impl Poller for Epoll {
    fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.inner.add(fd, EpollEvent::new(flags(interest), token))?)
    }

    fn change(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self.inner.modify(fd, &mut EpollEvent::new(flags(interest), token))?)
    }

    fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        Ok(self.inner.delete(fd)?)
    }

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            // Rounded up, so that a wait never ends just before its time and spins.
            Some(timeout) => {
                EpollTimeout::try_from(timeout.as_millis().min(60_000) as i32 + 1).unwrap_or(EpollTimeout::ZERO)
            }
        };
        let count = match self.inner.wait(&mut self.ready, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        events.extend(self.ready[..count].iter().map(|event| Event { token: event.data() }));
        Ok(())
    }
}

fn flags(interest: Interest) -> EpollFlags {
    let mut flags = EpollFlags::empty();
    flags.set(EpollFlags::EPOLLIN, interest.read);
    flags.set(EpollFlags::EPOLLOUT, interest.write);
    flags
}
