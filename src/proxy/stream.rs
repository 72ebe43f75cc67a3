//! Framing of the stream between the nodes (`alua-proxy.md` chapter 4): a 4-byte big-endian length that does not count itself,
//! then that many bytes. The first frame each way is the greeting: the sender's host name with its NUL.
use std::fmt;

/// Bytes of the length.
pub const HEADER: usize = 4;

/// Longest message accepted (`alua-proxy.md` 8.1); a peer that announces more is out of step or hostile.
pub const MAX_MESSAGE: usize = 16 << 20;

/// Longest greeting accepted: a host name, and room for what a daemon may put behind its NUL.
pub const MAX_GREETING: usize = 64 << 10;

/// A length that no frame has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidLength(pub usize);

impl fmt::Display for InvalidLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame of {} bytes", self.0)
    }
}

impl std::error::Error for InvalidLength {}

/// One frame around a message of 1 to [`MAX_MESSAGE`] bytes.
pub fn encode(message: &[u8]) -> Result<Vec<u8>, InvalidLength> {
    let mut frame = Vec::with_capacity(HEADER + message.len());
    frame.extend_from_slice(&header(message.len())?);
    frame.extend_from_slice(message);
    Ok(frame)
}

/// What stands before a message of so many bytes.
pub fn header(length: usize) -> Result<[u8; HEADER], InvalidLength> {
    match u32::try_from(length) {
        Ok(bytes) if length > 0 && length <= MAX_MESSAGE => Ok(bytes.to_be_bytes()),
        _ => Err(InvalidLength(length)),
    }
}

/// The bytes behind this header, of which there are at most `limit`.
pub fn length(header: [u8; HEADER], limit: usize) -> Result<usize, InvalidLength> {
    let length = usize::try_from(u32::from_be_bytes(header)).map_err(|_| InvalidLength(usize::MAX))?;
    match length {
        1.. if length <= limit => Ok(length),
        _ => Err(InvalidLength(length)),
    }
}

/// Bytes in, messages out.
pub struct Decoder {
    buffer: Vec<u8>,
    /// What stands before this was handed out.
    start: usize,
    limit: usize,
}

impl Decoder {
    /// For a stream whose next frames carry at most `limit` bytes each.
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            buffer: Vec::new(),
            start: 0,
            limit,
        }
    }

    /// The limit of the frames that follow.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Appends what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..std::mem::take(&mut self.start));
        self.buffer.extend_from_slice(bytes);
    }

    /// What was received and not handed out.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The next complete message; `None`: more bytes are needed. After an error the stream is out of step for good.
    pub fn next_message(&mut self) -> Result<Option<&[u8]>, InvalidLength> {
        let Some((header, rest)) = self.rest().split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = length(*header, self.limit)?;
        if rest.len() < length {
            return Ok(None);
        }
        let message = self.start + HEADER;
        self.start = message + length;
        Ok(Some(&self.buffer[message..self.start]))
    }

    /// True in the middle of a frame: a stream must not end here.
    pub fn is_partial(&self) -> bool {
        self.start < self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: &[u8] = include_bytes!("../../tests/vectors/stream-node1-greeting-register-lun.bin");

    fn decode(bytes: &[u8], piece: usize, limit: usize) -> (Vec<Vec<u8>>, Option<InvalidLength>, bool) {
        let (mut decoder, mut messages) = (Decoder::new(limit), Vec::new());
        for piece in bytes.chunks(piece.max(1)) {
            decoder.push(piece);
            loop {
                match decoder.next_message() {
                    Ok(Some(message)) => messages.push(message.to_vec()),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error), true),
                }
            }
        }
        (messages, None, decoder.is_partial())
    }

    #[test]
    fn golden_stream() {
        for piece in [1, 3, 4, 7, 438] {
            let (messages, error, partial) = decode(STREAM, piece, MAX_MESSAGE);
            assert_eq!((messages.len(), error, partial), (2, None, false));
            assert_eq!(messages[0], b"node1\0");
            assert_eq!(messages[1].len(), 424);
            let again: Vec<u8> = messages.iter().flat_map(|message| encode(message).unwrap()).collect();
            assert_eq!(again, STREAM);
        }
    }

    #[test]
    fn a_cut_stream_is_seen() {
        for end in 1..STREAM.len() {
            let (_, error, partial) = decode(&STREAM[..end], 5, MAX_MESSAGE);
            assert_eq!((error, partial), (None, end != 10), "{end}");
        }
    }

    #[test]
    fn lengths_are_bounded() {
        assert_eq!(decode(&[0, 0, 0, 0], 4, MAX_MESSAGE).1, Some(InvalidLength(0)));
        assert_eq!(decode(&[1, 0, 0, 0], 4, MAX_MESSAGE), (vec![], None, true));
        assert_eq!(
            decode(&[1, 0, 0, 1], 4, MAX_MESSAGE).1,
            Some(InvalidLength(MAX_MESSAGE + 1))
        );
        assert_eq!(decode(&[0, 0, 0, 9, 1], 4, 8).1, Some(InvalidLength(9)));
        assert_eq!(encode(&[]), Err(InvalidLength(0)));
        assert!(encode(&vec![0; MAX_MESSAGE]).is_ok());
        assert_eq!(encode(&vec![0; MAX_MESSAGE + 1]), Err(InvalidLength(MAX_MESSAGE + 1)));
    }

    proptest! {
        #[test]
        fn any_messages_come_out_as_they_went_in(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 0..20),
            piece in 1_usize..300,
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|m| encode(m).unwrap()).collect();
            prop_assert_eq!(decode(&stream, piece, MAX_MESSAGE), (messages, None, false));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1_usize..9) {
            decode(&bytes, piece, 64);
        }
    }
}
