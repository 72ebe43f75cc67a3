//! The node in the OpenMetrics text format, version 1.0.0: `/metrics`; and in that of Prometheus: `stmfadm status --format=prometheus`.
//!
//! | file | what |
//! |---|---|
//! | `text` | the format: families, samples, labels. Pure |
//! | `exposition` | which metrics there are, from the framework's reports. Pure |
#![forbid(unsafe_code)]

mod exposition;
mod text;

pub use exposition::exposition;
pub use text::{CONTENT_TYPE, Format};
