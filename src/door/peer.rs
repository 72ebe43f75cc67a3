//! A calling thread as the server sees it: the server's end of its private channel.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::channel::{self, Ahead};
use super::fork::Private;
use super::frame::{Frame, INLINE_LIMIT};
use super::memory::Memory;
use super::served::Door;
use super::{Credentials, pages, sys};

/// The server's end of a private channel.
pub struct Peer {
    /// Its number among the watched things.
    pub token: u64,
    /// The endpoint through which it came.
    pub endpoint: u64,
    /// Its socket.
    pub socket: Private,
    /// Its memory.
    pub memory: Option<Memory>,
    /// The door that is called through it.
    pub door: Arc<Door>,
    /// Who made the channel, effective ids.
    pub maker: Credentials,
    /// The process' own channel for notices.
    pub internal: bool,
    /// Descriptors that came ahead of their message.
    pub ahead: Mutex<Ahead>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// A call was taken and is not answered.
    in_call: bool,
    /// It came through the memory.
    in_memory: bool,
    /// Who sent the last packet, real ids. A caller whose ids change makes a new channel, of which the first call is a packet.
    sender: Option<libc::ucred>,
    /// The thread in the server procedure, when it may be told that nobody waits for it any more.
    running: Option<libc::pthread_t>,
    /// It was told so.
    told: bool,
    /// Nothing is taken from the channel any more.
    ended: bool,
}

/// What goes to a caller.
#[derive(Default)]
pub struct Results<'a> {
    /// Result bytes.
    pub data: &'a [u8],
    /// Descriptors to pass.
    pub descriptors: &'a [RawFd],
    /// Nothing is known of the bytes but their address: the kernel is to look at them first.
    pub doubtful: bool,
}

impl Peer {
    /// A new channel.
    pub fn new(
        token: u64,
        endpoint: u64,
        socket: Private,
        memory: Option<Memory>,
        door: Arc<Door>,
        maker: Credentials,
        internal: bool,
    ) -> Peer {
        Peer {
            token,
            endpoint,
            socket,
            memory,
            door,
            maker,
            internal,
            ahead: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// The calling thread takes a call: a packet of this sender, or one that lies in the memory. Gives its sender. `EBADF`:
    /// the door was revoked meanwhile.
    pub fn begin(&self, packet: Option<libc::ucred>, in_memory: bool) -> Result<Option<libc::ucred>, i32> {
        let mut state = self.state.lock();
        state.in_call = !state.ended;
        state.in_memory = in_memory;
        if !in_memory {
            state.sender = packet;
        }
        if state.in_call {
            Ok(state.sender)
        } else {
            Err(libc::EBADF)
        }
    }

    /// From now on this thread is told when the caller gives up.
    pub fn set_running(&self, thread: libc::pthread_t) {
        let mut state = self.state.lock();
        state.running = Some(thread);
        state.told = false;
    }

    /// No more. To be called before the reply, with which a caller may go away contented. True: the thread was told.
    pub fn stop_running(&self) -> bool {
        let mut state = self.state.lock();
        state.running = None;
        std::mem::take(&mut state.told)
    }

    /// Answers the call in progress. Results for a caller that has gone are dropped silently. An error leaves the call in
    /// progress, so that something else can be answered.
    ///
    /// With `keep` the thread waits on this channel itself, if the result is true; else any thread may take the next call.
    pub fn reply(&self, frame: Frame, results: &Results<'_>, keep: bool) -> io::Result<bool> {
        let mut state = self.state.lock();
        let keep = keep && !state.ended;
        if !self.internal {
            match self.answer(frame, results, state.in_memory, keep) {
                Ok(()) => {}
                Err(error) => match sys::number(&error) {
                    libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::EAGAIN => state.ended = true,
                    _ => return Err(error),
                },
            }
        }
        state.in_call = false;
        let over = state.ended;
        drop(state);
        if over {
            self.refuse();
        } else if !keep {
            self.door.pool().await_next(self);
        }
        Ok(keep && !over)
    }

    /// Brings an answer to the caller, to where he waits. With `keep` his next call finds a thread at the memory, so it is
    /// offered before he can make one.
    fn answer(&self, frame: Frame, results: &Results<'_>, in_memory: bool, keep: bool) -> io::Result<()> {
        let Results {
            data,
            descriptors,
            doubtful,
        } = *results;
        let send = || channel::send(self.socket.as_fd(), frame, data, descriptors, libc::MSG_DONTWAIT);
        match &self.memory {
            Some(memory) if in_memory => {
                let fits =
                    descriptors.is_empty() && data.len() <= INLINE_LIMIT && (!doubtful || pages::is_readable(data));
                if !fits || !memory.reply(frame.status, data, keep) {
                    send()?;
                    memory.replied_at_socket(keep);
                }
                Ok(())
            }
            Some(memory) if keep => {
                memory.offer();
                send().inspect_err(|_| memory.withdraw())
            }
            _ => send(),
        }
    }

    /// Answers the call in progress with results, and keeps the channel as [`Peer::reply`] does.
    pub fn reply_with(&self, data: &[u8], descriptors: &[OwnedFd]) -> io::Result<bool> {
        let numbers: Vec<RawFd> = descriptors.iter().map(|descriptor| descriptor.as_raw_fd()).collect();
        let results = Results {
            data,
            descriptors: &numbers,
            doubtful: false,
        };
        self.reply(Frame::answer(0), &results, true)
    }

    /// Answers the call in progress with an error number.
    pub fn fail(&self, status: i32) {
        if let Err(error) = self.reply(Frame::answer(status), &Results::default(), false) {
            log::warn!("door {}: an answer could not be sent: {error}", self.door.id());
            self.state.lock().ended = true;
            self.door.forget_peer(self);
        }
    }

    /// The door is revoked, or its descriptor closed: nothing more is taken. A call in progress finishes; a caller that
    /// waits for a thread gets `EBADF`.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        if state.in_call {
            return;
        }
        drop(state);
        self.refuse();
    }

