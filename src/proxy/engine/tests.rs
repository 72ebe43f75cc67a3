//! Two engines and a channel that drops or keeps what a test wants; time is a number.

mod active;
mod chaos;
mod exchange;
mod link;
mod standby;
mod writes;

use super::super::message::{Capabilities, Handshake};
use super::*;
use crate::framework::Expected;
use crate::types::{DevId, Guid, TransportId};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

const LU: Guid = Guid([0x60; 16]);
const SECOND: Duration = Duration::from_secs(1);

fn port(n: u8) -> DevId {
    DevId::new(format!("iqn.2010-08.org.example:t{n}").as_bytes()).unwrap()
}

/// What a node has heard, and a framework that agrees to everything.
struct Node {
    engine: Engine,
    number: u8,
    seeds: Seeds,
    seq: u64,
    /// Answers probes like the original, and sends no extensions.
    original: bool,
    events: Vec<PeerEvent>,
    to_peer: VecDeque<Vec<u8>>,
    started: Vec<PeerCommand>,
    managed: Vec<Management>,
    opened: Vec<u64>,
    closed: Vec<u64>,
    removed: Vec<DevId>,
    cleared: Vec<u32>,
    outcomes: Arc<Mutex<Vec<(u64, Outcome)>>>,
    responses: Arc<Mutex<Vec<TmResponse>>>,
}

impl Node {
    fn new(number: u8, life: u64) -> Node {
        let seeds = Seeds {
            incarnation: life,
            ids: life,
        };
        Node {
            engine: Engine::new(Config::default(), seeds),
            number,
            seeds,
            seq: 0,
            original: false,
            events: Vec::new(),
            to_peer: VecDeque::new(),
            started: Vec::new(),
            managed: Vec::new(),
            opened: Vec::new(),
            closed: Vec::new(),
            removed: Vec::new(),
            cleared: Vec::new(),
            outcomes: Arc::default(),
            responses: Arc::default(),
        }
    }

    fn enable(&mut self, now: Duration) {
        self.engine.enabled(now, NodeId::new(self.number).unwrap());
        self.engine.announce(
            now,
            Announcement::PortUp {
                port: port(self.number),
                rtpid: self.rtpid(),
            },
        );
        self.perform(now);
    }

    fn rtpid(&self) -> u16 {
        1 + 255 * u16::from(self.number)
    }

    fn perform(&mut self, now: Duration) {
        self.perform_outputs(now);
        if self.engine.idle(now) {
            self.perform_outputs(now);
        }
    }

    fn perform_outputs(&mut self, now: Duration) {
        loop {
            let outputs = self.engine.take_outputs();
            if outputs.is_empty() {
                return;
            }
            for output in outputs {
                self.perform_one(now, output);
            }
        }
    }

    fn perform_one(&mut self, now: Duration, output: Output) {
        match output {
            Output::Send(_, message) if self.engine.may_send() => self.send(message),
            Output::Send(_, message) => self.engine.send_failed(now, &message, Fate::Kept),
            Output::Event(event) => self.events.push(event),
            Output::Complete(done, outcome) => done(outcome),
            Output::CompleteManagement(done, response) => done(response),
            Output::RegisterImage { port, .. } => {
                self.engine.image_registered(now, &port, Ok(()));
                self.engine.image_wanted(now, &port, true);
            }
            Output::ImageChanged { .. } => {}
            Output::RemoveImage(port) => {
                self.removed.push(port.clone());
                self.engine.image_removed(now, &port, Ok(()));
            }
            Output::OpenNexus { session, .. } => {
                self.opened.push(session);
                self.engine.nexus_opened(now, session, Ok(()));
            }
            Output::CloseNexus(session) => {
                self.closed.push(session);
                self.engine.nexus_closed(now, session);
            }
            Output::Start(command) => self.started.push(*command),
            Output::Manage(management) => self.managed.push(management),
            Output::Serve(id, mut request) => {
                request.reverse();
                self.engine.served(now, id, &request);
            }
            Output::Answered(done, reply) => done(reply),
            Output::DoorCleared(door) => self.cleared.push(door),
        }
    }

    fn send(&mut self, mut message: Message) {
        let wire = self.engine.wire().filter(|_| !self.original);
        if wire.is_some() {
            self.seq += 1;
            message.extensions.incarnation = Some(self.seeds.incarnation);
            message.extensions.seq = Some(self.seq);
        } else {
            message.strip_extensions();
        }
        let compact = wire.is_some_and(|c| c.has(Capabilities::COMPACT));
        self.to_peer.push_back(if compact {
            message.encode_compact()
        } else {
            message.encode()
        });
    }

