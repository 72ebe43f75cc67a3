use serde::{Deserialize, Serialize};

/// Whether changes of the configuration are stored (`libstmf-api.md` 1.8); the numbers are those of the C API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersistMethod {
    /// Live and stored.
    Store = 1,
    /// Live only.
    None = 2,
}

impl PersistMethod {
    /// `None` for a number that is no method.
    pub fn from_number(number: u8) -> Option<PersistMethod> {
        match number {
            1 => Some(PersistMethod::Store),
            2 => Some(PersistMethod::None),
            _ => None,
        }
    }
}
