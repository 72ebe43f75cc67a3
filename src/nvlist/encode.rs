//! Packing, byte for byte as the original does it: each pair goes straight to its place in the bytes.

use super::{NvList, Value, align4, decsize, memory, number};

/// `01` XDR, `01` little-endian sender, two reserved bytes.
const HEADER: [u8; 4] = [1, 1, 0, 0];
/// NV_UNIQUE_NAME.
const UNIQUE_NAME: u32 = 1;

/// Writes a packed list pair by pair. That their names are unique is up to the caller.
pub(crate) struct Packer<'a> {
    out: &'a mut Vec<u8>,
    /// Bytes counted but not written: one word for each zero-length array (3.1.3).
    slack: usize,
}

impl Packer<'_> {
    /// Appends to `out`.
    pub fn new(out: &mut Vec<u8>) -> Packer<'_> {
        out.extend_from_slice(&HEADER);
        let mut packer = Packer { out, slack: 0 };
        packer.begin();
        packer
    }

    /// After the last pair: the end marker and the slack.
    pub fn finish(mut self) {
        self.end();
        self.out.resize(self.out.len() + self.slack, 0);
    }

    pub fn u8(&mut self, name: &str, n: u8) {
        self.scalar(name, number::UINT8, sign_extended(n));
    }

    pub fn u16(&mut self, name: &str, n: u16) {
        self.scalar(name, number::UINT16, u32::from(n).to_be_bytes());
    }

    pub fn u32(&mut self, name: &str, n: u32) {
        self.scalar(name, number::UINT32, n.to_be_bytes());
    }

    pub fn u64(&mut self, name: &str, n: u64) {
        self.scalar(name, number::UINT64, n.to_be_bytes());
    }

    /// A STRING, without its NUL.
    pub fn string(&mut self, name: &str, text: &[u8]) {
        self.pair(name, number::STRING, 1, text.len(), |packer| packer.opaque(text));
    }

    /// A UINT8_ARRAY.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) {
        self.array(name, number::UINT8_ARRAY, bytes, sign_extended);
    }

    /// A list with the pairs that `fill` puts.
    pub fn list(&mut self, name: &str, fill: impl FnOnce(&mut Packer<'_>)) {
        self.pair(name, number::NVLIST, 1, 0, |packer| {
            packer.begin();
            fill(packer);
            packer.end();
        });
    }

    /// All pairs of a list.
    pub fn pairs(&mut self, list: &NvList) {
        list.iter().for_each(|(name, value)| self.value(name, value));
    }

    fn value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Boolean => self.pair(name, number::BOOLEAN, 0, 0, |_| ()),
            Value::BooleanValue(v) => self.scalar(name, number::BOOLEAN_VALUE, u32::from(*v).to_be_bytes()),
            Value::Int8(v) => self.scalar(name, number::INT8, i32::from(*v).to_be_bytes()),
            Value::UInt8(v) => self.u8(name, *v),
            Value::Int16(v) => self.scalar(name, number::INT16, i32::from(*v).to_be_bytes()),
            Value::UInt16(v) => self.u16(name, *v),
            Value::Int32(v) => self.scalar(name, number::INT32, v.to_be_bytes()),
            Value::UInt32(v) => self.u32(name, *v),
            Value::Int64(v) => self.scalar(name, number::INT64, v.to_be_bytes()),
            Value::UInt64(v) => self.u64(name, *v),
            Value::String(v) => self.string(name, v),
            Value::ByteArray(v) => self.pair(name, number::BYTE_ARRAY, v.len(), 0, |packer| packer.padded(v)),
            Value::UInt8Array(v) => self.bytes(name, v),
            Value::UInt32Array(v) => self.array(name, number::UINT32_ARRAY, v, u32::to_be_bytes),
            Value::UInt64Array(v) => self.array(name, number::UINT64_ARRAY, v, u64::to_be_bytes),
            Value::StringArray(v) => {
                let text = v.iter().map(Vec::len).sum();
                self.pair(name, number::STRING_ARRAY, v.len(), text, |packer| {
                    v.iter().for_each(|s| packer.opaque(s));
                });
            }
            Value::List(list) => self.list(name, |packer| packer.pairs(list)),
        }
    }

    /// Version and flags of a list.
    fn begin(&mut self) {
        self.words([0, UNIQUE_NAME]);
    }

    /// The end marker of a list.
    fn end(&mut self) {
        self.words([0, 0]);
    }

    fn scalar<const N: usize>(&mut self, name: &str, kind: u32, value: [u8; N]) {
        self.pair(name, kind, 1, 0, |packer| packer.out.extend_from_slice(&value));
    }

    fn array<T: Copy, const N: usize>(&mut self, name: &str, kind: u32, array: &[T], element: impl Fn(T) -> [u8; N]) {
        self.pair(name, kind, array.len(), 0, |packer| {
            if array.is_empty() {
                packer.slack += 4;
                return;
            }
            packer.words([word(array.len())]);
            let start = packer.out.len();
            packer.out.resize(start + N * array.len(), 0);
            let (places, _) = packer.out[start..].as_chunks_mut::<N>();
            places.iter_mut().zip(array).for_each(|(place, n)| *place = element(*n));
        });
    }

    /// A pair whose value `write` writes. `text`: bytes of all its strings.
    fn pair(&mut self, name: &str, kind: u32, elements: usize, text: usize, write: impl FnOnce(&mut Packer<'_>)) {
        let (start, slack) = (self.out.len(), self.slack);
        let decsize = decsize(name.len(), memory(kind, elements, text));
        self.words([0, word(decsize)]);
        self.opaque(name.as_bytes());
        self.words([kind, word(elements)]);
        write(self);
        let encsize = word(self.out.len() - start + self.slack - slack);
        self.out[start..start + 4].copy_from_slice(&encsize.to_be_bytes());
    }

    fn opaque(&mut self, bytes: &[u8]) {
        self.words([word(bytes.len())]);
        self.padded(bytes);
    }

    fn padded(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(&[0; 3][..align4(bytes.len()) - bytes.len()]);
    }

    fn words<const N: usize>(&mut self, words: [u32; N]) {
        self.out.extend_from_slice(words.map(u32::to_be_bytes).as_flattened());
    }
}

/// The original converts single bytes through a signed char (3.1.2).
fn sign_extended(byte: u8) -> [u8; 4] {
    i32::from(byte.cast_signed()).to_be_bytes()
}

fn word(n: usize) -> u32 {
    u32::try_from(n).expect("a list in memory that is packed is far below 4 GiB")
}
