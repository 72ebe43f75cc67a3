use super::{DevId, ParseError};
use serde::{Deserialize, Serialize};

/// An SPC TransportID (SPC-4 7.6.4): the initiator's identity in reservations and in peer messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TransportId(Vec<u8>);

impl TransportId {
    /// Longest TransportID accepted: header, 223 bytes of name, `,i,0x` and ISID, NUL, padding.
    pub const MAX: usize = 248;

    /// iSCSI, format 1: name, `,i,0x`, twelve hex digits of the ISID, NUL, padded to a multiple of 4, additional
    /// length at least 20 (`alua-proxy.md` 3.5).
    pub fn iscsi(initiator: &DevId, isid: [u8; 6]) -> TransportId {
        let mut name = initiator.as_bytes().to_vec();
        name.extend_from_slice(b",i,0x");
        for b in isid {
            name.extend_from_slice(format!("{b:02x}").as_bytes());
        }
        name.push(0);
        name.resize(name.len().next_multiple_of(4).max(20), 0);
        let length = u16::try_from(name.len())
            .expect("a devid has at most 255 bytes")
            .to_be_bytes();
        let mut bytes = vec![0x45, 0, length[0], length[1]];
        bytes.extend_from_slice(&name);
        TransportId(bytes)
    }

    /// Any bytes a peer sent: 2 to 1024 bytes, no further check.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<TransportId, ParseError> {
        let bytes = bytes.into();
        if !(2..=1024).contains(&bytes.len()) {
            return Err(ParseError::new("a TransportID of 2 to 1024 bytes"));
        }
        Ok(TransportId(bytes))
    }

    /// The bytes as in SPC.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
