//! What the framework asks of an LU provider (the disk provider `sbd`).

use super::{Handler, Nexus, PeerView};
use crate::scsi::Sense;
use crate::types::{DevId, Guid, LuChange, LuProperties, Status};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// INQUIRY identification of an LU, space-padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inquiry {
    /// T10 vendor identification.
    pub vendor: [u8; 8],
    /// Product identification.
    pub product: [u8; 16],
    /// Product revision level.
    pub revision: [u8; 4],
}

impl Default for Inquiry {
    /// The product's defaults (`libstmf-api.md` 4.1).
    fn default() -> Self {
        Inquiry {
            vendor: *b"SUN     ",
            product: *b"COMSTAR         ",
            revision: *b"1.0 ",
        }
    }
}

/// Why an import failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportError {
    /// The ownership record says that another node has the store (`alua-proxy.md` 6.6). The GUID read from the metadata.
    Refused(Guid),
    /// The store or its metadata cannot be used: `MetaFileName`, `DataFileName`, `FileSizeInvalid`, `Error`, `Perm`.
    Failed(Status),
}

/// How an open unit gives up its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Planned: flush data and metadata, save the reservations, mark the ownership record released, unlock, close. When
    /// the flush fails the unit stays open and owned and the call fails (ruling 5).
    Handover,
    /// As `Handover`, for an LU that is deleted although what it has not written is lost: a failing flush is logged.
    Discard,
    /// Ownership is lost: close without writing anything to the store.
    Lost,
}

/// The nexuses of one LU, as its unit may reach them. May be called from any thread, also inside `execute`; the unit
/// holds none of its locks that `reservation_conflict`, `start` or `abort` take.
pub trait LuNexuses: Send + Sync {
    /// Queues a unit attention (`scsi-sbd.md` 3.1: one of its table) on every nexus of the LU for which `to` holds. Images
    /// of the peer's ports get none (`alua-proxy.md` 6.5).
    fn attention(&self, sense: Sense, to: &dyn Fn(&Nexus) -> bool);

    /// Aborts the tasks of every nexus for which `of` holds (PREEMPT AND ABORT), except the one with this nexus id and
    /// tag. `gone` is called, on any thread, when none of them can touch the store or answer any more.
    fn abort_tasks(&self, except: (u64, u64), of: &dyn Fn(&Nexus) -> bool, gone: Box<dyn FnOnce() + Send>);

    /// All target ports, those of the peer included, with their relative target port identifiers.
    fn ports(&self) -> Vec<(DevId, u16)>;
}

/// A provider of logical units.
pub trait LuProvider: Send + Sync {
    /// Name in listings and messages, `sbd` for disks.
    fn name(&self) -> &'static str;

    /// Writes new metadata and opens the LU (`libstmf-api.md` 3.9, `stmfCreateLu` steps 3 to 10): the ownership record is
    /// claimed first, so a file that another node serves is not overwritten. `guid` is `Some` in `properties` or
    /// generated; `taken` tells whether a GUID is registered or has view entries.
    fn create(&self, properties: &LuProperties, taken: &dyn Fn(&Guid) -> bool) -> Result<Arc<dyn Unit>, Status>;

    /// The management URL of all LUs that have none of their own; `None`: there is none.
    fn set_mgmt_url(&self, _url: Option<&str>) {}

    /// The GUID in the metadata at `path`, without claiming or changing anything: `MetaFileName` when there is none.
    fn identify(&self, path: &str) -> Result<Guid, Status>;

    /// Claims the store and opens the LU (`alua-proxy.md` 6.6 Claim, 6.5 import). Blocks for the lease wait where the rule
    /// says so. On failure nothing stays open and a claim that was written is undone.
    fn import(&self, path: &str, peer: PeerView) -> Result<Arc<dyn Unit>, ImportError>;

    /// In a rehearsal: all checks of [`LuProvider::import`] and of [`Unit::modify`] on what would be opened.
    fn rehearse_modify(&self, _path: &str, _peer: PeerView, _change: &LuChange) -> Result<(), ImportError> {
        Err(ImportError::Failed(Status::InvalidProp))
    }
}

/// An open, owned logical unit. `Any`: a provider finds its own units again ([`Nexus::unit`]).
pub trait Unit: Handler + Any {
    /// From the metadata.
    fn guid(&self) -> Guid;

    /// The LU's name: metadata file if it has one of its own, else data file. What the peer must import.
    fn name(&self) -> String;

    /// A snapshot of all properties, without the access state.
    fn properties(&self) -> LuProperties;

    /// Vendor, product, revision.
    fn inquiry(&self) -> Inquiry;

    /// Ownership generation that this node claimed; 0 when the store cannot hold a record.
    fn generation(&self) -> u64;

    /// Reads the ownership record again: does it still name this node's claim? `false` also when it cannot be read.
    fn owned(&self) -> bool;

    /// Since the last successful renewal of the lease on the store; `None`: it has none.
    fn lease_age(&self) -> Option<Duration> {
        None
    }

    /// Called once, on a thread of the provider's, when a lease renewal finds that the record names somebody else.
    fn on_ownership_lost(&self, lost: Box<dyn FnOnce() + Send>);

    /// Called once, before the first command: where the unit raises unit attentions.
    fn attach(&self, _nexuses: Arc<dyn LuNexuses>) {}

    /// The nexus with this id ended, or the LU is no longer mapped on it; its tasks are gone.
    fn nexus_lost(&self, _nexus: u64) {}

    /// Changes a property, in the metadata first (`stmfModifyLu`): `WriteCacheSet`, `FileSizeInvalid`, `SizeOutOfRange`,
    /// `DataFileName`, `MetaCreation`; on failure the old value stays. A unit whose properties are fixed: `InvalidProp`.
    fn modify(&self, _change: &LuChange) -> Result<(), Status> {
        Err(Status::InvalidProp)
    }

    /// Gives the store up. The framework has stopped and drained the tasks before.
    fn release(&self, how: Release) -> Result<(), Status>;

    /// LOGICAL UNIT RESET of the provider's own state (mode pages, SCSI-2 reservation).
    fn reset(&self);

    /// Makes all acknowledged writes durable. Blocks.
    fn flush(&self) -> Result<(), Status>;

    /// Is the store still large enough for the LU (`scsi-sbd.md` 4.4, LU online)? `FileSizeInvalid` when it is not.
    fn check_store(&self) -> Result<(), Status> {
        Ok(())
    }
}
