//! Unpacking, strict (`alua-proxy.md` 3.1.5). Nothing is ever skipped by `encsize`: the original writes values into it that
//! the stream does not keep (3.1.3).

use super::pairs::{Checked, Item, List, Names, Pair, strings};
use super::{align4, decsize, memory, number};
use std::fmt;

/// What a list may be at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lists within lists, the outer one counted.
    pub depth: usize,
    /// Pairs in one list.
    pub pairs: usize,
    /// Bytes of a name.
    pub name: usize,
    /// Ignored bytes after the end marker.
    pub trailing: usize,
}

impl Limits {
    /// For messages between the nodes (`alua-proxy.md` 3.1.5).
    pub const MESSAGE: Limits = Limits {
        depth: 4,
        pairs: 64,
        name: 64,
        trailing: 4096,
    };
    /// For configuration data of a provider: written by privileged programs of this host, so roomier.
    pub const PROVIDER_DATA: Limits = Limits {
        depth: 16,
        pairs: 65_536,
        name: 1024,
        trailing: 4096,
    };
}

/// Why bytes are no acceptable packed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first byte does not say XDR.
    NotXdr,
    /// The bytes end before the list does.
    Truncated,
    /// List version other than 0.
    Version,
    /// Neither NV_UNIQUE_NAME nor NV_UNIQUE_NAME_TYPE.
    Flags,
    /// Nested deeper than the limit.
    TooDeep,
    /// More pairs than the limit.
    TooManyPairs,
    /// A name that is empty, longer than the limit, not UTF-8 or with a NUL.
    Name,
    /// Two pairs of one name.
    Duplicate,
    /// A type that this codec does not know.
    Type(u32),
    /// `nelem` or the count word do not fit the type or each other.
    Count,
    /// `decsize` is not what the formula gives.
    DecSize,
    /// A string with a NUL in it.
    String,
    /// A number outside its type.
    Range,
    /// More bytes after the end marker than the limit.
    Trailing,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::NotXdr => "not an nvlist in XDR encoding",
            DecodeError::Truncated => "the nvlist is cut short",
            DecodeError::Version => "unknown nvlist version",
            DecodeError::Flags => "an nvlist without unique names",
            DecodeError::TooDeep => "nvlists are nested too deep",
            DecodeError::TooManyPairs => "too many pairs in an nvlist",
            DecodeError::Name => "bad name of a pair",
            DecodeError::Duplicate => "two pairs have the same name",
            DecodeError::Type(n) => return write!(f, "a pair has unknown type {n}"),
            DecodeError::Count => "wrong number of elements in a pair",
            DecodeError::DecSize => "wrong decoded size of a pair",
            DecodeError::String => "a string with a NUL in it",
            DecodeError::Range => "a number is outside its type",
            DecodeError::Trailing => "too many bytes after the nvlist",
        })
    }
}

impl std::error::Error for DecodeError {}

/// The pairs of a packed list, when all are acceptable.
pub(crate) fn check<'a>(bytes: &'a [u8], limits: &Limits) -> Result<Checked<'a>, DecodeError> {
    if bytes.first() != Some(&1) {
        return Err(DecodeError::NotXdr);
    }
    let mut input = Input {
        rest: bytes,
        limits,
        pairs: Vec::with_capacity(PAIRS),
    };
    input.take(4)?;
    let names = input.list(1)?;
    if input.rest.len() > limits.trailing {
        return Err(DecodeError::Trailing);
    }
    Ok(Checked {
        pairs: input.pairs,
        names,
    })
}

/// Pairs of nearly all messages between the nodes, at most.
const PAIRS: usize = 40;

/// Up to so many pairs each name is compared with those before it; in longer lists they are sorted.
const FEW: usize = 32;

