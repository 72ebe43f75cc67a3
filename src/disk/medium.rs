//! The user data of a disk: a file or block device, read and written at byte offsets of the LU.
#![forbid(unsafe_code)]

use super::extents;
use super::inline::{Attempt, Inline};
use super::sys::{self, Mode};
use crate::buffers;
use crate::types::Status;
use arc_swap::{ArcSwapOption, Guard};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest time that a release waits for I/O that is under way (`alua-proxy.md` 6.3, KillTasks).
const DRAIN: Duration = Duration::from_secs(10);

/// The data file while it is open. I/O errors are the caller's to report; a failed flush is remembered for good, because
/// the kernel drops the dirty pages and a later flush would succeed without them.
pub struct Medium {
    path: String,
    file: ArcSwapOption<File>,
    /// Where block 0 is in the file.
    base: u64,
    inline: Inline,
    flush_failed: AtomicBool,
    thin: bool,
}

/// The open file, as long as an access uses it.
pub type Open = Guard<Option<Arc<File>>>;

/// Whether an access is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All bytes moved.
    Complete,
    /// The rest would block.
    WouldBlock,
}

impl Medium {
    /// User data of `file` are `size` bytes from `base` on.
    pub fn new(path: String, file: File, base: u64, size: u64) -> Medium {
        Medium {
            thin: extents::can_punch(&file, base + size),
            inline: Inline::new(&file),
            path,
            file: ArcSwapOption::from_pointee(file),
            base,
            flush_failed: AtomicBool::new(false),
        }
    }

    /// Blocks may be deallocated.
    pub fn thin(&self) -> bool {
        self.thin
    }

    /// Where byte `offset` of the LU is in the file.
    pub fn position(&self, offset: u64) -> u64 {
        self.base + offset
    }

    /// Path of the file, for messages.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The open file; `None` inside once closed.
    pub fn open(&self) -> Open {
        self.file.load()
    }

    /// Reads at LU offset `offset` plus what `buffer` has, until it has `length` bytes. What lies beyond the end of the
    /// file is zero: the sparse tail of an LU that is larger than its file.
    pub fn read(
        &self,
        file: &File,
        buffer: &mut Vec<u8>,
        length: usize,
        offset: u64,
        mode: Mode,
    ) -> io::Result<Progress> {
        if mode == Mode::Wait {
            return self.read_as(file, buffer, length, offset, mode);
        }
        match self.inline.read(length) {
            Attempt::NoWait => self.read_as(file, buffer, length, offset, mode),
            Attempt::Watched => self
                .inline
                .watch(|| self.read_as(file, buffer, length, offset, Mode::Wait)),
            Attempt::Pool => Ok(Progress::WouldBlock),
        }
    }

