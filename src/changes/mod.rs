//! Lets the library answer from memory and be right: a service counts the changes of what callers are told about LUs, and
//! whoever sees the count knows whether an answer that he has is still true, without asking.
//!
//! Two counts, of changes that have begun and of changes that have ended, live in one page. [`Watch::quiet`] is asked before
//! the question and gives a stamp when no change is going on; the answer holds while no change has begun since and the service
//! lives ([`Watch::still`]). A change begins before any of its effects can be seen and ends after all of them can.
//!
//! `stmfd` keeps the page in shared memory ([`share`]) and hands out a descriptor for reading. A thread of it holds a word
//! of the page as a robust futex: the kernel marks the word when the process dies, before it closes its files, thus before
//! another `stmfd` can have the state directory. All services of a process share its counts: one of them is told of changes
//! of the others, which costs a question.

mod page;

use nix::fcntl::OFlag;
use page::{Mapping, Page};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

/// Before [`share`], and for ever in a process that does not.
static OWN: Page = Page::new();
static SHARED: OnceLock<page::Shared> = OnceLock::new();

fn counts() -> &'static Page {
    SHARED.get().map_or(&OWN, |shared| shared.page())
}

/// A change that is going on; it ends when this is dropped.
#[must_use]
pub struct Change(());

impl Change {
    /// To be called before the first effect.
    pub fn begin() -> Change {
        counts().begun.fetch_add(1, SeqCst);
        Change(())
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        counts().ended.fetch_add(1, SeqCst);
    }
}

/// For a program that serves others: moves the counts into shared memory. Must come before the first service of the process.
pub fn share() -> io::Result<()> {
    let shared = page::share()?;
    SHARED.set(shared).map_err(|_| io::ErrorKind::AlreadyExists.into())
}

/// The end of a service that has shared its counts: no answer of it holds any more.
pub fn end() {
    std::mem::forget(Change::begin());
}

/// What [`Watch::from_descriptor`] takes in another process.
pub fn descriptor() -> Option<BorrowedFd<'static>> {
    SHARED.get().map(page::Shared::descriptor)
}

/// The counts of a service, as a caller sees them.
pub struct Watch(Option<Mapping>);

/// A moment without changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(u64);

impl Watch {
    /// Of the services of this process.
    pub const fn own() -> Watch {
        Watch(None)
    }

    /// Of the process that has shared them.
    pub fn from_descriptor(descriptor: OwnedFd) -> io::Result<Watch> {
        // What can be written could be changed under the reader.
        let flags = nix::fcntl::fcntl(&descriptor, nix::fcntl::FcntlArg::F_GETFL)?;
        debug_assert_eq!(flags & libc::O_ACCMODE, OFlag::O_RDONLY.bits());
        Mapping::of(&descriptor).map(|mapping| Watch(Some(mapping)))
    }

    fn page(&self) -> &Page {
        self.0.as_ref().map_or_else(|| counts(), Mapping::page)
    }

    /// A stamp for an answer that is asked for after this; `None` while something changes, or the service has ended.
    pub fn quiet(&self) -> Option<Stamp> {
        let page = self.page();
        let ended = page.ended.load(SeqCst);
        let begun = page.begun.load(SeqCst);
        (begun == ended && self.alive()).then_some(Stamp(begun))
    }

    /// True when an answer with this stamp is true now.
    pub fn still(&self, stamp: Stamp) -> bool {
        self.page().begun.load(SeqCst) == stamp.0 && self.alive()
    }

    fn alive(&self) -> bool {
        self.0.as_ref().is_none_or(|mapping| mapping.page().owner_lives())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_ends_when_a_change_begins() {
        // Other tests change things at the same time.
        let page = Page::new();
        let quiet = |page: &Page| page.begun.load(SeqCst) == page.ended.load(SeqCst);
        assert!(quiet(&page) && !page.owner_lives());
        let watch = Watch::own();
        let change = Change::begin();
        assert_eq!(watch.quiet(), None);
        let stamp = Stamp(counts().begun.load(SeqCst));
        let second = Change::begin();
        assert!(!watch.still(stamp));
        drop((change, second));
        assert!(!watch.still(stamp));
    }
}
