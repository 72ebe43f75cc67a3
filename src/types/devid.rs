use super::ParseError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// SPC protocol identifier (SPC-4 7.6.1), as in `stmfProtocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Protocol {
    /// Fibre Channel Protocol.
    FibreChannel = 0,
    /// Parallel SCSI.
    Scsi = 1,
    /// Serial Storage Architecture.
    Ssa = 2,
    /// IEEE 1394.
    Ieee1394 = 3,
    /// SCSI RDMA Protocol.
    Srp = 4,
    /// Internet SCSI.
    Iscsi = 5,
    /// Serial Attached SCSI.
    Sas = 6,
}

impl Protocol {
    /// From the SPC number, if it is one that `stmfProtocol` knows.
    pub const fn from_number(n: u8) -> Option<Protocol> {
        Some(match n {
            0 => Protocol::FibreChannel,
            1 => Protocol::Scsi,
            2 => Protocol::Ssa,
            3 => Protocol::Ieee1394,
            4 => Protocol::Srp,
            5 => Protocol::Iscsi,
            6 => Protocol::Sas,
            _ => return None,
        })
    }
}

/// The identifier of a port or initiator: 1 to 255 bytes without NUL, e.g. `iqn.…`, `wwn.…` (`stmfDevid`).
/// Two devids are the same when length and bytes are equal; callers canonicalise first.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct DevId(Vec<u8>);

impl TryFrom<Vec<u8>> for DevId {
    type Error = ParseError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, ParseError> {
        if bytes.is_empty() || bytes.len() > Self::MAX || bytes.contains(&0) {
            return Err(ParseError::new("an identifier of 1 to 255 bytes without NUL"));
        }
        Ok(DevId(bytes))
    }
}

impl DevId {
    /// Longest identifier (`STMF_IDENT_LENGTH`).
    pub const MAX: usize = 255;

    /// 1 to 255 bytes, none of them NUL.
    pub fn new(bytes: &[u8]) -> Result<DevId, ParseError> {
        bytes.to_vec().try_into()
    }

    /// The bytes, without NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for DevId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for DevId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
