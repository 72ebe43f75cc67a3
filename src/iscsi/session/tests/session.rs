//! Order, window, login, timers, and whatever an initiator may send.

use super::*;

#[test]
fn numbers_outside_the_window_are_ignored_without_a_trace() {
    let mut pair = Pair::normal();
    for number in [CMD_SN.wrapping_sub(1), CMD_SN.wrapping_add(WINDOW)] {
        let mut header = command(9, 0xc0, 512);
        header.set_word::<24>(number);
        pair.send(header, &[]);
        assert!(pair.actions.is_empty() && pair.answers().is_empty());
    }
    pair.read(9, 512);
    assert_eq!(pair.start().itt, 9);
}

#[test]
fn commands_behind_a_gap_wait_and_keep_their_unsolicited_data() {
    let mut pair = Pair::normal();
    pair.cmd_sn = CMD_SN.wrapping_add(1);
    pair.write(2, 1024, &bytes(512), false);
    pair.data_out(2, NO_TAG, 0, 512, true, &bytes(1024)[512..]);
    assert!(pair.actions.is_empty());
    pair.cmd_sn = CMD_SN;
    pair.read(1, 512);
    assert_eq!((pair.start().itt, pair.start().itt), (1, 2));
    pair.ready(2, 1024);
    assert_eq!(pair.executed(), (2, bytes(1024)));
}

#[test]
fn a_tag_in_use_is_rejected_and_consumes_no_number() {
    let mut pair = Pair::normal();
    pair.read(5, 512);
    pair.read(5, 512);
    let reject = pair.answer();
    assert_eq!(
        (reject.header.opcode(), reject.header.0[2], reject.data.len()),
        (opcode::REJECT, 7, HEADER)
    );
    pair.cmd_sn = CMD_SN.wrapping_add(1);
    pair.read(6, 512);
    assert_eq!((pair.start().itt, pair.start().itt), (5, 6));
}

#[test]
fn the_window_closes_under_load_and_opens_again() {
    let mut pair = Pair::normal();
    for itt in 0..WINDOW {
        pair.read(itt, 0);
    }
    assert_eq!(pair.actions.len(), WINDOW as usize);
    pair.read(WINDOW, 0);
    assert_eq!(pair.actions.len(), WINDOW as usize, "beyond MaxCmdSN");
    pair.finish(0, Outcome::good());
    let answer = pair.answer().header;
    assert_eq!(
        answer.word::<32>().wrapping_sub(answer.word::<28>()),
        0,
        "one more command may be sent"
    );
}

#[test]
fn nine_immediate_commands_are_one_too_many() {
    let mut pair = Pair::normal();
    for itt in 0..9 {
        let mut header = command(itt, 0xc0, 0);
        header.0[0] |= 0x40;
        header.set_word::<24>(CMD_SN);
        pair.send(header, &[]);
    }
    assert_eq!(pair.actions.len(), 8);
    let reject = pair.answer().header;
    assert_eq!((reject.0[2], reject.word::<28>()), (6, CMD_SN));
}

#[test]
fn a_login_that_takes_too_long_is_dropped() {
    let now = Instant::now();
    let mut session = Session::new(1, "127.0.0.1:1".parse().unwrap(), Arc::new(Targets(0)), pool(), now);
    session.tick(now + LOGIN_TIME + Duration::from_secs(1));
    assert!(matches!(session.fate(1).unwrap(), Fate::Closed(_)));
}

#[test]
fn requests_before_login_drop_the_connection() {
    let mut session = Session::new(
        1,
        "127.0.0.1:1".parse().unwrap(),
        Arc::new(Targets(0)),
        pool(),
        Instant::now(),
    );
    session.receive(1, &nop(1).0, Instant::now());
    assert!(matches!(session.fate(1).unwrap(), Fate::Closed(_)));
}

