//! The shell around the access state machine of one LU (`alua-proxy.md` chapter 6): feeds it events one at a time, and
//! performs its actions. Long operations (Claim and Load, Flush and Release) run outside of the cell's lock, on the
//! caller's thread; what happens meanwhile is noted by the machine.

use super::alua::machine::{self, Action, Attention, Event, ImportFailure, LuState, Notice};
use super::changes;
use super::effects::rehearsing;
use super::events::{self, Happening};
use super::live::Stop;
use super::logical_unit::{LogicalUnit, NexusesOf, Route};
use super::standby::Forwarder;
use super::{AnnouncedLu, Announcement, Framework, ImportError, LuProvider, ObjectState, PeerView, Release, Unit};
use crate::scsi::Sense;
use crate::store::LuRow;
use crate::types::{AccessState, Guid, Status};
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// KillTasks, then the store is closed under the tasks (`alua-proxy.md` 8.2).
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// A local action waits this long for another event of its LU, then it is refused.
const CELL_PATIENCE: Duration = Duration::from_secs(5);
/// LUN_ACTIVE as answer to a conflict, per LU.
const RESEND_INTERVAL: Duration = Duration::from_secs(1);

/// One LU on this node, also while there is no object of it. Never removed: it remembers what the peer said.
pub(super) struct Cell {
    pub guid: Guid,
    inner: Mutex<Inner>,
}

/// What the lock of a cell protects.
pub(super) struct Inner {
    pub state: LuState,
    /// The object that the framework shows.
    pub lu: Option<Arc<LogicalUnit>>,
    /// The open store.
    unit: Option<Arc<dyn Unit>>,
    /// Access state in the peer's last announcement.
    pub says: Option<AccessState>,
    /// Generation of the newest claim that the peer says it has given up.
    pub given_up: Option<u64>,
    /// Generation of the claim whose store was closed without writing, all its I/O ended; until the peer is told.
    closed: Option<u64>,
    /// Number of the last fence declaration that an import of this LU has used up.
    fence_used: u64,
    sent_active: Option<Instant>,
    /// For listings.
    pub moves: Moves,
    /// How the next release treats what cannot be flushed.
    pub release: Release,
    /// How a delete releases: a first one may fail, a second one discards.
    pub on_delete: Release,
}

/// Changes of the access state, counted and timed.
#[derive(Default)]
pub(super) struct Moves {
    pub count: u64,
    /// How long the last way from one settled state to another took.
    pub last: Option<Duration>,
    /// All ways together.
    pub total: Duration,
    begun: Option<Instant>,
}

impl Moves {
    /// For how long in a transition state, if it is in one.
    pub fn moving(&self) -> Option<Duration> {
        self.begun.map(|begun| begun.elapsed())
    }

    fn note(&mut self, before: AccessState, after: AccessState) {
        if before == after {
            return;
        }
        self.count += 1;
        match after {
            AccessState::TransitionToActive | AccessState::TransitionToStandby => self.begun = Some(Instant::now()),
            AccessState::Active | AccessState::Standby => {
                self.last = self.begun.take().map(|begun| begun.elapsed());
                self.total += self.last.unwrap_or_default();
            }
        }
    }
}

/// Runs outside of the lock; ends with an event.
enum Operation {
    Import,
    Release(Arc<dyn Unit>),
}

/// Where an event comes from.
#[derive(Clone, Copy, Default)]
pub(super) struct Source<'a> {
    /// Path in the peer's message, in the configuration, or in the call.
    pub path: Option<&'a str>,
    /// At load: nobody has decided that the peer is gone, so a store that another node has is not waited for.
    pub boot: bool,
}

impl Inner {
    /// The open store.
    pub fn unit(&self) -> Option<&Arc<dyn Unit>> {
        self.unit.as_ref()
    }

    /// What the ownership record says now, if the store is open here (6.4).
    pub fn still_owned(&self) -> bool {
        match &self.unit {
            Some(unit) if self.state.store_open() => unit.owned(),
            _ => true,
        }
    }
}

impl Cell {
    pub fn new(guid: Guid) -> Arc<Cell> {
        Arc::new(Cell {
            guid,
            inner: Mutex::new(Inner {
                state: LuState::Absent,
                lu: None,
                unit: None,
                says: None,
                given_up: None,
                closed: None,
                fence_used: 0,
                sent_active: None,
                moves: Moves::default(),
                release: Release::Handover,
                on_delete: Release::Handover,
            }),
        })
    }

