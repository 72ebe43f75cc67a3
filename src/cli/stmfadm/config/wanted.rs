//! What the node is to have: what it has, with what the file says in its place. Pure.

use super::current::Current;
use super::document::*;
use crate::framework::MAX_PROVIDER_DATA;
use crate::types::{AccessState, DevId, GroupName, Guid, LuProperties, Lun};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The document of the wanted configuration. What the file names, it names completely: members of a group, view entries of
/// an LU, properties of a target. With `exact`, what a section of the file does not name goes.
pub fn merge(current: &Document, file: Document, exact: bool) -> Document {
    let mut wanted = current.clone();
    if let (Some(have), Some(asked)) = (&mut wanted.settings, file.settings) {
        have.default_lu_state = asked.default_lu_state.or(have.default_lu_state);
        have.default_target_state = asked.default_target_state.or(have.default_target_state);
        have.management_url = asked.management_url.or(have.management_url.take());
        have.persist_method = asked.persist_method.or(have.persist_method);
    }
    // The node of a mode that is off says nothing.
    if let (Some(have), Some(asked)) = (&mut wanted.alua, file.alua) {
        have.enabled = asked.enabled;
        if asked.enabled {
            have.node = asked.node;
        }
        have.standby_reads = asked.standby_reads.or(have.standby_reads);
    }
    let mentioned: Option<BTreeSet<Guid>> = file.views.as_ref().map(|views| {
        let lus = file.logical_units.iter().flatten().map(|lu| lu.guid);
        views.iter().map(|view| view.lu).chain(lus).collect()
    });
    named(
        &mut wanted.host_groups,
        file.host_groups,
        exact,
        |group| group.name.clone(),
        |_, new| new,
    );
    named(
        &mut wanted.target_groups,
        file.target_groups,
        exact,
        |group| group.name.clone(),
        |_, new| new,
    );
    named(
        &mut wanted.logical_units,
        file.logical_units,
        exact,
        |lu| lu.guid,
        Lu::changed,
    );
    if let (Some(have), Some(asked), Some(mentioned)) = (&mut wanted.views, file.views, mentioned) {
        have.retain(|view| !exact && !mentioned.contains(&view.lu));
        have.extend(asked);
        have.sort_by_key(|view| view.lu);
    }
    let key = |data: &Data| (data.kind == Kind::Port, data.provider.clone());
    named(&mut wanted.provider_data, file.provider_data, exact, key, |_, new| new);
    if let Some(asked) = file.iscsi {
        merge_iscsi(wanted.iscsi.get_or_insert_default(), asked, exact);
    }
    wanted
}

fn merge_iscsi(have: &mut Iscsi, asked: Iscsi, exact: bool) {
    have.defaults = asked.defaults.or(have.defaults.take());
    named(
        &mut have.portal_groups,
        asked.portal_groups,
        exact,
        |group| group.name.clone(),
        |_, new| new,
    );
    let secret = |old: Option<SecretText>, new: Option<SecretText>| match new {
        Some(SecretText::Kept) => old.or(new),
        new => new,
    };
    let name = |name: &str| crate::iscsi::name::canonical(name).unwrap_or_else(|_| name.to_owned());
    named(
        &mut have.targets,
        asked.targets,
        exact,
        |target| name(&target.name),
        |old, new| Target {
            secret: secret(old.secret, new.secret),
            ..new
        },
    );
    named(
        &mut have.initiators,
        asked.initiators,
        exact,
        |initiator| name(&initiator.name),
        |old, new| Initiator {
            secret: secret(old.secret, new.secret),
            ..new
        },
    );
}

/// Puts the objects of the file in the place of those of the same name, or after all.
fn named<T: Clone, K: Ord>(
    have: &mut Option<Vec<T>>,
    asked: Option<Vec<T>>,
    exact: bool,
    key: impl Fn(&T) -> K,
    both: impl Fn(T, T) -> T,
) {
    let Some(asked) = asked else { return };
    let mut list = if exact {
        Vec::new()
    } else {
        have.clone().unwrap_or_default()
    };
    let at: BTreeMap<K, usize> = list.iter().enumerate().map(|(at, one)| (key(one), at)).collect();
    let old: BTreeMap<K, T> = have
        .take()
        .unwrap_or_default()
        .into_iter()
        .map(|one| (key(&one), one))
        .collect();
    // A name that stands twice in the file stays twice in the list, and is refused for it.
    let mut seen = BTreeSet::new();
    for new in asked {
        let name = key(&new);
        let new = match old.get(&name) {
            Some(before) => both(before.clone(), new),
            None => new,
        };
        match at.get(&name).filter(|at| seen.insert(**at)) {
            Some(at) => list[*at] = new,
            None => list.push(new),
        }
    }
    *have = Some(list);
}

