//! Models of what the framework sits between: a store that two nodes share, a disk that keeps blocks in memory, a port,
//! and a link that leads straight into another framework.

use crate::framework::*;
use crate::scsi::{ScsiStatus, Sense};
use crate::store::Store;
use crate::types::*;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// What is on one "disk", with its ownership record.
#[derive(Debug, Clone)]
pub struct Medium {
    pub guid: Guid,
    pub owner: Option<u8>,
    pub generation: u64,
    pub data: u8,
    /// Units that have it open: never more than one.
    pub open: u32,
}

/// Storage that both nodes see.
#[derive(Default)]
pub struct Shared(pub Mutex<BTreeMap<String, Medium>>);

/// A command under way: nexus id, tag, its end.
pub type Held = (u64, u64, Box<dyn FnOnce() + Send>);

/// How a unit's I/O behaves.
#[derive(Default)]
pub struct Behaviour {
    /// Keep commands until they are released with [`Behaviour::run_held`].
    pub hold: AtomicBool,
    pub held: Mutex<Vec<Held>>,
    pub fail_release: AtomicBool,
    pub ignore_abort: AtomicBool,
    pub resets: AtomicU8,
    pub flushes: AtomicU8,
    /// The store has become too small.
    pub shrunk: AtomicBool,
    /// Commands that are being executed: ORDERED ones, and all but those at the head of the queue.
    pub executing: (AtomicU64, AtomicU64),
    /// ORDERED commands that met another one.
    pub overlaps: AtomicU64,
}

impl Behaviour {
    /// Executes `body`, and watches that an ORDERED command is alone.
    fn watch<T>(&self, attribute: TaskAttribute, body: impl FnOnce() -> T) -> T {
        if attribute == TaskAttribute::HeadOfQueue {
            return body();
        }
        let ordered = u64::from(attribute == TaskAttribute::Ordered);
        let (of_ordered, of_all) = &self.executing;
        let together = of_ordered.fetch_add(ordered, Ordering::SeqCst) + ordered;
        if of_all.fetch_add(1, Ordering::SeqCst) > 0 && together > 0 {
            self.overlaps.fetch_add(1, Ordering::SeqCst);
        }
        std::thread::yield_now();
        let result = body();
        of_ordered.fetch_sub(ordered, Ordering::SeqCst);
        of_all.fetch_sub(1, Ordering::SeqCst);
        result
    }

    pub fn run_held(&self) {
        let held = std::mem::take(&mut *self.held.lock());
        held.into_iter().for_each(|(_, _, run)| run());
    }
}

pub struct MemoryUnit {
    name: String,
    guid: Guid,
    node: u8,
    generation: u64,
    shared: Arc<Shared>,
    closed: AtomicBool,
    pub behaviour: Arc<Behaviour>,
    /// SCSI-2 style reservation: the id of the nexus that holds it.
    pub holder: AtomicU64,
    lost: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    pub nexuses: Mutex<Option<Arc<dyn LuNexuses>>>,
    waiting: Mutex<HashMap<(u64, u64), Arc<AtomicBool>>>,
}

impl MemoryUnit {
    pub fn lose(&self) {
        let lost = self.lost.lock().take();
        lost.expect("connected")();
    }
}

impl Handler for MemoryUnit {
    fn start(&self, task: &Task) -> Start {
        match task.cdb.opcode() {
            0x00 | 0x12 | 0x16 | 0x08 => Start::Execute { want: 0 },
            0x0a => Start::Execute { want: 1 },
            // In three parts, of 1 byte each.
            0x28 => Start::InParts(Parts::new(3, 1, 3, false)),
            0x2a => Start::InParts(Parts::new(3, 1, 3, true)),
            _ => Start::Done(Outcome::check(Sense::INVALID_OPCODE)),
        }
    }

    fn part(&self, task: &Task, _: u32, _: u32) -> Task {
        let cdb = if task.cdb.opcode() == 0x28 { READ } else { WRITE };
        Task {
            cdb: Cdb::new(cdb).unwrap(),
            ..task.clone()
        }
    }

