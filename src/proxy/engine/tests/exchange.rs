//! Requests about the nodes themselves. The peer answers with the request backwards ([`Node::perform_one`]).

use super::*;
use crate::proxy::message::Piece;

type Replies = Arc<Mutex<Vec<Option<Vec<u8>>>>>;

fn ask(pair: &mut Pair, request: &[u8]) -> Replies {
    let replies = Replies::default();
    let kept = replies.clone();
    let done = move |reply| kept.lock().push(reply);
    pair.a.engine.ask(pair.now, request.to_vec(), Box::new(done));
    pair.a.perform(pair.now);
    replies
}

fn reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().rev().copied().collect()
}

#[test]
fn short_and_long_ones_are_answered() {
    let mut pair = Pair::up();
    for length in [1, 128 << 10, (128 << 10) + 1, 3 << 20] {
        let request = pattern(length);
        let replies = ask(&mut pair, &request);
        let longest = pair.a.to_peer.iter().map(Vec::len).max().unwrap_or(0);
        assert!(longest < (128 << 10) + 1024, "{longest}");
        pair.settle();
        assert_eq!(*replies.lock(), [Some(reversed(&request))], "{length}");
    }
}

#[test]
fn several_at_once() {
    let mut pair = Pair::up();
    let replies: Vec<Replies> = (0..5).map(|n| ask(&mut pair, &pattern(300_000 + n))).collect();
    pair.settle();
    for (n, replies) in replies.iter().enumerate() {
        assert_eq!(*replies.lock(), [Some(reversed(&pattern(300_000 + n)))]);
    }
}

#[test]
fn an_original_peer_is_never_asked() {
    let mut pair = Pair::with_original();
    let before = pair.a.to_peer.len();
    assert_eq!(*ask(&mut pair, b"x").lock(), [None]);
    assert_eq!(pair.a.to_peer.len(), before);
    let mut unknown = Pair::new();
    assert_eq!(*ask(&mut unknown, b"x").lock(), [None]);
    let mut pair = Pair::up();
    assert_eq!(*ask(&mut pair, &vec![0; Piece::MAX_TOTAL + 1]).lock(), [None]);
}

#[test]
fn a_request_waits_until_it_is_known_what_the_peer_is() {
    for original in [false, true] {
        let mut pair = Pair::new();
        pair.b.original = original;
        pair.a.enable(pair.now);
        // It is there, but has not answered a probe yet.
        pair.a.engine.message(
            pair.now,
            1,
            Message::new(
                1,
                Body::Status {
                    of_type: 9,
                    of_id: 1,
                    status: 0,
                    full: None,
                },
            ),
        );
        pair.a.perform(pair.now);
        assert!(pair.a.engine.peer_status().reachable);
        let replies = ask(&mut pair, b"abc");
        assert_eq!(*replies.lock(), []);
        pair.b.enable(pair.now);
        pair.pass(SECOND);
        assert_eq!(*replies.lock(), [(!original).then(|| b"cba".to_vec())]);
    }
    let mut pair = Pair::new();
    pair.a.enable(pair.now);
    pair.a.engine.message(
        pair.now,
        1,
        Message::new(
            1,
            Body::Status {
                of_type: 9,
                of_id: 1,
                status: 0,
                full: None,
            },
        ),
    );
    let replies = ask(&mut pair, b"abc");
    pair.pass_cut(11 * SECOND);
    assert_eq!(*replies.lock(), [None]);
}

#[test]
fn a_node_answers_before_it_knows_the_other() {
    let mut pair = Pair::up();
    pair.b.engine.presume_gone(pair.now);
    pair.b.perform(pair.now);
    let replies = ask(&mut pair, b"abc");
    pair.settle();
    assert_eq!(*replies.lock(), [Some(b"cba".to_vec())]);
}

#[test]
fn what_is_lost_ends() {
    // The answer, by time.
    let mut pair = Pair::up();
    let replies = ask(&mut pair, &pattern(300_000));
    pair.a.to_peer.pop_back();
    pair.pass(9 * SECOND);
    assert_eq!(*replies.lock(), []);
    pair.pass(2 * SECOND);
    assert_eq!(*replies.lock(), [None]);
    // The next request is whole, though the one before it stays in pieces there.
    let replies = ask(&mut pair, b"abc");
    pair.settle();
    assert_eq!(*replies.lock(), [Some(b"cba".to_vec())]);
    // The peer.
    let replies = ask(&mut pair, b"abc");
    pair.pass_cut(8 * SECOND);
    assert_eq!(*replies.lock(), [None]);
    // The door.
    let mut pair = Pair::up();
    let replies = ask(&mut pair, b"abc");
    let sent = pair.a.sent();
    pair.a.engine.send_failed(pair.now, &sent[0], Fate::Kept);
    pair.a.perform(pair.now);
    assert_eq!(*replies.lock(), [None]);
}

#[test]
fn nonsense_is_left_without_an_answer() {
    let mut pair = Pair::up();
    pair.b.sent();
    let piece = |offset, total| {
        Body::NodeRequest(Piece {
            request: 7,
            total,
            offset,
            data: vec![1; 10],
        })
    };
    for body in [piece(10, 30), piece(0, 30), piece(20, 30), piece(0, 30), piece(0, 30)] {
        pair.b.post(pair.now, Message::new(1, body));
    }
    let reply = Piece {
        request: 12345,
        total: 1,
        offset: 0,
        data: vec![1],
    };
    pair.b.post(pair.now, Message::new(1, Body::NodeReply(reply)));
    let sent = pair.b.bodies();
    assert!(!sent.iter().any(|body| matches!(body, Body::NodeReply(_))), "{sent:?}");
    for body in [piece(0, 20), piece(10, 20)] {
        pair.b.post(pair.now, Message::new(1, body));
    }
    let sent = pair.b.bodies();
    assert!(sent.iter().any(|body| matches!(body, Body::NodeReply(_))), "{sent:?}");
}
