//! Commands of our Standby LUs on their way to the peer and back (`alua-proxy.md` 5.7 to 5.11).

use super::super::codes;
use super::super::message::{Body, PortId, RemotePort, ScsiCmd, ScsiData, ScsiStatus as StatusMessage, Session};
use super::announcer::port_id;
use super::{Capabilities, Class, Context, Done, Fate, Outcome, Output, TmDone, TmFunction, TmResponse};
use crate::framework::{Expected, changes_settings, forwarded_by_default};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{DevId, Guid, TransportId};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

/// Pieces that may be kept for one task until those before them arrive; a sender has fewer unconfirmed.
const EARLY_PIECES: usize = 16;

/// Through which nexus something came.
#[derive(Debug, Clone)]
pub(in super::super) struct Origin {
    pub session: u64,
    pub initiator: DevId,
    pub target: DevId,
    /// SPC protocol identifier of the target port.
    pub protocol: u8,
    pub transport_id: TransportId,
    pub lun: [u8; 8],
}

/// A command to be forwarded.
pub(in super::super) struct Command {
    pub lu: Guid,
    pub origin: Origin,
    pub tag: u64,
    pub cdb: Vec<u8>,
    pub attribute: u8,
    pub expected: Expected,
    pub data: Vec<u8>,
    /// Ownership generation of the peer, for writes.
    pub generation: Option<u64>,
}

/// A task management function to be forwarded.
pub(in super::super) struct ManagementRequest {
    pub lu: Guid,
    pub origin: Origin,
    pub function: TmFunction,
    /// For ABORT TASK.
    pub referenced_tag: u64,
}

struct Forwarded {
    done: Done,
    lu: Guid,
    session: u64,
    tag: u64,
    expected: Expected,
    /// Bytes that went with the command.
    sent: u64,
    data: Vec<u8>,
    /// Pieces that overtook others in a daemon of many threads, by offset.
    early: BTreeMap<usize, Vec<u8>>,
    /// The status is GOOD when all data are here.
    good: bool,
    deadline: Duration,
    /// The outcome is TASK ABORTED, whatever the peer still says.
    aborted: bool,
    /// The peer is gone; the outcome waits until the peer can not start it any more.
    failing: bool,
    /// A moment before which the peer did not give out the newest token (or R2T) of it; `None` for what changes nothing.
    proof: Option<Duration>,
    /// Data of the host, when not all of it went with the command.
    upload: Vec<u8>,
    /// What an abort of it would need.
    origin: Origin,
}

impl Forwarded {
    /// Puts a piece in its place. False when more is missing before it than can be on the way.
    fn take(&mut self, offset: usize, piece: Vec<u8>) -> bool {
        if offset > self.data.len() && self.early.len() >= EARLY_PIECES {
            return false;
        }
        let wanted = if self.expected.read {
            self.expected.length as usize
        } else {
            0
        };
        if offset == 0 && self.data.is_empty() && self.early.is_empty() && piece.len() <= wanted {
            self.data = piece;
            return true;
        }
        self.early.insert(offset, piece);
        while let Some(next) = self.early.first_entry().filter(|next| *next.key() <= self.data.len()) {
            let (offset, piece) = next.remove_entry();
            // Clamp: an original peer sends the size of its buffer, not of the data (hazard H20). Repeated bytes are
            // dropped.
            let room = wanted.saturating_sub(self.data.len());
            let fresh = piece.get(self.data.len() - offset..).unwrap_or_default();
            self.data.extend_from_slice(&fresh[..fresh.len().min(room)]);
        }
        true
    }
}

enum Waiting {
    /// The framework waits.
    Framework(TmDone),
    /// This task ends when the peer has answered.
    Abort(u64),
    /// Nobody waits.
    Nobody,
}

struct Management {
    waiting: Waiting,
    deadline: Duration,
}

