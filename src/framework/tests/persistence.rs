//! What a restart finds.

use super::model::*;
use crate::framework::*;
use crate::store::{Change, Store};
use crate::types::*;
use std::path::Path;
use std::sync::Arc;

fn start(number: u8, shared: &Arc<Shared>, directory: &Path) -> Node {
    Node::with_store(number, shared, Store::open(directory).unwrap())
}

/// The process ends without a word: what it had open is closed, the record still names it.
fn crash(node: Node, shared: &Shared) {
    drop(node);
    shared.0.lock().values_mut().for_each(|medium| medium.open = 0);
}

#[test]
fn groups_views_and_lus_come_back() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::default());
    let node = start(0, &shared, directory.path());
    let groups: Vec<GroupName> = ["z", "a", "m"].map(|n| GroupName::new(n.as_bytes()).unwrap()).to_vec();
    for group in &groups {
        node.framework.group_create(GroupKind::Host, group).unwrap();
    }
    for host in ["iqn.2", "iqn.1"] {
        node.framework
            .group_add(GroupKind::Host, &groups[0], &devid(host))
            .unwrap();
    }
    node.create("/a", 1).unwrap();
    node.view_all(1, 7);
    for group in &groups {
        let request = ViewRequest {
            host_group: Some(group.clone()),
            target_group: None,
            lun: None,
        };
        node.framework.view_add(&guid(2), &request).unwrap();
    }
    node.framework.view_remove(&guid(2), 0).unwrap();
    let views = node.framework.view_list(&guid(2)).unwrap();
    node.framework.shutdown();
    assert_eq!(shared.0.lock()["/a"].owner, None, "a clean stop releases");
    drop(node);

    let node = start(0, &shared, directory.path());
    assert_eq!(node.framework.group_list(GroupKind::Host).unwrap(), groups);
    let members = node.framework.group_members(GroupKind::Host, &groups[0]).unwrap();
    assert_eq!(members, [devid("iqn.2"), devid("iqn.1")]);
    assert_eq!(node.framework.view_list(&guid(2)).unwrap(), views, "indexes as stored");
    assert_eq!(node.access(1), Some(AccessState::Active));
    assert_eq!(
        node.framework.lu_info(&guid(1)).unwrap().state,
        Some(ObjectState::Offline)
    );
    node.framework.online().unwrap();
    assert_eq!(
        node.framework.lu_info(&guid(1)).unwrap().state,
        Some(ObjectState::Online)
    );
}

#[test]
fn a_deleted_lu_stays_away_and_an_unusable_one_does_not_stop_the_load() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::<Shared>::default());
    let node = start(0, &shared, directory.path());
    for (path, n) in [("/a", 1), ("/b", 2), ("/c", 3)] {
        node.create(path, n).unwrap();
    }
    node.framework.lu_delete(&guid(1)).unwrap();
    crash(node, &shared);
    let gone = shared.0.lock().remove("/b").unwrap();
    let node = start(0, &shared, directory.path());
    assert_eq!(node.framework.lu_list(), [guid(3)]);
    crash(node, &shared);
    shared.0.lock().insert("/b".to_owned(), gone);
    let node = start(0, &shared, directory.path());
    assert_eq!(node.framework.lu_list(), [guid(2), guid(3)], "its entry was kept");
}

/// Hazard H1: what the other node took meanwhile is not imported at boot.
#[test]
fn a_node_that_lost_its_lus_while_it_was_down_comes_up_standby() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shared: Arc<Shared> = Arc::default();
    let a = start(0, &shared, first.path());
    a.create("/x", 1).unwrap();
    crash(a, &shared);
    let b = start(1, &shared, second.path());
    b.framework.peer_fenced().unwrap();
    assert_eq!(b.framework.lu_import("/x"), Ok(guid(1)));
    let a = start(0, &shared, first.path());
    assert_eq!(a.access(1), Some(AccessState::Standby), "H1");
    assert_eq!(b.access(1), Some(AccessState::Active));
    drop(a);
    let a = start(0, &shared, first.path());
    assert_eq!(a.access(1), Some(AccessState::Standby));
    b.framework.lu_standby(&guid(1)).unwrap();
    assert_eq!(a.framework.lu_import("/x"), Ok(guid(1)));
    assert_eq!(a.access(1), Some(AccessState::Active));
}

#[test]
fn a_given_up_lu_does_not_come_up_active() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::<Shared>::default());
    let node = start(0, &shared, directory.path());
    node.create("/a", 1).unwrap();
    node.framework.lu_standby(&guid(1)).unwrap();
    drop(node);
    let node = start(0, &shared, directory.path());
    assert_eq!(node.access(1), Some(AccessState::Standby));
    assert_eq!(shared.0.lock()["/a"].open, 0, "nothing was opened");
    assert_eq!(node.framework.lu_import("/a"), Ok(guid(1)));
    crash(node, &shared);
    let node = start(0, &shared, directory.path());
    assert_eq!(node.access(1), Some(AccessState::Active), "import removes the mark");
}

