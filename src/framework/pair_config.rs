//! What both nodes of a pair should have alike: groups and view entries. Pure.

use super::views::Views;
use super::{GroupKind, ViewEntry, ViewRequest};
use crate::types::{DevId, GroupName, Guid, Lun, Status};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All groups and view entries of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairConfig {
    /// Groups in the order of their creation, members in the order of their addition.
    pub groups: Vec<(GroupKind, GroupName, Vec<DevId>)>,
    /// View entries by GUID and index.
    pub views: Vec<(Guid, ViewEntry)>,
}

/// One change of groups or view entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConfigChange {
    /// A new group.
    CreateGroup(GroupKind, GroupName),
    /// A group is gone, with its members.
    DeleteGroup(GroupKind, GroupName),
    /// A new member.
    AddMember(GroupKind, GroupName, DevId),
    /// A member is gone.
    RemoveMember(GroupKind, GroupName, DevId),
    /// A new view entry. Its index is a matter of each node.
    AddView(Guid, ViewEntry),
    /// A view entry is gone.
    RemoveView(Guid, ViewEntry),
}

impl std::fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ConfigChange::CreateGroup(kind, name) => write!(f, "creation of {} {name}", kind.word()),
            ConfigChange::DeleteGroup(kind, name) => write!(f, "deletion of {} {name}", kind.word()),
            ConfigChange::AddMember(kind, name, member) => write!(f, "addition of {member} to {} {name}", kind.word()),
            ConfigChange::RemoveMember(kind, name, member) => {
                write!(f, "removal of {member} from {} {name}", kind.word())
            }
            ConfigChange::AddView(guid, entry) => write!(f, "new view entry of LU {guid}, LUN {}", entry.lun.get()),
            ConfigChange::RemoveView(guid, entry) => {
                write!(f, "removal of a view entry of LU {guid}, LUN {}", entry.lun.get())
            }
        }
    }
}

impl GroupKind {
    /// For people.
    pub const fn word(self) -> &'static str {
        match self {
            GroupKind::Host => "host group",
            GroupKind::Target => "target group",
        }
    }
}

/// Something that the two nodes do not have alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    /// A group that only one node has.
    Group {
        /// Which name space.
        kind: GroupKind,
        /// Its name.
        name: GroupName,
        /// This node has it.
        here: bool,
    },
    /// A group with other members.
    Members {
        /// Which name space.
        kind: GroupKind,
        /// Its name.
        name: GroupName,
        /// Members that only this node has.
        here: Vec<DevId>,
        /// Members that only the peer has.
        peer: Vec<DevId>,
    },
    /// A view entry that only one node has.
    View {
        /// The LU.
        guid: Guid,
        /// `None`: all hosts.
        host_group: Option<GroupName>,
        /// `None`: all targets.
        target_group: Option<GroupName>,
        /// Its number.
        lun: Lun,
        /// This node has it.
        here: bool,
    },
    /// The same view entry with another number: hosts see another LU through the other path (hazard H12).
    Lun {
        /// The LU.
        guid: Guid,
        /// `None`: all hosts.
        host_group: Option<GroupName>,
        /// `None`: all targets.
        target_group: Option<GroupName>,
        /// The number on this node.
        here: Lun,
        /// The number on the peer.
        peer: Lun,
    },
}

/// The two sides of a view entry: within one LU they name it.
type Key = (Guid, Option<GroupName>, Option<GroupName>);

impl PairConfig {
    fn members(&self) -> BTreeMap<(u8, &GroupName), (GroupKind, BTreeSet<&DevId>)> {
        let groups = self.groups.iter();
        groups
            .map(|(kind, name, members)| ((*kind as u8, name), (*kind, members.iter().collect())))
            .collect()
    }

    fn luns(&self) -> BTreeMap<Key, Lun> {
        let views = self.views.iter();
        views
            .map(|(guid, entry)| ((*guid, entry.host_group.clone(), entry.target_group.clone()), entry.lun))
            .collect()
    }

    /// What is not alike: groups by name, then view entries by GUID. The order of members and the indexes of entries do not count.
    pub fn differences(&self, peer: &PairConfig) -> Vec<Difference> {
        let mut found = Vec::new();
        let (here, there) = (self.members(), peer.members());
        for key in here.keys().chain(there.keys()).collect::<BTreeSet<_>>() {
            let name = key.1.clone();
            match (here.get(key), there.get(key)) {
                (Some((kind, own)), Some((_, its))) if own != its => found.push(Difference::Members {
                    kind: *kind,
                    name,
                    here: own.difference(its).map(|member| (*member).clone()).collect(),
                    peer: its.difference(own).map(|member| (*member).clone()).collect(),
                }),
                (Some((kind, _)), None) => found.push(Difference::Group {
                    kind: *kind,
                    name,
                    here: true,
                }),
                (None, Some((kind, _))) => found.push(Difference::Group {
                    kind: *kind,
                    name,
                    here: false,
                }),
                _ => {}
            }
        }
        let (here, there) = (self.luns(), peer.luns());
        for key in here.keys().chain(there.keys()).collect::<BTreeSet<_>>() {
            let (guid, host_group, target_group) = key.clone();
            let only = |lun: Lun, here| Difference::View {
                guid,
                host_group: host_group.clone(),
                target_group: target_group.clone(),
                lun,
                here,
            };
            match (here.get(key), there.get(key)) {
                (Some(own), Some(its)) if own != its => found.push(Difference::Lun {
                    guid,
                    host_group,
                    target_group,
                    here: *own,
                    peer: *its,
                }),
                (Some(own), None) => found.push(only(*own, true)),
                (None, Some(its)) => found.push(only(*its, false)),
                _ => {}
            }
        }
        found
    }

