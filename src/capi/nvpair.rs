//! The two functions of the system's libnvpair that the library itself needs. Lists cross the C API as that library's own
//! objects: callers use its functions on them.
//!
//! Not the crate `nvpair-sys`, which links libzfs as well.

use crate::types::Status;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

/// A list of name/value pairs, of `<libnvpair.h>`.
#[repr(C)]
pub struct nvlist_t {
    _opaque: [u8; 0],
}

const NV_ENCODE_XDR: c_int = 1;

#[link(name = "nvpair")]
unsafe extern "C" {
    fn nvlist_pack(
        list: *mut nvlist_t,
        buffer: *mut *mut c_char,
        size: *mut usize,
        encoding: c_int,
        flag: c_int,
    ) -> c_int;
    fn nvlist_unpack(buffer: *mut c_char, size: usize, list: *mut *mut nvlist_t, flag: c_int) -> c_int;
}

/// The list in XDR; `Error` when it cannot be packed.
///
/// # Safety
/// `list` is a list of libnvpair.
pub(super) unsafe fn pack(list: *mut nvlist_t) -> Result<Vec<u8>, Status> {
    let (mut buffer, mut size) = (null_mut(), 0);
    // SAFETY: the caller's promise; with a NULL buffer one is allocated by malloc.
    let errno = unsafe { nvlist_pack(list, &mut buffer, &mut size, NV_ENCODE_XDR, 0) };
    if errno != 0 {
        log::debug!("a list cannot be packed: {}", std::io::Error::from_raw_os_error(errno));
        return Err(failed(errno));
    }
    // SAFETY: the buffer has `size` bytes and is ours to free.
    unsafe {
        let bytes = std::slice::from_raw_parts(buffer.cast::<u8>(), size).to_vec();
        libc::free(buffer.cast::<c_void>());
        Ok(bytes)
    }
}

/// A new list, which the caller of the API releases with `nvlist_free`.
pub(super) fn unpack(mut bytes: Vec<u8>) -> Result<*mut nvlist_t, Status> {
    let mut list = null_mut();
    // SAFETY: the buffer is there, and the list does not refer to it afterwards.
    let errno = unsafe { nvlist_unpack(bytes.as_mut_ptr().cast(), bytes.len(), &mut list, 0) };
    match errno {
        0 => Ok(list),
        _ => {
            let why = std::io::Error::from_raw_os_error(errno);
            log::error!("provider data cannot be unpacked: {why}");
            Err(failed(errno))
        }
    }
}

fn failed(errno: c_int) -> Status {
    match errno {
        libc::ENOMEM => Status::NoMem,
        _ => Status::Error,
    }
}
