//! Golden vectors both ways, properties, and each refused variant (`alua-proxy.md` 3.1.5).

use super::*;
use crate::framework::Cdb;
use crate::nvlist::{Limits, NvList, Value};
use crate::types::{DevId, TransportId};
use proptest::prelude::*;

const GUID: Guid = Guid([
    0x60, 0x01, 0x44, 0xf0, 0xc0, 0xff, 0xee, 0, 0, 0, 0x5a, 0x3c, 0x81, 0x7e, 0, 1,
]);

fn initiator() -> PortId {
    PortId::new(5, DevId::new(b"iqn.1998-01.com.example:esx01").unwrap())
}

fn target() -> PortId {
    PortId::new(5, DevId::new(b"iqn.2010-08.org.example:node1-t0").unwrap())
}

fn remote() -> RemotePort {
    let bytes = [b"\x05\0\0\x20".as_slice(), b"iqn.1998-01.com.example:esx01\0\0\0"].concat();
    RemotePort(TransportId::from_bytes(bytes).unwrap())
}

fn lun(cb_arg: &[u8]) -> Lun {
    Lun {
        guid: GUID,
        provider: b"sbd".to_vec(),
        cb_arg: cb_arg.to_vec(),
        generation: None,
        access_state: None,
        non_optimized: None,
    }
}

fn command() -> ScsiCmd {
    ScsiCmd {
        task: 0x101,
        initiator: initiator(),
        target: target(),
        remote: remote(),
        guid: GUID,
        session: 0x7b,
        lun: [0, 5, 0, 0, 0, 0, 0, 0],
        expected: 512,
        cdb: vec![0x28, 0, 0, 0x12, 0xd6, 0x87, 0, 0, 1, 0],
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

fn status(status: u8, flags: u8, residual: u32, sense: &[u8]) -> Body {
    Body::ScsiStatus(ScsiStatus {
        task: 0x101,
        session: 0x7b,
        guid: GUID,
        response: 0,
        status,
        flags,
        residual,
        sense: sense.to_vec(),
    })
}

fn session() -> Session {
    Session {
        initiator: initiator(),
        target: target(),
        remote: remote(),
        session: 0x7b,
    }
}

/// Every file of `tests/vectors`, with the values of its README.
fn vectors() -> Vec<(&'static [u8], Message)> {
    const PATH: &[u8] = b"/dev/zvol/rdsk/tank/vol1\0";
    let sense = b"\x70\0\x05\0\0\0\0\x0a\0\0\0\0\x21\0\0\0\0\0";
    let prout = ScsiCmd {
        task: 0x102,
        expected: 24,
        cdb: vec![0x5f, 6, 0, 0, 0, 0, 0, 0, 0x18, 0],
        flags: 0xa1,
        data: [
            [0; 8],
            [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7],
            [0, 0, 0, 0, 1, 0, 0, 0],
        ]
        .concat(),
        ..command()
    };
    let reset = ScsiCmd {
        task: 0x8000_0000_0000_0103,
        guid: Guid([0; 16]),
        expected: 0,
        cdb: vec![],
        flags: 0,
        function: 5,
        ..command()
    };
    let data = ScsiData {
        task: 0x101,
        session: 0x7b,
        guid: GUID,
        data: (0..512).map(|i| u8::try_from(i % 256).unwrap()).collect(),
        offset: None,
        last: false,
    };
    let ping = b"ping\xff".to_vec();
    macro_rules! vector {
        ($file:literal, $id:expr, $body:expr) => {
            (
                include_bytes!(concat!("../../../tests/vectors/", $file, ".bin")).as_slice(),
                Message::new($id, $body),
            )
        };
    }
    vec![
        vector!(
            "00-register-proxy-port",
            1,
            Body::RegisterPort {
                port: target(),
                rtpid: 256,
                cb_arg: vec![]
            }
        ),
        vector!(
            "01-deregister-proxy-port",
            2,
            Body::DeregisterPort {
                port: target(),
                cb_arg: vec![]
            }
        ),
        vector!("02-register-lun", 3, Body::RegisterLun(lun(PATH))),
        vector!("03-deregister-lun", 4, Body::DeregisterLun(lun(b""))),
        vector!("04-scsi-cmd-prout-immediate", 0x102, Body::ScsiCmd(Box::new(prout))),
        vector!("04-scsi-cmd-read10", 0x101, Body::ScsiCmd(Box::new(command()))),
        vector!(
            "04-scsi-cmd-tm-lun-reset",
            0x8000_0000_0000_0103,
            Body::ScsiCmd(Box::new(reset))
        ),
        vector!("05-scsi-data", 0, Body::ScsiData(data)),
        vector!(
            "06-scsi-data-xfer-done-failure",
            261,
            Body::XferDone {
                task: 0x101,
                session: 0,
                status: 0x1000_0000_0000_0000
            }
        ),
        vector!(
            "06-scsi-data-xfer-done",
            260,
            Body::XferDone {
                task: 0x101,
                session: 0x7b,
                status: 0
            }
        ),
        vector!("07-scsi-status-check", 0, status(2, ScsiStatus::UNDERRUN, 512, sense)),
        vector!("07-scsi-status-good", 0, status(0, 0, 0, b"")),
        vector!(
            "08-r2t",
            0,
            Body::R2t {
                task: 0x102,
                session: 0x7b,
                offset: 0x10000,
                length: 0x20000
            }
        ),
        vector!(
            "09-status-register-port",
            1,
            Body::Status {
                of_type: 0,
                of_id: 1,
                status: 0,
                full: None
            }
        ),
        vector!("10-session-create", 6, Body::SessionCreate(session())),
        vector!("11-session-destroy", 7, Body::SessionDestroy(session())),
        vector!("12-echo-request", 8, Body::EchoRequest(ping.clone())),
        vector!("13-echo-reply-empty", 0, Body::EchoReply(vec![])),
        vector!("13-echo-reply", 0, Body::EchoReply(ping)),
        vector!("14-lun-active", 9, Body::LunActive(lun(PATH))),
    ]
}

/// Hazard H32: target ports carry code set 2 on the wire.
#[test]
fn golden_vectors_both_ways() {
    let vectors = vectors();
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors")).unwrap();
    let messages = files.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.as_encoded_bytes()[0].is_ascii_digit()
    });
    assert_eq!(messages.count(), vectors.len(), "every file is tested");
    for (bytes, message) in vectors {
        assert_eq!(message.encode(), bytes, "{message:?}");
        assert_eq!(Message::decode(bytes), Ok(message));
    }
}

