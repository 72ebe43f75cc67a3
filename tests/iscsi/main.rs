//! The iSCSI target over real sockets: a raw initiator that may say anything, and the initiators of the distribution.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod chap;
mod connections;
mod groups;
#[allow(dead_code, reason = "tests of faults use the rest")]
mod initiator;
mod node;
mod odd;
mod replaced;
mod services;
mod tools;

use initiator::{Initiator, read10, write10};
use node::{BLOCK, Node, TARGET, wait};
use odd::OddProvider;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use stmf::iscsi::admin::Refusal;
use stmf::iscsi::directory::Patience;
use stmf::iscsi::pdu::{Header, NO_TAG, opcode};
use stmf::iscsi::{ChangeError, Config};
use stmf::types::{DevId, LuChange};

const HOST: &str = "iqn.2026-11.example:host";
const KEYS: &[(&str, &str)] = &[
    ("InitialR2T", "No"),
    ("ImmediateData", "Yes"),
    ("FirstBurstLength", "65536"),
    ("MaxBurstLength", "262144"),
    ("MaxRecvDataSegmentLength", "65536"),
    ("MaxOutstandingR2T", "4"),
    ("DefaultTime2Retain", "0"),
];

/// Bytes that differ from block to block and from seed to seed.
fn pattern(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect()
}

/// SAM-4 5.3.1, TAS=0. It was so: the write ended with TASK ABORTED.
#[test]
fn a_write_that_another_host_has_aborted_is_not_answered() {
    let node = Node::start();
    let mut writer = Initiator::login(node.address, HOST, TARGET, KEYS);
    let mut other = Initiator::login(node.address, "iqn.2026-11.example:other", TARGET, KEYS);
    writer.test_unit_ready();
    other.test_unit_ready();
    writer.request(Initiator::command(&write10(0, 8), 0xa0, 4096), &[]);
    assert_eq!(writer.receive().header.opcode(), opcode::R2T);
    let mut reset = Header::new(opcode::TASK_MANAGEMENT);
    reset.set_byte::<1>(0x85);
    other.request(reset, &[]);
    let done = other.receive().header;
    assert_eq!((done.opcode(), done.0[2]), (opcode::TASK_MANAGEMENT_RESPONSE, 0));
    // Its data do not come; what was aborted is cleared away within a second.
    std::thread::sleep(Duration::from_millis(2500));
    let ready = writer.request(Initiator::command(&[0; 6], 0x80, 0), &[]);
    let attention = writer.receive();
    assert_eq!(
        (attention.header.itt(), attention.header.0[3]),
        (ready, 2),
        "the first answer"
    );
    assert_eq!((attention.data[4], attention.data[14]), (6, 0x29));
    writer.logout();
    other.logout();
}

/// More than the LU takes at a time (VPD page B0h) moves in parts, which no initiator sees.
#[test]
fn one_command_may_move_more_than_is_held_at_a_time() {
    // So much takes its time on a busy machine, and this initiator knows no pings.
    let patience = Patience {
        idle: Duration::from_secs(600),
        ..Patience::default()
    };
    let node = Node::with(Config {
        portals: vec!["127.0.0.1:0".parse().unwrap()],
        patience,
        ..Config::default()
    });
    let guid = node.framework.lu_list()[0];
    node.framework.lu_modify(&guid, &LuChange::Size(80 << 20)).unwrap();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    let data = pattern((64 << 20) + 3 * BLOCK, 5);
    let blocks = u32::try_from(data.len() / BLOCK).unwrap().to_be_bytes();
    let command = |opcode: u8| [&[opcode, 0, 0, 0, 0, 0, 0, 0, 0, 7][..], &blocks, &[0, 0]].concat();
    assert_eq!(initiator.write(&command(0x8a), &data, 4096, 0, 65536), 0);
    let (status, back) = initiator.read(&command(0x88), u32::try_from(data.len()).unwrap());
    assert!(status == 0 && back == data);
    // The last of the blocks is where it belongs.
    let last = 7 + u32::from_be_bytes(blocks) - 1;
    assert!(initiator.read(&read10(last, 2), 1024) == (0, [&data[data.len() - BLOCK..], &[0; BLOCK]].concat()));
    initiator.logout();
}

