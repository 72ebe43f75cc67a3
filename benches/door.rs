//! A call through a door against the least that any two processes need: one packet there and one back on a bare socket
//! pair. Both in one run, in turns, so that the state of the machine weighs on both alike. Prints a table.
//!
//! `cargo bench --bench door`

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use stmf::door;

const SIZES: [usize; 3] = [64, 4096, 131_072];
/// Turns of each measurement. The tenth best counts: what else the machine does only ever adds.
const TURNS: usize = 100;
const TIME: Duration = Duration::from_millis(25);

fn main() {
    // `cargo test --benches` runs this too: one short turn is enough there.
    let (turns, time) = if std::env::args().any(|argument| argument == "--bench") {
        (TURNS, TIME)
    } else {
        (1, Duration::from_millis(5))
    };
    if std::env::var_os("DOOR_BENCH_SERVER").is_some() {
        return serve();
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("door");
    let (packets, packets_there) = packet_pair();
    let (mut stream, stream_there) = UnixStream::pair().expect("a pair");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .env("DOOR_BENCH_SERVER", &path)
        .stdin(OwnedFd::from(stream_there))
        .stdout(packets_there)
        .spawn()
        .expect("a server process");
    let deadline = Instant::now() + Duration::from_secs(10);
    let opened = loop {
        match door::open(&path) {
            Ok(opened) => break opened,
            Err(error) if Instant::now() > deadline => panic!("no server: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    println!("round trip between two processes, microseconds, best tenth of {turns} turns\n");
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>14} {:>14}",
        "bytes", "door", "packet", "stream", "door/packet", "door/stream"
    );
    for size in SIZES {
        let data = vec![7; size];
        let mut back = vec![0; size];
        let (mut doors, mut bare, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..turns {
            doors.push(measure(time, || {
                let reply = door::call(opened.as_fd(), &data, &[]).expect("the door answers");
                assert_eq!(reply.data.len(), size);
            }));
            bare.push(measure(time, || exchange(&packets, &data, &mut back)));
            streams.push(measure(time, || {
                stream.write_all(&(size as u64).to_ne_bytes()).expect("a stream");
                stream.write_all(&data).expect("a stream");
                stream.read_exact(&mut back).expect("a stream");
            }));
        }
        let (door, packet, stream) = (best(doors), best(bare), best(streams));
        println!(
            "{size:>8} {door:>8.2} {packet:>8.2} {stream:>8.2} {:>14.2} {:>14.2}",
            door / packet,
            door / stream
        );
    }
    drop((packets, stream));
    child.kill().expect("the server process is ours");
    child.wait().expect("the server process is ours");
}

fn measure(time: Duration, mut round_trip: impl FnMut()) -> f64 {
    for _ in 0..20 {
        round_trip();
    }
    let start = Instant::now();
    let mut count = 0u32;
    while start.elapsed() < time {
        for _ in 0..10 {
            round_trip();
        }
        count += 10;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

fn best(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 10]
}

/// Echoes through all three.
fn serve() {
    let path = std::env::var_os("DOOR_BENCH_SERVER").expect("checked by the caller");
    let server = door::Server::create(0, |call| door::Reply {
        data: call.data.to_vec(),
        descriptors: Vec::new(),
    })
    .expect("a door");
    server.attach(path.as_ref(), 0o600).expect("a path");
    // SAFETY: the parent gave both descriptors to this process alone.
    let (mut stream, packets) = unsafe { (UnixStream::from_raw_fd(0), OwnedFd::from_raw_fd(1)) };
    let packet_thread = std::thread::spawn(move || {
        let mut room = vec![0; SIZES[2]];
        loop {
            let received = receive(&packets, &mut room);
            if received == 0 {
                return;
            }
            send(&packets, &room[..received]);
        }
    });
    let mut room = vec![0; SIZES[2]];
    let mut head = [0; 8];
    while stream.read_exact(&mut head).is_ok() {
        let size = u64::from_ne_bytes(head) as usize;
        stream.read_exact(&mut room[..size]).expect("a stream");
        stream.write_all(&room[..size]).expect("a stream");
    }
    packet_thread.join().expect("it does not panic");
}

fn exchange(packets: &OwnedFd, data: &[u8], back: &mut [u8]) {
    send(packets, data);
    assert_eq!(receive(packets, back), data.len());
}

fn packet_pair() -> (OwnedFd, OwnedFd) {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors, which are then ours.
    unsafe {
        let flags = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        assert_eq!(libc::socketpair(libc::AF_UNIX, flags, 0, ends.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

fn send(packets: &OwnedFd, data: &[u8]) {
    // SAFETY: live memory that is only read.
    let sent = unsafe {
        libc::send(
            packets.as_raw_fd(),
            data.as_ptr().cast(),
            data.len(),
            libc::MSG_NOSIGNAL,
        )
    };
    assert_eq!(sent, data.len() as isize);
}

fn receive(packets: &OwnedFd, room: &mut [u8]) -> usize {
    // SAFETY: live memory that may be written.
    let received = unsafe { libc::recv(packets.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), 0) };
    usize::try_from(received).expect("a packet")
}
