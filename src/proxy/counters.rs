use super::message::Body;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages by type since the start, for listings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Given to the door.
    pub sent: [u64; Body::TYPES],
    /// Taken from the peer.
    pub received: [u64; Body::TYPES],
    /// Not delivered: no door, or it failed or refused them.
    pub lost: u64,
    /// Well-formed, but not understood.
    pub dropped: u64,
    /// No messages at all, or refused because ALUA mode is disabled.
    pub refused: u64,
}

#[derive(Default)]
pub(super) struct LiveCounters {
    sent: [AtomicU64; Body::TYPES],
    received: [AtomicU64; Body::TYPES],
    pub lost: AtomicU64,
    pub dropped: AtomicU64,
    pub refused: AtomicU64,
}

impl LiveCounters {
    pub fn sent(&self, body: &Body) {
        count(&self.sent[usize::from(body.number())]);
    }

    pub fn received(&self, body: &Body) {
        count(&self.received[usize::from(body.number())]);
    }

    pub fn snapshot(&self) -> Counters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            sent: std::array::from_fn(|i| load(&self.sent[i])),
            received: std::array::from_fn(|i| load(&self.received[i])),
            lost: load(&self.lost),
            dropped: load(&self.dropped),
            refused: load(&self.refused),
        }
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