    fn execute(&self, task: Task, data: Vec<u8>, done: Done) {
        let aborted = Arc::new(AtomicBool::new(false));
        self.waiting.lock().insert((task.nexus.id, task.tag), aborted.clone());
        let key = (task.nexus.id, task.tag);
        let (shared, name, guid) = (self.shared.clone(), self.name.clone(), self.guid);
        let behaviour = self.behaviour.clone();
        let run = move || {
            if aborted.load(Ordering::Acquire) {
                return done(Outcome::status(ScsiStatus::TaskAborted));
            }
            let outcome = behaviour.watch(task.attribute, || {
                let mut media = shared.0.lock();
                let medium = media.get_mut(&name).expect("exists");
                match task.cdb.opcode() {
                    0x08 => Outcome::data_in(vec![medium.data]),
                    0x0a => {
                        medium.data = data[0];
                        Outcome::data_out(1)
                    }
                    0x12 => {
                        let mut bytes = vec![0, 0, 6, 2, 31, 0x10, 0, 2];
                        bytes.extend(b"MODEL   MEMORY          ");
                        bytes.extend(&guid.0[..4]);
                        Outcome::data_in(bytes)
                    }
                    _ => Outcome::good(),
                }
            });
            done(outcome);
        };
        match self.behaviour.hold.load(Ordering::Acquire) {
            true => self.behaviour.held.lock().push((key.0, key.1, Box::new(run))),
            false => run(),
        }
    }

    fn reservation_conflict(&self, task: &Task) -> bool {
        let holder = self.holder.load(Ordering::Acquire);
        holder != 0 && holder != task.nexus.id && task.cdb.opcode() != 0x12
    }

    fn abort(&self, nexus: &Nexus, tag: u64) {
        if self.behaviour.ignore_abort.load(Ordering::Acquire) {
            return;
        }
        if let Some(aborted) = self.waiting.lock().get(&(nexus.id, tag)) {
            aborted.store(true, Ordering::Release);
        }
        let mine = |held: &Held| (held.0, held.1) == (nexus.id, tag);
        let found: Vec<Held> = {
            let mut all = self.behaviour.held.lock();
            let (found, rest) = all.drain(..).partition(mine);
            *all = rest;
            found
        };
        found.into_iter().for_each(|(_, _, run)| run());
    }
}

impl Unit for MemoryUnit {
    fn guid(&self) -> Guid {
        self.guid
    }
    fn name(&self) -> String {
        self.name.clone()
    }
    fn properties(&self) -> LuProperties {
        LuProperties {
            guid: Some(self.guid),
            data_file: Some(self.name.clone()),
            ..LuProperties::default()
        }
    }
    fn inquiry(&self) -> Inquiry {
        Inquiry::default()
    }
    fn generation(&self) -> u64 {
        self.generation
    }
    fn owned(&self) -> bool {
        let media = self.shared.0.lock();
        media[&self.name].owner == Some(self.node) && media[&self.name].generation == self.generation
    }
    fn on_ownership_lost(&self, lost: Box<dyn FnOnce() + Send>) {
        *self.lost.lock() = Some(lost);
    }
    fn attach(&self, nexuses: Arc<dyn LuNexuses>) {
        *self.nexuses.lock() = Some(nexuses);
    }
    fn modify(&self, _change: &LuChange) -> Result<(), Status> {
        Ok(())
    }
    fn release(&self, how: Release) -> Result<(), Status> {
        if how == Release::Handover && self.behaviour.fail_release.load(Ordering::Acquire) {
            return Err(Status::Error);
        }
        assert!(!self.closed.swap(true, Ordering::AcqRel), "released once");
        let mut media = self.shared.0.lock();
        let medium = media.get_mut(&self.name).expect("exists");
        medium.open -= 1;
        if how == Release::Handover && medium.generation == self.generation {
            medium.owner = None;
        }
        Ok(())
    }
    fn reset(&self) {
        self.behaviour.resets.fetch_add(1, Ordering::AcqRel);
        self.holder.store(0, Ordering::Release);
    }
    fn flush(&self) -> Result<(), Status> {
        self.behaviour.flushes.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }
    fn check_store(&self) -> Result<(), Status> {
        match self.behaviour.shrunk.load(Ordering::Acquire) {
            true => Err(Status::FileSizeInvalid),
            false => Ok(()),
        }
    }
}

pub struct MemoryProvider {
    pub node: u8,
    pub shared: Arc<Shared>,
    pub units: Mutex<BTreeMap<Guid, Arc<MemoryUnit>>>,
    pub behaviour: Arc<Behaviour>,
    pub gate: Mutex<()>,
}

