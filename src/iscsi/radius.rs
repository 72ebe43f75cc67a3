//! RADIUS as far as CHAP needs it (RFC 2865, `iscsi-target.md` 13.3): the request, and the check of the reply. No I/O.

use crate::types::Secret;
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// Longest packet (RFC 2865 3).
pub const PACKET_MAX: usize = 4096;
/// Code, identifier, length, authenticator.
const HEADER: usize = 20;
const ACCESS_REQUEST: u8 = 1;
const ACCESS_ACCEPT: u8 = 2;
/// Access-Reject; and Access-Challenge, which CHAP cannot answer.
const ACCESS_REFUSALS: [u8; 2] = [3, 11];
const USER_NAME: u8 = 1;
const CHAP_PASSWORD: u8 = 3;
const NAS_IDENTIFIER: u8 = 32;
const CHAP_CHALLENGE: u8 = 60;
const MESSAGE_AUTHENTICATOR: u8 = 80;
/// Longest value of an attribute.
const VALUE_MAX: usize = 253;

/// What the server is asked: is this the right response of this user?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// CHAP_N.
    pub user: String,
    /// CHAP_I.
    pub identifier: u8,
    /// CHAP_C.
    pub challenge: Vec<u8>,
    /// CHAP_R: 16 bytes.
    pub response: Vec<u8>,
    /// The target, as NAS-Identifier.
    pub target: String,
}

/// A request on its way.
pub struct Request {
    /// The packet.
    pub bytes: Vec<u8>,
    identifier: u8,
    authenticator: [u8; 16],
}

impl Request {
    /// An Access-Request. `identifier` and `authenticator` are random. `None`: a value is longer than RADIUS can carry.
    pub fn new(question: &Question, secret: &Secret, identifier: u8, authenticator: [u8; 16]) -> Option<Request> {
        let mut bytes = vec![ACCESS_REQUEST, identifier, 0, 0];
        bytes.extend_from_slice(&authenticator);
        let mut password = vec![question.identifier];
        password.extend_from_slice(&question.response);
        // A target name has at most 223 bytes.
        for (kind, value) in [
            (USER_NAME, question.user.as_bytes()),
            (CHAP_PASSWORD, &password),
            (CHAP_CHALLENGE, &question.challenge),
            (NAS_IDENTIFIER, question.target.as_bytes()),
            (MESSAGE_AUTHENTICATOR, &[0; 16]),
        ] {
            if value.is_empty() || value.len() > VALUE_MAX {
                return None;
            }
            bytes.extend_from_slice(&[kind, u8::try_from(value.len() + 2).ok()?]);
            bytes.extend_from_slice(value);
        }
        let length = u16::try_from(bytes.len()).ok()?;
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        // Over the packet with sixteen zeros in its place (RFC 3579 3.2).
        let sum = hmac(secret.reveal(), &bytes);
        let at = bytes.len() - 16;
        bytes[at..].copy_from_slice(&sum);
        Some(Request {
            bytes,
            identifier,
            authenticator,
        })
    }

    /// The server's verdict; `None`: not an answer to this request, or not from somebody who knows the secret.
    pub fn verdict(&self, reply: &[u8], secret: &Secret) -> Option<bool> {
        let header = reply.get(..HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        // Bytes behind the length are padding.
        let packet = reply.get(..length)?;
        let attributes = packet.get(HEADER..)?;
        if header[1] != self.identifier {
            return None;
        }
        let sum = Md5::new()
            .chain_update(&packet[..4])
            .chain_update(self.authenticator)
            .chain_update(attributes)
            .chain_update(secret.reveal())
            .finalize();
        let right: bool = sum.ct_eq(&packet[4..HEADER]).into();
        if !right || !self.message_intact(packet, secret)? {
            return None;
        }
        match header[0] {
            ACCESS_ACCEPT => Some(true),
            code if ACCESS_REFUSALS.contains(&code) => Some(false),
            _ => None,
        }
    }

    /// Message-Authenticator of a reply, where there is one. `None`: the attributes are malformed.
    fn message_intact(&self, packet: &[u8], secret: &Secret) -> Option<bool> {
        let mut at = HEADER;
        while at < packet.len() {
            let length = usize::from(*packet.get(at + 1)?);
            let value = packet.get(at + 2..at + length)?;
            if packet[at] == MESSAGE_AUTHENTICATOR {
                let mut blank = packet.to_vec();
                blank[4..HEADER].copy_from_slice(&self.authenticator);
                blank.get_mut(at + 2..at + 18)?.fill(0);
                return Some(value.len() == 16 && bool::from(hmac(secret.reveal(), &blank).ct_eq(value)));
            }
            at += length;
        }
        Some(true)
    }
}

/// HMAC-MD5 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 16] {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..16].copy_from_slice(&Md5::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Md5::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(message)
        .finalize();
    Md5::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret() -> Secret {
        Secret::new(b"shared with radius".to_vec()).unwrap()
    }

