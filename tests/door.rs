//! Doors through their Rust face. The C face and several processes: `c-tests/door.c`, `c-tests/door_stress.c`.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use stmf::door::{self, Call, Reply, Server, attribute};

fn reply(data: &[u8]) -> Reply {
    Reply {
        data: data.to_vec(),
        descriptors: Vec::new(),
    }
}

fn echo() -> Server {
    Server::create(0, |call: Call<'_>| Reply {
        data: call.data.to_vec(),
        descriptors: call.descriptors,
    })
    .unwrap()
}

fn errno(result: std::io::Result<Reply>) -> i32 {
    result
        .err()
        .expect("the call fails")
        .raw_os_error()
        .expect("with an error number")
}

#[test]
fn payloads_of_any_size_come_back() {
    let server = echo();
    for size in [
        0,
        1,
        64,
        4095,
        4096,
        4097,
        65536,
        192 * 1024,
        192 * 1024 + 1,
        1 << 20,
        (8 << 20) + 3,
    ] {
        let data: Vec<u8> = (0..size).map(|index: usize| (index % 251) as u8).collect();
        let reply = door::call(server.descriptor(), &data, &[]).unwrap();
        assert!(reply.data == data, "{size} bytes");
    }
    assert_eq!(
        errno(door::call(server.descriptor(), &vec![0; (1 << 30) + 1], &[])),
        libc::E2BIG
    );
}

#[test]
fn descriptors_travel_both_ways() {
    let server = echo();
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(b"through a door").unwrap();
    for count in [1, 2, 252, 253, 254, 600] {
        let passed = vec![file.as_fd(); count];
        let reply = door::call(server.descriptor(), &[7; 300_000], &passed).unwrap();
        assert_eq!(reply.descriptors.len(), count);
        let mut back = File::from(reply.descriptors.into_iter().last().unwrap());
        back.rewind().unwrap();
        let mut text = String::new();
        back.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through a door");
    }
    assert_eq!(
        errno(door::call(server.descriptor(), b"", &vec![file.as_fd(); 1025])),
        libc::E2BIG
    );
}

#[test]
fn a_door_may_refuse_descriptors() {
    let server = Server::create(attribute::REFUSE_DESC, |_| reply(b"")).unwrap();
    let file = tempfile::tempfile().unwrap();
    assert_eq!(
        errno(door::call(server.descriptor(), b"", &[file.as_fd()])),
        libc::ENOTSUP
    );
    door::call(server.descriptor(), b"", &[]).unwrap();
}

#[test]
fn the_caller_is_known() {
    let server = Server::create(0, |call: Call<'_>| {
        let caller = call.caller;
        reply(format!("{} {} {}", caller.pid, caller.uid, caller.gid).as_bytes())
    })
    .unwrap();
    // SAFETY: no pointers.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let expected = format!("{} {user} {group}", std::process::id());
    assert_eq!(
        door::call(server.descriptor(), b"", &[]).unwrap().data,
        expected.as_bytes()
    );
}

#[test]
fn calls_run_concurrently_and_do_not_mix() {
    const CALLERS: usize = 8;
    let together = Arc::new(Barrier::new(CALLERS));
    let met = Arc::clone(&together);
    let server = Server::create(0, move |call: Call<'_>| {
        if call.data.len() == 1 {
            met.wait();
        }
        reply(call.data)
    })
    .unwrap();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let door = server.descriptor();
            scope.spawn(move || {
                let mine = [caller as u8];
                // Only ends when all callers are in the server at once.
                assert_eq!(door::call(door, &mine, &[]).unwrap().data, mine);
                for round in 2..500 {
                    let data = vec![(caller * 31 + round) as u8; round * 7];
                    assert!(door::call(door, &data, &[]).unwrap().data == data);
                }
            });
        }
    });
}

#[test]
fn revoked_means_ebadf_and_calls_in_progress_finish() {
    let (entered, enter) = std::sync::mpsc::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let left = std::sync::Mutex::new(left);
    let server = Server::create(0, move |call: Call<'_>| {
        if call.data == b"slow" {
            entered.send(()).unwrap();
            left.lock().unwrap().recv().unwrap();
        }
        reply(call.data)
    })
    .unwrap();
    let copy = server.descriptor().try_clone_to_owned().unwrap();
    door::call(copy.as_fd(), b"quick", &[]).unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| door::call(copy.as_fd(), b"slow", &[]));
        enter.recv().unwrap();
        server.revoke();
        assert_eq!(errno(door::call(copy.as_fd(), b"quick", &[])), libc::EBADF);
        leave.send(()).unwrap();
        assert_eq!(slow.join().unwrap().unwrap().data, b"slow");
    });
    drop(server);
    assert_eq!(errno(door::call(copy.as_fd(), b"quick", &[])), libc::EBADF);
}

