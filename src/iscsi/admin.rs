//! What an administrator may change and see: the requests of `itadm` (`iscsi-target.md` 16.3) and their answers. Secrets
//! go in and never come out.

use crate::types::{Secret, Status};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;

/// How initiators must authenticate (property `auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// Not at all.
    None,
    /// By CHAP, with secrets stored here.
    Chap,
    /// By CHAP, verified by a RADIUS server.
    Radius,
}

impl Auth {
    /// As stored, typed and listed.
    pub const fn name(self) -> &'static str {
        match self {
            Auth::None => "none",
            Auth::Chap => "chap",
            Auth::Radius => "radius",
        }
    }

    /// The reverse of [`Auth::name`].
    pub fn parse(text: &str) -> Option<Auth> {
        [Auth::None, Auth::Chap, Auth::Radius]
            .into_iter()
            .find(|auth| auth.name() == text)
    }
}

/// A property in a change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Set<T> {
    /// Stays as it is.
    #[default]
    Keep,
    /// Removed.
    Clear,
    /// Has this value from now on.
    To(T),
}

impl<T> Set<T> {
    /// Applies to a property.
    pub fn apply(self, property: &mut Option<T>) {
        match self {
            Set::Keep => {}
            Set::Clear => *property = None,
            Set::To(value) => *property = Some(value),
        }
    }
}

/// Properties of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetChange {
    /// Name; a new target without one gets a generated name.
    pub name: Option<String>,
    /// Alias.
    pub alias: Set<String>,
    /// Authentication; cleared: as the defaults say.
    pub auth: Set<Auth>,
    /// User name of the target itself, for mutual CHAP; cleared: the target's name.
    pub chap_user: Set<String>,
    /// Secret of the target itself.
    pub secret: Option<Secret>,
    /// The complete list of portal groups; empty: the default group.
    pub groups: Option<Vec<String>>,
}

/// Properties of an initiator context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitiatorChange {
    /// User name; cleared: the initiator's name.
    pub chap_user: Set<String>,
    /// Secret.
    pub secret: Option<Secret>,
}

/// What holds where a target says nothing, and the servers around.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultsChange {
    /// Authentication.
    pub auth: Option<Auth>,
    /// RADIUS server.
    pub radius_server: Set<SocketAddr>,
    /// Secret shared with it.
    pub radius_secret: Option<Secret>,
    /// Is iSNS to be used?
    pub isns: Option<bool>,
    /// The complete list of iSNS servers.
    pub isns_servers: Option<Vec<SocketAddr>>,
}

impl DefaultsChange {
    /// A change of the authentication alone.
    pub fn auth(auth: Auth) -> DefaultsChange {
        DefaultsChange {
            auth: Some(auth),
            ..DefaultsChange::default()
        }
    }
}

/// One change of the configuration: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Change {
    CreateTarget(TargetChange),
    ModifyTarget {
        name: String,
        change: TargetChange,
    },
    /// `force` takes it offline first.
    DeleteTarget {
        name: String,
        force: bool,
    },
    CreateGroup {
        name: String,
        portals: Vec<SocketAddr>,
    },
    /// `force` unbinds it first.
    DeleteGroup {
        name: String,
        force: bool,
    },
    CreateInitiator {
        name: String,
        change: InitiatorChange,
    },
    ModifyInitiator {
        name: String,
        change: InitiatorChange,
    },
    DeleteInitiator {
        name: String,
    },
    Defaults(DefaultsChange),
    /// Portals that the group has already stay as they are.
    AddPortals {
        name: String,
        portals: Vec<SocketAddr>,
    },
    /// At least one must stay.
    RemovePortals {
        name: String,
        portals: Vec<SocketAddr>,
    },
}

/// Why a change was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a name of the kind; which, and why.
    Name(String, String),
    /// The name is taken.
    Exists(String),
    /// There is no object of this name.
    NotFound(String),
    /// The target is online or has sessions, the portal group is bound to a target.
    Busy(String),
    /// There are as many as there may be.
    TooMany(usize),
    /// A target names a portal group that does not exist.
    NoGroup(String),
    /// A target names a portal group twice.
    GroupTwice(String),
    /// Every tag of the target is in use.
    NoTag,
    /// The portal belongs to another portal group.
    PortalInUse(SocketAddr),
    /// A portal group needs a portal.
    NoPortal,
    /// Values that are not possible: name of the property, and what is wrong.
    Properties(Vec<(String, String)>),
    /// The framework or the store refused; the log tells more.
    Failed(Status),
    /// The portal is none of the group's.
    NotInGroup(SocketAddr),
}

