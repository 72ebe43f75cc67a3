//! The allocator of a process that serves.
#![allow(unsafe_code)]

/// Freed memory that the heap keeps: several times what a busy connection has in flight.
const KEEP: libc::c_int = 256 << 20;
/// Blocks from this size on are mapped and unmapped each time; data buffers of commands shall not be.
const MAP: libc::c_int = 32 << 20;

/// Tells the C allocator to keep what it has. By default it gives the buffers of each batch of answers back to the kernel
/// and faults them in again, which halves the throughput of 64 KiB reads (`docs/engine-experiment.md`). For the daemon:
/// a library must not change this in a program that is not its own.
pub fn keep_buffers() {
    // SAFETY: mallopt takes two integers and touches only the allocator's own settings.
    let set = unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP) & libc::mallopt(libc::M_MMAP_THRESHOLD, MAP) };
    if set == 0 {
        log::warn!("the allocator refuses its thresholds; large reads will be slower");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn large_blocks_are_still_usable() {
        super::keep_buffers();
        let block = vec![1u8; 64 << 20];
        assert_eq!(block[block.len() - 1], 1);
    }
}
