//! LU properties; creation and import of disk LUs (`libstmf-api.md` 3.9, 4).

use super::convert::{give_text, guid, output, text};
use super::resources;
use super::types::*;
use crate::client;
use crate::types::{Guid, LuProperties, Status};
use std::ffi::{c_char, c_int};

version!(
    "SUNW_1.1",
    stmfCreateLuResource,
    stmfGetLuResource,
    stmfFreeLuResource,
    stmfSetLuProp,
    stmfGetLuProp,
    stmfCreateLu,
    stmfImportLu,
    stmfModifyLu,
    stmfModifyLuByFname,
);

/// One more byte than the longest path has, and so than any property.
const MAX_TEXT: usize = LuProperties::MAX_PATH + 1;

pub(super) fn disk(dType: u16) -> Result<(), Status> {
    let disk = i32::from(dType) == super::STMF_DISK;
    disk.then_some(()).ok_or(Status::InvalidArg)
}

/// Makes an empty set of properties for `stmfCreateLu`. `dType` is `STMF_DISK`.
///
/// # Safety
/// `hdl` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfCreateLuResource(dType: u16, hdl: *mut luResource) -> c_int {
    barrier!({
        disk(dType)?;
        let hdl = output(hdl)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { hdl.write(resources::insert(client::LuResource::default())) };
        Ok(())
    })
}

/// Takes a snapshot of the properties of a disk LU.
///
/// # Safety
/// `luGuid` is NULL or points to a GUID; `hdl` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLuResource(luGuid: *mut stmfGuid, hdl: *mut luResource) -> c_int {
    barrier!({
        let hdl = output(hdl)?;
        // SAFETY: the caller's promise.
        let resource = client::lu_snapshot(unsafe { guid(luGuid) }?)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { hdl.write(resources::insert(resource)) };
        Ok(())
    })
}

/// Frees a set of properties.
#[unsafe(no_mangle)]
pub extern "C" fn stmfFreeLuResource(hdl: luResource) -> c_int {
    barrier!(resources::remove(hdl))
}

/// Sets a property (`STMF_LU_PROP_*`) from text. A failed set leaves the earlier value.
///
/// # Safety
/// `propVal` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfSetLuProp(hdl: luResource, propType: u32, propVal: *const c_char) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let value = unsafe { text(propVal, MAX_TEXT) }?;
        resources::with(hdl, |resource| resource.set(propType, value))?
    })
}

/// Gives a property (`STMF_LU_PROP_*`) as text. `*propLen` is the size of the buffer; when that is too small it becomes the
/// size needed, with `STMF_ERROR_INVALID_ARG`.
///
/// # Safety
/// `propLen` is NULL or points to the size of the buffer at `prop`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLuProp(
    hdl: luResource,
    propType: u32,
    prop: *mut c_char,
    propLen: *mut usize,
) -> c_int {
    barrier!({
        let (buffer, length) = (output(prop)?, output(propLen)?);
        let value = resources::with(hdl, |resource| resource.get(propType))??;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give_text(&value, buffer, length) }
    })
}

/// Creates a disk LU with these properties; the file name is mandatory. The handle stays valid.
///
/// # Safety
/// `luGuid` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfCreateLu(hdl: luResource, luGuid: *mut stmfGuid) -> c_int {
    barrier!({
        let properties = resources::with(hdl, |resource| resource.for_create())??;
        let created = client::lu_create(properties)?;
        // SAFETY: the caller's promise.
        unsafe { give_guid(luGuid, created) };
        Ok(())
    })
}

/// Registers an LU from existing metadata, or makes a Standby LU Active. With `STMF_ERROR_FILE_IN_USE` the GUID of the LU
/// that has the file is told.
///
/// # Safety
/// `fname` is NULL or NUL-terminated; `luGuid` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfImportLu(dType: u16, fname: *mut c_char, luGuid: *mut stmfGuid) -> c_int {
    barrier!({
        disk(dType)?;
        // SAFETY: the caller's promise.
        let path = unsafe { text(fname, MAX_TEXT) }?;
        let (guid, result) = match client::lu_import_bytes(path) {
            Ok(guid) => (Some(guid), Ok(())),
            Err((status, guid)) => (guid, Err(status)),
        };
        if let Some(guid) = guid {
            // SAFETY: the caller's promise.
            unsafe { give_guid(luGuid, guid) };
        }
        result
    })
}

/// Changes a property of a disk LU: alias, size, management URL, write protect or write cache disable. Takes effect at once.
///
/// # Safety
/// `luGuid` is NULL or points to a GUID; `propVal` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfModifyLu(luGuid: *mut stmfGuid, prop: u32, propVal: *const c_char) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        let (guid, value) = unsafe { (guid(luGuid)?, text(propVal, MAX_TEXT)?) };
        client::lu_modify(guid, client::lu_change(prop, value)?)
    })
}

/// `stmfModifyLu` for the LU whose metadata are in this file. It need not be registered, and is not registered by this.
///
/// # Safety
/// `fname` and `propVal` are NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfModifyLuByFname(
    dType: u16,
    fname: *const c_char,
    prop: u32,
    propVal: *const c_char,
) -> c_int {
    barrier!({
        disk(dType)?;
        // SAFETY: the caller's promise.
        let (path, value) = unsafe { (text(fname, MAX_TEXT)?, text(propVal, MAX_TEXT)?) };
        client::lu_modify_file(path, client::lu_change(prop, value)?)
    })
}

/// # Safety
/// `out` is NULL, which is allowed, or valid for writing.
unsafe fn give_guid(out: *mut stmfGuid, guid: Guid) {
    if !out.is_null() {
        // SAFETY: not NULL, and the caller's promise.
        unsafe { out.write(stmfGuid { guid: guid.0 }) };
    }
}
