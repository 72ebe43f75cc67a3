//! One test per row of table 6.4, in its order, then properties over all states and events.

use super::Action::*;
use super::*;
use std::collections::HashSet;

const ABSENT: LuState = LuState::Absent;
const BUILDING: LuState = LuState::Building {
    boot: false,
    heard: Heard::NOTHING,
};
const A: LuState = LuState::Active {
    generation: 5,
    busy: false,
};
const TA: LuState = LuState::Activating {
    from: Closed::Standby { stale: false },
    heard: Heard::NOTHING,
};
const TA_FROM_TS: LuState = LuState::Activating {
    from: Closed::Released { generation: 5 },
    heard: Heard::NOTHING,
};
const S: LuState = LuState::Standby { stale: false };
const S_STALE: LuState = LuState::Standby { stale: true };
const GIVING_UP: LuState = LuState::GivingUp {
    generation: 5,
    heard: Heard::NOTHING,
};
const TS: LuState = LuState::Released { generation: 5 };
const DELETING: LuState = LuState::Deleting {
    generation: 5,
    heard: Heard::NOTHING,
};
const IMPORT: Event = Event::Import { own_path: true };
const REFUSED: Event = Event::ImportFailed(ImportFailure::Refused);
const TAKEN: Action = UnitAttention(Attention::Taken);
const LOST: Action = UnitAttention(Attention::Lost);
const YIELD: [Action; 6] = [
    KillTasks,
    CloseWithoutWriting,
    SendGivenUp,
    MarkStandby,
    LOST,
    Log(Notice::OwnershipLost),
];

fn peer_active(generation: impl Into<Option<u64>>) -> Event {
    Event::PeerActive {
        generation: generation.into(),
        still_ours: true,
    }
}

#[track_caller]
fn row(state: LuState, event: Event, next: LuState, actions: &[Action], reply: Option<Result<(), Status>>) {
    let got = step(state, event);
    assert_eq!(got.next, next, "{state:?} {event:?}");
    assert_eq!(got.actions, actions, "{state:?} {event:?}");
    assert_eq!(got.reply, reply, "{state:?} {event:?}");
}

#[track_caller]
fn unchanged(state: LuState, event: Event, reply: Option<Result<(), Status>>) {
    row(state, event, state, &[], reply);
}

/// Feeds all events; the state after the last.
fn after(state: LuState, events: &[Event]) -> LuState {
    events.iter().fold(state, |state, &event| step(state, event).next)
}

// --- state - ---------------------------------------------------------------------------------------------------------

#[test]
fn absent_lu_standby() {
    unchanged(ABSENT, Event::LuStandby, Some(Err(Status::NotFound)));
}

#[test]
fn absent_import_store_readable() {
    row(ABSENT, IMPORT, BUILDING, &[Claim, Load], None);
    let done = [Register, MarkActive, SendRegister];
    row(BUILDING, Event::ImportOk { generation: 5 }, A, &done, Some(Ok(())));
}

#[test]
fn absent_import_metadata_missing_or_bad() {
    let failed = Event::ImportFailed(ImportFailure::Failed(Status::MetaFileName));
    row(BUILDING, failed, ABSENT, &[], Some(Err(Status::MetaFileName)));
}

#[test]
fn absent_import_other_path_to_a_guid_that_exists_here() {
    for state in [A, S, TS] {
        unchanged(state, Event::Import { own_path: false }, Some(Err(Status::GuidInUse)));
    }
}

#[test]
fn absent_import_ownership_refused() {
    row(BUILDING, REFUSED, ABSENT, &[], Some(Err(Status::AccessStateSet)));
}

/// Hazard H1.
#[test]
fn absent_boot_import_refused_comes_up_stale() {
    let building = step(ABSENT, Event::BootImport).next;
    let actions = [CreateStandby, Log(Notice::BootRefused)];
    row(building, REFUSED, S_STALE, &actions, Some(Err(Status::AccessStateSet)));
    row(ABSENT, Event::BootStandby, S_STALE, &[CreateStandby], None);
}

#[test]
fn absent_peer_active_or_register() {
    row(ABSENT, peer_active(3), S, &[CreateStandby], None);
}

#[test]
fn absent_peer_deregister() {
    unchanged(ABSENT, Event::PeerDeregister, None);
}

