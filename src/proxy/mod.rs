//! The proxy port provider `pppt`: the peer's ports here, our Standby LUs' commands there (`alua-proxy.md` chapters 2 to 5, 8).
//!
//! ```text
//!  framework ──PeerLink──▶ ┌───────┐            ┌────────┐                   ┌────────┐
//!  stmfPostProxyMsg ─────▶ │ queue │ ─events──▶ │ engine │ ─messages─queue─▶ │ sender │ ─▶ door
//!  timers ───────────────▶ └───────┘            └────────┘                   └────────┘
//!                           callers              dispatcher thread            one thread per door
//! ```
//!
//! The `engine` decides; everything around it is queues and three threads (dispatcher, sender, and a janitor for what
//! blocks). No thread waits for another node.
#![forbid(unsafe_code)]

pub mod codes;
mod config;
mod counters;
mod dispatcher;
mod engine;
mod limiter;
pub mod message;
mod provider;
mod queue;
mod sender;
#[cfg(test)]
mod tests;
mod thread;
mod upcall;

pub use config::Config;
pub use counters::Counters;
pub use dispatcher::PROVIDER;
pub use provider::Proxy;
pub use upcall::Upcall;
