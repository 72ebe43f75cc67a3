//! Many LUs in one request (`stmfxImportLus`, `stmfxStandbyLus`): side by side, each with an answer of its own.

use super::Service;
use crate::framework::{method_of_call, with_persist_method};
use crate::types::{Guid, LuProperties, Status};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// LUs that one request may name. The library cuts longer lists.
pub const BATCH_MAX: usize = 512;
/// LUs that are worked on at the same time: each waits for its own store.
const WORKERS: usize = 8;

/// Answer for one LU: the status of a failure, and the GUID where it is known.
pub type LuOutcome = (Option<Status>, Option<Guid>);

impl Service {
    /// `stmfImportLu` for each file.
    pub(super) fn import_many(&self, files: &[String]) -> Result<Vec<LuOutcome>, Status> {
        side_by_side(files, |file| {
            if file.len() > LuProperties::MAX_PATH || file.contains('\0') {
                return (Some(Status::MetaFileName), None);
            }
            match self.framework.lu_import(file) {
                Ok(guid) => (None, Some(guid)),
                Err((status, guid)) => (Some(status), guid),
            }
        })
    }

    /// `stmfLuStandby` for each LU.
    pub(super) fn standby_many(&self, lus: &[Guid]) -> Result<Vec<LuOutcome>, Status> {
        side_by_side(lus, |guid| (self.framework.lu_standby(guid).err(), Some(*guid)))
    }
}

/// Answers in the order of the items.
fn side_by_side<T: Sync>(items: &[T], one: impl Fn(&T) -> LuOutcome + Sync) -> Result<Vec<LuOutcome>, Status> {
    if items.len() > BATCH_MAX {
        return Err(Status::InvalidArg);
    }
    let outcomes: Vec<OnceLock<LuOutcome>> = items.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let persist = method_of_call();
    let work = || {
        with_persist_method(persist, || {
            while let Some((item, outcome)) =
                Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((items.get(at)?, outcomes.get(at)?)))
            {
                outcome.get_or_init(|| one(item));
            }
        });
    };
    std::thread::scope(|scope| {
        for _ in 1..WORKERS.min(items.len()) {
            // Without another thread, this one does it all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    Ok(outcomes
        .into_iter()
        .map(|outcome| outcome.into_inner().unwrap_or((Some(Status::Error), None)))
        .collect())
}