    fn read_as(
        &self,
        file: &File,
        buffer: &mut Vec<u8>,
        length: usize,
        offset: u64,
        mode: Mode,
    ) -> io::Result<Progress> {
        if buffer.capacity() == 0 {
            *buffer = buffers::take(length);
        }
        buffer.reserve_exact(length - buffer.len());
        while buffer.len() < length {
            let at = self.base + offset + buffer.len() as u64;
            match sys::read_append(file, buffer, length - buffer.len(), at, mode) {
                Ok(0) => buffer.resize(length, 0),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if mode != Mode::Wait && would_block(&error) => return Ok(Progress::WouldBlock),
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Complete)
    }

    /// Writes `data[*written..]` at LU offset `offset + *written` and advances `written`.
    pub fn write(
        &self,
        file: &File,
        data: &[u8],
        written: &mut usize,
        offset: u64,
        mode: Mode,
    ) -> io::Result<Progress> {
        if mode == Mode::Wait {
            return self.write_as(file, data, written, offset, mode);
        }
        let position = self.base + offset + *written as u64;
        match self.inline.write(position, data.len() - *written, mode) {
            Attempt::NoWait => self.write_as(file, data, written, offset, mode),
            Attempt::Watched => self
                .inline
                .watch(|| self.write_as(file, data, written, offset, Mode::Wait)),
            Attempt::Pool => Ok(Progress::WouldBlock),
        }
    }

    fn write_as(&self, file: &File, data: &[u8], written: &mut usize, offset: u64, mode: Mode) -> io::Result<Progress> {
        while *written < data.len() {
            let at = self.base + offset + *written as u64;
            match sys::write_at(file, &data[*written..], at, mode) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => *written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if mode != Mode::Wait && would_block(&error) => {
                    if error.raw_os_error() == Some(libc::EOPNOTSUPP) {
                        self.inline.no_nowait_writes();
                    }
                    return Ok(Progress::WouldBlock);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Progress::Complete)
    }

    /// Tells the page cache that a range, of no blocks to the end, will be read.
    pub fn will_need(&self, file: &File, offset: u64, length: u64) {
        let range = i64::try_from(self.base + offset).ok().zip(i64::try_from(length).ok());
        let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
        if let Some((offset, length)) = range
            && let Err(error) = posix_fadvise(file, offset, length, advice)
        {
            // Only a hint.
            log::debug!("{}: prefetch: {error}", self.path);
        }
    }

    /// Makes everything that was written durable, device cache included. Blocks.
    pub fn flush(&self, file: &File) -> io::Result<()> {
        if self.flush_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier flush failed and lost data"));
        }
        file.sync_data().inspect_err(|error| {
            self.flush_failed.store(true, Ordering::Release);
            log::error!("{}: flush failed, acknowledged writes may be lost: {error}", self.path);
        })
    }

    /// Ends all I/O and hands the file out: none begins any more, and none is under way when this returns `Ok`. With
    /// `flush` everything is durable then; when I/O does not end in time or the flush fails, the medium stays open.
    pub fn close(&self, flush: bool) -> Result<Option<File>, Status> {
        let Some(mut file) = self.file.swap(None) else {
            return Ok(None);
        };
        let deadline = Instant::now() + DRAIN;
        loop {
            match Arc::try_unwrap(file) {
                Ok(file) => {
                    if flush && self.flush(&file).is_err() {
                        self.file.store(Some(Arc::new(file)));
                        return Err(Status::Error);
                    }
                    return Ok(Some(file));
                }
                Err(busy) if Instant::now() >= deadline => {
                    log::error!("{}: I/O did not end within {} s", self.path, DRAIN.as_secs());
                    if flush {
                        self.file.store(Some(busy));
                    }
                    return Err(Status::Error);
                }
                Err(busy) => file = busy,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes back what [`Medium::close`] handed out.
    pub fn reopen(&self, file: File) {
        self.file.store(Some(Arc::new(file)));
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EOPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    fn medium(contents: &[u8], base: u64) -> Medium {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(contents, 0).unwrap();
        Medium::new("test".into(), file, base, 1 << 20)
    }

    #[test]
    fn reads_beyond_the_end_of_the_file_give_zeros() {
        let medium = medium(b"headerdata", 6);
        let open = medium.open();
        let mut buffer = Vec::new();
        let progress = medium.read(open.as_ref().unwrap(), &mut buffer, 8, 0, Mode::Wait);
        assert_eq!(progress.unwrap(), Progress::Complete);
        assert_eq!(buffer, b"data\0\0\0\0");
        buffer.clear();
        let far = medium.read(open.as_ref().unwrap(), &mut buffer, 3, 1 << 40, Mode::Wait);
        assert_eq!(far.unwrap(), Progress::Complete);
        assert_eq!(buffer, [0; 3]);
    }

    #[test]
    fn writes_land_behind_the_base() {
        let medium = medium(b"header", 6);
        let open = medium.open();
        let (file, mut written) = (open.as_ref().unwrap(), 0);
        medium.write(file, b"xyz", &mut written, 2, Mode::Wait).unwrap();
        assert_eq!(written, 3);
        let mut all = [0; 11];
        file.read_exact_at(&mut all, 0).unwrap();
        assert_eq!(&all, b"header\0\0xyz");
    }

    #[test]
    fn a_failed_flush_is_remembered() {
        // A pipe cannot be flushed: fdatasync gives EINVAL.
        let (reader, _writer) = std::io::pipe().unwrap();
        let file = File::from(std::os::fd::OwnedFd::from(reader));
        let medium = Medium::new("pipe".into(), file, 0, 1 << 20);
        let good = tempfile::tempfile().unwrap();
        assert!(medium.flush(medium.open().as_ref().unwrap()).is_err());
        assert!(medium.flush(&good).is_err(), "no later success");
        assert_eq!(medium.close(true).err(), Some(Status::Error));
        assert!(medium.open().is_some(), "no hand-over of lost data");
    }

    #[test]
    fn close_waits_for_io() {
        let medium = Arc::new(medium(b"", 0));
        let file = medium.open().clone().unwrap();
        let closer = std::thread::spawn({
            let medium = Arc::clone(&medium);
            move || medium.close(true)
        });
        while medium.open().is_some() {
            std::thread::yield_now();
        }
        drop(file);
        closer.join().unwrap().unwrap();
    }
}
