//! Messages out of the bytes of a lane, framed as [`super::stream`] says. The raw part of a compact frame is put into a buffer
//! of its own, which becomes the data of a command: what is received is copied once.

use super::message::{MAX_MESSAGE, Message};
use super::stream::{self, HEADER, InvalidLength};
use crate::buffers;

/// A message as [`Message::from_parts`] takes it.
pub type Parts<'a> = (&'a [u8], Vec<u8>);

/// Bytes in, messages out.
#[derive(Default)]
pub struct Assembler {
    /// The beginning of a frame, or all of it.
    head: Vec<u8>,
    /// What there is of its raw part.
    raw: Vec<u8>,
    /// The frame has been handed out.
    handed: bool,
}

impl Assembler {
    /// Takes bytes off the front, at most up to the end of a message, and hands that out. `None`: more bytes are needed. After an
    /// error the stream is out of step for good.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Parts<'_>>, InvalidLength> {
        if std::mem::take(&mut self.handed) {
            self.head.clear();
        }
        let Some(header) = fill(&mut self.head, HEADER, bytes).and_then(<[u8]>::first_chunk) else {
            return Ok(None);
        };
        let length = stream::length(*header, MAX_MESSAGE)?;
        let beginning = HEADER + length.min(Message::BEGINNING);
        let Some(beginning) = fill(&mut self.head, beginning, bytes) else {
            return Ok(None);
        };
        let raw = Message::raw_length(&beginning[HEADER..], length);
        if fill(&mut self.head, HEADER + length - raw, bytes).is_none() {
            return Ok(None);
        }
        if self.raw.capacity() < raw {
            self.raw = buffers::take(raw);
        }
        if fill(&mut self.raw, raw, bytes).is_none() {
            return Ok(None);
        }
        self.handed = true;
        Ok(Some((&self.head[HEADER..], std::mem::take(&mut self.raw))))
    }

    /// True in the middle of a frame: a stream must not end here.
    pub fn is_partial(&self) -> bool {
        !self.handed && !self.head.is_empty()
    }
}

