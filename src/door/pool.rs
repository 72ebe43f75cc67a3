//! A pool: channels of one door or of many, and the threads that wait for calls on them. Any free thread takes any call.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::channel::{self, Arrival, Body, Message};
use super::fork::{self, Private};
use super::frame::{INLINE_LIMIT, Kind, NO_RESULTS, UNREFERENCED};
use super::memory::Event;
use super::peer::Peer;
use super::sys::{self, Region};

/// The token of the bell; those of channels begin at 1.
const BELL: u64 = 0;

/// How long a thread waits on the channel of its last call.
pub const KEPT: Duration = Duration::from_millis(20);

/// Channels, and the threads that serve them.
pub struct Pool {
    set: Private,
    bell: Private,
    closed: AtomicBool,
    free: AtomicUsize,
    peers: Mutex<HashMap<u64, Arc<Peer>>>,
    /// Threads that were ever bound to it.
    joined: Mutex<usize>,
    someone_joined: Condvar,
}

/// A thread's memory for what it receives.
pub struct Worker {
    room: Vec<u8>,
    region: Option<Region>,
    /// The channel of the last call, on which the next one is expected.
    kept: Option<Arc<Peer>>,
}

/// A call that a thread took.
pub struct Taken {
    /// Where the answer goes.
    pub peer: Arc<Peer>,
    /// Flags of its frame.
    pub flags: u16,
    /// Its argument bytes, in the worker's memory.
    pub length: usize,
    /// Its descriptors.
    pub descriptors: Vec<OwnedFd>,
    /// The sending process with real ids.
    pub sender: Option<libc::ucred>,
    /// No other thread is free.
    pub depleted: bool,
}

impl Worker {
    /// Memory for one thread. Pages are not touched before they are needed.
    pub fn new() -> Worker {
        Worker {
            room: vec![0; INLINE_LIMIT],
            region: None,
            kept: None,
        }
    }

    /// Stands in for a worker that is in use.
    pub fn empty() -> Worker {
        Worker {
            room: Vec::new(),
            region: None,
            kept: None,
        }
    }

    /// This thread waits for a while for the next call on the channel of the last one, which saves giving it back and
    /// finding it again. Only for pools that grow: such a thread is not free for others.
    pub fn keep(&mut self, peer: Arc<Peer>) {
        self.kept = Some(peer);
    }

    /// True for bytes in this memory, which are known to be good.
    pub fn owns(&self, bytes: &[u8]) -> bool {
        let room = self.room.as_ptr_range();
        let given = bytes.as_ptr_range();
        room.start <= given.start && given.end <= room.end
    }

    /// The argument bytes of the call taken last.
    pub fn data(&mut self, taken: &Taken) -> &mut [u8] {
        match &mut self.region {
            Some(region) => &mut region.bytes()[..taken.length],
            None => &mut self.room[..taken.length],
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(peer) = self.kept.take()
            && let Some(taken) = take_kept(peer, self, Duration::ZERO)
        {
            taken.peer.fail(libc::EINTR);
        }
    }
}

impl Pool {
    /// A pool without channels and threads.
    pub fn new() -> io::Result<Pool> {
        let pool = Pool {
            set: fork::private(sys::epoll)?,
            bell: fork::private(sys::event)?,
            closed: AtomicBool::new(false),
            free: AtomicUsize::new(0),
            peers: Mutex::default(),
            joined: Mutex::new(0),
            someone_joined: Condvar::new(),
        };
        sys::watch(
            pool.set.as_fd(),
            libc::EPOLL_CTL_ADD,
            pool.bell.as_fd(),
            libc::EPOLLIN,
            BELL,
        )?;
        Ok(pool)
    }

    /// A thread is bound to the pool.
    pub fn join(&self) {
        *self.joined.lock() += 1;
        self.someone_joined.notify_all();
    }

    /// Waits until that many threads were bound to the pool.
    pub fn wait_joined(&self, threads: usize) {
        let mut joined = self.joined.lock();
        while *joined < threads {
            self.someone_joined.wait(&mut joined);
        }
    }

    /// Adds a channel.
    pub fn add(&self, peer: &Arc<Peer>) -> io::Result<()> {
        self.peers.lock().insert(peer.token, Arc::clone(peer));
        let events = libc::EPOLLIN | libc::EPOLLONESHOT;
        let added = sys::watch(
            self.set.as_fd(),
            libc::EPOLL_CTL_ADD,
            peer.socket.as_fd(),
            events,
            peer.token,
        );
        if added.is_err() {
            self.peers.lock().remove(&peer.token);
        }
        added
    }

    /// Takes a channel out.
    pub fn remove(&self, peer: &Peer) {
        if self.peers.lock().remove(&peer.token).is_some() {
            let _ = sys::watch(
                self.set.as_fd(),
                libc::EPOLL_CTL_DEL,
                peer.socket.as_fd(),
                0,
                peer.token,
            );
        }
    }

    /// The channel may be given to a thread again.
    pub fn await_next(&self, peer: &Peer) {
        let events = libc::EPOLLIN | libc::EPOLLONESHOT;
        // It fails when the channel was taken out meanwhile.
        let _ = sys::watch(
            self.set.as_fd(),
            libc::EPOLL_CTL_MOD,
            peer.socket.as_fd(),
            events,
            peer.token,
        );
    }