impl MemoryProvider {
    fn open(&self, path: &str, medium: &mut Medium) -> Arc<dyn Unit> {
        medium.owner = Some(self.node);
        medium.generation += 1;
        medium.open += 1;
        assert_eq!(medium.open, 1, "{path} is open twice (I1)");
        let unit = Arc::new(MemoryUnit {
            name: path.to_owned(),
            guid: medium.guid,
            node: self.node,
            generation: medium.generation,
            shared: self.shared.clone(),
            closed: AtomicBool::new(false),
            behaviour: self.behaviour.clone(),
            holder: AtomicU64::new(0),
            lost: Mutex::default(),
            nexuses: Mutex::default(),
            waiting: Mutex::default(),
        });
        self.units.lock().insert(medium.guid, unit.clone());
        unit
    }
}

impl LuProvider for MemoryProvider {
    fn name(&self) -> &'static str {
        "sbd"
    }
    fn create(&self, properties: &LuProperties, taken: &dyn Fn(&Guid) -> bool) -> Result<Arc<dyn Unit>, Status> {
        let path = properties.data_file.clone().expect("checked by the framework");
        let guid = properties.guid.unwrap_or_else(|| guid(path.len() as u8));
        if taken(&guid) {
            return Err(Status::GuidInUse);
        }
        let mut media = self.shared.0.lock();
        let medium = media.entry(path.clone()).or_insert(Medium {
            guid,
            owner: None,
            generation: 0,
            data: 0,
            open: 0,
        });
        medium.guid = guid;
        Ok(self.open(&path, medium))
    }
    fn identify(&self, path: &str) -> Result<Guid, Status> {
        self.shared
            .0
            .lock()
            .get(path)
            .map(|m| m.guid)
            .ok_or(Status::MetaFileName)
    }
    fn import(&self, path: &str, peer: PeerView) -> Result<Arc<dyn Unit>, ImportError> {
        let _gate = self.gate.lock();
        let mut media = self.shared.0.lock();
        let medium = media.get_mut(path).ok_or(ImportError::Failed(Status::MetaFileName))?;
        let foreign = medium.owner.is_some_and(|owner| owner != self.node);
        let given_up = peer.given_up == Some(medium.generation);
        if foreign && !given_up && (peer.reachable || !peer.fenced) {
            return Err(ImportError::Refused(medium.guid));
        }
        if foreign {
            // Fenced: the former owner is dead.
            medium.open = 0;
        }
        Ok(self.open(path, medium))
    }
}

/// Answers at once.
pub struct ModelPort {
    pub framework: Weak<Framework>,
    pub devid: DevId,
    pub nexuses: Mutex<Vec<Arc<Nexus>>>,
}

impl PortControl for ModelPort {
    fn go_online(&self) {
        let framework = self.framework.upgrade().expect("alive");
        let devid = self.devid.clone();
        std::thread::spawn(move || framework.port_changed(&devid, true));
    }
    fn go_offline(&self) {
        let framework = self.framework.upgrade().expect("alive");
        let devid = self.devid.clone();
        let nexuses = std::mem::take(&mut *self.nexuses.lock());
        std::thread::spawn(move || {
            nexuses.iter().for_each(|nexus| framework.nexus_deregister(nexus));
            framework.port_changed(&devid, false);
        });
    }
}

/// Leads into the peer's framework, as the proxy of both sides would.
#[derive(Default)]
pub struct ModelLink {
    pub peer: Mutex<Weak<Framework>>,
    pub up: AtomicBool,
    pub accepted: Mutex<HashSet<DevId>>,
    pub announced: Mutex<Vec<Announcement>>,
    pub enabled: Mutex<Vec<NodeId>>,
    /// Image nexuses on the peer by the id of the nexus here.
    images: Mutex<HashMap<u64, Arc<Nexus>>>,
    pub send_lun_id: Mutex<Option<Guid>>,
    /// The peer is an original one.
    pub original: AtomicBool,
}

fn active(lu: AnnouncedLu, taken_over: bool) -> PeerEvent {
    PeerEvent::LuActive {
        guid: lu.guid,
        name: lu.name,
        generation: Some(lu.generation),
        non_optimized: Some(lu.non_optimized),
        taken_over,
    }
}

