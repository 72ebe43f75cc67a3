//! Mirroring of groups and view entries between two frameworks.

use super::model::*;
use crate::framework::*;
use crate::store::Store;
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn name(text: &str) -> GroupName {
    GroupName::new(text.as_bytes()).unwrap()
}

fn view(host_group: Option<&str>, lun: u16) -> ViewRequest {
    ViewRequest {
        host_group: host_group.map(name),
        target_group: None,
        lun: Lun::new(lun),
    }
}

/// Both nodes mirror, and know that they are alike.
fn mirrored() -> (Node, Node) {
    let (a, b) = pair();
    for node in [&a, &b] {
        node.framework.set_mirror(true).unwrap();
    }
    for node in [&a, &b] {
        wait("the nodes are compared", || {
            node.framework.mirror_report().alike == Some(true)
        });
    }
    (a, b)
}

fn config(node: &Node) -> PairConfig {
    node.framework.pair_config().unwrap()
}

/// Nothing waits any more.
fn settled(node: &Node) -> MirrorReport {
    wait("the peer has answered", || node.framework.mirror_report().waiting == 0);
    node.framework.mirror_report()
}

#[test]
fn every_change_is_made_there_once_and_in_order() {
    let (a, b) = mirrored();
    let f = &a.framework;
    for n in 0..20 {
        let group = name(&format!("g{n}"));
        f.group_create(GroupKind::Host, &group).unwrap();
        f.group_add(GroupKind::Host, &group, &devid(&format!("iqn.h{n}")))
            .unwrap();
        f.view_add(&guid(1), &view(Some(group.as_str()), n)).unwrap();
    }
    f.group_create(GroupKind::Target, &name("t")).unwrap();
    f.group_add(GroupKind::Target, &name("t"), &devid("iqn.elsewhere"))
        .unwrap();
    f.view_remove(&guid(1), 3).unwrap();
    f.group_remove(GroupKind::Host, &name("g3"), &devid("iqn.h3")).unwrap();
    f.group_delete(GroupKind::Host, &name("g3")).unwrap();
    let report = settled(&a);
    assert_eq!(
        (report.applied, report.refused, report.lost),
        (65, 0, 0),
        "{}",
        report.trouble
    );
    assert_eq!(config(&b), config(&a));
    let back = b.framework.mirror_report();
    assert_eq!((back.applied, back.waiting), (0, 0), "nothing is sent back");
    assert_eq!(f.compare_peer().unwrap(), Ok(Vec::new()));
    // The other way round.
    b.framework.group_delete(GroupKind::Target, &name("t")).unwrap();
    settled(&b);
    assert_eq!(config(&b), config(&a));
}

#[test]
fn a_session_sees_what_the_peer_has_mapped() {
    let (a, b) = mirrored();
    a.create("/x", 1).unwrap();
    wait("b knows the LU", || b.access(1) == Some(AccessState::Standby));
    let on_b = b.login("iqn.port-b", "iqn.host");
    a.view_all(1, 7);
    settled(&a);
    assert_eq!(luns(&b.command(&on_b, 0, LUNS, &[])), [7]);
    a.framework.view_remove(&guid(1), 0).unwrap();
    settled(&a);
    assert_eq!(luns(&b.command(&on_b, 0, LUNS, &[])), [0]);
}

#[test]
fn conflicts_are_reported_and_nothing_is_half_done() {
    let (a, b) = mirrored();
    b.link.up.store(false, Ordering::Release);
    // While b cannot be heard: it has LUN 0 of another LU, and a member elsewhere.
    b.framework.view_add(&guid(9), &view(None, 0)).unwrap();
    b.framework.group_create(GroupKind::Host, &name("other")).unwrap();
    b.framework
        .group_add(GroupKind::Host, &name("other"), &devid("iqn.h"))
        .unwrap();
    assert_eq!(settled(&b).lost, 3);
    let before = config(&b);
    a.framework.view_add(&guid(1), &view(None, 0)).unwrap();
    let report = settled(&a);
    assert_eq!((report.refused, report.alike), (1, Some(false)));
    assert!(report.trouble.contains("conflict"), "{}", report.trouble);
    assert_eq!(config(&b), before);
    a.framework.group_create(GroupKind::Host, &name("mine")).unwrap();
    a.framework
        .group_add(GroupKind::Host, &name("mine"), &devid("iqn.h"))
        .unwrap();
    let report = settled(&a);
    assert_eq!((report.applied, report.refused), (1, 2));
    let differences = a.framework.compare_peer().unwrap().unwrap();
    assert_eq!(differences.len(), 4, "{differences:?}");
    // What is so already is no conflict, whatever its index.
    b.framework.view_remove(&guid(9), 0).unwrap();
    b.framework.group_create(GroupKind::Host, &name("same")).unwrap();
    a.framework.group_create(GroupKind::Host, &name("same")).unwrap();
    let report = settled(&a);
    assert_eq!((report.applied, report.refused), (2, 2));
}

