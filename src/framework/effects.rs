//! What a change does, told right before it is done (`cli.md` 10.1, 10.6).
//!
//! Every change of the configuration calls [`about_to`] when all its checks are done, under its locks and before its first
//! trace. For a caller who wants to be told that records the effects; in a rehearsal the change ends there.

use super::{GroupKind, ViewEntry};
use crate::types::{DevId, GroupName, Guid, LuChange, NodeId, Status};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;

/// Something that a change does. Counts of sessions are those of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// A group comes into being.
    GroupCreated(GroupKind, GroupName),
    /// A group goes, with its members.
    GroupDeleted(GroupKind, GroupName),
    /// A member joins a group.
    MemberAdded(GroupKind, GroupName, DevId),
    /// A member leaves a group.
    MemberRemoved(GroupKind, GroupName, DevId),
    /// Sessions whose initiator may see other LUs from then on.
    SessionsRemapped(u32),
    /// An LU gets a view entry.
    ViewAdded(Guid, ViewEntry),
    /// An LU loses a view entry.
    ViewRemoved(Guid, ViewEntry),
    /// Initiators, and their sessions, that see an LU from then on.
    Shown(u32, u32),
    /// Initiators, and their sessions, that do not see an LU any more.
    Hidden(u32, u32),
    /// An LU comes into being.
    LuCreated {
        /// Its name; a generated one is another one each time.
        guid: Guid,
        /// Data file.
        file: String,
        /// Bytes.
        size: u64,
    },
    /// An LU is loaded from the metadata in a file.
    LuImported(Guid, String),
    /// An LU is unloaded; its file, and the sessions that see it.
    LuUnloaded(Guid, String, u32),
    /// A property of an LU gets a value.
    LuModified(Guid, LuChange),
    /// An LU serves its hosts.
    LuOnline(Guid),
    /// An LU does not serve any more; sessions that see it.
    LuOffline(Guid, u32),
    /// An LU is given up to the peer; its file, and the sessions that see it.
    LuStandby(Guid, String, u32),
    /// A target takes sessions.
    TargetOnline(DevId),
    /// A target ends its sessions.
    TargetOffline(DevId, u32),
    /// ALUA mode begins, as this node.
    AluaEnabled(NodeId),
    /// ALUA mode ends; this many Standby LUs go with it.
    AluaDisabled(u32),
    /// The peer counts as gone.
    PeerFenced,
    /// Access policy of an LU: true for `non-optimized`.
    LuPolicy(Guid, bool),
    /// READ on Standby LUs of this node is forwarded.
    StandbyReads(bool),
    /// An object of the iSCSI configuration comes into being.
    IscsiCreated(IscsiObject, String),
    /// It gets other properties.
    IscsiModified(IscsiObject, String),
    /// It goes; sessions that end.
    IscsiDeleted(IscsiObject, String, u32),
    /// Groups and view entries are mirrored from then on, or not.
    Mirror(bool),
    /// An LU is moved to the peer; its file, and the sessions that see it.
    LuMoved(Guid, String, u32),
}

/// A kind of objects of the iSCSI configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum IscsiObject {
    Target,
    PortalGroup,
    Initiator,
    /// There is one; it has no name.
    Defaults,
}

/// What was told of one call.
#[derive(Default)]
struct Record {
    rehearsal: bool,
    effects: Vec<Effect>,
    /// A rehearsed change passed its checks.
    ended: bool,
}

thread_local! {
    /// While a call that is to tell runs on this thread.
    static RECORD: RefCell<Option<Record>> = const { RefCell::new(None) };
}

/// Runs a call that is to tell what it does; in a rehearsal it does nothing. The effects of a rehearsed change that passed
/// its checks come with `None`, else the result of the call comes, with the effects of what it did.
pub fn telling<T, E>(rehearsal: bool, call: impl FnOnce() -> Result<T, E>) -> (Vec<Effect>, Option<Result<T, E>>) {
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            RECORD.set(None);
        }
    }
    RECORD.set(Some(Record {
        rehearsal,
        ..Record::default()
    }));
    let _forget = Forget;
    let result = call();
    let record = RECORD.take().unwrap_or_default();
    match (record.ended, result) {
        (true, _) => (record.effects, None),
        (false, Ok(done)) => (record.effects, Some(Ok(done))),
        (false, Err(error)) => (Vec::new(), Some(Err(error))),
    }
}

/// All checks of a change are done, and nothing has changed yet. `effects` is asked only by those who are told; it may find
/// a reason that only a rehearsal has to look for. In a rehearsal the change ends here: what is returned is an error that
/// nobody sees.
pub fn about_to(effects: impl FnOnce() -> Result<Vec<Effect>, Status>) -> Result<(), Status> {
    let Some(rehearsal) = RECORD.with_borrow(|record| record.as_ref().map(|record| record.rehearsal)) else {
        return Ok(());
    };
    // Without the record borrowed: it is code of others.
    let effects = effects()?;
    RECORD.with_borrow_mut(|record| {
        if let Some(record) = record {
            record.effects.extend(effects);
            record.ended |= rehearsal;
        }
    });
    match rehearsal {
        true => Err(Status::Error),
        false => Ok(()),
    }
}

/// As effects count.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Nothing that happens on this thread may change anything.
pub fn rehearsing() -> bool {
    RECORD.with_borrow(|record| record.as_ref().is_some_and(|record| record.rehearsal))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(done: &std::cell::Cell<bool>) -> Result<u8, Status> {
        about_to(|| Ok(vec![Effect::PeerFenced]))?;
        done.set(true);
        Ok(7)
    }

    #[test]
    fn a_rehearsal_ends_before_the_change() {
        let done = std::cell::Cell::new(false);
        assert_eq!(telling(true, || change(&done)), (vec![Effect::PeerFenced], None));
        assert!(!done.get() && !rehearsing());
        assert_eq!(
            telling(false, || change(&done)),
            (vec![Effect::PeerFenced], Some(Ok(7)))
        );
        assert!(done.take());
        assert_eq!(change(&done), Ok(7), "nobody is told");
    }

    #[test]
    fn a_check_that_fails_is_the_answer() {
        let refused = || about_to(|| Err(Status::Busy));
        assert_eq!(telling(true, refused), (Vec::new(), Some(Err(Status::Busy))));
        let nothing_to_do = || Ok::<_, Status>(1);
        assert_eq!(telling(true, nothing_to_do), (Vec::new(), Some(Ok(1))));
    }
}
