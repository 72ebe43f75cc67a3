//! COMSTAR for Linux: `libstmf` and the SCSI target system behind it.
//!
//! Floors, from the ground up; an upper floor may use a lower one, never the other way round:
//!
//! | floor | modules |
//! |---|---|
//! | 0 | [`types`], [`scsi`], [`nvlist`], [`allocator`], [`buffers`], [`changes`], [`logging`], [`signals`], [`systemd`] |
//! | 1 | [`store`], [`door`] |
//! | 2 | [`framework`] |
//! | 3 | [`disk`], [`proxy`], [`iscsi`] |
//! | 4 | [`service`], [`client`] |
//! | 5 | [`capi`], [`web`], [`metrics`], the programs in `bin/`, and what several of them need: [`cli`] |

pub mod allocator;
pub mod buffers;
pub mod capi;
pub mod changes;
pub mod cli;
pub mod client;
pub mod disk;
pub mod door;
pub mod framework;
pub mod iscsi;
pub mod logging;
pub mod metrics;
pub mod nvlist;
pub mod proxy;
pub mod scsi;
pub mod service;
pub mod signals;
pub mod store;
pub mod systemd;
mod terminal;
pub mod types;
pub mod web;
