//! Renewal of leases (`alua-proxy.md` 6.6): one thread per provider, one small write per directory and period for all LUs
//! on files, one per LU on a raw device.
#![forbid(unsafe_code)]

use super::block_file::{Access, BLOCK, Block, BlockFile, Kind};
use super::gate::Validity;
use super::ownership::Ownership;
use super::pool;
use super::{LeaseTimes, sys};
use crate::framework::alua::ownership::{Claim, Found, InstallationId, RECORD_SIZE, Record, lease_file_name};
use crate::types::NodeId;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// LU records read again per directory and period, round robin: finds an owner that took over without waiting, because
/// its cluster software declared this node fenced.
const CHECKS_PER_PERIOD: usize = 64;

/// Who this node is.
#[derive(Clone)]
pub struct Identity {
    /// The installation.
    pub installation: InstallationId,
    /// This life of the framework.
    pub incarnation: u64,
    /// The node id at this moment.
    pub node: Arc<dyn Fn() -> NodeId + Send + Sync>,
}

/// All leases of a provider.
pub struct Leases {
    inner: Arc<Inner>,
}

struct Inner {
    identity: Identity,
    times: LeaseTimes,
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    directories: HashMap<PathBuf, Arc<Lease>>,
    stores: Vec<Arc<Lease>>,
    running: bool,
    stopping: bool,
}

/// One lease and the LUs that depend on it.
pub struct Lease {
    place: Place,
    validity: Arc<Validity>,
    times: LeaseTimes,
    renewal: Mutex<RenewalState>,
    /// By address.
    members: Mutex<BTreeMap<usize, Weak<Ownership>>>,
}

enum Place {
    /// A lease file of this installation.
    File(PathBuf),
    /// The record of its only member.
    Store,
}

struct RenewalState {
    /// When the last successful renewal began, boot time ns.
    renewed: u64,
    counter: u64,
    /// LUs that have not left; also those whose claim is still being written.
    users: usize,
    /// Next member to be checked.
    next_check: usize,
    failing: bool,
    ended: bool,
}

/// Wall clock, ns since 1970.
pub fn wall_clock_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(0)
}

impl Leases {
    /// Without a thread until the first lease.
    pub fn new(identity: Identity, times: LeaseTimes) -> Leases {
        Leases {
            inner: Arc::new(Inner {
                identity,
                times,
                state: Mutex::default(),
                wake: Condvar::new(),
            }),
        }
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.inner.identity
    }

    /// The timings.
    pub fn times(&self) -> LeaseTimes {
        self.inner.times
    }

    /// The lease of the directory of `path`, which holds now. An error when no lease file can be kept there. Every
    /// success is followed by one [`Leases::leave`], or the LU counts as crashed.
    pub fn of_directory(&self, path: &str) -> io::Result<Arc<Lease>> {
        self.run()?;
        let directory = std::fs::canonicalize(path)?;
        let directory = directory.parent().unwrap_or(Path::new("/")).to_path_buf();
        let mut state = self.inner.state.lock();
        let lease = match state.directories.get(&directory) {
            Some(lease) => Arc::clone(lease),
            None => {
                let name = lease_file_name(&self.inner.identity.installation);
                let lease = Lease::new(Place::File(directory.join(name)), self.inner.times);
                state.directories.insert(directory.clone(), Arc::clone(&lease));
                lease
            }
        };
        if !lease.validity.holds()
            && let Err(error) = lease.renew(&self.inner.identity)
        {
            if lease.renewal.lock().users == 0 {
                state.directories.remove(&directory);
            }
            return Err(error);
        }
        lease.renewal.lock().users += 1;
        Ok(lease)
    }

    /// A lease in the record of one store, claimed at `since`.
    pub fn of_store(&self, since: u64) -> io::Result<Arc<Lease>> {
        self.run()?;
        let lease = Lease::new(Place::Store, self.inner.times);
        lease.renewal.lock().users = 1;
        lease.validity.extend(self.inner.times.valid_until(since));
        self.inner.state.lock().stores.push(Arc::clone(&lease));
        Ok(lease)
    }

    /// `lease` no longer protects `owner`. The last one out takes the lease away.
    pub fn leave(&self, lease: &Arc<Lease>, owner: *const Ownership) {
        let mut state = self.inner.state.lock();
        lease.members.lock().remove(&owner.addr());
        let mut renewal = lease.renewal.lock();
        renewal.users -= 1;
        if renewal.users > 0 {
            return;
        }
        renewal.ended = true;
        match &lease.place {
            Place::Store => state.stores.retain(|other| !Arc::ptr_eq(other, lease)),
            Place::File(path) => {
                state.directories.retain(|_, other| !Arc::ptr_eq(other, lease));
                if let Err(error) = std::fs::remove_file(path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    log::warn!("{}: {error}", path.display());
                }
            }
        }
    }

    fn run(&self) -> io::Result<()> {
        let mut state = self.inner.state.lock();
        if !state.running {
            let inner = Arc::clone(&self.inner);
            pool::spawn("stmf-disk-lease", move || inner.work())?;
            state.running = true;
        }
        Ok(())
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.inner.state.lock().stopping = true;
        self.inner.wake.notify_all();
    }
}

