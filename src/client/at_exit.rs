//! The end of a process that has a framework of its own: every LU is flushed and given up, so that the next process finds
//! released files instead of those of a node that crashed, and need not wait for a lease to expire.
//!
//! A destructor of the library rather than an `atexit` function: it runs after those of the application, which may still
//! call in. A process that is killed or calls `_exit` counts as crashed, as it should.

use super::process::Process;
use std::panic::catch_unwind;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// An exit must not hang on a store that does not answer.
const LONGEST: Duration = Duration::from_secs(10);

#[used]
// SAFETY: the linker expects pointers to functions without arguments in this section.
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

extern "C" fn at_exit() {
    // A forked child has no state of its own before its first call; its parent's is not touched.
    let Some(service) = Process::existing().and_then(|process| process.link.embedded()) else {
        return;
    };
    let (done, stopped) = channel();
    // Threads are told apart from this one, which may be in a signal handler's `exit`. Not even a panic may leave here.
    let stop = move || {
        let ended = catch_unwind(std::panic::AssertUnwindSafe(|| service.stop()));
        let _ = done.send(ended.is_ok());
    };
    if thread::Builder::new().name("stmf-exit".to_owned()).spawn(stop).is_err() {
        return;
    }
    if stopped.recv_timeout(LONGEST) != Ok(true) {
        log::error!("LUs were not given up in time at the end of the process: their files count as those of a crash");
    }
}
