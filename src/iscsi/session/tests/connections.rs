//! Several connections in one session (RFC 7143 4.2.2, 4.2.5.1, 6.3.4, 11.14).

use super::*;

/// A connection whose login names the session.
fn applicant(id: ConnectionId, cid: u16, now: Instant) -> Connection {
    let mut session = Session::new(id, "127.0.0.1:3260".parse().unwrap(), Arc::new(Targets(1)), pool(), now);
    let mut text = Vec::new();
    crate::iscsi::text::push(&mut text, "InitiatorName", "iqn.2026-11.example:host");
    crate::iscsi::text::push(&mut text, "TargetName", "iqn.2026-11.example:0");
    crate::iscsi::text::push(&mut text, "MaxRecvDataSegmentLength", "2048");
    let mut login = Header::new(opcode::LOGIN | 0x40);
    login.0[1] = 0x87;
    login
        .set_half::<14>(TSIH)
        .set_half::<20>(cid)
        .set_word::<24>(CMD_SN.wrapping_add(7));
    let mut out = Output::default();
    out.push(login, text);
    session.receive(id, &out.to_bytes(), now);
    assert!(matches!(session.next_action(), Some(Action::Establish(identity)) if identity.tsih == TSIH));
    session.leave().unwrap()
}

impl Pair {
    fn with_connections(count: u16) -> Pair {
        let mut pair = Pair::new(1, "Normal", &[("MaxConnections", "4"), ("DefaultTime2Retain", "10")]);
        for cid in 1..count {
            let answer = pair.add(ConnectionId::from(cid) + 1, cid);
            assert_eq!((answer.0[1], answer.0[36], answer.half::<14>()), (0x87, 0, TSIH));
        }
        pair.on = 1;
        pair
    }

    /// A connection joins; its login response.
    fn add(&mut self, id: ConnectionId, cid: u16) -> Header {
        self.session.join(applicant(id, cid, self.now), self.now);
        self.pump();
        self.on = id;
        self.answer().header
    }

    fn fate_of(&self, id: ConnectionId) -> Fate {
        self.session.fate(id).unwrap().clone()
    }
}

#[test]
fn commands_of_all_connections_form_one_order_and_are_answered_where_they_came_in() {
    let mut pair = Pair::with_connections(3);
    // The number after next first, on the third connection.
    pair.on = 3;
    pair.cmd_sn = CMD_SN.wrapping_add(2);
    pair.read(30, 512);
    pair.on = 2;
    pair.cmd_sn = CMD_SN.wrapping_add(1);
    pair.read(20, 512);
    assert!(pair.actions.is_empty());
    pair.on = 1;
    pair.cmd_sn = CMD_SN;
    pair.read(10, 512);
    assert_eq!((pair.start().itt, pair.start().itt, pair.start().itt), (10, 20, 30));
    for itt in [30, 20, 10] {
        pair.finish(itt, Outcome::data_in(bytes(512)));
    }
    for on in [1, 2, 3] {
        pair.on = on;
        let header = pair.answer().header;
        assert_eq!(u64::from(header.itt()), on * 10);
        assert_eq!(header.word::<28>(), CMD_SN.wrapping_add(3));
        assert_eq!(header.word::<24>(), 2, "StatSN is the connection's own");
    }
}

#[test]
fn the_login_response_of_an_added_connection_shows_the_window_of_the_session() {
    let mut pair = Pair::with_connections(1);
    pair.read(1, 512);
    let answer = pair.add(2, 5);
    assert_eq!(answer.word::<28>(), CMD_SN.wrapping_add(1));
    assert_eq!(answer.word::<24>(), 1);
    assert_eq!(pair.session.connections[1].parameters.send_max, 2048);
    assert_eq!(pair.session.connections[0].parameters.send_max, 8192);
}

#[test]
fn one_connection_more_than_negotiated_is_refused() {
    let mut pair = Pair::with_connections(4);
    let answer = pair.add(9, 9);
    assert_eq!((answer.0[36], answer.0[37]), (2, 6));
    assert_eq!(pair.fate_of(9), Fate::Drain);
    let mut pair = Pair::normal();
    let answer = pair.add(9, 9);
    assert_eq!((answer.0[36], answer.0[37]), (2, 6), "one is the default");
}

