//! The queue in front of the way to the peer (`alua-proxy.md` 2.2, 8.3), which is the door, or while there is one a lane.
//!
//! One thread at a time sends, so that messages leave in order. On a door that is the sender's own thread, for a call may
//! take as long as it likes. On a lane it is whoever has something to send, as long as there is room in the socket; what
//! there is no room for is left to the sender's own thread. So nobody else ever waits.

use super::counters::{LiveCounters, count};
use super::engine::{Class, Fate, Seeds};
use super::lane::{Lane, Sent};
use super::limiter::Limiter;
use super::message::{Capabilities, Message};
use super::queue::{Event, Queue};
use super::stream;
use super::thread::spawn;
use super::{Config, Upcall};
use crate::framework::watch::Chore;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Attempts while the server has no free thread.
const ATTEMPTS: usize = 3;

/// Bytes worth a system call of their own: each may have to wake the peer.
const BATCH: usize = 384 << 10;
/// Bytes that are put into a lane, which may seal them, while they are in the processor's cache.
const CACHED: usize = 64 << 10;
/// Messages put there at once.
const BATCH_MESSAGES: usize = 64;

/// What all senders of a proxy's life share.
pub(super) struct Life {
    pub seeds: Seeds,
    pub config: Config,
    pub counters: LiveCounters,
    /// For what the peer and the door can cause.
    pub limiter: Limiter,
    /// `icx_seq` of the last message.
    pub seq: AtomicU64,
}

pub(super) struct Sender {
    life: Arc<Life>,
    door: u32,
    upcall: Arc<dyn Upcall>,
    dispatcher: Arc<Queue>,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    /// By [`Class`].
    queues: [VecDeque<Message>; 3],
    messages: usize,
    bytes: usize,
    closed: bool,
    /// A thread is sending; it goes on until nothing is left.
    sending: bool,
    /// A call is under way, or a lane has no room, since then.
    calling: Option<Instant>,
    /// `None`: an original peer.
    wire: Option<Capabilities>,
    lane: Option<Arc<Lane>>,
    /// What is in the lane is to be sent, however little it is.
    flush: bool,
    /// The lane had no room for all that was put into it; the sender's own thread sends the rest.
    held: bool,
}

impl State {
    fn goes_through(&self, lane: &Lane) -> bool {
        self.lane
            .as_ref()
            .is_some_and(|attached| std::ptr::eq(&**attached, lane))
    }

    /// What it did not take was for this lane only.
    fn leave(&mut self, lane: &Lane) {
        if self.goes_through(lane) {
            self.lane = None;
            if std::mem::take(&mut self.held) {
                self.calling = None;
            }
        }
    }
}

impl Chore for Sender {
    fn perform(&self) {
        self.flush();
    }
}

impl Sender {
    pub fn start(
        life: Arc<Life>,
        door: u32,
        upcall: Arc<dyn Upcall>,
        dispatcher: Arc<Queue>,
    ) -> io::Result<Arc<Sender>> {
        let sender = Arc::new(Sender {
            life,
            door,
            upcall,
            dispatcher,
            state: Mutex::new(State {
                queues: Default::default(),
                messages: 0,
                bytes: 0,
                closed: false,
                sending: false,
                calling: None,
                wire: Some(Capabilities::default()),
                lane: None,
                flush: false,
                held: false,
            }),
            wake: Condvar::new(),
        });
        let runner = sender.clone();
        spawn("pppt-sender", move || runner.run())?;
        Ok(sender)
    }

    pub fn door(&self) -> u32 {
        self.door
    }

    /// To be sent at the next [`Sender::flush`].
    pub fn enqueue(&self, class: Class, message: Message) {
        let mut state = self.state.lock();
        let config = &self.life.config;
        let full = state.messages >= config.queue_messages || state.bytes >= config.queue_bytes;
        if state.closed || (full && class == Class::Bulk) {
            drop(state);
            return self.lost(message, Fate::Kept);
        }
        state.messages += 1;
        state.bytes += message.body.weight();
        state.queues[class as usize].push_back(message);
    }

    /// What was enqueued is on its way. Never waits.
    pub fn flush(&self) {
        let mut state = self.state.lock();
        match state.lane.clone() {
            None => drop(self.wake.notify_one()),
            Some(lane) => {
                state.flush = true;
                self.begin(state, &lane);
            }
        }
    }

