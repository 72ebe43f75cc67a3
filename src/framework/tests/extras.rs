//! Giving an LU up in two phases, and waiting for a state.

use super::model::*;
use crate::framework::*;
use crate::scsi::ScsiStatus;
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const READ: &[u8] = &[0x08, 0, 0, 0, 1, 0];
const INQUIRY: &[u8] = &[0x12, 0, 0, 0, 36, 0];
const LONG: Duration = Duration::from_secs(40);
const SHORT: Duration = Duration::from_millis(20);

/// LU 1 as LUN 0 of a nexus with one command that is held.
fn held() -> (Node, Arc<Nexus>, std::sync::mpsc::Receiver<Outcome>) {
    let node = Node::single();
    node.framework.set_alua(true, NodeId::new(0)).unwrap();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.view_all(1, 0);
    let nexus = node.login("iqn.t", "iqn.one");
    node.clear(&nexus, 0);
    node.provider.behaviour.hold.store(true, Ordering::Release);
    let running = node.submit(&nexus, 0, READ, &[], 1);
    node.provider.behaviour.hold.store(false, Ordering::Release);
    (node, nexus, running)
}

/// 02/04/0A: hosts try again.
fn in_transition(outcome: &Outcome) -> bool {
    outcome.sense.get(12..14) == Some(&[0x04, 0x0a])
}

#[test]
fn what_runs_ends_before_the_lu_is_given_up() {
    let (node, nexus, running) = held();
    std::thread::scope(|scope| {
        let standing_down = scope.spawn(|| node.framework.lu_stand_down(&guid(1), LONG));
        while !in_transition(&node.command(&nexus, 0, READ, &[])) {
            std::thread::yield_now();
        }
        assert_eq!(node.command(&nexus, 0, INQUIRY, &[]).status, ScsiStatus::Good);
        assert_eq!(node.access(1), Some(AccessState::Active));
        assert_eq!(
            node.framework.lu_stand_down(&guid(1), LONG),
            Err(Status::Busy),
            "one at a time"
        );
        assert!(running.try_recv().is_err() && !standing_down.is_finished());
        node.provider.behaviour.run_held();
        assert_eq!(running.recv().unwrap().status, ScsiStatus::Good);
        assert_eq!(standing_down.join().unwrap(), Ok(()));
    });
    assert_eq!(node.access(1), Some(AccessState::TransitionToStandby));
    assert!(in_transition(&node.command(&nexus, 0, READ, &[])));
}

#[test]
fn an_lu_whose_commands_do_not_end_stays() {
    let (node, nexus, running) = held();
    assert_eq!(node.framework.lu_stand_down(&guid(1), SHORT), Err(Status::Busy));
    assert_eq!(node.access(1), Some(AccessState::Active));
    assert_eq!(node.command(&nexus, 0, READ, &[]).status, ScsiStatus::Good);
    node.provider.behaviour.run_held();
    assert_eq!(running.recv().unwrap().status, ScsiStatus::Good);
    assert_eq!(node.framework.lu_stand_down(&guid(1), SHORT), Ok(()));
    assert_eq!(node.framework.lu_stand_down(&guid(2), SHORT), Err(Status::NotFound));
}

#[test]
fn a_wait_ends_with_the_state_or_with_patience() {
    let node = Node::single();
    let online = Wanted::Lu(guid(1), Some(ObjectState::Online));
    assert_eq!(node.framework.wait_for(&online, SHORT), Err(Status::NotFound));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| node.framework.wait_for(&online, LONG));
        let gone = scope.spawn(|| {
            let offline = Wanted::Target(devid("iqn.t"), ObjectState::Offline);
            node.framework.wait_for(&offline, LONG)
        });
        node.create("/a", 1).unwrap();
        node.port("iqn.t");
        assert_eq!(waiting.join().unwrap(), Ok(()));
        node.framework.port_offline(&devid("iqn.t")).unwrap();
        assert_eq!(gone.join().unwrap(), Ok(()));
    });
    let active = Wanted::Access(guid(1), AccessState::Active);
    assert_eq!(node.framework.wait_for(&active, SHORT), Ok(()));
    let standby = Wanted::Access(guid(1), AccessState::Standby);
    assert_eq!(node.framework.wait_for(&standby, SHORT), Err(Status::Busy));
    let service = Wanted::Service(ObjectState::Online);
    assert_eq!(node.framework.wait_for(&service, SHORT), Ok(()));
    assert_eq!(
        node.framework.wait_for(&Wanted::Lu(guid(1), None), SHORT),
        Err(Status::Busy)
    );
    node.framework.lu_delete(&guid(1)).unwrap();
    assert_eq!(node.framework.wait_for(&Wanted::Lu(guid(1), None), SHORT), Ok(()));
}
