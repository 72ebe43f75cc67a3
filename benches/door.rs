//! A call through a door against the least that any two processes need: a futex in shared memory that changes hands, and one
//! packet there and one back on a bare socket pair. All in one run, in turns, so that the state of the machine weighs on all
//! alike; one caller and four, each with a channel of its own. Everything is copied out of and into private memory at both
//! ends. Prints a table.
//!
//! `cargo bench --bench door`

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use stmf::door;

const SIZES: [usize; 3] = [64, 4096, 131_072];
const CALLERS: [usize; 2] = [1, 4];
const MOST_CALLERS: usize = 4;
/// Turns of each measurement. The tenth best counts: what else the machine does only ever adds.
const TURNS: usize = 60;
const TIME: Duration = Duration::from_millis(25);

fn main() {
    // `cargo test --benches` runs this too: one short turn is enough there.
    let (turns, time) = if std::env::args().any(|argument| argument == "--bench") {
        (TURNS, TIME)
    } else {
        (1, Duration::from_millis(5))
    };
    let futexes = Futexes::map();
    let packets: [_; MOST_CALLERS] = std::array::from_fn(|_| packet_pair());
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("door");
    // SAFETY: this process has no other thread yet, so its child may do anything.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "a server process");
    if child == 0 {
        serve(&path, &futexes, packets.map(|(_, there)| there));
    }
    let packets = packets.map(|(here, _)| here);
    let door = open(&path);
    println!("round trip between two processes, microseconds per call of all callers, best tenth of {turns} turns\n");
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>8} {:>14} {:>14}",
        "bytes", "callers", "door", "futex", "packet", "door/futex", "door/packet"
    );
    for size in SIZES {
        for callers in CALLERS {
            let (mut doors, mut words, mut bare) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..turns {
                doors.push(measure(callers, size, time, |_, data, back| call(door, data, back)));
                words.push(measure(callers, size, time, |caller, data, back| {
                    futexes.call(caller, data, back);
                }));
                bare.push(measure(callers, size, time, |caller, data, back| {
                    send(&packets[caller], data);
                    assert_eq!(receive(&packets[caller], back), data.len());
                }));
            }
            let (door, word, packet) = (best(doors), best(words), best(bare));
            println!(
                "{size:>8} {callers:>8} {door:>8.2} {word:>8.2} {packet:>8.2} {:>14.2} {:>14.2}",
                door / word,
                door / packet
            );
        }
    }
    // SAFETY: our own child, and room for its status.
    unsafe {
        assert_eq!(libc::kill(child, libc::SIGKILL), 0);
        assert_eq!(libc::waitpid(child, null_mut(), 0), child);
    }
}

/// Time per call when so many callers call as fast as they can.
fn measure(callers: usize, size: usize, time: Duration, round_trip: impl Fn(usize, &[u8], &mut [u8]) + Sync) -> f64 {
    let together = Barrier::new(callers);
    let work = |caller| {
        let (data, mut back) = (vec![7; size], vec![0; size]);
        for _ in 0..20 {
            round_trip(caller, &data, &mut back);
        }
        together.wait();
        let start = Instant::now();
        let mut count = 0u32;
        while start.elapsed() < time {
            for _ in 0..10 {
                round_trip(caller, &data, &mut back);
            }
            count += 10;
        }
        f64::from(count) / start.elapsed().as_secs_f64()
    };
    let each_second: f64 = std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(move || work(caller))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    1e6 / each_second
}

fn best(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 10]
}

/// Echoes through all three, until it is killed.
fn serve(path: &std::path::Path, futexes: &Futexes, packets: [OwnedFd; MOST_CALLERS]) -> ! {
    // SAFETY: the procedure is one, and the path a C string.
    unsafe {
        let door = door_create(echo, null_mut(), 0);
        let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
        drop(OwnedFd::from_raw_fd(libc::open(
            path.as_ptr(),
            libc::O_CREAT | libc::O_RDWR,
            0o600,
        )));
        assert_eq!(fattach(door, path.as_ptr()), 0);
    }
    std::thread::scope(|scope| {
        for (caller, packets) in packets.into_iter().enumerate() {
            scope.spawn(move || futexes.serve(caller));
            scope.spawn(move || {
                let mut room = vec![0; SIZES[2]];
                loop {
                    let received = receive(&packets, &mut room);
                    send(&packets, &room[..received]);
                }
            });
        }
    });
    unreachable!("the threads do not end")
}