#[test]
fn a_tag_is_unique_in_the_session() {
    let mut pair = Pair::with_connections(2);
    pair.read(5, 512);
    pair.on = 2;
    pair.read(5, 512);
    let reject = pair.answer().header;
    assert_eq!((reject.opcode(), reject.0[2]), (opcode::REJECT, 7));
}

#[test]
fn data_over_another_connection_than_the_command_drops_that_connection() {
    let mut pair = Pair::with_connections(2);
    pair.write(5, 512, &[], true);
    pair.start();
    pair.ready(5, 512);
    let r2t = pair.answer().header;
    pair.on = 2;
    pair.data_out(5, r2t.ttt(), 0, 0, true, &bytes(512));
    assert!(matches!(pair.fate_of(2), Fate::Closed(_)));
    pair.on = 1;
    pair.data_out(5, r2t.ttt(), 0, 0, true, &bytes(512));
    assert_eq!(pair.executed(), (5, bytes(512)));
}

#[test]
fn a_lost_connection_costs_its_own_commands_only() {
    let mut pair = Pair::with_connections(2);
    pair.read(10, 512);
    pair.start();
    pair.ready(10, 0);
    pair.executed();
    pair.write(11, 512, &[], true);
    pair.start();
    pair.ready(11, 512);
    pair.on = 2;
    pair.read(20, 512);
    pair.start();
    // Ahead of a gap: the one on the lost connection is forgotten, its number is not waited for.
    pair.on = 1;
    pair.cmd_sn = CMD_SN.wrapping_add(4);
    pair.read(12, 512);
    pair.session.lost(1, pair.now);
    pair.pump();
    pair.actions
        .sort_by_key(|action| matches!(action, Action::Abort { .. }));
    assert!(matches!(
        pair.actions[..],
        [Action::Abandon { itt: 11 }, Action::Abort { itt: 10 }]
    ));
    pair.actions.clear();
    pair.finish(10, Outcome::data_in(bytes(512)));
    pair.on = 2;
    pair.finish(20, Outcome::data_in(bytes(512)));
    assert_eq!(pair.answer().header.itt(), 20);
    pair.cmd_sn = CMD_SN.wrapping_add(3);
    pair.read(21, 512);
    pair.cmd_sn = CMD_SN.wrapping_add(5);
    pair.read(22, 512);
    assert_eq!((pair.start().itt, pair.start().itt), (21, 22));
    assert!(!pair.session.over(pair.now));
}

#[test]
fn a_session_is_kept_without_a_connection_for_the_negotiated_time() {
    let mut pair = Pair::with_connections(1);
    pair.session.lost(1, pair.now);
    assert!(!pair.session.over(pair.now + Duration::from_secs(9)));
    assert!(pair.session.over(pair.now + Duration::from_secs(10)));
    let answer = pair.add(2, 0);
    assert_eq!((answer.0[36], answer.half::<14>()), (0, TSIH));
    assert!(!pair.session.over(pair.now + Duration::from_secs(10)));
    let mut pair = Pair::new(1, "Normal", &[("DefaultTime2Retain", "0")]);
    pair.session.lost(1, pair.now);
    assert!(pair.session.over(pair.now));
}

#[test]
fn a_connection_is_reinstated_when_the_tasks_of_the_old_one_are_gone() {
    let mut pair = Pair::with_connections(2);
    pair.on = 2;
    pair.read(20, 512);
    pair.start();
    pair.ready(20, 0);
    pair.executed();
    pair.session.join(applicant(7, 1, pair.now), pair.now);
    pair.pump();
    assert!(matches!(pair.fate_of(2), Fate::Closed(_)));
    assert!(matches!(pair.actions.pop(), Some(Action::Abort { itt: 20 })));
    pair.session.lost(2, pair.now);
    pair.on = 7;
    assert!(pair.answers().is_empty());
    pair.finish(20, Outcome::status(ScsiStatus::TaskAborted));
    let answer = pair.answer().header;
    assert_eq!((answer.opcode(), answer.0[36]), (opcode::LOGIN_RESPONSE, 0));
    // The tag is free.
    pair.read(20, 512);
    assert_eq!(pair.start().itt, 20);
    assert_eq!(pair.fate_of(1), Fate::Open);
}

