//! Which accesses a caller that must not block makes itself, and which it leaves to the pool (`docs/design.md`, "I/O
//! engine"). Where the kernel can tell that an access would block, it is asked. Where it cannot, short accesses that
//! hardly ever block are made and watched: after one that did block, the pool has them for a while.
#![forbid(unsafe_code)]

use super::sys::{self, Mode};
use nix::sys::statfs::{EXT4_SUPER_MAGIC, TMPFS_MAGIC, fstatfs};
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Longest watched access, bytes: a copy of some 100 microseconds, which is what a hand-over to the pool may cost.
const WATCHED_MAX: usize = 1 << 20;
/// Part of a page may have to be read before it can be written, so a watched write has whole ones. Where pages are
/// larger, such a read is watched like everything else.
const PAGE: u64 = 4096;
/// A watched access that slept, and took longer, is slow, ns.
const SLOW: u64 = 1_000_000;
/// Whether an access slept costs two system calls to know, so it is asked only for this many accesses after one that took
/// long. A device that is slow has the next ones slow as well.
const SUSPECTS: u32 = 64;
/// How long the pool has all accesses after a slow one, ns.
const REST: u64 = 100_000_000;
/// A slow access within this time after a rest, ns, makes the next rest twice as long; also the longest rest.
const REST_MAX: u64 = 10_000_000_000;

/// How an access is begun by a caller that must not block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// With `RWF_NOWAIT`.
    NoWait,
    /// As it is, inside [`Inline::watch`].
    Watched,
    /// Not at all: the pool.
    Pool,
}

/// What a file system does with a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// tmpfs: memory, unless swapped out. It knows no `RWF_NOWAIT`.
    Memory,
    /// ext2 to ext4: buffered writes know no `RWF_NOWAIT`, and block when there are too many dirty pages only.
    WriteBack,
    /// Anything else, where blocking is the rule (network file systems) or the kernel can tell.
    Other,
}

/// The policy of one file.
pub struct Inline {
    nature: Nature,
    /// Cleared once the file system says that it cannot tell whether a write would block.
    nowait_writes: AtomicBool,
    /// Boot time ns until which nothing is watched, hence left to the pool.
    resting_until: AtomicU64,
    /// Length of the last rest.
    rest: AtomicU64,
    /// Accesses yet to come of which it is asked whether they sleep.
    suspects: AtomicU32,
}

impl Inline {
    /// For an open file. A device's node is on a file system that says nothing about the device.
    pub fn new(file: &File) -> Inline {
        let regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let nature = match fstatfs(file).map(|statfs| statfs.filesystem_type()) {
            Ok(TMPFS_MAGIC) if regular => Nature::Memory,
            Ok(EXT4_SUPER_MAGIC) if regular => Nature::WriteBack,
            _ => Nature::Other,
        };
        Inline::of(nature)
    }

    fn of(nature: Nature) -> Inline {
        Inline {
            nature,
            nowait_writes: AtomicBool::new(nature != Nature::Memory),
            resting_until: AtomicU64::new(0),
            rest: AtomicU64::new(0),
            suspects: AtomicU32::new(0),
        }
    }

    /// How a read of `length` bytes begins.
    pub fn read(&self, length: usize) -> Attempt {
        match self.nature {
            Nature::Memory => self.watched(length),
            Nature::WriteBack | Nature::Other => Attempt::NoWait,
        }
    }

    /// How a write of `length` bytes at `position` of the file begins. One that may have to wait for the device is watched
    /// for a caller that holds up nobody but its own hosts ([`Mode::Brief`]).
    pub fn write(&self, position: u64, length: usize, mode: Mode) -> Attempt {
        let whole_pages = position.is_multiple_of(PAGE) && (length as u64).is_multiple_of(PAGE);
        match self.nature {
            _ if self.nowait_writes.load(Ordering::Relaxed) => Attempt::NoWait,
            Nature::Memory => self.watched(length),
            Nature::WriteBack if whole_pages && mode == Mode::Brief => self.watched(length),
            Nature::WriteBack | Nature::Other => Attempt::Pool,
        }
    }

    /// `RWF_NOWAIT` writes are not supported.
    pub fn no_nowait_writes(&self) {
        self.nowait_writes.store(false, Ordering::Relaxed);
    }

    /// Makes a watched access.
    pub fn watch<T>(&self, access: impl FnOnce() -> T) -> T {
        let left = self.suspects.load(Ordering::Relaxed);
        let switches = (left > 0).then(sys::voluntary_switches);
        let begin = sys::boottime_ns();
        let result = access();
        let end = sys::boottime_ns();
        let long = end.saturating_sub(begin) > SLOW;
        match switches {
            // Losing the CPU to others takes as long as a slow device, but says nothing about it.
            Some(before) if long && sys::voluntary_switches() != before => self.was_slow(end),
            _ if long => self.suspects.store(SUSPECTS, Ordering::Relaxed),
            Some(_) => self.suspects.store(left - 1, Ordering::Relaxed),
            None => {}
        }
        result
    }

