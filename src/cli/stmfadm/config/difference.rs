//! A document as lines, one for each fact, and the difference of two as `-` and `+` lines. Pure.

use super::document::*;
use crate::cli::text::printable;
use crate::types::GroupName;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fmt::Display;

/// What changes from one configuration to the other: a line for each fact that goes (`-`) or comes (`+`), by object.
pub fn difference(from: &Document, to: &Document) -> Vec<String> {
    let (from, to) = mark_secrets(from, to);
    let (before, after) = (facts(&from), facts(&to));
    let mut lines: Vec<(&Fact, char)> = before.difference(&after).map(|fact| (fact, '-')).collect();
    lines.extend(after.difference(&before).map(|fact| (fact, '+')));
    // An old value stands before the new one.
    lines.sort_by(|(a, sign), (b, other)| (&a.0, other).cmp(&(&b.0, sign)).then_with(|| a.1.cmp(&b.1)));
    lines
        .iter()
        .map(|(fact, sign)| format!("{sign} {}", fact.line()))
        .collect()
}

/// Object and property, and value.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fact(String, Option<String>);

impl Fact {
    fn line(&self) -> String {
        match &self.1 {
            None => self.0.clone(),
            Some(value) => format!("{} = {value}", self.0),
        }
    }
}

/// Secrets are compared by value and shown as set or new.
fn mark_secrets(from: &Document, to: &Document) -> (Document, Document) {
    let mut to = to.clone();
    let name = |name: &str| crate::iscsi::name::canonical(name).unwrap_or_else(|_| name.to_owned());
    if let (Some(from), Some(to)) = (&from.iscsi, &mut to.iscsi) {
        for target in to.targets.iter_mut().flatten() {
            let before = from
                .targets
                .iter()
                .flatten()
                .find(|old| name(&old.name) == name(&target.name));
            same_to_kept(before.and_then(|old| old.secret.as_ref()), &mut target.secret);
        }
        for initiator in to.initiators.iter_mut().flatten() {
            let before = from
                .initiators
                .iter()
                .flatten()
                .find(|old| name(&old.name) == name(&initiator.name));
            same_to_kept(before.and_then(|old| old.secret.as_ref()), &mut initiator.secret);
        }
    }
    (from.clone().without_secrets(), to)
}

fn same_to_kept(old: Option<&SecretText>, new: &mut Option<SecretText>) {
    match new {
        Some(_) if old == new.as_ref() => *new = Some(SecretText::Kept),
        // There is none to keep.
        Some(SecretText::Kept) if old.is_none() => *new = None,
        _ => {}
    }
}

/// Collects the facts of one object after the other.
#[derive(Default)]
struct Facts(BTreeSet<Fact>);

impl Facts {
    fn object(&mut self, name: impl Display) {
        self.0.insert(Fact(printable(&name.to_string()), None));
    }

    fn value(&mut self, name: impl Display, value: Option<impl Display>) {
        if let Some(value) = value {
            let value = printable(&value.to_string());
            self.0.insert(Fact(printable(&name.to_string()), Some(value)));
        }
    }

    fn text(&mut self, name: impl Display, value: &Option<String>) {
        self.value(name, value.as_ref().filter(|text| !text.is_empty()));
    }
}