#[test]
fn what_is_written_is_read_however_it_is_sent() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    // Length, immediate, unsolicited, segment.
    for (number, (length, immediate, unsolicited, segment)) in [
        (512usize, 512usize, 0usize, 512usize),
        (4096, 0, 0, 4096),
        (4096, 4096, 0, 4096),
        (4096, 0, 4096, 1000),
        (4096, 512, 3584, 512),
        (65536, 8192, 57344, 16384),
        (1 << 20, 8192, 57344, 65536),
        (1 << 20, 0, 0, 262_144),
        (8 << 20, 512, 512, 100_000),
        (33_553_920, 0, 65536, 262_144),
    ]
    .into_iter()
    .enumerate()
    {
        let data = pattern(length, u32::try_from(number).unwrap());
        let blocks = u16::try_from(length / BLOCK).unwrap();
        let status = initiator.write(&write10(100, blocks), &data, immediate, unsolicited, segment);
        assert_eq!(status, 0, "write {length} {immediate} {unsolicited} {segment}");
        let (status, back) = initiator.read(&read10(100, blocks), u32::try_from(length).unwrap());
        assert_eq!(status, 0);
        assert!(back == data, "{length} {immediate} {unsolicited} {segment}");
    }
    initiator.logout();
    wait(|| node.sessions() == 0);
}

#[test]
fn many_commands_at_once_all_come_back() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    let data = pattern(100 * 4096, 5);
    assert_eq!(initiator.write(&write10(0, 800), &data, 0, 0, 65536), 0);
    let tags: Vec<u32> = (0..100)
        .map(|i| initiator.request(Initiator::command(&read10(i * 8, 8), 0xc0, 4096), &[]))
        .collect();
    for _ in 0..100 {
        let pdu = initiator.receive();
        let index = tags.iter().position(|tag| *tag == pdu.header.itt()).unwrap();
        assert!(pdu.data == data[index * 4096..][..4096]);
    }
}

#[test]
fn an_initiator_that_does_not_read_hurts_only_itself() {
    let node = Node::start();
    let mut slow = Initiator::login(node.address, HOST, TARGET, KEYS);
    slow.test_unit_ready();
    let data = pattern(1 << 20, 3);
    assert_eq!(slow.write(&write10(0, 2048), &data, 0, 0, 262_144), 0);
    for _ in 0..100 {
        slow.request(Initiator::command(&read10(0, 2048), 0xc0, 1 << 20), &[]);
    }
    let mut other = Initiator::login(node.address, "iqn.2026-11.example:other", TARGET, KEYS);
    other.test_unit_ready();
    for i in 0..20 {
        let data = pattern(65536, i);
        assert_eq!(other.write(&write10(4096, 128), &data, 0, 65536, 65536), 0);
        assert!(other.read(&read10(4096, 128), 65536) == (0, data));
    }
    let mut received = std::collections::HashMap::new();
    let mut finished = 0;
    while finished < 100 {
        let pdu = slow.receive();
        let so_far: &mut Vec<u8> = received.entry(pdu.header.itt()).or_default();
        so_far.extend_from_slice(&pdu.data);
        if pdu.header.flags() & 1 != 0 {
            assert!(*so_far == data);
            finished += 1;
        }
    }
}

#[test]
fn a_dropped_connection_ends_the_session() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    // With a write that waits for its data, and reads whose answers nobody takes.
    initiator.request(Initiator::command(&write10(0, 128), 0xa0, 65536), &[]);
    for _ in 0..50 {
        initiator.request(Initiator::command(&read10(0, 512), 0xc0, 262_144), &[]);
    }
    drop(initiator);
    wait(|| node.sessions() == 0);
    Initiator::login(node.address, HOST, TARGET, KEYS).test_unit_ready();
}

#[test]
fn a_new_login_with_commands_in_flight_takes_over() {
    let node = Node::start();
    let mut old = Initiator::login(node.address, HOST, TARGET, KEYS);
    old.test_unit_ready();
    for round in 0..20u32 {
        old.request(Initiator::command(&write10(0, 128), 0xa0, 65536), &[]);
        for _ in 0..20 {
            old.request(Initiator::command(&read10(0, 512), 0xc0, 262_144), &[]);
        }
        let mut new = Initiator::login(node.address, HOST, TARGET, KEYS);
        new.test_unit_ready();
        let data = pattern(4096, round);
        assert_eq!(new.write(&write10(64, 8), &data, 4096, 0, 4096), 0);
        assert!(new.read(&read10(64, 8), 4096) == (0, data));
        assert_eq!(node.sessions(), 1);
        old = new;
    }
}

