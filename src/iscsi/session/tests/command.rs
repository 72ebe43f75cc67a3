//! SCSI commands and their data.

use super::*;
use crate::iscsi::session::memory::{READ_BUDGET, SHARE_MIN, WRITE_BUDGET};

#[test]
fn a_read_comes_back_in_segments_with_the_status_in_the_last() {
    let mut pair = Pair::normal();
    pair.read(5, 4096);
    assert_eq!(pair.start().itt, 5);
    pair.ready(5, 0);
    assert_eq!(pair.executed(), (5, Vec::new()));
    pair.finish(5, Outcome::data_in(bytes(2500)));
    let answers = pair.answers();
    assert_eq!(
        answers.iter().map(|pdu| pdu.header.word::<40>()).collect::<Vec<_>>(),
        [0, 1024, 2048]
    );
    assert_eq!(
        answers.iter().map(|pdu| pdu.header.word::<36>()).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!(
        answers.iter().flat_map(|pdu| pdu.data.clone()).collect::<Vec<_>>(),
        bytes(2500)
    );
    let last = answers[2].header;
    // F, U and S; residual; StatSN consumed once.
    assert_eq!(
        (last.0[1], last.word::<44>(), last.word::<24>()),
        (0x83, 4096 - 2500, 2)
    );
    pair.numbered(nop(6), b"");
    assert_eq!(pair.answer().header.word::<24>(), 3);
}

#[test]
fn data_in_sequences_end_at_the_burst_length() {
    let mut pair = Pair::new(
        1,
        "Normal",
        &[("MaxBurstLength", "2048"), ("MaxRecvDataSegmentLength", "1536")],
    );
    pair.read(5, 4096);
    pair.ready(5, 0);
    pair.finish(5, Outcome::data_in(bytes(4096)));
    let shape: Vec<_> = pair
        .answers()
        .iter()
        .map(|pdu| (pdu.header.word::<40>(), pdu.data.len(), pdu.header.is_final()))
        .collect();
    assert_eq!(
        shape,
        [
            (0, 1536, false),
            (1536, 512, true),
            (2048, 1536, false),
            (3584, 512, true)
        ]
    );
}

#[test]
fn residuals_follow_the_rule() {
    for (edtl, data, implied, flag, residual) in [
        (0u32, 512usize, 512u64, 0x04u8, 512u32),
        (200, 512, 512, 0x04, 312),
        (10000, 512, 512, 0x02, 9488),
        (512, 512, 512, 0, 0),
    ] {
        let mut pair = Pair::normal();
        pair.read(5, edtl);
        pair.ready(5, 0);
        pair.finish(
            5,
            Outcome {
                implied,
                ..Outcome::data_in(bytes(data))
            },
        );
        let answers = pair.answers();
        let last = answers.last().unwrap();
        assert_eq!(
            answers.iter().map(|pdu| pdu.data.len()).sum::<usize>(),
            data.min(edtl as usize)
        );
        assert_eq!(
            (last.header.0[1] & 0x06, last.header.word::<44>()),
            (flag, residual),
            "EDTL {edtl}"
        );
    }
}

#[test]
fn a_read_with_the_write_flag_is_good_and_moves_nothing() {
    let mut pair = Pair::normal();
    pair.write(5, 512, &bytes(512), true);
    pair.start();
    pair.ready(5, 0);
    assert_eq!(pair.executed(), (5, Vec::new()));
    pair.finish(5, Outcome::data_in(bytes(512)));
    let answer = pair.answer();
    assert_eq!(
        (answer.header.opcode(), answer.header.0[3], answer.data.len()),
        (opcode::SCSI_RESPONSE, 0, 0)
    );
}

#[test]
fn check_condition_carries_its_sense() {
    let mut pair = Pair::normal();
    pair.read(5, 512);
    pair.finish(5, Outcome::check(Sense::LBA_OUT_OF_RANGE));
    let answer = pair.answer();
    assert_eq!(answer.header.0[3], ScsiStatus::CheckCondition as u8);
    assert_eq!(
        (answer.data.len(), &answer.data[..2], answer.data[2]),
        (20, &[0, 18][..], 0x70)
    );
    assert_eq!((answer.header.0[1] & 0x06, answer.header.word::<44>()), (0x02, 512));
}

#[test]
fn immediate_unsolicited_and_solicited_data_arrive_as_one() {
    let mut pair = Pair::new(
        1,
        "Normal",
        &[
            ("InitialR2T", "No"),
            ("FirstBurstLength", "2048"),
            ("MaxBurstLength", "2048"),
        ],
    );
    let data = bytes(6000);
    pair.write(5, 6000, &data[..512], false);
    pair.start();
    pair.ready(5, 6000);
    pair.data_out(5, NO_TAG, 0, 512, false, &data[512..1024]);
    assert!(pair.answers().is_empty());
    pair.data_out(5, NO_TAG, 1, 1024, true, &data[1024..2048]);
    for (number, start, end) in [(0, 2048usize, 4096usize), (1, 4096, 6000)] {
        let r2t = pair.answer().header;
        assert_eq!(
            (r2t.opcode(), r2t.word::<36>(), r2t.word::<40>() as usize),
            (opcode::R2T, number, start)
        );
        assert_eq!(r2t.word::<44>() as usize, end - start);
        let middle = start + 1000;
        pair.data_out(5, r2t.ttt(), 0, start as u32, false, &data[start..middle]);
        pair.data_out(5, r2t.ttt(), 1, middle as u32, true, &data[middle..end]);
    }
    assert_eq!(pair.executed(), (5, data));
    pair.finish(5, Outcome::data_out(6000));
    let answer = pair.answer().header;
    assert_eq!(
        (answer.opcode(), answer.0[1], answer.word::<36>()),
        (opcode::SCSI_RESPONSE, 0x80, 2)
    );
}

#[test]
fn a_write_whose_data_does_not_come_is_ended_in_time() {
    let mut pair = Pair::normal();
    pair.write(5, 4096, &[], true);
    pair.start();
    pair.ready(5, 4096);
    let r2t = pair.answer().header;
    let pass = |pair: &mut Pair| {
        pair.session.tick(pair.now);
        pair.now += Duration::from_secs(25);
        pair.numbered(nop(6), b"");
        assert_eq!(pair.answers().len(), 1, "the connection lives, and so does the command");
    };
    (0..2).for_each(|_| pass(&mut pair));
    pair.data_out(5, r2t.ttt(), 0, 0, false, &bytes(512));
    (0..4).for_each(|_| pass(&mut pair));
    pair.session.tick(pair.now);
    pair.pump();
    assert!(matches!(pair.actions[..], [Action::Abandon { itt: 5 }]));
    let answer = pair.answer();
    assert_eq!((answer.header.opcode(), answer.header.0[3]), (opcode::SCSI_RESPONSE, 2));
    assert_eq!((answer.data[4], &answer.data[14..16]), (0x0b, &[0x4b, 0x06][..]));
    assert_eq!(
        (answer.header.0[1] & 0x06, answer.header.word::<44>()),
        (0x02, 3584),
        "what did not come"
    );
    pair.data_out(5, r2t.ttt(), 1, 512, true, &bytes(3584));
    assert!(pair.answers().is_empty() && !pair.closed());
}

/// Bytes of several PDUs, as they may come in one receive.
fn joined(pdus: &[(Header, &[u8])]) -> Vec<u8> {
    let mut out = Output::default();
    for (header, data) in pdus {
        out.push(*header, data.to_vec());
    }
    out.to_bytes()
}

#[test]
fn data_that_comes_together_with_its_command_is_not_lost() {
    let mut pair = Pair::normal();
    let data = bytes(1024);
    let mut write = command(5, 0x20, 1024);
    write.set_word::<24>(CMD_SN);
    let mut out = Header::new(opcode::DATA_OUT);
    out.set_word::<16>(5).set_word::<20>(NO_TAG).set_word::<40>(512);
    let now = pair.now;
    pair.session
        .receive(1, &joined(&[(write, &data[..512]), (out, &data[512..])]), now);
    pair.pump();
    pair.start();
    pair.ready(5, 1024);
    assert_eq!(pair.executed(), (5, data));
}

#[test]
fn a_command_aborted_before_it_was_started_is_not_executed() {
    let mut pair = Pair::normal();
    let mut write = command(5, 0xa0, 512);
    write.set_word::<24>(CMD_SN);
    let mut abort = manage(1, 6, 5, CMD_SN);
    abort.set_word::<24>(CMD_SN.wrapping_add(1));
    let now = pair.now;
    pair.session
        .receive(1, &joined(&[(write, &bytes(512)), (abort, b"")]), now);
    pair.pump();
    pair.start();
    pair.ready(5, 512);
    assert!(matches!(
        pair.actions[..],
        [Action::Manage { .. }, Action::Abandon { itt: 5 }]
    ));
    pair.session.managed(6, TmResponse::NoSuchTask);
    assert_eq!(pair.answer().header.0[2], 0);
}

#[test]
fn the_data_of_a_write_in_parts_are_solicited_part_by_part() {
    let mut pair = Pair::new(1, "Normal", &[("MaxBurstLength", "4096")]);
    let data = bytes(6000);
    pair.write(5, 6000, &data[..512], true);
    pair.start();
    pair.ready(5, 4000);
    for (number, start, end) in [(0, 512usize, 4000usize), (1, 4000, 6000)] {
        let r2t = pair.answer().header;
        assert_eq!(
            (r2t.word::<36>(), r2t.word::<40>() as usize, r2t.word::<44>() as usize),
            (number, start, end - start)
        );
        pair.data_out(5, r2t.ttt(), 0, start as u32, true, &data[start..end]);
        let part = if number == 0 { &data[..end] } else { &data[start..] };
        assert_eq!(pair.executed(), (5, part.to_vec()));
        assert!(pair.answers().is_empty(), "nothing beyond the part is asked for");
        if number == 0 {
            pair.part(5, Vec::new(), 2000);
        }
    }
    pair.finish(5, Outcome::data_out(6000));
    let answer = pair.answer().header;
    assert_eq!((answer.0[1], answer.word::<36>(), answer.word::<44>()), (0x80, 2, 0));
}

#[test]
fn a_read_in_parts_is_one_sequence_and_waits_for_its_reader() {
    let mut pair = Pair::normal();
    let large = usize::try_from(READ_BUDGET).unwrap();
    pair.read(5, u32::try_from(large + 3000).unwrap());
    pair.start();
    pair.ready(5, 0);
    assert_eq!(pair.executed(), (5, Vec::new()));
    pair.part(5, bytes(1500), 0);
    assert_eq!(pair.executed(), (5, Vec::new()), "there is room for more");
    pair.part(5, vec![1; large], 0);
    assert!(pair.actions.is_empty(), "there is none");
    let first = pair.answers();
    assert_eq!(pair.executed(), (5, Vec::new()));
    pair.finish(
        5,
        Outcome {
            implied: large as u64 + 3000,
            ..Outcome::data_in(bytes(1500))
        },
    );
    let last = pair.answers();
    let all: Vec<_> = first.iter().chain(&last).collect();
    let mut offset = 0;
    for (number, pdu) in all.iter().enumerate() {
        assert_eq!(
            (pdu.header.opcode(), pdu.header.word::<36>() as usize),
            (opcode::DATA_IN, number)
        );
        assert_eq!(pdu.header.word::<40>() as usize, offset);
        offset += pdu.data.len();
        let status = pdu.header.0[1] & 1 != 0;
        assert_eq!(status, number + 1 == all.len());
    }
    assert_eq!(offset, large + 3000);
    assert_eq!(all.last().unwrap().header.0[1] & 0x06, 0, "no residual");
}

#[test]
fn a_command_in_parts_that_is_aborted_between_two_goes_no_further() {
    let mut pair = Pair::normal();
    let large = usize::try_from(READ_BUDGET).unwrap();
    pair.read(5, u32::try_from(large * 2).unwrap());
    pair.start();
    pair.ready(5, 0);
    pair.executed();
    pair.part(5, vec![1; large], 0);
    pair.numbered(manage(1, 6, 5, CMD_SN), &[]);
    assert!(matches!(pair.actions[..], [Action::Abandon { itt: 5 }]));
    pair.actions.clear();
    let last = pair.answers().pop().unwrap();
    assert_eq!(
        (last.header.opcode(), last.header.0[2]),
        (opcode::TASK_MANAGEMENT_RESPONSE, 0)
    );
    // In the middle of a part.
    pair.read(7, u32::try_from(large * 2).unwrap());
    pair.start();
    pair.ready(7, 0);
    pair.executed();
    pair.numbered(manage(1, 8, 7, CMD_SN.wrapping_add(2)), &[]);
    assert!(matches!(pair.actions.remove(0), Action::Manage { referenced: 7, .. }));
    pair.part(7, vec![1; 512], 0);
    assert!(matches!(pair.actions[..], [Action::Abandon { itt: 7 }]));
    assert!(pair.answers().is_empty());
}

#[test]
fn several_bursts_are_solicited_at_once_when_negotiated() {
    let mut pair = Pair::new(1, "Normal", &[("MaxOutstandingR2T", "2"), ("MaxBurstLength", "1024")]);
    pair.write(5, 4096, &[], true);
    pair.ready(5, 4096);
    assert_eq!(pair.answers().len(), 2);
}

#[test]
fn data_the_unit_does_not_need_is_not_solicited() {
    let mut pair = Pair::normal();
    pair.write(5, 10_000, &bytes(1000), true);
    pair.start();
    pair.ready(5, 512);
    assert_eq!(pair.executed(), (5, bytes(512)));
    pair.finish(5, Outcome::data_out(512));
    let answer = pair.answer().header;
    assert_eq!((answer.0[1] & 0x06, answer.word::<44>()), (0x02, 10_000 - 512));
}

/// The only answer is CHECK CONDITION 0B/47/05, and nothing is executed.
fn fails_unexecuted(pair: &mut Pair, itt: u32) {
    assert!(matches!(pair.actions[..], [Action::Abandon { itt: abandoned }] if abandoned == itt));
    let answer = pair.answer();
    assert_eq!(
        (answer.header.itt(), answer.header.0[3]),
        (itt, ScsiStatus::CheckCondition as u8)
    );
    assert_eq!((answer.data[4], answer.data[14], answer.data[15]), (0x0b, 0x47, 0x05));
    assert_eq!(*pair.session.fate(1).unwrap(), Fate::Open);
    pair.actions.clear();
    pair.read(99, 512);
    assert_eq!(pair.start().itt, 99);
}

#[test]
fn wrong_data_sequences_fail_the_command_and_execute_nothing() {
    // DataSN, offset, length, final of one Data-Out of a burst of 1024 bytes.
    for (sn, offset, length, last) in [
        (27u32, 0u32, 512usize, false),
        (u32::MAX, 0, 512, false),
        (1, 0, 1024, true),
        (0, 512, 512, true),
        (0, 0, 512, true),
        (0, 0, 1024, false),
        (0, 0, 1536, true),
        (0, u32::MAX, 512, true),
    ] {
        let mut pair = Pair::new(1, "Normal", &[]);
        pair.write(5, 1024, &[], true);
        pair.start();
        pair.ready(5, 1024);
        let ttt = pair.answer().header.ttt();
        pair.data_out(5, ttt, sn, offset, last, &bytes(length));
        if !last {
            assert!(pair.answers().is_empty(), "the sequence has not ended");
            pair.data_out(5, ttt, 1, 512, true, &bytes(512));
        }
        fails_unexecuted(&mut pair, 5);
    }
}

#[test]
fn a_repeated_data_sn_is_found() {
    let mut pair = Pair::normal();
    pair.write(5, 1024, &[], false);
    pair.start();
    pair.ready(5, 1024);
    pair.data_out(5, NO_TAG, 0, 0, false, &bytes(512));
    pair.data_out(5, NO_TAG, 0, 512, true, &bytes(512));
    fails_unexecuted(&mut pair, 5);
}

#[test]
fn a_wrong_sequence_before_the_command_is_started_fails_it_too() {
    let mut pair = Pair::normal();
    pair.write(5, 1024, &[], false);
    pair.data_out(5, NO_TAG, 3, 0, true, &bytes(512));
    pair.start();
    pair.ready(5, 1024);
    fails_unexecuted(&mut pair, 5);
}

#[test]
fn data_for_an_aborted_task_is_discarded() {
    let mut pair = Pair::new(1, "Normal", &[]);
    pair.write(5, 1024, &[], true);
    pair.start();
    pair.ready(5, 1024);
    let ttt = pair.answer().header.ttt();
    pair.numbered(manage(1, 6, 5, CMD_SN), &[]);
    assert!(matches!(pair.actions[..], [Action::Abandon { itt: 5 }]));
    assert_eq!(pair.answer().header.0[2], 0);
    pair.data_out(5, ttt, 0, 0, true, &bytes(1024));
    assert_eq!(*pair.session.fate(1).unwrap(), Fate::Open);
    pair.data_out(5, ttt + 1, 0, 0, true, &bytes(1024));
    assert!(pair.closed(), "a transfer tag that was never issued");
}

#[test]
fn more_first_burst_than_negotiated_drops_the_connection() {
    let mut pair = Pair::new(1, "Normal", &[("FirstBurstLength", "512")]);
    pair.write(5, 4096, &bytes(513), true);
    assert!(pair.closed());
    let mut pair = Pair::new(1, "Normal", &[("InitialR2T", "Yes")]);
    pair.write(5, 4096, &[], false);
    assert!(pair.closed());
}

/// `iscsi-target.md` 4.3.
#[test]
fn additional_header_segments_that_are_longer_than_the_header_says_drop_the_connection() {
    for (length, dropped) in [(17u8, false), (18, true)] {
        let mut pair = Pair::normal();
        let mut header = command(5, 0xc0, 512);
        header.set_word::<24>(CMD_SN).set_byte::<4>(5);
        let mut bytes = header.0.to_vec();
        bytes.extend([0, length, 1, 0]);
        bytes.resize(bytes.len() + 16, 0);
        let now = pair.now;
        pair.session.receive(1, &bytes, now);
        pair.pump();
        assert_eq!(pair.closed(), dropped);
        assert_eq!(pair.actions.len(), usize::from(!dropped));
    }
}

#[test]
fn a_slow_reader_is_served_no_more_commands() {
    let mut pair = Pair::normal();
    let length = u32::try_from(READ_BUDGET / 2).unwrap();
    for itt in 1..=4 {
        pair.read(itt, length);
    }
    assert_eq!((pair.start().itt, pair.start().itt), (1, 2));
    assert!(pair.actions.is_empty(), "the data of two reads fills the budget");
    for itt in [1, 2] {
        pair.ready(itt, 0);
        pair.executed();
        pair.finish(itt, Outcome::data_in(bytes(length as usize)));
    }
    assert!(pair.actions.is_empty() && pair.session.paused(1));
    pair.answers();
    assert!(!pair.session.paused(1));
    assert_eq!((pair.start().itt, pair.start().itt), (3, 4));
}

/// What each of many slow readers holds, and all together, whatever they ask for.
#[test]
fn slow_readers_together_hold_what_the_pool_has_for_them() {
    const POOL: u64 = 32 << 20;
    const READ: u32 = 1 << 20;
    let pool = Pool::new(POOL);
    let keys = &[("MaxRecvDataSegmentLength", "262144")];
    let mut pairs: Vec<Pair> = (0..24)
        .map(|_| Pair::of_pool(pool.clone(), 1, "Normal", keys))
        .collect();
    let mut asked = 0;
    for itt in 1..=20 {
        for pair in &mut pairs {
            pair.read(itt, READ);
            asked += u64::from(READ);
            while let Some(action) = pair.actions.pop() {
                match action {
                    Action::Start(command) => pair.ready(command.itt, 0),
                    Action::Execute { itt, .. } => pair.finish(itt, Outcome::data_in(vec![7; READ as usize])),
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    let held = |pair: &Pair| pair.session.output(1).unwrap().len() as u64;
    let (most, all) = (
        pairs.iter().map(held).max().unwrap(),
        pairs.iter().map(held).sum::<u64>(),
    );
    assert!(asked > 400 << 20);
    // A read that has begun ends, with the headers of its PDUs; one more goes beyond the share, while there is room for such.
    let read = u64::from(READ) + 4096;
    assert!(most <= 256 * 1024 + 2 * read, "{most} bytes of one session");
    assert!(
        all <= POOL + pairs.len() as u64 * SHARE_MIN + read,
        "{all} bytes of all"
    );
    for pair in &mut pairs {
        pair.answers();
    }
    assert!(
        pairs.iter().any(|pair| !pair.actions.is_empty()),
        "they are served when they read"
    );
}

#[test]
fn writes_wait_for_memory_and_a_huge_one_goes_alone() {
    let mut pair = Pair::new(1, "Normal", &[]);
    let huge = u32::try_from(WRITE_BUDGET * 2).unwrap();
    for (itt, length) in [(1, huge), (2, 512)] {
        pair.write(itt, length, &[], true);
        pair.start();
        pair.ready(itt, length);
    }
    assert_eq!(pair.answer().header.itt(), 1);
    pair.numbered(manage(1, 6, 1, CMD_SN), &[]);
    let answers = pair.answers();
    assert_eq!((answers[0].header.opcode(), answers[0].header.itt()), (opcode::R2T, 2));
    pair.write(3, WRITE_MAX + 1, &[], true);
    pair.ready(3, WRITE_MAX + 1);
    assert_eq!(pair.answer().header.0[3], ScsiStatus::CheckCondition as u8);
}
