//! What the administrative tools and the peer daemon are made of (`cli.md`).
//!
//! The programs in `bin/` only wire arguments, streams and the exit status; everything else is here, behind two seams that
//! tests replace: [`Console`] (where output goes) and [`Service`] (who answers).
//!
//! | module | what |
//! |---|---|
//! | [`command_line`], [`usage`] | the common subcommand parser of `cli.md` 1.3 to 1.5, driven by one table a tool |
//! | [`completion`] | shell completion |
//! | `document` | the JSON document of a list (`cli.md` 10.1) |
//! | `effects` | what a change does, or would do |
//! | `patience` | how long a tool waits |
//! | `watch` | screens again and again (`cli.md` 10.3) |
//! | `colour` | words that are painted (`cli.md` 10.5) |
//! | `explain` | the line behind an error (`cli.md` 10.7) |
//! | `exit_class` | exit statuses that tell the kind of a failure (`cli.md` 10.10) |
//! | `version` | what `--version` prints |
//! | [`values`], `lu_name`, [`lu_property`], [`local_time`] | text to value and back |
//! | [`stmfadm`], [`sbdadm`], [`itadm`], [`aluaadm`] | the tools |
//! | [`stmfproxy`] | the peer daemon |

pub mod aluaadm;
mod colour;
pub mod command_line;
pub mod completion;
mod console;
mod document;
mod effects;
mod exit_class;
mod explain;
pub mod itadm;
pub mod local_time;
mod lu_name;
pub mod lu_property;
mod patience;
pub mod program;
mod progress;
pub mod sbdadm;
mod service;
pub mod stmfadm;
pub mod stmfproxy;
mod text;
pub mod usage;
pub mod values;
mod version;
mod watch;

pub use console::{Console, Failure};
pub use service::{Daemon, Service};

#[cfg(test)]
mod manual_tests;
#[cfg(test)]
mod script;
