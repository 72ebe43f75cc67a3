//! A logical unit as the framework sees it: state, where its commands go, its nexuses.

use super::changes;
use super::effects::count;
use super::events::{self, Happening};
use super::identity::Identity;
use super::io::Ledger;
use super::itl::{Itl, Refused};
use super::live::{Finale, Stop};
use super::turns::{Turn, Turns};
use super::{Framework, Handler, LuNexuses, Nexus, ObjectState, Unit};
use crate::changes::Change;
use crate::scsi::Sense;
use crate::types::{AccessState, DevId, Guid, Lun, Status};
use arc_swap::{ArcSwap, Guard};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

const UNKNOWN: u8 = u8::MAX;
/// Live tasks of an LU, whatever their nexuses, beyond which TASK SET FULL is answered (`scsi-sbd.md` 1.10, 3.3): as many as
/// 256 sessions may have outstanding.
pub(super) const MAX_TASKS: usize = 32_768;

/// Where the commands of an LU go.
pub(super) enum Route {
    /// Executed here.
    Active(Arc<dyn Unit>),
    /// Forwarded to the peer.
    Standby(Arc<dyn Handler>),
    /// On its way, since then.
    Transition(Instant),
}

#[derive(Default)]
struct Itls {
    /// Mapped ones, and unmapped ones whose tasks are not all gone.
    list: Vec<Arc<Itl>>,
    /// No tasks are admitted: KillTasks until the next route is known.
    closed: bool,
}

/// The LU.
pub(super) struct LogicalUnit {
    pub guid: Guid,
    /// LU provider.
    pub provider: &'static str,
    /// What INQUIRY says while nobody else can be asked.
    pub identity: Identity,
    /// What hosts have read and written.
    pub io: Ledger,
    /// The order of its commands.
    pub turns: Arc<Turns>,
    name: Mutex<String>,
    state: AtomicU8,
    access: AtomicU8,
    /// Access state in the peer's last announcement, [`UNKNOWN`] if none.
    peer_says: AtomicU8,
    /// The access state has changed since the LU was created or loaded.
    changed: AtomicBool,
    /// Access policy `non-optimized` (`alua-proxy.md` 7.7).
    non_optimized: AtomicBool,
    /// Nothing is admitted although the LU is Active, since then.
    draining: AtomicBool,
    draining_since: Mutex<Option<Instant>>,
    route: ArcSwap<Route>,
    itls: Mutex<Itls>,
    /// Live tasks.
    tasks: AtomicUsize,
}

impl LogicalUnit {
    pub fn new(guid: Guid, provider: &'static str, name: String, route: Route) -> Arc<LogicalUnit> {
        let identity = Identity::new(guid);
        Arc::new(LogicalUnit {
            guid,
            provider,
            identity,
            io: Ledger::default(),
            turns: Arc::default(),
            name: Mutex::new(name),
            state: AtomicU8::new(ObjectState::Offline as u8),
            access: AtomicU8::new(UNKNOWN),
            peer_says: AtomicU8::new(UNKNOWN),
            changed: AtomicBool::new(false),
            non_optimized: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            draining_since: Mutex::new(None),
            route: ArcSwap::from_pointee(route),
            itls: Mutex::default(),
            tasks: AtomicUsize::new(0),
        })
    }

    /// The path of the metadata, by which the LU is imported.
    pub fn name(&self) -> String {
        self.name.lock().clone()
    }

    pub fn rename(&self, name: &str) {
        let _change = Change::begin();
        name.clone_into(&mut self.name.lock());
    }

    pub fn state(&self) -> ObjectState {
        ObjectState::from_number(self.state.load(Ordering::Acquire)).expect("only states are stored")
    }

    pub fn set_state(&self, state: ObjectState) {
        let before = self.state.swap(state as u8, Ordering::AcqRel);
        if before != state as u8 {
            events::happened(Happening::LuState(self.guid, state));
        }
        changes::note();
    }

    /// Access state on this node.
    pub fn access(&self) -> AccessState {
        AccessState::from_number(self.access.load(Ordering::Acquire)).unwrap_or(AccessState::Standby)
    }

