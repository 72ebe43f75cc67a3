//! Two ends of a TLS channel over loopback, in one process.

use super::connection::Connection;
use super::greeting::{self, Member};
use super::identity::{self, Identity};
use super::pairing::{self, Pairing};
use super::tls::Tls;
use crate::proxy::stream::{self, Decoder};
use crate::types::NodeId;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

const PATIENCE: Duration = Duration::from_secs(20);

pub fn member(cluster: &str, node: u8) -> Member {
    Member::new(cluster, NodeId::new(node).unwrap()).unwrap()
}

pub struct Node {
    own: Pairing,
    key: PrivateKeyDer<'static>,
}

impl Node {
    /// With a certificate that holds from and to so many days from now.
    pub fn new(member: &Member, from: i64, to: i64) -> Node {
        let at = |days| OffsetDateTime::now_utc() + time::Duration::days(days);
        let (certificate, key) = identity::certify(member, at(from), at(to)).unwrap();
        Node {
            own: Pairing::parse(&pairing::compose(member, "host", &certificate)).unwrap(),
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        }
    }

    pub fn tls(&self, peer: &Node, listens: bool) -> Tls {
        let identity = Identity {
            own: self.own.clone(),
            key: self.key.clone_key(),
            peer: peer.own.clone(),
        };
        Tls::new(&identity, listens).unwrap()
    }
}

fn streams() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let caller = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    (listener.accept().unwrap().0, caller)
}

fn greet(stream: TcpStream, tls: &Tls) -> Result<(Connection, Decoder), String> {
    let connection = Connection::new(stream, Some(tls)).unwrap();
    let mut decoder = Decoder::new(0);
    match connection.greet(&greeting::encode("host", Some(&tls.own)), &mut decoder) {
        Ok(theirs) => {
            greeting::member(&theirs).and_then(|theirs| tls.own.accepts(&theirs))?;
            Ok((connection, decoder))
        }
        Err(error) => {
            connection.close();
            Err(error.to_string())
        }
    }
}

/// How it ends for the listening and for the calling side.
fn meet(listens: &Tls, calls: &Tls) -> (Result<(), String>, Result<(), String>) {
    let (accepted, caller) = streams();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| greet(caller, calls).map(drop));
        (greet(accepted, listens).map(drop), other.join().unwrap())
    })
}

fn refusal(result: Result<(), String>) -> String {
    result.expect_err("refused")
}

#[test]
fn both_directions_at_once_in_order() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let (listens, calls) = (a.tls(&b, true), b.tls(&a, false));
    let (accepted, caller) = streams();
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| greet(caller, &calls).unwrap());
        (greet(accepted, &listens).unwrap(), other.join().unwrap())
    });
    // From nothing to far more than the buffers hold: a side that reads only when it has written would hang.
    let message = |n: usize| vec![(n % 251) as u8; 1 + (n * n * n * 7) % 1_500_000];
    const COUNT: usize = 100;
    std::thread::scope(|scope| {
        let (mut connections, mut readers) = (Vec::new(), Vec::new());
        for (connection, mut decoder) in [one, other] {
            let connection = Arc::new(connection);
            let (writer, sender, reader) = (connection.clone(), connection.clone(), connection.clone());
            connections.push(connection);
            scope.spawn(move || writer.write());
            scope.spawn(move || {
                for n in 0..COUNT {
                    let frame = stream::encode(&message(n)).unwrap();
                    sender.queue.push(frame).unwrap();
                }
            });
            readers.push(scope.spawn(move || {
                let mut n = 0;
                let end = reader.read(&mut decoder, |bytes| {
                    assert!(bytes == message(n), "message {n}");
                    n += 1;
                    if n == COUNT {
                        return Err(io::ErrorKind::Interrupted.into());
                    }
                    Ok(())
                });
                assert_eq!(end.unwrap_err().kind(), io::ErrorKind::Interrupted);
            }));
        }
        let read: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        connections.iter().for_each(|connection| connection.close());
        assert!(read.iter().all(Result::is_ok));
    });
}

#[test]
fn certificates_that_are_refused() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let impostor = Node::new(&member("san", 1), -1, 1);
    // The caller is not the pinned one.
    let (listens, calls) = meet(&a.tls(&b, true), &impostor.tls(&a, false));
    assert!(refusal(listens).contains("not the pinned one"));
    assert!(refusal(calls).contains("pinned another certificate"));
    // The listener is not the pinned one.
    let (listens, calls) = meet(&impostor.tls(&a, true), &a.tls(&b, false));
    assert!(refusal(calls).contains("not the pinned one"));
    assert!(refusal(listens).contains("pinned another certificate"));
    // Pinned, but its time is over or has not come.
    for (from, to, word) in [(-2, -1, "expired on"), (1, 2, "is valid from")] {
        let late = Node::new(&member("san", 1), from, to);
        let (listens, calls) = meet(&a.tls(&late, true), &late.tls(&a, false));
        let (listens, calls) = (refusal(listens), refusal(calls));
        assert!(listens.contains(word) && listens.contains("clock"), "{listens}");
        assert!(calls.contains("compare the clocks"), "{calls}");
        let (listens, calls) = meet(&late.tls(&a, true), &a.tls(&late, false));
        assert!(refusal(calls).contains(word));
        assert!(refusal(listens).contains("compare the clocks"));
    }
}

