//! The sessions of the node: who holds which, and who waits to reinstate one (`iscsi-target.md` 5.3). No I/O.

use super::directory::SessionKey;
use super::login::Identity;
use super::session::ConnectionId;
use crate::framework::Nexus;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a reinstatement waits for the old session to end. After that the new one goes ahead: the framework keeps
/// what is left of the old one away from its LUs.
pub const REINSTATE_TIME: Duration = Duration::from_secs(5);

/// A login that waits for its session.
#[derive(Debug)]
pub struct Applicant {
    /// Who.
    pub identity: Box<Identity>,
    /// The connection to be told.
    pub connection: ConnectionId,
}

#[derive(Debug)]
struct Session {
    tsih: u16,
    /// Its leading connection, which names it at its worker, also when that connection is gone.
    home: ConnectionId,
    nexus: Option<Arc<Nexus>>,
    successor: Option<(Applicant, Instant)>,
}

/// What an applicant gets.
#[derive(Debug)]
pub enum Admission {
    /// The key was free: a session with this TSIH is entered; its nexus is to be registered.
    New(u16, Applicant),
    /// It joins this session, if the session's worker agrees.
    Join(ConnectionId, Applicant),
    /// The login names a session that is not there.
    Absent(Applicant),
    /// The old session must end first: it is to be closed. An earlier applicant for it is turned away.
    Reinstate {
        /// The session to close.
        old: ConnectionId,
        /// The earlier applicant.
        displaced: Option<Applicant>,
    },
    /// Every TSIH is in use.
    Full(Applicant),
}

/// The table.
#[derive(Debug, Default)]
pub struct Sessions {
    sessions: HashMap<SessionKey, Session>,
    last_tsih: u16,
}

impl Sessions {
    /// An unused TSIH.
    pub fn allocate(&mut self) -> Option<u16> {
        for _ in 0..u16::MAX {
            self.last_tsih = self.last_tsih.checked_add(1).unwrap_or(1);
            if self.sessions.values().all(|session| session.tsih != self.last_tsih) {
                return Some(self.last_tsih);
            }
        }
        None
    }

    /// Enters a login.
    pub fn admit(&mut self, applicant: Applicant, now: Instant) -> Admission {
        let identity = &applicant.identity;
        if identity.tsih != 0 {
            return match self.home(&identity.key, identity.tsih) {
                Some(home) => Admission::Join(home, applicant),
                None => Admission::Absent(applicant),
            };
        }
        if let Some(session) = self.sessions.get_mut(&applicant.identity.key) {
            let displaced = session
                .successor
                .replace((applicant, now))
                .map(|(applicant, _)| applicant);
            return Admission::Reinstate {
                old: session.home,
                displaced,
            };
        }
        let Some(tsih) = self.allocate() else {
            return Admission::Full(applicant);
        };
        let session = Session {
            tsih,
            home: applicant.connection,
            nexus: None,
            successor: None,
        };
        self.sessions.insert(applicant.identity.key.clone(), session);
        Admission::New(tsih, applicant)
    }

    /// The nexus of a session is registered.
    pub fn registered(&mut self, key: &SessionKey, tsih: u16, nexus: Arc<Nexus>) {
        if let Some(session) = self.sessions.get_mut(key).filter(|session| session.tsih == tsih) {
            session.nexus = Some(nexus);
        }
    }

    /// Takes the nexus of a session that is ending, once.
    pub fn ending(&mut self, key: &SessionKey, tsih: u16) -> Option<Arc<Nexus>> {
        self.sessions
            .get_mut(key)
            .filter(|session| session.tsih == tsih)?
            .nexus
            .take()
    }

    /// A session has ended. Gives who waited for that.
    pub fn ended(&mut self, key: &SessionKey, tsih: u16) -> Option<Applicant> {
        if self.sessions.get(key)?.tsih != tsih {
            return None;
        }
        self.sessions.remove(key)?.successor.map(|(applicant, _)| applicant)
    }