/// A message as a list, changed and packed again.
fn changed(message: &Message, change: impl FnOnce(&mut NvList)) -> Result<Message, MessageError> {
    let mut list = NvList::unpack(&message.encode(), &Limits::MESSAGE).unwrap();
    change(&mut list);
    Message::decode(&list.pack())
}

/// Pairs that an original receiver, and so this one, can do without.
const OPTIONAL: [&str; 2] = ["icsc_task_priority", "icsx_session_id"];

#[test]
fn every_mandatory_pair_is_demanded_with_its_type() {
    for (_, message) in vectors() {
        let list = NvList::unpack(&message.encode(), &Limits::MESSAGE).unwrap();
        for name in list.iter().map(|(name, _)| name.to_owned()) {
            let empty = list.get(&name) == Some(&Value::UInt8Array(vec![]));
            let missing = changed(&message, |list| drop(list.take(&name)));
            let optional = OPTIONAL.contains(&name.as_str()) || empty;
            assert_eq!(missing.is_err(), !optional, "{name} missing: {missing:?}");
            let retyped = changed(&message, |list| list.push(&name, Value::Boolean));
            assert!(retyped.is_err(), "{name} of another type");
        }
    }
}

#[test]
fn lengths_must_agree_with_their_arrays() {
    for (_, message) in vectors() {
        let list = NvList::unpack(&message.encode(), &Limits::MESSAGE).unwrap();
        for (name, value) in list.iter() {
            let longer = match value {
                Value::UInt16(n) if name.ends_with("_len") || name.ends_with("_length") => Value::UInt16(n + 1),
                Value::UInt32(n) if name.ends_with("data_len") || name.ends_with("datalen") => Value::UInt32(n + 1),
                Value::UInt64(n) if name.ends_with("data_len") => Value::UInt64(n + 1),
                Value::UInt8(n) if name.ends_with("sense_len") => Value::UInt8(n + 1),
                _ => continue,
            };
            let refused = changed(&message, |list| list.push(name, longer));
            assert!(refused.is_err(), "{name}: {refused:?}");
        }
    }
}

