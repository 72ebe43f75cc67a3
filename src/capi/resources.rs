//! The live `luResource` handles of this process.
//!
//! A handle is a number that looks like a pointer, never an address: one that was freed or made up is told from a live one
//! without touching any memory, and numbers are not used again.

use super::types::luResource;
use crate::client::LuResource;
use crate::types::Status;
use std::collections::HashMap;
use std::ptr::without_provenance_mut;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
struct Live {
    last: usize,
    resources: HashMap<usize, Arc<Mutex<LuResource>>>,
}

static LIVE: LazyLock<Mutex<Live>> = LazyLock::new(Mutex::default);

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a handle.
pub(super) fn insert(resource: LuResource) -> luResource {
    let mut live = live();
    // Multiples of 16, as addresses are.
    live.last += 16;
    let number = live.last;
    live.resources.insert(number, Arc::new(Mutex::new(resource)));
    without_provenance_mut(number)
}

/// Frees a handle.
pub(super) fn remove(handle: luResource) -> Result<(), Status> {
    let removed = live().resources.remove(&handle.addr());
    removed.map(drop).ok_or(Status::InvalidArg)
}

/// Runs something on the resource of a handle.
pub(super) fn with<R>(handle: luResource, run: impl FnOnce(&mut LuResource) -> R) -> Result<R, Status> {
    let resource = live().resources.get(&handle.addr()).cloned();
    let resource = resource.ok_or(Status::InvalidArg)?;
    let mut resource = resource.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(run(&mut resource))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_and_invented_handles_are_refused() {
        let handle = insert(LuResource::default());
        assert!(!handle.is_null());
        assert!(with(handle, |_| ()).is_ok());
        assert_eq!(remove(handle), Ok(()));
        assert_eq!(remove(handle), Err(Status::InvalidArg));
        assert_ne!(insert(LuResource::default()), handle);
        for invented in [0, 1, 0xdead_beef, usize::MAX] {
            let invented = without_provenance_mut(invented);
            assert_eq!(with(invented, |_| ()), Err(Status::InvalidArg));
            assert_eq!(remove(invented), Err(Status::InvalidArg));
        }
    }
}
