//! The protocol engine: messages, requests and time in, [`Output`]s out. No thread, lock, door or clock in here; time is a
//! [`Duration`] since some fixed moment.
//!
//! | part | what it keeps |
//! |---|---|
//! | [`link`] | is the channel open, is the peer there, what can it do |
//! | [`announcer`] | what the peer is to know of our ports and LUs |
//! | [`standby`] | commands that we forwarded |
//! | [`active`] | images of the peer's ports, its sessions and commands |
//! | [`exchange`] | requests about the nodes themselves |
//! | [`held`] | what the peer registered while ALUA mode is off here |

mod active;
mod announcer;
mod exchange;
mod held;
mod link;
mod seq;
mod standby;
#[cfg(test)]
mod tests;

pub(super) use active::{Command as PeerCommand, Management};
pub(super) use link::{Seen, own_handshake};
pub(super) use standby::{Command, ManagementRequest, Origin};

use super::Config;
use super::codes;
use super::message::{Body, Capabilities, Extensions, Message, ScsiCmd};
use crate::framework::{
    AnnouncedLu, Announcement, Answered, Done, Outcome, PeerEvent, PeerStatus, TmDone, TmFunction, TmResponse,
};
use crate::types::{DevId, NodeId, Status, TransportId};
use active::Active;
use announcer::Announcer;
use exchange::Exchange;
use held::Held;
use link::{Link, Tokens};
use standby::Standby;
use std::time::Duration;

/// Send order: a lower class goes first, FIFO within one (8.3). Messages of one object or task share a class, or one waits
/// for the answer of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Registrations, STATUS, ECHO. Never refused.
    Control = 0,
    /// SCSI_STATUS, SCSI_DATA_XFER_DONE.
    Answer = 1,
    /// SCSI_CMD, SCSI_DATA, SESSION_DESTROY.
    Bulk = 2,
}

/// What is known of a message whose way through the door failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The door's server never had it.
    Kept,
    /// The server had it and ended, or said nonsense: it may have sent it on.
    Unknown,
}

/// What the shell has to do, in this order.
pub(super) enum Output {
    /// Queue a message for the door.
    Send(Class, Message),
    /// [`crate::framework::Framework::peer_event`].
    Event(PeerEvent),
    /// End of a forwarded command.
    Complete(Done, Outcome),
    /// End of a forwarded task management function.
    CompleteManagement(TmDone, TmResponse),
    /// Register the image of a port; then [`Engine::image_registered`].
    RegisterImage { port: DevId, protocol: u8, rtpid: u16 },
    /// The image may serve ([`crate::framework::Framework::port_changed`]), or has closed its sessions.
    ImageChanged { port: DevId, online: bool },
    /// Take the image offline and deregister it (may block); then [`Engine::image_removed`].
    RemoveImage(DevId),
    /// Register a nexus on an image; then [`Engine::nexus_opened`].
    OpenNexus {
        session: u64,
        port: DevId,
        initiator: DevId,
        transport_id: TransportId,
    },
    /// End a nexus with its tasks (may block); then [`Engine::nexus_closed`].
    CloseNexus(u64),
    /// Start a command of the peer; then [`Engine::finished`].
    Start(Box<PeerCommand>),
    /// Perform task management for the peer; then [`Engine::managed`].
    Manage(Management),
    /// Answer a request of the peer (may block); then [`Engine::served`].
    Serve(u64, Vec<u8>),
    /// End of a request to the peer.
    Answered(Answered, Option<Vec<u8>>),
    /// Everything that came through this door is gone.
    DoorCleared(u32),
}

/// Random numbers of this life.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seeds {
    /// `icx_incarnation`.
    pub incarnation: u64,
    /// Any number; message ids start here (3.7).
    pub ids: u64,
}

/// What every part needs: time, limits, the way out, and what the peer is.
struct Context<'a> {
    now: Duration,
    config: &'a Config,
    ids: &'a mut Ids,
    out: &'a mut Vec<Output>,
    /// What may be used towards the peer; nothing towards an original or unknown one.
    capabilities: Capabilities,
    /// The peer is one of ours.
    ours: bool,
    /// What forwarded writes of the peer may carry.
    tokens: Tokens,
    /// What writes to the peer carry, and when it came.
    peer_token: Option<(u64, Duration)>,
}

