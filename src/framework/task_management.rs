//! Task management functions (`scsi-sbd.md` 3.2, `alua-proxy.md` 5.11).

use super::attention::COMMANDS_CLEARED;
use super::itl::Itl;
use super::live::Finale;
use super::logical_unit::LogicalUnit;
use super::{Framework, Origin, TaskAttribute, TmDone, TmFunction, TmRequest, TmResponse};
use crate::scsi::Sense;
use crate::types::{AccessState, Lun};
use parking_lot::Mutex;
use std::sync::Arc;

/// Collects the parts of an answer; the worst one is given.
#[derive(Clone)]
struct Answer(Arc<Mutex<TmResponse>>);

impl Answer {
    fn new() -> Answer {
        Answer(Arc::new(Mutex::new(TmResponse::Complete)))
    }

    fn add(&self, part: TmResponse) {
        if part != TmResponse::Complete {
            *self.0.lock() = part;
        }
    }

    /// Given when all holders of the finale are gone.
    fn finale(&self, done: TmDone) -> Arc<Finale> {
        let answer = self.clone();
        Finale::new(move || {
            let response = *answer.0.lock();
            done(response);
        })
    }
}

pub(super) fn task_management(framework: &Framework, request: TmRequest, done: TmDone) {
    let map = request.nexus.lun_map.load_full();
    if matches!(
        request.function,
        TmFunction::TargetWarmReset | TmFunction::TargetColdReset
    ) {
        let finale = Answer::new().finale(done);
        for itl in map.itls() {
            // For the peer each LU is reset by itself.
            let part = TmRequest {
                lun: itl.lun.to_sam(),
                function: TmFunction::LunReset,
                ..request.clone()
            };
            let held = finale.clone();
            lun_reset(framework, part, itl, Box::new(move |_| drop(held)));
        }
        return;
    }
    if request.function == TmFunction::ClearAca {
        return done(TmResponse::NotSupported);
    }
    let Some(itl) = Lun::from_sam(&request.lun).and_then(|lun| map.get(lun)) else {
        return done(TmResponse::NoSuchLun);
    };
    if wrong_unit(&request, itl) {
        return done(TmResponse::NoSuchLun);
    }
    match request.function {
        TmFunction::AbortTask => abort_task(itl, request.referenced_tag, done),
        TmFunction::AbortTaskSet => abort_task_set(framework, request, itl, done),
        TmFunction::ClearTaskSet => clear_task_set(framework, request, itl, done),
        _ => lun_reset(framework, request, itl, done),
    }
}

/// Hazard H12, as for commands.
fn wrong_unit(request: &TmRequest, itl: &Itl) -> bool {
    match request.origin {
        Origin::Peer {
            lun_id: Some(meant), ..
        } if meant != itl.lu.guid => {
            log::error!(
                "the peer forwarded {:?} for LU {meant}; that LUN is LU {} here",
                request.function,
                itl.lu.guid
            );
            true
        }
        _ => false,
    }
}

/// A forwarded task is aborted at the peer by its handler.
fn abort_task(itl: &Itl, tag: u64, done: TmDone) {
    let finale_done = Arc::new(Mutex::new(Some(done)));
    let later = finale_done.clone();
    let finale = Finale::new(move || {
        if let Some(done) = later.lock().take() {
            done(TmResponse::Complete);
        }
    });
    let none = itl.abort_tasks(&finale, |task| task.tag == tag) == 0;
    if none && let Some(done) = finale_done.lock().take() {
        done(TmResponse::NoSuchTask);
    }
}

fn abort_task_set(framework: &Framework, request: TmRequest, itl: &Itl, done: TmDone) {
    let answer = Answer::new();
    let finale = answer.finale(done);
    itl.abort_tasks(&finale, |_| true);
    at_the_peer(framework, request, &itl.lu, answer, finale);
}

fn clear_task_set(framework: &Framework, request: TmRequest, itl: &Itl, done: TmDone) {
    let answer = Answer::new();
    let finale = answer.finale(done);
    for other in itl.lu.itls() {
        let lost = other.abort_tasks(&finale, |_| true);
        if lost > 0 && other.nexus_id != itl.nexus_id {
            other.raise(COMMANDS_CLEARED);
        }
    }
    at_the_peer(framework, request, &itl.lu, answer, finale);
}

/// Every nexus sees the reset, the one that asked included. New commands wait until it is over.
fn lun_reset(framework: &Framework, request: TmRequest, itl: &Itl, done: TmDone) {
    let answer = Answer::new();
    let lu = itl.lu.clone();
    let outer = answer.finale(done);
    let held = outer.clone();
    // Whoever comes after a head of the queue waits for it; the commands that are there do not.
    let (turn, crowd) = lu.turns.enter(TaskAttribute::HeadOfQueue);
    if let Some(crowd) = crowd {
        lu.await_crowd(crowd);
    }
    let gone = Finale::new(move || {
        if let Some(unit) = lu.unit() {
            unit.reset();
            lu.raise(Sense::POWER_ON);
        }
        if let Some(turn) = turn {
            turn.leave();
        }
        drop(held);
    });
    for other in itl.lu.itls() {
        other.abort_tasks(&gone, |_| true);
    }
    drop(gone);
    at_the_peer(framework, request, &itl.lu, answer, outer);
}

/// On a Standby LU the peer has the tasks as well; the answer waits for it (hazard H19).
fn at_the_peer(framework: &Framework, request: TmRequest, lu: &LogicalUnit, answer: Answer, finale: Arc<Finale>) {
    let forward = request.origin == Origin::Local
        && lu.access() == AccessState::Standby
        && framework.can_forward(&request.nexus.port);
    if let Some(link) = framework.link().filter(|_| forward) {
        let part = Box::new(move |response| {
            answer.add(response);
            drop(finale);
        });
        link.forward_tm(lu.guid, request, part);
    }
}
