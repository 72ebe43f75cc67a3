//! The caller's side: each thread keeps a private channel to each door that it calls.
#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use super::channel::{self, Ahead, Arrival, Body, Message};
use super::fork::{self, Private};
use super::frame::{Description, Frame, INLINE_LIMIT, Kind, NO_RESULTS, Request};
use super::label::Label;
use super::memory::{Answer, Memory};
use super::{pages, sys};

/// Most channels that one thread keeps; the one unused longest goes first.
const LINES_KEPT: usize = 16;
/// Attempts to bring a call to a server that did not take it.
const ATTEMPTS: u32 = 4;
/// Rest between two of them.
const REST: Duration = Duration::from_millis(2);
/// A bound makes the wait for a reply end at each signal, also with SA_RESTART (signal(7)). So long that it never passes.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);
/// Longest wait for an answer of a server's control thread, which never runs a server procedure.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What a call brings.
pub struct Arguments<'a> {
    /// Argument bytes.
    pub data: &'a [u8],
    /// Descriptors to pass.
    pub descriptors: &'a [RawFd],
    /// Results are wanted.
    pub results: bool,
    /// A caught signal ends the call with `EINTR`.
    pub interruptible: bool,
    /// Nothing is known of data and room but their addresses: the kernel is to look at them first.
    pub doubtful: bool,
}

/// What a call gave.
pub struct Results {
    /// Result bytes.
    pub length: usize,
    /// Descriptors that came back.
    pub descriptors: Vec<OwnedFd>,
    /// Result bytes that are not in the caller's room.
    pub rest: Rest,
}

/// Where the result bytes are.
pub enum Rest {
    /// All in the caller's room.
    Nowhere,
    /// What did not fit in the room is at the start of this memory.
    Spilled(Vec<u8>),
    /// All in this file.
    File(OwnedFd),
}

impl Results {
    /// Puts all result bytes into `whole`, of which `room` was given to the call.
    pub fn gather(&self, room: &[u8], whole: &mut [u8]) -> io::Result<()> {
        let inside = self.length.min(room.len());
        match &self.rest {
            Rest::File(file) => return sys::read_at(file.as_fd(), &mut whole[..self.length], 0),
            Rest::Nowhere => whole[..inside].copy_from_slice(&room[..inside]),
            Rest::Spilled(more) => {
                whole[..inside].copy_from_slice(&room[..inside]);
                whole[inside..self.length].copy_from_slice(&more[..self.length - inside]);
            }
        }
        Ok(())
    }
}

/// A private channel to a door.
struct Line {
    /// Number of the caller's socket for the door: never used for another one.
    door: u64,
    socket: Private,
    /// `None`: there is no room for it, and each call goes as a packet.
    memory: Option<Memory>,
    /// Ids with which the channel was made: the server knows the caller by them.
    ids: [u32; 6],
}

#[derive(Default)]
struct Lines {
    process: i32,
    lines: Vec<Line>,
    /// For results that do not fit in the caller's room.
    spill: Vec<u8>,
}

thread_local! {
    static LINES: RefCell<Lines> = RefCell::default();
}

/// Calls a door. Results go into `room` as far as they fit. Errors: `c-clients.md` chapter 6, door_call.
pub fn call(door: BorrowedFd<'_>, arguments: &Arguments<'_>, room: &mut [u8]) -> io::Result<Results> {
    let number = sys::cookie(door).map_err(|_| sys::error(libc::EBADF))?;
    for attempt in 0..ATTEMPTS {
        if attempt > 1 {
            std::thread::sleep(REST);
        }
        let line = take_line(door, number)?;
        match exchange(&line, arguments, room) {
            Ok(results) => {
                keep_line(line);
                return results;
            }
            // The server did not take it: the channel is an old one, or the server had no room for it, or is gone, which
            // the next attempt shows.
            Err(error) if matches!(sys::number(&error), libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN) => {}
            Err(error) => return Err(error),
        }
    }
    Err(sys::error(libc::EAGAIN))
}

