//! Groups and view entries: who sees which LU under which number (`libstmf-api.md` 3.4 to 3.6, `scsi-sbd.md` 1.5).
//! Pure: every change is checked first (`check_*`), stored by the caller, then applied.

use super::{GroupKind, ViewEntry, ViewRequest};
use crate::types::{DevId, GroupName, Guid, Lun, Status};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One name space of groups.
#[derive(Debug, Default)]
struct Groups {
    /// In order of creation; members in order of addition.
    list: Vec<(GroupName, Vec<DevId>)>,
    /// A devid is in at most one group of its kind.
    group_of: HashMap<DevId, GroupName>,
}

impl Groups {
    fn position(&self, name: &GroupName) -> Option<usize> {
        self.list.iter().position(|(n, _)| n == name)
    }

    fn contains(&self, name: &GroupName, member: &DevId) -> bool {
        self.group_of.get(member) == Some(name)
    }
}

/// The two sides of a view entry; `None` is "all".
type Sides = (Option<GroupName>, Option<GroupName>);

/// Sides match when both name the same group or at least one is "all" (`libstmf-api.md` 3.5).
fn matches(a: &Option<GroupName>, b: &Option<GroupName>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

fn overlap(a: &Sides, b: &Sides) -> bool {
    matches(&a.0, &b.0) && matches(&a.1, &b.1)
}

/// All groups and view entries of a node.
#[derive(Debug, Default)]
pub(super) struct Views {
    hosts: Groups,
    targets: Groups,
    entries: BTreeMap<Guid, BTreeMap<u32, ViewEntry>>,
    /// Taken LUNs by sides: few distinct pairs, so conflicts are found without walking all entries.
    taken: HashMap<Sides, BTreeSet<Lun>>,
}

impl Views {
    fn groups(&self, kind: GroupKind) -> &Groups {
        match kind {
            GroupKind::Host => &self.hosts,
            GroupKind::Target => &self.targets,
        }
    }

    fn groups_mut(&mut self, kind: GroupKind) -> &mut Groups {
        match kind {
            GroupKind::Host => &mut self.hosts,
            GroupKind::Target => &mut self.targets,
        }
    }

    // --- groups -----------------------------------------------------------------------------------------------------

    /// `Exists`.
    pub fn check_group_create(&self, kind: GroupKind, name: &GroupName) -> Result<(), Status> {
        match self.groups(kind).position(name) {
            Some(_) => Err(Status::Exists),
            None => Ok(()),
        }
    }

    pub fn group_create(&mut self, kind: GroupKind, name: &GroupName) {
        self.groups_mut(kind).list.push((name.clone(), Vec::new()));
    }

    /// `NotFound`, `GroupInUse`.
    pub fn check_group_delete(&self, kind: GroupKind, name: &GroupName) -> Result<(), Status> {
        self.groups(kind).position(name).ok_or(Status::NotFound)?;
        let used = self.taken.keys().any(|(host, target)| {
            let side = match kind {
                GroupKind::Host => host,
                GroupKind::Target => target,
            };
            side.as_ref() == Some(name)
        });
        if used { Err(Status::GroupInUse) } else { Ok(()) }
    }

    pub fn group_delete(&mut self, kind: GroupKind, name: &GroupName) {
        let groups = self.groups_mut(kind);
        groups.list.retain(|(n, _)| n != name);
        groups.group_of.retain(|_, n| n != name);
    }

    /// In order of creation.
    pub fn group_list(&self, kind: GroupKind) -> Vec<GroupName> {
        self.groups(kind).list.iter().map(|(n, _)| n.clone()).collect()
    }

    /// `NotFound`.
    pub fn group_members(&self, kind: GroupKind, name: &GroupName) -> Result<Vec<DevId>, Status> {
        let groups = self.groups(kind);
        let at = groups.position(name).ok_or(Status::NotFound)?;
        Ok(groups.list[at].1.clone())
    }

    /// `GroupNotFound`, `Exists`.
    pub fn check_group_add(&self, kind: GroupKind, name: &GroupName, member: &DevId) -> Result<(), Status> {
        let groups = self.groups(kind);
        groups.position(name).ok_or(Status::GroupNotFound)?;
        match groups.group_of.contains_key(member) {
            true => Err(Status::Exists),
            false => Ok(()),
        }
    }

    pub fn group_add(&mut self, kind: GroupKind, name: &GroupName, member: &DevId) {
        let groups = self.groups_mut(kind);
        if let Some(at) = groups.position(name) {
            groups.list[at].1.push(member.clone());
            groups.group_of.insert(member.clone(), name.clone());
        }
    }

    /// `GroupNotFound`, `MemberNotFound`.
    pub fn check_group_remove(&self, kind: GroupKind, name: &GroupName, member: &DevId) -> Result<(), Status> {
        let groups = self.groups(kind);
        groups.position(name).ok_or(Status::GroupNotFound)?;
        match groups.contains(name, member) {
            true => Ok(()),
            false => Err(Status::MemberNotFound),
        }
    }

    pub fn group_remove(&mut self, kind: GroupKind, name: &GroupName, member: &DevId) {
        let groups = self.groups_mut(kind);
        if let Some(at) = groups.position(name) {
            groups.list[at].1.retain(|m| m != member);
            groups.group_of.remove(member);
        }
    }

    /// The group of a target.
    pub fn target_group_of(&self, target: &DevId) -> Option<&GroupName> {
        self.targets.group_of.get(target)
    }

    // --- view entries -----------------------------------------------------------------------------------------------

    /// The entry that `request` would become: `InvalidHg`, `InvalidTg`, `VeConflict`, `LunInUse`, `Error` (no LUN free),
    /// in that order.
    pub fn check_add(&self, guid: &Guid, request: &ViewRequest) -> Result<ViewEntry, Status> {
        let sides = self.check_groups(request)?;
        let own = self.entries.get(guid);
        let conflict = own.is_some_and(|entries| entries.values().any(|e| overlap(&sides_of(e), &sides)));
        if conflict {
            return Err(Status::VeConflict);
        }
        let index = (0..=u32::MAX)
            .find(|i| own.is_none_or(|entries| !entries.contains_key(i)))
            .ok_or(Status::Error)?;
        Ok(ViewEntry {
            index,
            host_group: request.host_group.clone(),
            target_group: request.target_group.clone(),
            lun: self.check_lun(&sides, request.lun)?,
        })
    }

    /// The LUN that an entry for these groups would get, whatever the LU: errors as [`Views::check_add`], without
    /// `VeConflict`.
    pub fn check_view(&self, request: &ViewRequest) -> Result<Lun, Status> {
        let sides = self.check_groups(request)?;
        self.check_lun(&sides, request.lun)
    }

    fn check_groups(&self, request: &ViewRequest) -> Result<Sides, Status> {
        let known = |kind, group: &Option<GroupName>| {
            group
                .as_ref()
                .is_none_or(|name| self.groups(kind).position(name).is_some())
        };
        if !known(GroupKind::Host, &request.host_group) {
            return Err(Status::InvalidHg);
        }
        if !known(GroupKind::Target, &request.target_group) {
            return Err(Status::InvalidTg);
        }
        Ok((request.host_group.clone(), request.target_group.clone()))
    }

    /// The wanted LUN if no overlapping entry of any LU uses it, else `LunInUse`; or the smallest free one, else `Error`.
    fn check_lun(&self, sides: &Sides, wanted: Option<Lun>) -> Result<Lun, Status> {
        let overlapping: Vec<&BTreeSet<Lun>> = self
            .taken
            .iter()
            .filter(|(other, _)| overlap(other, sides))
            .map(|(_, luns)| luns)
            .collect();
        match wanted {
            Some(lun) if overlapping.iter().any(|luns| luns.contains(&lun)) => Err(Status::LunInUse),
            Some(lun) => Ok(lun),
            None => {
                let mut used = vec![false; usize::from(Lun::MAX) + 1];
                overlapping
                    .into_iter()
                    .flatten()
                    .for_each(|lun| used[usize::from(lun.get())] = true);
                let free = used.iter().position(|used| !used);
                free.and_then(|n| Lun::new(u16::try_from(n).ok()?)).ok_or(Status::Error)
            }
        }
    }

    /// Inserts an entry that [`Views::check_add`] made, or that the store holds.
    pub fn add(&mut self, guid: Guid, entry: ViewEntry) {
        self.taken.entry(sides_of(&entry)).or_default().insert(entry.lun);
        self.entries.entry(guid).or_default().insert(entry.index, entry);
    }

    /// `NotFound`.
    pub fn check_remove(&self, guid: &Guid, index: u32) -> Result<&ViewEntry, Status> {
        let entries = self.entries.get(guid).ok_or(Status::NotFound)?;
        entries.get(&index).ok_or(Status::NotFound)
    }

    pub fn remove(&mut self, guid: &Guid, index: u32) {
        let Some(entries) = self.entries.get_mut(guid) else {
            return;
        };
        let Some(entry) = entries.remove(&index) else {
            return;
        };
        if entries.is_empty() {
            self.entries.remove(guid);
        }
        // Entries with equal sides overlap, so the number belongs to this one alone.
        let sides = sides_of(&entry);
        if let Some(luns) = self.taken.get_mut(&sides) {
            luns.remove(&entry.lun);
            if luns.is_empty() {
                self.taken.remove(&sides);
            }
        }
    }

    /// Ascending by index.
    pub fn list(&self, guid: &Guid) -> Vec<ViewEntry> {
        self.entries
            .get(guid)
            .map_or_else(Vec::new, |entries| entries.values().cloned().collect())
    }

    /// GUIDs with entries, ascending.
    pub fn guids(&self) -> impl Iterator<Item = &Guid> {
        self.entries.keys()
    }

    pub fn has_entries(&self, guid: &Guid) -> bool {
        self.entries.contains_key(guid)
    }

    /// The number under which `initiator` sees the LU through `target`. At most one entry applies, because entries of one
    /// LU never overlap.
    pub fn lun_of(&self, guid: &Guid, initiator: &DevId, target: &DevId) -> Option<Lun> {
        let entries = self.entries.get(guid)?;
        let entry = entries.values().find(|entry| self.applies(entry, initiator, target))?;
        Some(entry.lun)
    }

    /// Is the entry for what `initiator` sees through `target`?
    pub fn applies(&self, entry: &ViewEntry, initiator: &DevId, target: &DevId) -> bool {
        let applies = |side: &Option<GroupName>, groups: &Groups, devid: &DevId| {
            side.as_ref().is_none_or(|name| groups.contains(name, devid))
        };
        applies(&entry.host_group, &self.hosts, initiator) && applies(&entry.target_group, &self.targets, target)
    }
}

fn sides_of(entry: &ViewEntry) -> Sides {
    (entry.host_group.clone(), entry.target_group.clone())
}

#[cfg(test)]
#[path = "views_tests.rs"]
mod tests;