#[test]
fn a_certificate_without_its_key_proves_nothing() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let thief = Node {
        own: b.own.clone(),
        key: Node::new(&member("san", 1), -1, 1).key,
    };
    let identity = Identity {
        own: thief.own,
        key: thief.key,
        peer: a.own,
    };
    let error = Tls::new(&identity, false).err().expect("refused");
    assert!(error.contains("this node's key and certificate"), "{error}");
}

#[test]
fn the_right_certificate_in_the_wrong_role() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    // The greeting, not the pairing, decides who it says that it is.
    for (own, word) in [(member("other", 1), "cluster other"), (member("san", 0), "both nodes")] {
        let claims = Node {
            own: Pairing {
                member: own,
                ..b.own.clone()
            },
            key: b.key.clone_key(),
        };
        let (listens, calls) = meet(&a.tls(&b, true), &claims.tls(&a, false));
        let listens = refusal(listens);
        assert!(listens.contains(word), "{listens}");
        assert!(calls.is_err(), "it sees the same from its side");
    }
}

#[test]
fn a_caller_without_a_certificate() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let (accepted, mut caller) = streams();
    let mut session = super::tls::session_without_certificate(&a.own.certificate);
    let error = std::thread::scope(|scope| {
        let listens = scope.spawn(|| greet(accepted, &a.tls(&b, true)).map(drop));
        while session.is_handshaking() || session.wants_write() {
            if session.complete_io(&mut caller).is_err() {
                break;
            }
        }
        refusal(listens.join().unwrap())
    });
    assert!(error.contains("shows no certificate"), "{error}");
}

#[test]
fn plain_and_tls_do_not_mix() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let (accepted, mut caller) = streams();
    caller.write_all(b"\0\0\0\x06node1\0").unwrap();
    let error = greet(accepted, &a.tls(&b, true)).map(drop).unwrap_err();
    assert!(error.contains("does not speak TLS"), "{error}");

    let (accepted, caller) = streams();
    let (plain, tls) = std::thread::scope(|scope| {
        let tls = scope.spawn(|| greet(caller, &a.tls(&b, false)).map(drop));
        let connection = Connection::new(accepted, None).unwrap();
        let plain = connection.greet(b"node1\0", &mut Decoder::new(0)).unwrap_err();
        connection.close();
        (plain.to_string(), refusal(tls.join().unwrap()))
    });
    assert!(plain.contains("the peer speaks TLS"), "{plain}");
    assert!(tls.contains("does not speak TLS"), "{tls}");
}

/// What the caller said in a good conversation, said again: the listener's part of the key is another one.
#[test]
fn replayed_bytes_are_refused() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let (listens, calls) = (a.tls(&b, true), b.tls(&a, false));
    let (accepted, mut to_listener) = streams();
    let (mut to_caller, caller) = streams();
    let recorded = std::thread::scope(|scope| {
        scope.spawn(|| drop(greet(accepted, &listens).unwrap()));
        scope.spawn(|| drop(greet(caller, &calls).unwrap()));
        let (mut back_from, mut back_to) = (to_listener.try_clone().unwrap(), to_caller.try_clone().unwrap());
        scope.spawn(move || {
            // Ends with the listener's side.
            let _ = io::copy(&mut back_from, &mut back_to);
            let _ = back_to.shutdown(Shutdown::Write);
        });
        let (mut recorded, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(count @ 1..) = to_caller.read(&mut buffer) {
            recorded.extend_from_slice(&buffer[..count]);
            if to_listener.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = to_listener.shutdown(Shutdown::Write);
        recorded
    });
    assert!(recorded.len() > 500, "hello, certificate and greeting");
    let (accepted, mut caller) = streams();
    caller.write_all(&recorded).unwrap();
    let error = greet(accepted, &listens).map(drop).unwrap_err();
    assert!(error.contains("cannot be decrypted"), "{error}");
}

#[test]
fn damaged_records_end_the_connection() {
    let (a, b) = (Node::new(&member("san", 0), -1, 1), Node::new(&member("san", 1), -1, 1));
    let (accepted, caller) = streams();
    let mut raw = caller.try_clone().unwrap();
    let (connection, mut decoder) = std::thread::scope(|scope| {
        let calls = scope.spawn(|| greet(caller, &b.tls(&a, false)).map(drop));
        let listens = greet(accepted, &a.tls(&b, true)).unwrap();
        // `raw` keeps the socket open.
        calls.join().unwrap().unwrap();
        listens
    });
    raw.write_all(b"\x17\x03\x03\x00\x20").unwrap();
    raw.write_all(&[0x5a; 32]).unwrap();
    let end = connection.read(&mut decoder, |_| panic!("nothing of it is a message"));
    assert!(end.unwrap_err().to_string().contains("cannot be decrypted"));
}
