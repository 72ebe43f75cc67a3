use super::*;
use crate::iscsi::directory::{AuthPolicy, SessionKey, SessionLookup, TargetRecord, TargetView};
use crate::iscsi::pdu::HEADER;
use crate::iscsi::window::WINDOW;
use crate::scsi::Sense;
use proptest::prelude::*;

const CMD_SN: u32 = 0xffff_fff0;

struct Targets(usize);

impl Directory for Targets {
    fn find(&self, _: &str, _: SocketAddr) -> Result<TargetView, LoginStatus> {
        Ok(TargetView {
            alias: None,
            portal_group: 1,
            auth: AuthPolicy::None,
        })
    }
    fn list(&self, name: Option<&str>, local: SocketAddr) -> Vec<TargetRecord> {
        (0..self.0)
            .map(|i| TargetRecord {
                name: format!("iqn.2026-11.example:{i}"),
                addresses: vec![format!("{local},1")],
            })
            .filter(|record| name.is_none_or(|name| name == record.name))
            .collect()
    }
    fn session(&self, _: &SessionKey, _: u16, _: u16) -> SessionLookup {
        SessionLookup::Absent
    }
}

/// A connection with its initiator.
struct Pair {
    connection: Connection,
    now: Instant,
    cmd_sn: u32,
    actions: Vec<Action>,
}

impl Pair {
    fn new(targets: usize, session_type: &str, keys: &[(&str, &str)]) -> Pair {
        let now = Instant::now();
        let connection = Connection::new("127.0.0.1:3260".parse().unwrap(), Arc::new(Targets(targets)), now);
        let mut pair = Pair {
            connection,
            now,
            cmd_sn: CMD_SN,
            actions: Vec::new(),
        };
        let mut text = Vec::new();
        for (key, value) in [
            ("InitiatorName", "iqn.2026-11.example:host"),
            ("TargetName", "iqn.2026-11.example:0"),
            ("SessionType", session_type),
        ] {
            super::super::text::push(&mut text, key, value);
        }
        for (key, value) in keys {
            super::super::text::push(&mut text, key, value);
        }
        let mut login = Header::new(opcode::LOGIN | 0x40);
        login.0[1] = 0x87;
        login.set_word::<24>(CMD_SN);
        pair.send(login, &text);
        assert!(matches!(pair.actions.pop(), Some(Action::Establish(_))));
        pair.connection.established(Ok(0x77));
        let answers = pair.answers();
        assert_eq!(answers.len(), 1);
        let header = answers[0].header;
        assert_eq!((header.0[1], header.0[36], header.half::<14>()), (0x87, 0, 0x77));
        assert_eq!((header.word::<24>(), header.word::<28>()), (1, CMD_SN));
        pair
    }

    fn normal() -> Pair {
        Pair::new(
            1,
            "Normal",
            &[
                ("InitialR2T", "No"),
                ("MaxOutstandingR2T", "2"),
                ("MaxRecvDataSegmentLength", "1024"),
            ],
        )
    }

    fn send(&mut self, header: Header, data: &[u8]) {
        let mut out = Output::default();
        out.push(header, data.to_vec());
        self.connection.receive(&out.to_bytes(), self.now);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(action) = self.connection.next_action() {
            self.actions.push(action);
        }
    }

    /// A numbered request.
    fn numbered(&mut self, mut header: Header, data: &[u8]) {
        header.set_word::<24>(self.cmd_sn);
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        self.send(header, data);
    }

    fn answers(&mut self) -> Vec<Pdu> {
        let bytes = self.connection.output().to_bytes();
        self.connection.sent(bytes.len());
        self.pump();
        let mut decoder = Decoder::new(1 << 24);
        let mut rest = &bytes[..];
        std::iter::from_fn(|| decoder.feed(&mut rest, |_| Vec::new()).unwrap()).collect()
    }

    fn answer(&mut self) -> Pdu {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers.remove(0)
    }

    fn write(&mut self, itt: u32, length: u32, immediate: &[u8], last: bool) {
        self.numbered(command(itt, 0x20 | if last { 0x80 } else { 0 }, length), immediate);
    }

    fn read(&mut self, itt: u32, length: u32) {
        self.numbered(command(itt, 0xc0, length), &[]);
    }