#[derive(Default)]
pub(super) struct Standby {
    tasks: HashMap<u64, Forwarded>,
    per_lu: HashMap<Guid, usize>,
    management: HashMap<u64, Management>,
    /// Sessions of ours that the peer has seen.
    sessions: HashSet<u64>,
    /// Pieces of data that are taken and not confirmed yet: task and session.
    unconfirmed: Vec<(u64, u64)>,
}

impl Standby {
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.management.is_empty()
    }

    pub fn forward(&mut self, cx: &mut Context<'_>, command: Command, done: Done, reachable: bool, congested: bool) {
        let under_way = self.per_lu.get(&command.lu).copied().unwrap_or(0);
        // 7.7: forwarded only under the policy `non-optimized`, to a peer that agreed.
        let changes = !forwarded_by_default(&command.cdb);
        let writes = cx.capabilities.has(Capabilities::WRITES);
        let token = cx.peer_token.filter(|_| changes);
        let refusal = if !reachable {
            Some(Outcome::check(Sense::ALUA_UNAVAILABLE))
        } else if !writes && (changes || command.data.len() > cx.config.immediate) {
            Some(Outcome::check(Sense::ALUA_STANDBY))
        } else if congested || changes && (token.is_none() || command.generation.is_none()) {
            Some(Outcome::status(ScsiStatus::Busy))
        } else if self.tasks.len() >= cx.config.commands || under_way >= cx.config.commands_per_lu {
            Some(Outcome::status(ScsiStatus::TaskSetFull))
        } else {
            None
        };
        if let Some(outcome) = refusal {
            cx.out.push(Output::Complete(done, outcome));
            return;
        }
        let id = cx.ids.next();
        let sent = command.data.len() as u64;
        let mut message = scsi_cmd(id, command.lu, &command.origin);
        message.expected = command.expected.length;
        message.flags = flags(&command);
        message.cdb = command.cdb;
        message.generation = command.generation.filter(|_| changes);
        let proves = token.or(cx.peer_token.filter(|_| cx.ours && changes_settings(&message.cdb)));
        message.token = proves.map(|(nonce, _)| nonce);
        let upload = if command.data.len() > cx.config.immediate {
            message.total = u32::try_from(command.data.len()).ok();
            message.data = command.data[..cx.config.immediate].to_vec();
            command.data
        } else {
            message.data = command.data;
            Vec::new()
        };
        cx.send(Class::Bulk, id, Body::ScsiCmd(Box::new(message)));
        self.sessions.insert(command.origin.session);
        *self.per_lu.entry(command.lu).or_default() += 1;
        self.tasks.insert(
            id,
            Forwarded {
                done,
                lu: command.lu,
                session: command.origin.session,
                tag: command.tag,
                expected: command.expected,
                sent,
                data: Vec::new(),
                early: BTreeMap::new(),
                good: false,
                deadline: cx.now + cx.config.command,
                aborted: false,
                failing: false,
                proof: token.map(|(_, at)| at),
                upload,
                origin: command.origin,
            },
        );
    }

    /// ABORT TASK, or the nexus ended. Between our nodes the task ends when the peer has answered, or after 5 s (5.10).
    pub fn abort(&mut self, cx: &mut Context<'_>, session: u64, tag: u64) {
        let found = self
            .tasks
            .iter()
            .find(|(_, task)| task.session == session && task.tag == tag);
        let Some((&id, _)) = found else { return };
        self.abort_and_wait(cx, id);
    }

    pub fn manage(&mut self, cx: &mut Context<'_>, request: ManagementRequest, done: TmDone, reachable: bool) {
        let ManagementRequest {
            lu,
            origin,
            function,
            referenced_tag,
        } = request;
        if function == TmFunction::AbortTask {
            return self.abort_for(cx, origin.session, referenced_tag, done);
        }
        let number = match function {
            // Target resets go to the peer as resets of each LU (5.11).
            TmFunction::TargetWarmReset | TmFunction::TargetColdReset => TmFunction::LunReset as u8,
            other => other as u8,
        };
        if function == TmFunction::ClearAca || !reachable {
            // Nobody at the other end holds tasks of ours.
            let answer = if reachable {
                TmResponse::NotSupported
            } else {
                TmResponse::Complete
            };
            cx.out.push(Output::CompleteManagement(done, answer));
            return;
        }
        let id = cx.ids.next() | ScsiCmd::MANAGEMENT_ID;
        let mut message = scsi_cmd(id, lu, &origin);
        message.function = number;
        cx.send(Class::Bulk, id, Body::ScsiCmd(Box::new(message)));
        self.sessions.insert(origin.session);
        if cx.capabilities.has(Capabilities::TM_ANSWER) {
            self.wait(cx, id, Waiting::Framework(done));
        } else {
            cx.out.push(Output::CompleteManagement(done, TmResponse::Complete));
        }
    }

    /// SESSION_DESTROY, if the peer knows the session.
    pub fn nexus_ended(&mut self, cx: &mut Context<'_>, origin: Origin, open: bool) {
        let orphans: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.session == origin.session)
            .map(|(id, _)| *id)
            .collect();
        for id in orphans {
            self.complete(cx, id, Outcome::status(ScsiStatus::TaskAborted));
        }
        if self.sessions.remove(&origin.session) && open {
            let id = cx.ids.next();
            let session = Session {
                initiator: initiator(&origin),
                target: port_id(&origin.target),
                remote: RemotePort(origin.transport_id),
                session: origin.session,
            };
            cx.send(Class::Bulk, id, Body::SessionDestroy(session));
        }
    }

    /// R2T: the peer asks for more of the host's data.
    pub fn upload(&mut self, cx: &mut Context<'_>, id: u64, session: u64, offset: u32, length: u32) {
        let (now, wait) = (cx.now, cx.config.command);
        let task = self.tasks.get_mut(&id);
        let Some(task) = task.filter(|task| task.session == session && !task.aborted && !task.failing) else {
            return transfer_done(cx, id, 0, codes::FAILED);
        };
        let (from, length) = (offset as usize, length as usize);
        let Some(piece) = task
            .upload
            .get(from..from.saturating_add(length))
            .filter(|piece| !piece.is_empty())
        else {
            log::error!("pppt: the peer asks for data of task {id:#x} that it does not have");
            return transfer_done(cx, id, session, codes::FAILED);
        };
        let data = ScsiData {
            task: id,
            session,
            guid: task.lu,
            data: piece.to_vec(),
            offset: Some(offset),
            last: false,
        };
        task.deadline = now + wait;
        task.proof = Some(now);
        cx.send(Class::Bulk, 0, Body::ScsiData(data));
    }

    /// A piece of the host's data did not get through the door. False when it is none of ours.
    pub fn upload_lost(&mut self, cx: &mut Context<'_>, data: &ScsiData) -> bool {
        let ours = |task: &Forwarded| !task.upload.is_empty() && task.session == data.session;
        if !self.tasks.get(&data.task).is_some_and(ours) {
            return false;
        }
        self.abort_and_wait(cx, data.task);
        true
    }

    /// The outcome is TASK ABORTED when the peer has answered, or after a while.
    fn abort_and_wait(&mut self, cx: &mut Context<'_>, id: u64) {
        let asked = self.ask_abort(cx, id, Waiting::Abort(id));
        if let Some(task) = self.tasks.get_mut(&id) {
            task.aborted = true;
        }
        if !asked {
            self.outlast(cx, id);
        }
    }

    /// SCSI_DATA.
    pub fn data(&mut self, cx: &mut Context<'_>, message: ScsiData) {
        let (now, wait, ours) = (cx.now, cx.config.command, cx.ours);
        let Some(task) = self
            .tasks
            .get_mut(&message.task)
            .filter(|task| task.lu == message.guid && !task.aborted)
        else {
            // The peer aborts its task when it reads this (5.10).
            return transfer_done(cx, message.task, 0, codes::FAILED);
        };
        task.deadline = now + wait;
        let session = task.session;
        let offset = message
            .offset
            .filter(|_| ours)
            .map_or(task.data.len(), |offset| offset as usize);
        let taken = task.take(offset, message.data);
        if !taken {
            log::error!(
                "pppt: data of task {:#x} is missing before offset {offset}",
                message.task
            );
            transfer_done(cx, message.task, session, codes::FAILED);
            return self.complete(cx, message.task, Outcome::status(ScsiStatus::Busy));
        }
        task.good |= message.last && ours;
        if task.good && task.data.len() == task.expected.length as usize {
            return self.status(cx, StatusMessage::good(message.task, session, message.guid));
        }
        self.unconfirmed.push((message.task, session));
    }

    /// Nothing more of the peer is here: it may wait for what is said now.
    pub fn idle(&mut self, cx: &mut Context<'_>) {
        for (task, session) in self.unconfirmed.drain(..) {
            transfer_done(cx, task, session, codes::SUCCESS);
        }
    }

    /// SCSI_STATUS.
    pub fn status(&mut self, cx: &mut Context<'_>, message: StatusMessage) {
        if message.task & ScsiCmd::MANAGEMENT_ID != 0 {
            return self.managed(cx, message.task, &message);
        }
        let Some(task) = self.tasks.get_mut(&message.task).filter(|task| task.lu == message.guid) else {
            return;
        };
        // Who has sent the status waits for nothing more.
        self.unconfirmed.retain(|(task, _)| *task != message.task);
        let Some(status) = ScsiStatus::from_byte(message.status) else {
            log::error!(
                "pppt: the peer ended task {:#x} with unknown status {:#04x}",
                message.task,
                message.status
            );
            return self.complete(cx, message.task, Outcome::status(ScsiStatus::Busy));
        };
        let data = std::mem::take(&mut task.data);
        let moved = if task.expected.read {
            data.len() as u64
        } else {
            task.sent
        };
        let edtl = u64::from(task.expected.length);
        let residual = u64::from(message.residual);
        let mut implied = moved;
        // An original's residual is not to be trusted (H20); one of ours proves that no data was lost on the way.
        if cx.ours {
            let overrun = message.flags & StatusMessage::OVERRUN != 0;
            let underrun = message.flags & StatusMessage::UNDERRUN != 0;
            if overrun {
                implied = edtl + residual;
            }
            let should = match (overrun, underrun) {
                (false, false) => Some(edtl),
                (false, true) => Some(edtl.saturating_sub(residual)),
                (true, _) => (status == ScsiStatus::Good).then_some(edtl),
            };
            if task.expected.read && should.is_some_and(|should| should != moved) {
                log::error!(
                    "pppt: data of task {:#x} was lost on the way; the command is ended",
                    message.task
                );
                return self.complete(cx, message.task, Outcome::status(ScsiStatus::Busy));
            }
        }
        let outcome = Outcome {
            status,
            sense: message.sense,
            data,
            implied,
        };
        self.complete(cx, message.task, outcome);
    }

    /// STATUS for a SCSI_CMD: it was not started (5.17).
    pub fn not_started(&mut self, cx: &mut Context<'_>, id: u64, code: Option<u64>) {
        if id & ScsiCmd::MANAGEMENT_ID != 0 {
            return self.end_management(cx, id, TmResponse::Rejected);
        }
        if let Some(task) = self.tasks.get(&id) {
            let code = code.unwrap_or(codes::SUCCESS);
            log::warn!(
                "pppt: the peer could not start a command of LU {} (code {code:#x})",
                task.lu
            );
            self.complete(cx, id, Outcome::status(ScsiStatus::Busy));
        }
    }

    /// The command, or a task management function, did not get through the door.
    pub fn send_failed(&mut self, cx: &mut Context<'_>, id: u64, fate: Fate) {
        if id & ScsiCmd::MANAGEMENT_ID != 0 {
            self.end_management(cx, id, TmResponse::Rejected);
        } else if fate == Fate::Unknown {
            self.outlast(cx, id);
        } else {
            self.complete(cx, id, Outcome::check(Sense::ALUA_UNAVAILABLE));
        }
    }

    /// Nobody will say what became of a command. A write may still be on its way to the peer: its outcome waits until the
    /// peer would not begin it any more, for the host sends it again through the other path as soon as it has the outcome.
    /// (What the peer has begun by then, the host's next write to these blocks waits for there.)
    fn outlast(&mut self, cx: &mut Context<'_>, id: u64) {
        let life = cx.config.write_life + cx.config.write_life / 10;
        let until = self.tasks.get(&id).and_then(|task| task.proof).map(|at| at + life);
        match self.tasks.get_mut(&id).zip(until) {
            Some((task, until)) if cx.now < until => {
                task.failing = true;
                task.deadline = until;
            }
            _ => self.complete(cx, id, Outcome::check(Sense::ALUA_UNAVAILABLE)),
        }
    }

    /// The write that this ABORT TASK is to end, if its outcome waits for that.
    fn write_to_abort(&self, id: u64) -> Option<u64> {
        match self.management.get(&id).map(|tm| &tm.waiting) {
            Some(Waiting::Abort(task)) => self.tasks.get(task)?.proof.map(|_| *task),
            _ => None,
        }
    }

    /// The peer is gone.
    pub fn fail_all(&mut self, cx: &mut Context<'_>) {
        for id in self.tasks.keys().copied().collect::<Vec<_>>() {
            self.outlast(cx, id);
        }
        // Its tasks are gone with it, as far as this node can know.
        for id in self.management.keys().copied().collect::<Vec<_>>() {
            match self.management.get(&id).map(|tm| &tm.waiting) {
                Some(Waiting::Abort(task)) if self.tasks.contains_key(task) => drop(self.management.remove(&id)),
                _ => self.end_management(cx, id, TmResponse::Rejected),
            }
        }
        self.sessions.clear();
        self.unconfirmed.clear();
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let late: Vec<(u64, bool, bool)> = self
            .tasks
            .iter()
            .filter(|(_, task)| (!task.aborted || task.failing) && now >= task.deadline)
            .map(|(id, task)| (*id, task.failing, task.proof.is_some()))
            .collect();
        for (id, failing, changes) in late {
            if failing {
                self.complete(cx, id, Outcome::check(Sense::ALUA_UNAVAILABLE));
                continue;
            }
            log::warn!("pppt: no answer to task {id:#x} for {:?}; ended", cx.config.command);
            if changes {
                self.abort_and_wait(cx, id);
            } else {
                self.ask_abort(cx, id, Waiting::Nobody);
                self.complete(cx, id, Outcome::check(Sense::ALUA_UNAVAILABLE));
            }
        }
        let late: Vec<u64> = self
            .management
            .iter()
            .filter(|(_, tm)| now >= tm.deadline)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            match self.write_to_abort(id) {
                // Asked again: it may have been lost, and the write may happen as long as the peer does not say otherwise.
                Some(task) => {
                    self.management.remove(&id);
                    self.abort_and_wait(cx, task);
                }
                None => self.end_management(cx, id, TmResponse::Rejected),
            }
        }
    }

    fn abort_for(&mut self, cx: &mut Context<'_>, session: u64, tag: u64, done: TmDone) {
        let found = self
            .tasks
            .iter()
            .find(|(_, task)| task.session == session && task.tag == tag);
        let Some((&id, _)) = found else {
            cx.out.push(Output::CompleteManagement(done, TmResponse::NoSuchTask));
            return;
        };
        if cx.capabilities.has(Capabilities::ABORT_TASK) {
            self.ask_abort(cx, id, Waiting::Framework(done));
        } else {
            cx.out.push(Output::CompleteManagement(done, TmResponse::Complete));
        }
        self.complete(cx, id, Outcome::status(ScsiStatus::TaskAborted));
    }

    /// Sends ABORT TASK if the peer knows it; false otherwise, nothing is sent then.
    fn ask_abort(&mut self, cx: &mut Context<'_>, id: u64, waiting: Waiting) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        if !cx.capabilities.has(Capabilities::ABORT_TASK) {
            return false;
        }
        let abort = cx.ids.next() | ScsiCmd::MANAGEMENT_ID;
        let mut message = scsi_cmd(abort, task.lu, &task.origin);
        message.function = TmFunction::AbortTask as u8;
        message.referenced = Some(id);
        cx.send(Class::Bulk, abort, Body::ScsiCmd(Box::new(message)));
        self.wait(cx, abort, waiting);
        true
    }

    /// For the answer of the peer.
    fn wait(&mut self, cx: &Context<'_>, id: u64, waiting: Waiting) {
        let deadline = cx.now + cx.config.management;
        self.management.insert(id, Management { waiting, deadline });
    }

    fn managed(&mut self, cx: &mut Context<'_>, id: u64, message: &StatusMessage) {
        let asc = message.sense.get(12).copied().unwrap_or(0);
        let response = match (ScsiStatus::from_byte(message.status), asc) {
            (Some(ScsiStatus::Good), _) => TmResponse::Complete,
            (Some(ScsiStatus::CheckCondition), 0x0e) => TmResponse::NotSupported,
            (Some(ScsiStatus::CheckCondition), 0x25) => TmResponse::NoSuchLun,
            _ => TmResponse::Rejected,
        };
        self.end_management(cx, id, response);
    }

    fn end_management(&mut self, cx: &mut Context<'_>, id: u64, response: TmResponse) {
        match self.management.remove(&id).map(|tm| tm.waiting) {
            Some(Waiting::Framework(done)) => cx.out.push(Output::CompleteManagement(done, response)),
            Some(Waiting::Abort(task)) if response == TmResponse::Complete => {
                self.complete(cx, task, Outcome::status(ScsiStatus::TaskAborted));
            }
            Some(Waiting::Abort(task)) => self.outlast(cx, task),
            Some(Waiting::Nobody) | None => {}
        }
    }

    /// Takes the task out of the table; nothing that arrives later finds it (hazard H21).
    fn complete(&mut self, cx: &mut Context<'_>, id: u64, outcome: Outcome) {
        let Some(task) = self.tasks.remove(&id) else { return };
        if let Some(count) = self.per_lu.get_mut(&task.lu) {
            *count -= 1;
            if *count == 0 {
                self.per_lu.remove(&task.lu);
            }
        }
        let outcome = if task.aborted {
            Outcome::status(ScsiStatus::TaskAborted)
        } else {
            outcome
        };
        cx.out.push(Output::Complete(task.done, outcome));
    }
}

