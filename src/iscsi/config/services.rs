//! Servers that the provider asks or tells: RADIUS and iSNS (global properties, `iscsi-target.md` 16.1).

use super::Config;
use super::replacement::ISNS_SERVERS_MAX;
use crate::iscsi::admin::{Auth, DefaultsChange, Refusal, Set};
use crate::nvlist::{NvList, Value};
use crate::types::Secret;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Default port of a RADIUS server (RFC 2865).
const RADIUS_PORT: u16 = 1812;
/// Default port of an iSNS server (RFC 4171).
const ISNS_PORT: u16 = 3205;
/// What a complete setting lacks.
const MISSING: &str = "missing required property";

impl Config {
    /// The RADIUS server and the secret shared with it; `None` while one of them is not set.
    pub fn radius(&self) -> Option<(SocketAddr, &Secret)> {
        let Some(Value::String(server)) = self.globals.get("radiusserver") else {
            return None;
        };
        Some((address(server, RADIUS_PORT)?, self.radius_secret.as_ref()?))
    }

    /// The iSNS servers to register with; none while iSNS is disabled.
    pub fn isns(&self) -> Vec<SocketAddr> {
        if self.globals.get("isns") != Some(&Value::BooleanValue(true)) {
            return Vec::new();
        }
        match self.globals.get("isnsserver") {
            Some(Value::StringArray(servers)) => {
                let known = servers.iter().filter_map(|server| address(server, ISNS_PORT));
                known.take(ISNS_SERVERS_MAX).collect()
            }
            _ => Vec::new(),
        }
    }

    pub(super) fn set_defaults(&mut self, change: &DefaultsChange) -> Result<(), Refusal> {
        match &change.radius_server {
            Set::Keep => {}
            Set::Clear => set(&mut self.globals, "radiusserver", None),
            Set::To(server) => {
                let text = Value::String(server.to_string().into_bytes());
                set(&mut self.globals, "radiusserver", Some(text));
            }
        }
        if let Some(secret) = &change.radius_secret {
            self.radius_secret = Some(secret.clone());
        }
        if let Some(enabled) = change.isns {
            set(&mut self.globals, "isns", Some(Value::BooleanValue(enabled)));
        }
        if let Some(servers) = &change.isns_servers {
            let mut distinct: Vec<Vec<u8>> = Vec::new();
            for server in servers {
                let text = server.to_string().into_bytes();
                if !distinct.contains(&text) {
                    distinct.push(text);
                }
            }
            if distinct.len() > ISNS_SERVERS_MAX {
                return Err(Refusal::TooMany(ISNS_SERVERS_MAX));
            }
            let value = (!distinct.is_empty()).then_some(Value::StringArray(distinct));
            set(&mut self.globals, "isnsserver", value);
        }
        self.auth = change.auth.or(self.auth);
        self.check_radius()
    }

    /// RADIUS as the default needs a server and its secret.
    pub(super) fn check_radius(&self) -> Result<(), Refusal> {
        if self.auth == Some(Auth::Radius) && self.radius().is_none() {
            let server = self.globals.get("radiusserver").is_some();
            let lacking = if server { "radiussecret" } else { "radiusserver" };
            return Err(Refusal::property(lacking, MISSING));
        }
        Ok(())
    }
}

fn set(globals: &mut NvList, name: &str, value: Option<Value>) {
    globals.take(name);
    if let Some(value) = value {
        globals.push(name, value);
    }
}

/// `a.b.c.d[:port]` or `[v6][:port]`, as stored by any version.
fn address(text: &[u8], port: u16) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = || {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let ip = match inner {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::from),
            None => text.parse::<IpAddr>().ok(),
        };
        ip.map(|ip| SocketAddr::new(ip, port))
    };
    text.parse().ok().or_else(bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iscsi::admin::Change;
    use std::collections::BTreeMap;

    fn changed(config: &Config, change: DefaultsChange) -> Result<Config, Refusal> {
        Ok(config.changed(&Change::Defaults(change))?.0)
    }

    #[test]
    fn radius_needs_a_server_and_a_secret_which_is_stored_apart() {
        let radius = DefaultsChange {
            auth: Some(Auth::Radius),
            ..DefaultsChange::default()
        };
        let config = Config::default();
        let refused = changed(&config, radius.clone()).unwrap_err().to_string();
        assert_eq!(refused, "radiusserver: missing required property");
        let server = DefaultsChange {
            radius_server: Set::To("192.0.2.1:1812".parse().unwrap()),
            ..DefaultsChange::default()
        };
        let config = changed(&config, server.clone()).unwrap();
        let refused = changed(&config, radius.clone()).unwrap_err().to_string();
        assert_eq!(refused, "radiussecret: missing required property");
        let secret = Secret::new(b"shared with radius".to_vec()).unwrap();
        let both = DefaultsChange {
            radius_secret: Some(secret.clone()),
            ..radius
        };
        let config = changed(&config, both).unwrap();
        let stored = Config::unpack(
            &config.pack(),
            &config.secrets().into_iter().collect::<BTreeMap<_, _>>(),
        )
        .unwrap();
        assert_eq!(stored.radius(), Some(("192.0.2.1:1812".parse().unwrap(), &secret)));
        assert_eq!(Config::unpack(&config.pack(), &BTreeMap::new()).unwrap().radius(), None);
        assert!(config.list_defaults().radius_secret);
        // In use, it may not be cleared.
        let clear = DefaultsChange {
            radius_server: Set::Clear,
            ..DefaultsChange::default()
        };
        assert!(changed(&config, clear).is_err());
    }

    #[test]
    fn isns_servers_are_distinct_and_at_most_eight() {
        let servers = |count: u8| {
            let list = (0..count).chain([0]).map(|n| SocketAddr::from(([192, 0, 2, n], 3205)));
            DefaultsChange {
                isns: Some(true),
                isns_servers: Some(list.collect()),
                ..DefaultsChange::default()
            }
        };
        let config = changed(&Config::default(), servers(8)).unwrap();
        assert_eq!(config.isns().len(), 8);
        assert_eq!(changed(&config, servers(9)), Err(Refusal::TooMany(8)));
        let off = DefaultsChange {
            isns: Some(false),
            ..DefaultsChange::default()
        };
        assert_eq!(changed(&config, off).unwrap().isns(), []);
    }

    #[test]
    fn addresses_of_any_version() {
        for (text, expected) in [
            ("192.0.2.1:7", Some("192.0.2.1:7")),
            ("192.0.2.1", Some("192.0.2.1:9")),
            ("[2001:db8::1]", Some("[2001:db8::1]:9")),
            ("[2001:db8::1]:7", Some("[2001:db8::1]:7")),
            ("host", None),
        ] {
            assert_eq!(address(text.as_bytes(), 9), expected.map(|text| text.parse().unwrap()));
        }
    }
}
