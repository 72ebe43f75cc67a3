//! Leaving the terminal, and the signals that end the daemon or make it read its files again. Wraps fork(2), because nothing safe can.

use crate::{signals, systemd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, chdir, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};
use std::fs::OpenOptions;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;

/// The parent exits with 0 at once; the child returns as a session leader in `/`, umask 0, standard streams at the null
/// device (`cli.md` 6.2). To be called while the process has one thread.
pub fn daemonise() -> io::Result<()> {
    let fork_failed = |error| io::Error::other(format!("Could not fork(). Exiting ({error})"));
    // SAFETY: the process has one thread, so the child may go on as it likes.
    match unsafe { fork() }.map_err(fork_failed)? {
        ForkResult::Parent { .. } => std::process::exit(0),
        ForkResult::Child => {}
    }
    setsid()?;
    chdir("/")?;
    umask(Mode::empty());
    let null = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|error| io::Error::other(format!("Failed to open /dev/null. Exiting ({error})")))?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)?;
    Ok(())
}

/// What HUP does instead of ending the process.
pub type OnHangUp = OnceLock<Box<dyn Fn() + Send + Sync>>;

/// QUIT, INT, TERM and, as long as nothing else is set for it, HUP end the process with status 0; all other signals are
/// blocked. To be called before the first thread is started: threads inherit the mask.
pub fn handle_signals() -> io::Result<Arc<OnHangUp>> {
    SigSet::all().thread_block()?;
    let stop = signals::block_termination()?;
    let on_hang_up = Arc::new(OnHangUp::new());
    let hang_up = Arc::clone(&on_hang_up);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        loop {
            match stop.wait() {
                Ok(Signal::SIGHUP) if hang_up.get().is_some() => {
                    hang_up.get().iter().for_each(|reload| reload());
                    continue;
                }
                Ok(signal) => log::info!("stopping on {signal}"),
                Err(error) => log::error!("cannot wait for signals: {error}"),
            }
            systemd::notify("STOPPING=1");
            std::process::exit(0);
        }
    })?;
    Ok(on_hang_up)
}
