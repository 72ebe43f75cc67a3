//! Logout of the session or of one connection, and the loss of a connection (RFC 7143 11.14, 11.15, 6.3.4;
//! `iscsi-target.md` chapters 9 and 12).

use super::connection::Phase;
use super::{Action, ConnectionId, Fate, LOGOUT_TIME, Session};
use crate::iscsi::pdu::{Header, RejectReason, opcode};
use std::time::Instant;

/// Closed successfully.
const CLOSED: u8 = 0;
/// CID not found.
const NO_CONNECTION: u8 = 1;
/// Connection recovery is not supported.
const NO_RECOVERY: u8 = 2;

/// A logout that waits for tasks to end.
#[derive(Debug)]
pub(super) struct Logout {
    request: Header,
    /// Where it came in and is answered.
    on: ConnectionId,
    /// The connection to be closed; `None`: the session.
    scope: Option<ConnectionId>,
    since: Instant,
}

impl Logout {
    fn covers(&self, id: ConnectionId) -> bool {
        self.scope.is_none_or(|scope| scope == id)
    }
}

impl Session {
    pub(super) fn logout(&mut self, id: ConnectionId, header: &Header, now: Instant) {
        let cid = header.half::<20>();
        let named = self.connections.iter().find(|known| known.cid == cid && known.member());
        let scope = match (header.flags() & 0x7f, named.map(|known| known.id)) {
            (0, _) => None,
            (1, Some(named)) => Some(named),
            (1, None) => return self.answer_logout(id, header, NO_CONNECTION),
            (2, _) => return self.answer_logout(id, header, NO_RECOVERY),
            _ => return self.reject(id, header, RejectReason::InvalidField),
        };
        let logout = Logout {
            request: *header,
            on: id,
            scope,
            since: now,
        };
        for connection in self.connections.iter_mut().filter(|known| logout.covers(known.id)) {
            if matches!(connection.phase, Phase::Full) {
                connection.phase = Phase::LoggingOut;
            }
        }
        self.abort_where(|from| logout.covers(from));
        self.logouts.push(logout);
        self.settle_logouts(Some(now));
    }

    /// Answers logouts whose tasks have ended, or have had their time.
    pub(super) fn settle_logouts(&mut self, now: Option<Instant>) {
        for logout in std::mem::take(&mut self.logouts) {
            let waits = self.tasks.values().any(|live| logout.covers(live.connection));
            let late = now.is_some_and(|now| now.saturating_duration_since(logout.since) > LOGOUT_TIME);
            if waits && !late {
                self.logouts.push(logout);
                continue;
            }
            self.answer_logout(logout.on, &logout.request, CLOSED);
            for connection in self.connections.iter_mut().filter(|known| logout.covers(known.id)) {
                if connection.fate == Fate::Open {
                    connection.fate = Fate::Drain;
                }
            }
            // With its last connection a session ends as well (RFC 7143 8.3.1, transition N3).
            self.closing |= !self.connections.iter().any(|known| known.member());
        }
    }

    fn answer_logout(&mut self, id: ConnectionId, request: &Header, code: u8) {
        let half = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        let mut header = Header::new(opcode::LOGOUT_RESPONSE);
        header.set_byte::<2>(code).set_word::<16>(request.itt());
        header
            .set_half::<40>(half(self.parameters.time2wait))
            .set_half::<42>(half(self.parameters.time2retain));
        self.push_status(id, header, Vec::new());
    }

    /// Aborts the tasks of a connection that is gone, and forgets what it had sent ahead of a gap.
    pub(super) fn abort_connection(&mut self, id: ConnectionId, now: Instant) {
        self.window.forget(|(from, _)| *from == id);
        self.abort_where(|from| from == id);
        self.deliver_kept(now);
    }

    /// Aborts tasks by their connection; nothing is answered to them any more.
    fn abort_where(&mut self, covers: impl Fn(ConnectionId) -> bool) {
        let covered = self.tasks.iter().filter(|(_, live)| covers(live.connection));
        let tags: Vec<_> = covered.map(|(&itt, live)| (itt, live.stage)).collect();
        for (itt, stage) in tags {
            if !stage.in_framework() {
                self.drop_unexecuted(itt);
            } else if let Some(live) = self.tasks.get_mut(&itt)
                && !live.aborting
            {
                live.suppressed = true;
                live.aborting = true;
                self.actions.push_back(Action::Abort { itt });
            }
        }
    }
}
