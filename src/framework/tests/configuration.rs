//! Provider data, persist methods, default states, modifying LUs: what callers and a restart see.

use super::model::*;
use crate::framework::*;
use crate::nvlist::{Limits, NvList, Value};
use crate::store::Store;
use crate::types::*;
use std::path::Path;
use std::sync::Arc;

fn key(kind: ProviderKind, name: &str) -> ProviderKey {
    let name = ProviderName::new(name.as_bytes()).unwrap();
    ProviderKey { kind, name }
}

fn start(shared: &Arc<Shared>, directory: &Path) -> Node {
    Node::with_store(0, shared, Store::open(directory).unwrap())
}

fn stop(node: Node) {
    node.framework.shutdown();
}

fn sbd_list(framework: &Framework) -> (NvList, u64) {
    let data = framework.provider_data(&key(ProviderKind::Lu, "sbd")).unwrap();
    (NvList::unpack(&data.data, &Limits::MESSAGE).unwrap(), data.token)
}

fn name_of(n: u8) -> String {
    guid(n).to_string().to_ascii_lowercase()
}

#[test]
fn tokens_never_repeat_and_stale_ones_are_refused() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::default());
    let node = start(&shared, directory.path());
    let f = &node.framework;
    let (lu, port) = (key(ProviderKind::Lu, "x"), key(ProviderKind::Port, "x"));
    assert_eq!(f.provider_data(&lu), Err(Status::NotFound));
    assert_eq!(f.clear_provider_data(&lu), Err(Status::NotFound));
    assert_eq!(f.set_provider_data(&lu, vec![1], Some(7)), Err(Status::ProvDataStale));
    let first = f.set_provider_data(&lu, vec![1], Some(0)).unwrap();
    assert_eq!(f.set_provider_data(&lu, vec![2], Some(0)), Err(Status::ProvDataStale));
    let second = f.set_provider_data(&lu, vec![2], Some(first)).unwrap();
    let third = f.set_provider_data(&lu, vec![3], None).unwrap();
    assert!(first > 0 && first < second && second < third);
    f.set_provider_data(&port, vec![4], None).unwrap();
    assert_eq!(f.provider_data_list().unwrap(), [lu.clone(), port.clone()]);
    f.clear_provider_data(&lu).unwrap();
    stop(node);

    let node = start(&shared, directory.path());
    let f = &node.framework;
    assert_eq!(f.provider_data(&lu), Err(Status::NotFound));
    assert_eq!(f.provider_data(&port).unwrap().data, [4]);
    assert!(f.set_provider_data(&lu, vec![5], Some(0)).unwrap() > third);
}

#[test]
fn the_list_of_sbd_follows_the_lus_and_the_other_way_round() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::default());
    let node = start(&shared, directory.path());
    let f = &node.framework;
    let sbd = key(ProviderKind::Lu, "sbd");
    assert_eq!(f.provider_data(&sbd), Err(Status::NotFound));
    node.create("/a", 1).unwrap();
    node.create("/b", 2).unwrap();
    let (mut list, token) = sbd_list(f);
    assert_eq!(list.len(), 2);
    assert_eq!(list.get(&name_of(1)), Some(&Value::String(b"/a".to_vec())));

    list.push("mine", Value::UInt32(42));
    let next = f.set_provider_data(&sbd, list.pack(), Some(token)).unwrap();
    f.lu_delete(&guid(2)).unwrap();
    let (list, after) = sbd_list(f);
    assert!(after > next, "a deletion is a change of the data");
    assert_eq!(list.len(), 2);
    assert_eq!(list.get("mine"), Some(&Value::UInt32(42)), "other pairs are preserved");
    assert_eq!(
        f.set_provider_data(&sbd, list.pack(), Some(next)),
        Err(Status::ProvDataStale)
    );
    assert_eq!(
        f.set_provider_data(&sbd, vec![9; 3], None),
        Err(Status::Error),
        "no list"
    );
    let (same, unchanged) = sbd_list(f);
    assert_eq!((same, unchanged), (list, after));
    stop(node);

    let node = start(&shared, directory.path());
    let f = &node.framework;
    assert_eq!(f.lu_list(), [guid(1)]);
    assert_eq!(sbd_list(f).1, after, "tokens survive a restart");
    f.clear_provider_data(&sbd).unwrap();
    assert_eq!(f.lu_list(), [guid(1)], "clearing unregisters nothing");
    stop(node);
    let node = start(&shared, directory.path());
    assert!(node.framework.lu_list().is_empty(), "but it is forgotten");
}

