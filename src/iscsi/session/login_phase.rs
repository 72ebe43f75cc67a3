//! Connections during login: Login Requests to [`Login`], its answers to PDUs; joining an existing session
//! (RFC 7143 6.3.1, 6.3.4).

use super::connection::{Connection, Phase, Stamp};
use super::{Action, ConnectionId, Fate, JOIN_TIME, Session};
use crate::iscsi::decoder::Pdu;
use crate::iscsi::directory::LoginStatus;
use crate::iscsi::login::{FULL_FEATURE, Login, Reply};
use crate::iscsi::pdu::{Header, LoginRequest, opcode};
use crate::iscsi::window::Window;
use std::time::Instant;

/// A login that is granted but for its session.
#[derive(Debug)]
pub(super) struct Granted {
    login: Login,
    request: Header,
    reply: Reply,
    /// Since when it waits in the session that it has joined for the tasks of a lost connection to end.
    pub(super) joining: Option<Instant>,
}

/// What a Login Response takes from the request: ISID, TSIH and the tag.
fn response_to(request: &Header) -> Header {
    let mut header = Header::new(opcode::LOGIN_RESPONSE);
    header.0[8..20].copy_from_slice(&request.0[8..20]);
    header
}

impl Session {
    pub(super) fn login_request(&mut self, id: ConnectionId, pdu: &Pdu) {
        // A login consumes no CmdSN: the session begins with the number of the login (RFC 7143 4.2.2.1).
        self.window = Window::new(pdu.header.cmd_sn());
        let directory = self.directory.clone();
        let Some(connection) = self.at(id) else { return };
        let Phase::Login(login) = &mut connection.phase else {
            return;
        };
        match login.request(&pdu.header, &pdu.data, &*directory).transpose() {
            Some(reply) => self.login_answered(id, pdu.header, reply),
            None => self.verify(id, pdu.header),
        }
    }

    fn login_answered(&mut self, id: ConnectionId, request: Header, reply: Result<Reply, LoginStatus>) {
        match reply {
            Ok(reply) if reply.transit && reply.next == FULL_FEATURE => self.establish(id, request, reply),
            Ok(reply) => self.login_reply(id, &request, reply, None),
            Err(status) => self.login_failed(id, &request, status),
        }
    }

    fn verify(&mut self, id: ConnectionId, request: Header) {
        let Some(connection) = self.at(id) else { return };
        let next = Phase::Login(Box::new(Login::new(connection.local)));
        if let Phase::Login(mut login) = std::mem::replace(&mut connection.phase, next)
            && let Some(question) = login.question()
        {
            connection.phase = Phase::Verifying(login, request);
            self.actions.push_back(Action::Verify(Box::new(question)));
        }
    }

    pub(super) fn login_verified(&mut self, verdict: Result<(), LoginStatus>) {
        let waits = |connection: &&mut Connection| matches!(connection.phase, Phase::Verifying(..));
        let Some(connection) = self.connections.iter_mut().find(waits) else {
            return;
        };
        let id = connection.id;
        let next = Phase::Login(Box::new(Login::new(connection.local)));
        if let Phase::Verifying(mut login, request) = std::mem::replace(&mut connection.phase, next) {
            let reply = verdict.and_then(|()| login.verified());
            connection.phase = Phase::Login(login);
            self.login_answered(id, request, reply);
        }
    }

    pub(super) fn login_established(&mut self, result: Result<u16, LoginStatus>) {
        let waits = |connection: &&mut Connection| matches!(connection.phase, Phase::Establishing(_));
        let Some(connection) = self.connections.iter_mut().find(waits) else {
            return;
        };
        let id = connection.id;
        let Phase::Establishing(granted) = std::mem::replace(&mut connection.phase, Phase::Full) else {
            return;
        };
        match result {
            Ok(tsih) => {
                self.tsih = tsih;
                self.share.count();
                self.parameters = granted.login.parameters().clone();
                self.identity = granted.login.identity().cloned();
                self.login_reply(id, &granted.request, granted.reply, Some(tsih));
                let parameters = self.parameters.clone();
                if let Some(connection) = self.at(id) {
                    connection.configure(parameters);
                }
            }
            Err(status) => self.login_failed(id, &granted.request, status),
        }
    }

    fn establish(&mut self, id: ConnectionId, request: Header, reply: Reply) {
        let Some(connection) = self.at(id) else { return };
        let next = Phase::Login(Box::new(Login::new(connection.local)));
        if let Phase::Login(login) = std::mem::replace(&mut connection.phase, next)
            && let Some(identity) = login.identity().cloned()
        {
            connection.cid = identity.cid;
            connection.phase = Phase::Establishing(Box::new(Granted {
                login: *login,
                request,
                reply,
                joining: None,
            }));
            self.actions.push_back(Action::Establish(Box::new(identity)));
        }
    }