    /// `stmfPostProxyMsg`, with the door's ECHO answer.
    fn post(&mut self, now: Duration, message: Message) {
        if let Body::EchoRequest(data) = &message.body
            && self.engine.link.enabled.is_some()
        {
            let node = NodeId::new(self.number).unwrap();
            let reply = match Handshake::from_probe(data).filter(|_| !self.original) {
                Some(probe) => own_handshake(self.seeds, node, probe.nonce).reply(),
                None => data.clone(),
            };
            self.send(Message::new(0, Body::EchoReply(reply)));
        }
        self.engine.message(now, 1, message);
        self.perform(now);
    }

    fn tick(&mut self, now: Duration) {
        self.engine.tick(now);
        self.perform(now);
    }

    fn accepted(&self) -> Vec<DevId> {
        self.engine.accepted_ports().cloned().collect()
    }

    /// Messages on their way to the peer.
    fn sent(&mut self) -> Vec<Message> {
        self.to_peer
            .drain(..)
            .map(|bytes| Message::decode(&bytes).unwrap())
            .collect()
    }

    fn bodies(&mut self) -> Vec<Body> {
        self.sent().into_iter().map(|message| message.body).collect()
    }

    fn origin(&self, session: u64) -> Origin {
        Origin {
            session,
            initiator: DevId::new(b"iqn.1998-01.com.example:esx01").unwrap(),
            target: port(self.number),
            protocol: 5,
            transport_id: TransportId::iscsi(&DevId::new(b"iqn.1998-01.com.example:esx01").unwrap(), [0; 6]),
            lun: [0, 5, 0, 0, 0, 0, 0, 0],
        }
    }

    fn forward(&mut self, now: Duration, tag: u64, cdb: &[u8], expected: Expected, data: &[u8]) {
        let command = Command {
            lu: LU,
            origin: self.origin(7),
            tag,
            cdb: cdb.to_vec(),
            attribute: 1,
            expected,
            data: data.to_vec(),
            generation: None,
        };
        let outcomes = self.outcomes.clone();
        self.engine.forward(
            now,
            command,
            Box::new(move |outcome| outcomes.lock().push((tag, outcome))),
            false,
        );
        self.perform(now);
    }

    fn read(&mut self, now: Duration, tag: u64, length: u32) {
        self.forward(
            now,
            tag,
            &[0x28; 10],
            Expected {
                read: true,
                write: false,
                length,
            },
            &[],
        );
    }

    fn manage(&mut self, now: Duration, function: TmFunction, referenced_tag: u64) {
        let request = ManagementRequest {
            lu: LU,
            origin: self.origin(7),
            function,
            referenced_tag,
        };
        let responses = self.responses.clone();
        self.engine
            .forward_management(now, request, Box::new(move |response| responses.lock().push(response)));
        self.perform(now);
    }

    fn outcomes(&self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut *self.outcomes.lock())
    }

    fn responses(&self) -> Vec<TmResponse> {
        std::mem::take(&mut *self.responses.lock())
    }
}

struct Pair {
    now: Duration,
    a: Node,
    b: Node,
}

impl Pair {
    fn new() -> Pair {
        let mut pair = Pair {
            now: 100 * SECOND,
            a: Node::new(0, 11),
            b: Node::new(1, 22),
        };
        pair.a.engine.door_installed(1);
        pair.b.engine.door_installed(1);
        pair
    }

    /// Both enabled and acquainted.
    fn up() -> Pair {
        Pair::new().enabled()
    }

    /// B behaves like an original node.
    fn with_original() -> Pair {
        let mut pair = Pair::new();
        pair.b.original = true;
        pair.enabled()
    }

    fn enabled(mut self) -> Pair {
        self.a.enable(self.now);
        self.b.enable(self.now);
        self.pass(SECOND);
        assert_eq!(self.a.accepted(), [port(0)]);
        assert_eq!(self.b.accepted(), [port(1)]);
        self.pass(5 * SECOND);
        self
    }

    /// Delivers until nothing is on the way.
    fn settle(&mut self) {
        while !self.a.to_peer.is_empty() || !self.b.to_peer.is_empty() {
            for message in self.a.sent() {
                self.b.post(self.now, message);
            }
            for message in self.b.sent() {
                self.a.post(self.now, message);
            }
        }
    }

    /// Lets time pass in small steps.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += SECOND / 4;
            self.a.tick(self.now);
            self.b.tick(self.now);
            self.settle();
        }
    }

    /// As [`Pair::pass`]; what B sends is lost.
    fn pass_lossy(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += SECOND / 4;
            self.a.tick(self.now);
            self.b.tick(self.now);
            self.b.to_peer.clear();
            for message in self.a.sent() {
                self.b.post(self.now, message);
            }
            self.b.to_peer.clear();
        }
    }

    /// As [`Pair::pass`], with a channel that loses everything.
    fn pass_cut(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += SECOND / 4;
            self.a.tick(self.now);
            self.b.tick(self.now);
            self.a.to_peer.clear();
            self.b.to_peer.clear();
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from((i / 7 + i) % 251).unwrap()).collect()
}