#[test]
fn with_method_none_a_change_is_live_only() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::default());
    let node = start(&shared, directory.path());
    let f = &node.framework;
    let group = |name: &str| GroupName::new(name.as_bytes()).unwrap();
    let (lost, kept) = (group("lost"), group("kept"));
    let x = key(ProviderKind::Port, "x");
    with_persist_method(Some(PersistMethod::None), || {
        f.group_create(GroupKind::Host, &lost).unwrap();
        f.set_provider_data(&x, vec![1], None).unwrap();
        node.create("/a", 1).unwrap();
        f.set_mgmt_url(Some("http://lost")).unwrap();
        f.set_default_state(DefaultState::Targets, false).unwrap();
    });
    f.group_create(GroupKind::Host, &kept).unwrap();
    assert_eq!(f.group_list(GroupKind::Host).unwrap(), [lost, kept.clone()]);
    assert_eq!(f.mgmt_url().unwrap().as_deref(), Some("http://lost"));
    assert_eq!(f.lu_list(), [guid(1)]);
    stop(node);

    let node = start(&shared, directory.path());
    let f = &node.framework;
    assert_eq!(f.group_list(GroupKind::Host).unwrap(), [kept]);
    assert_eq!(f.provider_data(&x), Err(Status::NotFound));
    assert!(f.lu_list().is_empty());
    assert_eq!(f.mgmt_url().unwrap(), None);
    assert_eq!(
        f.default_state(DefaultState::Targets),
        Ok(false),
        "written all the same"
    );
    assert_eq!(f.default_state(DefaultState::Lus), Ok(true));

    f.set_persist_method(PersistMethod::None).unwrap();
    f.group_create(GroupKind::Host, &group("lost")).unwrap();
    with_persist_method(Some(PersistMethod::Store), || {
        f.group_create(GroupKind::Target, &group("kept")).unwrap()
    });
    stop(node);
    let node = start(&shared, directory.path());
    let f = &node.framework;
    assert_eq!(f.persist_method(), PersistMethod::None);
    assert!(
        f.group_list(GroupKind::Host).unwrap().is_empty(),
        "with method NONE nothing is read"
    );
    f.set_persist_method(PersistMethod::Store).unwrap();
    f.reload().unwrap();
    assert_eq!(f.group_list(GroupKind::Host).unwrap(), [group("kept")]);
    assert_eq!(f.group_list(GroupKind::Target).unwrap(), [group("kept")]);
}

#[test]
fn a_reload_needs_an_offline_service_and_brings_back_what_is_stored() {
    let (directory, shared) = (tempfile::tempdir().unwrap(), Arc::default());
    let node = start(&shared, directory.path());
    let f = &node.framework;
    let group = GroupName::new(b"live").unwrap();
    node.create("/a", 1).unwrap();
    with_persist_method(Some(PersistMethod::None), || {
        f.group_create(GroupKind::Host, &group).unwrap();
        f.clear_provider_data(&key(ProviderKind::Lu, "sbd")).unwrap();
    });
    f.online().unwrap();
    assert_eq!(f.reload(), Err(Status::ServiceOnline));
    f.offline().unwrap();
    f.reload().unwrap();
    assert!(f.group_list(GroupKind::Host).unwrap().is_empty());
    assert_eq!(sbd_list(f).0.len(), 1);
    assert_eq!(f.lu_list(), [guid(1)]);
    assert_eq!(f.state().config, ConfigState::InitDone);
}

#[test]
fn a_load_is_seen_and_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let node = Node::with_store(0, &Arc::default(), Store::open(directory.path()).unwrap());
    let f = &node.framework;
    node.create("/a", 1).unwrap();
    let live_only = || f.lu_delete(&guid(1));
    with_persist_method(Some(PersistMethod::None), live_only).unwrap();
    let import = node.provider.gate.lock();
    std::thread::scope(|scope| {
        let load = scope.spawn(|| f.reload());
        while f.state().config != ConfigState::Init {
            std::thread::yield_now();
        }
        let list = scope.spawn(|| f.provider_data_list());
        assert_eq!(f.online(), Err(Status::ConfigNone));
        assert!(!list.is_finished());
        drop(import);
        assert_eq!(load.join().unwrap(), Ok(()));
        assert!(list.join().unwrap().is_ok());
    });
    assert_eq!((f.state().config, f.lu_list()), (ConfigState::InitDone, vec![guid(1)]));
}

#[test]
fn default_states_take_effect_when_they_are_loaded() {
    let node = Node::single();
    let f = &node.framework;
    f.set_default_state(DefaultState::Lus, false).unwrap();
    node.create("/a", 1).unwrap();
    let state = |n| f.lu_info(&guid(n)).unwrap().state;
    assert_eq!(state(1), Some(ObjectState::Online), "nothing changes live");
    f.load_default_states().unwrap();
    node.create("/b", 2).unwrap();
    assert_eq!(
        (state(1), state(2)),
        (Some(ObjectState::Online), Some(ObjectState::Offline))
    );
}

#[test]
fn only_an_active_lu_is_modified() {
    let node = Node::single();
    let f = &node.framework;
    let change = LuChange::Alias("x".to_owned());
    assert_eq!(f.lu_modify(&guid(1), &change), Err(Status::NotFound));
    node.create("/a", 1).unwrap();
    assert_eq!(f.lu_modify(&guid(1), &change), Ok(()));
    assert_eq!(f.lu_modify_file("/a", &change), Ok(()));
    assert_eq!(f.lu_modify_file("/nothing", &change), Err(Status::MetaFileName));
    f.lu_standby(&guid(1)).unwrap();
    assert_eq!(f.lu_modify(&guid(1), &change), Err(Status::AccessStateSet));
    f.lu_import("/a").unwrap();
    f.lu_delete(&guid(1)).unwrap();
    assert_eq!(f.lu_modify_file("/a", &change), Ok(()), "not registered");
    assert_eq!(f.lu_info(&guid(1)), Err(Status::NotFound));
    f.lu_import("/a").unwrap();
}
