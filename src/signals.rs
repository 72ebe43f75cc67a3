//! Orderly stop of a daemon: termination signals are blocked in every thread and waited for in one place.
#![forbid(unsafe_code)]

use nix::sys::signal::{SigSet, Signal};

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
