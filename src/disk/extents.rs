//! Holes in the user data: whether the store can have them, making them, finding them.
#![forbid(unsafe_code)]

use super::medium::{Medium, Progress};
use super::sys::{self, Mode};
use crate::scsi::provisioning::Run;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::unistd::{Whence, lseek};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Zeros that are written at once where the store can do no better.
const CHUNK: usize = 1 << 20;

/// Can blocks of this store be deallocated, and read as zeros then? `end` is where its user data end. Asked once, without
/// changing anything: a hole beyond everything is punched.
pub fn can_punch(file: &File, end: u64) -> bool {
    const HOLE: i64 = 4096;
    let Ok(attributes) = file.metadata() else { return false };
    if attributes.file_type().is_block_device() {
        return can_discard(attributes.rdev());
    }
    let Ok(beyond) = i64::try_from(attributes.len().max(end).next_multiple_of(4096)) else {
        return false;
    };
    match fallocate(file, punch_flags(), beyond, HOLE) {
        Ok(()) => true,
        // A write-protected LU: open for reading only, so it is not known and does not matter.
        Err(Errno::EBADF) => true,
        Err(_) => false,
    }
}

fn punch_flags() -> FallocateFlags {
    FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE
}

/// A partition has the limits of its disk, one directory up.
fn can_discard(device: u64) -> bool {
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let directory = format!("/sys/dev/block/{major}:{minor}");
    ["queue", "../queue"].iter().any(|queue| {
        std::fs::read_to_string(format!("{directory}/{queue}/discard_max_bytes"))
            .is_ok_and(|text| text.trim().parse().is_ok_and(|bytes: u64| bytes > 0))
    })
}