impl Lu {
    /// With what another description of the same LU says.
    fn changed(self, new: Lu) -> Lu {
        Lu {
            guid: self.guid,
            file: new.file,
            // Who has an LU is no matter of configuration.
            access: self.access,
            policy: new.policy.or(self.policy),
            alias: new.alias.or(self.alias),
            size: new.size.or(self.size),
            block_size: new.block_size.or(self.block_size),
            management_url: new.management_url.or(self.management_url),
            write_protect: new.write_protect.or(self.write_protect),
            write_cache_disable: new.write_cache_disable.or(self.write_cache_disable),
            vendor: new.vendor.or(self.vendor),
            product: new.product.or(self.product),
            serial: new.serial.or(self.serial),
        }
    }
}

/// Everything that stands against it.
pub fn problems(current: &Current, wanted: &Document) -> Vec<String> {
    let mut problems = Vec::new();
    let empty = Vec::new();
    for (kind, list) in [
        ("host group", &wanted.host_groups),
        ("target group", &wanted.target_groups),
    ] {
        groups(kind, list.as_ref().unwrap_or(&empty), &mut problems);
    }
    target_members(current, wanted, &mut problems);
    lus(current, wanted, &mut problems);
    views(wanted, &mut problems);
    if let Some(iscsi) = &wanted.iscsi {
        texts(iscsi, &mut problems);
    }
    if wanted.iscsi.is_some() && current.iscsi.is_none() {
        problems.push("iscsi: this service has no iSCSI target".to_owned());
    }
    let mut keys = BTreeSet::new();
    for data in wanted.provider_data.iter().flatten() {
        let name = data.provider.as_str();
        if ["sbd", "iscsit"].contains(&name) {
            problems.push(format!("provider data of {name}: belongs to other sections"));
        }
        if !keys.insert((data.kind == Kind::Port, name)) {
            problems.push(format!("provider data of {name}: named twice"));
        }
        if data.data.is_empty() || data.data.len() > MAX_PROVIDER_DATA {
            problems.push(format!("provider data of {name}: no packed list"));
        }
    }
    if let Some(url) = wanted
        .settings
        .as_ref()
        .and_then(|settings| settings.management_url.as_ref())
        && (url.len() > LuProperties::MAX_URL || url.contains('\0'))
    {
        problems.push("management-url: too long".to_owned());
    }
    problems
}

/// Names that stand twice, and texts that cannot be told.
fn texts(iscsi: &Iscsi, problems: &mut Vec<String>) {
    let mut check = |what: String, texts: &[Option<&String>]| {
        if texts
            .iter()
            .flatten()
            .any(|text| text.is_empty() || text.contains('\0'))
        {
            problems.push(format!("{what}: a text is empty or has a NUL in it"));
        }
    };
    if let Some(defaults) = &iscsi.defaults {
        check(
            "iscsi defaults".to_owned(),
            &[defaults.alias.as_ref(), defaults.radius_server.as_ref()],
        );
        check(
            "iscsi defaults".to_owned(),
            &defaults.isns_servers.iter().map(Some).collect::<Vec<_>>(),
        );
    }
    for target in iscsi.targets.iter().flatten() {
        let texts = [Some(&target.name), target.alias.as_ref(), target.chap_user.as_ref()];
        check(format!("target {}", target.name), &texts);
        let groups: Vec<_> = target.portal_groups.iter().map(|bound| Some(&bound.name)).collect();
        check(format!("target {}", target.name), &groups);
    }
    for initiator in iscsi.initiators.iter().flatten() {
        check(
            format!("initiator {}", initiator.name),
            &[Some(&initiator.name), initiator.chap_user.as_ref()],
        );
    }
    let canonical = |name: &String| crate::iscsi::name::canonical(name).unwrap_or_else(|_| name.clone());
    let targets = iscsi
        .targets
        .iter()
        .flatten()
        .map(|target| ("target", canonical(&target.name)));
    let initiators = iscsi.initiators.iter().flatten();
    let initiators = initiators.map(|initiator| ("initiator", canonical(&initiator.name)));
    let groups = iscsi
        .portal_groups
        .iter()
        .flatten()
        .map(|group| ("portal group", group.name.clone()));
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = targets
        .chain(initiators)
        .chain(groups)
        .filter(|name| !seen.insert(name.clone()))
        .collect();
    for group in iscsi.portal_groups.iter().flatten() {
        check(format!("portal group {}", group.name), &[Some(&group.name)]);
    }
    problems.extend(
        twice
            .into_iter()
            .map(|(kind, name)| format!("{kind} {name}: named twice")),
    );
}

fn groups(kind: &str, list: &[Group], problems: &mut Vec<String>) {
    let mut names = BTreeSet::new();
    let mut group_of: HashMap<&[u8], &GroupName> = HashMap::new();
    for group in list {
        if !names.insert(&group.name) {
            problems.push(format!("{kind} {}: named twice", group.name));
        }
        for member in &group.members {
            if let Some(other) = group_of.insert(member.0.as_bytes(), &group.name) {
                problems.push(format!(
                    "{kind} {}: {member} is a member of {other} already",
                    group.name
                ));
            }
        }
    }
}

