//! Channel, handshake, announcements.

use super::*;
use crate::scsi::Sense;

#[test]
fn two_of_ours_recognise_each_other_and_accept_their_ports() {
    let pair = Pair::up();
    for (node, other) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
        let status = node.engine.peer_status();
        assert!(
            status.door && status.reachable && status.original == Some(false),
            "{status:?}"
        );
        assert_eq!(node.engine.wire(), Some(Capabilities::ALL));
        assert_eq!(node.events[0], PeerEvent::Up);
        assert!(node.events.contains(&PeerEvent::PortAccepted {
            port: port(node.number)
        }));
        assert!(node.events.contains(&PeerEvent::PortUp {
            port: port(other.number),
            rtpid: other.rtpid()
        }));
    }
}

#[test]
fn an_original_peer_gets_what_the_original_sends() {
    let mut pair = Pair::with_original();
    assert_eq!(pair.a.engine.peer_status().original, Some(true));
    assert_eq!(pair.a.engine.wire(), None);
    pair.a.engine.announce(
        pair.now,
        Announcement::LuRegister(AnnouncedLu {
            guid: LU,
            name: "/lu".into(),
            generation: 3,
            non_optimized: false,
        }),
    );
    pair.a.perform(pair.now);
    let sent = pair.a.sent();
    assert!(
        sent.iter().all(|message| message.extensions == Extensions::default()),
        "{sent:?}"
    );
    assert!(matches!(&sent[0].body, Body::RegisterLun(lun) if lun.cb_arg == b"/lu\0"));
}

/// Ruling 15.
#[test]
fn nothing_goes_through_a_new_door_before_it_may() {
    let mut a = Node::new(0, 1);
    a.enable(SECOND);
    a.engine.door_installed(1);
    for seconds in 1..20 {
        a.tick(seconds * SECOND);
        assert!(a.to_peer.is_empty());
    }
    a.post(
        20 * SECOND,
        Message::new(
            1,
            Body::RegisterPort {
                port: announcer::port_id(&port(1)),
                rtpid: 256,
                cb_arg: vec![],
            },
        ),
    );
    assert!(matches!(
        a.bodies()[..],
        [Body::Status {
            of_type: 0,
            of_id: 1,
            ..
        }]
    ));
    a.tick(20 * SECOND);
    assert!(matches!(a.bodies()[..], [Body::EchoRequest(_)]));

    let mut b = Node::new(0, 1);
    b.engine.door_installed(1);
    b.tick(SECOND);
    assert!(b.to_peer.is_empty());
    b.enable(SECOND);
    b.tick(SECOND);
    assert!(matches!(b.bodies()[..], [Body::EchoRequest(_)]));
}

#[test]
fn registrations_go_out_even_if_nobody_answers_probes() {
    let mut a = Node::new(0, 1);
    a.engine.door_installed(1);
    a.enable(SECOND);
    a.tick(SECOND);
    a.sent();
    a.tick(2 * SECOND);
    assert!(
        a.bodies()
            .iter()
            .any(|body| matches!(body, Body::RegisterPort { rtpid: 1, .. }))
    );
}

#[test]
fn a_peer_declared_fenced_is_down_at_once() {
    let mut pair = Pair::up();
    pair.a.events.clear();
    pair.a.read(pair.now, 1, 512);
    pair.a.engine.presume_gone(pair.now);
    pair.a.perform(pair.now);
    assert_eq!(pair.a.events, [PeerEvent::Down]);
    assert_eq!(
        pair.a.outcomes(),
        [(1, Outcome::check(crate::scsi::Sense::ALUA_UNAVAILABLE))]
    );
    assert!(!pair.a.engine.peer_status().reachable);
    // It was not dead after all: its next words count.
    pair.settle();
    pair.pass(3 * SECOND);
    assert!(pair.a.engine.peer_status().reachable);
}

