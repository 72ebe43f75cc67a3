//! Functions that the original never had, under a prefix of their own (`docs/extras.md`): a hand-over that cuts no command
//! off, waiting for a state, many LUs at once.

use super::constants::*;
use super::convert::{devid, guid, required, text};
use super::types::*;
use crate::client;
use crate::framework::{ObjectState, Wanted};
use crate::service::LuOutcome;
use crate::types::{AccessState, Guid, LuProperties, Status};
use std::ffi::{c_char, c_int};
use std::time::Duration;

version!(
    "STMF_1.0",
    stmfxImportLus,
    stmfxLuStandDown,
    stmfxStandbyLus,
    stmfxWaitLogicalUnit,
    stmfxWaitLuAccess,
    stmfxWaitService,
    stmfxWaitTarget,
);

/// Longest stand-down: after 60 s in transition hosts take a path for unavailable (`alua-proxy.md` 7.5).
const STAND_DOWN_MAX: u32 = 50_000;
/// LUs in one call: a bound for what a wrong count can cost.
const MANY_MAX: u32 = 1_000_000;

fn patience(milliseconds: u32) -> Duration {
    Duration::from_millis(milliseconds.into())
}

/// Imports many LUs, side by side, as stmfImportLu does each: `count` files, a GUID and a status for each. Returns
/// STMF_STATUS_SUCCESS when all were imported, STMF_STATUS_ERROR when some were not, which the statuses tell; any other one when
/// nothing was done and nothing is filled in. A GUID is filled in
/// with STMF_STATUS_SUCCESS and STMF_ERROR_FILE_IN_USE, else it is zero.
///
/// # Safety
/// `files` is NULL or points to `count` strings or NULLs, `lus` and `statuses` are NULL or have room for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfxImportLus(
    count: u32,
    files: *const *mut c_char,
    lus: *mut stmfGuid,
    statuses: *mut c_int,
) -> c_int {
    barrier!({
        // SAFETY: the caller's promises.
        let (files, lus, statuses) = unsafe {
            (
                array(files, count)?,
                array_mut(lus, count)?,
                array_mut(statuses, count)?,
            )
        };
        let mut paths = Vec::with_capacity(files.len());
        for file in files {
            // SAFETY: the caller's promise.
            paths.push(unsafe { text(*file, LuProperties::MAX_PATH + 1) }?);
        }
        let outcomes = client::lu_import_many(&paths)?;
        for (lu, (_, guid)) in lus.iter_mut().zip(&outcomes) {
            lu.guid = guid.unwrap_or(Guid([0; 16])).0;
        }
        tell(statuses, &outcomes)
    })
}

/// Makes many LUs Standby, side by side, as stmfLuStandby does each: `count` GUIDs and a status for each. Returns
/// STMF_STATUS_SUCCESS when all are, STMF_STATUS_ERROR when some are not, which the statuses tell; any other one when nothing
/// was done and nothing is filled in.
///
/// # Safety
/// `lus` is NULL or points to `count` GUIDs, `statuses` is NULL or has room for `count` elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfxStandbyLus(count: u32, lus: *const stmfGuid, statuses: *mut c_int) -> c_int {
    barrier!({
        // SAFETY: the caller's promises.
        let (lus, statuses) = unsafe { (array(lus, count)?, array_mut(statuses, count)?) };
        let lus: Vec<Guid> = lus.iter().map(|lu| Guid(lu.guid)).collect();
        tell(statuses, &client::lu_standby_many(&lus)?)
    })
}

/// Gives an LU up in two phases: it takes no more commands (initiators are told to try again) and those that run come to
/// their end; then it becomes Standby, as with stmfLuStandby. When some still run after `milliseconds`, at most 50000, it
/// stays Active and STMF_ERROR_BUSY is returned. The caller neither waits nor polls.
///
/// # Safety
/// `lu` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfxLuStandDown(lu: *const stmfGuid, milliseconds: u32) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let guid = unsafe { guid(lu) }?;
        if milliseconds > STAND_DOWN_MAX {
            return Err(Status::InvalidArg);
        }
        client::lu_stand_down(guid, patience(milliseconds))
    })
}

