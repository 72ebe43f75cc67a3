//! The way of a command: REPORT LUNS, unmapped LUNs, unit attentions, the order of checks.

use super::model::*;
use crate::framework::*;
use crate::scsi::{ScsiStatus, Sense};
use crate::types::*;
use std::sync::atomic::Ordering;

fn one_lu() -> (Node, std::sync::Arc<Nexus>) {
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
    assert_eq!(node.command(&nexus, 4, INQUIRY, &[]).data[0], 0x7f);
    assert_eq!(node.command(&nexus, 4, INQUIRY, &[]).data.len(), 36);
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
    let _ = Sense::NO_SENSE;
    let _ = ScsiStatus::Good;
    let _ = Ordering::Acquire;
    let _: Option<Guid> = None;
}
