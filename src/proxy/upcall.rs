use crate::door;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The way to the peer: a door, or something that stands for one in a test.
pub trait Upcall: Send + Sync {
    /// Carries one message. `Ok` is the server's result: 0 success. Errors as of `door_call`: `EAGAIN` no server thread,
    /// `EBADF` server gone or door revoked.
    fn call(&self, message: &[u8]) -> io::Result<u32>;
}

/// A door (`alua-proxy.md` 2.2).
pub(super) struct DoorUpcall(pub OwnedFd);

impl Upcall for DoorUpcall {
    fn call(&self, message: &[u8]) -> io::Result<u32> {
        let reply = door::call(self.0.as_fd(), message, &[])?;
        match <[u8; 4]>::try_from(reply.data.as_slice()) {
            // Host byte order: both ends are on this host.
            Ok(result) => Ok(u32::from_ne_bytes(result)),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the door answered with {} bytes instead of 4", reply.data.len()),
            )),
        }
    }
}
