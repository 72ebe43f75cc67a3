//! The values people type: LU names, device identifiers, sizes, LUNs (`cli.md` 1.8).
#![forbid(unsafe_code)]

use crate::client;
use crate::types::{DevId, GroupName, Lun};

/// Longest `iqn.` name, in bytes (RFC 7143 4.2.7.1).
const MAX_IQN: usize = 223;

/// A target, initiator or group member in its stored form: `iqn.` in lower case, `eui.` and `wwn.` with upper-case digits.
pub fn device_id(text: &str) -> Option<DevId> {
    if let Some(name) = text.strip_prefix("iqn.") {
        let fits = text.len() <= MAX_IQN && !name.is_empty() && name.bytes().all(is_name_byte);
        return fits
            .then(|| DevId::new(text.to_ascii_lowercase().as_bytes()).ok())
            .flatten();
    }
    let (prefix, digits) = text.split_at_checked(4)?;
    let fits = matches!(prefix, "eui." | "wwn.") && digits.len() == 16 && is_hex(digits);
    fits.then(|| DevId::new(format!("{prefix}{}", digits.to_ascii_uppercase()).as_bytes()).ok())
        .flatten()
}

/// Why a text is no iSCSI node name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeNameError {
    /// Neither `iqn.` nor `eui.` in front.
    Prefix,
    /// Something behind the prefix.
    Form,
}

/// An iSCSI target name in its stored form (`cli.md` 4.4): stricter than [`device_id`].
pub fn node_name(text: &str) -> Result<String, NodeNameError> {
    if let Some(digits) = text.strip_prefix("eui.") {
        let fits = digits.len() == 16 && is_hex(digits);
        return if fits {
            Ok(format!("eui.{}", digits.to_ascii_uppercase()))
        } else {
            Err(NodeNameError::Form)
        };
    }
    let rest = text.strip_prefix("iqn.").ok_or(NodeNameError::Prefix)?.as_bytes();
    let date = matches!(rest, [y1, y2, y3, y4, b'-', m1, m2, b'.', _, ..]
        if [y1, y2, y3, y4, m1, m2].iter().all(|d| d.is_ascii_digit()) && (*m1, *m2) <= (b'1', b'2'));
    if date && (12..=MAX_IQN).contains(&text.len()) && rest.iter().copied().all(is_name_byte) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(NodeNameError::Form)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':')
}

/// Only hex digits.
pub fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A group name given as an operand: what is beyond 255 bytes is cut off (never inside a character).
pub fn group_operand(text: &str) -> &str {
    let end = (0..=text.len().min(255))
        .rev()
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(0);
    &text[..end]
}

/// A group name; `None` for one that cannot exist.
pub fn group_name(text: &str) -> Option<GroupName> {
    GroupName::new(text.as_bytes()).ok()
}

/// A decimal number without sign or space.
pub fn decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

/// Decimal, 0 to 16383 (`cli.md` D-16).
pub fn lun(text: &str) -> Option<Lun> {
    Lun::new(u16::try_from(decimal(text)?).ok()?)
}

/// A size in bytes. Unlike the library's, only the first character after the number counts: `10GB` is `10g`.
pub fn size(text: &str) -> Option<u64> {
    let number = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let unit = text[number..].chars().next().map_or(0, char::len_utf8);
    client::parse_size(&text.as_bytes()[..number + unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        const G: u64 = 1 << 30;
        for same in ["10g", "10G", "10GB", "10GiB", "10.0g"] {
            assert_eq!(size(same), Some(10 * G), "{same}");
        }
        assert_eq!(size(".5g"), Some(G / 2));
        assert_eq!(size("1.5k"), Some(1536));
        assert_eq!(size("0.0001k"), Some(0));
        assert_eq!(size("512"), Some(512));
        assert_eq!(size("7b"), Some(7));
        assert_eq!(size("2t"), Some(2_199_023_255_552));
        assert_eq!(size("15.9999999999999999999999e"), Some(u64::MAX));
        assert_eq!(size("18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            ".",
            "-5m",
            "+5m",
            " 5m",
            "5x",
            "16e",
            "18446744073709551616",
            "1.2.3",
            "g",
            "99999999999999999999",
            "1.",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn device_ids_are_stored_in_one_form() {
        let stored = |text| device_id(text).map(|d| d.to_string());
        assert_eq!(
            stored("iqn.1998-01.com.VMware:HV"),
            Some("iqn.1998-01.com.vmware:hv".to_owned())
        );
        assert_eq!(stored("wwn.2100001b321a7c41"), Some("wwn.2100001B321A7C41".to_owned()));
        assert_eq!(stored("eui.02004567a425678d"), Some("eui.02004567A425678D".to_owned()));
        let long = format!("iqn.{}", "a".repeat(220));
        for bad in [
            "hv12",
            "IQN.1998-01.com",
            "iqn.",
            "iqn.a b",
            "wwn.21",
            "wwn.2100001b321a7c4g",
            "",
            "é",
            &long,
        ] {
            assert_eq!(stored(bad), None, "{bad}");
        }
    }

    #[test]
    fn node_names() {
        assert_eq!(
            node_name("iqn.2010-08.org.illumos:02:RACK4"),
            Ok("iqn.2010-08.org.illumos:02:rack4".to_owned())
        );
        assert_eq!(node_name("eui.02004567a425678d"), Ok("eui.02004567A425678D".to_owned()));
        assert_eq!(node_name("rack4"), Err(NodeNameError::Prefix));
        for bad in [
            "iqn.",
            "iqn.2010-13.org",
            "iqn.2010-08.",
            "iqn.2010-08org.x",
            "iqn.201a-08.org",
            "iqn.2010-08.org_x",
            "eui.1",
        ] {
            assert_eq!(node_name(bad), Err(NodeNameError::Form), "{bad}");
        }
    }

    #[test]
    fn luns_and_numbers() {
        assert_eq!(lun("0").map(Lun::get), Some(0));
        assert_eq!(lun("16383").map(Lun::get), Some(16383));
        for bad in ["16384", "65536", "x", "", "-1", "+1", " 1"] {
            assert_eq!(lun(bad), None, "{bad}");
        }
    }

    #[test]
    fn group_operands_are_cut() {
        let long = "é".repeat(128);
        assert_eq!(group_operand(&long).len(), 254);
        assert_eq!(group_operand("web"), "web");
    }
}
