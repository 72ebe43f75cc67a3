//! Forwarding.

use super::super::super::message::ScsiData;
use super::*;
use crate::scsi::{ScsiStatus, Sense};

/// Runs a READ of `expected` bytes of which the active side has `available`; what moved in SCSI_DATA, and the outcome.
fn read(pair: &mut Pair, expected: u32, available: usize) -> (Vec<usize>, Outcome) {
    let data = pattern(available);
    pair.b.read(pair.now, 1, expected);
    pair.settle();
    let command = pair.a.started.pop().unwrap();
    assert_eq!(
        command.expected,
        Expected {
            read: true,
            write: false,
            length: expected
        }
    );
    assert_eq!(command.lun_id, Some(LU));
    pair.a
        .engine
        .finished(pair.now, command.id, Outcome::data_in(data.clone()));
    pair.a.perform(pair.now);
    let mut pieces = Vec::new();
    let mut most = 0;
    while !pair.a.to_peer.is_empty() {
        let messages = pair.a.sent();
        let data: Vec<usize> = messages
            .iter()
            .filter_map(|message| match &message.body {
                Body::ScsiData(data) => Some(data.data.len()),
                _ => None,
            })
            .collect();
        most = most.max(data.len());
        pieces.extend(data);
        messages.into_iter().for_each(|message| pair.b.post(pair.now, message));
        let answers = pair.b.sent();
        answers.into_iter().for_each(|message| pair.a.post(pair.now, message));
    }
    let window = if pair.a.engine.link.ours() { 4 } else { 1 };
    assert!(most <= window, "{most} outstanding");
    assert!(pair.a.engine.active.is_idle() && pair.b.engine.standby.is_idle());
    let mut outcomes = pair.b.outcomes();
    assert_eq!(outcomes.len(), 1);
    let outcome = outcomes.remove(0).1;
    let wanted = available.min(expected as usize);
    assert!(outcome.data == data[..wanted], "the data that was read");
    (pieces, outcome)
}

const PIECE: usize = 128 << 10;

/// Hazard H20: pieces have the size of the data.
#[test]
fn reads_of_every_size_through_both_kinds_of_peer() {
    // Also towards an original node B as the initiator's side: A then keeps to one outstanding SCSI_DATA.
    for mut pair in [Pair::up(), Pair::with_original()] {
        for size in [512, PIECE, PIECE + 512, 300 << 10, 4 << 20] {
            let (pieces, outcome) = read(&mut pair, u32::try_from(size).unwrap(), size);
            let mut exact = vec![PIECE; size / PIECE];
            exact.extend((size % PIECE > 0).then_some(size % PIECE));
            assert_eq!(pieces, exact, "H20: the size of the data");
            let expected = Expected {
                read: true,
                write: false,
                length: u32::try_from(size).unwrap(),
            };
            assert_eq!(
                outcome.residual(expected, expected.length),
                crate::framework::Residual::None
            );
        }
    }
}

#[test]
fn short_and_long_reads_have_their_residuals() {
    let mut pair = Pair::up();
    let (_, short) = read(&mut pair, 1000, 300);
    assert_eq!(short.implied, 300);
    let (_, long) = read(&mut pair, 1000, 1500);
    assert_eq!((long.data.len(), long.implied), (1000, 1500), "overflow of 500");
    let (pieces, none) = read(&mut pair, 1000, 0);
    assert_eq!((pieces.len(), none.implied), (0, 0));
}

fn answer(pair: &mut Pair, task: u64, data: Vec<u8>, offset: Option<u32>) -> Vec<Body> {
    receive(pair, piece(task, data, offset, false))
}

fn piece(task: u64, data: Vec<u8>, offset: Option<u32>, last: bool) -> ScsiData {
    ScsiData {
        task,
        session: 7,
        guid: LU,
        data,
        offset,
        last,
    }
}

fn receive(pair: &mut Pair, data: ScsiData) -> Vec<Body> {
    pair.a.post(pair.now, Message::new(0, Body::ScsiData(data)));
    pair.a.bodies()
}

/// Of the SCSI_CMD that A just sent.
fn task(pair: &mut Pair) -> u64 {
    match &pair.a.bodies()[..] {
        [Body::ScsiCmd(cmd)] => cmd.task,
        other => panic!("{other:?}"),
    }
}

fn good(task: u64) -> Message {
    Message::new(
        0,
        Body::ScsiStatus(super::super::super::message::ScsiStatus {
            task,
            session: 7,
            guid: LU,
            response: 0,
            status: 0,
            flags: 0,
            residual: 0,
            sense: vec![],
        }),
    )
}

