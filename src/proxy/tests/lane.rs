//! The channel over a stream, as our own daemon has it.

use super::super::message::{Body, Capabilities, Handshake, MAX_MESSAGE, Message, Piece};
use super::super::outgoing::Outgoing;
use super::super::sealed::{Cipher, Keys};
use super::super::stream::{self, Decoder};
use super::nodes::*;
use super::pair::compare_reads;
use crate::framework::PeerLink;
use crate::scsi::ScsiStatus;
use crate::types::Status;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Scope, ScopedJoinHandle};

pub(super) type Carried = Result<io::Result<()>, Status>;

pub(super) fn carry<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    node: &'env Node,
    stream: UnixStream,
    keys: Option<Keys>,
) -> ScopedJoinHandle<'scope, Carried> {
    let door = *node.door.lock();
    let begin = || {
        node.enable();
        Ok(())
    };
    scope.spawn(move || node.proxy.carry(door, stream.into(), keys, &[], begin))
}

/// Two nodes with a stream between them; `body` has a way to cut it, and it is cut after that.
pub(super) fn connected([keys, of_peer]: [Option<Keys>; 2], body: impl FnOnce(&Pair, &dyn Fn())) -> Pair {
    let pair = Pair::prepared(|_| ());
    std::thread::scope(|scope| {
        let (one, other) = UnixStream::pair().unwrap();
        let cut = one.try_clone().unwrap();
        let carried = [carry(scope, &pair.a, one, keys), carry(scope, &pair.b, other, of_peer)];
        pair.wait_ready();
        wait("the Standby LU", || pair.b.access(&pair.guid).is_some());
        let cut = || cut.shutdown(Shutdown::Both).unwrap();
        body(&pair, &cut);
        cut();
        for end in carried {
            // In the middle of a message, or between two.
            assert!(end.join().unwrap().is_ok());
        }
    });
    pair
}

fn carried_by_doors(pair: &Pair) -> u64 {
    let count = |node: &Node| node.wire.carried.load(Ordering::Relaxed);
    count(&pair.a) + count(&pair.b)
}

#[test]
fn messages_travel_over_a_stream_and_then_through_doors_again() {
    travel([None, None]);
}

#[test]
fn messages_travel_over_a_sealed_stream_and_then_through_doors_again() {
    travel(Keys::made_up(1).map(Some));
}

fn travel(keys: [Option<Keys>; 2]) {
    let pair = connected(keys, |pair, _| {
        compare_reads(&pair.a, &pair.b);
        // Far more than a socket takes at once.
        const LENGTH: usize = 4 << 20;
        let command = cdb(0x28, 0, LENGTH);
        let expected = content();
        let reads: Vec<_> = (0..24).map(|_| pair.b.start(&command, read(LENGTH), &[])).collect();
        for outcome in reads {
            let outcome = outcome.recv().expect("a status");
            assert_eq!(outcome.status, ScsiStatus::Good);
            assert!(outcome.data == expected[..LENGTH]);
        }
        assert_eq!(carried_by_doors(pair), 0);
    });
    wait("a usable path", || pair.b.read(0, BLOCK).status == ScsiStatus::Good);
    assert_ne!(carried_by_doors(&pair), 0);
}

/// What the first connection did not take must not come out of the second.
#[test]
fn a_stream_that_nobody_reads_is_followed_by_another_one() {
    let pair = Pair::prepared(|_| ());
    let node = &pair.a;
    let question = |data: Vec<u8>| stream::encode(&Message::new(1, Body::EchoRequest(data)).encode()).unwrap();
    std::thread::scope(|scope| {
        let (one, mut other) = UnixStream::pair().unwrap();
        let carried = carry(scope, node, one, None);
        for _ in 0..8 {
            other.write_all(&question(vec![7; 256 << 10])).unwrap();
        }
        wait("answers that wait", || node.proxy.report().to_send > 0);
        drop(other);
        // How it ended, is said by the socket.
        assert!(carried.join().unwrap().is_ok());

        let (one, mut other) = UnixStream::pair().unwrap();
        let carried = carry(scope, node, one, None);
        other.write_all(&question(b"last".to_vec())).unwrap();
        let mut decoder = Decoder::new(MAX_MESSAGE);
        loop {
            let mut room = [0; 4096];
            let count = other.read(&mut room).unwrap();
            assert_ne!(count, 0);
            decoder.push(&room[..count]);
            let mut last = false;
            while let Some(bytes) = decoder.next_message().unwrap() {
                let message = Message::decode(bytes).expect("in step");
                last |= message.body == Body::EchoReply(b"last".to_vec());
            }
            if last {
                break;
            }
        }
        drop(other);
        assert!(carried.join().unwrap().is_ok());
    });
}

