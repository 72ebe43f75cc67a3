//! The provider's face to the framework ([`PeerLink`]) and to the C API (`stmfInitProxyDoor`, `stmfDestroyProxyDoor`,
//! `stmfPostProxyMsg`).

use super::counters::{Counters, LiveCounters};
use super::dispatcher::{Dispatcher, janitor, serve};
use super::engine::{Command, Engine, ManagementRequest, Origin, Seeds, Seen};
use super::entrance::Entrance;
use super::forwarder::Forwarder;
use super::lane::Lane;
use super::limiter::Limiter;
use super::message::{Body, MAX_MESSAGE};
use super::queue::{Clock, Event, Queue};
use super::reader::Reader;
use super::sealed::Keys;
use super::sender::{Life, Sender};
use super::thread::spawn;
use super::upcall::DoorUpcall;
use super::{Config, Upcall};
use crate::door;
use crate::framework::events::{self, Happening};
use crate::framework::{
    Announcement, Answered, Done, Framework, MessageCount, Nexus, PeerLink, PeerReport, PeerStatus, Port, Task, TmDone,
    TmRequest,
};
use crate::types::{DevId, Guid, NodeId, Status};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

/// The proxy port provider `pppt` of one framework.
pub struct Proxy {
    shared: Arc<Shared>,
    entrance: Entrance,
}

/// What callers, dispatcher and janitor share.
pub(super) struct Shared {
    pub queue: Arc<Queue>,
    pub life: Arc<Life>,
    door: Mutex<Option<(u32, Arc<Sender>)>>,
    last_door: AtomicU32,
    /// ALUA mode, as far as `post` needs it at once.
    pub enabled: Mutex<Option<NodeId>>,
    published: RwLock<Published>,
    clock: Clock,
    pub forwarder: Forwarder,
}

/// What the dispatcher lets everybody know.
#[derive(Default)]
struct Published {
    status: PeerStatus,
    seen: Seen,
    accepted: HashSet<DevId>,
}

impl Shared {
    pub fn sender(&self) -> Option<Arc<Sender>> {
        self.door.lock().as_ref().map(|(_, sender)| sender.clone())
    }

    pub fn forget_door(&self, door: u32) {
        if let Some((_, sender)) = self.door.lock().take_if(|(installed, _)| *installed == door) {
            sender.close();
        }
    }

    pub fn publish<'a>(&self, status: PeerStatus, seen: Seen, accepted: impl Iterator<Item = &'a DevId>) {
        let mut published = self.published.write();
        if published.status.reachable != status.reachable {
            events::happened(Happening::Peer(status.reachable));
        }
        (published.status, published.seen) = (status, seen);
        // At most 255 ports, and nearly always the same.
        let accepted: Vec<&DevId> = accepted.collect();
        let same = published.accepted.len() == accepted.len()
            && accepted.iter().all(|port| published.accepted.contains(*port));
        if !same {
            published.accepted = accepted.into_iter().cloned().collect();
        }
    }
}

impl Proxy {
    /// Starts the provider for a framework; give it to [`Framework::set_peer_link`].
    pub fn new(framework: &Arc<Framework>, config: Config) -> io::Result<Arc<Proxy>> {
        let random = || getrandom::u64().map_err(|error| io::Error::other(error.to_string()));
        let seeds = Seeds {
            incarnation: random()?,
            ids: random()?,
        };
        let life = Life {
            seeds,
            config,
            counters: LiveCounters::default(),
            limiter: Limiter::default(),
            seq: AtomicU64::new(0),
        };
        let shared = Arc::new(Shared {
            queue: Arc::new(Queue::default()),
            life: Arc::new(life),
            door: Mutex::new(None),
            last_door: AtomicU32::new(0),
            enabled: Mutex::new(None),
            published: RwLock::default(),
            clock: Clock,
            forwarder: Forwarder::default(),
        });
        let (chores, to_do) = mpsc::channel();
        let (service, requests) = mpsc::channel();
        let dispatcher = Dispatcher {
            engine: Engine::new(config, seeds),
            clock: shared.clock,
            shared: shared.clone(),
            framework: Arc::downgrade(framework),
            janitor: chores,
            service,
            nexuses: HashMap::new(),
            waiting: Vec::new(),
            stuck: false,
            due: None,
        };
        let dispatcher = Arc::new(Mutex::new(dispatcher));
        let (of_janitor, weak) = (shared.clone(), Arc::downgrade(framework));
        let (queue, of_service) = (shared.queue.clone(), weak.clone());
        spawn("pppt-service", move || serve(&requests, &of_service, &queue))?;
        spawn("pppt-janitor", move || janitor(&to_do, &weak, &of_janitor))?;
        let (own, queue) = (dispatcher.clone(), shared.queue.clone());
        spawn("pppt-dispatcher", move || Dispatcher::run(&own, &queue))?;
        let entrance = Entrance {
            shared: shared.clone(),
            dispatcher,
        };
        Ok(Arc::new(Proxy { shared, entrance }))
    }

