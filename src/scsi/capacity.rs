//! READ CAPACITY parameter data (SBC-3 5.16, 5.17).

/// READ CAPACITY(10): last LBA, `FFFFFFFF` when it does not fit, and block length. `blocks` is at least 1.
pub fn read_capacity_10(blocks: u64, block_length: u32) -> [u8; 8] {
    let last = u32::try_from(blocks.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut data = [0; 8];
    data[..4].copy_from_slice(&last.to_be_bytes());
    data[4..].copy_from_slice(&block_length.to_be_bytes());
    data
}

/// READ CAPACITY(16): no protection information, one logical block per physical block. `thin`: blocks may
/// be unmapped, and read as zeros then.
pub fn read_capacity_16(blocks: u64, block_length: u32, thin: bool) -> [u8; 32] {
    const LBPME_LBPRZ: u8 = 0xc0;
    let mut data = [0; 32];
    data[..8].copy_from_slice(&blocks.saturating_sub(1).to_be_bytes());
    data[8..12].copy_from_slice(&block_length.to_be_bytes());
    data[14] = if thin { LBPME_LBPRZ } else { 0 };
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_that_fits_in_32_bits() {
        assert_eq!(read_capacity_10(2048, 512), [0, 0, 7, 0xff, 0, 0, 2, 0]);
        assert_eq!(read_capacity_10(1 << 32, 4096)[..4], [0xff; 4]);
        assert_eq!(read_capacity_10(u64::MAX, 512)[..4], [0xff; 4]);
        assert_eq!(
            read_capacity_16(1 << 32, 512, false)[..12],
            [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0]
        );
    }
}
