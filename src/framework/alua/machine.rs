//! Access state of one LU on one node (`alua-proxy.md` 6.1 to 6.4): [`step`] is a pure function of state and event.
//!
//! **Contract of the shell.** It feeds the events of one LU one at a time and performs the actions in their order before
//! it feeds the next one. `Flush, SaveReservations, Release` and `Claim, Load` end with an event ([`Event::ReleaseOk`] or
//! [`Event::ReleaseFailed`], [`Event::ImportOk`] or [`Event::ImportFailed`]); they may run on a thread of their own while
//! other events of the LU are fed. A release whose unit has lost its ownership fails at once. A reply that comes with such an ending belongs to the caller whose operation ended,
//! every other reply to the caller of the event. Messages to the peer are dropped while ALUA mode is disabled, and
//! [`Action::SendActive`] is sent at most once a second per LU.

use crate::types::{AccessState, Status};

/// State of one LU on one node. Copies are cheap; equality is meaningful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LuState {
    /// `-`: no LU object with this GUID on this node.
    Absent,
    /// `-`, an import or a creation is running; invisible until it succeeds.
    Building {
        /// The import comes from the configuration at load: a refusal leaves a stale Standby object (H1).
        boot: bool,
        /// To be judged at the end of the import.
        heard: Heard,
    },
    /// A: the store is open and owned.
    Active {
        /// Ownership generation of this node's claim; 0 when the store cannot hold a record.
        generation: u64,
        /// Another operation on the LU (modify, resize) is running.
        busy: bool,
    },
    /// TA: a Standby or given-up LU is being imported.
    Activating {
        /// Where a failure leads back to.
        from: Closed,
        /// To be judged at the end of the import.
        heard: Heard,
    },
    /// S: the LU belongs to the peer.
    Standby {
        /// Comes from the configuration of this node; the peer has not confirmed it yet.
        stale: bool,
    },
    /// TS with the store still open: it is being flushed and released.
    GivingUp {
        /// As in Active.
        generation: u64,
        /// To be judged when the release ends.
        heard: Heard,
    },
    /// TS with the store closed: the peer may import.
    Released {
        /// Generation that was released; announcements of older ones are late messages.
        generation: u64,
    },
    /// The LU is being deleted; the store is still open.
    Deleting {
        /// As in Active.
        generation: u64,
        /// To be judged when the release ends.
        heard: Heard,
    },
}

/// A state without an open store, kept while an import tries to leave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// S.
    Standby {
        /// As in [`LuState::Standby`].
        stale: bool,
    },
    /// TS.
    Released {
        /// As in [`LuState::Released`].
        generation: u64,
    },
}

/// What was heard while an operation ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Heard {
    /// The strongest claim that the peer made, or the news that ownership is lost.
    pub rival: Option<Rival>,
    /// ALUA mode was switched off.
    pub disabled: bool,
}

/// Strength of a foreign claim; the order is the order of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rival {
    /// The peer announced this generation.
    Generation(u64),
    /// An original peer has the store, or the record no longer names this node: always yield.
    Certain,
}