impl Medium {
    /// Deallocates a range, which reads as zeros from then on: the file system zeroes its partial blocks at the edges. A
    /// block device punches a hole only if that gives zeros; else zeros are written.
    pub fn punch(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let at = i64::try_from(self.position(offset)).map_err(|_| io::Error::from(Errno::EFBIG))?;
        let bytes = i64::try_from(length).map_err(|_| io::Error::from(Errno::EFBIG))?;
        let zero = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        for flags in [punch_flags(), zero] {
            let mut result = retry(|| fallocate(file, flags, at, bytes));
            if result == Err(Errno::EBUSY) {
                // A device that is also open exclusively (by the ownership record): Linux drops cached pages of the range
                // first, but not dirty ones.
                sys::write_back(file, self.position(offset), length)?;
                result = retry(|| fallocate(file, flags, at, bytes));
            }
            match result {
                Ok(()) => return Ok(()),
                // Busy: somebody writes to a page at the edge again and again.
                Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EBUSY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.write_zeros(file, offset, length)
    }

    fn write_zeros(&self, file: &File, offset: u64, length: u64) -> io::Result<()> {
        let zeros = vec![0; CHUNK];
        let mut done = 0;
        while done < length {
            let rest = usize::try_from(length - done).unwrap_or(CHUNK).min(CHUNK);
            let mut written = 0;
            match self.write(file, &zeros[..rest], &mut written, offset + done, Mode::Wait)? {
                Progress::Complete => done += rest as u64,
                Progress::WouldBlock => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
        Ok(())
    }

    /// Runs of mapped and deallocated blocks from block `lba` on, `limit` at most; the first begins exactly there. A
    /// block counts as deallocated only if all of it is a hole.
    pub fn runs(&self, file: &File, lba: u64, blocks: u64, shift: u32, limit: usize) -> io::Result<Vec<Run>> {
        let mut runs: Vec<Run> = Vec::new();
        let mut at = lba;
        while at < blocks && runs.len() < limit {
            let offset = at << shift;
            let data = self.next(file, offset, Boundary::Data, blocks << shift)?;
            // Whole blocks before the next data; the last one of the LU may be one.
            let hole = (data - offset) >> shift;
            let (length, hole) = if hole > 0 {
                (hole, true)
            } else {
                let end = self.next(file, data.max(offset), Boundary::Hole, blocks << shift)?;
                ((end - offset).div_ceil(1 << shift).max(1), false)
            };
            let length = length.min(blocks - at);
            match runs.last_mut() {
                Some(last) if last.hole == hole => last.blocks += length,
                _ => runs.push(Run {
                    lba: at,
                    blocks: length,
                    hole,
                }),
            }
            at += length;
        }
        Ok(runs)
    }

    /// Offset of the next data or hole at or after `offset`; beyond the end of the file there is only a hole, to `end`.
    fn next(&self, file: &File, offset: u64, what: Boundary, end: u64) -> io::Result<u64> {
        let at = i64::try_from(self.position(offset)).map_err(|_| io::Error::from(Errno::EFBIG))?;
        // Only here the position of the file is used, and only as a result.
        let whence = match what {
            Boundary::Data => Whence::SeekData,
            Boundary::Hole => Whence::SeekHole,
        };
        match lseek(file, at, whence) {
            Ok(found) => Ok(u64::try_from(found)
                .unwrap_or(0)
                .saturating_sub(self.position(0))
                .clamp(offset, end)),
            Err(Errno::ENXIO) if what == Boundary::Hole => Ok(offset),
            Err(Errno::ENXIO) => Ok(end),
            // A store that cannot tell: all is mapped.
            Err(Errno::EINVAL) if what == Boundary::Hole => Ok(end),
            Err(Errno::EINVAL) => Ok(offset),
            Err(error) => Err(error.into()),
        }
    }
}

/// What to look for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Boundary {
    Data,
    Hole,
}

fn retry(mut call: impl FnMut() -> nix::Result<()>) -> nix::Result<()> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 65536;

    fn medium(blocks: u64) -> Medium {
        Medium::new("test".into(), tempfile::tempfile().unwrap(), BASE, blocks << 12)
    }

    fn write(medium: &Medium, block: u64, byte: u8) {
        let open = medium.open();
        let mut written = 0;
        medium
            .write(
                open.as_ref().unwrap(),
                &[byte; 4096],
                &mut written,
                block << 12,
                Mode::Wait,
            )
            .unwrap();
    }

    #[test]
    fn holes_are_found_and_made() {
        let medium = medium(64);
        assert!(medium.thin(), "the file system of the tests can punch holes");
        let open = medium.open();
        let file = open.as_ref().unwrap();
        let runs = |lba, shift, blocks, limit| medium.runs(file, lba, blocks, shift, limit).unwrap();
        let run = |lba, blocks, hole| Run { lba, blocks, hole };
        assert_eq!(runs(5, 12, 64, 9), [run(5, 59, true)]);
        for block in 10..20 {
            write(&medium, block, 1);
        }
        assert_eq!(
            runs(3, 12, 64, 9),
            [run(3, 7, true), run(10, 10, false), run(20, 44, true)]
        );
        assert_eq!(runs(12, 12, 64, 1), [run(12, 8, false)], "exactly where asked");
        medium.punch(file, 14 << 12, 1 << 12).unwrap();
        assert_eq!(
            runs(13, 12, 64, 3),
            [run(13, 1, false), run(14, 1, true), run(15, 5, false)]
        );
        // Blocks smaller than those of the file system: zeroed, yet mapped.
        medium.punch(file, (16 << 12) + 512, 512).unwrap();
        assert_eq!(runs((16 << 3) + 1, 9, 64 << 3, 1), [run((16 << 3) + 1, 31, false)]);
        let mut back = Vec::new();
        medium.read(file, &mut back, 4096, 16 << 12, Mode::Wait).unwrap();
        assert_eq!((back[511], back[512], back[1023], back[1024]), (1, 0, 0, 1));
        // A block larger than those of the file system with data at its end is mapped.
        assert_eq!(runs(1, 14, 16, 1), [run(1, 1, true)]);
        assert_eq!(runs(2, 14, 16, 9), [run(2, 3, false), run(5, 11, true)]);
    }

    #[test]
    fn a_hole_may_be_longer_than_the_file() {
        let medium = medium(64);
        let open = medium.open();
        write(&medium, 0, 1);
        medium.punch(open.as_ref().unwrap(), 0, 64 << 12).unwrap();
        assert_eq!(medium.runs(open.as_ref().unwrap(), 0, 64, 12, 4).unwrap().len(), 1);
        medium
            .write_zeros(open.as_ref().unwrap(), 4096, (3 << 20) + 512)
            .unwrap();
    }
}