impl Refusal {
    /// One property is not possible.
    pub fn property(name: &str, wrong: impl Into<String>) -> Refusal {
        Refusal::Properties(vec![(name.to_owned(), wrong.into())])
    }

    /// The nearest status of the C API.
    pub const fn status(&self) -> Status {
        match self {
            Refusal::Name(..) | Refusal::NoPortal | Refusal::Properties(_) | Refusal::GroupTwice(_) => {
                Status::InvalidArg
            }
            Refusal::Exists(_) | Refusal::PortalInUse(_) => Status::Exists,
            Refusal::NotFound(_) | Refusal::NoGroup(_) | Refusal::NotInGroup(_) => Status::NotFound,
            Refusal::Busy(_) => Status::Busy,
            Refusal::TooMany(_) | Refusal::NoTag => Status::Error,
            Refusal::Failed(status) => *status,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Name(name, why) => write!(f, "'{name}': {why}"),
            Refusal::Exists(name) => write!(f, "{name} exists already"),
            Refusal::NotFound(name) => write!(f, "{name} not found"),
            Refusal::Busy(name) => write!(f, "{name} is online or in use"),
            Refusal::TooMany(count) => write!(f, "there are {count} already"),
            Refusal::NoGroup(name) => write!(f, "portal group {name} not found"),
            Refusal::GroupTwice(name) => write!(f, "portal group {name} is named twice"),
            Refusal::NoTag => f.write_str("no portal group tag is left"),
            Refusal::PortalInUse(portal) => write!(f, "portal {portal} belongs to another portal group"),
            Refusal::NoPortal => f.write_str("a portal group needs a portal"),
            Refusal::Properties(list) => {
                let texts: Vec<String> = list.iter().map(|(name, wrong)| format!("{name}: {wrong}")).collect();
                f.write_str(&texts.join("; "))
            }
            Refusal::Failed(status) => status.fmt(f),
            Refusal::NotInGroup(portal) => write!(f, "portal {portal} is not in the portal group"),
        }
    }
}

impl std::error::Error for Refusal {}

/// A target of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// iSCSI name.
    pub name: String,
    /// Alias, if set.
    pub alias: Option<String>,
    /// `Some(true)` online, `Some(false)` offline or changing, `None`: the framework does not know it.
    pub online: Option<bool>,
    /// Number of sessions.
    pub sessions: u32,
    /// Its own authentication, if set.
    pub auth: Option<Auth>,
    /// Its user name for mutual CHAP, if set.
    pub chap_user: Option<String>,
    /// Has it a secret?
    pub secret: bool,
    /// Portal groups and their tags, the latest first; empty: the default group.
    pub groups: Vec<(String, u16)>,
}

/// A portal group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Name.
    pub name: String,
    /// Portals, the latest first.
    pub portals: Vec<SocketAddr>,
}

/// An initiator context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitiatorInfo {
    /// iSCSI name, as it was typed.
    pub name: String,
    /// User name, if set.
    pub chap_user: Option<String>,
    /// Has it a secret?
    pub secret: bool,
}

/// What holds where a target says nothing, and services around.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultsInfo {
    /// Alias, if set.
    pub alias: Option<String>,
    /// Authentication, if set.
    pub auth: Option<Auth>,
    /// RADIUS server, if set.
    pub radius_server: Option<String>,
    /// Has it a secret?
    pub radius_secret: bool,
    /// Is iSNS to be used?
    pub isns: bool,
    /// iSNS servers.
    pub isns_servers: Vec<String>,
}

/// The configuration; every list has the latest object first (`cli.md` 1.9).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Listing {
    pub targets: Vec<TargetInfo>,
    pub groups: Vec<GroupInfo>,
    pub initiators: Vec<InitiatorInfo>,
    pub defaults: DefaultsInfo,
}
