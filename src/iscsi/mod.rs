//! The iSCSI target port provider `iscsit` (`iscsi-target.md`, RFC 7143).
//!
//! | floor | modules |
//! |---|---|
//! | pure | [`pdu`], [`decoder`], [`output`], [`text`], [`name`], [`parameters`], [`security`], [`login`], [`window`], [`directory`], [`connection`] |
//! | shell | `engine` (sockets and workers), `config` (persistence), `target`, `provider` |

pub mod connection;
pub mod decoder;
pub mod directory;
pub mod login;
pub mod name;
pub mod output;
pub mod parameters;
pub mod pdu;
pub mod security;
pub mod text;
pub mod window;