#[test]
fn a_panic_reaches_the_caller_as_eintr_and_the_door_lives_on() {
    let server = Server::create(0, |call: Call<'_>| {
        assert!(call.data.is_empty(), "asked to");
        reply(b"well")
    })
    .unwrap();
    assert_eq!(errno(door::call(server.descriptor(), b"panic", &[])), libc::EINTR);
    assert_eq!(door::call(server.descriptor(), b"", &[]).unwrap().data, b"well");
}

#[test]
fn only_doors_are_doors() {
    let server = echo();
    assert!(door::is_door(server.descriptor()));
    let (stream, _other) = UnixStream::pair().unwrap();
    let file = tempfile::tempfile().unwrap();
    for other in [OwnedFd::from(stream), OwnedFd::from(file)] {
        assert!(!door::is_door(other.as_fd()));
        assert_eq!(errno(door::call(other.as_fd(), b"", &[])), libc::EBADF);
    }
}

#[test]
fn a_path_leads_to_the_door() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("door");
    assert_eq!(door::open(&path).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    let server = echo();
    server.attach(&path, 0o640).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    let opened = door::open(&path).unwrap();
    assert!(door::is_door(opened.as_fd()));
    assert_eq!(door::call(opened.as_fd(), b"hello", &[]).unwrap().data, b"hello");
    assert_eq!(
        echo().attach(&path, 0o600).unwrap_err().raw_os_error(),
        Some(libc::EBUSY)
    );
    drop(server);
    assert!(!path.exists(), "its server removed it");
    assert_eq!(errno(door::call(opened.as_fd(), b"hello", &[])), libc::EBADF);
}

#[test]
fn a_stale_socket_is_replaced_and_other_files_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("door");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let opening = door::open(&path).unwrap_err();
    assert!(
        matches!(opening.raw_os_error(), Some(libc::ECONNREFUSED | libc::EPROTOTYPE)),
        "{opening}"
    );
    let server = echo();
    server.attach(&path, 0o600).unwrap();
    assert_eq!(
        door::call(door::open(&path).unwrap().as_fd(), b"new", &[])
            .unwrap()
            .data,
        b"new"
    );
    let file = directory.path().join("file");
    std::fs::write(&file, b"keep me").unwrap();
    assert_eq!(
        server.attach(&file, 0o600).unwrap_err().raw_os_error(),
        Some(libc::EEXIST)
    );
    assert_eq!(std::fs::read(&file).unwrap(), b"keep me");
    assert_eq!(door::open(&file).unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    let entries = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(entries, 2, "nothing is left beside them");
}

#[test]
fn a_path_longer_than_a_socket_name_works() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("a".repeat(100)).join("b".repeat(100));
    std::fs::create_dir_all(&deep).unwrap();
    let path = deep.join("door");
    let server = echo();
    server.attach(&path, 0o600).unwrap();
    assert_eq!(
        door::call(door::open(&path).unwrap().as_fd(), b"far", &[])
            .unwrap()
            .data,
        b"far"
    );
}

#[test]
fn the_last_descriptor_but_one_is_noticed() {
    let notices = Arc::new(AtomicUsize::new(0));
    let (sender, receiver) = std::sync::mpsc::channel();
    let counted = Arc::clone(&notices);
    let server = Server::create(attribute::UNREF, move |call: Call<'_>| {
        if call.data.is_empty() {
            counted.fetch_add(1, Ordering::SeqCst);
            sender.send(call.caller.pid).unwrap();
        }
        reply(call.data)
    })
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("door");
    server.attach(&path, 0o600).unwrap();
    let opened = door::open(&path).unwrap();
    door::call(opened.as_fd(), b"x", &[]).unwrap();
    drop(opened);
    // The path itself still leads to the door.
    assert_eq!(notices.load(Ordering::SeqCst), 0);
    drop(server);
    assert!(
        receiver.recv_timeout(std::time::Duration::from_millis(50)).is_err(),
        "a revoked door gives no notice"
    );
}

#[test]
fn strangers_on_a_door_socket_do_no_harm() {
    let server = echo();
    let door = server.descriptor().as_raw_fd();
    for junk in [&b""[..], b"Z", b"C", b"CC", &[0; 1000]] {
        // SAFETY: `junk` is live memory that is only read.
        let sent = unsafe { libc::send(door, junk.as_ptr().cast(), junk.len(), libc::MSG_NOSIGNAL) };
        assert!(sent >= 0);
    }
    assert_eq!(
        door::call(server.descriptor(), b"still here", &[]).unwrap().data,
        b"still here"
    );
}

