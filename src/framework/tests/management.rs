//! The statuses of the calls, row by row (`libstmf-api.md` 3.3 to 3.9, 6.2).

use super::model::*;
use crate::framework::*;
use crate::store::Store;
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn name(text: &str) -> GroupName {
    GroupName::new(text.as_bytes()).unwrap()
}

#[test]
fn the_service_goes_on_and_off() {
    let fresh = Framework::new(Store::volatile());
    let state = fresh.state();
    assert_eq!(
        (state.operational, state.config),
        (ObjectState::Offline, ConfigState::None)
    );
    assert_eq!(fresh.online(), Err(Status::ConfigNone));
    assert_eq!(fresh.offline(), Err(Status::ServiceOffline));
    assert_eq!(fresh.group_list(GroupKind::Host), Ok(vec![]), "auto-load");
    assert_eq!(fresh.state().config, ConfigState::InitDone);
    assert_eq!(fresh.online(), Ok(()));
    assert_eq!(fresh.online(), Err(Status::ServiceOnline));
    assert_eq!(fresh.offline(), Ok(()));
    assert_eq!(fresh.offline(), Err(Status::ServiceOffline));
    assert_eq!(fresh.state().config, ConfigState::InitDone, "the configuration stays");
}

#[test]
fn lus_follow_the_service() {
    let node = Node::with_store(0, &Arc::default(), Store::volatile());
    let state = |node: &Node| node.framework.lu_info(&guid(1)).unwrap().state;
    node.create("/a", 1).unwrap();
    assert_eq!(state(&node), Some(ObjectState::Offline));
    assert_eq!(
        node.framework.lu_online(&guid(1)),
        Ok(()),
        "allowed while the service is offline"
    );
    assert_eq!(state(&node), Some(ObjectState::Online));
    node.framework.online().unwrap();
    node.framework.lu_offline(&guid(1)).unwrap();
    node.framework.offline().unwrap();
    node.framework.online().unwrap();
    assert_eq!(state(&node), Some(ObjectState::Online), "single states do not persist");
    node.framework.offline().unwrap();
    assert_eq!(state(&node), Some(ObjectState::Offline));
}

#[test]
fn create_and_its_refusals() {
    let node = Node::single();
    assert_eq!(
        node.framework.lu_create(&LuProperties::default()),
        Err(Status::MissingPropVal)
    );
    assert_eq!(node.create("/a", 1), Ok(guid(1)));
    assert_eq!(node.create("/a", 2), Err(Status::FileInUse));
    assert_eq!(node.create("/b", 1), Err(Status::GuidInUse));
    assert_eq!(node.framework.lu_list(), [guid(1)]);
    let info = node.framework.lu_info(&guid(1)).unwrap();
    assert_eq!((info.state, info.provider.as_str()), (Some(ObjectState::Online), "sbd"));
    assert_eq!((info.alias.as_str(), &info.vendor), ("/a", b"SUN     "));
    let report = node.framework.lu_access(&guid(1)).unwrap();
    assert_eq!(report.access, AccessState::Active);
    assert_eq!(report.properties.data_file.as_deref(), Some("/a"));
}

#[test]
fn unregistered_guids_are_known_by_their_views() {
    let node = Node::single();
    node.create("/b", 2).unwrap();
    node.view_all(1, 4);
    assert_eq!(node.framework.lu_list(), [guid(1), guid(2)]);
    let info = node.framework.lu_info(&guid(1)).unwrap();
    assert_eq!((info.guid, info.state, info.provider.as_str()), (guid(1), None, ""));
    for status in [
        node.framework.lu_access(&guid(1)).map(|_| ()),
        node.framework.lu_delete(&guid(1)),
        node.framework.lu_standby(&guid(1)),
        node.framework.lu_online(&guid(1)),
        node.framework.lu_offline(&guid(1)),
        node.framework.lu_info(&guid(9)).map(|_| ()),
        node.framework.lu_delete(&guid(9)),
    ] {
        assert_eq!(status, Err(Status::NotFound));
    }
    assert_eq!(node.framework.view_list(&guid(9)), Ok(vec![]));
    node.framework.view_remove(&guid(1), 0).unwrap();
    assert_eq!(node.framework.lu_list(), [guid(2)]);
}

#[test]
fn delete_keeps_file_and_views() {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.view_all(1, 0);
    let nexus = node.login("iqn.t", "iqn.i");
    node.clear(&nexus, 0);
    assert_eq!(node.framework.lu_delete(&guid(1)), Ok(()));
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (5, 0x25, 0));
    assert_eq!(node.framework.view_list(&guid(1)).unwrap().len(), 1);
    assert_eq!(node.provider.shared.0.lock()["/a"].owner, None, "released");
    assert_eq!(node.framework.lu_import("/a"), Ok(guid(1)));
    assert_eq!(luns(&node.command(&nexus, 0, LUNS, &[])), [0]);
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (6, 0x29, 0));
}

