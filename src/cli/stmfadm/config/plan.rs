//! From what the node has to what it is to have: steps, in an order in which each one is possible. Pure, but for
//! [`Step::run`].
//!
//! Settings and ALUA mode come first, as what follows depends on them. What goes, goes before what comes: view entries, then
//! members and groups, then LUs. What comes ends with the targets, so that no host finds a target before its LUs.

use super::current::Current;
use super::document::*;
use crate::cli::Service;
use crate::framework::{DefaultState as Which, GroupKind, ObjectState, ViewRequest};
use crate::iscsi::{chap, key as iscsi_key, name};
use crate::nvlist::{NvList, Value};
use crate::types::{
    AccessState, DevId, GroupName, Guid, LuChange, NodeId, PersistMethod, ProviderKey, ProviderKind, Status,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// How often and how long a target that must go offline is looked at.
const LOOKS: u32 = 400;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// One change: done or not.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    DefaultState(Which, bool),
    MgmtUrl(Option<String>),
    Persist(PersistMethod),
    Alua(Option<NodeId>),
    StandbyReads(bool),
    Policy(Guid, bool),
    ViewRemove(Guid, u32),
    MemberRemove(GroupKind, GroupName, DevId),
    GroupDelete(GroupKind, GroupName),
    LuDelete(Guid),
    GroupCreate(GroupKind, GroupName),
    MemberAdd(GroupKind, GroupName, DevId),
    LuImport(Box<Lu>),
    LuModify(Guid, LuChange),
    ViewAdd(Guid, ViewRequest),
    DataSet(ProviderKey, Vec<u8>, u64),
    DataClear(ProviderKey),
    TargetOffline(DevId),
    /// All of the iSCSI configuration.
    Iscsi(Vec<u8>, u64),
}

/// The steps, and what is not done and why.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub notes: Vec<String>,
}

/// The way from `current` to `wanted`. An error tells why the iSCSI configuration cannot be.
pub fn plan(current: &Current, wanted: &Document) -> Result<Plan, String> {
    let mut plan = Plan::default();
    let have = &current.document;
    plan.settings(have, wanted);
    plan.views_that_go(current, wanted);
    plan.groups_that_go(GroupKind::Host, &have.host_groups, &wanted.host_groups);
    plan.groups_that_go(GroupKind::Target, &have.target_groups, &wanted.target_groups);
    plan.lus_that_go(current, wanted);
    plan.groups_that_come(GroupKind::Host, &have.host_groups, &wanted.host_groups);
    plan.groups_that_come(GroupKind::Target, &have.target_groups, &wanted.target_groups);
    plan.lus_that_come(current, wanted);
    plan.views_that_come(have, wanted);
    plan.data(current, wanted);
    plan.iscsi(current, wanted)?;
    Ok(plan)
}

impl Plan {
    fn settings(&mut self, have: &Document, wanted: &Document) {
        if let (Some(have), Some(wanted)) = (&have.settings, &wanted.settings) {
            let states = [
                (Which::Lus, have.default_lu_state, wanted.default_lu_state),
                (Which::Targets, have.default_target_state, wanted.default_target_state),
            ];
            for (which, before, after) in states {
                if let Some(after) = after.filter(|_| before != after) {
                    self.steps
                        .push(Step::DefaultState(which, after == DefaultState::Online));
                }
            }
            if let Some(url) = wanted
                .management_url
                .clone()
                .filter(|_| have.management_url != wanted.management_url)
            {
                self.steps.push(Step::MgmtUrl(Some(url).filter(|url| !url.is_empty())));
            }
            if let Some(method) = wanted
                .persist_method
                .filter(|_| have.persist_method != wanted.persist_method)
            {
                self.steps.push(Step::Persist(match method {
                    Persist::Smf => PersistMethod::Store,
                    Persist::None => PersistMethod::None,
                }));
            }
        }
        if let (Some(have), Some(wanted)) = (have.alua, wanted.alua) {
            if let Some(reads) = wanted
                .standby_reads
                .filter(|_| have.standby_reads != wanted.standby_reads)
            {
                self.steps.push(Step::StandbyReads(reads == Reads::Forward));
            }
            if (have.enabled, have.node) != (wanted.enabled, wanted.node) {
                self.steps.push(Step::Alua(wanted.enabled.then_some(wanted.node)));
            }
        }
    }

