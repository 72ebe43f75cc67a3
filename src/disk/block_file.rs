//! The file or device that carries ownership record and metadata, read and written in aligned blocks past the page cache.
#![forbid(unsafe_code)]

use super::metadata::{AREA_OFFSET, AREA_SIZE, Metadata, MetadataError, Slot};
use super::sys;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, PosixFadviseAdvice, fcntl, posix_fadvise};
use nix::sys::uio::preadv;
use std::fs::{File, Metadata as Attributes, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Unit of I/O, and its alignment.
pub const BLOCK: usize = 4096;

/// How long an exclusive open of a block device waits for others to let go of it.
const LET_GO: Duration = Duration::from_secs(1);

/// One aligned block.
#[derive(Clone, PartialEq, Eq)]
#[repr(C, align(4096))]
pub struct Block(pub [u8; BLOCK]);

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A block device.
    Device,
}

/// Identity of a file or device, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileId {
    /// Device and inode.
    Regular(u64, u64),
    /// Device number.
    Device(u64),
}

/// Identity and kind of the file at `path`; an error for other kinds.
pub fn look(path: &str) -> io::Result<(FileId, Kind)> {
    if !Path::new(path).is_absolute() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is not absolute"));
    }
    kind_of(&std::fs::metadata(path)?)
}

fn kind_of(attributes: &Attributes) -> io::Result<(FileId, Kind)> {
    let kind = attributes.file_type();
    if kind.is_file() {
        Ok((FileId::Regular(attributes.dev(), attributes.ino()), Kind::Regular))
    } else if kind.is_block_device() {
        Ok((FileId::Device(attributes.rdev()), Kind::Device))
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "neither a regular file nor a block device",
        ))
    }
}

/// Kind of an open file.
pub fn kind(file: &File) -> io::Result<Kind> {
    Ok(kind_of(&file.metadata()?)?.1)
}

/// Bytes of a file or device.
pub fn size(file: &File, kind: Kind) -> io::Result<u64> {
    match kind {
        Kind::Regular => Ok(file.metadata()?.len()),
        Kind::Device => sys::device_size(file),
    }
}

/// Forgets what the page cache holds of a store that another node may have written (hazard H7), or will write. Dirty
/// pages are written first: only for the owner.
pub fn invalidate(file: &File) -> io::Result<()> {
    match kind_of(&file.metadata()?)?.1 {
        Kind::Regular => Ok(posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?),
        // A read-only device without the right to flush it has nothing to flush.
        Kind::Device => sys::device_drop_cache(file).or_else(|error| match error.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Ok(()),
            _ => Err(error),
        }),
    }
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// For writing too.
    pub write: bool,
    /// A block device is refused (`EBUSY`) while somebody else has it open like this.
    pub exclusive: bool,
}

impl Access {
    /// Reading, beside whoever has it.
    pub const PEEK: Access = Access {
        write: false,
        exclusive: false,
    };
    /// Reading and writing, for the owner.
    pub const OWN: Access = Access {
        write: true,
        exclusive: true,
    };
    /// Reading, for the owner.
    pub const OWN_READ_ONLY: Access = Access {
        write: false,
        exclusive: true,
    };
}

/// Opens `path`; `flags` are added.
pub fn open(path: &str, kind: Kind, access: Access, flags: libc::c_int) -> io::Result<File> {
    let exclusive = if kind == Kind::Device && access.exclusive {
        libc::O_EXCL
    } else {
        0
    };
    let mut options = OpenOptions::new();
    options.read(true).write(access.write).custom_flags(flags | exclusive);
    let end = Instant::now() + LET_GO;
    let file = loop {
        match options.open(path) {
            // Who has just given it up may have a child on its way from fork to exec, as in [`unlock`].
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && exclusive != 0 && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(10));
            }
            result => break result?,
        }
    };
    // Between look and open the path may have been given to something else.
    let (_, now) = kind_of(&file.metadata()?)?;
    if now == kind {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "the file changed its type"))
    }
}

/// Takes the open-file-description lock on byte 0: a write lock, or a read lock for a file open for reading. `false` when
/// another open file has it. It ends with the last descriptor of this open file, or by [`unlock`].
pub fn lock(file: &File, write: bool) -> io::Result<bool> {
    match set_lock(file, if write { libc::F_WRLCK } else { libc::F_RDLCK }) {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Ends a lock at once. Closing the file does not: a child of this process has copies of all descriptors from its fork until
/// shortly after its exec, close-on-exec or not. In a child itself nothing of its parent is dropped.
pub fn unlock(file: &File) {
    if let Err(error) = set_lock(file, libc::F_UNLCK) {
        log::debug!("ending a lock: {error}");
    }
}

fn set_lock(file: &File, kind: libc::c_int) -> nix::Result<()> {
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 1,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock)).map(drop)
}

/// The carrier of record and metadata.
pub struct BlockFile {
    path: String,
    file: File,
    kind: Kind,
    writable: bool,
    /// Past the page cache; where the file system cannot, the cache is dropped before each read.
    direct: bool,
}

