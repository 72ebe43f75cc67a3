//! Changes of the configuration (`iscsi-target.md` 16.2): a new value, or the reason why not. Pure.

use super::{Binding, Config, DEFAULT_TAG, Group, Initiator, OTHERS_MAX, PORTALS_MAX, TARGETS_MAX, Target, same_name};
use crate::iscsi::admin::{Change, InitiatorChange, Refusal, Set, TargetChange};
use crate::iscsi::name;
use std::net::SocketAddr;

/// Longest alias, user name and portal group name, bytes.
const TEXT_MAX: usize = 255;

impl Config {
    /// The configuration after a change, and the name of the object that was changed in the form it has now. A target is
    /// created under the name in the change, which must be there.
    pub fn changed(&self, change: &Change) -> Result<(Config, String), Refusal> {
        let mut config = self.clone();
        let name = match change {
            Change::CreateTarget(change) => config.create_target(change),
            Change::ModifyTarget { name, change } => config.modify_target(name, change),
            Change::DeleteTarget { name, .. } => config.delete_target(name),
            Change::CreateGroup { name, portals } => config.create_group(name, portals),
            Change::DeleteGroup { name, force } => config.delete_group(name, *force),
            Change::CreateInitiator { name, change } => config.create_initiator(name, change),
            Change::ModifyInitiator { name, change } => config.modify_initiator(name, change),
            Change::DeleteInitiator { name } => config.delete_initiator(name),
            Change::Defaults(change) => config.set_defaults(change).map(|()| String::new()),
            Change::AddPortals { name, portals } => config.add_portals(name, portals),
            Change::RemovePortals { name, portals } => config.remove_portals(name, portals),
        }?;
        Ok((config, name))
    }

    fn create_target(&mut self, change: &TargetChange) -> Result<String, Refusal> {
        let name = self.free_name(change.name.as_deref().unwrap_or_default())?;
        if self.targets.len() >= TARGETS_MAX {
            return Err(Refusal::TooMany(TARGETS_MAX));
        }
        let mut target = Target {
            name: name.clone(),
            ..Target::default()
        };
        self.set_target(&mut target, change)?;
        self.targets.push(target);
        Ok(name)
    }

    fn modify_target(&mut self, name: &str, change: &TargetChange) -> Result<String, Refusal> {
        let at = self.target_at(name)?;
        let mut target = self.targets[at].clone();
        if let Some(new) = &change.name {
            let same = name::canonical_target(new).is_ok_and(|new| new == target.name);
            if !same {
                target.name = self.free_name(new)?;
            }
        }
        self.set_target(&mut target, change)?;
        let name = target.name.clone();
        self.targets[at] = target;
        Ok(name)
    }

    fn delete_target(&mut self, name: &str) -> Result<String, Refusal> {
        let at = self.target_at(name)?;
        Ok(self.targets.remove(at).name)
    }

    fn target_at(&self, name: &str) -> Result<usize, Refusal> {
        let canonical = name::canonical(name).map_err(|why| Refusal::Name(name.to_owned(), why.to_string()))?;
        self.targets
            .iter()
            .position(|target| target.name == canonical)
            .ok_or(Refusal::NotFound(canonical))
    }

    fn free_name(&self, name: &str) -> Result<String, Refusal> {
        let name = name::canonical_target(name).map_err(|why| Refusal::Name(name.to_owned(), why.to_string()))?;
        match self.target(&name) {
            None => Ok(name),
            Some(_) => Err(Refusal::Exists(name)),
        }
    }

    fn set_target(&self, target: &mut Target, change: &TargetChange) -> Result<(), Refusal> {
        text("alias", &change.alias)?;
        text("targetchapuser", &change.chap_user)?;
        if let Some(secret) = &change.secret {
            // Else an initiator could let the target answer its own challenge (RFC 7143 9.2.1).
            if self
                .initiators
                .iter()
                .any(|known| known.secret.as_ref() == Some(secret))
            {
                let wrong = "is the secret of an initiator";
                return Err(Refusal::property("targetchapsecret", wrong));
            }
            target.secret = Some(secret.clone());
        }
        change.alias.clone().apply(&mut target.alias);
        change.auth.clone().apply(&mut target.auth);
        change.chap_user.clone().apply(&mut target.chap_user);
        if let Some(groups) = &change.groups {
            target.bindings = self.bind(&target.bindings, groups)?;
        }
        target.generation += 1;
        Ok(())
    }

