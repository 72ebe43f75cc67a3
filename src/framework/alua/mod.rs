//! The pure ALUA core: no I/O, no locks, no clock.
//!
//! | file | question it answers | clause of `alua-proxy.md` |
//! |---|---|---|
//! | [`machine`] | what does an LU do when something happens | 6.1 to 6.4 |
//! | [`ownership`] | what does the ownership record say, who may claim a store, may a write start | 6.6 |
//! | [`rtpg`] | what do hosts hear about target port groups, which identifier does a port get | 7.3, 7.9 |
//!
//! The shell around it (framework, disk provider) performs the actions; `tests/pair_sim.rs` runs two nodes of it against
//! each other.
#![forbid(unsafe_code)]

pub mod machine;
pub mod ownership;
pub mod rtpg;
