use super::*;
use crate::scsi::Sense;
use proptest::prelude::*;

fn nexus(n: u8) -> ItNexus {
    let name = DevId::new(b"iqn.1994-05.com.example:host").unwrap();
    ItNexus {
        initiator: TransportId::iscsi(&name, [0, 0, 0, 0, 0, n]),
        port: DevId::new(b"iqn.2010-08.org.example:disk").unwrap(),
    }
}

fn out(action: Action, scope_type: u8, key: u64, action_key: u64) -> Out {
    Out {
        action,
        scope_type,
        key,
        action_key,
        spec_i_pt: false,
        all_ports: false,
        aptpl: false,
        initiators: Vec::new(),
        target: None,
    }
}

fn port_of(rtpid: u16) -> Option<DevId> {
    (rtpid == 1).then(|| nexus(0).port)
}

fn run(state: &mut State, n: u8, out: &Out) -> Result<Change, Refusal> {
    let change = apply(state, out, &nexus(n), &port_of)?;
    *state = change.state.clone();
    Ok(change)
}

/// Nexuses 1 and 2 are registered with keys 1 and 2.
fn two() -> State {
    let mut state = State::default();
    for n in [1, 2] {
        run(&mut state, n, &out(Action::Register, 0, 0, n.into())).unwrap();
    }
    state
}

fn reserved(kind: u8) -> State {
    let mut state = two();
    run(&mut state, 1, &out(Action::Reserve, kind, 1, 0)).unwrap();
    state
}

const KINDS: [u8; 6] = [1, 3, 5, 6, 7, 8];

#[test]
fn register() {
    let mut state = two();
    assert_eq!(state.generation, 2);
    assert_eq!(
        run(&mut state, 3, &out(Action::Register, 0, 9, 3)),
        Err(Refusal::Conflict)
    );
    assert_eq!(
        run(&mut state, 1, &out(Action::Register, 0, 9, 3)),
        Err(Refusal::Conflict)
    );
    run(&mut state, 3, &out(Action::Register, 0, 0, 0)).unwrap();
    assert_eq!(state.generation, 2, "nothing was registered");
    run(&mut state, 1, &out(Action::RegisterAndIgnore, 0, 9, 11)).unwrap();
    assert_eq!(state.registrations[0].key, 11);
    run(&mut state, 1, &out(Action::Register, 0, 11, 0)).unwrap();
    assert_eq!((state.registrations.len(), state.generation), (1, 4));
    assert_eq!(keys(&state), [0, 0, 0, 4, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2]);
}

/// `scsi-sbd.md` 2.9.4, side effects of unregistering.
#[test]
fn the_holder_unregisters() {
    for kind in KINDS {
        let mut state = reserved(kind);
        let change = run(&mut state, 1, &out(Action::Register, 0, 1, 0)).unwrap();
        let told: Vec<_> = change.attentions.iter().map(|a| (a.sense, a.to.key)).collect();
        match kind {
            5 | 6 => assert_eq!(told, [(Sense::RESERVATIONS_RELEASED, 2)]),
            _ => assert_eq!(told, []),
        }
        assert_eq!(state.reserved.is_some(), kind >= 7, "type {kind}");
        run(&mut state, 2, &out(Action::Register, 0, 2, 0)).unwrap();
        assert_eq!(state.reserved, None);
    }
}