/// One call on one channel. The outer error: the channel is not to be used again.
fn exchange(line: &Line, arguments: &Arguments<'_>, room: &mut [u8]) -> io::Result<io::Result<Results>> {
    let flags = if arguments.results { 0 } else { NO_RESULTS };
    let frame = Frame {
        kind: Kind::Call,
        flags,
        status: 0,
        descriptors: 0,
        length: 0,
    };
    if let Some(memory) = &line.memory {
        let readable = || !arguments.doubtful || pages::is_readable(arguments.data);
        if arguments.descriptors.is_empty() && memory.call(flags, arguments.data, readable) {
            return match memory.await_answer(arguments.interruptible)? {
                Some(answer) => read_answer(memory, &answer, room, arguments.doubtful),
                None => receive_results(line, room, arguments.interruptible),
            };
        }
        memory.ring();
    }
    let socket = line.socket.as_fd();
    if let Err(error) = channel::send(socket, frame, arguments.data, arguments.descriptors, 0) {
        return match sys::number(&error) {
            // One of the passed descriptors is none.
            libc::EBADF => Ok(Err(sys::error(libc::EINVAL))),
            libc::EINTR | libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN => Err(error),
            // Nothing was sent, or only descriptors ahead, which the next call would take for its own.
            _ if arguments.descriptors.len() > sys::PASS_LIMIT - 1 => Err(error),
            _ => Ok(Err(error)),
        };
    }
    receive_results(line, room, arguments.interruptible)
}

/// Takes the answer that lies in the memory. The outer error as for [`exchange`].
fn read_answer(memory: &Memory, answer: &Answer, room: &mut [u8], doubtful: bool) -> io::Result<io::Result<Results>> {
    let Answer { status, length } = *answer;
    if status == libc::EBADF.unsigned_abs() {
        // Revoked: the channel has ended.
        return Err(sys::error(libc::EBADF));
    }
    if status != 0 {
        return Ok(Err(sys::error(status.cast_signed())));
    }
    let inside = length.min(room.len());
    let room = &mut room[..inside];
    if doubtful && !pages::is_writable(room) {
        return Ok(Err(sys::error(libc::EFAULT)));
    }
    memory.read(room, 0);
    let mut rest = Rest::Nowhere;
    if inside < length {
        let mut more = vec![0; length - inside];
        memory.read(&mut more, inside);
        rest = Rest::Spilled(more);
    }
    Ok(Ok(Results {
        length,
        descriptors: Vec::new(),
        rest,
    }))
}

/// Receives the answer that comes as a packet. The outer error as for [`exchange`].
fn receive_results(line: &Line, room: &mut [u8], interruptible: bool) -> io::Result<io::Result<Results>> {
    let mut spill = LINES
        .try_with(|lines| std::mem::take(&mut lines.borrow_mut().spill))
        .unwrap_or_default();
    spill.resize(INLINE_LIMIT, 0);
    let inside = room.len().min(INLINE_LIMIT);
    let message = receive_reply(line, &mut room[..inside], &mut spill, interruptible)?;
    let Message {
        frame,
        body,
        descriptors,
        descriptors_lost,
        ..
    } = message;
    if frame.status == libc::EBADF.unsigned_abs() {
        // Revoked: the channel has ended.
        return Err(sys::error(libc::EBADF));
    }
    let length = usize::try_from(frame.length).unwrap_or(usize::MAX);
    let rest = match body {
        Body::File(file) => Rest::File(file),
        Body::Here if length > inside => Rest::Spilled(std::mem::take(&mut spill)),
        Body::Here => Rest::Nowhere,
    };
    if !spill.is_empty() {
        // When the thread is ending there is nothing to keep it in.
        let _ = LINES.try_with(|lines| lines.borrow_mut().spill = spill);
    }
    Ok(if frame.status != 0 {
        Err(sys::error(frame.status.cast_signed()))
    } else if descriptors_lost {
        Err(sys::error(libc::EMFILE))
    } else {
        Ok(Results {
            length,
            descriptors,
            rest,
        })
    })
}

fn receive_reply(line: &Line, room: &mut [u8], spill: &mut [u8], interruptible: bool) -> io::Result<Message> {
    let mut ahead = Ahead::default();
    loop {
        match channel::receive(line.socket.as_fd(), room, spill, &mut ahead, 0) {
            Ok(Arrival::Message(message)) if message.frame.kind == Kind::Reply => return Ok(message),
            Ok(Arrival::Message(_)) => return Err(sys::error(libc::EINTR)),
            Ok(Arrival::Piece) => {}
            Ok(Arrival::End) if line.memory.as_ref().is_some_and(Memory::is_untaken) => {
                return Err(sys::error(libc::EPIPE));
            }
            // The server ended with the call in its hands.
            Ok(Arrival::End) => return Err(sys::error(libc::EINTR)),
            Err(error) => match sys::number(&error) {
                libc::EINTR if !interruptible => {}
                libc::EAGAIN => {}
                libc::EPROTO => return Err(sys::error(libc::EINTR)),
                _ => return Err(error),
            },
        }
    }
}