/// Sends `byte` to the door with one end of a pair, as a caller does for a channel of its own; gives the other end.
fn raw_channel(server: &Server, byte: u8) -> OwnedFd {
    raw_channel_with(server, byte, None)
}

fn raw_channel_with(server: &Server, byte: u8, memory: Option<i32>) -> OwnedFd {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
    let (mine, theirs) =
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
    setsockopt(&theirs, sockopt::PassCred, &true).unwrap();
    setsockopt(&mine, sockopt::ReceiveTimeout, &nix::sys::time::TimeVal::new(20, 0)).unwrap();
    let passed: Vec<i32> = [theirs.as_raw_fd()].into_iter().chain(memory).collect();
    raw_send(server.descriptor().as_raw_fd(), &[byte], &passed);
    mine
}

fn raw_send(socket: i32, bytes: &[u8], descriptors: &[i32]) {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let passed = [ControlMessage::ScmRights(descriptors)];
    let passed = if descriptors.is_empty() { &[][..] } else { &passed[..] };
    // What the server refuses it may have refused already.
    let _ = sendmsg::<()>(
        socket,
        &[std::io::IoSlice::new(bytes)],
        passed,
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
}

/// A frame: magic, kind, flags, status, descriptors, length (see `src/door/frame.rs`).
fn raw_frame(kind: u16, flags: u16, status: u32, descriptors: u32, length: u64) -> Vec<u8> {
    let mut frame = b"DOOR".to_vec();
    frame.extend(kind.to_ne_bytes());
    frame.extend(flags.to_ne_bytes());
    frame.extend(status.to_ne_bytes());
    frame.extend(descriptors.to_ne_bytes());
    frame.extend(length.to_ne_bytes());
    frame
}

#[test]
fn a_hostile_caller_loses_only_its_channel() {
    let server = echo();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let pipe = pipe.as_raw_fd();
    let small = tempfile::tempfile().unwrap();
    let rows: [(&str, Vec<u8>, Vec<i32>); 11] = [
        ("nothing", vec![], vec![]),
        ("a short head", vec![0; 7], vec![]),
        ("no magic", vec![0xff; 24], vec![]),
        ("less than promised", raw_frame(1, 0, 0, 0, 5), vec![]),
        ("past the bound", raw_frame(1, 1, 0, 0, u64::MAX), vec![]),
        ("a reply", raw_frame(2, 0, 0, 0, 0), vec![]),
        ("a notice", raw_frame(1, 4, 0, 0, 0), vec![]),
        ("fewer descriptors than promised", raw_frame(1, 0, 0, 2, 0), vec![pipe]),
        ("no memory file", raw_frame(1, 1, 0, 0, 100), vec![]),
        ("a pipe for a memory file", raw_frame(1, 1, 0, 0, 100), vec![pipe]),
        (
            "a file on disk for a memory file",
            raw_frame(1, 1, 0, 0, 100),
            vec![small.as_raw_fd()],
        ),
    ];
    for (what, bytes, descriptors) in rows {
        let channel = raw_channel(&server, b'C');
        raw_send(channel.as_raw_fd(), &bytes, &descriptors);
        // The end of the channel, or, for a file that is shorter than promised, a failure.
        let answer = nix::sys::socket::recv(channel.as_raw_fd(), &mut [0; 64], nix::sys::socket::MsgFlags::empty());
        assert!(
            matches!(answer, Ok(0 | 24) | Err(nix::errno::Errno::ECONNRESET)),
            "{what}: {answer:?}"
        );
        assert_eq!(
            door::call(server.descriptor(), b"well", &[]).unwrap().data,
            b"well",
            "{what}"
        );
    }
    // Descriptors ahead without end.
    let channel = raw_channel(&server, b'C');
    for _ in 0..20 {
        raw_send(channel.as_raw_fd(), &raw_frame(3, 0, 0, 250, 0), &[pipe; 250]);
    }
    let answer = nix::sys::socket::recv(channel.as_raw_fd(), &mut [0; 64], nix::sys::socket::MsgFlags::empty());
    assert!(
        matches!(answer, Ok(0) | Err(nix::errno::Errno::ECONNRESET)),
        "{answer:?}"
    );
    // Channels, endpoints and listeners that are something else.
    for byte in [b'C', b'E', b'L', b'Q', b'D'] {
        raw_send(server.descriptor().as_raw_fd(), &[byte], &[pipe]);
    }
    assert_eq!(door::call(server.descriptor(), b"well", &[]).unwrap().data, b"well");
}

/// A caller may write into the memory of its channel whatever it likes (layout: `src/door/memory.rs`).
#[test]
fn a_hostile_memory_harms_only_its_channel() {
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::sync::atomic::AtomicU32;
    const LENGTH: usize = 2048 + 192 * 1024;
    let server = echo();
    let file = memfd_create(c"memory", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    File::from(file.try_clone().unwrap()).set_len(LENGTH as u64).unwrap();
    for sealed in [false, true] {
        for (flags, length) in [(0, 193 * 1024), (0, u32::MAX), (4, 0), (1, 5), (u32::MAX, 1)] {
            if sealed {
                // SAFETY: no pointers.
                let done = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, 7) };
                assert!(done == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM));
            }
            // SAFETY: a new mapping, as long as the file, of which the first four words are used as atomic numbers.
            let words: &[AtomicU32; 4] = unsafe {
                let access = libc::PROT_READ | libc::PROT_WRITE;
                let start = libc::mmap(
                    std::ptr::null_mut(),
                    LENGTH,
                    access,
                    libc::MAP_SHARED,
                    file.as_raw_fd(),
                    0,
                );
                assert_ne!(start, libc::MAP_FAILED);
                &*start.cast()
            };
            words[0].store(0, Ordering::SeqCst);
            let channel = raw_channel_with(&server, b'C', Some(file.as_raw_fd()));
            raw_send(channel.as_raw_fd(), &raw_frame(1, 0, 0, 0, 0), &[]);
            let answer =
                || nix::sys::socket::recv(channel.as_raw_fd(), &mut [0; 64], nix::sys::socket::MsgFlags::empty());
            assert_eq!(answer(), Ok(24));
            assert!(
                sealed || words[0].load(Ordering::SeqCst) == 0,
                "memory that can shrink is not used"
            );
            words[1].store(flags, Ordering::SeqCst);
            words[2].store(length, Ordering::SeqCst);
            words[0].store(2, Ordering::SeqCst);
            // SAFETY: a live word.
            unsafe { libc::syscall(libc::SYS_futex, words[0].as_ptr(), libc::FUTEX_WAKE, 1) };
            // The channel has ended, or carries packets still.
            raw_send(channel.as_raw_fd(), &raw_frame(1, 0, 0, 0, 0), &[]);
            let answer = answer();
            assert!(
                matches!(answer, Ok(0 | 24) | Err(nix::errno::Errno::ECONNRESET)),
                "{flags} {length}: {answer:?}"
            );
            assert_eq!(door::call(server.descriptor(), b"well", &[]).unwrap().data, b"well");
        }
    }
}