impl ModelLink {
    fn peer(&self) -> Option<Arc<Framework>> {
        self.peer.lock().upgrade().filter(|_| self.up.load(Ordering::Acquire))
    }

    fn image_of(&self, peer: &Arc<Framework>, nexus: &Nexus) -> Arc<Nexus> {
        let mut images = self.images.lock();
        let make = || {
            peer.nexus_register(NexusSpec {
                port: nexus.port.devid.clone(),
                initiator: nexus.initiator.clone(),
                transport_id: nexus.transport_id.clone(),
                alias: nexus.alias.clone(),
                image_id: Some(nexus.id),
            })
            .expect("the image port is online")
        };
        images.entry(nexus.id).or_insert_with(make).clone()
    }
}

impl PeerLink for ModelLink {
    fn announce(&self, announcement: Announcement) {
        self.announced.lock().push(announcement.clone());
        let Some(peer) = self.peer() else { return };
        let event = match announcement {
            Announcement::PortUp { port, rtpid } => {
                let control = ModelPort {
                    framework: Arc::downgrade(&peer),
                    devid: port.clone(),
                    nexuses: Mutex::default(),
                };
                let spec = PortSpec {
                    devid: port.clone(),
                    protocol: Protocol::Iscsi,
                    provider: "pppt",
                    alias: String::new(),
                    image_rtpid: Some(rtpid),
                    control: Arc::new(control),
                };
                let registered = peer.port_register(spec);
                assert!(matches!(registered, Ok(_) | Err(Status::Exists)), "{registered:?}");
                self.accepted.lock().insert(port.clone());
                PeerEvent::PortUp { port, rtpid }
            }
            Announcement::PortDown { port } => PeerEvent::PortDown { port },
            Announcement::LuRegister(lu) => active(lu, false),
            Announcement::LuActive(lu) => active(lu, true),
            Announcement::LuDeregister { guid } => PeerEvent::LuDeregister { guid },
            Announcement::LuGivenUp { guid, generation } => PeerEvent::LuGivenUp { guid, generation },
        };
        peer.peer_event(event);
    }
    fn enabled(&self, node: NodeId) {
        self.enabled.lock().push(node);
    }
    fn disabled(&self) {}
    fn presume_gone(&self) {
        self.up.store(false, Ordering::Release);
    }
    fn forward(&self, lu: Guid, task: Task, data: Vec<u8>, done: Done) {
        let Some(peer) = self.peer() else {
            return done(Outcome::check(Sense::ALUA_UNAVAILABLE));
        };
        let task = Task {
            nexus: self.image_of(&peer, &task.nexus),
            origin: Origin::Peer {
                lun_id: Some(self.send_lun_id.lock().unwrap_or(lu)),
                start_by: None,
            },
            ..task
        };
        match peer.start(task) {
            Started::Done(outcome) => done(outcome),
            Started::Ready(ready) => {
                // Of a write the other node asks the host for everything.
                let mut data = data;
                data.truncate(ready.want() as usize);
                ready.execute(data, done);
            }
        }
    }
    fn ask(&self, request: Vec<u8>, done: Answered) {
        match self.peer() {
            Some(peer) => drop(std::thread::spawn(move || {
                done(Some(peer.answer_node_request(&request)))
            })),
            None => done(None),
        }
    }
    fn abort(&self, _nexus: &Nexus, _tag: u64) {}
    fn forward_tm(&self, _lu: Guid, request: TmRequest, done: TmDone) {
        let Some(peer) = self.peer() else {
            return done(TmResponse::Rejected);
        };
        let request = TmRequest {
            nexus: self.image_of(&peer, &request.nexus),
            origin: Origin::Peer {
                lun_id: None,
                start_by: None,
            },
            ..request
        };
        peer.task_management(request, done);
    }
    fn nexus_ended(&self, nexus: &Nexus) {
        let image = self.images.lock().remove(&nexus.id);
        if let (Some(peer), Some(image)) = (self.peer(), image) {
            peer.nexus_deregister(&image);
        }
    }
    fn status(&self) -> PeerStatus {
        let reachable = self.peer().is_some();
        PeerStatus {
            door: true,
            reachable,
            original: Some(self.original.load(Ordering::Acquire)),
            writes: reachable && !self.original.load(Ordering::Acquire),
        }
    }
    fn port_accepted(&self, port: &Port) -> bool {
        self.accepted.lock().contains(&port.devid)
    }
}

