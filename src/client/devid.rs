//! Devids of iSCSI names and of port names (`libstmf-api.md` 2.5, 3.2).
#![forbid(unsafe_code)]

use crate::types::{DevId, Status};

/// Longest iSCSI name (RFC 7143 4.2.7.1).
pub const MAX_ISCSI_NAME: usize = 223;
/// A prefix and one byte.
const MIN_ISCSI_NAME: usize = 5;

/// The devid of an iSCSI name. The characters behind `iqn.` are not checked, and case is left as it is.
pub fn devid_from_iscsi_name(name: &[u8]) -> Result<DevId, Status> {
    if !(MIN_ISCSI_NAME..=MAX_ISCSI_NAME).contains(&name.len()) {
        return Err(Status::InvalidArg);
    }
    let (prefix, rest) = name.split_at(4);
    let hex = rest.iter().all(u8::is_ascii_hexdigit);
    let valid = match prefix {
        b"iqn." => true,
        b"eui." => hex && rest.len() == 16,
        b"naa." => hex && matches!(rest.len(), 16 | 32),
        _ => false,
    };
    if !valid {
        return Err(Status::InvalidArg);
    }
    DevId::new(name).map_err(|_| Status::InvalidArg)
}

/// The devid of a world wide name: `wwn.` and 16 upper-case hex digits.
pub fn devid_from_wwn(wwn: [u8; 8]) -> DevId {
    let text = format!("wwn.{:016X}", u64::from_be_bytes(wwn));
    DevId::new(text.as_bytes()).expect("20 bytes without NUL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iscsi_names() {
        let longest = format!("iqn.{}", "x".repeat(219));
        for good in [
            "iqn.x",
            &longest,
            "eui.0123456789abcDEF",
            "naa.0123456789abcdef",
            "naa.0123456789abcdef0123456789ABCDEF",
        ] {
            assert_eq!(
                devid_from_iscsi_name(good.as_bytes()).unwrap().as_bytes(),
                good.as_bytes()
            );
        }
        let too_long = format!("iqn.{}", "x".repeat(220));
        let modulo_256 = format!("iqn.{}", "x".repeat(256));
        for bad in [
            "",
            "iqn.",
            "IQN.x",
            "eui.0123456789abcde",
            "eui.0123456789abcdeg",
            "naa.0123456789abcdef0",
            "wwn.0123456789abcdef",
            "hello world",
            &too_long,
            &modulo_256,
        ] {
            assert_eq!(devid_from_iscsi_name(bad.as_bytes()), Err(Status::InvalidArg), "{bad}");
        }
    }

    #[test]
    fn world_wide_names() {
        let devid = devid_from_wwn([0x21, 0, 0, 0xe0, 0x8b, 0xab, 0xcd, 0xef]);
        assert_eq!(devid.as_bytes(), b"wwn.210000E08BABCDEF");
    }
}
