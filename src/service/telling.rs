//! Requests whose callers want to be told what they do, or would do (`cli.md` 10.1, 10.6).

use super::{Call, Request, Response, Service, Told};
use crate::door::Credentials;
use crate::framework::{Effect, effects};
use crate::types::Status;

impl Service {
    /// [`Service::dispatch`] of a request without descriptors; a rehearsal evaluates it under the same locks and changes
    /// nothing.
    pub fn tell(&self, rehearsal: bool, call: impl Into<Call>, caller: Credentials) -> Told {
        let call = call.into();
        if rehearsal && !can_be_rehearsed(&call.request) {
            return Response::Failed(Status::InvalidArg).into();
        }
        let asked = call.request.clone();
        let run = || match self.dispatch(call, Vec::new(), caller).0 {
            response if is_failure(&response) => Err(response),
            response => Ok(response),
        };
        let (effects, result) = effects::telling(rehearsal, run);
        let response = match result {
            Some(Ok(response) | Err(response)) => response,
            None => carried_out(&asked, &effects),
        };
        Told { effects, response }
    }
}

fn is_failure(response: &Response) -> bool {
    matches!(
        response,
        Response::Failed(_) | Response::ImportFailed(..) | Response::IscsiChanged(Err(_))
    )
}

/// Requests that only read, up to `IscsiListing`, and those that pass `effects::about_to` before they change anything.
const fn can_be_rehearsed(request: &Request) -> bool {
    matches!(
        request,
        Request::GetState
            | Request::LuList
            | Request::LuInfo(_)
            | Request::LuResource(_)
            | Request::GroupList(_)
            | Request::GroupMembers(..)
            | Request::ViewList(_)
            | Request::ViewCheck(_)
            | Request::TargetList
            | Request::TargetInfo(_)
            | Request::TargetSessions(_)
            | Request::Providers(_)
            | Request::GetAlua
            | Request::AluaReport
            | Request::GetLuPolicy(_)
            | Request::GetStandbyReads
            | Request::IscsiListing
            | Request::LuCreate(_)
            | Request::LuImport(_)
            | Request::LuDelete(_)
            | Request::LuModify(..)
            | Request::LuModifyFile(..)
            | Request::LuOnline(_)
            | Request::LuOffline(_)
            | Request::LuStandby(_)
            | Request::GroupCreate(..)
            | Request::GroupDelete(..)
            | Request::GroupAdd(..)
            | Request::GroupRemove(..)
            | Request::ViewAdd(..)
            | Request::ViewRemove(..)
            | Request::TargetOnline(_)
            | Request::TargetOffline(_)
            | Request::SetAlua { .. }
            | Request::PeerFenced
            | Request::SetLuPolicy(..)
            | Request::SetStandbyReads(_)
            | Request::SetMirror(_)
            | Request::MoveLu(..)
            | Request::IscsiChange(_)
    )
}

/// The response to a request that a rehearsal found possible.
fn carried_out(request: &Request, effects: &[Effect]) -> Response {
    let told = effects.iter().find_map(|effect| match effect {
        Effect::LuCreated { guid, .. } | Effect::LuImported(guid, _) => Some(Response::Guid(*guid)),
        Effect::ViewAdded(_, entry) => Some(Response::View(entry.clone())),
        Effect::IscsiCreated(_, name) | Effect::IscsiModified(_, name) | Effect::IscsiDeleted(_, name, _) => {
            Some(Response::IscsiChanged(Ok(name.clone())))
        }
        Effect::LuMoved(..) => Some(Response::Moved(Ok(()))),
        _ => None,
    });
    debug_assert!(told.is_some() || !matches!(request, Request::IscsiChange(_) | Request::LuCreate(_)));
    told.unwrap_or(Response::Done)
}