/// What happens to an LU (6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// `stmfLuStandby`.
    LuStandby,
    /// `stmfLuStandby` on an LU of a provider without ALUA.
    LuStandbyForeign,
    /// `stmfImportLu` (or, for an absent LU, `stmfCreateLu`) whose path leads to this GUID.
    Import {
        /// The path is, byte for byte, the name of the LU object. Ignored for an absent LU.
        own_path: bool,
    },
    /// Import from the configuration at load.
    BootImport,
    /// Load of an LU whose configuration entry carries the standby mark: nothing is opened.
    BootStandby,
    /// Claim and Load succeeded; the unit is open.
    ImportOk {
        /// Generation that was claimed.
        generation: u64,
    },
    /// Claim or Load failed. Nothing is open; a claim that was written is undone.
    ImportFailed(ImportFailure),
    /// Release is done: the record is released and everything is closed.
    ReleaseOk,
    /// Flush, SaveReservations or Release failed: the store is still open and still owned.
    ReleaseFailed,
    /// Another operation that needs the Active LU wants to begin.
    OperationBegin,
    /// It ended.
    OperationEnd,
    /// LUN_ACTIVE or REGISTER_LUN; both say the same (H5).
    PeerActive {
        /// `icx_generation`; `None` from an original peer.
        generation: Option<u64>,
        /// The ownership record, read again on receipt, still names this node's claim. Only asked for while the store is
        /// open here; `true` in all other states.
        still_ours: bool,
    },
    /// DEREGISTER_LUN.
    PeerDeregister,
    /// The peer can be reached again.
    PeerUp,
    /// The peer cannot be reached.
    PeerDown,
    /// `stmfSetAluaState(B_TRUE)`, repeated calls too.
    AluaEnable,
    /// `stmfSetAluaState(B_FALSE)`.
    AluaDisable,
    /// `stmfDeleteLu`.
    LocalDelete,
    /// The record names another owner, the exclusive lock is gone, or the record cannot be confirmed in time (6.6).
    OwnershipLost,
}

/// Why an import did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImportFailure {
    /// Ownership was refused (6.6).
    Refused,
    /// Store or metadata cannot be used.
    Failed(Status),
}

/// What the shell has to do, in order (6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Abort all tasks of the LU on this node; wait (bounded) until none touches the store.
    KillTasks,
    /// Make all acknowledged writes durable. First of the group that `Unit::release(Release::Handover)` performs.
    Flush,
    /// Write the handover data, stamped with the generation.
    SaveReservations,
    /// If the record still names this claim mark it released; unlock, close.
    Release,
    /// Close without writing anything to the store: `Unit::release(Release::Lost)`.
    CloseWithoutWriting,
    /// Ownership check and claim (6.6). First of the group that `LuProvider::import` performs.
    Claim,
    /// Read metadata and reservations with caches invalidated. Memory copies are dropped before.
    Load,
    /// Enter the LU into the framework: it becomes visible.
    Register,
    /// Create a Standby object with the peer's name of the LU (at load or after a failed import: the configured one).
    CreateStandby,
    /// Take the name from the peer's message when it differs.
    UpdatePath,
    /// Forget learned INQUIRY data.
    ResetInquiry,
    /// Unregister and forget the object and its configuration entry. Never touches the store.
    Remove,
    /// Persist: at the next start this LU is not to come up Active.
    MarkStandby,
    /// Persist: at the next start this LU is imported.
    MarkActive,
    /// Unit attentions (6.5).
    UnitAttention(Attention),
    /// LUN_ACTIVE.
    SendActive,
    /// REGISTER_LUN.
    SendRegister,
    /// DEREGISTER_LUN.
    SendDeregister,
    /// To one of our peers: the claim whose store was just closed without writing was given up ([`PeerView::given_up`]).
    ///
    /// [`PeerView::given_up`]: crate::framework::PeerView::given_up
    SendGivenUp,
    /// A notice for the log.
    Log(Notice),
}

/// Which unit attentions (6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attention {
    /// 06/29/00, then 06/2A/06, on all nexuses of local ports.
    Taken,
    /// 06/2A/06 on all nexuses of local ports, 06/2A/03 for the holder of a dropped SCSI-2 reservation.
    Lost,
}

/// Something an administrator should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// The peer announces an older claim of an LU that this node owns.
    Conflict,
    /// The LU was given to the peer without `stmfLuStandby`.
    OwnershipLost,
    /// The peer withdrew an LU that is not Standby here.
    DeregisterRefused,
    /// The peer announced a generation older than the one this node released.
    LateAnnouncement,
    /// Boot import refused: the LU comes up Standby (H1).
    BootRefused,
}

