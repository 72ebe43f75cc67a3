//! Ownership of a store: the claim, and everything after it (`alua-proxy.md` 6.6). Decisions are
//! [`crate::framework::alua::ownership`]'s; here is the I/O.
#![forbid(unsafe_code)]

use super::block_file::{Access, Backup, Block, BlockFile, Kind};
use super::gate::{Gate, Validity};
use super::lease::{Lease, Leases, wall_clock_ns};
use super::pool::Pool;
use super::sys;
use crate::framework::PeerView;
use crate::framework::alua::ownership::{
    Claim, Decision, Found, RECORD_SIZE, Record, Renewal, Sighting, decide, lease_file_name, renew,
};
use crate::types::{Guid, Status};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest pause between two looks at a lease that is being watched.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Why a store could not be claimed.
#[derive(Debug)]
pub enum ClaimError {
    /// Somebody else has it.
    Refused,
    /// It cannot be read or written.
    Io(io::Error),
    /// The caller ended it before anything was written.
    Ended(Status),
}

impl From<io::Error> for ClaimError {
    fn from(error: io::Error) -> ClaimError {
        ClaimError::Io(error)
    }
}

/// A store that this node owns. Dropping it closes the store without writing: to others that is a crash.
pub struct Ownership {
    path: String,
    file: Mutex<Option<BlockFile>>,
    gate: Gate,
    tenure: Option<Tenure>,
    leases: Arc<Leases>,
    pool: Arc<Pool>,
    lost: Mutex<Lost>,
    /// The lease does without this LU.
    left: AtomicBool,
}

/// A claim that is on record.
struct Tenure {
    claim: Claim,
    /// The record that the claim replaced, until the LU is open.
    previous: Mutex<Option<Box<Block>>>,
    lease: Arc<Lease>,
    /// Generation whose handover data this claim inherits (6.5).
    handover: Option<u64>,
}

enum Lost {
    No(Option<Box<dyn FnOnce() + Send>>),
    Yes,
}

/// Claims the store that `file` carries, whose lock the caller holds. Blocks as long as the rules want to watch a lease.
/// `about_to` is asked when the claim may be written.
pub fn claim(
    file: BlockFile,
    guid: Guid,
    peer: &PeerView,
    leases: &Arc<Leases>,
    pool: &Arc<Pool>,
    about_to: impl FnOnce() -> Result<(), Status>,
) -> Result<Arc<Ownership>, ClaimError> {
    let previous = file.read_block(0)?;
    if Found::decode(&previous.0) == Found::Foreign || !file.writable() {
        let why = if file.writable() {
            "its first sector is in use"
        } else {
            "it is not writable"
        };
        log::warn!("{}: no ownership record, {why}; ownership is by lock only", file.path());
        about_to().map_err(ClaimError::Ended)?;
        return Ok(Ownership::new(file, None, leases, pool));
    }
    let watched = watch(&file, peer, leases)?;
    // From before the record is read for the last time: the lease counts from here.
    let since = sys::boottime_ns();
    let previous = file.read_block(0)?;
    let found = Found::decode(&previous.0);
    if found != watched.record {
        log::warn!("{}: claimed by another node meanwhile", file.path());
        return Err(ClaimError::Refused);
    }
    about_to().map_err(ClaimError::Ended)?;
    let lease = match file.kind() {
        Kind::Regular => leases.of_directory(file.path()).or_else(|error| {
            log::warn!(
                "{}: no lease file in its directory, it gets a lease of its own: {error}",
                file.path()
            );
            leases.of_store(since)
        })?,
        Kind::Device => leases.of_store(since)?,
    };
    let identity = leases.identity();
    let mine = Record {
        guid,
        lease_in_directory: lease.in_directory(),
        lease_ms: leases.times().length_ms(),
        written_ns: wall_clock_ns(),
        ..Record::lease_file(identity.installation, identity.incarnation, (identity.node)())
    };
    let record = Record::claimed(mine, &found);
    // A former owner that wakes up renews its lease first and reads the record then; so, with the record written first, one
    // of the two sees the other. One that gave this claim up does not wake up, and may renew its lease for other LUs.
    let taken_over = matches!(found, Found::Valid(old) if !old.released && old.owner != identity.installation
        && peer.given_up != Some(old.generation));
    let written = write_record(&file, &previous, &record).and_then(|()| {
        let back = Found::decode(&file.read_block(0)?.0);
        Ok(back == Found::Valid(record) && (!taken_over || lease_of(&file, &found)? == watched.lease))
    });
    let tenure = Tenure {
        claim: record.claim(),
        previous: Mutex::new(Some(previous)),
        lease,
        handover: match found {
            Found::Valid(old) if old.handover_valid() && !peer.cold_start => Some(old.handover),
            _ => None,
        },
    };
    let owner = Ownership::new(file, Some(tenure), leases, pool);
    match written {
        Ok(true) => Ok(owner),
        Ok(false) => {
            log::warn!("{}: its owner came back while it was being claimed", owner.path);
            owner.undo();
            Err(ClaimError::Refused)
        }
        Err(error) => {
            owner.undo();
            Err(error.into())
        }
    }
}

