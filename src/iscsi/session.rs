//! One iSCSI session with its connections, as a state machine without I/O: bytes and events in, PDUs
//! ([`Session::output`]) and [`Action`]s out.
//!
//! A connection that logs in has a session of its own; when the login names an existing session (RFC 7143 6.3.1, TSIH)
//! it leaves ([`Session::leave`]) and joins that one ([`Session::join`]). One thread runs a session with all its
//! connections: CmdSN puts the commands of all of them into one order anyway, so a hand-over would only add to its cost.
//!
//! What must stay true: a task is in `tasks` from the arrival of its command until its outcome has come back, so its tag
//! cannot be used twice in the session (RFC 7143 4.2.2.1); data and status of a task go over the connection of its command
//! and no other (connection allegiance, 4.2.5.1); everything that waits is bounded by the command window and the budgets
//! of the module `memory`.

mod command;
mod connection;
mod login_phase;
mod logout;
mod management;
mod memory;
mod requests;
mod timers;

pub use connection::Connection;
pub use memory::Pool;

use super::decoder::Pdu;
use super::directory::{Directory, LoginStatus, Patience};
use super::login::Identity;
use super::output::Output;
use super::parameters::Parameters;
use super::pdu::{Header, NO_TAG, RejectReason, opcode};
use super::radius::Question;
use super::table::Table;
use super::window::{Arrival, WINDOW, Window};
use crate::framework::{Cdb, Expected, Outcome, TaskAttribute, TmFunction, TmResponse};
use crate::scsi::ScsiStatus;
use command::Live;
use connection::{Phase, Stamp};
use logout::Logout;
use management::Managing;
use memory::Share;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Full feature phase must be reached within this time.
pub const LOGIN_TIME: Duration = Duration::from_secs(20);
/// How long an initiator may take to log out when asked to, and a logout may wait for tasks.
pub const LOGOUT_TIME: Duration = Duration::from_secs(20);
/// After [`LOGOUT_TIME`] new commands are rejected for this long before the session is dropped.
pub const REFUSE_TIME: Duration = Duration::from_secs(3);
/// How long the last answers may take to be sent before the connection is closed all the same.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// How long a new connection waits for the tasks of a lost one to end.
const JOIN_TIME: Duration = Duration::from_secs(5);
/// A gap in CmdSN that nobody fills for this long ends the session (`iscsi-target.md` chapter 7).
const GAP_TIME: Duration = Duration::from_secs(30);

/// Most data that a write wants at a time, bytes.
pub const WRITE_MAX: u32 = 64 << 20;
/// Immediate commands that may be outstanding (`iscsi-target.md` chapter 7).
const IMMEDIATE_MAX: usize = 8;
/// Task management requests that may be outstanding.
const MANAGING_MAX: usize = 64;

/// Names a connection of the node.
pub type ConnectionId = u64;

/// What the shell is to do.
#[derive(Debug)]
pub enum Action {
    /// The login is granted. With TSIH 0: register a session and call [`Session::established`]. Otherwise: take the
    /// connection ([`Session::leave`]) to the session with that TSIH.
    Establish(Box<Identity>),
    /// Ask the RADIUS server and call [`Session::verified`].
    Verify(Box<Question>),
    /// Hand the command to the framework and call [`Session::ready`] or [`Session::finished`].
    Start(Command),
    /// Execute a command that was ready, or its next part; [`Session::finished`] or [`Session::part`] follows.
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
    /// Abort a command that is being executed; [`Session::finished`] still follows.
    Abort {
        /// Its tag.
        itt: u32,
    },
    /// Task management; [`Session::managed`] follows.
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

/// What is to become of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Open,
    /// Close it when the output is sent.
    Drain,
    /// Close it now; why.
    Closed(String),
}

