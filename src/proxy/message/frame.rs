//! Compact frames between two of our nodes (`alua-proxy.md` 3.9): bulk data raw behind the list, not in it fourfold.
//!
//! ```text
//! 02 00 00 00 | list length (4) | raw length (4) | CRC-32C of the raw part (4) | list | raw part
//! ```
//!
//! Where records of TLS keep the raw part from damage all the way, 0 will do instead of its checksum (capability 6).

use super::{Integrity, MAX_DATA, MessageError};
use crate::buffers;

const MAGIC: [u8; 4] = [2, 0, 0, 0];
/// Bytes before the list.
pub(super) const HEADER: usize = 16;

/// What stands before a list of so many bytes, and the raw part behind it.
pub(super) fn header(list: usize, raw: &[u8], integrity: Integrity) -> [u8; HEADER] {
    let length = |bytes: usize| {
        u32::try_from(bytes)
            .expect("a message is far below 4 GiB")
            .to_be_bytes()
    };
    let checksum = match integrity {
        Integrity::Checksum => crc32c::crc32c(raw),
        Integrity::Records => 0,
    };
    let fields = [MAGIC, length(list), length(raw.len()), checksum.to_be_bytes()];
    let mut header = [0; HEADER];
    header.as_chunks_mut::<4>().0.copy_from_slice(&fields);
    header
}

/// List and raw part.
type Parts<'a> = (&'a [u8], Vec<u8>);

/// What the first bytes of a compact frame say.
struct Header {
    list: usize,
    raw: usize,
    checksum: u32,
}

impl Header {
    /// `None` for bytes that begin no compact frame.
    fn read(bytes: &[u8; HEADER]) -> Option<Header> {
        let field = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let size = |at: usize| usize::try_from(field(at)).ok();
        (bytes[..4] == MAGIC).then_some(Header {
            list: size(4)?,
            raw: size(8)?,
            checksum: field(12),
        })
    }
}

/// See [`super::Message::raw_length`].
pub(super) fn raw_length(beginning: &[u8], length: usize) -> usize {
    let header = beginning.first_chunk().and_then(Header::read);
    header
        .filter(|header| header.raw <= MAX_DATA && HEADER.checked_add(header.list) == length.checked_sub(header.raw))
        .map_or(0, |header| header.raw)
}

/// The list and the raw part of a compact frame, of which the raw part may be at hand already; `None` for a list alone.
pub(super) fn open(head: &[u8], raw: Vec<u8>, integrity: Integrity) -> Result<Option<Parts<'_>>, MessageError> {
    if head.first() != Some(&MAGIC[0]) {
        return match raw.is_empty() {
            true => Ok(None),
            false => Err(MessageError::Frame),
        };
    }
    let (header, rest) = head.split_first_chunk().ok_or(MessageError::Frame)?;
    let header = Header::read(header).ok_or(MessageError::Frame)?;
    let (list, behind) = rest.split_at_checked(header.list).ok_or(MessageError::Frame)?;
    let raw = match raw.is_empty() {
        true => {
            let mut raw = buffers::take(behind.len());
            raw.extend_from_slice(behind);
            raw
        }
        false if behind.is_empty() => raw,
        false => return Err(MessageError::Frame),
    };
    let kept = header.checksum == 0 && integrity == Integrity::Records;
    if raw.len() != header.raw || !kept && crc32c::crc32c(&raw) != header.checksum {
        return Err(MessageError::Frame);
    }
    Ok(Some((list, raw)))
}
