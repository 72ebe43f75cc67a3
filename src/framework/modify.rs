//! Changing properties of an LU (`stmfModifyLu`, `stmfModifyLuByFname`; `libstmf-api.md` 3.9).

use super::alua::machine::LuState;
use super::cell::Inner;
use super::effects::rehearsing;
use super::{Framework, ImportError, Release, Unit};
use crate::scsi::Sense;
use crate::types::{Guid, LuChange, Status};
use std::sync::Arc;

impl Framework {
    /// `NotFound`, `Busy`, `AccessStateSet` for an LU that is not Active, then what the unit says.
    pub fn lu_modify(&self, guid: &Guid, change: &LuChange) -> Result<(), Status> {
        self.configured()?.lu(guid)?;
        self.modify_registered(guid, change)
    }

    /// The same by the LU's name. An LU that is not registered gets new metadata and stays unregistered.
    pub fn lu_modify_file(&self, path: &str, change: &LuChange) -> Result<(), Status> {
        let named = self.state.lock().names.get(path).copied();
        if let Some(guid) = named {
            return self.modify_registered(&guid, change);
        }
        let provider = self.provider().ok_or(Status::Error)?;
        let guid = provider.identify(path)?;
        let cell = self.cell(&guid);
        // Held to the end: nobody imports the LU meanwhile.
        let inner = cell.lock_for_action()?;
        let peer = self.peer_view(inner.says, inner.given_up, None);
        let why = |error| match error {
            ImportError::Refused(_) => Status::AccessStateSet,
            ImportError::Failed(status) => status,
        };
        // An open unit would say what it thinks of the change, but to open it is a change.
        if rehearsing() {
            return provider.rehearse_modify(path, peer, change).map_err(why);
        }
        let unit = provider.import(path, peer).map_err(why)?;
        let modified = unit.modify(change);
        let released = unit.release(Release::Handover);
        modified.and(released)
    }

    fn modify_registered(&self, guid: &Guid, change: &LuChange) -> Result<(), Status> {
        let cell = self.cell(guid);
        let inner = cell.lock_for_action()?;
        let lu = inner.lu.clone().ok_or(Status::NotFound)?;
        let unit = active_unit(&inner, lu.unit())?;
        unit.modify(change)?;
        match change {
            LuChange::Size(_) => lu.raise(Sense::CAPACITY_CHANGED),
            LuChange::WriteProtect(_) | LuChange::WriteCacheDisable(_) => lu.raise(Sense::MODE_PARAMETERS_CHANGED),
            LuChange::Alias(_) | LuChange::MgmtUrl(_) => {}
        }
        Ok(())
    }
}

fn active_unit(inner: &Inner, unit: Option<Arc<dyn Unit>>) -> Result<Arc<dyn Unit>, Status> {
    match inner.state {
        // Another call has the LU: before what it makes of it (order of the conditions in 3.9).
        LuState::Active { busy: true, .. }
        | LuState::Building { .. }
        | LuState::Activating { .. }
        | LuState::GivingUp { .. }
        | LuState::Deleting { .. } => Err(Status::Busy),
        LuState::Active { .. } => unit.filter(|unit| unit.owned()).ok_or(Status::AccessStateSet),
        _ => Err(Status::AccessStateSet),
    }
}