/// Hazard H29: an identifier of length 0.
#[test]
fn nested_lists_are_checked() {
    let register = Message::new(
        1,
        Body::RegisterPort {
            port: target(),
            rtpid: 1,
            cb_arg: vec![],
        },
    );
    let with_port = |change: fn(&mut NvList)| {
        changed(&register, |list| {
            let Some(Value::List(mut port)) = list.take("icrp_port_id") else {
                panic!("a devid")
            };
            change(&mut port);
            list.push("icrp_port_id", Value::List(port));
        })
    };
    assert!(with_port(|_| ()).is_ok());
    assert_eq!(
        with_port(|port| port.push("ident_length", Value::UInt8(31))),
        Err(MessageError::Length("ident"))
    );
    let empty = with_port(|port| {
        port.push("ident_length", Value::UInt8(0));
        port.push("ident", Value::UInt8Array(vec![]));
    });
    assert_eq!(empty, Err(MessageError::Value("ident")), "identifier length 0");
}

/// Hazard H29: unknown types.
#[test]
fn refuses_what_is_no_message() {
    assert_eq!(Message::decode(&[]), Err(MessageError::Size));
    assert_eq!(Message::decode(&vec![1; MAX_MESSAGE + 1]), Err(MessageError::Size));
    assert!(Message::decode(b"hello").unwrap_err().is_malformed());
    assert_eq!(Message::decode(&NvList::new().pack()), Err(MessageError::NoType));
    let echo = Message::new(1, Body::EchoRequest(vec![]));
    let newer = changed(&echo, |list| list.push("icm_msg_type", Value::UInt8(17)));
    assert_eq!(newer, Err(MessageError::UnknownType(17)));
    assert!(
        !newer.unwrap_err().is_malformed(),
        "a newer peer's message is dropped, not refused"
    );
    let data = Message::new(
        0,
        Body::ScsiData(ScsiData {
            task: 1,
            session: 1,
            guid: GUID,
            data: vec![],
            offset: None,
            last: false,
        }),
    );
    assert_eq!(Message::decode(&data.encode()), Err(MessageError::Length("icsd_data")));
}

#[test]
fn unknown_pairs_and_any_order_are_accepted() {
    for (_, message) in vectors() {
        let mut list = NvList::unpack(&message.encode(), &Limits::MESSAGE).unwrap();
        let mut reversed = NvList::new();
        reversed.push("icx_of_the_future", Value::StringArray(vec![b"x".to_vec()]));
        let names: Vec<String> = list.iter().map(|(name, _)| name.to_owned()).rev().collect();
        for name in names {
            let value = list.take(&name).unwrap();
            reversed.push(&name, value);
        }
        assert_eq!(Message::decode(&reversed.pack()), Ok(message));
    }
}

#[test]
fn damaged_frames_are_refused() {
    let message = Message::new(
        2,
        Body::ScsiCmd(Box::new(ScsiCmd {
            data: vec![7; 600],
            ..command()
        })),
    );
    let frame = message.encode_compact();
    assert_eq!(frame[0], 2);
    assert_eq!(Message::decode(&frame), Ok(message.clone()));
    for at in (0..16).chain(frame.len() - 600..frame.len()) {
        let mut damaged = frame.clone();
        damaged[at] ^= 1;
        assert!(Message::decode(&damaged).is_err(), "byte {at}");
    }
    for length in 1..frame.len() {
        assert!(Message::decode(&frame[..length]).is_err(), "{length} bytes");
    }
    let twice = around(&message.encode(), &[7; 600]);
    assert_eq!(
        Message::decode(&twice),
        Err(MessageError::Frame),
        "data inside and outside"
    );
    let echo = Message::new(1, Body::EchoRequest(vec![1])).encode();
    assert_eq!(Message::decode(&around(&echo, &[1])), Err(MessageError::Frame));
}

