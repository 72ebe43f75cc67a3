//! EXTENDED COPY(LID1) parameter list and RECEIVE COPY RESULTS operating parameters (SPC-3 6.3, 6.18; SPC-4 6.4;
//! `scsi-sbd.md` 2.7): one block device to block device segment between units named by NAA identifier.

use super::Sense;
use crate::types::Guid;

/// CSCD descriptors in a list, at most.
pub const MAX_TARGETS: u16 = 2;
/// Segment descriptors in a list, at most.
pub const MAX_SEGMENTS: u16 = 1;
/// Bytes of CSCD and segment descriptors together, at most. More than fit, so that too many are told as such.
pub const MAX_DESCRIPTORS: u32 = 1024;

const HEADER: usize = 16;
const TARGET: usize = 32;
const SEGMENT: usize = 28;
/// Identification descriptor CSCD.
const IDENTIFICATION: u8 = 0xe4;
/// Block device to block device.
const BLOCK_TO_BLOCK: u8 = 0x02;

/// Longest parameter list, bytes.
pub const MAX_LIST: u32 = HEADER as u32 + MAX_DESCRIPTORS;

/// A copy to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// LIST IDENTIFIER, where one is used.
    pub list_id: Option<u8>,
    /// Read from here.
    pub source: Guid,
    /// Written to.
    pub destination: Guid,
    /// DC: `blocks` counts blocks of the destination, else of the source.
    pub destination_count: bool,
    /// Blocks, possibly 0.
    pub blocks: u16,
    /// First block of the source.
    pub source_lba: u64,
    /// First block of the destination.
    pub destination_lba: u64,
}

/// Decodes a list; `None` when there is nothing to copy.
pub fn decode(list: &[u8]) -> Result<Option<Copy>, Sense> {
    let invalid = Sense::INVALID_FIELD_IN_PARAMETER_LIST;
    let bad_length = Sense::PARAMETER_LIST_LENGTH;
    if list.is_empty() {
        return Ok(None);
    }
    let header: &[u8; HEADER] = list.first_chunk().ok_or(bad_length)?;
    let targets_length = usize::from(be16(header, 2));
    let segments_length = usize::try_from(be32(header, 8)).map_err(|_| bad_length)?;
    let inline = be32(header, 12);
    // The length comes before the counts.
    let end = targets_length.checked_add(segments_length).ok_or(bad_length)?;
    let descriptors = list[HEADER..].get(..end).ok_or(bad_length)?;
    if header[1] >> 3 & 3 == 1 {
        return Err(invalid.at_parameter_byte(1));
    }
    if inline != 0 {
        return Err(invalid.at_parameter_byte(12));
    }
    let (targets, segments) = descriptors.split_at(targets_length);
    let targets = targets_of(targets)?;
    let Some(segment) = segment_of(segments)? else {
        return Ok(None);
    };
    let target = |at| targets.get(usize::from(be16(segment, at))).copied();
    let unnamed = header[1] >> 3 & 3 == 3;
    Ok(Some(Copy {
        list_id: (!unnamed).then_some(header[0]),
        source: target(4).ok_or(Sense::COPY_UNREACHABLE)?,
        destination: target(6).ok_or(Sense::COPY_UNREACHABLE)?,
        destination_count: segment[1] & 0x02 != 0,
        blocks: be16(segment, 10),
        source_lba: be64(segment, 12),
        destination_lba: be64(segment, 20),
    }))
}

fn targets_of(bytes: &[u8]) -> Result<Vec<Guid>, Sense> {
    let (targets, rest) = bytes.as_chunks::<TARGET>();
    if !rest.is_empty() {
        return Err(Sense::PARAMETER_LIST_LENGTH);
    }
    if targets.len() > usize::from(MAX_TARGETS) {
        return Err(Sense::TOO_MANY_TARGETS);
    }
    // LU ID TYPE and NUL, byte 1, have no meaning since SPC-4.
    targets.iter().map(target_of).collect()
}

fn target_of(target: &[u8; TARGET]) -> Result<Guid, Sense> {
    const BINARY: u8 = 1;
    const LOGICAL_UNIT_NAA: u8 = 3;
    if target[0] != IDENTIFICATION {
        return Err(Sense::UNSUPPORTED_TARGET);
    }
    let direct_access = target[1] & 0x1f == 0;
    let designator = (target[4] & 0x0f, target[5] & 0x3f, target[7]);
    if !direct_access || designator != (BINARY, LOGICAL_UNIT_NAA, 16) {
        return Err(Sense::COPY_TARGET_UNREACHABLE);
    }
    let mut guid = [0; 16];
    guid.copy_from_slice(&target[8..24]);
    Ok(Guid(guid))
}

fn segment_of(bytes: &[u8]) -> Result<Option<&[u8; SEGMENT]>, Sense> {
    let Some(first) = bytes.first() else { return Ok(None) };
    if *first != BLOCK_TO_BLOCK {
        return Err(Sense::UNSUPPORTED_SEGMENT);
    }
    let (segments, rest) = bytes.as_chunks::<SEGMENT>();
    match (segments, rest) {
        ([_, _, ..], _) => Err(Sense::TOO_MANY_SEGMENTS),
        ([segment], []) if segment[2..4] == [0, 0x18] => Ok(Some(segment)),
        _ => Err(Sense::PARAMETER_LIST_LENGTH),
    }
}

