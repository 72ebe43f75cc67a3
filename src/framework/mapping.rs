//! LUN maps follow view entries, groups and the states of LUs; sessions hear of it (`scsi-sbd.md` 1.5, 1.9).

use super::itl::{Itl, Refused};
use super::live::{Finale, Stop};
use super::logical_unit::LogicalUnit;
use super::state::State;
use super::{LunMap, Nexus, ObjectState};
use crate::types::{Guid, Lun};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Pairs of nexus and LU that are no longer mapped. Their tasks are to be stopped once the lock on the state is given
/// back: handlers may complete them on this thread.
#[derive(Default)]
#[must_use]
pub(super) struct Unmapped(Vec<Arc<Itl>>);

impl Unmapped {
    fn add(&mut self, itl: &Arc<Itl>) {
        itl.close(Refused::Unmapped);
        self.0.push(itl.clone());
    }

    /// All pairs of a nexus that ends.
    pub fn all_of(map: &LunMap) -> Unmapped {
        let mut unmapped = Unmapped::default();
        map.entries().for_each(|(_, itl)| unmapped.add(itl));
        unmapped
    }

    /// Aborts the tasks, without response. The finale is held until none of them can touch a store.
    pub fn stop(self, finale: &Arc<Finale>) {
        for itl in self.0 {
            itl.stop_tasks(Stop::Abort, finale, |_| true);
            if itl.finished() {
                itl.lu.forget(&itl);
            }
        }
    }

    /// As [`Unmapped::stop`], for callers who need not wait.
    pub fn stop_unattended(self) {
        self.stop(&Finale::new(|| ()));
    }
}

impl State {
    fn wanted(&self, lu: &LogicalUnit, nexus: &Nexus) -> Option<Lun> {
        match lu.state() {
            ObjectState::Online => self.views.lun_of(&lu.guid, &nexus.initiator, &nexus.port.devid),
            _ => None,
        }
    }

    /// Adjusts the maps of all nexuses to one LU.
    pub fn remap_lu(&self, guid: &Guid) -> Unmapped {
        let mut unmapped = Unmapped::default();
        let lu = self.lus.get(guid);
        for nexus in &self.nexuses {
            let map = nexus.lun_map.load_full();
            let have = map.of_lu(guid);
            let wanted = lu.and_then(|lu| Some((self.wanted(lu, nexus)?, lu)));
            if have.map(|(lun, _)| lun) == wanted.map(|(lun, _)| lun)
                && have.is_none_or(|(_, itl)| lu.is_some_and(|lu| Arc::ptr_eq(&itl.lu, lu)))
            {
                continue;
            }
            let mut next = map.without(guid);
            if let Some((lun, lu)) = wanted {
                next = next.with(lun, lu.attach(nexus));
            }
            nexus.lun_map.store(Arc::new(next));
            if let Some((_, itl)) = have {
                unmapped.add(itl);
            }
            changed(nexus);
        }
        unmapped
    }

    /// Adjusts the maps of all nexuses for which `which` holds, after a change of a group or of many LUs.
    pub fn remap_nexuses(&self, which: impl Fn(&Nexus) -> bool) -> Unmapped {
        let mut unmapped = Unmapped::default();
        for nexus in self.nexuses.iter().filter(|n| which(n)) {
            if self.remap_nexus(nexus, &mut unmapped) {
                changed(nexus);
            }
        }
        unmapped
    }

    /// Computes the whole map of a nexus; true when it differs from the one it had.
    pub fn remap_nexus(&self, nexus: &Arc<Nexus>, unmapped: &mut Unmapped) -> bool {
        let old = nexus.lun_map.load_full();
        let mut next = LunMap::default();
        let mut differs = false;
        for lu in self.views.guids().filter_map(|guid| self.lus.get(guid)) {
            let Some(lun) = self.wanted(lu, nexus) else { continue };
            let itl = match old.get(lun).filter(|itl| Arc::ptr_eq(&itl.lu, lu)) {
                Some(itl) => itl.clone(),
                None => {
                    differs = true;
                    lu.attach(nexus)
                }
            };
            next.insert(lun, itl);
        }
        // A pair of the old map is in the new one under the same number, or it is gone.
        for (_, itl) in old.entries().filter(|(lun, itl)| !next.holds(*lun, itl)) {
            differs = true;
            unmapped.add(itl);
        }
        if differs {
            nexus.lun_map.store(Arc::new(next));
        }
        differs
    }
}

/// 06/3F/0E, never on sessions of the peer.
fn changed(nexus: &Nexus) {
    if !nexus.port.image {
        nexus.luns_changed.store(true, Ordering::Release);
    }
}
