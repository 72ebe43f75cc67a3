//! Sessions with several connections (RFC 7143 4.2.2), which arrive at different workers.

use super::initiator::{Initiator, read10, write10};
use super::node::{Node, TARGET, wait};
use super::{HOST, KEYS, pattern};
use std::net::SocketAddr;
use stmf::iscsi::Config;
use stmf::iscsi::pdu::{Header, opcode};

/// MaxConnections that the session is to have.
const CONNECTIONS: u16 = 8;

fn keys(retain: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut keys = KEYS.to_vec();
    keys.retain(|(key, _)| *key != "DefaultTime2Retain");
    keys.extend([("MaxConnections", "8"), ("DefaultTime2Retain", retain)]);
    keys
}

/// One session; requests go out on any connection, numbered in one order.
struct Session {
    address: SocketAddr,
    connections: Vec<Initiator>,
    cmd_sn: u32,
    next_itt: u32,
    tsih: u16,
}

impl Session {
    fn login(address: SocketAddr, retain: &'static str) -> Session {
        let mut lead = Initiator::login(address, HOST, TARGET, &keys(retain));
        lead.test_unit_ready();
        Session {
            address,
            cmd_sn: lead.cmd_sn,
            next_itt: lead.next_itt,
            tsih: lead.tsih,
            connections: vec![lead],
        }
    }

    fn with_all(address: SocketAddr) -> Session {
        let mut session = Session::login(address, "0");
        for cid in 1..CONNECTIONS {
            assert_eq!(session.join(cid), (0, 0));
        }
        session
    }

    /// Adds a connection; gives the login status.
    fn join(&mut self, cid: u16) -> (u8, u8) {
        let mut connection = Initiator::connect(self.address);
        (connection.tsih, connection.cid, connection.cmd_sn) = (self.tsih, cid, self.cmd_sn);
        let answer = connection
            .try_login(HOST, TARGET, &[("MaxRecvDataSegmentLength", "65536")])
            .header;
        let status = (answer.0[36], answer.0[37]);
        if status == (0, 0) {
            assert_eq!((answer.0[1], answer.half::<14>()), (0x87, self.tsih));
            assert_eq!(answer.word::<28>(), self.cmd_sn, "ExpCmdSN of the session");
            self.connections.push(connection);
        } else {
            assert!(connection.closed());
        }
        status
    }

    /// Speaks on one connection with the numbers of the session.
    fn on<R>(&mut self, at: usize, body: impl FnOnce(&mut Initiator) -> R) -> R {
        let connection = &mut self.connections[at];
        (connection.cmd_sn, connection.next_itt) = (self.cmd_sn, self.next_itt);
        let result = body(connection);
        (self.cmd_sn, self.next_itt) = (connection.cmd_sn, connection.next_itt);
        result
    }
}

fn node() -> Node {
    Node::with(Config {
        portals: vec!["127.0.0.1:0".parse().unwrap()],
        workers: Some(3),
        ..Config::default()
    })
}

#[test]
fn eight_connections_carry_one_session() {
    let node = node();
    let mut session = Session::with_all(node.address);
    assert_eq!(session.join(8), (2, 6), "too many connections");
    assert_eq!(node.sessions(), 1);
    for at in 0..8 {
        let data = pattern(1 << 20, u32::try_from(at).unwrap());
        let status = session.on(at, |it| it.write(&write10(0, 2048), &data, 512, 4096, 65536));
        assert_eq!(status, 0);
        let back = session.on(7 - at, |it| it.read(&read10(0, 2048), 1 << 20));
        assert!(back == (0, data));
    }
    // Many at once, dealt to the connections; each is answered where it was asked.
    let data = pattern(96 * 4096, 9);
    assert_eq!(session.on(0, |it| it.write(&write10(0, 768), &data, 0, 0, 65536)), 0);
    let mut asked = vec![Vec::new(); 8];
    for i in 0..96u32 {
        let at = usize::try_from(i * 5 % 8).unwrap();
        let itt = session.on(at, |it| {
            it.request(Initiator::command(&read10(i * 8, 8), 0xc0, 4096), &[])
        });
        asked[at].push((itt, i as usize));
    }
    for (connection, mut asked) in session.connections.iter_mut().zip(asked) {
        while !asked.is_empty() {
            let pdu = connection.receive();
            let at = asked.iter().position(|(itt, _)| *itt == pdu.header.itt()).unwrap();
            let (_, index) = asked.remove(at);
            assert!(pdu.data == data[index * 4096..][..4096]);
        }
    }
    let mut logout = Header::new(opcode::LOGOUT);
    logout.set_half::<20>(0);
    session.on(3, |it| it.request(logout, &[]));
    assert_eq!(
        session.connections[3].receive().header.opcode(),
        opcode::LOGOUT_RESPONSE
    );
    assert!(session.connections.iter_mut().all(Initiator::closed));
    wait(|| node.sessions() == 0);
}

