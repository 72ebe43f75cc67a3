#![allow(clippy::unwrap_used)]

use super::cipher::Cipher;
use super::keys::Keys;
use super::opener::Opener;
use super::sealer::Sealer;
use super::{HEADER, PLAIN, SEALED, key_file};
use crate::proxy::outgoing::Outgoing;
use proptest::prelude::*;
use rustls::{AlertDescription, ContentType, Error, InvalidMessage, Tls13CipherSuite};
use std::collections::HashSet;
use std::io;

/// One end seals, the other opens.
fn line(generations: u8) -> (Sealer, Opener) {
    let [ours, theirs] = Keys::made_up(generations);
    let suite: &'static Tls13CipherSuite = ours.suite().unwrap();
    (
        Sealer::new(suite, ours.seals).unwrap(),
        Opener::new(suite, theirs.opens, &[]).unwrap(),
    )
}

fn record(sealer: &mut Sealer, typ: ContentType, content: &[u8]) -> Vec<u8> {
    let mut outgoing = Outgoing::default();
    let record = [&[0; HEADER], content].concat();
    sealer.push(typ, record, &mut outgoing).unwrap();
    outgoing.take()
}

fn seal(sealer: &mut Sealer, plain: &[u8]) -> Vec<u8> {
    let mut outgoing = Outgoing::default();
    sealer.seal(plain.to_vec(), &mut outgoing).unwrap();
    sealer.finish(&mut outgoing).unwrap();
    outgoing.take()
}

/// The records of a stream without their headers.
fn records(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((header, rest)) = stream.split_first_chunk::<HEADER>() {
        let length = u16::from_be_bytes([header[3], header[4]]);
        let (record, rest) = rest.split_at(length.into());
        records.push(record);
        stream = rest;
    }
    records
}

/// All that a stream in pieces holds, and how it ends.
fn open(opener: &mut Opener, stream: &[u8], piece: usize) -> (Vec<u8>, Option<Error>) {
    let (mut opened, mut rest) = (Vec::new(), stream);
    loop {
        if let Err(error) = opener.open(|plain| opened.extend_from_slice(plain)) {
            return (opened, Some(error));
        }
        if rest.is_empty() || opener.is_closed() {
            return (opened, None);
        }
        let space = opener.room();
        let count = piece.min(rest.len()).min(space.len());
        space[..count].copy_from_slice(&rest[..count]);
        opener.received(count);
        rest = &rest[count..];
    }
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n % 251) as u8).collect()
}

#[test]
fn long_data_in_and_out() {
    let (mut sealer, mut opener) = line(1);
    let data = bytes(1_000_000);
    let stream = seal(&mut sealer, &data);
    for piece in [200_000, 70_000, 4096] {
        let (_, mut fresh) = line(1);
        assert!(open(&mut fresh, &stream, piece) == (data.clone(), None));
        assert!(!fresh.is_partial());
    }
    assert!(open(&mut opener, &stream[..stream.len() - 1], 5000).1.is_none());
    assert!(opener.is_partial(), "an end here is none");
}

#[test]
fn any_flipped_bit_is_refused() {
    let sealed = |line: &mut Sealer| record(line, ContentType::ApplicationData, b"data");
    let (mut sealer, _) = line(1);
    let (first, second) = (sealed(&mut sealer), sealed(&mut sealer));
    for bit in 0..8 * second.len() {
        let (_, mut opener) = line(1);
        let mut damaged = second.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        // More bytes, for a length that has grown.
        let stream = [&first[..], &damaged, &vec![0; SEALED]].concat();
        let (opened, error) = open(&mut opener, &stream, 1000);
        assert_eq!(opened, b"data", "what came before, and nothing more");
        assert!(error.is_some(), "bit {bit}");
        assert!(opener.open(|_| panic!("nothing")).is_err(), "for good");
    }
}

#[test]
fn records_replayed_left_out_or_in_another_order_are_refused() {
    let (mut sealer, _) = line(1);
    let records: Vec<Vec<u8>> = (0..3)
        .map(|n| record(&mut sealer, ContentType::ApplicationData, &[n]))
        .collect();
    for (order, opened) in [
        (&[0, 0][..], &[0][..]),
        (&[0, 2], &[0]),
        (&[1, 0], &[]),
        (&[0, 1, 0], &[0, 1]),
    ] {
        let stream: Vec<u8> = order.iter().flat_map(|n| records[*n].clone()).collect();
        let (_, mut opener) = line(1);
        assert_eq!(
            open(&mut opener, &stream, 9),
            (opened.to_vec(), Some(Error::DecryptError))
        );
    }
    // Nor what this end has sealed itself.
    let [ours, _] = Keys::made_up(1);
    let mut opener = Opener::new(ours.suite().unwrap(), ours.opens, &[]).unwrap();
    assert_eq!(open(&mut opener, &records[0], 99).1, Some(Error::DecryptError));
}