/// The thread's channel to the door, or a new one. `EBADF`: not a door, or it is revoked or its server gone.
fn take_line(door: BorrowedFd<'_>, number: u64) -> io::Result<Line> {
    let ids = sys::all_ids();
    let kept = LINES.try_with(|lines| {
        let mut lines = lines.borrow_mut();
        let process = sys::process_id();
        if lines.process != process {
            lines.lines.clear();
            lines.process = process;
        }
        let place = lines.lines.iter().position(|line| line.door == number)?;
        Some(lines.lines.remove(place)).filter(|line| line.ids == ids)
    });
    if let Ok(Some(line)) = kept {
        return Ok(line);
    }
    label(door)?;
    forget_ended_lines();
    let (mine, theirs) = fork::private_pair()?;
    sys::want_credentials(theirs.as_fd())?;
    sys::set_receive_timeout(mine.as_fd(), FOR_EVER)?;
    let (memory, file) = Memory::create().ok().unzip();
    let passed = [Some(theirs.as_fd()), file.as_ref().map(Private::as_fd)];
    send_request(door, Request::Channel, passed.into_iter().flatten())?;
    Ok(Line {
        door: number,
        socket: mine,
        memory,
        ids,
    })
}

fn keep_line(line: Line) {
    // A thread that is ending keeps nothing; the channel closes here.
    let _ = LINES.try_with(|lines| {
        let mut lines = lines.borrow_mut();
        if lines.lines.len() >= LINES_KEPT {
            lines.lines.remove(0);
        }
        lines.lines.push(line);
    });
}

/// Closes the channels whose doors are revoked, gone, or closed in this process.
fn forget_ended_lines() {
    let _ = LINES.try_with(|lines| {
        lines
            .borrow_mut()
            .lines
            .retain(|line| !sys::is_hung_up(line.socket.as_fd()))
    });
}

/// The label of a door. `EBADF`: not a door.
pub fn label(door: BorrowedFd<'_>) -> io::Result<Label> {
    sys::peer_name(door)
        .and_then(|name| Label::parse(&name))
        .ok_or_else(|| sys::error(libc::EBADF))
}

/// Sends a request to the door itself. `EBADF`: the door is revoked or its server gone.
pub fn request(door: BorrowedFd<'_>, request: Request, passed: BorrowedFd<'_>) -> io::Result<()> {
    send_request(door, request, [passed])
}

fn send_request<'a>(
    door: BorrowedFd<'_>,
    request: Request,
    passed: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> io::Result<()> {
    let passed: Vec<RawFd> = passed.into_iter().map(|one| one.as_raw_fd()).collect();
    match sys::send(door, [&[request.encode()]], &passed, 0) {
        Ok(_) => Ok(()),
        Err(error) => Err(match sys::number(&error) {
            libc::EPIPE | libc::ECONNRESET | libc::ENOTCONN | libc::ENOTSOCK => sys::error(libc::EBADF),
            _ => error,
        }),
    }
}

/// One more descriptor of the door that counts for itself.
pub fn further_endpoint(door: BorrowedFd<'_>, label: Label) -> io::Result<Private> {
    let (mine, theirs) = super::served::labelled_pair(label)?;
    request(door, Request::Endpoint, theirs.as_fd())?;
    Ok(mine)
}

/// Asks the server about its door.
pub fn describe(door: BorrowedFd<'_>) -> io::Result<Description> {
    label(door)?;
    let (mine, theirs) = fork::private_pair()?;
    sys::set_receive_timeout(mine.as_fd(), ANSWER_TIMEOUT)?;
    request(door, Request::Query, theirs.as_fd())?;
    drop(theirs);
    let mut bytes = [0; Description::LENGTH];
    let received = receive_answer(mine.as_fd(), &mut bytes, &mut Vec::new())?;
    Description::decode(&bytes[..received]).ok_or_else(|| sys::error(libc::EBADF))
}

/// Waits for a short answer of a control thread. `ETIMEDOUT`: none came.
pub fn receive_answer(socket: BorrowedFd<'_>, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    loop {
        match sys::receive(socket, [bytes, &mut [], &mut []], descriptors, 0) {
            Ok(received) => return Ok(received.length),
            Err(error) => match sys::number(&error) {
                libc::EINTR => {}
                libc::EAGAIN => return Err(sys::error(libc::ETIMEDOUT)),
                libc::ECONNRESET => return Ok(0),
                _ => return Err(error),
            },
        }
    }
}

/// How long an opener waits for his descriptor.
pub fn bound_answer(socket: BorrowedFd<'_>) -> io::Result<()> {
    sys::set_receive_timeout(socket, ANSWER_TIMEOUT)
}
