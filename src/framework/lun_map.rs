//! The LUN map of a nexus: an immutable snapshot, computed from view entries (`scsi-sbd.md` 1.5).

use super::itl::Itl;
use crate::types::Lun;
use std::sync::Arc;

/// LUN to LU, of one nexus.
#[derive(Default, Clone)]
pub struct LunMap {
    /// Ascending by LUN; at most 16384.
    itls: Vec<Arc<Itl>>,
}

impl LunMap {
    fn position(&self, lun: Lun) -> Result<usize, usize> {
        // Hosts number from 0 without gaps as a rule.
        let likely = usize::from(lun.get());
        match self.itls.get(likely) {
            Some(itl) if itl.lun == lun => Ok(likely),
            _ => self.itls.binary_search_by_key(&lun, |itl| itl.lun),
        }
    }

    pub(super) fn get(&self, lun: Lun) -> Option<&Arc<Itl>> {
        self.position(lun).ok().map(|at| &self.itls[at])
    }

    /// Ascending by LUN.
    pub(super) fn itls(&self) -> impl Iterator<Item = &Arc<Itl>> {
        self.itls.iter()
    }

    /// This very pair is in the map.
    pub(super) fn holds(&self, itl: &Arc<Itl>) -> bool {
        self.get(itl.lun).is_some_and(|other| Arc::ptr_eq(other, itl))
    }

    pub(super) fn remove(&mut self, lun: Lun) {
        if let Ok(at) = self.position(lun) {
            self.itls.remove(at);
        }
    }

    /// Another pair with this number is replaced.
    pub(super) fn insert(&mut self, itl: Arc<Itl>) {
        match self.position(itl.lun) {
            Ok(at) => self.itls[at] = itl,
            Err(at) => self.itls.insert(at, itl),
        }
    }
}