#[test]
fn building_peer_active_is_judged_at_the_end() {
    let heard = after(BUILDING, &[peer_active(5)]);
    row(
        heard,
        Event::ImportOk { generation: 5 },
        S,
        &[
            CloseWithoutWriting,
            CreateStandby,
            MarkStandby,
            Log(Notice::OwnershipLost),
        ],
        Some(Err(Status::AccessStateSet)),
    );
    assert_eq!(
        after(heard, &[Event::ImportOk { generation: 6 }]),
        LuState::Active {
            generation: 6,
            busy: false
        }
    );
    row(heard, REFUSED, S, &[CreateStandby], Some(Err(Status::AccessStateSet)));
}

// --- state A ---------------------------------------------------------------------------------------------------------

#[test]
fn active_lu_standby_idle() {
    row(
        A,
        Event::LuStandby,
        GIVING_UP,
        &[KillTasks, Flush, SaveReservations, Release],
        None,
    );
    row(GIVING_UP, Event::ReleaseOk, TS, &[MarkStandby], Some(Ok(())));
}

#[test]
fn active_lu_standby_other_operation_running() {
    let busy = after(A, &[Event::OperationBegin]);
    unchanged(busy, Event::LuStandby, Some(Err(Status::Busy)));
    assert_eq!(after(busy, &[Event::OperationEnd, Event::LuStandby]), GIVING_UP);
    for event in [Event::LuStandby, IMPORT, Event::LocalDelete] {
        unchanged(GIVING_UP, event, Some(Err(Status::Busy)));
        unchanged(DELETING, event, Some(Err(Status::Busy)));
    }
}

/// Hazard H6: nothing unflushed is handed over.
#[test]
fn active_lu_standby_flush_failed() {
    row(GIVING_UP, Event::ReleaseFailed, A, &[], Some(Err(Status::Error)));
}

#[test]
fn active_import() {
    unchanged(A, IMPORT, Some(Err(Status::FileInUse)));
}

#[test]
fn active_peer_active_lower_generation_and_record_is_ours() {
    row(A, peer_active(4), A, &[SendActive, Log(Notice::Conflict)], None);
}

/// Hazard H2: leaving Active kills the tasks and closes the store.
#[test]
fn active_peer_active_every_other_case() {
    for event in [peer_active(5), peer_active(6), peer_active(None)] {
        row(A, event, S, &YIELD, None);
    }
    let not_ours = Event::PeerActive {
        generation: Some(4),
        still_ours: false,
    };
    row(A, not_ours, S, &YIELD, None);
}

#[test]
fn active_peer_deregister() {
    row(A, Event::PeerDeregister, A, &[Log(Notice::DeregisterRefused)], None);
}

#[test]
fn active_peer_down() {
    unchanged(A, Event::PeerDown, None);
}

#[test]
fn active_peer_up_or_alua_enable() {
    row(A, Event::PeerUp, A, &[SendRegister], None);
    row(A, Event::AluaEnable, A, &[SendRegister], None);
}

#[test]
fn active_alua_disable() {
    row(A, Event::AluaDisable, A, &[SendDeregister], None);
}

#[test]
fn active_local_delete() {
    row(
        A,
        Event::LocalDelete,
        DELETING,
        &[SendDeregister, KillTasks, Flush, Release],
        None,
    );
    row(DELETING, Event::ReleaseOk, ABSENT, &[Remove], Some(Ok(())));
    row(
        DELETING,
        Event::ReleaseFailed,
        A,
        &[SendRegister],
        Some(Err(Status::Error)),
    );
}

#[test]
fn active_ownership_lost() {
    row(A, Event::OwnershipLost, S, &YIELD, None);
    row(
        after(A, &[Event::OperationBegin]),
        Event::OwnershipLost,
        S,
        &YIELD,
        None,
    );
}

// --- state TA --------------------------------------------------------------------------------------------------------

#[test]
fn activating_lu_standby_import_local_delete() {
    for event in [Event::LuStandby, IMPORT, Event::LocalDelete] {
        unchanged(TA, event, Some(Err(Status::Busy)));
        unchanged(BUILDING, event, Some(Err(Status::Busy)));
    }
}

#[test]
fn activating_import_ok() {
    let done = [MarkActive, TAKEN, SendActive];
    row(TA, Event::ImportOk { generation: 5 }, A, &done, Some(Ok(())));
    row(TA_FROM_TS, Event::ImportOk { generation: 5 }, A, &done, Some(Ok(())));
}

