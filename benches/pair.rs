//! What forwarding costs in messages, sender and receiver together: per byte in compact frames between two of our nodes
//! against the original encoding, and per READ apart from its data. `make bench-pair` runs it.

#![allow(clippy::unwrap_used, reason = "a measurement may")]

use std::hint::black_box;
use std::time::{Duration, Instant};
use stmf::proxy::message::{Body, Extensions, Message, PortId, RemotePort, ScsiCmd, ScsiData, ScsiStatus};
use stmf::types::{DevId, Guid, TransportId};

const TIME: Duration = Duration::from_millis(500);
const GUID: Guid = Guid([0x60; 16]);
/// What bulk data sweep out of a processor's nearer caches.
const SWEPT: usize = 1 << 20;

fn main() {
    for size in [4 << 10, 64 << 10, 128 << 10] {
        let message = Message::new(0, data(size));
        let compact = cost(size, || message.encode_compact());
        let original = cost(size, || message.encode());
        println!(
            "SCSI_DATA of {} KiB, encoded and decoded: compact {compact:.2} ns a byte, original {original:.2} ns a byte, {:.1} times",
            size >> 10,
            original / compact
        );
    }
    let read = read();
    let warm = cost_of_read(&read, &mut []);
    let cold = cost_of_read(&read, &mut vec![0; SWEPT]);
    println!(
        "READ of 512 bytes: SCSI_CMD, SCSI_DATA and SCSI_STATUS encoded {:.0} ns and decoded {:.0} ns, in cold caches {:.0} ns and {:.0} ns",
        warm[0], warm[1], cold[0], cold[1]
    );
}

fn data(size: usize) -> Body {
    Body::ScsiData(ScsiData {
        task: 9,
        session: 7,
        guid: GUID,
        data: (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect(),
        offset: Some(0),
        last: false,
    })
}

/// The messages of a forwarded READ, as for one that ends with a residual.
fn read() -> [Message; 3] {
    let initiator = DevId::new(b"iqn.1998-01.com.example:esx01").unwrap();
    let target = DevId::new(b"iqn.2010-08.org.example:node1-t0").unwrap();
    let command = ScsiCmd {
        task: 9,
        remote: RemotePort(TransportId::iscsi(&initiator, [1; 6])),
        initiator: PortId::new(5, initiator),
        target: PortId::new(5, target),
        guid: GUID,
        session: 7,
        lun: [0; 8],
        expected: 512,
        cdb: vec![0x28, 0, 0, 0x12, 0xd6, 0x87, 0, 0, 1, 0],
        flags: ScsiCmd::READ,
        priority: 0,
        function: 0,
        data: vec![],
        referenced: None,
        generation: Some(1),
        token: None,
        total: None,
    };
    let status = ScsiStatus {
        task: 9,
        session: 7,
        guid: GUID,
        response: 0,
        status: 0,
        flags: 0,
        residual: 0,
        sense: vec![],
    };
    [Body::ScsiCmd(Box::new(command)), data(512), Body::ScsiStatus(status)].map(|body| Message {
        id: 9,
        body,
        extensions: Extensions {
            incarnation: Some(0x1234_5678),
            seq: Some(1000),
            sync: None,
        },
    })
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

/// Nanoseconds to encode and to decode the messages of one READ, all of `swept` touched before each of the two.
fn cost_of_read(messages: &[Message; 3], swept: &mut [u8]) -> [f64; 2] {
    let (begin, mut rounds, mut spent) = (Instant::now(), 0u32, [Duration::ZERO; 2]);
    while begin.elapsed() < TIME {
        sweep(swept);
        let start = Instant::now();
        let encoded = black_box(messages).each_ref().map(Message::encode_compact);
        spent[0] += start.elapsed();
        sweep(swept);
        let start = Instant::now();
        let decoded = encoded.each_ref().map(|bytes| Message::decode(bytes).unwrap());
        // As who takes them drops them.
        drop(black_box(decoded));
        spent[1] += start.elapsed();
        rounds += 1;
    }
    spent.map(|time| time.as_nanos() as f64 / f64::from(rounds))
}

fn sweep(swept: &mut [u8]) {
    swept
        .iter_mut()
        .step_by(64)
        .for_each(|byte| *byte = byte.wrapping_add(1));
    black_box(swept);
}