#[test]
fn reserve_and_release() {
    for kind in KINDS {
        let mut state = reserved(kind);
        assert_eq!(state.generation, 2);
        run(&mut state, 1, &out(Action::Reserve, kind, 1, 0)).unwrap();
        let second = run(&mut state, 2, &out(Action::Reserve, kind, 2, 0));
        assert_eq!(second.is_ok(), kind >= 7);
        for other in KINDS.into_iter().filter(|other| *other != kind) {
            let again = run(&mut state, 1, &out(Action::Reserve, other, 1, 0));
            assert_eq!(again, Err(Refusal::Conflict));
            let wrong = run(&mut state, 1, &out(Action::Release, other, 1, 0));
            assert_eq!(wrong, Err(Refusal::Check(Sense::INVALID_RELEASE)));
        }
        let data = reservation(&state);
        assert_eq!((data.len(), data[21], data[15]), (24, kind, u8::from(kind < 7)));
        let unrelated = run(&mut state, 2, &out(Action::Release, kind, 2, 0)).unwrap();
        assert_eq!(unrelated.state.reserved.is_none(), kind >= 7);
        let mut state = reserved(kind);
        let change = run(&mut state, 1, &out(Action::Release, kind, 1, 0)).unwrap();
        assert_eq!(state.reserved, None);
        assert_eq!(change.attentions.len(), usize::from(kind >= 5));
        assert_eq!(reservation(&state).len(), 8);
    }
    let bad = run(&mut two(), 1, &out(Action::Reserve, 0x11, 1, 0));
    assert!(matches!(bad, Err(Refusal::Check(Sense { asc: 0x24, .. }))));
}

#[test]
fn clear() {
    let mut state = reserved(5);
    let change = run(&mut state, 2, &out(Action::Clear, 0, 2, 0)).unwrap();
    assert_eq!(change.attentions.len(), 1);
    assert_eq!(change.attentions[0].sense, Sense::RESERVATIONS_PREEMPTED);
    assert_eq!(change.attentions[0].to.key, 1);
    assert_eq!(
        (state.registrations.len(), state.reserved, state.generation),
        (0, None, 3)
    );
}

#[test]
fn preempt() {
    // The holder: the sender takes over, with the new type.
    for action in [Action::Preempt, Action::PreemptAndAbort] {
        let mut state = reserved(6);
        run(&mut state, 3, &out(Action::Register, 0, 0, 3)).unwrap();
        let change = run(&mut state, 2, &out(action, 1, 2, 1)).unwrap();
        let told: Vec<_> = change.attentions.iter().map(|a| (a.sense, a.to.key)).collect();
        let expected = [(Sense::REGISTRATIONS_PREEMPTED, 1), (Sense::RESERVATIONS_RELEASED, 3)];
        assert_eq!(told, expected);
        assert_eq!(change.aborted.len(), usize::from(action == Action::PreemptAndAbort));
        assert_eq!(state.reserved, Some(Kind::WriteExclusive));
        assert_eq!(standing(&state, 2), Standing::Holder);
        assert_eq!(state.generation, 4);
    }
    // Somebody else: only the registration goes.
    let mut state = reserved(1);
    run(&mut state, 1, &out(Action::Preempt, 3, 1, 2)).unwrap();
    assert_eq!(
        (state.registrations.len(), state.reserved),
        (1, Some(Kind::WriteExclusive))
    );
    let nobody = run(&mut state, 1, &out(Action::Preempt, 3, 1, 7));
    assert_eq!(nobody, Err(Refusal::Conflict));
    let zero = run(&mut state, 1, &out(Action::Preempt, 3, 1, 0));
    assert!(matches!(zero, Err(Refusal::Check(Sense { asc: 0x26, .. }))));
    // Itself: it stays, and holds the new type.
    run(&mut state, 1, &out(Action::Preempt, 3, 1, 1)).unwrap();
    assert_eq!(state.reserved, Some(Kind::ExclusiveAccess));
    assert_eq!(standing(&state, 1), Standing::Holder);
    // All registrants: key 0 removes the others.
    let mut state = reserved(8);
    run(&mut state, 2, &out(Action::Preempt, 5, 2, 0)).unwrap();
    assert_eq!(state.registrations.len(), 1);
    assert_eq!(state.reserved, Some(Kind::WriteExclusiveRegistrantsOnly));
    let mut state = reserved(7);
    run(&mut state, 2, &out(Action::Preempt, 5, 2, 1)).unwrap();
    assert_eq!(state.reserved, Some(Kind::WriteExclusiveAllRegistrants));
    // No reservation.
    let mut state = two();
    run(&mut state, 2, &out(Action::Preempt, 5, 2, 1)).unwrap();
    assert_eq!((state.registrations.len(), state.reserved), (1, None));
}

