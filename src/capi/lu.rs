//! Logical units: list, properties, state, deletion (`libstmf-api.md` 3.7, 3.9).

use super::constants::STMF_LOGICAL_UNIT_UNREGISTERED;
use super::convert::{guid, output, to_field, zero};
use super::memory::give;
use super::types::*;
use crate::client;
use crate::framework::LuInfo;
use std::ffi::c_int;

version!(
    "SUNW_1.1",
    stmfGetLogicalUnitList,
    stmfGetLogicalUnitProperties,
    stmfOnlineLogicalUnit,
    stmfOfflineLogicalUnit,
    stmfDeleteLu,
);

/// Lists all registered LUs, and all GUIDs with view entries, ascending. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `luList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLogicalUnitList(luList: *mut *mut stmfGuidList) -> c_int {
    barrier!({
        let out = output(luList)?;
        let guids = client::lu_list()?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give(out, &guids, |guid| stmfGuid { guid: guid.0 }) }
    })
}

/// Tells what is known of an LU, or of a GUID that only has view entries.
///
/// # Safety
/// `lu` is NULL or points to a GUID; `luProps` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLogicalUnitProperties(
    lu: *mut stmfGuid,
    luProps: *mut stmfLogicalUnitProperties,
) -> c_int {
    barrier!({
        let out = output(luProps)?;
        // SAFETY: the caller's promise.
        let guid = unsafe { guid(lu) }?;
        // SAFETY: not NULL, and the caller's promise. Zero also when the call fails (1.4).
        unsafe { zero(out) };
        let info = client::lu_info(guid)?;
        // SAFETY: as before.
        unsafe { out.write(to_properties(&info)) };
        Ok(())
    })
}

fn to_properties(info: &LuInfo) -> stmfLogicalUnitProperties {
    let unregistered = STMF_LOGICAL_UNIT_UNREGISTERED.unsigned_abs();
    stmfLogicalUnitProperties {
        alias: to_field(&info.alias),
        vendor: info.vendor,
        product: info.product,
        revision: info.revision,
        status: info.state.map_or(unregistered, |state| u32::from(state as u8)),
        providerName: to_field(&info.provider),
        luid: stmfGuid { guid: info.guid.0 },
    }
}

/// Brings an LU online; it is when this returns.
///
/// # Safety
/// `lu` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfOnlineLogicalUnit(lu: *mut stmfGuid) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::lu_online(unsafe { guid(lu) }?))
}

/// Takes an LU offline; it is when this returns.
///
/// # Safety
/// `lu` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfOfflineLogicalUnit(lu: *mut stmfGuid) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::lu_offline(unsafe { guid(lu) }?))
}

/// Unregisters a disk LU. Its file and its view entries stay.
///
/// # Safety
/// `luGuid` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfDeleteLu(luGuid: *mut stmfGuid) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(client::lu_delete(unsafe { guid(luGuid) }?))
}
