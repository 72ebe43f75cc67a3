//! Provider data set from outside: all of it or nothing, whatever fails on the way.

use super::node::wait;
use std::sync::Arc;
use stmf::framework::{Framework, ObjectState, PortControl, PortSpec};
use stmf::iscsi::{Config, Provider};
use stmf::nvlist::{Limits, NvList, Value};
use stmf::store::Store;
use stmf::types::{DevId, Protocol, Status};

const A: &str = "iqn.2026-11.example:a";
const B: &str = "iqn.2026-11.example:b";
const C: &str = "iqn.2026-11.example:c";

struct Nothing;

impl PortControl for Nothing {
    fn go_online(&self) {}
    fn go_offline(&self) {}
}

fn devid(name: &str) -> DevId {
    DevId::new(name.as_bytes()).unwrap()
}

fn open(directory: &std::path::Path) -> (Arc<Framework>, Provider) {
    let framework = Framework::new(Store::open(directory).unwrap());
    framework.load().unwrap();
    let provider = Provider::new(&framework, Config::default()).unwrap();
    provider.start().unwrap();
    framework.online().unwrap();
    (framework, provider)
}

/// The live data with other targets.
fn with_targets(framework: &Framework, names: &[&str]) -> Vec<u8> {
    let mut targets = NvList::new();
    names
        .iter()
        .for_each(|name| targets.push(name, Value::List(NvList::new())));
    let data = framework.provider_data(&stmf::iscsi::key()).unwrap().data;
    let mut list = NvList::unpack(&data, &Limits::PROVIDER_DATA).unwrap();
    list.push("targetList", Value::List(targets));
    list.pack()
}

#[test]
fn what_cannot_be_stored_or_registered_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (framework, provider) = open(directory.path());
    provider.create_target(Some(A), Some("a")).unwrap();
    provider.create_target(Some(B), None).unwrap();
    let state = |name: &str| framework.port_info(&devid(name)).map(|port| port.state);
    wait(|| state(A) == Ok(ObjectState::Online) && state(B) == Ok(ObjectState::Online));
    framework.port_offline(&devid(A)).unwrap();
    wait(|| state(A) == Ok(ObjectState::Offline));
    let before = (provider.listing(), framework.store().load().unwrap());
    let unchanged = |status: Status| {
        let result = provider.set_data(&with_targets(&framework, &[B, C]), None);
        assert_eq!(result.map_err(stmf::iscsi::ChangeError::data_status), Err(status));
        assert_eq!(
            (state(A), state(B)),
            (Ok(ObjectState::Offline), Ok(ObjectState::Online))
        );
        assert_eq!((provider.listing(), framework.store().load().unwrap()), before);
    };

    // A store that takes no more: the target that had gone already comes back, and stays offline.
    let other = rusqlite::Connection::open(directory.path().join(Store::DATABASE)).unwrap();
    let full = "CREATE TRIGGER full BEFORE INSERT ON provider BEGIN SELECT RAISE(ABORT, 'full'); END";
    other.execute_batch(full).unwrap();
    unchanged(Status::Error);
    assert_eq!(state(C), Err(Status::NotFound));
    other.execute_batch("DROP TRIGGER full").unwrap();

    // A name that a port of the peer has.
    let spec = PortSpec {
        devid: devid(C),
        protocol: Protocol::Iscsi,
        provider: "pppt",
        alias: String::new(),
        image_rtpid: Some(300),
        control: Arc::new(Nothing),
    };
    framework.port_register(spec).unwrap();
    unchanged(Status::InvalidArg);
    framework.port_changed(&devid(C), false);
    framework.port_deregister(&devid(C)).unwrap();

    provider.set_data(&with_targets(&framework, &[B, C]), None).unwrap();
    wait(|| state(C) == Ok(ObjectState::Online));
    assert_eq!(state(A), Err(Status::NotFound));
    drop((framework, provider));

    let (_framework, provider) = open(directory.path());
    let names: Vec<String> = provider
        .listing()
        .targets
        .into_iter()
        .map(|target| target.name)
        .collect();
    assert_eq!(names, [C, B]);
}

#[test]
fn a_target_that_is_renamed_may_be_online() {
    let directory = tempfile::tempdir().unwrap();
    let (framework, provider) = open(directory.path());
    provider.create_target(Some(A), None).unwrap();
    wait(|| {
        framework
            .port_info(&devid(A))
            .is_ok_and(|port| port.state == ObjectState::Online)
    });
    let mut properties = NvList::new();
    properties.push("oldtargetname", Value::String(A.into()));
    let mut target = NvList::new();
    target.push("properties", Value::List(properties));
    let mut targets = NvList::new();
    targets.push(B, Value::List(target));
    let mut list = NvList::new();
    list.push("targetList", Value::List(targets));
    provider.set_data(&list.pack(), None).unwrap();
    assert_eq!(framework.port_info(&devid(A)).err(), Some(Status::NotFound));
    wait(|| {
        framework
            .port_info(&devid(B))
            .is_ok_and(|port| port.state == ObjectState::Online)
    });
    let stored = framework.provider_data(&stmf::iscsi::key()).unwrap().data;
    assert!(!String::from_utf8_lossy(&stored).contains("oldtargetname"));
}