    fn start(&mut self) -> Command {
        match self.actions.remove(0) {
            Action::Start(command) => command,
            other => panic!("{other:?}"),
        }
    }

    fn executed(&mut self) -> (u32, Vec<u8>) {
        match self.actions.remove(0) {
            Action::Execute { itt, data } => (itt, data),
            other => panic!("{other:?}"),
        }
    }

    fn ready(&mut self, itt: u32, want: u32) {
        self.connection.ready(itt, want);
        self.pump();
    }

    fn finish(&mut self, itt: u32, outcome: Outcome) {
        self.connection.finished(itt, outcome);
        self.pump();
    }

    fn data_out(&mut self, itt: u32, ttt: u32, sn: u32, offset: u32, last: bool, data: &[u8]) {
        let mut header = Header::new(opcode::DATA_OUT);
        header.0[1] = if last { 0x80 } else { 0 };
        header
            .set_word::<16>(itt)
            .set_word::<20>(ttt)
            .set_word::<36>(sn)
            .set_word::<40>(offset);
        self.send(header, data);
    }

    fn closed(&self) -> bool {
        matches!(self.connection.fate(), Fate::Closed(_))
    }
}

fn command(itt: u32, flags: u8, length: u32) -> Header {
    let mut header = Header::new(opcode::SCSI_COMMAND);
    header.0[1] = flags | 1;
    header.set_word::<16>(itt).set_word::<20>(length).set_byte::<32>(0x28);
    header
}

fn nop(itt: u32) -> Header {
    let mut header = Header::new(opcode::NOP_OUT);
    header.set_word::<16>(itt).set_word::<20>(NO_TAG);
    header
}

fn manage(function: u8, itt: u32, referenced: u32, ref_sn: u32) -> Header {
    let mut header = Header::new(opcode::TASK_MANAGEMENT);
    header.0[1] |= function;
    header
        .set_word::<16>(itt)
        .set_word::<20>(referenced)
        .set_word::<32>(ref_sn);
    header
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

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
    pair.connection
        .receive(&joined(&[(write, &data[..512]), (out, &data[512..])]), now);
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
    pair.connection
        .receive(&joined(&[(write, &bytes(512)), (abort, b"")]), now);
    pair.pump();
    pair.start();
    pair.ready(5, 512);
    assert!(matches!(
        pair.actions[..],
        [Action::Manage { .. }, Action::Abandon { itt: 5 }]
    ));
    pair.connection.managed(6, TmResponse::NoSuchTask);
    assert_eq!(pair.answer().header.0[2], 0);
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
    assert_eq!(*pair.connection.fate(), Fate::Open);
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
    assert_eq!(*pair.connection.fate(), Fate::Open);
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
fn nop_is_echoed() {
    let mut pair = Pair::normal();
    pair.numbered(nop(3), b"hello");
    let answer = pair.answer();
    assert_eq!(
        (answer.header.opcode(), answer.header.itt(), answer.header.ttt()),
        (opcode::NOP_IN, 3, NO_TAG)
    );
    assert_eq!(answer.data, b"hello");
    pair.numbered(nop(3), b"");
    assert!(pair.answer().data.is_empty());
    pair.numbered(nop(3), &bytes(3000));
    assert_eq!(pair.answer().data, bytes(1024), "cut to what the initiator can take");
}

#[test]
fn a_silent_initiator_is_pinged_then_dropped() {
    let mut pair = Pair::normal();
    pair.connection.tick(pair.now + PING_TIME);
    assert!(pair.answers().is_empty());
    pair.connection.tick(pair.now + PING_TIME + Duration::from_secs(1));
    pair.connection.tick(pair.now + PING_TIME + Duration::from_secs(2));
    let ping = pair.answer().header;
    assert_eq!((ping.itt(), ping.word::<24>()), (NO_TAG, 2));
    assert_ne!(ping.ttt(), NO_TAG);
    let mut pong = nop(NO_TAG);
    pong.0[0] |= 0x40;
    pong.set_word::<20>(ping.ttt());
    pair.now += PING_TIME + Duration::from_secs(5);
    pair.send(pong, &[]);
    assert!(pair.answers().is_empty());
    pair.connection.tick(pair.now + Duration::from_secs(1));
    assert_eq!(*pair.connection.fate(), Fate::Open);
    pair.connection.tick(pair.now + IDLE_TIME + Duration::from_secs(1));
    assert!(pair.closed());
}

#[test]
fn a_login_that_takes_too_long_is_dropped() {
    let now = Instant::now();
    let mut connection = Connection::new("127.0.0.1:1".parse().unwrap(), Arc::new(Targets(0)), now);
    connection.tick(now + LOGIN_TIME + Duration::from_secs(1));
    assert!(matches!(connection.fate(), Fate::Closed(_)));
}

#[test]
fn requests_before_login_drop_the_connection() {
    let mut connection = Connection::new("127.0.0.1:1".parse().unwrap(), Arc::new(Targets(0)), Instant::now());
    connection.receive(&nop(1).0, Instant::now());
    assert!(matches!(connection.fate(), Fate::Closed(_)));
}

#[test]
fn a_refused_session_ends_the_login() {
    let now = Instant::now();
    let mut connection = Connection::new("127.0.0.1:1".parse().unwrap(), Arc::new(Targets(0)), now);
    let mut text = Vec::new();
    super::super::text::push(&mut text, "InitiatorName", "iqn.2026-11.example:host");
    super::super::text::push(&mut text, "TargetName", "iqn.2026-11.example:0");
    let mut login = Header::new(opcode::LOGIN | 0x40);
    login.0[1] = 0x87;
    let mut out = Output::default();
    out.push(login, text);
    connection.receive(&out.to_bytes(), now);
    connection.established(Err(LoginStatus::UNAVAILABLE));
    let bytes = connection.output().to_bytes();
    assert_eq!((bytes[36], bytes[37]), (3, 1));
    assert_eq!(*connection.fate(), Fate::Drain);
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
        assert_eq!(*pair.connection.fate(), Fate::Open);
    }
}

