//! Two frameworks with a channel between them.

use super::model::*;
use crate::framework::*;
use crate::scsi::ScsiStatus;
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A pair with LU 1 Active on node 0 (a), Standby on node 1 (b), LUN 0 on both; a session on each, nothing pending.
fn served() -> (Node, Node, Arc<Nexus>, Arc<Nexus>) {
    let (a, b) = pair();
    a.create("/x", 1).unwrap();
    wait("b knows the LU", || b.access(1) == Some(AccessState::Standby));
    a.view_all(1, 0);
    b.view_all(1, 0);
    let (on_a, on_b) = (a.login("iqn.port-a", "iqn.host"), b.login("iqn.port-b", "iqn.host"));
    a.clear(&on_a, 0);
    b.clear(&on_b, 0);
    (a, b, on_a, on_b)
}

fn active_on(active: &Node, standby: &Node) {
    wait("one Active, one Standby", || {
        active.access(1) == Some(AccessState::Active) && standby.access(1) == Some(AccessState::Standby)
    });
}

/// The table of `alua-proxy.md` 7.3 with one port per node.
fn groups(first: u8, second: u8, changed: u8) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 24];
    bytes.extend([first, 0x8d, 0, 0, 0, changed, 0, 1, 0, 0, 0, 1]);
    bytes.extend([second, 0x8d, 0, 1, 0, changed, 0, 1, 0, 0, 1, 0]);
    bytes
}

#[test]
fn a_standby_lu_forwards() {
    let (a, b, on_a, on_b) = served();
    assert_eq!(b.framework.lu_info(&guid(1)).unwrap().alias, "/x");
    assert_eq!(b.framework.lu_info(&guid(1)).unwrap().state, Some(ObjectState::Online));
    assert_eq!(a.command(&on_a, 0, WRITE, &[42]), Outcome::data_out(1));
    assert_eq!(b.command(&on_b, 0, READ, &[]), Outcome::data_in(vec![42]));
    assert_eq!(sense(&b.command(&on_b, 0, WRITE, &[1])), (2, 4, 0x0b));
    assert_eq!(luns(&b.command(&on_b, 0, LUNS, &[])), [0]);
    assert_eq!(b.framework.lu_info(&guid(1)).unwrap().vendor, [0; 8], "not known");
    assert_eq!(&b.command(&on_b, 0, INQUIRY, &[]).data[8..13], b"MODEL");
    assert_eq!(&b.framework.lu_info(&guid(1)).unwrap().vendor, b"MODEL   ", "learned");
    let expected = groups(0x80, 0x02, 0);
    assert_eq!(a.command(&on_a, 0, RTPG, &[]).data, expected);
    assert_eq!(b.command(&on_b, 0, RTPG, &[]).data, expected, "both nodes say the same");
}

#[test]
fn planned_failover_and_back() {
    let (a, b, on_a, on_b) = served();
    a.command(&on_a, 0, WRITE, &[1]);
    assert_eq!(a.framework.lu_standby(&guid(1)), Ok(()));
    assert_eq!(a.access(1), Some(AccessState::TransitionToStandby));
    assert_eq!(sense(&a.command(&on_a, 0, TUR, &[])), (2, 4, 0x0a));
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (2, 4, 0x0a), "relayed");
    assert_eq!(a.command(&on_a, 0, INQUIRY, &[]).status, ScsiStatus::Good);
    assert_eq!(a.command(&on_a, 0, RTPG, &[]).data, groups(0x0f, 0x0f, 2));
    assert_eq!(b.command(&on_b, 0, RTPG, &[]).data, groups(0x0f, 0x0f, 2));
    assert_eq!(b.framework.lu_import("/x"), Ok(guid(1)));
    active_on(&b, &a);
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (6, 0x29, 0));
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (6, 0x2a, 6));
    assert_eq!(b.command(&on_b, 0, READ, &[]), Outcome::data_in(vec![1]));
    assert_eq!(sense(&a.command(&on_a, 0, TUR, &[])), (6, 0x2a, 6));
    assert_eq!(
        a.command(&on_a, 0, READ, &[]),
        Outcome::data_in(vec![1]),
        "forwarded the other way"
    );
    assert_eq!(b.command(&on_b, 0, RTPG, &[]).data, groups(0x02, 0x80, 2));
    assert_eq!(a.command(&on_a, 0, RTPG, &[]).data, groups(0x02, 0x80, 2));
    for _ in 0..5 {
        assert_eq!(b.framework.lu_standby(&guid(1)), Ok(()));
        assert_eq!(a.framework.lu_import("/x"), Ok(guid(1)));
        active_on(&a, &b);
        assert_eq!(a.framework.lu_standby(&guid(1)), Ok(()));
        assert_eq!(b.framework.lu_import("/x"), Ok(guid(1)));
        active_on(&b, &a);
    }
}

