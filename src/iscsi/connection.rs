//! One iSCSI connection, and with MaxConnections=1 its session, as a state machine without I/O: bytes and events in,
//! PDUs ([`Connection::output`]) and [`Action`]s out.
//!
//! What must stay true: a task is in `tasks` from the arrival of its command until its outcome has come back, so its tag
//! cannot be used twice (RFC 7143 4.2.2.1); everything that waits is bounded by the command window and the budgets below.

mod command;
mod login_phase;
mod management;
mod requests;

use super::decoder::{Decoder, Pdu};
use super::directory::{Directory, LoginStatus};
use super::login::{Identity, Login, Reply};
use super::output::Output;
use super::parameters::{Parameters, RECEIVE_DEFAULT};
use super::pdu::{Header, NO_TAG, RejectReason, opcode};
use super::window::{Arrival, Window};
use crate::framework::{Cdb, Expected, Outcome, TaskAttribute, TmFunction, TmResponse};
use crate::scsi::ScsiStatus;
use command::Live;
use management::Managing;
use requests::Exchange;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Full feature phase must be reached within this time.
pub const LOGIN_TIME: Duration = Duration::from_secs(20);
/// Without traffic for this long the target pings.
pub const PING_TIME: Duration = Duration::from_secs(20);
/// Without traffic for this long the connection is dropped.
pub const IDLE_TIME: Duration = Duration::from_secs(30);
/// How long an initiator may take to log out when asked to, and a logout may wait for tasks.
pub const LOGOUT_TIME: Duration = Duration::from_secs(20);
/// How long the last answers may take to be sent before the connection is closed all the same.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// Unsent answers plus data expected by reads that are being executed, bytes: above this no further command is started.
pub const READ_BUDGET: u64 = 8 << 20;
/// Solicited data of writes, bytes; a single larger write is let through alone.
pub const WRITE_BUDGET: u64 = 16 << 20;
/// The longest write, bytes (`scsi-sbd.md` 2.2 demands 32 MiB).
pub const WRITE_MAX: u32 = 64 << 20;
/// Immediate commands that may be outstanding (`iscsi-target.md` chapter 7).
const IMMEDIATE_MAX: usize = 8;
/// Task management requests that may be outstanding.
const MANAGING_MAX: usize = 64;

/// What the shell is to do.
#[derive(Debug)]
pub enum Action {
    /// The login is complete but for the session: register it and call [`Connection::established`].
    Establish(Box<Identity>),
    /// Hand the command to the framework and call [`Connection::ready`] or [`Connection::finished`].
    Start(Command),
    /// Execute a command that was ready; [`Connection::finished`] follows.
    Execute {
        /// Its tag.
        itt: u32,
        /// Exactly as many bytes as were wanted.
        data: Vec<u8>,
    },
    /// Forget a command that was ready and not executed.
    Abandon {
        /// Its tag.
        itt: u32,
    },
    /// Abort a command that is being executed; [`Connection::finished`] still follows.
    Abort {
        /// Its tag.
        itt: u32,
    },
    /// Task management; [`Connection::managed`] follows.
    Manage {
        /// Tag of the request.
        itt: u32,
        /// Function.
        function: TmFunction,
        /// LUN.
        lun: [u8; 8],
        /// Tag of the task to abort.
        referenced: u32,
    },
}

/// A SCSI command for the framework.
#[derive(Debug)]
pub struct Command {
    /// Initiator task tag.
    pub itt: u32,
    /// LUN.
    pub lun: [u8; 8],
    /// CDB.
    pub cdb: Cdb,
    /// Attribute.
    pub attribute: TaskAttribute,
    /// Expected transfer.
    pub expected: Expected,
}

/// What is to become of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Open,
    /// Close it when the output is sent.
    Drain,
    /// Close it now; why.
    Closed(String),
}

