//! `-p name=value` of LU creation and modification (`cli.md` 2.5).
#![forbid(unsafe_code)]

use super::values;
use crate::client::{self, LuProperty};
use crate::types::{Guid, LuChange, LuProperties, Status};

/// Longest path of a backing store or metadata file, in bytes (`MAXPATHLEN` - 1).
pub const MAX_PATH: usize = 4095;
const MAX_ALIAS: usize = 255;
const MAX_URL: usize = 1023;
const MAX_SERIAL: usize = 252;
const MAX_VENDOR: usize = 8;
const MAX_PRODUCT: usize = 16;
const MAX_BLOCK_SIZE: u64 = 65535;

/// Why a property argument was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyError {
    /// No `=value`; carries what was there.
    NoValue(String),
    /// The same in a modification, where the text differs by a space.
    NoValueToModify(String),
    /// No such property; carries the name as typed.
    Unknown(String),
    /// Too long, or not of the fixed length; carries the name as typed.
    InvalidLength(String),
    /// Not of the property's form; carries the name as typed.
    BadFormat(String),
}

impl std::fmt::Display for PropertyError {
    /// The message as `stmfadm` prints it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PropertyError::NoValue(name) => {
                // An empty line follows this one.
                writeln!(f, "{name}: invalid property specifier - prop=val")
            }
            PropertyError::NoValueToModify(name) => {
                writeln!(f, "{name}: invalid property specifier- prop=val")
            }
            PropertyError::Unknown(name) => write!(f, "invalid property specified: {name}"),
            PropertyError::InvalidLength(name) => write!(f, "unable to set {name}: invalid length"),
            PropertyError::BadFormat(name) => write!(f, "unable to set {name}: bad format"),
        }
    }
}

/// One argument of a modification: the name as typed, and the change, or the status that the library refuses it with.
/// An empty value is one only for `mgmt-url`, which it removes.
pub fn change(argument: &str) -> Result<(&str, Result<LuChange, Status>), PropertyError> {
    let (name, value) = match argument.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (argument, None),
    };
    let property = number(&name.to_ascii_lowercase()).ok_or_else(|| PropertyError::Unknown(name.to_owned()))?;
    match value {
        Some(value) if !value.is_empty() || property == LuProperty::MgmtUrl => {
            Ok((name, client::lu_change(property as u32, value.as_bytes())))
        }
        _ => Err(PropertyError::NoValueToModify(name.to_owned())),
    }
}

fn number(name: &str) -> Option<LuProperty> {
    Some(match name {
        "alias" => LuProperty::Alias,
        "blk" => LuProperty::BlockSize,
        "guid" => LuProperty::Guid,
        "host-id" => LuProperty::HostId,
        "meta" => LuProperty::MetaFileName,
        "mgmt-url" => LuProperty::MgmtUrl,
        "oui" => LuProperty::CompanyId,
        "pid" => LuProperty::Pid,
        "serial" => LuProperty::SerialNum,
        "vid" => LuProperty::Vid,
        "wcd" => LuProperty::WriteCacheDisable,
        "wp" => LuProperty::WriteProtect,
        _ => return None,
    })
}

enum Wrong {
    Name,
    Length,
    Format,
}

/// Puts one argument into `properties`; the value is everything after the first `=` (`cli.md` D-04).
pub fn apply(argument: &str, properties: &mut LuProperties) -> Result<(), PropertyError> {
    let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
    if value.is_empty() {
        return Err(PropertyError::NoValue(name.to_owned()));
    }
    set(&name.to_ascii_lowercase(), value, properties).map_err(|wrong| match wrong {
        Wrong::Name => PropertyError::Unknown(name.to_owned()),
        Wrong::Length => PropertyError::InvalidLength(name.to_owned()),
        Wrong::Format => PropertyError::BadFormat(name.to_owned()),
    })
}

fn set(name: &str, value: &str, properties: &mut LuProperties) -> Result<(), Wrong> {
    match name {
        "alias" => properties.alias = Some(text(value, MAX_ALIAS)?),
        "blk" => properties.block_size = Some(block_size(value)?),
        "guid" => properties.guid = Some(guid(value)?),
        "host-id" => properties.host_id = Some(hex(value, 8)?),
        "meta" => properties.meta_file = Some(text(value, MAX_PATH)?),
        "mgmt-url" => properties.mgmt_url = Some(text(value, MAX_URL)?),
        "oui" => properties.company_id = Some(hex(value, 6)?),
        "pid" => properties.product = Some(text(value, MAX_PRODUCT)?),
        "serial" => properties.serial = Some(text(value, MAX_SERIAL)?),
        "vid" => properties.vendor = Some(text(value, MAX_VENDOR)?),
        "wcd" => properties.write_cache_disable = Some(boolean(value)?),
        "wp" => properties.write_protect = Some(boolean(value)?),
        _ => return Err(Wrong::Name),
    }
    Ok(())
}

