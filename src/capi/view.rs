//! View entries (`libstmf-api.md` 3.5, 3.6).

use super::convert::{guid, name, output, to_field};
use super::memory::{give, give_list};
use super::types::*;
use crate::client;
use crate::framework::{ViewEntry, ViewRequest};
use crate::types::{GroupName, Lun, Status};
use std::ffi::c_int;
use std::ptr::addr_of;

version!(
    "SUNW_1.1",
    stmfAddViewEntry,
    stmfRemoveViewEntry,
    stmfGetViewEntryList,
    stmfValidateView
);
version!("STMF_1.0", stmfGetViewEntryListNotFound);

/// Adds a view entry. Reads `allHosts`, `allTargets`, the group names that they make necessary, `luNbrValid` and two bytes
/// of `luNbr`; writes `veIndexValid`, `veIndex`, `luNbrValid` and `luNbr`.
///
/// # Safety
/// `lu` is NULL or points to a GUID; `viewEntry` is NULL or points to a view entry of which only the fields that are read
/// need be initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfAddViewEntry(lu: *mut stmfGuid, viewEntry: *mut stmfViewEntry) -> c_int {
    barrier!({
        let entry = output(viewEntry)?;
        // SAFETY: the caller's promise.
        let guid = unsafe { guid(lu) }?;
        // SAFETY: not NULL, and the caller's promise.
        let request = unsafe {
            (*entry).veIndexValid = B_FALSE;
            read_request(entry)
        }?;
        let added = client::view_add(guid, request)?;
        // SAFETY: as before.
        unsafe {
            (*entry).veIndexValid = B_TRUE;
            (*entry).veIndex = added.index;
            (*entry).luNbrValid = B_TRUE;
            (*entry).luNbr = added.lun.to_view_entry();
        }
        Ok(())
    })
}

/// Tells whether a view entry could be added for some LU: the LUN asked for, or else the smallest free one, which is written
/// to `luNbr`. Reads the same fields as `stmfAddViewEntry`. Nothing is reserved.
///
/// # Safety
/// As for `stmfAddViewEntry`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfValidateView(viewEntry: *mut stmfViewEntry) -> c_int {
    barrier!({
        let entry = output(viewEntry)?;
        // SAFETY: not NULL, and the caller's promise.
        let request = unsafe {
            (*entry).veIndexValid = B_FALSE;
            read_request(entry)
        }?;
        let wanted = request.lun.is_some();
        let lun = client::view_check(request)?;
        if !wanted {
            // SAFETY: as before.
            unsafe { (*entry).luNbr = lun.to_view_entry() };
        }
        Ok(())
    })
}

/// # Safety
/// `entry` points to a view entry of which only the fields that are read need be initialised.
unsafe fn read_request(entry: *const stmfViewEntry) -> Result<ViewRequest, Status> {
    // SAFETY: the caller's promise; fields are read one by one, as the others may be uninitialised.
    unsafe {
        let lun = if (*entry).luNbrValid == B_FALSE {
            None
        } else {
            let bytes = addr_of!((*entry).luNbr).cast::<[u8; 2]>().read();
            Some(Lun::from_view_entry(&bytes).ok_or(Status::InvalidArg)?)
        };
        let host_group = match (*entry).allHosts {
            B_FALSE => Some(group(addr_of!((*entry).hostGroup), Status::InvalidHg)?),
            _ => None,
        };
        let target_group = match (*entry).allTargets {
            B_FALSE => Some(group(addr_of!((*entry).targetGroup), Status::InvalidTg)?),
            _ => None,
        };
        Ok(ViewRequest {
            host_group,
            target_group,
            lun,
        })
    }
}

/// # Safety
/// `pointer` points to a name that ends with NUL or has 256 bytes.
unsafe fn group(pointer: *const stmfGroupName, missing: Status) -> Result<GroupName, Status> {
    // SAFETY: the caller's promise.
    match unsafe { name(pointer) } {
        Ok(name) => Ok(name),
        Err(_) => client::no_such_group(missing),
    }
}

/// Removes the view entry of an LU that has this index.
///
/// # Safety
/// `lu` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfRemoveViewEntry(lu: *mut stmfGuid, viewEntryIndex: u32) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::view_remove(unsafe { guid(lu) }?, viewEntryIndex))
}

/// Lists the view entries of an LU by ascending index; an empty list when it has none. Release the list with
/// `stmfFreeMemory`.
///
/// # Safety
/// `lu` is NULL or points to a GUID; `viewEntryList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetViewEntryList(lu: *mut stmfGuid, viewEntryList: *mut *mut stmfViewEntryList) -> c_int {
    barrier!({
        let out = output(viewEntryList)?;
        // SAFETY: the caller's promise.
        let entries = client::view_list(unsafe { guid(lu) }?)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give(out, &entries, to_view_entry) }
    })
}

/// `stmfGetViewEntryList`, but `STMF_ERROR_NOT_FOUND` for a GUID without entries.
///
/// # Safety
/// As for `stmfGetViewEntryList`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetViewEntryListNotFound(
    lu: *mut stmfGuid,
    viewEntryList: *mut *mut stmfViewEntryList,
) -> c_int {
    barrier!({
        let out = output(viewEntryList)?;
        // SAFETY: the caller's promise.
        let entries: Vec<_> = client::view_list(unsafe { guid(lu) }?)?
            .iter()
            .map(to_view_entry)
            .collect();
        if entries.is_empty() {
            return Err(Status::NotFound);
        }
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give_list(out, &entries) }
    })
}

fn to_view_entry(entry: &ViewEntry) -> stmfViewEntry {
    let field = |name: &Option<GroupName>| to_field(name.as_ref().map_or("", GroupName::as_str));
    stmfViewEntry {
        veIndexValid: B_TRUE,
        veIndex: entry.index,
        allHosts: boolean_t::from(entry.host_group.is_none()),
        hostGroup: field(&entry.host_group),
        allTargets: boolean_t::from(entry.target_group.is_none()),
        targetGroup: field(&entry.target_group),
        luNbrValid: B_TRUE,
        luNbr: entry.lun.to_view_entry(),
    }
}
