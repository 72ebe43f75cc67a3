//! Settings of the service: default states, persist method, loading (`libstmf-api.md` 3.3), properties of all LUs (3.9).

use super::constants::*;
use super::convert::{give_text, output, text};
use super::lu_resource::disk;
use super::types::*;
use crate::client;
use crate::framework::DefaultState;
use crate::types::{LuProperties, PersistMethod, Status};
use std::ffi::{c_char, c_int};

version!("SUNWprivate", stmfLoadConfig, stmfLoadStmfProps);
version!(
    "SUNW_1.1",
    stmfSetStmfProp,
    stmfGetStmfProp,
    stmfSetPersistMethod,
    stmfGetPersistMethod,
    stmfSetGlobalLuProp,
    stmfGetGlobalLuProp,
);

/// Loads the stored configuration; the service must be offline.
#[unsafe(no_mangle)]
pub extern "C" fn stmfLoadConfig() -> c_int {
    barrier!(client::load_config())
}

/// Puts the stored default states in force.
#[unsafe(no_mangle)]
pub extern "C" fn stmfLoadStmfProps() -> c_int {
    barrier!(client::load_default_states())
}

fn default_state(propType: u8) -> Result<DefaultState, Status> {
    match c_int::from(propType) {
        STMF_DEFAULT_LU_STATE => Ok(DefaultState::Lus),
        STMF_DEFAULT_TARGET_PORT_STATE => Ok(DefaultState::Targets),
        _ => Err(Status::InvalidArg),
    }
}

/// Stores a default state (`STMF_DEFAULT_*_STATE`), `online` or `offline` in any case, for the next start.
///
/// # Safety
/// `propVal` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfSetStmfProp(propType: u8, propVal: *mut c_char) -> c_int {
    barrier!({
        let which = default_state(propType)?;
        // SAFETY: the caller's promise.
        let value = unsafe { text(propVal, "offline".len() + 1) }?;
        let online = if value.eq_ignore_ascii_case(b"online") {
            true
        } else if value.eq_ignore_ascii_case(b"offline") {
            false
        } else {
            return Err(Status::InvalidArg);
        };
        client::set_default_state(which, online)
    })
}

/// Gives a default state as text. `*propLen` is the size of the buffer; when that is too small it becomes the size needed,
/// with `STMF_ERROR_INVALID_ARG`.
///
/// # Safety
/// `propLen` is NULL or points to the size of the buffer at `propVal`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetStmfProp(propType: u8, propVal: *mut c_char, propLen: *mut usize) -> c_int {
    barrier!({
        let which = default_state(propType)?;
        let (buffer, length) = (output(propVal)?, output(propLen)?);
        let online = client::default_state(which)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give_text(if online { "online" } else { "offline" }, buffer, length) }
    })
}

/// Sets the persist method of this process (`STMF_PERSIST_*`), and of the service if `serviceSet` is true.
#[unsafe(no_mangle)]
pub extern "C" fn stmfSetPersistMethod(persistType: u8, serviceSet: boolean_t) -> c_int {
    barrier!({
        let method = PersistMethod::from_number(persistType).ok_or(Status::InvalidArg)?;
        if serviceSet == B_FALSE {
            client::set_persist_method(method);
            return Ok(());
        }
        client::set_service_persist_method(method)
    })
}

/// Tells the persist method of the service, or the one in force for this process if `serviceState` is false.
///
/// # Safety
/// `persistType` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetPersistMethod(persistType: *mut u8, serviceState: boolean_t) -> c_int {
    barrier!({
        let out = output(persistType)?;
        let method = match serviceState {
            B_FALSE => client::persist_method(),
            _ => client::service_persist_method()?,
        };
        // SAFETY: not NULL, and the caller's promise.
        unsafe { out.write(method as u8) };
        Ok(())
    })
}

/// Sets a property of all LUs that have no value of their own: `STMF_LU_PROP_MGMT_URL`, which an empty text removes.
///
/// # Safety
/// `propVal` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfSetGlobalLuProp(dType: u16, propType: u32, propVal: *const c_char) -> c_int {
    barrier!({
        disk(dType)?;
        // SAFETY: the caller's promise.
        client::set_global_lu_property(propType, unsafe { text(propVal, LuProperties::MAX_URL + 1) }?)
    })
}

/// Gives a property of all LUs. `*propLen` is the size of the buffer; when that is too small it becomes the size needed,
/// with `STMF_ERROR_INVALID_ARG`.
///
/// # Safety
/// `propLen` is NULL or points to the size of the buffer at `propVal`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetGlobalLuProp(
    dType: u16,
    prop: u32,
    propVal: *mut c_char,
    propLen: *mut usize,
) -> c_int {
    barrier!({
        disk(dType)?;
        let (buffer, length) = (output(propVal)?, output(propLen)?);
        let value = client::global_lu_property(prop)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give_text(&value, buffer, length) }
    })
}
