//! Packed name/value lists in their XDR form: the container of every message between the nodes (`alua-proxy.md` 3.1).
//!
//! Written here and not bound to a system library, because byte identity, the exact `decsize` and the strict rules for
//! what is refused (3.1.5) are the contract.
//!
//! ```
//! use stmf::nvlist::{Limits, NvList, Value};
//! let mut list = NvList::new();
//! list.push("answer", Value::UInt32(42));
//! let bytes = list.pack();
//! assert_eq!(NvList::unpack(&bytes, &Limits::MESSAGE), Ok(list));
//! ```
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod name;
mod pairs;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, Limits};

pub(crate) use decode::check;
pub(crate) use encode::Packer;
pub(crate) use pairs::{Item, List, bytes};

use name::Name;
use std::collections::VecDeque;

/// A list of pairs with unique names, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NvList {
    /// Mostly taken out in the order in which they came.
    pairs: VecDeque<(Name, Value)>,
}

/// The value of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A pair whose presence is its value.
    Boolean,
    /// BOOLEAN_VALUE.
    BooleanValue(bool),
    /// INT8.
    Int8(i8),
    /// UINT8.
    UInt8(u8),
    /// INT16.
    Int16(i16),
    /// UINT16.
    UInt16(u16),
    /// INT32.
    Int32(i32),
    /// UINT32.
    UInt32(u32),
    /// INT64.
    Int64(i64),
    /// UINT64.
    UInt64(u64),
    /// STRING: bytes of a C string, without its NUL.
    String(Vec<u8>),
    /// BYTE_ARRAY.
    ByteArray(Vec<u8>),
    /// UINT8_ARRAY.
    UInt8Array(Vec<u8>),
    /// UINT32_ARRAY.
    UInt32Array(Vec<u32>),
    /// UINT64_ARRAY.
    UInt64Array(Vec<u64>),
    /// STRING_ARRAY.
    StringArray(Vec<Vec<u8>>),
    /// NVLIST.
    List(NvList),
}

/// The number of a type in the stream (`alua-proxy.md` 3.1.1, and the public header of the nvlist library).
mod number {
    pub const BOOLEAN: u32 = 1;
    pub const INT16: u32 = 3;
    pub const UINT16: u32 = 4;
    pub const INT32: u32 = 5;
    pub const UINT32: u32 = 6;
    pub const INT64: u32 = 7;
    pub const UINT64: u32 = 8;
    pub const STRING: u32 = 9;
    pub const BYTE_ARRAY: u32 = 10;
    pub const UINT32_ARRAY: u32 = 14;
    pub const UINT64_ARRAY: u32 = 16;
    pub const STRING_ARRAY: u32 = 17;
    pub const NVLIST: u32 = 19;
    pub const BOOLEAN_VALUE: u32 = 21;
    pub const INT8: u32 = 22;
    pub const UINT8: u32 = 23;
    pub const UINT8_ARRAY: u32 = 26;
}

impl NvList {
    /// An empty list.
    pub fn new() -> NvList {
        NvList::default()
    }

    /// Appends a pair. A pair of the same name is replaced where it stands: names are unique.
    pub fn push(&mut self, name: &str, value: Value) {
        debug_assert!(
            !name.is_empty() && !name.contains('\0'),
            "a name is a non-empty C string"
        );
        match self.pairs.iter_mut().find(|(known, _)| *known == *name) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push_back((name.into(), value)),
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.pairs
            .iter()
            .find(|(known, _)| *known == *name)
            .map(|(_, value)| value)
    }

    /// Takes the value of a name out of the list.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.pairs.iter().position(|(known, _)| *known == *name)?;
        Some(self.pairs.remove(at)?.1)
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &Value)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True without pairs.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The list as a packed message, header and slack included.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut packer = Packer::new(&mut out);
        packer.pairs(self);
        packer.finish();
        out
    }

    /// Reads a packed message. Bytes after the end marker, up to [`Limits::trailing`], are ignored.
    pub fn unpack(bytes: &[u8], limits: &Limits) -> Result<NvList, DecodeError> {
        Ok(check(bytes, limits)?.list().to_list())
    }
}

/// M of `alua-proxy.md` 3.1.1: bytes of a value in the original's memory. `text`: bytes of all its strings.
fn memory(kind: u32, elements: usize, text: usize) -> usize {
    let element = match kind {
        number::STRING => return text + 1,
        number::STRING_ARRAY => return (8 + 1) * elements + text,
        number::INT16 | number::UINT16 => 2,
        number::BOOLEAN_VALUE | number::INT32 | number::UINT32 | number::UINT32_ARRAY => 4,
        number::INT64 | number::UINT64 | number::UINT64_ARRAY => 8,
        number::NVLIST => 24,
        // Single bytes; BOOLEAN has no elements.
        _ => 1,
    };
    element * elements
}

/// `decsize` of a pair: its bytes in the original's memory. Receivers refuse a message in which it is not exact.
fn decsize(name_length: usize, memory: usize) -> usize {
    align8(16 + name_length + 1) + align8(memory)
}

fn align4(n: usize) -> usize {
    n.next_multiple_of(4)
}

fn align8(n: usize) -> usize {
    n.next_multiple_of(8)
}
