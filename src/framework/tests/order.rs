//! Task attributes (SAM-4 8): the order of an LU's commands, whatever their nexus.

use super::model::*;
use crate::framework::TaskAttribute::{HeadOfQueue, Ordered, Simple};
use crate::framework::*;
use crate::scsi::ScsiStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const NOT_YET: Duration = Duration::from_millis(50);

/// LU 1 as LUN 0, two nexuses, nothing pending, commands are held.
fn held() -> (Node, Arc<Nexus>, Arc<Nexus>) {
    let node = Node::single();
    node.port("iqn.t");
    node.create("/a", 1).unwrap();
    node.view_all(1, 0);
    let (one, two) = (node.login("iqn.t", "iqn.one"), node.login("iqn.t", "iqn.two"));
    node.clear(&one, 0);
    node.clear(&two, 0);
    node.provider.behaviour.hold.store(true, Ordering::Release);
    (node, one, two)
}

/// Tags of the commands that the unit has, in the order of their arrival there.
fn at_the_unit(node: &Node) -> Vec<u64> {
    node.provider.behaviour.held.lock().iter().map(|held| held.1).collect()
}

fn run(node: &Node) {
    node.provider.behaviour.hold.store(false, Ordering::Release);
    node.provider.behaviour.run_held();
}

#[track_caller]
fn ends(outcome: &Receiver<Outcome>) -> Outcome {
    outcome.recv_timeout(SOON).expect("a command ends")
}

#[track_caller]
fn waits(outcome: &Receiver<Outcome>) {
    assert_eq!(outcome.recv_timeout(NOT_YET), Err(RecvTimeoutError::Timeout));
}

#[test]
fn ordered_commands_wait_for_the_older_and_hold_the_younger_of_all_nexuses() {
    let (node, one, two) = held();
    let before = node.submit(&one, 0, READ, &[], 1);
    let ordered = node.submit_as(Ordered, &two, 0, WRITE, &[9], 2);
    let after = node.submit(&one, 0, READ, &[], 3);
    assert_eq!(at_the_unit(&node), [1]);
    let head = node.submit_as(HeadOfQueue, &two, 0, READ, &[], 4);
    assert_eq!(at_the_unit(&node), [1, 4], "the head of the queue starts at once");
    run(&node);
    assert_eq!((ends(&before).data, ends(&head).data), (vec![0], vec![0]));
    assert_eq!(ends(&ordered), Outcome::data_out(1));
    assert_eq!(ends(&after).data, [9]);
    // A command is out of the set a moment after its outcome.
    wait("nobody has to look at an order any more", || {
        let Started::Ready(plain) = node.start(&one, 0, READ, 5) else {
            panic!("a read is executed");
        };
        plain.live.state.turn.is_none()
    });
}

#[test]
fn a_command_that_waits_can_be_aborted() {
    let (node, one, two) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let before = node.submit(&one, 0, READ, &[], 1);
    let ordered = node.submit_as(Ordered, &two, 0, WRITE, &[9], 2);
    let after = node.submit(&two, 0, READ, &[], 3);
    assert_eq!(
        node.tm(&two, 0, TmFunction::AbortTask, 2).recv_timeout(SOON),
        Ok(TmResponse::Complete)
    );
    assert_eq!(ends(&ordered).status, ScsiStatus::TaskAborted);
    wait("it holds nobody any more", || at_the_unit(&node) == [1, 3]);
    run(&node);
    assert_eq!((ends(&before).data, ends(&after).data), (vec![0], vec![0]));
}

#[test]
fn a_command_whose_data_never_comes_holds_the_younger_until_it_is_given_up_or_aborted() {
    let (node, one, two) = held();
    for abort in [false, true] {
        let Started::Ready(hanging) = node.start_as(Ordered, &one, 0, WRITE, 1) else {
            panic!("a write wants data");
        };
        let after = node.submit(&two, 0, READ, &[], 2);
        waits(&after);
        if abort {
            node.tm(&two, 0, TmFunction::ClearTaskSet, 0)
                .recv_timeout(SOON)
                .unwrap();
            assert_eq!(ends(&after).status, ScsiStatus::TaskAborted);
            let next = node.submit(&two, 0, READ, &[], 3);
            wait("the next one is executed", || at_the_unit(&node) == [3]);
            node.provider.behaviour.run_held();
            ends(&next);
            assert!(hanging.handle().aborted());
        } else {
            drop(hanging);
            wait("the read is executed", || at_the_unit(&node) == [2]);
            node.provider.behaviour.run_held();
            ends(&after);
        }
    }
}