#[test]
fn alua_mode_comes_back_and_waits_for_the_cluster_software() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::<Shared>::default());
    let node = start(1, &shared, directory.path());
    node.framework.set_alua(true, NodeId::new(1)).unwrap();
    drop(node);
    let node = start(1, &shared, directory.path());
    assert_eq!(node.framework.alua(), (true, NodeId::new(1).unwrap()));
    assert_eq!(
        *node.link.enabled.lock(),
        [],
        "nothing is said before the mode is enabled again"
    );
    assert_eq!(node.port("iqn.t").rtpid, 256);
    assert_eq!(node.framework.set_alua(true, NodeId::new(1)), Ok(()));
    assert_eq!(node.link.enabled.lock().len(), 1);
}

/// All or nothing: a call that cannot be stored fails and changes nothing.
#[test]
fn a_store_that_fails_changes_nothing() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::<Shared>::default());
    let node = start(0, &shared, directory.path());
    let framework = &node.framework;
    let (group, host) = (GroupName::new(b"g").unwrap(), devid("iqn.h"));
    framework.group_create(GroupKind::Host, &group).unwrap();
    node.create("/a", 1).unwrap();
    node.view_all(1, 3);
    break_database(directory.path());

    let other = GroupName::new(b"other").unwrap();
    assert_eq!(framework.group_create(GroupKind::Host, &other), Err(Status::Error));
    assert_eq!(
        framework.group_list(GroupKind::Host).unwrap(),
        std::slice::from_ref(&group)
    );
    assert_eq!(framework.group_add(GroupKind::Host, &group, &host), Err(Status::Error));
    assert_eq!(framework.group_members(GroupKind::Host, &group).unwrap(), []);
    assert_eq!(framework.view_remove(&guid(1), 0), Err(Status::Error));
    assert_eq!(framework.view_list(&guid(1)).unwrap().len(), 1);
    assert_eq!(node.create("/b", 2), Err(Status::Error));
    assert_eq!(framework.lu_list(), [guid(1)]);
    assert_eq!(shared.0.lock()["/b"].open, 0, "what was created is closed again");
    assert_eq!(framework.lu_delete(&guid(1)), Err(Status::Error));
    assert_eq!(framework.lu_standby(&guid(1)), Err(Status::Error));
    assert_eq!(node.access(1), Some(AccessState::Active));
    assert_eq!(framework.lu_info(&guid(1)).unwrap().state, Some(ObjectState::Offline));
    assert_eq!(framework.set_alua(true, NodeId::new(1)), Err(Status::Error));
    assert!(!framework.alua().0);
}

/// Takes the tables away from under the open store.
fn break_database(directory: &Path) {
    let database = rusqlite::Connection::open(directory.join(Store::DATABASE)).unwrap();
    let tables: Vec<String> = database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert!(!tables.is_empty());
    database.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    for table in tables {
        database.execute(&format!("DROP TABLE \"{table}\""), []).unwrap();
    }
}

#[test]
fn settings_take_effect_at_the_next_start() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::<Shared>::default());
    let node = start(0, &shared, directory.path());
    node.create("/a", 1).unwrap();
    let settings = [
        ("default-lu-state", "offline"),
        ("default-target-state", "offline"),
        ("alua/standby-reads", "refuse"),
    ];
    let changes = settings.map(|(key, value)| Change::PutSetting {
        key: key.to_owned(),
        value: value.to_owned(),
    });
    node.framework.store().commit(&changes).unwrap();
    crash(node, &shared);

    let node = start(0, &shared, directory.path());
    node.framework.online().unwrap();
    let lu_state = |n| node.framework.lu_info(&guid(n)).unwrap().state;
    assert_eq!(lu_state(1), Some(ObjectState::Offline));
    node.create("/b", 2).unwrap();
    assert_eq!(lu_state(2), Some(ObjectState::Offline));
    node.framework.lu_online(&guid(1)).unwrap();
    assert_eq!(lu_state(1), Some(ObjectState::Online), "one by one");
    let control = Arc::new(ModelPort {
        framework: Arc::downgrade(&node.framework),
        devid: devid("iqn.t"),
        nexuses: Default::default(),
    });
    let spec = PortSpec {
        devid: devid("iqn.t"),
        protocol: Protocol::Iscsi,
        provider: "iscsit",
        alias: String::new(),
        image_rtpid: None,
        control,
    };
    assert_eq!(
        node.framework.port_register(spec).unwrap().state(),
        ObjectState::Offline
    );
    assert!(!node.framework.standby_reads());
}
