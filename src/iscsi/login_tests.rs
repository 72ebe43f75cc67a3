use super::*;
use crate::iscsi::directory::TargetRecord;
use crate::iscsi::pdu::{Header, opcode};
use proptest::prelude::*;

const TARGET: &str = "iqn.2026-11.example:disk";

struct OneTarget;

impl Directory for OneTarget {
    fn find(&self, name: &str, _: &str, _: SocketAddr) -> Result<TargetView, LoginStatus> {
        match name {
            TARGET => Ok(TargetView {
                alias: Some("d".into()),
                portal_group: 1,
                auth: AuthPolicy::None,
            }),
            "iqn.2026-11.example:off" => Err(LoginStatus::UNAVAILABLE),
            _ => Err(LoginStatus::NOT_FOUND),
        }
    }
    fn list(&self, _: Option<&str>, _: SocketAddr) -> Vec<TargetRecord> {
        Vec::new()
    }
    fn session(&self, _: &SessionKey, tsih: u16) -> bool {
        tsih == 7
    }
}

fn local() -> SocketAddr {
    "127.0.0.1:3260".parse().unwrap()
}

/// A Login Request header: T, C, current and next stage.
fn header(transit: bool, continues: bool, current: u8, next: u8) -> Header {
    let mut header = Header::new(opcode::LOGIN);
    header.0[1] = u8::from(transit) << 7 | u8::from(continues) << 6 | current << 2 | next;
    header.0[8] = 0x40;
    header
}

fn text(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in pairs {
        super::text::push(&mut text, key, value);
    }
    text
}

fn names() -> Vec<(&'static str, &'static str)> {
    vec![("InitiatorName", "iqn.2026-11.example:host"), ("TargetName", TARGET)]
}

fn ask(login: &mut Login, header: Header, pairs: &[(&str, &str)]) -> Result<(Reply, String), LoginStatus> {
    let reply = login.request(&header, &text(pairs), &OneTarget)?.unwrap();
    let shown = String::from_utf8(reply.text.clone()).unwrap().replace('\0', " ");
    Ok((reply, shown))
}

fn first(transit: bool, stage: u8, next: u8, pairs: &[(&str, &str)]) -> Result<(Reply, String), LoginStatus> {
    ask(&mut Login::new(local()), header(transit, false, stage, next), pairs)
}

#[test]
fn the_login_of_libiscsi() {
    let mut login = Login::new(local());
    let mut pairs = names();
    pairs.extend([("SessionType", "Normal"), ("AuthMethod", "CHAP,None")]);
    let (reply, shown) = ask(&mut login, header(true, false, 0, 1), &pairs).unwrap();
    assert!(reply.transit && reply.next == OPERATIONAL);
    assert_eq!(shown, "TargetAlias=d TargetPortalGroupTag=1 AuthMethod=None ");
    let (reply, shown) = ask(
        &mut login,
        header(true, false, 1, 3),
        &[
            ("HeaderDigest", "None,CRC32C"),
            ("InitialR2T", "No"),
            ("FirstBurstLength", "262144"),
            ("MaxBurstLength", "131072"),
            ("MaxRecvDataSegmentLength", "262144"),
            ("DefaultTime2Retain", "0"),
            ("X-com.example.thing", "1"),
        ],
    )
    .unwrap();
    assert!(reply.transit && reply.next == FULL_FEATURE);
    assert_eq!(
        shown,
        "HeaderDigest=None InitialR2T=No MaxBurstLength=131072 DefaultTime2Retain=0 \
         X-com.example.thing=NotUnderstood FirstBurstLength=131072 MaxRecvDataSegmentLength=262144 "
    );
    assert_eq!(login.identity().unwrap().key.target, TARGET);
    assert_eq!(login.parameters().send_max, 262_144);
}

#[test]
fn straight_from_security_to_full_feature_keeps_the_default_segment_length() {
    let mut login = Login::new(local());
    let (reply, shown) = ask(&mut login, header(true, false, 0, 3), &names()).unwrap();
    assert!(reply.transit && !shown.contains("MaxRecv"));
    assert_eq!(login.parameters().receive_max, 8192);
}

#[test]
fn text_is_collected_over_several_requests() {
    let mut login = Login::new(local());
    let all = text(&names());
    let reply = login
        .request(&header(false, true, 0, 0), &all[..20], &OneTarget)
        .unwrap()
        .unwrap();
    assert_eq!(
        reply,
        Reply {
            transit: false,
            current: 0,
            next: 0,
            text: Vec::new()
        }
    );
    assert!(login.identity().is_none());
    let reply = login
        .request(&header(true, false, 0, 1), &all[20..], &OneTarget)
        .unwrap()
        .unwrap();
    assert!(reply.transit && login.identity().is_some());
}

#[test]
fn endless_text_is_refused() {
    let mut login = Login::new(local());
    let part = vec![b'a'; 8192];
    let refused = (0..9).find_map(|_| login.request(&header(false, true, 0, 0), &part, &OneTarget).err());
    assert_eq!(refused, Some(LoginStatus::INITIATOR_ERROR));
}

