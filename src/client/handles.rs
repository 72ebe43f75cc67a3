//! The proxy door handles of this process (`stmfInitProxyDoor`).
#![forbid(unsafe_code)]

use crate::door::fork::Private;
use crate::service::ProxyHandle;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Handle numbers to doors. Numbers count up and are not used again, so a stale one never names a later door.
#[derive(Default)]
pub(super) struct Handles {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last: i32,
    doors: HashMap<i32, Door>,
}

/// A door installed by this process. Dropping it hangs up the life line, and the service destroys the door.
pub(super) struct Door {
    pub(super) handle: ProxyHandle,
    /// Private: a child of this process would otherwise keep the door up after this process ends.
    pub(super) life_line: Private,
}

impl Handles {
    pub(super) fn insert(&self, door: Door) -> i32 {
        let mut table = self.lock();
        // After 2^31 doors the count begins again, past those that are still there.
        let mut free = (table.last..i32::MAX).map(|n| n + 1).chain(1..=i32::MAX);
        let number = free
            .find(|number| !table.doors.contains_key(number))
            .expect("fewer doors than numbers");
        table.last = number;
        table.doors.insert(number, door);
        number
    }

    pub(super) fn get(&self, number: i32) -> Option<ProxyHandle> {
        self.lock().doors.get(&number).map(|door| door.handle)
    }

    /// Another descriptor of the life line of a door.
    pub(super) fn life_line(&self, number: i32) -> Option<io::Result<OwnedFd>> {
        self.lock()
            .doors
            .get(&number)
            .map(|door| door.life_line.as_fd().try_clone_to_owned())
    }

    pub(super) fn remove(&self, number: i32) -> Option<Door> {
        self.lock().doors.remove(&number)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door() -> Door {
        let (life_line, _) = crate::door::fork::private_pair().unwrap();
        Door {
            handle: ProxyHandle(7),
            life_line,
        }
    }

    #[test]
    fn numbers_are_positive_and_never_come_back() {
        let handles = Handles::default();
        let first = handles.insert(door());
        assert!(first > 0);
        assert_eq!(handles.get(first), Some(ProxyHandle(7)));
        assert!(handles.remove(first).is_some());
        assert!(handles.remove(first).is_none());
        let second = handles.insert(door());
        assert_ne!(first, second);
        assert_eq!(handles.get(first), None);
        assert_eq!(handles.get(-1), None);
    }
}
