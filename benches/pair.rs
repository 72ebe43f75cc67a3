//! What a forwarded byte costs in messages: compact frames between two of our nodes against the original encoding, sender
//! and receiver together. `make bench-pair` runs it.

#![allow(clippy::unwrap_used, reason = "a measurement may")]

use std::hint::black_box;
use std::time::{Duration, Instant};
use stmf::proxy::message::{Body, Message, ScsiData};
use stmf::types::Guid;

const TIME: Duration = Duration::from_millis(500);

fn main() {
    for size in [4 << 10, 64 << 10, 128 << 10] {
        let message = Message::new(
            0,
            Body::ScsiData(ScsiData {
                task: 9,
                session: 7,
                guid: Guid([0x60; 16]),
                data: (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect(),
                offset: Some(0),
                last: true,
            }),
        );
        let compact = cost(size, || message.encode_compact());
        let original = cost(size, || message.encode());
        println!(
            "SCSI_DATA of {} KiB, encoded and decoded: compact {compact:.2} ns a byte, original {original:.2} ns a byte, {:.1} times",
            size >> 10,
            original / compact
        );
    }
}

/// Nanoseconds per byte of the payload.
fn cost(size: usize, encode: impl Fn() -> Vec<u8>) -> f64 {
    let (begin, mut rounds) = (Instant::now(), 0u32);
    while begin.elapsed() < TIME {
        let bytes = black_box(encode());
        black_box(Message::decode(&bytes).unwrap());
        rounds += 1;
    }
    begin.elapsed().as_nanos() as f64 / f64::from(rounds) / size as f64
}
