//! Waiting for a state (`stmfxWait…`) without looking again and again: who waits is woken by every change of state in this
//! process, and looks then.

use super::{Framework, ObjectState};
use crate::types::{AccessState, DevId, Guid, Status};
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

/// A look without having been woken: bounds what a change that tells nobody can cost.
const LOOK: Duration = Duration::from_millis(250);

/// Counts the changes. One for all frameworks of the process: a change wakes, the waiter finds out whether it was his.
struct Changes {
    count: Mutex<u64>,
    more: Condvar,
}

static CHANGES: Changes = Changes {
    count: Mutex::new(0),
    more: Condvar::new(),
};

/// Some state has changed; it is visible already. Takes a lock that nobody holds while taking another.
pub(super) fn note() {
    *CHANGES.count.lock() += 1;
    CHANGES.more.notify_all();
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// State of an LU; `None`: not registered.
    Lu(Guid, Option<ObjectState>),
    /// Access state of a registered LU.
    Access(Guid, AccessState),
    /// State of a target port.
    Target(DevId, ObjectState),
    /// State of the service.
    Service(ObjectState),
}

impl Framework {
    /// Waits until it is so: `Busy` when patience ends first, `NotFound` when there is no such object then.
    pub fn wait_for(&self, wanted: &Wanted, patience: Duration) -> Result<(), Status> {
        let deadline = Instant::now() + patience;
        loop {
            let seen = *CHANGES.count.lock();
            let refusal = match self.is_so(wanted) {
                Ok(true) => return Ok(()),
                Ok(false) => Status::Busy,
                Err(status) => status,
            };
            let now = Instant::now();
            if now >= deadline {
                return Err(refusal);
            }
            let mut count = CHANGES.count.lock();
            if *count == seen {
                CHANGES.more.wait_until(&mut count, deadline.min(now + LOOK));
            }
        }
    }

    fn is_so(&self, wanted: &Wanted) -> Result<bool, Status> {
        let state = self.state.lock();
        Ok(match wanted {
            Wanted::Lu(guid, None) => !state.lus.contains_key(guid),
            Wanted::Lu(guid, Some(wanted)) => state.lu(guid)?.state() == *wanted,
            Wanted::Access(guid, wanted) => state.lu(guid)?.access() == *wanted,
            Wanted::Target(devid, wanted) => state.port(devid)?.state() == *wanted,
            Wanted::Service(wanted) => state.operational() == *wanted,
        })
    }
}
