//! The login phase of one connection (RFC 7143 6.3, `iscsi-target.md` chapter 5): requests in, answers out.

use super::directory::{AuthPolicy, Directory, LoginStatus, SessionKey, TargetView};
use super::name;
use super::parameters::{Answer, Parameters, RECEIVE_MAX, is_leading_only};
use super::pdu::{Header, LoginRequest};
use super::radius::Question;
use super::security::{Security, is_security_key};
use super::text::{self, Pair, TEXT_MAX};
use std::collections::HashSet;
use std::net::SocketAddr;

/// SecurityNegotiation.
pub const SECURITY: u8 = 0;
/// LoginOperationalNegotiation.
pub const OPERATIONAL: u8 = 1;
/// FullFeaturePhase.
pub const FULL_FEATURE: u8 = 3;

/// Who logs in to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Initiator name, ISID, target name and portal group. The target name is empty in a discovery session.
    pub key: SessionKey,
    /// InitiatorAlias, or empty.
    pub alias: String,
    /// A discovery session: no target, no nexus.
    pub discovery: bool,
    /// Connection id.
    pub cid: u16,
    /// The session that the connection is to join; 0: a new one.
    pub tsih: u16,
}

/// The answer to one Login Request.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// T granted.
    pub transit: bool,
    /// Current stage.
    pub current: u8,
    /// Next stage when `transit`.
    pub next: u8,
    /// Text.
    pub text: Vec<u8>,
}

/// State of a login.
#[derive(Debug)]
pub struct Login {
    local: SocketAddr,
    stage: Option<u8>,
    first: Option<First>,
    text: Vec<u8>,
    seen: HashSet<String>,
    named: Named,
    identity: Option<Identity>,
    security: Security,
    parameters: Parameters,
    declared: bool,
    introduced: Option<TargetView>,
    question: Option<Question>,
    /// The reply that waits for the answer to it.
    waiting: Option<Reply>,
    /// Text of the answer that refuses the login.
    last_words: Vec<u8>,
}

/// What every request must repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct First {
    isid: [u8; 6],
    tsih: u16,
    cid: u16,
}

/// What the initiator has declared about itself.
#[derive(Debug, Default)]
struct Named {
    initiator: Option<String>,
    alias: String,
    target: Option<String>,
    session_type: Option<String>,
}

impl Login {
    /// A login that arrived on this local address.
    pub fn new(local: SocketAddr) -> Login {
        Login {
            local,
            stage: None,
            first: None,
            text: Vec::new(),
            seen: HashSet::new(),
            named: Named::default(),
            identity: None,
            security: Security::new(AuthPolicy::None),
            parameters: Parameters::default(),
            declared: false,
            introduced: None,
            question: None,
            waiting: None,
            last_words: Vec::new(),
        }
    }

    /// Who logged in; set once the first text is complete.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The negotiated parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Takes one request. When the reply grants [`FULL_FEATURE`] the login is complete. `None`: somebody has to be asked
    /// first ([`Login::question`]).
    pub fn request(
        &mut self,
        header: &Header,
        data: &[u8],
        directory: &dyn Directory,
    ) -> Result<Option<Reply>, LoginStatus> {
        let request = LoginRequest(header);
        self.check_header(&request)?;
        let stage = request.current_stage();
        if self.text.len() + data.len() > TEXT_MAX {
            return Err(LoginStatus::INITIATOR_ERROR);
        }
        self.text.extend_from_slice(data);
        let mut reply = Reply {
            transit: false,
            current: stage,
            next: 0,
            text: Vec::new(),
        };
        if header.continues() {
            return Ok(Some(reply));
        }
        let bytes = std::mem::take(&mut self.text);
        let pairs = text::parse(&bytes).map_err(|_| LoginStatus::INITIATOR_ERROR)?;
        let keys = self.declare(&pairs, stage)?;
        if self.identity.is_none() {
            self.identify(directory)?;
        }
        if let Some(view) = self.introduced.take() {
            if let Some(alias) = &view.alias {
                text::push(&mut reply.text, "TargetAlias", alias);
            }
            text::push(&mut reply.text, "TargetPortalGroupTag", &view.portal_group.to_string());
        }
        let (security, operational): (Vec<_>, Vec<_>) = keys.into_iter().partition(|pair| is_security_key(pair.key));
        let mut granted = request.transit();
        if stage == SECURITY {
            let (answers, leaves) = self.security.request(&security, granted)?;
            answers
                .iter()
                .for_each(|(key, value)| text::push(&mut reply.text, key, value));
            granted = leaves;
            if self.security.failed() {
                self.last_words = reply.text;
                return Err(LoginStatus::AUTHENTICATION_FAILED);
            }
        } else if !self.security.proved() {
            return Err(LoginStatus::AUTHENTICATION_FAILED);
        }
        self.negotiate(&operational, stage, &mut reply.text)?;
        if granted {
            reply.transit = true;
            reply.next = request.next_stage();
            self.stage = Some(reply.next);
        }
        self.question = self.security.question();
        if self.question.is_some() {
            self.waiting = Some(reply);
            return Ok(None);
        }
        Ok(Some(reply))
    }