/// The state machine.
pub struct Session {
    directory: Arc<dyn Directory>,
    patience: Patience,
    connections: Vec<Connection>,
    actions: VecDeque<Action>,
    share: Share,
    identity: Option<Identity>,
    tsih: u16,
    /// Of the leading login; what a connection has of its own is in the connection.
    parameters: Parameters,
    window: Window<(ConnectionId, Pdu)>,
    gap_since: Option<Instant>,
    tasks: Table<u32, Live>,
    /// In CmdSN order, not started yet.
    parked: VecDeque<u32>,
    /// Reads whose next part waits until what was read is sent.
    resting: VecDeque<u32>,
    /// Ready writes that wait for memory to solicit data into.
    unadmitted: VecDeque<u32>,
    managing: Table<u32, Managing>,
    logouts: Vec<Logout>,
    /// Bytes promised to admitted writes.
    writing: u64,
    /// Bytes expected by reads that were started.
    reading: u64,
    next_ttt: u32,
    logout_deadline: Option<Instant>,
    /// It ends with its last connection; nothing is kept for the initiator.
    closing: bool,
    /// Until when it is kept without a connection.
    kept_until: Option<Instant>,
}

impl Session {
    /// The session of a connection that was accepted on this local address.
    pub fn new(
        id: ConnectionId,
        local: SocketAddr,
        directory: Arc<dyn Directory>,
        pool: Rc<Pool>,
        now: Instant,
    ) -> Session {
        Session::around(Connection::new(id, local, now), directory, pool)
    }

    /// The session of a connection that found none to join.
    pub fn stranded(connection: Connection, directory: Arc<dyn Directory>, pool: Rc<Pool>) -> Session {
        let id = connection.id;
        let mut session = Session::around(connection, directory, pool);
        session.refuse(id, LoginStatus::NO_SUCH_SESSION);
        session
    }

    fn around(connection: Connection, directory: Arc<dyn Directory>, pool: Rc<Pool>) -> Session {
        Session {
            patience: directory.patience(),
            directory,
            connections: vec![connection],
            actions: VecDeque::new(),
            share: Share::new(pool),
            identity: None,
            tsih: 0,
            parameters: Parameters::default(),
            window: Window::new(0),
            gap_since: None,
            tasks: Table::default(),
            parked: VecDeque::new(),
            resting: VecDeque::new(),
            unadmitted: VecDeque::new(),
            managing: Table::default(),
            logouts: Vec::new(),
            writing: 0,
            reading: 0,
            next_ttt: 1,
            logout_deadline: None,
            closing: false,
            kept_until: None,
        }
    }