#[test]
fn silence_is_peer_down_and_the_first_answer_peer_up() {
    let mut pair = Pair::up();
    pair.b.engine.announce(
        pair.now,
        Announcement::LuRegister(AnnouncedLu {
            guid: LU,
            name: "/lu".into(),
            generation: 1,
            non_optimized: false,
        }),
    );
    pair.b.perform(pair.now);
    pair.settle();
    pair.a.events.clear();
    pair.a.read(pair.now, 1, 512);
    pair.pass_cut(7 * SECOND);
    assert_eq!(pair.a.events, [PeerEvent::Down]);
    assert_eq!(
        pair.a.outcomes(),
        [(1, Outcome::check(crate::scsi::Sense::ALUA_UNAVAILABLE))]
    );
    assert!(!pair.a.engine.peer_status().reachable);
    assert!(pair.a.accepted().is_empty());
    pair.a.read(pair.now, 2, 512);
    assert_eq!(
        pair.a.outcomes(),
        [(2, Outcome::check(crate::scsi::Sense::ALUA_UNAVAILABLE))]
    );
    pair.a.events.clear();
    pair.pass(3 * SECOND);
    assert_eq!(pair.a.events[0], PeerEvent::Up);
    assert_eq!(pair.a.accepted(), [port(0)]);
    assert!(pair.a.engine.peer_status().reachable);
}

/// Hazard H5: nothing arrives there, although everything arrives here: what was announced meanwhile is told again.
#[test]
fn a_channel_cut_in_one_direction_is_peer_down() {
    let mut pair = Pair::up();
    pair.b.engine.announce(
        pair.now,
        Announcement::LuActive(AnnouncedLu {
            guid: LU,
            name: "/lu".into(),
            generation: 2,
            non_optimized: false,
        }),
    );
    pair.b.perform(pair.now);
    pair.b.events.clear();
    pair.pass_lossy(7 * SECOND);
    assert_eq!(pair.b.events, [PeerEvent::Down]);
    assert!(
        pair.a
            .events
            .iter()
            .all(|event| !matches!(event, PeerEvent::LuActive { .. }))
    );
    pair.pass_lossy(7 * SECOND);
    assert_eq!(pair.b.events, [PeerEvent::Down], "what arrives here proves nothing");
    pair.pass(5 * SECOND);
    assert_eq!(
        pair.b.events[1],
        PeerEvent::Up,
        "the framework announces everything again"
    );
}

/// H13, 8.2: 5 s, doubling to 60 s.
#[test]
fn a_registration_is_repeated_until_it_is_answered() {
    let mut pair = Pair::new();
    pair.a.enable(pair.now);
    let start = pair.now;
    let mut times = Vec::new();
    while pair.now < start + 300 * SECOND {
        pair.now += SECOND / 4;
        pair.a.tick(pair.now);
        for message in pair.a.sent() {
            match message.body {
                // The peer lives, but its STATUS gets lost.
                Body::EchoRequest(data) => pair.a.post(pair.now, Message::new(0, Body::EchoReply(data))),
                Body::RegisterPort { .. } => times.push((pair.now - start).as_secs()),
                _ => {}
            }
        }
    }
    assert_eq!(times, [0, 5, 15, 35, 75, 135, 195, 255]);
}

/// Hazard H13.
#[test]
fn held_registrations_are_applied_at_enable_the_newest_per_object() {
    let mut pair = Pair::new();
    pair.a.enable(pair.now);
    for (generation, name) in [(1, "/old"), (2, "/new")] {
        let announcement = Announcement::LuRegister(AnnouncedLu {
            guid: LU,
            name: name.into(),
            generation,
            non_optimized: false,
        });
        pair.a.engine.announce(pair.now, announcement);
        pair.a.perform(pair.now);
    }
    pair.pass(2 * SECOND);
    assert_eq!(pair.b.events, []);
    pair.b.enable(pair.now);
    let lu = PeerEvent::LuActive {
        guid: LU,
        name: "/new".into(),
        generation: Some(2),
        non_optimized: Some(false),
        taken_over: false,
    };
    assert_eq!(pair.b.events.len(), 2);
    assert!(pair.b.events.contains(&lu));
    assert!(pair.b.events.contains(&PeerEvent::PortUp {
        port: port(0),
        rtpid: 1
    }));
    pair.pass(SECOND);
    assert_eq!(pair.a.accepted(), [port(0)]);
}

