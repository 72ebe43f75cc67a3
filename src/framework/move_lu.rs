//! The planned hand-over of an LU to the peer in one call (`stmfadm move-lu`, `cli.md` 10.10): given up here, taken over there,
//! and taken back when the peer does not.

use super::effects::about_to;
use super::node_request::{NodeReply, NodeRequest};
use super::{Effect, Framework, PeerTrouble, Refusal, Wanted};
use crate::types::{AccessState, Guid, Status};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long this node's LU may take to follow the peer's.
const FOLLOW: Duration = Duration::from_secs(10);

/// Why an LU was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveTrouble {
    /// It is not Active on this node. Nothing was done.
    NotActive,
    /// The peer cannot be asked. Nothing was done.
    NoPeer(PeerTrouble),
    /// The peer does not have it as a Standby LU. Nothing was done.
    NotStandbyThere,
    /// It could not be given up: it is as it was.
    Kept(Status),
    /// The peer did not take it over. It is Active here again.
    TakenBack(PeerTrouble),
    /// The peer did not take it over, as far as is known, and it could not be taken back: it may be Active on no node.
    Lost(PeerTrouble, Status),
}

impl Framework {
    /// Moves an LU that is Active here to the peer. Commands that run may take so long; hosts are told 02/04/0A meanwhile.
    pub fn move_lu(&self, guid: &Guid, patience: Duration) -> Result<Result<(), MoveTrouble>, Status> {
        let lu = self.configured()?.lu(guid)?.clone();
        if lu.access() != AccessState::Active {
            return Ok(Err(MoveTrouble::NotActive));
        }
        if let Err(trouble) = self.peer_could_take(guid) {
            return Ok(Err(trouble));
        }
        let path = lu.name();
        about_to(|| Ok(vec![Effect::LuMoved(*guid, path.clone(), lu.sessions())]))?;
        if let Err(status) = self.lu_stand_down(guid, patience) {
            return Ok(Err(MoveTrouble::Kept(status)));
        }
        let trouble = match self.ask_peer(&NodeRequest::Import(*guid), super::node_request::PATIENCE) {
            Ok(NodeReply::Done) => None,
            Ok(_) => Some(PeerTrouble::Refused(Refusal::NotUnderstood)),
            Err(trouble) => Some(trouble),
        };
        let Some(trouble) = trouble else {
            // The peer says it has it: a late announcement changes nothing.
            let _ = self.wait_for(&Wanted::Access(*guid, AccessState::Standby), FOLLOW);
            log::info!("LU {guid}: moved to the peer");
            return Ok(Ok(()));
        };
        // Refused while the peer owns the store, whatever became of its answer (`alua-proxy.md` 6.6).
        Ok(match self.lu_import(&path) {
            Ok(_) => {
                log::warn!("LU {guid}: not moved to the peer, active here again");
                Err(MoveTrouble::TakenBack(trouble))
            }
            Err(_)
                if self
                    .wait_for(&Wanted::Access(*guid, AccessState::Standby), FOLLOW)
                    .is_ok() =>
            {
                Ok(())
            }
            Err((status, _)) => {
                log::error!("LU {guid}: neither taken over by the peer nor taken back: {status}");
                Err(MoveTrouble::Lost(trouble, status))
            }
        })
    }

    /// The peer answers, and knows the LU as Standby.
    fn peer_could_take(&self, guid: &Guid) -> Result<(), MoveTrouble> {
        let status = match self.ask_peer(&NodeRequest::Status, super::node_request::PATIENCE) {
            Ok(NodeReply::Status(status)) => status,
            Ok(_) => return Err(MoveTrouble::NoPeer(PeerTrouble::Refused(Refusal::NotUnderstood))),
            Err(trouble) => return Err(MoveTrouble::NoPeer(trouble)),
        };
        let listed = status.lus.iter().find(|lu| lu.guid == *guid);
        match listed {
            Some(lu) if lu.access == Some(AccessState::Standby) => Ok(()),
            // It does not list all of many.
            None if status.lu_count > status.lus.len() => Ok(()),
            _ => Err(MoveTrouble::NotStandbyThere),
        }
    }

    /// The other node wants this one to take over an LU.
    pub(super) fn import_for_peer(&self, guid: &Guid) -> Result<(), Status> {
        let path = self.configured()?.lu(guid)?.name();
        self.lu_import(&path).map(drop).map_err(|(status, _)| status)
    }
}