impl Context<'_> {
    fn send(&mut self, class: Class, id: u64, body: Body) {
        self.out.push(Output::Send(class, Message::new(id, body)));
    }

    fn status(&mut self, of_type: u8, of_id: u64, code: u64) {
        // The original sends the low 8 bits, always 0.
        let body = Body::Status {
            of_type,
            of_id,
            status: 0,
            full: Some(code),
        };
        self.send(Class::Control, of_id, body);
    }
}

/// Message ids: one counter, bit 63 clear (3.7).
struct Ids(u64);

impl Ids {
    fn new(seed: u64) -> Ids {
        // Below 2^48, shifted: ids of two lives of a node do not meet (hazard H16).
        Ids((seed & 0xffff_ffff_ffff) << 8)
    }

    fn next(&mut self) -> u64 {
        self.0 = (self.0 + 1) & !ScsiCmd::MANAGEMENT_ID;
        self.0
    }
}

/// See the module.
pub(super) struct Engine {
    config: Config,
    ids: Ids,
    link: Link,
    announcer: Announcer,
    standby: Standby,
    active: Active,
    exchange: Exchange,
    held: Held,
    out: Vec<Output>,
}

impl Engine {
    pub fn new(config: Config, seeds: Seeds) -> Engine {
        Engine {
            config,
            ids: Ids::new(seeds.ids),
            link: Link::new(seeds),
            announcer: Announcer::default(),
            standby: Standby::default(),
            active: Active::default(),
            exchange: Exchange::default(),
            held: Held::default(),
            out: Vec::new(),
        }
    }

    /// What is to be done since the last call.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// For listings.
    pub fn seen(&self) -> Seen {
        self.link.seen()
    }

    pub fn peer_status(&self) -> PeerStatus {
        self.link.status()
    }

    /// What the sender may use: `None` for an original peer, which gets no extensions.
    pub fn wire(&self) -> Option<Capabilities> {
        self.link.wire()
    }

    /// The installed door.
    pub fn door(&self) -> Option<u32> {
        self.link.door
    }

    /// Ruling 15: nothing goes through a new door before it may.
    pub fn may_send(&self) -> bool {
        self.link.door.is_some() && self.link.gate
    }

    pub fn accepted_ports(&self) -> impl Iterator<Item = &DevId> {
        self.announcer.accepted()
    }

    // --- the door ---------------------------------------------------------------------------------------------------

    pub fn door_installed(&mut self, door: u32) {
        self.link.installed(door);
    }

    /// `stmfDestroyProxyDoor`, or the death of the door's owner (2.3). [`Output::DoorCleared`] follows.
    pub fn door_removed(&mut self, now: Duration, door: u32) {
        if self.link.remove(door) {
            self.peer_down(now, true);
            self.announcer.forget_acceptance();
            self.with(now, |engine, cx| engine.active.clear(cx));
            self.held.clear();
        }
        self.link.clearing(door);
        self.report_cleared();
    }

    /// A door call has not returned for too long, or has returned after that.
    pub fn door_stuck(&mut self, now: Duration, stuck: bool) {
        let was_open = self.link.open();
        self.link.stuck = stuck;
        if was_open && stuck {
            self.peer_down(now, true);
        }
        self.opened(now, was_open);
    }

    /// The stream that carried the messages has ended, and what was in it is lost: the peer is not waited for.
    pub fn lane_ended(&mut self, now: Duration, door: u32) {
        if self.link.door == Some(door) && self.link.up {
            self.peer_down(now, true);
        }
    }

    /// A message did not get through the door, as far as anybody knows.
    pub fn send_failed(&mut self, now: Duration, message: &Message, fate: Fate) {
        self.with(now, |engine, cx| match &message.body {
            Body::ScsiCmd(cmd) => engine.standby.send_failed(cx, cmd.task, fate),
            Body::ScsiData(data) if engine.standby.upload_lost(cx, data) => {}
            Body::ScsiData(data) => engine.active.piece_lost(cx, data),
            Body::R2t { task, .. } => engine.active.data_lost(cx, *task),
            Body::NodeRequest(piece) => engine.exchange.send_failed(cx, piece.request),
            Body::RegisterPort { .. }
            | Body::DeregisterPort { .. }
            | Body::RegisterLun(_)
            | Body::DeregisterLun(_)
            | Body::LunActive(_) => engine.announcer.send_failed(message.id),
            _ => {}
        });
    }

