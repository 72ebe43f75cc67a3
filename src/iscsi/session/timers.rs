//! What time does to a session: login, ping, logout, drain, gaps in CmdSN; and what an administrator does to it.

use super::connection::Phase;
use super::{ConnectionId, DRAIN_TIME, Fate, GAP_TIME, LOGIN_TIME, LOGOUT_TIME, REFUSE_TIME, Session};
use crate::iscsi::pdu::{Header, NO_TAG, opcode};
use std::time::Instant;

/// Async event: the target requests logout (RFC 7143 11.9.1).
const REQUESTS_LOGOUT: u8 = 1;
/// Async event: the target drops all connections of the session.
const DROPS_SESSION: u8 = 3;

impl Session {
    /// Time passes; to be called about once a second.
    pub fn tick(&mut self, now: Instant) {
        let ids: Vec<ConnectionId> = self.connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            self.tick_connection(id, now);
        }
        self.end_stalled(now);
        self.settle_logouts(Some(now));
        self.admit_connections(Some(now));
        // What waits for memory that other sessions held.
        self.admit();
        self.start_parked();
        if self
            .logout_deadline
            .is_some_and(|deadline| now > deadline + REFUSE_TIME)
        {
            self.drop_session();
        }
        if !self.window.gap() {
            self.gap_since = None;
        } else if now.saturating_duration_since(*self.gap_since.get_or_insert(now)) > GAP_TIME {
            log::warn!("a gap in CmdSN at {} was not filled in time", self.window.expected());
            self.drop_session();
        }
    }

    fn tick_connection(&mut self, id: ConnectionId, now: Instant) {
        let patience = self.patience;
        let Some(connection) = self.at(id) else { return };
        let idle = now.saturating_duration_since(connection.heard);
        let stuck = connection.stuck(now);
        match &connection.phase {
            _ if connection.fate != Fate::Open => {
                let since = *connection.drain_since.get_or_insert(now);
                if now.saturating_duration_since(since) > DRAIN_TIME {
                    connection.fate = Fate::Closed("the last answers could not be sent".into());
                }
            }
            Phase::Login(_) | Phase::Verifying(..) | Phase::Establishing(_) => {
                if now.saturating_duration_since(connection.opened) > LOGIN_TIME {
                    connection.fail("login took too long".into());
                }
            }
            Phase::Full if stuck > patience.idle => connection.fail("the initiator takes no answers".into()),
            Phase::Full if idle > patience.idle => connection.fail("the initiator is silent".into()),
            Phase::Full if idle > patience.ping() && !connection.pinged => self.ping(id),
            Phase::Full | Phase::LoggingOut => {}
        }
    }

    /// Asks the initiator to log out (Async Message event 1) and drops the session when it does not in time.
    pub fn request_logout(&mut self, now: Instant) {
        let asked = self.logout_deadline.is_some();
        self.logout_deadline.get_or_insert(now + LOGOUT_TIME);
        self.closing |= self.connections.is_empty();
        let stamp = self.stamp();
        for connection in &mut self.connections {
            match connection.phase {
                Phase::Full if connection.fate == Fate::Open && !asked => {
                    let mut header = Header::new(opcode::ASYNC_MESSAGE);
                    header.set_word::<16>(NO_TAG).set_byte::<36>(REQUESTS_LOGOUT);
                    header.set_half::<42>(half(LOGOUT_TIME.as_secs()));
                    connection.push_status(stamp, header, Vec::new());
                }
                Phase::Login(_) | Phase::Verifying(..) | Phase::Establishing(_) => {
                    connection.fail("the target goes offline".into());
                }
                Phase::Full | Phase::LoggingOut => {}
            }
        }
    }

    /// Tells the initiator that its session is dropped (Async Message event 3), and closes the connections.
    pub fn drop_session(&mut self) {
        self.closing = true;
        let stamp = self.stamp();
        let (time2wait, time2retain) = (self.parameters.time2wait, self.parameters.time2retain);
        for connection in &mut self.connections {
            match connection.phase {
                _ if connection.fate != Fate::Open => {}
                Phase::Full => {
                    let mut header = Header::new(opcode::ASYNC_MESSAGE);
                    header.set_word::<16>(NO_TAG).set_byte::<36>(DROPS_SESSION);
                    header
                        .set_half::<40>(half(time2wait.into()))
                        .set_half::<42>(half(time2retain.into()));
                    connection.push_status(stamp, header, Vec::new());
                    connection.fate = Fate::Drain;
                }
                _ => connection.fail("the target is offline".into()),
            }
        }
    }
}

fn half(seconds: u64) -> u16 {
    u16::try_from(seconds).unwrap_or(u16::MAX)
}
