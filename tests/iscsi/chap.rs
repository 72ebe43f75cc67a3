//! CHAP against real initiators, and what a raw initiator tries without a secret.

use super::HOST;
use super::initiator::Initiator;
use super::node::{Node, TARGET, wait};
use super::tools::run_with;
use stmf::iscsi::admin::{Auth, Change, DefaultsChange, InitiatorChange, Set, TargetChange};
use stmf::iscsi::chap::{Algorithm, decode, encode};
use stmf::iscsi::pdu::{Header, opcode};
use stmf::iscsi::{Config, Provider};
use stmf::types::Secret;

const USER: &str = "backup";
const SECRET: &str = "correct-horse";
const TARGET_SECRET: &str = "battery-staple";

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::new(text.into()).unwrap())
}

fn context(provider: &Provider, user: &str) {
    let change = InitiatorChange {
        chap_user: Set::To(user.into()),
        secret: secret(SECRET),
    };
    let name = HOST.into();
    provider.change(Change::CreateInitiator { name, change }).unwrap();
}

fn set(provider: &Provider, change: TargetChange) {
    let name = TARGET.into();
    provider.change(Change::ModifyTarget { name, change }).unwrap();
}

fn guarded() -> Node {
    let node = Node::start();
    context(&node.provider, USER);
    set(
        &node.provider,
        TargetChange {
            auth: Set::To(Auth::Chap),
            ..TargetChange::default()
        },
    );
    node
}

fn inquire(node: &Node, credentials: &str, query: &str, environment: &[(&str, &str)]) -> (bool, String) {
    let url = format!("iscsi://{credentials}{}/{TARGET}/0{query}", node.address);
    run_with("iscsi-inq", &["-i", HOST, &url], environment)
}

#[test]
fn libiscsi_with_and_without_the_secret() {
    let node = guarded();
    let (success, text) = inquire(&node, &format!("{USER}%{SECRET}@"), "", &[]);
    assert!(success && text.contains("Vendor:SUN"), "{text}");
    let (success, text) = inquire(&node, &format!("{USER}%{SECRET}@"), "?header_digest=crc32c", &[]);
    assert!(success && text.contains("Vendor:SUN"), "{text}");
    for credentials in [
        format!("{USER}%wrong-horse-x@"),
        format!("other%{SECRET}@"),
        String::new(),
    ] {
        let (success, text) = inquire(&node, &credentials, "", &[]);
        assert!(!success && !text.contains("Vendor:"), "{credentials}: {text}");
    }
    // Another initiator has no context.
    let url = format!("iscsi://{USER}%{SECRET}@{}/{TARGET}/0", node.address);
    let (success, text) = run_with("iscsi-inq", &["-i", "iqn.2026-11.example:other", &url], &[]);
    assert!(!success, "{text}");
    wait(|| node.sessions() == 0);
}

#[test]
fn libiscsi_mutual() {
    let node = guarded();
    let mutual = |user, secret| {
        [
            ("LIBISCSI_CHAP_TARGET_USERNAME", user),
            ("LIBISCSI_CHAP_TARGET_PASSWORD", secret),
        ]
    };
    let credentials = format!("{USER}%{SECRET}@");
    // The target has no secret of its own yet.
    let (success, text) = inquire(&node, &credentials, "", &mutual(TARGET, TARGET_SECRET));
    assert!(!success, "{text}");
    set(
        &node.provider,
        TargetChange {
            secret: secret(TARGET_SECRET),
            ..TargetChange::default()
        },
    );
    let (success, text) = inquire(&node, &credentials, "", &mutual(TARGET, TARGET_SECRET));
    assert!(success && text.contains("Vendor:SUN"), "{text}");
    set(
        &node.provider,
        TargetChange {
            chap_user: Set::To("rack".into()),
            ..TargetChange::default()
        },
    );
    let (success, text) = inquire(&node, &credentials, "", &mutual("rack", TARGET_SECRET));
    assert!(success, "{text}");
    let (success, text) = inquire(&node, &credentials, "", &mutual("rack", "another-secret"));
    assert!(!success, "the initiator did not check the target: {text}");
}

#[test]
fn the_default_method_holds_where_the_target_has_none() {
    let node = Node::start();
    context(&node.provider, USER);
    let credentials = format!("{USER}%{SECRET}@");
    assert!(inquire(&node, "", "", &[]).0);
    node.provider
        .change(Change::Defaults(DefaultsChange::auth(Auth::Chap)))
        .unwrap();
    assert!(!inquire(&node, "", "", &[]).0);
    assert!(inquire(&node, &credentials, "", &[]).0);
    let auth = Set::To(Auth::None);
    set(
        &node.provider,
        TargetChange {
            auth,
            ..TargetChange::default()
        },
    );
    assert!(inquire(&node, "", "", &[]).0);
}

/// A login request of the security stage, without asking for the next one.
fn security(initiator: &mut Initiator, flags: u8, text: &str) -> (Header, String) {
    let mut header = Header::new(opcode::LOGIN | 0x40);
    header.set_byte::<1>(flags).set_byte::<8>(0x80).set_word::<24>(10);
    initiator.send(header, text.as_bytes());
    let answer = initiator.receive();
    (answer.header, String::from_utf8(answer.data).unwrap())
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let found = text
        .split('\0')
        .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("{key} in {text}"))
}