    /// Ends the channel. A caller who has sent one more call meanwhile learns that it was not taken.
    fn refuse(&self) {
        if !self.internal {
            let refusal = Frame::answer(libc::EBADF);
            // When this does not go out the caller sees the end of the channel, and then that of the door.
            let _ = channel::send(self.socket.as_fd(), refusal, &[], &[], libc::MSG_DONTWAIT);
        }
        self.door.forget_peer(self);
    }

    /// The caller's end is closed.
    pub fn hung_up(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        let busy = state.in_call;
        if let Some(thread) = state.running.take() {
            // Under the lock: the thread takes itself out before it answers or ends.
            sys::cancel(thread);
            state.told = true;
        }
        drop(state);
        if !busy {
            self.door.forget_peer(self);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::channel::Arrival;
    use super::super::frame::{Kind, Request};
    use super::super::{Reply, Server, attribute, caller, fork};
    use super::*;
    use std::sync::{Barrier, mpsc};

    fn status(arrival: Arrival) -> u32 {
        match arrival {
            Arrival::Message(message) => message.frame.status,
            _ => panic!("the channel has ended without a word"),
        }
    }

    /// The server revokes between its reply and the end of its turn; the contented caller has called again by then.
    #[test]
    fn a_call_that_a_revoked_door_did_not_take_is_refused() {
        let (started, start) = mpsc::channel();
        let barrier = Arc::new(Barrier::new(2));
        let inside = Arc::clone(&barrier);
        let server = Server::create(attribute::NO_CANCEL, move |_| {
            started.send(()).unwrap();
            inside.wait();
            Reply {
                data: Vec::new(),
                descriptors: Vec::new(),
            }
        })
        .unwrap();
        let (mine, theirs) = fork::private_pair().unwrap();
        sys::want_credentials(theirs.as_fd()).unwrap();
        caller::request(server.descriptor(), Request::Channel, theirs.as_fd()).unwrap();
        let call = Frame {
            kind: Kind::Call,
            ..Frame::answer(0)
        };
        channel::send(mine.as_fd(), call, &[], &[], 0).unwrap();
        start.recv().unwrap();
        channel::send(mine.as_fd(), call, &[], &[], 0).unwrap();
        server.revoke();
        barrier.wait();
        let mut room = vec![0; INLINE_LIMIT];
        let mut next = || channel::receive(mine.as_fd(), &mut room, &mut [], &mut Ahead::default(), 0).unwrap();
        assert_eq!(status(next()), 0);
        assert_eq!(status(next()), libc::EBADF.unsigned_abs());
    }
}
