//! Stores that may run out of room (`cli.md` 10.2).

use super::screen::size;
use nix::sys::statvfs::statvfs;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A file system is nearly full when less than one part in so many is left.
const PART: u64 = 20;

/// Room for a store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Room {
    /// Not allocated yet.
    missing: u64,
    /// Left in the file system, for whoever is not the super-user.
    left: u64,
    /// Size of the file system.
    total: u64,
}

impl Room {
    /// Of a regular file that is to hold `size` bytes in the end. `None`: it is another kind of file, or cannot be seen.
    fn of(path: &str, size: u64) -> Option<Room> {
        let file = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let system = statvfs(path).ok()?;
        Some(Room {
            missing: file.len().max(size).saturating_sub(file.blocks() * 512),
            left: system.blocks_available() * system.fragment_size(),
            total: system.blocks() * system.fragment_size(),
        })
    }

    fn is_nearly_full(self) -> bool {
        self.missing > self.left && self.left < self.total / PART
    }
}

/// What to say of a store that hosts can fill further than there is room for, with the file system nearly full.
pub fn nearly_full(path: &str, bytes: u64) -> Option<String> {
    let room = Room::of(path, bytes).filter(|room| room.is_nearly_full())?;
    Some(format!(
        "store nearly full: {} left where {path} lies, and {} of it not allocated",
        size(room.left),
        size(room.missing)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_still_grow_runs_out() {
        let room = |missing, left| Room {
            missing,
            left,
            total: 1000,
        };
        assert!(room(50, 49).is_nearly_full());
        assert!(!room(49, 49).is_nearly_full(), "there is room for all of it");
        assert!(!room(500, 50).is_nearly_full(), "not nearly full");
        assert!(!room(0, 0).is_nearly_full(), "all is allocated");
    }

    #[test]
    fn files_are_looked_at() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lu");
        fs::write(&path, vec![1; 8192]).unwrap();
        let room = Room::of(path.to_str().unwrap(), 1 << 20).unwrap();
        assert!(
            room.missing <= 1 << 20 && room.missing > 0 && room.total > 0,
            "{room:?}"
        );
        assert_eq!(Room::of(directory.path().to_str().unwrap(), 1), None);
        assert_eq!(nearly_full("/nonexistent", u64::MAX), None);
    }
}
