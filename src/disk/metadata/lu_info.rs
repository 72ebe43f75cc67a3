//! The LU information section.

use super::MetadataError::{self, Corrupt};
use super::SHARED_SIZE;
use super::bytes::{Fields, Order};
use super::section::{HEADER, LU_INFO_1_1, Section};
use crate::types::Guid;

/// What the metadata say of the LU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LuInfo {
    /// Identity, NAA type 6.
    pub guid: Guid,
    /// Bytes that initiators see: a multiple of the block size, at least one block.
    pub size: u64,
    /// log2 of the block size, 9 to 15.
    pub block_shift: u8,
    /// Metadata is in a file of its own.
    pub separate_meta: bool,
    /// Path of the metadata file, when of its own.
    pub meta_name: Option<String>,
    /// Path of the data file.
    pub data_name: Option<String>,
    /// Display name.
    pub alias: Option<String>,
    /// Serial number.
    pub serial: Option<String>,
    /// Management URLs.
    pub mgmt_url: Option<String>,
    /// Vendor identification, space-padded.
    pub vendor: Option<[u8; 8]>,
    /// Product identification, space-padded.
    pub product: Option<[u8; 16]>,
    /// Revision, space-padded.
    pub revision: Option<[u8; 4]>,
    /// Writes are refused.
    pub write_protected: bool,
    /// Every write is durable before its status.
    pub write_cache_disabled: bool,
}

/// Block shifts: 512 bytes to 32 KiB.
pub const BLOCK_SHIFTS: std::ops::RangeInclusive<u8> = 9..=15;

mod flag {
    pub const SEPARATE_META: u32 = 0x001;
    pub const WRITE_PROTECTED: u32 = 0x002;
    pub const VENDOR: u32 = 0x004;
    pub const PRODUCT: u32 = 0x008;
    pub const REVISION: u32 = 0x010;
    pub const META_NAME: u32 = 0x020;
    pub const DATA_NAME: u32 = 0x040;
    pub const SERIAL: u32 = 0x080;
    pub const ALIAS: u32 = 0x100;
    pub const WRITE_CACHE_DISABLED: u32 = 0x200;
    pub const MGMT_URL: u32 = 0x800;
}

/// Offset of the string area in the section, from the section's start.
const STRINGS: usize = 368;
/// Size of the section without strings.
const FIXED: usize = 376;

impl LuInfo {
    /// LU_INFO_1_1.
    pub fn decode_1_1(section: &Section) -> Result<LuInfo, MetadataError> {
        let reader = Reader::new(section);
        if section.content.len() < STRINGS - HEADER {
            return Err(Corrupt("LU information is too short"));
        }
        let flags = reader.u32(16)?;
        let has = |flag: u32| flags & flag != 0;
        let text = |flag: u32, at: usize| has(flag).then(|| reader.text(at)).transpose();
        let serial = has(flag::SERIAL).then(|| reader.serial()).transpose()?;
        let info = LuInfo {
            guid: reader.guid(92)?,
            size: reader.u64(48)?,
            block_shift: reader.bytes::<1>(88)?[0],
            separate_meta: has(flag::SEPARATE_META),
            meta_name: text(flag::META_NAME, 56)?,
            data_name: text(flag::DATA_NAME, 64)?,
            alias: text(flag::ALIAS, 80)?,
            serial,
            mgmt_url: text(flag::MGMT_URL, 112)?,
            vendor: has(flag::VENDOR).then(|| reader.bytes(24)).transpose()?,
            product: has(flag::PRODUCT).then(|| reader.bytes(32)).transpose()?,
            revision: has(flag::REVISION).then(|| reader.bytes(20)).transpose()?,
            write_protected: has(flag::WRITE_PROTECTED),
            write_cache_disabled: has(flag::WRITE_CACHE_DISABLED),
        };
        info.checked()
    }

    /// LU_INFO_1_0: blocks of 512 bytes, metadata shared.
    pub fn decode_1_0(section: &Section) -> Result<LuInfo, MetadataError> {
        let reader = Reader::new(section);
        let store = reader.u64(16)?;
        let info = LuInfo {
            guid: reader.guid(56)?,
            size: store.checked_sub(SHARED_SIZE).ok_or(Corrupt("store size"))?,
            block_shift: 9,
            separate_meta: false,
            meta_name: None,
            data_name: None,
            alias: None,
            serial: None,
            mgmt_url: None,
            vendor: None,
            product: None,
            revision: None,
            write_protected: false,
            write_cache_disabled: false,
        };
        info.checked()
    }

    fn checked(self) -> Result<LuInfo, MetadataError> {
        if !self.guid.is_naa6() {
            return Err(Corrupt("GUID is not of NAA type 6"));
        }
        if !BLOCK_SHIFTS.contains(&self.block_shift) {
            return Err(Corrupt("block size"));
        }
        let whole_blocks = self.size.is_multiple_of(1 << self.block_shift);
        if self.size == 0 || !whole_blocks || i64::try_from(self.size).is_err() {
            return Err(Corrupt("LU size"));
        }
        Ok(self)
    }

