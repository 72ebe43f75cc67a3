//! Live tasks: aborts, resets, the end of a nexus, KillTasks.

use super::model::*;
use crate::framework::live::Stop;
use crate::framework::*;
use crate::scsi::{ScsiStatus, Sense};
use crate::types::*;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
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

fn run(node: &Node) {
    node.provider.behaviour.hold.store(false, Ordering::Release);
    node.provider.behaviour.run_held();
}

#[test]
fn abort_task_finds_one_task_of_its_nexus() {
    let (node, one, two) = held();
    let (first, second) = (node.submit(&one, 0, READ, &[], 1), node.submit(&one, 0, READ, &[], 2));
    let other = node.submit(&two, 0, READ, &[], 1);
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let answer = node.tm(&one, 0, TmFunction::AbortTask, 1);
    assert_eq!(
        answer.recv_timeout(NOT_YET),
        Err(RecvTimeoutError::Timeout),
        "it still runs"
    );
    run(&node);
    assert_eq!(answer.recv_timeout(SOON), Ok(TmResponse::Complete));
    assert_eq!(first.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(second.recv_timeout(SOON).unwrap().status, ScsiStatus::Good);
    assert_eq!(other.recv_timeout(SOON).unwrap().status, ScsiStatus::Good);
    assert_eq!(
        node.tm(&one, 0, TmFunction::AbortTask, 1).recv(),
        Ok(TmResponse::NoSuchTask)
    );
}

#[test]
fn a_ready_task_is_aborted_before_its_data_came() {
    let (node, one, _) = held();
    let Started::Ready(ready) = node.start(&one, 0, WRITE, 9) else {
        panic!("a write wants data");
    };
    let handle = ready.handle();
    assert!(!handle.aborted());
    assert_eq!(
        node.tm(&one, 0, TmFunction::AbortTask, 9).recv_timeout(SOON),
        Ok(TmResponse::Complete)
    );
    assert!(handle.aborted());
    let (sender, outcome) = channel();
    ready.execute(vec![1], Box::new(move |o| sender.send(o).unwrap()));
    assert_eq!(outcome.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert!(node.provider.behaviour.held.lock().is_empty(), "the unit never saw it");
}

#[test]
fn a_dropped_ready_task_is_no_task() {
    let (node, one, _) = held();
    drop(node.start(&one, 0, WRITE, 9));
    assert_eq!(
        node.tm(&one, 0, TmFunction::AbortTask, 9).recv_timeout(SOON),
        Ok(TmResponse::NoSuchTask)
    );
}

#[test]
fn sets_of_tasks() {
    let (node, one, two) = held();
    let (mine, other) = (node.submit(&one, 0, READ, &[], 1), node.submit(&two, 0, READ, &[], 1));
    assert_eq!(
        node.tm(&one, 0, TmFunction::AbortTaskSet, 0).recv_timeout(SOON),
        Ok(TmResponse::Complete)
    );
    assert_eq!(mine.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    node.provider.behaviour.run_held();
    assert_eq!(other.recv_timeout(SOON).unwrap().status, ScsiStatus::Good);

    let (mine, other) = (node.submit(&one, 0, READ, &[], 1), node.submit(&two, 0, READ, &[], 1));
    assert_eq!(
        node.tm(&one, 0, TmFunction::ClearTaskSet, 0).recv_timeout(SOON),
        Ok(TmResponse::Complete)
    );
    assert_eq!(mine.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(other.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    run(&node);
    assert_eq!(node.command(&one, 0, TUR, &[]), Outcome::good());
    assert_eq!(sense(&node.command(&two, 0, TUR, &[])), (6, 0x2f, 0), "it lost a task");
    assert_eq!(
        node.tm(&one, 0, TmFunction::ClearAca, 0).recv(),
        Ok(TmResponse::NotSupported)
    );
}

#[test]
fn resets_are_seen_by_every_nexus() {
    let (node, one, two) = held();
    node.create("/b", 2).unwrap();
    node.view_all(2, 1);
    for (at, function) in [
        TmFunction::LunReset,
        TmFunction::TargetWarmReset,
        TmFunction::TargetColdReset,
    ]
    .into_iter()
    .enumerate()
    {
        node.provider.behaviour.hold.store(true, Ordering::Release);
        let running = node.submit(&two, 0, READ, &[], 1);
        let running = match running.try_recv() {
            Ok(outcome) => {
                // 3F/0E for LU 2 came first.
                assert_eq!(sense(&outcome), (6, 0x3f, 0x0e));
                node.submit(&two, 0, READ, &[], 1)
            }
            Err(_) => running,
        };
        assert_eq!(
            node.tm(&one, 0, function, 0).recv_timeout(SOON),
            Ok(TmResponse::Complete)
        );
        assert_eq!(running.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
        run(&node);
        let resets = usize::from(node.provider.behaviour.resets.load(Ordering::Acquire));
        assert_eq!(resets, [1, 3, 5][at], "{function:?}: target resets reach LU 2 as well");
        for nexus in [&one, &two] {
            let mut first = node.command(nexus, 0, TUR, &[]);
            if sense(&first) == (6, 0x3f, 0x0e) {
                first = node.command(nexus, 0, TUR, &[]);
            }
            assert_eq!(sense(&first), (6, 0x29, 0));
            node.clear(nexus, 0);
        }
    }
    let empty = Node::single();
    empty.port("iqn.t");
    let nexus = empty.login("iqn.t", "iqn.i");
    assert_eq!(
        empty.tm(&nexus, 0, TmFunction::TargetWarmReset, 0).recv(),
        Ok(TmResponse::Complete)
    );
}

#[test]
fn the_end_of_a_nexus_waits_for_its_tasks() {
    let (node, one, _) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let running = node.submit(&one, 0, WRITE, &[7], 1);
    let framework = node.framework.clone();
    let nexus = one.clone();
    let (sender, ended) = channel();
    std::thread::spawn(move || {
        framework.nexus_deregister(&nexus);
        sender.send(()).unwrap();
    });
    assert_eq!(ended.recv_timeout(NOT_YET), Err(RecvTimeoutError::Timeout));
    run(&node);
    ended.recv_timeout(SOON).unwrap();
    assert_eq!(running.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(
        sense(&node.command(&one, 0, TUR, &[])),
        (5, 0x25, 0),
        "nothing is mapped any more"
    );
    assert_eq!(node.framework.port_nexuses(&devid("iqn.t")).unwrap().len(), 1);
    node.framework.nexus_deregister(&one);
}

#[test]
fn a_nexus_may_end_inside_its_own_outcome() {
    let (node, one, _) = held();
    let (sender, ended) = channel();
    let (framework, nexus) = (node.framework.clone(), one.clone());
    let Started::Ready(ready) = node.start(&one, 0, READ, 1) else {
        panic!("a read is executed");
    };
    let end = move |_| {
        framework.nexus_deregister(&nexus);
        sender.send(()).unwrap();
    };
    ready.execute(vec![], Box::new(end));
    run(&node);
    ended.recv_timeout(SOON).unwrap();
}

#[test]
fn offline_aborts_and_waits() {
    let (node, one, _) = held();
    let running = node.submit(&one, 0, READ, &[], 1);
    node.framework.lu_offline(&guid(1)).unwrap();
    assert_eq!(running.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(
        node.framework.lu_info(&guid(1)).unwrap().state,
        Some(ObjectState::Offline)
    );
    assert_eq!(
        luns(&node.command(&one, 0, LUNS, &[])),
        [0],
        "only what is always there"
    );
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (5, 0x25, 0));
}

/// Hazard H8: the store is closed when the last command has ended.
#[test]
fn standby_lets_running_commands_end_and_refuses_the_rest() {
    let (node, one, _) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let running = node.submit(&one, 0, WRITE, &[7], 1);
    let Started::Ready(late) = node.start(&one, 0, WRITE, 2) else {
        panic!("a write wants data");
    };
    let framework = node.framework.clone();
    let standby = std::thread::spawn(move || framework.lu_standby(&guid(1)));
    wait("the LU is in transition", || {
        node.access(1) == Some(AccessState::TransitionToStandby)
    });
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (2, 4, 0x0a));
    assert_eq!(
        node.provider.shared.0.lock()["/a"].open,
        1,
        "the store stays open while a task runs"
    );
    run(&node);
    assert_eq!(standby.join().unwrap(), Ok(()));
    assert_eq!(
        running.recv_timeout(SOON).unwrap(),
        Outcome::data_out(1),
        "it was done before the flush"
    );
    assert_eq!(node.provider.shared.0.lock()["/a"].open, 0);
    let handle = late.handle();
    let (sender, outcome) = channel();
    late.execute(vec![9], Box::new(move |o| sender.send(o).unwrap()));
    assert_eq!(sense(&outcome.recv_timeout(SOON).unwrap()), (2, 4, 0x0a));
    assert!(!handle.aborted(), "it is answered");
    assert_eq!(node.provider.shared.0.lock()["/a"].data, 7);
}

/// Hazard H2: no running write is acknowledged after the LU was lost.
#[test]
fn lost_ownership_acknowledges_nothing() {
    let (node, one, _) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let running = node.submit(&one, 0, WRITE, &[7], 1);
    node.unit(1).lose();
    wait("the LU is Standby", || node.access(1) == Some(AccessState::Standby));
    run(&node);
    assert_eq!(sense(&running.recv_timeout(SOON).unwrap()), (2, 4, 0x0a));
    wait("the store is closed", || node.provider.shared.0.lock()["/a"].open == 0);
    assert_eq!(
        node.provider.shared.0.lock()["/a"].owner,
        Some(0),
        "nothing was written to the record"
    );
    assert_eq!(sense(&node.command(&one, 0, TUR, &[])), (6, 0x2a, 0x06));
    assert_eq!(
        sense(&node.command(&one, 0, TUR, &[])),
        (2, 4, 0x0c),
        "nobody to forward to"
    );
}

/// As many commands as the LU takes of a nexus.
fn flood(node: &Node, nexus: &Arc<Nexus>) -> Vec<Started> {
    let mut tasks = Vec::new();
    for tag in 0..5000 {
        let started = node.start(nexus, 0, READ, tag);
        if let Started::Done(outcome) = &started {
            assert_eq!(outcome.status, ScsiStatus::TaskSetFull);
            return tasks;
        }
        tasks.push(started);
    }
    panic!("there is no end of it");
}

#[test]
fn a_flood_of_tasks_is_refused_in_order() {
    let (node, one, two) = held();
    let mut tasks = flood(&node, &one);
    assert!(tasks.len() >= 1000);
    assert!(
        matches!(node.start(&two, 0, READ, 1), Started::Ready(_)),
        "another nexus is not hindered"
    );
    tasks.pop();
    assert!(matches!(node.start(&one, 0, READ, 1), Started::Ready(_)));
}

/// `scsi-sbd.md` 3.3: the limit of the LU, whatever each nexus may have.
#[test]
fn the_tasks_of_an_lu_are_limited_too() {
    let (node, one, _) = held();
    let others: Vec<_> = (0..8).map(|n| node.login("iqn.t", &format!("iqn.other{n}"))).collect();
    others.iter().for_each(|nexus| {
        node.provider.behaviour.hold.store(false, Ordering::Release);
        node.clear(nexus, 0);
    });
    let mut all: Vec<_> = others.iter().flat_map(|nexus| flood(&node, nexus)).collect();
    assert_eq!(all.len(), crate::framework::logical_unit::MAX_TASKS);
    let refused = node.command(&one, 0, TUR, &[]);
    assert_eq!(refused.status, ScsiStatus::TaskSetFull);
    all.pop();
    assert_eq!(node.command(&one, 0, TUR, &[]).status, ScsiStatus::Good);
    drop(all);
    assert_eq!(flood(&node, &one).len(), 4096);
}

/// A write under way that does not end, of a session that has ended. The thread ends when the write does.
fn leftover(node: &Node, nexus: &Arc<Nexus>) -> std::thread::JoinHandle<()> {
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let running = node.submit(nexus, 0, WRITE, &[7], 1);
    node.provider.behaviour.hold.store(false, Ordering::Release);
    let (framework, ending) = (node.framework.clone(), nexus.clone());
    let thread = std::thread::spawn(move || {
        framework.nexus_deregister(&ending);
        assert_eq!(running.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    });
    wait("the session has ended", || {
        node.command(nexus, 0, TUR, &[]) == Outcome::check(Sense::LUN_NOT_SUPPORTED)
    });
    thread
}

/// `iscsi-target.md` chapter 12: a session whose tasks do not end does not stop the new one.
#[test]
fn the_next_session_is_told_busy_while_the_last_one_has_tasks() {
    let (node, one, two) = held();
    let thread = leftover(&node, &one);
    let again = node.login("iqn.t", "iqn.one");
    node.clear(&again, 0);
    assert_eq!(node.command(&again, 0, READ, &[]).status, ScsiStatus::Busy);
    assert_eq!(
        node.command(&two, 0, READ, &[]).status,
        ScsiStatus::Good,
        "another initiator"
    );
    run(&node);
    thread.join().unwrap();
    wait("the old task is gone", || {
        node.command(&again, 0, READ, &[]).status == ScsiStatus::Good
    });
    assert_eq!(node.command(&again, 0, READ, &[]).data, [7]);
}

/// It was so: the LU was offline at once, its deletion waited in vain for the command, 20 s long, and failed.
#[test]
fn offline_waits_for_commands_of_sessions_that_have_ended() {
    let (node, one, _) = held();
    let thread = leftover(&node, &one);
    assert_eq!(node.framework.lu_offline(&guid(1)), Err(Status::Busy), "after 5 s");
    let state = || node.framework.lu_info(&guid(1)).unwrap().state;
    assert_eq!(state(), Some(ObjectState::Offlining));
    assert_eq!(node.framework.lu_delete(&guid(1)), Err(Status::Busy));
    assert_eq!(node.provider.behaviour.flushes.load(Ordering::Acquire), 0);
    run(&node);
    thread.join().unwrap();
    wait("the LU is offline", || state() == Some(ObjectState::Offline));
    assert_eq!(node.provider.behaviour.flushes.load(Ordering::Acquire), 1);
    assert_eq!(node.framework.lu_delete(&guid(1)), Ok(()));
}

/// `scsi-sbd.md` 3.2: neither executed in the middle of the reset nor refused.
#[test]
fn commands_that_come_during_a_reset_wait_for_its_end() {
    let (node, one, two) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let old = node.submit(&one, 0, WRITE, &[7], 1);
    let reset = node.tm(&two, 0, TmFunction::LunReset, 0);
    node.unit(1).holder.store(two.id, Ordering::Release);
    let new = node.submit(&two, 0, READ, &[], 2);
    for waiting in [reset.recv_timeout(NOT_YET).err(), new.recv_timeout(NOT_YET).err()] {
        assert_eq!(waiting, Some(RecvTimeoutError::Timeout));
    }
    assert_eq!(node.provider.behaviour.held.lock().len(), 1, "the old one only");
    run(&node);
    assert_eq!(reset.recv_timeout(SOON), Ok(TmResponse::Complete));
    assert_eq!(old.recv_timeout(SOON).unwrap().status, ScsiStatus::TaskAborted);
    assert_eq!(
        sense(&new.recv_timeout(SOON).unwrap()),
        (6, 0x29, 0),
        "it hears of the reset"
    );
    assert_eq!(node.command(&two, 0, READ, &[]).data, [7]);
    assert_eq!(node.unit(1).holder.load(Ordering::Acquire), 0);
}

/// `scsi-sbd.md` 4.4, LU online.
#[test]
fn an_lu_that_its_store_cannot_hold_stays_offline() {
    let node = Node::single();
    node.create("/a", 1).unwrap();
    let state = || node.framework.lu_info(&guid(1)).unwrap().state;
    node.framework.lu_offline(&guid(1)).unwrap();
    node.provider.behaviour.shrunk.store(true, Ordering::Release);
    assert_eq!(node.framework.lu_online(&guid(1)), Err(Status::Error));
    node.framework.offline().unwrap();
    node.framework.online().unwrap();
    assert_eq!(state(), Some(ObjectState::Offline));
    node.provider.behaviour.shrunk.store(false, Ordering::Release);
    node.framework.lu_online(&guid(1)).unwrap();
    assert_eq!(state(), Some(ObjectState::Online));
}

/// Executes one part.
fn part(ready: Box<ReadyTask>, data: &[u8]) -> Receiver<PartEnd> {
    let (sender, end) = channel();
    assert!(ready.in_parts() && ready.want() as usize == data.len());
    ready.execute_part(data.to_vec(), Box::new(move |e| drop(sender.send(e))));
    end
}

#[track_caller]
fn more(end: &Receiver<PartEnd>) -> (Vec<u8>, Box<ReadyTask>) {
    match end.recv_timeout(SOON).unwrap() {
        PartEnd::More { data, rest } => (data, rest),
        PartEnd::Ended(outcome) => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn ended(end: &Receiver<PartEnd>) -> Outcome {
    match end.recv_timeout(SOON).unwrap() {
        PartEnd::More { .. } => panic!("it goes on"),
        PartEnd::Ended(outcome) => outcome,
    }
}

fn begun(node: &Node, nexus: &Arc<Nexus>, opcode: u8) -> Box<ReadyTask> {
    match node.start(nexus, 0, &[opcode, 0, 0, 0, 0, 0, 0, 0, 3, 0], 1) {
        Started::Ready(ready) => ready,
        Started::Done(outcome) => panic!("{outcome:?}"),
    }
}

#[test]
fn a_large_command_is_executed_in_parts() {
    let (node, one, _) = held();
    run(&node);
    let mut ready = begun(&node, &one, 0x2a);
    for byte in [1, 2] {
        ready = more(&part(ready, &[byte])).1;
    }
    assert_eq!(ended(&part(ready, &[3])), Outcome::data_out(3));
    let (first, rest) = more(&part(begun(&node, &one, 0x28), &[]));
    let (second, rest) = more(&part(rest, &[]));
    let last = ended(&part(rest, &[]));
    assert_eq!((first, second, last.data), (vec![3], vec![3], vec![3]));
    assert_eq!(last.implied, 3, "by all parts together");
}

#[test]
fn an_abort_ends_a_large_command_in_a_part_and_between_two() {
    let (node, one, _) = held();
    let abort = || node.tm(&one, 0, TmFunction::AbortTask, 1).recv_timeout(SOON);
    let end = part(begun(&node, &one, 0x2a), &[1]);
    assert_eq!(abort(), Ok(TmResponse::Complete));
    assert_eq!(ended(&end).status, ScsiStatus::TaskAborted);
    // One that does not listen ends with its part.
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let end = part(begun(&node, &one, 0x2a), &[1]);
    let answer = node.tm(&one, 0, TmFunction::AbortTask, 1);
    run(&node);
    assert_eq!(answer.recv_timeout(SOON), Ok(TmResponse::Complete));
    assert_eq!(ended(&end).status, ScsiStatus::TaskAborted);
    let (_, rest) = more(&part(begun(&node, &one, 0x2a), &[2]));
    let handle = rest.handle();
    assert_eq!(abort(), Ok(TmResponse::Complete), "nothing is being executed");
    assert!(handle.aborted());
    assert_eq!(ended(&part(rest, &[9])).status, ScsiStatus::TaskAborted);
    assert_eq!(node.command(&one, 0, READ, &[]).data, [2]);
    // Nor does the LU wait for the data of the next part.
    let (_, rest) = more(&part(begun(&node, &one, 0x2a), &[4]));
    node.framework.lu_standby(&guid(1)).unwrap();
    assert_eq!(sense(&ended(&part(rest, &[9]))), (2, 4, 0x0a));
    assert_eq!(node.provider.shared.0.lock()["/a"].data, 4);
}

#[test]
fn a_handler_that_loses_a_part_is_answered_for() {
    let (node, one, _) = held();
    let end = part(begun(&node, &one, 0x28), &[]);
    node.provider.behaviour.held.lock().clear();
    assert_eq!(sense(&ended(&end)), (4, 0x44, 0));
}

#[test]
fn a_handler_that_loses_a_command_is_answered_for() {
    let (node, one, _) = held();
    let running = node.submit(&one, 0, READ, &[], 1);
    node.provider.behaviour.held.lock().clear();
    assert_eq!(sense(&running.recv_timeout(SOON).unwrap()), (4, 0x44, 0));
    assert_eq!(
        node.tm(&one, 0, TmFunction::AbortTask, 1).recv(),
        Ok(TmResponse::NoSuchTask)
    );
}

#[test]
fn kill_tasks_gives_up_in_the_end() {
    let (node, one, _) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let running = node.submit(&one, 0, READ, &[], 1);
    let lu = node.framework.state.lock().lus[&guid(1)].clone();
    assert!(
        !lu.kill_tasks(Stop::HandOver, NOT_YET),
        "the caller closes the store under it"
    );
    assert_eq!(
        node.command(&one, 0, TUR, &[]).status,
        ScsiStatus::Busy,
        "nothing is admitted meanwhile"
    );
    run(&node);
    assert!(lu.kill_tasks(Stop::HandOver, SOON));
    assert_eq!(running.recv_timeout(SOON).unwrap().status, ScsiStatus::Good);
    lu.open();
    assert_eq!(node.command(&one, 0, TUR, &[]), Outcome::good());
}

#[test]
fn offline_goes_on_in_the_background() {
    let (node, one, _) = held();
    node.provider.behaviour.ignore_abort.store(true, Ordering::Release);
    let running = node.submit(&one, 0, READ, &[], 1);
    let state = || node.framework.lu_info(&guid(1)).unwrap().state;
    assert_eq!(node.framework.lu_offline(&guid(1)), Err(Status::Busy), "after 5 s");
    assert_eq!(state(), Some(ObjectState::Offlining));
    assert_eq!(node.framework.lu_online(&guid(1)), Err(Status::Busy));
    assert_eq!(node.framework.lu_delete(&guid(1)), Err(Status::Busy));
    run(&node);
    running.recv_timeout(SOON).unwrap();
    wait("the LU is offline", || state() == Some(ObjectState::Offline));
    assert_eq!(node.framework.lu_delete(&guid(1)), Ok(()));
}