    fn question() -> Question {
        Question {
            user: "user".into(),
            identifier: 9,
            challenge: vec![7; 16],
            response: vec![8; 16],
            target: "iqn.2026-11.example:t".into(),
        }
    }

    fn request() -> Request {
        Request::new(&question(), &secret(), 5, [3; 16]).unwrap()
    }

    /// What a server answers.
    fn reply(code: u8, attributes: &[u8]) -> Vec<u8> {
        let mut packet = vec![code, 5, 0, u8::try_from(HEADER + attributes.len()).unwrap()];
        let sum = Md5::new()
            .chain_update(&packet)
            .chain_update([3; 16])
            .chain_update(attributes)
            .chain_update(secret().reveal())
            .finalize();
        packet.extend_from_slice(&sum);
        packet.extend_from_slice(attributes);
        packet
    }

    #[test]
    fn hmac_is_that_of_rfc_2202() {
        let hex = |bytes: &[u8]| crate::iscsi::chap::encode(bytes);
        assert_eq!(
            hex(&hmac(&[0x0b; 16], b"Hi There")),
            "0x9294727a3638bb1c13f48ef8158bfc9d"
        );
        let long = "0x6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd";
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex(&hmac(&[0xaa; 80], text)), long);
    }

    #[test]
    fn the_request_carries_user_response_and_challenge() {
        let bytes = request().bytes;
        assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len());
        let user = [&[1u8, 6][..], b"user"].concat();
        let password = [&[3u8, 19, 9][..], &[8; 16]].concat();
        let challenge = [&[60u8, 18][..], &[7; 16]].concat();
        assert_eq!(bytes[HEADER..][..43], [user, password, challenge].concat());
        let long = Question {
            user: "x".repeat(254),
            ..question()
        };
        assert!(Request::new(&long, &secret(), 0, [0; 16]).is_none());
    }

    #[test]
    fn only_an_authentic_answer_is_a_verdict() {
        assert_eq!(request().verdict(&reply(2, &[]), &secret()), Some(true));
        assert_eq!(
            request().verdict(&reply(3, &[18, 4, b'n', b'o']), &secret()),
            Some(false)
        );
        assert_eq!(request().verdict(&reply(11, &[]), &secret()), Some(false));
        assert_eq!(request().verdict(&reply(5, &[]), &secret()), None);
        let other = Secret::new(b"another secret".to_vec()).unwrap();
        assert_eq!(request().verdict(&reply(2, &[]), &other), None);
        let other = Request::new(&question(), &secret(), 6, [3; 16]).unwrap();
        assert_eq!(other.verdict(&reply(2, &[]), &secret()), None, "another identifier");
        let mut forged = reply(3, &[]);
        forged[0] = 2;
        assert_eq!(request().verdict(&forged, &secret()), None);
        let wrong = [&[80u8, 18][..], &[0; 16]].concat();
        assert_eq!(
            request().verdict(&reply(2, &wrong), &secret()),
            None,
            "Message-Authenticator"
        );
    }

    proptest! {
        #[test]
        fn no_reply_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = request().verdict(&bytes, &secret());
            let _ = request().verdict(&reply(2, &bytes), &secret());
        }
    }
}
