//! The system calls under [`super::memory`]: memory files that cannot change their size, mappings of them, sleeping at a word,
//! and asking the kernel whether memory may be touched.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::sys::{check, error, page_size};

/// What keeps a mapping whole whatever the other end does.
const SEALS: libc::c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// A memory file of `length` zero bytes for good.
pub fn sealed_file(length: usize) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    let made = check(unsafe { libc::memfd_create(c"door".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) })?;
    // SAFETY: the kernel just made the descriptor for us.
    let file = unsafe { OwnedFd::from_raw_fd(made) };
    let length = length.try_into().map_err(|_| error(libc::EFBIG))?;
    // SAFETY: no pointers.
    check(unsafe { libc::ftruncate(made, length) })?;
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(made, libc::F_ADD_SEALS, SEALS) })?;
    Ok(file)
}

/// True for a file as [`sealed_file`] makes it. On tmpfs, where a page is there when it is touched; one of huge pages may fail
/// then, and that is a signal.
pub fn is_sealed_file(file: BorrowedFd<'_>, length: usize) -> bool {
    let mut status = MaybeUninit::<libc::stat>::zeroed();
    let mut system = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: both have room for what the calls fill; all zero bytes are valid for both.
    let (sealed, status, system) = unsafe {
        let seals = libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS);
        let told = libc::fstat(file.as_raw_fd(), status.as_mut_ptr()) == 0
            && libc::fstatfs(file.as_raw_fd(), system.as_mut_ptr()) == 0;
        (
            told && seals >= 0 && seals & SEALS == SEALS,
            status.assume_init(),
            system.assume_init(),
        )
    };
    sealed && system.f_type == libc::TMPFS_MAGIC && usize::try_from(status.st_size).is_ok_and(|size| size == length)
}

/// Maps a file for reading and writing together with others; a child gets no copy. `EINVAL` also where [`is_readable`] has
/// nobody to ask (before Linux 5.14).
pub fn map_shared(file: BorrowedFd<'_>, length: usize) -> io::Result<*mut u8> {
    // SAFETY: a new mapping touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            null_mut(),
            length,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    for (advice, length) in [(libc::MADV_DONTFORK, length), (libc::MADV_POPULATE_WRITE, page_size())] {
        // SAFETY: the mapping just made.
        if let Err(error) = check(unsafe { libc::madvise(start, length, advice) }) {
            unmap(start.cast(), length);
            return Err(error);
        }
    }
    Ok(start.cast())
}

/// Ends a mapping of [`map_shared`], to which nothing refers any more.
pub fn unmap(start: *mut u8, length: usize) {
    // SAFETY: promised by the caller.
    unsafe { libc::munmap(start.cast(), length) };
}

/// Sleeps while the word has this value, for as long as `limit`. `EAGAIN`: it has not; `ETIMEDOUT`; `EINTR` after each caught
/// signal, with SA_RESTART too, since there is a limit (signal(7)).
pub fn sleep_at(word: &AtomicU32, value: u32, limit: Duration) -> io::Result<()> {
    let limit = libc::timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: limit.subsec_nanos().into(),
    };
    // SAFETY: a live word and a live time.
    let slept = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            &raw const limit,
        )
    };
    if slept < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Wakes who sleeps at the word; one end at a time does.
pub fn wake(word: &AtomicU32) {
    // SAFETY: a live word. It cannot fail.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1) };
}

/// A question about a few bytes, which costs one quick system call.
struct Question<F> {
    /// Whether the kernel can do with the bytes at an address what is asked.
    ask: F,
    /// How many bytes.
    width: usize,
    /// The advice that asks about whole pages.
    advice: libc::c_int,
}

/// Whether the kernel could read all these bytes, of which nothing is known but their address.
pub fn is_readable(bytes: &[u8]) -> bool {
    // The event is read before the descriptors are looked at.
    let ask = |place: *const u8| {
        // SAFETY: the kernel reads an event, if it can; no descriptor is -1, so nothing happens.
        let asked = unsafe { libc::syscall(libc::SYS_epoll_ctl, -1, libc::EPOLL_CTL_ADD, -1, place) };
        asked < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EBADF)
    };
    let question = Question {
        ask,
        width: size_of::<libc::epoll_event>(),
        advice: libc::MADV_POPULATE_READ,
    };
    is_accessible(bytes.as_ptr(), bytes.len(), &question)
}

