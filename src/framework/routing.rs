//! The way of a command from a port to whoever executes it. No global lock: the nexus's snapshot of its LUN map leads to
//! the LU, the LU's route to the handler. The order of the checks is `scsi-sbd.md` 2.1.

use super::attention::Class;
use super::dlun0::{self, INQUIRY, REPORT_LUNS, REQUEST_SENSE};
use super::io::Running;
use super::itl::{Itl, Refused};
use super::live::LiveTask;
use super::logical_unit::{LogicalUnit, Route};
use super::standby::{self, Verdict};
use super::{Done, Framework, Handler, Origin, Outcome, ReadyTask, Start, Started, Task, TaskAttribute};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{AccessState, Lun};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Told to hosts in REPORT TARGET PORT GROUPS; after it a transition counts as unavailable (`alua-proxy.md` 7.5).
pub(super) const TRANSITION_TIME: Duration = Duration::from_secs(60);
/// How often the route may change under a command before the host is asked to try again.
const ROUTE_CHANGES: u32 = 4;

/// MAINTENANCE IN / REPORT TARGET PORT GROUPS.
fn is_rtpg(task: &Task) -> bool {
    let cdb = task.cdb.head();
    cdb[0] == 0xa3 && cdb[1] & 0x1f == 0x0a
}

pub(super) fn start(framework: &Framework, task: Task) -> Started {
    let map = task.nexus.lun_map.load();
    let itl = Lun::from_sam(&task.lun).and_then(|lun| map.get(lun));
    if task.cdb.opcode() == REPORT_LUNS {
        task.nexus.luns_changed.store(false, Ordering::Release);
        return Started::Done(dlun0::report_luns(&task, &map));
    }
    let Some(itl) = itl.cloned() else {
        let exempt = matches!(task.cdb.opcode(), INQUIRY | REQUEST_SENSE);
        if !exempt && take_luns_changed(&task) {
            return Started::Done(Outcome::check(Sense::LUNS_CHANGED));
        }
        return Started::Done(dlun0::unmapped(&task));
    };
    drop(map);
    if let Some(outcome) = wrong_unit(&task, &itl) {
        return Started::Done(outcome);
    }
    for _ in 0..ROUTE_CHANGES {
        let route = itl.lu.route();
        if let Some(outcome) = checks(framework, &task, &itl, &route) {
            return Started::Done(outcome);
        }
        match itl.admit(&task.nexus, task.tag, ordering(&task, &route), || {
            itl.lu.handler(&route)
        }) {
            Ok(live) => return begin(task, live),
            Err(Refused::Closed) => {}
            Err(Refused::Unmapped) => return Started::Done(dlun0::unmapped(&task)),
            Err(Refused::Full) => return Started::Done(Outcome::status(ScsiStatus::TaskSetFull)),
            Err(Refused::Leftover) => return Started::Done(Outcome::status(ScsiStatus::Busy)),
        }
    }
    // KillTasks has closed the LU and its new route is not known yet.
    Started::Done(Outcome::status(ScsiStatus::Busy))
}

/// The commands of a Standby LU are put in order where they are executed.
fn ordering(task: &Task, route: &Route) -> TaskAttribute {
    match route {
        Route::Active(_) => task.attribute,
        _ => TaskAttribute::Simple,
    }
}

/// The handler's own checks; nothing is executed yet. An answer that has to wait for its turn is asked for again then; a refusal
/// need not wait.
fn begin(task: Task, live: LiveTask) -> Started {
    let mut parts = None;
    let want = match live.state.handler().start(&task) {
        Start::Execute { want } => want,
        // What nodes send each other for one command is bounded.
        Start::InParts(_) if matches!(task.origin, Origin::Peer { .. }) => {
            return Started::Done(Outcome::check(Sense::INVALID_FIELD_IN_CDB));
        }
        Start::InParts(all) => parts.insert(all).want(),
        Start::Done(outcome) => {
            let dormant = live.state.turn.as_ref().is_some_and(|turn| !turn.has_come());
            if !dormant || outcome.status != ScsiStatus::Good {
                return Started::Done(outcome);
            }
            0
        }
    };
    Started::Ready(Box::new(ReadyTask {
        task,
        want,
        live,
        parts,
    }))
}