#[test]
fn nop_text_and_discovery() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    let mut nop = Header::new(opcode::NOP_OUT);
    nop.set_word::<20>(NO_TAG);
    initiator.request(nop, b"are you there?");
    assert_eq!(initiator.receive().data, b"are you there?");

    let mut discovery = Initiator::login(node.address, HOST, "", &[]);
    let mut text = Header::new(opcode::TEXT);
    text.set_word::<20>(NO_TAG);
    discovery.request(text, b"SendTargets=All\0");
    let expected = format!("TargetName={TARGET}\0TargetAddress={},1\0", node.address);
    assert_eq!(discovery.receive().data, expected.as_bytes());
    discovery.logout();
}

#[test]
fn logins_that_must_fail_fail_with_their_status() {
    let node = Node::start();
    let off = node.provider.create_target(None, None).unwrap();
    wait(|| node.online(&off));
    node.framework
        .port_offline(&DevId::new(off.as_bytes()).unwrap())
        .unwrap();
    wait(|| !node.online(&off));
    for (target, keys, status) in [
        ("iqn.2026-11.example:absent", KEYS, (2, 3)),
        (off.as_str(), KEYS, (3, 1)),
        (TARGET, &[("AuthMethod", "CHAP")][..], (2, 0x0b)),
        (TARGET, &[("SessionType", "Strange")][..], (2, 9)),
    ] {
        let mut initiator = Initiator::connect(node.address);
        let answer = initiator.try_login(HOST, target, keys);
        assert_eq!((answer.header.0[36], answer.header.0[37]), status, "{target}");
        assert!(initiator.closed());
    }
    assert_eq!(node.sessions(), 0);
}

#[test]
fn a_second_login_of_the_same_initiator_ends_the_first_session() {
    let node = Node::start();
    let mut first = Initiator::login(node.address, HOST, TARGET, KEYS);
    first.test_unit_ready();
    let mut second = Initiator::login(node.address, HOST, TARGET, KEYS);
    assert!(first.closed());
    second.test_unit_ready();
    assert_eq!(node.sessions(), 1);
}

#[test]
fn a_write_aborted_while_its_data_is_on_the_way_leaves_no_trace() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    let number = initiator.cmd_sn;
    let itt = initiator.request(Initiator::command(&write10(0, 128), 0xa0, 65536), &[]);
    let r2t = initiator.receive().header;
    assert_eq!(r2t.opcode(), opcode::R2T);
    let mut abort = Header::new(opcode::TASK_MANAGEMENT);
    abort.set_byte::<1>(0x81).set_word::<20>(itt).set_word::<32>(number);
    initiator.request(abort, &[]);
    let answer = initiator.receive().header;
    assert_eq!((answer.opcode(), answer.0[2]), (opcode::TASK_MANAGEMENT_RESPONSE, 0));
    initiator.data_out(itt, r2t.ttt(), 0, 0, true, &[0xee; 65536]);
    let (status, data) = initiator.read(&read10(0, 128), 65536);
    assert_eq!(status, 0);
    assert!(data.iter().all(|byte| *byte == 0), "nothing was written");
    abort.set_word::<20>(itt);
    initiator.request(abort, &[]);
    assert_eq!(initiator.receive().header.0[2], 1, "no such task any more");
    // LOGICAL UNIT RESET, on the same connection.
    let mut reset = Header::new(opcode::TASK_MANAGEMENT);
    reset.set_byte::<1>(0x85).set_word::<20>(NO_TAG);
    initiator.request(reset, &[]);
    assert_eq!(initiator.receive().header.0[2], 0);
    initiator.test_unit_ready();
}

#[test]
fn rubbish_harms_nobody() {
    let node = Node::start();
    let mut healthy = Initiator::login(node.address, HOST, TARGET, KEYS);
    healthy.test_unit_ready();
    for seed in 1..60u32 {
        let mut rubbish = pattern(3000, seed);
        let mut stream = if seed % 3 == 0 {
            TcpStream::connect(node.address).unwrap()
        } else {
            Initiator::login(node.address, &format!("{HOST}{seed}"), TARGET, KEYS).stream
        };
        if seed % 2 == 0 {
            // Well framed, so that what is inside is looked at.
            for header in rubbish.chunks_exact_mut(48) {
                header[0] &= 0x47;
                header[4..8].fill(0);
                let number = 10 + u32::from(header[27] % 4);
                header[24..28].copy_from_slice(&number.to_be_bytes());
            }
        }
        // The target may close before everything is sent.
        let _ = stream.write_all(&rubbish);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answers = Vec::new();
        match stream.read_to_end(&mut answers) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("seed {seed}: the target hangs"),
            _ => healthy.test_unit_ready(),
        }
    }
    healthy.logout();
    wait(|| node.sessions() == 0);
}

