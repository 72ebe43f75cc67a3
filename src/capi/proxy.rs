//! The proxy door (`libstmf-api.md` 6.2).

use super::convert::{output, required};
use crate::client;
use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;

version!("SUNW_1.1", stmfInitProxyDoor, stmfDestroyProxyDoor, stmfPostProxyMsg);

/// Installs a door for messages to the peer. The handle lives until `stmfDestroyProxyDoor` or the end of the process; it is
/// -1 on failure. `fd` may be closed afterwards.
///
/// # Safety
/// `hdl` is NULL or valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfInitProxyDoor(hdl: *mut c_int, fd: c_int) -> c_int {
    barrier!({
        let hdl = output(hdl)?;
        // SAFETY: not NULL, and the caller's promise.
        unsafe { hdl.write(-1) };
        let number = client::init_proxy_door_or_nothing(open_descriptor(fd))?;
        // SAFETY: as before.
        unsafe { hdl.write(number) };
        Ok(())
    })
}

/// `None` for a number that is no open descriptor.
fn open_descriptor<'fd>(fd: c_int) -> Option<BorrowedFd<'fd>> {
    // SAFETY: F_GETFD only looks at the number.
    let open = fd >= 0 && unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1;
    // SAFETY: it is open, and the caller of the API keeps it open during the call.
    open.then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Removes the door. A number that is no handle of this process has no effect.
#[unsafe(no_mangle)]
pub extern "C" fn stmfDestroyProxyDoor(hdl: c_int) {
    // Nothing can be told to the caller, not even that the call panicked.
    let _ = barrier!({
        client::destroy_proxy_door(hdl);
        Ok(())
    });
}

/// Hands a message of the peer to the service. The buffer is copied.
///
/// # Safety
/// `buf` is NULL or points to `buflen` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn stmfPostProxyMsg(hdl: c_int, buf: *mut c_void, buflen: u32) -> c_int {
    barrier!({
        let bytes = required(buf)?.cast::<u8>();
        // SAFETY: not NULL, and the caller's promise.
        let message = unsafe { std::slice::from_raw_parts(bytes, buflen as usize) };
        client::post_proxy_msg(hdl, message)
    })
}