    pub fn set_access(&self, access: AccessState) {
        let _change = Change::begin();
        let before = self.access.swap(access as u8, Ordering::AcqRel);
        if before != UNKNOWN && before != access as u8 {
            self.changed.store(true, Ordering::Release);
        }
        if before != access as u8 {
            events::happened(Happening::LuAccess(self.guid, access));
        }
        changes::note();
    }

    pub fn peer_says(&self) -> Option<AccessState> {
        AccessState::from_number(self.peer_says.load(Ordering::Acquire))
    }

    pub fn set_peer_says(&self, says: Option<AccessState>) {
        self.peer_says
            .store(says.map_or(UNKNOWN, |access| access as u8), Ordering::Release);
    }

    pub fn non_optimized(&self) -> bool {
        self.non_optimized.load(Ordering::Acquire)
    }

    /// What hosts know of the groups' states is not true any more.
    pub fn change_policy(&self, non_optimized: bool) {
        self.non_optimized.store(non_optimized, Ordering::Release);
        self.changed.store(true, Ordering::Release);
        self.raise(Sense::ACCESS_STATE_CHANGED);
    }

    /// At creation.
    pub fn set_policy(&self, non_optimized: bool) {
        self.non_optimized.store(non_optimized, Ordering::Release);
    }

    pub fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    pub fn route(&self) -> Guard<Arc<Route>> {
        self.route.load()
    }

    pub fn set_route(&self, route: Route) {
        let _change = Change::begin();
        self.route.store(Arc::new(route));
    }

    /// The open unit, while Active.
    pub fn unit(&self) -> Option<Arc<dyn Unit>> {
        match &**self.route.load() {
            Route::Active(unit) => Some(unit.clone()),
            _ => None,
        }
    }

    /// Can the store still hold the LU (`scsi-sbd.md` 4.4)? Asked before it goes online.
    pub fn check_store(&self) -> Result<(), Status> {
        self.unit().map_or(Ok(()), |unit| unit.check_store())
    }

    /// Who executes a command that is admitted now; `None` when the route is no longer the one that the command was
    /// checked for.
    pub fn handler(&self, checked: &Arc<Route>) -> Option<Arc<dyn Handler>> {
        let now = self.route.load();
        if !Arc::ptr_eq(&now, checked) || self.draining.load(Ordering::Acquire) {
            return None;
        }
        match &**now {
            Route::Active(unit) => Some(unit.clone()),
            Route::Standby(forwarder) => Some(forwarder.clone()),
            Route::Transition(_) => None,
        }
    }

    // --- draining ---------------------------------------------------------------------------------------------------

    /// Admits no more tasks; false when that is so already.
    pub fn begin_drain(&self) -> bool {
        let mut since = self.draining_since.lock();
        if since.is_some() {
            return false;
        }
        *since = Some(Instant::now());
        self.draining.store(true, Ordering::Release);
        true
    }

    /// Admits tasks again.
    pub fn end_drain(&self) {
        let mut since = self.draining_since.lock();
        *since = None;
        self.draining.store(false, Ordering::Release);
    }

    /// Since when nothing is admitted.
    pub fn draining(&self) -> Option<Instant> {
        match self.draining.load(Ordering::Acquire) {
            true => *self.draining_since.lock(),
            false => None,
        }
    }

    /// `finale` is held until the tasks that are there are gone.
    pub fn when_idle(&self, finale: &Arc<Finale>) {
        self.itls().iter().for_each(|itl| itl.when_idle(finale));
    }

    /// The crowd leaves the task set when the tasks that have no place in it are gone.
    pub fn await_crowd(&self, crowd: Turn) {
        let finale = Finale::new(move || crowd.leave());
        self.itls().iter().for_each(|itl| itl.when_crowd_is_gone(&finale));
    }

    // --- nexuses ----------------------------------------------------------------------------------------------------

    /// The LU is mapped on a nexus from now on.
    pub fn attach(self: &Arc<Self>, nexus: &Arc<Nexus>, lun: Lun) -> Arc<Itl> {
        let mut itls = self.itls.lock();
        itls.list.retain(|itl| !itl.finished());
        let leftovers = itls.list.iter().filter(|itl| itl.leftover_of(nexus)).cloned().collect();
        let itl = Itl::new(self.clone(), nexus, lun, itls.closed, leftovers);
        itls.list.push(itl.clone());
        itl
    }

