//! The configuration as somebody else has written it: provider data that arrives through the library while the provider
//! runs (`iscsi-target.md` 16.1, 16.2). Unlike what the store holds, all of it must make sense, or nothing is taken. Pure.

use super::change::text;
use super::stored::VERSION;
use super::{Binding, Config, DEFAULT_TAG, Group, Initiator, OTHERS_MAX, PORTALS_MAX, TARGETS_MAX, Target, same_name};
use crate::iscsi::admin::{Auth, Refusal, Set};
use crate::iscsi::{chap, name};
use crate::nvlist::{Limits, NvList, Value};
use crate::types::Secret;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Longest iSNS server list (`iscsi-target.md` 16.1).
pub(super) const ISNS_SERVERS_MAX: usize = 8;

/// What provider data asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The configuration.
    pub config: Config,
    /// Targets whose property `oldtargetname` names a target that is no longer there: old name, new name.
    pub renamed: Vec<(String, String)>,
}

impl Config {
    /// What packed provider data makes of this configuration. Secrets, which are not part of the data, stay with the
    /// objects of the same name; a secret in the data is a new one, an empty text takes it away.
    pub fn replaced(&self, packed: &[u8]) -> Result<Replacement, Refusal> {
        let list = NvList::unpack(packed, &Limits::PROVIDER_DATA)
            .map_err(|error| Refusal::property("provider data", error.to_string()))?;
        let mut top = Fields::new("", list);
        match top.list.take("cfgVersion") {
            None | Some(Value::UInt32(VERSION)) => {}
            _ => return Err(top.wrong("cfgVersion", "must be 1, a uint32")),
        }
        let mut config = Config {
            groups: each(top.fields("tpgList")?, OTHERS_MAX, group)?,
            ..Config::default()
        };
        distinct_portals(&config.groups)?;
        let mut old_names = BTreeMap::new();
        config.targets = each(top.fields("targetList")?, TARGETS_MAX, |name, fields| {
            let (target, old) = self.target_of(name, fields, &config.groups)?;
            old.and_then(|old| old_names.insert(target.name.clone(), old));
            Ok(target)
        })?;
        config.initiators = each(top.fields("iniList")?, OTHERS_MAX, |name, fields| {
            self.initiator_of(name, fields)
        })?;
        let mut globals = top.fields("globalProperties")?;
        config.auth = globals.auth(false)?;
        config.radius_secret = globals.secret("radiussecret", self.radius_secret.as_ref())?;
        config.globals = checked_globals(globals)?;
        config.check_radius()?;
        config.rest = top.list;
        config.distinct()?;
        let renamed = old_names.into_iter().map(|(new, old)| (old, new));
        let renamed = renamed.filter(|(old, _)| self.target(old).is_some() && config.target(old).is_none());
        Ok(Replacement {
            renamed: renamed.collect(),
            config,
        })
    }

    /// A target, and the name that it had.
    fn target_of(
        &self,
        typed: &str,
        mut fields: Fields,
        groups: &[Group],
    ) -> Result<(Target, Option<String>), Refusal> {
        let name = name::canonical_target(typed).map_err(|why| Refusal::Name(typed.to_owned(), why.to_string()))?;
        let mut properties = fields.fields("properties")?;
        let old = properties.text("oldtargetname", false)?;
        let old = old.and_then(|old| name::canonical(&old).ok());
        let known = self.target(&name).or(old.as_deref().and_then(|old| self.target(old)));
        let target = Target {
            alias: properties.text("alias", true)?,
            auth: properties.auth(true)?,
            chap_user: properties.text("targetchapuser", true)?,
            secret: properties.secret("targetchapsecret", known.and_then(|known| known.secret.as_ref()))?,
            bindings: bindings(fields.fields("tpgtList")?, groups)?,
            generation: fields.generation()?,
            rest: NvList::new(),
            name,
        };
        properties.end()?;
        fields.end()?;
        Ok((target, old))
    }