#[test]
fn a_reinstatement_does_not_wait_forever() {
    let mut pair = Pair::with_connections(2);
    pair.on = 2;
    pair.read(20, 512);
    pair.start();
    pair.ready(20, 0);
    pair.session.join(applicant(7, 1, pair.now), pair.now);
    pair.session.tick(pair.now + JOIN_TIME);
    pair.on = 7;
    assert_eq!(pair.answer().header.0[36], 0);
}

#[test]
fn a_logout_of_another_connection_closes_that_one() {
    let mut pair = Pair::with_connections(3);
    pair.on = 2;
    pair.read(20, 512);
    pair.start();
    pair.ready(20, 0);
    pair.executed();
    pair.on = 1;
    let mut header = Header::new(opcode::LOGOUT);
    header.0[1] |= 1;
    header.set_word::<16>(8).set_half::<20>(1);
    pair.numbered(header, &[]);
    assert!(matches!(pair.actions.pop(), Some(Action::Abort { itt: 20 })));
    assert!(pair.answers().is_empty());
    pair.finish(20, Outcome::status(ScsiStatus::TaskAborted));
    let answer = pair.answer().header;
    assert_eq!((answer.opcode(), answer.0[2]), (opcode::LOGOUT_RESPONSE, 0));
    assert_eq!(
        (pair.fate_of(1), pair.fate_of(2), pair.fate_of(3)),
        (Fate::Open, Fate::Drain, Fate::Open)
    );
    pair.session.lost(2, pair.now);
    pair.on = 1;
    pair.numbered(header, &[]);
    assert_eq!(pair.answer().header.0[2], 1, "CID not found");
}

#[test]
fn a_logout_of_the_session_closes_every_connection() {
    let mut pair = Pair::with_connections(3);
    pair.on = 3;
    let mut header = Header::new(opcode::LOGOUT);
    header.set_word::<16>(8);
    pair.numbered(header, &[]);
    assert_eq!(pair.answer().header.opcode(), opcode::LOGOUT_RESPONSE);
    for id in 1..=3 {
        assert_eq!(pair.fate_of(id), Fate::Drain);
        pair.session.lost(id, pair.now);
    }
    assert!(pair.session.over(pair.now));
}

#[test]
fn a_lun_reset_ends_tasks_of_every_connection() {
    let mut pair = Pair::with_connections(2);
    pair.on = 2;
    pair.write(20, 512, &[], true);
    pair.start();
    pair.ready(20, 512);
    pair.on = 1;
    pair.numbered(manage(5, 9, NO_TAG, 0), &[]);
    assert!(matches!(
        pair.actions[..],
        [Action::Abandon { itt: 20 }, Action::Manage { itt: 9, .. }]
    ));
    pair.session.managed(9, TmResponse::Complete);
    assert_eq!(pair.answer().header.0[2], 0);
}

#[test]
fn every_connection_is_asked_to_log_out_and_new_commands_are_refused_after_the_time() {
    let mut pair = Pair::with_connections(2);
    pair.session.request_logout(pair.now);
    for on in [1, 2] {
        pair.on = on;
        assert_eq!(pair.answer().header.0[36], 1);
    }
    pair.read(1, 512);
    assert_eq!(pair.start().itt, 1, "commands are served until then");
    pair.finish(1, Outcome::data_in(bytes(512)));
    pair.answer();
    pair.now += LOGOUT_TIME + Duration::from_secs(1);
    pair.session.tick(pair.now);
    pair.answers();
    pair.read(2, 512);
    let reject = pair.answer().header;
    assert_eq!((reject.opcode(), reject.0[2]), (opcode::REJECT, 0x0c));
    // The number is used up, so that the logout is in order.
    let mut header = Header::new(opcode::LOGOUT);
    header.set_word::<16>(8);
    pair.numbered(header, &[]);
    assert_eq!(pair.answer().header.opcode(), opcode::LOGOUT_RESPONSE);
}