/// Hazard H26: the state before, and nothing is open.
#[test]
fn activating_import_fail() {
    for why in [ImportFailure::Refused, ImportFailure::Failed(Status::DataFileName)] {
        row(TA, Event::ImportFailed(why), S, &[], Some(Err(Status::AccessStateSet)));
        row(
            TA_FROM_TS,
            Event::ImportFailed(why),
            TS,
            &[],
            Some(Err(Status::AccessStateSet)),
        );
    }
}

#[test]
fn activating_peer_active_not_lower() {
    let lost = Event::PeerActive {
        generation: Some(1),
        still_ours: false,
    };
    for event in [
        peer_active(6),
        peer_active(7),
        peer_active(None),
        lost,
        Event::OwnershipLost,
    ] {
        let abort = [CloseWithoutWriting, MarkStandby, LOST, Log(Notice::OwnershipLost)];
        let heard = after(TA, &[event, peer_active(1)]);
        assert_eq!(heard.access(), Some(AccessState::TransitionToActive));
        row(
            heard,
            Event::ImportOk { generation: 6 },
            S,
            &abort,
            Some(Err(Status::AccessStateSet)),
        );
    }
}

#[test]
fn activating_peer_active_lower() {
    let heard = after(TA, &[peer_active(5)]);
    let done = [MarkActive, TAKEN, SendActive];
    let next = LuState::Active {
        generation: 6,
        busy: false,
    };
    row(heard, Event::ImportOk { generation: 6 }, next, &done, Some(Ok(())));
}

#[test]
fn activating_peer_active_then_import_fails() {
    row(
        after(TA, &[peer_active(6)]),
        REFUSED,
        S,
        &[ResetInquiry],
        Some(Err(Status::AccessStateSet)),
    );
    let from_ts = after(TA_FROM_TS, &[peer_active(6)]);
    row(
        from_ts,
        REFUSED,
        S,
        &[ResetInquiry, LOST],
        Some(Err(Status::AccessStateSet)),
    );
}

#[test]
fn activating_peer_deregister_up_down() {
    for event in [Event::PeerDeregister, Event::PeerUp, Event::PeerDown] {
        unchanged(TA, event, None);
    }
}

#[test]
fn activating_alua_disable_waits_for_the_end() {
    let (ok, refused) = (Event::ImportOk { generation: 5 }, REFUSED);
    let heard = after(TA, &[Event::AluaDisable]);
    row(heard, ok, A, &[MarkActive, TAKEN, SendDeregister], Some(Ok(())));
    row(heard, refused, ABSENT, &[Remove], Some(Err(Status::AccessStateSet)));
    let from_ts = after(TA_FROM_TS, &[Event::AluaDisable]);
    row(from_ts, refused, TS, &[], Some(Err(Status::AccessStateSet)));
    let again = after(heard, &[Event::AluaEnable]);
    assert_eq!(again, TA);
}

// --- state S ---------------------------------------------------------------------------------------------------------

/// Hazard H18: no change.
#[test]
fn standby_lu_standby() {
    unchanged(S, Event::LuStandby, Some(Ok(())));
}

#[test]
fn standby_import_granted() {
    row(S, IMPORT, TA, &[Claim, Load], None);
}

#[test]
fn standby_import_refused_or_store_not_accessible() {
    let ta = step(S_STALE, IMPORT).next;
    row(ta, REFUSED, S_STALE, &[], Some(Err(Status::AccessStateSet)));
}

#[test]
fn standby_peer_active_or_register() {
    row(S, peer_active(7), S, &[UpdatePath, ResetInquiry], None);
    row(S_STALE, peer_active(7), S, &[UpdatePath, ResetInquiry], None);
}

#[test]
fn standby_peer_deregister() {
    row(S, Event::PeerDeregister, ABSENT, &[Remove], None);
}

#[test]
fn standby_peer_down() {
    unchanged(S, Event::PeerDown, None);
}

#[test]
fn standby_alua_disable() {
    row(S, Event::AluaDisable, ABSENT, &[Remove], None);
}

#[test]
fn standby_local_delete() {
    row(S, Event::LocalDelete, ABSENT, &[Remove], Some(Ok(())));
}

// --- state TS --------------------------------------------------------------------------------------------------------

#[test]
fn transition_to_standby_lu_standby() {
    unchanged(TS, Event::LuStandby, Some(Ok(())));
}

#[test]
fn transition_to_standby_import() {
    row(TS, IMPORT, TA_FROM_TS, &[Claim, Load], None);
}