    /// For events that must be heard.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    pub fn try_lock(&self) -> Option<MutexGuard<'_, Inner>> {
        self.inner.try_lock()
    }

    /// For local actions: `Busy` when another one has the LU.
    pub fn lock_for_action(&self) -> Result<MutexGuard<'_, Inner>, Status> {
        self.inner.try_lock_for(CELL_PATIENCE).ok_or(Status::Busy)
    }
}

impl Framework {
    pub(super) fn provider(&self) -> Option<&Arc<dyn LuProvider>> {
        self.provider.get()
    }

    pub(super) fn cell(&self, guid: &Guid) -> Arc<Cell> {
        let mut cells = self.cells.lock();
        cells.entry(*guid).or_insert_with(|| Cell::new(*guid)).clone()
    }

    pub(super) fn all_cells(&self) -> Vec<Arc<Cell>> {
        self.cells.lock().values().cloned().collect()
    }

    /// Feeds an event and whatever events follow from its operations; returns the machine's reply to this caller.
    pub(super) fn feed<'c>(
        &self,
        cell: &'c Cell,
        mut inner: MutexGuard<'c, Inner>,
        mut event: Event,
        source: Source<'_>,
    ) -> Option<Result<(), Status>> {
        loop {
            let transition = machine::step(inner.state, event);
            self.enter(&mut inner, transition.next);
            let operation = self.perform(cell, &mut inner, &transition.actions, source);
            match operation {
                None => return transition.reply,
                Some(operation) => {
                    let says = inner.says;
                    drop(inner);
                    let (next, unit) = self.run(cell, operation, source, says);
                    inner = cell.lock();
                    if unit.is_some() {
                        inner.unit = unit;
                        inner.on_delete = Release::Handover;
                        self.connect(&inner);
                    }
                    event = next;
                }
            }
        }
    }

    /// What feeding an import would reply. The provider ends its part where it would claim the store.
    pub(super) fn rehearse_import(
        &self,
        cell: &Cell,
        inner: MutexGuard<'_, Inner>,
        event: Event,
        source: Source<'_>,
    ) -> Option<Result<(), Status>> {
        let transition = machine::step(inner.state, event);
        if !transition.actions.contains(&Action::Claim) {
            return transition.reply;
        }
        let says = inner.says;
        drop(inner);
        let (outcome, _) = self.run_import(cell, source, says);
        machine::step(transition.next, outcome).reply
    }

    /// Registers a unit that the provider has just created.
    pub(super) fn adopt(&self, unit: Arc<dyn Unit>) -> Result<Guid, Status> {
        let guid = unit.guid();
        let cell = self.cell(&guid);
        let mut inner = cell.lock();
        if inner.state != LuState::Absent {
            give_back(&*unit);
            return Err(Status::GuidInUse);
        }
        // Claim and Load, which the machine asks for now, are part of the creation.
        inner.state = machine::step(LuState::Absent, Event::Import { own_path: true }).next;
        let (event, unit) = self.store_import(&cell, unit);
        inner.unit = unit;
        self.feed(&cell, inner, event, Source::default()).unwrap_or(Ok(()))?;
        Ok(guid)
    }

    /// For a clean stop: the store is released, so that the peer may take over at once; the configuration stays.
    pub(super) fn give_up_at_shutdown(&self, cell: &Cell) {
        let mut inner = cell.lock();
        inner.release = Release::Handover;
        let Some(unit) = inner
            .unit
            .clone()
            .filter(|_| matches!(inner.state, LuState::Active { .. }))
        else {
            return;
        };
        let next = machine::step(inner.state, Event::LuStandby).next;
        self.enter(&mut inner, next);
        drop(inner);
        // The state stays as it is: what the peer says from now on is only noted.
        self.run_release(cell, &*unit);
    }

    /// Commands see a state from before its first action on; Active only after the last one, when the unit attentions are
    /// there.
    fn enter(&self, inner: &mut Inner, next: LuState) {
        let before = inner.state.access();
        inner.state = next;
        if let (Some(before), Some(after)) = (before, next.access()) {
            inner.moves.note(before, after);
        }
        let (Some(lu), Some(access)) = (&inner.lu, next.access()) else {
            return;
        };
        lu.set_access(access);
        match access {
            _ if before == Some(access) => {}
            AccessState::Active => {}
            AccessState::Standby => lu.set_route(self.standby_route(&lu.guid)),
            AccessState::TransitionToActive | AccessState::TransitionToStandby => {
                lu.set_route(Route::Transition(Instant::now()));
            }
        }
    }

    /// The actions are done.
    fn settle(&self, inner: &Inner) {
        let Some(lu) = &inner.lu else { return };
        lu.set_peer_says(inner.says);
        if let (LuState::Active { .. }, Some(unit), None) = (inner.state, &inner.unit, lu.unit()) {
            lu.set_route(Route::Active(unit.clone()));
        }
    }

    fn standby_route(&self, guid: &Guid) -> Route {
        Route::Standby(Arc::new(Forwarder {
            lu: *guid,
            framework: self.weak.clone(),
        }))
    }

    fn perform(&self, cell: &Cell, inner: &mut Inner, actions: &[Action], source: Source<'_>) -> Option<Operation> {
        let conflict = actions.contains(&Action::Log(Notice::Conflict));
        for (at, action) in actions.iter().enumerate() {
            match action {
                Action::Claim => return Some(Operation::Import),
                // KillTasks before a planned release belongs to the operation: its end is an event of its own.
                Action::KillTasks | Action::Flush if actions[at..].contains(&Action::Flush) => {
                    return inner.unit.clone().map(Operation::Release);
                }
                Action::KillTasks => kill_tasks(inner, Stop::Lost),
                Action::CloseWithoutWriting => close_without_writing(inner),
                Action::Register => self.register_lu(cell, inner),
                Action::CreateStandby => self.create_standby(cell, inner, source.path.unwrap_or_default()),
                Action::UpdatePath => self.update_path(inner, source.path),
                Action::ResetInquiry => {
                    if let Some(lu) = &inner.lu {
                        lu.identity.reset();
                    }
                }
                Action::Remove => self.remove_lu(cell, inner),
                Action::MarkStandby => self.mark(inner, true),
                Action::MarkActive => {
                    inner.says = None;
                    self.mark(inner, false);
                }
                Action::UnitAttention(which) => raise(inner, *which),
                Action::SendActive => self.send_active(cell, inner, conflict),
                Action::SendRegister => self.send_register(cell, inner),
                Action::SendDeregister => self.announce(Announcement::LuDeregister { guid: cell.guid }),
                Action::SendGivenUp => {
                    let guid = cell.guid;
                    if let Some(generation) = inner.closed.take() {
                        self.announce(Announcement::LuGivenUp { guid, generation });
                    }
                }
                Action::Log(notice) => log_notice(&cell.guid, *notice),
                // Part of the operations above.
                Action::SaveReservations | Action::Flush | Action::Release | Action::Load => {}
            }
        }
        self.settle(inner);
        None
    }

    // --- operations -------------------------------------------------------------------------------------------------

    fn run(
        &self,
        cell: &Cell,
        operation: Operation,
        source: Source<'_>,
        says: Option<AccessState>,
    ) -> (Event, Option<Arc<dyn Unit>>) {
        match operation {
            Operation::Import => self.run_import(cell, source, says),
            Operation::Release(unit) => (self.run_release(cell, &*unit), None),
        }
    }

    fn run_import(&self, cell: &Cell, source: Source<'_>, says: Option<AccessState>) -> (Event, Option<Arc<dyn Unit>>) {
        let failed = |status| (Event::ImportFailed(ImportFailure::Failed(status)), None);
        let Some(provider) = self.provider() else {
            return failed(Status::Error);
        };
        let path = source.path.unwrap_or_default();
        let fenced = self.state.lock().fenced;
        let (fence_used, given_up) = {
            let inner = cell.lock();
            (inner.fence_used, inner.given_up)
        };
        let fence = fenced.filter(|number| *number > fence_used);
        let view = if source.boot {
            PEER_HAS_IT
        } else {
            self.peer_view(says, given_up, fence)
        };
        match provider.import(path, view) {
            Ok(unit) if unit.guid() != cell.guid => {
                log::error!("{path}: holds LU {} where LU {} was expected", unit.guid(), cell.guid);
                give_back(&*unit);
                failed(Status::MetaFileName)
            }
            Ok(unit) => {
                if let Some(number) = fence {
                    cell.lock().fence_used = number;
                }
                self.store_import(cell, unit)
            }
            Err(ImportError::Refused(guid)) => {
                log::warn!("LU {guid}: {path} belongs to the other node");
                (Event::ImportFailed(ImportFailure::Refused), None)
            }
            Err(ImportError::Failed(status)) => {
                if !rehearsing() {
                    log::warn!("LU {}: {path}: {status}", cell.guid);
                }
                failed(status)
            }
        }
    }

    /// The import is durable before it takes effect; else it is undone.
    fn store_import(&self, cell: &Cell, unit: Arc<dyn Unit>) -> (Event, Option<Arc<dyn Unit>>) {
        let row = LuRow {
            guid: cell.guid,
            path: unit.name(),
            standby: false,
        };
        match self.put_row(row) {
            Ok(()) => {
                let generation = unit.generation();
                (Event::ImportOk { generation }, Some(unit))
            }
            Err(status) => {
                give_back(&*unit);
                (Event::ImportFailed(ImportFailure::Failed(status)), None)
            }
        }
    }

    fn run_release(&self, cell: &Cell, unit: &dyn Unit) -> Event {
        let (lu, how) = {
            let inner = cell.lock();
            (inner.lu.clone(), inner.release)
        };
        if let Some(lu) = &lu {
            lu.identity.know(unit);
            stop_and_wait(lu, Stop::HandOver);
        }
        match unit.release(how) {
            Ok(()) => {
                cell.lock().unit = None;
                Event::ReleaseOk
            }
            Err(status) => {
                log::error!(
                    "LU {}: the store cannot be given up: {status}; it stays Active",
                    cell.guid
                );
                Event::ReleaseFailed
            }
        }
    }

    // --- actions ----------------------------------------------------------------------------------------------------

    fn register_lu(&self, cell: &Cell, inner: &mut Inner) {
        let Some(unit) = &inner.unit else { return };
        let provider = self.provider().map_or("", |p| p.name());
        let lu = LogicalUnit::new(cell.guid, provider, unit.name(), Route::Active(unit.clone()));
        lu.set_access(AccessState::Active);
        self.show(inner, lu);
    }

    fn create_standby(&self, cell: &Cell, inner: &mut Inner, path: &str) {
        let provider = self.provider().map_or("", |p| p.name());
        let lu = LogicalUnit::new(cell.guid, provider, path.to_owned(), self.standby_route(&cell.guid));
        lu.set_access(AccessState::Standby);
        self.show(inner, lu);
    }

    fn show(&self, inner: &mut Inner, lu: Arc<LogicalUnit>) {
        inner.lu = Some(lu.clone());
        self.connect(inner);
        let mut state = self.state.lock();
        lu.set_state(state.initial(state.lus_online));
        lu.set_policy(state.non_optimized.contains(&lu.guid));
        state.names.insert(lu.name(), lu.guid);
        state.lus.insert(lu.guid, lu.clone());
        changes::note();
        let unmapped = state.remap_lu(&lu);
        drop(state);
        unmapped.stop_unattended();
    }

    /// Connects an open unit with its object: unit attentions, and the news that ownership is lost.
    fn connect(&self, inner: &Inner) {
        let (Some(lu), Some(unit)) = (&inner.lu, &inner.unit) else {
            return;
        };
        unit.attach(Arc::new(NexusesOf {
            lu: Arc::downgrade(lu),
            framework: self.weak.clone(),
        }));
        let framework = self.weak.clone();
        let guid = lu.guid;
        let generation = unit.generation();
        unit.on_ownership_lost(Box::new(move || {
            if let Some(framework) = framework.upgrade() {
                framework.queue_ownership_lost(guid, generation);
            }
        }));
    }

    fn update_path(&self, inner: &Inner, path: Option<&str>) {
        let (Some(lu), Some(path)) = (&inner.lu, path) else {
            return;
        };
        let old = lu.name();
        if old == path {
            return;
        }
        let row = {
            let mut state = self.state.lock();
            if state.names.get(&old) == Some(&lu.guid) {
                state.names.remove(&old);
            }
            state.names.insert(path.to_owned(), lu.guid);
            lu.rename(path);
            state.rows.get(&lu.guid).cloned()
        };
        if let Some(row) = row {
            let path = path.to_owned();
            note(self.put_row(LuRow { path, ..row }), &lu.guid);
        }
    }

    fn remove_lu(&self, cell: &Cell, inner: &mut Inner) {
        note(self.remove_row(&cell.guid).map(|_| ()), &cell.guid);
        note(self.keep_policy(&cell.guid, false), &cell.guid);
        let Some(lu) = inner.lu.take() else { return };
        let mut state = self.state.lock();
        state.lus.remove(&cell.guid);
        lu.set_state(ObjectState::Offline);
        events::happened(Happening::LuUnloaded(cell.guid));
        if state.names.get(&lu.name()) == Some(&cell.guid) {
            state.names.remove(&lu.name());
        }
        let unmapped = state.remap_lu(&lu);
        drop(state);
        unmapped.stop_unattended();
    }

    /// Persists whether the LU comes up Active at the next start. The caller of an operation has done it before; here it
    /// follows what the peer or the record said, and a failure leaves a row that Claim corrects at boot.
    fn mark(&self, inner: &Inner, standby: bool) {
        let Some(lu) = &inner.lu else { return };
        let row = LuRow {
            guid: lu.guid,
            path: lu.name(),
            standby,
        };
        note(self.put_row(row), &lu.guid);
    }

    fn send_active(&self, cell: &Cell, inner: &mut Inner, conflict: bool) {
        let recent = inner.sent_active.is_some_and(|at| at.elapsed() < RESEND_INTERVAL);
        if let Some(lu) = announced(cell, inner)
            && !(conflict && recent)
        {
            inner.sent_active = Some(Instant::now());
            self.announce(Announcement::LuActive(lu));
        }
    }

    pub(super) fn send_register(&self, cell: &Cell, inner: &Inner) {
        if let Some(lu) = announced(cell, inner) {
            self.announce(Announcement::LuRegister(lu));
        }
    }
}

