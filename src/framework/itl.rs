//! One nexus on one LU (SAM's I_T_L nexus): pending unit attentions and live tasks.

use super::attention::Attentions;
use super::io::IoCounters;
use super::live::{Finale, LiveTask, Stop, TaskState};
use super::logical_unit::LogicalUnit;
use super::{Handler, Nexus, TaskAttribute};
use crate::scsi::Sense;
use crate::types::Lun;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock, Weak};

/// Live tasks of one nexus on one LU, beyond which TASK SET FULL is answered. The window of a session is far smaller.
const MAX_TASKS: usize = 4096;

/// Why a task was not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The LU's tasks are being killed for a change of access state.
    Closed,
    /// The LUN is no longer mapped.
    Unmapped,
    /// The nexus, or the LU, has as many as it may have.
    Full,
    /// Tasks of an earlier session of the same initiator port have not ended (`iscsi-target.md` chapter 12).
    Leftover,
}

struct Entry {
    state: Arc<TaskState>,
    /// Dropped when execution has ended.
    at_end: Vec<Arc<Finale>>,
    /// Dropped when the response has been handed to the port.
    at_response: Vec<Arc<Finale>>,
}

#[derive(Default)]
struct Tasks {
    refuse: Option<Refused>,
    entries: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Pairs of earlier sessions of the initiator port whose tasks had not ended when this one began.
    before: Vec<Arc<Itl>>,
}

