//! iSNS protocol messages (RFC 4171 5): a 12-byte header, then attributes as tag, length and value. No I/O.

use std::net::{IpAddr, SocketAddr};

/// Bytes of a header.
pub const HEADER: usize = 12;
/// Longest message (`iscsi-target.md` chapter 15).
pub const MESSAGE_MAX: usize = 65_532;
/// Protocol version.
const VERSION: u16 = 1;
/// Sender is a client; first PDU and last PDU of the message.
const CLIENT: u16 = 0x8000 | LAST | FIRST;
const LAST: u16 = 0x0800;
const FIRST: u16 = 0x0400;
/// A registration replaces what was registered before.
const REPLACE: u16 = 0x1000;
/// Set in the function of an answer.
const RESPONSE: u16 = 0x8000;

/// Functions (RFC 4171 4.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Function {
    /// DevAttrReg.
    Register = 1,
    /// DevAttrQry.
    Query = 2,
    /// DevDereg.
    Deregister = 4,
}

/// Attribute tags (RFC 4171 6.1).
#[allow(missing_docs)]
pub mod tag {
    pub const DELIMITER: u32 = 0;
    pub const ENTITY: u32 = 1;
    pub const ENTITY_PROTOCOL: u32 = 2;
    pub const REGISTRATION_PERIOD: u32 = 6;
    pub const PORTAL_ADDRESS: u32 = 16;
    pub const PORTAL_PORT: u32 = 17;
    pub const NODE_NAME: u32 = 32;
    pub const NODE_TYPE: u32 = 33;
    pub const NODE_ALIAS: u32 = 34;
    pub const NODE_AUTH: u32 = 42;
    pub const GROUP_ADDRESS: u32 = 49;
    pub const GROUP_PORT: u32 = 50;
    pub const GROUP_TAG: u32 = 51;
}

/// Status of an answer (RFC 4171 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// Done.
    pub const SUCCESS: Status = Status(0);
    /// The source of the request is not registered.
    pub const SOURCE_UNKNOWN: Status = Status(6);
    /// What was asked for is not registered.
    pub const NO_SUCH_ENTRY: Status = Status(9);
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "status {}", self.0)
    }
}

/// A request being made.
#[derive(Debug, Clone)]
pub struct Message {
    function: Function,
    replace: bool,
    body: Vec<u8>,
}

impl Message {
    /// A request of this function; `replace`: a registration that replaces the one before.
    pub fn new(function: Function, replace: bool) -> Message {
        Message {
            function,
            replace,
            body: Vec::new(),
        }
    }

    /// An attribute, padded with zeros.
    pub fn bytes(&mut self, tag: u32, value: &[u8]) -> &mut Message {
        self.body.extend_from_slice(&tag.to_be_bytes());
        let padded = value.len().next_multiple_of(4);
        self.body
            .extend_from_slice(&u32::try_from(padded).unwrap_or(u32::MAX).to_be_bytes());
        self.body.extend_from_slice(value);
        self.body.resize(self.body.len() + padded - value.len(), 0);
        self
    }

    /// An attribute of text, with at least one zero at its end.
    pub fn text(&mut self, tag: u32, text: &str) -> &mut Message {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.bytes(tag, &value)
    }

    /// A number.
    pub fn number(&mut self, tag: u32, number: u32) -> &mut Message {
        self.bytes(tag, &number.to_be_bytes())
    }

    /// An attribute without a value.
    pub fn empty(&mut self, tag: u32) -> &mut Message {
        self.bytes(tag, &[])
    }

    /// Address, IPv4 as IPv4-mapped IPv6, and TCP port.
    pub fn portal(&mut self, address: u32, port: u32, portal: SocketAddr) -> &mut Message {
        let ip = match portal.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.bytes(address, &ip.octets()).number(port, portal.port().into())
    }