/// A framework with its models.
pub struct Node {
    pub framework: Arc<Framework>,
    pub provider: Arc<MemoryProvider>,
    pub link: Arc<ModelLink>,
    pub ports: Mutex<HashMap<DevId, Arc<ModelPort>>>,
}

pub fn guid(n: u8) -> Guid {
    let mut bytes = [n; 16];
    bytes[0] = 0x60;
    Guid(bytes)
}

pub fn devid(text: &str) -> DevId {
    DevId::new(text.as_bytes()).unwrap()
}

impl Node {
    pub fn with_store(number: u8, shared: &Arc<Shared>, store: Store) -> Node {
        let framework = Framework::new(store);
        let provider = Arc::new(MemoryProvider {
            node: number,
            shared: shared.clone(),
            units: Mutex::default(),
            behaviour: Arc::default(),
            gate: Mutex::default(),
        });
        let link = Arc::new(ModelLink::default());
        framework.register_lu_provider(provider.clone());
        framework.set_peer_link(link.clone());
        framework.load().unwrap();
        Node {
            framework,
            provider,
            link,
            ports: Mutex::default(),
        }
    }

    /// Online, volatile, without a peer.
    pub fn single() -> Node {
        let node = Node::with_store(0, &Arc::default(), Store::volatile());
        node.framework.online().unwrap();
        node
    }

    pub fn port(&self, name: &str) -> Arc<Port> {
        let control = Arc::new(ModelPort {
            framework: Arc::downgrade(&self.framework),
            devid: devid(name),
            nexuses: Mutex::default(),
        });
        self.ports.lock().insert(devid(name), control.clone());
        let spec = PortSpec {
            devid: devid(name),
            protocol: Protocol::Iscsi,
            provider: "iscsit",
            alias: String::new(),
            image_rtpid: None,
            control,
        };
        let port = self.framework.port_register(spec).unwrap();
        if self.framework.state().operational == ObjectState::Offline {
            return port;
        }
        wait("the port is online", || {
            self.framework.port_info(&devid(name)).unwrap().state == ObjectState::Online
        });
        port
    }

    pub fn login(&self, port: &str, initiator: &str) -> Arc<Nexus> {
        let nexus = self
            .framework
            .nexus_register(NexusSpec {
                port: devid(port),
                initiator: devid(initiator),
                transport_id: TransportId::iscsi(&devid(initiator), [1, 2, 3, 4, 5, 6]),
                alias: String::new(),
                image_id: None,
            })
            .unwrap();
        self.ports.lock()[&devid(port)].nexuses.lock().push(nexus.clone());
        nexus
    }

    pub fn create(&self, path: &str, n: u8) -> Result<Guid, Status> {
        self.framework.lu_create(&LuProperties {
            data_file: Some(path.to_owned()),
            guid: Some(guid(n)),
            ..LuProperties::default()
        })
    }

    pub fn view_all(&self, n: u8, lun: u16) {
        let request = ViewRequest {
            host_group: None,
            target_group: None,
            lun: Lun::new(lun),
        };
        self.framework.view_add(&guid(n), &request).unwrap();
    }

    pub fn unit(&self, n: u8) -> Arc<MemoryUnit> {
        self.provider.units.lock()[&guid(n)].clone()
    }

    pub fn access(&self, n: u8) -> Option<AccessState> {
        self.framework.lu_access(&guid(n)).ok().map(|report| report.access)
    }

    pub fn start(&self, nexus: &Arc<Nexus>, lun: u16, cdb: &[u8], tag: u64) -> Started {
        self.start_as(TaskAttribute::Simple, nexus, lun, cdb, tag)
    }

    pub fn start_as(&self, attribute: TaskAttribute, nexus: &Arc<Nexus>, lun: u16, cdb: &[u8], tag: u64) -> Started {
        self.framework.start(Task {
            nexus: nexus.clone(),
            lun: Lun::new(lun).unwrap().to_sam(),
            cdb: Cdb::new(cdb).unwrap(),
            tag,
            attribute,
            expected: Expected {
                read: true,
                write: true,
                length: 4096,
            },
            origin: Origin::Local,
        })
    }

    pub fn submit(&self, nexus: &Arc<Nexus>, lun: u16, cdb: &[u8], data: &[u8], tag: u64) -> Receiver<Outcome> {
        self.submit_as(TaskAttribute::Simple, nexus, lun, cdb, data, tag)
    }