    /// As [`Sender::flush`], if there is a lane, as far as it is worth it; [`Sender::flush`] is to follow.
    pub fn flush_if_much(&self) {
        let state = self.state.lock();
        if state.bytes >= CACHED
            && let Some(lane) = state.lane.clone()
        {
            self.begin(state, &lane);
        }
    }

    /// Sends, unless somebody is sending, or waits for room: who does goes on with this.
    fn begin(&self, mut state: MutexGuard<'_, State>, lane: &Lane) {
        if !state.sending && !state.held {
            state.sending = true;
            self.fill(state, lane);
        }
    }

    /// From now on messages go through this lane. False: there is one already, or the door is gone.
    pub fn attach(&self, lane: &Arc<Lane>) -> bool {
        let mut state = self.state.lock();
        let free = state.lane.is_none() && !state.closed;
        if free {
            state.lane = Some(lane.clone());
        }
        free
    }

    /// From now on messages go through the door again.
    pub fn detach(&self, lane: &Arc<Lane>) {
        lane.close();
        self.state.lock().leave(lane);
        self.wake.notify_one();
    }

    /// Above half: new commands get BUSY (8.5).
    pub fn congested(&self) -> bool {
        let state = self.state.lock();
        let config = &self.life.config;
        state.messages > config.queue_messages / 2 || state.bytes > config.queue_bytes / 2
    }

