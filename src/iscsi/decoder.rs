//! Framing: bytes to PDUs (RFC 7143 11.2). Nothing larger than the declared limits is ever allocated.

use super::pdu::{HEADER, Header};
use crate::buffers;

/// Bytes of a CRC32C digest on the wire.
const DIGEST: usize = 4;

/// A whole PDU.
#[derive(Debug, PartialEq, Eq)]
pub struct Pdu {
    /// Basic header segment.
    pub header: Header,
    /// Additional header segments.
    pub ahs: Vec<u8>,
    /// Data segment without padding, from `base` on.
    pub data: Vec<u8>,
    /// The data digest does not match.
    pub damaged: bool,
    /// Length of `data` before this PDU's segment was appended: nonzero when a task's buffer was lent for it.
    pub base: usize,
}

/// The stream cannot be followed any further; the connection is dropped (`iscsi-target.md` 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// DataSegmentLength above what this side declared.
    TooLong(usize),
    /// Header digest mismatch.
    HeaderDigest,
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FrameError::TooLong(length) => write!(f, "data segment of {length} bytes is over the declared limit"),
            FrameError::HeaderDigest => f.write_str("header digest mismatch"),
        }
    }
}

/// Header, additional header segments and header digest; then data; then padding and data digest.
#[derive(Debug)]
enum Stage {
    Head,
    Data,
    Tail,
}

/// Takes bytes, gives PDUs.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    header_digest: bool,
    data_digest: bool,
    stage: Stage,
    head: Vec<u8>,
    pdu: Pdu,
    end: usize,
    tail: [u8; 3 + DIGEST],
    tail_have: usize,
}

impl Decoder {
    /// A decoder that accepts data segments of up to `limit` bytes, without digests.
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            limit,
            header_digest: false,
            data_digest: false,
            stage: Stage::Head,
            head: Vec::with_capacity(HEADER + DIGEST),
            pdu: empty(),
            end: 0,
            tail: [0; 3 + DIGEST],
            tail_have: 0,
        }
    }

    /// From the next PDU on.
    pub fn configure(&mut self, limit: usize, header_digest: bool, data_digest: bool) {
        self.limit = limit;
        self.header_digest = header_digest;
        self.data_digest = data_digest;
    }

    /// Consumes bytes from the front of `bytes` up to the end of one PDU at most. `buffer` is asked, once the header is
    /// known, for the vector that the data segment is appended to.
    pub fn feed(
        &mut self,
        bytes: &mut &[u8],
        buffer: impl FnOnce(&Header) -> Vec<u8>,
    ) -> Result<Option<Pdu>, FrameError> {
        if matches!(self.stage, Stage::Head) && !self.feed_head(bytes, buffer)? {
            return Ok(None);
        }
        if matches!(self.stage, Stage::Data) {
            let part = take(bytes, self.end - self.pdu.data.len());
            self.pdu.data.extend_from_slice(part);
            if self.pdu.data.len() < self.end {
                return Ok(None);
            }
            self.stage = Stage::Tail;
        }
        let part = take(bytes, self.tail_length() - self.tail_have);
        self.tail[self.tail_have..self.tail_have + part.len()].copy_from_slice(part);
        self.tail_have += part.len();
        if self.tail_have < self.tail_length() {
            return Ok(None);
        }
        self.pdu.damaged = !self.data_intact();
        self.stage = Stage::Head;
        self.tail_have = 0;
        self.head.clear();
        Ok(Some(std::mem::replace(&mut self.pdu, empty())))
    }

    /// While a data segment is incomplete: its vector, and how many bytes are missing, for receiving straight into it.
    /// The caller may append up to that many bytes; the next `feed` goes on from there, also with no bytes.
    pub fn wanted(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let missing = self.end.checked_sub(self.pdu.data.len())?;
        (matches!(self.stage, Stage::Data) && missing > 0).then_some((&mut self.pdu.data, missing))
    }

    fn feed_head(&mut self, bytes: &mut &[u8], buffer: impl FnOnce(&Header) -> Vec<u8>) -> Result<bool, FrameError> {
        let part = take(bytes, HEADER.saturating_sub(self.head.len()));
        self.head.extend_from_slice(part);
        let Some(header) = self.head.first_chunk::<HEADER>().copied().map(Header) else {
            return Ok(false);
        };
        if header.data_length() > self.limit {
            return Err(FrameError::TooLong(header.data_length()));
        }
        let end_of_ahs = HEADER + header.ahs_length();
        let whole = end_of_ahs + if self.header_digest { DIGEST } else { 0 };
        let part = take(bytes, whole - self.head.len());
        self.head.extend_from_slice(part);
        if self.head.len() < whole {
            return Ok(false);
        }
        let (covered, digest) = self.head.split_at(end_of_ahs);
        if self.header_digest && digest != crc32c::crc32c(covered).to_le_bytes() {
            return Err(FrameError::HeaderDigest);
        }
        let mut data = buffer(&header);
        if data.capacity() == 0 {
            data = buffers::take(header.data_length());
        }
        data.reserve(header.data_length());
        self.end = data.len() + header.data_length();
        self.pdu = Pdu {
            header,
            ahs: covered[HEADER..].to_vec(),
            damaged: false,
            base: data.len(),
            data,
        };
        self.stage = Stage::Data;
        Ok(true)
    }

    fn tail_length(&self) -> usize {
        let length = self.end - self.pdu.base;
        padding(length) + if self.data_digest && length > 0 { DIGEST } else { 0 }
    }

    /// The data digest covers data and padding and is absent when there is no data (RFC 7143 11.2.3).
    fn data_intact(&self) -> bool {
        let data = &self.pdu.data[self.pdu.base..];
        if !self.data_digest || data.is_empty() {
            return true;
        }
        let (pad, digest) = self.tail[..self.tail_have].split_at(padding(data.len()));
        let sum = crc32c::crc32c_append(crc32c::crc32c(data), pad);
        digest == sum.to_le_bytes()
    }
}

