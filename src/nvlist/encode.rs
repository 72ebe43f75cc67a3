//! Packing, byte for byte as the original does it.

use super::{NvList, Value, align4, decsize};

/// `01` XDR, `01` little-endian sender, two reserved bytes.
const HEADER: [u8; 4] = [1, 1, 0, 0];
/// NV_UNIQUE_NAME.
const UNIQUE_NAME: u32 = 1;

pub(super) fn pack(list: &NvList) -> Vec<u8> {
    let total = HEADER.len() + list_size(list);
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&HEADER);
    put_list(&mut out, list);
    // Zero-length arrays are counted one word longer than they are written (3.1.3): the slack.
    out.resize(total, 0);
    out
}

/// Bytes of a list in the stream, the uncounted words of its zero-length arrays included.
fn list_size(list: &NvList) -> usize {
    16 + list
        .pairs
        .iter()
        .map(|(name, value)| encsize(name.as_bytes(), value))
        .sum::<usize>()
}

fn encsize(name: &[u8], value: &Value) -> usize {
    20 + align4(name.len()) + stream_size(value)
}

/// V of `alua-proxy.md` 3.1.1.
fn stream_size(value: &Value) -> usize {
    match value {
        Value::Boolean => 0,
        Value::Int64(_) | Value::UInt64(_) => 8,
        Value::String(v) => 4 + align4(v.len()),
        Value::ByteArray(v) => align4(v.len()),
        Value::UInt8Array(v) => 4 + 4 * v.len(),
        Value::UInt32Array(v) => 4 + 4 * v.len(),
        Value::UInt64Array(v) => 4 + 8 * v.len(),
        Value::StringArray(v) => v.iter().map(|s| 4 + align4(s.len())).sum(),
        Value::List(list) => list_size(list),
        _ => 4,
    }
}

fn put_list(out: &mut Vec<u8>, list: &NvList) {
    put(out, 0);
    put(out, UNIQUE_NAME);
    for (name, value) in &list.pairs {
        let name = name.as_bytes();
        put(out, word(encsize(name, value)));
        put(out, word(decsize(name.len(), value)));
        put_opaque(out, name);
        put(out, value.number());
        put(out, word(value.elements()));
        put_value(out, value);
    }
    out.extend_from_slice(&[0; 8]);
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Boolean => {}
        Value::BooleanValue(v) => put(out, u32::from(*v)),
        Value::Int8(v) => put(out, i32::from(*v).cast_unsigned()),
        Value::UInt8(v) => out.extend_from_slice(&sign_extended(*v)),
        Value::Int16(v) => put(out, i32::from(*v).cast_unsigned()),
        Value::UInt16(v) => put(out, u32::from(*v)),
        Value::Int32(v) => put(out, v.cast_unsigned()),
        Value::UInt32(v) => put(out, *v),
        Value::Int64(v) => out.extend_from_slice(&v.to_be_bytes()),
        Value::UInt64(v) => out.extend_from_slice(&v.to_be_bytes()),
        Value::String(v) => put_opaque(out, v),
        Value::ByteArray(v) => put_padded(out, v),
        Value::UInt8Array(v) if !v.is_empty() => {
            put(out, word(v.len()));
            let start = out.len();
            out.resize(start + 4 * v.len(), 0);
            for (quad, byte) in out[start..].chunks_exact_mut(4).zip(v) {
                quad.copy_from_slice(&sign_extended(*byte));
            }
        }
        Value::UInt32Array(v) if !v.is_empty() => {
            put(out, word(v.len()));
            v.iter().for_each(|n| put(out, *n));
        }
        Value::UInt64Array(v) if !v.is_empty() => {
            put(out, word(v.len()));
            v.iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
        }
        Value::UInt8Array(_) | Value::UInt32Array(_) | Value::UInt64Array(_) => {}
        Value::StringArray(v) => v.iter().for_each(|s| put_opaque(out, s)),
        Value::List(list) => put_list(out, list),
    }
}

/// The original converts single bytes through a signed char (3.1.2).
fn sign_extended(byte: u8) -> [u8; 4] {
    i32::from(byte.cast_signed()).to_be_bytes()
}

fn put_opaque(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, word(bytes.len()));
    put_padded(out, bytes);
}

fn put_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + align4(bytes.len()) - bytes.len(), 0);
}

fn put(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_be_bytes());
}

fn word(n: usize) -> u32 {
    u32::try_from(n).expect("a list in memory that is packed is far below 4 GiB")
}
