//! The bytes of a request or response: one version byte, then postcard.

use super::{Call, PROTOCOL_VERSION, Request, Response, TELLING_VERSION, Told};
use crate::types::PersistMethod;
use crate::types::Status;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// Longest request in bytes: a peer message of 16 MiB (`alua-proxy.md` 8.3) with some room for the envelope.
pub const MAX_REQUEST: usize = (16 << 20) + 4096;

/// Longest response in bytes: lists of a configuration with a million objects of 64 bytes each.
pub const MAX_RESPONSE: usize = 64 << 20;

/// Why bytes are no request or response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// No bytes at all.
    Empty,
    /// More bytes than the bound.
    TooLong(usize),
    /// The other side speaks this version of the protocol.
    Version(u8),
    /// The body does not decode, or bytes follow it.
    Malformed,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Empty => f.write_str("no data"),
            WireError::TooLong(length) => write!(f, "{length} bytes are too many"),
            WireError::Version(version) => write!(
                f,
                "protocol version {version}, this side speaks version {PROTOCOL_VERSION}: library and service are of different releases"
            ),
            WireError::Malformed => f.write_str("malformed data"),
        }
    }
}

impl std::error::Error for WireError {}

impl WireError {
    /// What a caller of the library is told.
    pub const fn status(self) -> Status {
        match self {
            WireError::Version(_) => Status::ServiceDataVersion,
            _ => Status::Error,
        }
    }
}

/// The bytes of a request whose changes are kept as the service does.
pub fn encode_request(request: &Request) -> Vec<u8> {
    encode_call(None, request)
}

/// The bytes of a [`Call`].
pub fn encode_call(persist: Option<PersistMethod>, request: &Request) -> Vec<u8> {
    encode(&(persist, request))
}

/// The bytes of a response.
pub fn encode_response(response: &Response) -> Vec<u8> {
    encode(response)
}

/// The request in these bytes, which come from a process of unknown quality.
pub fn decode_request(bytes: &[u8]) -> Result<Call, WireError> {
    decode(bytes, MAX_REQUEST)
}

/// The response in these bytes.
pub fn decode_response(bytes: &[u8]) -> Result<Response, WireError> {
    decode(bytes, MAX_RESPONSE)
}

/// The bytes of a [`Call`] that is to tell what it does, or would do.
pub fn encode_telling(rehearsal: bool, persist: Option<PersistMethod>, request: &Request) -> Vec<u8> {
    encode_as(TELLING_VERSION, &(rehearsal, persist, request))
}

/// The call in these bytes, and whether it is a rehearsal; `None` when it is not to tell what it does.
pub fn decode_telling(bytes: &[u8]) -> Option<Result<(bool, Call), WireError>> {
    (bytes.first() == Some(&TELLING_VERSION)).then(|| decode_as(TELLING_VERSION, bytes, MAX_REQUEST))
}

/// The bytes of the answer to such a call.
pub fn encode_told(told: &Told) -> Vec<u8> {
    encode_as(TELLING_VERSION, told)
}

/// The answer in these bytes. A service that knows no such calls answers as to any other one.
pub fn decode_told(bytes: &[u8]) -> Result<Told, WireError> {
    match bytes.first() {
        Some(&TELLING_VERSION) => decode_as(TELLING_VERSION, bytes, MAX_RESPONSE),
        _ => decode_response(bytes).map(Told::from),
    }
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    encode_as(PROTOCOL_VERSION, value)
}

fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    decode_as(PROTOCOL_VERSION, bytes, limit)
}

fn encode_as<T: Serialize>(version: u8, value: &T) -> Vec<u8> {
    postcard::to_extend(value, vec![version]).expect("plain data encodes into a growing buffer")
}

fn decode_as<T: DeserializeOwned>(ours: u8, bytes: &[u8], limit: usize) -> Result<T, WireError> {
    let (&version, body) = bytes.split_first().ok_or(WireError::Empty)?;
    if bytes.len() > limit {
        return Err(WireError::TooLong(bytes.len()));
    }
    if version != ours {
        return Err(WireError::Version(version));
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(WireError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Guid;
    use proptest::prelude::*;

    #[test]
    fn round_trip_and_refusals() {
        let bytes = encode_request(&Request::LuDelete(Guid([7; 16])));
        assert_eq!(bytes[0], PROTOCOL_VERSION);
        assert!(matches!(decode_request(&bytes).map(|c| c.request), Ok(Request::LuDelete(g)) if g == Guid([7; 16])));

        let mut other = bytes.clone();
        other[0] = 99;
        assert_eq!(decode_request(&other).unwrap_err(), WireError::Version(99));
        assert_eq!(WireError::Version(99).status(), Status::ServiceDataVersion);

        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode_request(&longer).unwrap_err(), WireError::Malformed);
        assert_eq!(decode_request(&bytes[..5]).unwrap_err(), WireError::Malformed);
        assert_eq!(decode_request(&[]).unwrap_err(), WireError::Empty);
        let huge = vec![PROTOCOL_VERSION; MAX_REQUEST + 1];
        assert_eq!(decode_request(&huge).unwrap_err(), WireError::TooLong(MAX_REQUEST + 1));
    }

    #[test]
    fn a_lying_length_does_not_allocate() {
        // PostProxyMsg with a length of 2^60 and no bytes behind it.
        let mut bytes = encode_request(&Request::PostProxyMsg(crate::service::ProxyHandle(1), Vec::new()));
        bytes.pop();
        bytes.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10]);
        assert_eq!(decode_request(&bytes).unwrap_err(), WireError::Malformed);
    }

    /// What the types promise holds for what comes out of bytes, too.
    #[test]
    fn values_out_of_range_do_not_decode() {
        use crate::framework::GroupKind;
        use crate::types::{DevId, GroupName};
        let name = GroupName::new(b"abc").unwrap();
        let member = DevId::new(b"iqn.x").unwrap();
        let good = encode_request(&Request::GroupAdd(GroupKind::Host, name, member));
        assert!(decode_request(&good).is_ok());
        for (from, to) in [
            (&b"abc"[..], &b"*bc"[..]),
            (b"abc", b"a\0c"),
            (b"abc", b"\xff\xfe\xfd"),
            (b"iqn.x", b"iqn\0x"),
        ] {
            let at = good.windows(from.len()).position(|w| w == from).unwrap();
            let mut bad = good.clone();
            bad[at..at + to.len()].copy_from_slice(to);
            assert_eq!(decode_request(&bad).unwrap_err(), WireError::Malformed, "{to:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            let _ = decode_request(&bytes);
            let _ = decode_response(&bytes);
            let _ = decode_told(&bytes);
            let _ = decode_telling(&bytes);
            if let Some(first) = bytes.first_mut() {
                *first = PROTOCOL_VERSION;
                if let Ok(call) = decode_request(&bytes) {
                    prop_assert!(decode_request(&encode_call(call.persist, &call.request)).is_ok());
                }
                let _ = decode_response(&bytes);
            }
            if let Some(first) = bytes.first_mut() {
                *first = TELLING_VERSION;
                let _ = decode_told(&bytes);
                if let Some(Ok((rehearsal, call))) = decode_telling(&bytes) {
                    let again = encode_telling(rehearsal, call.persist, &call.request);
                    prop_assert!(decode_telling(&again).unwrap().is_ok());
                }
            }
        }
    }
}
