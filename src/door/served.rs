//! A door that this process serves.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;

use super::attribute;
use super::channel;
use super::fork::{self, Private};
use super::frame::{DESCRIPTOR_LIMIT, Description, Frame, Kind, UNREFERENCED};
use super::label::Label;
use super::memory::Memory;
use super::peer::Peer;
use super::pool::{self, Pool};
use super::process::{self, Source, process};
use super::thread::Creation;
use super::{Call, Credentials, Reply, sys};

/// A server procedure in Rust.
pub type Closure = Box<dyn Fn(Call<'_>) -> Reply + Send + Sync>;

/// What a door runs.
pub enum Procedure {
    /// A C function and its cookie, as numbers: only the C face can call it.
    Native {
        /// Address of the function.
        function: usize,
        /// Its first argument.
        cookie: usize,
        /// How its threads are made, if `door_xcreate` made it.
        creation: Option<Creation>,
    },
    /// A closure of the Rust face.
    Rust(Closure),
}

/// The limits that `door_setparam` changes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest number of descriptors of a call.
    pub descriptors_max: u64,
    /// Largest number of argument bytes.
    pub data_max: u64,
    /// Smallest number of argument bytes.
    pub data_min: u64,
}

/// A door.
pub struct Door {
    id: u64,
    attributes: u32,
    procedure: Procedure,
    pool: Arc<Pool>,
    state: Mutex<State>,
}

struct State {
    revoked: bool,
    /// What leads to the door: sockets handed out, listeners at paths.
    references: HashMap<u64, Reference>,
    peers: HashMap<u64, Arc<Peer>>,
    limits: Limits,
    /// The process' own end of the channel for notices, made with the first one.
    notices: Option<Private>,
    noticed: bool,
}

struct Reference {
    socket: Arc<Private>,
    /// The listener through which it was opened.
    via: Option<u64>,
}

impl Door {
    /// Makes a door whose calls are served from `pool`; gives it and the descriptor for callers.
    pub fn create(attributes: u32, procedure: Procedure, pool: Arc<Pool>) -> io::Result<(Arc<Door>, OwnedFd)> {
        let process = process()?;
        let mut guard = fork::hold();
        let (handle, served) = sys::pair()?;
        let served = guard.adopt(served);
        drop(guard);
        let id = sys::cookie(served.as_fd())?;
        let label = Label {
            pid: sys::process_id(),
            door: id,
            attributes,
            socket: id,
        };
        label_socket(served.as_fd(), label)?;
        let descriptors_max = if attributes & attribute::REFUSE_DESC != 0 {
            0
        } else {
            i32::MAX as u64
        };
        let door = Arc::new(Door {
            id,
            attributes,
            procedure,
            pool,
            state: Mutex::new(State {
                revoked: false,
                references: HashMap::new(),
                peers: HashMap::new(),
                limits: Limits {
                    descriptors_max,
                    data_max: u64::MAX,
                    data_min: 0,
                },
                notices: None,
                noticed: false,
            }),
        });
        process.enter(&door)?;
        if let Err(error) = door.add_reference(served, None, Source::Endpoint(Arc::clone(&door))) {
            process.leave(id);
            return Err(error);
        }
        Ok((door, handle))
    }

    /// Its number, unique on the system.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Attributes at creation.
    pub fn attributes(&self) -> u32 {
        self.attributes
    }

    /// What it runs.
    pub fn procedure(&self) -> &Procedure {
        &self.procedure
    }

    /// The pool that serves it.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// True after `door_revoke`, and when nothing leads to the door any more.
    pub fn is_revoked(&self) -> bool {
        self.state.lock().revoked
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.state.lock().limits
    }

    /// Changes the limits; `change` says what, or the error number.
    pub fn change_limits(&self, change: impl FnOnce(&mut Limits) -> Result<(), i32>) -> Result<(), i32> {
        let mut state = self.state.lock();
        let mut limits = state.limits;
        change(&mut limits)?;
        state.limits = limits;
        Ok(())
    }

    /// Whether a call with so many bytes and descriptors may come in, or the error number for its caller.
    pub fn admit(&self, length: usize, descriptors: usize) -> Result<(), i32> {
        let limits = self.limits();
        if !(limits.data_min..=limits.data_max).contains(&(length as u64)) {
            return Err(libc::ENOBUFS);
        }
        if descriptors > 0 && self.attributes & attribute::REFUSE_DESC != 0 {
            return Err(libc::ENOTSUP);
        }
        if descriptors as u64 > limits.descriptors_max {
            return Err(libc::ENFILE);
        }
        debug_assert!(descriptors <= DESCRIPTOR_LIMIT, "bounded when it was received");
        Ok(())
    }