impl BlockFile {
    /// Opens `path`. A block device that somebody else has open exclusively: `EBUSY`.
    pub fn open(path: &str, kind: Kind, access: Access) -> io::Result<BlockFile> {
        let (file, direct) = match open(path, kind, access, libc::O_DIRECT) {
            Ok(file) => (file, true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => (open(path, kind, access, 0)?, false),
            Err(error) => return Err(error),
        };
        Ok(BlockFile {
            path: path.to_owned(),
            file,
            kind,
            writable: access.write,
            direct,
        })
    }

    /// Its path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Regular file or device.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// May be written.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// Bytes.
    pub fn size(&self) -> io::Result<u64> {
        size(&self.file, self.kind)
    }

    /// Cuts a regular file back to a size that it had before.
    pub fn shrink_to(&self, size: u64) -> io::Result<()> {
        match self.kind {
            Kind::Regular => self.file.set_len(size),
            Kind::Device => Ok(()),
        }
    }

    /// The owner's lock; the exclusive open of a device is one already.
    pub fn lock(&self) -> io::Result<bool> {
        match self.kind {
            Kind::Regular => lock(&self.file, self.writable),
            Kind::Device => Ok(true),
        }
    }

    /// Block `n`; zeros beyond the end of the file.
    pub fn read_block(&self, n: u64) -> io::Result<Box<Block>> {
        let mut block = Box::new(Block([0; BLOCK]));
        self.read_blocks(n, std::slice::from_mut(&mut *block))?;
        Ok(block)
    }

    /// Blocks of zeros become those from `first` on, as far as the file goes: one access of the device.
    fn read_blocks(&self, first: u64, blocks: &mut [Block]) -> io::Result<()> {
        if !self.direct {
            invalidate(&self.file)?;
        }
        let whole = blocks.len() * BLOCK;
        let mut filled = 0;
        while filled < whole {
            let mut rest: Vec<IoSliceMut<'_>> = blocks.iter_mut().map(|block| IoSliceMut::new(&mut block.0)).collect();
            let mut rest = rest.as_mut_slice();
            IoSliceMut::advance_slices(&mut rest, filled);
            let offset = i64::try_from(first * BLOCK as u64 + filled as u64).map_err(io::Error::other)?;
            // After a short read only the end of the file remains, so an unaligned rest is never read past the cache.
            match preadv(&self.file, rest, offset) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EINVAL) if filled > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Writes block `n` whole.
    pub fn write_block(&self, n: u64, block: &Block) -> io::Result<()> {
        self.file.write_all_at(&block.0, n * BLOCK as u64)
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Reads the metadata.
    pub fn read_metadata(&self) -> io::Result<Result<Metadata, MetadataError>> {
        let available = usize::try_from(self.size()?.saturating_sub(AREA_OFFSET)).unwrap_or(usize::MAX);
        let length = available.min(AREA_SIZE);
        let mut blocks = vec![Block([0; BLOCK]); length.div_ceil(BLOCK)];
        self.read_blocks(AREA_OFFSET / BLOCK as u64, &mut blocks)?;
        let mut area: Vec<u8> = blocks.iter().flat_map(|block| block.0).collect();
        area.truncate(length);
        Ok(Metadata::decode(&area))
    }

    /// Writes the metadata. The first block, with the magic, comes last, after all others are durable, which are ones that
    /// the present state does not use: a crash leaves the old state or the new one. (With names of several KiB, which do
    /// not fit into the first block themselves, it can leave a checksum error.)
    pub fn write_metadata(&self, metadata: &Metadata) -> io::Result<()> {
        let slot = Slot::free(&self.read_block(AREA_OFFSET / BLOCK as u64)?.0);
        let mut bytes = metadata
            .encode(slot)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "metadata do not fit into their area"))?;
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        let first = if metadata.uses_slot() { slot.start() / BLOCK } else { 1 };
        for (n, bytes) in area_blocks().zip(blocks).skip(first) {
            self.write_block(n, &Block(*bytes))?;
        }
        if blocks.len() > 1 {
            self.sync()?;
        }
        self.write_block(AREA_OFFSET / BLOCK as u64, &Block(blocks[0]))?;
        self.sync()
    }
}

impl Drop for BlockFile {
    fn drop(&mut self) {
        if self.kind == Kind::Regular {
            unlock(&self.file);
        }
    }
}

/// Numbers of the blocks of the metadata area.
fn area_blocks() -> impl Iterator<Item = u64> {
    let first = AREA_OFFSET / BLOCK as u64;
    first..first + (AREA_SIZE / BLOCK) as u64
}

/// The contents of record and metadata area before an LU was created, to be put back when that fails.
pub struct Backup {
    size: u64,
    blocks: Vec<Box<Block>>,
}

impl Backup {
    /// Reads what is there.
    pub fn take(file: &BlockFile) -> io::Result<Backup> {
        let size = file.size()?;
        let count = size
            .div_ceil(BLOCK as u64)
            .min(super::metadata::SHARED_SIZE / BLOCK as u64);
        let blocks = (0..count).map(|n| file.read_block(n)).collect::<io::Result<_>>()?;
        Ok(Backup { size, blocks })
    }

    /// Puts it back.
    pub fn restore(&self, file: &BlockFile) -> io::Result<()> {
        for (n, block) in (0..).zip(&self.blocks) {
            file.write_block(n, block)?;
        }
        if self.size < file.size()? {
            file.shrink_to(self.size)?;
        }
        file.sync()
    }
}