    fn initiator_of(&self, name: &str, mut fields: Fields) -> Result<Initiator, Refusal> {
        name::canonical(name).map_err(|why| Refusal::Name(name.to_owned(), why.to_string()))?;
        let mut properties = fields.fields("properties")?;
        let known = self.initiator(name).and_then(|known| known.secret.as_ref());
        let initiator = Initiator {
            name: name.to_owned(),
            chap_user: properties.text("chapuser", true)?,
            secret: properties.secret("chapsecret", known)?,
            generation: fields.generation()?,
            rest: NvList::new(),
        };
        properties.end()?;
        fields.end()?;
        Ok(initiator)
    }

    /// Names that differ in more than their letter case, and secrets that serve in one direction only.
    fn distinct(&self) -> Result<(), Refusal> {
        let mut names = BTreeSet::new();
        for target in &self.targets {
            if !names.insert(&target.name) {
                return Err(Refusal::Exists(target.name.clone()));
            }
        }
        for (at, initiator) in self.initiators.iter().enumerate() {
            let others = &self.initiators[..at];
            if others.iter().any(|other| same_name(&other.name, &initiator.name)) {
                return Err(Refusal::Exists(initiator.name.clone()));
            }
            // Else an initiator could let the target answer its own challenge (RFC 7143 9.2.1).
            let secret = initiator.secret.as_ref();
            if secret.is_some() && self.targets.iter().any(|target| target.secret.as_ref() == secret) {
                let property = format!("iniList {} chapsecret", initiator.name);
                return Err(Refusal::property(&property, "is the secret of a target"));
            }
        }
        Ok(())
    }
}

/// A list, what is left of it, and where it stands.
struct Fields {
    place: String,
    list: NvList,
}

impl Fields {
    fn new(place: &str, list: NvList) -> Fields {
        let place = place.to_owned();
        Fields { place, list }
    }

    fn wrong(&self, field: &str, wrong: &str) -> Refusal {
        Refusal::property(format!("{} {field}", self.place).trim_start(), wrong)
    }

    /// A list within; an absent one is empty.
    fn fields(&mut self, name: &str) -> Result<Fields, Refusal> {
        let place = format!("{} {name}", self.place);
        match self.list.take(name) {
            None => Ok(Fields::new(&place, NvList::new())),
            Some(Value::List(list)) => Ok(Fields::new(&place, list)),
            Some(_) => Err(self.wrong(name, "must be an nvlist")),
        }
    }

    /// A text; "none" stands for no value where a property can be taken away.
    fn text(&mut self, name: &str, none: bool) -> Result<Option<String>, Refusal> {
        let value = match self.list.take(name) {
            None => return Ok(None),
            Some(Value::String(bytes)) => String::from_utf8(bytes).map_err(|_| self.wrong(name, "must be UTF-8"))?,
            Some(_) => return Err(self.wrong(name, "must be a string")),
        };
        if none && value == "none" {
            return Ok(None);
        }
        text(&format!("{} {name}", self.place), &Set::To(value.clone()))?;
        Ok(Some(value))
    }

    fn auth(&mut self, target: bool) -> Result<Option<Auth>, Refusal> {
        let Some(value) = self.text("auth", false)? else {
            return Ok(None);
        };
        if target && value == "default" {
            return Ok(None);
        }
        let auth = Auth::parse(&value).ok_or_else(|| self.wrong("auth", "must be none, chap or radius"))?;
        Ok(Some(auth))
    }

    fn secret(&mut self, name: &str, known: Option<&Secret>) -> Result<Option<Secret>, Refusal> {
        let base64 = match self.list.take(name) {
            None => return Ok(known.cloned()),
            Some(Value::String(bytes)) if bytes.is_empty() => return Ok(None),
            Some(Value::String(bytes)) => bytes,
            Some(_) => return Err(self.wrong(name, "must be a string")),
        };
        let bytes = String::from_utf8(base64).ok().and_then(|text| chap::from_base64(&text));
        let secret = bytes.and_then(|bytes| Secret::new(bytes).ok());
        secret
            .map(Some)
            .ok_or_else(|| self.wrong(name, "must be 12 to 255 bytes in base64"))
    }

