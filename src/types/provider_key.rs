use super::{InvalidName, Status};
use serde::{Deserialize, Serialize};

/// LU providers and port providers are separate name spaces; the numbers are those of the C API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ProviderKind {
    /// Supplies LUs.
    Lu = 1,
    /// Supplies target ports.
    Port = 2,
}

impl ProviderKind {
    /// `InvalidArg` for a number that is no kind.
    pub fn from_number(number: i64) -> Result<ProviderKind, Status> {
        match number {
            1 => Ok(ProviderKind::Lu),
            2 => Ok(ProviderKind::Port),
            _ => Err(Status::InvalidArg),
        }
    }
}

/// A provider name: 1 to 254 bytes of UTF-8 without NUL (`libstmf-api.md` 2.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct ProviderName(String);

impl TryFrom<String> for ProviderName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        ProviderName::new(name.as_bytes())
    }
}

impl ProviderName {
    /// Longest name, in bytes.
    pub const MAX: usize = 254;

    /// Checks the rules of the type.
    pub fn new(bytes: &[u8]) -> Result<ProviderName, InvalidName> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidName)?;
        if text.is_empty() || text.len() > Self::MAX || text.contains('\0') {
            return Err(InvalidName);
        }
        Ok(ProviderName(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose data: kind, then name, which is the order of lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProviderKey {
    /// Kind of provider.
    pub kind: ProviderKind,
    /// Its name.
    pub name: ProviderName,
}