#[test]
fn status_02_01_and_no_session_without_the_right_response() {
    let node = guarded();
    let hello = format!("InitiatorName={HOST}\0TargetName={TARGET}\0AuthMethod=CHAP,None\0");
    // Straight to full feature phase, and by way of None.
    let mut initiator = Initiator::connect(node.address);
    let answer = initiator.try_login(HOST, TARGET, &[]).header;
    assert_eq!((answer.0[36], answer.0[37]), (2, 1));
    for text in ["AuthMethod=None\0", ""] {
        let mut initiator = Initiator::connect(node.address);
        let first = format!("InitiatorName={HOST}\0TargetName={TARGET}\0{text}");
        let mut status = security(&mut initiator, 0x83, &first).0;
        if status.0[36] == 0 {
            status = security(&mut initiator, 0x83, "").0;
        }
        assert_eq!((status.0[36], status.0[37]), (2, 1), "{text}");
        assert!(initiator.closed());
    }
    // A wrong response, with each algorithm; then the right one.
    for (number, algorithm) in [(5, Algorithm::Md5), (6, Algorithm::Sha1), (7, Algorithm::Sha256)] {
        for (secret_text, passes) in [("correct-horsf", false), (SECRET, true)] {
            let mut initiator = Initiator::connect(node.address);
            let (_, text) = security(&mut initiator, 0, &hello);
            assert_eq!(value(&text, "AuthMethod"), "CHAP");
            let (_, text) = security(&mut initiator, 0, &format!("CHAP_A={number}\0"));
            let identifier = value(&text, "CHAP_I").parse().unwrap();
            let challenge = decode(value(&text, "CHAP_C")).unwrap();
            let response = algorithm.response(identifier, &secret(secret_text).unwrap(), &challenge);
            let text = format!("CHAP_N={USER}\0CHAP_R={}\0", encode(&response));
            let (header, _) = security(&mut initiator, 0x83, &text);
            let expected = if passes { (0, 0, 0x83) } else { (2, 1, 0) };
            assert_eq!((header.0[36], header.0[37], header.0[1]), expected);
            wait(|| node.sessions() == usize::from(passes));
            if passes {
                initiator.logout();
            }
        }
        wait(|| node.sessions() == 0);
    }
}

/// `iscsi-target.md` 13.2; RFC 7143 7.12: a negotiation that fails ends the login.
#[test]
fn without_a_common_algorithm_the_login_ends_with_reject_and_02_01() {
    let node = guarded();
    for list in ["8", "56,9", "5,"] {
        let mut initiator = Initiator::connect(node.address);
        let hello = format!("InitiatorName={HOST}\0TargetName={TARGET}\0AuthMethod=CHAP\0");
        let (_, text) = security(&mut initiator, 0, &hello);
        assert_eq!(value(&text, "AuthMethod"), "CHAP");
        let (status, text) = security(&mut initiator, 0, &format!("CHAP_A={list}\0"));
        assert_eq!((status.0[36], status.0[37]), (2, 1), "{list}");
        assert_eq!(text, "CHAP_A=Reject\0", "{list}");
        assert!(initiator.closed());
    }
    assert_eq!(node.sessions(), 0);
}

#[test]
fn an_unauthenticated_login_does_not_disturb_a_session() {
    let node = Node::start();
    context(&node.provider, USER);
    let mut first = Initiator::login(node.address, HOST, TARGET, &[]);
    first.test_unit_ready();
    set(
        &node.provider,
        TargetChange {
            auth: Set::To(Auth::Chap),
            ..TargetChange::default()
        },
    );
    // The same initiator, ISID and target: a reinstatement, if it were let in.
    let mut second = Initiator::connect(node.address);
    let hello = format!("InitiatorName={HOST}\0TargetName={TARGET}\0AuthMethod=CHAP\0");
    security(&mut second, 0, &hello);
    security(&mut second, 0, "CHAP_A=5\0");
    let (status, _) = security(&mut second, 0x83, "CHAP_N=backup\0CHAP_R=0x00\0");
    assert_eq!((status.0[36], status.0[37]), (2, 1));
    first.test_unit_ready();
    first.logout();
}

#[test]
fn secrets_survive_a_restart_apart_from_the_provider_data() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let store = stmf::store::Store::open(directory.path()).unwrap();
        let framework = stmf::framework::Framework::new(store);
        framework.load().unwrap();
        let provider = Provider::new(&framework, Config::default()).unwrap();
        provider.start().unwrap();
        (framework, provider)
    };
    let (framework, provider) = open();
    provider.create_target(Some(TARGET), None).unwrap();
    context(&provider, USER);
    set(
        &provider,
        TargetChange {
            secret: secret(TARGET_SECRET),
            ..TargetChange::default()
        },
    );
    let before = provider.listing();
    let data = framework.store().load().unwrap().providers.remove(0).data;
    let shown = format!("{before:?}{}", String::from_utf8_lossy(&data));
    for text in [SECRET, TARGET_SECRET, "Y29ycmVjdC1ob3JzZQ", "YmF0dGVyeS1zdGFwbGU"] {
        assert!(!shown.contains(text));
    }
    // What a client of the library sees is the same.
    let key = framework.provider_data_list().unwrap().remove(0);
    assert_eq!(framework.provider_data(&key).unwrap().data, data);
    drop((framework, provider));
    let (framework, provider) = open();
    // The runtime state may differ, what is configured may not.
    let after = provider.listing();
    assert!(after.targets[0].secret && after.initiators[0].secret);
    assert_eq!(
        (&after.initiators, &after.defaults),
        (&before.initiators, &before.defaults)
    );
    let name = HOST.into();
    provider.change(Change::DeleteInitiator { name }).unwrap();
    let settings = framework.store().load().unwrap().settings;
    let secrets = settings.iter().filter(|(key, _)| key.starts_with("iscsit.secret/"));
    assert_eq!(secrets.count(), 1, "the secret goes with its initiator");
}