/// Waits until an LU has a state: STMF_LOGICAL_UNIT_ONLINE and its kin, STMF_LOGICAL_UNIT_UNREGISTERED for one that is not
/// there. STMF_ERROR_BUSY when it has another one after `milliseconds`, STMF_ERROR_NOT_FOUND when there is none then.
///
/// # Safety
/// `lu` is NULL or points to a GUID.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfxWaitLogicalUnit(lu: *const stmfGuid, status: c_int, milliseconds: u32) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let guid = unsafe { guid(lu) }?;
        let state = match status {
            STMF_LOGICAL_UNIT_UNREGISTERED => None,
            other => Some(object_state(other, STMF_LOGICAL_UNIT_OFFLINE)?),
        };
        client::wait_for(&Wanted::Lu(guid, state), patience(milliseconds))
    })
}

/// Waits until an LU has an access state on this node: one of the texts STMF_ACCESS_ACTIVE, .... STMF_ERROR_BUSY when it has
/// another one after `milliseconds`, STMF_ERROR_NOT_FOUND when there is no such LU then.
///
/// # Safety
/// `lu` is NULL or points to a GUID; `state` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfxWaitLuAccess(lu: *const stmfGuid, state: *const c_char, milliseconds: u32) -> c_int {
    barrier!({
        // SAFETY: the caller's promises.
        let (guid, state) = unsafe { (guid(lu)?, text(state, 2)?) };
        let state = match state {
            [digit @ b'0'..=b'3'] => AccessState::from_number(digit - b'0').ok_or(Status::InvalidArg)?,
            _ => return Err(Status::InvalidArg),
        };
        client::wait_for(&Wanted::Access(guid, state), patience(milliseconds))
    })
}

/// Waits until the service has a state: STMF_SERVICE_STATE_ONLINE and its kin. STMF_ERROR_BUSY when it has another one after
/// `milliseconds`.
#[unsafe(no_mangle)]
pub extern "C" fn stmfxWaitService(state: c_int, milliseconds: u32) -> c_int {
    barrier!({
        let state = match state {
            STMF_SERVICE_STATE_ONLINE => ObjectState::Online,
            STMF_SERVICE_STATE_OFFLINE => ObjectState::Offline,
            STMF_SERVICE_STATE_ONLINING => ObjectState::Onlining,
            STMF_SERVICE_STATE_OFFLINING => ObjectState::Offlining,
            _ => return Err(Status::InvalidArg),
        };
        client::wait_for(&Wanted::Service(state), patience(milliseconds))
    })
}

/// Waits until a target port has a state: STMF_TARGET_PORT_ONLINE and its kin. STMF_ERROR_BUSY when it has another one after
/// `milliseconds`, STMF_ERROR_NOT_FOUND when there is no such target then.
///
/// # Safety
/// `target` is NULL or points to a devid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfxWaitTarget(target: *const stmfDevid, status: c_int, milliseconds: u32) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let devid = unsafe { devid(target) }?;
        let state = object_state(status, STMF_TARGET_PORT_OFFLINE)?;
        client::wait_for(&Wanted::Target(devid, state), patience(milliseconds))
    })
}

/// One of the four states whose numbers begin with `first`.
fn object_state(number: c_int, first: c_int) -> Result<ObjectState, Status> {
    let offset = number.checked_sub(first).and_then(|offset| u8::try_from(offset).ok());
    offset.and_then(ObjectState::from_number).ok_or(Status::InvalidArg)
}

/// Fills in the statuses; the result of the call.
fn tell(statuses: &mut [c_int], outcomes: &[LuOutcome]) -> Result<(), Status> {
    for (status, (failure, _)) in statuses.iter_mut().zip(outcomes) {
        *status = failure.map_or(STMF_STATUS_SUCCESS, Status::code);
    }
    match outcomes.iter().all(|(failure, _)| failure.is_none()) {
        true => Ok(()),
        false => Err(Status::Error),
    }
}

/// # Safety
/// `pointer` is NULL or points to `count` elements.
unsafe fn array<'a, T>(pointer: *const T, count: u32) -> Result<&'a [T], Status> {
    let pointer = required(pointer)?;
    if count > MANY_MAX {
        return Err(Status::InvalidArg);
    }
    // SAFETY: not NULL, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer, count as usize) })
}

/// # Safety
/// As for [`array()`]; nobody else uses the elements.
unsafe fn array_mut<'a, T>(pointer: *mut T, count: u32) -> Result<&'a mut [T], Status> {
    required(pointer)?;
    if count > MANY_MAX {
        return Err(Status::InvalidArg);
    }
    // SAFETY: not NULL, and the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, count as usize) })
}
