//! The page of the counts: shared memory, and the word that the kernel marks when its owner dies.

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::channel;

/// The whole content of the shared memory.
#[repr(C)]
pub(super) struct Page {
    pub begun: AtomicU64,
    pub ended: AtomicU64,
    /// Thread id of the owner's watchman; `FUTEX_OWNER_DIED` is set at its death.
    owner: AtomicU32,
}

const LENGTH: NonZeroUsize = NonZeroUsize::new(size_of::<Page>()).expect("not empty");

impl Page {
    pub const fn new() -> Page {
        Page {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            owner: AtomicU32::new(0),
        }
    }

    /// The process that has shared the page lives.
    pub fn owner_lives(&self) -> bool {
        let owner = self.owner.load(Ordering::SeqCst);
        owner != 0 && owner & libc::FUTEX_OWNER_DIED == 0
    }
}

/// The page in the memory of this process.
pub(super) struct Mapping(NonNull<Page>);

// SAFETY: a page is made of atomics, and the mapping stays until it is dropped.
unsafe impl Send for Mapping {}
// SAFETY: as before.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// For reading.
    pub fn of(descriptor: &OwnedFd) -> io::Result<Mapping> {
        let length = File::from(descriptor.try_clone()?).metadata()?.len();
        if length < size_of::<Page>() as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Mapping::with(descriptor, ProtFlags::PROT_READ)
    }

    fn with(descriptor: &OwnedFd, protection: ProtFlags) -> io::Result<Mapping> {
        // SAFETY: a new mapping at an address that the kernel chooses; its file is sealed against becoming shorter.
        let address = unsafe { mmap(None, LENGTH, protection, MapFlags::MAP_SHARED, descriptor, 0) }?;
        Ok(Mapping(address.cast()))
    }

    pub fn page(&self) -> &Page {
        // SAFETY: the mapping is as long as a page, aligned to one of the kernel's, and lives as long as `self`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nobody borrows from it any more.
        if let Err(error) = unsafe { munmap(self.0.cast(), size_of::<Page>()) } {
            log::error!("cannot unmap the counts of changes: {error}");
        }
    }
}

/// A page that this process owns.
pub(super) struct Shared {
    page: &'static Page,
    /// For reading.
    descriptor: OwnedFd,
}

impl Shared {
    pub fn page(&self) -> &'static Page {
        self.page
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Makes a page, and the thread whose death marks it.
pub(super) fn share() -> io::Result<Shared> {
    let memory = memfd_create(c"stmf-changes", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    nix::unistd::ftruncate(&memory, size_of::<Page>() as libc::off_t)?;
    let seals = nix::fcntl::SealFlag::F_SEAL_SHRINK | nix::fcntl::SealFlag::F_SEAL_GROW;
    nix::fcntl::fcntl(&memory, nix::fcntl::FcntlArg::F_ADD_SEALS(seals))?;
    let mapping = Mapping::with(&memory, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
    // Opened anew: a copy of the descriptor could be written through.
    let descriptor = File::open(format!("/proc/self/fd/{}", memory.as_raw_fd()))?.into();
    let page = Box::leak(Box::new(mapping)).page();
    let (sender, ready) = channel();
    let watch = move || {
        let held = hold(&page.owner);
        let holds = held.is_ok();
        // The starter waits for it.
        let _ = sender.send(held);
        if holds {
            loop {
                std::thread::park();
            }
        }
    };
    std::thread::Builder::new()
        .name("stmf-watchman".to_owned())
        .spawn(watch)?;
    ready.recv().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
    Ok(Shared { page, descriptor })
}

/// `struct robust_list` of the kernel, a ring.
#[repr(C)]
struct Entry {
    next: *const Entry,
}

/// `struct robust_list_head` of the kernel.
#[repr(C)]
struct Head {
    list: Entry,
    /// From an entry to its futex word.
    offset: libc::c_long,
    pending: *const Entry,
}

/// Makes this thread the owner of the word until it ends. It must use no robust mutex: the C library's list is replaced.
fn hold(word: &'static AtomicU32) -> io::Result<()> {
    let head = Box::leak(Box::new(Head {
        list: Entry { next: std::ptr::null() },
        offset: 0,
        pending: std::ptr::null(),
    }));
    let entry: &'static mut Entry = Box::leak(Box::new(Entry {
        next: &raw const head.list,
    }));
    head.offset = (word.as_ptr() as libc::c_long).wrapping_sub((&raw const *entry) as libc::c_long);
    head.list.next = entry;
    // SAFETY: gettid has no preconditions.
    let tid = unsafe { libc::gettid() };
    word.store(tid.unsigned_abs(), Ordering::SeqCst);
    // SAFETY: head and entry are never freed, and the word is mapped for ever.
    let done = unsafe { libc::syscall(libc::SYS_set_robust_list, &raw const *head, size_of::<Head>()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