#[derive(Debug)]
enum Phase {
    /// Negotiating.
    Login(Box<Login>),
    /// Waiting for [`Connection::established`] to send this reply to this request.
    Establishing(Box<(Login, Header, Reply)>),
    /// Full feature phase.
    Full,
    /// A logout waits for the tasks to end. The request, and since when.
    LoggingOut(Header, Instant),
}

/// The state machine.
pub struct Connection {
    local: SocketAddr,
    directory: Arc<dyn Directory>,
    decoder: Decoder,
    out: Output,
    actions: VecDeque<Action>,
    phase: Phase,
    fate: Fate,
    identity: Option<Identity>,
    parameters: Parameters,
    stat_sn: u32,
    window: Window<Pdu>,
    tasks: HashMap<u32, Live>,
    /// In CmdSN order, not started yet.
    parked: VecDeque<u32>,
    /// Ready writes that wait for memory to solicit data into.
    unadmitted: VecDeque<u32>,
    managing: HashMap<u32, Managing>,
    /// Bytes promised to admitted writes.
    writing: u64,
    /// Bytes expected by reads that were started.
    reading: u64,
    next_ttt: u32,
    exchange: Option<Exchange>,
    opened: Instant,
    heard: Instant,
    pinged: bool,
    drain_since: Option<Instant>,
    logout_deadline: Option<Instant>,
}

impl Connection {
    /// A connection that was accepted on this local address.
    pub fn new(local: SocketAddr, directory: Arc<dyn Directory>, now: Instant) -> Connection {
        Connection {
            local,
            directory,
            decoder: Decoder::new(RECEIVE_DEFAULT as usize),
            out: Output::default(),
            actions: VecDeque::new(),
            phase: Phase::Login(Box::new(Login::new(local))),
            fate: Fate::Open,
            identity: None,
            parameters: Parameters::default(),
            stat_sn: 1,
            window: Window::new(0),
            tasks: HashMap::new(),
            parked: VecDeque::new(),
            unadmitted: VecDeque::new(),
            managing: HashMap::new(),
            writing: 0,
            reading: 0,
            next_ttt: 1,
            exchange: None,
            opened: now,
            heard: now,
            pinged: false,
            drain_since: None,
            logout_deadline: None,
        }
    }

    /// Takes bytes from the initiator.
    pub fn receive(&mut self, bytes: &[u8], now: Instant) {
        self.heard = now;
        self.pinged = false;
        let mut rest = bytes;
        while self.fate == Fate::Open {
            let tasks = &mut self.tasks;
            match self.decoder.feed(&mut rest, |header| command::lend(tasks, header)) {
                Ok(Some(pdu)) => self.dispatch(pdu, now),
                Ok(None) => break,
                Err(error) => self.fail(error.to_string()),
            }
        }
    }

    /// A vector that the next bytes may be received into directly, and how many (see [`Decoder::wanted`]). Afterwards call
    /// [`Connection::receive`] with what came behind them, or with nothing.
    pub fn wanted(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.decoder.wanted()
    }

    /// The next thing to do. Actions are to be done in order, before anything else is fed in.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What is to be sent.
    pub fn output(&self) -> &Output {
        &self.out
    }

    /// Bytes were sent: commands that waited for room may start.
    pub fn sent(&mut self, bytes: usize) {
        self.out.advance(bytes);
        self.start_parked();
    }

    /// What is to become of the connection.
    pub fn fate(&self) -> &Fate {
        &self.fate
    }

    /// True while the initiator does not take its answers: nothing more is to be read from it.
    pub fn paused(&self) -> bool {
        self.out.len() as u64 >= READ_BUDGET
    }