#[repr(C)]
struct Arguments {
    data: *mut c_char,
    size: usize,
    descriptors: *mut c_void,
    count: c_uint,
    room: *mut c_char,
    room_size: usize,
}

unsafe extern "C" {
    fn door_create(
        procedure: unsafe extern "C" fn(*mut c_void, *mut c_char, usize, *mut c_void, c_uint),
        cookie: *mut c_void,
        attributes: c_uint,
    ) -> c_int;
    fn door_return(data: *mut c_char, size: usize, descriptors: *mut c_void, count: c_uint) -> c_int;
    fn door_call(door: c_int, arguments: *mut Arguments) -> c_int;
    fn fattach(door: c_int, path: *const c_char) -> c_int;
}

unsafe extern "C" fn echo(_: *mut c_void, data: *mut c_char, size: usize, _: *mut c_void, _: c_uint) {
    // SAFETY: what came goes back. Nothing on this stack needs to be dropped.
    unsafe { door_return(data, size, null_mut(), 0) };
}

fn open(path: &std::path::Path) -> c_int {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match door::open(path) {
            Ok(opened) => return opened.into_raw_fd(),
            Err(error) if Instant::now() > deadline => panic!("no server: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn call(door: c_int, data: &[u8], back: &mut [u8]) {
    let mut arguments = Arguments {
        data: data.as_ptr().cast_mut().cast(),
        size: data.len(),
        descriptors: null_mut(),
        count: 0,
        room: back.as_mut_ptr().cast(),
        room_size: back.len(),
    };
    // SAFETY: the memory is live and as long as said.
    assert_eq!(unsafe { door_call(door, &raw mut arguments) }, 0);
    assert_eq!((arguments.size, arguments.room), (data.len(), back.as_mut_ptr().cast()));
}

/// Shared memory for each caller: whose turn it is, and the bytes. The least that two processes need.
struct Futexes(*mut Channel);

#[repr(C, align(64))]
struct Channel {
    /// Odd: the server's turn.
    turn: AtomicU32,
    /// Bytes there and back.
    size: AtomicU32,
    bytes: [u8; SIZES[2]],
}

// SAFETY: each caller uses a channel of its own, and on it the turn says who may touch the bytes.
unsafe impl Sync for Futexes {}

impl Futexes {
    fn map() -> Futexes {
        // SAFETY: a new mapping touches nothing that exists; zero bytes are valid channels.
        let start = unsafe {
            libc::mmap(
                null_mut(),
                size_of::<[Channel; MOST_CALLERS]>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        Futexes(start.cast())
    }

    fn call(&self, caller: usize, data: &[u8], back: &mut [u8]) {
        let channel = self.0.wrapping_add(caller);
        // SAFETY: the channel is live; its bytes are this side's until it passes the turn, and again when it is back.
        unsafe {
            let bytes = (&raw mut (*channel).bytes).cast::<u8>();
            bytes.copy_from_nonoverlapping(data.as_ptr(), data.len());
            (*channel).size.store(data.len() as u32, Ordering::Relaxed);
            pass(&(*channel).turn);
            await_turn(&(*channel).turn, 0);
            bytes.copy_to_nonoverlapping(back.as_mut_ptr(), back.len());
        }
    }

    fn serve(&self, caller: usize) {
        let channel = self.0.wrapping_add(caller);
        let mut room = vec![0u8; SIZES[2]];
        loop {
            // SAFETY: as above.
            unsafe {
                await_turn(&(*channel).turn, 1);
                let bytes = (&raw mut (*channel).bytes).cast::<u8>();
                let size = (*channel).size.load(Ordering::Relaxed) as usize;
                bytes.copy_to_nonoverlapping(room.as_mut_ptr(), size);
                bytes.copy_from_nonoverlapping(room.as_ptr(), size);
                pass(&(*channel).turn);
            }
        }
    }
}

fn pass(turn: &AtomicU32) {
    turn.fetch_add(1, Ordering::AcqRel);
    // SAFETY: a live word.
    unsafe { libc::syscall(libc::SYS_futex, turn.as_ptr(), libc::FUTEX_WAKE, 1) };
}

fn await_turn(turn: &AtomicU32, parity: u32) {
    loop {
        let now = turn.load(Ordering::Acquire);
        if now & 1 == parity {
            return;
        }
        // SAFETY: a live word; no time limit.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                turn.as_ptr(),
                libc::FUTEX_WAIT,
                now,
                null_mut::<libc::timespec>(),
            )
        };
    }
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