/// Hazard H5: REGISTER_LUN says the same as LUN_ACTIVE.
#[test]
fn transition_to_standby_peer_active_or_register() {
    for event in [peer_active(5), peer_active(6), peer_active(None)] {
        row(TS, event, S, &[UpdatePath, ResetInquiry, LOST], None);
    }
    row(TS, peer_active(4), TS, &[Log(Notice::LateAnnouncement)], None);
    let heard = after(GIVING_UP, &[peer_active(6)]);
    row(heard, Event::ReleaseOk, S, &[MarkStandby, LOST], Some(Ok(())));
    row(heard, Event::ReleaseFailed, S, &YIELD, Some(Err(Status::Error)));
    assert_eq!(after(GIVING_UP, &[peer_active(4), Event::ReleaseFailed]), A);
}

/// Hazard H11.
#[test]
fn transition_to_standby_peer_deregister() {
    row(TS, Event::PeerDeregister, TS, &[Log(Notice::DeregisterRefused)], None);
}

#[test]
fn transition_to_standby_peer_down() {
    unchanged(TS, Event::PeerDown, None);
}

/// Hazard H24.
#[test]
fn transition_to_standby_alua_disable() {
    unchanged(TS, Event::AluaDisable, None);
    let heard = after(GIVING_UP, &[Event::AluaDisable]);
    row(heard, Event::ReleaseOk, TS, &[MarkStandby], Some(Ok(())));
    row(
        heard,
        Event::ReleaseFailed,
        A,
        &[SendDeregister],
        Some(Err(Status::Error)),
    );
}

#[test]
fn transition_to_standby_local_delete() {
    row(TS, Event::LocalDelete, ABSENT, &[Remove], Some(Ok(())));
}

// --- any state -------------------------------------------------------------------------------------------------------

#[test]
fn any_lu_standby_of_another_provider() {
    for state in states() {
        unchanged(state, Event::LuStandbyForeign, Some(Err(Status::InvalidArg)));
    }
}

#[test]
fn modify_needs_an_idle_active_lu() {
    unchanged(ABSENT, Event::OperationBegin, Some(Err(Status::NotFound)));
    unchanged(S, Event::OperationBegin, Some(Err(Status::AccessStateSet)));
    unchanged(TS, Event::OperationBegin, Some(Err(Status::AccessStateSet)));
    unchanged(
        after(A, &[Event::OperationBegin]),
        Event::OperationBegin,
        Some(Err(Status::Busy)),
    );
}

// --- all states and all events ---------------------------------------------------------------------------------------

const GENERATIONS: [u64; 5] = [0, 4, 5, 6, u64::MAX];

fn events() -> Vec<Event> {
    let mut events = vec![
        Event::LuStandby,
        Event::LuStandbyForeign,
        Event::Import { own_path: true },
        Event::Import { own_path: false },
        Event::BootImport,
        Event::BootStandby,
        REFUSED,
        Event::ImportFailed(ImportFailure::Failed(Status::MetaFileName)),
        Event::ReleaseOk,
        Event::ReleaseFailed,
        Event::OperationBegin,
        Event::OperationEnd,
        Event::PeerDeregister,
        Event::PeerUp,
        Event::PeerDown,
        Event::AluaEnable,
        Event::AluaDisable,
        Event::LocalDelete,
        Event::OwnershipLost,
        peer_active(None),
    ];
    for generation in GENERATIONS {
        events.push(Event::ImportOk { generation });
        for still_ours in [true, false] {
            events.push(Event::PeerActive {
                generation: Some(generation),
                still_ours,
            });
        }
    }
    events
}

/// Everything that can be reached from an absent LU: the set is finite because generations come from a finite list.
fn states() -> Vec<LuState> {
    let events = events();
    let (mut seen, mut queue) = (HashSet::from([ABSENT]), vec![ABSENT]);
    while let Some(state) = queue.pop() {
        for &event in &events {
            let next = step(state, event).next;
            if seen.insert(next) {
                queue.push(next);
            }
        }
    }
    seen.into_iter().collect()
}

/// Every transition there is, with its text for messages.
fn all(check: impl Fn(LuState, Event, &Transition)) {
    let states = states();
    assert!(states.len() > 100, "the walk found only {} states", states.len());
    for &state in &states {
        for event in events() {
            let transition = step(state, event);
            assert_eq!(step(state, event), transition, "not a function: {state:?} {event:?}");
            check(state, event, &transition);
        }
    }
}

fn place(transition: &Transition, action: Action) -> Option<usize> {
    transition.actions.iter().position(|a| *a == action)
}

