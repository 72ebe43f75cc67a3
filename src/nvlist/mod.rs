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
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, Limits};

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

    /// An empty list with room for so many pairs.
    pub fn with_capacity(pairs: usize) -> NvList {
        NvList {
            pairs: VecDeque::with_capacity(pairs),
        }
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
        encode::pack(self)
    }

    /// Reads a packed message. Bytes after the end marker, up to [`Limits::trailing`], are ignored.
    pub fn unpack(bytes: &[u8], limits: &Limits) -> Result<NvList, DecodeError> {
        decode::unpack(bytes, limits)
    }
}

impl Value {
    fn number(&self) -> u32 {
        match self {
            Value::Boolean => number::BOOLEAN,
            Value::BooleanValue(_) => number::BOOLEAN_VALUE,
            Value::Int8(_) => number::INT8,
            Value::UInt8(_) => number::UINT8,
            Value::Int16(_) => number::INT16,
            Value::UInt16(_) => number::UINT16,
            Value::Int32(_) => number::INT32,
            Value::UInt32(_) => number::UINT32,
            Value::Int64(_) => number::INT64,
            Value::UInt64(_) => number::UINT64,
            Value::String(_) => number::STRING,
            Value::ByteArray(_) => number::BYTE_ARRAY,
            Value::UInt8Array(_) => number::UINT8_ARRAY,
            Value::UInt32Array(_) => number::UINT32_ARRAY,
            Value::UInt64Array(_) => number::UINT64_ARRAY,
            Value::StringArray(_) => number::STRING_ARRAY,
            Value::List(_) => number::NVLIST,
        }
    }

    /// `nelem` of the pair.
    pub(crate) fn elements(&self) -> usize {
        match self {
            Value::Boolean => 0,
            Value::ByteArray(v) | Value::UInt8Array(v) => v.len(),
            Value::UInt32Array(v) => v.len(),
            Value::UInt64Array(v) => v.len(),
            Value::StringArray(v) => v.len(),
            _ => 1,
        }
    }

    /// M of `alua-proxy.md` 3.1.1: bytes of the value in the original's memory.
    fn memory(&self) -> usize {
        match self {
            Value::Boolean => 0,
            Value::Int8(_) | Value::UInt8(_) => 1,
            Value::Int16(_) | Value::UInt16(_) => 2,
            Value::BooleanValue(_) | Value::Int32(_) | Value::UInt32(_) => 4,
            Value::Int64(_) | Value::UInt64(_) => 8,
            Value::String(v) => v.len() + 1,
            Value::ByteArray(v) | Value::UInt8Array(v) => v.len(),
            Value::UInt32Array(v) => 4 * v.len(),
            Value::UInt64Array(v) => 8 * v.len(),
            Value::StringArray(v) => v.iter().map(|s| 8 + s.len() + 1).sum(),
            Value::List(_) => 24,
        }
    }
}

/// `decsize` of a pair: its bytes in the original's memory. Receivers refuse a message in which it is not exact.
fn decsize(name_length: usize, value: &Value) -> usize {
    align8(16 + name_length + 1) + align8(value.memory())
}

fn align4(n: usize) -> usize {
    n.next_multiple_of(4)
}

fn align8(n: usize) -> usize {
    n.next_multiple_of(8)
}
