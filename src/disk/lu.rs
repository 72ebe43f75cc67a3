//! An open disk LU: the state behind the commands, and its life as the framework sees it.
#![forbid(unsafe_code)]

use super::block_file;
use super::command::{self, Call, Copies, Job};
use super::gate::{Gate, TaskKey};
use super::medium::Medium;
use super::metadata::{LuInfo, Metadata, SHARED_SIZE};
use super::ownership::Ownership;
use super::pool::Pool;
use super::range::Locks;
use super::registry::Registration;
use super::reservations::{self, Reservations};
use super::size;
use super::sys::Mode;
use crate::changes::Change;
use crate::framework::{Cdb, Done, Expected, Handler, Inquiry, LuNexuses, Nexus, Origin, Release, Start, Task, Unit};
use crate::scsi::vpd::TargetPort;
use crate::scsi::{Sense, mode};
use crate::types::{Guid, LuChange, LuProperties, Status};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The management URL of all LUs that have none of their own.
pub type SharedUrl = Arc<ArcSwapOption<String>>;

/// What an LU is made of, for commands and management.
pub struct Lu {
    info: ArcSwap<LuInfo>,
    /// Of `info`, where it never changes; every command asks for it.
    block_shift: u8,
    /// The management URL of LUs without one of their own.
    shared_url: SharedUrl,
    name: String,
    medium: Medium,
    ownership: Arc<Ownership>,
    pool: Arc<Pool>,
    /// The metadata as they are on the store.
    saved: Mutex<Metadata>,
    /// Present state of the write cache: MODE SELECT may differ from what is saved.
    write_cache: AtomicBool,
    write_cache_saved: AtomicBool,
    /// Software write protect, until a reset.
    software_protected: AtomicBool,
    reservations: Reservations,
    locks: Arc<Locks>,
    copies: Copies,
    nexuses: OnceLock<Arc<dyn LuNexuses>>,
    /// Until release its files back no other LU.
    files: Mutex<Vec<Registration>>,
}

/// The LU as the framework has it.
pub struct Disk(Arc<Lu>);

impl Lu {
    /// An LU over an owned store.
    pub fn new(
        metadata: Metadata,
        medium: Medium,
        ownership: Arc<Ownership>,
        pool: Arc<Pool>,
        files: Vec<Registration>,
        reservations: Reservations,
        shared_url: SharedUrl,
    ) -> Lu {
        let info = metadata.info.clone();
        Lu {
            saved: Mutex::new(metadata),
            write_cache: AtomicBool::new(!info.write_cache_disabled),
            write_cache_saved: AtomicBool::new(!info.write_cache_disabled),
            software_protected: AtomicBool::new(false),
            reservations,
            locks: Arc::default(),
            copies: Copies::default(),
            nexuses: OnceLock::new(),
            block_shift: info.block_shift,
            info: ArcSwap::from_pointee(info),
            shared_url,
            name: ownership.path().to_owned(),
            medium,
            ownership,
            pool,
            files: Mutex::new(files),
        }
    }

    /// What the metadata say; the write cache has a state of its own.
    pub fn info(&self) -> Guard<Arc<LuInfo>> {
        self.info.load()
    }

    /// Follows a change of the metadata.
    pub fn update_info(&self, change: impl Fn(&mut LuInfo)) {
        let _change = Change::begin();
        self.info.rcu(|info| {
            let mut next = LuInfo::clone(info);
            change(&mut next);
            next
        });
    }

    /// Management URLs: its own, else those of all LUs.
    pub fn mgmt_url(&self) -> Option<String> {
        let own = self.info().mgmt_url.clone();
        own.or_else(|| self.shared_url.load().as_deref().cloned())
    }

    /// Logical blocks.
    pub fn blocks(&self) -> u64 {
        self.info().size >> self.block_shift
    }

    /// log2 of the block length.
    pub fn block_shift(&self) -> u32 {
        u32::from(self.block_shift)
    }