    /// The same as groups and views, or what makes them impossible.
    pub(super) fn views(&self) -> Result<Views, Status> {
        let mut views = Views::default();
        for (kind, name, members) in &self.groups {
            views.check_group_create(*kind, name)?;
            views.group_create(*kind, name);
            for member in members {
                views.check_group_add(*kind, name, member)?;
                views.group_add(*kind, name, member);
            }
        }
        for (guid, entry) in &self.views {
            let request = ViewRequest {
                host_group: entry.host_group.clone(),
                target_group: entry.target_group.clone(),
                lun: Some(entry.lun),
            };
            views.check_add(guid, &request)?;
            if views.check_remove(guid, entry.index).is_ok() {
                return Err(Status::Exists);
            }
            views.add(*guid, entry.clone());
        }
        Ok(views)
    }
}

impl Views {
    /// All of it.
    pub(super) fn config(&self) -> PairConfig {
        let mut groups = Vec::new();
        for kind in [GroupKind::Host, GroupKind::Target] {
            for name in self.group_list(kind) {
                let members = self.group_members(kind, &name).unwrap_or_default();
                groups.push((kind, name, members));
            }
        }
        let entries = |guid: &Guid| {
            self.list(guid)
                .into_iter()
                .map(|entry| (*guid, entry))
                .collect::<Vec<_>>()
        };
        let views = self.guids().flat_map(entries);
        PairConfig {
            groups,
            views: views.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> GroupName {
        GroupName::new(text.as_bytes()).unwrap()
    }

    fn devid(text: &str) -> DevId {
        DevId::new(text.as_bytes()).unwrap()
    }

    fn view(guid: u8, index: u32, host_group: Option<&str>, lun: u16) -> (Guid, ViewEntry) {
        let entry = ViewEntry {
            index,
            host_group: host_group.map(name),
            target_group: None,
            lun: Lun::new(lun).unwrap(),
        };
        (Guid([guid; 16]), entry)
    }

    fn here() -> PairConfig {
        PairConfig {
            groups: vec![
                (GroupKind::Host, name("b"), vec![devid("iqn.1"), devid("iqn.2")]),
                (GroupKind::Host, name("a"), vec![]),
                (GroupKind::Target, name("a"), vec![devid("iqn.t")]),
            ],
            views: vec![view(1, 0, Some("b"), 0), view(2, 0, None, 5)],
        }
    }

    #[test]
    fn order_and_indexes_do_not_count() {
        let mut there = here();
        there.groups.reverse();
        there.groups[2].2.reverse();
        there.views = vec![view(2, 7, None, 5), view(1, 3, Some("b"), 0)];
        assert_eq!(here().differences(&there), []);
    }

    #[test]
    fn each_kind_of_difference() {
        let there = PairConfig {
            groups: vec![
                (GroupKind::Host, name("b"), vec![devid("iqn.2"), devid("iqn.3")]),
                (GroupKind::Host, name("c"), vec![]),
                (GroupKind::Target, name("a"), vec![devid("iqn.t")]),
            ],
            views: vec![view(1, 0, Some("b"), 1), view(1, 1, Some("c"), 2)],
        };
        let guid = Guid([1; 16]);
        let lun = |n| Lun::new(n).unwrap();
        let (kind, target_group) = (GroupKind::Host, None);
        let expected = vec![
            Difference::Group {
                kind,
                name: name("a"),
                here: true,
            },
            Difference::Members {
                kind,
                name: name("b"),
                here: vec![devid("iqn.1")],
                peer: vec![devid("iqn.3")],
            },
            Difference::Group {
                kind,
                name: name("c"),
                here: false,
            },
            Difference::Lun {
                guid,
                host_group: Some(name("b")),
                target_group: target_group.clone(),
                here: lun(0),
                peer: lun(1),
            },
            Difference::View {
                guid,
                host_group: Some(name("c")),
                target_group: target_group.clone(),
                lun: lun(2),
                here: false,
            },
            Difference::View {
                guid: Guid([2; 16]),
                host_group: None,
                target_group,
                lun: lun(5),
                here: true,
            },
        ];
        assert_eq!(here().differences(&there), expected);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert_eq!(here().views().unwrap().config().differences(&here()), []);
        let spoiled = |spoil: fn(&mut PairConfig)| {
            let mut config = here();
            spoil(&mut config);
            config.views().map(|_| ())
        };
        assert_eq!(spoiled(|c| c.groups[1].2.push(devid("iqn.1"))), Err(Status::Exists));
        assert_eq!(spoiled(|c| c.groups[1].1 = name("b")), Err(Status::Exists));
        assert_eq!(
            spoiled(|c| c.views[0] = view(1, 0, Some("x"), 0)),
            Err(Status::InvalidHg)
        );
        assert_eq!(
            spoiled(|c| c.views[0] = view(1, 0, Some("b"), 5)),
            Err(Status::LunInUse)
        );
        assert_eq!(spoiled(|c| c.views.push(view(1, 1, None, 9))), Err(Status::VeConflict));
        assert_eq!(spoiled(|c| c.views.push(view(1, 0, Some("a"), 9))), Err(Status::Exists));
    }
}
