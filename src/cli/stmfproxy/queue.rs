//! The frames that wait for one connection: bounded, in order, closed together with it.
#![forbid(unsafe_code)]

use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;

/// Bytes that may wait. More makes the sender wait, and its door call with it: back-pressure that the framework sees.
const MAX_WAITING: usize = 4 << 20;

/// Frames taken for one write.
const MAX_BATCH: usize = 64;

/// The connection has ended; nothing that waited is sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

/// A bounded queue of frames.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    room: Condvar,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    /// Appends a frame; waits while the queue is full. A frame longer than the queue is let in alone.
    pub fn push(&self, frame: Vec<u8>) -> Result<(), Closed> {
        let mut state = self.state.lock();
        while !state.closed && state.bytes > 0 && state.bytes + frame.len() > MAX_WAITING {
            self.room.wait(&mut state);
        }
        if state.closed {
            return Err(Closed);
        }
        state.bytes += frame.len();
        state.frames.push_back(frame);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for frames and takes the first ones, in order; `None` once closed.
    pub fn take(&self) -> Option<Vec<Vec<u8>>> {
        let mut state = self.state.lock();
        while !state.closed && state.frames.is_empty() {
            self.filled.wait(&mut state);
        }
        if state.closed {
            return None;
        }
        let count = state.frames.len().min(MAX_BATCH);
        let frames: Vec<Vec<u8>> = state.frames.drain(..count).collect();
        state.bytes -= frames.iter().map(Vec::len).sum::<usize>();
        self.room.notify_all();
        Some(frames)
    }

    /// Drops what waits and wakes everybody.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.frames.clear();
        self.room.notify_all();
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_and_batches() {
        let queue = Queue::default();
        for n in 0..100_u8 {
            queue.push(vec![n]).unwrap();
        }
        assert_eq!(queue.take().unwrap().len(), MAX_BATCH);
        assert_eq!(queue.take().unwrap().concat(), (64..100).collect::<Vec<u8>>());
    }

    #[test]
    fn a_full_queue_waits_for_room() {
        let queue = Queue::default();
        queue.push(vec![0; MAX_WAITING + 5]).unwrap();
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| queue.push(vec![1]));
            assert_eq!(queue.take().unwrap()[0].len(), MAX_WAITING + 5);
            assert_eq!(sender.join().unwrap(), Ok(()));
        });
        assert_eq!(queue.take().unwrap(), vec![vec![1]]);
    }

    #[test]
    fn closing_wakes_both_sides() {
        let queue = Queue::default();
        queue.push(vec![0; MAX_WAITING]).unwrap();
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| queue.push(vec![1]));
            queue.close();
            assert_eq!(sender.join().unwrap(), Err(Closed));
        });
        assert_eq!(queue.take(), None);
        assert_eq!(queue.push(vec![1]), Err(Closed));
    }
}
