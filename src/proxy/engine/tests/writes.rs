//! Forwarded writes (`alua-proxy.md` 7.7): whole, under the generation of the owner, and never after their host was told
//! that they did not happen.

use super::*;
use crate::scsi::{ScsiStatus, Sense};

const WRITE: [u8; 10] = [0x2a; 10];

fn length(data: &[u8]) -> Expected {
    Expected {
        read: false,
        write: true,
        length: u32::try_from(data.len()).unwrap(),
    }
}

/// A is the owner of [`LU`], under generation 4.
fn owned() -> Pair {
    let mut pair = Pair::up();
    pair.a.engine.announce(pair.now, register(4));
    pair.a.perform(pair.now);
    pair.settle();
    pair
}

fn register(generation: u64) -> Announcement {
    Announcement::LuRegister(AnnouncedLu {
        guid: LU,
        name: "/lu".into(),
        generation,
        non_optimized: true,
    })
}

fn unavailable(tag: u64) -> (u64, Outcome) {
    (tag, Outcome::check(Sense::ALUA_UNAVAILABLE))
}

fn busy(tag: u64, length: u64) -> (u64, Outcome) {
    let outcome = Outcome {
        implied: length,
        ..Outcome::status(ScsiStatus::Busy)
    };
    (tag, outcome)
}

#[test]
fn data_of_any_length_arrives_whole() {
    for size in [512, 256 << 10, (256 << 10) + 512, 300 << 10, 4 << 20] {
        let mut pair = owned();
        let data = pattern(size);
        pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
        pair.settle();
        assert_eq!(pair.a.started.len(), 1, "{size}");
        let command = pair.a.started.pop().unwrap();
        assert!(command.data == data && command.expected == length(&data), "{size}");
        pair.a
            .engine
            .finished(pair.now, command.id, Outcome::data_out(size as u64));
        pair.a.perform(pair.now);
        pair.settle();
        assert_eq!(pair.b.outcomes(), [(1, Outcome::data_out(size as u64))]);
        assert!(pair.a.engine.active.is_idle() && pair.b.engine.standby.is_idle());
    }
}

#[test]
fn pieces_in_any_order_and_more_than_once() {
    let mut pair = owned();
    let data = pattern(1 << 20);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    for _ in 0..20 {
        for message in pair.b.sent().into_iter().rev().collect::<Vec<_>>() {
            pair.a.post(pair.now, message.clone());
            pair.a.post(pair.now, message);
        }
        for message in pair.a.sent().into_iter().rev().collect::<Vec<_>>() {
            pair.b.post(pair.now, message);
        }
    }
    assert_eq!(pair.a.started.len(), 1);
    assert!(pair.a.started[0].data == data);
}

/// A message comes once more after the owner's daemon was replaced: the write would undo what its host wrote meanwhile.
#[test]
fn a_new_door_makes_no_old_message_new() {
    let mut pair = owned();
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    let write = pair.b.sent().remove(0);
    pair.a.post(pair.now, write.clone());
    let id = pair.a.started.remove(0).id;
    pair.a.engine.finished(pair.now, id, Outcome::data_out(512));
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), [(1, Outcome::data_out(512))]);
    pair.a.engine.door_removed(pair.now, 1);
    pair.a.engine.door_installed(1);
    pair.a.enable(pair.now);
    pair.b.enable(pair.now);
    pair.pass(SECOND / 2);
    pair.b.forward(pair.now, 2, &WRITE, length(&data), &data);
    pair.settle();
    assert_eq!(pair.a.started.drain(..).count(), 1, "a new one happens");
    pair.a.post(pair.now, write);
    assert!(pair.a.started.is_empty());
}

