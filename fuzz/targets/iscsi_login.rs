//! What comes as text or from servers: login text with and without CHAP (`src/iscsi/login.rs`), RADIUS replies
//! (`src/iscsi/radius.rs`), iSCSI names. Nothing panics, and a login that was not proved is not granted.
#![no_main]
use std::net::SocketAddr;
use stmf::iscsi::directory::{
    AuthPolicy, ChapPolicy, Directory, LoginStatus, SessionKey, TargetRecord, TargetView, Verifier,
};
use stmf::iscsi::login::{FULL_FEATURE, Login};
use stmf::iscsi::pdu::{Header, opcode};
use stmf::iscsi::radius::{Question, Request};
use stmf::types::Secret;

struct OneTarget(u8);

impl Directory for OneTarget {
    fn find(&self, name: &str, _: &str, _: SocketAddr) -> Result<TargetView, LoginStatus> {
        let verifier = match self.0 % 3 {
            0 => return Ok(TargetView { alias: Some("a".into()), portal_group: 1, auth: AuthPolicy::None }),
            1 => Verifier::Secret(Secret::new(b"unguessable secret".to_vec()).ok()),
            _ => Verifier::Radius,
        };
        let policy = ChapPolicy {
            user: "user".into(),
            verifier,
            target: name.into(),
            target_user: name.into(),
            target_secret: Secret::new(b"another one of them".to_vec()).ok(),
            identifier: 7,
            challenge: [9; 16],
        };
        Ok(TargetView { alias: None, portal_group: 1, auth: AuthPolicy::Chap(Box::new(policy)) })
    }
    fn list(&self, _: Option<&str>, _: SocketAddr) -> Vec<TargetRecord> {
        Vec::new()
    }
    fn session(&self, _: &SessionKey, tsih: u16) -> bool {
        tsih == 1
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let directory = OneTarget(choice);
    let mut login = Login::new(([127, 0, 0, 1], 3260).into());
    // Requests are separated by a byte that text does not contain; its first byte has the flags.
    for part in bytes.split(|byte| *byte == 0xff) {
        let Some((&flags, text)) = part.split_first() else { continue };
        let mut header = Header::new(opcode::LOGIN);
        header.set_byte::<1>(flags).set_byte::<15>(choice & 1);
        match login.request(&header, text, &directory) {
            Ok(Some(reply)) if reply.transit && reply.next == FULL_FEATURE => {
                let discovery = login.identity().is_some_and(|identity| identity.discovery);
                assert!(choice % 3 == 0 || discovery, "granted without proof");
                break;
            }
            Ok(Some(_)) => {}
            Ok(None) => assert!(login.question().is_some_and(|question| question.response.len() == 16)),
            Err(_) => break,
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = stmf::iscsi::name::canonical(text);
    }
    let question = Question {
        user: "user".into(),
        identifier: 1,
        challenge: vec![1; 16],
        response: vec![2; 16],
        target: "t".into(),
    };
    let secret = Secret::new(b"unguessable secret".to_vec()).expect("long enough");
    let request = Request::new(&question, &secret, 3, [4; 16]).expect("short enough");
    assert_eq!(request.verdict(bytes, &secret), None, "forged");
});