/// The outcome of one [`step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// State from now on. It holds as soon as the first action begins: commands that arrive meanwhile see it.
    pub next: LuState,
    /// To be done in this order.
    pub actions: Vec<Action>,
    /// Result for the caller; `None` when the operation goes on, or nobody asked.
    pub reply: Option<Result<(), Status>>,
}

impl LuState {
    /// Access state as the API shows it and as commands meet it; `None` while there is no visible object. An LU under
    /// deletion serves nobody any more and shows Transition to Standby.
    pub const fn access(self) -> Option<AccessState> {
        match self {
            LuState::Absent | LuState::Building { .. } => None,
            LuState::Active { .. } => Some(AccessState::Active),
            LuState::Activating { .. } => Some(AccessState::TransitionToActive),
            LuState::Standby { .. } => Some(AccessState::Standby),
            LuState::GivingUp { .. } | LuState::Released { .. } | LuState::Deleting { .. } => {
                Some(AccessState::TransitionToStandby)
            }
        }
    }

    /// True while a unit is open, so that it has to be closed when the state is left.
    pub const fn store_open(self) -> bool {
        matches!(
            self,
            LuState::Active { .. } | LuState::GivingUp { .. } | LuState::Deleting { .. }
        )
    }

    /// Generation of the claim that this node holds.
    pub const fn generation(self) -> Option<u64> {
        match self {
            LuState::Active { generation, .. }
            | LuState::GivingUp { generation, .. }
            | LuState::Deleting { generation, .. } => Some(generation),
            _ => None,
        }
    }
}

impl From<Closed> for LuState {
    fn from(closed: Closed) -> LuState {
        match closed {
            Closed::Standby { stale } => LuState::Standby { stale },
            Closed::Released { generation } => LuState::Released { generation },
        }
    }
}

impl Heard {
    const NOTHING: Heard = Heard {
        rival: None,
        disabled: false,
    };

    /// Notes what matters later; everything else has no effect on a running operation.
    fn note(mut self, event: Event) -> Heard {
        match event {
            Event::PeerActive { generation, still_ours } => {
                self.rival = self.rival.max(Some(Rival::new(generation, still_ours)));
            }
            Event::OwnershipLost => self.rival = Some(Rival::Certain),
            Event::AluaDisable => self.disabled = true,
            Event::AluaEnable => self.disabled = false,
            _ => {}
        }
        self
    }

    /// The conflict rule of 6.4: only a lower generation leaves the LU here.
    fn beats(self, ours: u64) -> bool {
        self.rival.is_some_and(|rival| rival.beats(ours))
    }
}

impl Rival {
    fn new(generation: Option<u64>, still_ours: bool) -> Rival {
        match generation {
            Some(generation) if still_ours => Rival::Generation(generation),
            _ => Rival::Certain,
        }
    }

    fn beats(self, ours: u64) -> bool {
        match self {
            Rival::Generation(theirs) => theirs >= ours,
            Rival::Certain => true,
        }
    }
}

/// One transition. Total: every event is defined in every state.
pub fn step(state: LuState, event: Event) -> Transition {
    match state {
        LuState::Absent => absent(event),
        LuState::Building { boot, heard } => building(boot, heard, event),
        LuState::Active { generation, busy } => active(generation, busy, event),
        LuState::Activating { from, heard } => activating(from, heard, event),
        LuState::Standby { stale } => standby(stale, event),
        LuState::GivingUp { generation, heard } => giving_up(generation, heard, event),
        LuState::Released { generation } => released(generation, event),
        LuState::Deleting { generation, heard } => deleting(generation, heard, event),
    }
}

/// Rows of state `-`.
fn absent(event: Event) -> Transition {
    let same = LuState::Absent;
    let building = |boot| LuState::Building {
        boot,
        heard: Heard::NOTHING,
    };
    match event {
        Event::LuStandby | Event::LocalDelete | Event::OperationBegin => same.answer(Err(Status::NotFound)),
        Event::LuStandbyForeign => same.answer(Err(Status::InvalidArg)),
        Event::Import { .. } => building(false).does([Action::Claim, Action::Load]),
        Event::BootImport => building(true).does([Action::Claim, Action::Load]),
        Event::BootStandby => LuState::Standby { stale: true }.does([Action::CreateStandby]),
        Event::PeerActive { .. } => LuState::Standby { stale: false }.does([Action::CreateStandby]),
        _ => same.stray(event),
    }
}