#[test]
fn a_hundred_connections_at_once() {
    let node = Node::start();
    std::thread::scope(|scope| {
        for i in 0..100u32 {
            let node = &node;
            scope.spawn(move || {
                let mut initiator = Initiator::login(node.address, &format!("{HOST}{i}"), TARGET, KEYS);
                initiator.test_unit_ready();
                for round in 0..5 {
                    let data = pattern(8192, i * 10 + round);
                    assert_eq!(initiator.write(&write10(i * 16, 16), &data, 4096, 4096, 4096), 0);
                    let (status, back) = initiator.read(&read10(i * 16, 16), 8192);
                    assert!(status == 0 && back == data, "initiator {i}");
                }
                initiator.logout();
            });
        }
    });
    wait(|| node.sessions() == 0);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_the_rest_goes_on() {
    let config = Config {
        portals: vec!["127.0.0.1:0".parse().unwrap()],
        connections_max: 4,
        ..Config::default()
    };
    let node = Node::with(config);
    let mut first = Initiator::login(node.address, HOST, TARGET, KEYS);
    let half_open: Vec<_> = (0..3).map(|_| TcpStream::connect(node.address).unwrap()).collect();
    // The accepting thread may still be dealing the last one.
    wait(|| Initiator::connect(node.address).closed());
    first.test_unit_ready();
    drop(half_open);
    wait(|| {
        let mut late = Initiator::connect(node.address);
        late.hello() && late.try_receive().is_some()
    });
    first.logout();
}

#[test]
fn a_target_that_goes_offline_asks_for_logout_and_can_be_deleted() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    assert!(matches!(
        node.provider.delete_target(TARGET, false),
        Err(ChangeError::Refused(Refusal::Busy(_)))
    ));
    let devid = DevId::new(TARGET.as_bytes()).unwrap();
    node.framework.port_offline(&devid).unwrap();
    let event = initiator.receive().header;
    assert_eq!(
        (event.opcode(), event.0[36], event.half::<42>()),
        (opcode::ASYNC_MESSAGE, 1, 20)
    );
    initiator.logout();
    wait(|| !node.online(TARGET) && node.sessions() == 0);
    wait(|| node.provider.delete_target(TARGET, false).is_ok());
    assert!(node.provider.listing().targets.is_empty());
    assert!(matches!(
        node.provider.delete_target(TARGET, false),
        Err(ChangeError::Refused(Refusal::NotFound(_)))
    ));
}

#[test]
fn targets_have_canonical_names_and_errors_name_them() {
    let node = Node::start();
    let name = node
        .provider
        .create_target(Some("IQN.2026-11.Example:Upper"), None)
        .unwrap();
    assert_eq!(name, "iqn.2026-11.example:upper");
    let error = node
        .provider
        .create_target(Some("iqn.2026-11.EXAMPLE:upper"), None)
        .unwrap_err();
    assert_eq!(error.to_string(), "iqn.2026-11.example:upper exists already");
    let error = node.provider.create_target(Some("disk"), None).unwrap_err();
    assert!(error.to_string().starts_with("'disk': "));
    assert!(
        node.provider
            .create_target(None, None)
            .unwrap()
            .starts_with("iqn.2010-08.org.illumos:02:")
    );
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let framework = stmf::framework::Framework::new(stmf::store::Store::volatile());
    let config = Config {
        portals: vec![address],
        ..Config::default()
    };
    let provider = stmf::iscsi::Provider::new(&framework, config).unwrap();
    let error = provider.start().unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

#[test]
fn stopping_asks_for_logout_and_ends_the_sessions() {
    let node = Node::start();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    node.provider.stop();
    let event = initiator.receive().header;
    assert_eq!(event.opcode(), opcode::ASYNC_MESSAGE);
    assert!(initiator.closed());
    wait(|| node.sessions() == 0);
}

#[test]
fn targets_are_restored_from_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let open = || {
        let framework = stmf::framework::Framework::new(stmf::store::Store::open(directory.path()).unwrap());
        framework.load().unwrap();
        let provider = stmf::iscsi::Provider::new(&framework, Config::default()).unwrap();
        provider.start().unwrap();
        (framework, provider)
    };
    let (framework, provider) = open();
    provider.create_target(Some(TARGET), Some("a disk")).unwrap();
    let row = framework.store().load().unwrap().providers.remove(0);
    assert_eq!((row.name.as_str(), row.kind), ("iscsit", 2));
    drop((framework, provider));
    let (_framework, provider) = open();
    let target = provider.listing().targets.remove(0);
    assert_eq!(
        (target.name.as_str(), target.alias.as_deref()),
        (TARGET, Some("a disk"))
    );
}

