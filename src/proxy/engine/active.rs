//! The peer's side of things on this node: images of its ports, its sessions, and the commands it forwards to us
//! (`alua-proxy.md` 5.3 to 5.8).

mod round;

use super::super::codes;
use super::super::message::{Body, Capabilities, Lun, PortId, ScsiCmd, ScsiData, ScsiStatus as StatusMessage, Sync};
use super::{Class, Context, Outcome, Output, PeerEvent, TmFunction, TmResponse};
use crate::framework::{Expected, Residual};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{DevId, Guid, Status, TransportId};
use round::Round;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Ended sessions that are remembered, so that a late SCSI_CMD does not open them again (8.4, hazard H17).
const REMEMBERED_SESSIONS: usize = 1024;
/// Commands that wait for their session to open. More would mean that the framework hangs.
const WAITING_COMMANDS: usize = 1024;
/// LU provider of disks; announcements for others are ignored.
const DISK_PROVIDER: &[u8] = b"sbd";

/// A command of the peer, for the framework.
pub(in super::super) struct Command {
    /// Task message id; also the tag on the nexus.
    pub id: u64,
    pub session: u64,
    pub lun: [u8; 8],
    pub cdb: Vec<u8>,
    pub attribute: u8,
    pub expected: Expected,
    pub data: Vec<u8>,
    /// `icsc_lun_id`, `None` when zero.
    pub lun_id: Option<Guid>,
}

/// A task management function of the peer, for the framework.
pub(in super::super) struct Management {
    pub id: u64,
    pub session: u64,
    pub lun: [u8; 8],
    pub function: TmFunction,
    pub referenced_tag: u64,
    pub lun_id: Option<Guid>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The framework is asked for it.
    Registering,
    Offline,
    Online,
    /// No new sessions; goes when the last has ended.
    Removing,
}

struct Image {
    protocol: u8,
    rtpid: u16,
    phase: Phase,
    /// The framework was asked to remove it; until the answer, or until this time comes for the next attempt.
    removal: Option<Duration>,
    /// DEREGISTER_PROXY_PORTs to answer when it is gone.
    answers: Vec<u64>,
    /// Register it again with this rtpid when it is gone, and answer this message.
    again: Option<(u16, u64)>,
    /// REGISTER_PROXY_PORTs to answer.
    registrations: Vec<u64>,
}

enum Nexus {
    /// Waits for an older session of the same pair to end, or for the framework.
    Opening {
        asked: bool,
        waiting: Vec<ScsiCmd>,
    },
    Open,
    Closing,
}

struct Session {
    port: DevId,
    initiator: DevId,
    transport_id: TransportId,
    nexus: Nexus,
}

enum Progress {
    Running,
    /// The outcome is here; its data goes out in pieces.
    Sending {
        outcome: Outcome,
        given: usize,
        unconfirmed: usize,
        deadline: Duration,
    },
}

struct Task {
    session: u64,
    guid: Guid,
    expected: Expected,
    sent: u32,
    progress: Progress,
}

#[derive(Default)]
pub(super) struct Active {
    pub round: Round,
    images: HashMap<DevId, Image>,
    sessions: HashMap<u64, Session>,
    tasks: HashMap<u64, Task>,
    management: HashMap<u64, (u64, Guid)>,
    /// Ended sessions, and when.
    ended: VecDeque<(u64, Duration)>,
    /// Ownership generations that the peer announced.
    generations: HashMap<Guid, u64>,
}

