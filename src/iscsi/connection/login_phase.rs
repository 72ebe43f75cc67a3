//! The connection during login: Login Requests to [`Login`], its answers to PDUs.

use super::{Action, Connection, Fate, Phase};
use crate::iscsi::decoder::Pdu;
use crate::iscsi::directory::LoginStatus;
use crate::iscsi::login::{FULL_FEATURE, Login, Reply};
use crate::iscsi::pdu::{Header, opcode};
use crate::iscsi::window::Window;

/// What a Login Response takes from the request: ISID, TSIH and the tag.
fn response_to(request: &Header) -> Header {
    let mut header = Header::new(opcode::LOGIN_RESPONSE);
    header.0[8..20].copy_from_slice(&request.0[8..20]);
    header
}

impl Connection {
    pub(super) fn login_request(&mut self, pdu: &Pdu) {
        let Phase::Login(login) = &mut self.phase else { return };
        // A login consumes no CmdSN: the session begins with the number of the login (RFC 7143 4.2.2.1).
        self.window = Window::new(pdu.header.cmd_sn());
        match login.request(&pdu.header, &pdu.data, &*self.directory) {
            Ok(reply) if reply.transit && reply.next == FULL_FEATURE => self.establish(pdu.header, reply),
            Ok(reply) => self.login_reply(&pdu.header, reply, 0),
            Err(status) => self.login_failed(&pdu.header, status),
        }
    }

    pub(super) fn login_established(&mut self, result: Result<u16, LoginStatus>) {
        let Phase::Establishing(waiting) = std::mem::replace(&mut self.phase, Phase::Full) else {
            return self.fail("a session was established that nobody asked for".into());
        };
        let (login, request, reply) = *waiting;
        match result {
            Ok(tsih) => {
                self.parameters = login.parameters().clone();
                self.identity = login.identity().cloned();
                self.login_reply(&request, reply, tsih);
                let p = &self.parameters;
                self.decoder
                    .configure(p.receive_max as usize, p.header_digest, p.data_digest);
                self.out.configure(p.header_digest, p.data_digest);
            }
            Err(status) => self.login_failed(&request, status),
        }
    }

    fn establish(&mut self, request: Header, reply: Reply) {
        let next = Phase::Login(Box::new(Login::new(self.local)));
        if let Phase::Login(login) = std::mem::replace(&mut self.phase, next)
            && let Some(identity) = login.identity().cloned()
        {
            self.phase = Phase::Establishing(Box::new((*login, request, reply)));
            self.actions.push_back(Action::Establish(Box::new(identity)));
        }
    }

    fn login_reply(&mut self, request: &Header, reply: Reply, tsih: u16) {
        let mut header = response_to(request);
        header.0[1] = u8::from(reply.transit) << 7 | reply.current << 2 | reply.next;
        if tsih != 0 {
            header.set_half::<14>(tsih);
        }
        self.push_status(header, reply.text);
    }

    fn login_failed(&mut self, request: &Header, status: LoginStatus) {
        let mut header = response_to(request);
        header.0[1] = 0;
        header.set_byte::<36>(status.0).set_byte::<37>(status.1);
        log::info!("{}: login refused with status {status}", self.local);
        self.push_status(header, Vec::new());
        self.fate = Fate::Drain;
    }
}
