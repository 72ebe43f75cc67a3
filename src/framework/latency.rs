//! How long commands took: a histogram with fixed bounds. Pure.
//!
//! Log-linear: one bucket up to 1,024 ns, then four of equal width for each doubling up to 2^34 ns (17 s), then one without
//! bound. So a bucket is at most a quarter wider than its lower bound, and finding it takes a shift and a count of zeros.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Binary logarithms of the upper bounds of the first and of the last bounded bucket, nanoseconds.
pub const OCTAVES: std::ops::RangeInclusive<u32> = 10..=34;
const FIRST: u32 = *OCTAVES.start();
const STEPS: usize = 4;

/// Number of buckets.
pub const BUCKETS: usize = 2 + (*OCTAVES.end() - FIRST) as usize * STEPS;

/// The bucket of a time. Upper bounds belong to their bucket.
fn bucket(ns: u64) -> usize {
    let below = ns.saturating_sub(1);
    let Some(octave) = below.checked_ilog2().filter(|octave| *octave >= FIRST) else {
        return 0;
    };
    let step = (below >> (octave - 2)) as usize % STEPS;
    (1 + (octave - FIRST) as usize * STEPS + step).min(BUCKETS - 1)
}

/// The longest time of a bucket, nanoseconds; `None`: without bound.
fn bound(bucket: usize) -> Option<u64> {
    let Some(at) = bucket.checked_sub(1) else {
        return Some(1 << FIRST);
    };
    let octave = FIRST + u32::try_from(at / STEPS).ok()?;
    let whole = 1_u64.checked_shl(octave).filter(|_| bucket < BUCKETS - 1)?;
    Some(whole + (at as u64 % STEPS as u64 + 1) * (whole / STEPS as u64))
}

/// Counted by many threads: two additions a command, no lock.
pub(super) struct LiveLatency {
    counts: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for LiveLatency {
    fn default() -> LiveLatency {
        LiveLatency {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            sum_ns: AtomicU64::new(0),
        }
    }
}

impl LiveLatency {
    pub fn count(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// The number of commands and their time together.
    pub fn totals(&self) -> (u64, u64) {
        let count = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        (count, self.sum_ns.load(Ordering::Relaxed))
    }

    pub fn add_to(&self, sum: &mut Latency) {
        for (at, count) in self.counts.iter().enumerate() {
            match count.load(Ordering::Relaxed) {
                0 => {}
                count => sum.add_at(at, count),
            }
        }
        sum.sum_ns = sum.sum_ns.wrapping_add(self.sum_ns.load(Ordering::Relaxed));
    }
}

/// How long commands took, at one moment. Totals never go down while the node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// All of them together, nanoseconds.
    pub sum_ns: u64,
    /// By bucket; empty buckets at the end are left out.
    counts: Vec<u64>,
}

impl Latency {
    fn add_at(&mut self, bucket: usize, count: u64) {
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].wrapping_add(count);
    }

    /// Adds what another one has counted.
    pub fn add(&mut self, other: &Latency) {
        for (at, count) in other.counts.iter().enumerate().take(BUCKETS) {
            self.add_at(at, *count);
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    /// What was counted since `earlier`, which is the same histogram some time ago.
    pub fn since(&self, earlier: &Latency) -> Latency {
        let before = |at| earlier.counts.get(at).copied().unwrap_or(0);
        let counts = self.counts.iter().enumerate();
        Latency {
            sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns),
            counts: counts.map(|(at, count)| count.saturating_sub(before(at))).collect(),
        }
    }

    /// Commands.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Commands that took at most 2^`octave` ns.
    pub fn count_within(&self, octave: u32) -> u64 {
        let buckets = 1 + octave.saturating_sub(FIRST) as usize * STEPS;
        self.counts.iter().take(buckets).sum()
    }

    /// At least so many per cent of the commands took at most so many nanoseconds: the bound of a bucket, so up to a quarter too
    /// much. `None`: no commands, or the time has no bound.
    pub fn percentile(&self, percent: u8) -> Option<u64> {
        let count = u128::from(self.count());
        let wanted = (count * u128::from(percent)).div_ceil(100);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += u128::from(*count);
            seen >= wanted && seen > 0
        })?;
        bound(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds() {
        assert_eq!(bucket(0), 0);
        assert_eq!((bucket(1024), bucket(1025), bucket(1280), bucket(1281)), (0, 1, 1, 2));
        assert_eq!(
            (bound(0), bound(1), bound(4), bound(5)),
            (Some(1024), Some(1280), Some(2048), Some(2560))
        );
        assert_eq!(bound(BUCKETS - 2), Some(1 << 34));
        assert_eq!(bound(BUCKETS - 1), None);
        assert_eq!(bucket(1 << 34), BUCKETS - 2);
        assert_eq!(bucket((1 << 34) + 1), BUCKETS - 1);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    fn of(times_ns: &[u64]) -> Latency {
        let live = LiveLatency::default();
        times_ns.iter().for_each(|ns| live.count(Duration::from_nanos(*ns)));
        let mut latency = Latency::default();
        live.add_to(&mut latency);
        assert_eq!(live.totals(), (latency.count(), latency.sum_ns));
        latency
    }

    #[test]
    fn percentiles() {
        assert_eq!(of(&[]).percentile(50), None);
        let mut times = vec![1500; 98];
        times.extend([70_000, 5_000_000]);
        let latency = of(&times);
        assert_eq!((latency.count(), latency.sum_ns), (100, 98 * 1500 + 5_070_000));
        assert_eq!(latency.percentile(50), Some(1536));
        assert_eq!(latency.percentile(99), Some(81_920));
        assert_eq!(latency.percentile(100), Some(5_242_880));
        assert_eq!(of(&[20_000_000_000]).percentile(50), None);
    }

    #[test]
    fn sums_and_differences() {
        let (a, b) = (of(&[100, 3000]), of(&[3000, 1 << 20]));
        let mut both = a.clone();
        both.add(&b);
        assert_eq!(both, of(&[100, 3000, 3000, 1 << 20]));
        assert_eq!(
            both.since(&a),
            Latency {
                counts: both.since(&a).counts,
                sum_ns: b.sum_ns
            }
        );
        assert_eq!(both.since(&a).percentile(100), b.percentile(100));
        assert_eq!(
            (both.count_within(10), both.count_within(12), both.count_within(20)),
            (1, 3, 4)
        );
    }

    proptest! {
        #[test]
        fn a_time_is_within_its_bucket(ns: u64) {
            let at = bucket(ns);
            prop_assert!(bound(at).is_none_or(|bound| ns <= bound));
            if at > 0 {
                prop_assert!(bound(at - 1).is_some_and(|lower| ns > lower));
            }
        }
    }
}
