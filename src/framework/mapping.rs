//! LUN maps follow view entries, groups and the states of LUs; sessions hear of it (`scsi-sbd.md` 1.5, 1.9).

use super::live::Finale;
use super::logical_unit::LogicalUnit;
use super::state::State;
use super::{LunMap, Nexus, ObjectState};
use crate::types::{DevId, Guid, Lun};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl State {
    fn wanted(&self, lu: &LogicalUnit, nexus: &Nexus) -> Option<Lun> {
        match lu.state() {
            ObjectState::Online => self.views.lun_of(&lu.guid, &nexus.initiator, &nexus.port.devid),
            _ => None,
        }
    }

    /// Adjusts the maps of all nexuses to one LU. The finale is held by tasks of nexuses that lose it.
    pub fn remap_lu(&self, guid: &Guid, finale: &Arc<Finale>) {
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
                itl.lu.detach(itl, finale);
            }
            changed(nexus);
        }
    }

    /// Adjusts the maps of all nexuses for which `which` holds, after a change of a group.
    pub fn remap_nexuses(&self, which: impl Fn(&Nexus) -> bool, finale: &Arc<Finale>) {
        for nexus in self.nexuses.iter().filter(|n| which(n)) {
            if self.remap_nexus(nexus, finale) {
                changed(nexus);
            }
        }
    }

    /// Computes the whole map of a nexus; true when it differs from the one it had.
    pub fn remap_nexus(&self, nexus: &Arc<Nexus>, finale: &Arc<Finale>) -> bool {
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
        let lost: Vec<_> = old.itls().filter(|itl| !next.contains(itl)).cloned().collect();
        differs |= !lost.is_empty();
        if differs {
            nexus.lun_map.store(Arc::new(next));
            lost.iter().for_each(|itl| itl.lu.detach(itl, finale));
        }
        differs
    }

    /// Nexuses of one initiator.
    pub fn remap_initiator(&self, initiator: &DevId, finale: &Arc<Finale>) {
        self.remap_nexuses(|nexus| nexus.initiator == *initiator, finale);
    }
}

/// 06/3F/0E, never on sessions of the peer.
fn changed(nexus: &Nexus) {
    if !nexus.port.image {
        nexus.luns_changed.store(true, Ordering::Release);
    }
}