/// At load nobody has decided that the peer is gone: a store that it has not released stays with it, without the wait for
/// its lease (H1; `alua-proxy.md` 6.6 "the import call is the cluster software's decision that the peer is gone").
const PEER_HAS_IT: PeerView = PeerView {
    reachable: true,
    original: false,
    says: Some(AccessState::Active),
    fenced: false,
    cold_start: true,
    given_up: None,
};

/// What the peer is to know of the claim.
fn announced(cell: &Cell, inner: &Inner) -> Option<AnnouncedLu> {
    let unit = inner.unit.as_ref()?;
    Some(AnnouncedLu {
        guid: cell.guid,
        name: unit.name(),
        generation: unit.generation(),
        non_optimized: inner.lu.as_ref().is_some_and(|lu| lu.non_optimized()),
    })
}

/// Undoes an import or a creation that does not take effect.
fn give_back(unit: &dyn Unit) {
    if let Err(status) = unit.release(Release::Handover) {
        log::error!("LU {}: cannot be closed: {status}", unit.guid());
    }
}

fn note(result: Result<(), Status>, guid: &Guid) {
    if let Err(status) = result {
        log::error!("LU {guid}: its configuration could not be written: {status}");
    }
}

fn kill_tasks(inner: &Inner, how: Stop) {
    if let Some(lu) = &inner.lu {
        stop_and_wait(lu, how);
    }
}

