//! Fields of a CDB. Every function takes the first 16 bytes, zero-padded, so no field can lie outside.

use super::Sense;

/// DPO bit of byte 1 of the medium access commands (SBC-3 5.8).
pub const DPO: u8 = 0x10;
/// FUA bit of byte 1 of the medium access commands.
pub const FUA: u8 = 0x08;
/// NACA bit of the CONTROL byte (SAM-4 5.2).
pub const NACA: u8 = 0x04;

/// Big-endian 16-bit field at byte `at`.
pub fn be16(cdb: &[u8; 16], at: usize) -> u16 {
    cdb.iter().skip(at).take(2).fold(0, |n, b| n << 8 | u16::from(*b))
}

/// Big-endian 32-bit field at byte `at`.
pub fn be32(cdb: &[u8; 16], at: usize) -> u32 {
    cdb.iter().skip(at).take(4).fold(0, |n, b| n << 8 | u32::from(*b))
}

/// Big-endian 64-bit field at byte `at`.
pub fn be64(cdb: &[u8; 16], at: usize) -> u64 {
    cdb.iter().skip(at).take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Blocks that a command addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First logical block address.
    pub lba: u64,
    /// Number of blocks; may be 0.
    pub blocks: u32,
}

impl Extent {
    /// LOGICAL BLOCK ADDRESS and the length field of a medium access command, laid out by the group code of its opcode
    /// (SPC-4 4.2.5.1): 6, 10, 12 or 16 bytes. `None` for the other groups. In the 6-byte form length 0 means 256
    /// blocks; that is for READ(6) and WRITE(6), the only such commands.
    pub fn from_cdb(cdb: &[u8; 16]) -> Option<Extent> {
        let (lba, blocks) = match cdb[0] >> 5 {
            0 => {
                let blocks = if cdb[4] == 0 { 256 } else { u32::from(cdb[4]) };
                (u64::from(be32(cdb, 0) & 0x001f_ffff), blocks)
            }
            1 | 2 => (u64::from(be32(cdb, 2)), u32::from(be16(cdb, 7))),
            4 => (be64(cdb, 2), be32(cdb, 10)),
            5 => (u64::from(be32(cdb, 2)), be32(cdb, 6)),
            _ => return None,
        };
        Some(Extent { lba, blocks })
    }

    /// `05/21/00` unless all blocks are below `capacity`. No blocks at the very end are in range (`scsi-sbd.md` 2.2).
    pub fn check(self, capacity: u64) -> Result<(), Sense> {
        if self.lba > capacity || u64::from(self.blocks) > capacity - self.lba {
            return Err(Sense::LBA_OUT_OF_RANGE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cdb(bytes: &[u8]) -> [u8; 16] {
        let mut cdb = [0; 16];
        cdb[..bytes.len()].copy_from_slice(bytes);
        cdb
    }

    #[test]
    fn the_four_layouts() {
        let extent = |lba, blocks| Some(Extent { lba, blocks });
        assert_eq!(Extent::from_cdb(&cdb(&[0x08, 0xff, 2, 3, 4])), extent(0x1f_0203, 4));
        assert_eq!(Extent::from_cdb(&cdb(&[0x0a, 0, 0, 7, 0])), extent(7, 256));
        assert_eq!(
            Extent::from_cdb(&cdb(&[0x28, 0, 1, 2, 3, 4, 0, 5, 6])),
            extent(0x0102_0304, 0x0506)
        );
        assert_eq!(
            Extent::from_cdb(&cdb(&[0xa8, 0, 1, 2, 3, 4, 5, 6, 7, 8])),
            extent(0x0102_0304, 0x0506_0708)
        );
        assert_eq!(
            Extent::from_cdb(&cdb(&[0x88, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])),
            extent(0x0102_0304_0506_0708, 0x090a_0b0c)
        );
        assert_eq!(Extent::from_cdb(&cdb(&[0x7f])), None);
    }

    proptest! {
        #[test]
        fn range_check_never_overflows(lba: u64, blocks: u32, capacity: u64) {
            let fits = u128::from(lba) + u128::from(blocks) <= u128::from(capacity);
            prop_assert_eq!(Extent { lba, blocks }.check(capacity).is_ok(), fits);
        }

        #[test]
        fn any_cdb_parses(bytes: [u8; 16]) {
            let _ = Extent::from_cdb(&bytes);
        }
    }
}