/// Looks at record and lease until the rules grant or refuse; returns the last look.
fn watch(file: &BlockFile, peer: &PeerView, leases: &Leases) -> Result<Sighting, ClaimError> {
    let me = leases.identity().installation;
    let first = look(file)?;
    let mut latest = first;
    let mut told = false;
    loop {
        match decide(&me, peer, &first, &latest) {
            Decision::Grant => return Ok(latest),
            Decision::Refuse => {
                log::warn!("{}: another node owns it: {}", file.path(), describe(&latest.record));
                return Err(ClaimError::Refused);
            }
            Decision::WaitAndWatch { until } => {
                let rest = until.saturating_sub(latest.at);
                if !told {
                    told = true;
                    let (owner, rest) = (describe(&latest.record), rest.as_secs_f32());
                    log::info!("{}: {owner}; watching its lease for {rest:.1} s", file.path());
                }
                std::thread::sleep(rest.min(WATCH_INTERVAL));
                latest = look(file)?;
            }
        }
    }
}

fn describe(found: &Found) -> String {
    match found {
        Found::Valid(record) => format!(
            "installation {} has it (node {}, generation {})",
            record.owner,
            record.node.get(),
            record.generation
        ),
        Found::Damaged => "the ownership record is damaged".to_owned(),
        Found::Newer(version) => format!("the ownership record has unknown version {version}"),
        Found::Blank | Found::Foreign => "no ownership record".to_owned(),
    }
}

fn look(file: &BlockFile) -> io::Result<Sighting> {
    let record = Found::decode(&file.read_block(0)?.0);
    Ok(Sighting {
        record,
        lease: lease_of(file, &record)?,
        at: Duration::from_nanos(sys::boottime_ns()),
    })
}