#[test]
fn connections_come_and_go_and_the_session_stays() {
    let node = node();
    let mut session = Session::login(node.address, "0");
    for round in 0..10u32 {
        for cid in 1..4 {
            assert_eq!(session.join(cid), (0, 0));
        }
        let data = pattern(4096, round);
        assert_eq!(session.on(3, |it| it.write(&write10(8, 8), &data, 4096, 0, 4096)), 0);
        // One is logged out by another, one breaks with a command under way, one logs itself out.
        let mut logout = Header::new(opcode::LOGOUT);
        logout.set_byte::<1>(0x81).set_half::<20>(1);
        session.on(0, |it| it.request(logout, &[]));
        assert_eq!(session.connections[0].receive().header.0[2], 0);
        assert!(session.connections[1].closed());
        session.on(2, |it| {
            it.request(Initiator::command(&write10(8, 128), 0xa0, 65536), &[])
        });
        assert_eq!(session.connections[2].receive().header.opcode(), opcode::R2T);
        logout.set_half::<20>(3);
        session.on(3, |it| it.request(logout, &[]));
        assert_eq!(session.connections[3].receive().header.0[2], 0);
        session.connections.truncate(1);
        assert!(session.on(0, |it| it.read(&read10(8, 8), 4096)) == (0, data));
        assert_eq!(node.sessions(), 1);
    }
    // The leading connection may go as well.
    assert_eq!(session.join(9), (0, 0));
    drop(session.connections.remove(0));
    assert_eq!(session.on(0, |it| it.read(&[0; 6], 0)).0, 0);
    drop(session);
    wait(|| node.sessions() == 0);
}

#[test]
fn a_connection_takes_the_place_of_the_one_with_its_number() {
    let node = node();
    let mut session = Session::login(node.address, "0");
    for round in 0..10u32 {
        assert_eq!(session.join(1), (0, 0));
        session.on(1, |it| {
            it.request(Initiator::command(&write10(8, 128), 0xa0, 65536), &[])
        });
        assert_eq!(session.connections[1].receive().header.opcode(), opcode::R2T);
        assert_eq!(session.join(1), (0, 0));
        assert!(session.connections.remove(1).closed());
        let data = pattern(4096, round);
        assert_eq!(session.on(1, |it| it.write(&write10(8, 8), &data, 4096, 0, 4096)), 0);
        assert!(session.on(0, |it| it.read(&read10(8, 8), 4096)) == (0, data));
        session.connections.truncate(1);
    }
}

#[test]
fn a_session_without_connections_is_kept_and_taken_up_again() {
    let node = node();
    let mut session = Session::login(node.address, "20");
    let data = pattern(4096, 1);
    assert_eq!(session.on(0, |it| it.write(&write10(8, 8), &data, 4096, 0, 4096)), 0);
    session.connections.clear();
    assert_eq!(session.join(0), (0, 0));
    // No power-on unit attention: it is the same nexus.
    assert!(session.on(0, |it| it.read(&read10(8, 8), 4096)) == (0, data));
    session.tsih += 1;
    assert_eq!(session.join(1), (2, 0x0a));
    session.tsih -= 1;
    // A login with TSIH 0 replaces it, connected or not.
    assert_eq!(session.join(2), (0, 0));
    let mut new = Initiator::login(node.address, HOST, TARGET, &keys("0"));
    assert!(session.connections.iter_mut().all(Initiator::closed));
    assert_eq!(session.join(3), (2, 0x0a));
    new.test_unit_ready();
    new.logout();
    wait(|| node.sessions() == 0);
}