    /// Bindings to exactly these groups; those that exist already keep their tags.
    fn bind(&self, old: &[Binding], groups: &[String]) -> Result<Vec<Binding>, Refusal> {
        for (at, group) in groups.iter().enumerate() {
            if self.group(group).is_none() {
                return Err(Refusal::NoGroup(group.clone()));
            }
            if groups[..at].contains(group) {
                return Err(Refusal::GroupTwice(group.clone()));
            }
        }
        let kept = old.iter().filter(|binding| groups.contains(&binding.group));
        let mut bindings: Vec<Binding> = kept.cloned().collect();
        for group in groups {
            if !bindings.iter().any(|binding| binding.group == *group) {
                let tag = free_tag(&bindings, group).ok_or(Refusal::NoTag)?;
                bindings.push(Binding {
                    group: group.clone(),
                    tag,
                });
            }
        }
        Ok(bindings)
    }

    fn create_group(&mut self, name: &str, portals: &[SocketAddr]) -> Result<String, Refusal> {
        group_name(name)?;
        if self.group(name).is_some() {
            return Err(Refusal::Exists(name.to_owned()));
        }
        if self.groups.len() >= OTHERS_MAX {
            return Err(Refusal::TooMany(OTHERS_MAX));
        }
        let mut group = Group {
            name: name.to_owned(),
            portals: Vec::new(),
            generation: 1,
        };
        self.put_portals(&mut group, portals)?;
        self.groups.push(group);
        Ok(name.to_owned())
    }

    /// Portals for a group that has none of another one; each is stored once.
    fn put_portals(&self, group: &mut Group, portals: &[SocketAddr]) -> Result<(), Refusal> {
        for portal in portals.iter().map(canonical) {
            let others = self.groups.iter().filter(|other| other.name != group.name);
            if others.into_iter().any(|other| other.portals.contains(&portal)) {
                return Err(Refusal::PortalInUse(portal));
            }
            if !group.portals.contains(&portal) {
                group.portals.push(portal);
            }
        }
        match group.portals.len() {
            0 => Err(Refusal::NoPortal),
            1..=PORTALS_MAX => Ok(()),
            _ => Err(Refusal::TooMany(PORTALS_MAX)),
        }
    }

    fn add_portals(&mut self, name: &str, portals: &[SocketAddr]) -> Result<String, Refusal> {
        let at = self.group_at(name)?;
        let mut group = self.groups[at].clone();
        self.put_portals(&mut group, portals)?;
        group.generation += 1;
        self.groups[at] = group;
        Ok(name.to_owned())
    }

    fn remove_portals(&mut self, name: &str, portals: &[SocketAddr]) -> Result<String, Refusal> {
        let at = self.group_at(name)?;
        let group = &mut self.groups[at];
        for portal in portals.iter().map(canonical) {
            let place = group.portals.iter().position(|known| *known == portal);
            group.portals.remove(place.ok_or(Refusal::NotInGroup(portal))?);
        }
        if group.portals.is_empty() {
            return Err(Refusal::NoPortal);
        }
        group.generation += 1;
        Ok(name.to_owned())
    }

    fn group_at(&self, name: &str) -> Result<usize, Refusal> {
        let at = self.groups.iter().position(|group| group.name == name);
        at.ok_or_else(|| Refusal::NotFound(name.to_owned()))
    }

