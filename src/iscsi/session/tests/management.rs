//! Task management and logout.

use super::*;

#[test]
fn abort_of_an_executing_task_answers_when_it_is_gone_and_withholds_its_response() {
    let mut pair = Pair::normal();
    pair.write(5, 512, &bytes(512), true);
    pair.start();
    pair.ready(5, 512);
    pair.executed();
    pair.numbered(manage(1, 6, 5, CMD_SN), &[]);
    assert!(matches!(
        pair.actions[..],
        [Action::Manage {
            itt: 6,
            function: TmFunction::AbortTask,
            referenced: 5,
            ..
        }]
    ));
    assert!(pair.answers().is_empty());
    pair.finish(5, Outcome::data_out(512));
    assert!(pair.answers().is_empty());
    pair.session.managed(6, TmResponse::NoSuchTask);
    assert_eq!(pair.answer().header.0[2], 0);
}

#[test]
fn a_task_aborted_by_another_nexus_is_not_answered() {
    let mut pair = Pair::normal();
    pair.read(5, 512);
    pair.session.aborted(5);
    assert!(pair.answers().is_empty());
    pair.read(5, 512);
    assert!(pair.answers().is_empty(), "the tag is free again");
}

#[test]
fn abort_of_a_finished_task_says_no_such_task() {
    let mut pair = Pair::normal();
    pair.read(5, 0);
    pair.start();
    pair.finish(5, Outcome::good());
    pair.answers();
    pair.numbered(manage(1, 6, 5, CMD_SN), &[]);
    assert_eq!(pair.answer().header.0[2], 1);
}

#[test]
fn abort_of_a_command_that_has_not_arrived_takes_its_number() {
    let mut pair = Pair::normal();
    let mut header = manage(1, 6, 5, CMD_SN);
    header.0[0] |= 0x40;
    header.set_word::<24>(CMD_SN.wrapping_add(1));
    pair.send(header, &[]);
    assert_eq!(pair.answer().header.0[2], 0);
    pair.read(5, 512);
    assert!(pair.actions.is_empty(), "the late command is ignored");
    pair.read(6, 512);
    assert_eq!(pair.start().itt, 6);
}

#[test]
fn a_lun_reset_covers_what_executes_collects_and_waits() {
    let mut pair = Pair::new(1, "Normal", &[]);
    pair.read(1, 512);
    pair.write(2, 512, &[], true);
    pair.start();
    pair.start();
    pair.ready(1, 0);
    pair.executed();
    pair.ready(2, 512);
    pair.cmd_sn = pair.cmd_sn.wrapping_add(1);
    pair.read(3, 512);
    pair.answers();
    let mut header = manage(5, 9, NO_TAG, 0);
    header.0[0] |= 0x40;
    header.set_word::<24>(pair.cmd_sn);
    pair.send(header, &[]);
    assert!(matches!(
        pair.actions[..],
        [
            Action::Abandon { itt: 2 },
            Action::Manage {
                function: TmFunction::LunReset,
                ..
            }
        ]
    ));
    pair.finish(1, Outcome::status(ScsiStatus::TaskAborted));
    pair.session.managed(9, TmResponse::Complete);
    assert_eq!(pair.answer().header.0[2], 0);
    // The number of the command that was dropped behind the gap counts as received once the gap is filled.
    pair.cmd_sn = CMD_SN.wrapping_add(2);
    pair.numbered(nop(4), b"");
    pair.answers();
    pair.cmd_sn = CMD_SN.wrapping_add(4);
    pair.numbered(nop(5), b"");
    assert_eq!(pair.answer().header.word::<28>(), CMD_SN.wrapping_add(5));
}

#[test]
fn responses_of_task_management() {
    for (function, code) in [(3u8, 5u8), (8, 4), (9, 5)] {
        let mut pair = Pair::normal();
        pair.numbered(manage(function, 6, 5, 0), &[]);
        assert_eq!(pair.answer().header.0[2], code);
    }
    for (response, code) in [
        (TmResponse::Complete, 0u8),
        (TmResponse::NoSuchLun, 2),
        (TmResponse::NotSupported, 5),
        (TmResponse::Rejected, 255),
    ] {
        let mut pair = Pair::normal();
        pair.numbered(manage(2, 6, 5, 0), &[]);
        pair.session.managed(6, response);
        assert_eq!(pair.answer().header.0[2], code);
    }
}

fn logout(reason: u8, cid: u16) -> Header {
    let mut header = Header::new(opcode::LOGOUT);
    header.0[1] |= reason;
    header.set_word::<16>(8).set_half::<20>(cid);
    header
}

#[test]
fn logout_waits_for_the_tasks_and_closes() {
    let mut pair = Pair::normal();
    pair.read(5, 512);
    pair.start();
    pair.ready(5, 0);
    pair.executed();
    pair.numbered(logout(0, 0), &[]);
    assert!(matches!(pair.actions[..], [Action::Abort { itt: 5 }]));
    assert!(pair.answers().is_empty());
    pair.finish(5, Outcome::status(ScsiStatus::TaskAborted));
    let answer = pair.answer().header;
    assert_eq!((answer.opcode(), answer.0[2]), (opcode::LOGOUT_RESPONSE, 0));
    assert_eq!(*pair.session.fate(1).unwrap(), Fate::Drain);
}

#[test]
fn logout_reasons() {
    for (reason, cid, code, closes) in [(0, 0, 0, true), (1, 0, 0, true), (1, 4, 1, false), (2, 0, 2, false)] {
        let mut pair = Pair::normal();
        pair.numbered(logout(reason, cid), &[]);
        assert_eq!(pair.answer().header.0[2], code);
        assert_eq!(*pair.session.fate(1).unwrap() == Fate::Drain, closes);
    }
    let mut pair = Pair::normal();
    pair.numbered(logout(3, 0), &[]);
    assert_eq!(
        (pair.session.fate(1).unwrap().clone(), pair.answer().header.0[2]),
        (Fate::Open, 9)
    );
}

#[test]
fn the_initiator_is_asked_to_log_out_and_dropped_when_it_does_not() {
    let mut pair = Pair::normal();
    pair.session.request_logout(pair.now);
    let header = pair.answer().header;
    assert_eq!(
        (header.opcode(), header.0[36], header.half::<42>()),
        (opcode::ASYNC_MESSAGE, 1, 20)
    );
    pair.now += LOGOUT_TIME + REFUSE_TIME + Duration::from_secs(1);
    pair.session.tick(pair.now);
    let header = pair.answers().pop().unwrap().header;
    assert_eq!(
        (header.opcode(), header.0[36], header.half::<40>()),
        (opcode::ASYNC_MESSAGE, 3, 2)
    );
    assert_eq!(*pair.session.fate(1).unwrap(), Fate::Drain);
}
