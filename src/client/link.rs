//! The way from this process to its framework: a door of `stmfd`, or a service of its own.

use super::endpoint::{DEFAULT_DOOR, Endpoint};
use super::signals::SignalsBlocked;
use crate::changes::Watch;
use crate::door::{self, Credentials};
use crate::service::{
    Call, Options, Request, Response, Service, Told, WireError, decode_response, decode_told, encode_call,
    encode_telling,
};
use crate::types::{PersistMethod, Status};
use nix::errno::Errno;
use nix::unistd::{Gid, Pid, Uid};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Resolved at the first call; what it resolved to stays for the life of the process. In particular a process that has
/// found a daemon never falls back to a framework of its own, where its changes would vanish unseen.
#[derive(Default)]
pub(super) struct Link {
    // Not parking_lot: its lock table is shared by all locks of the process and may be held by another thread in a fork.
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Unresolved,
    Daemon {
        path: PathBuf,
        door: Option<Arc<OwnedFd>>,
        /// Asked for once for each door.
        watch: Option<Watching>,
    },
    Embedded(Arc<Service>),
}

/// The counts of changes behind a door.
#[derive(Clone)]
struct Watching {
    /// `None`: the service does not give them.
    watch: Option<Arc<Watch>>,
    /// The effective user who got them.
    user: Uid,
}

/// What a call needs, so that it can run without the lock.
enum Route {
    Door(Arc<OwnedFd>),
    Local(Arc<Service>),
}

impl Link {
    /// Sends one request. When `stmfd` has been restarted since the last call, this one goes to the new one.
    pub(super) fn send(
        &self,
        persist: Option<PersistMethod>,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Response, Status> {
        self.send_for_descriptors(persist, request, descriptors)
            .map(|(response, _)| response)
    }

    /// [`Link::send`], with the descriptors that come back.
    fn send_for_descriptors(
        &self,
        persist: Option<PersistMethod>,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Response, Vec<OwnedFd>), Status> {
        let encode = || encode_call(persist, request);
        let local = |service: &Service| local(service, persist, request, descriptors);
        self.call(encode, descriptors, local, |data, descriptors| {
            Ok((decode_response(data)?, descriptors))
        })
    }

    /// Sends one request that is to tell what it does, or would do.
    pub(super) fn tell(
        &self,
        rehearsal: bool,
        persist: Option<PersistMethod>,
        request: &Request,
    ) -> Result<Told, Status> {
        let encode = || encode_telling(rehearsal, persist, request);
        let local = |service: &Service| {
            let _blocked = SignalsBlocked::new();
            let request = request.clone();
            Ok(service.tell(rehearsal, Call { persist, request }, myself()))
        };
        self.call(encode, &[], local, |data, _| decode_told(data))
    }

    fn call<T>(
        &self,
        encode: impl FnOnce() -> Vec<u8>,
        descriptors: &[BorrowedFd<'_>],
        local: impl Fn(&Service) -> Result<T, Status>,
        decode: impl Fn(&[u8], Vec<OwnedFd>) -> Result<T, WireError>,
    ) -> Result<T, Status> {
        match self.route()? {
            Route::Local(service) => local(&service),
            Route::Door(door) => {
                let bytes = encode();
                match door::call(door.as_fd(), &bytes, descriptors) {
                    // The server of this door was gone before the call: nothing has been delivered, so once more.
                    Err(error) if is(&error, Errno::EBADF) => {
                        self.forget(&door);
                        match self.route()? {
                            Route::Door(door) => {
                                self.finish(&door, door::call(door.as_fd(), &bytes, descriptors), decode)
                            }
                            Route::Local(service) => local(&service),
                        }
                    }
                    outcome => self.finish(&door, outcome, decode),
                }
            }
        }
    }

    fn finish<T>(
        &self,
        door: &Arc<OwnedFd>,
        outcome: io::Result<door::Reply>,
        decode: impl Fn(&[u8], Vec<OwnedFd>) -> Result<T, WireError>,
    ) -> Result<T, Status> {
        match outcome {
            Ok(reply) => match decode(&reply.data, reply.descriptors) {
                Ok(answer) => Ok(answer),
                Err(error) => {
                    log::error!("response of stmfd: {error}");
                    Err(error.status())
                }
            },
            Err(error) => {
                self.forget(door);
                Err(call_failed(&error))
            }
        }
    }

    fn route(&self) -> Result<Route, Status> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Unresolved = *state {
            *state = resolve()?;
        }
        match &mut *state {
            State::Embedded(service) => Ok(Route::Local(Arc::clone(service))),
            State::Daemon { path, door, .. } => {
                if door.is_none() {
                    *door = Some(Arc::new(door::open(path).map_err(|error| open_failed(path, &error))?));
                }
                Ok(Route::Door(Arc::clone(door.as_ref().expect("opened above"))))
            }
            State::Unresolved => unreachable!("resolved above"),
        }
    }

    /// The counts of changes of the service that this process talks to. `None`: it does not give them to this user, or
    /// cannot be reached.
    pub(super) fn watch(&self) -> Option<Arc<Watch>> {
        static OWN: LazyLock<Arc<Watch>> = LazyLock::new(|| Arc::new(Watch::own()));
        let known = match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Embedded(_) => return Some(Arc::clone(&OWN)),
            State::Daemon { watch, .. } => watch.clone(),
            State::Unresolved => None,
        };
        match known {
            Some(watching) if watching.user == Uid::effective() => watching.watch,
            _ => self.ask_for_watch(),
        }
    }

