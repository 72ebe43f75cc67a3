//! A process that wants to be told what its calls do, or would do (`cli.md` 10.1, 10.6).
#![forbid(unsafe_code)]

use super::process::Process;
use crate::framework::Effect;
use crate::service::{Request, Response};
use crate::types::Status;

/// What the calls since [`tell`] did.
pub(super) struct Telling {
    rehearsal: bool,
    effects: Vec<Effect>,
}

impl Telling {
    pub(super) fn send(&mut self, process: &Process, request: &Request) -> Result<Response, Status> {
        let told = process.link.tell(self.rehearsal, process.persist(), request)?;
        self.effects.extend(told.effects);
        Ok(told.response)
    }
}

/// From now on every call of this process is told of; in a rehearsal none changes anything.
pub fn tell(rehearsal: bool) {
    *Process::current().telling() = Some(Telling {
        rehearsal,
        effects: Vec::new(),
    });
}

/// Ends it: what the calls did, or would have done, in their order.
pub fn told() -> Vec<Effect> {
    let telling = Process::current().telling().take();
    telling.map_or_else(Vec::new, |telling| telling.effects)
}
