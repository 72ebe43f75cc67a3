//! The system interfaces that the standard library lacks: vectored I/O with flags, block device sizes, the clock that
//! runs through suspension.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// How a read or write may behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Fails with `EAGAIN` (or `EOPNOTSUPP`, where the file system cannot tell) instead of blocking.
    NoWait,
    /// As `NoWait`; but where the file system cannot tell, short accesses that hardly ever block are made (`inline`).
    Brief,
    /// Blocks as long as it takes.
    Wait,
}

/// Reads up to `limit` bytes at `offset` and appends them to `buffer`, never beyond its capacity. 0 at end of file.
pub fn read_append(file: &File, buffer: &mut Vec<u8>, limit: usize, offset: u64, mode: Mode) -> io::Result<usize> {
    let offset = to_off(offset)?;
    let spare = buffer.spare_capacity_mut();
    let vector = libc::iovec {
        iov_base: spare.as_mut_ptr().cast(),
        iov_len: spare.len().min(limit),
    };
    let fd = file.as_raw_fd();
    // SAFETY: the vector describes the spare capacity of `buffer`, which lives and stays unaliased during the call.
    let n = unsafe {
        match mode {
            Mode::NoWait | Mode::Brief => libc::preadv2(fd, &raw const vector, 1, offset, libc::RWF_NOWAIT),
            // The same without flags, for less of the kernel's time.
            Mode::Wait => libc::pread64(fd, vector.iov_base, vector.iov_len, offset),
        }
    };
    let n = usize::try_from(n).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has initialised the first `n` bytes of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + n) };
    Ok(n)
}

/// Writes from the start of `data` at `offset`; may write less than all.
pub fn write_at(file: &File, data: &[u8], offset: u64, mode: Mode) -> io::Result<usize> {
    let offset = to_off(offset)?;
    let vector = libc::iovec {
        iov_base: data.as_ptr().cast_mut().cast(),
        iov_len: data.len(),
    };
    let fd = file.as_raw_fd();
    // SAFETY: the vector describes `data`, which the kernel only reads.
    let n = unsafe {
        match mode {
            Mode::NoWait | Mode::Brief => libc::pwritev2(fd, &raw const vector, 1, offset, libc::RWF_NOWAIT),
            Mode::Wait => libc::pwrite64(fd, vector.iov_base, vector.iov_len, offset),
        }
    };
    usize::try_from(n).map_err(|_| io::Error::last_os_error())
}

fn to_off(offset: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(offset).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// Size of a block device, bytes.
pub fn device_size(device: &File) -> io::Result<u64> {
    // <linux/fs.h>: _IOR(0x12, 114, size_t)
    const BLKGETSIZE64: libc::Ioctl = nix::request_code_read!(0x12, 114, size_of::<usize>()) as libc::Ioctl;
    let mut size = 0_u64;
    // SAFETY: BLKGETSIZE64 stores one u64.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut size) };
    check(result).map(|()| size)
}

/// Writes back and drops the page cache of a block device.
pub fn device_drop_cache(device: &File) -> io::Result<()> {
    // <linux/fs.h>: _IO(0x12, 97)
    const BLKFLSBUF: libc::Ioctl = nix::request_code_none!(0x12, 97) as libc::Ioctl;
    // SAFETY: BLKFLSBUF takes no argument.
    check(unsafe { libc::ioctl(device.as_raw_fd(), BLKFLSBUF, 0) })
}

/// Writes back what is dirty of a range in the page cache, and waits for it. Not durable: device caches are not flushed.
pub fn write_back(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let (offset, length) = (to_off(offset)?, to_off(length)?);
    let all = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: no pointers.
    check(unsafe { libc::sync_file_range(file.as_raw_fd(), offset, length, all) })
}

/// Nanoseconds of `CLOCK_BOOTTIME`: monotonic, and counting while the machine is suspended, so that a node that slept
/// finds its lease expired.
pub fn boottime_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: clock_gettime stores one timespec.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    assert_eq!(result, 0, "CLOCK_BOOTTIME exists since Linux 2.6.39");
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// How often this thread went to sleep of its own accord (`ru_nvcsw`): unchanged by a call that did not block.
pub fn voluntary_switches() -> libc::c_long {
    // SAFETY: an rusage is integers only, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: getrusage stores one rusage.
    let result = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    assert_eq!(result, 0, "RUSAGE_THREAD exists since Linux 2.6.26");
    usage.ru_nvcsw
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