/// How a copy ended, for COPY STATUS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Without error.
    pub good: bool,
    /// Bytes that were copied.
    pub bytes: u64,
}

/// COPY STATUS (SPC-3 6.18.2) of a copy that has ended.
pub fn status(ended: Ended) -> [u8; 12] {
    const COMPLETED: u8 = 1;
    const FAILED: u8 = 2;
    let mut data = [0; 12];
    data[3] = 8;
    data[4] = if ended.good { COMPLETED } else { FAILED };
    data[6] = u8::from(ended.good);
    // Counted in bytes (units 00h).
    data[8..].copy_from_slice(&u32::try_from(ended.bytes).unwrap_or(u32::MAX).to_be_bytes());
    data
}

/// Operating parameters (SPC-3 table 235). `max_segment`: bytes that one segment may move.
pub fn operating_parameters(max_segment: u32) -> [u8; 46] {
    const SNLID: u8 = 1;
    const GRANULARITY_512: u8 = 9;
    let mut data = [0; 46];
    data[3] = 42;
    data[4] = SNLID;
    data[8..10].copy_from_slice(&MAX_TARGETS.to_be_bytes());
    data[10..12].copy_from_slice(&MAX_SEGMENTS.to_be_bytes());
    data[12..16].copy_from_slice(&MAX_DESCRIPTORS.to_be_bytes());
    data[16..20].copy_from_slice(&max_segment.to_be_bytes());
    data[34..36].copy_from_slice(&u16::MAX.to_be_bytes());
    data[36] = u8::MAX;
    data[37] = GRANULARITY_512;
    data[43..46].copy_from_slice(&[2, BLOCK_TO_BLOCK, IDENTIFICATION]);
    data
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    bytes[at..at + 2].iter().fold(0, |n, b| n << 8 | u16::from(*b))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(targets: &[[u8; TARGET]], segments: &[[u8; SEGMENT]]) -> Vec<u8> {
        let mut list = vec![0; HEADER];
        list[0] = 1;
        list[2..4].copy_from_slice(&u16::try_from(targets.len() * TARGET).unwrap().to_be_bytes());
        list[8..12].copy_from_slice(&u32::try_from(segments.len() * SEGMENT).unwrap().to_be_bytes());
        list.extend(targets.as_flattened());
        list.extend(segments.as_flattened());
        list
    }

    fn target(n: u8) -> [u8; TARGET] {
        let mut target = [0; TARGET];
        target[0] = 0xe4;
        target[4..8].copy_from_slice(&[1, 3, 0, 16]);
        target[8] = 0x60;
        target[23] = n;
        target
    }

    fn segment() -> [u8; SEGMENT] {
        let mut segment = [0; SEGMENT];
        segment[..4].copy_from_slice(&[2, 2, 0, 0x18]);
        (segment[7], segment[11], segment[19], segment[27]) = (1, 9, 5, 6);
        segment
    }

    #[test]
    fn a_copy() {
        let copy = decode(&list(&[target(1), target(2)], &[segment()])).unwrap().unwrap();
        assert_eq!((copy.source.0[15], copy.destination.0[15]), (1, 2));
        assert!(copy.destination_count);
        assert_eq!((copy.blocks, copy.source_lba, copy.destination_lba), (9, 5, 6));
        assert_eq!(decode(&[]), Ok(None));
        assert_eq!(decode(&list(&[], &[])), Ok(None));
    }

    #[test]
    fn refused() {
        let both = [target(1), target(2)];
        let good = list(&both, &[segment()]);
        assert_eq!(decode(&good[..15]), Err(Sense::PARAMETER_LIST_LENGTH));
        assert_eq!(decode(&good[..good.len() - 1]), Err(Sense::PARAMETER_LIST_LENGTH));
        let changed = |at: usize, value| {
            let mut list = good.clone();
            list[at] = value;
            decode(&list).map(|_| ())
        };
        assert_eq!(
            changed(1, 1 << 3),
            Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(1))
        );
        for usage in [0, 2, 3] {
            assert_eq!(changed(1, usage << 3), Ok(()));
        }
        assert!(changed(15, 1).is_err());
        assert_eq!(changed(HEADER + 1, 0xe0), Ok(()), "LU ID TYPE and NUL");
        assert_eq!(changed(HEADER, 0xe3), Err(Sense::UNSUPPORTED_TARGET));
        assert_eq!(changed(HEADER + 64, 3), Err(Sense::UNSUPPORTED_SEGMENT));
        assert_eq!(changed(HEADER + 64 + 5, 2), Err(Sense::COPY_UNREACHABLE));
        assert_eq!(
            decode(&list(&[target(1); 3], &[segment()])),
            Err(Sense::TOO_MANY_TARGETS)
        );
        assert_eq!(decode(&list(&both, &[segment(); 2])), Err(Sense::TOO_MANY_SEGMENTS));
    }

    #[test]
    fn parameters() {
        let ended = Ended { good: true, bytes: 512 };
        assert_eq!(status(ended), [0, 0, 0, 8, 1, 0, 1, 0, 0, 0, 2, 0]);
        let data = operating_parameters(32 << 20);
        assert_eq!(usize::from(data[3]) + 4, data.len());
        assert_eq!(data[43..], [2, 2, 0xe4]);
    }

    proptest! {
        #[test]
        fn any_list(list in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&list);
        }
    }
}
