//! The relay between a framework that records and a peer on a loopback socket.

use super::connection::Connection;
use super::framework::{Framework, Stream};
use super::relay::{End, Relay};
use crate::proxy::stream::{self, Decoder};
use crate::types::{NodeId, Status};
use parking_lot::{Condvar, Mutex};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
const STREAM: &[u8] = include_bytes!("../../../tests/vectors/stream-node1-greeting-register-lun.bin");

#[derive(Default)]
struct Recorder {
    events: Mutex<Vec<String>>,
    changed: Condvar,
    refuse_enable: Option<Status>,
    refuse_posts: bool,
}

impl Recorder {
    fn record(&self, event: String) {
        self.events.lock().push(event);
        self.changed.notify_all();
    }

    fn wait_for(&self, count: usize) -> Vec<String> {
        let mut events = self.events.lock();
        while events.len() < count {
            assert!(!self.changed.wait_for(&mut events, PATIENCE).timed_out(), "{events:?}");
        }
        events.clone()
    }
}

impl Framework for Recorder {
    fn install(&self, _: BorrowedFd<'_>) -> Result<i32, Status> {
        unreachable!("tests attach by hand")
    }
    fn life_line(&self, _: i32) -> Result<OwnedFd, Status> {
        unreachable!("tests detach by hand")
    }
    fn destroy(&self, _: i32) {}
    fn enable(&self, node: NodeId) -> Result<(), Status> {
        self.record(format!("enable {}", node.get()));
        self.refuse_enable.map_or(Ok(()), Err)
    }
    fn post(&self, handle: i32, message: &[u8]) -> Result<(), Status> {
        self.record(format!("post {handle} {}", message.len()));
        if self.refuse_posts {
            Err(Status::PostMsgFailed)
        } else {
            Ok(())
        }
    }
    fn carry(&self, _: i32, _: NodeId, _: Stream<'_>, _: &[u8]) -> Result<i32, Status> {
        unreachable!("messages come one by one")
    }
}

struct Node {
    recorder: Arc<Recorder>,
    relay: Arc<Relay>,
    listener: TcpListener,
}

impl Node {
    fn new(recorder: Recorder) -> Node {
        let recorder = Arc::new(recorder);
        let framework = Arc::clone(&recorder) as Arc<dyn Framework>;
        let relay = Arc::new(Relay::new(framework, NodeId::new(1).unwrap(), "node1", None, true));
        relay.attach(7);
        Node {
            recorder,
            relay,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }

    /// A peer has called; the relay serves it on a thread.
    fn peer(&self) -> (TcpStream, JoinHandle<End>) {
        let peer = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let stream = self.listener.accept().unwrap().0;
        let relay = Arc::clone(&self.relay);
        (peer, std::thread::spawn(move || relay.serve(stream, || ())))
    }
}

fn read_frame(peer: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 4];
    peer.read_exact(&mut header).unwrap();
    let mut message = vec![0; u32::from_be_bytes(header) as usize];
    peer.read_exact(&mut message).unwrap();
    message
}

#[test]
fn both_directions_in_order() {
    let node = Node::new(Recorder::default());
    assert_eq!(node.relay.send(b"early", false), libc::ENOTCONN);
    let (mut peer, served) = node.peer();
    assert_eq!(read_frame(&mut peer), b"node1\0");
    assert_eq!(node.relay.send(b"not greeted", false), libc::ENOTCONN);
    peer.write_all(STREAM).unwrap();
    assert_eq!(node.recorder.wait_for(2), ["enable 1", "post 7 424"]);
    for n in 0..200_u8 {
        assert_eq!(node.relay.send(&vec![n; 1 + usize::from(n) * 100], false), 0);
    }
    for n in 0..200_u8 {
        assert_eq!(read_frame(&mut peer), vec![n; 1 + usize::from(n) * 100]);
    }
    drop(peer);
    assert_eq!(served.join().unwrap(), End::Lost);
    assert_eq!(node.relay.send(b"late", false), libc::ENOTCONN);
}

#[test]
fn what_the_door_refuses() {
    let node = Node::new(Recorder::default());
    assert_eq!(node.relay.send(b"x", true), libc::EINVAL);
    assert_eq!(node.relay.send(b"", false), libc::EINVAL);
    assert_eq!(
        node.relay.send(&vec![0; stream::MAX_MESSAGE + 1], false),
        libc::EMSGSIZE
    );
}

