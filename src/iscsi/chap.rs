//! CHAP arithmetic (RFC 1994, RFC 7143 12.1.3, `iscsi-target.md` 13.2): algorithms, responses, text coding of binary values.

use crate::types::Secret;
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of a challenge that this target sends.
pub const CHALLENGE: usize = 16;
/// Longest binary value taken from an initiator, bytes (RFC 7143 6.1).
pub const BINARY_MAX: usize = 1024;

/// Digest of the response, by its number in CHAP_A (IANA "PPP Authentication Algorithms").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// 5.
    Md5,
    /// 6.
    Sha1,
    /// 7.
    Sha256,
}

impl Algorithm {
    /// The first algorithm of the initiator's list that is known. A list with an element that is no number is none.
    pub fn choose(list: &str) -> Option<Algorithm> {
        let numbers: Option<Vec<u32>> = list
            .split(',')
            .map(|item| item.parse().ok().filter(|_| item.bytes().all(|b| b.is_ascii_digit())))
            .collect();
        numbers?.into_iter().find_map(|number| match number {
            5 => Some(Algorithm::Md5),
            6 => Some(Algorithm::Sha1),
            7 => Some(Algorithm::Sha256),
            _ => None,
        })
    }

    /// The number, as in CHAP_A.
    pub fn number(self) -> u8 {
        match self {
            Algorithm::Md5 => 5,
            Algorithm::Sha1 => 6,
            Algorithm::Sha256 => 7,
        }
    }

    /// Digest of identifier, secret and challenge.
    pub fn response(self, identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
        fn digest<D: Digest>(identifier: u8, secret: &Secret, challenge: &[u8]) -> Vec<u8> {
            D::new()
                .chain_update([identifier])
                .chain_update(secret.reveal())
                .chain_update(challenge)
                .finalize()
                .to_vec()
        }
        match self {
            Algorithm::Md5 => digest::<Md5>(identifier, secret, challenge),
            Algorithm::Sha1 => digest::<Sha1>(identifier, secret, challenge),
            Algorithm::Sha256 => digest::<Sha256>(identifier, secret, challenge),
        }
    }

    /// Is this the right response? Takes the same time wherever they differ.
    pub fn verify(self, response: &[u8], identifier: u8, secret: &Secret, challenge: &[u8]) -> bool {
        self.response(identifier, secret, challenge).ct_eq(response).into()
    }
}

/// A binary value as text: `0x` and hexadecimal digits.
pub fn encode(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// A binary value from text: `0x` with an even number of digits, or `0b` with padded base64; 1 to [`BINARY_MAX`] bytes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let (prefix, rest) = text.split_at_checked(2)?;
    let bytes = match prefix {
        "0x" | "0X" => from_hex(rest.as_bytes())?,
        "0b" | "0B" => from_base64(rest)?,
        _ => return None,
    };
    (1..=BINARY_MAX).contains(&bytes.len()).then_some(bytes)
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding (RFC 4648 4).
pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0u32, |group, i| {
            group << 8 | u32::from(chunk.get(i).copied().unwrap_or(0))
        });
        for i in 0..4 {
            let at = (group >> (18 - 6 * i) & 63) as usize;
            text.push(if i <= chunk.len() { char::from(BASE64[at]) } else { '=' });
        }
    }
    text
}

/// The reverse of [`to_base64`]; strict: complete groups, padding only at the end, no bits lost.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let groups = text.as_bytes().chunks(4);
    let last = groups.len().checked_sub(1)?;
    let mut bytes = Vec::new();
    for (number, group) in groups.enumerate() {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        if group.len() != 4 || padding > 2 || (padding > 0 && number != last) {
            return None;
        }
        let mut value = 0u32;
        for byte in &group[..4 - padding] {
            value = value << 6 | u32::try_from(BASE64.iter().position(|known| known == byte)?).ok()?;
        }
        let decoded = (value << (6 * padding)).to_be_bytes();
        bytes.extend_from_slice(&decoded[1..4 - padding]);
    }
    (to_base64(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret() -> Secret {
        Secret::new(b"correct horse".to_vec()).unwrap()
    }

    /// Made with `printf '\x07correct horsechallenge' | md5sum` and its kin.
    #[test]
    fn responses_are_those_of_the_command_line_tools() {
        for (algorithm, hex) in [
            (Algorithm::Md5, "4be1fbbb541c6d940f83217091986163"),
            (Algorithm::Sha1, "a7f9f2c48af0c41735c968136ef3286cebcc153c"),
            (
                Algorithm::Sha256,
                "0845868c9579dc6d3629ab68dc37619fb6f2e0a49044ebc0088266dfe77ab26a",
            ),
        ] {
            let response = algorithm.response(7, &secret(), b"challenge");
            assert_eq!(encode(&response), format!("0x{hex}"));
            assert!(algorithm.verify(&response, 7, &secret(), b"challenge"));
            assert!(!algorithm.verify(&response, 8, &secret(), b"challenge"));
            assert!(!algorithm.verify(&response[1..], 7, &secret(), b"challenge"));
        }
    }

    #[test]
    fn the_first_known_algorithm_wins() {
        for (list, chosen) in [
            ("5", Some(Algorithm::Md5)),
            ("8,7,5", Some(Algorithm::Sha256)),
            ("5,6,7,8", Some(Algorithm::Md5)),
            ("56", None),
            ("", None),
            ("5,", None),
            ("+5", None),
        ] {
            assert_eq!(Algorithm::choose(list), chosen, "{list}");
        }
    }

    #[test]
    fn binary_values_are_strict() {
        assert_eq!(decode("0x00fF"), Some(vec![0, 255]));
        assert_eq!(decode("0bAP8="), Some(vec![0, 255]));
        for bad in [
            "",
            "0",
            "0x",
            "0b",
            "0x0",
            "0xg0",
            "0x+1",
            "ff",
            "0bAP8",
            "0bAP9=",
            "0bA===",
            "0bAP8=AP8=",
            "0b====",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert!(decode(&format!("0x{}", "00".repeat(1025))).is_none());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes.clone()));
            prop_assert_eq!(decode(&format!("0b{}", to_base64(&bytes))), Some(bytes));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            decode(&text);
        }
    }
}