/// Replies around the moment when a caller ceases to wait at the memory.
#[test]
fn slow_and_quick_calls_take_turns() {
    use std::time::Duration;
    let server = Server::create(0, |call: Call<'_>| {
        let rest = u64::from_ne_bytes(call.data[..8].try_into().unwrap());
        std::thread::sleep(Duration::from_micros(rest));
        reply(call.data)
    })
    .unwrap();
    for (turn, rest) in (4500..5500u64).step_by(10).chain([0, 30_000, 0, 10_000, 0]).enumerate() {
        let mut data = vec![turn as u8; 8 + turn * 11];
        data[..8].copy_from_slice(&rest.to_ne_bytes());
        assert!(door::call(server.descriptor(), &data, &[]).unwrap().data == data);
        data[..8].fill(0);
        assert!(door::call(server.descriptor(), &data, &[]).unwrap().data == data);
    }
}

#[test]
fn server_threads_block_all_signals() {
    let server = Server::create(0, |_| {
        // SAFETY: plain memory filled by the call.
        let blocked = unsafe {
            let mut mask: libc::sigset_t = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
            (1..32)
                .filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal))
                .all(|signal| libc::sigismember(&raw const mask, signal) == 1)
        };
        reply(&[u8::from(blocked)])
    })
    .unwrap();
    assert_eq!(door::call(server.descriptor(), b"", &[]).unwrap().data, [1]);
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
        if status.starts_with("Name:\tdoor-control\n") || status.starts_with("Name:\tdoor-server\n") {
            let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
            // All but KILL (9), STOP (19) and the two that glibc keeps for itself (32, 33).
            assert_eq!(
                u64::from_str_radix(mask, 16).unwrap() | 1 << 8 | 1 << 18 | 3 << 31,
                u64::MAX,
                "{status}"
            );
        }
    }
}

#[test]
fn idle_callers_do_not_keep_others_waiting() {
    let server = echo();
    let door = server.descriptor();
    let idle: Vec<_> = (0..20).map(|_| raw_channel(&server, b'C')).collect();
    for channel in &idle {
        raw_send(channel.as_raw_fd(), &raw_frame(1, 0, 0, 0, 0), &[]);
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..200 {
                    door::call(door, b"x", &[]).unwrap();
                }
            });
        }
    });
}