#[test]
fn everything_that_is_not_in_the_table_is_a_write() {
    let mut pair = owned();
    // SYNCHRONIZE CACHE, UNMAP, WRITE SAME (16), COMPARE AND WRITE, EXTENDED COPY
    for (tag, opcode) in [0x35, 0x42, 0x93, 0x89, 0x83].into_iter().enumerate() {
        pair.b
            .forward(pair.now, tag as u64, &[opcode; 16], Expected::default(), &[]);
        let sent = pair.b.bodies();
        let Some(Body::ScsiCmd(cmd)) = sent.first() else {
            panic!("{sent:?}")
        };
        assert!(cmd.generation == Some(4) && cmd.token.is_some(), "{opcode:#x}");
        // Without its proofs it is not executed.
        for (generation, token) in [
            (None, cmd.token),
            (Some(3), cmd.token),
            (Some(4), None),
            (Some(4), Some(1)),
        ] {
            let bare = ScsiCmd {
                generation,
                token,
                ..(**cmd).clone()
            };
            let bare = Message::new(bare.task, Body::ScsiCmd(Box::new(bare)));
            pair.a.post(pair.now, bare);
            assert!(matches!(&pair.a.bodies()[..], [Body::ScsiStatus(status)] if status.status == 0x08));
        }
        assert!(pair.a.started.is_empty());
    }
}

/// What changes no block is taken without proof too, for an original peer has none to give; one of ours gives it.
#[test]
fn reservations_do_not_linger_either() {
    let reserve = [0x5f, 1, 0, 0, 0, 0, 0, 0, 24, 0];
    let list = pattern(24);
    let mut pair = owned();
    pair.b.forward(pair.now, 1, &reserve, length(&list), &list);
    let sent = pair.b.sent().remove(0);
    let Body::ScsiCmd(cmd) = &sent.body else {
        panic!("{sent:?}")
    };
    assert!(cmd.token.is_some() && cmd.generation.is_none());
    pair.a.post(pair.now, sent.clone());
    assert!(pair.a.started.remove(0).start_by.is_some());
    pair.pass(pair.a.engine.config.write_life);
    let late = ScsiCmd {
        task: cmd.task + 1,
        ..(**cmd).clone()
    };
    pair.a
        .post(pair.now, Message::new(late.task, Body::ScsiCmd(Box::new(late))));
    assert!(matches!(&pair.a.bodies()[..], [Body::ScsiStatus(status)] if status.status == 0x08));
    assert!(pair.a.started.is_empty());

    let mut pair = Pair::with_original();
    pair.a.forward(pair.now, 1, &reserve, length(&list), &list);
    let sent = pair.a.bodies();
    assert!(
        matches!(&sent[..], [Body::ScsiCmd(cmd)] if cmd.token.is_none()),
        "{sent:?}"
    );
}

/// A write that lingers on its way is refused when it arrives, and its host hears of it only then.
#[test]
fn a_late_write_does_not_happen() {
    let mut pair = owned();
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    let late = pair.b.sent();
    assert_eq!(late.len(), 1);
    // The channel is cut.
    let began = pair.now;
    let mut outcomes = Vec::new();
    while outcomes.is_empty() && pair.now < began + 60 * SECOND {
        pair.pass_cut(SECOND / 4);
        outcomes = pair.b.outcomes();
    }
    assert_eq!(outcomes, [unavailable(1)]);
    // And back; what was queued somewhere arrives.
    for message in late {
        pair.a.post(pair.now, message);
    }
    assert!(
        pair.a.started.is_empty(),
        "the host may have written through the other path meanwhile"
    );
}

/// The door goes: the outcome of a write waits until the owner would refuse it, anything else ends at once.
#[test]
fn the_outcome_waits_for_the_end_of_the_write() {
    let mut pair = owned();
    pair.pass(3 * SECOND);
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    pair.b.read(pair.now, 2, 512);
    let on_the_way = pair.b.sent();
    let began = pair.now;
    pair.b.engine.door_removed(pair.now, 1);
    pair.b.perform(pair.now);
    assert_eq!(pair.b.outcomes(), [unavailable(2)]);
    let mut outcomes = Vec::new();
    while outcomes.is_empty() && pair.now < began + 60 * SECOND {
        pair.now += SECOND / 4;
        // Whenever it arrives, it happens before the host hears of it, or not at all.
        pair.b.tick(pair.now);
        pair.a.tick(pair.now);
        outcomes = pair.b.outcomes();
    }
    assert_eq!(outcomes, [unavailable(1)]);
    assert!(pair.now - began >= pair.b.engine.config.write_life - 2 * SECOND);
    pair.a.bodies();
    for message in on_the_way {
        pair.a.post(pair.now, message);
    }
    assert!(pair.a.started.iter().all(|started| started.cdb[0] != 0x2a));
}