/// Hazards H4 and H18: import before standby, standby twice.
#[test]
fn the_wrong_order_is_refused() {
    let (a, b, _, on_b) = served();
    assert_eq!(b.framework.lu_import("/x"), Err((Status::AccessStateSet, None)), "H4");
    assert_eq!(b.access(1), Some(AccessState::Standby));
    assert_eq!(a.access(1), Some(AccessState::Active));
    assert_eq!(b.command(&on_b, 0, TUR, &[]), Outcome::good());
    assert_eq!(b.framework.lu_standby(&guid(1)), Ok(()), "H18: no change");
    assert_eq!(b.access(1), Some(AccessState::Standby));
}

#[test]
fn an_unreachable_peer() {
    let (a, b, _, on_b) = served();
    b.command(&on_b, 0, INQUIRY, &[]);
    b.link.up.store(false, Ordering::Release);
    b.framework.peer_event(PeerEvent::Down);
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (2, 4, 0x0c));
    assert_eq!(sense(&b.command(&on_b, 0, READ, &[])), (2, 4, 0x0c));
    assert_eq!(sense(&b.command(&on_b, 0, WRITE, &[1])), (2, 4, 0x0b));
    assert_eq!(&b.command(&on_b, 0, INQUIRY, &[]).data[8..13], b"MODEL", "as learned");
    assert_eq!(b.command(&on_b, 0, SENSE, &[]).data[2], 0);
    assert_eq!(luns(&b.command(&on_b, 0, LUNS, &[])), [0]);
    let own_group_only = [0, 0, 0, 12, 0x03, 0x8d, 0, 1, 0, 2, 0, 1, 0, 0, 1, 0];
    assert_eq!(b.command(&on_b, 0, RTPG, &[]).data, own_group_only);
    assert_eq!(
        b.access(1),
        Some(AccessState::Standby),
        "nobody decides that the peer is dead"
    );

    // Node a dies and is fenced; the cluster software imports.
    assert_eq!(b.framework.lu_import("/x"), Err((Status::AccessStateSet, None)));
    b.link.up.store(true, Ordering::Release);
    *b.link.peer.lock() = Arc::downgrade(&a.framework);
    b.framework.peer_fenced().unwrap();
    a.link.up.store(false, Ordering::Release);
    assert_eq!(b.framework.lu_import("/x"), Ok(guid(1)), "the fence counts at once");
    b.clear(&on_b, 0);
    assert_eq!(b.command(&on_b, 0, RTPG, &[]).data, groups_unreachable());

    // It was not dead: when the channel is back it hears of the newer claim and yields.
    for (node, other) in [(&a, &b), (&b, &a)] {
        *node.link.peer.lock() = Arc::downgrade(&other.framework);
        node.link.up.store(true, Ordering::Release);
    }
    b.framework.peer_event(PeerEvent::Up);
    active_on(&b, &a);
}

/// A declaration that outlived the fence would let this node take what the peer, back but unheard, owns again.
#[test]
fn a_fence_declaration_serves_one_import_of_an_lu() {
    let (a, b, _, _) = served();
    b.framework.peer_fenced().unwrap();
    assert_eq!(b.framework.lu_import("/x"), Ok(guid(1)));
    a.link.up.store(false, Ordering::Release);
    // The peer restarts while the channel is cut, and takes its LU back.
    assert_eq!(b.framework.lu_standby(&guid(1)), Ok(()));
    let taken_by_the_peer = a.provider.node;
    b.provider.shared.0.lock().get_mut("/x").unwrap().owner = Some(taken_by_the_peer);
    assert_eq!(b.framework.lu_import("/x"), Err((Status::AccessStateSet, None)));
    b.framework.peer_fenced().unwrap();
    assert_eq!(
        b.framework.lu_import("/x"),
        Ok(guid(1)),
        "a new declaration counts again"
    );
}

