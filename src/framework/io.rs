//! What hosts have read and written: totals of one LU since this node knows it.

use super::{Framework, Outcome};
use crate::scsi::ScsiStatus;
use crate::types::{Guid, Status};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
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

/// The counters behind [`IoTotals`].
#[derive(Default)]
pub(super) struct IoCounters {
    read_ops: AtomicU64,
    write_ops: AtomicU64,
    read_bytes: AtomicU64,
    write_bytes: AtomicU64,
    busy_ns: AtomicU64,
    errors: AtomicU64,
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
        let (ops, bytes) = match direction {
            Direction::Read => (&self.read_ops, &self.read_bytes),
            Direction::Write => (&self.write_ops, &self.write_bytes),
        };
        add(ops, 1);
        add(bytes, outcome.implied);
        add(&self.busy_ns, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    fn totals(&self) -> IoTotals {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        IoTotals {
            read_ops: load(&self.read_ops),
            write_ops: load(&self.write_ops),
            read_bytes: load(&self.read_bytes),
            write_bytes: load(&self.write_bytes),
            busy_ns: load(&self.busy_ns),
            errors: load(&self.errors),
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Framework {
    /// What hosts have read and written of a registered LU through this node.
    pub fn lu_io(&self, guid: &Guid) -> Result<IoTotals, Status> {
        Ok(self.configured()?.lu(guid)?.io.totals())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_direction_and_status() {
        let counters = IoCounters::default();
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
        assert_eq!(counters.totals(), expected);
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
