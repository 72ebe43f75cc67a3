//! A logical unit that misbehaves on command: C0 panics, C1 runs until it is aborted.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use stmf::framework::{
    Done, Handler, ImportError, Inquiry, LuProvider, Nexus, Outcome, PeerView, Release, Start, Task, Unit,
};
use stmf::scsi::{ScsiStatus, Sense};
use stmf::types::{Guid, LuChange, LuProperties, Status};

pub const PANIC: u8 = 0xc0;
pub const HOLD: u8 = 0xc1;

pub struct OddProvider;

#[derive(Default)]
struct OddUnit {
    held: Mutex<HashMap<(u64, u64), Done>>,
}

const GUID: Guid = Guid([0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

impl LuProvider for OddProvider {
    fn name(&self) -> &'static str {
        "odd"
    }
    fn create(&self, _: &LuProperties, _: &dyn Fn(&Guid) -> bool) -> Result<Arc<dyn Unit>, Status> {
        Ok(Arc::new(OddUnit::default()))
    }
    fn identify(&self, _: &str) -> Result<Guid, Status> {
        Ok(GUID)
    }
    fn import(&self, _: &str, _: PeerView) -> Result<Arc<dyn Unit>, ImportError> {
        Err(ImportError::Failed(Status::Error))
    }
}

impl Handler for OddUnit {
    fn start(&self, task: &Task) -> Start {
        match task.cdb.opcode() {
            0x00 | PANIC | HOLD => Start::Execute { want: 0 },
            _ => Start::Done(Outcome::check(Sense::INVALID_OPCODE)),
        }
    }

    fn execute(&self, task: Task, _: Vec<u8>, done: Done) {
        match task.cdb.opcode() {
            PANIC => panic!("as asked for"),
            HOLD => {
                self.held.lock().insert((task.nexus.id, task.tag), done);
            }
            _ => done(Outcome::good()),
        }
    }

    fn abort(&self, nexus: &Nexus, tag: u64) {
        let held = self.held.lock().remove(&(nexus.id, tag));
        if let Some(done) = held {
            // From another thread, as a real device would.
            std::thread::spawn(move || done(Outcome::status(ScsiStatus::TaskAborted)));
        }
    }
}

impl Unit for OddUnit {
    fn guid(&self) -> Guid {
        GUID
    }
    fn name(&self) -> String {
        "/odd".into()
    }
    fn properties(&self) -> LuProperties {
        LuProperties {
            guid: Some(GUID),
            ..LuProperties::default()
        }
    }
    fn inquiry(&self) -> Inquiry {
        Inquiry::default()
    }
    fn generation(&self) -> u64 {
        1
    }
    fn owned(&self) -> bool {
        true
    }
    fn on_ownership_lost(&self, _: Box<dyn FnOnce() + Send>) {}
    fn modify(&self, _: &LuChange) -> Result<(), Status> {
        Err(Status::InvalidProp)
    }
    fn release(&self, _: Release) -> Result<(), Status> {
        Ok(())
    }
    fn reset(&self) {}
    fn flush(&self) -> Result<(), Status> {
        Ok(())
    }
}
