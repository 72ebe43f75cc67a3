//! The property set behind a `luResource`: checks of the texts, and the texts that come back (`libstmf-api.md` 3.9, 4).
#![forbid(unsafe_code)]

use super::size::parse_size;
use crate::framework::AccessReport;
use crate::types::{AccessState, Guid, LuProperties, Status};
use std::sync::Arc;

/// Numbers above are refused when set; other wrong block sizes when the LU is created.
const MAX_BLOCK_SIZE_TEXT: u32 = 65535;

/// Identifiers of the properties, numbered as `STMF_LU_PROP_…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LuProperty {
    Alias = 1,
    BlockSize = 2,
    CompanyId = 3,
    FileName = 4,
    Guid = 5,
    MetaFileName = 6,
    MgmtUrl = 7,
    New = 8,
    Size = 9,
    WriteProtect = 10,
    WriteCacheDisable = 11,
    Vid = 12,
    Pid = 13,
    SerialNum = 14,
    AccessState = 15,
    HostId = 16,
}

impl LuProperty {
    const ALL: [LuProperty; 16] = {
        use LuProperty::*;
        [
            Alias,
            BlockSize,
            CompanyId,
            FileName,
            Guid,
            MetaFileName,
            MgmtUrl,
            New,
            Size,
            WriteProtect,
            WriteCacheDisable,
            Vid,
            Pid,
            SerialNum,
            AccessState,
            HostId,
        ]
    };

    /// `None` for a number that names no property.
    pub fn from_number(number: u32) -> Option<LuProperty> {
        Self::ALL.into_iter().find(|property| *property as u32 == number)
    }
}

/// A set of properties: what a create is to use, or a snapshot of an LU.
#[derive(Debug, Clone, Default)]
pub struct LuResource {
    /// Of the LU that was snapshot; `None` for a set that was made to be filled.
    access: Option<AccessState>,
    /// Shared with other snapshots that say the same.
    properties: Arc<LuProperties>,
}

impl From<AccessReport> for LuResource {
    fn from(report: AccessReport) -> Self {
        LuResource {
            access: Some(report.access),
            properties: Arc::new(report.properties),
        }
    }
}

impl LuResource {
    /// `stmfSetLuProp`. A failed set leaves the earlier value.
    pub fn set(&mut self, number: u32, text: &[u8]) -> Result<(), Status> {
        let property = LuProperty::from_number(number).ok_or(Status::InvalidProp)?;
        let p = Arc::make_mut(&mut self.properties);
        match property {
            LuProperty::Alias => p.alias = Some(limited(text, LuProperties::MAX_ALIAS)?),
            LuProperty::BlockSize => p.block_size = Some(block_size(text)?),
            LuProperty::CompanyId => p.company_id = Some(hex_number(text, 6)?),
            LuProperty::FileName => p.data_file = Some(path(text)?),
            LuProperty::Guid => p.guid = Some(guid(text)?),
            LuProperty::MetaFileName => p.meta_file = Some(path(text)?),
            LuProperty::MgmtUrl => {
                p.mgmt_url = Some(limited(text, LuProperties::MAX_URL)?).filter(|url| !url.is_empty())
            }
            LuProperty::Size => p.size = Some(parse_size(text).ok_or(Status::InvalidArg)?),
            LuProperty::WriteProtect => p.write_protect = Some(boolean(text)?),
            LuProperty::WriteCacheDisable => p.write_cache_disable = Some(boolean(text)?),
            LuProperty::Vid => p.vendor = Some(limited(text, LuProperties::VENDOR_WIDTH)?),
            LuProperty::Pid => p.product = Some(limited(text, LuProperties::PRODUCT_WIDTH)?),
            LuProperty::SerialNum => p.serial = Some(limited(text, LuProperties::MAX_SERIAL)?),
            LuProperty::HostId => p.host_id = Some(hex_number(text, 8)?),
            LuProperty::New | LuProperty::AccessState => return Err(Status::InvalidProp),
        }
        Ok(())
    }

    /// `stmfGetLuProp`, without the buffer.
    pub fn get(&self, number: u32) -> Result<String, Status> {
        let property = LuProperty::from_number(number);
        if property == Some(LuProperty::AccessState) {
            let access = self.access.ok_or(Status::NoProp)?;
            return Ok(access.property_text().to_owned());
        }
        if self.access.is_some_and(|access| access != AccessState::Active) {
            return Err(Status::NoPropStandby);
        }
        let p = &self.properties;
        let value = match property.ok_or(Status::InvalidProp)? {
            LuProperty::Alias => p.alias.clone(),
            LuProperty::BlockSize => p.block_size.map(|n| n.to_string()),
            LuProperty::FileName => p.data_file.clone(),
            LuProperty::Guid => p.guid.map(|g| g.to_string()),
            LuProperty::MetaFileName => p.meta_file.clone(),
            LuProperty::MgmtUrl => p.mgmt_url.clone(),
            LuProperty::Size => p.size.map(|n| n.to_string()),
            LuProperty::WriteProtect => p.write_protect.map(|b| b.to_string()),
            LuProperty::WriteCacheDisable => p.write_cache_disable.map(|b| b.to_string()),
            LuProperty::Vid => p.vendor.as_deref().map(|text| padded(text, LuProperties::VENDOR_WIDTH)),
            LuProperty::Pid => p
                .product
                .as_deref()
                .map(|text| padded(text, LuProperties::PRODUCT_WIDTH)),
            LuProperty::SerialNum => p.serial.clone().filter(|text| !text.is_empty()),
            LuProperty::CompanyId | LuProperty::HostId | LuProperty::New | LuProperty::AccessState => {
                return Err(Status::InvalidProp);
            }
        };
        value.ok_or(Status::NoProp)
    }

