//! The proxy port provider `pppt`: the peer's ports here, our Standby LUs' commands there (`alua-proxy.md` chapters 2 to 5, 8).
//!
//! ```text
//!  framework ──PeerLink──▶ ┌───────┐            ┌────────┐                   ┌────────┐
//!  stmfPostProxyMsg ─────▶ │ queue │ ─events──▶ │ engine │ ─messages─queue─▶ │ sender │ ─▶ lane or door
//!  lane, timers ─────────▶ └───────┘            └────────┘                   └────────┘
//! ```
//!
//! The `engine` decides; everything around it is queues. Whoever brings an event handles it and sends what comes of it,
//! unless another thread is just at it, which then does. Three threads do the rest: the dispatcher's (time, and what was
//! left), the sender's (door calls, and a lane that is full), and a janitor for what blocks. No thread but the sender's
//! waits for another node. A lane is read by the thread that its owner gave, or by the one that forwards (`reader`).
#![forbid(unsafe_code)]

pub mod assembler;
pub mod codes;
mod config;
mod counters;
mod dispatcher;
mod engine;
mod entrance;
mod forwarder;
mod lane;
mod limiter;
pub mod message;
pub mod outgoing;
mod provider;
mod queue;
mod reader;
pub mod sealed;
mod sender;
pub mod stream;
#[cfg(test)]
mod tests;
mod thread;
mod upcall;

pub use config::Config;
pub use counters::Counters;
pub use dispatcher::PROVIDER;
pub use provider::Proxy;
pub use upcall::Upcall;
