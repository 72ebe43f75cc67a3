use super::opener::Opener;
use super::sealer::Sealer;
use super::{HEADER, Keys};
use crate::proxy::outgoing::Outgoing;
use rustls::ContentType;

/// Each record: its content type, a length, and its content; type 0 for bytes that are no record.
pub fn fuzz(data: &[u8]) {
    let [ours, theirs] = Keys::made_up(4);
    let suite = ours.suite().expect("a suite of ours");
    let mut sealer = Sealer::new(suite, theirs.seals).expect("keys");
    let mut opener = Opener::new(suite, ours.opens, &[]).expect("keys");
    let [piece, rest @ ..] = data else { return };
    let (mut rest, mut stream, mut data, mut sound) = (rest, Vec::new(), Vec::new(), true);
    while let [kind, length, behind @ ..] = rest {
        let (content, behind) = behind.split_at(behind.len().min(usize::from(*length)));
        rest = behind;
        if *kind == 0 {
            stream.extend_from_slice(content);
            sound &= content.is_empty();
            continue;
        }
        let kind = ContentType::from(*kind);
        let (mut outgoing, record) = (Outgoing::default(), [&[0; HEADER], content].concat());
        if sealer.push(kind, record, &mut outgoing).is_err() {
            return;
        }
        stream.extend(outgoing.take());
        match kind {
            ContentType::ApplicationData if sound => data.extend_from_slice(content),
            _ => sound = false,
        }
    }
    let mut opened = Vec::new();
    for piece in stream.chunks(1 + usize::from(*piece)) {
        opener.room()[..piece.len()].copy_from_slice(piece);
        opener.received(piece.len());
        let open = opener.open(|plain| opened.extend_from_slice(plain));
        if open.is_err() || opener.is_closed() {
            break;
        }
    }
    assert!(!sound || opened == data);
    assert!(opened.starts_with(&data));
}
