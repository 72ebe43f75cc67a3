//! Disk logical units on files and block devices: the LU provider `sbd` (`scsi-sbd.md` chapters 2 and 4).
//!
//! | file | what |
//! |---|---|
//! | `provider` | create, import, identify |
//! | `scan` | which LU a file could be imported as |
//! | `lu` | an open LU as the framework sees it |
//! | `command/` | SCSI commands, one file per family, one table |
//! | `medium`, `extents` | the user data: reads, writes, flush; holes |
//! | `range` | atomicity of commands on the same blocks |
//! | `reservations` | reservations in force, and their way to the metadata |
//! | `metadata/` | the format of the original, pure |
//! | `block_file` | I/O of metadata and ownership record past the page cache; locks |
//! | `ownership`, `lease`, `gate` | claim, renewal, fence (`alua-proxy.md` 6.6) |
//! | `pool`, `registry`, `size`, `guid`, `sys` | I/O threads; files in use; sizes; GUIDs; system interfaces |

mod block_file;
mod command;
mod extents;
mod gate;
mod guid;
mod inline;
mod lease;
mod lu;
mod medium;
mod metadata;
mod modify;
mod ownership;
mod pool;
mod provider;
mod range;
mod registry;
#[cfg(test)]
mod reservation_tests;
mod reservations;
pub mod scan;
mod size;
mod sys;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use metadata::SHARED_SIZE;
pub use provider::Provider;

use crate::framework::alua::ownership as rules;
use crate::types::NodeId;
use std::sync::Arc;
use std::time::Duration;

/// What a [`Provider`] needs to know.
pub struct Config {
    /// Random identity of this installation, kept for its life.
    pub installation: [u8; 16],
    /// Different for each life of the framework.
    pub incarnation: u64,
    /// The node id at the moment of a claim.
    pub node: Arc<dyn Fn() -> NodeId + Send + Sync>,
    /// Timings of the lease.
    pub lease: LeaseTimes,
    /// Threads for I/O that would block, at most.
    pub io_threads: usize,
}

impl Config {
    /// With the defaults for timings and threads.
    pub fn new(installation: [u8; 16], incarnation: u64, node: Arc<dyn Fn() -> NodeId + Send + Sync>) -> Config {
        const IO_THREADS: usize = 8;
        Config {
            installation,
            incarnation,
            node,
            lease: LeaseTimes::default(),
            io_threads: IO_THREADS,
        }
    }
}

/// Timings of a lease (`alua-proxy.md` 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// A claimant that sees no renewal waits this long, and [`rules::TAKEOVER_MARGIN`] more. 1 s to 10 minutes.
    pub length: Duration,
    /// Time between renewals.
    pub renewal: Duration,
    /// Writes stop this long before the lease ends.
    pub margin: Duration,
}

impl LeaseTimes {
    /// The length as the record has it.
    fn length_ms(&self) -> u32 {
        u32::try_from(self.length.as_millis()).unwrap_or(u32::MAX)
    }
}

impl Default for LeaseTimes {
    fn default() -> Self {
        LeaseTimes {
            length: rules::LEASE,
            renewal: rules::RENEWAL,
            margin: rules::SAFETY_MARGIN,
        }
    }
}

/// For fuzzing: what is understood of a metadata area is written and understood the same way again.
#[cfg(fuzzing)]
pub fn fuzz_metadata(area: &[u8]) {
    let Ok(metadata) = metadata::Metadata::decode(area) else {
        return;
    };
    let _ = reservations::Reservations::load(&metadata, Some(1));
    if let Some(again) = metadata.encode(metadata::Slot::Second) {
        assert_eq!(metadata::Metadata::decode(&again), Ok(metadata));
    }
}
