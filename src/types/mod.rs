//! The values of the system: parse, validate, print. No I/O.
#![forbid(unsafe_code)]

mod access_state;
mod devid;
mod guid;
mod lu_change;
mod lu_properties;
mod lun;
mod names;
mod persist_method;
mod provider_key;
mod secret;
mod status;
mod transport_id;

pub use access_state::AccessState;
pub use devid::{DevId, Protocol};
pub use guid::Guid;
pub use lu_change::LuChange;
pub use lu_properties::LuProperties;
pub use lun::Lun;
pub use names::{GroupName, InvalidName};
pub use persist_method::PersistMethod;
pub use provider_key::{ProviderKey, ProviderKind, ProviderName};
pub use secret::{Secret, SecretLength};
pub use status::Status;
pub use transport_id::TransportId;

/// Why a text or byte string is not a valid value of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseError {
    /// What was expected, for people.
    pub expected: &'static str,
}

impl ParseError {
    pub(crate) const fn new(expected: &'static str) -> Self {
        ParseError { expected }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for ParseError {}

/// ALUA node number, 0 or 1. It decides the range of relative target port identifiers and the target port group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8")]
pub struct NodeId(u8);

impl TryFrom<u8> for NodeId {
    type Error = ParseError;

    fn try_from(n: u8) -> Result<Self, ParseError> {
        NodeId::new(n).ok_or(ParseError::new("node 0 or 1"))
    }
}

impl NodeId {
    /// `None` unless `n` is 0 or 1.
    pub const fn new(n: u8) -> Option<NodeId> {
        if n <= 1 { Some(NodeId(n)) } else { None }
    }
    /// 0 or 1.
    pub const fn get(self) -> u8 {
        self.0
    }
    /// The other node.
    pub const fn other(self) -> NodeId {
        NodeId(1 - self.0)
    }
}