/// Bytes of padding after a segment.
pub fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

fn empty() -> Pdu {
    Pdu {
        header: Header([0; HEADER]),
        ahs: Vec::new(),
        data: Vec::new(),
        damaged: false,
        base: 0,
    }
}

fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (part, rest) = bytes.split_at(most.min(bytes.len()));
    *bytes = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::super::output::Output;
    use super::*;
    use proptest::prelude::*;

    fn encode(segments: &[Vec<u8>], header_digest: bool, data_digest: bool) -> Vec<u8> {
        let mut out = Output::default();
        out.configure(header_digest, data_digest);
        for segment in segments {
            out.push(Header::new(0), segment.clone());
        }
        out.to_bytes()
    }

    /// Stands for the data of a damaged PDU.
    const DAMAGED: &[u8] = b"damaged";

    fn decode(decoder: &mut Decoder, bytes: &[u8], step: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut found = Vec::new();
        for mut chunk in bytes.chunks(step.max(1)) {
            while let Some(pdu) = decoder.feed(&mut chunk, |_| Vec::new())? {
                found.push(if pdu.damaged { DAMAGED.to_vec() } else { pdu.data });
            }
        }
        Ok(found)
    }

    #[test]
    fn digest_vectors() {
        // `iscsi-target.md` 4.2, bytes as sent.
        let ascending: Vec<u8> = (0..32).collect();
        let descending: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c::crc32c(&[0; 32]).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(crc32c::crc32c(&[0xff; 32]).to_le_bytes(), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(crc32c::crc32c(&ascending).to_le_bytes(), [0x4e, 0x79, 0xdd, 0x46]);
        assert_eq!(crc32c::crc32c(&descending).to_le_bytes(), [0x5c, 0xdb, 0x3f, 0x11]);
    }

    #[test]
    fn a_segment_over_the_limit_is_refused_before_anything_is_allocated() {
        let bytes = encode(&[vec![0; 513]], false, false);
        let mut decoder = Decoder::new(512);
        let mut rest = &bytes[..HEADER];
        let result = decoder.feed(&mut rest, |_| panic!("no buffer may be asked for"));
        assert_eq!(result, Err(FrameError::TooLong(513)));
    }

    #[test]
    fn a_lent_buffer_is_appended_to() {
        let bytes = encode(&[vec![9; 5]], false, true);
        let mut decoder = Decoder::new(512);
        decoder.configure(512, false, true);
        let pdu = decoder.feed(&mut &bytes[..], |_| vec![1, 2]).unwrap().unwrap();
        assert_eq!((pdu.base, pdu.data), (2, vec![1, 2, 9, 9, 9, 9, 9]));
    }

    #[test]
    fn data_may_be_received_straight_into_the_segment() {
        let bytes = encode(&[vec![3; 100], vec![4; 8]], false, false);
        let mut decoder = Decoder::new(512);
        assert_eq!(decoder.feed(&mut &bytes[..HEADER + 10], |_| Vec::new()), Ok(None));
        let (vector, missing) = decoder.wanted().unwrap();
        assert_eq!(missing, 90);
        vector.extend_from_slice(&bytes[HEADER + 10..HEADER + 100]);
        let mut rest = &bytes[HEADER + 100..];
        assert_eq!(
            decoder.feed(&mut rest, |_| Vec::new()).unwrap().unwrap().data,
            vec![3; 100]
        );
        assert_eq!(
            decoder.feed(&mut rest, |_| Vec::new()).unwrap().unwrap().data,
            vec![4; 8]
        );
    }

    proptest! {
        #[test]
        fn pdus_survive_any_cutting(segments in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 0..40), 1..6), step in 1usize..200, hd: bool, dd: bool) {
            let bytes = encode(&segments, hd, dd);
            let mut decoder = Decoder::new(64);
            decoder.configure(64, hd, dd);
            prop_assert_eq!(decode(&mut decoder, &bytes, step).unwrap(), segments);
        }

        #[test]
        fn a_flipped_bit_is_found_by_the_digests(segment in proptest::collection::vec(any::<u8>(), 1..40), at: usize,
            bit in 0u8..8) {
            let mut bytes = encode(std::slice::from_ref(&segment), true, true);
            // Bytes 4 to 7 are the lengths: changed, they move the end of the PDU.
            let at = match at % bytes.len() { 4..8 => 0, at => at };
            bytes[at] ^= 1 << bit;
            let mut decoder = Decoder::new(64);
            decoder.configure(64, true, true);
            let found = decode(&mut decoder, &bytes, 7);
            prop_assert!(found.is_err() || found == Ok(vec![DAMAGED.to_vec()]));
        }

        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2000), step in 1usize..100) {
            let mut decoder = Decoder::new(8192);
            let _ = decode(&mut decoder, &bytes, step);
        }
    }
}