#[test]
fn headers_that_no_record_has() {
    let invalid = |message: InvalidMessage| Some(message.into());
    for (header, error) in [
        (*b"\x17\x03\x03\x41\x01", Some(InvalidMessage::MessageTooLarge.into())),
        (*b"\x16\x03\x03\x00\x20", invalid(InvalidMessage::InvalidContentType)),
        (*b"\x14\x03\x03\x00\x01", invalid(InvalidMessage::InvalidContentType)),
        (
            *b"\x17\x03\x04\x00\x20",
            invalid(InvalidMessage::UnknownProtocolVersion),
        ),
        (*b"\x17\x03\x03\x41\x00", None),
    ] {
        assert_eq!(open(&mut line(1).1, &header, 5), (vec![], error));
    }
    for length in [0, 1, 16] {
        let record = [&b"\x17\x03\x03\x00"[..], &[length], &[0; 16]].concat();
        assert!(open(&mut line(1).1, &record, 99).1.is_some(), "{length}");
    }
}

#[test]
fn what_else_a_peer_may_say() {
    use ContentType as T;
    let unexpected = |text| Some(InvalidMessage::UnexpectedMessage(text).into());
    let missing = |text| Some(InvalidMessage::MissingData(text).into());
    let update = Some(InvalidMessage::InvalidKeyUpdate.into());
    for (typ, content, error) in [
        (T::Alert, &[1, 90][..], None),
        (
            T::Alert,
            &[2, 20],
            Some(Error::AlertReceived(AlertDescription::BadRecordMac)),
        ),
        (T::Alert, &[2], missing("Alert")),
        (T::Alert, &[], missing("Alert")),
        (T::Handshake, &[], missing("Handshake")),
        (T::Handshake, &[24, 0, 0], missing("Handshake")),
        (T::Handshake, &[24, 0, 0, 1], missing("Handshake")),
        (T::Handshake, &[24, 0, 0, 1, 2], update.clone()),
        (T::Handshake, &[24, 0, 0, 0], update.clone()),
        // Something behind it is sealed with the old key.
        (T::Handshake, &[24, 0, 0, 1, 0, 4, 0, 0, 0], update.clone()),
        // Tickets.
        (T::Handshake, &[4, 0, 0, 2, 7, 7], None),
        (T::Handshake, &[4, 0, 0, 1, 7, 4, 0, 0, 0], None),
        (T::Handshake, &[4, 0, 0, 2, 7], missing("Handshake")),
        (T::Handshake, &[4, 0, 0, 1, 7, 1, 0, 0, 0], unexpected("Handshake")),
        (T::Handshake, &[13, 0, 0, 0], unexpected("Handshake")),
        (T::Heartbeat, &[1], Some(InvalidMessage::InvalidContentType.into())),
        (T::Unknown(99), &[1], Some(InvalidMessage::InvalidContentType.into())),
    ] {
        let (mut sealer, mut opener) = line(2);
        let mut stream = record(&mut sealer, typ, content);
        stream.extend(record(&mut sealer, T::ApplicationData, b"data"));
        let data: &[u8] = if error.is_none() { b"data" } else { b"" };
        assert_eq!(
            open(&mut opener, &stream, 99),
            (data.to_vec(), error),
            "{typ:?} {content:?}"
        );
    }
    let (mut sealer, mut opener) = line(1);
    let mut stream = record(&mut sealer, T::ApplicationData, b"last");
    stream.extend(record(&mut sealer, T::Alert, &[1, 0]));
    stream.extend(record(&mut sealer, T::ApplicationData, b"late"));
    assert_eq!(open(&mut opener, &stream, 99), (b"last".to_vec(), None));
    assert!(opener.is_closed());
}

#[test]
fn keys_change_in_time_until_none_is_left() {
    let (mut sealer, mut opener) = line(3);
    sealer.limit = 10;
    let (mut outgoing, mut stream, mut count) = (Outgoing::default(), Vec::new(), 0);
    let end = loop {
        let sealed = sealer.seal(b"x".to_vec(), &mut outgoing);
        match sealed.and_then(|()| sealer.finish(&mut outgoing)) {
            Ok(()) => stream.extend(outgoing.take()),
            Err(error) => break error,
        }
        count += 1;
    };
    assert!(end.to_string().contains("used up"), "{end}");
    // The first number was 3, and each key's last record is the KeyUpdate.
    assert_eq!(count, (9 - 3) + 9 + 9);
    assert_eq!(open(&mut opener, &stream, 7), (vec![b'x'; count], None));
    assert!(!opener.take_request());
}