fn list(bytes: &[u8], at: usize, id: &TransportId) -> Vec<u8> {
    let mut list = bytes.to_vec();
    let length = u32::try_from(id.as_bytes().len()).unwrap().to_be_bytes();
    list.resize(list.len().max(at + 4), 0);
    list[at..at + 4].copy_from_slice(&length);
    list.extend_from_slice(id.as_bytes());
    list
}

#[test]
fn register_and_move() {
    let mut bytes = [0; 24];
    bytes[7] = 1;
    bytes[15] = 9;
    bytes[17] = 0x03;
    bytes[19] = 1;
    let mut cdb = [0; 16];
    cdb[1] = 7;
    let decode = |bytes: &[u8], n| Out::decode(&cdb, &list(bytes, 20, &nexus(n).initiator)).unwrap();
    let mut state = reserved(3);
    let moved = run(&mut state, 1, &decode(&bytes, 5)).unwrap();
    assert_eq!(moved.attentions, []);
    assert!(state.aptpl);
    assert_eq!(standing(&state, 5), Standing::Holder);
    assert_eq!(standing(&state, 1), Standing::Other, "UNREG");
    assert_eq!(state.registrations[state.find(&nexus(5)).unwrap()].key, 9);
    for (n, state) in [(1, reserved(3)), (2, reserved(7)), (2, two())] {
        assert!(apply(&state, &decode(&bytes, n), &nexus(1), &port_of).is_err(), "{n}");
    }
    bytes[19] = 2;
    assert!(
        apply(&reserved(3), &decode(&bytes, 5), &nexus(1), &port_of).is_err(),
        "unknown port"
    );
    assert_eq!(
        Out::decode(&cdb, &bytes).map(|_| ()),
        Err(Sense::INVALID_FIELD_IN_PARAMETER_LIST.at_parameter_byte(24))
    );
}

fn standing(state: &State, n: u8) -> Standing {
    state.standing(state.find(&nexus(n)))
}

/// A name without ISID counts for every ISID until one nexus uses it.
#[test]
fn spec_i_pt_without_isid() {
    let name = b"iqn.1994-05.com.example:host";
    let mut id = vec![0x05, 0, 0, 32];
    id.extend_from_slice(name);
    id.resize(36, 0);
    let id = TransportId::from_bytes(id).unwrap();
    let mut bytes = [0; 24];
    bytes[15] = 7;
    bytes[20] = 0x08;
    let out_list = Out::decode(&[0; 16], &list(&bytes, 24, &id)).unwrap();
    assert_eq!(out_list.initiators, [id]);
    // The sender itself is one of that name.
    let same = run(&mut State::default(), 1, &out_list);
    assert!(matches!(same, Err(Refusal::Check(Sense { asc: 0x26, .. }))));
    let other = ItNexus {
        initiator: TransportId::iscsi(&DevId::new(b"iqn.x").unwrap(), [0; 6]),
        ..nexus(0)
    };
    let mut state = apply(&State::default(), &out_list, &other, &port_of).unwrap().state;
    assert_eq!(state.registrations.len(), 2);
    assert_eq!(standing(&state, 1), Standing::Registered);
    assert_eq!(standing(&state, 2), Standing::Registered);
    run(&mut state, 2, &out(Action::Reserve, 1, 7, 0)).unwrap();
    assert_eq!(standing(&state, 2), Standing::Holder);
    assert_eq!(standing(&state, 1), Standing::Other);
}

