//! What hosts have read and written, and how long it took.
//!
//! Counted once, for the pair of nexus and LU ([`IoCounters`]), which one worker serves as a rule, so nothing is shared between
//! CPUs. An LU, a session and a target each keep a [`Ledger`] of their pairs and add them up when somebody asks.

use super::latency::LiveLatency;
use super::{Latency, Outcome};
use crate::scsi::ScsiStatus;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Totals, executed here or forwarded from here. They never go down while the node runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoTotals {
    /// Commands that read the medium and ended with GOOD.
    pub read_ops: u64,
    /// Commands that change the medium and ended with GOOD.
    pub write_ops: u64,
    /// Bytes of these reads.
    pub read_bytes: u64,
    /// Bytes of these writes.
    pub write_bytes: u64,
    /// Time of all these commands together, from the last byte of the host's data to the outcome, nanoseconds.
    pub busy_ns: u64,
    /// Reads and writes that ended otherwise.
    pub errors: u64,
}

impl IoTotals {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &IoTotals) {
        self.each(other, u64::wrapping_add);
    }

    /// What was counted since `earlier`, which are the same totals some time ago.
    pub fn since(mut self, earlier: &IoTotals) -> IoTotals {
        self.each(earlier, u64::saturating_sub);
        self
    }

    fn each(&mut self, other: &IoTotals, with: impl Fn(u64, u64) -> u64) {
        self.read_ops = with(self.read_ops, other.read_ops);
        self.write_ops = with(self.write_ops, other.write_ops);
        self.read_bytes = with(self.read_bytes, other.read_bytes);
        self.write_bytes = with(self.write_bytes, other.write_bytes);
        self.busy_ns = with(self.busy_ns, other.busy_ns);
        self.errors = with(self.errors, other.errors);
    }
}

/// Totals, and how long the commands took that ended with GOOD.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoReport {
    /// Totals.
    pub totals: IoTotals,
    /// Of reads.
    pub read_latency: Latency,
    /// Of writes.
    pub write_latency: Latency,
}

impl IoReport {
    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &IoReport) {
        self.totals.add(&other.totals);
        self.read_latency.add(&other.read_latency);
        self.write_latency.add(&other.write_latency);
    }
}

/// Reads and writes of the medium (SBC-3 5): what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

impl Direction {
    fn of(opcode: u8) -> Option<Direction> {
        match opcode {
            0x08 | 0x28 | 0xa8 | 0x88 => Some(Direction::Read),
            // WRITE, WRITE AND VERIFY, WRITE SAME, COMPARE AND WRITE
            0x0a | 0x2a | 0xaa | 0x8a | 0x2e | 0xae | 0x8e | 0x41 | 0x93 | 0x89 => Some(Direction::Write),
            _ => None,
        }
    }
}

/// A command that counts, from the moment of its execution.
pub(super) struct Running(Direction, Instant);

impl Running {
    /// `None` for what is neither a read nor a write.
    pub fn begin(opcode: u8) -> Option<Running> {
        Direction::of(opcode).map(|direction| Running(direction, Instant::now()))
    }
}

/// The counters of one nexus on one LU.
#[derive(Default)]
pub(super) struct IoCounters {
    read_latency: LiveLatency,
    write_latency: LiveLatency,
    read_bytes: AtomicU64,
    write_bytes: AtomicU64,
    errors: AtomicU64,
    /// The pair is gone; nothing more is counted.
    ended: AtomicBool,
}

impl IoCounters {
    pub fn end(&self, running: &Running, outcome: &Outcome) {
        self.count(running.0, outcome, running.1.elapsed());
    }

    fn count(&self, direction: Direction, outcome: &Outcome, took: Duration) {
        if outcome.status != ScsiStatus::Good {
            add(&self.errors, 1);
            return;
        }
        let (latency, bytes) = match direction {
            Direction::Read => (&self.read_latency, &self.read_bytes),
            Direction::Write => (&self.write_latency, &self.write_bytes),
        };
        latency.count(took);
        add(bytes, outcome.implied);
    }

    /// The pair is gone.
    pub fn close(&self) {
        self.ended.store(true, Ordering::Release);
    }

    fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn totals(&self) -> IoTotals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (reads, writes) = (self.read_latency.totals(), self.write_latency.totals());
        IoTotals {
            read_ops: reads.0,
            write_ops: writes.0,
            read_bytes: load(&self.read_bytes),
            write_bytes: load(&self.write_bytes),
            busy_ns: reads.1.wrapping_add(writes.1),
            errors: load(&self.errors),
        }
    }

    fn add_to(&self, sum: &mut IoReport) {
        sum.totals.add(&self.totals());
        self.read_latency.add_to(&mut sum.read_latency);
        self.write_latency.add_to(&mut sum.write_latency);
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// The counters of all pairs that belong to one LU, session or target, and what those that are gone have counted.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Pairs>);

#[derive(Default)]
struct Pairs {
    gone: IoReport,
    live: Vec<Arc<IoCounters>>,
}

impl Pairs {
    fn settle(&mut self) {
        let gone = &mut self.gone;
        self.live.retain(|pair| {
            let ended = pair.ended();
            if ended {
                pair.add_to(gone);
            }
            !ended
        });
    }
}

impl Ledger {
    pub fn open(&self, pair: &Arc<IoCounters>) {
        let mut pairs = self.0.lock();
        pairs.settle();
        pairs.live.push(pair.clone());
    }

    pub fn report(&self) -> IoReport {
        let mut pairs = self.0.lock();
        pairs.settle();
        let mut sum = pairs.gone.clone();
        pairs.live.iter().for_each(|pair| pair.add_to(&mut sum));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_direction_and_status() {
        let counters = Arc::new(IoCounters::default());
        let ledger = Ledger::default();
        ledger.open(&counters);
        let took = Duration::from_micros(3);
        counters.count(Direction::Read, &Outcome::data_in(vec![0; 512]), took);
        counters.count(Direction::Write, &Outcome::data_out(4096), took);
        counters.count(Direction::Write, &Outcome::status(ScsiStatus::Busy), took);
        let expected = IoTotals {
            read_ops: 1,
            write_ops: 1,
            read_bytes: 512,
            write_bytes: 4096,
            busy_ns: 6000,
            errors: 1,
        };
        let report = ledger.report();
        assert_eq!(report.totals, expected);
        assert_eq!((report.read_latency.count(), report.write_latency.sum_ns), (1, 3000));
    }

    #[test]
    fn what_is_gone_still_counts() {
        let ledger = Ledger::default();
        for _ in 0..3 {
            let pair = Arc::new(IoCounters::default());
            ledger.open(&pair);
            pair.count(
                Direction::Read,
                &Outcome::data_in(vec![0; 512]),
                Duration::from_micros(1),
            );
            pair.close();
            let _ = ledger.report();
            assert_eq!(Arc::strong_count(&pair), 1);
        }
        let report = ledger.report();
        assert_eq!((report.totals.read_ops, report.read_latency.count()), (3, 3));
    }

    #[test]
    fn only_reads_and_writes_count() {
        assert_eq!(Direction::of(0x28), Some(Direction::Read));
        assert_eq!(Direction::of(0x93), Some(Direction::Write));
        for opcode in [0x00, 0x12, 0x35, 0x42, 0xa0] {
            assert!(Running::begin(opcode).is_none());
        }
    }
}