    /// Applicants that have waited for [`REINSTATE_TIME`]; the sessions they waited for are forgotten.
    pub fn overdue(&mut self, now: Instant) -> Vec<Applicant> {
        let late = |session: &Session| {
            session
                .successor
                .as_ref()
                .is_some_and(|(_, since)| now.saturating_duration_since(*since) >= REINSTATE_TIME)
        };
        let keys: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, s)| late(s))
            .map(|(key, _)| key.clone())
            .collect();
        keys.iter()
            .filter_map(|key| self.sessions.remove(key)?.successor)
            .map(|(applicant, _)| applicant)
            .collect()
    }

    /// Does somebody wait for a session to end?
    pub fn waiting(&self) -> bool {
        self.sessions.values().any(|session| session.successor.is_some())
    }

    /// Sessions of a target.
    pub fn of_target(&self, target: &str) -> usize {
        self.sessions.keys().filter(|key| key.target == target).count()
    }

    /// For a login with a TSIH: where its session lives. One that is about to be replaced takes nobody in.
    pub fn home(&self, key: &SessionKey, tsih: u16) -> Option<ConnectionId> {
        let session = self.sessions.get(key)?;
        (session.tsih == tsih && session.successor.is_none()).then_some(session.home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applicant(initiator: &str, connection: ConnectionId) -> Applicant {
        naming(initiator, connection, 0)
    }

    fn naming(initiator: &str, connection: ConnectionId, tsih: u16) -> Applicant {
        let key = SessionKey {
            initiator: initiator.into(),
            isid: [0; 6],
            target: "t".into(),
            portal_group: 1,
        };
        let identity = Box::new(Identity {
            key,
            alias: String::new(),
            discovery: false,
            cid: 3,
            tsih,
        });
        Applicant { identity, connection }
    }

    #[test]
    fn a_second_login_waits_for_the_first_to_end() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let Admission::New(tsih, first) = sessions.admit(applicant("a", 1), now) else {
            panic!()
        };
        let key = first.identity.key.clone();
        assert!(matches!(
            sessions.admit(applicant("a", 2), now),
            Admission::Reinstate {
                old: 1,
                displaced: None
            }
        ));
        let third = sessions.admit(applicant("a", 3), now);
        assert!(matches!(
            third,
            Admission::Reinstate {
                displaced: Some(Applicant { connection: 2, .. }),
                ..
            }
        ));
        assert!(sessions.ended(&key, tsih + 1).is_none());
        assert_eq!(sessions.ended(&key, tsih).unwrap().connection, 3);
        assert_eq!(sessions.of_target("t"), 0);
    }

    #[test]
    fn a_session_that_does_not_end_is_not_waited_for_forever() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        sessions.admit(applicant("a", 1), now);
        sessions.admit(applicant("a", 2), now);
        assert!(sessions.overdue(now).is_empty() && sessions.waiting());
        assert_eq!(sessions.overdue(now + REINSTATE_TIME)[0].connection, 2);
        assert!(!sessions.waiting());
    }

    #[test]
    fn a_login_with_a_handle_joins_its_session_and_no_other() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let Admission::New(tsih, _) = sessions.admit(applicant("a", 1), now) else {
            panic!()
        };
        assert!(matches!(
            sessions.admit(naming("a", 2, tsih), now),
            Admission::Join(1, Applicant { connection: 2, .. })
        ));
        for other in [naming("a", 3, tsih + 1), naming("b", 3, tsih)] {
            assert!(matches!(sessions.admit(other, now), Admission::Absent(_)));
        }
        // Somebody waits for the session to end.
        sessions.admit(applicant("a", 4), now);
        assert!(matches!(
            sessions.admit(naming("a", 5, tsih), now),
            Admission::Absent(_)
        ));
    }

    #[test]
    fn handles_are_unique_and_never_zero() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        sessions.last_tsih = u16::MAX - 1;
        let mut seen = Vec::new();
        for i in 0..3 {
            let Admission::New(tsih, applicant) = sessions.admit(applicant(&i.to_string(), i), now) else {
                panic!()
            };
            assert_eq!(sessions.home(&applicant.identity.key, tsih), Some(i));
            assert_eq!(sessions.home(&applicant.identity.key, 999), None);
            seen.push(tsih);
        }
        assert_eq!(seen, [u16::MAX, 1, 2]);
    }
}
