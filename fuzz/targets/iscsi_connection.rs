//! An iSCSI connection and its session (`src/iscsi/session`): whatever the initiator sends, before and after login, and whatever the
//! unit answers, nothing panics and the answers stay bounded.
#![no_main]
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use stmf::framework::{Outcome, TmResponse};
use stmf::iscsi::session::{Action, Pool, Session};
use stmf::iscsi::directory::{
    AuthPolicy, Directory, LoginStatus, SessionKey, TargetRecord, TargetView,
};
use stmf::iscsi::pdu::{Header, opcode};

struct AnyTarget;

impl Directory for AnyTarget {
    fn find(&self, _: &str, _: &str, _: SocketAddr) -> Result<TargetView, LoginStatus> {
        Ok(TargetView { alias: None, portal_group: 1, auth: AuthPolicy::None })
    }
    fn list(&self, _: Option<&str>, _: SocketAddr) -> Vec<TargetRecord> {
        vec![TargetRecord { name: "iqn.2026-11.example:t".into(), addresses: vec!["127.0.0.1:1,1".into(); 300] }]
    }
    fn session(&self, _: &SessionKey, _: u16) -> bool {
        false
    }
}

/// Text of a login that reaches full feature phase at once.
const LOGIN: &[u8] = b"InitiatorName=iqn.2026-11.example:h\0TargetName=iqn.2026-11.example:t\0InitialR2T=No\0\0\0";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let now = Instant::now();
    let mut session = Session::new(1, ([127, 0, 0, 1], 3260).into(), Arc::new(AnyTarget), Pool::new(1 << 30), now);
    if choice & 1 == 0 {
        let mut header = Header::new(opcode::LOGIN | 0x40);
        header.set_byte::<1>(0x87).set_data_length(LOGIN.len());
        let mut login = header.0.to_vec();
        login.extend_from_slice(LOGIN);
        login.resize(login.len().next_multiple_of(4), 0);
        session.receive(1, &login, now);
    }
    for chunk in bytes.chunks(1 + usize::from(choice) * 2) {
        session.receive(1, chunk, now);
        while let Some(action) = session.next_action() {
            match action {
                Action::Establish(_) => session.established(Ok(1)),
                Action::Verify(_) => session.verified(Ok(())),
                Action::Start(command) => session.ready(command.itt, command.expected.length.min(4096)),
                // What is longer than 4096 bytes goes in parts.
                Action::Execute { itt, data } if data.len() == 4096 => session.part(itt, Vec::new(), 512),
                Action::Execute { itt, data } => session.finished(itt, Outcome::data_in(data)),
                Action::Manage { itt, .. } => session.managed(itt, TmResponse::Complete),
                Action::Abandon { .. } | Action::Abort { .. } => {}
            }
        }
    }
    assert!(session.output(1).expect("it is not closed here").len() <= 64 * (bytes.len() + 4096));
});
