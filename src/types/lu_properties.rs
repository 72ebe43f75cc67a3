use super::{Guid, Status};
use serde::{Deserialize, Serialize};

/// The properties of a disk LU (`libstmf-api.md` chapter 4). `None` means "not given" in a create request and "no value"
/// in a snapshot. Text lengths are checked where the text enters (`capi`, `cli`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LuProperties {
    /// Display name, 0 to 255 bytes.
    pub alias: Option<String>,
    /// Bytes per block, power of two in 512..=32768.
    pub block_size: Option<u32>,
    /// IEEE company id for a generated GUID, 24 bits.
    pub company_id: Option<u32>,
    /// Absolute path of the data file or device.
    pub data_file: Option<String>,
    /// The LU's name.
    pub guid: Option<Guid>,
    /// Absolute path of a separate metadata file.
    pub meta_file: Option<String>,
    /// Management URLs, separated by spaces.
    pub mgmt_url: Option<String>,
    /// Bytes that initiators see.
    pub size: Option<u64>,
    /// Writes are refused.
    pub write_protect: Option<bool>,
    /// The write-back cache is off: every write is durable before its status.
    pub write_cache_disable: Option<bool>,
    /// INQUIRY vendor identification, at most 8 bytes, not padded.
    pub vendor: Option<String>,
    /// INQUIRY product identification, at most 16 bytes, not padded.
    pub product: Option<String>,
    /// Unit serial number, at most 252 bytes.
    pub serial: Option<String>,
    /// Host part for a generated GUID.
    pub host_id: Option<u32>,
}

/// Limits of the texts, in bytes (`libstmf-api.md` 2.4).
impl LuProperties {
    /// Longest alias.
    pub const MAX_ALIAS: usize = 255;
    /// Longest path, without NUL (`MAXPATHLEN - 1`).
    pub const MAX_PATH: usize = 4095;
    /// Longest management URL text.
    pub const MAX_URL: usize = 1023;
    /// Longest serial number.
    pub const MAX_SERIAL: usize = 252;
    /// Width of the INQUIRY vendor identification.
    pub const VENDOR_WIDTH: usize = 8;
    /// Width of the INQUIRY product identification.
    pub const PRODUCT_WIDTH: usize = 16;

    /// What must hold of properties from another process: `InvalidPropSize` when a text is too long, `InvalidArg` when one
    /// has a NUL in it.
    pub fn check(&self) -> Result<(), Status> {
        let texts = [
            (&self.alias, Self::MAX_ALIAS),
            (&self.data_file, Self::MAX_PATH),
            (&self.meta_file, Self::MAX_PATH),
            (&self.mgmt_url, Self::MAX_URL),
            (&self.serial, Self::MAX_SERIAL),
            (&self.vendor, Self::VENDOR_WIDTH),
            (&self.product, Self::PRODUCT_WIDTH),
        ];
        for (text, limit) in texts {
            let text = text.as_deref().unwrap_or_default();
            if text.len() > limit {
                return Err(Status::InvalidPropSize);
            }
            if text.contains('\0') {
                return Err(Status::InvalidArg);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded() {
        let with = |alias: &str| LuProperties {
            alias: Some(alias.to_owned()),
            ..LuProperties::default()
        };
        assert_eq!(LuProperties::default().check(), Ok(()));
        assert_eq!(with(&"x".repeat(255)).check(), Ok(()));
        assert_eq!(with(&"x".repeat(256)).check(), Err(Status::InvalidPropSize));
        assert_eq!(with("a\0b").check(), Err(Status::InvalidArg));
    }
}