    /// Sends all waiting threads away, and each other one when it comes back.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        sys::raise(self.bell.as_fd());
    }

    /// True after [`Pool::close`].
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits for the next call. `None`: the pool is closed.
    pub fn next(&self, worker: &mut Worker) -> Option<Taken> {
        worker.region = None;
        if let Some(peer) = worker.kept.take() {
            // Another thread must be free for the other channels meanwhile.
            let others = self.free.load(Ordering::Acquire) > 0;
            if let Some(taken) = take_kept(peer, worker, if others { KEPT } else { Duration::ZERO }) {
                return Some(taken);
            }
        }
        self.free.fetch_add(1, Ordering::AcqRel);
        let mut taken = loop {
            if self.is_closed() {
                break None;
            }
            let Ok((token, _)) = sys::wait(self.set.as_fd()) else {
                break None;
            };
            let Some(peer) = self.peers.lock().get(&token).cloned() else {
                continue;
            };
            if let Some(taken) = take(peer, worker, libc::MSG_DONTWAIT) {
                break Some(taken);
            }
        };
        let last = self.free.fetch_sub(1, Ordering::AcqRel) == 1;
        if let Some(taken) = &mut taken {
            taken.depleted = last;
        }
        taken
    }
}

/// Takes the next call on the channel of the last one if it comes soon. `None` as for [`take`].
fn take_kept(peer: Arc<Peer>, worker: &mut Worker, patience: Duration) -> Option<Taken> {
    let event = peer
        .memory
        .as_ref()
        .map_or(Event::Packet, |memory| memory.await_call(patience));
    match event {
        Event::Call { flags, length } => take_from_memory(peer, worker, flags, length),
        Event::Packet if !patience.is_zero() => take(peer, worker, 0),
        Event::Packet | Event::Nothing => {
            peer.door.pool().await_next(&peer);
            None
        }
    }
}

fn take_from_memory(peer: Arc<Peer>, worker: &mut Worker, flags: u32, length: usize) -> Option<Taken> {
    let flags = u16::try_from(flags).ok().filter(|flags| flags & !NO_RESULTS == 0);
    let (Some(memory), Some(flags)) = (&peer.memory, flags) else {
        peer.door.forget_peer(&peer);
        return None;
    };
    memory.read(&mut worker.room[..length], 0);
    let outcome = peer
        .begin(None, true)
        .and_then(|sender| peer.door.admit(length, 0).map(|()| sender));
    match outcome {
        Ok(sender) => Some(Taken {
            peer,
            flags,
            length,
            descriptors: Vec::new(),
            sender,
            depleted: false,
        }),
        Err(status) => {
            peer.fail(status);
            None
        }
    }
}

/// Receives what is there, or comes within [`KEPT`]. `None`: no call came of it, and the channel was put back, or ended.
fn take(peer: Arc<Peer>, worker: &mut Worker, flags: libc::c_int) -> Option<Taken> {
    let mut ahead = peer.ahead.lock();
    let message = loop {
        match channel::receive(peer.socket.as_fd(), &mut worker.room, &mut [], &mut ahead, flags) {
            Ok(Arrival::Message(message)) => break message,
            Ok(Arrival::Piece) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                peer.door.pool().await_next(&peer);
                return None;
            }
            Ok(Arrival::End) | Err(_) => {
                peer.door.forget_peer(&peer);
                return None;
            }
        }
    };
    drop(ahead);
    if !speaks_the_truth(&peer, &message) {
        peer.door.forget_peer(&peer);
        return None;
    }
    if let Err(status) = peer.begin(message.sender, false) {
        peer.fail(status);
        return None;
    }
    let Message {
        frame,
        body,
        descriptors,
        descriptors_lost,
        sender,
    } = message;
    // Bounded when the frame was decoded.
    let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
    let mut admitted = if frame.flags & UNREFERENCED != 0 {
        Ok(())
    } else {
        peer.door.admit(length, descriptors.len())
    };
    if descriptors_lost {
        admitted = Err(libc::EMFILE);
    }
    if let (Ok(()), Body::File(file)) = (admitted, &body) {
        admitted = Region::map(length)
            .and_then(|mut region| {
                sys::read_at(file.as_fd(), &mut region.bytes()[..length], 0)?;
                worker.region = Some(region);
                Ok(())
            })
            .map_err(|error| {
                if sys::number(&error) == libc::ENOMEM {
                    libc::E2BIG
                } else {
                    sys::number(&error)
                }
            });
    }
    match admitted {
        Ok(()) => Some(Taken {
            peer,
            flags: frame.flags,
            length,
            descriptors,
            sender,
            depleted: false,
        }),
        Err(status) => {
            // What was passed for release is closed before the caller learns of the failure.
            drop(descriptors);
            peer.fail(status);
            None
        }
    }
}

/// Only calls, only from the process that made the channel, and notices only from ourselves.
fn speaks_the_truth(peer: &Peer, message: &Message) -> bool {
    let sender = message.sender.map(|sender| sender.pid);
    message.frame.kind == Kind::Call
        && (message.frame.flags & UNREFERENCED == 0 || peer.internal)
        && (peer.internal || sender == Some(peer.maker.pid))
}