/// Node b is Active and cannot reach a: the images are remembered and listed as unavailable.
fn groups_unreachable() -> Vec<u8> {
    let mut bytes = groups(0x03, 0x80, 2);
    bytes[5] = 0x8d;
    bytes
}

/// Hazard H3: the loser alone yields.
#[test]
fn a_conflict_is_decided_by_the_generation() {
    let (a, b, _, _) = served();
    a.link.announced.lock().clear();
    let older = PeerEvent::LuActive {
        guid: guid(1),
        name: "/x".to_owned(),
        generation: Some(0),
        non_optimized: None,
        taken_over: false,
    };
    a.framework.peer_event(older.clone());
    a.framework.peer_event(older.clone());
    wait("a insists", || !a.link.announced.lock().is_empty());
    // The third event passes the same queue: when it has taken effect the second one has as well.
    a.framework.peer_event(PeerEvent::LuActive {
        guid: guid(1),
        name: "/x".to_owned(),
        generation: Some(1),
        non_optimized: None,
        taken_over: true,
    });
    wait("a yields to an equal generation", || {
        a.access(1) == Some(AccessState::Standby)
    });
    let announced = a.link.announced.lock();
    let answers = announced
        .iter()
        .filter(|said| matches!(said, Announcement::LuActive(_)));
    assert_eq!(answers.count(), 1, "at most one answer a second");
    drop(announced);
    assert_eq!(a.provider.shared.0.lock()["/x"].open, 0);
    assert_eq!(
        b.access(1),
        Some(AccessState::Standby),
        "H3: both Standby, import on either"
    );
    a.framework.peer_event(PeerEvent::LuDeregister { guid: guid(1) });
    b.framework.peer_fenced().unwrap();
    wait("a removed its object", || a.access(1).is_none());
}

/// Nobody has taken it, so the record goes on naming the node that lost it; its word, about this claim, is enough.
#[test]
fn what_a_node_lost_to_nobody_the_other_one_may_take() {
    let (a, b, _, _) = served();
    assert!(b.framework.lu_import("/x").is_err(), "a has it");
    a.unit(1).lose();
    wait("a is Standby", || a.access(1) == Some(AccessState::Standby));
    wait("b may have it", || b.framework.lu_import("/x") == Ok(guid(1)));
    assert_eq!(b.access(1), Some(AccessState::Active));
    assert_eq!(a.access(1), Some(AccessState::Standby));
    // It moves on: what was said of the first claim opens no later one.
    b.framework.lu_standby(&guid(1)).unwrap();
    assert_eq!(a.framework.lu_import("/x"), Ok(guid(1)));
    assert!(b.framework.lu_import("/x").is_err(), "a has it again");
}

/// Hazard H12.
#[test]
fn different_lun_numbers_are_noticed() {
    let (a, b, _, on_b) = served();
    a.create("/y", 2).unwrap();
    *b.link.send_lun_id.lock() = Some(guid(2));
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (5, 0x25, 0), "H12");
    *b.link.send_lun_id.lock() = None;
    assert_eq!(b.command(&on_b, 0, TUR, &[]), Outcome::good());
}

#[test]
fn nothing_is_forwarded_twice() {
    let (a, b, _, on_b) = served();
    a.framework.lu_standby(&guid(1)).unwrap();
    a.framework.peer_event(PeerEvent::LuActive {
        guid: guid(1),
        name: "/x".to_owned(),
        generation: Some(9),
        non_optimized: None,
        taken_over: true,
    });
    wait("both are Standby", || a.access(1) == Some(AccessState::Standby));
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (2, 4, 0x0c));
}

#[test]
fn deleting_on_the_active_node_removes_the_standby_lu() {
    let (a, b, _, on_b) = served();
    assert_eq!(a.framework.lu_delete(&guid(1)), Ok(()));
    wait("b forgets it", || b.access(1).is_none());
    assert_eq!(b.framework.view_list(&guid(1)).unwrap().len(), 1);
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (5, 0x25, 0));
    a.framework.peer_event(PeerEvent::LuDeregister { guid: guid(1) });
}

