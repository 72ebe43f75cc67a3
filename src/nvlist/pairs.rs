//! The pairs of a packed list where they lie. What is here, the decoder has checked.

use super::name::Name;
use super::{NvList, Value, align4};

/// A pair.
pub(crate) struct Pair<'a> {
    /// UTF-8 without NUL.
    pub name: &'a [u8],
    pub item: Item<'a>,
}

impl Pair<'_> {
    fn name(&self) -> Name {
        std::str::from_utf8(self.name)
            .expect("the decoder has checked it")
            .into()
    }
}

/// The value of a pair: [`Value`], borrowed.
#[derive(Clone, Copy)]
pub(crate) enum Item<'a> {
    Boolean,
    BooleanValue(bool),
    Int8(i8),
    UInt8(u8),
    Int16(i16),
    UInt16(u16),
    Int32(i32),
    UInt32(u32),
    Int64(i64),
    UInt64(u64),
    String(&'a [u8]),
    ByteArray(&'a [u8]),
    /// Only the last byte of each four counts.
    UInt8Array(&'a [[u8; 4]]),
    UInt32Array(&'a [[u8; 4]]),
    UInt64Array(&'a [[u8; 8]]),
    /// To be read with [`strings`].
    StringArray(&'a [u8]),
    /// So many pairs that follow are in this list, and in lists within it; and its names.
    List(usize, Names),
}

/// The bytes of a UINT8_ARRAY.
pub(crate) fn bytes(quads: &[[u8; 4]]) -> impl ExactSizeIterator<Item = u8> {
    quads.iter().map(|quad| quad[3])
}

/// The strings of a STRING_ARRAY.
pub(super) fn strings(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (padded, behind) = behind.split_at_checked(align4(length))?;
        rest = behind;
        padded.get(..length)
    })
}

/// The names of a list at a glance: most that are not in it are seen not to be.
#[derive(Clone, Copy, Default)]
pub(crate) struct Names(u64);

impl Names {
    /// False only for a name that was not added.
    pub fn may_have(self, name: &[u8]) -> bool {
        self.0 & Names::of(name).0 != 0
    }

    pub fn add(&mut self, name: &[u8]) {
        self.0 |= Names::of(name).0;
    }

    fn of(name: &[u8]) -> Names {
        // Length, middle and end tell most names of a message apart.
        let byte = |at: usize| name.get(at).map_or(0, |byte| usize::from(*byte));
        let mixed = name.len() + 7 * byte(name.len() / 2) + 3 * byte(name.len().wrapping_sub(1));
        Names(1 << (mixed % 64))
    }
}

/// All pairs of a packed list.
pub(crate) struct Checked<'a> {
    /// Each list among them is followed by its own.
    pub(super) pairs: Vec<Pair<'a>>,
    /// Of the outer list.
    pub(super) names: Names,
}

impl Checked<'_> {
    /// The outer list.
    pub fn list(&self) -> List<'_> {
        List::new(&self.pairs, self.names)
    }
}

/// One list: an iterator over its pairs, each with the list that it may be.
#[derive(Clone)]
pub(crate) struct List<'a> {
    rest: &'a [Pair<'a>],
    names: Names,
}

impl<'a> List<'a> {
    pub(super) fn new(rest: &'a [Pair<'a>], names: Names) -> List<'a> {
        List { rest, names }
    }

    /// True when one of the pairs has this name.
    pub fn has(&self, name: &[u8]) -> bool {
        self.clone().find_name(name).is_some()
    }

    /// The next pair of this name. The list goes on behind it.
    pub fn find_name(&mut self, name: &[u8]) -> Option<(Item<'a>, List<'a>)> {
        if !self.names.may_have(name) {
            return None;
        }
        let (pair, inner) = self.find(|(pair, _)| pair.name == name)?;
        Some((pair.item, inner))
    }

    /// A copy.
    pub fn to_list(&self) -> NvList {
        NvList {
            pairs: self
                .clone()
                .map(|(pair, inner)| (pair.name(), value(pair.item, &inner)))
                .collect(),
        }
    }
}

impl<'a> Iterator for List<'a> {
    type Item = (&'a Pair<'a>, List<'a>);

    fn next(&mut self) -> Option<(&'a Pair<'a>, List<'a>)> {
        let (pair, behind) = self.rest.split_first()?;
        let (below, names) = match pair.item {
            Item::List(below, names) => (below, names),
            _ => (0, Names::default()),
        };
        let (inner, rest) = behind.split_at(below);
        self.rest = rest;
        Some((pair, List::new(inner, names)))
    }
}

fn value(item: Item<'_>, inner: &List<'_>) -> Value {
    match item {
        Item::Boolean => Value::Boolean,
        Item::BooleanValue(v) => Value::BooleanValue(v),
        Item::Int8(v) => Value::Int8(v),
        Item::UInt8(v) => Value::UInt8(v),
        Item::Int16(v) => Value::Int16(v),
        Item::UInt16(v) => Value::UInt16(v),
        Item::Int32(v) => Value::Int32(v),
        Item::UInt32(v) => Value::UInt32(v),
        Item::Int64(v) => Value::Int64(v),
        Item::UInt64(v) => Value::UInt64(v),
        Item::String(v) => Value::String(v.to_vec()),
        Item::ByteArray(v) => Value::ByteArray(v.to_vec()),
        Item::UInt8Array(v) => Value::UInt8Array(bytes(v).collect()),
        Item::UInt32Array(v) => Value::UInt32Array(v.iter().copied().map(u32::from_be_bytes).collect()),
        Item::UInt64Array(v) => Value::UInt64Array(v.iter().copied().map(u64::from_be_bytes).collect()),
        Item::StringArray(v) => Value::StringArray(strings(v).map(<[u8]>::to_vec).collect()),
        Item::List(..) => Value::List(inner.to_list()),
    }
}
