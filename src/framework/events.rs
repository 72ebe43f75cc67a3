//! What has happened on this node, the newest few thousand (`stmfadm events`): logins, changes of states. For people; nothing
//! depends on it.

use super::{Framework, ObjectState};
use crate::types::{AccessState, DevId, Guid};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Events that are kept: with names of 223 bytes less than 3 MB.
const KEPT: usize = 4096;

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, one more for each, since the start of the service.
    pub number: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// What.
    pub what: Happening,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happening {
    /// A session of an initiator with a target begins.
    Login {
        /// Initiator port name.
        initiator: DevId,
        /// Target port name.
        target: DevId,
    },
    /// It has ended.
    Logout {
        /// Initiator port name.
        initiator: DevId,
        /// Target port name.
        target: DevId,
    },
    /// An LU is in this state.
    LuState(Guid, ObjectState),
    /// An LU is not loaded any more.
    LuUnloaded(Guid),
    /// An LU has this access state on this node. From Standby to Active, it was taken over.
    LuAccess(Guid, AccessState),
    /// A target port is in this state.
    TargetState(DevId, ObjectState),
    /// The service is in this state.
    ServiceState(ObjectState),
    /// The peer can be reached, or not any more.
    Peer(bool),
}

struct Log {
    events: Mutex<VecDeque<Event>>,
    more: Condvar,
}

/// One for all frameworks of the process, like the count of changes ([`super::changes`]).
static LOG: Log = Log {
    events: Mutex::new(VecDeque::new()),
    more: Condvar::new(),
};

/// Takes a lock that nobody holds while taking another.
pub fn happened(what: Happening) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut events = LOG.events.lock();
    let number = events.back().map_or(1, |last| last.number + 1);
    if events.len() == KEPT {
        events.pop_front();
    }
    events.push_back(Event {
        number,
        time: now.as_secs(),
        what,
    });
    drop(events);
    LOG.more.notify_all();
}

/// The events behind number `after`, the oldest first; waits so long for one. A number that is not reached yet is of an earlier
/// life of the service: then all.
fn since(after: u64, patience: Duration) -> Vec<Event> {
    let deadline = Instant::now() + patience;
    let mut events = LOG.events.lock();
    let last = events.back().map_or(0, |last| last.number);
    let after = if after > last { 0 } else { after };
    loop {
        let newer: Vec<Event> = events.iter().filter(|event| event.number > after).cloned().collect();
        if !newer.is_empty() || LOG.more.wait_until(&mut events, deadline).timed_out() {
            return newer;
        }
    }
}

impl Framework {
    /// What has happened behind event number `after` (0: all that is known), the oldest first. Waits so long for one.
    pub fn events(&self, after: u64, patience: Duration) -> Vec<Event> {
        since(after, patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_bounded_and_waited_for() {
        let guid = |number: u8| Guid([number; 16]);
        let mine = |events: &[Event]| -> Vec<u64> {
            let unloaded = events
                .iter()
                .filter(|event| matches!(event.what, Happening::LuUnloaded(Guid([0xee, ..]))));
            unloaded.map(|event| event.number).collect()
        };
        happened(Happening::LuUnloaded(guid(0xee)));
        let seen = since(0, Duration::ZERO);
        let first = *mine(&seen).last().unwrap();
        let waiter = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(60);
            loop {
                // Other tests of this process tell events too.
                let events = since(first, Duration::from_secs(60));
                if events
                    .iter()
                    .any(|event| event.what == Happening::LuUnloaded(Guid([0xee; 16])))
                {
                    return events;
                }
                assert!(Instant::now() < deadline);
            }
        });
        happened(Happening::LuUnloaded(guid(0xee)));
        let newer = waiter.join().unwrap();
        assert!(newer.iter().all(|event| event.number > first));
        assert!(newer.windows(2).all(|pair| pair[1].number == pair[0].number + 1));
        let all = since(u64::MAX, Duration::ZERO);
        assert!(all.len() >= 2, "a number of an earlier life");
        for _ in 0..KEPT {
            happened(Happening::Peer(true));
        }
        let all = since(0, Duration::ZERO);
        assert_eq!((all.len(), mine(&all).contains(&first)), (KEPT, false));
    }
}