    /// What `stmfCreateLu` sends; the data file is the one property without a default.
    pub fn for_create(&self) -> Result<LuProperties, Status> {
        match self.properties.data_file {
            Some(_) => Ok(LuProperties::clone(&self.properties)),
            None => Err(Status::MissingPropVal),
        }
    }
}

/// Texts of the configuration are UTF-8.
fn utf8(text: &[u8]) -> Result<String, Status> {
    String::from_utf8(text.to_vec()).map_err(|_| Status::InvalidArg)
}

pub(super) fn limited(text: &[u8], limit: usize) -> Result<String, Status> {
    if text.len() > limit {
        return Err(Status::InvalidPropSize);
    }
    utf8(text)
}

fn path(text: &[u8]) -> Result<String, Status> {
    if text.is_empty() {
        return Err(Status::InvalidArg);
    }
    limited(text, LuProperties::MAX_PATH)
}

fn block_size(text: &[u8]) -> Result<u32, Status> {
    // A longer text may have been cut.
    if text.is_empty() || text.len() > LuProperties::MAX_PATH || !text.iter().all(u8::is_ascii_digit) {
        return Err(Status::InvalidArg);
    }
    text.iter()
        .try_fold(0u32, |sum, digit| {
            let sum = sum * 10 + u32::from(digit - b'0');
            (sum <= MAX_BLOCK_SIZE_TEXT).then_some(sum)
        })
        .ok_or(Status::InvalidPropSize)
}

/// Exactly `width` hex digits (at most 8), not zero.
fn hex_number(text: &[u8], width: usize) -> Result<u32, Status> {
    if text.len() != width {
        return Err(Status::InvalidArg);
    }
    let number = text.iter().try_fold(0u32, |sum, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(sum << 4 | digit)
    });
    number.filter(|number| *number != 0).ok_or(Status::InvalidArg)
}

fn guid(text: &[u8]) -> Result<Guid, Status> {
    if text.len() != 32 {
        return Err(Status::InvalidPropSize);
    }
    let guid: Guid = utf8(text)?.parse().map_err(|_| Status::InvalidArg)?;
    guid.is_naa6().then_some(guid).ok_or(Status::InvalidArg)
}

pub(super) fn boolean(text: &[u8]) -> Result<bool, Status> {
    if text.eq_ignore_ascii_case(b"true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Ok(false)
    } else {
        Err(Status::InvalidArg)
    }
}