/// A target that is online cannot change its group.
fn target_members(current: &Current, wanted: &Document, problems: &mut Vec<String>) {
    let members = |groups: &Option<Vec<Group>>| -> BTreeSet<(GroupName, DevId)> {
        let groups = groups.iter().flatten();
        let members = groups.flat_map(|group| {
            group
                .members
                .iter()
                .map(|member| (group.name.clone(), member.0.clone()))
        });
        members.collect()
    };
    let (before, after) = (members(&current.document.target_groups), members(&wanted.target_groups));
    for (group, target) in before.symmetric_difference(&after) {
        if current.online.contains(target) {
            problems.push(format!(
                "target group {group}: target {target} must be offline to join or leave it (stmfadm offline-target)"
            ));
        }
    }
}

fn lus(current: &Current, wanted: &Document, problems: &mut Vec<String>) {
    let have: BTreeMap<Guid, &Lu> = current
        .document
        .logical_units
        .iter()
        .flatten()
        .map(|lu| (lu.guid, lu))
        .collect();
    let (mut guids, mut files) = (BTreeSet::new(), BTreeMap::new());
    for lu in wanted.logical_units.iter().flatten() {
        let mut wrong = |what: &str| problems.push(format!("logical unit {}: {what}", lu.guid));
        if !guids.insert(lu.guid) {
            wrong("named twice");
        }
        if let Some(other) = files.insert(&lu.file, lu.guid).filter(|other| *other != lu.guid) {
            wrong(&format!("its file {} is the one of {other}", lu.file));
        }
        let texts = LuProperties {
            alias: lu.alias.clone(),
            data_file: Some(lu.file.clone()),
            mgmt_url: lu.management_url.clone(),
            vendor: lu.vendor.clone(),
            product: lu.product.clone(),
            serial: lu.serial.clone(),
            ..LuProperties::default()
        };
        if texts.check().is_err() || lu.file.is_empty() {
            wrong("a text is too long, empty or has a NUL in it");
        }
        let Some(old) = have.get(&lu.guid) else {
            if lu.access != Some(Access::Standby)
                && let Err(error) = std::fs::metadata(&lu.file)
            {
                wrong(&format!("{}: {error}", lu.file));
            }
            continue;
        };
        if old.file != lu.file {
            wrong(&format!("is registered with file {}", old.file));
        }
        if current.access.get(&lu.guid) != Some(&AccessState::Active) {
            continue;
        }
        for (name, same) in [
            ("block-size", old.block_size == lu.block_size),
            ("vendor", old.vendor == lu.vendor),
            ("product", old.product == lu.product),
            ("serial", old.serial == lu.serial),
        ] {
            if !same {
                wrong(&format!("{name} cannot be changed"));
            }
        }
        if lu.size < old.size {
            wrong("size would shrink; stmfadm modify-lu does that");
        }
    }
}

fn views(wanted: &Document, problems: &mut Vec<String>) {
    let names = |groups: &Option<Vec<Group>>| -> BTreeSet<GroupName> {
        groups.iter().flatten().map(|group| group.name.clone()).collect()
    };
    let (hosts, targets) = (names(&wanted.host_groups), names(&wanted.target_groups));
    let mut by_lun: BTreeMap<Lun, Vec<&View>> = BTreeMap::new();
    let mut by_lu: BTreeMap<Guid, Vec<&View>> = BTreeMap::new();
    for view in wanted.views.iter().flatten() {
        for (kind, groups, name) in [
            ("host", &hosts, &view.host_group),
            ("target", &targets, &view.target_group),
        ] {
            if let Some(name) = name.as_ref().filter(|name| !groups.contains(*name)) {
                problems.push(format!("view of {}: there is no {kind} group {name}", view.lu));
            }
        }
        let (same_lu, same_lun) = (by_lu.entry(view.lu).or_default(), by_lun.entry(view.lun).or_default());
        if same_lu.iter().any(|other| overlap(view, other)) {
            problems.push(format!(
                "view of {} at LUN {}: overlaps another one of this LU",
                view.lu,
                view.lun.get()
            ));
        } else if let Some(other) = same_lun.iter().find(|other| overlap(view, other)) {
            let (lun, other) = (view.lun.get(), other.lu);
            problems.push(format!(
                "view of {}: LUN {lun} belongs to {other} for some hosts",
                view.lu
            ));
        }
        same_lu.push(view);
        same_lun.push(view);
    }
}

/// Some host may see both through some target (`libstmf-api.md` 3.5).
fn overlap(a: &View, b: &View) -> bool {
    let matches = |a: &Option<GroupName>, b: &Option<GroupName>| a.is_none() || b.is_none() || a == b;
    matches(&a.host_group, &b.host_group) && matches(&a.target_group, &b.target_group)
}
