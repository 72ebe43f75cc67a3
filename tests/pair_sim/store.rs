//! The shared store: durable blocks, ownership record, handover data, exclusive lock.

use stmf::framework::alua::ownership::{Found, RECORD_SIZE, Record};

pub const BLOCKS: usize = 4;

pub struct Store {
    pub durable: [u64; BLOCKS],
    record: [u8; RECORD_SIZE],
    /// Generation and reservation state.
    pub handover: Option<(u64, u64)>,
    lock: Option<usize>,
    /// Lease file of each installation.
    leases: [[u8; RECORD_SIZE]; 2],
    pub leases_in_directory: bool,
    /// False: the file system gives locks that the other node does not see.
    pub shared_locks: bool,
}

impl Store {
    pub fn new(shared_locks: bool, leases_in_directory: bool) -> Store {
        Store {
            durable: [0; BLOCKS],
            record: [0; RECORD_SIZE],
            handover: None,
            lock: None,
            leases: [[0; RECORD_SIZE]; 2],
            leases_in_directory,
            shared_locks,
        }
    }

    pub fn record(&self) -> Found {
        Found::decode(&self.record)
    }

    pub fn write_record(&mut self, record: &Record) {
        self.record = record.encode();
    }

    /// [`Found::Blank`] when it is missing.
    pub fn lease(&self, owner: usize) -> Found {
        Found::decode(&self.leases[owner])
    }

    pub fn write_lease(&mut self, owner: usize, lease: &Record) {
        self.leases[owner] = lease.encode();
    }

    /// Undo of a claim: what was found before it.
    pub fn restore_record(&mut self, found: &Found) {
        self.record = match found {
            Found::Valid(record) => record.encode(),
            _ => [0; RECORD_SIZE],
        };
    }

    pub fn try_lock(&mut self, node: usize) -> bool {
        if self.shared_locks && self.lock.is_some_and(|holder| holder != node) {
            return false;
        }
        self.lock = Some(node);
        true
    }

    pub fn has_lock(&self, node: usize) -> bool {
        !self.shared_locks || self.lock == Some(node)
    }

    pub fn unlock(&mut self, node: usize) {
        if self.lock == Some(node) {
            self.lock = None;
        }
    }

    /// The lock server forgets its client.
    pub fn lose_lock(&mut self) -> bool {
        self.lock.take().is_some()
    }
}