/// H20 from the other side: the original sends the size of its buffer.
#[test]
fn the_tail_that_an_original_peer_sends_is_cut_off() {
    let mut pair = Pair::with_original();
    pair.a.read(pair.now, 1, 300 << 10);
    let id = task(&mut pair);
    for _ in 0..3 {
        let done = answer(&mut pair, id, vec![1; PIECE], None);
        assert!(
            matches!(
                done[..],
                [Body::XferDone {
                    status: 0,
                    session: 7,
                    ..
                }]
            ),
            "{done:?}"
        );
    }
    pair.a.post(pair.now, good(id));
    let outcomes = pair.a.outcomes();
    assert_eq!(
        (outcomes[0].1.data.len(), outcomes[0].1.implied),
        (300 << 10, 300 << 10)
    );
}

#[test]
fn lost_data_never_looks_like_a_short_read() {
    let mut pair = Pair::up();
    pair.a.read(pair.now, 1, 1024);
    let id = task(&mut pair);
    let done = answer(&mut pair, id, vec![1; 512], Some(512));
    assert!(
        matches!(done[..], [Body::XferDone { status: 0, .. }]),
        "it may have overtaken the one before"
    );
    pair.a.post(pair.now, good(id));
    assert_eq!(pair.a.outcomes(), [(1, Outcome::status(ScsiStatus::Busy))]);

    pair.a.read(pair.now, 2, 1024);
    let id = task(&mut pair);
    answer(&mut pair, id, vec![1; 512], Some(0));
    answer(&mut pair, id, vec![1; 512], Some(0));
    pair.a.post(pair.now, good(id));
    assert_eq!(
        pair.a.outcomes(),
        [(2, Outcome::status(ScsiStatus::Busy))],
        "a repeated piece is no data"
    );
}

/// 8.4: a daemon of many threads.
#[test]
fn pieces_are_put_in_order() {
    let mut pair = Pair::up();
    pair.a.read(pair.now, 1, 2000);
    let id = task(&mut pair);
    let data = pattern(2000);
    for piece in [1, 3, 0, 2] {
        let at = piece * 500;
        answer(&mut pair, id, data[at..at + 500].to_vec(), u32::try_from(at).ok());
    }
    pair.a.post(pair.now, good(id));
    assert!(pair.a.outcomes()[0].1 == Outcome::data_in(data));

    pair.a.read(pair.now, 2, 1 << 20);
    let id = task(&mut pair);
    for n in 1..=16 {
        answer(&mut pair, id, vec![1; 10], Some(n * 10));
    }
    let done = answer(&mut pair, id, vec![1; 10], Some(170));
    assert!(matches!(done[..], [Body::XferDone { status, .. }] if status != 0));
    assert_eq!(pair.a.outcomes(), [(2, Outcome::status(ScsiStatus::Busy))]);
}

#[test]
fn data_is_confirmed_only_while_the_peer_may_wait_for_that() {
    let mut pair = Pair::up();
    for (tag, status_follows) in [(1, true), (2, false)] {
        pair.a.read(pair.now, tag, 512);
        let id = task(&mut pair);
        let data = piece(id, vec![1; 512], Some(0), false);
        pair.a
            .engine
            .message(pair.now, 1, Message::new(0, Body::ScsiData(data)));
        if status_follows {
            pair.a.post(pair.now, good(id));
            assert_eq!(pair.a.outcomes().len(), 1);
        } else {
            pair.a.perform(pair.now);
        }
        assert_eq!(pair.a.bodies().len(), usize::from(!status_follows), "XFER_DONE");
    }
}

#[test]
fn the_last_piece_ends_the_command_when_all_are_here() {
    let mut pair = Pair::up();
    for overtakes in [false, true] {
        pair.a.read(pair.now, 1, 1024);
        let id = task(&mut pair);
        let mut pieces = [
            piece(id, vec![1; 512], Some(0), false),
            piece(id, vec![2; 512], Some(512), true),
        ];
        if overtakes {
            pieces.reverse();
        }
        let [first, second] = pieces;
        assert!(matches!(receive(&mut pair, first)[..], [Body::XferDone { .. }]));
        assert!(pair.a.outcomes().is_empty());
        assert!(receive(&mut pair, second).is_empty(), "nobody waits for a confirmation");
        let data = [[1; 512], [2; 512]].concat();
        let outcome = Outcome {
            implied: 1024,
            data,
            ..Outcome::good()
        };
        assert_eq!(pair.a.outcomes(), [(1, outcome)]);
    }
}

#[test]
fn an_original_peer_has_no_last_piece() {
    let mut pair = Pair::with_original();
    pair.a.read(pair.now, 1, 512);
    let id = task(&mut pair);
    assert_eq!(receive(&mut pair, piece(id, vec![1; 512], None, true)).len(), 1);
    assert!(pair.a.outcomes().is_empty());
}

