use super::sealed::{Cipher, Keys};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, Shutdown, recv, sendmsg, shutdown};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// A look around during a long wait, milliseconds.
const LOOK: u16 = 1000;

/// A stream socket that carries messages both ways, framed as [`super::stream`] says: a way to the peer beside the door for
/// the daemon that installed the door (our `stmfproxy`). With keys of a TLS connection, the socket carries its records.
pub(super) struct Lane {
    socket: OwnedFd,
    cipher: Option<Cipher>,
}

impl Lane {
    /// `InvalidInput`: not a stream socket; `InvalidData`: keys that no cipher suite of ours has.
    pub fn new(socket: OwnedFd, keys: Option<Keys>) -> io::Result<Lane> {
        use nix::sys::socket::{SockType, getsockopt, sockopt};
        match getsockopt(&socket, sockopt::SockType)? {
            SockType::Stream => Ok(Lane {
                socket,
                cipher: keys.map(Cipher::new).transpose()?,
            }),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Waits for bytes, or `WouldBlock`; 0 at the end. One thread at a time. When the room was not filled, what comes next shows
    /// in the descriptor.
    pub fn receive(&self, room: &mut [u8], wait: bool) -> io::Result<usize> {
        let Some(cipher) = &self.cipher else {
            return self.receive_raw(room, wait);
        };
        loop {
            let received = cipher.receive(room, |room| self.receive_raw(room, wait));
            if let Some(count) = received.inspect_err(tell)? {
                return Ok(count);
            }
        }
    }

    /// Sends what there is room for; `WouldBlock` when there is none. The next pieces must begin with what was not sent: it may
    /// be sealed already.
    pub fn send(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match &self.cipher {
            None => self.send_raw(pieces),
            Some(cipher) => cipher.send(pieces, |records| self.send_raw(records)).inspect_err(tell),
        }
    }

    fn receive_raw(&self, room: &mut [u8], wait: bool) -> io::Result<usize> {
        let flags = match wait {
            true => MsgFlags::empty(),
            false => MsgFlags::MSG_DONTWAIT,
        };
        loop {
            match recv(self.socket.as_raw_fd(), room, flags) {
                Err(nix::Error::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn send_raw(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let nothing: [ControlMessage<'_>; 0] = [];
        loop {
            match sendmsg::<()>(self.socket.as_raw_fd(), pieces, &nothing, flags, None) {
                Err(nix::Error::EINTR) => {}
                other => return Ok(other?),
            }
        }
    }

    /// Waits until there is room, or a while.
    pub fn wait_for_room(&self) {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        // Whatever went wrong, the next attempt to send tells.
        let _ = poll(&mut fds, PollTimeout::from(LOOK));
    }

    /// Readable when there is something to receive.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Ends it for both sides, here and at the other end.
    pub fn close(&self) {
        // Fails only when it has ended already.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }
}

/// Once for a connection: it has ended with this.
fn tell(error: &io::Error) {
    if error.kind() == io::ErrorKind::InvalidData {
        log::warn!("pppt: the stream to the peer is given up: {error}");
    }
}
