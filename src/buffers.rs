//! Buffers for the data of commands. The C library's allocator keeps small blocks at hand for each thread, larger ones it
//! cuts out of and melts into its heap each time, which costs as much as a system call; so those are kept here.
//!
//! Each thread keeps those that it gives back, 512 KiB of each size at most.
#![forbid(unsafe_code)]

use std::cell::RefCell;

/// Smallest buffer kept, bytes: below, the allocator is as good.
const LEAST: usize = 4 << 10;
/// Bytes that each buffer has room for beyond its size, so that what goes around data can be put behind them.
const BEYOND: usize = 64;
/// Sizes kept: 4 KiB to 512 KiB, powers of two.
const SIZES: usize = 8;
/// Bytes kept of each size: what a processor's cache holds.
const KEPT: usize = LEAST << (SIZES - 1);

type Shelves = [Vec<Vec<u8>>; SIZES];

thread_local!(static SHELVES: RefCell<Shelves> = const { RefCell::new([const { Vec::new() }; SIZES]) });

/// An empty vector with room for `capacity` bytes or more; where such buffers are kept, for a few bytes more.
pub fn take(capacity: usize) -> Vec<u8> {
    let Some(shelf) = shelf_for(capacity) else {
        return Vec::with_capacity(capacity);
    };
    // While the thread ends there are no shelves any more.
    let kept = SHELVES.try_with(|shelves| shelves.borrow_mut()[shelf].pop());
    kept.ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity((LEAST << shelf) + BEYOND))
}

/// Takes a vector back that is not needed any more.
pub fn give(mut buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    let size = capacity.wrapping_sub(BEYOND);
    let Some(shelf) = shelf_for(size).filter(|shelf| LEAST << shelf == size) else {
        return;
    };
    buffer.clear();
    // When it fails, the buffer is dropped.
    let _ = SHELVES.try_with(|shelves| {
        let shelf = &mut shelves.borrow_mut()[shelf];
        if shelf.len() < KEPT / size {
            shelf.push(buffer);
        }
    });
}

/// The shelf with the smallest buffers that hold `capacity` bytes; `None` where none is kept.
fn shelf_for(capacity: usize) -> Option<usize> {
    if capacity <= LEAST / 2 || capacity > KEPT {
        return None;
    }
    Some((capacity.next_power_of_two() / LEAST).trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_taken_again() {
        for size in [2049, 4096, 5000, 65536, KEPT] {
            let mut buffer = take(size);
            assert!(buffer.is_empty() && buffer.capacity() >= size);
            buffer.push(1);
            let address = buffer.as_ptr();
            buffer.resize(size + 1, 0);
            assert_eq!(buffer.as_ptr(), address, "room for one more");
            give(buffer);
            let again = take(size);
            assert_eq!((again.as_ptr(), again.len()), (address, 0));
        }
    }

    #[test]
    fn other_sizes_are_the_allocators() {
        for size in [0, 512, 2048, KEPT + 1] {
            assert!(shelf_for(size).is_none());
            assert!(take(size).capacity() >= size);
        }
        give(Vec::with_capacity(5000));
        assert_eq!(take(5000).capacity(), 8192 + BEYOND, "not that one");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers: Vec<_> = (0..1000).map(|_| take(4096)).collect();
        buffers.into_iter().for_each(give);
        SHELVES.with(|shelves| assert_eq!(shelves.borrow()[0].len(), KEPT / 4096));
    }
}
