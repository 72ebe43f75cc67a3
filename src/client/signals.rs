//! Signals belong to the application: no thread of the library takes one, and no handler or mask of the application changes
//! (`libstmf-api.md` 1.5).
#![forbid(unsafe_code)]

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Blocks all signals in this thread, for the threads that are started meanwhile to inherit; dropping it restores the mask.
/// Faults of the program itself stay deliverable.
pub(super) struct SignalsBlocked {
    before: Option<SigSet>,
}

impl SignalsBlocked {
    pub(super) fn new() -> SignalsBlocked {
        let mut set = SigSet::all();
        for fault in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGTRAP,
        ] {
            set.remove(fault);
        }
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok();
        SignalsBlocked { before }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = before.thread_set_mask()
        {
            log::error!("cannot restore the signal mask: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_inherit_and_the_mask_comes_back() {
        let before = SigSet::thread_get_mask().unwrap();
        let blocked = SignalsBlocked::new();
        let inherited = std::thread::spawn(|| SigSet::thread_get_mask().unwrap())
            .join()
            .unwrap();
        assert!(inherited.contains(Signal::SIGTERM) && inherited.contains(Signal::SIGALRM));
        assert!(!inherited.contains(Signal::SIGSEGV));
        drop(blocked);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