    /// When a request was refused: keys that go with the status.
    pub fn last_words(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.last_words)
    }

    /// What the RADIUS server is to be asked; [`Login::verified`] follows when it says yes.
    pub fn question(&mut self) -> Option<Question> {
        self.question.take()
    }

    /// The initiator is who it says: the reply that has waited for that.
    pub fn verified(&mut self) -> Result<Reply, LoginStatus> {
        let mut reply = self.waiting.take().ok_or(LoginStatus::INVALID_REQUEST)?;
        let answers = self.security.verified()?;
        answers
            .iter()
            .for_each(|(key, value)| text::push(&mut reply.text, key, value));
        Ok(reply)
    }

    fn check_header(&mut self, request: &LoginRequest<'_>) -> Result<(), LoginStatus> {
        let first = First {
            isid: request.isid(),
            tsih: request.tsih(),
            cid: request.cid(),
        };
        if request.version_min() > 0 {
            return Err(LoginStatus::UNSUPPORTED_VERSION);
        }
        let stage = request.current_stage();
        let agreed = self.stage.is_none_or(|agreed| agreed == stage);
        if !matches!(stage, SECURITY | OPERATIONAL) || !agreed || self.first.is_some_and(|known| known != first) {
            return Err(LoginStatus::INVALID_REQUEST);
        }
        if request.transit() {
            if request.0.continues() {
                return Err(LoginStatus::INITIATOR_ERROR);
            }
            let next = request.next_stage();
            if next <= stage || next == 2 {
                return Err(LoginStatus::INVALID_REQUEST);
            }
        }
        self.stage = Some(stage);
        self.first = Some(first);
        Ok(())
    }

    /// Takes the declarations that belong to no stage; gives the rest.
    fn declare<'a>(&mut self, pairs: &[Pair<'a>], stage: u8) -> Result<Vec<Pair<'a>>, LoginStatus> {
        let mut rest = Vec::new();
        for pair in pairs {
            if !self.seen.insert(pair.key.to_owned()) {
                return Err(LoginStatus::INITIATOR_ERROR);
            }
            let value = pair.value;
            match pair.key {
                "InitiatorName" => self.named.initiator = Some(canonical(value)?),
                "InitiatorAlias" => self.named.alias = value.to_owned(),
                "TargetName" => self.named.target = Some(canonical(value)?),
                "SessionType" => self.named.session_type = Some(value.to_owned()),
                "TargetAlias" | "TargetAddress" | "TargetPortalGroupTag" | "SendTargets" => {
                    return Err(LoginStatus::INVALID_REQUEST);
                }
                key if is_security_key(key) && stage != SECURITY => return Err(LoginStatus::INVALID_REQUEST),
                _ => rest.push(*pair),
            }
        }
        // FirstBurstLength is answered within MaxBurstLength, whichever comes first in the text.
        rest.sort_by_key(|pair| pair.key == "FirstBurstLength");
        Ok(rest)
    }

    /// Binds the login to a target, once, with the text of the first request.
    fn identify(&mut self, directory: &dyn Directory) -> Result<(), LoginStatus> {
        let first = self.first.ok_or(LoginStatus::INVALID_REQUEST)?;
        let discovery = match self.named.session_type.as_deref() {
            None | Some("Normal") => false,
            Some("Discovery") => true,
            Some(_) => return Err(LoginStatus::SESSION_TYPE),
        };
        let initiator = self.named.initiator.clone().ok_or(LoginStatus::MISSING_PARAMETER)?;
        let mut key = SessionKey {
            initiator,
            isid: first.isid,
            target: String::new(),
            portal_group: 0,
        };
        if !discovery {
            key.target = self.named.target.clone().ok_or(LoginStatus::MISSING_PARAMETER)?;
            let view = directory.find(&key.target, &key.initiator, self.local)?;
            key.portal_group = view.portal_group;
            self.security = Security::new(view.auth.clone());
            self.introduced = Some(view);
        }
        if first.tsih != 0 {
            if discovery {
                return Err(LoginStatus::INVALID_REQUEST);
            }
            if !directory.session(&key, first.tsih) {
                return Err(LoginStatus::NO_SUCH_SESSION);
            }
        }
        let alias = std::mem::take(&mut self.named.alias);
        self.identity = Some(Identity {
            key,
            alias,
            discovery,
            cid: first.cid,
            tsih: first.tsih,
        });
        Ok(())
    }

    fn negotiate(&mut self, pairs: &[Pair<'_>], stage: u8, reply: &mut Vec<u8>) -> Result<(), LoginStatus> {
        let added = self.first.is_some_and(|first| first.tsih != 0);
        for pair in pairs {
            if added && stage == OPERATIONAL && is_leading_only(pair.key) {
                // Settled by the leading login; only an offer is answered.
                text::push(reply, pair.key, "Irrelevant");
                continue;
            }
            // Tried on a copy, so that a key of the wrong stage changes nothing.
            let mut tried = self.parameters.clone();
            match tried.offer(pair) {
                Answer::Unknown => text::push(reply, pair.key, "NotUnderstood"),
                _ if stage == SECURITY => return Err(LoginStatus::INVALID_REQUEST),
                Answer::Declared => self.parameters = tried,
                Answer::Value(value) => {
                    text::push(reply, pair.key, &value);
                    self.parameters = tried;
                }
            }
        }
        if stage == OPERATIONAL && !self.declared {
            self.declared = true;
            self.parameters.receive_max = RECEIVE_MAX;
            text::push(reply, "MaxRecvDataSegmentLength", &RECEIVE_MAX.to_string());
        }
        Ok(())
    }
}

fn canonical(value: &str) -> Result<String, LoginStatus> {
    name::canonical(value).map_err(|_| LoginStatus::INITIATOR_ERROR)
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