#[test]
fn every_status_has_its_cause() {
    let with = |extra: &[(&'static str, &'static str)]| [names(), extra.to_vec()].concat();
    let host = ("InitiatorName", "iqn.2026-11.example:host");
    for (pairs, stage, next, status) in [
        (vec![], 0, 1, LoginStatus::MISSING_PARAMETER),
        (vec![host], 0, 1, LoginStatus::MISSING_PARAMETER),
        (
            vec![host, ("TargetName", "iqn.2026-11.example:no")],
            0,
            1,
            LoginStatus::NOT_FOUND,
        ),
        (
            vec![host, ("TargetName", "iqn.2026-11.example:off")],
            0,
            1,
            LoginStatus::UNAVAILABLE,
        ),
        (vec![("InitiatorName", "rubbish")], 0, 1, LoginStatus::INITIATOR_ERROR),
        (with(&[("SessionType", "Odd")]), 0, 1, LoginStatus::SESSION_TYPE),
        (
            with(&[("AuthMethod", "CHAP")]),
            0,
            1,
            LoginStatus::AUTHENTICATION_FAILED,
        ),
        (
            with(&[("TargetPortalGroupTag", "1")]),
            0,
            1,
            LoginStatus::INVALID_REQUEST,
        ),
        (with(&[("MaxBurstLength", "4096")]), 0, 1, LoginStatus::INVALID_REQUEST),
        (with(&[("AuthMethod", "None")]), 1, 3, LoginStatus::INVALID_REQUEST),
        (
            with(&[("ImmediateData", "No"), ("ImmediateData", "No")]),
            1,
            3,
            LoginStatus::INITIATOR_ERROR,
        ),
        (names(), 3, 3, LoginStatus::INVALID_REQUEST),
        (names(), 2, 3, LoginStatus::INVALID_REQUEST),
        (names(), 1, 1, LoginStatus::INVALID_REQUEST),
        (names(), 0, 2, LoginStatus::INVALID_REQUEST),
    ] {
        assert_eq!(
            first(true, stage, next, &pairs).unwrap_err(),
            status,
            "{pairs:?} {stage} {next}"
        );
    }
}

#[test]
fn header_rules() {
    let mut version = header(true, false, 0, 1);
    version.0[3] = 1;
    assert_eq!(
        ask(&mut Login::new(local()), version, &names()).unwrap_err(),
        LoginStatus::UNSUPPORTED_VERSION
    );
    assert_eq!(
        ask(&mut Login::new(local()), header(true, true, 0, 1), &names()).unwrap_err(),
        LoginStatus::INITIATOR_ERROR
    );
    for (at, name) in [(8, "isid"), (15, "tsih"), (21, "cid")] {
        let mut login = Login::new(local());
        ask(&mut login, header(false, false, 0, 0), &names()).unwrap();
        let mut changed = header(true, false, 0, 1);
        changed.0[at] ^= 1;
        assert_eq!(
            ask(&mut login, changed, &[]).unwrap_err(),
            LoginStatus::INVALID_REQUEST,
            "{name}"
        );
    }
    let mut login = Login::new(local());
    ask(&mut login, header(true, false, 0, 1), &names()).unwrap();
    assert_eq!(
        ask(&mut login, header(true, false, 0, 1), &[]).unwrap_err(),
        LoginStatus::INVALID_REQUEST
    );
}

#[test]
fn a_session_handle_of_the_initiators() {
    let mut request = header(true, false, 0, 1);
    request.0[15] = 9;
    let refused = ask(&mut Login::new(local()), request, &names());
    assert_eq!(refused.unwrap_err(), LoginStatus::NO_SUCH_SESSION);
    request.0[15] = 7;
    request.0[21] = 3;
    let mut login = Login::new(local());
    ask(&mut login, request, &names()).unwrap();
    let identity = login.identity().unwrap();
    assert_eq!((identity.tsih, identity.cid), (7, 3));
    // What the leading login has settled stays.
    let mut request = header(true, false, 1, 3);
    request.0[15] = 7;
    request.0[21] = 3;
    let pairs = [("MaxBurstLength", "512"), ("HeaderDigest", "CRC32C")];
    let (_, shown) = ask(&mut login, request, &pairs).unwrap();
    assert!(
        shown.starts_with("MaxBurstLength=Irrelevant HeaderDigest=CRC32C "),
        "{shown}"
    );
    let session = Parameters::default();
    let joined = login.parameters().in_session(&session);
    assert!(joined.header_digest && joined.max_burst == session.max_burst);
}

#[test]
fn discovery_needs_no_target() {
    let pairs = [
        ("InitiatorName", "iqn.2026-11.example:host"),
        ("SessionType", "Discovery"),
    ];
    let mut login = Login::new(local());
    let (_, shown) = ask(&mut login, header(true, false, 0, 1), &pairs).unwrap();
    assert_eq!(shown, "");
    assert!(login.identity().unwrap().discovery);
}

proptest! {
    #[test]
    fn no_login_panics_or_loops(requests in proptest::collection::vec(
        (any::<[u8; 4]>(), proptest::collection::vec(any::<u8>(), 0..100), any::<bool>()), 1..6)) {
        let mut login = Login::new(local());
        for (start, data, named) in requests {
            let mut header = header(false, false, 0, 0);
            header.0[..4].copy_from_slice(&start);
            header.0[3] = 0;
            let data = if named { text(&names()) } else { data };
            if login.request(&header, &data, &OneTarget).is_err() {
                break;
            }
        }
    }
}
