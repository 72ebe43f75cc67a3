use super::engine::{Command, Fate, ManagementRequest, Origin};
use super::message::Message;
use crate::framework::{Announcement, Answered, Done, Outcome, TmDone, TmResponse};
use crate::scsi::Sense;
use crate::types::{DevId, NodeId, Status};
use nix::time::ClockId;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What the dispatcher hears.
pub(super) enum Event {
    Message(u32, Message),
    DoorInstalled(u32),
    /// `None`: the door's owner is gone, nobody waits.
    DoorRemoved(u32, Option<mpsc::Sender<()>>),
    SendFailed(Message, Fate),
    Enabled(NodeId),
    Disabled,
    PresumeGone,
    Announce(Announcement),
    Forward(Command, Done),
    Abort {
        session: u64,
        tag: u64,
    },
    Manage(ManagementRequest, TmDone),
    Ask(Vec<u8>, Answered),
    Served(u64, Vec<u8>),
    NexusEnded(Origin),
    ImageWanted {
        port: DevId,
        online: bool,
    },
    ImageRemoved(DevId, Result<(), Status>),
    NexusClosed(u64),
    Finished(u64, Outcome),
    Managed(u64, TmResponse),
    Stop,
}

/// The one queue in front of the dispatcher (8.3).
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    filled: Condvar,
    drained: Condvar,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Event>,
    closed: bool,
}

impl Queue {
    pub fn push(&self, event: Event) {
        self.push_patiently(event, usize::MAX);
    }

    /// Waits while more than `limit` events are queued: back-pressure on the peer (8.5).
    pub fn push_patiently(&self, event: Event, limit: usize) {
        let mut inner = self.inner.lock();
        while inner.events.len() > limit && !inner.closed {
            self.drained.wait(&mut inner);
        }
        if inner.closed {
            drop(inner);
            return refuse(event);
        }
        inner.events.push_back(event);
        drop(inner);
        self.filled.notify_one();
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.inner.lock().events.len()
    }

    /// Forgets the event while more than `limit` are queued.
    pub fn push_if_room(&self, event: Event, limit: usize) {
        let mut inner = self.inner.lock();
        if !inner.closed && inner.events.len() <= limit {
            inner.events.push_back(event);
            drop(inner);
            self.filled.notify_one();
        }
    }

    /// The next event, or `None` when `until` comes first.
    pub fn pop(&self, until: Option<Instant>) -> Option<Event> {
        let mut inner = self.inner.lock();
        while inner.events.is_empty() {
            match until {
                None => self.filled.wait(&mut inner),
                Some(until) => {
                    if self.filled.wait_until(&mut inner, until).timed_out() {
                        break;
                    }
                }
            }
        }
        let event = inner.events.pop_front();
        drop(inner);
        self.drained.notify_one();
        event
    }

    /// The dispatcher ends: whoever waits for something hears of it.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let rest = std::mem::take(&mut inner.events);
        drop(inner);
        self.drained.notify_all();
        rest.into_iter().for_each(refuse);
    }
}

fn refuse(event: Event) {
    match event {
        Event::Forward(_, done) => done(Outcome::check(Sense::ALUA_UNAVAILABLE)),
        Event::Manage(_, done) => done(TmResponse::Rejected),
        Event::Ask(_, done) => done(None),
        _ => {}
    }
}

/// Time since boot, the engine's clock. It runs while the machine is suspended: what a forwarded write proves must not
/// outlive that.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Clock;

impl Clock {
    pub fn now(&self) -> Duration {
        let time = nix::time::clock_gettime(ClockId::CLOCK_BOOTTIME);
        Duration::from(time.expect("CLOCK_BOOTTIME exists since Linux 2.6.39"))
    }

    pub fn instant(&self, at: Duration) -> Instant {
        Instant::now() + at.saturating_sub(self.now())
    }
}
