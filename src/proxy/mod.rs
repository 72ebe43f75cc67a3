//! The proxy port provider `pppt`: the peer's ports here, our Standby LUs' commands there (`alua-proxy.md` chapters 2 to 5, 8).
#![forbid(unsafe_code)]

pub mod codes;
pub mod message;

mod config;
mod engine;

pub use config::Config;
