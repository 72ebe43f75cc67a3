use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;

/// Starts a thread that receives no signal: those are the program's (ruling 17).
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let old = SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    old.thread_set_mask()?;
    thread.map(drop)
}
