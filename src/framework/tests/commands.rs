//! The way of a command: REPORT LUNS, unmapped LUNs, unit attentions, the order of checks.

use super::model::*;
use crate::framework::*;
use crate::scsi::{ScsiStatus, Sense};
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// LU 1 as LUN 3, one nexus.
fn one_lu() -> (Node, Arc<Nexus>) {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.view_all(1, 3);
    let nexus = node.login("iqn.t", "iqn.i");
    (node, nexus)
}

#[test]
fn a_disk_is_served() {
    let (node, nexus) = one_lu();
    assert_eq!(luns(&node.command(&nexus, 0, LUNS, &[])), [3]);
    assert_eq!(
        sense(&node.command(&nexus, 3, TUR, &[])),
        (6, 0x29, 0),
        "first command of a nexus"
    );
    assert_eq!(node.command(&nexus, 3, TUR, &[]), Outcome::good());
    assert_eq!(node.command(&nexus, 3, WRITE, &[42]), Outcome::data_out(1));
    assert_eq!(node.command(&nexus, 3, READ, &[]), Outcome::data_in(vec![42]));
}

#[test]
fn luns_without_an_lu() {
    let (node, nexus) = one_lu();
    assert_eq!(sense(&node.command(&nexus, 0, TUR, &[])), (5, 0x25, 0));
    assert_eq!(node.command(&nexus, 0, INQUIRY, &[]).data[0], 0x3f);
    let elsewhere = node.command(&nexus, 4, INQUIRY, &[]);
    assert_eq!((elsewhere.data[0], elsewhere.data.len()), (0x7f, 36));
    let data = node.command(&nexus, 4, SENSE, &[]).data;
    assert_eq!((data.len(), data[2], data[12]), (18, 5, 0x25));
    assert_eq!(
        node.command(&nexus, 4, &[0x12, 1, 0, 0, 255, 0], &[]).data,
        [0x7f, 0, 0, 1, 0]
    );
    assert_eq!(
        sense(&node.command(&nexus, 4, &[0x12, 1, 0x83, 0, 255, 0], &[])),
        (5, 0x24, 0)
    );
    assert_eq!(luns(&node.command(&nexus, 4, LUNS, &[])), [3]);
    assert_eq!(
        node.tm(&nexus, 4, TmFunction::LunReset, 0).recv(),
        Ok(TmResponse::NoSuchLun)
    );
}

#[test]
fn report_luns_by_the_letter() {
    let node = Node::single();
    node.port("iqn.t");
    let nexus = node.login("iqn.t", "iqn.i");
    assert_eq!(
        luns(&node.command(&nexus, 0, LUNS, &[])),
        [0],
        "LUN 0 when nothing is mapped"
    );
    for (n, lun) in [(1, 300), (2, 0), (3, 255)] {
        node.create(&format!("/{n}"), n).unwrap();
        node.view_all(n, lun);
    }
    let all = node.command(&nexus, 9, LUNS, &[]);
    assert_eq!(luns(&all), [0, 255, 300]);
    assert_eq!(all.data[..4], [0, 0, 0, 24]);
    assert_eq!(all.data[24..26], [0x41, 0x2c], "flat addressing above 255");
    let short = node.command(&nexus, 0, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0], &[]);
    assert_eq!(
        (short.data.len(), short.data[3]),
        (16, 24),
        "the list length is never cut"
    );
    assert_eq!(
        sense(&node.command(&nexus, 0, &[0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 0, 0], &[])),
        (5, 0x24, 0)
    );
    for (select, expected) in [(1, 0), (2, 3), (0x11, 0)] {
        let answer = node.command(&nexus, 0, &[0xa0, 0, select, 0, 0, 0, 0, 0, 255, 0, 0, 0], &[]);
        assert_eq!(luns(&answer).len(), expected);
    }
    assert_eq!(
        sense(&node.command(&nexus, 0, &[0xa0, 0, 3, 0, 0, 0, 0, 0, 255, 0, 0, 0], &[])),
        (5, 0x24, 0)
    );
}

