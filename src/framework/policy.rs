//! Access policies (`alua-proxy.md` 7.4, 7.7): what a node that does not own an LU does with its commands, and what it tells
//! hosts about its group.
//!
//! The policy of an LU is the owner's: it is set where the LU is Active, travels with each announcement, and the other node
//! keeps it, so that it is still there after a move.

use super::alua::machine::LuState;
use super::alua_mode::setting;
use super::cell::Cell;
use super::effects::about_to;
use super::logical_unit::LogicalUnit;
use super::state::{POLICY, STANDBY_READS, State};
use super::{Effect, Framework};
use crate::store::Change;
use crate::types::{Guid, Status};
use std::sync::atomic::Ordering;

const NON_OPTIMIZED: &str = "non-optimized";

impl State {
    pub fn restore_policy(&mut self, key: &str, value: &str) {
        let guid = key.strip_prefix(POLICY).and_then(|guid| guid.parse().ok());
        if let Some(guid) = guid.filter(|_| value == NON_OPTIMIZED) {
            self.non_optimized.insert(guid);
        }
    }
}

impl Framework {
    /// Policy `non-optimized` of an LU that is registered here: `NotFound` otherwise.
    pub fn lu_policy(&self, guid: &Guid) -> Result<bool, Status> {
        self.state.lock().lu(guid).map(|lu| lu.non_optimized())
    }

    /// Sets the policy of an LU on both nodes. `AccessStateSet` unless it is Active here; `InvalidArg` for `non-optimized`
    /// towards an original peer, which executes no forwarded writes.
    pub fn set_lu_policy(&self, guid: &Guid, non_optimized: bool) -> Result<(), Status> {
        let original = self.link().is_some_and(|link| link.status().original == Some(true));
        if non_optimized && original {
            return Err(Status::InvalidArg);
        }
        self.state.lock().lu(guid)?;
        let cell = self.cell(guid);
        let inner = cell.lock_for_action()?;
        let Some(lu) = inner
            .lu
            .as_ref()
            .filter(|_| matches!(inner.state, LuState::Active { .. }))
        else {
            return Err(Status::AccessStateSet);
        };
        if lu.non_optimized() == non_optimized {
            return Ok(());
        }
        about_to(|| Ok(vec![Effect::LuPolicy(*guid, non_optimized)]))?;
        self.keep_policy(guid, non_optimized)?;
        lu.change_policy(non_optimized);
        self.send_register(&cell, &inner);
        Ok(())
    }

    /// READ on Standby LUs of this node is forwarded.
    pub fn standby_reads(&self) -> bool {
        self.standby_reads.load(Ordering::Acquire)
    }

    /// `alua/standby-reads`.
    pub fn set_standby_reads(&self, forward: bool) -> Result<(), Status> {
        // The lock orders this with other changes.
        let _state = self.state.lock();
        about_to(|| Ok(vec![Effect::StandbyReads(forward)]))?;
        self.commit(&[setting(STANDBY_READS, if forward { "forward" } else { "refuse" })])?;
        self.standby_reads.store(forward, Ordering::Release);
        Ok(())
    }

    /// The policy `non-optimized` is in effect: not towards a peer that has not agreed (capability 4).
    pub(super) fn forwards_all(&self, lu: &LogicalUnit) -> bool {
        lu.non_optimized()
            && self.link().is_some_and(|link| {
                let peer = link.status();
                peer.original != Some(true) && (peer.writes || !peer.reachable)
            })
    }

    /// What the owner says holds here too.
    pub(super) fn adopt_policy(&self, cell: &Cell, non_optimized: bool) {
        let inner = cell.lock();
        let Some(lu) = inner.lu.as_ref().filter(|_| !inner.state.store_open()) else {
            return;
        };
        if lu.non_optimized() != non_optimized {
            if let Err(status) = self.keep_policy(&cell.guid, non_optimized) {
                log::error!("LU {}: its access policy could not be written: {status}", cell.guid);
            }
            lu.change_policy(non_optimized);
        }
    }

    /// Writes it, and remembers it for the next object of this LU.
    pub(super) fn keep_policy(&self, guid: &Guid, non_optimized: bool) -> Result<(), Status> {
        let mut state = self.state.lock();
        if state.non_optimized.contains(guid) == non_optimized {
            return Ok(());
        }
        let key = format!("{POLICY}{guid}");
        self.commit(&[match non_optimized {
            true => setting(&key, NON_OPTIMIZED),
            false => Change::RemoveSetting { key },
        }])?;
        match non_optimized {
            true => state.non_optimized.insert(*guid),
            false => state.non_optimized.remove(guid),
        };
        Ok(())
    }
}
