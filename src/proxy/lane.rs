use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, Shutdown, recv, sendmsg, shutdown};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A look around during a long wait, milliseconds.
const LOOK: u16 = 1000;

/// A stream socket that carries messages both ways, framed as [`super::stream`] says: a way to the peer beside the door for
/// the daemon that installed the door (our `stmfproxy`).
pub(super) struct Lane(OwnedFd);

impl Lane {
    /// `InvalidInput`: not a stream socket.
    pub fn new(socket: OwnedFd) -> io::Result<Lane> {
        use nix::sys::socket::{SockType, getsockopt, sockopt};
        match getsockopt(&socket, sockopt::SockType)? {
            SockType::Stream => Ok(Lane(socket)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Waits for bytes, or `WouldBlock`; 0 at the end.
    pub fn receive(&self, room: &mut [u8], wait: bool) -> io::Result<usize> {
        let flags = match wait {
            true => MsgFlags::empty(),
            false => MsgFlags::MSG_DONTWAIT,
        };
        loop {
            match recv(self.0.as_raw_fd(), room, flags) {
                Err(nix::Error::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Sends what there is room for; `WouldBlock` when there is none.
    pub fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let nothing: [ControlMessage<'_>; 0] = [];
        loop {
            match sendmsg::<()>(self.0.as_raw_fd(), pieces, &nothing, flags, None) {
                Err(nix::Error::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Waits until there is room, or a while.
    pub fn wait_for_room(&self) {
        let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLOUT)];
        // Whatever went wrong, the next attempt to send tells.
        let _ = poll(&mut fds, PollTimeout::from(LOOK));
    }

    /// Readable when there is something to receive.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Ends it for both sides, here and at the other end.
    pub fn close(&self) {
        // Fails only when it has ended already.
        let _ = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }
}