fn transfer_done(cx: &mut Context<'_>, task: u64, session: u64, status: u64) {
    let id = cx.ids.next();
    cx.send(Class::Answer, id, Body::XferDone { task, session, status });
}

fn flags(command: &Command) -> u8 {
    let mut flags = command.attribute & ScsiCmd::ATTRIBUTE;
    if command.expected.read {
        flags |= ScsiCmd::READ;
    }
    if command.expected.write {
        flags |= ScsiCmd::WRITE;
    }
    if !command.data.is_empty() {
        flags |= ScsiCmd::INITIAL_BURST;
    }
    flags
}

fn initiator(origin: &Origin) -> PortId {
    PortId::new(origin.protocol, origin.initiator.clone())
}

/// SCSI_CMD without command: who, through which port, to which LU.
fn scsi_cmd(id: u64, lu: Guid, origin: &Origin) -> ScsiCmd {
    ScsiCmd {
        task: id,
        initiator: initiator(origin),
        target: PortId::new(origin.protocol, origin.target.clone()),
        remote: RemotePort(origin.transport_id.clone()),
        guid: lu,
        session: origin.session,
        lun: origin.lun,
        expected: 0,
        cdb: Vec::new(),
        flags: 0,
        priority: 0,
        function: 0,
        data: Vec::new(),
        referenced: None,
        generation: None,
        token: None,
        total: None,
    }
}
