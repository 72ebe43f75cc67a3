//! Connections that have not greeted yet: a bounded number. When one more comes the oldest is closed, so a flood of silent
//! callers neither takes memory nor keeps the peer out: it needs a few milliseconds, they stay for ever.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

/// Connections in the lobby.
pub const CAPACITY: usize = 16;

/// Where callers wait until they have greeted.
#[derive(Default)]
pub struct Lobby {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    waiting: VecDeque<(u64, TcpStream)>,
    next: u64,
}

/// A place in the lobby, given back when dropped.
pub struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
}

impl Lobby {
    /// Lets a caller in; true: the oldest one was closed for it.
    pub fn enter(self: &Arc<Self>, stream: &TcpStream) -> io::Result<(Guest, bool)> {
        let stream = stream.try_clone()?;
        let mut state = self.state.lock();
        let oldest = if state.waiting.len() >= CAPACITY {
            state.waiting.pop_front()
        } else {
            None
        };
        if let Some((_, oldest)) = &oldest {
            // Fails only when it has ended already. Its thread sees the end of the stream.
            let _ = oldest.shutdown(Shutdown::Both);
        }
        let number = state.next;
        state.next += 1;
        state.waiting.push_back((number, stream));
        let guest = Guest {
            lobby: Arc::clone(self),
            number,
        };
        Ok((guest, oldest.is_some()))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = self.lobby.state.lock();
        state.waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn the_oldest_makes_room() {
        let lobby = Arc::new(Lobby::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let call = || {
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (peer, listener.accept().unwrap().0)
        };
        let mut calls: Vec<_> = (0..=CAPACITY).map(|_| call()).collect();
        let mut guests = Vec::new();
        for (n, (_, stream)) in calls.iter().enumerate() {
            let (guest, evicted) = lobby.enter(stream).unwrap();
            guests.push(guest);
            assert_eq!(evicted, n == CAPACITY);
        }
        assert_eq!(calls[0].0.read(&mut [0]).unwrap(), 0, "the oldest is closed");
        // Who has left makes room without harm to anybody.
        drop(guests.pop());
        assert!(!lobby.enter(&calls[0].1).unwrap().1);
        calls[1].0.set_nonblocking(true).unwrap();
        assert_eq!(
            calls[1].0.read(&mut [0]).unwrap_err().kind(),
            std::io::ErrorKind::WouldBlock
        );
    }
}