#[test]
fn a_portal_on_ipv6_is_announced_in_brackets() {
    let node = Node::with(Config {
        portals: vec!["[::1]:0".parse().unwrap()],
        ..Config::default()
    });
    let mut discovery = Initiator::login(node.address, HOST, "", &[]);
    let mut text = Header::new(opcode::TEXT);
    text.set_word::<20>(NO_TAG);
    discovery.request(text, b"SendTargets=All\0");
    let answer = discovery.receive().data;
    let expected = format!("TargetName={TARGET}\0TargetAddress=[::1]:{},1\0", node.address.port());
    assert_eq!(String::from_utf8_lossy(&answer), expected);
}

#[test]
fn a_wildcard_portal_is_announced_by_the_address_that_was_reached() {
    let node = Node::with(Config {
        portals: vec!["0.0.0.0:0".parse().unwrap()],
        ..Config::default()
    });
    let address = ([127, 0, 0, 1], node.address.port()).into();
    let mut discovery = Initiator::login(address, HOST, "", &[]);
    let mut text = Header::new(opcode::TEXT);
    text.set_word::<20>(NO_TAG);
    discovery.request(text, b"SendTargets=All\0");
    let answer = discovery.receive().data;
    let expected = format!("TargetName={TARGET}\0TargetAddress={address},1\0");
    assert!(
        answer.starts_with(expected.as_bytes()),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

fn odd_node() -> Node {
    let config = Config {
        portals: vec!["127.0.0.1:0".parse().unwrap()],
        workers: Some(1),
        ..Config::default()
    };
    Node::on(Arc::new(OddProvider), config)
}

#[test]
fn a_panic_costs_the_connections_of_its_worker_and_nothing_else() {
    let node = odd_node();
    for _ in 0..3 {
        let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
        initiator.test_unit_ready();
        initiator.request(Initiator::command(&[odd::PANIC; 6], 0x80, 0), &[]);
        assert!(initiator.closed());
        wait(|| node.sessions() == 0);
    }
    Initiator::login(node.address, HOST, TARGET, KEYS).logout();
}

#[test]
fn task_management_and_logout_end_commands_that_execute() {
    let node = odd_node();
    let mut initiator = Initiator::login(node.address, HOST, TARGET, KEYS);
    initiator.test_unit_ready();
    // ABORT TASK, ABORT TASK SET, LOGICAL UNIT RESET.
    for function in [1, 2, 5] {
        let number = initiator.cmd_sn;
        let held = initiator.request(Initiator::command(&[odd::HOLD; 6], 0x80, 0), &[]);
        let mut request = Header::new(opcode::TASK_MANAGEMENT);
        request
            .set_byte::<1>(0x80 | function)
            .set_word::<20>(held)
            .set_word::<32>(number);
        let itt = initiator.request(request, &[]);
        let answer = initiator.receive().header;
        assert_eq!(
            (answer.opcode(), answer.itt(), answer.0[2]),
            (opcode::TASK_MANAGEMENT_RESPONSE, itt, 0)
        );
        initiator.test_unit_ready();
    }
    // The LUN is not mapped.
    let mut request = Header::new(opcode::TASK_MANAGEMENT);
    request.set_byte::<1>(0x85).set_byte::<9>(77).set_word::<20>(NO_TAG);
    initiator.request(request, &[]);
    assert_eq!(initiator.receive().header.0[2], 2);
    initiator.request(Initiator::command(&[odd::HOLD; 6], 0x80, 0), &[]);
    initiator.logout();
    wait(|| node.sessions() == 0);
}

#[test]
fn a_session_whose_commands_hang_is_reinstated() {
    let node = odd_node();
    let mut old = Initiator::login(node.address, HOST, TARGET, KEYS);
    old.test_unit_ready();
    old.request(Initiator::command(&[odd::HOLD; 6], 0x80, 0), &[]);
    let mut new = Initiator::login(node.address, HOST, TARGET, KEYS);
    assert!(old.closed());
    new.test_unit_ready();
    wait(|| node.sessions() == 1);
}
