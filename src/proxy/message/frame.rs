//! Compact frames between two of our nodes (`alua-proxy.md` 3.9): bulk data raw behind the list, not in it fourfold.
//!
//! ```text
//! 02 00 00 00 | list length (4) | raw length (4) | CRC-32C of the raw part (4) | list | raw part
//! ```

use super::MessageError;

const MAGIC: [u8; 4] = [2, 0, 0, 0];
/// Bytes before the list.
pub(super) const HEADER: usize = 16;

/// What stands before a list of so many bytes, and the raw part behind it.
pub(super) fn header(list: usize, raw: &[u8]) -> [u8; HEADER] {
    let length = |bytes: usize| {
        u32::try_from(bytes)
            .expect("a message is far below 4 GiB")
            .to_be_bytes()
    };
    let fields = [
        MAGIC,
        length(list),
        length(raw.len()),
        crc32c::crc32c(raw).to_be_bytes(),
    ];
    let mut header = [0; HEADER];
    header.as_chunks_mut::<4>().0.copy_from_slice(&fields);
    header
}

/// List and raw part.
type Parts<'a> = (&'a [u8], &'a [u8]);

/// The parts of a compact frame; `None` for bytes that are none.
pub(super) fn split(bytes: &[u8]) -> Result<Option<Parts<'_>>, MessageError> {
    if bytes.first() != Some(&MAGIC[0]) {
        return Ok(None);
    }
    let (header, rest) = bytes.split_at_checked(HEADER).ok_or(MessageError::Frame)?;
    let field = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let size = |at: usize| usize::try_from(field(at)).map_err(|_| MessageError::Frame);
    let (list, raw) = rest.split_at_checked(size(4)?).ok_or(MessageError::Frame)?;
    if header[..4] != MAGIC || raw.len() != size(8)? || crc32c::crc32c(raw) != field(12) {
        return Err(MessageError::Frame);
    }
    Ok(Some((list, raw)))
}
