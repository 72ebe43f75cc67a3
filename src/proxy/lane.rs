use super::message::Integrity;
use super::outgoing::Outgoing;
use super::sealed::{Cipher, Keys};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, Shutdown, recv, sendmsg, shutdown};
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A look around during a long wait, milliseconds.
const LOOK: u16 = 1000;

/// Bytes received at once, at most.
const AT_ONCE: usize = 128 << 10;

/// A stream socket that carries messages both ways, framed as [`super::stream`] says: a way to the peer beside the door for
/// the daemon that installed the door (our `stmfproxy`). With keys of a TLS connection, the socket carries its records.
pub(super) struct Lane {
    socket: OwnedFd,
    records: Records,
    outgoing: Mutex<Outgoing>,
    /// The peer receives what goes through here from records of TLS, and knows that.
    sealed_there: AtomicBool,
}

/// How much of what was put into a lane has left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    Part,
    /// Although there was something.
    Nothing,
}

enum Records {
    /// None; where bytes are received.
    Plain(Mutex<Box<[u8]>>),
    Sealed(Box<Cipher>),
}

impl Lane {
    /// `InvalidInput`: not a stream socket; `InvalidData`: keys that no cipher suite of ours has.
    pub fn new(socket: OwnedFd, keys: Option<Keys>) -> io::Result<Lane> {
        use nix::sys::socket::{SockType, getsockopt, sockopt};
        match getsockopt(&socket, sockopt::SockType)? {
            SockType::Stream => Ok(Lane {
                socket,
                records: match keys {
                    None => Records::Plain(Mutex::new(vec![0; AT_ONCE].into())),
                    Some(keys) => Records::Sealed(Box::new(Cipher::new(keys)?)),
                },
                outgoing: Mutex::default(),
                sealed_there: AtomicBool::new(false),
            }),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// What keeps the messages from damage that are received here.
    pub fn integrity(&self) -> Integrity {
        match self.records {
            Records::Plain(_) => Integrity::Checksum,
            Records::Sealed(_) => Integrity::Records,
        }
    }

    /// What keeps the messages from damage that are sent here, all the way to who decodes them: behind the records of this
    /// side, the peer's `stmfproxy` may hand messages on one by one.
    pub fn integrity_there(&self) -> Integrity {
        match self.sealed_there.load(Ordering::Relaxed) {
            true => self.integrity(),
            false => Integrity::Checksum,
        }
    }

    /// The peer has told through this lane that records bring him what he takes out of it.
    pub fn set_sealed_there(&self) {
        self.sealed_there.store(true, Ordering::Relaxed);
    }

    /// Waits for bytes, or `WouldBlock`, and hands what they hold to `sink`, in pieces: all of it, or nothing if a record is not
    /// whole. `None` at the end; true when there may be more. One thread at a time.
    pub fn receive(&self, wait: bool, mut sink: impl FnMut(&[u8])) -> io::Result<Option<bool>> {
        let mut more = false;
        let mut receive = |room: &mut [u8]| {
            let count = self.receive_raw(room, wait)?;
            more = count == room.len();
            Ok(count)
        };
        let goes_on = match &self.records {
            Records::Plain(room) => {
                let mut room = room.lock();
                let count = receive(&mut room)?;
                sink(&room[..count]);
                count > 0
            }
            Records::Sealed(cipher) => cipher.receive(receive, sink).inspect_err(tell)?,
        };
        Ok(goes_on.then_some(more))
    }

    /// To be sent by the next [`Lane::send`]. An error: the lane is of no use any more.
    pub fn put(&self, data: Vec<u8>) -> io::Result<()> {
        let outgoing = &mut *self.outgoing.lock();
        match &self.records {
            Records::Plain(_) => outgoing.push(data),
            Records::Sealed(cipher) => cipher.seal(data, outgoing).inspect_err(tell)?,
        }
        Ok(())
    }

    /// Bytes that were put here and are not sent.
    pub fn left(&self) -> usize {
        let unsealed = match &self.records {
            Records::Plain(_) => 0,
            Records::Sealed(cipher) => cipher.unsealed(),
        };
        self.outgoing.lock().left() + unsealed
    }

    /// Sends what there is room for.
    pub fn send(&self) -> io::Result<Sent> {
        let outgoing = &mut *self.outgoing.lock();
        if let Records::Sealed(cipher) = &self.records {
            cipher.finish(outgoing).inspect_err(tell)?;
        }
        let before = outgoing.left();
        match outgoing.send(|slices| self.send_raw(slices)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(match outgoing.left() < before {
                true => Sent::Part,
                false => Sent::Nothing,
            }),
            other => other.map(|()| Sent::All),
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