#[test]
fn a_removal_takes_only_what_is_meant() {
    let (a, b) = mirrored();
    a.framework.view_add(&guid(1), &view(None, 4)).unwrap();
    settled(&a);
    b.link.up.store(false, Ordering::Release);
    b.framework.view_remove(&guid(1), 0).unwrap();
    b.framework.view_add(&guid(1), &view(None, 5)).unwrap();
    a.framework.view_remove(&guid(1), 0).unwrap();
    let report = settled(&a);
    assert_eq!((report.applied, report.refused), (1, 1));
    assert_eq!(b.framework.view_list(&guid(1)).unwrap()[0].lun.get(), 5);
}

#[test]
fn both_must_want_it() {
    let (a, b) = pair();
    a.framework.set_mirror(true).unwrap();
    a.framework.group_create(GroupKind::Host, &name("g")).unwrap();
    let report = settled(&a);
    assert_eq!((report.applied, report.refused), (0, 1));
    assert!(
        report.trouble.contains("mirroring is off on the peer"),
        "{}",
        report.trouble
    );
    assert_eq!(config(&b), PairConfig::default());
    let refused = PeerTrouble::Refused(Refusal::NotMirrored);
    assert_eq!(a.framework.overwrite_peer().unwrap(), Err(refused));
    // Off: nothing is told.
    a.framework.set_mirror(false).unwrap();
    a.framework.group_create(GroupKind::Host, &name("h")).unwrap();
    assert_eq!(a.framework.mirror_report().refused, 1);
}

#[test]
fn after_a_lost_link_a_comparison_tells_and_one_node_takes_over() {
    let (a, b) = mirrored();
    a.link.up.store(false, Ordering::Release);
    a.framework.group_create(GroupKind::Host, &name("g")).unwrap();
    assert_eq!((settled(&a).lost, settled(&a).alike), (1, None));
    assert_eq!(a.framework.compare_peer().unwrap(), Err(PeerTrouble::NoAnswer));
    a.link.up.store(true, Ordering::Release);
    a.framework.peer_event(PeerEvent::Up);
    wait("the difference is noticed", || {
        a.framework.mirror_report().alike == Some(false)
    });
    assert_eq!(config(&b), PairConfig::default(), "nothing is repaired unasked");
    assert_eq!(a.framework.overwrite_peer().unwrap(), Ok(()));
    assert_eq!(a.framework.mirror_report().alike, Some(true));
    assert_eq!(config(&b), config(&a));
}

#[test]
fn a_take_over_is_whole_or_not_at_all() {
    let (a, b) = mirrored();
    b.link.up.store(false, Ordering::Release);
    b.framework.group_create(GroupKind::Target, &name("t")).unwrap();
    a.link.up.store(false, Ordering::Release);
    a.framework.group_create(GroupKind::Target, &name("t")).unwrap();
    a.framework
        .group_add(GroupKind::Target, &name("t"), &devid("iqn.elsewhere"))
        .unwrap();
    a.link.up.store(true, Ordering::Release);
    // A target of b that is online would change its group.
    let mut wanted = config(&a);
    wanted.groups[0].2.push(devid("iqn.port-b"));
    let before = config(&b);
    assert_eq!(b.framework.replace_config(&wanted), Err(Status::TgOnline));
    assert_eq!(config(&b), before);
    assert_eq!(a.framework.overwrite_peer().unwrap(), Ok(()));
    assert_eq!(config(&b), config(&a));
}

#[test]
fn what_was_mirrored_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let shared: Arc<Shared> = Arc::default();
    let wanted = {
        let node = Node::with_store(0, &shared, Store::open(dir.path()).unwrap());
        node.framework.set_mirror(true).unwrap();
        node.framework.group_create(GroupKind::Host, &name("old")).unwrap();
        node.framework.view_add(&guid(3), &view(Some("old"), 1)).unwrap();
        let wanted = PairConfig {
            groups: vec![
                (GroupKind::Host, name("b"), vec![devid("iqn.2"), devid("iqn.1")]),
                (GroupKind::Host, name("a"), Vec::new()),
                (GroupKind::Target, name("a"), vec![devid("iqn.t")]),
            ],
            views: vec![(guid(3), node.framework.view_list(&guid(3)).unwrap()[0].clone())]
                .into_iter()
                .map(|(lu, entry)| {
                    (
                        lu,
                        ViewEntry {
                            host_group: Some(name("b")),
                            index: 2,
                            ..entry
                        },
                    )
                })
                .collect(),
        };
        node.framework.replace_config(&wanted).unwrap();
        wanted
    };
    let node = Node::with_store(0, &shared, Store::open(dir.path()).unwrap());
    assert!(node.framework.mirrors());
    assert_eq!(config(&node), wanted);
}

#[test]
fn the_peer_tells_of_itself() {
    let (a, b) = pair();
    a.create("/x", 1).unwrap();
    let told = a.framework.peer_node().unwrap();
    assert_eq!(
        (told.status.node, told.status.alua, told.status.port_count),
        (1, true, 2)
    );
    // While it does not answer: what it said last.
    a.link.up.store(false, Ordering::Release);
    std::thread::sleep(std::time::Duration::from_millis(900));
    let old = a.framework.peer_node().unwrap();
    assert_eq!(old.status, told.status);
    assert!(old.age >= std::time::Duration::from_millis(800));
    drop(b);
}