    fn views_that_go(&mut self, current: &Current, wanted: &Document) {
        let stay: BTreeSet<_> = wanted.views.iter().flatten().map(View::sides).collect();
        for (guid, entry) in &current.views {
            let sides = (
                *guid,
                entry.lun.get(),
                entry.host_group.as_ref(),
                entry.target_group.as_ref(),
            );
            if wanted.views.is_some() && !stay.contains(&sides) {
                self.steps.push(Step::ViewRemove(*guid, entry.index));
            }
        }
    }

    fn views_that_come(&mut self, have: &Document, wanted: &Document) {
        let there: BTreeSet<_> = have.views.iter().flatten().map(View::sides).collect();
        for view in wanted
            .views
            .iter()
            .flatten()
            .filter(|view| !there.contains(&view.sides()))
        {
            let request = ViewRequest {
                host_group: view.host_group.clone(),
                target_group: view.target_group.clone(),
                lun: Some(view.lun),
            };
            self.steps.push(Step::ViewAdd(view.lu, request));
        }
    }

    fn groups_that_go(&mut self, kind: GroupKind, have: &Option<Vec<Group>>, wanted: &Option<Vec<Group>>) {
        let stay = by_name(wanted);
        for (name, members) in by_name(have) {
            match stay.get(name) {
                // Its members go with it.
                None => self.steps.push(Step::GroupDelete(kind, name.clone())),
                Some(stay) => {
                    let gone = members.iter().filter(|member| !stay.contains(member));
                    let remove = |member: &Member| Step::MemberRemove(kind, name.clone(), member.0.clone());
                    self.steps.extend(gone.map(remove));
                }
            }
        }
    }

    fn groups_that_come(&mut self, kind: GroupKind, have: &Option<Vec<Group>>, wanted: &Option<Vec<Group>>) {
        let there = by_name(have);
        for group in wanted.iter().flatten() {
            let before = there.get(&group.name);
            if before.is_none() {
                self.steps.push(Step::GroupCreate(kind, group.name.clone()));
            }
            let new = group
                .members
                .iter()
                .filter(|member| !before.is_some_and(|before| before.contains(member)));
            let add = |member: &Member| Step::MemberAdd(kind, group.name.clone(), member.0.clone());
            self.steps.extend(new.map(add));
        }
    }

    fn lus_that_go(&mut self, current: &Current, wanted: &Document) {
        let stay: BTreeSet<Guid> = wanted.logical_units.iter().flatten().map(|lu| lu.guid).collect();
        for (guid, access) in current.access.iter().filter(|(guid, _)| !stay.contains(*guid)) {
            match access {
                AccessState::Active => self.steps.push(Step::LuDelete(*guid)),
                _ => self
                    .notes
                    .push(format!("logical unit {guid} is not Active here and stays")),
            }
        }
    }

    fn lus_that_come(&mut self, current: &Current, wanted: &Document) {
        let have = current.document.logical_units.iter().flatten();
        let have: BTreeMap<Guid, &Lu> = have.map(|lu| (lu.guid, lu)).collect();
        for lu in wanted.logical_units.iter().flatten() {
            let before = have.get(&lu.guid).map_or(Some(Policy::Standby), |old| old.policy);
            let policy = lu.policy.filter(|_| lu.policy != before);
            let policy = policy.map(|policy| Step::Policy(lu.guid, policy == Policy::NonOptimized));
            let comes = have.contains_key(&lu.guid) || lu.access != Some(Access::Standby);
            match (have.get(&lu.guid), current.access.get(&lu.guid)) {
                (Some(old), Some(AccessState::Active)) => {
                    let changes = lu.changes_from(old).into_iter();
                    self.steps.extend(changes.map(|change| Step::LuModify(lu.guid, change)));
                }
                (Some(old), _) if lu.changes_from(old).is_empty() => {}
                (Some(_), _) => {
                    let guid = lu.guid;
                    self.notes
                        .push(format!("logical unit {guid} is not Active here: its properties stay"));
                }
                // To import it would take it away from the node that has it.
                (None, _) if lu.access == Some(Access::Standby) => {
                    let guid = lu.guid;
                    self.notes
                        .push(format!("logical unit {guid} was Standby: it comes with the other node"));
                }
                (None, _) => self.steps.push(Step::LuImport(Box::new(lu.clone()))),
            }
            self.steps.extend(policy.filter(|_| comes));
        }
    }

