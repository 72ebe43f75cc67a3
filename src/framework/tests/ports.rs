//! Target ports: registration, states, identifiers.

use super::model::*;
use crate::framework::*;
use crate::store::Store;
use crate::types::*;
use std::sync::Arc;

fn spec(node: &Node, name: &str, image_rtpid: Option<u16>) -> PortSpec {
    PortSpec {
        devid: devid(name),
        protocol: Protocol::Iscsi,
        provider: "iscsit",
        alias: "alias".to_owned(),
        image_rtpid,
        control: Arc::new(ModelPort {
            framework: Arc::downgrade(&node.framework),
            devid: devid(name),
            nexuses: Default::default(),
        }),
    }
}

fn is(node: &Node, name: &str, state: ObjectState) -> bool {
    node.framework.port_info(&devid(name)).unwrap().state == state
}

#[test]
fn states_follow_the_table() {
    let node = Node::single();
    let unknown = devid("iqn.x");
    assert_eq!(node.framework.port_online(&unknown), Err(Status::NotFound));
    assert_eq!(node.framework.port_offline(&unknown), Err(Status::NotFound));
    assert_eq!(node.framework.port_info(&unknown), Err(Status::NotFound));
    assert_eq!(node.framework.port_nexuses(&unknown), Err(Status::NotFound));
    node.port("iqn.t");
    let t = devid("iqn.t");
    assert_eq!(
        node.framework.port_register(spec(&node, "iqn.t", None)).err(),
        Some(Status::Exists)
    );
    assert_eq!(node.framework.port_online(&t), Ok(()), "already");
    assert_eq!(node.framework.port_deregister(&t), Err(Status::Busy));
    node.login("iqn.t", "iqn.i");
    assert_eq!(node.framework.port_offline(&t), Ok(()));
    assert!(matches!(
        node.framework.port_info(&t).unwrap().state,
        ObjectState::Offlining | ObjectState::Offline
    ));
    wait("offline", || is(&node, "iqn.t", ObjectState::Offline));
    assert_eq!(node.framework.port_nexuses(&t), Ok(vec![]));
    assert_eq!(node.framework.port_offline(&t), Ok(()), "already");
    let refused = node.framework.nexus_register(NexusSpec {
        port: t.clone(),
        initiator: devid("iqn.i"),
        transport_id: TransportId::iscsi(&devid("iqn.i"), [0; 6]),
        alias: String::new(),
        image_id: None,
    });
    assert_eq!(refused.err(), Some(Status::Busy));
    assert_eq!(node.framework.port_deregister(&t), Ok(()));
    assert_eq!(node.framework.port_list(), []);
}

#[test]
fn opposite_changes_are_busy() {
    struct Slow;
    impl PortControl for Slow {
        fn go_online(&self) {}
        fn go_offline(&self) {}
    }
    let node = Node::single();
    let port = PortSpec {
        control: Arc::new(Slow),
        ..spec(&node, "iqn.t", None)
    };
    node.framework.port_register(port).unwrap();
    let t = devid("iqn.t");
    assert!(is(&node, "iqn.t", ObjectState::Onlining));
    assert_eq!(node.framework.state().operational, ObjectState::Onlining);
    assert_eq!(node.framework.port_online(&t), Ok(()));
    assert_eq!(node.framework.port_offline(&t), Err(Status::Busy));
    node.framework.port_changed(&t, true);
    assert_eq!(node.framework.state().operational, ObjectState::Online);
    assert_eq!(node.framework.port_offline(&t), Ok(()));
    assert_eq!(node.framework.port_online(&t), Err(Status::Busy));
    node.framework.port_changed(&t, false);
    assert!(is(&node, "iqn.t", ObjectState::Offline));
}

#[test]
fn sessions_are_listed_newest_first_with_growing_ids() {
    let node = Node::single();
    node.port("iqn.t");
    let first = node.login("iqn.t", "iqn.one");
    let second = node.login("iqn.t", "iqn.two");
    assert!(second.id > first.id);
    let listed = node.framework.port_nexuses(&devid("iqn.t")).unwrap();
    assert_eq!(
        listed.iter().map(|n| n.initiator.to_string()).collect::<Vec<_>>(),
        ["iqn.two", "iqn.one"]
    );
    assert!(listed[0].created > 1_500_000_000);
}