    /// Messages that wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().messages
    }

    /// Only control messages are taken.
    pub fn full(&self) -> bool {
        let state = self.state.lock();
        let config = &self.life.config;
        state.messages >= config.queue_messages || state.bytes >= config.queue_bytes
    }

    /// What the peer understands.
    pub fn set_wire(&self, wire: Option<Capabilities>) {
        self.state.lock().wire = wire;
    }

    /// A call has not returned for too long.
    pub fn stuck(&self) -> bool {
        self.state
            .lock()
            .calling
            .is_some_and(|since| since.elapsed() >= self.life.config.upcall)
    }

    /// Nothing more goes through the door, except a call under way.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.queues = Default::default();
        (state.messages, state.bytes) = (0, 0);
        if let Some(lane) = state.lane.clone() {
            lane.close();
            state.leave(&lane);
        }
        drop(state);
        self.wake.notify_one();
    }

    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            while !state.closed && (state.sending || (state.messages == 0 && !state.held)) {
                self.wake.wait(&mut state);
            }
            if state.closed {
                return;
            }
            state.sending = true;
            if let Some(lane) = state.lane.clone() {
                state.flush = true;
                if state.held {
                    MutexGuard::unlocked(&mut state, || lane.wait_for_room());
                }
                self.fill(state, &lane);
            } else {
                while state.lane.is_none()
                    && let Some((message, wire)) = take(&mut state)
                {
                    MutexGuard::unlocked(&mut state, || self.call(message, wire));
                }
                state.sending = false;
            }
        }
    }

    /// One message through the door.
    fn call(&self, mut message: Message, wire: Option<Capabilities>) {
        self.stamp(&mut message, wire);
        let bytes = match is_compact(wire) {
            true => message.encode_compact(),
            false => message.encode(),
        };
        match self.deliver(&bytes) {
            Ok(0) => self.life.counters.sent(&message.body),
            Ok(result) => {
                // A forwarded command that got lost this way ends by its timer (2.2).
                let number = message.body.number();
                let limiter = &self.life.limiter;
                limiter.warn(format_args!(
                    "the proxy door answered {result} to a message of type {number}"
                ));
                self.life.counters.sent(&message.body);
            }
            Err(error) => {
                if !self.state.lock().closed {
                    let number = message.body.number();
                    let limiter = &self.life.limiter;
                    limiter.warn(format_args!("message of type {number} not sent: {error}"));
                }
                // EAGAIN: no thread of the server took it. Otherwise the server may have ended with it in its hands.
                let fate = match error.raw_os_error() {
                    Some(libc::EAGAIN) => Fate::Kept,
                    _ => Fate::Unknown,
                };
                self.lost(message, fate);
                if error.raw_os_error() == Some(libc::EBADF) {
                    // Like stmfDestroyProxyDoor (2.3).
                    self.close();
                    self.dispatcher.push(Event::DoorRemoved(self.door, None));
                }
            }
        }
    }

    /// Puts what waits into the lane, and sends what is worth it, with `flush` all, as far as there is room. To be called by who
    /// is sending.
    fn fill(&self, mut state: MutexGuard<'_, State>, lane: &Lane) {
        while state.goes_through(lane) {
            let (mut bytes, mut batch) = (0, Vec::new());
            while !state.held
                && bytes < CACHED
                && batch.len() < BATCH_MESSAGES
                && let Some((message, wire)) = take(&mut state)
            {
                bytes += message.body.weight();
                batch.push((message, wire));
            }
            let send = state.held || (state.flush && state.messages == 0);
            if batch.is_empty() && !(send && lane.left() > 0) {
                state.calling = None;
                state.sending = false;
                state.flush = false;
                return;
            }
            let sent = MutexGuard::unlocked(&mut state, || {
                for (message, wire) in batch {
                    self.put(message, wire, lane)?;
                }
                let send = send || lane.left() >= BATCH;
                send.then(|| lane.send()).transpose()
            });
            match sent {
                Ok(None | Some(Sent::All)) => {
                    state.held = false;
                    state.calling = None;
                }
                Ok(Some(part)) if state.goes_through(lane) => {
                    // The sender's own thread goes on when there is room.
                    state.held = true;
                    let before = state.calling.filter(|_| part == Sent::Nothing);
                    state.calling = before.or_else(|| Some(Instant::now()));
                    state.sending = false;
                    self.wake.notify_one();
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    // As after an answer of the door that says so: what was for this connection is lost with it.
                    log::debug!("pppt: the stream to the peer has ended: {error}");
                    lane.close();
                    state.leave(lane);
                }
            }
        }
        // Another way now; what waits goes there.
        state.sending = false;
        self.wake.notify_one();
    }

    /// One message into the lane.
    fn put(&self, mut message: Message, wire: Option<Capabilities>, lane: &Lane) -> io::Result<()> {
        self.stamp(&mut message, wire);
        self.life.counters.sent(&message.body);
        let (mut head, raw) = message.into_parts(stream::HEADER, is_compact(wire), lane.integrity_there());
        // Far below: data, CDBs and paths are bounded where they enter.
        let header = stream::header(head.len() - stream::HEADER + raw.len()).expect("a message is at most 2 MiB");
        head[..stream::HEADER].copy_from_slice(&header);
        lane.put(head)?;
        lane.put(raw)
    }

    /// Sequence numbers are given here: in the order of sending.
    fn stamp(&self, message: &mut Message, wire: Option<Capabilities>) {
        if wire.is_none() {
            return message.strip_extensions();
        }
        message.extensions.incarnation = Some(self.life.seeds.incarnation);
        message.extensions.seq = Some(self.life.seq.fetch_add(1, Ordering::Relaxed) + 1);
    }

    fn deliver(&self, bytes: &[u8]) -> io::Result<u32> {
        let mut attempts = 0;
        loop {
            self.state.lock().calling = Some(Instant::now());
            let result = self.upcall.call(bytes);
            self.state.lock().calling = None;
            attempts += 1;
            let no_thread = matches!(&result, Err(error) if error.raw_os_error() == Some(libc::EAGAIN));
            // The pause comes after each failed attempt, the last one too (2.2).
            if !no_thread || self.pause() || attempts == ATTEMPTS {
                return result;
            }
        }
    }

    /// True when the door was closed meanwhile.
    fn pause(&self) -> bool {
        let until = Instant::now() + self.life.config.upcall_pause;
        let mut state = self.state.lock();
        while !state.closed && !self.wake.wait_until(&mut state, until).timed_out() {}
        state.closed
    }

    fn lost(&self, message: Message, fate: Fate) {
        count(&self.life.counters.lost);
        self.dispatcher.push(Event::SendFailed(message, fate));
    }
}

/// The next message, by class.
fn take(state: &mut State) -> Option<(Message, Option<Capabilities>)> {
    let message = state.queues.iter_mut().find_map(VecDeque::pop_front)?;
    state.messages -= 1;
    state.bytes -= message.body.weight();
    Some((message, state.wire))
}

