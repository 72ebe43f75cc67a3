//! `key=value` text of login and text PDUs (RFC 7143 6.1, `iscsi-target.md` 5.4).

/// Longest text of one request, over all its PDUs.
pub const TEXT_MAX: usize = 65536;
/// Longest key name (RFC 7143 6.1).
pub const KEY_MAX: usize = 63;
/// Longest value of an ordinary key (RFC 7143 6.1).
pub const VALUE_MAX: usize = 255;
/// Longest value of a key that carries binary: 1024 bytes as hexadecimal digits with the prefix.
pub const BINARY_VALUE_MAX: usize = 2 + 2 * 1024;

/// Why text could not be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextError {
    /// A pair without `=`, or with an empty key.
    NoKey,
    /// A key or value is over its limit.
    TooLong,
    /// Not UTF-8.
    NotText,
}

/// One pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Key.
    pub key: &'a str,
    /// Value, possibly empty.
    pub value: &'a str,
}

/// Splits text into pairs. Every pair ends with NUL; the last NUL may be missing, empty pairs are padding.
pub fn parse(text: &[u8]) -> Result<Vec<Pair<'_>>, TextError> {
    let mut pairs = Vec::new();
    for item in text.split(|&byte| byte == 0).filter(|item| !item.is_empty()) {
        let item = std::str::from_utf8(item).map_err(|_| TextError::NotText)?;
        let (key, value) = item.split_once('=').ok_or(TextError::NoKey)?;
        if key.is_empty() {
            return Err(TextError::NoKey);
        }
        let limit = if key.starts_with("CHAP_") {
            BINARY_VALUE_MAX
        } else {
            VALUE_MAX
        };
        if key.len() > KEY_MAX || value.len() > limit {
            return Err(TextError::TooLong);
        }
        pairs.push(Pair { key, value });
    }
    Ok(pairs)
}

/// Appends `key=value` and NUL.
pub fn push(text: &mut Vec<u8>, key: &str, value: &str) {
    text.extend_from_slice(key.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
    text.push(0);
}

/// A number, decimal or `0x` hexadecimal.
pub fn number(value: &str) -> Option<u64> {
    let (digits, radix) = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (value, 10),
    };
    // `from_str_radix` alone would accept a sign.
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok()
}

/// `Yes` or `No`, in any letter case.
pub fn boolean(value: &str) -> Option<bool> {
    match value {
        _ if value.eq_ignore_ascii_case("Yes") => Some(true),
        _ if value.eq_ignore_ascii_case("No") => Some(false),
        _ => None,
    }
}

/// `Yes` or `No`.
pub fn yes_no(value: bool) -> &'static str {
    if value { "Yes" } else { "No" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_split_at_nul_and_at_the_first_equal_sign() {
        let pairs = parse(b"A=1\0B=x=y\0C=\0\0").unwrap();
        let all: Vec<_> = pairs.iter().map(|p| (p.key, p.value)).collect();
        assert_eq!(all, [("A", "1"), ("B", "x=y"), ("C", "")]);
    }

    #[test]
    fn bad_pairs_are_refused() {
        assert_eq!(parse(b"noequal\0"), Err(TextError::NoKey));
        assert_eq!(parse(b"=v\0"), Err(TextError::NoKey));
        assert_eq!(parse(b"k=\xff\0"), Err(TextError::NotText));
        let long = format!("{}=1", "k".repeat(64));
        assert_eq!(parse(long.as_bytes()), Err(TextError::TooLong));
        let long = format!("k={}", "v".repeat(256));
        assert_eq!(parse(long.as_bytes()), Err(TextError::TooLong));
    }

    #[test]
    fn numbers_are_decimal_or_hexadecimal() {
        assert_eq!(number("262144"), Some(262_144));
        assert_eq!(number("0xff"), Some(255));
        for bad in ["", "+1", "-1", "0x", "1k", "99999999999999999999"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_is_pushed_is_parsed(key in "[A-Za-z]{1,63}", value in "[ -~]{0,255}") {
            let mut text = Vec::new();
            push(&mut text, &key, &value);
            prop_assert_eq!(parse(&text).unwrap(), vec![Pair { key: &key, value: &value }]);
        }
    }
}