/// State `-` while an import or a creation runs.
fn building(boot: bool, heard: Heard, event: Event) -> Transition {
    let standby = LuState::Standby { stale: false };
    match event {
        Event::ImportOk { generation } if heard.beats(generation) => standby
            .does([
                Action::CloseWithoutWriting,
                Action::CreateStandby,
                Action::MarkStandby,
                Action::Log(Notice::OwnershipLost),
            ])
            .reply(Err(Status::AccessStateSet)),
        Event::ImportOk { generation } => imported(generation)
            .does([Action::Register, Action::MarkActive])
            .and((!heard.disabled).then_some(Action::SendRegister))
            .reply(Ok(())),
        Event::ImportFailed(why) => {
            // The objects that a message to an absent LU, or a refused boot import, would have made.
            let failed = if heard.rival.is_some() && !heard.disabled {
                standby.does([Action::CreateStandby])
            } else if boot && why == ImportFailure::Refused {
                LuState::Standby { stale: true }.does([Action::CreateStandby, Action::Log(Notice::BootRefused)])
            } else {
                LuState::Absent.nothing()
            };
            failed.reply(Err(match why {
                ImportFailure::Refused => Status::AccessStateSet,
                ImportFailure::Failed(status) => status,
            }))
        }
        Event::LuStandby | Event::LocalDelete | Event::OperationBegin | Event::Import { .. } | Event::BootImport => {
            LuState::Building { boot, heard }.answer(Err(Status::Busy))
        }
        Event::LuStandbyForeign => LuState::Building { boot, heard }.answer(Err(Status::InvalidArg)),
        _ => {
            let heard = heard.note(event);
            LuState::Building { boot, heard }.stray(event)
        }
    }
}

/// Rows of state A.
fn active(generation: u64, busy: bool, event: Event) -> Transition {
    let same = LuState::Active { generation, busy };
    let heard = Heard::NOTHING;
    match event {
        Event::LuStandby | Event::LocalDelete | Event::OperationBegin if busy => same.answer(Err(Status::Busy)),
        Event::LuStandby => LuState::GivingUp { generation, heard }.does([
            Action::KillTasks,
            Action::Flush,
            Action::SaveReservations,
            Action::Release,
        ]),
        Event::LuStandbyForeign => same.answer(Err(Status::InvalidArg)),
        Event::Import { own_path: true } | Event::BootImport => same.answer(Err(Status::FileInUse)),
        Event::Import { own_path: false } => same.answer(Err(Status::GuidInUse)),
        Event::PeerActive {
            generation: theirs,
            still_ours,
        } => {
            if Rival::new(theirs, still_ours).beats(generation) {
                lost()
            } else {
                same.does([Action::SendActive, Action::Log(Notice::Conflict)])
            }
        }
        Event::OwnershipLost => lost(),
        Event::PeerDeregister => same.does([Action::Log(Notice::DeregisterRefused)]),
        Event::PeerUp | Event::AluaEnable => same.does([Action::SendRegister]),
        Event::AluaDisable => same.does([Action::SendDeregister]),
        Event::LocalDelete => LuState::Deleting { generation, heard }.does([
            Action::SendDeregister,
            Action::KillTasks,
            Action::Flush,
            Action::Release,
        ]),
        Event::OperationBegin => LuState::Active { generation, busy: true }.answer(Ok(())),
        Event::OperationEnd => imported(generation).nothing(),
        _ => same.stray(event),
    }
}