#[test]
fn lists_of_wrong_length() {
    let decode = |action: u8, list: &[u8]| {
        let mut cdb = [0; 16];
        cdb[1] = action;
        Out::decode(&cdb, list).map(|_| ())
    };
    assert_eq!(decode(0, &[0; 23]), Err(Sense::PARAMETER_LIST_LENGTH));
    assert_eq!(decode(0, &[0; 25]), Err(Sense::PARAMETER_LIST_LENGTH));
    assert_eq!(decode(0, &[0; 24]), Ok(()));
    assert!(decode(8, &[0; 24]).is_err());
    let mut spec = [0; 28];
    spec[20] = 8;
    assert_eq!(decode(0, &spec), Ok(()));
    assert!(decode(6, &spec).is_err());
    spec[27] = 1;
    assert!(decode(0, &spec).is_err());
}

#[test]
fn full_status_and_capabilities() {
    let state = reserved(5);
    let data = full_status(&state, &|port| u16::from(*port == nexus(0).port));
    let id = nexus(1).initiator.as_bytes().len();
    assert_eq!(usize::from(data[7]), 2 * (24 + id));
    assert_eq!((data[15], data[20], data[21], data[27]), (1, 1, 5, 1));
    assert_eq!(&data[32..32 + id], nexus(1).initiator.as_bytes());
    assert_eq!((data[32 + id + 12], data[32 + id + 13]), (0, 0));
    assert_eq!(capabilities(&state), [0, 8, 0x0d, 0x80, 0xea, 1, 0, 0]);
}

/// `scsi-sbd.md` 2.9.5: registered read, registered write, unregistered read, unregistered write.
#[test]
fn access_matrix() {
    let mut read = [0; 16];
    read[0] = 0x28;
    let mut write = [0; 16];
    write[0] = 0x2a;
    for (kind, matrix) in [
        (3, [false, false, false, false]),
        (1, [true, false, true, false]),
        (6, [true, true, false, false]),
        (5, [true, true, true, false]),
        (8, [true, true, false, false]),
        (7, [true, true, true, false]),
    ] {
        let kind = Kind::from_scope_type(kind).unwrap();
        let allowed = [Standing::Registered, Standing::Other]
            .into_iter()
            .flat_map(|standing| [read, write].map(|cdb| !conflicts(kind, standing, &cdb)));
        assert!(allowed.eq(matrix), "{kind:?}");
        assert!(!conflicts(kind, Standing::Holder, &write));
        let mut reserve = [0; 16];
        reserve[0] = 0x16;
        assert!(conflicts(kind, Standing::Holder, &reserve));
    }
}

fn action() -> impl Strategy<Value = Action> {
    (0_u8..8).prop_map(|n| {
        let mut cdb = [0; 16];
        cdb[1] = n;
        Action::from_cdb(&cdb).unwrap()
    })
}

proptest! {
    #[test]
    fn any_list_decodes_or_is_refused(cdb: [u8; 16], list in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Out::decode(&cdb, &list);
    }

    /// Whatever happens: keys are not 0, one holder or none, no reservation without registrant, no attention to the sender.
    #[test]
    fn invariants(steps in proptest::collection::vec(
        (0_u8..4, action(), 0_u8..10, 0_u64..4, 0_u64..4, any::<bool>(), any::<bool>()), 1..60)
    ) {
        let mut state = State::default();
        for (n, action, kind, key, action_key, all_ports, unregister) in steps {
            let mut out = out(action, kind, key, action_key);
            out.all_ports = all_ports;
            out.target = (action == Action::RegisterAndMove).then(|| parameters::MoveTo {
                unregister,
                rtpid: 1,
                initiator: nexus(n ^ 1).initiator,
            });
            let before = state.clone();
            let Ok(change) = run(&mut state, n, &out) else {
                prop_assert_eq!(&before, &state);
                continue;
            };
            prop_assert!(change.attentions.iter().all(|a| !a.to.is(&nexus(n))));
            prop_assert!(state.registrations.iter().all(|r| r.key != 0));
            let holders = state.registrations.iter().filter(|r| r.holder).count();
            match state.reserved {
                None => prop_assert_eq!(holders, 0),
                Some(kind) if kind.all_registrants() => prop_assert!(holders == 0 && !state.is_empty()),
                Some(_) => prop_assert_eq!(holders, 1),
            }
        }
    }
}