/// A compact frame.
fn around(list: &[u8], raw: &[u8]) -> Vec<u8> {
    let header = frame::header(list.len(), raw, Integrity::Checksum);
    [&header, list, raw].concat()
}

/// A compact frame in two parts, and what its checksum says.
#[test]
fn records_keep_a_frame_without_checksum() {
    use Integrity::{Checksum, Records};
    let data = Body::ScsiData(ScsiData {
        task: 1,
        session: 2,
        guid: Guid([6; 16]),
        data: vec![7; 600],
        offset: None,
        last: false,
    });
    let message = Message::new(9, data);
    let (with, raw) = message.clone().into_parts(0, true, Checksum);
    let (without, _) = message.clone().into_parts(0, true, Records);
    assert_eq!((&with[..12], &with[16..]), (&without[..12], &without[16..]));
    assert_eq!(&without[12..16], &[0; 4]);
    let mut wrong = with.clone();
    wrong[15] ^= 1;
    for (head, integrity, good) in [
        (&with, Checksum, true),
        (&with, Records, true),
        (&without, Records, true),
        (&without, Checksum, false),
        (&wrong, Checksum, false),
        (&wrong, Records, false),
    ] {
        let expected = good.then(|| message.clone()).ok_or(MessageError::Frame);
        let whole = [&head[..], &raw].concat();
        assert_eq!(Message::from_parts(head, raw.clone(), integrity), expected);
        assert_eq!(Message::from_parts(&whole, Vec::new(), integrity), expected);
        if integrity == Checksum {
            assert_eq!(Message::decode(&whole), expected);
        }
    }
}

#[test]
fn parts_that_do_not_fit() {
    let data = Body::EchoRequest(vec![7; 600]);
    let list = Message::new(9, data).encode();
    let refused = |head: &[u8], raw: usize| {
        Message::from_parts(head, vec![7; raw], Integrity::Records) == Err(MessageError::Frame)
    };
    assert!(refused(&list, 1), "a list has no raw part");
    let frame = around(&list, &[7; 600]);
    let head = &frame[..frame.len() - 600];
    assert!(refused(head, 599) && refused(head, 601) && refused(&frame, 600) && refused(&frame, 1));
    assert!(refused(&head[..15], 600) && refused(&head[..40], 600));
}

#[test]
fn only_a_frame_that_fits_has_a_raw_part() {
    let beginning = |list: u32, raw: u32| {
        let mut bytes = vec![2, 0, 0, 0];
        bytes.extend_from_slice(&list.to_be_bytes());
        bytes.extend_from_slice(&raw.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    };
    let length = |list, raw, length| Message::raw_length(&beginning(list, raw), length);
    assert_eq!(length(100, 600, 716), 600);
    assert_eq!(length(0, 1 << 20, (1 << 20) + 16), 1 << 20);
    assert_eq!(length(0, (1 << 20) + 1, (1 << 20) + 17), 0, "no message has so much");
    for (list, raw, frame) in [
        (100, 600, 715),
        (100, 600, 717),
        (100, 600, 10),
        (100, 0, 116),
        (u32::MAX, 600, 1000),
        (100, u32::MAX, 1000),
    ] {
        assert_eq!(length(list, raw, frame), 0);
    }
    assert_eq!(Message::raw_length(&beginning(100, 600)[..15], 716), 0);
    assert_eq!(Message::raw_length(&[1; 16], 716), 0);
}

#[test]
fn handshake_round_trip() {
    let own = Handshake {
        nonce: 1,
        incarnation: 2,
        capabilities: Capabilities::ALL,
        node: 1,
        enabled: true,
        largest: 3,
    };
    assert_eq!(own.probe().len(), 40);
    assert_eq!(Handshake::from_probe(&own.probe()), Some(own));
    assert_eq!(Handshake::from_reply(&own.reply()), Some(own));
    assert_eq!(Handshake::from_reply(&own.probe()), None, "a copy is an original peer");
    assert_eq!(Handshake::from_probe(&own.probe()[..39]), None);
}

fn port_id() -> impl Strategy<Value = PortId> {
    (any::<[u8; 5]>(), proptest::collection::vec(1u8.., 1..=255)).prop_map(|(b, ident)| PortId {
        protocol: b[0],
        code_set: b[1],
        piv: b[2],
        association: b[3],
        ident_type: b[4],
        ident: DevId::new(&ident).unwrap(),
    })
}

fn remote_port() -> impl Strategy<Value = RemotePort> {
    proptest::collection::vec(any::<u8>(), 2..300).prop_map(|b| RemotePort(TransportId::from_bytes(b).unwrap()))
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=max)
}

