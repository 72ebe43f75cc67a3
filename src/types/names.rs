use serde::{Deserialize, Serialize};
use std::fmt;

/// A host or target group name: 1 to 255 bytes of UTF-8, not beginning with `*` (`libstmf-api.md` 2.4, 3.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct GroupName(String);

impl TryFrom<String> for GroupName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        GroupName::new(name.as_bytes())
    }
}

/// The bytes are no group name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName;

impl GroupName {
    /// Checks the rules of the type.
    pub fn new(bytes: &[u8]) -> Result<GroupName, InvalidName> {
        let text = std::str::from_utf8(bytes).map_err(|_| InvalidName)?;
        if text.is_empty() || text.len() > 255 || text.starts_with('*') || text.contains('\0') {
            return Err(InvalidName);
        }
        Ok(GroupName(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a group name: 1 to 255 bytes of UTF-8 that do not begin with '*'")
    }
}

impl std::error::Error for InvalidName {}