    pub fn submit_as(
        &self,
        attribute: TaskAttribute,
        nexus: &Arc<Nexus>,
        lun: u16,
        cdb: &[u8],
        data: &[u8],
        tag: u64,
    ) -> Receiver<Outcome> {
        let (sender, receiver) = channel();
        match self.start_as(attribute, nexus, lun, cdb, tag) {
            Started::Done(outcome) => sender.send(outcome).unwrap(),
            Started::Ready(ready) => {
                let mut data = data.to_vec();
                data.resize(ready.want() as usize, 0);
                ready.execute(data, Box::new(move |outcome| sender.send(outcome).unwrap()));
            }
        }
        receiver
    }

    pub fn command(&self, nexus: &Arc<Nexus>, lun: u16, cdb: &[u8], data: &[u8]) -> Outcome {
        let received = self.submit(nexus, lun, cdb, data, 77);
        received.recv_timeout(Duration::from_secs(30)).expect("a command ends")
    }

    /// Swallows what is pending, so that the next command meets the LU itself.
    pub fn clear(&self, nexus: &Arc<Nexus>, lun: u16) {
        for _ in 0..16 {
            if self.command(nexus, lun, TUR, &[]).status != ScsiStatus::CheckCondition {
                return;
            }
        }
        panic!("unit attentions without end");
    }

    pub fn tm(&self, nexus: &Arc<Nexus>, lun: u16, function: TmFunction, tag: u64) -> Receiver<TmResponse> {
        let (sender, receiver) = channel();
        let request = TmRequest {
            nexus: nexus.clone(),
            lun: Lun::new(lun).unwrap().to_sam(),
            function,
            referenced_tag: tag,
            origin: Origin::Local,
        };
        self.framework
            .task_management(request, Box::new(move |response| sender.send(response).unwrap()));
        receiver
    }
}

pub const TUR: &[u8] = &[0x00, 0, 0, 0, 0, 0];
pub const READ: &[u8] = &[0x08, 0, 0, 0, 1, 0];
pub const WRITE: &[u8] = &[0x0a, 0, 0, 0, 1, 0];
pub const INQUIRY: &[u8] = &[0x12, 0, 0, 0, 255, 0];
pub const SENSE: &[u8] = &[0x03, 0, 0, 0, 252, 0];
pub const LUNS: &[u8] = &[0xa0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0];
pub const RTPG: &[u8] = &[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0];

/// Key, ASC and ASCQ of a CHECK CONDITION.
pub fn sense(outcome: &Outcome) -> (u8, u8, u8) {
    assert_eq!(outcome.status, ScsiStatus::CheckCondition, "{outcome:?}");
    (outcome.sense[2], outcome.sense[12], outcome.sense[13])
}

/// LUNs in the data of REPORT LUNS.
pub fn luns(outcome: &Outcome) -> Vec<u16> {
    assert_eq!(outcome.status, ScsiStatus::Good);
    let entries = outcome.data[8..].chunks_exact(8);
    entries
        .map(|e| Lun::from_sam(e.try_into().unwrap()).unwrap().get())
        .collect()
}

pub fn wait(what: &str, mut happened: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !happened() {
        assert!(begin.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Two nodes with a working channel, ALUA enabled on both, one port each, node 0 first.
pub fn pair() -> (Node, Node) {
    let shared: Arc<Shared> = Arc::default();
    let nodes = [0, 1].map(|n| Node::with_store(n, &shared, Store::volatile()));
    let [a, b] = nodes;
    *a.link.peer.lock() = Arc::downgrade(&b.framework);
    *b.link.peer.lock() = Arc::downgrade(&a.framework);
    for (node, number) in [(&a, 0), (&b, 1)] {
        node.link.up.store(true, Ordering::Release);
        node.framework.online().unwrap();
        node.framework.set_alua(true, NodeId::new(number)).unwrap();
    }
    a.port("iqn.port-a");
    b.port("iqn.port-b");
    for node in [&a, &b] {
        wait("all ports are online", || {
            let ports = node.framework.port_list();
            ports.len() == 2
                && ports
                    .iter()
                    .all(|p| node.framework.port_info(p).unwrap().state == ObjectState::Online)
        });
    }
    (a, b)
}
