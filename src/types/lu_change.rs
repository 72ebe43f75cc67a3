use super::{LuProperties, Status};
use serde::{Deserialize, Serialize};

/// A property of an LU that may change during its life, with its new value (`libstmf-api.md` 4.1, column M).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LuChange {
    /// Display name, at most 255 bytes.
    Alias(String),
    /// Bytes.
    Size(u64),
    /// Management URLs, at most 1023 bytes; `None` removes them.
    MgmtUrl(Option<String>),
    /// Writes are refused.
    WriteProtect(bool),
    /// Every write is durable before its status.
    WriteCacheDisable(bool),
}

impl LuChange {
    /// What must hold of a change from another process, as [`LuProperties::check`].
    pub fn check(&self) -> Result<(), Status> {
        let mut properties = LuProperties::default();
        match self {
            LuChange::Alias(alias) => properties.alias = Some(alias.clone()),
            LuChange::MgmtUrl(url) => properties.mgmt_url.clone_from(url),
            LuChange::Size(_) | LuChange::WriteProtect(_) | LuChange::WriteCacheDisable(_) => {}
        }
        properties.check()
    }
}
