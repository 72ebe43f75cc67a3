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

/// Bytes worth a system call of their own.
const BATCH: usize = 256 << 10;
/// Messages sent at once.
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
        self.flush_from(1);
    }

    /// As [`Sender::flush`], if there is enough for a system call.
    pub fn flush_if_much(&self) {
        self.flush_from(BATCH);
    }

    fn flush_from(&self, bytes: usize) {
        let mut state = self.state.lock();
        // Who is sending, or waits for room, goes on with this.
        if state.sending || state.held || state.bytes < bytes {
            return;
        }
        match state.lane.clone() {
            None => drop(self.wake.notify_one()),
            Some(lane) => {
                state.sending = true;
                self.fill(state, &lane);
            }
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

    /// Sends through the lane until nothing is left or there is no room. To be called by who is sending.
    fn fill(&self, mut state: MutexGuard<'_, State>, lane: &Lane) {
        while state.goes_through(lane) {
            let (mut bytes, mut batch) = (0, Vec::new());
            while !state.held
                && bytes < BATCH
                && batch.len() < BATCH_MESSAGES
                && let Some((message, wire)) = take(&mut state)
            {
                bytes += message.body.weight();
                batch.push((message, wire));
            }
            if batch.is_empty() && !state.held {
                state.calling = None;
                state.sending = false;
                return;
            }
            let sent = MutexGuard::unlocked(&mut state, || {
                for (message, wire) in batch {
                    self.put(message, wire, lane)?;
                    lane.send_if_much()?;
                }
                lane.send()
            });
            match sent {
                Ok(Sent::All) => {
                    state.held = false;
                    state.calling = None;
                }
                Ok(part) if state.goes_through(lane) => {
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