/// The lease file that `found` points to; `None` also when it is missing.
fn lease_of(file: &BlockFile, found: &Found) -> io::Result<Option<Found>> {
    let Found::Valid(record) = found else { return Ok(None) };
    if !record.lease_in_directory {
        return Ok(None);
    }
    let path = std::fs::canonicalize(file.path())?;
    let path = path
        .parent()
        .unwrap_or(Path::new("/"))
        .join(lease_file_name(&record.owner));
    let Some(text) = path.to_str() else { return Ok(None) };
    match BlockFile::open(text, Kind::Regular, Access::PEEK) {
        Ok(lease) => Ok(Some(Found::decode(&lease.read_block(0)?.0))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces the record, leaves the rest of the block as it is, and makes it durable.
fn write_record(file: &BlockFile, block: &Block, record: &Record) -> io::Result<()> {
    let mut block = block.clone();
    block.0[..RECORD_SIZE].copy_from_slice(&record.encode());
    file.write_block(0, &block)?;
    file.sync()
}

impl Ownership {
    fn new(file: BlockFile, tenure: Option<Tenure>, leases: &Arc<Leases>, pool: &Arc<Pool>) -> Arc<Ownership> {
        let validity = tenure
            .as_ref()
            .map_or_else(Validity::forever, |tenure| tenure.lease.validity());
        let owner = Arc::new(Ownership {
            path: file.path().to_owned(),
            file: Mutex::new(Some(file)),
            gate: Gate::new(validity),
            tenure,
            leases: Arc::clone(leases),
            pool: Arc::clone(pool),
            lost: Mutex::new(Lost::No(None)),
            left: AtomicBool::new(false),
        });
        if let Some(tenure) = &owner.tenure {
            tenure.lease.join(&owner);
        }
        owner
    }

    /// What every access to the store passes.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Path of the carrier.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Generation claimed, 0 without a record.
    pub fn generation(&self) -> u64 {
        self.tenure.as_ref().map_or(0, |tenure| tenure.claim.generation)
    }

    /// Since the last renewal; `None` without a record.
    pub fn lease_age(&self) -> Option<Duration> {
        self.tenure.as_ref().map(|tenure| tenure.lease.age())
    }

    /// Generation of the handover data that are valid for this claim: never at a cold start (6.5).
    pub fn handover(&self) -> Option<u64> {
        self.tenure.as_ref()?.handover
    }

    /// Uses the carrier, while it is open.
    pub fn with_file<T>(&self, work: impl FnOnce(&BlockFile) -> io::Result<T>) -> io::Result<T> {
        let file = self.file.lock();
        work(file.as_ref().ok_or_else(closed)?)
    }

    /// Reads the record again: does it still name this claim?
    pub fn owned(&self) -> bool {
        let found = self.with_file(|file| Ok(Found::decode(&file.read_block(0)?.0)));
        match (&self.tenure, found) {
            (None, found) => found.is_ok(),
            (Some(tenure), Ok(found)) => tenure.claim.holds(&found),
            (Some(_), Err(error)) => {
                log::error!("{}: reading the ownership record: {error}", self.path);
                false
            }
        }
    }

    /// Calls `lost` once the record names somebody else.
    pub fn on_lost(&self, lost: Box<dyn FnOnce() + Send>) {
        let mut state = self.lost.lock();
        match *state {
            Lost::No(_) => *state = Lost::No(Some(lost)),
            Lost::Yes => self.pool.submit(lost),
        }
    }

    /// Looks whether the record still names this claim; if not, ownership is lost. When it cannot be read it is lost too
    /// after a `gap` in the lease, during which somebody may have claimed the store.
    pub fn verify(&self, gap: bool) {
        let Some(tenure) = &self.tenure else { return };
        let file = self.file.lock();
        let Some(open) = file.as_ref() else { return };
        let found = match open.read_block(0) {
            Ok(block) => Found::decode(&block.0),
            Err(error) => {
                log::error!("{}: reading the ownership record: {error}", self.path);
                if !gap {
                    return;
                }
                Found::Damaged
            }
        };
        drop(file);
        if !tenure.claim.holds(&found) {
            self.lose(&found);
        }
    }

    /// Renews a lease in the record itself.
    pub fn renew(&self) -> io::Result<()> {
        let Some(tenure) = &self.tenure else { return Ok(()) };
        let file = self.file.lock();
        let Some(open) = file.as_ref() else { return Ok(()) };
        let block = open.read_block(0)?;
        let found = Found::decode(&block.0);
        match renew(&tenure.claim, &found, wall_clock_ns()) {
            Renewal::Write(record) => write_record(open, &block, &record)?,
            Renewal::Lost => {
                drop(file);
                self.lose(&found);
            }
        }
        Ok(())
    }

    fn lose(&self, found: &Found) {
        self.gate.close();
        if let Lost::No(lost) = std::mem::replace(&mut *self.lost.lock(), Lost::Yes) {
            log::error!("{}: ownership is lost: {}", self.path, describe(found));
            if let Some(lost) = lost {
                self.pool.submit(lost);
            }
        }
    }

    /// Marks the record released, with `handover` data for the next owner or without, and closes the store. On failure the store stays owned. All data are flushed already.
    pub fn release(&self, handover: bool) -> io::Result<()> {
        let mut file = self.file.lock();
        if let (Some(tenure), Some(open)) = (&self.tenure, file.as_ref()) {
            let block = open.read_block(0)?;
            match Found::decode(&block.0) {
                found @ Found::Valid(record) if tenure.claim.holds(&found) => {
                    write_record(open, &block, &record.released(handover, wall_clock_ns()))?;
                }
                found => log::error!("{}: not released, because {}", self.path, describe(&found)),
            }
        }
        *file = None;
        drop(file);
        self.leave();
        Ok(())
    }

    /// Closes the store without writing.
    pub fn abandon(&self) {
        self.gate.close();
        *self.file.lock() = None;
        self.leave();
    }

    /// The LU is open: the claim is not taken back any more.
    pub fn settle(&self) {
        if let Some(tenure) = &self.tenure {
            *tenure.previous.lock() = None;
        }
    }

    /// Takes the claim back before [`Ownership::settle`]: the record becomes what it was.
    pub fn undo(&self) {
        self.leave();
        let restored = self.with_file(|file| {
            let Some(tenure) = &self.tenure else { return Ok(()) };
            if let Some(previous) = &*tenure.previous.lock()
                && tenure.claim.holds(&Found::decode(&file.read_block(0)?.0))
            {
                file.write_block(0, previous)?;
                file.sync()?;
            }
            Ok(())
        });
        if let Err(error) = restored {
            log::error!("{}: the claim could not be undone: {error}", self.path);
        }
        self.abandon();
    }

    /// Undoes claim and metadata of an LU that was not created after all.
    pub fn undo_create(&self, backup: &Backup) {
        self.leave();
        if let Err(error) = self.with_file(|file| backup.restore(file)) {
            log::error!("{}: the former contents could not be put back: {error}", self.path);
        }
        self.abandon();
    }

    fn leave(&self) {
        if let Some(tenure) = &self.tenure
            && !self.left.swap(true, Ordering::AcqRel)
        {
            self.leases.leave(&tenure.lease, self);
        }
    }
}

fn closed() -> io::Error {
    io::Error::other("the store is closed")
}