    fn watched(&self, length: usize) -> Attempt {
        let until = self.resting_until.load(Ordering::Relaxed);
        if length > WATCHED_MAX || (until != 0 && sys::boottime_ns() < until) {
            return Attempt::Pool;
        }
        Attempt::Watched
    }

    /// Two workers may come here at once; then one rest is lost, which hurts nobody.
    fn was_slow(&self, now: u64) {
        let again = now.saturating_sub(self.resting_until.load(Ordering::Relaxed)) < REST_MAX;
        let last = self.rest.load(Ordering::Relaxed);
        let rest = if again && last != 0 {
            (2 * last).min(REST_MAX)
        } else {
            REST
        };
        self.suspects.store(SUSPECTS, Ordering::Relaxed);
        self.rest.store(rest, Ordering::Relaxed);
        self.resting_until.store(now + rest, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn where_the_kernel_can_tell_it_is_asked() {
        let other = Inline::of(Nature::Other);
        assert_eq!(
            (other.read(1 << 20), other.write(1, 1, Mode::NoWait)),
            (Attempt::NoWait, Attempt::NoWait)
        );
        other.no_nowait_writes();
        assert_eq!(
            (other.read(512), other.write(0, 4096, Mode::Brief)),
            (Attempt::NoWait, Attempt::Pool)
        );
    }

    #[test]
    fn short_writes_of_whole_pages_go_to_the_page_cache() {
        let ext = Inline::of(Nature::WriteBack);
        let write = |position, length| ext.write(position, length, Mode::Brief);
        assert_eq!(write(0, 4096), Attempt::NoWait);
        ext.no_nowait_writes();
        assert_eq!(write(8192, WATCHED_MAX), Attempt::Watched);
        assert_eq!(write(8192, WATCHED_MAX + 4096), Attempt::Pool);
        assert_eq!(write(512, 4096), Attempt::Pool);
        assert_eq!(write(4096, 512), Attempt::Pool);
        assert_eq!(ext.read(512), Attempt::NoWait);
    }

    /// It was so: a forwarded write to a device that hung kept the whole channel to the peer waiting, until each node took
    /// the other one for dead.
    #[test]
    fn a_caller_that_must_never_wait_leaves_writes_to_devices_to_the_pool() {
        let ext = Inline::of(Nature::WriteBack);
        ext.no_nowait_writes();
        assert_eq!(ext.write(8192, 4096, Mode::NoWait), Attempt::Pool);
        assert_eq!(Inline::of(Nature::Memory).write(0, 512, Mode::NoWait), Attempt::Watched);
    }

    #[test]
    fn memory_needs_no_pool() {
        let memory = Inline::of(Nature::Memory);
        assert_eq!(
            (memory.read(512), memory.write(512, 512, Mode::Brief)),
            (Attempt::Watched, Attempt::Watched)
        );
        assert_eq!(memory.read(WATCHED_MAX + 1), Attempt::Pool);
    }

    #[test]
    fn a_device_file_is_not_memory() {
        // On devtmpfs, which says that it is tmpfs.
        let device = File::open("/dev/null").unwrap();
        assert_eq!(Inline::new(&device).nature, Nature::Other);
    }

    #[test]
    fn after_slow_accesses_the_pool_has_them_for_a_while() {
        let memory = Inline::of(Nature::Memory);
        memory.watch(|| std::thread::sleep(Duration::from_millis(2)));
        assert_eq!(
            (memory.read(512), memory.rest.load(Ordering::Relaxed)),
            (Attempt::Watched, 0),
            "suspected"
        );
        memory.watch(|| std::thread::sleep(Duration::from_millis(2)));
        assert_eq!(memory.rest.load(Ordering::Relaxed), REST);
        assert_eq!(
            (memory.read(512), memory.write(0, 512, Mode::Brief)),
            (Attempt::Pool, Attempt::Pool)
        );
        let end = memory.resting_until.load(Ordering::Relaxed);
        memory.was_slow(end + 1);
        assert_eq!(
            memory.resting_until.load(Ordering::Relaxed),
            end + 1 + 2 * REST,
            "again"
        );
        (0..20).for_each(|_| memory.was_slow(memory.resting_until.load(Ordering::Relaxed)));
        assert_eq!(memory.rest.load(Ordering::Relaxed), REST_MAX);
        memory.was_slow(memory.resting_until.load(Ordering::Relaxed) + REST_MAX);
        assert_eq!(memory.rest.load(Ordering::Relaxed), REST, "long ago");
    }

    #[test]
    fn losing_the_processor_is_not_sleeping() {
        let memory = Inline::of(Nature::Memory);
        let begin = sys::boottime_ns();
        (1..3).for_each(|n| memory.watch(|| while sys::boottime_ns() < begin + n * 3 * SLOW {}));
        assert_eq!(memory.resting_until.load(Ordering::Relaxed), 0, "busy, not asleep");
        assert_ne!(memory.suspects.load(Ordering::Relaxed), 0);
    }
}
