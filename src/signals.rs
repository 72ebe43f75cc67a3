//! Orderly stop: a daemon blocks the termination signals in every thread and waits for them in one place; a tool lets them
//! wait while it has something to undo.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

const TERMINATION: [Signal; 4] = [Signal::SIGQUIT, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// The termination signals QUIT, INT, TERM and HUP, blocked.
pub struct Termination {
    set: SigSet,
}

/// Blocks the termination signals in this thread and in all it starts. Call it before the first thread.
pub fn block_termination() -> nix::Result<Termination> {
    block(TERMINATION)
}

/// The same for a tool, which goes on ignoring what it was started to ignore (`nohup`, a job in the background of a script):
/// such a signal would wait while it is blocked, and be taken for an interrupt.
pub fn hold_termination() -> nix::Result<Termination> {
    block(TERMINATION.into_iter().filter(|signal| !is_ignored(*signal)))
}

fn block(signals: impl IntoIterator<Item = Signal>) -> nix::Result<Termination> {
    let set: SigSet = signals.into_iter().collect();
    set.thread_block()?;
    Ok(Termination { set })
}

fn is_ignored(signal: Signal) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action nothing changes; the present one goes to memory of its type.
    let told = unsafe { libc::sigaction(signal as libc::c_int, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroes are a valid value, and so is what the call writes.
    told == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
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
