//! One connection of a session: its bytes, its phase, its StatSN.

use super::login_phase::Granted;
use super::requests::Exchange;
use super::{ConnectionId, Fate};
use crate::iscsi::decoder::Decoder;
use crate::iscsi::login::Login;
use crate::iscsi::output::{Data, Output};
use crate::iscsi::parameters::{Parameters, RECEIVE_DEFAULT};
use crate::iscsi::pdu::Header;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(super) enum Phase {
    /// Negotiating.
    Login(Box<Login>),
    /// The RADIUS server is asked about this login, in answer to this request.
    Verifying(Box<Login>, Header),
    /// The login is granted; its session is being looked for, or made.
    Establishing(Box<Granted>),
    /// Full feature phase.
    Full,
    /// A logout that covers it waits for tasks to end.
    LoggingOut,
}

/// ExpCmdSN and MaxCmdSN, as shown in every PDU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) expected: u32,
    pub(super) maximum: u32,
}

impl Stamp {
    /// For a login to a session that lives elsewhere: MaxCmdSN below ExpCmdSN - 1 makes the initiator ignore both
    /// (RFC 7143 4.2.2.1).
    pub(super) fn unknown(cmd_sn: u32) -> Stamp {
        Stamp {
            expected: cmd_sn,
            maximum: cmd_sn.wrapping_sub(2),
        }
    }
}

/// The state of one connection. It moves to another thread when its session lives there.
#[derive(Debug)]
pub struct Connection {
    pub(super) id: ConnectionId,
    pub(super) cid: u16,
    pub(super) local: SocketAddr,
    pub(super) decoder: Decoder,
    pub(super) out: Output,
    pub(super) phase: Phase,
    pub(super) fate: Fate,
    pub(super) parameters: Parameters,
    pub(super) stat_sn: u32,
    pub(super) exchange: Option<Exchange>,
    pub(super) opened: Instant,
    pub(super) heard: Instant,
    pub(super) pinged: bool,
    pub(super) drain_since: Option<Instant>,
    /// Something was sent since the last tick.
    pub(super) moved: bool,
    /// Since when answers wait and nothing is taken.
    pub(super) stuck_since: Option<Instant>,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, local: SocketAddr, now: Instant) -> Connection {
        Connection {
            id,
            cid: 0,
            local,
            decoder: Decoder::new(RECEIVE_DEFAULT as usize),
            out: Output::default(),
            phase: Phase::Login(Box::new(Login::new(local))),
            fate: Fate::Open,
            parameters: Parameters::default(),
            stat_sn: 1,
            exchange: None,
            opened: now,
            heard: now,
            pinged: false,
            drain_since: None,
            moved: false,
            stuck_since: None,
        }
    }

    /// Gives it the id that it has on another worker.
    pub fn rename(&mut self, id: ConnectionId) {
        self.id = id;
    }

    /// Carries commands, or is about to.
    pub(super) fn member(&self) -> bool {
        let joining = matches!(&self.phase, Phase::Establishing(granted) if granted.joining.is_some());
        self.fate == Fate::Open && (joining || matches!(self.phase, Phase::Full | Phase::LoggingOut))
    }

    /// Queues a PDU that shows the next StatSN.
    pub(super) fn push(&mut self, stamp: Stamp, mut header: Header, data: Vec<u8>) {
        self.stamp(stamp, &mut header);
        self.out.push(header, data);
    }

    /// Queues a PDU that consumes a StatSN.
    pub(super) fn push_status(&mut self, stamp: Stamp, header: Header, data: Vec<u8>) {
        self.push(stamp, header, data);
        self.stat_sn = self.stat_sn.wrapping_add(1);
    }

    /// Queues a Data-In PDU; StatSN is only in the one that carries status, and consumed by it (RFC 7143 11.7.3).
    pub(super) fn push_data(&mut self, stamp: Stamp, mut header: Header, data: Data, status: bool) {
        self.stamp(stamp, &mut header);
        if status {
            self.stat_sn = self.stat_sn.wrapping_add(1);
        } else {
            header.set_word::<24>(0);
        }
        self.out.push(header, data);
    }

    fn stamp(&self, stamp: Stamp, header: &mut Header) {
        header
            .set_word::<24>(self.stat_sn)
            .set_word::<28>(stamp.expected)
            .set_word::<32>(stamp.maximum);
    }

    /// How long it has answers and the initiator takes none, seen from one tick to the next.
    pub(super) fn stuck(&mut self, now: Instant) -> Duration {
        if std::mem::take(&mut self.moved) || self.out.is_empty() {
            self.stuck_since = None;
            return Duration::ZERO;
        }
        now.saturating_duration_since(*self.stuck_since.get_or_insert(now))
    }

    /// Drops the connection.
    pub(super) fn fail(&mut self, reason: String) {
        if !matches!(self.fate, Fate::Closed(_)) {
            self.fate = Fate::Closed(reason);
        }
    }

    /// Takes digests and lengths of a login that has succeeded.
    pub(super) fn configure(&mut self, parameters: Parameters) {
        self.parameters = parameters;
        let p = &self.parameters;
        self.decoder
            .configure(p.receive_max as usize, p.header_digest, p.data_digest);
        self.out.configure(p.header_digest, p.data_digest);
    }
}
