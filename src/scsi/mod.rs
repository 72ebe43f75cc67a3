//! SCSI without I/O: status, sense data, CDB fields, INQUIRY and VPD pages, mode pages, target port groups.
#![forbid(unsafe_code)]

pub mod capacity;
pub mod cdb;
pub mod copy;
pub mod inquiry;
pub mod mode;
pub mod opcodes;
pub mod provisioning;
pub mod reservation;
mod sense;
pub mod vpd;

pub use cdb::Extent;
pub use sense::{ScsiStatus, Sense};
