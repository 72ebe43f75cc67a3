//! Persistence: one embedded SQLite database per node, one transaction per [`Store::commit`] (`libstmf-api.md` 1.8).
//! What the rows mean is the framework's business.
#![forbid(unsafe_code)]

mod sqlite;

use crate::types::{DevId, GroupName, Guid, Lun};
use nix::fcntl::{Flock, FlockArg};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which name space a group is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum GroupTable {
    /// Host groups.
    Host = 0,
    /// Target groups.
    Target = 1,
}

/// One stored view entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRow {
    /// The LU, registered or not.
    pub guid: Guid,
    /// Index, unique per GUID.
    pub index: u32,
    /// Host group, `None`: all.
    pub host_group: Option<GroupName>,
    /// Target group, `None`: all.
    pub target_group: Option<GroupName>,
    /// LUN.
    pub lun: Lun,
}

/// One LU of a provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LuRow {
    /// The LU.
    pub guid: Guid,
    /// Path to import at load.
    pub path: String,
    /// The LU is not to come up Active here (`libstmf-api.md` 6.6): given up, or lost to the peer.
    pub standby: bool,
}

/// One provider's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRow {
    /// Provider name.
    pub name: String,
    /// 1 LU provider, 2 port provider.
    pub kind: u8,
    /// Never repeats for a key, over clears and restarts.
    pub token: u64,
    /// Packed nvlist (XDR).
    pub data: Vec<u8>,
}

/// A change; a slice of them is one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Change {
    PutLu(LuRow),
    RemoveLu(Guid),
    /// The whole list, to be followed by the new one.
    RemoveAllLus,
    PutView(ViewRow),
    RemoveView {
        guid: Guid,
        index: u32,
    },
    PutGroup {
        table: GroupTable,
        name: GroupName,
    },
    /// With its members.
    RemoveGroup {
        table: GroupTable,
        name: GroupName,
    },
    PutMember {
        table: GroupTable,
        name: GroupName,
        member: DevId,
    },
    RemoveMember {
        table: GroupTable,
        name: GroupName,
        member: DevId,
    },
    /// The token is of [`Store::next_token`].
    PutProvider(ProviderRow),
    /// For data that are not stored: the token is not given out again by a later process.
    UseToken(u64),
    RemoveProvider {
        name: String,
        kind: u8,
    },
    /// Free-form settings of the framework: `alua.enabled`, `alua.node`, `installation-id`, `default-lu-state`, ….
    PutSetting {
        key: String,
        value: String,
    },
    RemoveSetting {
        key: String,
    },
    /// The relative target port identifier of a local port.
    PutPort {
        devid: DevId,
        rtpid: u16,
    },
    RemovePort {
        devid: DevId,
    },
}

/// Everything stored, in the order of insertion where order matters (groups, members).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub lus: Vec<LuRow>,
    pub views: Vec<ViewRow>,
    pub groups: Vec<(GroupTable, GroupName, Vec<DevId>)>,
    pub providers: Vec<ProviderRow>,
    pub settings: Vec<(String, String)>,
    pub ports: Vec<(DevId, u16)>,
}

/// Why the store could not do it.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the directory; its pid.
    Locked(Option<u32>),
    /// The schema version is not ours; the store is left alone.
    Version(i64),
    /// SQLite or the file system said no.
    Failed(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Locked(Some(pid)) => write!(f, "in use by process {pid}"),
            StoreError::Locked(None) => f.write_str("in use by another process"),
            StoreError::Version(v) => write!(f, "schema version {v} is not known to this program"),
            StoreError::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StoreError {}

/// The configuration store of one node.
pub struct Store {
    /// `None`: volatile.
    file: Option<File>,
    /// Last token given out.
    last_token: AtomicU64,
}

struct File {
    directory: PathBuf,
    db: Mutex<Connection>,
    /// Locked for as long as the store is open.
    _lock: Flock<std::fs::File>,
}

impl Store {
    /// Database file within the state directory.
    pub const DATABASE: &str = "stmf.db";
    /// Lock file within the state directory; holds the pid of the process that has it.
    pub const LOCK: &str = "stmf.lock";

    /// Opens (or creates) the store in a directory and locks the directory for this process. A database that is damaged
    /// or has another schema version is left as it is.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        let within = |error| named(directory, error);
        std::fs::create_dir_all(directory).map_err(|e| within(StoreError::Failed(e.to_string())))?;
        let lock = lock(&directory.join(Self::LOCK)).map_err(within)?;
        let db = sqlite::open(&directory.join(Self::DATABASE)).map_err(within)?;
        if !sqlite::intact(&db).map_err(within)? {
            return Err(within(StoreError::Failed(format!("{} is damaged", Self::DATABASE))));
        }
        let last_token = sqlite::last_token(&db).map_err(within)?;
        Ok(Store {
            file: Some(File {
                directory: directory.to_owned(),
                db: Mutex::new(db),
                _lock: lock,
            }),
            last_token: AtomicU64::new(last_token),
        })
    }

    /// A store that forgets (endpoint `embedded` without a directory).
    pub fn volatile() -> Store {
        Store {
            file: None,
            last_token: AtomicU64::new(0),
        }
    }

    /// False for [`Store::volatile`].
    pub fn persistent(&self) -> bool {
        self.file.is_some()
    }

    /// Everything stored; empty for a volatile store.
    pub fn load(&self) -> Result<Snapshot, StoreError> {
        match &self.file {
            Some(file) => sqlite::load(&file.db.lock()).map_err(|error| file.named(error)),
            None => Ok(Snapshot::default()),
        }
    }

    /// All or nothing, durable on return. Does nothing on a volatile store.
    pub fn commit(&self, changes: &[Change]) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut db = file.db.lock();
        sqlite::commit(&mut db, changes).map_err(|error| {
            sqlite::void_failed_commit(&db);
            file.named(error)
        })
    }

    /// A provider-data token that was never given out before: above 0, growing. The change that it is for makes it durable.
    pub fn next_token(&self) -> u64 {
        self.last_token.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl File {
    fn named(&self, error: StoreError) -> StoreError {
        named(&self.directory, error)
    }
}

fn named(directory: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Failed(text) => StoreError::Failed(format!("{}: {text}", directory.display())),
        other => other,
    }
}

fn lock(path: &Path) -> Result<Flock<std::fs::File>, StoreError> {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| StoreError::Failed(e.to_string()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            lock.set_len(0)
                .and_then(|()| write!(lock, "{}", std::process::id()))
                .map_err(|e| StoreError::Failed(e.to_string()))?;
            Ok(lock)
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let known = file.read_to_string(&mut pid).is_ok();
            Err(StoreError::Locked(pid.trim().parse().ok().filter(|_| known)))
        }
        Err((_, error)) => Err(StoreError::Failed(error.to_string())),
    }
}

pub use sqlite::SCHEMA_VERSION;
#[cfg(any(test, fuzzing))]
pub use sqlite::{fuzz_damage, fuzz_rows};

#[cfg(test)]
mod tests;
