//! The one thread that makes calls on a door, and the queue in front of it (`alua-proxy.md` 2.2, 8.3).

use super::counters::{LiveCounters, count};
use super::engine::{Class, Fate, Seeds};
use super::limiter::Limiter;
use super::message::{Capabilities, Message};
use super::queue::{Event, Queue};
use super::thread::spawn;
use super::{Config, Upcall};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Attempts while the server has no free thread.
const ATTEMPTS: usize = 3;

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
    /// A call is under way since then.
    calling: Option<Instant>,
    /// `None`: an original peer.
    wire: Option<Capabilities>,
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
                calling: None,
                wire: Some(Capabilities::default()),
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
        drop(state);
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
        drop(state);
        self.wake.notify_one();
    }

    fn run(&self) {
        while let Some((message, wire)) = self.next() {
            let (bytes, message) = self.stamp(message, wire);
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
    }

    fn next(&self) -> Option<(Message, Option<Capabilities>)> {
        let mut state = self.state.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(message) = state.queues.iter_mut().find_map(VecDeque::pop_front) {
                state.messages -= 1;
                state.bytes -= message.body.weight();
                return Some((message, state.wire));
            }
            self.wake.wait(&mut state);
        }
    }

    /// Sequence numbers are given here: in the order of the door calls.
    fn stamp(&self, mut message: Message, wire: Option<Capabilities>) -> (Vec<u8>, Message) {
        let Some(capabilities) = wire else {
            message.strip_extensions();
            return (message.encode(), message);
        };
        message.extensions.incarnation = Some(self.life.seeds.incarnation);
        message.extensions.seq = Some(self.life.seq.fetch_add(1, Ordering::Relaxed) + 1);
        let bytes = match capabilities.has(Capabilities::COMPACT) {
            true => message.encode_compact(),
            false => message.encode(),
        };
        (bytes, message)
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
