//! The bytes that travel on a door's sockets: a fixed head before each message on a private channel, and the one-word
//! requests to a door itself. Pure functions; both ends are on one machine, so numbers are in native order.
#![forbid(unsafe_code)]

/// Bytes of an encoded [`Frame`].
pub const FRAME_LENGTH: usize = 24;
/// Most argument or result bytes in one message. The originals are bounded by a server thread's stack; this bound keeps a
/// caller from making the server allocate without limit.
pub const DATA_LIMIT: usize = 1 << 30;
/// Most descriptors in one message (`c-clients.md` 6, door_return).
pub const DESCRIPTOR_LIMIT: usize = 1024;
/// Longest payload that travels in the message itself; a longer one travels in a memory file passed beside it. Chosen
/// to fit, with its head, the default send buffer of a socket (212,992 bytes).
pub const INLINE_LIMIT: usize = 192 * 1024;

/// First bytes of each frame ("DOOR" read as a little-endian number), so that a stranger on the socket is noticed.
const MAGIC: u32 = 0x524f_4f44;

/// What a message on a channel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Arguments of a call.
    Call,
    /// Results, or the error number in [`Frame::status`].
    Reply,
    /// Only descriptors, ahead of the message that they belong to: the kernel passes at most 253 at a time.
    Descriptors,
}

/// Flag: the payload is in the memory file that is the last descriptor of this message.
pub const IN_MEMORY_FILE: u16 = 1;
/// Flag of a call: the caller takes no results (`door_call` with NULL).
pub const NO_RESULTS: u16 = 2;
/// Flag of a call: not a call but the notice that the door is unreferenced. Believed only on a channel of the process itself.
pub const UNREFERENCED: u16 = 4;
const KNOWN_FLAGS: u16 = IN_MEMORY_FILE | NO_RESULTS | UNREFERENCED;

/// The head of a message: magic (4 bytes), kind (2), flags (2), status (4), number of descriptors (4), payload length (8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What follows.
    pub kind: Kind,
    /// See the flag constants.
    pub flags: u16,
    /// 0, or the error number with which a call failed.
    pub status: u32,
    /// Descriptors of the whole message, those sent ahead included, the memory file not.
    pub descriptors: u32,
    /// Payload bytes.
    pub length: u64,
}

impl Frame {
    /// A reply: 0, or why the call failed.
    pub fn answer(status: i32) -> Frame {
        Frame {
            kind: Kind::Reply,
            flags: 0,
            status: status.unsigned_abs(),
            descriptors: 0,
            length: 0,
        }
    }

    /// The bytes of the frame.
    pub fn encode(&self) -> [u8; FRAME_LENGTH] {
        let kind: u16 = match self.kind {
            Kind::Call => 1,
            Kind::Reply => 2,
            Kind::Descriptors => 3,
        };
        let mut bytes = [0; FRAME_LENGTH];
        bytes[0..4].copy_from_slice(&MAGIC.to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.status.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.descriptors.to_ne_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_ne_bytes());
        bytes
    }

    /// Reads a frame. `received` is the number of payload bytes that came in the same message. `None`: not a frame, or one
    /// that contradicts itself or a bound.
    pub fn decode(bytes: &[u8; FRAME_LENGTH], received: usize) -> Option<Frame> {
        let [
            m0,
            m1,
            m2,
            m3,
            k0,
            k1,
            f0,
            f1,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
            length @ ..,
        ] = *bytes;
        let kind = match u16::from_ne_bytes([k0, k1]) {
            1 => Kind::Call,
            2 => Kind::Reply,
            3 => Kind::Descriptors,
            _ => return None,
        };
        let frame = Frame {
            kind,
            flags: u16::from_ne_bytes([f0, f1]),
            status: u32::from_ne_bytes([s0, s1, s2, s3]),
            descriptors: u32::from_ne_bytes([d0, d1, d2, d3]),
            length: u64::from_ne_bytes(length),
        };
        let elsewhere = frame.flags & IN_MEMORY_FILE != 0;
        let length = usize::try_from(frame.length).ok()?;
        let sound = u32::from_ne_bytes([m0, m1, m2, m3]) == MAGIC
            && frame.flags & !KNOWN_FLAGS == 0
            && frame.descriptors as usize <= DESCRIPTOR_LIMIT
            && length <= DATA_LIMIT
            && received == if elsewhere { 0 } else { length }
            && (frame.status == 0 || kind == Kind::Reply)
            && (kind != Kind::Descriptors || (length == 0 && !elsewhere));
        sound.then_some(frame)
    }
}

