//! The data of provider `sbd` as callers see it: its LU list, one string pair for each LU, and whatever else callers have
//! put there (`libstmf-api.md` 5.5). Pure.
//!
//! A packed list is kept pair by pair, undecoded: any type that its encoding can carry survives.
//!
//! ```text
//! list = encoding(1, XDR) byte order(1) 0(2) | version(4) flags(4) | pair... | 0(8)
//! pair = size of the pair(4) size in memory(4) name length(4) name, padded(n) type(4) elements(4) value
//! ```

use crate::nvlist::{NvList, Value};
use crate::types::{Guid, LuProperties};
use std::collections::BTreeMap;

/// XDR stream, little-endian writer: the header of the original's lists is 4 bytes.
const HEADER: usize = 4;
const VERSION_AND_FLAGS: usize = 8;
const END: [u8; 8] = [0; 8];
const TYPE_STRING: u32 = 9;

/// A list taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SbdData {
    /// Header, version and flags, and every pair that names no LU, packed.
    pub others: Vec<u8>,
    /// File of each LU.
    pub lus: BTreeMap<Guid, String>,
}

/// Bytes that are no packed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl SbdData {
    /// Takes a packed list apart.
    pub fn split(packed: &[u8]) -> Result<SbdData, Malformed> {
        let (head, mut rest) = packed.split_at_checked(HEADER + VERSION_AND_FLAGS).ok_or(Malformed)?;
        if head[0] != 1 {
            return Err(Malformed);
        }
        let mut others = head.to_vec();
        let mut lus = BTreeMap::new();
        loop {
            let size = be32(rest, 0).ok_or(Malformed)?;
            if size == 0 {
                break;
            }
            let size = usize::try_from(size).map_err(|_| Malformed)?;
            let (pair, next) = rest.split_at_checked(size).ok_or(Malformed)?;
            if pair.len() < 8 {
                return Err(Malformed);
            }
            match lu_pair(pair) {
                Some((guid, path)) => {
                    lus.insert(guid, path);
                }
                None => others.extend_from_slice(pair),
            }
            rest = next;
        }
        others.extend_from_slice(&END);
        Ok(SbdData { others, lus })
    }

    /// The list with a pair for each LU, after the other pairs.
    pub fn join<'a>(others: &[u8], lus: impl Iterator<Item = (&'a Guid, &'a str)>) -> Vec<u8> {
        let mut list = NvList::new();
        for (guid, path) in lus {
            let name = guid.to_string().to_ascii_lowercase();
            list.push(&name, Value::String(path.as_bytes().to_vec()));
        }
        let packed = list.pack();
        let pairs = &packed[HEADER + VERSION_AND_FLAGS..];
        let kept = others.len().saturating_sub(END.len());
        [&others[..kept], pairs].concat()
    }

    /// A list without pairs, flag NV_UNIQUE_NAME.
    pub fn empty() -> Vec<u8> {
        NvList::new().pack()
    }
}

/// The file of each LU in a packed list; `None` for bytes that are none.
pub fn lu_files(packed: &[u8]) -> Option<BTreeMap<Guid, String>> {
    SbdData::split(packed).ok().map(|data| data.lus)
}

fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// The LU that a pair names: 32 lower-case hex digits, a string value that is a path.
fn lu_pair(pair: &[u8]) -> Option<(Guid, String)> {
    const NAME: usize = 12;
    const GUID_DIGITS: usize = 32;
    const VALUE: usize = NAME + GUID_DIGITS + 8;
    if be32(pair, 8)? != 32 || be32(pair, NAME + GUID_DIGITS)? != TYPE_STRING {
        return None;
    }
    let name = std::str::from_utf8(pair.get(NAME..NAME + GUID_DIGITS)?).ok()?;
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let guid = name.parse().ok()?;
    let length = usize::try_from(be32(pair, VALUE)?).ok()?;
    let text = pair.get(VALUE + 4..)?.get(..length)?;
    let path = String::from_utf8(text.to_vec()).ok()?;
    let usable = !path.is_empty() && path.len() <= LuProperties::MAX_PATH && !path.contains('\0');
    usable.then_some((guid, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvlist::Limits;
    use proptest::prelude::*;

    fn guid(n: u8) -> Guid {
        Guid([0x60, n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n])
    }

    #[test]
    fn what_callers_put_there_survives() {
        let mut list = NvList::new();
        list.push("answer", Value::UInt32(42));
        let name = guid(1).to_string().to_ascii_lowercase();
        list.push(&name, Value::String(b"/lu/1".to_vec()));
        list.push("name", Value::String(b"text".to_vec()));
        list.push(&guid(0xab).to_string(), Value::String(b"upper case".to_vec()));
        let data = SbdData::split(&list.pack()).unwrap();
        assert_eq!(data.lus, BTreeMap::from([(guid(1), "/lu/1".to_owned())]));

        let lus = [(guid(1), "/lu/1"), (guid(3), "/lu/3")];
        let joined = SbdData::join(&data.others, lus.iter().map(|(g, p)| (g, *p)));
        let back = NvList::unpack(&joined, &Limits::MESSAGE).unwrap();
        assert_eq!(back.len(), 5);
        assert_eq!(back.get("answer"), Some(&Value::UInt32(42)));
        assert_eq!(back.get(&name), Some(&Value::String(b"/lu/1".to_vec())));
        assert_eq!(SbdData::split(&joined).unwrap().lus.len(), 2);
        assert_eq!(SbdData::split(&SbdData::empty()).unwrap().lus.len(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = SbdData::split(&bytes);
        }
    }
}