    // --- requests of the framework ----------------------------------------------------------------------------------

    pub fn enabled(&mut self, now: Duration, node: NodeId) {
        let was_open = self.link.open();
        self.link.enable(node);
        self.opened(now, was_open);
        if was_open && self.link.up {
            self.with(now, |engine, cx| engine.announcer.begin_round(cx));
        } else if was_open {
            self.link.hasten_probe(now);
        }
        for message in self.held.take() {
            self.with(now, |engine, cx| engine.dispatch(cx, message));
        }
        self.report_cleared();
    }

    pub fn disabled(&mut self, now: Duration) {
        if self.link.enabled.is_some() {
            self.link.enabled = None;
            self.peer_down(now, false);
        }
    }

    pub fn announce(&mut self, now: Duration, announcement: Announcement) {
        let direct = self.link.may_announce(now, &self.config);
        self.with(now, |engine, cx| engine.announcer.announce(cx, announcement, direct));
    }

    /// `congested`: the send queue is above half.
    pub fn forward(&mut self, now: Duration, mut command: Command, done: Done, congested: bool) {
        command.generation = self.active.generation(&command.lu);
        let reachable = self.link.open() && self.link.up && self.announcer.is_accepted(&command.origin.target);
        self.with(now, |engine, cx| {
            engine.standby.forward(cx, command, done, reachable, congested);
        });
    }

    pub fn abort(&mut self, now: Duration, session: u64, tag: u64) {
        self.with(now, |engine, cx| engine.standby.abort(cx, session, tag));
    }

    pub fn forward_management(&mut self, now: Duration, request: ManagementRequest, done: TmDone) {
        let reachable = self.link.open() && self.link.up && self.announcer.is_accepted(&request.origin.target);
        self.with(now, |engine, cx| engine.standby.manage(cx, request, done, reachable));
    }

    pub fn nexus_ended(&mut self, now: Duration, origin: Origin) {
        let open = self.link.open();
        self.with(now, |engine, cx| engine.standby.nexus_ended(cx, origin, open));
    }

    /// Asks the peer about itself; `None` when it cannot be asked, or does not answer in time.
    pub fn ask(&mut self, now: Duration, request: Vec<u8>, done: Answered) {
        let peer = self.link.status();
        self.with(now, |engine, cx| engine.exchange.ask(cx, request, done, peer));
    }

    // --- answers of the shell ---------------------------------------------------------------------------------------

    pub fn image_registered(&mut self, now: Duration, port: &DevId, result: Result<(), Status>) {
        self.with(now, |engine, cx| engine.active.image_registered(cx, port, result));
    }

    /// The framework wants the image online or offline.
    pub fn image_wanted(&mut self, now: Duration, port: &DevId, online: bool) {
        self.with(now, |engine, cx| engine.active.image_wanted(cx, port, online));
    }

    pub fn image_removed(&mut self, now: Duration, port: &DevId, result: Result<(), Status>) {
        self.with(now, |engine, cx| engine.active.image_removed(cx, port, result));
        self.report_cleared();
    }

    pub fn nexus_opened(&mut self, now: Duration, session: u64, result: Result<(), Status>) {
        self.with(now, |engine, cx| {
            engine.active.nexus_opened(cx, session, result, engine.announcer)
        });
    }

    pub fn nexus_closed(&mut self, now: Duration, session: u64) {
        self.with(now, |engine, cx| engine.active.nexus_closed(cx, session));
        self.report_cleared();
    }

    pub fn finished(&mut self, now: Duration, task: u64, outcome: Outcome) {
        self.with(now, |engine, cx| engine.active.finished(cx, task, outcome));
    }

    /// `task_management` of the framework ended.
    pub fn managed(&mut self, now: Duration, id: u64, response: TmResponse) {
        self.with(now, |engine, cx| engine.active.managed(cx, id, response));
    }