impl Tasks {
    fn live(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

/// The pair.
pub(super) struct Itl {
    pub lu: Arc<LogicalUnit>,
    /// The number under which the nexus sees the LU. A pair that gets another number is another pair.
    pub lun: Lun,
    pub nexus: Weak<Nexus>,
    pub nexus_id: u64,
    pub attentions: Attentions,
    image: bool,
    tasks: Mutex<Tasks>,
    /// From its first read or write on: most pairs of a large node have none.
    io: OnceLock<Arc<IoCounters>>,
}

impl Itl {
    /// `closed`: the LU admits no tasks at present. `before`: pairs whose tasks have to end first.
    pub fn new(lu: Arc<LogicalUnit>, nexus: &Arc<Nexus>, lun: Lun, closed: bool, before: Vec<Arc<Itl>>) -> Arc<Itl> {
        let itl = Itl {
            lu,
            lun,
            nexus: Arc::downgrade(nexus),
            nexus_id: nexus.id,
            attentions: Attentions::default(),
            image: nexus.port.image,
            tasks: Mutex::new(Tasks {
                before,
                ..Tasks::default()
            }),
            io: OnceLock::new(),
        };
        itl.raise(Sense::POWER_ON);
        if closed {
            itl.tasks.lock().refuse = Some(Refused::Closed);
        }
        Arc::new(itl)
    }

    /// Queues a unit attention; never on the image of a port of the peer, where the initiator would attribute it to the
    /// wrong path (hazard H23).
    pub fn raise(&self, sense: Sense) {
        if !self.image {
            self.attentions.raise(sense);
        }
    }

    /// What this pair counts, entered with its LU, session and target.
    pub fn io(&self) -> &IoCounters {
        self.io.get_or_init(|| {
            let counters = Arc::default();
            self.lu.io.open(&counters);
            if let Some(nexus) = self.nexus.upgrade() {
                nexus.io.open(&counters);
                nexus.port.io.open(&counters);
            }
            counters
        })
    }

    /// Admits a task. `handler` is asked with the gate held, so that a task admitted after a change of route cannot
    /// carry the old handler.
    pub fn admit(
        self: &Arc<Itl>,
        nexus: &Arc<Nexus>,
        tag: u64,
        attribute: TaskAttribute,
        handler: impl FnOnce() -> Option<Arc<dyn Handler>>,
    ) -> Result<LiveTask, Refused> {
        let mut tasks = self.tasks.lock();
        if let Some(refused) = tasks.refuse {
            return Err(refused);
        }
        if !tasks.before.is_empty() {
            tasks.before.retain(|before| !before.finished());
            if !tasks.before.is_empty() {
                return Err(Refused::Leftover);
            }
        }
        let handler = handler().ok_or(Refused::Closed)?;
        if tasks.live() >= MAX_TASKS || !self.lu.enter_task() {
            return Err(Refused::Full);
        }
        let (turn, crowd) = self.lu.turns.enter(attribute);
        let state = Arc::new(TaskState::new(nexus.clone(), tag, handler, turn));
        let entry = Some(Entry {
            state: state.clone(),
            at_end: Vec::new(),
            at_response: Vec::new(),
        });
        let key = match tasks.free.pop() {
            Some(key) => {
                tasks.entries[key] = entry;
                key
            }
            None => {
                tasks.entries.push(entry);
                tasks.entries.len() - 1
            }
        };
        drop(tasks);
        if let Some(crowd) = crowd {
            self.lu.await_crowd(crowd);
        }
        Ok(LiveTask {
            itl: self.clone(),
            key,
            state,
        })
    }

    /// Execution of a task has ended and somebody waits for that.
    pub fn ended(&self, key: usize) {
        let finales = match self.tasks.lock().entries.get_mut(key) {
            Some(Some(entry)) => std::mem::take(&mut entry.at_end),
            _ => Vec::new(),
        };
        drop(finales);
    }

    /// The task is gone.
    pub fn remove(&self, key: usize) {
        let entry = {
            let mut tasks = self.tasks.lock();
            let entry = tasks.entries.get_mut(key).and_then(Option::take);
            if entry.is_some() {
                tasks.free.push(key);
                self.lu.leave_task();
            }
            entry
        };
        // Finales run outside of the lock.
        drop(entry);
        if self.finished() {
            self.lu.forget(self);
        }
    }

    /// Refuses new tasks, for a change of access state or because the LUN is unmapped.
    pub fn close(&self, why: Refused) {
        let mut tasks = self.tasks.lock();
        if tasks.refuse != Some(Refused::Unmapped) {
            tasks.refuse = Some(why);
        }
    }

    /// Admits tasks again, unless unmapped.
    pub fn open(&self) {
        let mut tasks = self.tasks.lock();
        if tasks.refuse == Some(Refused::Closed) {
            tasks.refuse = None;
        }
    }

    /// A session of this node's own sees the LU: mapped, and not the image of a session of the peer.
    pub fn seen(&self) -> bool {
        !self.image && !self.unmapped()
    }

    /// True once the LUN was unmapped.
    pub fn unmapped(&self) -> bool {
        self.tasks.lock().refuse == Some(Refused::Unmapped)
    }

    /// It is what is left of a session of the same initiator port with the same target port, or of this one.
    pub fn leftover_of(&self, nexus: &Nexus) -> bool {
        // A live task keeps its nexus.
        let same = |old: Arc<Nexus>| old.transport_id == nexus.transport_id && old.port.devid == nexus.port.devid;
        self.unmapped() && self.nexus.upgrade().is_some_and(same)
    }

    /// True when it is unmapped and its last task is gone.
    pub fn finished(&self) -> bool {
        let tasks = self.tasks.lock();
        tasks.refuse == Some(Refused::Unmapped) && tasks.live() == 0
    }

    /// Stops the tasks that `which` names and returns their number. `finale` is held by each until it cannot touch the
    /// store any more.
    pub fn stop_tasks(&self, how: Stop, finale: &Arc<Finale>, which: impl Fn(&TaskState) -> bool) -> usize {
        self.stop_with(how, which, |entry| {
            if entry.state.executing() && entry.state.wait() {
                entry.at_end.push(finale.clone());
            }
        })
    }

    /// Aborts the tasks that `which` names; `finale` is held until the response, if any, was handed to the port.
    pub fn abort_tasks(&self, finale: &Arc<Finale>, which: impl Fn(&TaskState) -> bool) -> usize {
        self.stop_with(Stop::Abort, which, |entry| {
            if entry.state.responding() {
                entry.at_response.push(finale.clone());
            }
        })
    }

    /// `finale` is held by every task until it is gone.
    pub fn when_idle(&self, finale: &Arc<Finale>) {
        for entry in self.tasks.lock().entries.iter_mut().flatten() {
            entry.at_response.push(finale.clone());
        }
    }

    /// `finale` is held by every task without a place in the task set until it is gone.
    pub fn when_crowd_is_gone(&self, finale: &Arc<Finale>) {
        let mut tasks = self.tasks.lock();
        for entry in tasks.entries.iter_mut().flatten().filter(|e| e.state.turn.is_none()) {
            entry.at_response.push(finale.clone());
        }
    }

    fn stop_with(&self, how: Stop, which: impl Fn(&TaskState) -> bool, hold: impl Fn(&mut Entry)) -> usize {
        let mut count = 0;
        let mut told = Vec::new();
        {
            let mut tasks = self.tasks.lock();
            for entry in tasks.entries.iter_mut().flatten().filter(|e| which(&e.state)) {
                count += 1;
                // Once marked a ready task cannot begin, so the phase that `hold` sees is final enough.
                if let Some(whom) = entry.state.mark(how) {
                    told.push((entry.state.clone(), whom));
                }
                hold(entry);
            }
        }
        told.iter().for_each(|(state, whom)| state.tell(*whom));
        count
    }
}

impl Drop for Itl {
    fn drop(&mut self) {
        if let Some(io) = self.io.get() {
            io.close();
        }
    }
}