#[test]
fn a_gap_that_nobody_fills_ends_the_session() {
    let mut pair = Pair::with_connections(2);
    pair.cmd_sn = CMD_SN.wrapping_add(1);
    pair.read(1, 512);
    pair.session.tick(pair.now);
    assert_eq!(pair.fate_of(1), Fate::Open);
    pair.now += GAP_TIME + Duration::from_secs(1);
    for on in [1, 2] {
        pair.on = on;
        pair.numbered(nop(3), &[]);
    }
    pair.session.tick(pair.now);
    assert_eq!((pair.fate_of(1), pair.fate_of(2)), (Fate::Drain, Fate::Drain));
}

#[test]
fn damaged_data_fails_the_command_and_other_damage_the_connection() {
    let damaged = |header: Header, data: &[u8]| {
        let mut out = Output::default();
        out.configure(false, true);
        out.push(header, data.to_vec());
        let mut bytes = out.to_bytes();
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let mut pair = Pair::new(1, "Normal", &[("DataDigest", "CRC32C")]);
    pair.write(5, 512, &[], true);
    pair.start();
    pair.ready(5, 512);
    let r2t = Header(*pair.session.output(1).unwrap().to_bytes().first_chunk().unwrap());
    pair.session.sent(1, HEADER);
    let mut header = Header::new(opcode::DATA_OUT);
    header.set_word::<16>(5).set_word::<20>(r2t.ttt());
    pair.session.receive(1, &damaged(header, &bytes(512)), pair.now);
    pair.pump();
    assert!(matches!(pair.actions[..], [Action::Abandon { itt: 5 }]));
    let out = pair.session.output(1).unwrap().to_bytes();
    assert_eq!((out[0], out[2]), (opcode::REJECT, 2));
    // Header, the offending header, its digest; then the response.
    let response = &out[HEADER + HEADER + 4..];
    assert_eq!((response[0], response[3]), (opcode::SCSI_RESPONSE, 2));
    assert_eq!(pair.fate_of(1), Fate::Open);
    let mut ping = nop(6);
    ping.set_word::<24>(pair.cmd_sn);
    pair.session.receive(1, &damaged(ping, b"ping"), pair.now);
    assert_eq!(pair.fate_of(1), Fate::Drain);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any PDUs on any connections, with losses and reinstatements: no panic, and the budgets hold.
    #[test]
    fn no_mix_of_connections_panics_or_grows_without_bound(steps in proptest::collection::vec(
        (1u64..5, prop::sample::select(vec![0u8, 1, 1, 1, 2, 4, 5, 5, 6]), any::<u8>(), 0u32..6, 0u32..8, 0usize..600, 0u8..8),
        1..60)) {
        let mut pair = Pair::with_connections(3);
        for (on, op, flags, itt, sn, length, choice) in steps {
            if choice == 7 {
                pair.session.lost(on, pair.now);
                pair.session.join(applicant(on, u16::try_from(on).unwrap(), pair.now), pair.now);
            }
            pair.on = on;
            let mut header = Header::new(op);
            header.0[1] = flags;
            header.set_word::<16>(itt).set_word::<24>(CMD_SN.wrapping_add(sn)).set_word::<20>(u32::from(flags) % 3);
            pair.send(header, &bytes(length));
            while !pair.actions.is_empty() {
                match pair.actions.remove(0) {
                    Action::Start(command) if choice == 0 => pair.finish(command.itt, Outcome::good()),
                    Action::Start(command) => pair.ready(command.itt, 600.min(command.expected.length)),
                    Action::Execute { itt, .. } if choice < 3 => pair.finish(itt, Outcome::data_in(bytes(700))),
                    Action::Abort { itt } if choice < 5 => pair.finish(itt, Outcome::status(ScsiStatus::TaskAborted)),
                    Action::Manage { itt, .. } => pair.session.managed(itt, TmResponse::Complete),
                    _ => {}
                }
            }
            prop_assert!(pair.session.tasks.len() <= WINDOW as usize + IMMEDIATE_MAX);
            prop_assert!(pair.session.connections.len() <= 8);
        }
        for id in 0..9 {
            pair.session.lost(id, pair.now);
        }
        prop_assert!(pair.session.over(pair.now + Duration::from_secs(60)));
    }
}