/// Moves bytes until the part has this length or more; `None`: there were too few. Grows with what has arrived, not with the
/// length that a frame claims to have.
fn fill<'a>(part: &'a mut Vec<u8>, length: usize, bytes: &mut &[u8]) -> Option<&'a [u8]> {
    let missing = length.saturating_sub(part.len());
    let (now, later) = bytes.split_at(missing.min(bytes.len()));
    part.extend_from_slice(now);
    *bytes = later;
    (part.len() >= length).then_some(part)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::message::{Body, Integrity, Piece};
    use super::*;
    use proptest::prelude::*;

    type Owned = (Vec<u8>, Vec<u8>);

    fn assemble(stream: &[u8], piece: usize) -> (Vec<Owned>, Option<InvalidLength>, bool) {
        let (mut assembler, mut messages) = (Assembler::default(), Vec::new());
        for mut piece in stream.chunks(piece) {
            loop {
                match assembler.next(&mut piece) {
                    Ok(Some((head, raw))) => messages.push((head.to_vec(), raw)),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error), true),
                }
            }
            assert!(piece.is_empty());
            assert!(assembler.raw.capacity() <= 1 << 20);
        }
        (messages, None, assembler.is_partial())
    }

    fn question(length: usize) -> Message {
        let piece = Piece {
            request: 1,
            total: u32::try_from(length).unwrap(),
            offset: 0,
            data: (0..length).map(|n| (n % 251) as u8).collect(),
        };
        Message::new(1, Body::NodeRequest(piece))
    }

    fn frame(message: &[u8]) -> Vec<u8> {
        stream::encode(message).unwrap()
    }

    #[test]
    fn bulk_data_come_in_a_buffer_of_their_own() {
        let message = question(70_000);
        let (head, raw) = message.clone().into_parts(0, true, Integrity::Records);
        let stream = frame(&[&head[..], &raw].concat());
        for piece in [1, 3, 1000, 16 << 10, stream.len()] {
            let (messages, error, partial) = assemble(&stream, piece);
            assert!((error, partial) == (None, false) && messages == [(head.clone(), raw.clone())]);
        }
        let (messages, ..) = assemble(&stream, 999);
        let (head, raw) = messages.into_iter().next().unwrap();
        let data = raw.as_ptr();
        let decoded = Message::from_parts(&head, raw, Integrity::Records).unwrap();
        let Body::NodeRequest(piece) = &decoded.body else {
            panic!()
        };
        assert!(piece.data.as_ptr() == data && decoded == message);
    }

    #[test]
    fn lengths_are_bounded() {
        let refused = |header: [u8; 4]| assemble(&[&header[..], &[2; 40]].concat(), 5).1;
        assert_eq!(refused([0; 4]), Some(InvalidLength(0)));
        assert_eq!(refused([1, 0, 0, 1]), Some(InvalidLength(MAX_MESSAGE + 1)));
        assert_eq!(refused([1, 0, 0, 0]), None);
        assert_eq!(refused([0xff; 4]), Some(InvalidLength(u32::MAX as usize)));
    }

    #[test]
    fn room_grows_with_what_has_arrived() {
        // 16 MiB of another message; a frame with a raw part of 16 MiB; one with a list of 16 MiB.
        let claim = |list: u32, raw: u32| [[2, 0, 0, 0], list.to_be_bytes(), raw.to_be_bytes(), [0; 4]].concat();
        let all = u32::try_from(MAX_MESSAGE).unwrap();
        for beginning in [vec![1, 1, 0, 0], claim(0, all - 16), claim(all - 17, 1)] {
            let mut assembler = Assembler::default();
            let stream = [&all.to_be_bytes()[..], &beginning, &[0; 1000]].concat();
            assert!(assembler.next(&mut &stream[..]).unwrap().is_none());
            assert!(assembler.is_partial());
            assert!(assembler.head.capacity() + assembler.raw.capacity() < 8 * stream.len());
        }
    }

    #[test]
    fn an_end_in_the_middle_is_seen() {
        let stream = frame(&question(100).encode_compact());
        for end in 0..=stream.len() {
            let (_, error, partial) = assemble(&stream[..end], 50);
            assert_eq!((error, partial), (None, end != 0 && end != stream.len()), "{end}");
        }
    }

    proptest! {
        #[test]
        fn any_messages_come_out_as_they_went_in(
            messages in proptest::collection::vec((any::<bool>(), 1_usize..5000), 0..20),
            piece in 1_usize..9000,
        ) {
            let messages: Vec<Message> = messages.iter().map(|(compact, length)| match compact {
                true => question(*length),
                false => Message::new(2, Body::EchoRequest(vec![7; *length])),
            }).collect();
            let stream: Vec<u8> = messages.iter().flat_map(|message| frame(&message.encode_compact())).collect();
            let (parts, error, partial) = assemble(&stream, piece);
            prop_assert_eq!((error, partial), (None, false));
            for ((head, raw), message) in parts.into_iter().zip(&messages) {
                prop_assert_eq!(&Message::from_parts(&head, raw, Integrity::Checksum).unwrap(), message);
            }
        }

        /// Whatever is damaged, the bytes are those of the frame, and mean what they mean in one piece.
        #[test]
        fn what_a_frame_holds_is_the_same_in_one_piece(
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            length in 0_usize..100,
            piece in 1_usize..300,
            fields in 0_usize..20,
        ) {
            let mut message = question(1 + length).encode_compact();
            for (at, byte) in damage {
                // More often in what the assembler looks at.
                let range = if byte % 2 == 0 { 16 } else { message.len() };
                let at = at.index(range);
                message[at] = byte;
            }
            message.truncate(message.len() - fields.min(message.len() - 1));
            let (parts, error, partial) = assemble(&frame(&message), piece);
            prop_assert_eq!((parts.len(), error, partial), (1, None, false));
            let (head, raw) = &parts[0];
            prop_assert_eq!(&[&head[..], raw].concat(), &message);
            prop_assert_eq!(
                Message::from_parts(head, raw.clone(), Integrity::Checksum),
                Message::decode(&message)
            );
        }

        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(prop_oneof![Just(0), Just(2), any::<u8>()], 0..300),
            piece in 1_usize..40,
        ) {
            assemble(&bytes, piece);
        }
    }
}
