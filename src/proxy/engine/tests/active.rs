//! Images, sessions, commands of the peer.

use super::super::super::message::{PortId, RemotePort, Session};
use super::*;
use crate::scsi::ScsiStatus;

/// A SCSI_CMD without extensions through the image of `port(1)`.
fn command(task: u64, session: u64) -> ScsiCmd {
    let initiator = DevId::new(b"iqn.1998-01.com.example:esx01").unwrap();
    ScsiCmd {
        task,
        initiator: PortId::new(5, initiator.clone()),
        target: PortId::new(5, port(1)),
        remote: RemotePort(TransportId::iscsi(&initiator, [0; 6])),
        guid: LU,
        session,
        lun: [0; 8],
        expected: 512,
        cdb: vec![0x28; 10],
        flags: 0x41,
        priority: 0,
        function: 0,
        data: vec![],
        referenced: None,
        generation: None,
        token: None,
        total: None,
    }
}

fn send(pair: &mut Pair, cmd: ScsiCmd) -> Vec<Body> {
    pair.a
        .post(pair.now, Message::new(cmd.task, Body::ScsiCmd(Box::new(cmd))));
    pair.a.bodies()
}

/// The code of a STATUS for a SCSI_CMD.
fn refusal(bodies: &[Body]) -> u64 {
    match bodies {
        [
            Body::Status {
                of_type: 4,
                status: 0,
                full: Some(code),
                ..
            },
        ] => *code,
        other => panic!("{other:?}"),
    }
}

fn destroy(pair: &mut Pair, id: u64) {
    let cmd = command(1, id);
    let session = Session {
        initiator: cmd.initiator,
        target: cmd.target,
        remote: cmd.remote,
        session: id,
    };
    pair.a.post(pair.now, Message::new(1, Body::SessionDestroy(session)));
}

#[test]
fn a_command_opens_its_session_once() {
    let mut pair = Pair::with_original();
    assert!(send(&mut pair, command(1, 7)).is_empty());
    assert!(send(&mut pair, command(2, 7)).is_empty());
    assert_eq!(pair.a.opened, [7]);
    assert_eq!(pair.a.started.len(), 2);
}

#[test]
fn what_cannot_be_started_is_answered() {
    let mut pair = Pair::up();
    let elsewhere = ScsiCmd {
        target: PortId::new(5, port(9)),
        ..command(1, 7)
    };
    assert_eq!(refusal(&send(&mut pair, elsewhere)), codes::NOT_FOUND);
    send(&mut pair, command(2, 7));
    assert_eq!(refusal(&send(&mut pair, command(2, 7))), codes::ALREADY);
    let empty = ScsiCmd {
        cdb: vec![],
        ..command(3, 7)
    };
    assert_eq!(refusal(&send(&mut pair, empty)), codes::INVALID_ARG);
    pair.a.engine.image_wanted(pair.now, &port(1), false);
    pair.a.perform(pair.now);
    assert_eq!(refusal(&send(&mut pair, command(4, 8))), codes::BAD_STATE);
}

/// 3.8.
#[test]
fn a_higher_session_id_replaces_and_a_lower_one_is_refused() {
    let mut pair = Pair::up();
    send(&mut pair, command(1, 7));
    send(&mut pair, command(2, 9));
    assert_eq!((pair.a.opened.clone(), pair.a.closed.clone()), (vec![7, 9], vec![7]));
    assert_eq!(refusal(&send(&mut pair, command(3, 8))), codes::INVALID_ARG);
}

/// The new session waits until the old one has ended, and its commands with it.
#[test]
fn a_session_does_not_open_beside_its_predecessor() {
    let mut engine = Pair::with_original().a;
    let now = 500 * SECOND;
    let post = |node: &mut Node, cmd: ScsiCmd| {
        node.engine
            .message(now, 1, Message::new(cmd.task, Body::ScsiCmd(Box::new(cmd))));
        node.engine.take_outputs()
    };
    post(&mut engine, command(1, 7));
    engine.engine.nexus_opened(now, 7, Ok(()));
    engine.engine.take_outputs();
    let outputs = post(&mut engine, command(2, 9));
    assert!(matches!(outputs[..], [Output::CloseNexus(7)]));
    assert!(post(&mut engine, command(3, 9)).is_empty());
    engine.engine.nexus_closed(now, 7);
    assert!(matches!(
        engine.engine.take_outputs()[..],
        [Output::OpenNexus { session: 9, .. }]
    ));
    engine.engine.nexus_opened(now, 9, Ok(()));
    let started = engine.engine.take_outputs();
    assert!(matches!(&started[..], [Output::Start(a), Output::Start(b)] if a.id == 2 && b.id == 3));
}

#[test]
fn a_refused_session_answers_all_that_waited() {
    let mut node = Pair::with_original().a;
    let now = 500 * SECOND;
    for task in [1, 2] {
        node.engine
            .message(now, 1, Message::new(task, Body::ScsiCmd(Box::new(command(task, 7)))));
    }
    node.engine.take_outputs();
    node.engine.nexus_opened(now, 7, Err(Status::Busy));
    let answers = node.engine.take_outputs().into_iter().filter(|output| {
        matches!(
            output,
            Output::Send(
                _,
                Message {
                    body: Body::Status {
                        full: Some(codes::BAD_STATE),
                        ..
                    },
                    ..
                }
            )
        )
    });
    assert_eq!(answers.count(), 2);
}