/// Rows of state TA. What the peer says is judged at the end, when the generation of the own claim is known.
fn activating(from: Closed, heard: Heard, event: Event) -> Transition {
    let same = LuState::Activating { from, heard };
    match event {
        Event::ImportOk { generation } if heard.beats(generation) => LuState::Standby { stale: false }
            .does([
                Action::CloseWithoutWriting,
                Action::MarkStandby,
                Action::UnitAttention(Attention::Lost),
                Action::Log(Notice::OwnershipLost),
            ])
            .reply(Err(Status::AccessStateSet)),
        Event::ImportOk { generation } => imported(generation)
            .does([
                Action::MarkActive,
                Action::UnitAttention(Attention::Taken),
                if heard.disabled {
                    Action::SendDeregister
                } else {
                    Action::SendActive
                },
            ])
            .reply(Ok(())),
        Event::ImportFailed(_) => import_failed(from, heard).reply(Err(Status::AccessStateSet)),
        Event::LuStandby | Event::LocalDelete | Event::OperationBegin | Event::Import { .. } | Event::BootImport => {
            same.answer(Err(Status::Busy))
        }
        Event::LuStandbyForeign => same.answer(Err(Status::InvalidArg)),
        _ => {
            let heard = heard.note(event);
            LuState::Activating { from, heard }.stray(event)
        }
    }
}

/// Back to the state before, and there what was heard takes effect.
fn import_failed(from: Closed, heard: Heard) -> Transition {
    let mut end = LuState::from(from).nothing();
    for event in [
        heard.rival.map(|rival| Event::PeerActive {
            generation: match rival {
                Rival::Generation(generation) => Some(generation),
                Rival::Certain => None,
            },
            still_ours: true,
        }),
        heard.disabled.then_some(Event::AluaDisable),
    ]
    .into_iter()
    .flatten()
    {
        let transition = step(end.next, event);
        end.next = transition.next;
        // The name of that message is gone; the peer repeats it.
        end.actions
            .extend(transition.actions.into_iter().filter(|a| *a != Action::UpdatePath));
    }
    end
}

/// Rows of state S.
fn standby(stale: bool, event: Event) -> Transition {
    let same = LuState::Standby { stale };
    match event {
        Event::LuStandby => same.answer(Ok(())),
        Event::LuStandbyForeign => same.answer(Err(Status::InvalidArg)),
        Event::Import { .. } | Event::BootImport => import(Closed::Standby { stale }, event),
        Event::PeerActive { .. } => LuState::Standby { stale: false }.does([Action::UpdatePath, Action::ResetInquiry]),
        Event::PeerDeregister | Event::AluaDisable => LuState::Absent.does([Action::Remove]),
        Event::LocalDelete => LuState::Absent.does([Action::Remove]).reply(Ok(())),
        Event::OperationBegin => same.answer(Err(Status::AccessStateSet)),
        _ => same.stray(event),
    }
}

/// TS while the release runs.
fn giving_up(generation: u64, heard: Heard, event: Event) -> Transition {
    let same = LuState::GivingUp { generation, heard };
    let lost = heard.beats(generation);
    match event {
        Event::ReleaseOk if lost => LuState::Standby { stale: false }
            .does([Action::MarkStandby, Action::UnitAttention(Attention::Lost)])
            .reply(Ok(())),
        Event::ReleaseOk => LuState::Released { generation }
            .does([Action::MarkStandby])
            .reply(Ok(())),
        Event::ReleaseFailed if lost => self::lost().reply(Err(Status::Error)),
        Event::ReleaseFailed => imported(generation)
            .does(heard.disabled.then_some(Action::SendDeregister))
            .reply(Err(Status::Error)),
        Event::LuStandby | Event::LocalDelete | Event::Import { .. } | Event::BootImport => {
            same.answer(Err(Status::Busy))
        }
        _ => {
            let heard = heard.note(event);
            LuState::GivingUp { generation, heard }.transition_to_standby(event)
        }
    }
}