    fn generation(&mut self) -> Result<u64, Refusal> {
        match self.list.take("generation") {
            None => Ok(0),
            Some(Value::UInt64(generation)) => Ok(generation),
            Some(_) => Err(self.wrong("generation", "must be a uint64")),
        }
    }

    /// Nothing may be left.
    fn end(self) -> Result<(), Refusal> {
        match self.list.iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(self.wrong(name, "is not known")),
        }
    }
}

/// The entries of a list of objects.
fn each<T>(
    entries: Fields,
    most: usize,
    mut parse: impl FnMut(&str, Fields) -> Result<T, Refusal>,
) -> Result<Vec<T>, Refusal> {
    if entries.list.len() > most {
        return Err(Refusal::TooMany(most));
    }
    let entry = |(name, value): (&str, &Value)| match value {
        Value::List(fields) => parse(name, Fields::new(&format!("{} {name}", entries.place), fields.clone())),
        _ => Err(entries.wrong(name, "must be an nvlist")),
    };
    entries.list.iter().map(entry).collect()
}

fn group(name: &str, mut fields: Fields) -> Result<Group, Refusal> {
    super::change::group_name(name)?;
    let wrong = || fields.wrong("portalList", "must be an array of addr:port");
    let portals = match fields.list.get("portalList") {
        Some(Value::StringArray(portals)) => portals,
        _ => return Err(wrong()),
    };
    let portal = |text: &Vec<u8>| {
        let portal: SocketAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(SocketAddr::new(portal.ip().to_canonical(), portal.port()))
    };
    let portals: Vec<SocketAddr> = portals.iter().map(portal).collect::<Option<_>>().ok_or_else(wrong)?;
    match portals.len() {
        0 => return Err(Refusal::NoPortal),
        1..=PORTALS_MAX => {}
        _ => return Err(Refusal::TooMany(PORTALS_MAX)),
    }
    fields.list.take("portalList");
    let generation = fields.generation()?;
    fields.end()?;
    Ok(Group {
        name: name.to_owned(),
        portals,
        generation,
    })
}

fn distinct_portals(groups: &[Group]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    let mut portals = groups.iter().flat_map(|group| &group.portals);
    match portals.find(|portal| !seen.insert(**portal)) {
        Some(portal) => Err(Refusal::PortalInUse(*portal)),
        None => Ok(()),
    }
}

fn bindings(list: Fields, groups: &[Group]) -> Result<Vec<Binding>, Refusal> {
    let mut tags = BTreeSet::new();
    each(list, OTHERS_MAX, |group, mut fields| {
        if !groups.iter().any(|known| known.name == group) {
            return Err(Refusal::NoGroup(group.to_owned()));
        }
        let tag = match fields.list.take("tag") {
            Some(Value::UInt16(tag)) if tag > DEFAULT_TAG && tags.insert(tag) => tag,
            _ => return Err(fields.wrong("tag", "must be a uint16 from 2 on, another one for each portal group")),
        };
        fields.generation()?;
        fields.end()?;
        Ok(Binding {
            group: group.to_owned(),
            tag,
        })
    })
}

/// Global properties other than authentication and secret.
fn checked_globals(mut globals: Fields) -> Result<NvList, Refusal> {
    let mut kept = NvList::new();
    for name in ["alias", "radiusserver"] {
        if let Some(text) = globals.text(name, true)? {
            kept.push(name, Value::String(text.into_bytes()));
        }
    }
    match globals.list.take("isns") {
        None => {}
        Some(value @ Value::BooleanValue(_)) => kept.push("isns", value),
        Some(_) => return Err(globals.wrong("isns", "must be a boolean_value")),
    }
    match globals.list.take("isnsserver") {
        None => {}
        Some(Value::StringArray(servers)) if servers.len() <= ISNS_SERVERS_MAX => {
            kept.push("isnsserver", Value::StringArray(servers));
        }
        Some(_) => return Err(globals.wrong("isnsserver", "must be an array of at most 8 strings")),
    }
    globals.end()?;
    Ok(kept)
}

#[cfg(test)]
#[path = "replacement_tests.rs"]
mod tests;