    /// Who is logged in, once the session is established.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Time passes; to be called about once a second.
    pub fn tick(&mut self, now: Instant) {
        let idle = now.saturating_duration_since(self.heard);
        match &self.phase {
            _ if self.fate != Fate::Open => {
                let since = *self.drain_since.get_or_insert(now);
                if now.saturating_duration_since(since) > DRAIN_TIME {
                    self.fate = Fate::Closed("the last answers could not be sent".into());
                }
            }
            Phase::Login(_) | Phase::Establishing(_) => {
                if now.saturating_duration_since(self.opened) > LOGIN_TIME {
                    self.fail("login took too long".into());
                }
            }
            Phase::LoggingOut(header, since) => {
                if now.saturating_duration_since(*since) > LOGOUT_TIME {
                    let header = *header;
                    self.answer_logout(&header, 0);
                    self.fate = Fate::Drain;
                }
            }
            Phase::Full if self.logout_deadline.is_some_and(|deadline| now > deadline) => {
                self.drop_session();
            }
            Phase::Full if idle > IDLE_TIME => self.fail("the initiator is silent".into()),
            Phase::Full if idle > PING_TIME && !self.pinged => self.ping(),
            Phase::Full => {}
        }
    }

    /// Asks the initiator to log out (Async Message event 1) and closes the connection when it does not in time.
    pub fn request_logout(&mut self, now: Instant) {
        match self.phase {
            Phase::Full if self.fate == Fate::Open && self.logout_deadline.is_none() => {
                self.logout_deadline = Some(now + LOGOUT_TIME);
                let mut header = Header::new(opcode::ASYNC_MESSAGE);
                header.set_word::<16>(NO_TAG).set_byte::<36>(1);
                header.set_half::<42>(u16::try_from(LOGOUT_TIME.as_secs()).unwrap_or(u16::MAX));
                self.push_status(header, Vec::new());
            }
            Phase::Login(_) | Phase::Establishing(_) => self.fail("the target goes offline".into()),
            Phase::Full | Phase::LoggingOut(..) => {}
        }
    }

    /// Tells the initiator that its session is dropped (Async Message event 3), and closes the connection.
    pub fn drop_session(&mut self) {
        match self.phase {
            Phase::Full if self.fate == Fate::Open => {
                let mut header = Header::new(opcode::ASYNC_MESSAGE);
                header.set_word::<16>(NO_TAG).set_byte::<36>(3);
                header.set_half::<40>(u16::try_from(self.parameters.time2wait).unwrap_or(u16::MAX));
                header.set_half::<42>(u16::try_from(self.parameters.time2retain).unwrap_or(u16::MAX));
                self.push_status(header, Vec::new());
                self.fate = Fate::Drain;
            }
            _ if self.fate == Fate::Open => self.fail("the target is offline".into()),
            _ => {}
        }
    }

    /// Drops the connection.
    pub fn fail(&mut self, reason: String) {
        if !matches!(self.fate, Fate::Closed(_)) {
            self.fate = Fate::Closed(reason);
        }
    }

    /// The framework wants this many bytes before it executes the command.
    pub fn ready(&mut self, itt: u32, want: u32) {
        self.command_ready(itt, want);
    }

    /// A command ended.
    pub fn finished(&mut self, itt: u32, outcome: Outcome) {
        self.command_finished(itt, outcome);
        if self.tasks.is_empty()
            && let Phase::LoggingOut(header, _) = self.phase
            && self.fate == Fate::Open
        {
            self.answer_logout(&header, 0);
            self.fate = Fate::Drain;
        }
        self.start_parked();
    }

    /// A command ended because it was aborted from elsewhere: no answer is sent (SAM-4 5.3.1, TAS=0).
    pub fn aborted(&mut self, itt: u32) {
        if let Some(live) = self.tasks.get_mut(&itt) {
            live.suppressed = true;
        }
        self.finished(itt, Outcome::status(ScsiStatus::TaskAborted));
    }

    /// Task management ended.
    pub fn managed(&mut self, itt: u32, response: TmResponse) {
        self.management_finished(itt, response);
    }

    /// The session is registered, under this TSIH, or is not to be.
    pub fn established(&mut self, result: Result<u16, LoginStatus>) {
        self.login_established(result);
    }