/// Hazard H12: the peer means another LU than the one that this node has under that number.
fn wrong_unit(task: &Task, itl: &Itl) -> Option<Outcome> {
    match task.origin {
        Origin::Peer {
            lun_id: Some(meant), ..
        } if meant != itl.lu.guid => {
            log::error!(
                "view entries of the two nodes disagree: the peer forwarded a command for LU {meant} from {} through {}, \
                 but that LUN is LU {} here; refused",
                task.nexus.initiator,
                task.nexus.port.devid,
                itl.lu.guid
            );
            Some(Outcome::check(Sense::LUN_NOT_SUPPORTED))
        }
        _ => None,
    }
}

/// Rows 3 to 7; `None` when the handler has the word.
fn checks(framework: &Framework, task: &Task, itl: &Itl, route: &Route) -> Option<Outcome> {
    let opcode = task.cdb.opcode();
    if let Route::Transition(since) = *route {
        return in_transition(framework, task, itl, since);
    }
    let active = matches!(route, Route::Active(_));
    if active && let Some(since) = itl.lu.draining() {
        return in_transition(framework, task, itl, since);
    }
    let exempt = matches!(opcode, INQUIRY | REQUEST_SENSE);
    if opcode == REQUEST_SENSE
        && let Some(sense) = pending(task, itl, Class::All, active)
    {
        return Some(dlun0::sense_data(task, sense));
    }
    if !exempt && let Some(sense) = itl_pending(itl, Class::Reset, active) {
        return Some(Outcome::check(sense));
    }
    if let Route::Active(unit) = route
        && unit.reservation_conflict(task)
    {
        return Some(Outcome::status(ScsiStatus::ReservationConflict));
    }
    if !exempt && let Some(sense) = pending(task, itl, Class::Other, active) {
        return Some(Outcome::check(sense));
    }
    if is_rtpg(task) {
        return Some(framework.report_target_port_groups(task, &itl.lu));
    }
    match active {
        true => None,
        false => on_standby(framework, task, itl),
    }
}

fn in_transition(framework: &Framework, task: &Task, itl: &Itl, since: Instant) -> Option<Outcome> {
    Some(match task.cdb.opcode() {
        INQUIRY => itl.lu.identity.answer(task),
        REQUEST_SENSE => {
            let sense = pending(task, itl, Class::All, false).unwrap_or(Sense::NO_SENSE);
            dlun0::sense_data(task, sense)
        }
        _ if is_rtpg(task) => framework.report_target_port_groups(task, &itl.lu),
        _ if since.elapsed() < TRANSITION_TIME => Outcome::check(Sense::ALUA_TRANSITION),
        _ => Outcome::check(Sense::ALUA_UNAVAILABLE),
    })
}

/// `alua-proxy.md` 7.4 and 7.6.
fn on_standby(framework: &Framework, task: &Task, itl: &Itl) -> Option<Outcome> {
    if matches!(task.origin, Origin::Peer { .. }) {
        // Never back to where it came from.
        return Some(Outcome::check(Sense::ALUA_UNAVAILABLE));
    }
    let verdict = standby::filter(&task.cdb, framework.standby_reads(), framework.forwards_all(&itl.lu));
    if verdict == Verdict::Refuse {
        return Some(Outcome::check(Sense::ALUA_STANDBY));
    }
    if framework.can_forward(task.port()) {
        return None;
    }
    Some(match task.cdb.opcode() {
        INQUIRY => itl.lu.identity.answer(task),
        REQUEST_SENSE => dlun0::sense_data(task, Sense::NO_SENSE),
        _ => Outcome::check(Sense::ALUA_UNAVAILABLE),
    })
}

fn take_luns_changed(task: &Task) -> bool {
    let flag = &task.nexus.luns_changed;
    flag.load(Ordering::Acquire) && flag.swap(false, Ordering::AcqRel)
}

fn itl_pending(itl: &Itl, class: Class, active: bool) -> Option<Sense> {
    match itl.attentions.is_empty() {
        true => None,
        false => itl.attentions.take(class, active),
    }
}

/// The next unit attention, 06/3F/0E before the others of lower urgency than 29/xx.
fn pending(task: &Task, itl: &Itl, class: Class, active: bool) -> Option<Sense> {
    if class == Class::All
        && let Some(sense) = itl_pending(itl, Class::Reset, active)
    {
        return Some(sense);
    }
    if take_luns_changed(task) {
        return Some(Sense::LUNS_CHANGED);
    }
    itl_pending(itl, Class::Other, active)
}

