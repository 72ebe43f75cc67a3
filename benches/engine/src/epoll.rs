//! The loop of our own: level-triggered epoll, page-cache reads inline (`RWF_NOWAIT`), a pool of one thread for the rest,
//! and every answer of one wake-up in one `sendmsg`.
use crate::wire::{HEADER, Request};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::mpsc;

struct Answer {
    header: [u8; HEADER],
    data: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    answers: Vec<Answer>,
    waiting: usize,
}

/// Serves these connections on this thread until the last one is closed.
pub fn serve(connections: Vec<TcpStream>, file: File) {
    // SAFETY: a system call without pointers.
    let epoll = cvt(unsafe { libc::epoll_create1(0) });
    // SAFETY: a system call without pointers.
    let wake = cvt(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK) });
    watch(epoll, wake, u64::MAX);
    let (to_pool, jobs) = mpsc::channel::<(u64, Request)>();
    let (finished, results) = mpsc::channel::<(u64, Answer)>();
    let slow = file.try_clone().expect("dup");
    std::thread::spawn(move || {
        for (key, request) in jobs {
            let mut data = vec![0; request.length as usize];
            slow.read_exact_at(&mut data, request.offset).expect("read");
            let _ = finished.send((
                key,
                Answer {
                    header: request.answer(),
                    data,
                },
            ));
            let one = 1u64;
            // SAFETY: eight readable bytes.
            unsafe { libc::write(wake, (&raw const one).cast(), 8) };
        }
    });
    let mut live: HashMap<u64, Connection> = HashMap::new();
    for (key, stream) in (0u64..).zip(connections) {
        stream.set_nonblocking(true).expect("nonblocking");
        watch(epoll, stream.as_raw_fd(), key);
        live.insert(
            key,
            Connection {
                stream,
                input: Vec::new(),
                answers: Vec::new(),
                waiting: 0,
            },
        );
    }
    let mut buffer = vec![0; 65536];
    // SAFETY: all zeros is a valid value of this C struct.
    let mut events: [libc::epoll_event; 64] = unsafe { std::mem::zeroed() };
    while !live.is_empty() {
        // SAFETY: the array has room for 64 events.
        let n = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 64, -1) };
        for event in &events[..usize::try_from(n).unwrap_or(0)] {
            let key = event.u64;
            if key == u64::MAX {
                let mut count = 0u64;
                // SAFETY: eight writable bytes.
                unsafe { libc::read(wake, (&raw mut count).cast(), 8) };
                while let Ok((key, answer)) = results.try_recv() {
                    if let Some(c) = live.get_mut(&key) {
                        c.waiting -= 1;
                        c.answers.push(answer);
                        send(c);
                    }
                }
                continue;
            }
            let c = live.get_mut(&key).expect("watched");
            match c.stream.read(&mut buffer) {
                Ok(n) if n > 0 => c.input.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => continue,
                _ => {
                    live.remove(&key);
                    continue;
                }
            }
            let whole = c.input.len() / HEADER * HEADER;
            for bytes in c.input[..whole].chunks_exact(HEADER) {
                let request = Request::parse(bytes);
                match read_cached(&file, &request) {
                    Some(data) => c.answers.push(Answer {
                        header: request.answer(),
                        data,
                    }),
                    None => {
                        c.waiting += 1;
                        to_pool.send((key, request)).expect("the pool lives");
                    }
                }
            }
            c.input.drain(..whole);
            send(c);
        }
    }
}

/// A read that is satisfied from the page cache, else `None`.
pub fn read_cached(file: &File, request: &Request) -> Option<Vec<u8>> {
    let mut data: Vec<u8> = Vec::with_capacity(request.length as usize);
    let iov = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: request.length as usize,
    };
    // SAFETY: the vector has the capacity that the iovec names.
    let n = unsafe { libc::preadv2(file.as_raw_fd(), &iov, 1, request.offset as i64, libc::RWF_NOWAIT) };
    if n != request.length as isize {
        return None;
    }
    // SAFETY: preadv2 has initialised this many bytes.
    unsafe { data.set_len(request.length as usize) };
    Some(data)
}

fn send(c: &mut Connection) {
    let mut iov = Vec::with_capacity(c.answers.len() * 2);
    for answer in &c.answers {
        iov.push(libc::iovec {
            iov_base: answer.header.as_ptr() as *mut _,
            iov_len: HEADER,
        });
        iov.push(libc::iovec {
            iov_base: answer.data.as_ptr() as *mut _,
            iov_len: answer.data.len(),
        });
    }
    let mut rest = &mut iov[..];
    while !rest.is_empty() {
        // SAFETY: all zeros is a valid value of this C struct.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = rest.as_mut_ptr();
        message.msg_iovlen = rest.len().min(1024);
        // SAFETY: headers and data outlive the call.
        let n = unsafe { libc::sendmsg(c.stream.as_raw_fd(), &message, libc::MSG_NOSIGNAL) };
        let Ok(mut n) = usize::try_from(n) else {
            if std::io::Error::last_os_error().kind() != std::io::ErrorKind::WouldBlock {
                break;
            }
            // The real engine keeps the rest and waits for EPOLLOUT in its loop; the toy waits here.
            let mut poll = libc::pollfd {
                fd: c.stream.as_raw_fd(),
                events: libc::POLLOUT,
                revents: 0,
            };
            // SAFETY: one pollfd.
            unsafe { libc::poll(&mut poll, 1, -1) };
            continue;
        };
        let mut done = 0;
        while done < rest.len() && n >= rest[done].iov_len {
            n -= rest[done].iov_len;
            done += 1;
        }
        rest = &mut rest[done..];
        if let Some(first) = rest.first_mut() {
            // SAFETY: inside of the slice: n is below its length.
            first.iov_base = unsafe { first.iov_base.byte_add(n) };
            first.iov_len -= n;
        }
    }
    c.answers.clear();
}

fn watch(epoll: RawFd, fd: RawFd, key: u64) {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: key,
    };
    // SAFETY: the event outlives the call.
    cvt(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) });
}

fn cvt(n: i32) -> i32 {
    assert!(n >= 0, "{}", std::io::Error::last_os_error());
    n
}