    /// The answer to a request of the peer.
    pub fn served(&mut self, now: Duration, id: u64, reply: &[u8]) {
        // It has asked, so it is one of ours, even if it has not answered a probe of this node yet.
        let open = self.link.open() && self.link.status().original != Some(true);
        self.with(now, |engine, cx| engine.exchange.served(cx, id, reply, open));
    }

    // --- messages and time ------------------------------------------------------------------------------------------

    /// A message of the peer. ECHO_REQUESTs have been answered already.
    pub fn message(&mut self, now: Duration, door: u32, message: Message) {
        if self.link.door != Some(door) {
            return;
        }
        let was_open = self.link.open();
        self.link.gate = true;
        if self.link.enabled.is_none() {
            self.held.hold(message, self.config.objects);
            return;
        }
        self.opened(now, was_open);
        if !self.admit(now, &message.extensions) {
            return;
        }
        self.link.heard(now);
        if self.link.proves_up(now, &message.body, &self.config) {
            self.peer_up(now);
        }
        if !self.link.up {
            self.link.hasten_probe(now);
        }
        self.with(now, |engine, cx| engine.dispatch(cx, message));
        self.report_cleared();
    }

    /// The peer was declared fenced: as if it had been silent too long.
    pub fn presume_gone(&mut self, now: Duration) {
        if self.link.up {
            self.peer_down(now, true);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        if self.link.open() {
            if self.link.silent(now, &self.config) {
                self.peer_down(now, true);
            }
            if let Some(probe) = self.link.probe(now, &self.config) {
                self.with(now, |_, cx| {
                    let id = cx.ids.next();
                    cx.send(Class::Control, id, Body::EchoRequest(probe));
                });
            }
            let up = self.link.up;
            if self.link.may_announce(now, &self.config) {
                self.with(now, |engine, cx| engine.announcer.tick(cx, up));
            }
        }
        self.with(now, |engine, cx| {
            engine.standby.tick(cx);
            engine.exchange.tick(cx);
            engine.active.tick(cx);
        });
    }

    /// Everything that has come was handled: what is worth saying only if nothing more comes. True when that gave outputs.
    pub fn idle(&mut self, now: Duration) -> bool {
        self.with(now, |engine, cx| engine.standby.idle(cx));
        !self.out.is_empty()
    }

    /// When [`Engine::tick`] must be called at the latest; `None`: only after something else happened.
    pub fn next_tick(&self, now: Duration) -> Option<Duration> {
        const FINE: Duration = Duration::from_millis(250);
        let busy = !self.standby.is_idle() || !self.active.is_idle() || !self.exchange.is_idle();
        if busy || (self.link.open() && self.announcer.is_waiting()) {
            return Some(now + FINE);
        }
        self.link.open().then(|| self.link.next(now, &self.config))
    }

    // --- inside -----------------------------------------------------------------------------------------------------

    fn with(&mut self, now: Duration, act: impl FnOnce(&mut Parts<'_>, &mut Context<'_>)) {
        let (capabilities, ours) = (self.link.capabilities(), self.link.ours());
        let (tokens, peer_token) = (self.link.tokens(), self.link.peer_token());
        let mut context = Context {
            now,
            config: &self.config,
            ids: &mut self.ids,
            out: &mut self.out,
            capabilities,
            ours,
            tokens,
            peer_token,
        };
        let mut parts = Parts {
            link: &mut self.link,
            announcer: &mut self.announcer,
            standby: &mut self.standby,
            active: &mut self.active,
            exchange: &mut self.exchange,
        };
        act(&mut parts, &mut context);
    }

    /// False for a repeated message, or one of a former life of the peer.
    fn admit(&mut self, now: Duration, extensions: &Extensions) -> bool {
        if let Some(incarnation) = extensions.incarnation {
            match self.link.incarnation(incarnation) {
                link::Life::Same => {}
                link::Life::Former => return false,
                link::Life::New => {
                    // The peer restarted: nothing of its former life may go on (5.12, hazard H16).
                    self.peer_down(now, false);
                    self.with(now, |engine, cx| engine.active.end_sessions(cx));
                }
            }
        }
        match extensions.seq.map(|seq| self.link.sequence.accept(seq)) {
            Some(seq::Verdict::Repeated) => return false,
            Some(seq::Verdict::Gap) => self.active.round.spoil(),
            Some(seq::Verdict::Next) | None => {}
        }
        true
    }

    fn opened(&mut self, now: Duration, was_open: bool) {
        if !was_open && self.link.open() {
            self.link.start(now);
        }
    }

    fn peer_up(&mut self, now: Duration) {
        self.link.comes_up(now);
        self.out.push(Output::Event(PeerEvent::Up));
        self.with(now, |engine, cx| engine.announcer.begin_round(cx));
    }

    /// `forget`: what the peer is must be found out again.
    fn peer_down(&mut self, now: Duration, forget: bool) {
        let was_up = std::mem::replace(&mut self.link.up, false);
        if forget {
            self.link.forget_peer();
        }
        self.announcer.forget_acceptance();
        self.active.round.clear();
        self.with(now, |engine, cx| {
            engine.standby.fail_all(cx);
            engine.exchange.fail_all(cx);
        });
        if was_up {
            self.out.push(Output::Event(PeerEvent::Down));
        }
    }

    fn report_cleared(&mut self) {
        if self.active.is_cleared() {
            for door in self.link.take_clearing() {
                self.out.push(Output::DoorCleared(door));
            }
        }
    }
}

/// The parts, borrowed beside a [`Context`].
struct Parts<'a> {
    link: &'a mut Link,
    announcer: &'a mut Announcer,
    standby: &'a mut Standby,
    active: &'a mut Active,
    exchange: &'a mut Exchange,
}