    /// Gives up the connection whose login is granted, for the session that it names.
    pub fn leave(&mut self) -> Option<Connection> {
        let leaving = |connection: &Connection| matches!(connection.phase, Phase::Establishing(_));
        let at = self.connections.iter().position(leaving)?;
        Some(self.connections.remove(at))
    }

    /// Takes in a connection that has left another session. A connection with the same CID is closed and its tasks are
    /// aborted; the login is answered when they are gone (RFC 7143 6.3.4).
    pub fn join(&mut self, mut connection: Connection, now: Instant) {
        let Phase::Establishing(granted) = &mut connection.phase else {
            return;
        };
        granted.joining = Some(now);
        let (id, cid) = (connection.id, connection.cid);
        let old = self.connections.iter().find(|known| known.cid == cid && known.member());
        if let Some(old) = old.map(|known| known.id) {
            self.fail(old, "reinstated by a new login".into());
            self.abort_connection(old, now);
        }
        let members = self.connections.iter().filter(|known| known.member()).count();
        self.connections.push(connection);
        if self.closing || self.logout_deadline.is_some() {
            self.refuse(id, LoginStatus::NO_SUCH_SESSION);
        } else if members >= self.parameters.max_connections as usize {
            self.refuse(id, LoginStatus::TOO_MANY_CONNECTIONS);
        } else {
            self.kept_until = None;
            self.admit_connections(Some(now));
        }
    }

    /// Answers logins that wait for tasks of lost connections, when those are gone, or have had their time.
    pub(super) fn admit_connections(&mut self, now: Option<Instant>) {
        let mut alive = self.connections.iter().filter(|known| known.member()).map(|it| it.id);
        let orphaned = self.tasks.values().any(|live| alive.all(|id| id != live.connection));
        let patient = |since: Instant| now.is_none_or(|now| now.saturating_duration_since(since) < JOIN_TIME);
        let ready: Vec<ConnectionId> = self
            .connections
            .iter()
            .filter_map(|connection| match &connection.phase {
                Phase::Establishing(granted) if !(orphaned && patient(granted.joining?)) => {
                    granted.joining.map(|_| connection.id)
                }
                _ => None,
            })
            .collect();
        ready.into_iter().for_each(|id| self.admit_connection(id));
    }

    fn admit_connection(&mut self, id: ConnectionId) {
        let (session, tsih) = (self.parameters.clone(), self.tsih);
        let Some(connection) = self.at(id) else { return };
        if let Phase::Establishing(granted) = std::mem::replace(&mut connection.phase, Phase::Full) {
            let parameters = granted.login.parameters().in_session(&session);
            self.login_reply(id, &granted.request, granted.reply, Some(tsih));
            if let Some(connection) = self.at(id) {
                connection.configure(parameters);
            }
        }
    }

    /// Refuses a login that was granted and found no session.
    pub(super) fn refuse(&mut self, id: ConnectionId, status: LoginStatus) {
        let Some(connection) = self.at(id) else { return };
        if let Phase::Establishing(granted) = &connection.phase {
            let request = granted.request;
            self.login_failed(id, &request, status);
        }
    }

    /// `tsih`: of the session, in the last answer.
    fn login_reply(&mut self, id: ConnectionId, request: &Header, reply: Reply, tsih: Option<u16>) {
        let mut header = response_to(request);
        header.0[1] = u8::from(reply.transit) << 7 | reply.current << 2 | reply.next;
        if let Some(tsih) = tsih {
            header.set_half::<14>(tsih);
        }
        self.login_answer(id, request, header, reply.text, tsih.is_some());
    }

    fn login_failed(&mut self, id: ConnectionId, request: &Header, status: LoginStatus) {
        let mut header = response_to(request);
        header.0[1] = 0;
        header.set_byte::<36>(status.0).set_byte::<37>(status.1);
        let text = match self.at(id).map(|connection| &mut connection.phase) {
            Some(Phase::Login(login)) => login.last_words(),
            _ => Vec::new(),
        };
        self.login_answer(id, request, header, text, false);
        if let Some(connection) = self.at(id) {
            log::info!("{}: login refused with status {status}", connection.local);
            connection.fate = Fate::Drain;
        }
    }

    fn login_answer(&mut self, id: ConnectionId, request: &Header, header: Header, text: Vec<u8>, inside: bool) {
        let stamp = if LoginRequest(request).tsih() != 0 && !inside {
            Stamp::unknown(request.cmd_sn())
        } else {
            self.stamp()
        };
        if let Some(connection) = self.at(id) {
            connection.push_status(stamp, header, text);
        }
    }
}