/// H17, 8.4.
#[test]
fn ended_sessions_do_not_come_back() {
    let mut pair = Pair::up();
    send(&mut pair, command(1, 7));
    destroy(&mut pair, 7);
    assert_eq!(pair.a.closed, [7]);
    assert_eq!(refusal(&send(&mut pair, command(2, 7))), codes::NOT_FOUND);
    assert_eq!(pair.a.opened, [7]);
    destroy(&mut pair, 1000);
    assert_eq!(pair.a.closed, [7], "unknown ones are ignored");
    pair.pass(61 * SECOND);
    assert!(send(&mut pair, command(3, 7)).is_empty());
    assert_eq!(pair.a.opened, [7, 7]);
}

#[test]
fn a_failed_transfer_ends_the_task_silently() {
    let mut pair = Pair::with_original();
    send(&mut pair, command(1, 7));
    pair.a.engine.finished(pair.now, 1, Outcome::data_in(vec![1; 512]));
    pair.a.perform(pair.now);
    assert!(matches!(pair.a.bodies()[..], [Body::ScsiData(_)]));
    pair.a.post(
        pair.now,
        Message::new(
            5,
            Body::XferDone {
                task: 1,
                session: 0,
                status: codes::FAILED,
            },
        ),
    );
    assert!(pair.a.to_peer.is_empty());
    assert!(pair.a.engine.active.is_idle());
}

#[test]
fn the_last_piece_of_a_whole_read_stands_for_its_status() {
    let read = |mut pair: Pair, size| {
        send(&mut pair, command(1, 7));
        let outcome = Outcome {
            data: vec![1; size],
            implied: size as u64,
            ..Outcome::good()
        };
        pair.a.engine.finished(pair.now, 1, outcome);
        pair.a.perform(pair.now);
        (pair.a.bodies(), pair)
    };
    for size in [300, 513] {
        let (bodies, _) = read(Pair::up(), size);
        assert!(
            matches!(&bodies[..], [Body::ScsiData(data), Body::ScsiStatus(_)] if !data.last),
            "a residual"
        );
    }
    let (bodies, _) = read(Pair::with_original(), 512);
    assert!(matches!(&bodies[..], [Body::ScsiData(data)] if !data.last));
    let (bodies, mut pair) = read(Pair::up(), 512);
    let [Body::ScsiData(data)] = &bodies[..] else {
        panic!("{bodies:?}");
    };
    assert!(data.last);
    pair.a
        .engine
        .send_failed(pair.now, &Message::new(0, bodies[0].clone()), Fate::Kept);
    pair.a.perform(pair.now);
    assert!(
        matches!(&pair.a.bodies()[..], [Body::ScsiStatus(status)] if status.status == ScsiStatus::Busy as u8),
        "the peer waits for nothing that was lost"
    );
}

#[test]
fn data_that_nobody_takes_is_dropped_after_a_while() {
    let mut pair = Pair::with_original();
    send(&mut pair, command(1, 7));
    pair.a.engine.finished(pair.now, 1, Outcome::data_in(vec![1; 512]));
    pair.pass_cut(31 * SECOND);
    assert!(pair.a.engine.active.is_idle());
}

/// 5.17: an aborted task is told, unlike in the original.
#[test]
fn an_aborted_task_is_reported() {
    let mut pair = Pair::with_original();
    send(&mut pair, command(1, 7));
    pair.a
        .engine
        .finished(pair.now, 1, Outcome::status(ScsiStatus::TaskAborted));
    pair.a.perform(pair.now);
    assert!(matches!(&pair.a.bodies()[..], [Body::ScsiStatus(s)] if s.status == 0x40 && s.residual == 512));
}

#[test]
fn function_1_of_an_original_peer_means_the_nexus() {
    let mut pair = Pair::with_original();
    let tm = |task, function| ScsiCmd {
        function,
        cdb: vec![],
        guid: Guid([0; 16]),
        ..command(task | 1 << 63, 7)
    };
    send(&mut pair, tm(1, 1));
    let asked = pair.a.managed.pop().unwrap();
    assert_eq!((asked.function, asked.lun_id), (TmFunction::AbortTaskSet, None));
    for function in [3, 8, 10, 77] {
        let answers = send(&mut pair, tm(u64::from(function), function));
        assert!(matches!(&answers[..], [Body::ScsiStatus(s)] if s.status == 2 && s.sense[12..14] == [0x0e, 3]));
    }
}