#[test]
fn changed_maps_are_told_once_on_any_lun() {
    let (node, nexus) = one_lu();
    node.clear(&nexus, 3);
    node.create("/b", 2).unwrap();
    node.view_all(2, 5);
    assert_eq!(
        node.command(&nexus, 3, INQUIRY, &[]).status,
        ScsiStatus::Good,
        "INQUIRY does not hear of it"
    );
    assert_eq!(sense(&node.command(&nexus, 3, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(node.command(&nexus, 3, TUR, &[]), Outcome::good());
    assert_eq!(
        sense(&node.command(&nexus, 5, TUR, &[])),
        (6, 0x29, 0),
        "the new LU begins with 29/00"
    );
    assert_eq!(node.command(&nexus, 5, TUR, &[]), Outcome::good());

    node.framework.lu_offline(&guid(2)).unwrap();
    assert_eq!(
        luns(&node.command(&nexus, 0, LUNS, &[])),
        [3],
        "REPORT LUNS takes the news"
    );
    assert_eq!(node.command(&nexus, 3, TUR, &[]), Outcome::good());

    node.framework.lu_online(&guid(2)).unwrap();
    let data = node.command(&nexus, 3, SENSE, &[]).data;
    assert_eq!(
        (data[2], data[12], data[13]),
        (6, 0x3f, 0x0e),
        "REQUEST SENSE returns and clears it"
    );
    assert_eq!(node.command(&nexus, 3, TUR, &[]), Outcome::good());
    assert_eq!(sense(&node.command(&nexus, 5, TUR, &[])), (6, 0x29, 0), "it reappeared");

    node.framework.view_remove(&guid(2), 0).unwrap();
    assert_eq!(sense(&node.command(&nexus, 5, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&node.command(&nexus, 5, TUR, &[])), (5, 0x25, 0));
    let new = node.login("iqn.t", "iqn.new");
    assert_eq!(
        sense(&node.command(&new, 3, TUR, &[])),
        (6, 0x29, 0),
        "nothing changed for a new session"
    );
}

#[test]
fn host_groups_decide_who_sees_what() {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    let group = GroupName::new(b"hosts").unwrap();
    node.framework.group_create(GroupKind::Host, &group).unwrap();
    let request = ViewRequest {
        host_group: Some(group.clone()),
        target_group: None,
        lun: None,
    };
    assert_eq!(node.framework.view_add(&guid(1), &request).unwrap().lun.get(), 0);
    let (one, two) = (node.login("iqn.t", "iqn.one"), node.login("iqn.t", "iqn.two"));
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (5, 0x25, 0));
    node.framework
        .group_add(GroupKind::Host, &group, &devid("iqn.one"))
        .unwrap();
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (6, 0x29, 0));
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&node.command(&two, 0, TUR, &[])), (5, 0x25, 0));
    node.framework
        .group_remove(GroupKind::Host, &group, &devid("iqn.one"))
        .unwrap();
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (5, 0x25, 0));
}

/// `scsi-sbd.md` 2.1 rows 4, 5, 6.
#[test]
fn reset_then_reservation_then_other_attentions() {
    let (node, nexus) = one_lu();
    let other = node.login("iqn.t", "iqn.other");
    let unit = node.unit(1);
    unit.holder.store(other.id, Ordering::Release);
    let nexuses = unit.nexuses.lock().clone().unwrap();
    node.command(&nexus, 0, LUNS, &[]);
    nexuses.attention(Sense::CAPACITY_CHANGED, &|_| true);
    nexuses.attention(Sense::MODE_PARAMETERS_CHANGED, &|n| n.id == nexus.id);
    node.create("/b", 2).unwrap();
    node.view_all(2, 5);
    assert_eq!(node.command(&nexus, 3, INQUIRY, &[]).status, ScsiStatus::Good);
    assert_eq!(sense(&node.command(&nexus, 3, TUR, &[])), (6, 0x29, 0));
    assert_eq!(
        node.command(&nexus, 3, TUR, &[]).status,
        ScsiStatus::ReservationConflict
    );
    unit.holder.store(0, Ordering::Release);
    assert_eq!(sense(&node.command(&nexus, 3, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&node.command(&nexus, 3, TUR, &[])), (6, 0x2a, 0x09));
    assert_eq!(sense(&node.command(&nexus, 3, TUR, &[])), (6, 0x2a, 0x01));
    assert_eq!(node.command(&nexus, 3, TUR, &[]), Outcome::good());
    assert_eq!(sense(&node.command(&other, 3, TUR, &[])), (6, 0x29, 0));
    assert_eq!(sense(&node.command(&other, 3, TUR, &[])), (6, 0x3f, 0x0e));
    assert_eq!(sense(&node.command(&other, 3, TUR, &[])), (6, 0x2a, 0x09));
    assert_eq!(
        node.command(&other, 3, TUR, &[]),
        Outcome::good(),
        "it was not told of the mode parameters"
    );
}

#[test]
fn request_sense_takes_a_pending_attention() {
    let (node, nexus) = one_lu();
    let data = node.command(&nexus, 3, SENSE, &[]).data;
    assert_eq!((data[0], data[2], data[12], data[13]), (0x70, 6, 0x29, 0));
    assert_eq!(node.command(&nexus, 3, TUR, &[]), Outcome::good());
    node.create("/b", 2).unwrap();
    node.view_all(2, 5);
    let descriptor = node.command(&nexus, 3, &[0x03, 1, 0, 0, 252, 0], &[]).data;
    assert_eq!(descriptor, [0x72, 6, 0x3f, 0x0e, 0, 0, 0, 0]);
}

#[test]
fn what_the_handler_refuses_wants_no_data() {
    let (node, nexus) = one_lu();
    node.clear(&nexus, 3);
    assert_eq!(sense(&node.command(&nexus, 3, &[0xff], &[])), (5, 0x20, 0));
    assert!(matches!(node.start(&nexus, 3, WRITE, 1), Started::Ready(ready) if ready.want() == 1));
}

#[test]
fn port_groups_without_alua() {
    let (node, nexus) = one_lu();
    node.port("iqn.t2");
    node.clear(&nexus, 3);
    let answer = node.command(&nexus, 3, RTPG, &[]);
    assert_eq!(
        answer.data,
        [0, 0, 0, 16, 0x80, 0x01, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]
    );
    let cut = node.command(&nexus, 3, &[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0], &[]);
    assert_eq!(cut.data, [0, 0, 0, 16]);
    assert_eq!(
        node.command(&nexus, 3, &[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
        Outcome::good()
    );
    assert_eq!(
        sense(&node.command(&nexus, 3, &[0xa3, 0x0a, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0], &[])),
        (5, 0x24, 0)
    );
}