fn has_duplicate(list: List<'_>) -> bool {
    let mut names: Vec<&[u8]> = list.map(|(pair, _)| pair.name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

struct Input<'a, 'l> {
    rest: &'a [u8],
    limits: &'l Limits,
    pairs: Vec<Pair<'a>>,
}

impl<'a> Input<'a, '_> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    fn word(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    fn words(&mut self) -> Result<[u32; 2], DecodeError> {
        let words: [u8; 8] = self.array()?;
        let (words, _) = words.as_chunks::<4>();
        Ok([u32::from_be_bytes(words[0]), u32::from_be_bytes(words[1])])
    }

    fn size(&mut self) -> Result<usize, DecodeError> {
        usize::try_from(self.word()?).map_err(|_| DecodeError::Truncated)
    }

    /// Raw bytes and their padding.
    fn padded(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        if n > self.rest.len() {
            return Err(DecodeError::Truncated);
        }
        Ok(&self.take(align4(n))?[..n])
    }

    /// Adds the pairs of a list.
    fn list(&mut self, depth: usize) -> Result<Names, DecodeError> {
        if depth > self.limits.depth {
            return Err(DecodeError::TooDeep);
        }
        if self.word()? != 0 {
            return Err(DecodeError::Version);
        }
        if !matches!(self.word()?, 1 | 2) {
            return Err(DecodeError::Flags);
        }
        let first = self.pairs.len();
        let (mut count, mut names, mut repeated) = (0, Names::default(), false);
        loop {
            let [encsize, decsize] = self.words()?;
            if encsize == 0 && decsize == 0 {
                repeated |= count > FEW && has_duplicate(List::new(&self.pairs[first..], names));
                return (!repeated).then_some(names).ok_or(DecodeError::Duplicate);
            }
            if count == self.limits.pairs {
                return Err(DecodeError::TooManyPairs);
            }
            let name = self.name()?;
            repeated |= count < FEW && List::new(&self.pairs[first..], names).has(name);
            self.pair(name, decsize, depth)?;
            names.add(name);
            count += 1;
        }
    }

    fn pair(&mut self, name: &'a [u8], size: u32, depth: usize) -> Result<(), DecodeError> {
        let [kind, elements] = self.words()?;
        let elements = usize::try_from(elements).map_err(|_| DecodeError::Truncated)?;
        let at = self.pairs.len();
        // The pairs of a list follow the list.
        self.pairs.push(Pair {
            name,
            item: Item::Boolean,
        });
        let item = self.item(kind, elements, depth)?;
        self.pairs[at].item = item;
        let text = match item {
            Item::String(text) => text.len(),
            Item::StringArray(packed) => strings(packed).map(<[u8]>::len).sum(),
            _ => 0,
        };
        match usize::try_from(size) == Ok(decsize(name.len(), memory(kind, elements, text))) {
            true => Ok(()),
            false => Err(DecodeError::DecSize),
        }
    }

    fn name(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.size()?;
        if length == 0 || length > self.limits.name {
            return Err(DecodeError::Name);
        }
        let name = self.padded(length)?;
        // ASCII without NUL, as all known names are: the top bit is clear in each byte and in what is one below.
        let bits = name.iter().fold(0, |bits, byte| bits | byte | byte.wrapping_sub(1));
        if bits >= 0x80 && (name.contains(&0) || std::str::from_utf8(name).is_err()) {
            return Err(DecodeError::Name);
        }
        Ok(name)
    }

    fn item(&mut self, kind: u32, elements: usize, depth: usize) -> Result<Item<'a>, DecodeError> {
        let scalar = match kind {
            number::BYTE_ARRAY
            | number::UINT8_ARRAY
            | number::UINT32_ARRAY
            | number::UINT64_ARRAY
            | number::STRING_ARRAY => false,
            number::BOOLEAN if elements != 0 => return Err(DecodeError::Count),
            number::BOOLEAN => return Ok(Item::Boolean),
            _ => true,
        };
        if scalar && elements != 1 {
            return Err(DecodeError::Count);
        }
        Ok(match kind {
            number::BOOLEAN_VALUE => Item::BooleanValue(match self.word()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Range),
            }),
            // Any upper 24 bits (3.1.2).
            number::INT8 => Item::Int8(self.array::<4>()?[3].cast_signed()),
            number::UINT8 => Item::UInt8(self.array::<4>()?[3]),
            number::INT16 => Item::Int16(i16::try_from(self.word()?.cast_signed()).map_err(|_| DecodeError::Range)?),
            number::UINT16 => Item::UInt16(u16::try_from(self.word()?).map_err(|_| DecodeError::Range)?),
            number::INT32 => Item::Int32(self.word()?.cast_signed()),
            number::UINT32 => Item::UInt32(self.word()?),
            number::INT64 => Item::Int64(i64::from_be_bytes(self.array()?)),
            number::UINT64 => Item::UInt64(u64::from_be_bytes(self.array()?)),
            number::STRING => Item::String(self.string()?),
            number::BYTE_ARRAY => Item::ByteArray(self.padded(elements)?),
            number::UINT8_ARRAY => Item::UInt8Array(self.elements(elements)?),
            number::UINT32_ARRAY => Item::UInt32Array(self.elements(elements)?),
            number::UINT64_ARRAY => Item::UInt64Array(self.elements(elements)?),
            number::STRING_ARRAY => Item::StringArray(self.strings(elements)?),
            number::NVLIST => {
                let first = self.pairs.len();
                let names = self.list(depth + 1)?;
                Item::List(self.pairs.len() - first, names)
            }
            other => return Err(DecodeError::Type(other)),
        })
    }

    /// The elements of an array behind their count word, which a zero-length array does not have (3.1.3).
    fn elements<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], DecodeError> {
        if count > 0 && self.size()? != count {
            return Err(DecodeError::Count);
        }
        let length = count.checked_mul(N).ok_or(DecodeError::Truncated)?;
        Ok(self.take(length)?.as_chunks::<N>().0)
    }

    /// So many strings, with their lengths.
    fn strings(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        // Every string takes at least its length word: no need to look for more than there can be.
        if count > self.rest.len() / 4 {
            return Err(DecodeError::Truncated);
        }
        let all = self.rest;
        for _ in 0..count {
            self.string()?;
        }
        Ok(&all[..all.len() - self.rest.len()])
    }

    fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.size()?;
        let bytes = self.padded(length)?;
        match bytes.contains(&0) {
            true => Err(DecodeError::String),
            false => Ok(bytes),
        }
    }
}