#[test]
fn what_is_not_carried() {
    let pair = Pair::prepared(|_| ());
    let node = &pair.a;
    let door = *node.door.lock();
    let refused =
        |id: u32, socket: std::os::fd::OwnedFd| node.proxy.carry(id, socket, None, &[], || Ok(())).unwrap_err();
    let (one, other) = UnixStream::pair().unwrap();
    assert_eq!(
        refused(door + 1, one.try_clone().unwrap().into()),
        Status::PostMsgFailed
    );
    let datagram = UnixDatagram::pair().unwrap().0;
    assert_eq!(refused(door, datagram.into()), Status::PostMsgFailed);
    let begin = || Err(Status::InvalidArg);
    let end = node.proxy.carry(door, one.into(), None, &[], begin);
    assert_eq!(end.unwrap_err(), Status::InvalidArg);
    drop(other);

    std::thread::scope(|scope| {
        let (one, other) = UnixStream::pair().unwrap();
        let (begun, begins) = std::sync::mpsc::channel();
        let first = scope.spawn(move || {
            let begin = || {
                begun.send(()).unwrap();
                Ok(())
            };
            node.proxy.carry(door, one.into(), None, &[], begin)
        });
        begins.recv().unwrap();
        let second = UnixStream::pair().unwrap().0;
        assert_eq!(refused(door, second.into()), Status::PostMsgFailed, "one at a time");
        node.proxy.destroy_door(door).unwrap();
        assert!(first.join().unwrap().unwrap().is_ok(), "it ends with the door");
        drop(other);
    });
}

#[test]
fn a_stream_out_of_step_ends() {
    let pair = Pair::prepared(|_| ());
    let door = *pair.a.door.lock();
    for (bytes, kind) in [
        (&[0, 0, 0][..], io::ErrorKind::UnexpectedEof),
        (&[0, 0, 0, 9, 1], io::ErrorKind::UnexpectedEof),
        (&[0, 0, 0, 0], io::ErrorKind::Other),
        (&[0xff; 8], io::ErrorKind::Other),
    ] {
        for received in [0, bytes.len()] {
            let (one, mut other) = UnixStream::pair().unwrap();
            other.write_all(&bytes[received..]).unwrap();
            other.shutdown(Shutdown::Write).unwrap();
            let end = pair
                .a
                .proxy
                .carry(door, one.into(), None, &bytes[..received], || Ok(()));
            assert_eq!(end.unwrap().unwrap_err().kind(), kind, "{bytes:?}");
        }
    }
}

/// The other end of a stream, plain or with TLS.
pub(in crate::proxy) struct End {
    pub stream: UnixStream,
    pub cipher: Option<Cipher>,
}

impl End {
    fn send(&self, message: &Message) {
        let frame = stream::encode(&message.encode_compact()).unwrap();
        let mut outgoing = Outgoing::default();
        match &self.cipher {
            None => outgoing.push(frame),
            Some(cipher) => {
                cipher.seal(frame, &mut outgoing).unwrap();
                cipher.finish(&mut outgoing).unwrap();
            }
        }
        let sent = outgoing.send(|slices| (&self.stream).write_vectored(slices));
        sent.unwrap();
    }

    /// False at the end.
    pub fn receive(&self, decoder: &mut Decoder) -> bool {
        let read = |room: &mut [u8]| (&self.stream).read(room);
        match &self.cipher {
            None => {
                let mut room = [0; 4096];
                let count = read(&mut room).unwrap();
                decoder.push(&room[..count]);
                count > 0
            }
            Some(cipher) => cipher.receive(read, |plain| decoder.push(plain)).unwrap(),
        }
    }
}