/// The tail of a task: its outcome, and its end as a live task, whatever the handler does with it.
struct Completion {
    live: LiveTask,
    inquiry: Option<[u8; 16]>,
    io: Option<Running>,
    done: Option<Done>,
}

impl Completion {
    fn finish(mut self, outcome: Outcome) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: Outcome) {
        let Some(done) = self.done.take() else { return };
        if let Some(cdb) = &self.inquiry {
            self.live.itl.lu.identity.learn(cdb, &outcome);
        }
        learn_of_peer(&self.live.itl.lu, &outcome);
        let (outcome, waited) = self.live.state.end(outcome);
        if let Some(running) = &self.io {
            self.live.itl.io().end(running, &outcome);
        }
        if waited {
            self.live.itl.ended(self.live.key);
        }
        done(outcome);
    }
}

/// A peer that gives an LU up says so in its answers only: REPORT TARGET PORT GROUPS is to say the same on both nodes.
fn learn_of_peer(lu: &LogicalUnit, outcome: &Outcome) {
    if lu.access() != AccessState::Standby {
        return;
    }
    let in_transition = outcome.sense.get(12..14) == Some(&[0x04, 0x0a]);
    match (in_transition, lu.peer_says()) {
        (true, Some(AccessState::Active)) => lu.set_peer_says(Some(AccessState::TransitionToStandby)),
        (false, Some(AccessState::TransitionToStandby)) if outcome.status == ScsiStatus::Good => {
            lu.set_peer_says(Some(AccessState::Active));
        }
        _ => {}
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.done.is_some() {
            log::error!("LU {}: a command was dropped by its handler", self.live.itl.lu.guid);
            self.end(Outcome::check(Sense::INTERNAL_FAILURE));
        }
    }
}

pub(super) fn execute(ready: ReadyTask, data: Vec<u8>, done: Done) {
    let ReadyTask { task, want, live, .. } = ready;
    let handler = match live.state.begin() {
        Ok(handler) => handler,
        Err(outcome) => return done(outcome),
    };
    let completion = Completion {
        inquiry: (task.cdb.opcode() == INQUIRY).then(|| *task.cdb.head()),
        io: Running::begin(task.cdb.opcode()),
        live,
        done: Some(done),
    };
    if data.len() != want as usize {
        log::error!(
            "LU {}: {} bytes came where {want} were wanted",
            completion.live.itl.lu.guid,
            data.len()
        );
        return completion.finish(Outcome::check(Sense::INTERNAL_FAILURE));
    }
    if completion.live.state.turn.is_some() {
        return in_turn(handler, task, data, completion);
    }
    handler.execute(task, data, Box::new(move |outcome| completion.finish(outcome)));
}

/// Executes a command when it may be executed. What older ones may have changed is checked then.
fn in_turn(handler: Arc<dyn Handler>, task: Task, data: Vec<u8>, completion: Completion) {
    let state = completion.live.state.clone();
    let stopped = || state.stopped();
    let run: Box<dyn FnOnce() + Send> = Box::new(move || {
        if completion.live.state.stopped() {
            return completion.finish(Outcome::status(ScsiStatus::TaskAborted));
        }
        // It may have waited for the end of a reset.
        let itl = &completion.live.itl;
        if !matches!(task.cdb.opcode(), INQUIRY | REQUEST_SENSE)
            && let Some(sense) = itl_pending(itl, Class::Reset, itl.lu.unit().is_some())
        {
            return completion.finish(Outcome::check(sense));
        }
        if handler.reservation_conflict(&task) {
            return completion.finish(Outcome::status(ScsiStatus::ReservationConflict));
        }
        match handler.start(&task) {
            Start::Done(outcome) => completion.finish(outcome),
            Start::Execute { want } if want as usize == data.len() => {
                handler.execute(task, data, Box::new(move |outcome| completion.finish(outcome)));
            }
            // It needs other data than it was asked for before.
            Start::Execute { .. } | Start::InParts(_) => completion.finish(Outcome::status(ScsiStatus::Busy)),
        }
    });
    match &state.turn {
        Some(turn) => turn.wait(stopped, run),
        None => run(),
    }
}