    /// `stmfInitProxyDoor`: `InvalidArg` when `descriptor` is no door, `DoorInstalled` when there is one. The id is never 0.
    pub fn install_door(&self, descriptor: OwnedFd) -> Result<u32, Status> {
        if !door::is_door(descriptor.as_fd()) {
            return Err(Status::InvalidArg);
        }
        self.install_upcall(Arc::new(DoorUpcall(descriptor)))
    }

    /// As [`Proxy::install_door`], for any way to the peer.
    pub fn install_upcall(&self, upcall: Arc<dyn Upcall>) -> Result<u32, Status> {
        let mut installed = self.shared.door.lock();
        if installed.is_some() {
            return Err(Status::DoorInstalled);
        }
        let door = self
            .shared
            .last_door
            .fetch_add(1, Ordering::Relaxed)
            .wrapping_add(1)
            .max(1);
        let sender =
            Sender::start(self.shared.life.clone(), door, upcall, self.shared.queue.clone()).map_err(|error| {
                log::error!("pppt: no thread for the proxy door: {error}");
                Status::NoMem
            })?;
        *installed = Some((door, sender));
        // Under the lock, so that the dispatcher hears of doors in order.
        self.shared.queue.push(Event::DoorInstalled(door));
        Ok(door)
    }

    /// `stmfDestroyProxyDoor`: no call is made on the door any more; images of the peer's ports and their sessions are gone
    /// and forwarded commands have ended when this returns. `InvalidArg` for an id that is not installed.
    pub fn destroy_door(&self, id: u32) -> Result<(), Status> {
        let (reply, gone) = mpsc::channel();
        {
            let mut installed = self.shared.door.lock();
            let (_, sender) = installed.take_if(|(door, _)| *door == id).ok_or(Status::InvalidArg)?;
            sender.close();
            self.shared.queue.push(Event::DoorRemoved(id, Some(reply)));
        }
        // An error: the provider itself has ended, and everything with it.
        let _ = gone.recv();
        Ok(())
    }

    /// `stmfPostProxyMsg`. Returns when the message is decoded and queued, or handled; waits while too many are queued.
    /// `InvalidArg` for an id that is not installed, `PostMsgFailed` for what is no message or is not taken while ALUA mode is
    /// disabled; a well-formed message that this node does not understand is dropped and counted (ruling 1).
    pub fn post(&self, id: u32, bytes: &[u8]) -> Result<(), Status> {
        let sender = self.installed(id).ok_or(Status::InvalidArg)?;
        let taken = self.entrance.leave(&sender, None, bytes, Vec::new());
        self.entrance.help();
        taken
    }

    /// Carries messages to and from the peer over a stream socket instead of door calls and posts, until it ends: framed as
    /// [`super::stream`] says, each way; with `keys`, inside of records of TLS. `begin` is called when messages to the peer go
    /// this way, and before one of his is taken. `received` came before.
    ///
    /// The outer error: nothing was carried. `PostMsgFailed` for an id that is not installed, what is no stream socket, or
    /// while another one is carried; or that of `begin`. The inner one: how it ended, `Ok` between two frames.
    pub fn carry(
        &self,
        id: u32,
        socket: OwnedFd,
        keys: Option<Keys>,
        received: &[u8],
        begin: impl FnOnce() -> Result<(), Status>,
    ) -> Result<io::Result<()>, Status> {
        let sender = self.installed(id).ok_or(Status::PostMsgFailed)?;
        let lane = Arc::new(Lane::new(socket, keys).map_err(|_| Status::PostMsgFailed)?);
        if !sender.attach(&lane) {
            return Err(Status::PostMsgFailed);
        }
        let reader = || Reader::new(self.entrance.clone(), sender.clone(), lane.clone());
        let end = begin().map(|()| reader().run(received));
        // Before there can be another one.
        self.shared.queue.push(Event::LaneEnded(id));
        sender.detach(&lane);
        end
    }

