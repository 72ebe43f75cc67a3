//! One message with its descriptors through a private channel: the one place that knows how calls and replies travel.
//!
//! A message is one packet: head, then payload. More than 253 descriptors go ahead in packets of their own; a long
//! payload lies in a memory file that is the last descriptor. So a message arrives whole or not at all, however big, and
//! each side makes one system call for it in the ordinary case.
#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use super::frame::{DATA_LIMIT, DESCRIPTOR_LIMIT, FRAME_LENGTH, Frame, IN_MEMORY_FILE, INLINE_LIMIT, Kind};
use super::sys;

/// Descriptors in one packet; one place stays free for the memory file.
const PACKET_DESCRIPTORS: usize = sys::PASS_LIMIT - 1;

/// Where the payload of a received message is.
pub enum Body {
    /// In the room given to [`receive`], what does not fit there at the start of the overflow room.
    Here,
    /// In this file, which is as long as the frame says at least.
    File(OwnedFd),
}

/// A received message.
pub struct Message {
    /// Its head.
    pub frame: Frame,
    /// Its payload, [`Frame::length`] bytes.
    pub body: Body,
    /// Its descriptors, as many as [`Frame::descriptors`].
    pub descriptors: Vec<OwnedFd>,
    /// Some of its descriptors did not arrive, as this process has no room for them.
    pub descriptors_lost: bool,
    /// The sender, real ids, on a channel that asks for them.
    pub sender: Option<libc::ucred>,
}

/// Descriptors that arrived ahead of their message.
#[derive(Default)]
pub struct Ahead {
    descriptors: Vec<OwnedFd>,
    lost: bool,
}

/// Outcome of [`receive`].
pub enum Arrival {
    /// A message.
    Message(Message),
    /// A piece of one; there is more to receive.
    Piece,
    /// The other end is closed.
    End,
}

/// Sends a message; `frame.length` and `frame.descriptors` are set from what is given. `E2BIG`: past the bounds of the protocol.
pub fn send(
    channel: BorrowedFd<'_>,
    mut frame: Frame,
    data: &[u8],
    descriptors: &[RawFd],
    flags: libc::c_int,
) -> io::Result<()> {
    if data.len() > DATA_LIMIT || descriptors.len() > DESCRIPTOR_LIMIT {
        return Err(sys::error(libc::E2BIG));
    }
    frame.length = data.len() as u64;
    frame.descriptors = u32::try_from(descriptors.len()).map_err(|_| sys::error(libc::E2BIG))?;
    let mut rest = descriptors;
    while rest.len() > PACKET_DESCRIPTORS {
        let (packet, after) = rest.split_at(PACKET_DESCRIPTORS);
        let ahead = Frame {
            kind: Kind::Descriptors,
            flags: 0,
            status: 0,
            descriptors: PACKET_DESCRIPTORS as u32,
            length: 0,
        };
        sys::send(channel, [&ahead.encode()], packet, flags)?;
        rest = after;
    }
    if data.len() <= INLINE_LIMIT {
        match sys::send(channel, [&frame.encode(), data], rest, flags) {
            // The send buffer is smaller than usual on this machine.
            Err(error) if sys::number(&error) == libc::EMSGSIZE => {}
            sent => return sent.map(drop),
        }
    }
    frame.flags |= IN_MEMORY_FILE;
    let file = sys::memory_file(data)?;
    let mut with_file = rest.to_vec();
    with_file.push(file.as_raw_fd());
    sys::send(channel, [&frame.encode()], &with_file, flags).map(drop)
}

/// Receives a packet. `room` and `overflow` together must hold [`INLINE_LIMIT`] bytes. `EPROTO`: the other side does not keep
/// the rules; the channel is of no more use.
pub fn receive(
    channel: BorrowedFd<'_>,
    room: &mut [u8],
    overflow: &mut [u8],
    ahead: &mut Ahead,
    flags: libc::c_int,
) -> io::Result<Arrival> {
    let mut head = [0; FRAME_LENGTH];
    let before = ahead.descriptors.len();
    let received = sys::receive(channel, [&mut head, room, overflow], &mut ahead.descriptors, flags)?;
    if received.length == 0 && ahead.descriptors.len() == before && !received.descriptors_lost {
        return Ok(Arrival::End);
    }
    ahead.lost |= received.descriptors_lost;
    let broken = || sys::error(libc::EPROTO);
    let payload = received
        .length
        .checked_sub(FRAME_LENGTH)
        .filter(|_| !received.truncated)
        .ok_or_else(broken)?;
    let frame = Frame::decode(&head, payload).ok_or_else(broken)?;
    // One more than the limit: the memory file.
    if ahead.descriptors.len() > DESCRIPTOR_LIMIT + 1 {
        return Err(broken());
    }
    if frame.kind == Kind::Descriptors {
        return Ok(Arrival::Piece);
    }
    let Ahead { mut descriptors, lost } = std::mem::take(ahead);
    let mut body = Body::Here;
    if !lost && frame.flags & IN_MEMORY_FILE != 0 {
        let file = descriptors
            .pop()
            .filter(|file| sys::is_memory_file(file.as_fd()))
            .ok_or_else(broken)?;
        body = Body::File(file);
    }
    if !lost && descriptors.len() != frame.descriptors as usize {
        return Err(broken());
    }
    Ok(Arrival::Message(Message {
        frame,
        body,
        descriptors,
        descriptors_lost: lost,
        sender: received.credentials,
    }))
}
