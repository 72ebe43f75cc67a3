//! Bytes on their way into a stream socket, in pieces that are not copied.

use crate::buffers;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

/// Slices handed to one system call, at most: the kernel's IOV_MAX.
const SLICES: usize = 1024;

/// What was put here and is not sent, in order.
#[derive(Default)]
pub struct Outgoing {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that are gone.
    gone: usize,
    /// Bytes that are not.
    length: usize,
}

/// Data, and what is sent around each part of them.
struct Piece {
    data: Vec<u8>,
    seams: Option<Seams>,
}

/// What is sent before, between and behind the parts of some data.
pub struct Seams {
    /// Length of each part, bytes; the last one may be shorter.
    pub part: usize,
    /// Length of what stands before the first part.
    pub before: usize,
    /// Length of what stands behind each part; the last one may be shorter.
    pub behind: usize,
    /// All of that, in order.
    pub bytes: Vec<u8>,
}

impl Outgoing {
    /// Appends data.
    pub fn push(&mut self, data: Vec<u8>) {
        self.append(data, None);
    }

    /// Appends data with something around their parts.
    pub fn push_parts(&mut self, data: Vec<u8>, seams: Seams) {
        self.append(data, Some(seams));
    }

    fn append(&mut self, data: Vec<u8>, seams: Option<Seams>) {
        let piece = Piece { data, seams };
        if piece.length() > 0 {
            self.length += piece.length();
            self.pieces.push_back(piece);
        }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.length
    }

    /// Gives all of it to `send`, in order, which takes a part of the bytes that it gets. What it did not take before an error
    /// is kept.
    pub fn send(&mut self, mut send: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<()> {
        while self.length > 0 {
            let mut slices = Vec::new();
            for piece in &self.pieces {
                piece.slices(&mut slices);
                if slices.len() >= SLICES {
                    break;
                }
            }
            let mut rest = &mut slices[..];
            // Of the first piece alone there may be more slices gone than one call takes.
            IoSlice::advance_slices(&mut rest, self.gone);
            match send(&rest[..rest.len().min(SLICES)])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.sent(count),
            }
        }
        Ok(())
    }

    /// All of it, as the other end receives it.
    #[cfg(any(test, fuzzing))]
    pub fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let all = self.send(|slices| {
            let before = bytes.len();
            slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
            Ok(bytes.len() - before)
        });
        all.expect("a vector has room");
        bytes
    }

    fn sent(&mut self, count: usize) {
        self.gone += count;
        self.length -= count;
        while let Some(length) = self.pieces.front().map(Piece::length)
            && self.gone >= length
        {
            self.gone -= length;
            self.pieces
                .pop_front()
                .into_iter()
                .for_each(|piece| buffers::give(piece.data));
        }
    }
}

impl Piece {
    fn length(&self) -> usize {
        self.data.len() + self.seams.as_ref().map_or(0, |seams| seams.bytes.len())
    }

    fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        let Some(seams) = &self.seams else {
            return slices.push(IoSlice::new(&self.data));
        };
        let (first, rest) = seams.bytes.split_at(seams.before);
        slices.push(IoSlice::new(first));
        for (part, seam) in self.data.chunks(seams.part).zip(rest.chunks(seams.behind)) {
            slices.extend([part, seam].map(IoSlice::new));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn seams(bytes: &[u8]) -> Seams {
        Seams {
            part: 3,
            before: 2,
            behind: 4,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn what_is_sent_around_data() {
        for (data, around, sent) in [
            (&b"abc"[..], &b"<<>>>>"[..], &b"<<abc>>>>"[..]),
            (b"abcd", b"<<>><<>>", b"<<abc>><<d>>"),
            (b"abcdef", b"<<>><<>>", b"<<abc>><<def>>"),
        ] {
            let mut outgoing = Outgoing::default();
            outgoing.push(b"1".to_vec());
            outgoing.push_parts(data.to_vec(), seams(around));
            outgoing.push(Vec::new());
            outgoing.push(b"2".to_vec());
            assert_eq!(outgoing.left(), sent.len() + 2);
            assert_eq!(outgoing.take(), [b"1", sent, b"2"].concat());
            assert_eq!(outgoing.left(), 0);
        }
    }

    #[test]
    fn a_system_call_gets_no_more_slices_than_it_takes() {
        let (mut many, mut long) = (Outgoing::default(), Outgoing::default());
        let data: Vec<u8> = (0..4000_u16).flat_map(u16::to_be_bytes).collect();
        data.chunks(2).for_each(|piece| many.push(piece.to_vec()));
        // One piece of more slices than that.
        let around: Vec<u8> = (0..2 + 4 * data.len().div_ceil(3)).map(|n| (n % 251) as u8).collect();
        let (first, behind) = around.split_at(2);
        let parts = data.chunks(3).zip(behind.chunks(4));
        let expected = [
            first,
            &parts
                .flat_map(|(part, seam)| [part, seam].concat())
                .collect::<Vec<u8>>(),
        ]
        .concat();
        long.push_parts(data.clone(), seams(&around));
        for (mut outgoing, all) in [(many, data), (long, expected)] {
            let (mut bytes, mut most) = (Vec::new(), 0);
            let sent = outgoing.send(|slices| {
                most = most.max(slices.len());
                let before = bytes.len();
                slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
                Ok(bytes.len() - before)
            });
            sent.unwrap();
            assert_eq!(most, SLICES);
            assert!(bytes == all);
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_an_error() {
        let mut outgoing = Outgoing::default();
        outgoing.push(vec![1]);
        let error = outgoing.send(|_| Ok(0)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        assert_eq!(outgoing.take(), [1], "and it is kept");
    }

    proptest! {
        /// A socket that takes bits of it, and often nothing.
        #[test]
        fn what_is_taken_in_part_goes_on(
            pieces in proptest::collection::vec((1_usize..40, any::<bool>()), 1..20),
            takes in proptest::collection::vec(0_usize..60, 1..40),
        ) {
            let (mut outgoing, mut all, mut n) = (Outgoing::default(), Outgoing::default(), 0_u8);
            let mut bytes = |count: usize| -> Vec<u8> {
                (0..count).map(|_| { n = n.wrapping_add(1); n }).collect()
            };
            for (count, parts) in pieces {
                let (data, around) = (bytes(count), bytes(2 + 4 * count.div_ceil(3)));
                for outgoing in [&mut outgoing, &mut all] {
                    match parts {
                        true => outgoing.push_parts(data.clone(), seams(&around)),
                        false => outgoing.push(data.clone()),
                    }
                }
            }
            let all = all.take();
            let mut sent = Vec::new();
            for take in takes {
                let mut once = Some(take);
                let result = outgoing.send(|slices| {
                    let Some(take) = once.take().filter(|take| *take > 0) else {
                        return Err(io::ErrorKind::WouldBlock.into());
                    };
                    let mut offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
                    offered.truncate(take);
                    sent.extend_from_slice(&offered);
                    Ok(offered.len())
                });
                prop_assert_eq!(result.is_ok(), outgoing.left() == 0);
                prop_assert_eq!(sent.len() + outgoing.left(), all.len());
            }
            sent.extend(outgoing.take());
            prop_assert_eq!(sent, all);
        }
    }
}
