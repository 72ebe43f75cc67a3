//! The configuration of the provider: targets, portal groups, initiators, defaults (`iscsi-target.md` chapter 16). Values
//! only: [`stored`] turns them into provider data and back, [`change`] applies what an administrator asks for.

mod change;
mod replacement;
mod services;
mod stored;

use super::admin::{Auth, DefaultsInfo, GroupInfo, InitiatorInfo};
use super::name;
use crate::nvlist::NvList;
use crate::types::Secret;
use std::net::SocketAddr;

pub use stored::{SECRETS, StoredError};

/// Port provider name, in listings and as the key of the stored data.
pub const PROVIDER: &str = "iscsit";
/// Targets a node may have (`iscsi-target.md` chapter 17).
pub const TARGETS_MAX: usize = 255;
/// Initiator contexts, and portal groups, that a node may have: a bound for the size of the configuration.
const OTHERS_MAX: usize = 4096;
/// Portals that a group may have.
const PORTALS_MAX: usize = 64;
/// Tag of the default portal group.
pub const DEFAULT_TAG: u16 = 1;

/// A target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Canonical name.
    pub name: String,
    /// Alias.
    pub alias: Option<String>,
    /// Authentication; `None`: the default.
    pub auth: Option<Auth>,
    /// User name for mutual CHAP; `None`: the name.
    pub chap_user: Option<String>,
    /// Secret for mutual CHAP.
    pub secret: Option<Secret>,
    /// Portal groups in the order of their addition; empty: the default group.
    pub bindings: Vec<Binding>,
    /// Counts the changes.
    generation: u64,
    /// Properties that this version does not know.
    rest: NvList,
}

/// A target's use of a portal group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The group.
    pub group: String,
    /// Portal group tag, unique within the target.
    pub tag: u16,
}

/// A portal group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Name.
    pub name: String,
    /// Portals in the order of their addition.
    pub portals: Vec<SocketAddr>,
    generation: u64,
}

/// An initiator context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Initiator {
    /// Name as typed; compared in canonical form.
    pub name: String,
    /// User name; `None`: the name.
    pub chap_user: Option<String>,
    /// Secret.
    pub secret: Option<Secret>,
    generation: u64,
    rest: NvList,
}

/// The configuration, an immutable value: who changes it makes a new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// Targets in the order of their creation.
    pub targets: Vec<Target>,
    groups: Vec<Group>,
    initiators: Vec<Initiator>,
    auth: Option<Auth>,
    /// The other global properties, but the secret.
    globals: NvList,
    /// Shared with the RADIUS server.
    radius_secret: Option<Secret>,
    /// Pairs of the stored data that this version does not know, and entries of its lists that make no sense to it, by
    /// list. They are kept.
    rest: NvList,
    odd: Vec<(&'static str, NvList)>,
}

impl Config {
    /// A target by its canonical name.
    pub fn target(&self, name: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// A portal group.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// An initiator context, by a name in any letter case.
    pub fn initiator(&self, name: &str) -> Option<&Initiator> {
        self.initiators.iter().find(|known| same_name(&known.name, name))
    }

    /// How initiators of a target must authenticate.
    pub fn auth(&self, target: &Target) -> Auth {
        target.auth.or(self.auth).unwrap_or(Auth::None)
    }

    /// The portals that targets with these names use besides the default ones.
    pub fn portals_of<'a>(&'a self, uses: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = SocketAddr> + 'a {
        let bindings = self
            .targets
            .iter()
            .filter(move |target| uses(&target.name))
            .flat_map(|target| &target.bindings);
        bindings
            .filter_map(|binding| self.group(&binding.group))
            .flat_map(|group| group.portals.iter().copied())
    }

    /// Portal groups for listings.
    pub fn list_groups(&self) -> Vec<GroupInfo> {
        let info = |group: &Group| GroupInfo {
            name: group.name.clone(),
            portals: group.portals.iter().rev().copied().collect(),
        };
        self.groups.iter().rev().map(info).collect()
    }

    /// Initiator contexts for listings.
    pub fn list_initiators(&self) -> Vec<InitiatorInfo> {
        let info = |initiator: &Initiator| InitiatorInfo {
            name: initiator.name.clone(),
            chap_user: initiator.chap_user.clone(),
            secret: initiator.secret.is_some(),
        };
        self.initiators.iter().rev().map(info).collect()
    }

    /// Defaults for listings.
    pub fn list_defaults(&self) -> DefaultsInfo {
        stored::defaults(&self.globals, self.auth, self.radius_secret.is_some())
    }
}

/// Names of initiators are equal when their canonical forms are.
fn same_name(a: &str, b: &str) -> bool {
    match (name::canonical(a), name::canonical(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

/// Do a configured portal and a local address mean the same? A wildcard stands for every address of its port.
pub fn covers(portal: SocketAddr, local: SocketAddr) -> bool {
    let (portal_ip, local_ip) = (portal.ip().to_canonical(), local.ip().to_canonical());
    let wildcard = portal.ip().is_unspecified() && (portal.is_ipv6() || local_ip.is_ipv4());
    portal.port() == local.port() && (portal_ip == local_ip || wildcard)
}

/// For fuzzing: provider data of any origin is refused, or survives being stored.
#[cfg(fuzzing)]
pub fn fuzz_data(packed: &[u8]) {
    let secrets = std::collections::BTreeMap::new();
    if let Ok(replacement) = Config::default().replaced(packed) {
        let config = replacement.config;
        let stored = Config::unpack(&config.pack(), &config.secrets()).expect("it was checked");
        assert_eq!(stored, config);
    }
    if let Ok(config) = Config::unpack(packed, &secrets) {
        let again = Config::unpack(&config.pack(), &config.secrets()).expect("it was stored here");
        assert_eq!(again.pack(), config.pack());
    }
}
