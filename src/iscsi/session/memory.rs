//! Memory for data, shared by the sessions of one worker: what a single session may hold depends on how many there are, so
//! that the sum stays bounded whatever the initiators do.
//!
//! | for | bound of a session | sum over a worker, at most |
//! |---|---|---|
//! | reads: started, and answers not sent | its share, 256 KiB to 8 MiB | half |
//! | writes: data solicited | its share, 256 KiB to 16 MiB | a quarter |
//! | writes: data that comes unasked | window x FirstBurstLength; the window shrinks to [`WINDOW_MIN`] | a quarter |
//! | a command that goes beyond the share | one at a time, while the pool has room | half, or one command |
//!
//! Besides the sums each session has the lower end of its share, so that those who hold much cannot starve the others.

use std::cell::Cell;
use std::rc::Rc;

/// Unsent answers plus data expected by reads that are being executed, bytes: above this no further command is started.
pub const READ_BUDGET: u64 = 8 << 20;
/// Solicited data of writes, bytes.
pub const WRITE_BUDGET: u64 = 16 << 20;
/// The least share of a session.
pub const SHARE_MIN: u64 = 256 << 10;
/// The least command window.
const WINDOW_MIN: u64 = 4;

/// The pool of one worker.
#[derive(Debug)]
pub struct Pool {
    limit: u64,
    sessions: Cell<u64>,
    large: Cell<u64>,
    reading: Cell<u64>,
    writing: Cell<u64>,
}

impl Pool {
    /// A pool of this many bytes.
    pub fn new(limit: u64) -> Rc<Pool> {
        Rc::new(Pool {
            limit,
            sessions: Cell::new(0),
            large: Cell::new(0),
            reading: Cell::new(0),
            writing: Cell::new(0),
        })
    }
}

/// What one session holds of a pool.
#[derive(Debug)]
pub(super) struct Share {
    pool: Rc<Pool>,
    counted: bool,
    large: u64,
    reading: u64,
    writing: u64,
}

impl Share {
    pub(super) fn new(pool: Rc<Pool>) -> Share {
        Share {
            pool,
            counted: false,
            large: 0,
            reading: 0,
            writing: 0,
        }
    }

    /// The session is established: from now on it counts.
    pub(super) fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.pool.sessions.set(self.pool.sessions.get() + 1);
        }
    }

    /// What the session holds now, for the sums.
    pub(super) fn note(&mut self, reading: u64, writing: u64) {
        let pool = &self.pool;
        pool.reading.set(pool.reading.get() - self.reading + reading);
        pool.writing.set(pool.writing.get() - self.writing + writing);
        (self.reading, self.writing) = (reading, writing);
    }

    fn part(&self, of: u64, most: u64, used: u64) -> u64 {
        if used >= of {
            return SHARE_MIN;
        }
        (of / self.pool.sessions.get().max(1)).clamp(SHARE_MIN, most)
    }

    /// Bytes for reads.
    pub(super) fn read(&self) -> u64 {
        self.part(self.pool.limit / 2, READ_BUDGET, self.pool.reading.get())
    }

    /// Bytes for solicited data.
    pub(super) fn write(&self) -> u64 {
        self.part(self.pool.limit / 4, WRITE_BUDGET, self.pool.writing.get())
    }

    /// The command window, of at most `most` commands that bring `first_burst` bytes each.
    pub(super) fn window(&self, most: u32, first_burst: u32) -> u32 {
        let part = self.part(self.pool.limit / 4, u64::MAX, 0);
        let commands = (part / u64::from(first_burst.max(1))).clamp(WINDOW_MIN, u64::from(most));
        u32::try_from(commands).unwrap_or(most)
    }

    /// Takes room for a command that goes beyond the share. One at a time; false: it has to wait.
    pub(super) fn take_large(&mut self, bytes: u64) -> bool {
        let taken = self.pool.large.get();
        let fits = taken == 0 || taken.saturating_add(bytes) <= self.pool.limit / 2;
        if self.large > 0 || !fits {
            return false;
        }
        self.large = bytes;
        self.pool.large.set(taken + bytes);
        true
    }

    /// Gives that room back.
    pub(super) fn release_large(&mut self) {
        self.pool.large.set(self.pool.large.get() - self.large);
        self.large = 0;
    }

    /// Has it such room?
    pub(super) fn has_large(&self) -> bool {
        self.large > 0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release_large();
        self.note(0, 0);
        if self.counted {
            self.pool.sessions.set(self.pool.sessions.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_shrink_with_the_number_of_sessions_and_come_back() {
        let pool = Pool::new(64 << 20);
        let mut shares: Vec<Share> = (0..16).map(|_| Share::new(pool.clone())).collect();
        assert_eq!((shares[0].read(), shares[0].write()), (READ_BUDGET, WRITE_BUDGET));
        assert_eq!(shares[0].window(128, 262_144), 64);
        shares.iter_mut().for_each(Share::count);
        shares.iter_mut().for_each(Share::count);
        assert_eq!((shares[0].read(), shares[0].write()), (2 << 20, 1 << 20));
        assert_eq!(shares[0].window(128, 262_144), 4);
        assert_eq!(shares[0].window(128, 4096), 128);
        shares.truncate(1);
        assert_eq!(shares[0].read(), READ_BUDGET);
    }

    #[test]
    fn when_the_sum_is_reached_the_others_keep_the_least_share() {
        let pool = Pool::new(64 << 20);
        let (mut early, late) = (Share::new(pool.clone()), Share::new(pool.clone()));
        early.note(40 << 20, 0);
        assert_eq!((late.read(), late.write()), (SHARE_MIN, WRITE_BUDGET));
        early.note(31 << 20, 16 << 20);
        assert_eq!((late.read(), late.write()), (READ_BUDGET, SHARE_MIN));
        drop(early);
        assert_eq!((late.read(), late.write()), (READ_BUDGET, WRITE_BUDGET));
    }

    #[test]
    fn large_commands_share_the_pool_and_one_always_fits() {
        let pool = Pool::new(64 << 20);
        let mut shares: Vec<Share> = (0..4).map(|_| Share::new(pool.clone())).collect();
        assert!(shares[0].take_large(100 << 20), "alone");
        assert!(!shares[0].take_large(1) && !shares[1].take_large(1));
        shares[0].release_large();
        assert!(shares[0].take_large(20 << 20) && shares[1].take_large(12 << 20));
        assert!(!shares[2].take_large(1 << 20));
        shares.remove(0);
        assert!(shares[1].take_large(1 << 20));
    }
}