/// The node that is asked leaves out the checksum of its answer only where it knows that records bring it to the decoder.
#[test]
fn checksums_are_left_out_between_two_ends_of_the_same_records() {
    for (sealed, told) in [(true, true), (true, false), (false, true), (false, false)] {
        let pair = Pair::prepared(|_| ());
        let [keys, of_peer] = Keys::made_up(1).map(|keys| Some(keys).filter(|_| sealed));
        let (one, other) = UnixStream::pair().unwrap();
        let peer = End {
            stream: other,
            cipher: of_peer.map(|keys| Cipher::new(keys).unwrap()),
        };
        let mut own = Handshake {
            nonce: 99,
            incarnation: 7,
            capabilities: Capabilities::ALL,
            node: 1 - pair.a.number,
            enabled: true,
            largest: 1 << 20,
        };
        std::thread::scope(|scope| {
            let carried = carry(scope, &pair.a, one, keys);
            peer.send(&Message::new(1, Body::EchoRequest(own.probe())));
            if told {
                own.capabilities = Capabilities::ALL.with(Capabilities::SEALED);
            }
            let (mut decoder, mut offered, mut answer) = (Decoder::new(MAX_MESSAGE), None, None);
            while offered.is_none() || answer.is_none() {
                assert!(peer.receive(&mut decoder));
                while let Some(bytes) = decoder.next_message().unwrap() {
                    // A compact frame without checksum is no message for this decoder.
                    match Message::decode(bytes).map(|message| message.body) {
                        Ok(Body::EchoRequest(probe)) => {
                            own.nonce = Handshake::from_probe(&probe).unwrap().nonce;
                            peer.send(&Message::new(2, Body::EchoReply(own.reply())));
                            let question = Piece {
                                request: 5,
                                total: 1,
                                offset: 0,
                                data: vec![0xff],
                            };
                            peer.send(&Message::new(3, Body::NodeRequest(question)));
                        }
                        Ok(Body::EchoReply(reply)) => {
                            offered = Handshake::from_reply(&reply).map(|node| node.capabilities);
                        }
                        Ok(Body::NodeReply(_)) => answer = Some(true),
                        Ok(_) => {}
                        Err(_) => {
                            assert_eq!((bytes[0], &bytes[12..16]), (2, &[0; 4][..]));
                            answer = Some(false);
                        }
                    }
                }
            }
            assert_eq!(offered.map(|node| node.has(Capabilities::SEALED)), Some(sealed));
            assert_eq!(answer, Some(!(sealed && told)));
            peer.stream.shutdown(Shutdown::Both).unwrap();
            assert!(carried.join().unwrap().is_ok());
        });
    }
}

/// As behind `stmfproxy -d`, which opens the records itself and posts what they hold.
#[test]
fn records_that_end_before_the_decoder_carry_checksums() {
    let pair = Pair::prepared(|_| ());
    let [keys, of_relay] = Keys::made_up(1);
    let (one, other) = UnixStream::pair().unwrap();
    let relay = Arc::new(End {
        stream: other,
        cipher: Some(Cipher::new(of_relay).unwrap()),
    });
    let way_back = relay.clone();
    pair.b.wire.filter(move |message| {
        way_back.send(&message);
        Vec::new()
    });
    std::thread::scope(|scope| {
        let carried = carry(scope, &pair.a, one, Some(keys));
        let (b, relay_of_b) = (&pair.b, &relay);
        scope.spawn(move || {
            let (door, mut decoder) = (*b.door.lock(), Decoder::new(MAX_MESSAGE));
            while relay_of_b.receive(&mut decoder) {
                while let Some(bytes) = decoder.next_message().unwrap() {
                    b.proxy.post(door, bytes).unwrap();
                }
            }
        });
        b.enable();
        pair.wait_ready();
        wait("the Standby LU", || pair.b.access(&pair.guid).is_some());
        compare_reads(&pair.a, &pair.b);
        relay.stream.shutdown(Shutdown::Both).unwrap();
        assert!(carried.join().unwrap().is_ok());
    });
}