    /// The pairs that are mapped, by nexus.
    pub fn mapped(&self) -> HashMap<*const Nexus, Arc<Itl>> {
        let itls = self.itls.lock();
        let mapped = itls.list.iter().filter(|itl| !itl.unmapped());
        mapped.map(|itl| (itl.nexus.as_ptr(), itl.clone())).collect()
    }

    /// One more live task, if there is room.
    pub fn enter_task(&self) -> bool {
        let entered = self.tasks.fetch_add(1, Ordering::Relaxed) < MAX_TASKS;
        if !entered {
            self.leave_task();
        }
        entered
    }

    /// One less.
    pub fn leave_task(&self) {
        self.tasks.fetch_sub(1, Ordering::Relaxed);
    }

    /// An unmapped pair whose last task is gone.
    pub fn forget(&self, itl: &Itl) {
        self.itls.lock().list.retain(|other| !std::ptr::eq(&**other, itl));
    }

    /// Sessions of this node's targets that see the LU.
    pub fn sessions(&self) -> u32 {
        let itls = self.itls.lock();
        let mapped = itls.list.iter().filter(|itl| !itl.unmapped());
        let nexuses = mapped.filter_map(|itl| itl.nexus.upgrade());
        count(nexuses.filter(|nexus| !nexus.port.image).count())
    }

    pub fn itls(&self) -> Vec<Arc<Itl>> {
        self.itls.lock().list.clone()
    }

    /// KillTasks: refuses new tasks, stops those that are there, waits until none touches the store. False when some still
    /// do after `patience`. Tasks are admitted again with [`LogicalUnit::open`].
    pub fn kill_tasks(&self, how: Stop, patience: Duration) -> bool {
        let list = {
            let mut itls = self.itls.lock();
            itls.closed = true;
            itls.list.clone()
        };
        let (finale, gone) = Finale::channel();
        for itl in list {
            itl.close(Refused::Closed);
            itl.stop_tasks(how, &finale, |_| true);
        }
        drop(finale);
        gone.recv_timeout(patience).is_ok()
    }

    /// Stops the tasks of all nexuses, of those that have ended too. `finale` is held until none touches the store.
    pub fn stop_tasks(&self, how: Stop, finale: &Arc<Finale>) {
        for itl in self.itls() {
            itl.stop_tasks(how, finale, |_| true);
        }
    }

    /// Admits tasks.
    pub fn open(&self) {
        let mut itls = self.itls.lock();
        itls.closed = false;
        itls.list.iter().for_each(|itl| itl.open());
    }

    /// Queues a unit attention on all nexuses.
    pub fn raise(&self, sense: Sense) {
        self.itls.lock().list.iter().for_each(|itl| itl.raise(sense));
    }
}

/// What a unit gets to reach the nexuses; weak, since the LU holds the unit.
pub(super) struct NexusesOf {
    pub lu: Weak<LogicalUnit>,
    pub framework: Weak<Framework>,
}

impl LuNexuses for NexusesOf {
    fn attention(&self, sense: Sense, to: &dyn Fn(&Nexus) -> bool) {
        let Some(lu) = self.lu.upgrade() else { return };
        for itl in lu.itls() {
            if itl.nexus.upgrade().is_some_and(|nexus| to(&nexus)) {
                itl.raise(sense);
            }
        }
    }

    fn abort_tasks(&self, except: (u64, u64), of: &dyn Fn(&Nexus) -> bool, gone: Box<dyn FnOnce() + Send>) {
        let Some(lu) = self.lu.upgrade() else { return gone() };
        let finale = Finale::new(gone);
        for itl in lu.itls() {
            itl.abort_tasks(&finale, |task| (task.nexus.id, task.tag) != except && of(&task.nexus));
        }
    }

    fn ports(&self) -> Vec<(DevId, u16)> {
        let Some(framework) = self.framework.upgrade() else {
            return Vec::new();
        };
        let state = framework.state.lock();
        state
            .ports
            .iter()
            .map(|port| (port.devid.clone(), port.rtpid))
            .collect()
    }
}
