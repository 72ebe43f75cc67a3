//! Keys on their way from one process to another: a file in memory, whose descriptor is passed. So they are in no message,
//! and in nobody's buffers but these two, which are wiped.

use super::Keys;
use super::keys::GENERATIONS;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use zeroize::Zeroizing;

/// Longest file, bytes: the keys of both directions, and what a receiver may hold unopened.
const LONGEST: usize = 2 * GENERATIONS * 64 + (256 << 10);

/// A file that holds them.
pub fn lend(keys: &Keys) -> io::Result<OwnedFd> {
    let mut room = Zeroizing::new(vec![0; LONGEST]);
    let bytes = postcard::to_slice(keys, &mut room).map_err(io::Error::other)?;
    let file = File::from(memfd_create(c"stmf-keys", MFdFlags::MFD_CLOEXEC)?);
    file.write_all_at(bytes, 0)?;
    Ok(file.into())
}

/// Takes them out of a file: nobody else finds them there any more. `InvalidData` for another file.
pub fn take(file: OwnedFd) -> io::Result<Keys> {
    let file = File::from(file);
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{length} bytes of keys"),
        ));
    }
    let mut room = Zeroizing::new(vec![0; length]);
    file.read_exact_at(&mut room, 0)?;
    ftruncate(&file, 0)?;
    postcard::from_bytes(&room).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