/// Hazard H6.
#[test]
fn a_store_that_cannot_be_flushed_is_kept() {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.view_all(1, 0);
    let nexus = node.login("iqn.t", "iqn.i");
    node.clear(&nexus, 0);
    node.provider.behaviour.fail_release.store(true, Ordering::Release);
    assert_eq!(node.framework.lu_standby(&guid(1)), Err(Status::Error));
    assert_eq!(node.access(1), Some(AccessState::Active));
    assert_eq!(node.command(&nexus, 0, TUR, &[]), Outcome::good());
    assert_eq!(node.framework.lu_delete(&guid(1)), Err(Status::Error));
    assert_eq!(
        node.framework.lu_info(&guid(1)).unwrap().state,
        Some(ObjectState::Online)
    );
    node.clear(&nexus, 0);
    node.provider.behaviour.fail_release.store(false, Ordering::Release);
    assert_eq!(node.framework.lu_delete(&guid(1)), Ok(()));
}

/// What could not be flushed is lost: the first delete says so, the second one is meant.
#[test]
fn a_second_delete_discards_what_cannot_be_flushed() {
    let node = Node::single();
    node.create("/a", 1).unwrap();
    node.provider.behaviour.fail_release.store(true, Ordering::Release);
    assert_eq!(node.framework.lu_delete(&guid(1)), Err(Status::Error));
    assert_eq!(
        node.framework.lu_standby(&guid(1)),
        Err(Status::Error),
        "never handed over"
    );
    assert_eq!(node.framework.lu_delete(&guid(1)), Ok(()));
    assert_eq!(node.framework.lu_list(), []);
}

#[test]
fn import_and_its_refusals() {
    let node = Node::single();
    assert_eq!(node.framework.lu_import("/none"), Err((Status::MetaFileName, None)));
    node.create("/a", 1).unwrap();
    assert_eq!(node.framework.lu_import("/a"), Err((Status::FileInUse, Some(guid(1)))));
    let copy = node.provider.shared.0.lock()["/a"].clone();
    node.provider.shared.0.lock().insert("/copy".to_owned(), copy);
    assert_eq!(node.framework.lu_import("/copy"), Err((Status::GuidInUse, None)));
    let foreign = Medium {
        guid: guid(2),
        owner: Some(1),
        generation: 4,
        data: 0,
        open: 1,
    };
    node.provider.shared.0.lock().insert("/foreign".to_owned(), foreign);
    assert_eq!(
        node.framework.lu_import("/foreign"),
        Err((Status::AccessStateSet, None))
    );
    assert_eq!(node.framework.lu_list(), [guid(1)]);
    node.framework.peer_fenced().unwrap();
    assert_eq!(node.framework.lu_import("/foreign"), Ok(guid(2)));
}

#[test]
fn a_second_operation_on_an_lu_is_busy() {
    let node = Node::single();
    node.create("/a", 1).unwrap();
    node.framework.lu_standby(&guid(1)).unwrap();
    let gate = node.provider.gate.lock();
    let framework = node.framework.clone();
    let import = std::thread::spawn(move || framework.lu_import("/a"));
    wait("the import runs", || {
        node.access(1) == Some(AccessState::TransitionToActive)
    });
    assert_eq!(node.framework.lu_import("/a"), Err((Status::Busy, None)));
    assert_eq!(node.framework.lu_standby(&guid(1)), Err(Status::Busy));
    assert_eq!(node.framework.lu_delete(&guid(1)), Err(Status::Busy));
    drop(gate);
    assert_eq!(import.join().unwrap(), Ok(guid(1)));
    assert_eq!(node.access(1), Some(AccessState::Active));
}

#[test]
fn standby_without_alua() {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.view_all(1, 0);
    let nexus = node.login("iqn.t", "iqn.i");
    node.clear(&nexus, 0);
    node.command(&nexus, 0, INQUIRY, &[]);
    assert_eq!(node.framework.lu_standby(&guid(1)), Ok(()));
    assert_eq!(node.framework.lu_standby(&guid(1)), Ok(()), "no change");
    assert_eq!(node.access(1), Some(AccessState::TransitionToStandby));
    assert_eq!(
        node.framework.lu_access(&guid(1)).unwrap().properties,
        LuProperties::default()
    );
    assert_eq!(node.framework.lu_info(&guid(1)).unwrap().alias, "/a");
    assert_eq!(luns(&node.command(&nexus, 0, LUNS, &[])), [0], "it stays mapped");
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (2, 4, 0x0a));
    assert_eq!(
        &node.command(&nexus, 0, INQUIRY, &[]).data[8..14],
        b"MODEL ",
        "as learned"
    );
    assert_eq!(node.command(&nexus, 0, SENSE, &[]).data[2], 0);
    assert_eq!(node.command(&nexus, 0, RTPG, &[]).data[4], 0x0f);
    let page = node.command(&nexus, 0, &[0x12, 1, 0x83, 0, 255, 0], &[]).data;
    assert_eq!(page[..4], [0, 0x83, 0, 20 + 4 + 5 + 16]);
    assert_eq!(page[8..24], guid(1).0);
    assert_eq!(&page[28..33], b"iqn.t");
    assert_eq!(page[33..], [1, 0x15, 0, 4, 0, 0, 0, 0, 1, 0x14, 0, 4, 0, 0, 0, 1]);
    assert_eq!(node.framework.lu_import("/a"), Ok(guid(1)));
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (6, 0x29, 0));
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (6, 0x2a, 0x06));
    assert_eq!(node.command(&nexus, 0, TUR, &[]), Outcome::good());
}