    fn data(&mut self, current: &Current, wanted: &Document) {
        let key = |data: &Data| ProviderKey {
            kind: match data.kind {
                Kind::Lu => ProviderKind::Lu,
                Kind::Port => ProviderKind::Port,
            },
            name: data.provider.clone(),
        };
        let have = current.document.provider_data.iter().flatten();
        let have: BTreeMap<ProviderKey, &Vec<u8>> = have.map(|data| (key(data), &data.data)).collect();
        let stay: BTreeSet<ProviderKey> = wanted.provider_data.iter().flatten().map(key).collect();
        for gone in have.keys().filter(|key| !stay.contains(*key)) {
            self.steps.push(Step::DataClear(gone.clone()));
        }
        for data in wanted.provider_data.iter().flatten() {
            let key = key(data);
            if have.get(&key) != Some(&&data.data) {
                let token = current.tokens.get(&key).copied().unwrap_or(0);
                self.steps.push(Step::DataSet(key, data.data.clone(), token));
            }
        }
    }

    fn iscsi(&mut self, current: &Current, wanted: &Document) -> Result<(), String> {
        let (Some((list, token)), Some(wanted)) = (&current.iscsi, &wanted.iscsi) else {
            return Ok(());
        };
        let packed = pack(list, wanted);
        crate::iscsi::check_data(&packed).map_err(|refusal| format!("iscsi: {refusal}"))?;
        let Some(have) = &current.document.iscsi else {
            return Ok(());
        };
        for target in wanted.targets.iter().flatten() {
            let old = have
                .targets
                .iter()
                .flatten()
                .find(|old| canonical(&old.name) == canonical(&target.name));
            if target.secret == Some(SecretText::Kept) && old.is_none_or(|old| old.secret.is_none()) {
                let name = &target.name;
                self.notes.push(format!(
                    "target {name}: its secret is not in the file; set it with itadm modify-target -s"
                ));
            }
        }
        for initiator in wanted.initiators.iter().flatten() {
            let name = &initiator.name;
            let old = have
                .initiators
                .iter()
                .flatten()
                .find(|old| canonical(&old.name) == canonical(name));
            if initiator.secret == Some(SecretText::Kept) && old.is_none_or(|old| old.secret.is_none()) {
                self.notes.push(format!(
                    "initiator {name}: its secret is not in the file; set it with itadm modify-initiator -s"
                ));
            }
        }
        if pack(list, have) == packed {
            return Ok(());
        }
        let stay: BTreeSet<String> = wanted
            .targets
            .iter()
            .flatten()
            .map(|target| canonical(&target.name))
            .collect();
        for target in have
            .targets
            .iter()
            .flatten()
            .filter(|target| !stay.contains(&target.name))
        {
            if let Some(devid) = DevId::new(target.name.as_bytes())
                .ok()
                .filter(|devid| current.online.contains(devid))
            {
                self.steps.push(Step::TargetOffline(devid));
            }
        }
        self.steps.push(Step::Iscsi(packed, *token));
        Ok(())
    }
}

impl View {
    fn sides(&self) -> (Guid, u16, Option<&GroupName>, Option<&GroupName>) {
        (
            self.lu,
            self.lun.get(),
            self.host_group.as_ref(),
            self.target_group.as_ref(),
        )
    }
}

impl Lu {
    /// What must change for an LU that is so to become like this one.
    fn changes_from(&self, old: &Lu) -> Vec<LuChange> {
        let mut changes = Vec::new();
        if let Some(alias) = self.alias.clone().filter(|_| self.alias != old.alias) {
            changes.push(LuChange::Alias(alias));
        }
        if let Some(size) = self.size.filter(|_| self.size != old.size) {
            changes.push(LuChange::Size(size));
        }
        if let Some(url) = self
            .management_url
            .clone()
            .filter(|_| self.management_url != old.management_url)
        {
            changes.push(LuChange::MgmtUrl(Some(url).filter(|url| !url.is_empty())));
        }
        if let Some(disable) = self
            .write_cache_disable
            .filter(|_| self.write_cache_disable != old.write_cache_disable)
        {
            changes.push(LuChange::WriteCacheDisable(disable));
        }
        if let Some(protect) = self.write_protect.filter(|_| self.write_protect != old.write_protect) {
            changes.push(LuChange::WriteProtect(protect));
        }
        changes
    }
}

fn by_name(groups: &Option<Vec<Group>>) -> BTreeMap<&GroupName, &Vec<Member>> {
    groups
        .iter()
        .flatten()
        .map(|group| (&group.name, &group.members))
        .collect()
}

