//! `create-lu --create` and `--prealloc` (`cli.md` 10.4): the file of a new LU, made and allocated before the service gets
//! it. When the command fails or is interrupted, it is as it was.

use crate::cli::Console;
use crate::cli::command_line::{CREATE, DRY_RUN, Invocation, PREALLOC};
use crate::cli::progress::Progress;
use crate::cli::text::reason;
use crate::disk::SHARED_SIZE;
use crate::signals::{self, Termination};
use crate::types::LuProperties;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::fstatvfs;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

/// Allocated in one go.
const STEP: u64 = 256 << 20;
/// Written in one go where the file system cannot allocate.
const ZEROS: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prealloc {
    None,
    Metadata,
    Full,
}

/// A file that has been prepared; termination signals wait until it is decided what becomes of it.
pub struct Prepared {
    path: String,
    file: File,
    /// Its length before; `None`: it did not exist.
    before: Option<u64>,
    /// It is undone whatever comes of it. Nothing is allocated.
    rehearsal: bool,
    signals: Termination,
}

/// Does what the options ask for; `None` when that is nothing.
pub fn prepare(
    invocation: &Invocation,
    properties: &LuProperties,
    console: &mut Console<'_>,
) -> Result<Option<Prepared>, String> {
    let prealloc = match invocation.value(PREALLOC) {
        None | Some("none") => Prealloc::None,
        Some("metadata") => Prealloc::Metadata,
        Some("full") => Prealloc::Full,
        Some(other) => return Err(format!("{other}: prealloc must be none, metadata or full")),
    };
    let create = invocation.has(CREATE);
    if !create && prealloc == Prealloc::None {
        return Ok(None);
    }
    let path = invocation.operand();
    let base = if properties.meta_file.is_some() { 0 } else { SHARED_SIZE };
    let wanted = properties.size.map(|size| size.checked_add(base));
    let wanted = match wanted {
        None => None,
        Some(Some(length)) if i64::try_from(length).is_ok() => Some(length),
        Some(_) => return Err("invalid size".to_owned()),
    };
    let failed = |error: io::Error| format!("{path}: {}", reason(&error));
    let signals = signals::hold_termination().map_err(|errno| failed(errno.into()))?;
    let (file, before) = match open(path, create) {
        Ok(opened) => opened,
        Err(error) => {
            let message = failed(error);
            signals.unblock();
            return Err(message);
        }
    };
    let prepared = Prepared {
        path: path.to_owned(),
        file,
        before,
        rehearsal: invocation.has(DRY_RUN),
        signals,
    };
    match prepared.allocate(prealloc, wanted, base, invocation, console) {
        Ok(()) => Ok(Some(prepared)),
        Err(message) => {
            prepared.undo();
            Err(message)
        }
    }
}