/// Hazard H21: an ended task is found by nobody.
#[test]
fn data_of_an_unknown_task_is_answered_with_failure_and_its_status_ignored() {
    let mut pair = Pair::up();
    let done = answer(&mut pair, 12345, vec![1], None);
    assert!(matches!(
        done[..],
        [Body::XferDone {
            task: 12345,
            session: 0,
            status: 0x1000_0000_0000_0000
        }]
    ));
    pair.a.post(pair.now, good(12345));
    assert!(pair.a.outcomes().is_empty() && pair.a.to_peer.is_empty());
}

#[test]
fn parameter_lists_go_as_immediate_data() {
    let mut pair = Pair::up();
    let list = pattern(24);
    let expected = Expected {
        read: false,
        write: true,
        length: 24,
    };
    pair.b
        .forward(pair.now, 1, &[0x5f, 6, 0, 0, 0, 0, 0, 0, 24, 0], expected, &list);
    pair.settle();
    let command = pair.a.started.pop().unwrap();
    assert_eq!((command.data, command.expected, command.attribute), (list, expected, 1));
    pair.a.engine.finished(pair.now, command.id, Outcome::data_out(24));
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), [(1, Outcome::data_out(24))]);
}

/// 7.7: only to one of ours, only under its generation.
#[test]
fn writes_carry_the_generation() {
    let expected = Expected {
        read: false,
        write: true,
        length: 512,
    };
    let mut original = Pair::with_original();
    original.a.forward(original.now, 1, &[0x2a; 10], expected, &[0; 512]);
    assert_eq!(original.a.outcomes(), [(1, Outcome::check(Sense::ALUA_STANDBY))]);

    let mut pair = Pair::up();
    let register = |generation| {
        Announcement::LuRegister(AnnouncedLu {
            guid: LU,
            name: "/lu".into(),
            generation,
            non_optimized: true,
        })
    };
    pair.a.engine.announce(pair.now, register(4));
    pair.a.perform(pair.now);
    pair.settle();
    pair.b.forward(pair.now, 2, &[0x2a; 10], expected, &[0; 512]);
    // The LU moved on while the write was on its way.
    pair.a.engine.announce(pair.now, register(5));
    pair.settle();
    assert!(pair.a.started.is_empty());
    assert_eq!(
        pair.b.outcomes(),
        [(
            2,
            Outcome {
                implied: 512,
                ..Outcome::status(ScsiStatus::Busy)
            }
        )]
    );
    pair.a.perform(pair.now);
    pair.settle();
    pair.b.forward(pair.now, 3, &[0x2a; 10], expected, &[0; 512]);
    pair.settle();
    assert_eq!(pair.a.started.len(), 1);
}

#[test]
fn limits_are_told_to_the_initiator() {
    let mut pair = Pair::up();
    for tag in 0..=128 {
        pair.a.read(pair.now, tag, 512);
    }
    assert_eq!(pair.a.outcomes(), [(128, Outcome::status(ScsiStatus::TaskSetFull))]);
    let command = Command {
        lu: Guid([1; 16]),
        origin: pair.a.origin(7),
        tag: 500,
        cdb: vec![0; 6],
        attribute: 0,
        expected: Expected::default(),
        data: vec![],
        generation: None,
    };
    let outcomes = pair.a.outcomes.clone();
    pair.a.engine.forward(
        pair.now,
        command,
        Box::new(move |o| outcomes.lock().push((500, o))),
        true,
    );
    pair.a.perform(pair.now);
    assert_eq!(pair.a.outcomes(), [(500, Outcome::status(ScsiStatus::Busy))]);
}

/// 5.17, H15.
#[test]
fn a_command_that_the_peer_could_not_start_is_busy() {
    let mut pair = Pair::with_original();
    pair.a.read(pair.now, 1, 512);
    let id = task(&mut pair);
    pair.a.post(
        pair.now,
        Message::new(
            id,
            Body::Status {
                of_type: 4,
                of_id: id,
                status: 0,
                full: None,
            },
        ),
    );
    assert_eq!(pair.a.outcomes(), [(1, Outcome::status(ScsiStatus::Busy))]);
}

