//! Explicit portal groups: listeners, login validity, tags, SendTargets.

use super::HOST;
use super::initiator::Initiator;
use super::node::{Node, TARGET, wait};
use super::tools::run_with;
use std::net::{SocketAddr, TcpListener, TcpStream};
use stmf::iscsi::admin::{Change, TargetChange};
use stmf::iscsi::pdu::{Header, NO_TAG, opcode};
use stmf::types::DevId;

const OTHER: &str = "iqn.2026-11.example:default";

/// A portal that is free now.
fn free(ip: &str) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

fn bind(node: &Node, groups: &[&str]) {
    let change = TargetChange {
        groups: Some(groups.iter().map(|&group| group.into()).collect()),
        ..TargetChange::default()
    };
    let name = TARGET.into();
    node.provider.change(Change::ModifyTarget { name, change }).unwrap();
}

fn create(node: &Node, name: &str, portals: &[SocketAddr]) {
    let (name, portals) = (name.into(), portals.to_vec());
    node.provider.change(Change::CreateGroup { name, portals }).unwrap();
}

fn listens(portal: SocketAddr) -> bool {
    TcpStream::connect(portal).is_ok()
}

/// SendTargets=All in a discovery session.
fn discover(portal: SocketAddr) -> String {
    let mut discovery = Initiator::login(portal, HOST, "", &[]);
    let mut text = Header::new(opcode::TEXT);
    text.set_byte::<1>(0x80).set_word::<20>(NO_TAG);
    discovery.request(text, b"SendTargets=All\0");
    let answer = String::from_utf8(discovery.receive().data).unwrap();
    discovery.logout();
    answer.replace('\0', " ")
}

fn login_status(portal: SocketAddr, target: &str) -> (u8, u8) {
    let answer = Initiator::connect(portal).try_login(HOST, target, &[]);
    (answer.header.0[36], answer.header.0[37])
}

/// The tag in the answer of a login.
fn tag(portal: SocketAddr) -> String {
    let mut initiator = Initiator::connect(portal);
    let answer = initiator.try_login(HOST, TARGET, &[]);
    let text = String::from_utf8(answer.data).unwrap();
    let tag = text
        .split('\0')
        .find_map(|pair| pair.strip_prefix("TargetPortalGroupTag="));
    tag.unwrap().to_owned()
}

#[test]
fn a_target_is_reached_through_its_portals_only() {
    let node = Node::start();
    node.provider.create_target(Some(OTHER), None).unwrap();
    wait(|| node.online(OTHER));
    let (a1, a2, b) = (free("127.0.0.1"), free("127.0.0.2"), free("127.0.0.3"));
    create(&node, "a", &[a1, a2]);
    create(&node, "9", &[b]);
    assert!(!listens(a1), "nobody uses it yet");
    bind(&node, &["a", "9"]);
    wait(|| listens(a1) && listens(a2) && listens(b));
    assert_eq!((tag(a1).as_str(), tag(a2).as_str(), tag(b).as_str()), ("2", "2", "9"));
    assert_eq!(login_status(node.address, TARGET), (2, 3));
    assert_eq!(login_status(a1, OTHER), (2, 3));
    assert_eq!(login_status(node.address, OTHER), (0, 0));
    assert_eq!(
        discover(a2),
        format!("TargetName={TARGET} TargetAddress={a2},2 TargetAddress={a1},2 TargetAddress={b},9 ")
    );
    assert_eq!(
        discover(node.address),
        format!("TargetName={OTHER} TargetAddress={},1 ", node.address)
    );
    let listing = node.provider.listing();
    let target = listing.targets.iter().find(|target| target.name == TARGET).unwrap();
    assert_eq!(target.groups, [("9".into(), 9), ("a".into(), 2)]);
    // A real initiator, with both digests where it knows them.
    let url = format!("iscsi://{b}/{TARGET}/0?header_digest=crc32c&data_digest=crc32c");
    let (success, text) = run_with("iscsi-inq", &["-i", HOST, &url], &[]);
    assert!(success && text.contains("Vendor:SUN"), "{text}");
}

#[test]
fn listeners_follow_the_online_targets() {
    let node = Node::start();
    let portal = free("127.0.0.1");
    create(&node, "a", &[portal]);
    bind(&node, &["a"]);
    wait(|| listens(portal));
    let devid = DevId::new(TARGET.as_bytes()).unwrap();
    node.framework.port_offline(&devid).unwrap();
    wait(|| !listens(portal));
    // Busy as long as it still goes offline.
    wait(|| node.framework.port_online(&devid).is_ok());
    wait(|| listens(portal));
    bind(&node, &[]);
    wait(|| !listens(portal));
    assert_eq!(login_status(node.address, TARGET), (0, 0));
}

#[test]
fn an_address_that_is_absent_or_taken_does_not_stop_the_target() {
    let node = Node::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let absent = "192.0.2.77:3260".parse().unwrap();
    let good = free("127.0.0.2");
    create(&node, "a", &[taken.local_addr().unwrap(), absent, good]);
    bind(&node, &["a"]);
    wait(|| listens(good));
    assert!(node.online(TARGET));
    // It is opened when the address is free.
    let portal = taken.local_addr().unwrap();
    drop(taken);
    wait(|| listens(portal));
    assert_eq!(tag(portal), "2");
}

#[test]
fn a_default_listener_serves_the_portals_that_it_covers() {
    let node = Node::with(stmf::iscsi::Config {
        portals: vec!["0.0.0.0:0".parse().unwrap()],
        ..stmf::iscsi::Config::default()
    });
    let portal = SocketAddr::new([127, 0, 0, 2].into(), node.address.port());
    create(&node, "a", &[portal]);
    bind(&node, &["a"]);
    assert_eq!(tag(portal), "2");
    let elsewhere = SocketAddr::new([127, 0, 0, 1].into(), portal.port());
    assert_eq!(login_status(elsewhere, TARGET), (2, 3));
    assert_eq!(discover(elsewhere), "");
}

#[test]
fn a_rename_closes_the_sessions() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, &[]);
    initiator.test_unit_ready();
    let renaming = std::thread::scope(|scope| {
        let renaming = scope.spawn(|| {
            let change = TargetChange {
                name: Some("iqn.2026-11.example:Renamed".into()),
                ..TargetChange::default()
            };
            let name = TARGET.into();
            node.provider.change(Change::ModifyTarget { name, change })
        });
        assert_eq!(initiator.receive().header.opcode(), opcode::ASYNC_MESSAGE);
        initiator.logout();
        renaming.join().unwrap()
    });
    assert_eq!(renaming.unwrap(), "iqn.2026-11.example:renamed");
    wait(|| node.online("iqn.2026-11.example:renamed"));
    assert_eq!(login_status(node.address, TARGET), (2, 3));
    assert_eq!(login_status(node.address, "iqn.2026-11.example:renamed"), (0, 0));
}