#[test]
fn a_write_without_answer_is_aborted_at_the_owner_first() {
    let mut pair = owned();
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    pair.settle();
    assert_eq!(pair.a.started.len(), 1);
    pair.pass(pair.b.engine.config.command + SECOND);
    // The owner was asked, and has not answered yet.
    assert_eq!(pair.a.managed.len(), 1);
    assert_eq!(pair.b.outcomes(), []);
    let id = pair.a.managed[0].id;
    pair.a.engine.managed(pair.now, id, TmResponse::Complete);
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), [(1, Outcome::status(ScsiStatus::TaskAborted))]);
}

#[test]
fn a_lost_piece_means_that_nothing_is_written() {
    let mut pair = owned();
    let data = pattern(1 << 20);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    for message in pair.b.sent() {
        pair.a.post(pair.now, message);
    }
    for message in pair.a.sent() {
        pair.b.post(pair.now, message);
    }
    // One does not get through the door.
    let lost = pair.b.sent().remove(1);
    pair.b.engine.send_failed(pair.now, &lost, Fate::Unknown);
    pair.b.perform(pair.now);
    pair.settle();
    assert!(pair.a.started.is_empty() && pair.a.engine.active.is_idle());
    let id = pair.a.managed[0].id;
    pair.a.engine.managed(pair.now, id, TmResponse::NoSuchTask);
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), [(1, Outcome::status(ScsiStatus::TaskAborted))]);
}

#[test]
fn data_that_never_comes_is_given_up() {
    let mut pair = owned();
    let data = pattern(1 << 20);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    for message in pair.b.sent() {
        pair.a.post(pair.now, message);
    }
    assert!(!pair.a.engine.active.is_idle());
    pair.pass_cut(pair.a.engine.config.command + SECOND);
    assert!(pair.a.started.is_empty() && pair.a.engine.active.is_idle());
}

/// Bounded: what is more is refused, and the host tries again.
#[test]
fn collected_data_is_bounded() {
    let mut pair = owned();
    pair.a.engine.config.collecting = 3 << 20;
    let data = pattern(1 << 20);
    for tag in 0..5 {
        pair.b.forward(pair.now, tag, &WRITE, length(&data), &data);
    }
    for message in pair.b.sent() {
        pair.a.post(pair.now, message);
    }
    pair.settle();
    assert_eq!(pair.a.started.len(), 3);
    let refused: Vec<_> = (3..5).map(|tag| (tag, Outcome::status(ScsiStatus::Busy))).collect();
    assert_eq!(pair.b.outcomes(), refused);
}

/// A write under an old generation, a write to somebody who does not know its LU.
#[test]
fn a_moved_lu_is_not_written() {
    let mut pair = owned();
    let data = pattern(1 << 20);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    for message in pair.b.sent() {
        pair.a.post(pair.now, message);
    }
    // It goes away and comes back while its data is collected.
    pair.a.engine.announce(pair.now, register(6));
    pair.a.perform(pair.now);
    pair.settle();
    assert!(pair.a.started.is_empty());
    assert_eq!(pair.b.outcomes(), [busy(1, 1 << 20)]);
}