    /// The whole message; `None` when it is longer than the protocol's PDUs.
    pub fn encode(&self, transaction: u16) -> Option<Vec<u8>> {
        let length = u16::try_from(self.body.len()).ok()?;
        if self.body.len() > MESSAGE_MAX - HEADER {
            return None;
        }
        let flags = CLIENT | if self.replace { REPLACE } else { 0 };
        let mut bytes = Vec::with_capacity(HEADER + self.body.len());
        for half in [VERSION, self.function as u16, length, flags, transaction, 0] {
            bytes.extend_from_slice(&half.to_be_bytes());
        }
        bytes.extend_from_slice(&self.body);
        Some(bytes)
    }

    /// The function of the answers to this one.
    pub fn answer(&self) -> u16 {
        self.function as u16 | RESPONSE
    }
}

/// Header of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerHeader {
    /// Function, with the response bit.
    pub function: u16,
    /// Bytes that follow.
    pub length: usize,
    /// Of the request.
    pub transaction: u16,
    /// More PDUs of the same answer follow.
    pub more: bool,
}

impl AnswerHeader {
    /// `None`: another version of the protocol.
    pub fn parse(bytes: &[u8; HEADER]) -> Option<AnswerHeader> {
        let half = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        (half(0) == VERSION).then(|| AnswerHeader {
            function: half(2),
            length: half(4).into(),
            transaction: half(8),
            more: half(6) & LAST == 0,
        })
    }
}

/// Tag and value.
pub type Attribute<'a> = (u32, &'a [u8]);

/// Status, and the attributes behind it. `None`: malformed.
pub fn parse_answer(body: &[u8]) -> Option<(Status, Vec<Attribute<'_>>)> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let status = Status(word(body, 0)?);
    let mut attributes = Vec::new();
    let mut rest = &body[4..];
    while !rest.is_empty() {
        let length = usize::try_from(word(rest, 4)?).ok()?;
        attributes.push((word(rest, 0)?, rest.get(8..8usize.checked_add(length)?)?));
        rest = &rest[8 + length..];
    }
    Some((status, attributes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_laid_out_as_rfc_4171_says() {
        let mut message = Message::new(Function::Register, true);
        message
            .text(tag::ENTITY, "abc")
            .empty(tag::DELIMITER)
            .portal(16, 17, "192.0.2.1:3260".parse().unwrap());
        let bytes = message.encode(0x1234).unwrap();
        assert_eq!(bytes[..HEADER], [0, 1, 0, 1, 0, 56, 0x9c, 0, 0x12, 0x34, 0, 0]);
        assert_eq!(bytes[12..32], *b"\0\0\0\x01\0\0\0\x04abc\0\0\0\0\0\0\0\0\0");
        assert_eq!(bytes[32..40], [0, 0, 0, 16, 0, 0, 0, 16]);
        assert_eq!(bytes[50..56], [0xff, 0xff, 192, 0, 2, 1]);
        assert_eq!(bytes[56..], [0, 0, 0, 17, 0, 0, 0, 4, 0, 0, 0x0c, 0xbc]);
        assert_eq!(message.answer(), 0x8001);
    }

    #[test]
    fn a_message_that_is_too_long_is_none() {
        let mut message = Message::new(Function::Register, false);
        message.bytes(1, &[0; 65_530]);
        assert_eq!(message.encode(1), None);
    }

    proptest! {
        #[test]
        fn answers_are_read_and_rubbish_is_refused(values in proptest::collection::vec((any::<u32>(),
            proptest::collection::vec(any::<u8>(), 0..20)), 0..6), cut in 0usize..30, rubbish in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut message = Message::new(Function::Query, false);
            for (tag, value) in &values {
                message.bytes(*tag, value);
            }
            let mut body = vec![0, 0, 0, 9];
            body.extend_from_slice(&message.encode(0).unwrap()[HEADER..]);
            let (status, attributes) = parse_answer(&body).unwrap();
            prop_assert_eq!(status, Status::NO_SUCH_ENTRY);
            prop_assert_eq!(attributes.len(), values.len());
            let _ = parse_answer(&body[..body.len().saturating_sub(cut)]);
            let _ = parse_answer(&rubbish);
        }
    }
}
