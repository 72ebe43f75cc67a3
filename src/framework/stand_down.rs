//! Giving an LU up in two phases (`stmfxLuStandDown`): it takes no more commands and lets those that it has come to their
//! end; then it becomes Standby. So no command of a host is cut off by a planned hand-over.

use super::Framework;
use super::live::Finale;
use super::logical_unit::LogicalUnit;
use crate::types::{AccessState, Guid, Status};
use std::time::Duration;

/// Commands are admitted again when it ends, where the LU still is Active.
struct Draining<'a>(&'a LogicalUnit);

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.end_drain();
    }
}

impl Framework {
    /// As `stmfLuStandby`, once the commands that run have ended; hosts are told 02/04/0A meanwhile and try again. `Busy` when
    /// some still run after `patience`, or when somebody else is at it: the LU is Active as before.
    pub fn lu_stand_down(&self, guid: &Guid, patience: Duration) -> Result<(), Status> {
        let lu = self.configured()?.lu(guid)?.clone();
        if lu.access() != AccessState::Active {
            return self.lu_standby(guid);
        }
        if !lu.begin_drain() {
            return Err(Status::Busy);
        }
        let _draining = Draining(&lu);
        let (finale, gone) = Finale::channel();
        lu.when_idle(&finale);
        drop(finale);
        match gone.recv_timeout(patience) {
            Ok(()) => self.lu_standby(guid),
            Err(_) => Err(Status::Busy),
        }
    }
}
