//! What the administrative tools and the peer daemon are made of (`cli.md`).
//!
//! The programs in `bin/` only wire arguments, streams and the exit status; everything else is here, behind two seams that
//! tests replace: [`Console`] (where output goes) and [`Service`] (who answers).
//!
//! | module | what |
//! |---|---|
//! | [`command_line`], [`usage`] | the common subcommand parser of `cli.md` 1.3 to 1.5, driven by one table a tool |
//! | `document` | the JSON document of a list (`cli.md` 10.1) |
//! | [`values`], [`lu_property`], [`local_time`] | text to value and back |
//! | [`stmfadm`], [`sbdadm`], [`itadm`], [`aluaadm`] | the tools |
//! | [`stmfproxy`] | the peer daemon |

pub mod aluaadm;
pub mod command_line;
mod console;
mod document;
pub mod itadm;
pub mod local_time;
pub mod lu_property;
pub mod program;
pub mod sbdadm;
mod service;
pub mod stmfadm;
pub mod stmfproxy;
mod text;
pub mod usage;
pub mod values;

pub use console::{Console, Failure};
pub use service::{Daemon, Service};

#[cfg(test)]
mod script;
