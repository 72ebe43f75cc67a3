use super::engine::{Command, Fate, ManagementRequest, Origin};
use super::message::Message;
use crate::framework::{Announcement, Answered, Done, Outcome, TmDone, TmResponse};
use crate::scsi::Sense;
use crate::types::{DevId, NodeId, Status};
use nix::time::ClockId;
use parking_lot::{Condvar, Mutex, MutexGuard};
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
    /// A lane of this door has ended; nothing more comes out of it.
    LaneEnded(u32),
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

/// The one queue in front of the dispatcher (8.3), and whose turn it is to handle what is in it. One thread at a time has
/// the turn; whoever finds it taken leaves his event to that one, and the dispatcher's own thread takes it when nobody else
/// does.
#[derive(Default)]
pub(super) struct Queue {
    inner: Mutex<Inner>,
    /// For the dispatcher's own thread.
    wanted: Condvar,
    drained: Condvar,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Event>,
    /// Somebody has the turn.
    taken: bool,
    /// Something is to be done then although nothing has happened.
    due: Option<Instant>,
    /// The dispatcher's own thread waits until then at most.
    sleeps_until: Option<Instant>,
    closed: bool,
}

impl Queue {
    pub fn push(&self, event: Event) {
        if let Some(inner) = self.append(event, usize::MAX) {
            self.tell(&inner);
        }
    }

    /// For who will ask for the turn next: nobody is told of the event. Waits while more than `limit` events are queued:
    /// back-pressure on the peer (8.5).
    pub fn leave(&self, event: Event, limit: usize) {
        drop(self.append(event, limit));
    }