#[test]
fn target_groups_need_the_target_offline() {
    let node = Node::single();
    node.port("iqn.t");
    let (framework, member) = (&node.framework, devid("iqn.t"));
    framework.group_create(GroupKind::Target, &name("g")).unwrap();
    assert_eq!(
        framework.group_create(GroupKind::Target, &name("g")),
        Err(Status::Exists)
    );
    assert_eq!(
        framework.group_add(GroupKind::Target, &name("g"), &member),
        Err(Status::TgOnline)
    );
    framework
        .group_add(GroupKind::Target, &name("g"), &devid("iqn.unknown"))
        .unwrap();
    framework.port_offline(&member).unwrap();
    wait("offline", || {
        framework.port_info(&member).unwrap().state == ObjectState::Offline
    });
    assert_eq!(framework.group_add(GroupKind::Target, &name("g"), &member), Ok(()));
    framework.port_online(&member).unwrap();
    assert_eq!(
        framework.group_add(GroupKind::Target, &name("g"), &member),
        Err(Status::Exists),
        "membership first"
    );
    assert_eq!(
        framework.group_remove(GroupKind::Target, &name("g"), &member),
        Err(Status::TgOnline)
    );
    assert_eq!(
        framework.group_remove(GroupKind::Target, &name("x"), &member),
        Err(Status::GroupNotFound)
    );
    assert_eq!(
        framework.group_delete(GroupKind::Target, &name("g")),
        Ok(()),
        "although the target is online"
    );
}

/// Hazard H25: another node id is refused while the mode is enabled.
#[test]
fn alua_mode() {
    let node = Node::single();
    let framework = &node.framework;
    assert_eq!(framework.alua(), (false, NodeId::new(0).unwrap()));
    assert_eq!(framework.set_alua(true, None), Err(Status::InvalidArg));
    assert_eq!(framework.set_alua(false, None), Ok(()), "already");
    assert_eq!(framework.set_alua(true, NodeId::new(1)), Ok(()));
    assert_eq!(framework.set_alua(true, NodeId::new(1)), Ok(()), "again");
    assert_eq!(
        framework.set_alua(true, NodeId::new(0)),
        Err(Status::InvalidArg),
        "disable first"
    );
    assert_eq!(framework.alua(), (true, NodeId::new(1).unwrap()));
    assert_eq!(framework.set_alua(false, NodeId::new(0)), Ok(()));
    assert_eq!(
        framework.alua(),
        (false, NodeId::new(1).unwrap()),
        "the node is remembered"
    );
    assert_eq!(framework.set_alua(true, NodeId::new(0)), Ok(()));
    assert_eq!(*node.link.enabled.lock(), [1, 1, 0].map(|n| NodeId::new(n).unwrap()));
}

/// Hazard H24: an LU that is given up survives the end of ALUA mode.
#[test]
fn what_alua_mode_announces() {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.create("/b", 2).unwrap();
    node.framework.lu_standby(&guid(2)).unwrap();
    assert_eq!(*node.link.announced.lock(), []);
    node.framework.set_alua(true, NodeId::new(0)).unwrap();
    let port_up = Announcement::PortUp {
        port: devid("iqn.t"),
        rtpid: 1,
    };
    let register = Announcement::LuRegister(AnnouncedLu {
        guid: guid(1),
        name: "/a".to_owned(),
        generation: 1,
        non_optimized: false,
    });
    let take = || std::mem::take(&mut *node.link.announced.lock());
    assert_eq!(take(), [port_up, register]);
    node.framework.lu_import("/b").unwrap();
    node.create("/c", 3).unwrap();
    node.framework.lu_delete(&guid(3)).unwrap();
    node.framework.lu_standby(&guid(2)).unwrap();
    let announced = take();
    assert!(matches!(&announced[0], Announcement::LuActive(lu) if lu.name == "/b" && lu.generation == 2));
    assert!(matches!(&announced[1], Announcement::LuRegister(lu) if lu.name == "/c"));
    assert_eq!(
        announced[2..],
        [Announcement::LuDeregister { guid: guid(3) }],
        "standby says nothing"
    );
    node.framework.set_alua(false, None).unwrap();
    let port = devid("iqn.t");
    assert_eq!(
        take(),
        [
            Announcement::LuDeregister { guid: guid(1) },
            Announcement::PortDown { port }
        ]
    );
    assert_eq!(node.access(2), Some(AccessState::TransitionToStandby), "H24: kept");
    node.create("/d", 4).unwrap();
    assert_eq!(take(), []);
}