#[test]
fn resets_and_changes_of_access_state_end_what_waits() {
    let (node, one, two) = held();
    let waiting = |function| {
        let running = node.submit(&one, 0, READ, &[], 1);
        let ordered = node.submit_as(Ordered, &one, 0, WRITE, &[9], 2);
        let after = node.submit(&two, 0, READ, &[], 3);
        waits(&after);
        match function {
            Some(function) => {
                let answer = node.tm(&one, 0, function, 0).recv_timeout(SOON);
                assert_eq!(answer, Ok(TmResponse::Complete), "{function:?}");
            }
            None => node.framework.lu_standby(&guid(1)).unwrap(),
        }
        [ends(&running), ends(&ordered), ends(&after)]
    };
    for function in [TmFunction::LunReset, TmFunction::ClearTaskSet] {
        for outcome in waiting(Some(function)) {
            assert_eq!(outcome.status, ScsiStatus::TaskAborted, "{function:?}");
        }
        node.provider.behaviour.hold.store(false, Ordering::Release);
        node.clear(&one, 0);
        node.clear(&two, 0);
        node.provider.behaviour.hold.store(true, Ordering::Release);
    }
    for outcome in waiting(None) {
        assert_eq!(sense(&outcome), (2, 4, 0x0a));
    }
    assert_eq!(
        node.provider.shared.0.lock()["/a"].data,
        0,
        "nothing of it was executed"
    );
}

/// SAM-4 8.8: it is processed when it is enabled, so what an older command did to it counts.
#[test]
fn reservations_are_asked_again_when_a_command_had_to_wait() {
    let (node, one, two) = held();
    let before = node.submit_as(Ordered, &one, 0, WRITE, &[7], 1);
    let after = node.submit(&two, 0, WRITE, &[8], 2);
    waits(&after);
    node.unit(1).holder.store(one.id, Ordering::Release);
    run(&node);
    assert_eq!(ends(&before), Outcome::data_out(1));
    assert_eq!(ends(&after).status, ScsiStatus::ReservationConflict);
    assert_eq!(node.provider.shared.0.lock()["/a"].data, 7);
}

#[test]
fn a_long_queue_is_worked_off_in_its_order() {
    let (node, one, two) = held();
    let first = node.submit(&one, 0, READ, &[], 0);
    let writes: Vec<_> = (1..=1000)
        .map(|tag| {
            let nexus = if tag % 2 == 0 { &one } else { &two };
            node.submit_as(Ordered, nexus, 0, WRITE, &[u8::try_from(tag % 256).unwrap()], tag)
        })
        .collect();
    run(&node);
    ends(&first);
    for write in &writes {
        assert_eq!(ends(write), Outcome::data_out(1));
    }
    assert_eq!(node.command(&one, 0, READ, &[]).data, [(1000 % 256) as u8]);
    assert_eq!(node.provider.behaviour.overlaps.load(Ordering::SeqCst), 0);
}

#[test]
fn an_ordered_command_is_alone_whatever_the_threads_do() {
    let (node, one, two) = held();
    run(&node);
    let nexuses = [
        one,
        two,
        node.login("iqn.t", "iqn.three"),
        node.login("iqn.t", "iqn.four"),
    ];
    nexuses.iter().for_each(|nexus| node.clear(nexus, 0));
    std::thread::scope(|scope| {
        for (number, nexus) in nexuses.iter().enumerate() {
            let node = &node;
            scope.spawn(move || {
                for round in 0..400u64 {
                    // Phases of SIMPLE commands alone between those with others.
                    let attribute = match (round + 13 * number as u64) % 40 {
                        0 | 3 => Ordered,
                        5 => HeadOfQueue,
                        _ => Simple,
                    };
                    let commands = [1, 2].map(|tag| {
                        let command = node.submit_as(attribute, nexus, 0, READ, &[], 10 * round + tag);
                        // One that is given up, too.
                        if tag == 1 && round % 7 == 0 {
                            drop(node.start_as(Ordered, nexus, 0, WRITE, 10 * round));
                        }
                        command
                    });
                    for command in &commands {
                        assert_eq!(ends(command).status, ScsiStatus::Good);
                    }
                }
            });
        }
    });
    assert_eq!(node.provider.behaviour.overlaps.load(Ordering::SeqCst), 0);
}
