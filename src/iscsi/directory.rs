//! What sessions ask about the node and its targets. The provider answers from memory; nothing here blocks.

use super::chap::CHALLENGE;
use crate::types::Secret;
use std::net::SocketAddr;
use std::time::Duration;

/// A login failure: Status-Class and Status-Detail (`iscsi-target.md` 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginStatus(pub u8, pub u8);

#[allow(missing_docs)]
impl LoginStatus {
    pub const SUCCESS: LoginStatus = LoginStatus(0x00, 0x00);
    pub const INITIATOR_ERROR: LoginStatus = LoginStatus(0x02, 0x00);
    pub const AUTHENTICATION_FAILED: LoginStatus = LoginStatus(0x02, 0x01);
    pub const NOT_FOUND: LoginStatus = LoginStatus(0x02, 0x03);
    pub const TARGET_REMOVED: LoginStatus = LoginStatus(0x02, 0x04);
    pub const UNSUPPORTED_VERSION: LoginStatus = LoginStatus(0x02, 0x05);
    pub const TOO_MANY_CONNECTIONS: LoginStatus = LoginStatus(0x02, 0x06);
    pub const MISSING_PARAMETER: LoginStatus = LoginStatus(0x02, 0x07);
    pub const SESSION_TYPE: LoginStatus = LoginStatus(0x02, 0x09);
    pub const NO_SUCH_SESSION: LoginStatus = LoginStatus(0x02, 0x0a);
    pub const INVALID_REQUEST: LoginStatus = LoginStatus(0x02, 0x0b);
    pub const TARGET_ERROR: LoginStatus = LoginStatus(0x03, 0x00);
    pub const UNAVAILABLE: LoginStatus = LoginStatus(0x03, 0x01);
    pub const OUT_OF_RESOURCES: LoginStatus = LoginStatus(0x03, 0x02);
}

impl std::fmt::Display for LoginStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02X}/{:02X}", self.0, self.1)
    }
}

/// How the initiator of a login must authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthPolicy {
    /// Not at all.
    None,
    /// By CHAP.
    Chap(Box<ChapPolicy>),
}

/// Who knows whether a response is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// We do: the initiator's secret; without one its login fails.
    Secret(Option<Secret>),
    /// The RADIUS server.
    Radius,
}

/// What a CHAP exchange is about, and what is random in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChapPolicy {
    /// CHAP_N that the initiator must send.
    pub user: String,
    /// Who knows whether a response is right.
    pub verifier: Verifier,
    /// The target's name.
    pub target: String,
    /// CHAP_N that the target sends.
    pub target_user: String,
    /// The target's secret; without one mutual authentication fails.
    pub target_secret: Option<Secret>,
    /// CHAP_I, random.
    pub identifier: u8,
    /// CHAP_C, random.
    pub challenge: [u8; CHALLENGE],
}

/// A target as a login sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetView {
    /// Alias, if set.
    pub alias: Option<String>,
    /// Tag of the portal group with the portal of the login.
    pub portal_group: u16,
    /// Authentication.
    pub auth: AuthPolicy,
}

/// One target of a SendTargets answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRecord {
    /// Canonical name.
    pub name: String,
    /// `addr:port,tag` lines.
    pub addresses: Vec<String>,
}

/// How long an initiator may keep the target waiting, as far as that is the administrator's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A connection without traffic for this long is dropped (`iscsi-target.md` chapter 9).
    pub idle: Duration,
    /// A command whose data makes no progress for this long is ended (`scsi-sbd.md` 1.10): others may have to wait for it,
    /// because of their task attributes or for the memory that it holds.
    pub task: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            idle: Duration::from_secs(30),
            task: Duration::from_secs(75),
        }
    }
}

impl Patience {
    /// A connection without traffic for this long is pinged.
    pub fn ping(self) -> Duration {
        self.idle * 2 / 3
    }
}

/// The node and its targets.
pub trait Directory: Send + Sync {
    /// Looks a target up for a login of an initiator that arrived on `local`. Both names are canonical.
    fn find(&self, name: &str, initiator: &str, local: SocketAddr) -> Result<TargetView, LoginStatus>;

    /// Targets visible through `local`: all of them, or the one with this canonical name.
    fn list(&self, name: Option<&str>, local: SocketAddr) -> Vec<TargetRecord>;

    /// For a login with a TSIH other than 0: does this session exist?
    fn session(&self, key: &SessionKey, tsih: u16) -> bool;

    /// For all sessions.
    fn patience(&self) -> Patience {
        Patience::default()
    }
}

/// What names a session (`iscsi-target.md` 5.3). The portal group tag follows from target and portal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    /// Canonical initiator name.
    pub initiator: String,
    /// ISID.
    pub isid: [u8; 6],
    /// Canonical target name.
    pub target: String,
    /// Target portal group tag.
    pub portal_group: u16,
}
