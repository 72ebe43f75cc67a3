use super::Guid;
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
