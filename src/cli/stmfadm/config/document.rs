//! The configuration as a document: what `export-config` writes and `import-config` reads (`docs/config-format.md`). Values
//! are checked as they are read; an error tells the line.

use crate::iscsi::admin::Auth;
use crate::iscsi::chap;
use crate::types::{DevId, GroupName, Guid, Lun, NodeId, ProviderName, Secret};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::net::SocketAddr;

/// Value of `format`.
pub const FORMAT: &str = "stmf-config";
/// Version of the schema.
/// - 1: first version.
pub const VERSION: u32 = 1;
/// Longest document, bytes: 100,000 LUs of 500 bytes with room to spare.
pub const MAX_DOCUMENT: u64 = 256 << 20;

/// A section that is absent says nothing: what the node has stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Document {
    pub format: String,
    pub version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alua: Option<Alua>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_groups: Option<Vec<Group>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_groups: Option<Vec<Group>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_units: Option<Vec<Lu>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<Vec<View>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_data: Option<Vec<Data>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iscsi: Option<Iscsi>,
}

/// Settings of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Settings {
    pub default_lu_state: Option<DefaultState>,
    pub default_target_state: Option<DefaultState>,
    /// Empty: none.
    pub management_url: Option<String>,
    pub persist_method: Option<Persist>,
}

/// State of objects that come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum DefaultState {
    Online,
    Offline,
}

/// Are changes stored?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Persist {
    Smf,
    None,
}

/// ALUA mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Alua {
    pub enabled: bool,
    pub node: NodeId,
    /// READ on a Standby LU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby_reads: Option<Reads>,
}

/// What becomes of READ on a Standby LU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Reads {
    Forward,
    Refuse,
}

/// Access policy of an LU (`alua-proxy.md` 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Policy {
    Standby,
    NonOptimized,
}

/// A host group or target group: the file names all its members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Group {
    pub name: GroupName,
    pub members: Vec<Member>,
}

/// A name of an initiator or target; one that is no plain text is written as `hex:` and its bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(pub DevId);

/// An LU. Properties that are absent stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Lu {
    #[serde(with = "text")]
    pub guid: Guid,
    /// What is imported.
    pub file: String,
    /// What it was at the time of the export: told, never imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Access>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub management_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_protect: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_cache_disable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// Which node has the LU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Access {
    Active,
    Standby,
}

/// A view entry; without a group: all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct View {
    #[serde(with = "text")]
    pub lu: Guid,
    pub lun: Lun,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_group: Option<GroupName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_group: Option<GroupName>,
}

/// Data of a provider that is none of ours: a packed nvlist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Data {
    pub provider: ProviderName,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(with = "base64")]
    pub data: Vec<u8>,
}

/// Kind of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Kind {
    Lu,
    Port,
}

/// The iSCSI target provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Iscsi {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal_groups: Option<Vec<PortalGroup>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initiators: Option<Vec<Initiator>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<Target>>,
}

/// What holds where a target says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Defaults {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "auth")]
    pub auth: Option<Auth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radius_server: Option<String>,
    #[serde(default)]
    pub isns: bool,
    #[serde(default)]
    pub isns_servers: Vec<String>,
}

/// A portal group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct PortalGroup {
    pub name: String,
    pub portals: Vec<SocketAddr>,
}

/// A target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Target {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "auth")]
    pub auth: Option<Auth>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
    /// Empty: the default group.
    #[serde(default)]
    pub portal_groups: Vec<Bound>,
}

/// A target's use of a portal group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Bound {
    pub name: String,
    pub tag: u16,
}

/// An initiator context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)]
pub struct Initiator {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chap_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretText>,
}

/// A secret: `(kept)` when there is one that the file does not tell, else base64.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SecretText {
    Kept,
    Value(Secret),
}

const KEPT: &str = "(kept)";

impl Document {
    /// Reads a document.
    pub fn parse(bytes: &[u8]) -> Result<Document, String> {
        /// Read first, so that a later version is called by its name.
        #[derive(Deserialize)]
        struct Head {
            format: String,
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if head.format != FORMAT {
            return Err(format!("the format is not \"{FORMAT}\""));
        }
        if head.version != VERSION {
            let version = head.version;
            return Err(format!(
                "version {version} is not known to this program, which reads version {VERSION}"
            ));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// As text, ended by a newline.
    pub fn print(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("keys are texts, and nothing else can fail");
        text + "\n"
    }

    /// Without the values of secrets.
    pub fn without_secrets(mut self) -> Document {
        if let Some(iscsi) = &mut self.iscsi {
            let targets = iscsi.targets.iter_mut().flatten().map(|target| &mut target.secret);
            let initiators = iscsi
                .initiators
                .iter_mut()
                .flatten()
                .map(|initiator| &mut initiator.secret);
            for secret in targets.chain(initiators).flatten() {
                *secret = SecretText::Kept;
            }
        }
        self
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match std::str::from_utf8(self.0.as_bytes()) {
            Ok(text) if !text.starts_with("hex:") && !text.contains(char::is_control) => f.write_str(text),
            _ => {
                f.write_str("hex:")?;
                self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = match text.strip_prefix("hex:") {
            Some(digits) => unhex(digits).ok_or_else(|| D::Error::custom("hex: needs pairs of hexadecimal digits"))?,
            None => text.into_bytes(),
        };
        DevId::new(&bytes).map(Member).map_err(D::Error::custom)
    }
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| {
        char::from(*byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let digits: Vec<u8> = digits.as_bytes().iter().map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            SecretText::Kept => serializer.serialize_str(KEPT),
            SecretText::Value(secret) => serializer.serialize_str(&chap::to_base64(secret.reveal())),
        }
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SecretText, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == KEPT {
            return Ok(SecretText::Kept);
        }
        let secret = chap::from_base64(&text).and_then(|bytes| Secret::new(bytes).ok());
        secret
            .map(SecretText::Value)
            .ok_or_else(|| D::Error::custom("a secret has 12 to 255 bytes, in base64"))
    }
}

/// As `Display` and `FromStr` have it.
mod text {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Guid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Guid, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

mod auth {
    use super::*;

    pub fn serialize<S: Serializer>(auth: &Option<Auth>, serializer: S) -> Result<S::Ok, S::Error> {
        auth.map(Auth::name).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Auth>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let auth = Auth::parse(&text);
        auth.map(Some)
            .ok_or_else(|| D::Error::custom("auth is none, chap or radius"))
    }
}

mod base64 {
    use super::*;

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&chap::to_base64(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        chap::from_base64(&text).ok_or_else(|| D::Error::custom("not base64"))
    }
}
