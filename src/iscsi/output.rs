//! What waits to be sent on one connection: headers and data slices, never copied together.

use super::decoder::padding;
use super::pdu::{HEADER, Header};
use crate::buffers;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;

/// A data segment: of its own, or part of a longer one that several PDUs carry.
#[derive(Debug)]
pub enum Data {
    /// Of its own.
    Own(Vec<u8>),
    /// This part of it.
    Part(Arc<Vec<u8>>, Range<usize>),
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Data {
        Data::Own(bytes)
    }
}

impl Data {
    fn bytes(&self) -> &[u8] {
        match self {
            Data::Own(bytes) => bytes,
            Data::Part(bytes, range) => &bytes[range.clone()],
        }
    }

    fn reuse(self) {
        match self {
            Data::Own(bytes) => buffers::give(bytes),
            Data::Part(bytes, _) => Arc::into_inner(bytes).into_iter().for_each(buffers::give),
        }
    }
}

/// One PDU: header with digest, data, padding with digest.
#[derive(Debug)]
struct Message {
    head: [u8; HEADER + 4],
    head_length: usize,
    data: Data,
    tail: [u8; 3 + 4],
    tail_length: usize,
}

impl Message {
    fn parts(&self) -> [&[u8]; 3] {
        [
            &self.head[..self.head_length],
            self.data.bytes(),
            &self.tail[..self.tail_length],
        ]
    }

    fn length(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }
}

/// PDUs in sending order.
#[derive(Debug, Default)]
pub struct Output {
    messages: VecDeque<Message>,
    /// Bytes of the first message that are sent already.
    sent: usize,
    bytes: usize,
    header_digest: bool,
    data_digest: bool,
}

impl Output {
    /// Digests from the next PDU on.
    pub fn configure(&mut self, header_digest: bool, data_digest: bool) {
        self.header_digest = header_digest;
        self.data_digest = data_digest;
    }

    /// Bytes not sent yet.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True when everything is sent.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Slices of what is to be sent next, at most `most` of them, appended to `slices`.
    pub fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>, most: usize) {
        let mut skip = self.sent;
        for message in &self.messages {
            for part in message.parts() {
                let cut = skip.min(part.len());
                skip -= cut;
                if part.len() > cut {
                    if slices.len() == most {
                        return;
                    }
                    slices.push(IoSlice::new(&part[cut..]));
                }
            }
        }
    }

    /// The first `sent` unsent bytes are gone.
    pub fn advance(&mut self, sent: usize) {
        debug_assert!(sent <= self.bytes);
        self.bytes -= sent.min(self.bytes);
        self.sent += sent;
        while let Some(length) = self.messages.front().map(Message::length) {
            if self.sent < length {
                break;
            }
            self.sent -= length;
            if let Some(message) = self.messages.pop_front() {
                message.data.reuse();
            }
        }
    }

    /// Everything in one vector.
    #[cfg(test)]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut slices = Vec::new();
        self.slices(&mut slices, usize::MAX);
        slices.iter().flat_map(|slice| slice.to_vec()).collect()
    }

    /// Appends a PDU; the length of its data segment is put into the header.
    pub fn push(&mut self, mut header: Header, data: impl Into<Data>) {
        let data = data.into();
        let bytes = data.bytes();
        header.set_data_length(bytes.len());
        let mut head = [0; HEADER + 4];
        head[..HEADER].copy_from_slice(&header.0);
        let mut head_length = HEADER;
        if self.header_digest {
            head[HEADER..].copy_from_slice(&crc32c::crc32c(&header.0).to_le_bytes());
            head_length += 4;
        }
        let mut tail = [0; 3 + 4];
        let mut tail_length = padding(bytes.len());
        if self.data_digest && !bytes.is_empty() {
            let sum = crc32c::crc32c_append(crc32c::crc32c(bytes), &tail[..tail_length]);
            tail[tail_length..tail_length + 4].copy_from_slice(&sum.to_le_bytes());
            tail_length += 4;
        }
        let message = Message {
            head,
            head_length,
            data,
            tail,
            tail_length,
        };
        self.bytes += message.length();
        self.messages.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_partial_sends_give_the_same_bytes(lengths in proptest::collection::vec(0usize..50, 1..8),
            steps in proptest::collection::vec(1usize..60, 1..40)) {
            let mut out = Output::default();
            let shared = Arc::new((0..50u8).collect::<Vec<_>>());
            for (i, &length) in lengths.iter().enumerate() {
                if i % 2 == 0 {
                    out.push(Header::new(1), vec![7; length]);
                } else {
                    out.push(Header::new(2), Data::Part(shared.clone(), 0..length));
                }
            }
            let all = out.to_bytes();
            prop_assert_eq!(all.len(), out.len());
            let mut sent = Vec::new();
            for step in steps.iter().cycle() {
                let mut slices = Vec::new();
                out.slices(&mut slices, 3);
                let flat: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                drop(slices);
                let n = flat.len().min(*step);
                sent.extend_from_slice(&flat[..n]);
                out.advance(n);
                if out.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(sent, all);
            prop_assert_eq!(out.len(), 0);
        }
    }
}
