//! What this process serves: its doors, and the one thread that answers what is sent to a door itself (new callers,
//! openers of a path, questions) and notices who went away. That thread never runs a server procedure, so a door answers
//! even when each of its server threads is busy.
//!
//! Nothing here exists before the first door. A child starts with nothing: the state of its parent is left alone, since
//! threads that are gone may hold its locks.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use super::fork::{self, Private};
use super::frame::Request;
use super::peer::Peer;
use super::pool::Pool;
use super::served::Door;
use super::sys;

/// How long the thread rests when this process has no descriptor left for a new connection.
const REST_WHEN_FULL: Duration = Duration::from_millis(20);

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());
static TOKENS: AtomicU64 = AtomicU64::new(1);

/// What the control thread watches.
#[derive(Clone)]
pub enum Source {
    /// A socket that stands for the door.
    Endpoint(Arc<Door>),
    /// A listening socket at a path.
    Listener(Arc<Door>),
    /// A private channel; only its end is of interest.
    Peer(Arc<Peer>),
}

/// The doors of this process.
pub struct Process {
    set: Private,
    sources: Mutex<HashMap<u64, Source>>,
    doors: Mutex<HashMap<u64, Arc<Door>>>,
    started: Mutex<bool>,
    /// Serves all C doors that are not private.
    shared: OnceLock<Arc<Pool>>,
    has_shared: AtomicBool,
}

/// The state of this process, made on first use.
pub fn process() -> io::Result<&'static Process> {
    if let Some(process) = existing() {
        return Ok(process);
    }
    let made = Box::into_raw(Box::new(Process {
        set: fork::private(sys::epoll)?,
        sources: Mutex::default(),
        doors: Mutex::default(),
        started: Mutex::new(false),
        shared: OnceLock::new(),
        has_shared: AtomicBool::new(false),
    }));
    if PROCESS
        .compare_exchange(null_mut(), made, Ordering::AcqRel, Ordering::Acquire)
        .is_err()
    {
        // SAFETY: made above and never shown to anybody.
        drop(unsafe { Box::from_raw(made) });
    }
    existing().ok_or_else(|| sys::error(libc::EAGAIN))
}

/// The state of this process, if it ever made a door.
pub fn existing() -> Option<&'static Process> {
    // SAFETY: the pointer is null or comes from `Box::into_raw` and is never freed.
    unsafe { PROCESS.load(Ordering::Acquire).as_ref() }
}

/// In a child: nothing is served.
pub fn forget() {
    PROCESS.store(null_mut(), Ordering::Release);
}

/// A number for the next thing that is watched; never used twice.
pub fn token() -> u64 {
    TOKENS.fetch_add(1, Ordering::Relaxed)
}

impl Process {
    /// Adds a door.
    pub fn enter(&'static self, door: &Arc<Door>) -> io::Result<()> {
        let mut started = self.started.lock();
        if !*started {
            let thread = std::thread::Builder::new().name("door-control".into());
            sys::with_signals_blocked(|| thread.spawn(|| self.control()))?;
            *started = true;
        }
        self.doors.lock().insert(door.id(), Arc::clone(door));
        Ok(())
    }

    /// Takes a door out.
    pub fn leave(&self, door: u64) {
        self.doors.lock().remove(&door);
    }

    /// The door with this number.
    pub fn door(&self, door: u64) -> Option<Arc<Door>> {
        self.doors.lock().get(&door).cloned()
    }

    /// The pool of all C doors that are not private.
    pub fn shared_pool(&self) -> io::Result<Arc<Pool>> {
        if let Some(pool) = self.shared.get() {
            return Ok(Arc::clone(pool));
        }
        let made = Arc::new(Pool::new()?);
        Ok(Arc::clone(self.shared.get_or_init(|| made)))
    }

    /// True for the first door of the shared pool.
    pub fn first_shared(&self) -> bool {
        !self.has_shared.swap(true, Ordering::AcqRel)
    }

    /// Watches a descriptor on behalf of `source`.
    pub fn watch(&self, token: u64, descriptor: BorrowedFd<'_>, events: i32, source: Source) -> io::Result<()> {
        self.sources.lock().insert(token, source);
        let watched = sys::watch(self.set.as_fd(), libc::EPOLL_CTL_ADD, descriptor, events, token);
        if watched.is_err() {
            self.sources.lock().remove(&token);
        }
        watched
    }

    /// Ends [`Process::watch`]. By word, since a stranger may hold a copy of the socket, and then closing does not end it.
    pub fn unwatch(&self, token: u64, descriptor: BorrowedFd<'_>) {
        if self.sources.lock().remove(&token).is_some() {
            let _ = sys::watch(self.set.as_fd(), libc::EPOLL_CTL_DEL, descriptor, 0, token);
        }
    }

    /// The control thread.
    fn control(&self) {
        loop {
            let Ok((token, _)) = sys::wait(self.set.as_fd()) else {
                return;
            };
            let Some(source) = self.sources.lock().get(&token).cloned() else {
                continue;
            };
            match source {
                Source::Endpoint(door) => endpoint_event(&door, token),
                Source::Listener(door) => listener_event(&door, token),
                Source::Peer(peer) => peer.hung_up(),
            }
        }
    }
}

/// A request came to the door itself, or its last descriptor for this endpoint is closed.
fn endpoint_event(door: &Arc<Door>, token: u64) {
    let Some(endpoint) = door.socket(token) else { return };
    let mut byte = [0; 2];
    let mut descriptors = Vec::new();
    let mut guard = fork::hold();
    let received = sys::receive(
        endpoint.as_fd(),
        [&mut byte, &mut [], &mut []],
        &mut descriptors,
        libc::MSG_DONTWAIT,
    );
    // No more than two are of use; one that a stranger added is closed.
    let mut descriptors = descriptors.into_iter();
    let [passed, more] = [descriptors.next(), descriptors.next()].map(|one| one.map(|one| guard.adopt(one)));
    drop(guard);
    let received = match received {
        Ok(received) => received,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
        Err(_) => return door.reference_gone(token),
    };
    if received.length == 0 && received.credentials.is_none() {
        return door.reference_gone(token);
    }
    // What is not understood is dropped: the sender sees its end closed.
    let request = byte.get(..received.length).and_then(Request::decode);
    match (request, passed) {
        (Some(Request::Channel), Some(socket)) => door.add_peer(token, socket, more),
        (Some(Request::Endpoint), Some(socket)) => door.add_endpoint(socket, None),
        (Some(Request::Listener), Some(socket)) => door.add_listener(socket),
        (Some(Request::Query), Some(socket)) => {
            let description = door.describe().encode();
            let _ = sys::send(socket.as_fd(), [&description], &[], libc::MSG_DONTWAIT);
        }
        (Some(Request::Detach), _) => door.detach(token),
        _ => {}
    }
}

/// Somebody opens the path: he gets an endpoint of his own, and the connection has done its work.
fn listener_event(door: &Arc<Door>, token: u64) {
    let Some(listener) = door.socket(token) else { return };
    match fork::private(|| sys::accept(listener.as_fd())) {
        Ok(connection) => {
            if let Err(error) = door.hand_out(connection.as_fd(), token) {
                log::warn!("door {}: an opener got no descriptor: {error}", door.id());
            }
        }
        Err(error) => match sys::number(&error) {
            libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS => std::thread::sleep(REST_WHEN_FULL),
            libc::EAGAIN | libc::EINTR | libc::ECONNABORTED => {}
            _ => door.reference_gone(token),
        },
    }
}
