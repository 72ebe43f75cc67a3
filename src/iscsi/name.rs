//! iSCSI node names (`iscsi-target.md` chapter 2): checks, canonical form, generation.

use std::fmt;

/// Longest iSCSI name, bytes (RFC 7143 4.2.7.1).
pub const NAME_MAX: usize = 223;
/// What generated target names begin with (ruling 9).
pub const TARGET_PREFIX: &str = "iqn.2010-08.org.illumos:02:";

/// The text is no iSCSI name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidName(&'static str);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidName {}

/// Canonical form of a name from the wire: `iqn.` lower case, `eui.` digits upper case, `naa.` digits lower case.
/// Characters beyond ASCII are kept as they come.
pub fn canonical(name: &str) -> Result<String, InvalidName> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(InvalidName("an iSCSI name has 1 to 223 bytes"));
    }
    let lower = name.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("iqn.") {
        check_iqn(rest)?;
        Ok(lower)
    } else if let Some(digits) = lower.strip_prefix("eui.") {
        if digits.len() != 16 || !is_hex(digits) {
            return Err(InvalidName("an eui. name has 16 hexadecimal digits"));
        }
        Ok(format!("eui.{}", digits.to_ascii_uppercase()))
    } else if let Some(digits) = lower.strip_prefix("naa.") {
        if !matches!(digits.len(), 16 | 32) || !is_hex(digits) {
            return Err(InvalidName("a naa. name has 16 or 32 hexadecimal digits"));
        }
        Ok(lower)
    } else {
        Err(InvalidName("an iSCSI name begins with iqn., eui. or naa."))
    }
}

/// Canonical form of a name for a new target: `iqn.` or `eui.`, and only a-z, 0-9, `-`, `.`, `:`.
pub fn canonical_target(name: &str) -> Result<String, InvalidName> {
    let name = canonical(name)?;
    if name.starts_with("naa.") {
        return Err(InvalidName("a target name begins with iqn. or eui."));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    if !name.chars().all(plain) {
        return Err(InvalidName("a target name consists of a-z, 0-9, '-', '.' and ':'"));
    }
    Ok(name)
}

/// [`TARGET_PREFIX`] and a random version 4 UUID.
pub fn generate() -> Result<String, getrandom::Error> {
    let mut b = [0u8; 16];
    getrandom::fill(&mut b)?;
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let mut name = TARGET_PREFIX.to_owned();
    for (i, byte) in b.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            name.push('-');
        }
        name.push_str(&format!("{byte:02x}"));
    }
    Ok(name)
}

/// `yyyy-mm.` reversed domain, optional `:` text.
fn check_iqn(rest: &str) -> Result<(), InvalidName> {
    const FORM: InvalidName = InvalidName("an iqn. name has the form iqn.yyyy-mm.reversed-domain[:text]");
    let b = rest.as_bytes();
    let date = b.len() > 8
        && b[..4].iter().all(u8::is_ascii_digit)
        && b[4] == b'-'
        && b[5..7].iter().all(u8::is_ascii_digit)
        && b[7] == b'.';
    let month = date && matches!(&b[5..7], [b'0', b'1'..=b'9'] | [b'1', b'0'..=b'2']);
    let domain = date && !matches!(b[8], b'.' | b':');
    let printable = rest.chars().all(|c| !c.is_control() && !c.is_whitespace() && c != ',');
    if month && domain && printable {
        Ok(())
    } else {
        Err(FORM)
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_folded() {
        assert_eq!(
            canonical("IQN.2026-11.Example:Disk").unwrap(),
            "iqn.2026-11.example:disk"
        );
        assert_eq!(canonical("eui.02004567a425678d").unwrap(), "eui.02004567A425678D");
        assert_eq!(canonical("naa.52004567BA64678D").unwrap(), "naa.52004567ba64678d");
    }

    #[test]
    fn malformed_names_are_refused() {
        for bad in [
            "",
            "iqn.",
            "iqn.2026-13.x",
            "iqn.2026-00.x",
            "iqn.2026-11.",
            "iqn.2026-11x",
            "iqn.2026-11.:x",
            "eui.1",
            "eui.0200456za425678d",
            "naa.123",
            "disk",
            "iqn.2026-11.a b",
            "iqn.2026-11.a,b",
        ] {
            assert!(canonical(bad).is_err(), "{bad:?}");
        }
        assert!(canonical(&format!("iqn.2026-11.{}", "a".repeat(212))).is_err());
        assert!(canonical(&format!("iqn.2026-11.{}", "a".repeat(211))).is_ok());
    }

    #[test]
    fn created_names_are_plain_ascii() {
        assert!(canonical_target("iqn.2026-11.ä:x").is_err());
        assert!(canonical("iqn.2026-11.ä:x").is_ok());
        assert!(canonical_target("iqn.2026-11.a_b").is_err());
        assert!(canonical_target("naa.52004567BA64678D").is_err());
    }

    #[test]
    fn generated_names_are_canonical_and_differ() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert_ne!(a, b);
        assert_eq!(canonical_target(&a).unwrap(), a);
        assert_eq!(a.len(), TARGET_PREFIX.len() + 36);
    }

    proptest! {
        #[test]
        fn folding_is_idempotent(name in "(iqn\\.2026-11\\.|eui\\.|naa\\.)?\\PC{0,40}") {
            if let Ok(once) = canonical(&name) {
                prop_assert_eq!(canonical(&once).unwrap(), once);
            }
        }
    }
}