fn text(value: &str, limit: usize) -> Result<String, Wrong> {
    if value.len() > limit {
        Err(Wrong::Length)
    } else {
        Ok(value.to_owned())
    }
}

/// Which numbers are block sizes is the service's business.
fn block_size(value: &str) -> Result<u32, Wrong> {
    if !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Wrong::Format);
    }
    match values::decimal(value) {
        Some(number) if number <= MAX_BLOCK_SIZE => u32::try_from(number).map_err(|_| Wrong::Length),
        _ => Err(Wrong::Length),
    }
}

fn guid(value: &str) -> Result<Guid, Wrong> {
    if value.len() != 32 {
        return Err(Wrong::Length);
    }
    value.parse().map_err(|_| Wrong::Format)
}

fn hex(value: &str, digits: usize) -> Result<u32, Wrong> {
    if value.len() != digits || !values::is_hex(value) {
        return Err(Wrong::Format);
    }
    u32::from_str_radix(value, 16)
        .ok()
        .filter(|number| *number != 0)
        .ok_or(Wrong::Format)
}

fn boolean(value: &str) -> Result<bool, Wrong> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Wrong::Format),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(argument: &str) -> String {
        apply(argument, &mut LuProperties::default()).unwrap_err().to_string()
    }

    #[test]
    fn every_property() {
        let mut properties = LuProperties::default();
        for argument in [
            "ALIAS=a=b",
            "blk=4096",
            "guid=600144f0c73abf00000065a1b2c30001",
            "host-id=0000c0de",
            "meta=/m",
            "mgmt-url=http://a http://b",
            "oui=00144F",
            "pid=PRODUCT",
            "serial=S1",
            "vid=VENDOR",
            "wcd=TRUE",
            "wp=false",
        ] {
            apply(argument, &mut properties).unwrap();
        }
        let expected = LuProperties {
            alias: Some("a=b".into()),
            block_size: Some(4096),
            company_id: Some(0x144f),
            data_file: None,
            guid: Some("600144F0C73ABF00000065A1B2C30001".parse().unwrap()),
            meta_file: Some("/m".into()),
            mgmt_url: Some("http://a http://b".into()),
            size: None,
            write_protect: Some(false),
            write_cache_disable: Some(true),
            vendor: Some("VENDOR".into()),
            product: Some("PRODUCT".into()),
            serial: Some("S1".into()),
            host_id: Some(0xc0de),
        };
        assert_eq!(properties, expected);
    }

    #[test]
    fn refusals() {
        assert_eq!(message("alias"), "alias: invalid property specifier - prop=val\n");
        assert_eq!(
            message("mgmt-url="),
            "mgmt-url: invalid property specifier - prop=val\n"
        );
        assert_eq!(message("Colour=red"), "invalid property specified: Colour");
        assert_eq!(message("blk=big"), "unable to set blk: bad format");
        assert_eq!(message("blk=65536"), "unable to set blk: invalid length");
        assert_eq!(
            message("blk=99999999999999999999999"),
            "unable to set blk: invalid length"
        );
        assert_eq!(message("guid=60"), "unable to set guid: invalid length");
        assert_eq!(
            message("guid=600144f0c73abf00000065a1b2c3000g"),
            "unable to set guid: bad format"
        );
        assert_eq!(message("oui=144f"), "unable to set oui: bad format");
        assert_eq!(message("oui=000000"), "unable to set oui: bad format");
        assert_eq!(message("host-id=00000000"), "unable to set host-id: bad format");
        assert_eq!(message("WP=yes"), "unable to set WP: bad format");
        assert_eq!(message("vid=123456789"), "unable to set vid: invalid length");
        assert_eq!(message("pid=12345678901234567"), "unable to set pid: invalid length");
        assert_eq!(
            message(&format!("serial={}", "x".repeat(253))),
            "unable to set serial: invalid length"
        );
        assert_eq!(
            message(&format!("alias={}", "x".repeat(256))),
            "unable to set alias: invalid length"
        );
    }
}
