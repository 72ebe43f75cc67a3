//! The persistent configuration: provider data of `iscsit`, an nvlist (`iscsi-target.md` 16.1). Pairs that this version
//! does not use are kept as they are.

use super::name;
use crate::nvlist::{DecodeError, Limits, NvList, Value};

/// Port provider name, in listings and as the key of the stored data.
pub const PROVIDER: &str = "iscsit";
/// Version of the layout.
const VERSION: u32 = 1;
/// Targets a node may have (`iscsi-target.md` chapter 17).
pub const TARGETS_MAX: usize = 255;

/// A configured target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetConfig {
    /// Canonical name.
    pub name: String,
    /// Alias.
    pub alias: Option<String>,
}

/// The configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    list: NvList,
}

impl Config {
    /// From stored bytes.
    pub fn unpack(bytes: &[u8]) -> Result<Config, DecodeError> {
        Ok(Config {
            list: NvList::unpack(bytes, &Limits::PROVIDER_DATA)?,
        })
    }

    /// To stored bytes.
    pub fn pack(&self) -> Vec<u8> {
        self.list.pack()
    }

    /// The targets. What is stored under a name that is none, or is no target, is left out (and kept in the list).
    pub fn targets(&self) -> Vec<TargetConfig> {
        let Some(Value::List(targets)) = self.list.get("targetList") else {
            return Vec::new();
        };
        let target = |(name, value): (&str, &Value)| {
            let name = name::canonical_target(name).ok()?;
            let Value::List(fields) = value else { return None };
            let alias = match fields.get("properties") {
                Some(Value::List(properties)) => text(properties.get("alias")),
                _ => None,
            };
            Some(TargetConfig { name, alias })
        };
        targets.iter().filter_map(target).take(TARGETS_MAX).collect()
    }

    /// Adds a target; one of the same name is replaced.
    pub fn put(&mut self, target: &TargetConfig) {
        let mut properties = NvList::new();
        if let Some(alias) = &target.alias {
            properties.push("alias", Value::String(alias.clone().into_bytes()));
        }
        let mut fields = NvList::new();
        fields.push("properties", Value::List(properties));
        fields.push("generation", Value::UInt64(1));
        fields.push("tpgtList", Value::List(NvList::new()));
        let mut targets = self.take_targets();
        targets.take(&target.name);
        targets.push(&target.name, Value::List(fields));
        self.replace_targets(targets);
    }

    /// Removes a target.
    pub fn remove(&mut self, name: &str) {
        let mut targets = self.take_targets();
        targets.take(name);
        self.replace_targets(targets);
    }

    fn take_targets(&mut self) -> NvList {
        match self.list.take("targetList") {
            Some(Value::List(targets)) => targets,
            _ => NvList::new(),
        }
    }

    fn replace_targets(&mut self, targets: NvList) {
        if self.list.get("cfgVersion").is_none() {
            self.list.push("cfgVersion", Value::UInt32(VERSION));
        }
        self.list.push("targetList", Value::List(targets));
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    match value {
        Some(Value::String(bytes)) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, alias: Option<&str>) -> TargetConfig {
        TargetConfig {
            name: name.into(),
            alias: alias.map(Into::into),
        }
    }

    #[test]
    fn targets_survive_packing() {
        let mut config = Config::default();
        let (a, b) = (
            target("iqn.2026-11.example:a", Some("disk a")),
            target("iqn.2026-11.example:b", None),
        );
        config.put(&a);
        config.put(&b);
        let again = Config::unpack(&config.pack()).unwrap();
        assert_eq!(again.targets(), [a.clone(), b]);
        let mut again = again;
        again.remove("iqn.2026-11.example:b");
        assert_eq!(again.targets(), [a]);
    }

    #[test]
    fn what_is_not_understood_is_kept() {
        let mut list = NvList::new();
        list.push("iniList", Value::List(NvList::new()));
        list.push("future", Value::UInt64(9));
        let mut config = Config::unpack(&list.pack()).unwrap();
        config.put(&target("iqn.2026-11.example:a", None));
        assert_eq!(config.list.get("future"), Some(&Value::UInt64(9)));
        assert_eq!(config.list.get("cfgVersion"), Some(&Value::UInt32(VERSION)));
    }

    #[test]
    fn rubbish_is_refused_and_odd_entries_are_left_out() {
        assert!(Config::unpack(b"rubbish").is_err());
        let mut targets = NvList::new();
        targets.push("not a name", Value::List(NvList::new()));
        targets.push("iqn.2026-11.example:a", Value::UInt64(1));
        let mut list = NvList::new();
        list.push("targetList", Value::List(targets));
        assert_eq!(Config::unpack(&list.pack()).unwrap().targets(), []);
    }
}