    fn append(&self, event: Event, limit: usize) -> Option<MutexGuard<'_, Inner>> {
        let mut inner = self.inner.lock();
        while inner.events.len() > limit && !inner.closed {
            self.drained.wait(&mut inner);
        }
        if inner.closed {
            drop(inner);
            refuse(event);
            return None;
        }
        inner.events.push_back(event);
        Some(inner)
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.inner.lock().events.len()
    }

    /// Forgets the event while more than `limit` are queued. Otherwise as [`Queue::leave`].
    pub fn leave_if_room(&self, event: Event, limit: usize) {
        let mut inner = self.inner.lock();
        if !inner.closed && inner.events.len() <= limit {
            inner.events.push_back(event);
        }
    }

    /// Takes the turn. False: another thread has it, and will handle whatever was queued before this call.
    pub fn take_turn(&self) -> bool {
        let mut inner = self.inner.lock();
        !inner.closed && !std::mem::replace(&mut inner.taken, true)
    }

    /// Takes the turn for this one event, if nothing is to be handled before it; else queues the event, and `None`.
    pub fn take_turn_for(&self, event: Event) -> Option<Event> {
        let mut inner = self.inner.lock();
        if inner.closed {
            drop(inner);
            refuse(event);
            return None;
        }
        if inner.taken || !inner.events.is_empty() {
            inner.events.push_back(event);
            self.tell(&inner);
            return None;
        }
        inner.taken = true;
        Some(event)
    }

    /// For who has the turn: the next event.
    pub fn next(&self) -> Option<Event> {
        let mut inner = self.inner.lock();
        let event = inner.events.pop_front();
        drop(inner);
        self.drained.notify_one();
        event
    }

    /// Gives the turn back: the dispatcher is to look at the time at `due` the latest. What is queued is left to its own
    /// thread.
    pub fn end_turn(&self, due: Option<Instant>) {
        let mut inner = self.inner.lock();
        inner.taken = false;
        inner.due = due;
        self.tell(&inner);
    }

    /// As [`Queue::end_turn`], unless there are events to handle before: false.
    pub fn end_idle_turn(&self, due: Option<Instant>) -> bool {
        let mut inner = self.inner.lock();
        if !inner.events.is_empty() {
            return false;
        }
        inner.taken = false;
        inner.due = due;
        self.tell(&inner);
        true
    }

    /// For the dispatcher's own thread: takes the turn when something is to be done that nobody else does. False: closed.
    pub fn await_turn(&self) -> bool {
        let mut inner = self.inner.lock();
        loop {
            if inner.closed {
                return false;
            }
            // Who has the turn sees to everything.
            if !inner.taken {
                let due = inner.due.is_some_and(|due| due <= Instant::now());
                if due || !inner.events.is_empty() {
                    inner.taken = true;
                    return true;
                }
            }
            inner.sleeps_until = inner.due.filter(|_| !inner.taken);
            match inner.sleeps_until {
                Some(until) => drop(self.wanted.wait_until(&mut inner, until)),
                None => self.wanted.wait(&mut inner),
            }
        }
    }

    /// Wakes the dispatcher's own thread if there is something to do that would wait too long.
    fn tell(&self, inner: &Inner) {
        let late = || match (inner.due, inner.sleeps_until) {
            (Some(due), Some(until)) => due < until,
            (due, None) => due.is_some(),
            (None, Some(_)) => false,
        };
        if !inner.taken && (!inner.events.is_empty() || late()) {
            self.wanted.notify_one();
        }
    }

    /// The dispatcher ends: whoever waits for something hears of it.
    pub fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        let rest = std::mem::take(&mut inner.events);
        drop(inner);
        self.wanted.notify_all();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(queue: &Queue) -> Vec<u64> {
        let session = |event| match event {
            Event::NexusClosed(session) => session,
            _ => panic!("another event"),
        };
        std::iter::from_fn(|| queue.next()).map(session).collect()
    }

    #[test]
    fn one_has_the_turn_and_handles_what_the_others_bring() {
        let queue = Queue::default();
        let event = queue.take_turn_for(Event::NexusClosed(1));
        assert!(matches!(event, Some(Event::NexusClosed(1))), "nothing before it");
        assert!(!queue.take_turn());
        assert!(queue.take_turn_for(Event::NexusClosed(2)).is_none());
        queue.leave(Event::NexusClosed(3), 10);
        queue.push(Event::NexusClosed(4));
        assert!(!queue.end_idle_turn(None), "there is something left");
        assert_eq!(sessions(&queue), [2, 3, 4]);
        assert!(queue.end_idle_turn(None));

        queue.leave(Event::NexusClosed(5), 10);
        assert!(
            queue.take_turn_for(Event::NexusClosed(6)).is_none(),
            "behind the others"
        );
        assert!(queue.await_turn(), "and the dispatcher sees to it");
        assert_eq!(sessions(&queue), [5, 6]);
        queue.end_turn(None);
    }

    #[test]
    fn the_dispatcher_is_woken_for_what_is_left_and_for_an_earlier_time() {
        let queue = Queue::default();
        std::thread::scope(|scope| {
            let turns = scope.spawn(|| {
                let mut handled = Vec::new();
                while queue.await_turn() {
                    handled.extend(sessions(&queue));
                    let due = (handled.len() == 1).then(Instant::now);
                    queue.end_turn(due);
                    // The time has come: one more turn without an event.
                    if due.is_some() {
                        assert!(queue.await_turn());
                        queue.end_turn(Some(Instant::now() + Duration::from_secs(3600)));
                    }
                }
                handled
            });
            queue.push(Event::NexusClosed(1));
            while queue.len() > 0 {
                std::thread::yield_now();
            }
            while !queue.take_turn() {
                std::thread::yield_now();
            }
            queue.push(Event::NexusClosed(2));
            queue.end_turn(None);
            while queue.len() > 0 {
                std::thread::yield_now();
            }
            queue.close();
            assert_eq!(turns.join().unwrap(), [1, 2]);
        });
    }

    #[test]
    fn a_closed_queue_refuses() {
        let queue = Queue::default();
        queue.close();
        assert!(!queue.take_turn() && !queue.await_turn());
        let (tell, told) = mpsc::channel();
        queue.push(Event::Manage(
            ManagementRequest {
                lu: crate::types::Guid([0; 16]),
                origin: Origin {
                    session: 1,
                    initiator: DevId::new(b"iqn.x").unwrap(),
                    target: DevId::new(b"iqn.y").unwrap(),
                    protocol: 5,
                    transport_id: crate::types::TransportId::iscsi(&DevId::new(b"iqn.x").unwrap(), [0; 6]),
                    lun: [0; 8],
                },
                function: crate::framework::TmFunction::LunReset,
                referenced_tag: 0,
            },
            Box::new(move |response| tell.send(response).unwrap()),
        ));
        assert_eq!(told.recv().unwrap(), TmResponse::Rejected);
    }
}
