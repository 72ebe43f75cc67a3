//! The toy protocol: a 48-byte request (length, id, offset), answered by a 48-byte header and the data. 48 bytes because
//! that is the iSCSI header.

/// Bytes of a request, and of the header of an answer.
pub const HEADER: usize = 48;

#[derive(Clone, Copy)]
pub struct Request {
    pub length: u32,
    pub id: u32,
    pub offset: u64,
}

impl Request {
    pub fn parse(bytes: &[u8]) -> Request {
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        Request {
            length: word(0),
            id: word(4),
            offset: u64::from(word(8)) << 32 | u64::from(word(12)),
        }
    }

    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&self.length.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.id.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    pub fn answer(&self) -> [u8; HEADER] {
        self.to_bytes()
    }
}
