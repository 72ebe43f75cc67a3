//! Requests to a given `stmfd`, without the state that the library keeps per process: a test can talk to several, and sees
//! the end of one as an error of the call.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use stmf::changes::Watch;
use stmf::door;
use stmf::service::{Request, Response, decode_response, encode_request};

/// The control door of one `stmfd`.
pub struct Rpc(OwnedFd);

impl Rpc {
    /// Opens the door at a path.
    pub fn open(door: &Path) -> io::Result<Rpc> {
        door::open(door).map(Rpc)
    }

    /// One call. An error means that `stmfd` ended: whether it did what was asked is not known.
    pub fn call(&self, request: &Request) -> io::Result<Response> {
        let reply = door::call(self.0.as_fd(), &encode_request(request), &[])?;
        Ok(decode_response(&reply.data).unwrap_or_else(|error| panic!("{request:?}: {error}")))
    }

    /// The counts of changes.
    pub fn watch(&self) -> Watch {
        let reply = door::call(self.0.as_fd(), &encode_request(&Request::Watch), &[]).expect("an answer");
        let descriptor = reply
            .descriptors
            .into_iter()
            .next()
            .expect("root and the own user get a descriptor");
        Watch::from_descriptor(descriptor).expect("a page")
    }

    /// One call that must be answered.
    pub fn ask(&self, request: &Request) -> Response {
        self.call(request)
            .unwrap_or_else(|error| panic!("{request:?}: {error}"))
    }
}