    /// What `door_info` and `door_getparam` tell.
    pub fn describe(&self) -> Description {
        let state = self.state.lock();
        let mut attributes = self.attributes;
        if state.revoked {
            attributes |= attribute::REVOKED;
        }
        if self.notifies() && state.references.len() <= 1 {
            attributes |= attribute::IS_UNREF;
        }
        let (procedure, cookie) = match &self.procedure {
            Procedure::Native { function, cookie, .. } => (*function as u64, *cookie as u64),
            Procedure::Rust(_) => (0, 0),
        };
        let Limits {
            descriptors_max,
            data_max,
            data_min,
        } = state.limits;
        Description {
            attributes,
            procedure,
            cookie,
            descriptors_max,
            data_max,
            data_min,
        }
    }

    /// Ends the door: calls in progress finish, whoever waits or comes later gets `EBADF`.
    pub fn revoke(&self) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.revoked, true) {
            return;
        }
        let references = std::mem::take(&mut state.references);
        let peers: Vec<_> = state.peers.values().cloned().collect();
        let notices = state.notices.take();
        drop(state);
        // The door first, so that who sees his channel end finds the door ended too.
        for (token, reference) in references {
            drop_reference(token, &reference);
        }
        for peer in peers {
            peer.close();
        }
        drop(notices);
        if let Some(process) = process::existing() {
            process.leave(self.id);
        }
        if self.attributes & attribute::PRIVATE != 0 {
            self.pool.close();
        }
    }

    /// The socket of an endpoint or listener.
    pub fn socket(&self, token: u64) -> Option<Arc<Private>> {
        self.state
            .lock()
            .references
            .get(&token)
            .map(|reference| Arc::clone(&reference.socket))
    }

    /// One more socket stands for the door.
    pub fn add_endpoint(self: &Arc<Door>, socket: Private, via: Option<u64>) {
        if sys::is_packet_socket(socket.as_fd()) {
            self.note(self.add_reference(socket, via, Source::Endpoint(Arc::clone(self))));
        }
    }

    /// The door is attached to the path of a listening socket.
    pub fn add_listener(self: &Arc<Door>, socket: Private) {
        if sys::is_packet_socket(socket.as_fd()) && sys::is_listening(socket.as_fd()) {
            self.note(self.add_reference(socket, None, Source::Listener(Arc::clone(self))));
        }
    }

    /// Gives an endpoint to who opened the path of `listener`.
    pub fn hand_out(self: &Arc<Door>, connection: BorrowedFd<'_>, listener: u64) -> io::Result<()> {
        let label = Label {
            pid: sys::process_id(),
            door: self.id,
            attributes: self.attributes,
            socket: 0,
        };
        let (theirs, ours) = labelled_pair(label)?;
        self.add_reference(ours, Some(listener), Source::Endpoint(Arc::clone(self)))?;
        sys::send(connection, [b"C"], &[theirs.as_fd().as_raw_fd()], libc::MSG_DONTWAIT).map(drop)
    }

    /// A new caller came through `endpoint`.
    pub fn add_peer(self: &Arc<Door>, endpoint: u64, socket: Private, memory: Option<Private>) {
        // Without it, or when it cannot be mapped, each call comes as a packet.
        let memory = memory.and_then(|file| Memory::open(file.as_fd()).ok());
        self.note(self.try_add_peer(endpoint, socket, memory, false));
    }

    fn try_add_peer(
        self: &Arc<Door>,
        endpoint: u64,
        socket: Private,
        memory: Option<Memory>,
        internal: bool,
    ) -> io::Result<()> {
        if !sys::is_packet_socket(socket.as_fd()) {
            return Err(sys::error(libc::EPROTOTYPE));
        }
        sys::want_credentials(socket.as_fd())?;
        sys::set_receive_timeout(socket.as_fd(), pool::KEPT)?;
        let maker = sys::peer_credentials(socket.as_fd())?;
        let maker = Credentials {
            pid: maker.pid,
            uid: maker.uid,
            gid: maker.gid,
        };
        let peer = Arc::new(Peer::new(
            process::token(),
            endpoint,
            socket,
            memory,
            Arc::clone(self),
            maker,
            internal,
        ));
        let mut state = self.state.lock();
        if state.revoked {
            return Ok(());
        }
        state.peers.insert(peer.token, Arc::clone(&peer));
        drop(state);
        // Edge triggered and for the end only: costs nothing while calls come and go.
        let end = libc::EPOLLRDHUP | libc::EPOLLET;
        let watched = process()?.watch(peer.token, peer.socket.as_fd(), end, Source::Peer(Arc::clone(&peer)));
        let added = watched.and_then(|()| self.pool.add(&peer));
        // Revoked meanwhile: whoever did it may have looked before the channel was watched.
        if added.is_err() || self.is_revoked() {
            peer.close();
        }
        added
    }

    /// A channel has ended.
    pub fn forget_peer(&self, peer: &Peer) {
        self.state.lock().peers.remove(&peer.token);
        self.pool.remove(peer);
        if let Some(process) = process::existing() {
            process.unwatch(peer.token, peer.socket.as_fd());
        }
        sys::shut_down(peer.socket.as_fd());
        if let Some(memory) = &peer.memory {
            memory.withdraw();
        }
    }

    /// All copies of an endpoint are closed, or a listener has ended. What came through it ends too.
    pub fn reference_gone(self: &Arc<Door>, token: u64) {
        let mut state = self.state.lock();
        let Some(reference) = state.references.remove(&token) else {
            return;
        };
        let peers: Vec<_> = state
            .peers
            .values()
            .filter(|peer| peer.endpoint == token)
            .cloned()
            .collect();
        let left = state.references.len();
        let notify = left == 1
            && (self.attributes & attribute::UNREF_MULTI != 0
                || (self.attributes & attribute::UNREF != 0 && !std::mem::replace(&mut state.noticed, true)));
        drop(state);
        drop_reference(token, &reference);
        for peer in peers {
            peer.close();
        }
        if left == 0 {
            self.revoke();
        } else if notify {
            self.note(self.send_notice());
        }
    }

    /// The path through which `endpoint` was opened leads nowhere any more. Whoever may open the path may ask for it: the
    /// path itself, which needs its owner, is gone by then.
    pub fn detach(self: &Arc<Door>, endpoint: u64) {
        let listener = self
            .state
            .lock()
            .references
            .get(&endpoint)
            .and_then(|reference| reference.via);
        if let Some(listener) = listener {
            self.reference_gone(listener);
        }
    }

    fn notifies(&self) -> bool {
        self.attributes & (attribute::UNREF | attribute::UNREF_MULTI) != 0
    }

    /// Lets a server thread run the procedure with the unreferenced notice.
    fn send_notice(self: &Arc<Door>) -> io::Result<()> {
        let frame = Frame {
            kind: Kind::Call,
            flags: UNREFERENCED,
            status: 0,
            descriptors: 0,
            length: 0,
        };
        if self.state.lock().notices.is_none() {
            let (mine, served) = fork::private_pair()?;
            self.try_add_peer(0, served, None, true)?;
            self.state.lock().notices = Some(mine);
        }
        let state = self.state.lock();
        let Some(notices) = &state.notices else { return Ok(()) };
        channel::send(notices.as_fd(), frame, &[], &[], libc::MSG_DONTWAIT)
    }

    fn add_reference(&self, socket: Private, via: Option<u64>, source: Source) -> io::Result<()> {
        // With them the end of an endpoint differs from an empty message of a stranger.
        sys::want_credentials(socket.as_fd())?;
        let token = process::token();
        let socket = Arc::new(socket);
        let mut state = self.state.lock();
        if state.revoked {
            return Ok(());
        }
        state.references.insert(
            token,
            Reference {
                socket: Arc::clone(&socket),
                via,
            },
        );
        drop(state);
        let watched = process()?.watch(token, socket.as_fd(), libc::EPOLLIN, source);
        if watched.is_err() || self.is_revoked() {
            self.state.lock().references.remove(&token);
            drop_reference(token, &Reference { socket, via });
        }
        watched
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result {
            log::warn!("door {}: {error}", self.id);
        }
    }
}

fn drop_reference(token: u64, reference: &Reference) {
    if let Some(process) = process::existing() {
        process.unwatch(token, reference.socket.as_fd());
    }
    sys::shut_down(reference.socket.as_fd());
}

/// A pair of which the second end bears `label` (with the number of that socket).
pub fn labelled_pair(label: Label) -> io::Result<(Private, Private)> {
    let (theirs, ours) = fork::private_pair()?;
    let socket = sys::cookie(ours.as_fd())?;
    label_socket(ours.as_fd(), Label { socket, ..label })?;
    Ok((theirs, ours))
}

fn label_socket(socket: BorrowedFd<'_>, label: Label) -> io::Result<()> {
    sys::bind(socket, format!("\0{}", label.format()).as_bytes())
}
