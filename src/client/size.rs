//! The text of `STMF_LU_PROP_SIZE` (`libstmf-api.md` 4.3).
#![forbid(unsafe_code)]

use crate::types::LuProperties;

/// `digits[.digits][suffix]` in bytes: suffix B, K, M, G, T, P, E in either case, after K to E optionally `B` or `iB`.
/// Fractions are cut to whole bytes. `None` when it is no size or exceeds 2^64 - 1.
pub fn parse_size(text: &[u8]) -> Option<u64> {
    // A longer one may have been cut.
    if text.len() > LuProperties::MAX_PATH {
        return None;
    }
    let (whole, rest) = digits(text);
    let (fraction, suffix) = match rest.strip_prefix(b".") {
        Some(rest) => match digits(rest) {
            ([], _) => return None,
            found => found,
        },
        None => (&[][..], rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit = multiplier(suffix)?;
    let whole = whole.iter().try_fold(0u64, |sum, digit| {
        sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })?;
    // Exact however long the fraction is: the floor of a division by 10 may be taken digit by digit, from the last one.
    let part = fraction.iter().rev().fold(0u128, |part, digit| {
        (u128::from(digit - b'0') * u128::from(unit) + part) / 10
    });
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

fn multiplier(suffix: &[u8]) -> Option<u64> {
    let Some((letter, rest)) = suffix.split_first() else {
        return Some(1);
    };
    let power = match letter.to_ascii_uppercase() {
        b'B' => return rest.is_empty().then_some(1),
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        b'T' => 40,
        b'P' => 50,
        b'E' => 60,
        _ => return None,
    };
    let known = rest.is_empty() || rest.eq_ignore_ascii_case(b"B") || rest.eq_ignore_ascii_case(b"iB");
    known.then_some(1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("10B", 10),
            ("1k", 1024),
            ("10GB", 10 << 30),
            ("10giB", 10 << 30),
            (".5G", 1 << 29),
            ("1.5m", 3 << 19),
            ("1.9999", 1),
            ("0.999999999999999999999999999E", (1 << 60) - 1),
            ("15.5E", 0xf800_0000_0000_0000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_size(text.as_bytes()), Some(bytes), "{text}");
        }
        for bad in [
            "",
            ".",
            "5.",
            "G",
            "-1",
            "+1",
            " 1",
            "1 ",
            "1X",
            "1BB",
            "1KBB",
            "1Ki",
            "1.2.3",
            "16E",
            "18446744073709551616",
            "0x10",
            "1e3x",
        ] {
            assert_eq!(parse_size(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_size_or_not(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_size(&text);
        }

        #[test]
        fn plain_numbers_are_themselves(n in any::<u64>()) {
            prop_assert_eq!(parse_size(n.to_string().as_bytes()), Some(n));
        }
    }
}
