//! Logical block provisioning (SBC-3 4.7): parameter data of UNMAP and GET LBA STATUS.

use super::{Extent, Sense};

/// Descriptors of one UNMAP, at most (VPD page B0).
pub const MAX_UNMAP_DESCRIPTORS: u32 = 256;
/// Blocks of one UNMAP, at most (VPD page B0).
pub const MAX_UNMAP_BLOCKS: u32 = 1 << 20;

const UNMAP_HEADER: usize = 8;
const UNMAP_DESCRIPTOR: usize = 16;

/// The extents of an UNMAP parameter list (SBC-3 5.28), all within `capacity`, or nothing at all is to be unmapped. Empty
/// extents are left out.
pub fn unmap_list(list: &[u8], capacity: u64) -> Result<Vec<Extent>, Sense> {
    let bad_length = Sense::PARAMETER_LIST_LENGTH;
    let too_much = Sense::INVALID_FIELD_IN_PARAMETER_LIST;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let header = list.get(..UNMAP_HEADER).ok_or(bad_length)?;
    let data_length = usize::from(u16::from_be_bytes([header[0], header[1]]));
    let descriptors_length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if data_length > list.len() - 2 || descriptors_length > list.len() - UNMAP_HEADER {
        return Err(bad_length);
    }
    let descriptors = &list[UNMAP_HEADER..UNMAP_HEADER + descriptors_length];
    let (descriptors, _) = descriptors.as_chunks::<UNMAP_DESCRIPTOR>();
    if descriptors.len() > MAX_UNMAP_DESCRIPTORS as usize {
        return Err(too_much.at_parameter_byte(2));
    }
    let mut extents = Vec::with_capacity(descriptors.len());
    let mut total = 0_u64;
    for descriptor in descriptors {
        let lba = descriptor[..8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
        let blocks = descriptor[8..12].iter().fold(0, |n, b| n << 8 | u32::from(*b));
        total += u64::from(blocks);
        if total > u64::from(MAX_UNMAP_BLOCKS) {
            return Err(too_much);
        }
        let extent = Extent { lba, blocks };
        extent.check(capacity)?;
        if blocks > 0 {
            extents.push(extent);
        }
    }
    Ok(extents)
}

/// Blocks with the same provisioning status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First block.
    pub lba: u64,
    /// At least 1.
    pub blocks: u64,
    /// Deallocated, else mapped.
    pub hole: bool,
}

/// GET LBA STATUS parameter data (SBC-3 5.5.2). A run longer than the field is cut; the host asks on from there.
pub fn lba_status(runs: &[Run]) -> Vec<u8> {
    let mut data = vec![0; 8];
    for run in runs {
        let blocks = u32::try_from(run.blocks).unwrap_or(u32::MAX);
        data.extend_from_slice(&run.lba.to_be_bytes());
        data.extend_from_slice(&blocks.to_be_bytes());
        data.extend([u8::from(run.hole), 0, 0, 0]);
        if u64::from(blocks) < run.blocks {
            break;
        }
    }
    let length = u32::try_from(data.len() - 4).expect("runs are bounded by the caller");
    data[..4].copy_from_slice(&length.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(extents: &[(u64, u32)]) -> Vec<u8> {
        let length = u16::try_from(extents.len() * 16).unwrap();
        let mut list = (length + 6).to_be_bytes().to_vec();
        list.extend_from_slice(&length.to_be_bytes());
        list.extend([0; 4]);
        for (lba, blocks) in extents {
            list.extend_from_slice(&lba.to_be_bytes());
            list.extend_from_slice(&blocks.to_be_bytes());
            list.extend([0; 4]);
        }
        list
    }

    #[test]
    fn rules_of_unmap() {
        let run = |extents: &[(u64, u32)]| unmap_list(&list(extents), 1 << 30).map(|e| e.len());
        assert_eq!(run(&[]), Ok(0));
        assert_eq!(
            run(&[(5, 1), (1 << 30, 0), (7, 3)]),
            Ok(2),
            "none at the capacity is good"
        );
        assert_eq!(run(&[(0, 1), (1 << 30, 1)]), Err(Sense::LBA_OUT_OF_RANGE));
        assert_eq!(run(&[(u64::MAX, 1)]), Err(Sense::LBA_OUT_OF_RANGE));
        assert_eq!(run(&[(0, MAX_UNMAP_BLOCKS)]), Ok(1));
        assert_eq!(
            run(&[(0, MAX_UNMAP_BLOCKS), (9, 1)]),
            Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST)
        );
        assert_eq!(run(&[(0, 1); 256]), Ok(256));
        assert!(run(&[(0, 1); 257]).is_err());
        for length in 1..8 {
            assert_eq!(unmap_list(&[0; 8][..length], 9), Err(Sense::PARAMETER_LIST_LENGTH));
        }
        assert_eq!(unmap_list(&list(&[(0, 1)])[..23], 9), Err(Sense::PARAMETER_LIST_LENGTH));
        assert_eq!(unmap_list(&[], 9), Ok(vec![]));
    }

    #[test]
    fn status() {
        let run = |lba, blocks, hole| Run { lba, blocks, hole };
        let data = lba_status(&[run(3, 5, false), run(8, 1 << 40, true), run(9, 1, true)]);
        assert_eq!(data.len(), 8 + 2 * 16);
        assert_eq!(data[..8], [0, 0, 0, 36, 0, 0, 0, 0]);
        assert_eq!(data[15..24], [3, 0, 0, 0, 5, 0, 0, 0, 0]);
        assert_eq!(data[32..37], [0xff, 0xff, 0xff, 0xff, 1]);
    }

    proptest! {
        #[test]
        fn any_list_is_in_range_or_refused(list in proptest::collection::vec(any::<u8>(), 0..100), capacity: u64) {
            if let Ok(extents) = unmap_list(&list, capacity) {
                prop_assert!(extents.iter().all(|e| e.check(capacity).is_ok() && e.blocks > 0));
            }
        }
    }
}