/// A request sent to a door itself, with its descriptors: one byte on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The descriptor is the server's end of a new private channel; a second one is its memory.
    Channel,
    /// The descriptor is the server's end of one more socket that stands for this door.
    Endpoint,
    /// The descriptor is a socket that listens at a path to which the door is attached.
    Listener,
    /// Tell parameters and attributes over the descriptor.
    Query,
    /// The path through which this endpoint was opened shall not lead to the door any more. The descriptor is ignored.
    Detach,
}

impl Request {
    /// The byte of the request.
    pub fn encode(self) -> u8 {
        match self {
            Request::Channel => b'C',
            Request::Endpoint => b'E',
            Request::Listener => b'L',
            Request::Query => b'Q',
            Request::Detach => b'D',
        }
    }

    /// Reads a request; exactly one byte is one.
    pub fn decode(bytes: &[u8]) -> Option<Request> {
        match bytes {
            b"C" => Some(Request::Channel),
            b"E" => Some(Request::Endpoint),
            b"L" => Some(Request::Listener),
            b"Q" => Some(Request::Query),
            b"D" => Some(Request::Detach),
            _ => None,
        }
    }
}

/// What a server tells about its door (answer to [`Request::Query`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Attributes at creation, and those that hold now.
    pub attributes: u32,
    /// Address of the server procedure in the server.
    pub procedure: u64,
    /// The cookie.
    pub cookie: u64,
    /// Largest number of descriptors of one call.
    pub descriptors_max: u64,
    /// Largest number of argument bytes.
    pub data_max: u64,
    /// Smallest number of argument bytes.
    pub data_min: u64,
}

impl Description {
    /// Bytes of an encoded description.
    pub const LENGTH: usize = 48;

    /// The bytes of the description: six 8-byte numbers.
    pub fn encode(&self) -> [u8; Description::LENGTH] {
        let words = [
            u64::from(self.attributes),
            self.procedure,
            self.cookie,
            self.descriptors_max,
            self.data_max,
            self.data_min,
        ];
        let mut bytes = [0; Description::LENGTH];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads a description.
    pub fn decode(bytes: &[u8]) -> Option<Description> {
        let bytes: &[u8; Description::LENGTH] = bytes.try_into().ok()?;
        let mut words = [0u64; 6];
        for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(place.try_into().ok()?);
        }
        let [attributes, procedure, cookie, descriptors_max, data_max, data_min] = words;
        let attributes = u32::try_from(attributes).ok()?;
        Some(Description {
            attributes,
            procedure,
            cookie,
            descriptors_max,
            data_max,
            data_min,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_round_trip() {
        for request in [
            Request::Channel,
            Request::Endpoint,
            Request::Listener,
            Request::Query,
            Request::Detach,
        ] {
            assert_eq!(Request::decode(&[request.encode()]), Some(request));
        }
        assert_eq!(Request::decode(b""), None);
        assert_eq!(Request::decode(b"CC"), None);
        assert_eq!(Request::decode(b"c"), None);
    }

    #[test]
    fn bounds_are_kept() {
        let call = Frame {
            kind: Kind::Call,
            flags: 0,
            status: 0,
            descriptors: 0,
            length: 10,
        };
        assert_eq!(Frame::decode(&call.encode(), 10), Some(call));
        for received in [0, 9, 11] {
            assert_eq!(Frame::decode(&call.encode(), received), None, "{received} bytes for 10");
        }
        let far = Frame {
            flags: IN_MEMORY_FILE,
            ..call
        };
        assert_eq!(Frame::decode(&far.encode(), 0), Some(far));
        let bad = [
            Frame { flags: 0x80, ..call },
            Frame { status: 1, ..call },
            Frame {
                descriptors: 1025,
                ..call
            },
            Frame {
                kind: Kind::Descriptors,
                ..call
            },
        ];
        for frame in bad {
            assert_eq!(Frame::decode(&frame.encode(), 10), None, "{frame:?}");
        }
        let huge = Frame {
            flags: IN_MEMORY_FILE,
            length: DATA_LIMIT as u64 + 1,
            ..call
        };
        assert_eq!(Frame::decode(&huge.encode(), 0), None);
        let mut strange = call.encode();
        strange[0] ^= 1;
        assert_eq!(Frame::decode(&strange, 10), None);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_not(bytes: [u8; FRAME_LENGTH], received in 0usize..4096) {
            if let Some(frame) = Frame::decode(&bytes, received) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }

        #[test]
        fn descriptions_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(description) = Description::decode(&bytes) {
                prop_assert_eq!(&description.encode()[..], &bytes[..]);
            }
        }
    }
}
