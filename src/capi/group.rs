//! Host groups and target groups (`libstmf-api.md` 3.4).

use super::convert::{devid, group_name, output, to_devid, to_field};
use super::memory::give;
use super::types::*;
use crate::client;
use crate::framework::GroupKind;
use crate::types::Status;
use std::ffi::c_int;

version!(
    "SUNW_1.1",
    stmfCreateHostGroup,
    stmfCreateTargetGroup,
    stmfDeleteHostGroup,
    stmfDeleteTargetGroup,
    stmfGetHostGroupList,
    stmfGetTargetGroupList,
    stmfGetHostGroupMembers,
    stmfGetTargetGroupMembers,
    stmfAddToHostGroup,
    stmfAddToTargetGroup,
    stmfRemoveFromHostGroup,
    stmfRemoveFromTargetGroup,
);

/// Creates an empty host group.
///
/// # Safety
/// `hostGroupName` is NULL or points to a name that ends with NUL or has 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfCreateHostGroup(hostGroupName: *mut stmfGroupName) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::group_create(GroupKind::Host, unsafe {
        group_name(hostGroupName)
    }?))
}

/// Creates an empty target group.
///
/// # Safety
/// `targetGroupName` is NULL or points to a name that ends with NUL or has 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfCreateTargetGroup(targetGroupName: *mut stmfGroupName) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::group_create(GroupKind::Target, unsafe {
        group_name(targetGroupName)
    }?))
}

/// Deletes a host group with its members, unless a view entry uses it.
///
/// # Safety
/// `hostGroupName` is NULL or points to a name that ends with NUL or has 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfDeleteHostGroup(hostGroupName: *mut stmfGroupName) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::group_delete(GroupKind::Host, unsafe {
        group_name(hostGroupName)
    }?))
}

/// Deletes a target group with its members, unless a view entry uses it.
///
/// # Safety
/// `targetGroupName` is NULL or points to a name that ends with NUL or has 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfDeleteTargetGroup(targetGroupName: *mut stmfGroupName) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::group_delete(GroupKind::Target, unsafe {
        group_name(targetGroupName)
    }?))
}

/// Lists the host groups in the order of their creation. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `groupList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetHostGroupList(groupList: *mut *mut stmfGroupList) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { give_groups(GroupKind::Host, groupList) })
}

/// Lists the target groups in the order of their creation. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `groupList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetTargetGroupList(groupList: *mut *mut stmfGroupList) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { give_groups(GroupKind::Target, groupList) })
}

/// # Safety
/// `out` is NULL or valid for writing.
unsafe fn give_groups(kind: GroupKind, out: *mut *mut stmfGroupList) -> Result<(), Status> {
    let out = output(out)?;
    let groups = client::group_list(kind)?;
    // SAFETY: not NULL, and the caller's promise.
    unsafe { give(out, &groups, |name| to_field(name.as_str())) }
}

/// Lists the members of a host group in the order of adding. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `groupName` is NULL or points to a name that ends with NUL or has 256 bytes; `groupProps` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetHostGroupMembers(
    groupName: *mut stmfGroupName,
    groupProps: *mut *mut stmfGroupProperties,
) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { give_members(GroupKind::Host, groupName, groupProps) })
}

/// Lists the members of a target group in the order of adding. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `groupName` is NULL or points to a name that ends with NUL or has 256 bytes; `groupProps` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetTargetGroupMembers(
    groupName: *mut stmfGroupName,
    groupProps: *mut *mut stmfGroupProperties,
) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { give_members(GroupKind::Target, groupName, groupProps) })
}

/// # Safety
/// As the exported functions ask.
unsafe fn give_members(
    kind: GroupKind,
    name: *const stmfGroupName,
    out: *mut *mut stmfGroupProperties,
) -> Result<(), Status> {
    let out = output(out)?;
    // SAFETY: the caller's promise.
    let members = client::group_members(kind, unsafe { group_name(name) }?)?;
    // SAFETY: not NULL, and the caller's promise.
    unsafe { give(out, &members, to_devid) }
}

/// Adds a member to a host group.
///
/// # Safety
/// `hostGroupName` is NULL or points to a name that ends with NUL or has 256 bytes; `hostName` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfAddToHostGroup(hostGroupName: *mut stmfGroupName, hostName: *mut stmfDevid) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let (group, member) = unsafe { (group_name(hostGroupName)?, devid(hostName)?) };
        client::group_add(GroupKind::Host, group, member)
    })
}

/// Adds a member to a target group; the target must be offline.
///
/// # Safety
/// `targetGroupName` is NULL or points to a name that ends with NUL or has 256 bytes; `targetName` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfAddToTargetGroup(
    targetGroupName: *mut stmfGroupName,
    targetName: *mut stmfDevid,
) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let (group, member) = unsafe { (group_name(targetGroupName)?, devid(targetName)?) };
        client::group_add(GroupKind::Target, group, member)
    })
}

/// Removes a member from a host group.
///
/// # Safety
/// `hostGroupName` is NULL or points to a name that ends with NUL or has 256 bytes; `hostName` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfRemoveFromHostGroup(hostGroupName: *mut stmfGroupName, hostName: *mut stmfDevid) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let (group, member) = unsafe { (group_name(hostGroupName)?, devid(hostName)?) };
        client::group_remove(GroupKind::Host, group, member)
    })
}

/// Removes a member from a target group; the target must be offline.
///
/// # Safety
/// `targetGroupName` is NULL or points to a name that ends with NUL or has 256 bytes; `targetName` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfRemoveFromTargetGroup(
    targetGroupName: *mut stmfGroupName,
    targetName: *mut stmfDevid,
) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let (group, member) = unsafe { (group_name(targetGroupName)?, devid(targetName)?) };
        client::group_remove(GroupKind::Target, group, member)
    })
}
