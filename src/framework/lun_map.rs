//! The LUN map of a nexus: an immutable snapshot, computed from view entries (`scsi-sbd.md` 1.5).

use super::itl::Itl;
use crate::types::{Guid, Lun};
use std::sync::Arc;

/// LUN to LU, of one nexus.
#[derive(Default)]
pub struct LunMap {
    /// Ascending by LUN; at most 16384.
    entries: Vec<(Lun, Arc<Itl>)>,
}

impl LunMap {
    pub(super) fn get(&self, lun: Lun) -> Option<&Arc<Itl>> {
        // Hosts number from 0 without gaps as a rule.
        match self.entries.get(usize::from(lun.get())) {
            Some((at, itl)) if *at == lun => Some(itl),
            _ => {
                let at = self.entries.binary_search_by_key(&lun, |(l, _)| *l).ok()?;
                Some(&self.entries[at].1)
            }
        }
    }

    pub(super) fn of_lu(&self, guid: &Guid) -> Option<(Lun, &Arc<Itl>)> {
        self.entries
            .iter()
            .find(|(_, itl)| itl.lu.guid == *guid)
            .map(|(lun, itl)| (*lun, itl))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (Lun, &Arc<Itl>)> {
        self.entries.iter().map(|(lun, itl)| (*lun, itl))
    }

    pub(super) fn luns(&self) -> impl Iterator<Item = Lun> {
        self.entries.iter().map(|(lun, _)| *lun)
    }

    /// The very pair of nexus and LU is in the map under this number.
    pub(super) fn holds(&self, lun: Lun, itl: &Arc<Itl>) -> bool {
        self.get(lun).is_some_and(|other| Arc::ptr_eq(other, itl))
    }

    /// A copy without one LU.
    pub(super) fn without(&self, guid: &Guid) -> LunMap {
        let entries = self
            .entries
            .iter()
            .filter(|(_, itl)| itl.lu.guid != *guid)
            .cloned()
            .collect();
        LunMap { entries }
    }

    /// A copy with one more entry; another one with this number is replaced.
    pub(super) fn with(&self, lun: Lun, itl: Arc<Itl>) -> LunMap {
        let mut copy = LunMap {
            entries: self.entries.clone(),
        };
        copy.insert(lun, itl);
        copy
    }

    pub(super) fn insert(&mut self, lun: Lun, itl: Arc<Itl>) {
        match self.entries.binary_search_by_key(&lun, |(l, _)| *l) {
            Ok(at) => self.entries[at] = (lun, itl),
            Err(at) => self.entries.insert(at, (lun, itl)),
        }
    }
}