    /// Routes a PDU by phase and order.
    fn dispatch(&mut self, pdu: Pdu, now: Instant) {
        let op = pdu.header.opcode();
        match self.phase {
            Phase::Login(_) if op == opcode::LOGIN => return self.login_request(&pdu),
            Phase::Login(_) | Phase::Establishing(_) => {
                return self.fail("a request before the login is complete".into());
            }
            Phase::LoggingOut(..) => return,
            Phase::Full => {}
        }
        match op {
            opcode::DATA_OUT => self.data_out(pdu),
            opcode::SNACK => self.reject(&pdu.header, RejectReason::Snack),
            opcode::LOGIN => self.fail("a login request in full feature phase".into()),
            opcode::NOP_OUT | opcode::SCSI_COMMAND | opcode::TASK_MANAGEMENT | opcode::TEXT | opcode::LOGOUT => {
                self.request(pdu, now);
            }
            _ => self.reject(&pdu.header, RejectReason::NotSupported),
        }
    }

    /// A request that is numbered, or immediate.
    fn request(&mut self, pdu: Pdu, now: Instant) {
        let header = pdu.header;
        let discovery = self.identity.as_ref().is_some_and(|identity| identity.discovery);
        let op = header.opcode();
        if discovery && matches!(op, opcode::SCSI_COMMAND | opcode::TASK_MANAGEMENT) {
            return self.reject(&header, RejectReason::NotSupported);
        }
        let mut pdu = pdu;
        if op == opcode::SCSI_COMMAND {
            match self.accept_command(&mut pdu) {
                Ok(()) => {}
                Err(Some(reason)) => return self.reject(&header, reason),
                Err(None) => return,
            }
        }
        if header.immediate() {
            return self.deliver(pdu, now);
        }
        match self.window.arrive(header.cmd_sn(), pdu) {
            Arrival::Deliver(pdu) => {
                self.deliver(pdu, now);
                self.deliver_kept(now);
            }
            Arrival::Kept => {}
            Arrival::Ignored if op == opcode::SCSI_COMMAND => {
                self.tasks.remove(&header.itt());
            }
            Arrival::Ignored => {}
        }
    }

    fn deliver_kept(&mut self, now: Instant) {
        while let Some(pdu) = self.window.next_in_order() {
            self.deliver(pdu, now);
        }
    }

    fn deliver(&mut self, pdu: Pdu, now: Instant) {
        match pdu.header.opcode() {
            opcode::SCSI_COMMAND => {
                self.parked.push_back(pdu.header.itt());
                self.start_parked();
            }
            opcode::NOP_OUT => self.nop_out(pdu),
            opcode::TASK_MANAGEMENT => self.task_management(&pdu.header, now),
            opcode::TEXT => self.text(&pdu),
            _ => self.logout(&pdu.header, now),
        }
    }

    /// Answers with a Reject that carries the offending header (RFC 7143 11.17).
    fn reject(&mut self, offending: &Header, reason: RejectReason) {
        log::debug!("{}: reject {reason:?}: {offending:?}", self.local);
        let mut header = Header::new(opcode::REJECT);
        header.set_byte::<2>(reason as u8).set_word::<16>(NO_TAG);
        self.push_status(header, offending.0.to_vec());
    }

    /// Sends a PDU that consumes a StatSN.
    fn push_status(&mut self, mut header: Header, data: Vec<u8>) {
        self.stamp(&mut header);
        self.stat_sn = self.stat_sn.wrapping_add(1);
        self.out.push(header, data);
    }

    /// Fills in StatSN, ExpCmdSN and MaxCmdSN.
    fn stamp(&mut self, header: &mut Header) {
        let maximum = self.window.maximum(self.tasks.len());
        header
            .set_word::<24>(self.stat_sn)
            .set_word::<28>(self.window.expected())
            .set_word::<32>(maximum);
    }
}

#[cfg(test)]
mod tests;
