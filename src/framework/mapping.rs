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
        map.itls().for_each(|itl| unmapped.add(itl));
        unmapped
    }

    /// Aborts the tasks, without response. The finale is held until none of them can touch a store.
    pub fn stop(self, finale: &Arc<Finale>) {
        for itl in self.0 {
            // The unit hears of it when no task of the pair can change it any more.
            let (held, pair) = (finale.clone(), itl.clone());
            let last = Finale::new(move || {
                if let Some(unit) = pair.lu.unit() {
                    unit.nexus_lost(pair.nexus_id);
                }
                drop(held);
            });
            itl.stop_tasks(Stop::Abort, &last, |_| true);
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
    pub fn remap_lu(&self, lu: &Arc<LogicalUnit>) -> Unmapped {
        let mut unmapped = Unmapped::default();
        let registered = self.lus.get(&lu.guid).is_some_and(|known| Arc::ptr_eq(known, lu));
        let mapped = lu.mapped();
        for nexus in &self.nexuses {
            let have = mapped.get(&Arc::as_ptr(nexus));
            let wanted = self.wanted(lu, nexus).filter(|_| registered);
            if have.map(|itl| itl.lun) == wanted {
                continue;
            }
            let mut next = LunMap::clone(&nexus.lun_map.load());
            if let Some(itl) = have {
                next.remove(itl.lun);
                unmapped.add(itl);
            }
            if let Some(lun) = wanted {
                next.insert(lu.attach(nexus, lun));
            }
            nexus.lun_map.store(Arc::new(next));
            changed(nexus);
        }
        unmapped
    }

    /// As [`State::remap_lu`], for a GUID that may have no LU.
    pub fn remap_guid(&self, guid: &Guid) -> Unmapped {
        self.lus
            .get(guid)
            .map_or_else(Unmapped::default, |lu| self.remap_lu(lu))
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
                    lu.attach(nexus, lun)
                }
            };
            next.insert(itl);
        }
        // A pair of the old map is in the new one under the same number, or it is gone.
        for itl in old.itls().filter(|itl| !next.holds(itl)) {
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