/// Hazard H11.
#[test]
fn an_active_lu_is_not_removed_by_the_peer() {
    let (a, _, on_a, _) = served();
    a.framework.peer_event(PeerEvent::LuDeregister { guid: guid(1) });
    a.framework.peer_event(PeerEvent::RoundComplete {
        ports: vec![devid("iqn.port-b")],
        lus: vec![],
    });
    a.create("/z", 3).unwrap();
    assert_eq!(a.command(&on_a, 0, READ, &[]).status, ScsiStatus::Good, "H11");
    assert_eq!(a.access(1), Some(AccessState::Active));
}

/// Hazard H14.
#[test]
fn a_round_sweeps_what_the_peer_does_not_mention() {
    let (_, b, _, _) = served();
    b.framework.peer_event(PeerEvent::LuActive {
        guid: guid(2),
        name: "/gone".to_owned(),
        generation: Some(1),
        non_optimized: None,
        taken_over: false,
    });
    wait("b knows LU 2", || b.access(2) == Some(AccessState::Standby));
    b.framework.peer_event(PeerEvent::RoundComplete {
        ports: vec![devid("iqn.port-a")],
        lus: vec![guid(1)],
    });
    wait("LU 2 is swept", || b.access(2).is_none());
    assert_eq!(b.access(1), Some(AccessState::Standby));
}

/// Hazard H13.
#[test]
fn any_order_of_enabling_works() {
    let shared: Arc<Shared> = Arc::default();
    let [a, b] = [0, 1].map(|n| Node::with_store(n, &shared, crate::store::Store::volatile()));
    *a.link.peer.lock() = Arc::downgrade(&b.framework);
    *b.link.peer.lock() = Arc::downgrade(&a.framework);
    [&a, &b]
        .iter()
        .for_each(|node| node.link.up.store(true, Ordering::Release));
    a.create("/x", 1).unwrap();
    a.framework.set_alua(true, NodeId::new(0)).unwrap();
    assert_eq!(b.access(1), None, "held while b is disabled");
    b.framework.set_alua(true, NodeId::new(1)).unwrap();
    wait("b applies what it held", || b.access(1) == Some(AccessState::Standby));
}

#[test]
fn disabling_removes_standby_lus_and_keeps_views() {
    let (_, b, _, on_b) = served();
    b.framework.set_alua(false, None).unwrap();
    assert_eq!(b.access(1), None);
    assert_eq!(b.framework.view_list(&guid(1)).unwrap().len(), 1);
    assert_eq!(sense(&b.command(&on_b, 0, TUR, &[])), (6, 0x3f, 0x0e));
}

/// Hazard H23.
#[test]
fn no_unit_attentions_on_images() {
    let (a, b, on_a, on_b) = served();
    b.command(&on_b, 0, TUR, &[]);
    let nexuses = a.unit(1).nexuses.lock().clone().unwrap();
    nexuses.attention(crate::scsi::Sense::CAPACITY_CHANGED, &|_| true);
    assert_eq!(b.command(&on_b, 0, TUR, &[]), Outcome::good(), "H23");
    assert_eq!(sense(&a.command(&on_a, 0, TUR, &[])), (6, 0x2a, 9));
    a.create("/y", 2).unwrap();
    a.view_all(2, 1);
    assert_eq!(b.command(&on_b, 0, TUR, &[]), Outcome::good());
}