impl Active {
    pub fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.images.values().all(|image| image.phase != Phase::Removing)
    }

    /// Nothing of the peer is left.
    pub fn is_cleared(&self) -> bool {
        self.images.is_empty() && self.sessions.is_empty()
    }

    /// Ownership generation under which the peer has this LU Active.
    pub fn generation(&self, guid: &Guid) -> Option<u64> {
        self.generations.get(guid).copied()
    }

    // --- ports ------------------------------------------------------------------------------------------------------

    pub fn register(&mut self, cx: &mut Context<'_>, id: u64, port: PortId, rtpid: u16) {
        if rtpid == 0 || rtpid > 510 {
            log::error!(
                "pppt: the peer's port {} has relative target port identifier {rtpid}; refused",
                port.ident
            );
            return cx.status(0, id, codes::INVALID_ARG);
        }
        match self.images.get_mut(&port.ident) {
            None => {
                let image = Image {
                    protocol: port.protocol,
                    rtpid,
                    phase: Phase::Registering,
                    removal: None,
                    answers: Vec::new(),
                    again: None,
                    registrations: vec![id],
                };
                self.images.insert(port.ident.clone(), image);
                cx.out.push(Output::RegisterImage {
                    port: port.ident,
                    protocol: port.protocol,
                    rtpid,
                });
            }
            Some(image) if image.phase == Phase::Removing => image.again = Some((rtpid, id)),
            Some(image) if image.phase == Phase::Registering => image.registrations.push(id),
            Some(image) if image.rtpid == rtpid => {
                cx.status(0, id, codes::ALREADY);
                cx.out.push(Output::Event(PeerEvent::PortUp {
                    port: port.ident,
                    rtpid,
                }));
            }
            Some(image) => {
                image.again = Some((rtpid, id));
                self.remove_image(cx, &port.ident);
            }
        }
    }

    pub fn image_registered(&mut self, cx: &mut Context<'_>, port: &DevId, result: Result<(), Status>) {
        let Some(image) = self.images.get_mut(port) else { return };
        let answers = std::mem::take(&mut image.registrations);
        let code = match result {
            Ok(()) => codes::SUCCESS,
            Err(status) => {
                log::error!("pppt: port {port} of the peer could not be registered: {status}");
                codes::INVALID_ARG
            }
        };
        if result.is_ok() {
            if image.phase == Phase::Registering {
                image.phase = Phase::Offline;
            }
            let rtpid = image.rtpid;
            cx.out.push(Output::Event(PeerEvent::PortUp {
                port: port.clone(),
                rtpid,
            }));
        } else {
            self.images.remove(port);
        }
        for id in answers {
            cx.status(0, id, code);
        }
    }

    /// The framework wants the image online (it serves at once) or offline (its sessions end first).
    pub fn image_wanted(&mut self, cx: &mut Context<'_>, port: &DevId, online: bool) {
        let Some(image) = self.images.get_mut(port) else { return };
        if image.phase == Phase::Removing {
            // Nothing is served; the framework's view has to settle before it can be removed.
            cx.out.push(Output::ImageChanged {
                port: port.clone(),
                online,
            });
            return;
        }
        if online {
            image.phase = Phase::Online;
            cx.out.push(Output::ImageChanged {
                port: port.clone(),
                online: true,
            });
            return;
        }
        image.phase = Phase::Offline;
        if !self.close_sessions_of(cx, port) {
            cx.out.push(Output::ImageChanged {
                port: port.clone(),
                online: false,
            });
        }
    }

    pub fn deregister(&mut self, cx: &mut Context<'_>, id: u64, port: &DevId) {
        match self.images.get_mut(port) {
            None => cx.status(1, id, codes::NOT_FOUND),
            Some(image) => {
                image.again = None;
                image.answers.push(id);
                // Only a withdrawal makes the port gone for the framework; the ports of a peer that merely cannot be
                // reached stay in REPORT TARGET PORT GROUPS (7.3).
                cx.out.push(Output::Event(PeerEvent::PortDown { port: port.clone() }));
                self.remove_image(cx, port);
            }
        }
    }

    pub fn image_removed(&mut self, cx: &mut Context<'_>, port: &DevId, result: Result<(), Status>) {
        let Some(image) = self.images.get_mut(port) else { return };
        if let Err(status) = result {
            log::warn!("pppt: the image of port {port} could not be removed yet: {status}");
            image.removal = Some(cx.now + cx.config.deregistration);
            return;
        }
        let Some(image) = self.images.remove(port) else { return };
        for id in image.answers {
            cx.status(1, id, codes::SUCCESS);
        }
        if let Some((rtpid, id)) = image.again {
            self.register(cx, id, PortId::new(image.protocol, port.clone()), rtpid);
        }
    }

    /// The door is gone: so is all that came through it.
    pub fn clear(&mut self, cx: &mut Context<'_>) {
        let ports: Vec<DevId> = self.images.keys().cloned().collect();
        for port in ports {
            if let Some(image) = self.images.get_mut(&port) {
                image.again = None;
                image.answers.clear();
            }
            self.remove_image(cx, &port);
        }
        self.end_sessions(cx);
        self.generations.clear();
        self.ended.clear();
    }

    fn remove_image(&mut self, cx: &mut Context<'_>, port: &DevId) {
        let Some(image) = self.images.get_mut(port) else { return };
        if image.phase == Phase::Removing {
            return;
        }
        image.phase = Phase::Removing;
        if !self.close_sessions_of(cx, port) {
            self.ask_removal(cx, port);
        }
    }

    fn ask_removal(&mut self, cx: &mut Context<'_>, port: &DevId) {
        if let Some(image) = self.images.get_mut(port) {
            image.removal = None;
            cx.out.push(Output::RemoveImage(port.clone()));
        }
    }

    // --- LUs --------------------------------------------------------------------------------------------------------

    pub fn lun(&mut self, cx: &mut Context<'_>, lun: Lun, taken_over: bool) {
        if lun.provider != DISK_PROVIDER {
            return log::info!("pppt: LU {} of an unknown provider ignored", lun.guid);
        }
        let name = lun.cb_arg.split(|byte| *byte == 0).next().unwrap_or_default();
        let Ok(name) = std::str::from_utf8(name) else {
            return log::error!("pppt: LU {} ignored: its name is not UTF-8", lun.guid);
        };
        // The original copies it as a C string and overruns its buffer when the NUL is missing.
        if name.is_empty() || lun.cb_arg.last() != Some(&0) {
            return log::error!("pppt: LU {} ignored: it has no name", lun.guid);
        }
        match lun.generation {
            Some(generation) if self.generations.len() < cx.config.objects => {
                self.generations.insert(lun.guid, generation);
            }
            _ => drop(self.generations.remove(&lun.guid)),
        }
        cx.out.push(Output::Event(PeerEvent::LuActive {
            guid: lun.guid,
            name: name.to_owned(),
            generation: lun.generation,
            taken_over,
        }));
    }

    pub fn lun_gone(&mut self, cx: &mut Context<'_>, lun: &Lun) {
        if lun.provider == DISK_PROVIDER {
            self.generations.remove(&lun.guid);
            cx.out.push(Output::Event(PeerEvent::LuDeregister { guid: lun.guid }));
        }
    }

    /// After a message with `icx_sync`: what a complete round did not mention is gone (capability 3).
    pub fn round_ended(&mut self, cx: &mut Context<'_>, sync: Option<Sync>) {
        let Some(Sync::Last { objects }) = sync else { return };
        let Some((ports, lus)) = self.round.end(objects) else {
            return;
        };
        if !cx.capabilities.has(Capabilities::SWEEP) {
            return;
        }
        let gone: Vec<DevId> = self
            .images
            .keys()
            .filter(|port| !ports.contains(port))
            .cloned()
            .collect();
        for port in gone {
            log::info!("pppt: the peer no longer has port {port}");
            self.remove_image(cx, &port);
        }
        cx.out.push(Output::Event(PeerEvent::RoundComplete { ports, lus }));
    }

    // --- sessions ---------------------------------------------------------------------------------------------------

    pub fn nexus_opened(&mut self, cx: &mut Context<'_>, id: u64, result: Result<(), Status>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match (result, std::mem::replace(&mut session.nexus, Nexus::Open)) {
            (Ok(()), Nexus::Opening { waiting, .. }) => {
                for cmd in waiting {
                    self.start(cx, cmd);
                }
            }
            (Ok(()), _) => {
                // Ended while it was being opened.
                session.nexus = Nexus::Closing;
                cx.out.push(Output::CloseNexus(id));
            }
            (Err(status), nexus) => {
                log::warn!(
                    "pppt: no session for {} on the image of {}: {status}",
                    session.initiator,
                    session.port
                );
                let code = if status == Status::Busy {
                    codes::BAD_STATE
                } else {
                    codes::INVALID_ARG
                };
                self.sessions.remove(&id);
                if let Nexus::Opening { waiting, .. } = nexus {
                    waiting.iter().for_each(|cmd| cx.status(4, cmd.task, code));
                }
                self.session_gone(cx);
            }
        }
    }

    pub fn nexus_closed(&mut self, cx: &mut Context<'_>, id: u64) {
        self.sessions.remove(&id);
        self.session_gone(cx);
    }

    pub fn destroy_session(&mut self, cx: &mut Context<'_>, id: u64) {
        self.ended.push_back((id, cx.now));
        if self.ended.len() > REMEMBERED_SESSIONS {
            self.ended.pop_front();
        }
        self.close_session(cx, id);
    }

    pub fn end_sessions(&mut self, cx: &mut Context<'_>) {
        for id in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.close_session(cx, id);
        }
    }

    /// True when there are sessions to wait for.
    fn close_sessions_of(&mut self, cx: &mut Context<'_>, port: &DevId) -> bool {
        let of_port = |(id, session): (&u64, &Session)| (session.port == *port).then_some(*id);
        for id in self.sessions.iter().filter_map(of_port).collect::<Vec<_>>() {
            self.close_session(cx, id);
        }
        self.sessions.values().any(|session| session.port == *port)
    }

    fn close_session(&mut self, cx: &mut Context<'_>, id: u64) {
        // Commands that still run end with TASK ABORTED through the framework; those that only send data end here.
        let sending = |(task, state): (&u64, &Task)| {
            (state.session == id && matches!(state.progress, Progress::Sending { .. })).then_some(*task)
        };
        for task in self.tasks.iter().filter_map(sending).collect::<Vec<_>>() {
            self.tasks.remove(&task);
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match std::mem::replace(&mut session.nexus, Nexus::Closing) {
            Nexus::Open => cx.out.push(Output::CloseNexus(id)),
            Nexus::Closing => {}
            Nexus::Opening { asked, waiting } => {
                waiting.iter().for_each(|cmd| cx.status(4, cmd.task, codes::NOT_FOUND));
                if !asked {
                    self.sessions.remove(&id);
                }
            }
        }
    }

    /// A session has ended: what waited for that may go on.
    fn session_gone(&mut self, cx: &mut Context<'_>) {
        let ready: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(id, session)| {
                matches!(session.nexus, Nexus::Opening { asked: false, .. }) && !self.has_older(**id, session)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ready {
            self.ask_nexus(cx, id);
        }
        let empty: Vec<(DevId, Phase)> = self
            .images
            .iter()
            .filter(|(port, _)| !self.sessions.values().any(|session| session.port == **port))
            .map(|(port, image)| (port.clone(), image.phase))
            .collect();
        for (port, phase) in empty {
            match phase {
                Phase::Removing => self.ask_removal(cx, &port),
                Phase::Offline => cx.out.push(Output::ImageChanged { port, online: false }),
                Phase::Registering | Phase::Online => {}
            }
        }
    }

    fn has_older(&self, id: u64, session: &Session) -> bool {
        self.sessions.iter().any(|(other, older)| {
            *other < id && older.port == session.port && older.transport_id == session.transport_id
        })
    }

    fn ask_nexus(&mut self, cx: &mut Context<'_>, id: u64) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let Nexus::Opening { asked, .. } = &mut session.nexus {
            *asked = true;
            cx.out.push(Output::OpenNexus {
                session: id,
                port: session.port.clone(),
                initiator: session.initiator.clone(),
                transport_id: session.transport_id.clone(),
            });
        }
    }

    /// Makes the session of a command; the code why not.
    fn open_session(&mut self, cx: &mut Context<'_>, cmd: Box<ScsiCmd>) -> Result<(), (u64, u64)> {
        let id = cmd.session;
        let task = cmd.task;
        match self.images.get(&cmd.target.ident).map(|image| image.phase) {
            Some(Phase::Online) => {}
            Some(_) => return Err((task, codes::BAD_STATE)),
            None => return Err((task, codes::NOT_FOUND)),
        }
        let session = Session {
            port: cmd.target.ident.clone(),
            initiator: cmd.initiator.ident.clone(),
            transport_id: cmd.remote.0.clone(),
            nexus: Nexus::Opening {
                asked: false,
                waiting: vec![*cmd],
            },
        };
        let rivals: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, other)| other.port == session.port && other.transport_id == session.transport_id)
            .map(|(other, _)| *other)
            .collect();
        // Ids grow; a lower one is of a session that was replaced (3.8).
        if rivals.iter().any(|other| *other > id) {
            return Err((task, codes::INVALID_ARG));
        }
        self.sessions.insert(id, session);
        rivals.iter().for_each(|other| self.close_session(cx, *other));
        if self
            .sessions
            .get(&id)
            .is_some_and(|session| !self.has_older(id, session))
        {
            self.ask_nexus(cx, id);
        }
        Ok(())
    }

    // --- commands ---------------------------------------------------------------------------------------------------

    /// SCSI_CMD. `own_generation`: of the LU, while it is Active here.
    pub fn command(&mut self, cx: &mut Context<'_>, cmd: Box<ScsiCmd>, own_generation: Option<u64>) {
        let forget = cx.config.remember_sessions;
        while self
            .ended
            .front()
            .is_some_and(|(_, at)| cx.now.saturating_sub(*at) >= forget)
        {
            self.ended.pop_front();
        }
        if self.tasks.contains_key(&cmd.task) || self.management.contains_key(&cmd.task) {
            return cx.status(4, cmd.task, codes::ALREADY);
        }
        if self.ended.iter().any(|(id, _)| *id == cmd.session) {
            return cx.status(4, cmd.task, codes::NOT_FOUND);
        }
        if cmd.generation.is_some() && cmd.generation != own_generation {
            // A retried write must not be overtaken by its first copy (7.7).
            return self.answer(cx, &cmd, Outcome::status(ScsiStatus::Busy));
        }
        match self.sessions.get_mut(&cmd.session).map(|session| &mut session.nexus) {
            None => {
                if let Err((task, code)) = self.open_session(cx, cmd) {
                    cx.status(4, task, code);
                }
            }
            Some(Nexus::Opening { waiting, .. }) if waiting.len() < WAITING_COMMANDS => waiting.push(*cmd),
            Some(Nexus::Opening { .. }) => cx.status(4, cmd.task, codes::BUSY),
            Some(Nexus::Closing) => cx.status(4, cmd.task, codes::BAD_STATE),
            Some(Nexus::Open) => self.start(cx, *cmd),
        }
    }

    fn start(&mut self, cx: &mut Context<'_>, cmd: ScsiCmd) {
        if cmd.function != 0 {
            return self.manage(cx, cmd);
        }
        if cmd.cdb.is_empty() {
            return cx.status(4, cmd.task, codes::INVALID_ARG);
        }
        let expected = Expected {
            read: cmd.flags & ScsiCmd::READ != 0,
            write: cmd.flags & ScsiCmd::WRITE != 0,
            length: cmd.expected,
        };
        let task = Task {
            session: cmd.session,
            guid: cmd.guid,
            expected,
            sent: u32::try_from(cmd.data.len()).unwrap_or(u32::MAX),
            progress: Progress::Running,
        };
        self.tasks.insert(cmd.task, task);
        cx.out.push(Output::Start(Box::new(Command {
            id: cmd.task,
            session: cmd.session,
            lun: cmd.lun,
            attribute: cmd.flags & ScsiCmd::ATTRIBUTE,
            expected,
            lun_id: lun_id(cmd.guid),
            cdb: cmd.cdb,
            data: cmd.data,
        })));
    }

    fn manage(&mut self, cx: &mut Context<'_>, cmd: ScsiCmd) {
        let function = match (cmd.function, cmd.referenced) {
            (1, Some(task)) => {
                if matches!(
                    self.tasks.get(&task).map(|task| &task.progress),
                    Some(Progress::Sending { .. })
                ) {
                    // Executed already; only its data was still on the way.
                    self.tasks.remove(&task);
                }
                Some(TmFunction::AbortTask)
            }
            // An original peer cannot say which task: all of its nexus.
            (1 | 2, _) => Some(TmFunction::AbortTaskSet),
            (4, _) => Some(TmFunction::ClearTaskSet),
            (5, _) => Some(TmFunction::LunReset),
            (6, _) => Some(TmFunction::TargetWarmReset),
            (7 | 9, _) => Some(TmFunction::TargetColdReset),
            _ => None,
        };
        let Some(function) = function else {
            // 05/0E/03: invalid field in command information unit (7.8).
            return self.answer(cx, &cmd, Outcome::check(Sense::new(0x5, 0x0e, 0x03)));
        };
        self.management.insert(cmd.task, (cmd.session, cmd.guid));
        cx.out.push(Output::Manage(Management {
            id: cmd.task,
            session: cmd.session,
            lun: cmd.lun,
            function,
            referenced_tag: cmd.referenced.unwrap_or(0),
            lun_id: lun_id(cmd.guid),
        }));
    }

    pub fn managed(&mut self, cx: &mut Context<'_>, id: u64, response: TmResponse) {
        let Some((session, guid)) = self.management.remove(&id) else {
            return;
        };
        let outcome = match response {
            // A task that is not there is gone as well.
            TmResponse::Complete | TmResponse::NoSuchTask => Outcome::good(),
            TmResponse::NotSupported => Outcome::check(Sense::new(0x5, 0x0e, 0x03)),
            TmResponse::NoSuchLun => Outcome::check(Sense::new(0x5, 0x25, 0x00)),
            TmResponse::Rejected => Outcome::status(ScsiStatus::TaskAborted),
        };
        send_status(cx, id, session, guid, Expected::default(), 0, outcome);
    }

    /// A command of ours ended.
    pub fn finished(&mut self, cx: &mut Context<'_>, id: u64, mut outcome: Outcome) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let room = if task.expected.read {
            task.expected.length as usize
        } else {
            0
        };
        outcome.data.truncate(room);
        let deadline = cx.now + cx.config.command;
        task.progress = Progress::Sending {
            outcome,
            given: 0,
            unconfirmed: 0,
            deadline,
        };
        self.advance(cx, id);
    }

    /// SCSI_DATA_XFER_DONE.
    pub fn transfer_done(&mut self, cx: &mut Context<'_>, id: u64, status: u64) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Progress::Sending {
            unconfirmed, deadline, ..
        } = &mut task.progress
        else {
            return;
        };
        if status != codes::SUCCESS {
            // The peer no longer has the task.
            self.tasks.remove(&id);
            return;
        }
        *unconfirmed = unconfirmed.saturating_sub(1);
        *deadline = cx.now + cx.config.command;
        self.advance(cx, id);
    }

    /// A SCSI_DATA did not get through the door: no status may follow that would make the rest look complete.
    pub fn data_lost(&mut self, cx: &mut Context<'_>, id: u64) {
        if let Some(task) = self.tasks.remove(&id) {
            send_status(
                cx,
                id,
                task.session,
                task.guid,
                task.expected,
                0,
                Outcome::status(ScsiStatus::Busy),
            );
        }
    }

    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        self.tasks.retain(|id, task| match task.progress {
            Progress::Sending { deadline, .. } if now >= deadline => {
                log::warn!("pppt: the peer does not take the data of task {id:#x}; dropped");
                false
            }
            _ => true,
        });
        let due = |(port, image): (&DevId, &Image)| {
            (image.phase == Phase::Removing && image.removal.is_some_and(|at| now >= at)).then(|| port.clone())
        };
        for port in self.images.iter().filter_map(due).collect::<Vec<_>>() {
            self.ask_removal(cx, &port);
        }
    }

    /// Sends the next pieces, or the status when all are confirmed.
    fn advance(&mut self, cx: &mut Context<'_>, id: u64) {
        let window = if cx.ours { cx.config.window } else { 1 };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let Progress::Sending {
            outcome,
            given,
            unconfirmed,
            ..
        } = &mut task.progress
        else {
            return;
        };
        while *given < outcome.data.len() && *unconfirmed < window {
            // The size of the data, not of a buffer (hazard H20).
            let end = outcome.data.len().min(*given + cx.config.piece);
            let data = ScsiData {
                task: id,
                session: task.session,
                guid: task.guid,
                data: outcome.data[*given..end].to_vec(),
                offset: u32::try_from(*given).ok().filter(|_| cx.ours),
            };
            *given = end;
            *unconfirmed += 1;
            cx.send(Class::Bulk, 0, Body::ScsiData(data));
        }
        if *given < outcome.data.len() || *unconfirmed > 0 {
            return;
        }
        let Some(task) = self.tasks.remove(&id) else { return };
        let Progress::Sending { outcome, given, .. } = task.progress else {
            return;
        };
        let moved = if task.expected.read {
            u32::try_from(given).unwrap_or(u32::MAX)
        } else {
            task.sent
        };
        send_status(cx, id, task.session, task.guid, task.expected, moved, outcome);
    }

    fn answer(&self, cx: &mut Context<'_>, cmd: &ScsiCmd, outcome: Outcome) {
        let expected = Expected {
            read: cmd.flags & ScsiCmd::READ != 0,
            write: false,
            length: cmd.expected,
        };
        send_status(cx, cmd.task, cmd.session, cmd.guid, expected, 0, outcome);
    }
}

fn lun_id(guid: Guid) -> Option<Guid> {
    (guid.0 != [0; 16]).then_some(guid)
}

fn send_status(
    cx: &mut Context<'_>,
    task: u64,
    session: u64,
    guid: Guid,
    expected: Expected,
    moved: u32,
    outcome: Outcome,
) {
    let (flags, residual) = match outcome.residual(expected, moved) {
        Residual::None => (0, 0),
        Residual::Overflow(n) => (StatusMessage::OVERRUN, n),
        Residual::Underflow(n) => (StatusMessage::UNDERRUN, n),
    };
    let mut sense = outcome.sense;
    sense.truncate(StatusMessage::MAX_SENSE);
    let status = StatusMessage {
        task,
        session,
        guid,
        response: 0,
        status: outcome.status as u8,
        flags,
        residual,
        sense,
    };
    cx.send(Class::Answer, 0, Body::ScsiStatus(status));
}
