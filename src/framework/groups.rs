//! Calls on groups and view entries: check, store, apply (`libstmf-api.md` 3.4 to 3.6).

use super::effects::{about_to, count};
use super::state::{State, StateGuard};
use super::{ConfigState, Effect, Framework, GroupKind, Nexus, ObjectState, ViewEntry, ViewRequest};
use crate::store::{Change, GroupTable, ViewRow};
use crate::types::{DevId, GroupName, Guid, Lun, Status};
use std::collections::HashSet;
use std::sync::Arc;

impl GroupKind {
    fn table(self) -> GroupTable {
        match self {
            GroupKind::Host => GroupTable::Host,
            GroupKind::Target => GroupTable::Target,
        }
    }
}

/// Members of a target group change only while the port is offline.
fn check_port(state: &State, kind: GroupKind, member: &DevId) -> Result<(), Status> {
    match (kind, state.port(member)) {
        (GroupKind::Target, Ok(port)) if port.state() != ObjectState::Offline => Err(Status::TgOnline),
        _ => Ok(()),
    }
}

/// Sessions that a change of a group's members concerns.
fn remapped(state: &State, kind: GroupKind, member: &DevId) -> Option<Effect> {
    let concerned = |nexus: &&Arc<Nexus>| nexus.initiator == *member && !nexus.port.image;
    let sessions = match kind {
        GroupKind::Host => state.nexuses.iter().filter(concerned).count(),
        GroupKind::Target => 0,
    };
    (sessions > 0).then(|| Effect::SessionsRemapped(count(sessions)))
}

impl State {
    /// Initiators, and their sessions, for which this view entry decides whether they see the LU.
    fn audience(&self, guid: &Guid, entry: &ViewEntry) -> (u32, u32) {
        let serves = self.lus.get(guid).is_some_and(|lu| lu.state() == ObjectState::Online);
        let applies = |nexus: &&Arc<Nexus>| {
            serves && !nexus.port.image && self.views.applies(entry, &nexus.initiator, &nexus.port.devid)
        };
        let sessions: Vec<&DevId> = self
            .nexuses
            .iter()
            .filter(applies)
            .map(|nexus| &nexus.initiator)
            .collect();
        let initiators: HashSet<&DevId> = sessions.iter().copied().collect();
        (count(initiators.len()), count(sessions.len()))
    }
}

impl Framework {
    /// The state with the configuration loaded (auto-load, `libstmf-api.md` 1.7).
    pub(super) fn configured(&self) -> Result<StateGuard<'_>, Status> {
        let state = self.state.lock();
        if state.config == ConfigState::InitDone {
            return Ok(state);
        }
        drop(state);
        self.load_once()?;
        Ok(self.state.lock())
    }

    pub(super) fn create_group(&self, kind: GroupKind, name: &GroupName) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_create(kind, name)?;
        about_to(|| Ok(vec![Effect::GroupCreated(kind, name.clone())]))?;
        self.commit(&[Change::PutGroup {
            table: kind.table(),
            name: name.clone(),
        }])?;
        state.views.group_create(kind, name);
        Ok(())
    }

    pub(super) fn delete_group(&self, kind: GroupKind, name: &GroupName) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_delete(kind, name)?;
        about_to(|| Ok(vec![Effect::GroupDeleted(kind, name.clone())]))?;
        self.commit(&[Change::RemoveGroup {
            table: kind.table(),
            name: name.clone(),
        }])?;
        state.views.group_delete(kind, name);
        Ok(())
    }

    pub(super) fn add_member(&self, kind: GroupKind, name: &GroupName, member: &DevId) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_add(kind, name, member)?;
        check_port(&state, kind, member)?;
        about_to(|| {
            let added = Effect::MemberAdded(kind, name.clone(), member.clone());
            Ok(vec![added].into_iter().chain(remapped(&state, kind, member)).collect())
        })?;
        self.commit(&[Change::PutMember {
            table: kind.table(),
            name: name.clone(),
            member: member.clone(),
        }])?;
        state.views.group_add(kind, name, member);
        member_changed(state, kind, member);
        Ok(())
    }

    pub(super) fn remove_member(&self, kind: GroupKind, name: &GroupName, member: &DevId) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_remove(kind, name, member)?;
        check_port(&state, kind, member)?;
        about_to(|| {
            let removed = Effect::MemberRemoved(kind, name.clone(), member.clone());
            Ok(vec![removed]
                .into_iter()
                .chain(remapped(&state, kind, member))
                .collect())
        })?;
        self.commit(&[Change::RemoveMember {
            table: kind.table(),
            name: name.clone(),
            member: member.clone(),
        }])?;
        state.views.group_remove(kind, name, member);
        member_changed(state, kind, member);
        Ok(())
    }

    pub(super) fn add_view(&self, guid: &Guid, request: &ViewRequest) -> Result<ViewEntry, Status> {
        let mut state = self.configured()?;
        let entry = state.views.check_add(guid, request)?;
        about_to(|| {
            let (initiators, sessions) = state.audience(guid, &entry);
            let shown = (sessions > 0).then_some(Effect::Shown(initiators, sessions));
            let added = Effect::ViewAdded(*guid, entry.clone());
            Ok(vec![added].into_iter().chain(shown).collect())
        })?;
        self.commit(&[Change::PutView(ViewRow {
            guid: *guid,
            index: entry.index,
            host_group: entry.host_group.clone(),
            target_group: entry.target_group.clone(),
            lun: entry.lun,
        })])?;
        state.views.add(*guid, entry.clone());
        let unmapped = state.remap_guid(guid);
        drop(state);
        unmapped.stop_unattended();
        Ok(entry)
    }

    /// `stmfValidateView`: the LUN that a view entry could use, whatever the LU.
    pub fn view_check(&self, request: &ViewRequest) -> Result<Lun, Status> {
        self.configured()?.views.check_view(request)
    }

    pub(super) fn remove_view(&self, guid: &Guid, index: u32) -> Result<(), Status> {
        let mut state = self.configured()?;
        let entry = state.views.check_remove(guid, index)?.clone();
        about_to(|| {
            let (initiators, sessions) = state.audience(guid, &entry);
            let hidden = (sessions > 0).then_some(Effect::Hidden(initiators, sessions));
            let removed = Effect::ViewRemoved(*guid, entry);
            Ok(vec![removed].into_iter().chain(hidden).collect())
        })?;
        self.commit(&[Change::RemoveView { guid: *guid, index }])?;
        state.views.remove(guid, index);
        let unmapped = state.remap_guid(guid);
        drop(state);
        unmapped.stop_unattended();
        Ok(())
    }
}

fn member_changed(state: StateGuard<'_>, kind: GroupKind, member: &DevId) {
    // The port of a target is offline: it has no nexuses.
    if kind == GroupKind::Host {
        let unmapped = state.remap_nexuses(|nexus| nexus.initiator == *member);
        drop(state);
        unmapped.stop_unattended();
    }
}