    /// The section LU_INFO_1_1.
    pub fn encode(&self, order: Order) -> Section {
        let mut flags = 0;
        let mut set = |flag: u32, on: bool| flags |= if on { flag } else { 0 };
        set(flag::SEPARATE_META, self.separate_meta);
        set(flag::WRITE_PROTECTED, self.write_protected);
        set(flag::VENDOR, self.vendor.is_some());
        set(flag::PRODUCT, self.product.is_some());
        set(flag::REVISION, self.revision.is_some());
        set(flag::META_NAME, self.meta_name.is_some());
        set(flag::DATA_NAME, self.data_name.is_some());
        set(flag::SERIAL, self.serial.is_some());
        set(flag::ALIAS, self.alias.is_some());
        set(flag::WRITE_CACHE_DISABLED, self.write_cache_disabled);
        set(flag::MGMT_URL, self.mgmt_url.is_some());

        let mut content = vec![0; STRINGS - HEADER];
        let mut put = |at: usize, bytes: &[u8]| content[at - HEADER..][..bytes.len()].copy_from_slice(bytes);
        put(16, &order.of_u32(flags));
        put(20, &self.revision.unwrap_or_default());
        put(24, &self.vendor.unwrap_or_default());
        put(32, &self.product.unwrap_or_default());
        put(48, &order.of_u64(self.size));
        put(88, &[self.block_shift, order.byte()]);
        put(92, &[0xf1, 0x03, 0x00, 0x10]);
        put(96, &self.guid.0);
        let mut strings = Vec::new();
        let texts = [
            (56, &self.meta_name),
            (64, &self.data_name),
            (80, &self.alias),
            (112, &self.mgmt_url),
        ];
        for (at, text) in texts {
            if let Some(text) = text {
                put(at, &order.of_u64(strings.len() as u64));
                strings.extend_from_slice(text.as_bytes());
                strings.push(0);
            }
        }
        if let Some(serial) = &self.serial {
            put(72, &order.of_u64(strings.len() as u64));
            let size = u16::try_from(serial.len()).expect("serial numbers have at most 252 bytes");
            put(90, &order.of_u16(size));
            strings.extend_from_slice(serial.as_bytes());
        }
        content.extend_from_slice(&strings);
        let length = content.len().max(FIXED - HEADER).next_multiple_of(8);
        content.resize(length, 0);
        Section {
            id: LU_INFO_1_1,
            order,
            content,
        }
    }
}

/// Reads fields at offsets that count from the section's header, as the format's tables do.
struct Reader<'a> {
    fields: Fields<'a>,
    strings: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(section: &'a Section) -> Reader<'a> {
        Reader {
            fields: Fields::new(&section.content, section.order),
            strings: section.content.get(STRINGS - HEADER..).unwrap_or_default(),
        }
    }

    fn u32(&self, at: usize) -> Result<u32, MetadataError> {
        self.fields
            .u32(at - HEADER)
            .ok_or(Corrupt("LU information is too short"))
    }

    fn u64(&self, at: usize) -> Result<u64, MetadataError> {
        self.fields
            .u64(at - HEADER)
            .ok_or(Corrupt("LU information is too short"))
    }

    fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], MetadataError> {
        self.fields
            .bytes(at - HEADER)
            .ok_or(Corrupt("LU information is too short"))
    }

    /// A designator as in VPD page 83: code set binary, type NAA, 16 bytes. The protocol nibble is not looked at.
    fn guid(&self, at: usize) -> Result<Guid, MetadataError> {
        let header: [u8; 4] = self.bytes(at)?;
        if header[0] & 0x0f != 1 || header[1] & 0x0f != 3 || header[3] != 16 {
            return Err(Corrupt("device identifier"));
        }
        Ok(Guid(self.bytes(at + 4)?))
    }

    /// The NUL-terminated string whose offset is at `at`.
    fn text(&self, at: usize) -> Result<String, MetadataError> {
        let rest = self.string_at(at)?;
        let end = rest.iter().position(|b| *b == 0).ok_or(Corrupt("string without end"))?;
        utf8(&rest[..end])
    }

    fn serial(&self) -> Result<String, MetadataError> {
        let size = self.fields.u16(90 - HEADER);
        let size = size.ok_or(Corrupt("LU information is too short"))?;
        let bytes = self.string_at(72)?.get(..usize::from(size));
        utf8(bytes.ok_or(Corrupt("serial number outside the section"))?)
    }

    fn string_at(&self, at: usize) -> Result<&'a [u8], MetadataError> {
        usize::try_from(self.u64(at)?)
            .ok()
            .and_then(|offset| self.strings.get(offset..))
            .ok_or(Corrupt("string outside the section"))
    }
}

fn utf8(bytes: &[u8]) -> Result<String, MetadataError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Corrupt("string is not text")),
    }
}