#[test]
fn a_request_for_a_new_key_is_answered_once_before_the_next_data() {
    let [ours, theirs] = Keys::made_up(3).map(|keys| Cipher::new(keys).unwrap());
    let suite = Keys::made_up(3)[0].suite().unwrap();
    let mut peer = Sealer::new(suite, Keys::made_up(3).into_iter().nth(1).unwrap().seals).unwrap();
    let asks = record(&mut peer, ContentType::Handshake, &[24, 0, 0, 1, 1]);
    let received = ours.receive(
        |room| {
            room[..asks.len()].copy_from_slice(&asks);
            Ok(asks.len())
        },
        |_| panic!("no data"),
    );
    assert!(received.unwrap());
    let mut sent = Vec::new();
    for _ in 0..2 {
        let mut outgoing = Outgoing::default();
        ours.seal(b"data".to_vec(), &mut outgoing).unwrap();
        ours.finish(&mut outgoing).unwrap();
        let stream = outgoing.take();
        sent.push(records(&stream).len());
        let mut plain = Vec::new();
        let opened = theirs.receive(
            |room| {
                room[..stream.len()].copy_from_slice(&stream);
                Ok(stream.len())
            },
            |data| plain.extend_from_slice(data),
        );
        assert_eq!((opened.unwrap(), &plain[..]), (true, &b"data"[..]));
    }
    assert_eq!(sent, [2, 1], "the KeyUpdate goes first, once");
}

#[test]
fn a_key_file_is_read_once() {
    let [keys, _] = Keys::made_up(4);
    let file = key_file::lend(&keys).unwrap();
    let again = file.try_clone().unwrap();
    let (mut sealer, mut opener) = line(4);
    let taken = key_file::take(file).unwrap();
    assert_eq!(
        std::fs::File::from(again.try_clone().unwrap())
            .metadata()
            .unwrap()
            .len(),
        0
    );
    assert!(key_file::take(again).is_err());
    let mut same = Sealer::new(taken.suite().unwrap(), taken.seals).unwrap();
    assert_eq!(seal(&mut same, b"data"), seal(&mut sealer, b"data"));
    let stream = [seal(&mut same, b"data"), seal(&mut same, b"more")].concat();
    assert_eq!(
        open(&mut opener, &stream, 9).1,
        Some(Error::DecryptError),
        "the first is missing"
    );
    // What is no key file.
    let other = tempfile::tempfile().unwrap();
    other.set_len(1 << 30).unwrap();
    assert_eq!(
        key_file::take(other.into()).err().unwrap().kind(),
        io::ErrorKind::InvalidData
    );
    let other = tempfile::tempfile().unwrap();
    other.set_len(99).unwrap();
    let none = key_file::take(other.into()).and_then(Cipher::new);
    assert!(none.is_err(), "zeros are no keys");
}

#[test]
fn keys_that_seal_nothing() {
    let refused = |generations: u8, spoil: fn(&mut Keys)| {
        let [mut keys, _] = Keys::made_up(generations);
        spoil(&mut keys);
        Cipher::new(keys).err().unwrap().kind() == io::ErrorKind::InvalidData
    };
    assert!(refused(0, |_| ()));
    assert!(refused(1, |keys| keys.suite = 7));
    // Its keys are shorter.
    assert!(refused(1, |keys| keys.suite =
        rustls::CipherSuite::TLS13_AES_128_GCM_SHA256.into()));
    assert!(refused(1, |keys| keys.unopened = vec![0; 1 << 20]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Everything arrives once, in order, each record under a number of its own, in no more records than the pieces take alone.
    #[test]
    fn any_splitting_of_a_stream_gives_the_same(
        pieces in proptest::collection::vec(prop_oneof![0_usize..300, 0_usize..40_000, 1..5 * PLAIN], 1..12),
        piece in 1_usize..50_000,
        limit in prop_oneof![Just(u64::MAX), 9_u64..20],
    ) {
        let (mut sealer, mut opener) = line(64);
        sealer.limit = limit;
        let (mut outgoing, mut data) = (Outgoing::default(), Vec::new());
        for count in &pieces {
            sealer.seal(bytes(*count), &mut outgoing).unwrap();
            data.extend(bytes(*count));
        }
        sealer.finish(&mut outgoing).unwrap();
        let stream = outgoing.take();
        prop_assert!(open(&mut opener, &stream, piece) == (data, None));
        prop_assert!(sealer.into_keys().is_some(), "nothing is left");
        let records = records(&stream);
        let tags: HashSet<_> = records.iter().map(|record| &record[record.len() - 16..]).collect();
        prop_assert_eq!(tags.len(), records.len());
        let updates = match limit {
            u64::MAX => 0,
            _ => records.iter().filter(|record| record.len() == 5 + 17).count(),
        };
        let most: usize = pieces.iter().map(|count| count.div_ceil(PLAIN)).sum();
        prop_assert!(records.len() <= most + updates);
    }
}
