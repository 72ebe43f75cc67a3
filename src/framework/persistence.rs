//! Whether a call writes the store (`libstmf-api.md` 1.8): the caller's method, else the service's.

use super::Framework;
use super::effects::rehearsing;
use super::state::{PERSIST_METHOD, store_status};
use crate::store::Change;
use crate::types::{PersistMethod, Status};
use std::cell::Cell;
use std::sync::atomic::Ordering;

thread_local! {
    /// The caller's method while a call of its runs on this thread.
    static OF_CALL: Cell<Option<PersistMethod>> = const { Cell::new(None) };
}

/// Runs a call with the caller's own method; `None`: it follows the service's.
pub fn with_persist_method<T>(method: Option<PersistMethod>, call: impl FnOnce() -> T) -> T {
    struct Restore(Option<PersistMethod>);
    impl Drop for Restore {
        fn drop(&mut self) {
            OF_CALL.set(self.0);
        }
    }
    let _restore = Restore(OF_CALL.replace(method));
    call()
}

/// The method of the call that runs on this thread, for threads that work for it.
pub fn method_of_call() -> Option<PersistMethod> {
    OF_CALL.get()
}

impl Framework {
    /// The call that runs on this thread writes the configuration.
    pub(super) fn persists(&self) -> bool {
        match OF_CALL.get() {
            Some(method) => method == PersistMethod::Store,
            None => !self.live_only.load(Ordering::Acquire),
        }
    }

    /// One transaction. Objects of the configuration are left out with method NONE; settings and ports never are. What the
    /// store says is for the log; the caller gets the status of `libstmf-api.md` 1.1.
    pub(super) fn commit(&self, changes: &[Change]) -> Result<(), Status> {
        let persists = self.persists();
        let stored: Vec<Change>;
        let changes = if persists {
            changes
        } else {
            stored = changes.iter().filter_map(always_stored).collect();
            &stored
        };
        if changes.is_empty() {
            return Ok(());
        }
        if rehearsing() {
            log::error!("a change that was only to be rehearsed is not stored");
            return Err(Status::Error);
        }
        self.store.commit(changes).map_err(|error| {
            log::error!("configuration store: {error}");
            store_status(&error)
        })
    }

    /// The service's method; a volatile store has no other than NONE (ruling 12).
    pub fn persist_method(&self) -> PersistMethod {
        match self.live_only.load(Ordering::Acquire) || !self.store.persistent() {
            true => PersistMethod::None,
            false => PersistMethod::Store,
        }
    }

    /// `stmfSetPersistMethod(…, B_TRUE)`: `PersistType` when it cannot be stored.
    pub fn set_persist_method(&self, method: PersistMethod) -> Result<(), Status> {
        let live_only = method == PersistMethod::None;
        if !live_only && !self.store.persistent() {
            return Err(Status::PersistType);
        }
        let value = if live_only { "none" } else { "smf" };
        let change = Change::PutSetting {
            key: PERSIST_METHOD.to_owned(),
            value: value.to_owned(),
        };
        // The lock orders this with other changes.
        let _state = self.state.lock();
        self.commit(&[change]).map_err(|_| Status::PersistType)?;
        self.live_only.store(live_only, Ordering::Release);
        Ok(())
    }
}

/// What of a change is stored with any method.
fn always_stored(change: &Change) -> Option<Change> {
    match change {
        Change::PutSetting { .. }
        | Change::RemoveSetting { .. }
        | Change::PutPort { .. }
        | Change::RemovePort { .. } => Some(change.clone()),
        Change::PutProvider(row) => Some(Change::UseToken(row.token)),
        _ => None,
    }
}
