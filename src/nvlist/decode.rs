//! Unpacking, strict (`alua-proxy.md` 3.1.5). Nothing is ever skipped by `encsize`: the original writes values into it that
//! the stream does not keep (3.1.3).

use super::{NvList, Value, align4, decsize, number};
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

pub(super) fn unpack(bytes: &[u8], limits: &Limits) -> Result<NvList, DecodeError> {
    if bytes.first() != Some(&1) {
        return Err(DecodeError::NotXdr);
    }
    let mut input = Input { rest: bytes, limits };
    input.take(4)?;
    let list = input.list(1)?;
    if input.rest.len() > limits.trailing {
        return Err(DecodeError::Trailing);
    }
    Ok(list)
}

/// Up to so many pairs each name is compared with those before it; in longer lists they are sorted.
const FEW: usize = 32;

fn has_duplicate(list: &NvList) -> bool {
    let mut names: Vec<&[u8]> = list.pairs.iter().map(|(name, _)| name.as_bytes()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

struct Input<'a> {
    rest: &'a [u8],
    limits: &'a Limits,
}

impl<'a> Input<'a> {
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

    fn list(&mut self, depth: usize) -> Result<NvList, DecodeError> {
        if depth > self.limits.depth {
            return Err(DecodeError::TooDeep);
        }
        if self.word()? != 0 {
            return Err(DecodeError::Version);
        }
        if !matches!(self.word()?, 1 | 2) {
            return Err(DecodeError::Flags);
        }
        let mut list = NvList::new();
        let mut repeated = false;
        loop {
            let encsize = self.word()?;
            let decsize = self.size()?;
            if encsize == 0 && decsize == 0 {
                repeated |= list.len() > FEW && has_duplicate(&list);
                return (!repeated).then_some(list).ok_or(DecodeError::Duplicate);
            }
            if list.len() == self.limits.pairs {
                return Err(DecodeError::TooManyPairs);
            }
            let (name, value) = self.pair(decsize, depth)?;
            repeated |= list.len() < FEW && list.get(name).is_some();
            list.pairs.push_back((name.into(), value));
        }
    }

    fn pair(&mut self, size: usize, depth: usize) -> Result<(&'a str, Value), DecodeError> {
        let name = self.name()?;
        let kind = self.word()?;
        let elements = self.size()?;
        let value = self.value(kind, elements, depth)?;
        if size != decsize(name.len(), &value) {
            return Err(DecodeError::DecSize);
        }
        Ok((name, value))
    }

    fn name(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.size()?;
        if length == 0 || length > self.limits.name {
            return Err(DecodeError::Name);
        }
        let name = std::str::from_utf8(self.padded(length)?).map_err(|_| DecodeError::Name)?;
        if name.contains('\0') {
            return Err(DecodeError::Name);
        }
        Ok(name)
    }

    fn value(&mut self, kind: u32, elements: usize, depth: usize) -> Result<Value, DecodeError> {
        let scalar = match kind {
            number::BYTE_ARRAY
            | number::UINT8_ARRAY
            | number::UINT32_ARRAY
            | number::UINT64_ARRAY
            | number::STRING_ARRAY => false,
            number::BOOLEAN if elements != 0 => return Err(DecodeError::Count),
            number::BOOLEAN => return Ok(Value::Boolean),
            _ => true,
        };
        if scalar && elements != 1 {
            return Err(DecodeError::Count);
        }
        Ok(match kind {
            number::BOOLEAN_VALUE => Value::BooleanValue(match self.word()? {
                0 => false,
                1 => true,
                _ => return Err(DecodeError::Range),
            }),
            // Any upper 24 bits (3.1.2).
            number::INT8 => Value::Int8(self.array::<4>()?[3].cast_signed()),
            number::UINT8 => Value::UInt8(self.array::<4>()?[3]),
            number::INT16 => Value::Int16(i16::try_from(self.word()?.cast_signed()).map_err(|_| DecodeError::Range)?),
            number::UINT16 => Value::UInt16(u16::try_from(self.word()?).map_err(|_| DecodeError::Range)?),
            number::INT32 => Value::Int32(self.word()?.cast_signed()),
            number::UINT32 => Value::UInt32(self.word()?),
            number::INT64 => Value::Int64(i64::from_be_bytes(self.array()?)),
            number::UINT64 => Value::UInt64(u64::from_be_bytes(self.array()?)),
            number::STRING => Value::String(self.string()?),
            number::BYTE_ARRAY => Value::ByteArray(self.padded(elements)?.to_vec()),
            number::UINT8_ARRAY => Value::UInt8Array(self.elements::<4>(elements)?.map(|e| e[3]).collect()),
            number::UINT32_ARRAY => Value::UInt32Array(self.elements::<4>(elements)?.map(u32::from_be_bytes).collect()),
            number::UINT64_ARRAY => Value::UInt64Array(self.elements::<8>(elements)?.map(u64::from_be_bytes).collect()),
            number::STRING_ARRAY => Value::StringArray(self.strings(elements)?),
            number::NVLIST => Value::List(self.list(depth + 1)?),
            other => return Err(DecodeError::Type(other)),
        })
    }

    /// The elements of an array behind their count word, which a zero-length array does not have (3.1.3).
    fn elements<const N: usize>(
        &mut self,
        count: usize,
    ) -> Result<impl Iterator<Item = [u8; N]> + use<'a, N>, DecodeError> {
        if count > 0 && self.size()? != count {
            return Err(DecodeError::Count);
        }
        let length = count.checked_mul(N).ok_or(DecodeError::Truncated)?;
        let (chunks, _) = self.take(length)?.as_chunks::<N>();
        Ok(chunks.iter().copied())
    }

    fn strings(&mut self, count: usize) -> Result<Vec<Vec<u8>>, DecodeError> {
        // Every string takes at least its length word, so the count cannot make us reserve more than came in.
        if count > self.rest.len() / 4 {
            return Err(DecodeError::Truncated);
        }
        (0..count).map(|_| self.string()).collect()
    }

    fn string(&mut self) -> Result<Vec<u8>, DecodeError> {
        let length = self.size()?;
        let bytes = self.padded(length)?;
        if bytes.contains(&0) {
            return Err(DecodeError::String);
        }
        Ok(bytes.to_vec())
    }
}