/// Rows of state TS, store closed.
fn released(generation: u64, event: Event) -> Transition {
    let same = LuState::Released { generation };
    match event {
        Event::LuStandby => same.answer(Ok(())),
        Event::Import { .. } | Event::BootImport => import(Closed::Released { generation }, event),
        // A message from before this node's claim must not turn the only trace of the LU into a removable object (H24).
        Event::PeerActive {
            generation: Some(theirs),
            ..
        } if theirs < generation => same.does([Action::Log(Notice::LateAnnouncement)]),
        Event::PeerActive { .. } => LuState::Standby { stale: false }.does([
            Action::UpdatePath,
            Action::ResetInquiry,
            Action::UnitAttention(Attention::Lost),
        ]),
        Event::LocalDelete => LuState::Absent.does([Action::Remove]).reply(Ok(())),
        _ => same.transition_to_standby(event),
    }
}

/// The LU is going away; only the end of the release matters.
fn deleting(generation: u64, heard: Heard, event: Event) -> Transition {
    let same = LuState::Deleting { generation, heard };
    match event {
        Event::ReleaseOk => LuState::Absent.does([Action::Remove]).reply(Ok(())),
        Event::ReleaseFailed if heard.beats(generation) => lost().reply(Err(Status::Error)),
        Event::ReleaseFailed => imported(generation)
            .does((!heard.disabled).then_some(Action::SendRegister))
            .reply(Err(Status::Error)),
        Event::LuStandby | Event::LocalDelete | Event::Import { .. } | Event::BootImport | Event::OperationBegin => {
            same.answer(Err(Status::Busy))
        }
        _ => {
            let heard = heard.note(event);
            LuState::Deleting { generation, heard }.transition_to_standby(event)
        }
    }
}

/// A, idle.
const fn imported(generation: u64) -> LuState {
    LuState::Active {
        generation,
        busy: false,
    }
}

/// Leaving A for the peer: nothing may be written to a store that is not ours any more.
fn lost() -> Transition {
    LuState::Standby { stale: false }.does([
        Action::KillTasks,
        Action::CloseWithoutWriting,
        Action::SendGivenUp,
        Action::MarkStandby,
        Action::UnitAttention(Attention::Lost),
        Action::Log(Notice::OwnershipLost),
    ])
}

/// Import of an LU that exists here and is not Active.
fn import(from: Closed, event: Event) -> Transition {
    if event == (Event::Import { own_path: false }) {
        return LuState::from(from).answer(Err(Status::GuidInUse));
    }
    let heard = Heard::NOTHING;
    LuState::Activating { from, heard }.does([Action::Claim, Action::Load])
}

impl LuState {
    fn does(self, actions: impl IntoIterator<Item = Action>) -> Transition {
        Transition {
            next: self,
            actions: actions.into_iter().collect(),
            reply: None,
        }
    }

    fn nothing(self) -> Transition {
        self.does([])
    }

    fn answer(self, reply: Result<(), Status>) -> Transition {
        self.nothing().reply(reply)
    }

    /// What both forms of TS (and a deletion) answer alike.
    fn transition_to_standby(self, event: Event) -> Transition {
        match event {
            Event::LuStandbyForeign => self.answer(Err(Status::InvalidArg)),
            Event::OperationBegin => self.answer(Err(Status::AccessStateSet)),
            Event::PeerDeregister => self.does([Action::Log(Notice::DeregisterRefused)]),
            _ => self.stray(event),
        }
    }

    /// Events that change nothing here. A unit that an unexpected import opened must not stay open.
    fn stray(self, event: Event) -> Transition {
        let opened = matches!(event, Event::ImportOk { .. }) && !self.store_open();
        self.does(opened.then_some(Action::CloseWithoutWriting))
    }
}

impl Transition {
    fn reply(mut self, reply: Result<(), Status>) -> Transition {
        self.reply = Some(reply);
        self
    }

    fn and(mut self, action: Option<Action>) -> Transition {
        self.actions.extend(action);
        self
    }
}

#[cfg(test)]
mod tests;
