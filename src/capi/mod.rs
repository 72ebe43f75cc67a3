//! The C ABI of libstmf (`libstmf-api.md`): one file for each family of functions. A shim checks pointers, converts, calls
//! one safe method of [`crate::client`], and converts back.
//!
//! Every function is exported under its symbol version (macro `version!`), and its body sits in the panic barrier.
#![allow(non_camel_case_types, non_snake_case)]

#[macro_use]
mod barrier;
mod alua;
mod constants;
mod convert;
mod devid;
mod extras;
mod group;
mod lu;
mod lu_resource;
mod memory;
#[cfg(feature = "nvpair")]
mod nvpair;
mod provider;
#[cfg(feature = "nvpair")]
mod provider_data;
mod proxy;
mod resources;
mod settings;
mod state;
mod target;
mod types;
mod view;

pub use alua::*;
pub use constants::*;
pub use devid::*;
pub use extras::*;
pub use group::*;
pub use lu::*;
pub use lu_resource::*;
pub use memory::stmfFreeMemory;
pub use provider::*;
#[cfg(feature = "nvpair")]
pub use provider_data::*;
pub use proxy::*;
pub use settings::*;
pub use state::*;
pub use target::*;
pub use types::*;
pub use view::*;
