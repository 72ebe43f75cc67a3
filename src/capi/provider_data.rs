//! Provider data as lists of libnvpair (`libstmf-api.md` 5.3).

use super::convert::output;
use super::nvpair::{nvlist_t, pack, unpack};
use super::provider::key;
use crate::client;
use crate::types::Status;
use std::ffi::{c_char, c_int};
use std::ptr::null_mut;

version!(
    "SUNW_1.1",
    stmfGetProviderData,
    stmfGetProviderDataProt,
    stmfSetProviderData,
    stmfSetProviderDataProt,
);

/// Gives the data of a provider as a new list, which is released with `nvlist_free`.
///
/// # Safety
/// As for `stmfGetProviderDataProt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetProviderData(
    providerName: *mut c_char,
    nvl: *mut *mut nvlist_t,
    providerType: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { get(providerName, nvl, providerType, null_mut()) })
}

/// Gives the data of a provider as a new list, which is released with `nvlist_free`, and the token to set it again.
///
/// # Safety
/// `providerName` is NULL or NUL-terminated; `nvl` and `setToken` are NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetProviderDataProt(
    providerName: *mut c_char,
    nvl: *mut *mut nvlist_t,
    providerType: c_int,
    setToken: *mut u64,
) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { get(providerName, nvl, providerType, setToken) })
}

/// Replaces the data of a provider. The caller keeps its list.
///
/// # Safety
/// As for `stmfSetProviderDataProt`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfSetProviderData(
    providerName: *mut c_char,
    nvl: *mut nvlist_t,
    providerType: c_int,
) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { set(providerName, nvl, providerType, null_mut()) })
}

/// Replaces the data of a provider if the token is the current one (0 when there is none); it becomes the new one.
///
/// # Safety
/// `providerName` is NULL or NUL-terminated; `nvl` is NULL or a list; `setToken` is NULL or valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfSetProviderDataProt(
    providerName: *mut c_char,
    nvl: *mut nvlist_t,
    providerType: c_int,
    setToken: *mut u64,
) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { set(providerName, nvl, providerType, setToken) })
}

/// # Safety
/// As for `stmfGetProviderDataProt`.
unsafe fn get(
    name: *const c_char,
    nvl: *mut *mut nvlist_t,
    providerType: c_int,
    token: *mut u64,
) -> Result<(), Status> {
    // SAFETY: the caller's promise.
    let key = unsafe { key(name, providerType) }?;
    let out = output(nvl)?;
    let found = client::provider_data(key)?;
    let list = unpack(found.data)?;
    // SAFETY: not NULL, and the caller's promise.
    unsafe {
        out.write(list);
        if !token.is_null() {
            token.write(found.token);
        }
    }
    Ok(())
}

/// # Safety
/// As for `stmfSetProviderDataProt`.
unsafe fn set(name: *const c_char, nvl: *mut nvlist_t, providerType: c_int, token: *mut u64) -> Result<(), Status> {
    // SAFETY: the caller's promise.
    let key = unsafe { key(name, providerType) }?;
    let list = output(nvl)?;
    // SAFETY: not NULL, and the caller's promise.
    let (data, given) = unsafe { (pack(list)?, token.as_ref().copied()) };
    let new = client::set_provider_data(key, data, given)?;
    if !token.is_null() {
        // SAFETY: as before.
        unsafe { token.write(new) };
    }
    Ok(())
}