#[test]
fn a_reset_on_the_standby_node_reaches_the_active_one() {
    let (a, b, on_a, on_b) = served();
    b.command(&on_b, 0, TUR, &[]);
    a.provider.behaviour.hold.store(true, Ordering::Release);
    let running = a.submit(&on_a, 0, READ, &[], 1);
    let forwarded = b.submit(&on_b, 0, READ, &[], 2);
    assert_eq!(
        b.tm(&on_b, 0, TmFunction::LunReset, 0).recv_timeout(SOON),
        Ok(TmResponse::Complete)
    );
    a.provider.behaviour.hold.store(false, Ordering::Release);
    assert_eq!(running.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(forwarded.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(a.provider.behaviour.resets.load(Ordering::Acquire), 1);
    assert_eq!(sense(&a.command(&on_a, 0, TUR, &[])), (6, 0x29, 0));
    assert_eq!(b.command(&on_b, 0, TUR, &[]), Outcome::good());
}

#[test]
fn a_session_ends_on_both_nodes() {
    let (a, b, _, on_b) = served();
    b.command(&on_b, 0, TUR, &[]);
    assert_eq!(a.framework.port_nexuses(&devid("iqn.port-b")).unwrap().len(), 1);
    b.framework.nexus_deregister(&on_b);
    assert_eq!(a.framework.port_nexuses(&devid("iqn.port-b")).unwrap().len(), 0);
}

/// `alua-proxy.md` 7.7: what hosts are told and what is forwarded, on both nodes; the property stays "2".
#[test]
fn the_policy_of_the_owner_holds_on_both_nodes() {
    let (a, b, on_a, on_b) = served();
    assert_eq!(b.framework.set_lu_policy(&guid(1), true), Err(Status::AccessStateSet));
    assert_eq!(a.framework.set_lu_policy(&guid(9), true), Err(Status::NotFound));
    assert_eq!(sense(&b.command(&on_b, 0, WRITE, &[5])), (2, 4, 0x0b));
    assert_eq!(a.framework.set_lu_policy(&guid(1), true), Ok(()));
    wait("b hears of it", || b.framework.lu_policy(&guid(1)) == Ok(true));
    for (node, nexus) in [(&a, &on_a), (&b, &on_b)] {
        assert_eq!(sense(&node.command(nexus, 0, TUR, &[])), (6, 0x2a, 6));
        let told = node.command(nexus, 0, RTPG, &[]).data;
        assert_eq!((told[4], told[5], told[16], told[17]), (0x80, 0x8f, 0x01, 0x8f));
    }
    assert_eq!(b.command(&on_b, 0, WRITE, &[5]).status, ScsiStatus::Good);
    assert_eq!(b.access(1), Some(AccessState::Standby));

    // The peer is gone: its group is unavailable, and so is what would go there.
    b.link.up.store(false, std::sync::atomic::Ordering::Release);
    assert_eq!(sense(&b.command(&on_b, 0, WRITE, &[5])), (2, 4, 0x0c));
    let told = b.command(&on_b, 0, RTPG, &[]).data;
    assert_eq!((told.len(), told[4]), (16, 0x03));
    b.link.up.store(true, std::sync::atomic::Ordering::Release);
    // An original peer takes its place: nothing but the table is sent there, and nothing else promised.
    b.link.original.store(true, std::sync::atomic::Ordering::Release);
    assert_eq!(sense(&b.command(&on_b, 0, WRITE, &[5])), (2, 4, 0x0b));
    assert_eq!(b.command(&on_b, 0, RTPG, &[]).data[16], 0x02);
    b.link.original.store(false, std::sync::atomic::Ordering::Release);

    // A move takes the policy along.
    a.framework.lu_standby(&guid(1)).unwrap();
    b.framework.lu_import("/x").unwrap();
    active_on(&b, &a);
    assert_eq!(
        (a.framework.lu_policy(&guid(1)), b.framework.lu_policy(&guid(1))),
        (Ok(true), Ok(true))
    );
    assert_eq!(b.framework.set_lu_policy(&guid(1), false), Ok(()));
    wait("a hears of it", || a.framework.lu_policy(&guid(1)) == Ok(false));
    a.command(&on_a, 0, TUR, &[]);
    assert_eq!(sense(&a.command(&on_a, 0, WRITE, &[5])), (2, 4, 0x0b));
}

/// `alua/standby-reads`, at once and for this node only.
#[test]
fn reads_on_a_standby_lu_can_be_refused() {
    let (a, b, on_a, on_b) = served();
    assert_eq!(b.command(&on_b, 0, READ, &[]).status, ScsiStatus::Good);
    b.framework.set_standby_reads(false).unwrap();
    assert_eq!(sense(&b.command(&on_b, 0, READ, &[])), (2, 4, 0x0b));
    assert_eq!(a.command(&on_a, 0, READ, &[]).status, ScsiStatus::Good);
    assert_eq!(b.command(&on_b, 0, TUR, &[]), Outcome::good());
    // The policy promises more.
    a.framework.set_lu_policy(&guid(1), true).unwrap();
    wait("b hears of it", || b.framework.lu_policy(&guid(1)) == Ok(true));
    b.command(&on_b, 0, TUR, &[]);
    assert_eq!(b.command(&on_b, 0, READ, &[]).status, ScsiStatus::Good);
}