/// Hazard H31: a state machine, nothing waits.
#[test]
fn deregistration_ends_sessions_first_and_is_answered_last() {
    let mut pair = Pair::up();
    pair.b.read(pair.now, 1, 512);
    pair.settle();
    pair.b
        .engine
        .announce(pair.now, Announcement::PortDown { port: port(1) });
    pair.b.perform(pair.now);
    pair.settle();
    assert_eq!(
        (pair.a.closed.clone(), pair.a.removed.clone()),
        (vec![7], vec![port(1)])
    );
    let unknown = Body::DeregisterPort {
        port: announcer::port_id(&port(9)),
        cb_arg: vec![],
    };
    pair.a.post(pair.now, Message::new(77, unknown));
    assert!(matches!(
        pair.a.bodies()[..],
        [Body::Status {
            of_type: 1,
            of_id: 77,
            full: Some(codes::NOT_FOUND),
            ..
        }]
    ));
}

#[test]
fn a_changed_rtpid_registers_the_image_again() {
    let mut pair = Pair::up();
    pair.b.engine.announce(
        pair.now,
        Announcement::PortUp {
            port: port(1),
            rtpid: 300,
        },
    );
    pair.b.perform(pair.now);
    pair.settle();
    assert_eq!(pair.a.removed, [port(1)]);
    assert_eq!(
        pair.a.events.last(),
        Some(&PeerEvent::PortUp {
            port: port(1),
            rtpid: 300
        })
    );
    assert_eq!(pair.b.accepted(), [port(1)]);
    let bad = Body::RegisterPort {
        port: announcer::port_id(&port(5)),
        rtpid: 0,
        cb_arg: vec![],
    };
    pair.a.post(pair.now, Message::new(1, bad));
    assert!(matches!(
        pair.a.bodies()[..],
        [Body::Status {
            full: Some(codes::INVALID_ARG),
            ..
        }]
    ));
}

/// 2.3.
#[test]
fn removing_the_door_takes_everything_with_it() {
    let mut pair = Pair::up();
    pair.b.read(pair.now, 1, 512);
    pair.a.read(pair.now, 2, 512);
    pair.settle();
    pair.a.engine.door_removed(pair.now, 1);
    pair.a.perform(pair.now);
    assert_eq!(
        (pair.a.closed.clone(), pair.a.removed.clone()),
        (vec![7], vec![port(1)])
    );
    assert_eq!(pair.a.cleared, [1]);
    assert_eq!(pair.a.outcomes().len(), 1);
    assert!(pair.a.events.contains(&PeerEvent::Down));
    assert!(
        !pair.a.events.contains(&PeerEvent::PortDown { port: port(1) }),
        "7.3 still lists it"
    );
    assert!(pair.a.accepted().is_empty());
    // A second door is as good as the first.
    pair.a.engine.door_installed(1);
    pair.a.to_peer.clear();
    pair.a.enable(pair.now);
    pair.pass(SECOND);
    assert_eq!(pair.a.accepted(), [port(0)]);
}

/// Hazard H29: a path without NUL.
#[test]
fn bad_names_of_lus_are_ignored() {
    let mut pair = Pair::up();
    pair.a.events.clear();
    let lun = |provider: &[u8], cb_arg: &[u8]| super::super::super::message::Lun {
        guid: LU,
        provider: provider.to_vec(),
        cb_arg: cb_arg.to_vec(),
        generation: None,
        access_state: None,
        non_optimized: None,
    };
    for (provider, cb_arg) in [
        (b"sbd".as_slice(), b"/no-nul".as_slice()),
        (b"sbd", b""),
        (b"sbd", b"\0"),
        (b"x", b"/lu\0"),
        (b"sbd", b"\xff\0"),
    ] {
        pair.a
            .post(pair.now, Message::new(1, Body::RegisterLun(lun(provider, cb_arg))));
        assert!(pair.a.events.is_empty(), "{provider:?} {cb_arg:?}");
    }
    pair.a
        .post(pair.now, Message::new(1, Body::LunActive(lun(b"sbd", b"/lu\0"))));
    let active = PeerEvent::LuActive {
        guid: LU,
        name: "/lu".into(),
        generation: None,
        non_optimized: None,
        taken_over: true,
    };
    assert_eq!(pair.a.events, [active]);
}

/// Hazard H32: whatever code set a port was registered with, its commands find it.
#[test]
fn a_port_is_found_whatever_its_code_set() {
    let mut pair = Pair::with_original();
    for code_set in 1..=3 {
        let n = 40 + code_set;
        let registered = Body::RegisterPort {
            port: PortId {
                code_set,
                ..PortId::new(5, port(n))
            },
            rtpid: 300 + u16::from(n),
            cb_arg: vec![],
        };
        pair.a.post(pair.now, Message::new(u64::from(n), registered));
        for asked in 1..=3 {
            let task = u64::from(code_set * 10 + asked);
            let target = PortId {
                code_set: asked,
                ..PortId::new(5, port(n))
            };
            let session = 100 + u64::from(code_set);
            send(
                &mut pair,
                ScsiCmd {
                    target,
                    ..command(task, session)
                },
            );
            assert!(
                pair.a.started.iter().any(|started| started.id == task),
                "{code_set} {asked}"
            );
        }
    }
    // Sent as code set 2.
    assert_eq!(PortId::new(5, port(1)).code_set, 2);
}
