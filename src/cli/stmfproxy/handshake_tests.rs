//! The handshake, and the records behind it, with a session of rustls at the other end: in memory, in any pieces.
#![allow(clippy::unwrap_used)]

use super::handshake::Handshake;
use super::tls::{Tls, session};
use super::tls_tests::{Node, member};
use crate::proxy::outgoing::Outgoing;
use crate::proxy::sealed::{Cipher, lend, take};
use proptest::prelude::*;
use rustls::Connection;
use std::io::{self, Read, Write};

/// The ends of one pair: ours, and the one of rustls.
fn ends(ours_listens: bool) -> (Tls, Tls) {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    (a.tls(&b, ours_listens), b.tls(&a, !ours_listens))
}

/// What the peer has to send, and what it understands.
struct Peer(Connection);

impl Peer {
    fn output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.0.wants_write() {
            self.0.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn input(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            self.0.read_tls(&mut bytes).unwrap();
            self.0.process_new_packets()?;
            match self.0.reader().read_to_end(&mut plain) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => panic!("{error}"),
                _ => {}
            }
        }
        Ok(plain)
    }

    fn say(&mut self, data: &[u8]) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), data);
        while !rest.is_empty() {
            let count = self.0.writer().write(rest).unwrap();
            rest = &rest[count..];
            bytes.extend(self.output());
        }
        bytes
    }
}

/// Both ends after the handshake, of which so many bytes arrive at once. Behind its last message the peer has said `early`, of
/// which `begun` bytes have come along.
fn shake(ours_listens: bool, piece: usize, early: &[u8], begun: usize) -> (Cipher, Peer, Vec<u8>, Vec<u8>) {
    let (ours, theirs) = ends(ours_listens);
    let (mut handshake, mut peer) = (ours.handshake().unwrap(), Peer(session(&theirs)));
    let mut reply = Vec::new();
    let mut over = handshake.advance(&[], &mut reply).unwrap();
    let (mut said, mut behind, mut rest) = (false, Vec::new(), Vec::new());
    while !over || peer.0.is_handshaking() {
        peer.input(&std::mem::take(&mut reply)).unwrap();
        let mut bytes = peer.output();
        if !peer.0.is_handshaking() && !said {
            said = true;
            let more = peer.say(early);
            let (now, later) = more.split_at(begun.min(more.len()));
            bytes.extend(now);
            rest.extend_from_slice(later);
        }
        for piece in bytes.chunks(piece) {
            match over {
                false => over = handshake.advance(piece, &mut reply).unwrap(),
                // What comes behind it is not the handshake's.
                true => behind.extend_from_slice(piece),
            }
        }
    }
    peer.input(&reply).unwrap();
    behind.extend(rest);
    let (keys, plain) = handshake.finish().unwrap();
    // As from one process to the other.
    let keys = take(lend(&keys).unwrap()).unwrap();
    (Cipher::new(keys).unwrap(), peer, plain, behind)
}

fn receive(cipher: &Cipher, stream: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let (mut data, mut rest) = (Vec::new(), stream);
    loop {
        let goes_on = cipher.receive(
            |space| {
                let count = piece.min(space.len()).min(rest.len());
                space[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                Ok(count)
            },
            |plain| data.extend_from_slice(plain),
        )?;
        if !goes_on {
            return Ok(data);
        }
    }
}

fn send(cipher: &Cipher, data: &[u8]) -> Vec<u8> {
    let mut outgoing = Outgoing::default();
    cipher.seal(data.to_vec(), &mut outgoing).unwrap();
    cipher.finish(&mut outgoing).unwrap();
    outgoing.take()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

#[test]
fn data_both_ways_with_new_keys_in_between() {
    for ours_listens in [true, false] {
        let (cipher, mut peer, plain, behind) = shake(ours_listens, 4096, b"", 0);
        assert!(plain.is_empty() && behind.is_empty());
        for round in 0..5 {
            let data = bytes(1 + round * 50_000);
            assert!(receive(&cipher, &peer.say(&data), 3000).unwrap() == data, "{round}");
            let stream = send(&cipher, &data);
            assert!(peer.input(&stream).unwrap() == data, "{round}");
            // It takes its next key, and asks for ours, which comes with the next data.
            peer.0.refresh_traffic_keys().unwrap();
        }
        // A request for ours alone changes nothing for what it sends.
        let stream = peer.output();
        assert_eq!(receive(&cipher, &stream, 9).unwrap(), b"");
        assert_eq!(peer.input(&send(&cipher, b"after it")).unwrap(), b"after it");
    }
}

#[test]
fn the_end_and_errors_are_told() {
    let (cipher, mut peer, ..) = shake(true, 4096, b"", 0);
    let mut stream = peer.say(b"last");
    peer.0.send_close_notify();
    stream.extend(peer.output());
    stream.extend(b"\x17\x03\x03\x00\x20 what somebody else has to say");
    assert_eq!(receive(&cipher, &stream, 7).unwrap(), b"last");

    let (cipher, mut peer, ..) = shake(false, 4096, b"", 0);
    let mut stream = send(&cipher, b"data");
    stream[9] ^= 1;
    assert_eq!(peer.input(&stream), Err(rustls::Error::DecryptError));
    let error = receive(&cipher, &peer.output(), 99).unwrap_err();
    assert!(error.to_string().contains("BadRecordMac"), "{error}");

    let (cipher, mut peer, ..) = shake(false, 4096, b"", 0);
    let stream = peer.say(b"data");
    let error = receive(&cipher, &stream[..stream.len() - 1], 99).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_handshake_without_end_is_given_up() {
    let (ours, _) = ends(true);
    let mut handshake: Handshake = ours.handshake().unwrap();
    let mut reply = Vec::new();
    // A first record of a message that claims 16 MiB, then more and more of it.
    let record = [
        &b"\x16\x03\x01\x40\x00"[..],
        &[1, 0xff, 0xff, 0xff],
        &[0; (16 << 10) - 4],
    ]
    .concat();
    let refused = (0..20).any(|_| handshake.advance(&record, &mut reply).is_err());
    assert!(refused);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn data_behind_the_handshake_is_kept(
        ours_listens in any::<bool>(),
        piece in 1_usize..3000,
        early in 0_usize..40_000,
        begun in 0_usize..50_000,
    ) {
        let data = bytes(early);
        let (cipher, mut peer, mut plain, behind) = shake(ours_listens, piece, &data, begun);
        let stream = [behind, peer.say(b"!")].concat();
        plain.extend(receive(&cipher, &stream, piece).unwrap());
        prop_assert!(plain == [&data[..], b"!"].concat());
        prop_assert!(peer.input(&send(&cipher, b"?")).unwrap() == b"?");
    }
}