fn any_lun() -> impl Strategy<Value = Lun> {
    let provider = proptest::collection::vec(1u8.., 0..10);
    (
        any::<[u8; 16]>(),
        provider,
        bytes(100),
        any::<Option<u64>>(),
        any::<Option<u8>>(),
        any::<Option<bool>>(),
    )
        .prop_map(
            |(guid, provider, cb_arg, generation, access_state, non_optimized)| Lun {
                guid: Guid(guid),
                provider,
                cb_arg,
                generation,
                access_state,
                non_optimized,
            },
        )
}

fn any_cmd() -> impl Strategy<Value = ScsiCmd> {
    (
        (
            any::<[u64; 2]>(),
            port_id(),
            port_id(),
            remote_port(),
            any::<[u8; 16]>(),
            any::<[u8; 8]>(),
        ),
        (
            any::<u32>(),
            bytes(Cdb::MAX),
            any::<[u8; 3]>(),
            bytes(2000),
            any::<([Option<u64>; 3], Option<u32>)>(),
        ),
    )
        .prop_map(
            |((ids, initiator, target, remote, guid, lun), (expected, cdb, b, data, ext))| ScsiCmd {
                task: ids[0],
                initiator,
                target,
                remote,
                guid: Guid(guid),
                session: ids[1],
                lun,
                expected,
                cdb,
                flags: b[0],
                priority: b[1],
                function: b[2],
                data,
                referenced: ext.0[0],
                generation: ext.0[1],
                token: ext.0[2],
                total: ext.1,
            },
        )
}

fn any_session() -> impl Strategy<Value = Session> {
    (port_id(), port_id(), remote_port(), any::<u64>()).prop_map(|(initiator, target, remote, session)| Session {
        initiator,
        target,
        remote,
        session,
    })
}