/// INQUIRY fields are as wide as they are: bytes count, not characters.
fn padded(text: &str, width: usize) -> String {
    let mut text = text.to_owned();
    while text.len() < width {
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::LuProperty::*;
    use super::{AccessReport, LuProperties, LuProperty, LuResource, Status};

    fn set(property: LuProperty, text: &str) -> Result<(), Status> {
        LuResource::default().set(property as u32, text.as_bytes())
    }

    /// Chapter 4.2, row by row.
    #[test]
    fn errors_when_setting() {
        for (property, limit) in [
            (Alias, 255),
            (MgmtUrl, 1023),
            (FileName, 4095),
            (MetaFileName, 4095),
            (SerialNum, 252),
            (Vid, 8),
            (Pid, 16),
        ] {
            assert_eq!(set(property, &"x".repeat(limit)), Ok(()), "{property:?}");
            assert_eq!(
                set(property, &"x".repeat(limit + 1)),
                Err(Status::InvalidPropSize),
                "{property:?}"
            );
        }
        let rows: &[(LuProperty, &str, Result<(), Status>)] = &[
            (Alias, "", Ok(())),
            (FileName, "", Err(Status::InvalidArg)),
            (MetaFileName, "", Err(Status::InvalidArg)),
            (BlockSize, "", Err(Status::InvalidArg)),
            (BlockSize, "51x", Err(Status::InvalidArg)),
            (BlockSize, "65536", Err(Status::InvalidPropSize)),
            (BlockSize, "99999999999999999999", Err(Status::InvalidPropSize)),
            (BlockSize, "513", Ok(())),
            (CompanyId, "00144F", Ok(())),
            (CompanyId, "00144", Err(Status::InvalidArg)),
            (CompanyId, "000000", Err(Status::InvalidArg)),
            (CompanyId, "00144G", Err(Status::InvalidArg)),
            (CompanyId, "+0144F", Err(Status::InvalidArg)),
            (HostId, "0000000A", Ok(())),
            (HostId, "00000000", Err(Status::InvalidArg)),
            (HostId, "123", Err(Status::InvalidArg)),
            (Guid, "600144f0c0ffee0000005a3c817e0001", Ok(())),
            (Guid, "600144f0c0ffee0000005a3c817e000", Err(Status::InvalidPropSize)),
            (Guid, "500144f0c0ffee0000005a3c817e0001", Err(Status::InvalidArg)),
            (Guid, "600144f0c0ffee0000005a3c817e000x", Err(Status::InvalidArg)),
            (Size, "10G", Ok(())),
            (Size, "0", Ok(())),
            (Size, "ten", Err(Status::InvalidArg)),
            (WriteProtect, "TRUE", Ok(())),
            (WriteProtect, "on", Err(Status::InvalidArg)),
            (WriteCacheDisable, "False", Ok(())),
            (WriteCacheDisable, "0", Err(Status::InvalidArg)),
            (New, "x", Err(Status::InvalidProp)),
            (AccessState, "0", Err(Status::InvalidProp)),
        ];
        for (property, text, expected) in rows {
            assert_eq!(set(*property, text), *expected, "{property:?} {text:?}");
        }
        assert_eq!(LuResource::default().set(0, b"x"), Err(Status::InvalidProp));
        assert_eq!(LuResource::default().set(17, b"x"), Err(Status::InvalidProp));
        assert_eq!(
            LuResource::default().set(Alias as u32, b"\xff"),
            Err(Status::InvalidArg)
        );
    }

    #[test]
    fn what_was_set_comes_back() {
        let mut r = LuResource::default();
        for (property, text, expected) in [
            (Alias, "an alias", Ok("an alias")),
            (BlockSize, "4096", Ok("4096")),
            (CompanyId, "00144F", Err(Status::InvalidProp)),
            (FileName, "/a/b", Ok("/a/b")),
            (
                Guid,
                "600144f0c0ffee0000005a3c817e0001",
                Ok("600144F0C0FFEE0000005A3C817E0001"),
            ),
            (MetaFileName, "/a/m", Ok("/a/m")),
            (MgmtUrl, "http://x", Ok("http://x")),
            (Size, "1.5m", Ok("1572864")),
            (WriteProtect, "True", Ok("true")),
            (WriteCacheDisable, "FALSE", Ok("false")),
            (Vid, "ACME", Ok("ACME    ")),
            (Pid, "Disk", Ok("Disk            ")),
            (SerialNum, "42", Ok("42")),
            (HostId, "0000000A", Err(Status::InvalidProp)),
        ] {
            assert!(
                property == SerialNum
                    || property == CompanyId
                    || property == HostId
                    || r.get(property as u32) == Err(Status::NoProp)
            );
            r.set(property as u32, text.as_bytes()).unwrap();
            assert_eq!(r.get(property as u32), expected.map(str::to_owned), "{property:?}");
        }
        assert_eq!(r.set(Alias as u32, &[b'x'; 256]), Err(Status::InvalidPropSize));
        assert_eq!(
            r.get(Alias as u32).as_deref(),
            Ok("an alias"),
            "a failed set leaves the earlier value"
        );
        r.set(MgmtUrl as u32, b"").unwrap();
        assert_eq!(
            r.get(MgmtUrl as u32),
            Err(Status::NoProp),
            "the empty URL removes the value"
        );
        assert_eq!(r.get(AccessState as u32), Err(Status::NoProp));
        assert_eq!(r.get(New as u32), Err(Status::InvalidProp));
        assert_eq!(r.get(99), Err(Status::InvalidProp));
    }

    #[test]
    fn a_snapshot_that_is_not_active_tells_its_access_state_only() {
        use crate::types::AccessState as State;
        for (access, text) in [
            (State::TransitionToActive, "1"),
            (State::Standby, "2"),
            (State::TransitionToStandby, "3"),
        ] {
            let properties = LuProperties {
                alias: Some("x".to_owned()),
                ..LuProperties::default()
            };
            let r = LuResource::from(AccessReport { access, properties });
            assert_eq!(r.get(AccessState as u32).as_deref(), Ok(text));
            for id in [0, 1, 3, 5, 8, 17, u32::MAX] {
                assert_eq!(r.get(id), Err(Status::NoPropStandby), "{id}");
            }
        }
    }

    #[test]
    fn create_needs_a_data_file() {
        let mut r = LuResource::default();
        assert_eq!(r.for_create().unwrap_err(), Status::MissingPropVal);
        r.set(FileName as u32, b"/f").unwrap();
        assert_eq!(r.for_create().unwrap().data_file.as_deref(), Some("/f"));
    }
}
