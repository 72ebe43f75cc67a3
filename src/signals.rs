//! Orderly stop: a daemon blocks the termination signals in every thread and waits for them in one place; a tool lets them
//! wait while it has something to undo.
#![forbid(unsafe_code)]

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::AsFd;

/// The termination signals QUIT, INT, TERM and HUP, blocked.
pub struct Termination {
    set: SigSet,
}

/// Blocks the termination signals in this thread and in all it starts. Call it before the first thread.
pub fn block_termination() -> nix::Result<Termination> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGQUIT, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(Termination { set })
}

impl Termination {
    /// Does one of them wait? A system that cannot tell says no: the signal is then heard after [`Termination::unblock`].
    pub fn pending(&self) -> bool {
        let Ok(signals) = SignalFd::with_flags(&self.set, SfdFlags::SFD_CLOEXEC) else {
            return false;
        };
        let mut waits = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        poll(&mut waits, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    /// Lets them through again. One that waits ends the process here.
    pub fn unblock(self) {
        if let Err(errno) = self.set.thread_unblock() {
            log::error!("termination signals stay blocked: {errno}");
        }
    }

    /// Waits for one of them.
    pub fn wait(&self) -> nix::Result<Signal> {
        loop {
            match self.set.wait() {
                Err(nix::errno::Errno::EINTR) => {}
                other => return other,
            }
        }
    }
}
