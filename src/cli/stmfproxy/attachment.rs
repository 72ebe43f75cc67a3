//! The door in the local framework: installed, and installed again when the service was restarted.
#![forbid(unsafe_code)]

use super::backoff::Backoff;
use super::framework::Framework;
use super::relay::Relay;
use crate::types::Status;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// How long the door of a predecessor that has just ended may still be seen as installed.
const PREDECESSOR: Duration = Duration::from_secs(5);

/// The first attachment. Any failure is final (exit 95), except the door of a predecessor that is being taken away.
pub fn first(framework: &dyn Framework, door: BorrowedFd<'_>) -> Result<i32, Status> {
    let (started, mut backoff) = (Instant::now(), Backoff::default());
    loop {
        match framework.install(door) {
            Err(Status::DoorInstalled | Status::Busy) if started.elapsed() < PREDECESSOR => {
                thread::sleep(backoff.next_wait());
            }
            done => return done,
        }
    }
}

/// Watches the door for ever; when the service has gone, installs it in the next one.
pub fn keep(framework: &dyn Framework, door: BorrowedFd<'_>, relay: &Relay, mut handle: i32) -> ! {
    loop {
        match framework.life_line(handle) {
            Ok(life_line) => wait_for_hang_up(&life_line),
            Err(status) => log::error!("proxy door {handle}: {status}"),
        }
        relay.detach();
        framework.destroy(handle);
        log::warn!("the STMF service has gone; waiting for it to come back");
        handle = again(framework, door);
        log::info!("attached to the STMF service again");
        relay.attach(handle);
    }
}

fn again(framework: &dyn Framework, door: BorrowedFd<'_>) -> i32 {
    let (mut backoff, mut told) = (Backoff::default(), Status::ServiceNotFound);
    loop {
        match framework.install(door) {
            Ok(handle) => return handle,
            Err(status) => {
                if status != told {
                    log::error!("could not install door: {status}; trying again");
                    told = status;
                }
                thread::sleep(backoff.next_wait());
            }
        }
    }
}

fn wait_for_hang_up(life_line: &OwnedFd) {
    let mut fds = [PollFd::new(life_line.as_fd(), PollFlags::empty())];
    while poll(&mut fds, PollTimeout::NONE) == Err(Errno::EINTR) {}
}