#[test]
fn a_new_connection_replaces_the_old_one() {
    let node = Node::new(Recorder::default());
    let (mut old, old_served) = node.peer();
    old.write_all(STREAM).unwrap();
    node.recorder.wait_for(2);
    // A stranger who says nothing changes nothing.
    let (stranger, stranger_served) = node.peer();
    assert_eq!(node.relay.send(b"one", false), 0);
    assert_eq!(
        (read_frame(&mut old), read_frame(&mut old)),
        (b"node1\0".to_vec(), b"one".to_vec())
    );
    let (mut new, new_served) = node.peer();
    new.write_all(STREAM).unwrap();
    assert_eq!(old_served.join().unwrap(), End::Lost);
    let events = node.recorder.wait_for(4);
    assert_eq!(events, ["enable 1", "post 7 424", "enable 1", "post 7 424"]);
    assert_eq!(node.relay.send(b"two", false), 0);
    assert_eq!(
        (read_frame(&mut new), read_frame(&mut new)),
        (b"node1\0".to_vec(), b"two".to_vec())
    );
    assert_eq!(old.read(&mut [0; 8]).unwrap(), 0, "the old connection is closed");
    drop((new, stranger));
    assert_eq!(
        (new_served.join().unwrap(), stranger_served.join().unwrap()),
        (End::Lost, End::Stranger)
    );
}

#[test]
fn broken_frames_end_the_connection() {
    for bad in [
        &[0, 0, 0, 0][..],
        &[1, 0, 0, 1],
        b"\xff\xff\xff\xffrubbish",
        &[0, 0, 0, 9, 1],
    ] {
        let node = Node::new(Recorder::default());
        let (mut peer, served) = node.peer();
        peer.write_all(b"\0\0\0\x06node0\0").unwrap();
        peer.write_all(bad).unwrap();
        if bad.len() == 5 {
            // A partial frame: only the end of the stream shows it.
            peer.shutdown(std::net::Shutdown::Write).unwrap();
        }
        assert_eq!(served.join().unwrap(), End::Lost);
        assert_eq!(node.recorder.wait_for(1), ["enable 1"], "nothing of it was posted");
    }
}

#[test]
fn the_end_of_the_service_ends_the_connection() {
    let node = Node::new(Recorder::default());
    let (mut peer, served) = node.peer();
    peer.write_all(STREAM).unwrap();
    node.recorder.wait_for(2);
    node.relay.detach();
    assert_eq!(served.join().unwrap(), End::Lost);
    assert_eq!(node.relay.send(b"x", false), libc::ENOTCONN);
    // Nobody is greeted while nothing is attached.
    let (mut peer, _served) = node.peer();
    peer.write_all(STREAM).unwrap();
    peer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(peer.read(&mut [0; 8]).is_err());
    node.relay.attach(8);
    assert_eq!(node.recorder.wait_for(4)[2..], ["enable 1", "post 8 424"]);
}

#[test]
fn refusals_of_the_framework() {
    for (status, end) in [
        (Status::InvalidArg, End::Refused),
        (Status::Perm, End::Refused),
        (Status::Error, End::Lost),
    ] {
        let node = Node::new(Recorder {
            refuse_enable: Some(status),
            ..Recorder::default()
        });
        let (mut peer, served) = node.peer();
        peer.write_all(STREAM).unwrap();
        assert_eq!(served.join().unwrap(), end);
    }
    let node = Node::new(Recorder {
        refuse_posts: true,
        ..Recorder::default()
    });
    let (mut peer, served) = node.peer();
    peer.write_all(STREAM).unwrap();
    peer.write_all(&STREAM[10..]).unwrap();
    assert_eq!(
        node.recorder.wait_for(3).len(),
        3,
        "a refused message does not end the connection"
    );
    drop(peer);
    assert_eq!(served.join().unwrap(), End::Lost);
}

#[test]
fn a_peer_that_stops_reading_holds_the_sender_up_until_the_connection_ends() {
    let node = Node::new(Recorder::default());
    let (mut peer, served) = node.peer();
    peer.write_all(STREAM).unwrap();
    node.recorder.wait_for(2);
    let relay = Arc::clone(&node.relay);
    let sender = std::thread::spawn(move || {
        let message = vec![0; 1 << 20];
        // Far more than the queue and the socket buffers hold.
        (0..1000)
            .map(|_| relay.send(&message, false))
            .find(|result| *result != 0)
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(!sender.is_finished());
    drop(peer);
    assert!(matches!(sender.join().unwrap(), Some(libc::EPIPE | libc::ENOTCONN)));
    assert_eq!(served.join().unwrap(), End::Lost);
}

#[test]
fn greetings_are_bounded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let connection = Connection::new(listener.accept().unwrap().0, None).unwrap();
    peer.write_all(&[0, 1, 0, 1]).unwrap();
    let greeted = connection.greet(b"node1\0", &mut Decoder::new(stream::MAX_GREETING));
    assert_eq!(
        greeted.unwrap_err().to_string(),
        "frame of 65537 bytes instead of a greeting"
    );
}