/// Hazards H2 and H8, in every transition there is.
#[test]
fn leaving_active_kills_tasks_before_any_close() {
    all(|state, event, t| {
        let was_active = matches!(state, LuState::Active { .. });
        if was_active && !matches!(t.next, LuState::Active { .. }) {
            let kill = place(t, KillTasks).expect("leaving A kills tasks");
            for close in [Flush, SaveReservations, Release, CloseWithoutWriting] {
                assert!(place(t, close).is_none_or(|at| at > kill), "{state:?} {event:?} {t:?}");
            }
        }
    });
}

#[test]
fn flush_comes_before_release_and_lost_stores_are_never_written() {
    all(|state, event, t| {
        if let Some(release) = place(t, Release) {
            assert!(
                place(t, Flush).expect("a release flushes") < release,
                "{state:?} {event:?}"
            );
            assert!(
                place(t, SaveReservations).is_none_or(|at| at < release),
                "{state:?} {event:?}"
            );
        }
        if place(t, CloseWithoutWriting).is_some() {
            for write in [Flush, SaveReservations, Release, Claim] {
                assert_eq!(place(t, write), None, "{state:?} {event:?} {t:?}");
            }
        }
    });
}

#[test]
fn stores_are_opened_only_by_imports_and_always_closed() {
    all(|state, event, t| {
        let (before, after) = (state.store_open(), t.next.store_open());
        let imported = matches!(event, Event::ImportOk { .. });
        assert!(before || !after || imported, "opened from nothing: {state:?} {event:?}");
        let closed = event == Event::ReleaseOk || place(t, CloseWithoutWriting).is_some();
        assert!(!before || after || closed, "left open: {state:?} {event:?}");
        assert!(
            before || after || !imported || closed,
            "import left open: {state:?} {event:?}"
        );
        let importing = matches!(t.next, LuState::Building { .. } | LuState::Activating { .. });
        assert!(place(t, Claim).is_none() || importing, "{state:?} {event:?}");
        assert_eq!(place(t, Claim).map(|at| at + 1), place(t, Load), "{state:?} {event:?}");
    });
}

#[test]
fn only_an_active_lu_is_announced() {
    all(|state, event, t| {
        let announced = place(t, SendActive).is_some() || place(t, SendRegister).is_some();
        assert!(
            !announced || t.next.access() == Some(AccessState::Active),
            "{state:?} {event:?}"
        );
    });
}

#[test]
fn objects_come_and_go_with_their_actions() {
    all(|state, event, t| {
        let (was, is) = (state.access().is_some(), t.next.access().is_some());
        let made = place(t, Register).is_some() || place(t, CreateStandby).is_some();
        assert_eq!(made, !was && is, "{state:?} {event:?} {t:?}");
        assert_eq!(place(t, Remove).is_some(), was && !is, "{state:?} {event:?} {t:?}");
    });
}

/// Hazards H11 and H24, in every transition there is.
#[test]
fn the_only_trace_of_an_lu_is_never_removed_by_the_peer_or_by_disabling() {
    all(|state, event, t| {
        let by_others = !matches!(event, Event::LocalDelete | Event::ReleaseOk);
        if state.access() != Some(AccessState::Standby) && by_others && !matches!(event, Event::ImportFailed(_)) {
            assert_eq!(place(t, Remove), None, "{state:?} {event:?}");
        }
    });
}

#[test]
fn every_operation_gets_exactly_one_reply() {
    let running = |state: LuState| {
        matches!(
            state,
            LuState::Building { .. } | LuState::Activating { .. } | LuState::GivingUp { .. } | LuState::Deleting { .. }
        )
    };
    all(|state, event, t| {
        let asks = matches!(
            event,
            Event::LuStandby
                | Event::LuStandbyForeign
                | Event::Import { .. }
                | Event::BootImport
                | Event::LocalDelete
                | Event::OperationBegin
        );
        let begins = !running(state) && running(t.next);
        let ends = running(state) && !running(t.next);
        assert_eq!(
            t.reply.is_some(),
            (asks && !begins) || ends,
            "{state:?} {event:?} {t:?}"
        );
    });
}

#[test]
fn unit_attentions_match_the_change() {
    all(|state, event, t| {
        if place(t, TAKEN).is_some() {
            assert!(matches!(t.next, LuState::Active { .. }), "{state:?} {event:?}");
        }
        // Removed in the same step when ALUA mode was switched off during the import.
        if place(t, LOST).is_some() && place(t, Remove).is_none() {
            assert_eq!(t.next.access(), Some(AccessState::Standby), "{state:?} {event:?}");
        }
    });
}
