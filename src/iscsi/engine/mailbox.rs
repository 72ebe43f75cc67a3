//! What other threads tell a worker. A worker's own posts, the common case of a command that ends inline, cost neither
//! lock nor wake-up.

use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// A queue with a wake-up, read by one thread.
pub struct Mailbox<T> {
    id: u64,
    mail: Mutex<Vec<T>>,
    wake: EventFd,
}

/// The reader's side of posts that the reader's own thread makes.
pub trait Local: Sized + 'static {
    /// The thread's own queue, with the id of the mailbox that it belongs to.
    fn with<R>(body: impl FnOnce(&RefCell<(u64, VecDeque<Self>)>) -> R) -> R;
}

impl<T: Local> Mailbox<T> {
    /// An empty one.
    pub fn new() -> io::Result<Mailbox<T>> {
        let wake = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Mailbox {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            mail: Mutex::new(Vec::new()),
            wake,
        })
    }

    /// Makes the calling thread the reader.
    pub fn adopt(&self) {
        T::with(|local| local.borrow_mut().0 = self.id);
    }

    /// Leaves a message. Never blocks.
    pub fn post(&self, message: T) {
        let foreign = T::with(|local| {
            let mut local = local.borrow_mut();
            if local.0 == self.id {
                local.1.push_back(message);
                None
            } else {
                Some(message)
            }
        });
        let Some(message) = foreign else { return };
        let first = {
            let mut mail = self.mail.lock();
            mail.push(message);
            mail.len() == 1
        };
        // The counter cannot overflow: the reader resets it, and only the first message of a batch adds to it.
        if first && let Err(error) = self.wake.write(1) {
            log::error!("waking a worker: {error}");
        }
    }

    /// The oldest of the reader's own posts.
    pub fn next_local(&self) -> Option<T> {
        T::with(|local| local.borrow_mut().1.pop_front())
    }

    /// What other threads have posted; to be called when [`Mailbox::wake`] is readable.
    pub fn take(&self) -> Vec<T> {
        // An error means that there is nothing to reset.
        let _ = self.wake.read();
        std::mem::take(&mut *self.mail.lock())
    }

    /// Readable while there is mail from other threads.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::sync::Arc;

    #[derive(Debug, PartialEq)]
    struct Number(u32);

    thread_local!(static OWN: RefCell<(u64, VecDeque<Number>)> = const { RefCell::new((0, VecDeque::new())) });

    impl Local for Number {
        fn with<R>(body: impl FnOnce(&RefCell<(u64, VecDeque<Number>)>) -> R) -> R {
            OWN.with(body)
        }
    }

    fn readable(mailbox: &Mailbox<Number>) -> bool {
        poll(&mut [PollFd::new(mailbox.wake(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn own_posts_wake_nobody_and_foreign_posts_do() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        mailbox.adopt();
        mailbox.post(Number(1));
        assert!(!readable(&mailbox));
        assert_eq!(mailbox.next_local(), Some(Number(1)));
        let other = mailbox.clone();
        std::thread::spawn(move || (2..5).for_each(|n| other.post(Number(n))))
            .join()
            .unwrap();
        assert!(readable(&mailbox));
        assert_eq!(mailbox.take(), [Number(2), Number(3), Number(4)]);
        assert!(!readable(&mailbox) && mailbox.next_local().is_none());
    }
}