    fn delete_group(&mut self, name: &str, force: bool) -> Result<String, Refusal> {
        let at = self.group_at(name)?;
        for target in &mut self.targets {
            let before = target.bindings.len();
            target.bindings.retain(|binding| binding.group != name);
            if target.bindings.len() != before {
                if !force {
                    return Err(Refusal::Busy(name.to_owned()));
                }
                target.generation += 1;
            }
        }
        Ok(self.groups.remove(at).name)
    }

    fn create_initiator(&mut self, name: &str, change: &InitiatorChange) -> Result<String, Refusal> {
        name::canonical(name).map_err(|why| Refusal::Name(name.to_owned(), why.to_string()))?;
        if self.initiator(name).is_some() {
            return Err(Refusal::Exists(name.to_owned()));
        }
        if self.initiators.len() >= OTHERS_MAX {
            return Err(Refusal::TooMany(OTHERS_MAX));
        }
        let mut initiator = Initiator {
            name: name.to_owned(),
            ..Initiator::default()
        };
        self.set_initiator(&mut initiator, change)?;
        self.initiators.push(initiator);
        Ok(name.to_owned())
    }

    fn modify_initiator(&mut self, name: &str, change: &InitiatorChange) -> Result<String, Refusal> {
        let at = self.initiator_at(name)?;
        let mut initiator = self.initiators[at].clone();
        self.set_initiator(&mut initiator, change)?;
        self.initiators[at] = initiator;
        Ok(self.initiators[at].name.clone())
    }

    fn delete_initiator(&mut self, name: &str) -> Result<String, Refusal> {
        let at = self.initiator_at(name)?;
        Ok(self.initiators.remove(at).name)
    }

    fn initiator_at(&self, name: &str) -> Result<usize, Refusal> {
        self.initiators
            .iter()
            .position(|known| same_name(&known.name, name))
            .ok_or_else(|| Refusal::NotFound(name.to_owned()))
    }

    fn set_initiator(&self, initiator: &mut Initiator, change: &InitiatorChange) -> Result<(), Refusal> {
        text("chapuser", &change.chap_user)?;
        if let Some(secret) = &change.secret {
            if self.targets.iter().any(|known| known.secret.as_ref() == Some(secret)) {
                return Err(Refusal::property("chapsecret", "is the secret of a target"));
            }
            initiator.secret = Some(secret.clone());
        }
        change.chap_user.clone().apply(&mut initiator.chap_user);
        initiator.generation += 1;
        Ok(())
    }
}

/// An IPv4 address that is written as an IPv6 one is the same.
fn canonical(portal: &SocketAddr) -> SocketAddr {
    SocketAddr::new(portal.ip().to_canonical(), portal.port())
}

/// The tag of a new binding (`iscsi-target.md` chapter 3): the group's name if that is a number and free, else one more
/// than the highest, else the lowest that is free.
fn free_tag(bindings: &[Binding], group: &str) -> Option<u16> {
    const FIRST: u16 = DEFAULT_TAG + 1;
    let free = |tag: &u16| bindings.iter().all(|binding| binding.tag != *tag);
    let digits = group.bytes().all(|byte| byte.is_ascii_digit());
    let named = group.parse().ok().filter(|tag| digits && (FIRST..=65534).contains(tag));
    if let Some(tag) = named.filter(free) {
        return Some(tag);
    }
    let highest = bindings.iter().map(|binding| binding.tag).max().unwrap_or(DEFAULT_TAG);
    match highest.checked_add(1) {
        Some(tag) => Some(tag.max(FIRST)),
        None => (FIRST..=u16::MAX).find(free),
    }
}

pub(super) fn group_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > TEXT_MAX || name.contains([',', '\0']) {
        let why = "the name of a portal group has 1 to 255 bytes and no comma";
        return Err(Refusal::Name(name.to_owned(), why.to_owned()));
    }
    Ok(())
}

pub(super) fn text(property: &str, value: &Set<String>) -> Result<(), Refusal> {
    match value {
        Set::To(text) if text.is_empty() || text.len() > TEXT_MAX || text.contains(char::is_control) => Err(
            Refusal::property(property, "must have 1 to 255 bytes and no control characters"),
        ),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