    /// Takes bytes from the initiator.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) {
        let Some(connection) = self.at(id) else { return };
        connection.heard = now;
        connection.pinged = false;
        let mut rest = bytes;
        loop {
            let open = |connection: &&mut Connection| connection.id == id && connection.fate == Fate::Open;
            let Some(connection) = self.connections.iter_mut().find(open) else {
                return;
            };
            let tasks = &mut self.tasks;
            match connection
                .decoder
                .feed(&mut rest, |header| command::lend(tasks, id, header))
            {
                Ok(Some(pdu)) => self.dispatch(id, pdu, now),
                Ok(None) => return,
                Err(error) => connection.fail(error.to_string()),
            }
        }
    }

    /// A vector that the next bytes of a connection may be received into directly, and how many (see `Decoder::wanted`).
    /// Afterwards call [`Session::receive`] with what came behind them, or with nothing.
    pub fn wanted(&mut self, id: ConnectionId) -> Option<(&mut Vec<u8>, usize)> {
        self.at(id)?.decoder.wanted()
    }

    /// The next thing to do. Actions are to be done in order, before anything else is fed in.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Is there a next thing to do?
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// What is to be sent on a connection.
    pub fn output(&self, id: ConnectionId) -> Option<&Output> {
        self.connections.iter().find(|known| known.id == id).map(|it| &it.out)
    }

    /// Bytes were sent: commands that waited for room may start.
    pub fn sent(&mut self, id: ConnectionId, bytes: usize) {
        if let Some(connection) = self.at(id) {
            connection.out.advance(bytes);
            connection.moved = true;
            self.start_parked();
        }
    }

    /// What is to become of a connection.
    pub fn fate(&self, id: ConnectionId) -> Option<&Fate> {
        self.connections.iter().find(|known| known.id == id).map(|it| &it.fate)
    }

    /// True while the initiator does not take its answers on this connection: nothing more is to be read from it.
    pub fn paused(&self, id: ConnectionId) -> bool {
        self.output(id).is_some_and(|out| out.len() as u64 >= self.share.read())
    }

    /// Who is logged in, once the session is established.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Drops a connection.
    pub fn fail(&mut self, id: ConnectionId, reason: String) {
        if let Some(connection) = self.at(id) {
            connection.fail(reason);
        }
    }

    /// Drops all connections, and with them the session.
    pub fn close(&mut self, reason: &str) {
        self.closing = true;
        self.connections
            .iter_mut()
            .for_each(|connection| connection.fail(reason.into()));
    }

    /// A connection is closed: its tasks are aborted (RFC 7143 6.3.4), and what it had sent ahead of a gap is forgotten.
    pub fn lost(&mut self, id: ConnectionId, now: Instant) {
        self.connections.retain(|connection| connection.id != id);
        self.abort_connection(id, now);
        self.settle_logouts(Some(now));
        let keeps = self.identity.as_ref().is_some_and(|identity| !identity.discovery) && !self.closing;
        if self.connections.is_empty() && keeps {
            self.kept_until = Some(now + Duration::from_secs(self.parameters.time2retain.into()));
        }
    }

    /// True when the session is to be ended: it has no connection, and is not kept for its initiator (any more).
    pub fn over(&self, now: Instant) -> bool {
        let kept = !self.closing && self.kept_until.is_some_and(|until| now < until);
        self.connections.is_empty() && !kept
    }

    /// The framework wants this many bytes before it executes the command. When they are there, [`Action::Execute`] is the
    /// very next action: what was begun is finished first, so that little data is held at a time, and that in the
    /// processor's cache.
    pub fn ready(&mut self, itt: u32, want: u32) {
        self.command_ready(itt, want);
        if matches!(self.actions.back(), Some(Action::Execute { itt: last, .. }) if *last == itt) {
            self.actions.rotate_right(1);
        }
    }

    /// A part of a command has ended well: data for the initiator, and the bytes of it that the next part wants.
    pub fn part(&mut self, itt: u32, data: Vec<u8>, want: u32) {
        self.command_part(itt, data, want);
        self.start_parked();
    }

    /// A command ended.
    pub fn finished(&mut self, itt: u32, outcome: Outcome) {
        self.command_finished(itt, outcome);
        if !self.logouts.is_empty() {
            self.settle_logouts(None);
        }
        if self
            .connections
            .iter()
            .any(|it| matches!(it.phase, Phase::Establishing(_)))
        {
            self.admit_connections(None);
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

    /// The RADIUS server has answered, or could not be asked.
    pub fn verified(&mut self, verdict: Result<(), LoginStatus>) {
        self.login_verified(verdict);
    }

    /// The session is registered, under this TSIH, or is not to be.
    pub fn established(&mut self, result: Result<u16, LoginStatus>) {
        self.login_established(result);
    }

    fn at(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|connection| connection.id == id)
    }

    /// Routes a PDU by phase and order.
    fn dispatch(&mut self, id: ConnectionId, pdu: Pdu, now: Instant) {
        let op = pdu.header.opcode();
        let Some(connection) = self.at(id) else { return };
        match connection.phase {
            Phase::Login(_) if op == opcode::LOGIN => return self.login_request(id, &pdu),
            Phase::Login(_) | Phase::Verifying(..) | Phase::Establishing(_) => {
                return connection.fail("a request before the login is complete".into());
            }
            Phase::LoggingOut => return,
            Phase::Full => {}
        }
        if pdu.damaged {
            return self.damaged(id, pdu);
        }
        match op {
            opcode::DATA_OUT => self.data_out(id, pdu),
            opcode::SNACK => self.reject(id, &pdu.header, RejectReason::Snack),
            opcode::LOGIN => connection.fail("a login request in full feature phase".into()),
            opcode::NOP_OUT | opcode::SCSI_COMMAND | opcode::TASK_MANAGEMENT | opcode::TEXT | opcode::LOGOUT => {
                self.request(id, pdu, now);
            }
            _ => self.reject(id, &pdu.header, RejectReason::NotSupported),
        }
    }

    /// Data digest mismatch (RFC 7143 7.8). Data-Out fails its command; without the retransmission of higher recovery
    /// levels any other request would leave a gap in CmdSN, so that connection ends.
    fn damaged(&mut self, id: ConnectionId, pdu: Pdu) {
        self.reject(id, &pdu.header, RejectReason::DataDigest);
        if pdu.header.opcode() == opcode::DATA_OUT {
            self.data_out(id, pdu);
        } else if let Some(connection) = self.at(id) {
            log::warn!("{}: data digest mismatch", connection.local);
            connection.fate = Fate::Drain;
        }
    }

    /// A request that is numbered, or immediate.
    fn request(&mut self, id: ConnectionId, pdu: Pdu, now: Instant) {
        let header = pdu.header;
        let discovery = self.identity.as_ref().is_some_and(|identity| identity.discovery);
        let op = header.opcode();
        if discovery && matches!(op, opcode::SCSI_COMMAND | opcode::TASK_MANAGEMENT) {
            return self.reject_for_good(id, &header, RejectReason::NotSupported, now);
        }
        let mut pdu = pdu;
        if op == opcode::SCSI_COMMAND {
            if self.logout_deadline.is_some_and(|deadline| now > deadline) {
                return self.reject_for_good(id, &header, RejectReason::WaitingForLogout, now);
            }
            match self.accept_command(id, &mut pdu) {
                Ok(()) => {}
                Err(Some(RejectReason::InvalidField)) => {
                    return self.reject_for_good(id, &header, RejectReason::InvalidField, now);
                }
                Err(Some(reason)) => return self.reject(id, &header, reason),
                Err(None) => return,
            }
        }
        if header.immediate() {
            return self.deliver(id, pdu, now);
        }
        match self.window.arrive(header.cmd_sn(), (id, pdu)) {
            Arrival::Deliver((id, pdu)) => {
                self.deliver(id, pdu, now);
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
        while let Some((id, pdu)) = self.window.next_in_order() {
            self.deliver(id, pdu, now);
        }
    }

    fn deliver(&mut self, id: ConnectionId, pdu: Pdu, now: Instant) {
        match pdu.header.opcode() {
            opcode::SCSI_COMMAND => {
                self.parked.push_back(pdu.header.itt());
                self.start_parked();
            }
            opcode::NOP_OUT => self.nop_out(id, pdu),
            opcode::TASK_MANAGEMENT => self.task_management(id, &pdu.header, now),
            opcode::TEXT => self.text(id, &pdu),
            _ => self.logout(id, &pdu.header, now),
        }
    }

    /// Answers with a Reject that carries the offending header (RFC 7143 11.17).
    fn reject(&mut self, id: ConnectionId, offending: &Header, reason: RejectReason) {
        log::debug!("connection {id:#x}: reject {reason:?}: {offending:?}");
        let mut header = Header::new(opcode::REJECT);
        header.set_byte::<2>(reason as u8).set_word::<16>(NO_TAG);
        self.push_status(id, header, offending.0.to_vec());
    }

    /// Rejects a request that is of no use a second time: its number counts as received.
    fn reject_for_good(&mut self, id: ConnectionId, offending: &Header, reason: RejectReason, now: Instant) {
        if !offending.immediate() {
            if let (_, Some((_, kept))) = self.window.skip(offending.cmd_sn())
                && kept.header.opcode() == opcode::SCSI_COMMAND
            {
                self.tasks.remove(&kept.header.itt());
            }
            self.deliver_kept(now);
        }
        self.reject(id, offending, reason);
    }

    /// Sends a PDU that consumes a StatSN; nothing if the connection is gone.
    fn push_status(&mut self, id: ConnectionId, header: Header, data: Vec<u8>) {
        let stamp = self.stamp();
        if let Some(connection) = self.at(id) {
            connection.push_status(stamp, header, data);
        }
    }

    /// ExpCmdSN and MaxCmdSN of this moment.
    fn stamp(&mut self) -> Stamp {
        let size = self.share.window(WINDOW, self.parameters.first_burst);
        Stamp {
            maximum: self.window.maximum(size, self.tasks.len()),
            expected: self.window.expected(),
        }
    }
}

#[cfg(test)]
mod tests;
