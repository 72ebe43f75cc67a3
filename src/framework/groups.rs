//! Calls on groups and view entries: check, store, apply (`libstmf-api.md` 3.4 to 3.6).

use super::effects::{about_to, count};
use super::state::{State, StateGuard};
use super::{
    ConfigChange, ConfigState, Effect, Framework, GroupKind, Nexus, ObjectState, PairConfig, ViewEntry, ViewRequest,
};
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

/// Who wants a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// An administrator or a program on this node: the change is mirrored.
    Caller,
    /// The peer, which has made it.
    Peer,
}

impl By {
    /// [`about_to`]; the caller is not told what the peer does.
    fn about_to(self, effects: impl FnOnce() -> Result<Vec<Effect>, Status>) -> Result<(), Status> {
        match self {
            By::Caller => about_to(effects),
            By::Peer => Ok(()),
        }
    }
}

/// Members of a target group change only while the port is offline. The image of a port of the peer is as the peer says.
fn check_port(state: &State, kind: GroupKind, member: &DevId, by: By) -> Result<(), Status> {
    match (kind, state.port(member)) {
        (GroupKind::Target, Ok(port)) if port.image && by == By::Peer => Ok(()),
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

    pub(super) fn create_group(&self, kind: GroupKind, name: &GroupName, by: By) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_create(kind, name)?;
        by.about_to(|| Ok(vec![Effect::GroupCreated(kind, name.clone())]))?;
        self.commit(&[Change::PutGroup {
            table: kind.table(),
            name: name.clone(),
        }])?;
        state.views.group_create(kind, name);
        self.tell(by, || ConfigChange::CreateGroup(kind, name.clone()));
        Ok(())
    }

    pub(super) fn delete_group(&self, kind: GroupKind, name: &GroupName, by: By) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_delete(kind, name)?;
        by.about_to(|| Ok(vec![Effect::GroupDeleted(kind, name.clone())]))?;
        self.commit(&[Change::RemoveGroup {
            table: kind.table(),
            name: name.clone(),
        }])?;
        state.views.group_delete(kind, name);
        self.tell(by, || ConfigChange::DeleteGroup(kind, name.clone()));
        Ok(())
    }

    pub(super) fn add_member(&self, kind: GroupKind, name: &GroupName, member: &DevId, by: By) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_add(kind, name, member)?;
        check_port(&state, kind, member, by)?;
        by.about_to(|| {
            let added = Effect::MemberAdded(kind, name.clone(), member.clone());
            Ok(vec![added].into_iter().chain(remapped(&state, kind, member)).collect())
        })?;
        self.commit(&[Change::PutMember {
            table: kind.table(),
            name: name.clone(),
            member: member.clone(),
        }])?;
        state.views.group_add(kind, name, member);
        self.tell(by, || ConfigChange::AddMember(kind, name.clone(), member.clone()));
        member_changed(state, kind, member);
        Ok(())
    }

    pub(super) fn remove_member(
        &self,
        kind: GroupKind,
        name: &GroupName,
        member: &DevId,
        by: By,
    ) -> Result<(), Status> {
        let mut state = self.configured()?;
        state.views.check_group_remove(kind, name, member)?;
        check_port(&state, kind, member, by)?;
        by.about_to(|| {
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
        self.tell(by, || ConfigChange::RemoveMember(kind, name.clone(), member.clone()));
        member_changed(state, kind, member);
        Ok(())
    }

    pub(super) fn add_view(&self, guid: &Guid, request: &ViewRequest, by: By) -> Result<ViewEntry, Status> {
        let mut state = self.configured()?;
        let entry = state.views.check_add(guid, request)?;
        by.about_to(|| {
            let (initiators, sessions) = state.audience(guid, &entry);
            let shown = (sessions > 0).then_some(Effect::Shown(initiators, sessions));
            let added = Effect::ViewAdded(*guid, entry.clone());
            Ok(vec![added].into_iter().chain(shown).collect())
        })?;
        self.commit(&[put_view(guid, &entry)])?;
        state.views.add(*guid, entry.clone());
        self.tell(by, || ConfigChange::AddView(*guid, entry.clone()));
        let unmapped = state.remap_guid(guid);
        drop(state);
        unmapped.stop_unattended();
        Ok(entry)
    }

    /// `stmfValidateView`: the LUN that a view entry could use, whatever the LU.
    pub fn view_check(&self, request: &ViewRequest) -> Result<Lun, Status> {
        self.configured()?.views.check_view(request)
    }

    /// `which` chooses among the entries of the LU; with none there is nothing to do.
    pub(super) fn remove_view(
        &self,
        guid: &Guid,
        which: impl FnOnce(&[ViewEntry]) -> Result<Option<u32>, Status>,
        by: By,
    ) -> Result<(), Status> {
        let mut state = self.configured()?;
        let entries = state.views.list(guid);
        let Some(index) = which(&entries)? else { return Ok(()) };
        let entry = entries
            .into_iter()
            .find(|entry| entry.index == index)
            .ok_or(Status::NotFound)?;
        by.about_to(|| {
            let (initiators, sessions) = state.audience(guid, &entry);
            let hidden = (sessions > 0).then_some(Effect::Hidden(initiators, sessions));
            let removed = Effect::ViewRemoved(*guid, entry.clone());
            Ok(vec![removed].into_iter().chain(hidden).collect())
        })?;
        self.commit(&[Change::RemoveView { guid: *guid, index }])?;
        state.views.remove(guid, index);
        self.tell(by, || ConfigChange::RemoveView(*guid, entry));
        let unmapped = state.remap_guid(guid);
        drop(state);
        unmapped.stop_unattended();
        Ok(())
    }

    /// With the state locked: the order of changes on the peer is theirs.
    fn tell(&self, by: By, change: impl FnOnce() -> ConfigChange) {
        if by == By::Caller {
            self.mirror_change(change());
        }
    }

    /// Makes a change that the peer has made. What is so already is left alone.
    pub(super) fn apply_mirrored(&self, change: &ConfigChange) -> Result<(), Status> {
        match change {
            ConfigChange::CreateGroup(kind, name) => unless(Status::Exists, self.create_group(*kind, name, By::Peer)),
            ConfigChange::DeleteGroup(kind, name) => unless(Status::NotFound, self.delete_group(*kind, name, By::Peer)),
            ConfigChange::AddMember(kind, name, member) => match self.add_member(*kind, name, member, By::Peer) {
                // In another group it is a conflict.
                Err(Status::Exists) if self.group_members(*kind, name)?.contains(member) => Ok(()),
                added => added,
            },
            ConfigChange::RemoveMember(kind, name, member) => unless(
                Status::MemberNotFound,
                self.remove_member(*kind, name, member, By::Peer),
            ),
            ConfigChange::AddView(guid, wanted) => {
                let request = ViewRequest {
                    host_group: wanted.host_group.clone(),
                    target_group: wanted.target_group.clone(),
                    lun: Some(wanted.lun),
                };
                match self.add_view(guid, &request, By::Peer) {
                    Err(Status::VeConflict) if self.view_list(guid)?.iter().any(|entry| same(entry, wanted)) => Ok(()),
                    added => added.map(drop),
                }
            }
            ConfigChange::RemoveView(guid, gone) => {
                let which = |entries: &[ViewEntry]| match entries.iter().find(|entry| same_sides(entry, gone)) {
                    Some(entry) if entry.lun != gone.lun => Err(Status::VeConflict),
                    found => Ok(found.map(|entry| entry.index)),
                };
                self.remove_view(guid, which, By::Peer)
            }
        }
    }

    /// Has exactly these groups and view entries from now on: all of them, or an error and none. `TgOnline`: a target of this node
    /// that is not offline would change its group.
    pub(super) fn replace_config(&self, config: &PairConfig) -> Result<(), Status> {
        let views = config.views()?;
        let mut state = self.configured()?;
        let old = state.views.config();
        for port in state
            .ports
            .iter()
            .filter(|port| !port.image && port.state() != ObjectState::Offline)
        {
            if state.views.target_group_of(&port.devid) != views.target_group_of(&port.devid) {
                return Err(Status::TgOnline);
            }
        }
        self.commit(&replacement(&old, config))?;
        state.views = views;
        let unmapped = state.remap_nexuses(|_| true);
        drop(state);
        unmapped.stop_unattended();
        Ok(())
    }
}

fn unless(done_already: Status, result: Result<(), Status>) -> Result<(), Status> {
    match result {
        Err(status) if status == done_already => Ok(()),
        result => result,
    }
}

fn same_sides(a: &ViewEntry, b: &ViewEntry) -> bool {
    (&a.host_group, &a.target_group) == (&b.host_group, &b.target_group)
}

fn same(a: &ViewEntry, b: &ViewEntry) -> bool {
    same_sides(a, b) && a.lun == b.lun
}

fn put_view(guid: &Guid, entry: &ViewEntry) -> Change {
    Change::PutView(ViewRow {
        guid: *guid,
        index: entry.index,
        host_group: entry.host_group.clone(),
        target_group: entry.target_group.clone(),
        lun: entry.lun,
    })
}

/// Everything old goes, everything new comes: the order of groups and members is that of their insertion.
fn replacement(old: &PairConfig, new: &PairConfig) -> Vec<Change> {
    let views = old.views.iter().map(|(guid, entry)| Change::RemoveView {
        guid: *guid,
        index: entry.index,
    });
    let mut changes: Vec<Change> = views.collect();
    changes.extend(old.groups.iter().map(|(kind, name, _)| Change::RemoveGroup {
        table: kind.table(),
        name: name.clone(),
    }));
    for (kind, name, members) in &new.groups {
        let table = kind.table();
        changes.push(Change::PutGroup {
            table,
            name: name.clone(),
        });
        changes.extend(members.iter().map(|member| Change::PutMember {
            table,
            name: name.clone(),
            member: member.clone(),
        }));
    }
    changes.extend(new.views.iter().map(|(guid, entry)| put_view(guid, entry)));
    changes
}

fn member_changed(state: StateGuard<'_>, kind: GroupKind, member: &DevId) {
    let concerned = |nexus: &Nexus| match kind {
        GroupKind::Host => nexus.initiator == *member,
        // A port of this node is offline and has none; the image of a port of the peer may.
        GroupKind::Target => nexus.port.image && nexus.port.devid == *member,
    };
    let unmapped = state.remap_nexuses(concerned);
    drop(state);
    unmapped.stop_unattended();
}
