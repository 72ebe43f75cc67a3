//! Devids from text and from port names (`libstmf-api.md` 2.5, 3.2).

use super::convert::{output, required, text, to_devid, zero};
use super::types::*;
use crate::client;
use std::ffi::{c_char, c_int};

version!("SUNW_1.1", stmfDevidFromIscsiName, stmfDevidFromWwn);

/// Makes a devid of an iSCSI name: `iqn.`, `eui.` with 16 or `naa.` with 16 or 32 hex digits, 5 to 223 bytes.
///
/// # Safety
/// `iscsiName` is NULL or NUL-terminated, or has 224 bytes; `devid` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfDevidFromIscsiName(iscsiName: *mut c_char, devid: *mut stmfDevid) -> c_int {
    barrier!({
        let out = output(devid)?;
        // SAFETY: the caller's promise.
        let name = unsafe { text(iscsiName, client::MAX_ISCSI_NAME + 1) }?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { zero(out) };
        let value = client::devid_from_iscsi_name(name)?;
        // SAFETY: as before.
        unsafe { out.write(to_devid(&value)) };
        Ok(())
    })
}

/// Makes the devid `wwn.` and 16 upper-case hex digits.
///
/// # Safety
/// `wwn` is NULL or points to 8 bytes; `devid` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfDevidFromWwn(wwn: *mut uchar_t, devid: *mut stmfDevid) -> c_int {
    barrier!({
        let (wwn, out) = (required(wwn)?, output(devid)?);
        // SAFETY: not NULL, and the caller's promise.
        let wwn = unsafe { wwn.cast::<[u8; 8]>().read() };
        // SAFETY: as before.
        unsafe { out.write(to_devid(&client::devid_from_wwn(wwn))) };
        Ok(())
    })
}
