//! The configuration as provider data of `iscsit`, an nvlist (`iscsi-target.md` 16.1), and its secrets.
//!
//! Secrets are not part of the provider data, which any client of the library may read: they are settings of the store,
//! written in the same transaction, in a file that only root can read. Data of other origin that holds them is understood.

use super::{Binding, Config, Group, Initiator, Target};
use crate::iscsi::admin::{Auth, DefaultsInfo};
use crate::iscsi::{chap, name};
use crate::nvlist::{DecodeError, Limits, NvList, Value};
use crate::types::Secret;
use std::collections::BTreeMap;

/// Version of the layout.
pub(super) const VERSION: u32 = 1;
/// What the names of settings that hold secrets begin with; `target/NAME`, `initiator/NAME` or `radius` follows.
pub const SECRETS: &str = "iscsit.secret/";

/// The stored configuration cannot be understood. It is left alone.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoredError {
    /// It is no nvlist.
    Data(DecodeError),
    /// A newer program wrote it.
    Version(u32),
    /// An authentication method that is not known.
    Auth(String),
}

impl std::fmt::Display for StoredError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoredError::Data(error) => error.fmt(f),
            StoredError::Auth(method) => write!(f, "authentication method '{method}' is not known"),
            StoredError::Version(version) => write!(f, "version {version} is not known to this program"),
        }
    }
}

impl std::error::Error for StoredError {}

impl Config {
    /// From provider data and settings that begin with [`SECRETS`].
    pub fn unpack(bytes: &[u8], secrets: &BTreeMap<String, String>) -> Result<Config, StoredError> {
        let mut list = NvList::unpack(bytes, &Limits::PROVIDER_DATA).map_err(StoredError::Data)?;
        match list.take("cfgVersion") {
            None | Some(Value::UInt32(VERSION)) => {}
            Some(Value::UInt32(version)) => return Err(StoredError::Version(version)),
            Some(_) => return Err(StoredError::Version(0)),
        }
        let mut config = Config::default();
        config.targets = entries(&mut list, "targetList", target, &mut config.odd);
        config.groups = entries(&mut list, "tpgList", group, &mut config.odd);
        config.initiators = entries(&mut list, "iniList", initiator, &mut config.odd);
        if let Some(Value::List(mut globals)) = list.take("globalProperties") {
            config.auth = take_auth(&mut globals).map_err(StoredError::Auth)?;
            config.radius_secret = take_text(&mut globals, "radiussecret").and_then(|text| secret(&text));
            config.globals = globals;
        }
        config.rest = list;
        let known = |key: String| secrets.get(&format!("{SECRETS}{key}")).and_then(|text| secret(text));
        config.radius_secret = known("radius".to_owned()).or(config.radius_secret.take());
        for target in &mut config.targets {
            target.secret = known(format!("target/{}", target.name)).or(target.secret.take());
        }
        for initiator in &mut config.initiators {
            initiator.secret = known(format!("initiator/{}", initiator.name)).or(initiator.secret.take());
        }
        Ok(config)
    }

    /// To provider data, without secrets.
    pub fn pack(&self) -> Vec<u8> {
        let mut list = NvList::new();
        list.push("cfgVersion", Value::UInt32(VERSION));
        let lists = [
            ("targetList", self.targets.iter().map(target_pair).collect::<Vec<_>>()),
            ("tpgList", self.groups.iter().map(group_pair).collect()),
            ("iniList", self.initiators.iter().map(initiator_pair).collect()),
        ];
        for (name, pairs) in lists {
            let mut entries = NvList::new();
            for (_, odd) in self.odd.iter().filter(|(list, _)| *list == name) {
                odd.iter().for_each(|(name, value)| entries.push(name, value.clone()));
            }
            pairs.into_iter().for_each(|(name, value)| entries.push(name, value));
            list.push(name, Value::List(entries));
        }
        let mut globals = self.globals.clone();
        push_text(&mut globals, "auth", self.auth.map(Auth::name));
        list.push("globalProperties", Value::List(globals));
        self.rest
            .iter()
            .for_each(|(name, value)| list.push(name, value.clone()));
        list.pack()
    }

    /// The secrets as settings of the store.
    pub fn secrets(&self) -> BTreeMap<String, String> {
        let all = self.all_secrets().into_iter();
        all.map(|(name, secret)| (format!("{SECRETS}{name}"), chap::to_base64(secret.reveal())))
            .collect()
    }

    /// The secrets by `target/NAME`, `initiator/NAME` or `radius`.
    pub fn all_secrets(&self) -> Vec<(String, Secret)> {
        let targets = self
            .targets
            .iter()
            .map(|target| ("target", &target.name, &target.secret));
        let initiators = self.initiators.iter();
        let initiators = initiators.map(|initiator| ("initiator", &initiator.name, &initiator.secret));
        targets
            .chain(initiators)
            .filter_map(|(kind, name, secret)| Some((format!("{kind}/{name}"), secret.clone()?)))
            .chain(
                self.radius_secret
                    .iter()
                    .map(|secret| ("radius".to_owned(), secret.clone())),
            )
            .collect()
    }
}