fn any_body() -> impl Strategy<Value = Body> {
    let place = any::<(Option<u32>, bool)>();
    let data =
        (any::<[u64; 2]>(), any::<[u8; 16]>(), bytes(2000), place).prop_map(|(ids, guid, mut data, (offset, last))| {
            data.push(1);
            Body::ScsiData(ScsiData {
                task: ids[0],
                session: ids[1],
                guid: Guid(guid),
                data,
                offset,
                last,
            })
        });
    let status = (
        any::<[u64; 2]>(),
        any::<[u8; 16]>(),
        any::<[u8; 3]>(),
        any::<u32>(),
        bytes(252),
    )
        .prop_map(|(ids, guid, b, residual, sense)| {
            Body::ScsiStatus(ScsiStatus {
                task: ids[0],
                session: ids[1],
                guid: Guid(guid),
                response: b[0],
                status: b[1],
                flags: b[2],
                residual,
                sense,
            })
        });
    prop_oneof![
        (port_id(), any::<u16>(), bytes(50)).prop_map(|(port, rtpid, cb_arg)| Body::RegisterPort {
            port,
            rtpid,
            cb_arg
        }),
        (port_id(), bytes(50)).prop_map(|(port, cb_arg)| Body::DeregisterPort { port, cb_arg }),
        any_lun().prop_map(Body::RegisterLun),
        any_lun().prop_map(Body::DeregisterLun),
        any_lun().prop_map(Body::LunActive),
        any_cmd().prop_map(|cmd| Body::ScsiCmd(Box::new(cmd))),
        data,
        any::<[u64; 3]>().prop_map(|n| Body::XferDone {
            task: n[0],
            session: n[1],
            status: n[2]
        }),
        status,
        any::<([u64; 2], [u32; 2])>().prop_map(|(n, m)| Body::R2t {
            task: n[0],
            session: n[1],
            offset: m[0],
            length: m[1]
        }),
        any::<(u8, u64, u8, Option<u64>)>().prop_map(|(of_type, of_id, status, full)| Body::Status {
            of_type,
            of_id,
            status,
            full
        }),
        any_session().prop_map(Body::SessionCreate),
        any_session().prop_map(Body::SessionDestroy),
        bytes(300).prop_map(Body::EchoRequest),
        bytes(300).prop_map(Body::EchoReply),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let sync = prop_oneof![
        Just(None),
        Just(Some(Sync::More)),
        any::<Option<u32>>().prop_map(|objects| Some(Sync::Last { objects })),
    ];
    (any::<u64>(), any_body(), any::<[Option<u64>; 2]>(), sync).prop_map(|(id, body, n, sync)| Message {
        id,
        body,
        extensions: Extensions {
            incarnation: n[0],
            seq: n[1],
            sync,
        },
    })
}

proptest! {
    #[test]
    fn decode_undoes_encode(message in any_message()) {
        prop_assert_eq!(Message::decode(&message.encode()), Ok(message.clone()));
        for compact in [false, true] {
            for integrity in [Integrity::Checksum, Integrity::Records] {
                let (head, bulk) = message.clone().into_parts(0, compact, integrity);
                let (behind, _) = message.clone().into_parts(4, compact, integrity);
                prop_assert_eq!(&behind, &[&[0; 4], &head[..]].concat());
                let length = head.len() + bulk.len();
                prop_assert_eq!(Message::raw_length(&head[..head.len().min(Message::BEGINNING)], length), bulk.len());
                prop_assert_eq!(Message::from_parts(&head, bulk.clone(), integrity), Ok(message.clone()));
                let whole = [head, bulk].concat();
                prop_assert_eq!(Message::from_parts(&whole, Vec::new(), integrity), Ok(message.clone()));
                if integrity == Integrity::Checksum {
                    prop_assert_eq!(whole, if compact { message.encode_compact() } else { message.encode() });
                }
            }
        }
        prop_assert_eq!(Message::decode(&message.encode_compact()), Ok(message));
    }

    #[test]
    fn no_mutation_panics(
        message in any_message(),
        compact: bool,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = if compact { message.encode_compact() } else { message.encode() };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Message::decode(&bytes);
        let _ = Message::decode(&bytes[..cut.index(bytes.len())]);
    }

    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>(), first in 1u8..=2) {
        let _ = Message::decode(&[&[first], bytes.as_slice()].concat());
    }
}

#[test]
fn pieces_of_requests_between_nodes() {
    let piece = |total, offset, length| Piece {
        request: 9,
        total,
        offset,
        data: vec![7; length],
    };
    for body in [
        Body::NodeRequest(piece(300, 0, 300)),
        Body::NodeReply(piece(8 << 20, 100, 128 << 10)),
    ] {
        let message = Message::new(5, body);
        assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(&message));
        let compact = message.encode_compact();
        assert!(compact.len() < message.encode().len());
        assert_eq!(Message::decode(&compact), Ok(message));
    }
    for bad in [
        piece(300, 1, 300),
        piece((8 << 20) + 1, 0, 1),
        piece(0, 0, 0),
        piece(300, u32::MAX, 1),
    ] {
        let decoded = Message::decode(&Message::new(5, Body::NodeRequest(bad)).encode());
        assert_eq!(decoded, Err(MessageError::Length("icx_data")));
    }
}
