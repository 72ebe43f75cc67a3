//! Which files back an LU of this provider: one file backs one LU, as data or as metadata, whatever its name.
#![forbid(unsafe_code)]

use super::block_file::FileId;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

/// The files in use.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<HashSet<FileId>>>);

/// Files held for one LU, until it is dropped.
pub struct Registration {
    registry: Registry,
    files: Vec<FileId>,
}

impl Registry {
    /// Holds all of `files`, or `None` when one of them is held already or named twice.
    pub fn register(&self, files: &[FileId]) -> Option<Registration> {
        let mut held = self.0.lock();
        let mut registration = Vec::with_capacity(files.len());
        for file in files {
            if !held.insert(*file) {
                for taken in &registration {
                    held.remove(taken);
                }
                return None;
            }
            registration.push(*file);
        }
        Some(Registration {
            registry: self.clone(),
            files: registration,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut held = self.registry.0.lock();
        for file in &self.files {
            held.remove(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_one_lu() {
        let registry = Registry::default();
        let (a, b, c) = (FileId::Regular(1, 1), FileId::Regular(1, 2), FileId::Device(1));
        let first = registry.register(&[a, b]).unwrap();
        assert!(registry.register(&[c, a]).is_none());
        assert!(registry.register(&[c]).is_some(), "all or nothing");
        assert!(registry.register(&[c, c]).is_none());
        drop(first);
        assert!(registry.register(&[c, a]).is_some());
        assert!(registry.register(&[a]).is_some(), "released when dropped");
    }
}