/// Entries of a list; what is none goes to `odd`.
fn entries<T>(
    list: &mut NvList,
    name: &'static str,
    parse: fn(&str, &NvList) -> Option<T>,
    odd: &mut Vec<(&'static str, NvList)>,
) -> Vec<T> {
    let Some(Value::List(entries)) = list.take(name) else {
        return Vec::new();
    };
    let mut rest = NvList::new();
    let mut known = Vec::new();
    for (name, value) in entries.iter() {
        let parsed = match value {
            Value::List(fields) => parse(name, fields),
            _ => None,
        };
        match parsed {
            Some(parsed) => known.push(parsed),
            None => rest.push(name, value.clone()),
        }
    }
    if !rest.is_empty() {
        odd.push((name, rest));
    }
    known
}

fn target(name: &str, fields: &NvList) -> Option<Target> {
    let mut rest = properties(fields);
    let bindings = match fields.get("tpgtList") {
        Some(Value::List(list)) => list.iter().filter_map(binding).collect(),
        _ => Vec::new(),
    };
    Some(Target {
        name: name::canonical_target(name).ok()?,
        alias: take_text(&mut rest, "alias"),
        auth: take_auth(&mut rest).ok()?,
        chap_user: take_text(&mut rest, "targetchapuser"),
        secret: take_text(&mut rest, "targetchapsecret").and_then(|text| secret(&text)),
        bindings,
        generation: generation(fields),
        rest,
    })
}

fn binding((group, value): (&str, &Value)) -> Option<Binding> {
    let Value::List(fields) = value else { return None };
    match fields.get("tag") {
        Some(Value::UInt16(tag)) => Some(Binding {
            group: group.to_owned(),
            tag: *tag,
        }),
        _ => None,
    }
}

fn target_pair(target: &Target) -> (&str, Value) {
    let mut properties = target.rest.clone();
    push_text(&mut properties, "alias", target.alias.as_deref());
    push_text(&mut properties, "auth", target.auth.map(Auth::name));
    push_text(&mut properties, "targetchapuser", target.chap_user.as_deref());
    let mut bindings = NvList::new();
    for binding in &target.bindings {
        let mut fields = NvList::new();
        fields.push("tag", Value::UInt16(binding.tag));
        fields.push("generation", Value::UInt64(1));
        bindings.push(&binding.group, Value::List(fields));
    }
    let mut fields = NvList::new();
    fields.push("properties", Value::List(properties));
    fields.push("generation", Value::UInt64(target.generation));
    fields.push("tpgtList", Value::List(bindings));
    (&target.name, Value::List(fields))
}

fn group(name: &str, fields: &NvList) -> Option<Group> {
    let Some(Value::StringArray(portals)) = fields.get("portalList") else {
        return None;
    };
    let portal = |text: &Vec<u8>| std::str::from_utf8(text).ok()?.parse().ok();
    Some(Group {
        name: name.to_owned(),
        portals: portals.iter().map(portal).collect::<Option<_>>()?,
        generation: generation(fields),
    })
}

fn group_pair(group: &Group) -> (&str, Value) {
    let portals = group.portals.iter().map(|portal| portal.to_string().into_bytes());
    let mut fields = NvList::new();
    fields.push("generation", Value::UInt64(group.generation));
    fields.push("portalList", Value::StringArray(portals.collect()));
    (&group.name, Value::List(fields))
}

fn initiator(name: &str, fields: &NvList) -> Option<Initiator> {
    name::canonical(name).ok()?;
    let mut rest = properties(fields);
    Some(Initiator {
        name: name.to_owned(),
        chap_user: take_text(&mut rest, "chapuser"),
        secret: take_text(&mut rest, "chapsecret").and_then(|text| secret(&text)),
        generation: generation(fields),
        rest,
    })
}

fn initiator_pair(initiator: &Initiator) -> (&str, Value) {
    let mut properties = initiator.rest.clone();
    push_text(&mut properties, "chapuser", initiator.chap_user.as_deref());
    let mut fields = NvList::new();
    fields.push("properties", Value::List(properties));
    fields.push("generation", Value::UInt64(initiator.generation));
    (&initiator.name, Value::List(fields))
}

/// Defaults for listings.
pub fn defaults(globals: &NvList, auth: Option<Auth>, radius_secret: bool) -> DefaultsInfo {
    let servers = match globals.get("isnsserver") {
        Some(Value::StringArray(servers)) => servers
            .iter()
            .map(|server| String::from_utf8_lossy(server).into())
            .collect(),
        _ => Vec::new(),
    };
    DefaultsInfo {
        alias: text(globals.get("alias")),
        auth,
        radius_server: text(globals.get("radiusserver")),
        radius_secret,
        isns: matches!(globals.get("isns"), Some(Value::BooleanValue(true))),
        isns_servers: servers,
    }
}

fn properties(fields: &NvList) -> NvList {
    match fields.get("properties") {
        Some(Value::List(properties)) => properties.clone(),
        _ => NvList::new(),
    }
}

fn generation(fields: &NvList) -> u64 {
    match fields.get("generation") {
        Some(Value::UInt64(generation)) => *generation,
        _ => 0,
    }
}

fn secret(base64: &str) -> Option<Secret> {
    Secret::new(chap::from_base64(base64)?).ok()
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(bytes)) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

fn take_text(list: &mut NvList, name: &str) -> Option<String> {
    text(list.take(name).as_ref())
}

/// A method that is not known is an error: read as none, it would open what was meant to be closed.
fn take_auth(properties: &mut NvList) -> Result<Option<Auth>, String> {
    match properties.take("auth") {
        None => Ok(None),
        value => {
            let text = text(value.as_ref()).unwrap_or_default();
            Auth::parse(&text).map(Some).ok_or(text)
        }
    }
}

fn push_text(list: &mut NvList, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        list.push(name, Value::String(value.into()));
    }
}

#[cfg(test)]
#[path = "stored_tests.rs"]
mod tests;