/// Whether the kernel could write all these bytes, of which nothing is known but their address. May write some.
pub fn is_writable(bytes: &mut [u8]) -> bool {
    // SAFETY: the kernel writes a number, if it can.
    let ask =
        |place: *const u8| unsafe { libc::syscall(libc::SYS_getcpu, place, null_mut::<u8>(), null_mut::<u8>()) == 0 };
    let question = Question {
        ask,
        width: size_of::<u32>(),
        advice: libc::MADV_POPULATE_WRITE,
    };
    is_accessible(bytes.as_ptr(), bytes.len(), &question)
}

/// A few bytes tell about a page, which is the quickest for few pages; one call asks about many, and about fewer bytes than
/// those, but not about the memory of devices.
fn is_accessible(start: *const u8, length: usize, question: &Question<impl Fn(*const u8) -> bool>) -> bool {
    let page = page_size();
    let Some(end) = start.addr().checked_add(length) else {
        return false;
    };
    let first = start.addr() - start.addr() % page;
    let is_few = length >= question.width && end - first <= 2 * page;
    let each = || {
        let Some(last) = length.checked_sub(question.width) else {
            return false;
        };
        let earlier = (0..last).step_by(page);
        let earlier = earlier.filter(|offset| (start.addr() + offset) / page < (end - 1) / page);
        earlier
            .chain([last])
            .all(|offset| (question.ask)(start.wrapping_add(offset)))
    };
    // SAFETY: pages that are there come in, others are told of; no byte changes.
    let all = || unsafe { libc::madvise(first as *mut libc::c_void, end - first, question.advice) == 0 };
    length == 0 || (!is_few && all()) || each()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Pages of their own, of which some are then forbidden.
    fn pages(count: usize) -> &'static mut [u8] {
        super::super::sys::Region::map(count * page_size())
            .map(super::super::sys::Region::into_raw)
            // SAFETY: a region that nobody unmaps.
            .map(|(start, length)| unsafe { std::slice::from_raw_parts_mut(start, length) })
            .unwrap()
    }

    fn protect(bytes: &[u8], protection: libc::c_int) {
        // SAFETY: whole pages of this test.
        let done = unsafe { libc::mprotect(bytes.as_ptr().cast_mut().cast(), bytes.len(), protection) };
        assert_eq!(done, 0);
    }

    #[test]
    fn each_page_counts() {
        let page = page_size();
        for count in 1..6 {
            for forbidden in 0..count {
                let memory = pages(count);
                for (protection, read) in [(libc::PROT_READ, true), (libc::PROT_NONE, false)] {
                    protect(&memory[forbidden * page..(forbidden + 1) * page], protection);
                    for start in [0, 1, page - 1, page, 2 * page - 3] {
                        for length in [0, 1, 3, 4, 11, 12, 64, page, page + 1, 2 * page, 3 * page + 5] {
                            let Some(bytes) = memory.get_mut(start..start + length) else {
                                continue;
                            };
                            let touched = start / page..(start + length).div_ceil(page);
                            let good = length == 0 || !touched.contains(&forbidden);
                            let what = format!("{length} bytes from {start}, page {forbidden} of {count} forbidden");
                            assert_eq!(is_readable(bytes), good || read, "{what}");
                            assert_eq!(is_writable(bytes), good, "{what}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_can_shrink_is_not_believed() {
        let file = sealed_file(8192).unwrap();
        use std::os::fd::AsFd;
        assert!(is_sealed_file(file.as_fd(), 8192));
        assert!(!is_sealed_file(file.as_fd(), 4096));
        let open = super::super::sys::memory_file(&[0; 8192]).unwrap();
        assert!(!is_sealed_file(open.as_fd(), 8192));
        assert!(!is_sealed_file(tempfile::tempfile().unwrap().as_fd(), 0));
    }
}