/// H16: nothing of a former life goes on, late messages of it are refused.
#[test]
fn a_restarted_peer_is_another_one() {
    let mut pair = Pair::up();
    pair.b.read(pair.now, 1, 512);
    pair.settle();
    assert_eq!(pair.a.started.len(), 1);
    pair.a.events.clear();

    let mut reborn = Node::new(1, 33);
    reborn.engine.door_installed(1);
    let former = std::mem::replace(&mut pair.b, reborn);
    pair.b.enable(pair.now);
    pair.pass(SECOND);
    assert_eq!(pair.a.events[..2], [PeerEvent::Down, PeerEvent::Up]);
    assert_eq!(pair.a.closed, [7], "the session of the former life");
    assert_eq!(pair.a.accepted(), [port(0)]);

    let mut late = Message::new(
        99,
        Body::DeregisterPort {
            port: announcer::port_id(&port(1)),
            cb_arg: vec![],
        },
    );
    late.extensions.incarnation = Some(former.seeds.incarnation);
    pair.a.post(pair.now, late);
    assert!(pair.a.removed.is_empty(), "a late message of the former life");
}

/// Hazard H17: `icx_seq` tells repetitions.
#[test]
fn repeated_messages_are_dropped() {
    let mut pair = Pair::up();
    pair.b.read(pair.now, 1, 512);
    let command = pair.b.sent().remove(0);
    pair.a.post(pair.now, command.clone());
    pair.a.post(pair.now, command);
    assert_eq!(pair.a.started.len(), 1);
    assert!(pair.a.to_peer.is_empty(), "no STATUS either");
}

/// H14: what a whole round does not mention is gone; a round with a gap says nothing.
#[test]
fn rounds_sweep() {
    for lost in [false, true] {
        let mut pair = Pair::up();
        for n in [2, 3] {
            pair.b.engine.announce(
                pair.now,
                Announcement::PortUp {
                    port: port(n),
                    rtpid: 255 + u16::from(n),
                },
            );
        }
        pair.b.engine.announce(
            pair.now,
            Announcement::LuRegister(AnnouncedLu {
                guid: LU,
                name: "/lu".into(),
                generation: 1,
                non_optimized: false,
            }),
        );
        pair.b.perform(pair.now);
        pair.settle();
        // The channel is cut, and a port goes away meanwhile without a trace.
        pair.pass_cut(10 * SECOND);
        pair.b.engine.announcer = Announcer::default();
        for n in [1, 2] {
            pair.b.engine.announce(
                pair.now,
                Announcement::PortUp {
                    port: port(n),
                    rtpid: 255 + u16::from(n),
                },
            );
        }
        pair.a.events.clear();
        if lost {
            pair.now += SECOND / 4;
            while !pair.b.engine.link.up {
                pair.now += SECOND / 4;
                pair.b.tick(pair.now);
                pair.a.tick(pair.now);
                pair.settle_losing_registrations();
            }
        }
        pair.pass(6 * SECOND);
        let complete = PeerEvent::RoundComplete {
            ports: vec![port(1), port(2)],
            lus: vec![],
        };
        assert_eq!(pair.a.events.contains(&complete), !lost, "{:?}", pair.a.events);
        assert_eq!(pair.a.removed, if lost { vec![] } else { vec![port(3)] });
    }
}

impl Pair {
    fn settle_losing_registrations(&mut self) {
        while !self.a.to_peer.is_empty() || !self.b.to_peer.is_empty() {
            for message in self.a.sent() {
                self.b.post(self.now, message);
            }
            for message in self.b.sent() {
                if !matches!(message.body, Body::RegisterPort { .. }) {
                    self.a.post(self.now, message);
                }
            }
        }
    }
}

#[test]
fn enabling_again_begins_a_round() {
    let mut pair = Pair::up();
    pair.a.events.clear();
    pair.a.enable(pair.now);
    let again = pair.a.sent();
    let ports: Vec<_> = again
        .iter()
        .filter(|m| matches!(m.body, Body::RegisterPort { .. }))
        .collect();
    assert_eq!(ports.len(), 1, "{again:?}");
    again.into_iter().for_each(|message| pair.b.post(pair.now, message));
    pair.settle();
    assert_eq!(pair.a.accepted(), [port(0)]);
    assert!(pair.b.removed.is_empty() && pair.a.removed.is_empty());
}

