//! Block size and size of an LU (`libstmf-api.md` 3.9 steps 3 and 6).
#![forbid(unsafe_code)]

use super::block_file::{self, Kind};
use super::lu::data_offset;
use super::metadata::LuInfo;
use crate::types::Status;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::File;

/// Smallest LU, bytes.
const MIN_SIZE: u64 = 1 << 20;

const DEFAULT_BLOCK_SIZE: u32 = 512;

/// log2 of the block size: powers of two in 512..=32768.
pub fn block_shift(block_size: Option<u32>) -> Result<u8, Status> {
    let block_size = block_size.unwrap_or(DEFAULT_BLOCK_SIZE);
    if !(512..=32768).contains(&block_size) || !block_size.is_power_of_two() {
        log::error!("block size {block_size} is not a power of two in 512 to 32768");
        return Err(Status::InvalidBlkSize);
    }
    u8::try_from(block_size.trailing_zeros()).map_err(|_| Status::InvalidBlkSize)
}

/// Size of a new LU whose data begin at `base`: as given, or what the file has, rounded down to whole blocks.
pub fn of_new(
    data: &File,
    kind: Kind,
    path: &str,
    base: u64,
    given: Option<u64>,
    block_shift: u8,
) -> Result<u64, Status> {
    let refuse = |why: &str, status| {
        log::error!("{path}: {why}");
        Err(status)
    };
    let Ok(available) = block_file::size(data, kind) else {
        return refuse("its size cannot be determined", Status::DataFileName);
    };
    let size = given.unwrap_or(available.saturating_sub(base) >> block_shift << block_shift);
    if size < MIN_SIZE {
        return refuse(
            &format!("{size} bytes are too few for an LU, at least {MIN_SIZE}"),
            Status::FileSizeInvalid,
        );
    }
    if !size.is_multiple_of(1 << block_shift) {
        return refuse(&format!("{size} bytes are not whole blocks"), Status::FileSizeInvalid);
    }
    if !can_hold(data, kind, available, base.checked_add(size)) {
        return refuse(&format!("cannot hold an LU of {size} bytes"), Status::SizeOutOfRange);
    }
    Ok(size)
}

/// The LU must fit: a regular file may be shorter (its tail is zero), but the file system must be able to extend it.
fn can_hold(data: &File, kind: Kind, available: u64, end: Option<u64>) -> bool {
    let Some(end) = end else { return false };
    if end <= available {
        return true;
    }
    let Some(last) = i64::try_from(end).ok().map(|end| end - 1) else {
        return false;
    };
    if kind == Kind::Device {
        return false;
    }
    // A hole beyond the end of the file changes nothing, but the file system says EFBIG when it cannot address it.
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(data, flags, last, 1) != Err(nix::Error::EFBIG)
}

/// The size in the metadata against the store.
pub fn check_stored(data: &File, kind: Kind, path: &str, info: &LuInfo) -> Result<(), Status> {
    let end = info.size.checked_add(data_offset(info));
    let fits = match (kind, end, block_file::size(data, kind)) {
        (_, None, _) => false,
        (Kind::Regular, Some(end), Ok(_)) => i64::try_from(end).is_ok(),
        (Kind::Device, Some(end), Ok(available)) => end <= available,
        (_, Some(_), Err(error)) => {
            log::error!("{path}: its size cannot be determined: {error}");
            return Err(Status::DataFileName);
        }
    };
    if !fits {
        log::error!("{path}: too small for its LU of {} bytes", info.size);
        return Err(Status::FileSizeInvalid);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_sizes() {
        assert_eq!(block_shift(None), Ok(9));
        assert_eq!(block_shift(Some(32768)), Ok(15));
        for bad in [0, 1, 256, 513, 1536, 65536, u32::MAX] {
            assert_eq!(block_shift(Some(bad)), Err(Status::InvalidBlkSize), "{bad}");
        }
    }

    #[test]
    fn sizes_of_regular_files() {
        let file = tempfile::tempfile().unwrap();
        let size = |given| of_new(&file, Kind::Regular, "test", 65536, given, 12);
        assert_eq!(size(None), Err(Status::FileSizeInvalid), "empty");
        assert_eq!(size(Some(1 << 20)), Ok(1 << 20), "sparse");
        assert_eq!(size(Some((1 << 20) + 512)), Err(Status::FileSizeInvalid));
        assert_eq!(size(Some((1 << 20) - 4096)), Err(Status::FileSizeInvalid));
        for huge in [1 << 62, i64::MAX as u64 & !4095, !4095] {
            assert_eq!(size(Some(huge)), Err(Status::SizeOutOfRange), "{huge:#x}");
        }
        file.set_len((2 << 20) + 65536 + 100).unwrap();
        assert_eq!(size(None), Ok(2 << 20), "rounded down");
        assert_eq!(
            file.metadata().unwrap().len(),
            (2 << 20) + 65536 + 100,
            "nothing changed"
        );
    }
}