    /// Bytes per block.
    pub fn block_length(&self) -> u32 {
        1 << self.block_shift
    }

    /// Writes are refused.
    pub fn write_protected(&self) -> bool {
        self.info().write_protected || self.software_protected.load(Ordering::Relaxed)
    }

    /// Blocks may be deallocated.
    pub fn thin(&self) -> bool {
        self.medium.thin()
    }

    /// Writes need not be durable before their status.
    pub fn write_cache(&self) -> bool {
        self.write_cache.load(Ordering::Relaxed)
    }

    /// State of the write cache until a reset.
    pub fn set_write_cache(&self, enabled: bool) {
        let _change = Change::begin();
        self.write_cache.store(enabled, Ordering::Relaxed);
    }

    /// MODE SELECT: state of the write cache, and software write protect.
    pub fn set_mode(&self, write_cache: bool, software_protected: bool) {
        let _change = Change::begin();
        self.write_cache.store(write_cache, Ordering::Relaxed);
        self.software_protected.store(software_protected, Ordering::Relaxed);
    }

    /// Makes the state of the write cache the one after a reset.
    pub fn save_write_cache(&self, write_cache: bool) -> io::Result<()> {
        self.save(|metadata| metadata.info.write_cache_disabled = !write_cache)?;
        self.write_cache_saved.store(write_cache, Ordering::Relaxed);
        Ok(())
    }

    /// Changes the metadata on the store, durably. Blocks.
    pub fn save(&self, change: impl FnOnce(&mut Metadata)) -> io::Result<()> {
        let mut saved = self.saved.lock();
        let mut next = saved.clone();
        change(&mut next);
        if next != *saved {
            self.ownership.with_file(|file| match file.writable() {
                true => file.write_metadata(&next),
                false => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            })?;
            *saved = next;
        }
        Ok(())
    }

    /// Reservations in force.
    pub fn reservations(&self) -> &Reservations {
        &self.reservations
    }

    /// Atomicity on ranges of blocks.
    pub fn locks(&self) -> &Arc<Locks> {
        &self.locks
    }

    /// Results of EXTENDED COPY.
    pub fn copies(&self) -> &Copies {
        &self.copies
    }

    /// The way to the nexuses; `None` before the framework has attached the LU.
    pub fn nexuses(&self) -> Option<&Arc<dyn LuNexuses>> {
        self.nexuses.get()
    }

    /// Queues a unit attention on every nexus for which `to` holds.
    pub fn attention(&self, sense: Sense, to: &dyn Fn(&Nexus) -> bool) {
        if let Some(nexuses) = self.nexuses() {
            nexuses.attention(sense, to);
        }
    }

    /// The user data.
    pub fn medium(&self) -> &Medium {
        &self.medium
    }

    /// What every access passes.
    pub fn gate(&self) -> &Gate {
        self.ownership.gate()
    }

    /// Threads for what would block.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Display name: as set, or what of the LU's name fits.
    pub fn alias(&self) -> String {
        self.info().alias.clone().unwrap_or_else(|| alias_of(&self.name))
    }

    /// Vendor, product, revision.
    pub fn inquiry_id(&self) -> Inquiry {
        let (default, info) = (Inquiry::default(), self.info());
        Inquiry {
            vendor: info.vendor.unwrap_or(default.vendor),
            product: info.product.unwrap_or(default.product),
            revision: info.revision.unwrap_or(default.revision),
        }
    }

    /// For the mode pages.
    pub fn mode_medium(&self) -> mode::Medium {
        mode::Medium {
            blocks: self.blocks(),
            block_length: self.block_length(),
            write_cache: self.write_cache(),
            write_cache_saved: self.write_cache_saved.load(Ordering::Relaxed),
            write_protected: self.write_protected(),
            software_protected: self.software_protected.load(Ordering::Relaxed),
        }
    }
}

