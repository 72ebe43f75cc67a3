//! The channel through real doors, as a daemon has it.

use super::nodes::*;
use super::pair::compare_reads;
use crate::door;
use crate::framework::PeerLink;
use std::sync::Arc;

/// Replaces the wires of a pair by doors whose servers post to the other node.
#[test]
fn messages_travel_through_doors() {
    let pair = Pair::prepared(|_| ());
    for node in [&pair.a, &pair.b] {
        node.proxy.destroy_door(*node.door.lock()).unwrap();
    }
    let serve = |wire: &Arc<Wire>| {
        let wire = wire.clone();
        let procedure = move |call: door::Call<'_>| {
            assert!(call.descriptors.is_empty() && !call.data.is_empty());
            let result = super::super::Upcall::call(&*wire, call.data).unwrap();
            door::Reply {
                data: result.to_ne_bytes().to_vec(),
                descriptors: vec![],
            }
        };
        door::Server::create(0, procedure).unwrap()
    };
    let (to_b, to_a) = (serve(&pair.a.wire), serve(&pair.b.wire));
    for (node, server) in [(&pair.a, &to_b), (&pair.b, &to_a)] {
        let descriptor = server.descriptor().try_clone_to_owned().unwrap();
        *node.door.lock() = node.proxy.install_door(descriptor).unwrap();
    }
    pair.connect();
    pair.enable();
    compare_reads(&pair.a, &pair.b);

    // The daemon of node a dies: as if it had destroyed its door.
    drop(to_b);
    wait("the end of the door", || !pair.a.proxy.status().door);
    wait("the end of the image", || {
        pair.a.framework.port_list() == [pair.a.port()]
    });
}
