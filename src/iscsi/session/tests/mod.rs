//! A session and its initiator, without sockets.

mod command;
mod connections;
mod management;
mod requests;
mod session;

use super::*;
use crate::iscsi::decoder::Decoder;

use crate::iscsi::directory::{AuthPolicy, SessionKey, TargetRecord, TargetView};

use crate::iscsi::pdu::HEADER;

use crate::iscsi::window::WINDOW;

use crate::scsi::Sense;

use proptest::prelude::*;

const CMD_SN: u32 = 0xffff_fff0;

fn pool() -> std::rc::Rc<Pool> {
    Pool::new(1 << 30)
}

const TSIH: u16 = 0x77;

struct Targets(usize);

impl Directory for Targets {
    fn find(&self, _: &str, _: &str, _: SocketAddr) -> Result<TargetView, LoginStatus> {
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
    fn session(&self, _: &SessionKey, tsih: u16) -> bool {
        tsih == TSIH
    }
}

/// A session with its initiator.
struct Pair {
    session: Session,
    /// The connection that is spoken on.
    on: ConnectionId,
    now: Instant,
    cmd_sn: u32,
    actions: Vec<Action>,
}

impl Pair {
    fn new(targets: usize, session_type: &str, keys: &[(&str, &str)]) -> Pair {
        Pair::of_pool(pool(), targets, session_type, keys)
    }

    fn of_pool(pool: std::rc::Rc<Pool>, targets: usize, session_type: &str, keys: &[(&str, &str)]) -> Pair {
        let now = Instant::now();
        let session = Session::new(
            1,
            "127.0.0.1:3260".parse().unwrap(),
            Arc::new(Targets(targets)),
            pool,
            now,
        );
        let mut pair = Pair {
            session,
            on: 1,
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
            crate::iscsi::text::push(&mut text, key, value);
        }
        for (key, value) in keys {
            crate::iscsi::text::push(&mut text, key, value);
        }
        let mut login = Header::new(opcode::LOGIN | 0x40);
        login.0[1] = 0x87;
        login.set_word::<24>(CMD_SN);
        pair.send(login, &text);
        assert!(matches!(pair.actions.pop(), Some(Action::Establish(_))));
        pair.session.established(Ok(TSIH));
        let answers = pair.answers();
        assert_eq!(answers.len(), 1);
        let header = answers[0].header;
        assert_eq!((header.0[1], header.0[36], header.half::<14>()), (0x87, 0, TSIH));
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
        self.session.receive(self.on, &out.to_bytes(), self.now);
        self.pump();
    }

    fn pump(&mut self) {
        while let Some(action) = self.session.next_action() {
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
        let bytes = self.session.output(self.on).unwrap().to_bytes();
        self.session.sent(self.on, bytes.len());
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
        self.session.ready(itt, want);
        self.pump();
    }

    fn part(&mut self, itt: u32, data: Vec<u8>, want: u32) {
        self.session.part(itt, data, want);
        self.pump();
    }

    fn finish(&mut self, itt: u32, outcome: Outcome) {
        self.session.finished(itt, outcome);
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
        matches!(self.session.fate(1).unwrap(), Fate::Closed(_))
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
