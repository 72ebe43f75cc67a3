//! Solaris doors on Linux: create, call, return, revoke, info, credentials, descriptor passing, fattach
//! (`c-clients.md` chapter 6). This module is the Rust face; the C face (`door_create`, …) is in its `capi`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// Identity of the immediate caller, from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// One call as the server sees it.
pub struct Call<'a> {
    /// The argument bytes.
    pub data: &'a [u8],
    /// Descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
    /// Who calls.
    pub caller: Credentials,
}

/// What a server answers.
#[derive(Default)]
pub struct Reply {
    /// Result bytes, any length.
    pub data: Vec<u8>,
    /// Descriptors for the caller.
    pub descriptors: Vec<OwnedFd>,
}

/// A door served by this process with a Rust closure; calls run concurrently on a pool that grows as needed. Revoked when
/// dropped.
pub struct Server {}

#[allow(unused_variables)]
impl Server {
    /// `door_create` with attributes (0, or `DOOR_REFUSE_DESC` | `DOOR_NO_CANCEL` | …).
    pub fn create(
        attributes: u32,
        procedure: impl Fn(Call<'_>) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        todo!()
    }
    /// The door descriptor.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        todo!()
    }
    /// `fattach`: [`open`] of the path yields the door. The socket at the path has this mode. A stale socket of a dead
    /// server is replaced; a living one is `EBUSY`.
    pub fn attach(&self, path: &Path, mode: u32) -> io::Result<()> {
        todo!()
    }
    /// `door_revoke`: calls in progress finish, later ones fail with `EBADF`.
    pub fn revoke(&self) {
        todo!()
    }
}

/// Opens the door attached to a path: `ENOENT` no such path, `ECONNREFUSED` nobody serves it.
#[allow(unused_variables)]
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    todo!()
}

/// True when the descriptor is a door.
#[allow(unused_variables)]
pub fn is_door(descriptor: BorrowedFd<'_>) -> bool {
    todo!()
}

/// `door_call`. Errors as in `c-clients.md` chapter 6: `EBADF` revoked or server gone, `EINTR` server thread ended in
/// mid-call, `EAGAIN` no server thread.
#[allow(unused_variables)]
pub fn call(door: BorrowedFd<'_>, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<Reply> {
    todo!()
}