impl Lu {
    /// At release: all reservations for the next owner (`alua-proxy.md` 6.5). False when there are none, or they cannot be
    /// saved; those with APTPL are on the store anyhow.
    fn save_reservations(&self) -> bool {
        let (state, generation) = (self.reservations.state(), self.ownership.generation());
        if generation == 0 || (state.is_empty() && state.generation == 0) {
            return false;
        }
        let saved = self.save(|metadata| reservations::put(metadata, &state, Some(generation)));
        saved
            .inspect_err(|error| log::error!("{}: reservations are not handed over: {error}", self.name))
            .is_ok()
    }

    /// The LU is no longer Active here: a reservation by RESERVE(6) ends, and its holder hears of it.
    fn drop_reserve(&self) {
        if let Some(holder) = self.reservations.reset() {
            self.attention(Sense::RESERVATIONS_PREEMPTED, &|nexus| nexus.id == holder);
        }
    }
}

impl Disk {
    /// For the framework.
    pub fn new(lu: Lu) -> Disk {
        Disk(Arc::new(lu))
    }

    /// What commands work on.
    pub fn lu(&self) -> &Arc<Lu> {
        &self.0
    }

    fn key(nexus: &Nexus, tag: u64) -> TaskKey {
        TaskKey { nexus: nexus.id, tag }
    }
}

impl Handler for Disk {
    fn start(&self, task: &Task) -> Start {
        let port = task.port();
        command::start(&Call {
            lu: &self.0,
            cdb: task.cdb.head(),
            expected: task.expected,
            nexus: task.nexus.id,
            port: TargetPort {
                protocol: port.protocol,
                devid: &port.devid,
                rtpid: port.rtpid,
                group: port.group,
            },
        })
    }

    fn part(&self, task: &Task, offset: u32, length: u32) -> Task {
        let cdb = command::part(&self.0, task.cdb.head(), offset, length);
        Task {
            cdb: Cdb::new(&cdb).expect("16 bytes"),
            expected: Expected {
                length,
                ..task.expected
            },
            ..task.clone()
        }
    }

    fn execute(&self, task: Task, data: Vec<u8>, done: Done) {
        command::execute(Job {
            lu: Arc::clone(&self.0),
            cdb: *task.cdb.head(),
            expected: task.expected,
            key: Disk::key(&task.nexus, task.tag),
            start_by: match task.origin {
                Origin::Peer { start_by, .. } => start_by,
                Origin::Local => None,
            },
            inline: match task.origin {
                // On the thread that hears the peer: it must go on whatever the device does.
                Origin::Peer { .. } => Mode::NoWait,
                Origin::Local => Mode::Brief,
            },
            nexus: task.nexus,
            data,
            done,
        });
    }

    fn reservation_conflict(&self, task: &Task) -> bool {
        self.0.reservations.refuse(&task.nexus, task.cdb.head())
    }

    fn abort(&self, nexus: &Nexus, tag: u64) {
        self.0.gate().abort(Disk::key(nexus, tag));
    }
}

impl Unit for Disk {
    fn guid(&self) -> Guid {
        self.0.info().guid
    }

    fn name(&self) -> String {
        self.0.name.clone()
    }

    fn properties(&self) -> LuProperties {
        let lu = &*self.0;
        let id = lu.inquiry_id();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned();
        LuProperties {
            alias: Some(lu.alias()),
            block_size: Some(lu.block_length()),
            company_id: None,
            data_file: Some(lu.medium.path().to_owned()),
            guid: Some(lu.info().guid),
            meta_file: lu.info().separate_meta.then(|| lu.name.clone()),
            mgmt_url: lu.mgmt_url(),
            size: Some(lu.info().size),
            write_protect: Some(lu.write_protected()),
            write_cache_disable: Some(!lu.write_cache()),
            vendor: Some(text(&id.vendor)),
            product: Some(text(&id.product)),
            serial: lu.info().serial.clone(),
            host_id: None,
        }
    }