impl Parts<'_> {
    fn dispatch(&mut self, cx: &mut Context<'_>, message: Message) {
        if let Body::EchoReply(data) = &message.body {
            self.link.echo_reply(cx.now, data);
            // What may be used from now on.
            (cx.capabilities, cx.ours) = (self.link.capabilities(), self.link.ours());
            self.exchange.probed(cx, self.link.status());
        }
        self.active.round.note(&message.body, message.extensions.sync);
        let round_ends = message.extensions.sync;
        match message.body {
            Body::RegisterPort { port, rtpid, .. } => self.active.register(cx, message.id, port, rtpid),
            Body::DeregisterPort { port, .. } => self.active.deregister(cx, message.id, &port.ident),
            Body::RegisterLun(lun) => self.active.lun(cx, lun, false),
            Body::LunActive(lun) => self.active.lun(cx, lun, true),
            Body::DeregisterLun(lun) => self.active.lun_gone(cx, &lun),
            Body::ScsiCmd(cmd) => self.active.command(cx, cmd, self.announcer),
            Body::XferDone { task, status, .. } => self.active.transfer_done(cx, task, status),
            Body::ScsiData(data) if self.active.collects(&data) => self.active.collect(cx, data, self.announcer),
            Body::ScsiData(data) => self.standby.data(cx, data),
            Body::R2t {
                task,
                session,
                offset,
                length,
            } => self.standby.upload(cx, task, session, offset, length),
            Body::ScsiStatus(status) => self.standby.status(cx, status),
            Body::Status {
                of_type: 0,
                of_id,
                status,
                full,
            } => {
                let accepted = match full {
                    Some(code) => matches!(code, codes::SUCCESS | codes::ALREADY),
                    None => status == 0,
                };
                self.announcer.answered(cx, of_id, accepted);
            }
            // Whatever the code says (hazard H15): the command was not started.
            Body::Status {
                of_type: 4,
                of_id,
                full,
                ..
            } => self.standby.not_started(cx, of_id, full),
            Body::SessionDestroy(session) => self.active.destroy_session(cx, session.session),
            Body::SessionCreate(_) => cx.status(10, message.id, codes::NOT_SUPPORTED),
            Body::NodeRequest(piece) => self.exchange.request(cx, piece),
            Body::NodeReply(piece) => self.exchange.reply(cx, &piece),
            // Was answered when it came in.
            Body::EchoRequest(data) => self.link.echo_request(cx.now, &data),
            // They mean nothing more.
            Body::EchoReply(_) | Body::Status { .. } => {}
        }
        self.active.round_ended(cx, round_ends);
    }
}
