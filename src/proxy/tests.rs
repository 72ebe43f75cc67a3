//! Two whole nodes in one process: framework, disks on shared files, proxy; the channel between them is a function call that
//! a test can cut, or that makes one node look like an original.

mod door;
pub(super) mod lane;
mod nodes;
mod original;
mod pair;
mod provider;
mod reader;
