//! Locks on ranges of blocks: whatever writes takes its range alone. So COMPARE AND WRITE and the like are atomic, and a
//! write that a host has given up (its session broke, its peer node went) ends before a later one to the same blocks
//! begins, however long it has to wait for a thread or for the device. Waiters are served in order, so nobody starves.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

type Waiter = Box<dyn FnOnce(Held) + Send>;

#[derive(Default)]
struct State {
    next: u64,
    held: Vec<(u64, Range<u64>)>,
    waiting: VecDeque<(Range<u64>, Waiter)>,
}

/// The locks of one LU.
#[derive(Default)]
pub struct Locks(Mutex<State>);

/// Logical blocks that are held, until dropped.
pub struct Held {
    locks: Arc<Locks>,
    id: u64,
}

impl Locks {
    /// Takes the blocks, or gives them back when somebody is in the way.
    pub fn try_take(self: &Arc<Self>, blocks: Range<u64>) -> Result<Held, Range<u64>> {
        let mut state = self.0.lock();
        if state.refuses(&blocks, state.waiting.len()) {
            return Err(blocks);
        }
        Ok(self.grant(&mut state, blocks))
    }

    /// Takes the blocks as soon as they can be had; `waiter` is called on whatever thread frees them, or at once, and must
    /// not block.
    pub fn take(self: &Arc<Self>, blocks: Range<u64>, waiter: impl FnOnce(Held) + Send + 'static) {
        let mut state = self.0.lock();
        if state.refuses(&blocks, state.waiting.len()) {
            state.waiting.push_back((blocks, Box::new(waiter)));
            return;
        }
        let held = self.grant(&mut state, blocks);
        drop(state);
        waiter(held);
    }

    fn grant(self: &Arc<Self>, state: &mut State, blocks: Range<u64>) -> Held {
        let id = state.next;
        state.next += 1;
        state.held.push((id, blocks));
        Held {
            locks: Arc::clone(self),
            id,
        }
    }

    fn free(self: &Arc<Self>, id: u64) {
        let mut state = self.0.lock();
        if let Some(at) = state.held.iter().position(|(held, _)| *held == id) {
            state.held.swap_remove(at);
        }
        let mut served = Vec::new();
        let mut at = 0;
        while at < state.waiting.len() {
            if state.refuses(&state.waiting[at].0, at) {
                at += 1;
            } else if let Some((blocks, waiter)) = state.waiting.remove(at) {
                let held = self.grant(&mut state, blocks);
                served.push((waiter, held));
            }
        }
        drop(state);
        served.into_iter().for_each(|(waiter, held)| waiter(held));
    }
}

impl State {
    /// Somebody holds some of them, or one of the first `before` waiters wants them.
    fn refuses(&self, blocks: &Range<u64>, before: usize) -> bool {
        let waiting = self.waiting.iter().take(before).map(|(blocks, _)| blocks);
        let held = self.held.iter().map(|(_, blocks)| blocks);
        held.chain(waiting).any(|other| meet(other, blocks))
    }
}

fn meet(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.free(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::mpsc;

    #[test]
    fn waiters_take_their_turn() {
        let locks = Arc::new(Locks::default());
        let first = locks.try_take(0..8).ok().unwrap();
        let second = locks.try_take(8..9).ok().unwrap();
        assert!(locks.try_take(9..10).is_ok(), "elsewhere");
        assert_eq!(locks.try_take(7..8).err(), Some(7..8));
        let (sender, receiver) = mpsc::channel();
        locks.take(4..9, move |held| sender.send(held).unwrap());
        drop(first);
        assert!(receiver.try_recv().is_err());
        assert!(locks.try_take(4..5).is_err(), "not past the waiter");
        drop(second);
        let held = receiver.try_recv().unwrap();
        assert!(locks.try_take(8..9).is_err());
        drop(held);
        assert!(locks.try_take(8..9).is_ok());
    }

    proptest! {
        /// Nobody holds what another one holds, and everybody is served in the end.
        #[test]
        fn exclusion_and_progress(wishes in proptest::collection::vec((0_u64..8, 1_u64..4), 1..40)) {
            let locks = Arc::new(Locks::default());
            let (sender, receiver) = mpsc::channel();
            for (start, length) in &wishes {
                let sender = sender.clone();
                locks.take(*start..start + length, move |held| sender.send(held).unwrap());
            }
            let mut served = 0;
            while let Ok(held) = receiver.try_recv() {
                served += 1;
                {
                    let state = locks.0.lock();
                    for (n, (_, a)) in state.held.iter().enumerate() {
                        prop_assert!(state.held[n + 1..].iter().all(|(_, b)| !meet(a, b)));
                    }
                }
                drop(held);
            }
            prop_assert_eq!(served, wishes.len());
        }
    }
}