    fn inquiry(&self) -> Inquiry {
        self.0.inquiry_id()
    }

    fn generation(&self) -> u64 {
        self.0.ownership.generation()
    }

    fn owned(&self) -> bool {
        self.0.ownership.owned()
    }

    fn lease_age(&self) -> Option<Duration> {
        self.0.ownership.lease_age()
    }

    fn on_ownership_lost(&self, lost: Box<dyn FnOnce() + Send>) {
        self.0.ownership.on_lost(lost);
    }

    fn attach(&self, nexuses: Arc<dyn LuNexuses>) {
        if self.0.nexuses.set(nexuses).is_err() {
            log::error!("{}: attached twice", self.0.name);
        }
    }

    fn nexus_lost(&self, nexus: u64) {
        self.0.reservations.nexus_lost(nexus);
    }

    fn modify(&self, change: &LuChange) -> Result<(), Status> {
        self.0.modify(change)
    }

    fn release(&self, how: Release) -> Result<(), Status> {
        let lu = &*self.0;
        lu.gate().close();
        if how == Release::Lost {
            // I/O that has not ended by now fails or is the residual risk of 6.6.
            let closed = lu.medium.close(false);
            lu.ownership.abandon();
            if let Ok(Some(file)) = &closed {
                block_file::unlock(file);
            }
            lu.files.lock().clear();
            lu.drop_reserve();
            return closed.map(drop);
        }
        let file = match lu.medium.close(true) {
            // What is lost is lost; the store can still be given up in order.
            Err(_) if how == Release::Discard => lu.medium.close(false)?,
            result => result.inspect_err(|_| lu.gate().reopen())?,
        };
        let handover = lu.save_reservations();
        // Everything is flushed: what is cached here would only grow stale once the next owner writes.
        if let Some(error) = file.as_ref().and_then(|file| block_file::invalidate(file).err()) {
            log::warn!("{}: dropping its cached pages: {error}", lu.name);
        }
        if let Err(error) = lu.ownership.release(handover) {
            log::error!("{}: not given up: {error}", lu.name);
            if how != Release::Discard {
                if let Some(file) = file {
                    lu.medium.reopen(file);
                }
                lu.gate().reopen();
                return Err(Status::Error);
            }
            // Nothing can be written any more. Whoever wants the store next waits until the lease has stood still.
            lu.ownership.abandon();
        }
        if let Some(file) = &file {
            block_file::unlock(file);
        }
        lu.files.lock().clear();
        lu.drop_reserve();
        Ok(())
    }

    fn reset(&self) {
        let lu = &*self.0;
        lu.set_mode(lu.write_cache_saved.load(Ordering::Relaxed), false);
        lu.reservations.reset();
    }

    fn flush(&self) -> Result<(), Status> {
        let lu = &*self.0;
        match lu.medium.open().as_deref() {
            Some(file) => lu.medium.flush(file).map_err(|_| Status::Error),
            None => Err(Status::Error),
        }
    }

    fn check_store(&self) -> Result<(), Status> {
        let lu = &*self.0;
        let (open, path) = (lu.medium.open(), lu.medium.path());
        let file = open.as_deref().ok_or(Status::Error)?;
        let kind = block_file::kind(file).map_err(|error| {
            log::error!("{path}: its kind cannot be determined: {error}");
            Status::DataFileName
        })?;
        size::check_stored(file, kind, path, &lu.info())
    }
}

/// Without an alias an LU goes by its name, as far as that fits (255 bytes).
fn alias_of(name: &str) -> String {
    const ALIAS_MAX: usize = 255;
    let fits = |end: &usize| name.is_char_boundary(*end);
    let end = (0..=name.len().min(ALIAS_MAX)).rev().find(fits).unwrap_or(0);
    name[..end].to_owned()
}

/// Where user data begin in the data file.
pub const fn data_offset(info: &LuInfo) -> u64 {
    if info.separate_meta { 0 } else { SHARED_SIZE }
}