    fn ask_for_watch(&self) -> Option<Arc<Watch>> {
        let user = Uid::effective();
        let Ok(Route::Door(used)) = self.route() else {
            return None;
        };
        let (_, descriptors) = self.send_for_descriptors(None, &Request::Watch, &[]).ok()?;
        let watch = descriptors.into_iter().next().map(Watch::from_descriptor).transpose();
        let watch = watch.unwrap_or_else(|error| {
            log::debug!("counts of changes: {error}");
            None
        });
        let watch = watch.map(Arc::new);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Daemon { door, watch: known, .. } = &mut *state
            && door.as_ref().is_some_and(|door| Arc::ptr_eq(door, &used))
        {
            let watch = watch.clone();
            *known = Some(Watching { watch, user });
        }
        watch
    }

    /// The next call opens the door anew, unless another thread has done so already.
    fn forget(&self, used: &Arc<OwnedFd>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Daemon { door, watch, .. } = &mut *state
            && door.take_if(|door| Arc::ptr_eq(door, used)).is_some()
        {
            *watch = None;
        }
    }
}

fn resolve() -> Result<State, Status> {
    let endpoint = Endpoint::of_process().map_err(|error| {
        log::error!("{error}");
        Status::ServiceNotFound
    })?;
    match endpoint {
        Endpoint::Daemon(path) => Ok(State::Daemon {
            path,
            door: None,
            watch: None,
        }),
        Endpoint::Embedded(directory) => embedded(directory),
        Endpoint::Auto => match door::open(Path::new(DEFAULT_DOOR)) {
            Ok(door) => Ok(State::Daemon {
                path: DEFAULT_DOOR.into(),
                door: Some(Arc::new(door)),
                watch: None,
            }),
            Err(error) if nobody_there(&error) => {
                let state = embedded(None)?;
                log::warn!(
                    "no stmfd at {DEFAULT_DOOR}: this process has a framework of its own, its configuration ends with it"
                );
                Ok(state)
            }
            Err(error) => Err(open_failed(Path::new(DEFAULT_DOOR), &error)),
        },
    }
}

fn embedded(state_dir: Option<PathBuf>) -> Result<State, Status> {
    let _blocked = SignalsBlocked::new();
    let options = Options {
        state_dir: state_dir.clone(),
        ..Options::default()
    };
    let service = Service::start(options).map_err(|error| {
        let place = state_dir.as_deref().unwrap_or(Path::new("(volatile)")).display();
        log::error!("embedded STMF service, {place}: {error}");
        error.status()
    })?;
    Ok(State::Embedded(service))
}

/// Runs the request in this process. Threads that it starts inherit the mask (`c-clients.md` chapter 4: library threads
/// take no signals).
fn local(
    service: &Service,
    persist: Option<PersistMethod>,
    request: &Request,
    descriptors: &[BorrowedFd<'_>],
) -> Result<(Response, Vec<OwnedFd>), Status> {
    let _blocked = SignalsBlocked::new();
    let copies: io::Result<Vec<OwnedFd>> = descriptors.iter().map(|fd| fd.try_clone_to_owned()).collect();
    let copies = copies.map_err(|error| {
        log::error!("cannot duplicate a descriptor: {error}");
        Status::NoMem
    })?;
    let request = request.clone();
    Ok(service.dispatch(Call { persist, request }, copies, myself()))
}

fn myself() -> Credentials {
    Credentials {
        pid: Pid::this().as_raw(),
        uid: Uid::effective().as_raw(),
        gid: Gid::effective().as_raw(),
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno as i32)
}

fn nobody_there(error: &io::Error) -> bool {
    is(error, Errno::ENOENT) || is(error, Errno::ENOTDIR) || is(error, Errno::ECONNREFUSED)
}

fn open_failed(path: &Path, error: &io::Error) -> Status {
    log::debug!("{}: {error}", path.display());
    if nobody_there(error) {
        Status::ServiceNotFound
    } else {
        call_failed(error)
    }
}

/// `libstmf-api.md` 1.1, 1.6. EINTR: the service ended in mid-call, and whether it did what was asked is not known.
fn call_failed(error: &io::Error) -> Status {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EACCES) => Status::Perm,
        Some(Errno::EBADF | Errno::ECONNREFUSED) => Status::ServiceNotFound,
        Some(Errno::EAGAIN) => Status::Busy,
        Some(Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE) => Status::NoMem,
        _ => {
            log::error!("call to stmfd: {error}");
            Status::Error
        }
    }
}

impl Link {
    /// This process's own framework, if it has one. `None` also while another thread is starting it: there are no LUs yet
    /// that somebody was told of.
    pub(super) fn embedded(&self) -> Option<Arc<Service>> {
        match &*self.state.try_lock().ok()? {
            State::Embedded(service) => Some(Arc::clone(service)),
            _ => None,
        }
    }

    /// In a forked child: closes the parent's door. A parent's embedded service is left alone: closing it here would write
    /// to files that the parent still uses.
    pub(super) fn abandon(&self) {
        // A lock that another thread of the parent held at the fork is never released here.
        if let Ok(mut state) = self.state.try_lock()
            && let State::Daemon { door, watch, .. } = &mut *state
        {
            (*door, *watch) = (None, None);
        }
    }
}