fn text_request(itt: u32, ttt: u32, flags: u8) -> Header {
    let mut header = Header::new(opcode::TEXT);
    header.0[1] = flags;
    header.set_word::<16>(itt).set_word::<20>(ttt);
    header
}

#[test]
fn send_targets() {
    for (session, value, expected) in [
        ("Discovery", "All", Some(3)),
        ("Normal", "All", Some(3)),
        ("Normal", "", Some(1)),
        ("Discovery", "", None),
        ("Discovery", "iqn.2026-11.EXAMPLE:2", Some(1)),
        ("Discovery", "iqn.2026-11.example:9", Some(0)),
        ("Normal", "Alle", None),
        ("Normal", "A", None),
    ] {
        let mut pair = Pair::new(3, session, &[]);
        pair.numbered(
            text_request(1, NO_TAG, 0x80),
            format!("SendTargets={value}\0").as_bytes(),
        );
        let answer = pair.answer();
        match expected {
            Some(count) => {
                assert_eq!(
                    (answer.header.opcode(), answer.header.0[1]),
                    (opcode::TEXT_RESPONSE, 0x80)
                );
                let names = String::from_utf8(answer.data).unwrap().matches("TargetName=").count();
                assert_eq!(names, count, "{session} {value}");
            }
            None => assert_eq!(
                (answer.header.opcode(), answer.header.0[2]),
                (opcode::REJECT, 5),
                "{session} {value}"
            ),
        }
    }
}

#[test]
fn text_that_is_no_request_is_rejected() {
    for text in ["Unknown=1\0", "sendtargets=All\0", "nothing\0"] {
        let mut pair = Pair::normal();
        pair.numbered(text_request(1, NO_TAG, 0x80), text.as_bytes());
        assert_eq!(pair.answer().header.0[2], 5, "{text}");
    }
    let mut pair = Pair::normal();
    pair.numbered(
        text_request(1, NO_TAG, 0x80),
        b"MaxBurstLength=4096\0MaxRecvDataSegmentLength=2048\0",
    );
    assert_eq!(pair.answer().data, b"MaxBurstLength=Reject\0");
    assert_eq!(pair.connection.parameters.send_max, 2048);
}

