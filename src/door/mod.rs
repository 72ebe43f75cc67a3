//! Solaris doors on Linux: create, call, return, revoke, info, credentials, descriptor passing, fattach
//! (`c-clients.md` chapter 6). This module is the Rust face; the C face (`door_create`, …) is in its `capi`.

mod attach;
pub mod attribute;
mod caller;
mod capi;
mod channel;
pub(crate) mod fork;
pub mod frame;
pub mod label;
mod layout;
mod memory;
mod pages;
mod peer;
mod pool;
mod process;
mod served;
mod sys;
mod thread;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use caller::Arguments;
use frame::UNREFERENCED;
use pool::{Pool, Worker};
use served::{Door, Procedure};

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
pub struct Server {
    door: Arc<Door>,
    descriptor: OwnedFd,
    /// Paths to which it is attached, with the inode of the socket, so that only our own is removed.
    attached: Mutex<Vec<(PathBuf, (u64, u64))>>,
    generation: u64,
}

impl Server {
    /// `door_create` with attributes (0, or `DOOR_REFUSE_DESC` | `DOOR_NO_CANCEL` | …).
    ///
    /// A procedure that panics leaves its caller with `EINTR`. Unreferenced notices come as a call without data from this
    /// process itself.
    pub fn create(
        attributes: u32,
        procedure: impl Fn(Call<'_>) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Server> {
        let both = attribute::UNREF | attribute::UNREF_MULTI;
        if attributes & !attribute::CREATE != 0 || attributes & both == both {
            return Err(sys::error(libc::EINVAL));
        }
        let pool = Arc::new(Pool::new()?);
        // Each closure has threads of its own.
        let attributes = attributes | attribute::PRIVATE;
        let (door, descriptor) = Door::create(attributes, Procedure::Rust(Box::new(procedure)), Arc::clone(&pool))?;
        let server = Server {
            door,
            descriptor,
            attached: Mutex::default(),
            generation: fork::generation(),
        };
        add_thread(pool)?;
        Ok(server)
    }

    /// The door descriptor.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// `fattach`: [`open`] of the path yields the door. The socket at the path has this mode. A stale socket of a dead
    /// server is replaced; a living one is `EBUSY`.
    pub fn attach(&self, path: &Path, mode: u32) -> io::Result<()> {
        let socket = attach::create(self.descriptor(), path, mode)?;
        self.attached.lock().push((std::path::absolute(path)?, socket));
        Ok(())
    }

    /// `door_revoke`: calls in progress finish, later ones fail with `EBADF`. The sockets of [`Server::attach`] are removed.
    pub fn revoke(&self) {
        if self.generation != fork::generation() {
            // A child does not serve its parent's doors.
            return;
        }
        for (path, socket) in self.attached.lock().drain(..) {
            attach::remove(&path, socket);
        }
        self.door.revoke();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// Opens the door attached to a path: `ENOENT` no such path, `ECONNREFUSED` nobody serves it.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    attach::open(path)
}

/// True when the descriptor is a door.
pub fn is_door(descriptor: BorrowedFd<'_>) -> bool {
    caller::label(descriptor).is_ok()
}

/// `door_call`. Errors as in `c-clients.md` chapter 6: `EBADF` revoked or server gone, `EINTR` server thread ended in
/// mid-call, `EAGAIN` no server thread. A caught signal does not end the call.
pub fn call(door: BorrowedFd<'_>, data: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<Reply> {
    let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let arguments = Arguments {
        data,
        descriptors: &descriptors,
        results: true,
        interruptible: false,
        doubtful: false,
    };
    let mut room = vec![0; REPLY_ROOM];
    let results = caller::call(door, &arguments, &mut room)?;
    if results.length <= room.len() && matches!(results.rest, caller::Rest::Nowhere) {
        room.truncate(results.length);
        return Ok(Reply {
            data: room,
            descriptors: results.descriptors,
        });
    }
    let mut whole = vec![0; results.length];
    results.gather(&room, &mut whole)?;
    Ok(Reply {
        data: whole,
        descriptors: results.descriptors,
    })
}

/// Results up to this length are received where they stay.
const REPLY_ROOM: usize = 4096;

/// Starts one more thread for the doors of a pool.
fn add_thread(pool: Arc<Pool>) -> io::Result<()> {
    let builder = std::thread::Builder::new().name("door-server".into());
    sys::with_signals_blocked(|| builder.spawn(move || serve(&pool))).map(drop)
}

/// A server thread of the Rust face.
fn serve(pool: &Arc<Pool>) {
    let mut worker = Worker::new();
    while let Some(mut taken) = pool.next(&mut worker) {
        if taken.depleted
            && let Err(error) = add_thread(Arc::clone(pool))
        {
            log::warn!("no further thread for a door: {error}");
        }
        let peer = Arc::clone(&taken.peer);
        let descriptors = std::mem::take(&mut taken.descriptors);
        let call = Call {
            data: worker.data(&taken),
            descriptors,
            caller: peer.maker,
        };
        let Procedure::Rust(procedure) = peer.door.procedure() else {
            continue;
        };
        match catch_unwind(AssertUnwindSafe(|| procedure(call))) {
            Ok(_) if taken.flags & UNREFERENCED != 0 => peer.fail(0),
            Ok(reply) => match peer.reply_with(&reply.data, &reply.descriptors) {
                Ok(true) => worker.keep(peer),
                Ok(false) => {}
                Err(error) => {
                    log::warn!("door {}: results could not be sent: {error}", peer.door.id());
                    peer.fail(libc::EOVERFLOW);
                }
            },
            Err(_) => peer.fail(libc::EINTR),
        }
    }
}