/// Hazard H27.
#[test]
fn the_timer_is_restarted_by_data_then_the_peer_is_asked_to_abort() {
    for mut pair in [Pair::up(), Pair::with_original()] {
        let ours = pair.a.engine.link.ours();
        pair.a.read(pair.now, 1, 1024);
        let id = task(&mut pair);
        pair.pass(20 * SECOND);
        answer(&mut pair, id, vec![1; 512], None);
        pair.pass(20 * SECOND);
        assert!(pair.a.outcomes().is_empty());
        pair.b.managed.clear();
        pair.pass(11 * SECOND);
        assert_eq!(pair.a.outcomes(), [(1, Outcome::check(Sense::ALUA_UNAVAILABLE))]);
        let aborts: Vec<_> = pair
            .b
            .managed
            .iter()
            .map(|tm| (tm.function, tm.referenced_tag))
            .collect();
        assert_eq!(
            aborts,
            if ours {
                vec![(TmFunction::AbortTask, id)]
            } else {
                vec![]
            }
        );
        let late = answer(&mut pair, id, vec![1; 512], None);
        assert!(matches!(late[..], [Body::XferDone { status, session: 0, .. }] if status != 0));
    }
}

/// 5.10.
#[test]
fn an_aborted_task_ends_when_the_peer_has_answered() {
    let mut pair = Pair::up();
    pair.b.read(pair.now, 1, 512);
    pair.settle();
    pair.b.engine.abort(pair.now, 7, 1);
    pair.b.perform(pair.now);
    pair.settle();
    let aborted = [(1, Outcome::status(ScsiStatus::TaskAborted))];
    let command = pair.a.started.pop().unwrap();
    let tm = pair.a.managed.pop().unwrap();
    assert_eq!((tm.function, tm.referenced_tag), (TmFunction::AbortTask, command.id));
    assert!(pair.b.outcomes().is_empty());
    pair.a.engine.managed(pair.now, tm.id, TmResponse::Complete);
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), aborted);

    // After 5 s at the latest.
    pair.b.read(pair.now, 1, 512);
    pair.b.engine.abort(pair.now, 7, 1);
    pair.b.perform(pair.now);
    pair.pass(6 * SECOND);
    assert_eq!(pair.b.outcomes(), aborted);

    // Function 1 would reset the whole LU of an original peer.
    let mut original = Pair::with_original();
    original.a.read(original.now, 1, 512);
    original.a.sent();
    original.a.engine.abort(original.now, 7, 1);
    original.a.perform(original.now);
    assert_eq!(original.a.outcomes(), aborted);
    assert!(original.a.to_peer.is_empty());
}

/// H19.
#[test]
fn task_management_waits_for_one_of_ours_and_not_for_an_original() {
    let mut pair = Pair::up();
    pair.b.manage(pair.now, TmFunction::TargetWarmReset, 0);
    pair.settle();
    let tm = pair.a.managed.pop().unwrap();
    assert_eq!((tm.function, tm.lun_id), (TmFunction::LunReset, Some(LU)));
    assert!(pair.b.responses().is_empty());
    pair.a.engine.managed(pair.now, tm.id, TmResponse::Complete);
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.responses(), [TmResponse::Complete]);

    pair.b.manage(pair.now, TmFunction::LunReset, 0);
    pair.pass(6 * SECOND);
    assert_eq!(pair.b.responses(), [TmResponse::Rejected]);

    let mut original = Pair::with_original();
    original.a.manage(original.now, TmFunction::LunReset, 0);
    assert_eq!(original.a.responses(), [TmResponse::Complete]);
    match &original.a.bodies()[..] {
        [Body::ScsiCmd(cmd)] => {
            assert!(cmd.task & ScsiCmd::MANAGEMENT_ID != 0 && cmd.cdb.is_empty() && cmd.function == 5);
        }
        other => panic!("{other:?}"),
    }
    original.a.manage(original.now, TmFunction::AbortTask, 1);
    assert_eq!(original.a.responses(), [TmResponse::NoSuchTask]);
    assert!(original.a.to_peer.is_empty());
}

#[test]
fn only_sessions_that_the_peer_knows_are_destroyed() {
    let mut pair = Pair::up();
    let unknown = pair.b.origin(99);
    pair.b.engine.nexus_ended(pair.now, unknown);
    pair.b.perform(pair.now);
    assert!(pair.b.to_peer.is_empty());
    pair.b.read(pair.now, 1, 512);
    pair.settle();
    let known = pair.b.origin(7);
    pair.b.engine.nexus_ended(pair.now, known);
    pair.b.perform(pair.now);
    pair.settle();
    assert_eq!((pair.a.opened.clone(), pair.a.closed.clone()), (vec![7], vec![7]));
    assert_eq!(pair.b.outcomes(), [(1, Outcome::status(ScsiStatus::TaskAborted))]);
}

#[test]
fn a_command_that_the_door_does_not_take_ends_at_once() {
    let mut pair = Pair::up();
    pair.a.read(pair.now, 1, 512);
    let message = pair.a.sent().remove(0);
    pair.a.engine.send_failed(pair.now, &message, Fate::Kept);
    pair.a.perform(pair.now);
    assert_eq!(pair.a.outcomes(), [(1, Outcome::check(Sense::ALUA_UNAVAILABLE))]);
}
