//! SCSI without I/O: status, sense data, CDB fields, INQUIRY and VPD pages, mode pages, target port groups.
#![forbid(unsafe_code)]

mod sense;

pub use sense::{ScsiStatus, Sense};