fn is_compact(wire: Option<Capabilities>) -> bool {
    wire.is_some_and(|capabilities| capabilities.has(Capabilities::COMPACT))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::message::{Body, MAX_MESSAGE, Piece};
    use super::super::sealed::{Cipher, Keys};
    use super::super::stream::Decoder;
    use super::super::tests::lane::End;
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    struct NoDoor;

    impl Upcall for NoDoor {
        fn call(&self, _: &[u8]) -> io::Result<u32> {
            panic!("there is a lane")
        }
    }

    /// What comes out of a lane.
    struct Peer {
        end: End,
        decoder: Decoder,
    }

    impl Peer {
        /// The number of the next message.
        fn receive(&mut self) -> u64 {
            loop {
                if let Some(bytes) = self.decoder.next_message().unwrap() {
                    return Message::decode(bytes).unwrap().id;
                }
                assert!(self.end.receive(&mut self.decoder));
            }
        }

        fn nothing_comes(&self) -> bool {
            let mut stream = &self.end.stream;
            stream.set_nonblocking(true).unwrap();
            let received = stream.read(&mut [0]);
            stream.set_nonblocking(false).unwrap();
            received.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        }
    }

    fn with_a_lane(sealed: bool, body: impl FnOnce(&Sender, &mut Peer)) {
        let life = Life {
            seeds: Seeds { incarnation: 1, ids: 1 },
            config: Config::default(),
            counters: LiveCounters::default(),
            limiter: Limiter::default(),
            seq: AtomicU64::new(0),
        };
        let sender = Sender::start(Arc::new(life), 1, Arc::new(NoDoor), Arc::default()).unwrap();
        sender.set_wire(Some(Capabilities::ALL));
        let [keys, of_end] = Keys::made_up(1).map(|keys| sealed.then_some(keys));
        let (socket, other) = UnixStream::pair().unwrap();
        let lane = Arc::new(Lane::new(socket.into(), keys).unwrap());
        assert!(sender.attach(&lane));
        other.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut peer = Peer {
            end: End {
                stream: other,
                cipher: of_end.map(|keys| Cipher::new(keys).unwrap()),
            },
            decoder: Decoder::new(MAX_MESSAGE),
        };
        body(&sender, &mut peer);
        sender.close();
    }

    fn message(id: u64, length: usize) -> Message {
        let piece = Piece {
            request: id,
            total: length as u32,
            offset: 0,
            data: vec![7; length],
        };
        Message::new(id, Body::NodeRequest(piece))
    }

    #[test]
    fn what_is_not_worth_a_system_call_goes_with_the_flush() {
        for sealed in [false, true] {
            with_a_lane(sealed, |sender, peer| {
                let mut next = 1;
                // Some bytes, and much that is put into the lane but is not yet enough.
                for lengths in [&[10][..], &[CACHED], &[10, CACHED, 10], &[CACHED, CACHED]] {
                    for (id, length) in (next..).zip(lengths) {
                        sender.enqueue(Class::Bulk, message(id, *length));
                        sender.flush_if_much();
                    }
                    assert!(peer.nothing_comes(), "sealed {sealed}, {lengths:?}");
                    sender.flush();
                    for _ in lengths {
                        assert_eq!(peer.receive(), next);
                        next += 1;
                    }
                }
            });
        }
    }

    #[test]
    fn more_than_there_is_room_for_arrives_in_order() {
        for sealed in [false, true] {
            with_a_lane(sealed, |sender, peer| {
                for id in 1..=40 {
                    sender.enqueue(Class::Bulk, message(id, [100, CACHED, 9000][id as usize % 3]));
                    sender.flush_if_much();
                }
                // Enough for a system call was sent without a flush.
                assert_eq!(peer.receive(), 1);
                sender.flush();
                assert!((2..=40).all(|id| peer.receive() == id), "sealed {sealed}");
                assert!(peer.nothing_comes());
            });
        }
    }

    #[test]
    fn a_flush_while_another_thread_sends_is_not_lost() {
        for sealed in [false, true] {
            with_a_lane(sealed, |sender, peer| {
                for round in 0..300 {
                    let (first, second) = (2 * round + 1, 2 * round + 2);
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            sender.enqueue(Class::Bulk, message(first, CACHED));
                            sender.flush_if_much();
                        });
                        scope.spawn(|| {
                            sender.enqueue(Class::Bulk, message(second, 10));
                            sender.flush();
                        });
                    });
                    // The first one may still wait for the flush that its thread owes.
                    let mut ids = vec![peer.receive()];
                    while !ids.contains(&second) {
                        ids.push(peer.receive());
                    }
                    sender.flush();
                    if ids.len() == 1 {
                        ids.push(peer.receive());
                    }
                    ids.sort();
                    assert_eq!(ids, [first, second], "sealed {sealed}");
                }
            });
        }
    }
}