fn stop_and_wait(lu: &LogicalUnit, how: Stop) {
    if !lu.kill_tasks(how, KILL_PATIENCE) {
        log::error!(
            "LU {}: commands still run after {} s; the store is closed under them",
            lu.guid,
            KILL_PATIENCE.as_secs()
        );
    }
    // The route has changed before: what is admitted now cannot reach the old unit.
    lu.open();
}

fn close_without_writing(inner: &mut Inner) {
    let Some(unit) = inner.unit.take() else { return };
    if let Some(lu) = &inner.lu {
        lu.identity.know(&*unit);
    }
    match unit.release(Release::Lost) {
        // Without a generation there is no record that could name it.
        Ok(()) => inner.closed = Some(unit.generation()).filter(|generation| *generation > 0),
        Err(status) => log::error!("LU {}: I/O on its store has not ended: {status}", unit.guid()),
    }
}

fn raise(inner: &Inner, which: Attention) {
    let Some(lu) = &inner.lu else { return };
    if which == Attention::Taken {
        lu.raise(Sense::POWER_ON);
    }
    // The unit itself tells the holder of a SCSI-2 reservation that it drops.
    lu.raise(Sense::ACCESS_STATE_CHANGED);
}

fn log_notice(guid: &Guid, notice: Notice) {
    match notice {
        Notice::Conflict => log::error!("LU {guid}: conflict: the peer announces an older claim; this node keeps it"),
        Notice::OwnershipLost => log::error!("LU {guid}: ownership is lost to the peer; now Standby"),
        Notice::DeregisterRefused => {
            log::warn!("LU {guid}: the peer withdraws it, but it is not Standby here; ignored")
        }
        Notice::LateAnnouncement => {
            log::warn!("LU {guid}: the peer announces an older claim than the one given up here")
        }
        Notice::BootRefused => log::warn!("LU {guid}: the other node has it; it comes up Standby"),
    }
}
