//! What the shared disk holds, sector by sector: which node wrote it, and in which attempt.

use std::fs;

/// Begins each block that `c-tests/pair_io.c` wrote; then come the block's number, the stamp (attempt * 2 + path), and the
/// stamp's complement.
const MAGIC: [u8; 8] = 0x6f69_5f72_6961_7021_u64.to_ne_bytes();
const SECTOR: usize = 512;

/// Stamp of each sector; `None` for one that the host did not write. A read beside a write may give both: the stamp alone
/// says which write has begun there.
fn stamps(disk: &str) -> Vec<Option<u64>> {
    let word = |sector: &[u8], at: usize| u64::from_ne_bytes(sector[at..at + 8].try_into().expect("8 bytes"));
    let stamp = |sector: &[u8]| {
        let stamp = word(sector, 16);
        (sector.starts_with(&MAGIC) && word(sector, 24) == !stamp).then_some(stamp)
    };
    fs::read(disk)
        .expect("the disk")
        .chunks_exact(SECTOR)
        .map(stamp)
        .collect()
}

/// The disk as it was when a node had lost it.
pub struct Snapshot {
    former: usize,
    stamps: Vec<Option<u64>>,
}

impl Snapshot {
    pub fn take(disk: &str, former: usize) -> Snapshot {
        let stamps = stamps(disk);
        Snapshot { former, stamps }
    }

    /// Every block that was written since then came through the other node. Gives their number.
    pub fn check(&self, disk: &str) -> usize {
        let now = stamps(disk);
        let mut count = 0;
        for (sector, (old, new)) in self.stamps.iter().zip(&now).enumerate() {
            let Some(stamp) = new.filter(|_| old != new) else {
                continue;
            };
            assert_ne!(
                stamp % 2,
                self.former as u64,
                "sector {sector} was written by node {} after it had lost the LU",
                self.former
            );
            count += 1;
        }
        count
    }
}
