//! What is counted for LUs, targets and sessions.

use super::model::*;
use crate::framework::*;

fn lu(status: &NodeStatus, n: u8) -> &LuStatus {
    status.lus.iter().find(|lu| lu.guid == guid(n)).unwrap()
}

fn port<'a>(status: &'a NodeStatus, name: &str) -> &'a PortStatus {
    status.ports.iter().find(|port| port.devid == devid(name)).unwrap()
}

fn counts(io: &IoReport) -> (u64, u64, u64, u64) {
    let (reads, writes) = (io.read_latency.count(), io.write_latency.count());
    assert_eq!((reads, writes), (io.totals.read_ops, io.totals.write_ops));
    assert_eq!(io.totals.busy_ns, io.read_latency.sum_ns + io.write_latency.sum_ns);
    (reads, writes, io.totals.write_bytes, io.totals.errors)
}

#[test]
fn sums_of_lus_targets_and_sessions() {
    let node = Node::single();
    node.port("iqn.p");
    node.port("iqn.q");
    for n in [1, 2] {
        node.create(&format!("/{n}"), n).unwrap();
        node.view_all(n, u16::from(n));
    }
    let (x, y) = (node.login("iqn.p", "iqn.x"), node.login("iqn.q", "iqn.y"));
    for nexus in [&x, &y] {
        node.clear(nexus, 1);
        node.clear(nexus, 2);
    }
    for _ in 0..3 {
        node.command(&x, 1, WRITE, &[7]);
        node.command(&x, 2, READ, &[]);
    }
    node.command(&y, 1, READ, &[]);
    let status = node.framework.node_status(usize::MAX);
    assert_eq!(counts(&status.io), (4, 3, 3, 0));
    assert_eq!(counts(&lu(&status, 1).io), (1, 3, 3, 0));
    assert_eq!(counts(&lu(&status, 2).io), (3, 0, 0, 0));
    assert_eq!(counts(&port(&status, "iqn.p").io), (3, 3, 3, 0));
    let session = &port(&status, "iqn.q").sessions[0];
    assert_eq!((counts(&session.io), session.luns), ((1, 0, 0, 0), 2));
    assert_eq!((lu(&status, 1).sessions, status.session_count), (2, 2));

    // A session ends: what it did still counts for its LUs and its target.
    node.framework.nexus_deregister(&x);
    drop(x);
    node.ports.lock().clear();
    let after = node.framework.node_status(usize::MAX);
    assert_eq!(after.io, status.io);
    assert_eq!(port(&after, "iqn.p").io, port(&status, "iqn.p").io);
    assert_eq!((port(&after, "iqn.p").session_count, lu(&after, 1).sessions), (0, 1));

    let few = node.framework.node_status(1).without_details();
    assert_eq!(
        (few.lus.len(), few.lu_count, few.ports.len(), few.port_count),
        (1, 2, 1, 2)
    );
    assert_eq!((&few.io, few.lus[0].io.read_latency.count()), (&status.io, 0));
}