#[test]
fn a_refused_session_ends_the_login() {
    let now = Instant::now();
    let mut session = Session::new(1, "127.0.0.1:1".parse().unwrap(), Arc::new(Targets(0)), pool(), now);
    let mut text = Vec::new();
    crate::iscsi::text::push(&mut text, "InitiatorName", "iqn.2026-11.example:host");
    crate::iscsi::text::push(&mut text, "TargetName", "iqn.2026-11.example:0");
    let mut login = Header::new(opcode::LOGIN | 0x40);
    login.0[1] = 0x87;
    let mut out = Output::default();
    out.push(login, text);
    session.receive(1, &out.to_bytes(), now);
    session.established(Err(LoginStatus::UNAVAILABLE));
    let bytes = session.output(1).unwrap().to_bytes();
    assert_eq!((bytes[36], bytes[37]), (3, 1));
    assert_eq!(*session.fate(1).unwrap(), Fate::Drain);
}

#[test]
fn unknown_and_unsupported_requests_are_rejected() {
    for (op, reason) in [(0x1cu8, 5u8), (opcode::SNACK, 3), (opcode::NOP_IN, 5)] {
        let mut pair = Pair::normal();
        let mut header = Header::new(op);
        header.set_word::<16>(4);
        pair.send(header, &[]);
        let reject = pair.answer();
        assert_eq!((reject.header.opcode(), reject.header.0[2]), (opcode::REJECT, reason));
        assert_eq!(reject.data[..], header.0);
        assert_eq!(*pair.session.fate(1).unwrap(), Fate::Open);
    }
}

#[test]
fn digests_begin_after_the_login() {
    let mut pair = Pair::new(1, "Normal", &[("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")]);
    let mut out = Output::default();
    out.configure(true, true);
    let mut header = nop(3);
    header.set_word::<24>(CMD_SN);
    out.push(header, b"ping".to_vec());
    pair.session.receive(1, &out.to_bytes(), pair.now);
    let bytes = pair.session.output(1).unwrap().to_bytes();
    assert_eq!(bytes.len(), HEADER + 4 + 4 + 4);
    assert_eq!(
        bytes[HEADER..HEADER + 4],
        crc32c::crc32c(&bytes[..HEADER]).to_le_bytes()
    );
    assert_eq!(bytes[HEADER + 8..], crc32c::crc32c(b"ping").to_le_bytes());
}

proptest! {
    /// Any PDUs in full feature phase, with a unit that answers at random: no panic, and the budgets hold.
    #[test]
    fn no_pdu_panics_or_grows_without_bound(pdus in proptest::collection::vec(
        (prop::sample::select(vec![0u8, 1, 1, 1, 2, 4, 5, 5, 5, 6, 0x10, 0x1c]), any::<u8>(), 0u32..6, 0u32..4, 0u32..6,
         proptest::array::uniform4(0u32..3000), 0usize..600, 0u8..4), 1..60)) {
        let mut pair = Pair::normal();
        for (op, flags, itt, ttt, sn, words, length, choice) in pdus {
            let mut header = Header::new(op);
            header.0[1] = flags;
            header.set_word::<16>(itt).set_word::<24>(CMD_SN.wrapping_add(sn));
            header.set_word::<20>(match ttt { 0 => NO_TAG, 1 => words[0], n => n });
            header.set_word::<36>(words[1] % 3).set_word::<40>(words[2] % 1024);
            pair.send(header, &bytes(length));
            while !pair.actions.is_empty() {
                match pair.actions.remove(0) {
                    Action::Start(command) if choice == 0 => pair.finish(command.itt, Outcome::good()),
                    Action::Start(command) => pair.ready(command.itt, words[3].min(command.expected.length)),
                    Action::Execute { itt, .. } if choice < 3 => pair.finish(itt, Outcome::data_in(bytes(700))),
                    Action::Manage { itt, .. } => pair.session.managed(itt, TmResponse::Complete),
                    _ => {}
                }
            }
            prop_assert!(pair.session.tasks.len() <= WINDOW as usize + IMMEDIATE_MAX);
            prop_assert!(pair.session.output(1).unwrap().len() < 1 << 20);
        }
    }
}