/// Hazard H22.
#[test]
fn identifiers_survive_a_restart_and_a_reregistration() {
    let directory = tempfile::tempdir().unwrap();
    let open = || Node::with_store(0, &Arc::default(), Store::open(directory.path()).unwrap());
    let rtpid = |node: &Node, name: &str| node.framework.port_info(&devid(name)).unwrap().rtpid;
    let node = open();
    for name in ["iqn.a", "iqn.b", "iqn.c"] {
        node.port(name);
    }
    assert_eq!((rtpid(&node, "iqn.a"), rtpid(&node, "iqn.c")), (1, 3));
    node.framework.port_deregister(&devid("iqn.b")).unwrap();
    node.port("iqn.d");
    assert_eq!(rtpid(&node, "iqn.d"), 4);
    drop(node);
    let node = open();
    for name in ["iqn.d", "iqn.c", "iqn.b"] {
        node.port(name);
    }
    assert_eq!(
        (rtpid(&node, "iqn.d"), rtpid(&node, "iqn.c"), rtpid(&node, "iqn.b")),
        (4, 3, 2)
    );
}

/// Hazard H22.
#[test]
fn port_number_256_is_refused_and_numbers_of_gone_ports_are_reused() {
    let node = Node::with_store(0, &Arc::default(), Store::volatile());
    for n in 0..255 {
        node.port(&format!("iqn.{n}"));
    }
    assert_eq!(
        node.framework.port_register(spec(&node, "iqn.x", None)).err(),
        Some(Status::Error)
    );
    node.framework.port_deregister(&devid("iqn.9")).unwrap();
    assert_eq!(
        node.framework.port_register(spec(&node, "iqn.x", None)).unwrap().rtpid,
        10
    );
    assert_eq!(
        node.framework.port_register(spec(&node, "iqn.9", None)).err(),
        Some(Status::Error)
    );
    assert_eq!(
        node.framework.port_register(spec(&node, "iqn.image", Some(0))).err(),
        Some(Status::InvalidArg)
    );
    let image = node
        .framework
        .port_register(spec(&node, "iqn.image", Some(300)))
        .unwrap();
    assert_eq!((image.rtpid, image.group.get(), image.image), (300, 1, true));
}

#[test]
fn node_1_renumbers_once_and_drops_the_sessions() {
    let node = Node::single();
    let port = node.port("iqn.t");
    assert_eq!((port.rtpid, port.group.get()), (1, 0));
    node.login("iqn.t", "iqn.i");
    node.framework.set_alua(true, NodeId::new(1)).unwrap();
    wait("the port is back", || {
        let info = node.framework.port_info(&devid("iqn.t")).unwrap();
        info.rtpid == 256 && info.state == ObjectState::Online
    });
    assert_eq!(node.framework.port_nexuses(&devid("iqn.t")), Ok(vec![]));
    let nexus = node.login("iqn.t", "iqn.i");
    assert_eq!((nexus.port.rtpid, nexus.port.group.get()), (256, 1));
    node.framework.set_alua(true, NodeId::new(1)).unwrap();
    assert_eq!(node.framework.port_nexuses(&devid("iqn.t")).unwrap().len(), 1, "once");
}

#[test]
fn images_are_online_whatever_the_service_says() {
    let node = Node::with_store(0, &Arc::default(), Store::volatile());
    node.framework
        .port_register(spec(&node, "iqn.image", Some(256)))
        .unwrap();
    node.framework.port_register(spec(&node, "iqn.local", None)).unwrap();
    wait("the image is online", || is(&node, "iqn.image", ObjectState::Online));
    assert!(is(&node, "iqn.local", ObjectState::Offline));
    node.framework.online().unwrap();
    wait("the service is online", || {
        node.framework.state().operational == ObjectState::Online
    });
    assert!(is(&node, "iqn.local", ObjectState::Online));
    node.framework.offline().unwrap();
    wait("the service is offline", || {
        node.framework.state().operational == ObjectState::Offline
    });
    assert!(is(&node, "iqn.local", ObjectState::Offline));
    assert!(is(&node, "iqn.image", ObjectState::Online));
}
