//! Who may talk to the service (`libstmf-api.md` 1.6): uid 0, the service's own user, members of the group that owns the
//! control door. Calls that change nothing can be opened to all ([`super::Options::read_by_all`]).

use crate::door::Credentials;
use nix::unistd::{Gid, Uid, User, getgrouplist};
use std::ffi::CString;

/// True for the super-user and the service's own user, who can read the store anyway.
pub(super) fn owner(caller: Credentials) -> bool {
    caller.uid == 0 || caller.uid == Uid::effective().as_raw()
}

/// True when the caller may use the service; `group` owns the control door.
pub(super) fn allowed(caller: Credentials, group: Option<u32>) -> bool {
    owner(caller) || group.is_some_and(|group| caller.gid == group || is_member(caller, group))
}

/// Membership comes from the user database, not from the process: its own supplementary groups could only be read by pid,
/// and a pid can be reused between the call and the look-up.
fn is_member(caller: Credentials, group: u32) -> bool {
    let user = match User::from_uid(Uid::from_raw(caller.uid)) {
        Ok(Some(user)) => user,
        Ok(None) => return false,
        Err(error) => {
            log::warn!("cannot look up user {}: {error}", caller.uid);
            return false;
        }
    };
    let Ok(name) = CString::new(user.name) else {
        return false;
    };
    match getgrouplist(&name, Gid::from_raw(caller.gid)) {
        Ok(groups) => groups.contains(&Gid::from_raw(group)),
        Err(error) => {
            log::warn!("cannot look up the groups of user {}: {error}", caller.uid);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(uid: u32, gid: u32) -> Credentials {
        Credentials { pid: 1, uid, gid }
    }

    #[test]
    fn root_the_own_user_and_the_group_are_allowed() {
        let stranger = Uid::effective().as_raw().wrapping_add(4242);
        assert!(allowed(caller(0, 0), None));
        assert!(allowed(caller(Uid::effective().as_raw(), 12345), None));
        assert!(!allowed(caller(stranger, 777), None));
        assert!(!allowed(caller(stranger, 777), Some(778)));
        assert!(allowed(caller(stranger, 777), Some(777)));
    }
}
