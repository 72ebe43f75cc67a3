//! NOP and text.

use super::*;

#[test]
fn nop_is_echoed() {
    let mut pair = Pair::normal();
    pair.numbered(nop(3), b"hello");
    let answer = pair.answer();
    assert_eq!(
        (answer.header.opcode(), answer.header.itt(), answer.header.ttt()),
        (opcode::NOP_IN, 3, NO_TAG)
    );
    assert_eq!(answer.data, b"hello");
    pair.numbered(nop(3), b"");
    assert!(pair.answer().data.is_empty());
    pair.numbered(nop(3), &bytes(3000));
    assert_eq!(pair.answer().data, bytes(1024), "cut to what the initiator can take");
}

#[test]
fn a_silent_initiator_is_pinged_then_dropped() {
    let Patience { idle, .. } = Patience::default();
    let ping_time = Patience::default().ping();
    assert_eq!((ping_time.as_secs(), idle.as_secs()), (20, 30));
    let mut pair = Pair::normal();
    pair.session.tick(pair.now + ping_time);
    assert!(pair.answers().is_empty());
    pair.session.tick(pair.now + ping_time + Duration::from_secs(1));
    pair.session.tick(pair.now + ping_time + Duration::from_secs(2));
    let ping = pair.answer().header;
    assert_eq!((ping.itt(), ping.word::<24>()), (NO_TAG, 2));
    assert_ne!(ping.ttt(), NO_TAG);
    let mut pong = nop(NO_TAG);
    pong.0[0] |= 0x40;
    pong.set_word::<20>(ping.ttt());
    pair.now += ping_time + Duration::from_secs(5);
    pair.send(pong, &[]);
    assert!(pair.answers().is_empty());
    pair.session.tick(pair.now + Duration::from_secs(1));
    assert_eq!(*pair.session.fate(1).unwrap(), Fate::Open);
    pair.session.tick(pair.now + idle + Duration::from_secs(1));
    assert!(pair.closed());
}

fn text_request(itt: u32, ttt: u32, flags: u8) -> Header {
    let mut header = Header::new(opcode::TEXT);
    header.0[1] = flags;
    header.set_word::<16>(itt).set_word::<20>(ttt);
    header
}

#[test]
fn send_targets() {
    for (session, value, expected) in [
        ("Discovery", "All", Some(3)),
        ("Normal", "All", Some(3)),
        ("Normal", "", Some(1)),
        ("Discovery", "", None),
        ("Discovery", "iqn.2026-11.EXAMPLE:2", Some(1)),
        ("Discovery", "iqn.2026-11.example:9", Some(0)),
        ("Normal", "Alle", None),
        ("Normal", "A", None),
    ] {
        let mut pair = Pair::new(3, session, &[]);
        pair.numbered(
            text_request(1, NO_TAG, 0x80),
            format!("SendTargets={value}\0").as_bytes(),
        );
        let answer = pair.answer();
        match expected {
            Some(count) => {
                assert_eq!(
                    (answer.header.opcode(), answer.header.0[1]),
                    (opcode::TEXT_RESPONSE, 0x80)
                );
                let names = String::from_utf8(answer.data).unwrap().matches("TargetName=").count();
                assert_eq!(names, count, "{session} {value}");
            }
            None => assert_eq!(
                (answer.header.opcode(), answer.header.0[2]),
                (opcode::REJECT, 5),
                "{session} {value}"
            ),
        }
    }
}

#[test]
fn text_that_is_no_request_is_rejected() {
    for text in ["Unknown=1\0", "sendtargets=All\0", "nothing\0"] {
        let mut pair = Pair::normal();
        pair.numbered(text_request(1, NO_TAG, 0x80), text.as_bytes());
        assert_eq!(pair.answer().header.0[2], 5, "{text}");
    }
    let mut pair = Pair::normal();
    pair.numbered(
        text_request(1, NO_TAG, 0x80),
        b"MaxBurstLength=4096\0MaxRecvDataSegmentLength=2048\0",
    );
    assert_eq!(pair.answer().data, b"MaxBurstLength=Reject\0");
    assert_eq!(pair.session.connections[0].parameters.send_max, 2048);
}

#[test]
fn a_long_answer_is_asked_for_part_by_part() {
    let mut pair = Pair::new(500, "Discovery", &[]);
    pair.numbered(text_request(1, NO_TAG, 0x80), b"SendTargets=All\0");
    let mut all = Vec::new();
    loop {
        let part = pair.answer();
        all.extend_from_slice(&part.data);
        if part.header.is_final() {
            break;
        }
        assert!(part.header.continues() && part.header.ttt() != NO_TAG);
        pair.numbered(text_request(1, part.header.ttt(), 0x80), b"");
    }
    assert_eq!(
        String::from_utf8(all)
            .unwrap()
            .matches("TargetAddress=127.0.0.1:3260,1\0")
            .count(),
        500
    );
    pair.numbered(text_request(1, 0x1234, 0x80), b"");
    assert_eq!(pair.answer().header.opcode(), opcode::REJECT);
}

#[test]
fn a_long_request_is_collected() {
    let mut pair = Pair::new(1, "Discovery", &[]);
    pair.numbered(text_request(1, NO_TAG, 0x40), b"SendTar");
    let part = pair.answer().header;
    assert!(!part.is_final());
    pair.numbered(text_request(1, part.ttt(), 0x80), b"gets=All\0");
    assert!(pair.answer().data.starts_with(b"TargetName="));
}

#[test]
fn scsi_in_a_discovery_session_is_rejected() {
    let mut pair = Pair::new(1, "Discovery", &[]);
    pair.read(1, 512);
    assert_eq!(pair.answer().header.0[2], 5);
}