fn facts(document: &Document) -> BTreeSet<Fact> {
    let mut facts = Facts::default();
    if let Some(settings) = &document.settings {
        let state = |state: Option<DefaultState>| state.map(|state| format!("{state:?}").to_lowercase());
        facts.value("setting default-lu-state", state(settings.default_lu_state));
        facts.value("setting default-target-state", state(settings.default_target_state));
        facts.text("setting management-url", &settings.management_url);
        let persist = settings
            .persist_method
            .map(|method| format!("{method:?}").to_lowercase());
        facts.value("setting persist-method", persist);
    }
    if let Some(alua) = &document.alua {
        facts.value("alua", Some(if alua.enabled { "enabled" } else { "disabled" }));
        facts.value("alua node", Some(alua.node.get()));
        let reads = alua.standby_reads.map(|reads| format!("{reads:?}").to_lowercase());
        facts.value("alua standby-reads", reads);
    }
    for (kind, groups) in [
        ("host-group", &document.host_groups),
        ("target-group", &document.target_groups),
    ] {
        for group in groups.iter().flatten() {
            facts.object(format_args!("{kind} {}", group.name));
            let members = group.members.iter();
            members.for_each(|member| facts.object(format_args!("{kind} {} member {member}", group.name)));
        }
    }
    document
        .logical_units
        .iter()
        .flatten()
        .for_each(|lu| lu_facts(lu, &mut facts));
    for view in document.views.iter().flatten() {
        let group = |name: &Option<GroupName>| name.as_ref().map_or("(all)".to_owned(), ToString::to_string);
        facts.object(format_args!(
            "view {} lun {} host-group {} target-group {}",
            view.lu,
            view.lun.get(),
            group(&view.host_group),
            group(&view.target_group)
        ));
    }
    for data in document.provider_data.iter().flatten() {
        let kind = format!("{:?}", data.kind).to_lowercase();
        let digest = Sha256::digest(&data.data);
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let value = format!("{} bytes, sha256 {digest}...", data.data.len());
        facts.value(
            format_args!("provider-data {kind} {}", data.provider.as_str()),
            Some(value),
        );
    }
    if let Some(iscsi) = &document.iscsi {
        iscsi_facts(iscsi, &mut facts);
    }
    facts.0
}

fn lu_facts(lu: &Lu, facts: &mut Facts) {
    let name = format!("logical-unit {}", lu.guid);
    facts.object(&name);
    facts.text(format_args!("{name} file"), &Some(lu.file.clone()));
    let policy = lu.policy.map(|policy| match policy {
        Policy::Standby => "standby",
        Policy::NonOptimized => "non-optimized",
    });
    facts.value(format_args!("{name} policy"), policy);
    facts.text(format_args!("{name} alias"), &lu.alias);
    facts.value(format_args!("{name} size"), lu.size);
    facts.value(format_args!("{name} block-size"), lu.block_size);
    facts.text(format_args!("{name} management-url"), &lu.management_url);
    facts.value(format_args!("{name} write-protect"), lu.write_protect);
    facts.value(format_args!("{name} write-cache-disable"), lu.write_cache_disable);
    facts.text(format_args!("{name} vendor"), &lu.vendor);
    facts.text(format_args!("{name} product"), &lu.product);
    facts.text(format_args!("{name} serial"), &lu.serial);
}

fn iscsi_facts(iscsi: &Iscsi, facts: &mut Facts) {
    let secret = |secret: &Option<SecretText>| {
        secret.as_ref().map(|secret| match secret {
            SecretText::Kept => "(set)",
            SecretText::Value(_) => "(new)",
        })
    };
    if let Some(defaults) = &iscsi.defaults {
        facts.text("iscsi-default alias", &defaults.alias);
        facts.value("iscsi-default auth", defaults.auth.map(|auth| auth.name()));
        facts.text("iscsi-default radius-server", &defaults.radius_server);
        facts.value("iscsi-default isns", defaults.isns.then_some("enabled"));
        let servers = defaults.isns_servers.iter();
        servers.for_each(|server| facts.object(format_args!("iscsi-default isns-server {server}")));
    }
    for group in iscsi.portal_groups.iter().flatten() {
        let name = format!("portal-group {}", group.name);
        facts.object(&name);
        let portals = group.portals.iter();
        portals.for_each(|portal| facts.object(format_args!("{name} portal {portal}")));
    }
    let canonical = |name: &str| crate::iscsi::name::canonical(name).unwrap_or_else(|_| name.to_owned());
    for target in iscsi.targets.iter().flatten() {
        let name = format!("target {}", canonical(&target.name));
        facts.object(&name);
        facts.text(format_args!("{name} alias"), &target.alias);
        facts.value(format_args!("{name} auth"), target.auth.map(|auth| auth.name()));
        facts.text(format_args!("{name} chap-user"), &target.chap_user);
        facts.value(format_args!("{name} secret"), secret(&target.secret));
        for bound in &target.portal_groups {
            facts.object(format_args!("{name} portal-group {} tag {}", bound.name, bound.tag));
        }
    }
    for initiator in iscsi.initiators.iter().flatten() {
        let name = format!("initiator {}", initiator.name);
        facts.object(&name);
        facts.text(format_args!("{name} chap-user"), &initiator.chap_user);
        facts.value(format_args!("{name} secret"), secret(&initiator.secret));
    }
}
