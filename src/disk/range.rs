//! Locks on ranges of blocks: what must be atomic against other commands (COMPARE AND WRITE, ORWRITE) takes its range
//! alone; whatever else writes shares its range with the others. Waiters are served in order, so nobody starves.
#![forbid(unsafe_code)]

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// How a range is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Alone.
    Exclusive,
    /// With others that do the same.
    Shared,
}

/// Blocks, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Logical blocks.
    pub blocks: Range<u64>,
    /// How they are wanted.
    pub share: Share,
}

impl Wish {
    fn excludes(&self, other: &Wish) -> bool {
        let meet = self.blocks.start < other.blocks.end && other.blocks.start < self.blocks.end;
        meet && (self.share == Share::Exclusive || other.share == Share::Exclusive)
    }
}

type Waiter = Box<dyn FnOnce(Held) + Send>;

#[derive(Default)]
struct State {
    next: u64,
    held: Vec<(u64, Wish)>,
    waiting: VecDeque<(u64, Wish, Waiter)>,
}

/// The locks of one LU.
#[derive(Default)]
pub struct Locks(Mutex<State>);

/// A range that is held, until dropped.
pub struct Held {
    locks: Arc<Locks>,
    id: u64,
}

impl Locks {
    /// Takes the range, or gives the wish back when somebody is in the way.
    pub fn try_take(self: &Arc<Self>, wish: Wish) -> Result<Held, Wish> {
        let mut state = self.0.lock();
        if state.refuses(&wish, state.waiting.len()) {
            return Err(wish);
        }
        Ok(self.grant(&mut state, wish))
    }

    /// Takes the range as soon as it can be had; `waiter` is called on whatever thread frees it, or at once, and must
    /// not block.
    pub fn take(self: &Arc<Self>, wish: Wish, waiter: impl FnOnce(Held) + Send + 'static) {
        let mut state = self.0.lock();
        if state.refuses(&wish, state.waiting.len()) {
            let id = state.next;
            state.next += 1;
            state.waiting.push_back((id, wish, Box::new(waiter)));
            return;
        }
        let held = self.grant(&mut state, wish);
        drop(state);
        waiter(held);
    }

    fn grant(self: &Arc<Self>, state: &mut State, wish: Wish) -> Held {
        let id = state.next;
        state.next += 1;
        state.held.push((id, wish));
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
            if state.refuses(&state.waiting[at].1, at) {
                at += 1;
            } else if let Some((_, wish, waiter)) = state.waiting.remove(at) {
                let held = self.grant(&mut state, wish);
                served.push((waiter, held));
            }
        }
        drop(state);
        served.into_iter().for_each(|(waiter, held)| waiter(held));
    }
}

impl State {
    /// Somebody holds it, or one of the first `before` waiters wants it.
    fn refuses(&self, wish: &Wish, before: usize) -> bool {
        let waiting = self.waiting.iter().take(before).map(|(_, wish, _)| wish);
        let held = self.held.iter().map(|(_, wish)| wish);
        held.chain(waiting).any(|other| other.excludes(wish))
    }
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

    fn wish(blocks: Range<u64>, share: Share) -> Wish {
        Wish { blocks, share }
    }

    #[test]
    fn writers_share_and_the_exclusive_one_waits_for_its_turn() {
        let locks = Arc::new(Locks::default());
        let first = locks.try_take(wish(0..8, Share::Shared)).ok().unwrap();
        let second = locks.try_take(wish(4..9, Share::Shared)).ok().unwrap();
        assert!(locks.try_take(wish(9..10, Share::Exclusive)).is_ok(), "elsewhere");
        let (sender, receiver) = mpsc::channel();
        locks.take(wish(8..9, Share::Exclusive), move |held| sender.send(held).unwrap());
        assert!(
            locks.try_take(wish(8..9, Share::Shared)).is_err(),
            "not past the waiter"
        );
        drop(first);
        assert!(receiver.try_recv().is_err());
        drop(second);
        let held = receiver.try_recv().unwrap();
        assert!(locks.try_take(wish(8..9, Share::Shared)).is_err());
        drop(held);
        assert!(locks.try_take(wish(8..9, Share::Shared)).is_ok());
    }

    proptest! {
        /// Nobody holds what excludes another holder, and everybody is served in the end.
        #[test]
        fn exclusion_and_progress(wishes in proptest::collection::vec((0_u64..8, 1_u64..4, any::<bool>()), 1..40)) {
            let locks = Arc::new(Locks::default());
            let (sender, receiver) = mpsc::channel();
            for (start, length, alone) in &wishes {
                let share = if *alone { Share::Exclusive } else { Share::Shared };
                let sender = sender.clone();
                locks.take(wish(*start..start + length, share), move |held| sender.send(held).unwrap());
            }
            let mut served = 0;
            while let Ok(held) = receiver.try_recv() {
                served += 1;
                {
                    let state = locks.0.lock();
                    for (n, (_, a)) in state.held.iter().enumerate() {
                        prop_assert!(state.held[n + 1..].iter().all(|(_, b)| !a.excludes(b)));
                    }
                }
                drop(held);
            }
            prop_assert_eq!(served, wishes.len());
        }
    }
}
