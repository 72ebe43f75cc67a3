//! The iSCSI target port provider `iscsit` (`iscsi-target.md`, RFC 7143).
//!
//! | floor | modules |
//! |---|---|
//! | pure | [`admin`], [`pdu`], [`decoder`], [`output`], [`text`], [`name`], [`parameters`], [`chap`], [`radius`], [`security`], [`login`], [`window`], [`directory`], [`session`], [`table`] |
//! | shell | `engine` (sockets), `worker` (connections), `portal` (listeners), `janitor` (what may wait), `sessions`, `target`, `config` (targets, groups, initiators; persistence), [`Provider`], `reconfigure` (from one configuration to another) |

pub mod admin;
pub mod chap;
pub mod decoder;
pub mod directory;
pub mod login;
pub mod name;
pub mod output;
pub mod parameters;
pub mod pdu;
pub mod radius;
pub mod security;
pub mod session;
pub mod table;
pub mod text;
pub mod window;

mod authenticator;
mod config;
mod engine;
mod isns;
mod janitor;
mod node;
mod portal;
mod provider;
mod reconfigure;
mod sessions;
mod target;
mod worker;

pub use config::PROVIDER;
#[cfg(fuzzing)]
pub use config::fuzz_data;
pub use engine::heap::keep_buffers;
#[cfg(fuzzing)]
pub use isns::fuzz_answer;
pub use portal::PortalError;
pub use provider::{ChangeError, Config, Provider, StartError};
pub use reconfigure::{check_data, key};