    fn installed(&self, id: u32) -> Option<Arc<Sender>> {
        let installed = self.shared.door.lock();
        let sender = installed
            .as_ref()
            .filter(|(door, _)| *door == id)
            .map(|(_, sender)| sender);
        sender.cloned()
    }

    /// Messages so far.
    pub fn counters(&self) -> Counters {
        self.shared.life.counters.snapshot()
    }

    /// Largest message that [`Proxy::post`] takes, bytes.
    pub const MAX_MESSAGE: usize = MAX_MESSAGE;
}

fn origin(nexus: &Nexus, lun: [u8; 8]) -> Origin {
    Origin {
        session: nexus.id,
        initiator: nexus.initiator.clone(),
        target: nexus.port.devid.clone(),
        protocol: nexus.port.protocol as u8,
        transport_id: nexus.transport_id.clone(),
        lun,
    }
}

impl PeerLink for Proxy {
    fn announce(&self, announcement: Announcement) {
        self.shared.queue.push(Event::Announce(announcement));
    }

    fn enabled(&self, node: NodeId) {
        let mut enabled = self.shared.enabled.lock();
        *enabled = Some(node);
        self.shared.queue.push(Event::Enabled(node));
    }

    fn disabled(&self) {
        let mut enabled = self.shared.enabled.lock();
        *enabled = None;
        self.shared.queue.push(Event::Disabled);
    }

    fn presume_gone(&self) {
        // Whoever asks next must see it, before the dispatcher has come to it.
        let before = std::mem::replace(&mut self.shared.published.write().status.reachable, false);
        if before {
            events::happened(Happening::Peer(false));
        }
        self.shared.queue.push(Event::PresumeGone);
    }

    fn forward(&self, lu: Guid, task: Task, data: Vec<u8>, done: Done) {
        let command = Command {
            lu,
            origin: origin(&task.nexus, task.lun),
            tag: task.tag,
            cdb: task.cdb.to_vec(),
            attribute: task.attribute as u8,
            expected: task.expected,
            data,
            generation: None,
        };
        self.shared.forwarder.note();
        Dispatcher::hand_in(
            &self.entrance.dispatcher,
            &self.shared.queue,
            Event::Forward(command, done),
        );
    }

    fn abort(&self, nexus: &Nexus, tag: u64) {
        self.shared.queue.push(Event::Abort { session: nexus.id, tag });
    }

    fn forward_tm(&self, lu: Guid, request: TmRequest, done: TmDone) {
        let request = ManagementRequest {
            lu,
            origin: origin(&request.nexus, request.lun),
            function: request.function,
            referenced_tag: request.referenced_tag,
        };
        self.shared.queue.push(Event::Manage(request, done));
    }

    fn ask(&self, request: Vec<u8>, done: Answered) {
        self.shared.queue.push(Event::Ask(request, done));
    }

    fn nexus_ended(&self, nexus: &Nexus) {
        if !nexus.port.image {
            self.shared.queue.push(Event::NexusEnded(origin(nexus, [0; 8])));
        }
    }

    fn status(&self) -> PeerStatus {
        let published = self.shared.published.read().status;
        PeerStatus {
            door: self.shared.door.lock().is_some(),
            ..published
        }
    }

    fn report(&self) -> PeerReport {
        let shared = &self.shared;
        let seen = shared.published.read().seen;
        let counters = self.counters();
        let counts = Body::NAMES.iter().zip(counters.sent.iter().zip(counters.received));
        PeerReport {
            status: self.status(),
            node: seen.node,
            incarnation: seen.incarnation,
            silent: seen.heard.map(|heard| shared.clock.now().saturating_sub(heard)),
            round_trip: seen.round_trip,
            reconnects: seen.ups.saturating_sub(1),
            up: seen.up_since.map(|since| shared.clock.now().saturating_sub(since)),
            to_send: shared.sender().map_or(0, |sender| sender.waiting()),
            to_handle: shared.queue.len(),
            messages: counts
                .map(|(name, (sent, received))| MessageCount {
                    name: (*name).to_owned(),
                    sent: *sent,
                    received,
                })
                .collect(),
            lost: counters.lost,
            dropped: counters.dropped,
            refused: counters.refused,
        }
    }

    fn port_accepted(&self, port: &Port) -> bool {
        !port.image && self.shared.published.read().accepted.contains(&port.devid)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some((_, sender)) = self.shared.door.lock().take() {
            sender.close();
        }
        self.shared.queue.push(Event::Stop);
    }
}