/// The word that an LU was given up: to one of ours, in each of its lives; never to an original peer, which would delete it.
#[test]
fn what_was_given_up_is_told_to_ours_only() {
    let given_up = Announcement::LuGivenUp {
        guid: LU,
        generation: 4,
    };
    let told = |pair: &mut Pair| {
        let told = PeerEvent::LuGivenUp {
            guid: LU,
            generation: 4,
        };
        let events = std::mem::take(&mut pair.b.events);
        events.into_iter().filter(|event| *event == told).count()
    };
    let mut pair = Pair::up();
    pair.a.engine.announce(pair.now, given_up.clone());
    pair.a.perform(pair.now);
    pair.settle();
    assert_eq!(told(&mut pair), 1);
    pair.pass_cut(8 * SECOND);
    pair.pass(10 * SECOND);
    assert!(told(&mut pair) > 0, "again after a silence");

    let mut pair = Pair::with_original();
    pair.a.engine.announce(pair.now, given_up);
    pair.a.perform(pair.now);
    pair.a.tick(pair.now + SECOND);
    let sent = pair.a.bodies();
    assert!(
        !sent.iter().any(|body| matches!(body, Body::DeregisterLun(_))),
        "{sent:?}"
    );
}

#[test]
fn withdrawals_wait_for_the_peer() {
    let mut pair = Pair::up();
    pair.pass_cut(7 * SECOND);
    pair.a.engine.link.stuck = true;
    pair.a
        .engine
        .announce(pair.now, Announcement::LuDeregister { guid: LU });
    pair.a
        .engine
        .announce(pair.now, Announcement::PortDown { port: port(0) });
    pair.a.perform(pair.now);
    pair.a.engine.door_stuck(pair.now, false);
    pair.b.events.clear();
    pair.pass(5 * SECOND);
    assert!(pair.b.events.contains(&PeerEvent::LuDeregister { guid: LU }));
    assert!(pair.b.events.contains(&PeerEvent::PortDown { port: port(0) }));
    assert_eq!(pair.b.removed, [port(0)]);
}

#[test]
fn disabling_ends_forwarded_commands_and_holds_registrations() {
    let mut pair = Pair::up();
    pair.a.read(pair.now, 1, 512);
    pair.a.engine.disabled(pair.now);
    pair.a.perform(pair.now);
    assert_eq!(pair.a.outcomes().len(), 1);
    assert!(!pair.a.engine.peer_status().reachable);
    pair.a.to_peer.clear();
    pair.a.tick(pair.now + 10 * SECOND);
    assert!(pair.a.to_peer.is_empty(), "nothing is sent while disabled");
}

#[test]
fn the_end_of_the_stream_is_peer_down_at_once() {
    let mut pair = Pair::up();
    pair.b.read(pair.now, 1, 512);
    pair.b.to_peer.clear();
    pair.b.engine.lane_ended(pair.now, 7);
    pair.b.perform(pair.now);
    assert_eq!(pair.b.outcomes(), [], "of another door");
    pair.b.engine.lane_ended(pair.now, 1);
    pair.b.perform(pair.now);
    assert_eq!(pair.b.outcomes(), [(1, Outcome::check(Sense::ALUA_UNAVAILABLE))]);
    assert_eq!(pair.b.events.last(), Some(&PeerEvent::Down));
    // The next stream begins with this.
    pair.b.enable(pair.now);
    pair.pass(SECOND / 4);
    assert!(pair.b.engine.peer_status().reachable);
}

/// H27.
#[test]
fn a_door_call_that_hangs_is_peer_down() {
    let mut pair = Pair::up();
    pair.a.read(pair.now, 1, 512);
    pair.a.engine.door_stuck(pair.now, true);
    pair.a.perform(pair.now);
    assert_eq!(pair.a.outcomes().len(), 1);
    assert_eq!(pair.a.events.last(), Some(&PeerEvent::Down));
    pair.a.engine.door_stuck(pair.now, false);
    pair.pass(SECOND);
    assert!(pair.a.engine.peer_status().reachable);
}