/// The file, and the length that it had if it existed.
fn open(path: &str, create: bool) -> io::Result<(File, Option<u64>)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    if create {
        match options.clone().create_new(true).mode(0o600).open(path) {
            Ok(file) => return Ok((file, None)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    Ok((file, Some(metadata.len())))
}

impl Prepared {
    fn allocate(
        &self,
        prealloc: Prealloc,
        wanted: Option<u64>,
        base: u64,
        invocation: &Invocation,
        console: &mut Console<'_>,
    ) -> Result<(), String> {
        let failed = |error: io::Error| format!("{}: {}", self.path, reason(&error));
        let length = match (self.before, wanted) {
            (None, None) => return Err("--create needs a size: -s".to_owned()),
            (before, wanted) => before.unwrap_or(0).max(wanted.unwrap_or(0)),
        };
        let total = match prealloc {
            Prealloc::None => 0,
            Prealloc::Metadata => base.min(length),
            Prealloc::Full => length,
        };
        if self.rehearsal {
            self.check_room(total).map_err(failed)?;
        }
        let mut progress = Progress::asked(invocation, "create-lu", "allocate", total, console)?;
        if self.before.is_none() {
            self.file.set_len(length).map_err(failed)?;
        }
        let mut done = if self.rehearsal { total } else { 0 };
        while done < total {
            let step = STEP.min(total - done);
            let allocated = self.allocate_range(done, step).map_err(failed);
            let interrupted = self.signals.pending();
            if interrupted || allocated.is_err() {
                progress.end(console);
                allocated?;
                return Err("interrupted".to_owned());
            }
            done += step;
            progress.done(done, console);
        }
        progress.end(console);
        Ok(())
    }

    /// Is there room for so many bytes, of which the file has some?
    fn check_room(&self, total: u64) -> io::Result<()> {
        let system = fstatvfs(&self.file)?;
        let free = u128::from(system.blocks_available()) * u128::from(system.fragment_size());
        let allocated = self.file.metadata()?.blocks() * 512;
        match free < u128::from(total.saturating_sub(allocated)) {
            true => Err(Errno::ENOSPC.into()),
            false => Ok(()),
        }
    }

    /// Without changing what is there. A file of this command's own is filled with zeros where that cannot be done.
    fn allocate_range(&self, offset: u64, length: u64) -> io::Result<()> {
        let number = |value: u64| i64::try_from(value).map_err(|_| io::Error::from(Errno::EFBIG));
        match fallocate(&self.file, FallocateFlags::empty(), number(offset)?, number(length)?) {
            Ok(()) => Ok(()),
            Err(Errno::EOPNOTSUPP) if self.before.is_none() => {
                let zeros = vec![0; ZEROS];
                let mut at = offset;
                while at < offset + length && !self.signals.pending() {
                    let part = usize::try_from(offset + length - at).unwrap_or(ZEROS).min(ZEROS);
                    self.file.write_all_at(&zeros[..part], at)?;
                    at += part as u64;
                }
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// The LU is there, or would be.
    pub fn keep(self) {
        match self.rehearsal {
            true => self.undo(),
            false => self.signals.unblock(),
        }
    }

    /// There is no LU: the file goes, or gets its length back. A signal that waited ends the process now.
    pub fn undo(self) {
        let undone = match self.before {
            None => fs::remove_file(&self.path),
            Some(length) => self.file.set_len(length),
        };
        if let Err(error) = undone {
            log::error!("{}: cannot be undone: {error}", self.path);
        }
        self.signals.unblock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(options: &[(char, &str)], path: &str, size: Option<u64>) -> Result<Option<Prepared>, String> {
        let invocation = Invocation {
            options: options
                .iter()
                .map(|(letter, value)| (*letter, (*value).to_owned()))
                .collect(),
            operands: vec![path.to_owned()],
        };
        let properties = LuProperties {
            size,
            ..LuProperties::default()
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        prepare(&invocation, &properties, &mut Console::new("t", &mut out, &mut err))
    }

    #[test]
    fn a_file_of_its_own_goes_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lu");
        let name = path.to_str().unwrap();
        let made = prepared(&[(CREATE, ""), (PREALLOC, "full")], name, Some(1 << 20))
            .unwrap()
            .unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.len(), (1 << 20) + SHARED_SIZE);
        assert!(metadata.blocks() * 512 >= metadata.len(), "allocated");
        assert_eq!(metadata.mode() & 0o777, 0o600);
        made.undo();
        assert!(!path.exists());
        prepared(&[(CREATE, "")], name, Some(1 << 20)).unwrap().unwrap().keep();
        assert!(path.metadata().unwrap().blocks() * 512 < 1 << 20, "not allocated");
    }

    #[test]
    fn a_rehearsal_leaves_nothing_and_allocates_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lu");
        let name = path.to_str().unwrap();
        let options = [(CREATE, ""), (PREALLOC, "full"), (DRY_RUN, "")];
        let made = prepared(&options, name, Some(1 << 20)).unwrap().unwrap();
        let metadata = path.metadata().unwrap();
        assert_eq!(metadata.len(), (1 << 20) + SHARED_SIZE, "for the service to look at");
        assert_eq!(metadata.blocks(), 0);
        made.keep();
        assert!(!path.exists());
        fs::write(&path, "data").unwrap();
        prepared(&options, name, Some(1 << 20)).unwrap().unwrap().keep();
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }

    #[test]
    fn a_file_that_was_there_keeps_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lu");
        let name = path.to_str().unwrap();
        fs::write(&path, "data").unwrap();
        let options = [(CREATE, ""), (PREALLOC, "full")];
        prepared(&options, name, Some(1 << 20)).unwrap().unwrap().undo();
        assert_eq!(fs::read(&path).unwrap(), b"data");
        prepared(&options, name, Some(1 << 20)).unwrap().unwrap().keep();
        assert!(fs::read(&path).unwrap().starts_with(b"data\0"));
    }

    #[test]
    fn refusals_leave_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lu");
        let name = path.to_str().unwrap();
        assert!(prepared(&[], name, None).unwrap().is_none());
        for (options, size, message) in [
            (vec![(CREATE, "")], None, "--create needs a size: -s".to_owned()),
            (
                vec![(PREALLOC, "some")],
                None,
                "some: prealloc must be none, metadata or full".to_owned(),
            ),
            (
                vec![(PREALLOC, "full")],
                None,
                format!("{name}: No such file or directory"),
            ),
            (vec![(CREATE, "")], Some(u64::MAX), "invalid size".to_owned()),
            (
                vec![(CREATE, ""), (PREALLOC, "full"), (DRY_RUN, "")],
                Some(1 << 62),
                format!("{name}: No space left on device"),
            ),
        ] {
            assert_eq!(prepared(&options, name, size).err(), Some(message));
            assert!(!path.exists());
        }
        let place = directory.path().to_str().unwrap();
        let message = prepared(&[(PREALLOC, "full")], place, None).err();
        assert_eq!(message, Some(format!("{place}: Is a directory")));
    }
}