fn canonical(text: &str) -> String {
    name::canonical(text).unwrap_or_else(|_| text.to_owned())
}

/// The data of the iSCSI provider (`iscsi-target.md` 16.1); what is not ours in the present data stays.
fn pack(present: &NvList, iscsi: &Iscsi) -> Vec<u8> {
    let mut list = present.clone();
    let nested = |pairs: Vec<(&str, Value)>| {
        let mut list = NvList::new();
        pairs.into_iter().for_each(|(name, value)| list.push(name, value));
        Value::List(list)
    };
    let text = |text: &str| Value::String(text.as_bytes().to_vec());
    let secret = |secret: &Option<SecretText>| match secret {
        None => Some(Value::String(Vec::new())),
        Some(SecretText::Kept) => None,
        Some(SecretText::Value(secret)) => Some(text(&chap::to_base64(secret.reveal()))),
    };
    let object = |pairs: [(&'static str, Option<Value>); 4]| {
        let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
        nested(pairs.collect())
    };
    let mut groups = NvList::new();
    for group in iscsi.portal_groups.iter().flatten() {
        let portals = group.portals.iter().map(|portal| portal.to_string().into_bytes());
        groups.push(
            &group.name,
            nested(vec![("portalList", Value::StringArray(portals.collect()))]),
        );
    }
    let mut targets = NvList::new();
    for target in iscsi.targets.iter().flatten() {
        let properties = object([
            ("alias", target.alias.as_deref().map(text)),
            ("auth", target.auth.map(|auth| text(auth.name()))),
            ("targetchapuser", target.chap_user.as_deref().map(text)),
            ("targetchapsecret", secret(&target.secret)),
        ]);
        let mut bound = NvList::new();
        for group in &target.portal_groups {
            bound.push(&group.name, nested(vec![("tag", Value::UInt16(group.tag))]));
        }
        let fields = vec![("properties", properties), ("tpgtList", Value::List(bound))];
        targets.push(&canonical(&target.name), nested(fields));
    }
    let mut initiators = NvList::new();
    for initiator in iscsi.initiators.iter().flatten() {
        let properties = object([
            ("chapuser", initiator.chap_user.as_deref().map(text)),
            ("chapsecret", secret(&initiator.secret)),
            ("", None),
            ("", None),
        ]);
        initiators.push(&initiator.name, nested(vec![("properties", properties)]));
    }
    let defaults = iscsi.defaults.clone().unwrap_or_default();
    let servers = defaults
        .isns_servers
        .iter()
        .map(|server| server.clone().into_bytes())
        .collect::<Vec<_>>();
    let globals = [
        ("alias", defaults.alias.as_deref().map(text)),
        ("auth", defaults.auth.map(|auth| text(auth.name()))),
        ("radiusserver", defaults.radius_server.as_deref().map(text)),
        ("isns", defaults.isns.then_some(Value::BooleanValue(true))),
        (
            "isnsserver",
            Some(Value::StringArray(servers.clone())).filter(|_| !servers.is_empty()),
        ),
    ];
    let globals = globals.into_iter().filter_map(|(name, value)| Some((name, value?)));
    list.push("cfgVersion", Value::UInt32(1));
    list.push("targetList", Value::List(targets));
    list.push("tpgList", Value::List(groups));
    list.push("iniList", Value::List(initiators));
    list.push("globalProperties", nested(globals.collect()));
    list.pack()
}

impl Step {
    /// Does it. The text tells why not.
    pub fn run(&self, service: &dyn Service) -> Result<(), String> {
        let result = match self.clone() {
            Step::DefaultState(which, online) => service.set_default_state(which, online),
            Step::MgmtUrl(url) => service.set_mgmt_url(url),
            Step::Persist(method) => service.set_service_persist_method(method),
            Step::Alua(Some(node)) => service.alua_enable(node),
            Step::Alua(None) => service.alua_disable(),
            Step::StandbyReads(forward) => service.set_standby_reads(forward),
            Step::Policy(guid, non_optimized) => service.set_lu_policy(guid, non_optimized),
            Step::ViewRemove(guid, index) => service.view_remove(guid, index),
            Step::MemberRemove(kind, group, member) => service.group_remove(kind, group, member),
            Step::GroupDelete(kind, group) => service.group_delete(kind, group),
            Step::LuDelete(guid) => service.lu_delete(guid),
            Step::GroupCreate(kind, group) => service.group_create(kind, group),
            Step::MemberAdd(kind, group, member) => service.group_add(kind, group, member),
            Step::LuImport(lu) => return import(&lu, service),
            Step::LuModify(guid, change) => service.lu_modify(guid, change),
            Step::ViewAdd(guid, request) => service.view_add(guid, request).map(drop),
            Step::DataSet(key, data, token) => service.set_provider_data(key, data, Some(token)).map(drop),
            Step::DataClear(key) => service.clear_provider_data(key),
            Step::TargetOffline(target) => take_offline(&target, service),
            Step::Iscsi(data, token) => service.set_provider_data(iscsi_key(), data, Some(token)).map(drop),
        };
        result.map_err(|status| status.to_string())
    }
}

/// Imports an LU and gives it its properties. A file that holds another LU is let go again.
fn import(lu: &Lu, service: &dyn Service) -> Result<(), String> {
    let guid = service
        .lu_import(&lu.file)
        .map_err(|(status, _)| format!("{}: {status}", lu.file))?;
    if guid != lu.guid {
        let back = service
            .lu_delete(guid)
            .map_err(|status| format!("; {guid} stays: {status}"));
        let back = back.err().unwrap_or_default();
        return Err(format!("{} holds logical unit {guid}{back}", lu.file));
    }
    let report = service
        .lu_resource(guid)
        .map_err(|status| format!("imported, but not seen: {status}"))?;
    if report.access != AccessState::Active {
        return Err("imported, but not Active: another node has it".to_owned());
    }
    for change in lu.changes_from(&Lu::bare(guid).with(&report.properties)) {
        let failed = |status: Status| format!("imported, but {change:?}: {status}");
        service.lu_modify(guid, change.clone()).map_err(failed)?;
    }
    Ok(())
}

fn take_offline(target: &DevId, service: &dyn Service) -> Result<(), Status> {
    service.target_offline(target.clone())?;
    for _ in 0..LOOKS {
        if service.target_info(target.clone())?.state == ObjectState::Offline {
            return Ok(());
        }
        service.pause(BETWEEN_LOOKS);
    }
    Err(Status::Busy)
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |kind: &GroupKind| match kind {
            GroupKind::Host => "host group",
            GroupKind::Target => "target group",
        };
        match self {
            Step::DefaultState(Which::Lus, _) => f.write_str("set default-lu-state"),
            Step::DefaultState(Which::Targets, _) => f.write_str("set default-target-state"),
            Step::MgmtUrl(_) => f.write_str("set management-url"),
            Step::Persist(_) => f.write_str("set persist-method"),
            Step::Alua(Some(node)) => write!(f, "enable ALUA as node {}", node.get()),
            Step::Alua(None) => f.write_str("disable ALUA"),
            Step::StandbyReads(true) => f.write_str("forward reads on Standby LUs"),
            Step::StandbyReads(false) => f.write_str("refuse reads on Standby LUs"),
            Step::Policy(guid, _) => write!(f, "set the policy of logical unit {guid}"),
            Step::ViewRemove(guid, index) => write!(f, "remove view entry {index} of {guid}"),
            Step::MemberRemove(kind, group, member) => write!(f, "remove {member} from {} {group}", word(kind)),
            Step::GroupDelete(kind, group) => write!(f, "delete {} {group}", word(kind)),
            Step::LuDelete(guid) => write!(f, "delete logical unit {guid}"),
            Step::GroupCreate(kind, group) => write!(f, "create {} {group}", word(kind)),
            Step::MemberAdd(kind, group, member) => write!(f, "add {member} to {} {group}", word(kind)),
            Step::LuImport(lu) => write!(f, "import logical unit {}", lu.guid),
            Step::LuModify(guid, change) => write!(f, "modify logical unit {guid}: {change:?}"),
            Step::ViewAdd(guid, view) => {
                write!(
                    f,
                    "add view of {guid} at LUN {}",
                    view.lun.map_or(0, crate::types::Lun::get)
                )
            }
            Step::DataSet(key, ..) => write!(f, "set data of provider {}", key.name.as_str()),
            Step::DataClear(key) => write!(f, "clear data of provider {}", key.name.as_str()),
            Step::TargetOffline(target) => write!(f, "take target {target} offline"),
            Step::Iscsi(..) => f.write_str("set the iSCSI configuration"),
        }
    }
}
