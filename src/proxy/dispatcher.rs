//! The owner of the engine: takes events from the one queue, performs what the engine says, and never waits. What blocks (the
//! end of a nexus, the removal of an image) goes to a thread of its own, the janitor.
//!
//! It has a thread, but whoever brings an event handles it there and then when it is his turn ([`Queue`]): a hand-over to
//! another thread costs more than the event. So nothing here may wait for its caller, who may hold nothing that it needs.

use super::engine::{Engine, Fate, Management, Output, PeerCommand};
use super::provider::Shared;
use super::queue::{Clock, Event, Queue};
use super::sender::Sender;
use crate::framework::watch;
use crate::framework::{
    Cdb, Framework, Nexus, NexusSpec, Origin, Outcome, PortControl, PortSpec, Started, Task, TaskAttribute, TmRequest,
    TmResponse,
};
use crate::scsi::ScsiStatus;
use crate::types::{DevId, Protocol, Status, TransportId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

/// Name of the port provider of the peer's ports.
pub const PROVIDER: &str = "pppt";

pub(super) struct Dispatcher {
    pub engine: Engine,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub framework: Weak<Framework>,
    pub janitor: mpsc::Sender<Chore>,
    /// Requests of the peer, to the thread that answers them.
    pub service: mpsc::Sender<(u64, Vec<u8>)>,
    /// Nexuses of the peer's sessions.
    pub nexuses: HashMap<u64, Arc<Nexus>>,
    /// Who waits for the end of a door.
    pub waiting: Vec<(u32, mpsc::Sender<()>)>,
    pub stuck: bool,
    /// When the engine is to look at the time, since boot.
    pub due: Option<Duration>,
}

/// Something that may block.
pub(super) enum Chore {
    CloseNexus(u64, Arc<Nexus>),
    RemoveImage(DevId),
}

impl Dispatcher {
    /// The dispatcher's own thread: what others leave, and time.
    pub fn run(dispatcher: &Mutex<Dispatcher>, queue: &Queue) {
        while queue.await_turn() {
            dispatcher.lock().handle_all();
        }
    }

    /// Handles what is queued, unless another thread does.
    pub fn help(dispatcher: &Mutex<Dispatcher>, queue: &Queue) {
        if queue.take_turn() {
            dispatcher.lock().handle_all();
        }
    }

    /// Handles this event, if there is none before it and nobody at work; else leaves it. For a caller that has other things
    /// to do than those that others bring meanwhile.
    pub fn hand_in(dispatcher: &Mutex<Dispatcher>, queue: &Queue, event: Event) {
        if let Some(event) = queue.take_turn_for(event) {
            let mut dispatcher = dispatcher.lock();
            let now = dispatcher.handle(Some(event));
            dispatcher.flush_later();
            let due = dispatcher.next_wake(now);
            queue.end_turn(due);
        }
    }

    /// To be called by who has the turn; it is given back.
    fn handle_all(&mut self) {
        let queue = self.shared.queue.clone();
        loop {
            let mut now = None;
            while let Some(event) = queue.next() {
                if matches!(event, Event::Stop) {
                    return self.stop();
                }
                now = Some(self.handle(Some(event)));
                self.flush_if_much();
            }
            let now = now.unwrap_or_else(|| self.handle(None));
            if self.engine.idle(now) {
                self.perform(now);
            }
            self.flush();
            let due = self.next_wake(now);
            if queue.end_idle_turn(due) {
                return;
            }
        }
    }

    /// An event, or only the time; when it was.
    fn handle(&mut self, event: Option<Event>) -> Duration {
        let now = self.clock.now();
        if let Some(event) = event {
            self.hear(now, event);
        }
        // Under load too.
        if self.due.is_some_and(|due| now >= due) {
            self.due = None;
            self.engine.tick(now);
        }
        self.watch_door(now);
        self.perform(now);
        now
    }

    fn stop(&mut self) {
        self.engine.disabled(self.clock.now());
        self.perform(self.clock.now());
        self.flush();
        self.shared.queue.close();
    }

    fn next_wake(&mut self, now: Duration) -> Option<Instant> {
        // A door call that hangs is looked at even when nothing else happens.
        let door = self.shared.sender().map(|_| now + self.shared.life.config.probe);
        let next = earlier(self.engine.next_tick(now), door);
        self.due = earlier(self.due, next);
        self.due.map(|due| self.clock.instant(due))
    }

    /// The messages are on their way, or left to the sender's thread.
    fn flush(&self) {
        if let Some(sender) = self.shared.sender() {
            sender.flush();
        }
    }

    /// As [`Dispatcher::flush`], or before the calling thread waits: it may have more commands to forward.
    fn flush_later(&self) {
        match self.shared.sender() {
            Some(sender) if watch::leave(&sender) => sender.flush_if_much(),
            Some(sender) => sender.flush(),
            None => {}
        }
    }

    /// As [`Dispatcher::flush`], when it is worth it before other events are handled.
    fn flush_if_much(&self) {
        if let Some(sender) = self.shared.sender() {
            sender.flush_if_much();
        }
    }

    fn watch_door(&mut self, now: Duration) {
        let stuck = self.shared.sender().is_some_and(|sender| sender.stuck());
        if stuck != self.stuck {
            self.stuck = stuck;
            match stuck {
                true => log::error!("pppt: a call of the proxy door does not return; nothing is sent until it does"),
                false => log::info!("pppt: the proxy door answers again"),
            }
            self.engine.door_stuck(now, stuck);
        }
    }

    fn hear(&mut self, now: Duration, event: Event) {
        let engine = &mut self.engine;
        match event {
            Event::Message(door, message) => engine.message(now, door, message),
            Event::DoorInstalled(door) => engine.door_installed(door),
            Event::DoorRemoved(door, waiting) => {
                self.shared.forget_door(door);
                self.waiting.extend(waiting.map(|waiting| (door, waiting)));
                engine.door_removed(now, door);
            }
            Event::SendFailed(message, fate) => engine.send_failed(now, &message, fate),
            Event::LaneEnded(door) => engine.lane_ended(now, door),
            Event::Enabled(node) => engine.enabled(now, node),
            Event::Disabled => engine.disabled(now),
            Event::PresumeGone => engine.presume_gone(now),
            Event::Announce(announcement) => engine.announce(now, announcement),
            Event::Forward(command, done) => {
                let congested = self.shared.sender().is_some_and(|sender| sender.congested());
                engine.forward(now, command, done, congested);
            }
            Event::Abort { session, tag } => engine.abort(now, session, tag),
            Event::Manage(request, done) => engine.forward_management(now, request, done),
            Event::Ask(request, done) => engine.ask(now, request, done),
            Event::Served(id, reply) => engine.served(now, id, &reply),
            Event::NexusEnded(origin) => engine.nexus_ended(now, origin),
            Event::ImageWanted { port, online } => engine.image_wanted(now, &port, online),
            Event::ImageRemoved(port, result) => engine.image_removed(now, &port, result),
            Event::NexusClosed(session) => engine.nexus_closed(now, session),
            Event::Finished(task, outcome) => engine.finished(now, task, outcome),
            Event::Managed(id, response) => engine.managed(now, id, response),
            Event::Stop => {}
        }
    }

    fn perform(&mut self, now: Duration) {
        // During a change of doors the engine may still be at the former one.
        let sender = self
            .shared
            .sender()
            .filter(|sender| Some(sender.door()) == self.engine.door());
        loop {
            // Before the framework hears of an event: it asks for this then.
            self.shared.publish(
                self.engine.peer_status(),
                self.engine.seen(),
                self.engine.accepted_ports(),
            );
            let outputs = self.engine.take_outputs();
            if outputs.is_empty() {
                return;
            }
            if let Some(sender) = &sender {
                sender.set_wire(self.engine.wire());
            }
            for output in outputs {
                self.perform_one(now, output, sender.as_ref());
            }
        }
    }

    fn perform_one(&mut self, now: Duration, output: Output, sender: Option<&Arc<Sender>>) {
        match output {
            Output::Send(class, message) => match sender.filter(|_| self.engine.may_send()) {
                Some(sender) => sender.enqueue(class, message),
                None => self.engine.send_failed(now, &message, Fate::Kept),
            },
            Output::Event(event) => {
                if let Some(framework) = self.framework.upgrade() {
                    framework.peer_event(event);
                }
            }
            Output::Complete(done, outcome) => done(outcome),
            Output::CompleteManagement(done, response) => done(response),
            Output::RegisterImage { port, protocol, rtpid } => {
                let result = self.register_image(&port, protocol, rtpid);
                self.engine.image_registered(now, &port, result);
            }
            Output::ImageChanged { port, online } => {
                if let Some(framework) = self.framework.upgrade() {
                    framework.port_changed(&port, online);
                }
            }
            Output::RemoveImage(port) => self.delegate(Chore::RemoveImage(port)),
            Output::OpenNexus {
                session,
                port,
                initiator,
                transport_id,
            } => {
                let result = self.open_nexus(session, port, initiator, transport_id);
                self.engine.nexus_opened(now, session, result);
            }
            Output::CloseNexus(session) => match self.nexuses.remove(&session) {
                Some(nexus) => self.delegate(Chore::CloseNexus(session, nexus)),
                None => self.engine.nexus_closed(now, session),
            },
            Output::Start(command) => self.start(now, *command),
            Output::Manage(management) => self.manage(now, management),
            Output::Serve(id, request) => {
                let service = &self.service;
                service
                    .send((id, request))
                    .expect("the service ends after the dispatcher");
            }
            Output::Answered(done, reply) => done(reply),
            Output::DoorCleared(door) => self.waiting.retain(|(waiting, reply)| {
                let cleared = *waiting == door;
                if cleared {
                    // Whoever waited may have gone.
                    let _ = reply.send(());
                }
                !cleared
            }),
        }
    }

    fn delegate(&self, chore: Chore) {
        self.janitor.send(chore).expect("the janitor ends after the dispatcher");
    }

    fn register_image(&self, port: &DevId, protocol: u8, rtpid: u16) -> Result<(), Status> {
        let framework = self.framework.upgrade().ok_or(Status::ServiceOffline)?;
        let control = ImageControl {
            port: port.clone(),
            queue: self.shared.queue.clone(),
        };
        let spec = PortSpec {
            devid: port.clone(),
            protocol: Protocol::from_number(protocol).ok_or(Status::InvalidArg)?,
            provider: PROVIDER,
            alias: String::new(),
            image_rtpid: Some(rtpid),
            control: Arc::new(control),
        };
        framework.port_register(spec).map(drop)
    }

    fn open_nexus(
        &mut self,
        session: u64,
        port: DevId,
        initiator: DevId,
        transport_id: TransportId,
    ) -> Result<(), Status> {
        let framework = self.framework.upgrade().ok_or(Status::ServiceOffline)?;
        let spec = NexusSpec {
            port,
            initiator,
            transport_id,
            alias: String::new(),
            image_id: Some(session),
        };
        let nexus = framework.nexus_register(spec)?;
        self.nexuses.insert(session, nexus);
        Ok(())
    }

    fn start(&mut self, now: Duration, command: PeerCommand) {
        let id = command.id;
        if let Some(outcome) = self.try_start(command) {
            self.engine.finished(now, id, outcome);
        }
    }

    /// The outcome, if the command ended already.
    fn try_start(&self, mut command: PeerCommand) -> Option<Outcome> {
        let aborted = || Some(Outcome::status(ScsiStatus::TaskAborted));
        let (Some(framework), Some(nexus), Some(cdb)) = (
            self.framework.upgrade(),
            self.nexuses.get(&command.session),
            Cdb::new(&command.cdb),
        ) else {
            return aborted();
        };
        let task = Task {
            nexus: nexus.clone(),
            lun: command.lun,
            cdb,
            tag: command.id,
            attribute: attribute(command.attribute),
            expected: command.expected,
            origin: Origin::Peer {
                lun_id: command.lun_id,
                start_by: command.start_by,
            },
        };
        let ready = match framework.start(task) {
            Started::Done(outcome) => return Some(outcome),
            Started::Ready(ready) => ready,
        };
        let want = ready.want() as usize;
        if want > command.data.len() {
            // All data of the host has to come with the command (5.8): nothing can be asked for.
            log::error!(
                "pppt: a command of the peer came with {} of {want} bytes; aborted",
                command.data.len()
            );
            return aborted();
        }
        command.data.truncate(want);
        let queue = self.shared.queue.clone();
        ready.execute(
            command.data,
            Box::new(move |outcome| queue.push(Event::Finished(command.id, outcome))),
        );
        None
    }

    fn manage(&mut self, now: Duration, management: Management) {
        let (Some(framework), Some(nexus)) = (self.framework.upgrade(), self.nexuses.get(&management.session)) else {
            return self.engine.managed(now, management.id, TmResponse::Rejected);
        };
        let request = TmRequest {
            nexus: nexus.clone(),
            lun: management.lun,
            function: management.function,
            referenced_tag: management.referenced_tag,
            origin: Origin::Peer {
                lun_id: management.lun_id,
                start_by: None,
            },
        };
        let queue = self.shared.queue.clone();
        let done = move |response| queue.push(Event::Managed(management.id, response));
        framework.task_management(request, Box::new(done));
    }
}

fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

fn attribute(number: u8) -> TaskAttribute {
    match number {
        1 => TaskAttribute::Simple,
        2 => TaskAttribute::Ordered,
        3 => TaskAttribute::HeadOfQueue,
        4 => TaskAttribute::Aca,
        _ => TaskAttribute::Untagged,
    }
}

/// The framework's hold on an image: calls only queue.
struct ImageControl {
    port: DevId,
    queue: Arc<Queue>,
}

impl PortControl for ImageControl {
    fn go_online(&self) {
        self.queue.push(Event::ImageWanted {
            port: self.port.clone(),
            online: true,
        });
    }

    fn go_offline(&self) {
        self.queue.push(Event::ImageWanted {
            port: self.port.clone(),
            online: false,
        });
    }
}

/// Answers requests of the peer, in order: they may wait for the disk.
pub(super) fn serve(requests: &mpsc::Receiver<(u64, Vec<u8>)>, framework: &Weak<Framework>, queue: &Queue) {
    while let Ok((id, request)) = requests.recv() {
        let Some(framework) = framework.upgrade() else { continue };
        queue.push(Event::Served(id, framework.answer_node_request(&request)));
    }
}

/// Does what blocks, in order.
pub(super) fn janitor(chores: &mpsc::Receiver<Chore>, framework: &Weak<Framework>, shared: &Shared) {
    while let Ok(chore) = chores.recv() {
        // Without a framework there is nothing left to end.
        let framework = framework.upgrade();
        match chore {
            Chore::CloseNexus(session, nexus) => {
                if let Some(framework) = framework {
                    framework.nexus_deregister(&nexus);
                }
                shared.queue.push(Event::NexusClosed(session));
            }
            Chore::RemoveImage(port) => {
                let patience = shared.life.config.deregistration;
                let result = framework.map_or(Ok(()), |framework| remove_image(&framework, &port, patience));
                shared.queue.push(Event::ImageRemoved(port, result));
            }
        }
    }
}

/// Its sessions have ended. Going offline takes the dispatcher's answer, so a short wait is normal.
fn remove_image(framework: &Framework, port: &DevId, patience: Duration) -> Result<(), Status> {
    const PAUSE: Duration = Duration::from_millis(2);
    let until = Instant::now() + patience;
    loop {
        let result = match framework.port_offline(port) {
            Ok(()) => framework.port_deregister(port),
            Err(status) => Err(status),
        };
        match result {
            Err(Status::Busy) if Instant::now() < until => std::thread::sleep(PAUSE),
            Ok(()) | Err(Status::NotFound) => return Ok(()),
            Err(status) => return Err(status),
        }
    }
}
