//! The 64-bit completion codes of the peer protocol (`alua-proxy.md` 3.6, message 9). The low 32 bits are always 0, so the
//! 8-bit status field of the original reads 0 for failures too (hazard H15).

const FAILURE: u64 = 1 << 60;

/// Done.
pub const SUCCESS: u64 = 0;
/// Failure without detail; in SCSI_DATA_XFER_DONE: no such task.
pub const FAILED: u64 = FAILURE;
/// The port or session is unknown.
pub const NOT_FOUND: u64 = FAILURE | 1 << 32;
/// A stale session id, a command that makes no sense.
pub const INVALID_ARG: u64 = FAILURE | 2 << 32;
/// It was aborted before it came.
pub const ABORTED: u64 = FAILURE | 5 << 32;
/// The port exists, the task id is in use.
pub const ALREADY: u64 = FAILURE | 8 << 32;
/// Not supported.
pub const NOT_SUPPORTED: u64 = FAILURE | 10 << 32;
/// The port is not online.
pub const BAD_STATE: u64 = FAILURE | 11 << 32;
/// Too much to do.
pub const BUSY: u64 = FAILURE | 0x80 << 48;