impl Inner {
    fn work(&self) {
        let mut state = self.state.lock();
        while !state.stopping {
            self.wake.wait_for(&mut state, self.times.renewal);
            if state.stopping {
                return;
            }
            let leases: Vec<_> = state.directories.values().chain(&state.stores).cloned().collect();
            drop(state);
            // A lease without a living LU must stand still: a crashed owner's store can be claimed then.
            for lease in leases.iter().filter(|lease| !lease.members().is_empty()) {
                // Logged where it happens; the next period tries again.
                let _ = lease.renew(&self.identity);
            }
            state = self.state.lock();
        }
    }
}

impl LeaseTimes {
    /// No write starts after this, boot time ns, when the last renewal began at `since`.
    fn valid_until(&self, since: u64) -> u64 {
        since.saturating_add(nanoseconds(self.length.saturating_sub(self.margin)))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Lease {
    fn new(place: Place, times: LeaseTimes) -> Arc<Lease> {
        Arc::new(Lease {
            place,
            validity: Validity::expired(),
            times,
            renewal: Mutex::new(RenewalState {
                renewed: 0,
                counter: 0,
                users: 0,
                next_check: 0,
                failing: false,
                ended: false,
            }),
            members: Mutex::default(),
        })
    }

    /// Since the last successful renewal began. Does not wait for one that is under way.
    pub fn age(&self) -> Duration {
        let renewed = self.validity.until().saturating_sub(self.times.valid_until(0));
        Duration::from_nanos(sys::boottime_ns().saturating_sub(renewed))
    }

    /// Until when it holds.
    pub fn validity(&self) -> Arc<Validity> {
        Arc::clone(&self.validity)
    }

    /// True for a lease file.
    pub fn in_directory(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// The LU depends on this lease from now on.
    pub fn join(&self, owner: &Arc<Ownership>) {
        self.members
            .lock()
            .insert(Arc::as_ptr(owner).addr(), Arc::downgrade(owner));
    }

    fn renew(&self, identity: &Identity) -> io::Result<()> {
        let mut renewal = self.renewal.lock();
        if renewal.ended {
            return Ok(());
        }
        let began = sys::boottime_ns();
        let result = match &self.place {
            Place::File(path) => self.renew_file(path, identity, &mut renewal, began),
            Place::Store => self.members().into_iter().try_for_each(|member| member.renew()),
        };
        match &result {
            Ok(()) => {
                renewal.renewed = began;
                renewal.failing = false;
                self.validity.extend(self.times.valid_until(began));
            }
            Err(error) if !renewal.failing => {
                renewal.failing = true;
                log::error!("{}: lease cannot be renewed, writes will wait: {error}", self.name());
            }
            Err(_) => {}
        }
        drop(renewal);
        if result.is_ok() {
            self.members().iter().for_each(|member| member.gate().renewed());
        }
        result
    }

    /// Writes the lease file first, then reads the records of LUs: of all when the lease had ended or its file was gone,
    /// because then somebody may have claimed them. A claimant does it the other way round (claims, then looks at the
    /// lease once more), so that one of the two sees the other.
    fn renew_file(&self, path: &Path, id: &Identity, renewal: &mut RenewalState, began: u64) -> io::Result<()> {
        let claim = Claim {
            owner: id.installation,
            incarnation: id.incarnation,
            generation: 0,
        };
        let lapsed = began >= renewal.renewed.saturating_add(nanoseconds(self.times.length));
        let file = open_lease_file(path)?;
        let found = Found::decode(&file.read_block(0)?.0);
        let intact = claim.holds(&found);
        if let Found::Valid(record) = found {
            renewal.counter = renewal.counter.max(record.counter);
        }
        renewal.counter = renewal.counter.wrapping_add(1);
        let record = Record {
            counter: renewal.counter,
            lease_ms: self.times.length_ms(),
            written_ns: wall_clock_ns(),
            ..Record::lease_file(id.installation, id.incarnation, (id.node)())
        };
        let mut block = Block([0; BLOCK]);
        block.0[..RECORD_SIZE].copy_from_slice(&record.encode());
        file.write_block(0, &block)?;
        file.sync()?;

        let members = self.members();
        let gap = lapsed || !intact;
        let count = if gap {
            members.len()
        } else {
            CHECKS_PER_PERIOD.min(members.len())
        };
        for n in 0..count {
            members[(renewal.next_check + n) % members.len()].verify(gap);
        }
        renewal.next_check = renewal.next_check.wrapping_add(count);
        Ok(())
    }

    fn members(&self) -> Vec<Arc<Ownership>> {
        let mut members = self.members.lock();
        members.retain(|_, member| member.strong_count() > 0);
        members.values().filter_map(Weak::upgrade).collect()
    }

    fn name(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Store => self
                .members()
                .first()
                .map_or_else(String::new, |member| member.path().to_owned()),
        }
    }
}

/// Opens or creates a lease file.
fn open_lease_file(path: &Path) -> io::Result<BlockFile> {
    let text = path
        .to_str()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the directory's name is not UTF-8"))?;
    match BlockFile::open(text, Kind::Regular, Access::OWN) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)?;
            // The name must be as durable as the claims that point to it.
            if let Some(directory) = path.parent() {
                std::fs::File::open(directory)?.sync_all()?;
            }
            BlockFile::open(text, Kind::Regular, Access::OWN)
        }
        result => result,
    }
}