#[test]
fn a_long_answer_is_asked_for_part_by_part() {
    let mut pair = Pair::new(500, "Discovery", &[]);
    pair.numbered(text_request(1, NO_TAG, 0x80), b"SendTargets=All\0");
    let mut all = Vec::new();
    loop {
        let part = pair.answer();
        all.extend_from_slice(&part.data);
        if part.header.is_final() {
            break;
        }
        assert!(part.header.continues() && part.header.ttt() != NO_TAG);
        pair.numbered(text_request(1, part.header.ttt(), 0x80), b"");
    }
    assert_eq!(
        String::from_utf8(all)
            .unwrap()
            .matches("TargetAddress=127.0.0.1:3260,1\0")
            .count(),
        500
    );
    pair.numbered(text_request(1, 0x1234, 0x80), b"");
    assert_eq!(pair.answer().header.opcode(), opcode::REJECT);
}

#[test]
fn a_long_request_is_collected() {
    let mut pair = Pair::new(1, "Discovery", &[]);
    pair.numbered(text_request(1, NO_TAG, 0x40), b"SendTar");
    let part = pair.answer().header;
    assert!(!part.is_final());
    pair.numbered(text_request(1, part.ttt(), 0x80), b"gets=All\0");
    assert!(pair.answer().data.starts_with(b"TargetName="));
}

#[test]
fn scsi_in_a_discovery_session_is_rejected() {
    let mut pair = Pair::new(1, "Discovery", &[]);
    pair.read(1, 512);
    assert_eq!(pair.answer().header.0[2], 5);
}

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
    pair.connection.managed(6, TmResponse::NoSuchTask);
    assert_eq!(pair.answer().header.0[2], 0);
}

#[test]
fn a_task_aborted_by_another_nexus_is_not_answered() {
    let mut pair = Pair::normal();
    pair.read(5, 512);
    pair.connection.aborted(5);
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
    pair.connection.managed(9, TmResponse::Complete);
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
        pair.connection.managed(6, response);
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
    assert_eq!(*pair.connection.fate(), Fate::Drain);
}

#[test]
fn logout_reasons() {
    for (reason, cid, code, closes) in [(0, 0, 0, true), (1, 0, 0, true), (1, 4, 1, false), (2, 0, 2, false)] {
        let mut pair = Pair::normal();
        pair.numbered(logout(reason, cid), &[]);
        assert_eq!(pair.answer().header.0[2], code);
        assert_eq!(*pair.connection.fate() == Fate::Drain, closes);
    }
    let mut pair = Pair::normal();
    pair.numbered(logout(3, 0), &[]);
    assert_eq!(
        (pair.connection.fate().clone(), pair.answer().header.0[2]),
        (Fate::Open, 9)
    );
}

#[test]
fn the_initiator_is_asked_to_log_out_and_dropped_when_it_does_not() {
    let mut pair = Pair::normal();
    pair.connection.request_logout(pair.now);
    let header = pair.answer().header;
    assert_eq!(
        (header.opcode(), header.0[36], header.half::<42>()),
        (opcode::ASYNC_MESSAGE, 1, 20)
    );
    pair.now += LOGOUT_TIME + Duration::from_secs(1);
    pair.connection.tick(pair.now);
    assert!(pair.closed());
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
    assert!(pair.actions.is_empty() && pair.connection.paused());
    pair.answers();
    assert!(!pair.connection.paused());
    assert_eq!((pair.start().itt, pair.start().itt), (3, 4));
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

#[test]
fn digests_begin_after_the_login() {
    let mut pair = Pair::new(1, "Normal", &[("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")]);
    let mut out = Output::default();
    out.configure(true, true);
    let mut header = nop(3);
    header.set_word::<24>(CMD_SN);
    out.push(header, b"ping".to_vec());
    pair.connection.receive(&out.to_bytes(), pair.now);
    let bytes = pair.connection.output().to_bytes();
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
                    Action::Manage { itt, .. } => pair.connection.managed(itt, TmResponse::Complete),
                    _ => {}
                }
            }
            prop_assert!(pair.connection.tasks.len() <= WINDOW as usize + IMMEDIATE_MAX);
            prop_assert!(pair.connection.output().len() < 1 << 20);
        }
    }
}
