//! Doors at paths. A path is a socket on which the door's server listens; who connects gets a descriptor of the door.
//!
//! `fattach` keeps the file that was there under a name beside it and `fdetach` puts it back; both swap names in one
//! step, so that the path exists at every instant.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::fork;
use super::frame::Request;
use super::{caller, sys};

/// Openers that may wait at once.
const BACKLOG: i32 = 128;
/// Follows the name of the file that a door covers.
const COVERED: &str = ".door-covers";

/// Opens the door at a path. `ENOENT`: no such path; `ECONNREFUSED`: nobody serves it; `EPROTOTYPE`: another kind of socket.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let connection = sys::socket()?;
    through_directory(path, |name| sys::connect(connection.as_fd(), name))?;
    caller::bound_answer(connection.as_fd())?;
    let mut descriptors = Vec::new();
    caller::receive_answer(connection.as_fd(), &mut [0; 1], &mut descriptors)?;
    descriptors
        .into_iter()
        .next()
        .filter(|door| caller::label(door.as_fd()).is_ok())
        .ok_or_else(|| sys::error(libc::ECONNREFUSED))
}

/// Serves the door at a path that need not exist; the socket gets `mode`. What is there may only be the socket of a server
/// that is gone. `EBUSY`: a living server's; `EEXIST`: something else. Gives device and inode of the socket, for [`remove`].
pub fn create(door: BorrowedFd<'_>, path: &Path, mode: u32) -> io::Result<(u64, u64)> {
    caller::label(door).map_err(|_| sys::error(libc::EINVAL))?;
    let _lock = lock_directory(path)?;
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(sys::error(libc::EEXIST)),
        Ok(_) if is_served(path) => return Err(sys::error(libc::EBUSY)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    listen_beside(door, path, |beside| {
        std::fs::set_permissions(beside, std::fs::Permissions::from_mode(mode))?;
        let made = std::fs::symlink_metadata(beside)?;
        std::fs::rename(beside, path)?;
        Ok((made.dev(), made.ino()))
    })
}

/// Removes the socket that [`create`] made, unless something else is at the path by now.
pub fn remove(path: &Path, socket: (u64, u64)) {
    let Ok(_lock) = lock_directory(path) else { return };
    if std::fs::symlink_metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == socket)
        && let Err(error) = std::fs::remove_file(path)
    {
        log::warn!("{}: cannot be removed: {error}", path.display());
    }
}

/// `fattach`: covers the file at `path` with the door. The socket gets its owner and mode. The cover of a server that is gone
/// is taken away first.
pub fn attach(door: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    caller::label(door).map_err(|_| sys::error(libc::EINVAL))?;
    let path = &std::fs::canonicalize(path)?;
    let _lock = lock_directory(path)?;
    let covered = covered(path)?;
    let mut found = std::fs::symlink_metadata(path)?;
    let (user, _) = sys::effective_ids();
    if user != 0 && user != found.uid() {
        return Err(sys::error(libc::EPERM));
    }
    sys::check_writable(path)?;
    if found.file_type().is_socket() {
        if is_served(path) || std::fs::symlink_metadata(&covered).is_err() {
            return Err(sys::error(libc::EBUSY));
        }
        std::fs::rename(&covered, path)?;
        found = std::fs::symlink_metadata(path)?;
    }
    if std::fs::symlink_metadata(&covered).is_ok() {
        return Err(sys::error(libc::EBUSY));
    }
    listen_beside(door, path, |beside| {
        std::fs::set_permissions(beside, std::fs::Permissions::from_mode(found.mode() & 0o7777))?;
        std::os::unix::fs::chown(beside, Some(found.uid()), Some(found.gid()))?;
        sys::exchange(beside, path)?;
        std::fs::rename(beside, &covered)
    })
}

/// `fdetach`: the path is again the file that the door covers. `EINVAL`: nothing is attached.
pub fn detach(path: &Path) -> io::Result<()> {
    let path = &std::fs::canonicalize(path)?;
    let found = std::fs::symlink_metadata(path)?;
    let _lock = lock_directory(path)?;
    let covered = covered(path)?;
    if !found.file_type().is_socket() || std::fs::symlink_metadata(&covered).is_err() {
        return Err(sys::error(libc::EINVAL));
    }
    let (user, _) = sys::effective_ids();
    if user != 0 && user != found.uid() {
        return Err(sys::error(libc::EPERM));
    }
    // A server that is gone need not be told.
    let door = open(path);
    std::fs::rename(&covered, path)?;
    if let Ok(door) = door {
        let told = caller::request(door.as_fd(), Request::Detach, door.as_fd());
        if let Err(error) = told {
            log::debug!("{}: its server is gone: {error}", path.display());
        }
    }
    Ok(())
}

/// True when somebody listens at the socket.
fn is_served(path: &Path) -> bool {
    let Ok(probe) = sys::socket() else { return true };
    match through_directory(path, |name| sys::connect(probe.as_fd(), name)) {
        Ok(()) => true,
        // Whatever else stands in the way is no proof that nobody is there.
        Err(error) => !matches!(sys::number(&error), libc::ECONNREFUSED | libc::ENOENT),
    }
}

/// Lets the door's server listen at a new socket beside `path`, which `place` then moves there.
fn listen_beside<T>(door: BorrowedFd<'_>, path: &Path, place: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let listener = fork::private(sys::socket)?;
    let beside = path.with_file_name(format!(
        ".door-{}-{:x}",
        sys::process_id(),
        sys::cookie(listener.as_fd())?
    ));
    through_directory(&beside, |name| sys::bind(listener.as_fd(), name))?;
    let placed = sys::listen(listener.as_fd(), BACKLOG)
        .and_then(|()| caller::request(door, Request::Listener, listener.as_fd()))
        .and_then(|()| place(&beside));
    if placed.is_err() {
        // Nothing more can be done about a name that cannot be removed either.
        let _ = std::fs::remove_file(&beside);
    }
    placed
}

/// One process at a time changes what is attached in a directory.
fn lock_directory(path: &Path) -> io::Result<OwnedFd> {
    let directory = std::fs::File::open(directory(path))?;
    sys::lock(directory.as_fd())?;
    Ok(directory.into())
}

fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) => PathBuf::from("."),
        None => path.to_owned(),
    }
}

fn covered(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| sys::error(libc::EBUSY))?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(COVERED);
    Ok(path.with_file_name(hidden))
}

/// Names a socket's path to `work`; one too long for a socket name goes through a descriptor of its directory.
fn through_directory<T>(path: &Path, work: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
    let name = path.as_os_str().as_encoded_bytes();
    if name.contains(&0) || name.is_empty() {
        return Err(sys::error(if name.is_empty() { libc::ENOENT } else { libc::EINVAL }));
    }
    if name.len() < sys::NAME_LIMIT {
        return work(name);
    }
    let directory = std::fs::File::open(directory(path))?;
    let last = path.file_name().ok_or_else(|| sys::error(libc::EISDIR))?;
    let short = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(last);
    work(short.as_os_str().as_encoded_bytes())
}
