//! Providers: lists, properties, clearing of their data (`libstmf-api.md` 3.10, 5.3).

use super::convert::{output, required, text, to_field, zero};
use super::memory::give;
use super::types::*;
use crate::client;
use crate::types::{ProviderKey, ProviderKind, ProviderName, Status};
use std::ffi::{c_char, c_int};

version!("SUNW_1.1", stmfClearProviderData, stmfGetProviderDataList);
version!(
    "STMF_1.0",
    stmfGetLogicalUnitProviderList,
    stmfGetLocalPortProviderList,
    stmfGetLogicalUnitProviderProperties,
    stmfGetLocalPortProviderProperties,
);

/// # Safety
/// `name` is NULL or NUL-terminated, or has 255 bytes.
pub(super) unsafe fn key(name: *const c_char, providerType: c_int) -> Result<ProviderKey, Status> {
    // SAFETY: the caller's promise.
    let name = ProviderName::new(unsafe { text(name, ProviderName::MAX + 1) }?).map_err(|_| Status::InvalidArg)?;
    let kind = ProviderKind::from_number(providerType.into())?;
    Ok(ProviderKey { kind, name })
}

fn to_provider(key: &ProviderKey) -> stmfProvider {
    stmfProvider {
        providerType: key.kind as c_int,
        name: to_field(key.name.as_str()),
    }
}

/// Removes the data of a provider (`STMF_LU_PROVIDER_TYPE` or `STMF_PORT_PROVIDER_TYPE`).
///
/// # Safety
/// `providerName` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfClearProviderData(providerName: *mut c_char, providerType: c_int) -> c_int {
    barrier!({
        // SAFETY: the caller's promise.
        client::clear_provider_data(unsafe { key(providerName, providerType) }?)
    })
}

/// Lists the providers that have data. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `providerList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetProviderDataList(providerList: *mut *mut stmfProviderList) -> c_int {
    barrier!({
        let out = output(providerList)?;
        let keys = client::provider_data_list()?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { give(out, &keys, to_provider) }
    })
}

/// # Safety
/// `out` is NULL or valid for writing.
unsafe fn give_providers(out: *mut *mut stmfProviderList, kind: ProviderKind) -> Result<(), Status> {
    let out = output(out)?;
    let keys = client::providers(kind)?;
    // SAFETY: not NULL, and the caller's promise.
    unsafe { give(out, &keys, to_provider) }
}

/// Lists the LU providers. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `providerList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLogicalUnitProviderList(providerList: *mut *mut stmfProviderList) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { give_providers(providerList, ProviderKind::Lu) })
}

/// Lists the port providers. Release the list with `stmfFreeMemory`.
///
/// # Safety
/// `providerList` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLocalPortProviderList(providerList: *mut *mut stmfProviderList) -> c_int {
    // SAFETY: the caller's promise.
    barrier!(unsafe { give_providers(providerList, ProviderKind::Port) })
}

/// A name that may be shorter than its type: never read past its NUL, nor past 256 bytes.
///
/// # Safety
/// `pointer` is NULL, or points to a NUL-terminated string or to 256 bytes.
unsafe fn known(pointer: *const stmfProviderName, kind: ProviderKind) -> Result<ProviderName, Status> {
    let bytes = required(pointer)?.cast::<u8>();
    // SAFETY: within 256 bytes, and `take_while` stops at the first NUL.
    let read = (0..size_of::<stmfProviderName>()).map(|i| unsafe { bytes.add(i).read() });
    let name: Vec<u8> = read.take_while(|byte| *byte != 0).collect();
    let name = ProviderName::new(&name).map_err(|_| Status::InvalidArg)?;
    let registered = client::providers(kind)?;
    let found = registered.into_iter().find(|key| key.name == name);
    found.map(|key| key.name).ok_or(Status::NotFound)
}

/// Tells the properties of an LU provider.
///
/// # Safety
/// `providerName` is NULL or points to a name that ends with NUL or has 256 bytes; `providerProperties` is NULL or valid
/// for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLogicalUnitProviderProperties(
    providerName: *mut stmfProviderName,
    providerProperties: *mut stmfLogicalUnitProviderProperties,
) -> c_int {
    barrier!({
        let out = output(providerProperties)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            let name = known(providerName, ProviderKind::Lu)?;
            zero(out);
            (*out).providerName = to_field(name.as_str());
        }
        Ok(())
    })
}

/// Tells the properties of a port provider.
///
/// # Safety
/// As for `stmfGetLogicalUnitProviderProperties`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfGetLocalPortProviderProperties(
    providerName: *mut stmfProviderName,
    providerProperties: *mut stmfLocalPortProviderProperties,
) -> c_int {
    barrier!({
        let out = output(providerProperties)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe {
            let name = known(providerName, ProviderKind::Port)?;
            zero(out);
            (*out).providerName = to_field(name.as_str());
        }
        Ok(())
    })
}