/// The daemon was killed between sending the write on and answering the door: whether the peer has it nobody knows. (A host
/// was told at once that the path is gone, wrote through the other one, and then the first copy arrived.)
#[test]
fn a_door_that_ends_in_the_middle_of_a_call_says_nothing() {
    for sent_on in [true, false] {
        let mut pair = owned();
        let data = pattern(512);
        pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
        pair.b.read(pair.now, 2, 512);
        let carried = pair.b.sent();
        for message in &carried {
            pair.b.engine.send_failed(pair.now, message, Fate::Unknown);
        }
        pair.b.engine.door_removed(pair.now, 1);
        pair.b.perform(pair.now);
        assert_eq!(pair.b.outcomes(), [unavailable(2)], "of the write nothing yet");
        let sent = pair.now;
        let mut outcomes = Vec::new();
        while outcomes.is_empty() && pair.now < sent + 60 * SECOND {
            pair.now += SECOND / 4;
            pair.b.tick(pair.now);
            pair.a.tick(pair.now);
            outcomes = pair.b.outcomes();
        }
        assert_eq!(outcomes, [unavailable(1)]);
        // It comes at last, or never came.
        for message in carried.into_iter().filter(|_| sent_on) {
            pair.a.post(pair.now, message);
        }
        assert!(pair.a.started.iter().all(|started| started.cdb[0] != 0x2a));
    }
}

#[test]
fn what_the_door_never_had_ends_at_once() {
    let mut pair = owned();
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    let kept = pair.b.sent().remove(0);
    pair.b.engine.send_failed(pair.now, &kept, Fate::Kept);
    pair.b.perform(pair.now);
    assert_eq!(pair.b.outcomes(), [unavailable(1)]);
}

/// Its outcome waits for the answer, or for the end of the write's life; a lost abort is repeated.
#[test]
fn an_abort_that_fails_ends_no_write() {
    let mut pair = owned();
    pair.pass(2 * SECOND);
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    let write = pair.b.sent();
    pair.b.engine.abort(pair.now, 7, 1);
    pair.b.perform(pair.now);
    let abort = pair.b.sent().remove(0);
    pair.b.engine.send_failed(pair.now, &abort, Fate::Unknown);
    pair.b.perform(pair.now);
    assert_eq!(pair.b.outcomes(), []);
    // The peer cannot do it either.
    pair.b.engine.abort(pair.now, 7, 1);
    pair.b.perform(pair.now);
    let abort = pair.b.sent().remove(0);
    let refusal = Body::Status {
        of_type: 4,
        of_id: abort.id,
        status: 0,
        full: Some(codes::BUSY),
    };
    pair.b.post(pair.now, Message::new(abort.id, refusal));
    assert_eq!(pair.b.outcomes(), []);
    pair.pass(pair.b.engine.config.write_life + SECOND);
    assert_eq!(pair.b.outcomes(), [(1, Outcome::status(ScsiStatus::TaskAborted))]);
    for message in write {
        pair.a.post(pair.now, message);
    }
    assert!(pair.a.started.is_empty());
}

#[test]
fn an_abort_is_repeated_until_it_is_answered() {
    let mut pair = owned();
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    pair.settle();
    pair.b.engine.abort(pair.now, 7, 1);
    pair.b.perform(pair.now);
    pair.b.to_peer.clear();
    assert!(pair.a.managed.is_empty(), "lost");
    pair.pass(pair.b.engine.config.management + SECOND);
    assert_eq!((pair.a.managed.len(), pair.b.outcomes()), (1, vec![]));
    let id = pair.a.managed[0].id;
    pair.a.engine.managed(pair.now, id, TmResponse::Complete);
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), [(1, Outcome::status(ScsiStatus::TaskAborted))]);
}

/// Hazard H17: the answer says that the task is gone, so it must not come afterwards.
#[test]
fn a_write_that_its_own_abort_has_overtaken_does_not_happen() {
    let mut pair = owned();
    let data = pattern(512);
    pair.b.forward(pair.now, 1, &WRITE, length(&data), &data);
    let write = pair.b.sent();
    pair.b.engine.abort(pair.now, 7, 1);
    pair.b.perform(pair.now);
    pair.settle();
    let id = pair.a.managed[0].id;
    pair.a.engine.managed(pair.now, id, TmResponse::NoSuchTask);
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(pair.b.outcomes(), [(1, Outcome::status(ScsiStatus::TaskAborted))]);
    for message in write {
        pair.a.post(pair.now, message);
    }
    assert!(pair.a.started.is_empty());
}
