//! The local framework, as the peer daemon uses it.
#![forbid(unsafe_code)]

use crate::client;
use crate::proxy::sealed::Keys;
use crate::types::{NodeId, Status};
use std::os::fd::{BorrowedFd, OwnedFd};

/// `stmfInitProxyDoor` and its companions.
pub trait Framework: Send + Sync {
    /// Installs the door through which the framework's messages come.
    fn install(&self, door: BorrowedFd<'_>) -> Result<i32, Status>;
    /// Hangs up when the door is gone.
    fn life_line(&self, handle: i32) -> Result<OwnedFd, Status>;
    /// Forgets a handle.
    fn destroy(&self, handle: i32);
    /// Switches ALUA on, or begins anew: everything is announced to the peer.
    fn enable(&self, node: NodeId) -> Result<(), Status>;
    /// A message of the peer.
    fn post(&self, handle: i32, message: &[u8]) -> Result<(), Status>;
    /// Switches ALUA on as [`Framework::enable`] does and carries all messages over this stream, both ways, until it ends:
    /// an error number or 0. With keys, in records of TLS. `received` came before.
    fn carry(&self, handle: i32, node: NodeId, stream: Stream<'_>, received: &[u8]) -> Result<i32, Status>;
}

/// A connection whose frames the framework carries.
pub struct Stream<'a> {
    /// TCP.
    pub socket: BorrowedFd<'a>,
    /// With TLS: what its records are sealed with from now on.
    pub keys: Option<Keys>,
}

/// The one behind libstmf.
pub struct Local;

impl Framework for Local {
    fn install(&self, door: BorrowedFd<'_>) -> Result<i32, Status> {
        client::init_proxy_door(door)
    }
    fn life_line(&self, handle: i32) -> Result<OwnedFd, Status> {
        client::proxy_door_life_line(handle)
    }
    fn destroy(&self, handle: i32) {
        client::destroy_proxy_door(handle);
    }
    fn enable(&self, node: NodeId) -> Result<(), Status> {
        client::alua_enable(node)
    }
    fn post(&self, handle: i32, message: &[u8]) -> Result<(), Status> {
        client::post_proxy_msg(handle, message)
    }
    fn carry(&self, handle: i32, node: NodeId, stream: Stream<'_>, received: &[u8]) -> Result<i32, Status> {
        client::carry_proxy_stream(handle, node, stream.socket, stream.keys, received)
    }
}
