use super::ParseError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The 16-byte name of a logical unit. LUs carry NAA type 6 (first nibble 6); view entries accept any 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// True when the first nibble is 6 (NAA IEEE Registered Extended, SPC-4 7.8.6.6.5).
    pub const fn is_naa6(&self) -> bool {
        self.0[0] >> 4 == 6
    }
}

/// 32 upper-case hex digits; `{:x}` gives lower case.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02X}"))
    }
}

impl fmt::LowerHex for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Exactly 32 hex digits, either case.
impl FromStr for Guid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        const EXPECTED: ParseError = ParseError::new("32 hexadecimal digits");
        let digits = text.as_bytes();
        if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(EXPECTED);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| EXPECTED)?;
        Ok(Guid(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        let g: Guid = "600144f0c0ffee0000005a3c817e0001".parse().unwrap();
        assert_eq!(g.to_string(), "600144F0C0FFEE0000005A3C817E0001");
        assert_eq!(format!("{g:x}"), "600144f0c0ffee0000005a3c817e0001");
        assert!(g.is_naa6());
    }

    #[test]
    fn refuses_signs_and_wrong_lengths() {
        for bad in [
            "",
            "+00144f0c0ffee0000005a3c817e00011",
            "600144f0c0ffee0000005a3c817e000",
            "600144f0c0ffee0000005a3c817e000g",
        ] {
            assert!(bad.parse::<Guid>().is_err(), "{bad}");
        }
    }
}
