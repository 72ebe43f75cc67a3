//! Ownership of a backing store (`alua-proxy.md` 6.6): the record on the store, who may claim it, and when its owner may
//! write. Pure: blocks, views and times come in as values. Times are monotonic, as a [`Duration`] since any fixed moment.
//!
//! | step | function |
//! |---|---|
//! | read the first block of the store, or a lease file | [`Found::decode`] |
//! | may this node claim it | [`decide`] |
//! | what to write, then read back and compare | [`Record::claimed`], [`Claim::holds`] |
//! | renew the lease every [`RENEWAL`] | [`renew`] |
//! | may a task touch the store | [`Fence::may_start`] |
//! | give it up | [`Record::released`] |

use crate::framework::PeerView;
use crate::types::{AccessState, Guid, NodeId};
use std::time::Duration;

/// Unit of reading and writing: one aligned block with O_DIRECT, at offset 0 of the store or as a whole lease file.
pub const BLOCK_SIZE: usize = 4096;
/// The record occupies the first bytes of the block; the rest of it stays as it is.
pub const RECORD_SIZE: usize = 512;
/// Default lease length.
pub const LEASE: Duration = Duration::from_secs(10);
/// Time between two renewals.
pub const RENEWAL: Duration = Duration::from_secs(2);
/// The owner stops starting writes this long before its lease ends.
pub const SAFETY_MARGIN: Duration = Duration::from_secs(2);
/// A claimant waits this long beyond the lease; the owner's I/O timeout is shorter.
pub const TAKEOVER_MARGIN: Duration = Duration::from_secs(5);

const MAGIC: [u8; 8] = *b"STMFOWN1";
/// Version of the record.
pub const VERSION: u32 = 1;
const FLAG_RELEASED: u32 = 1;
const FLAG_LEASE_IN_DIRECTORY: u32 = 2;
/// Bounds of a lease length in a record, in ms: a claimant waits that long, so a wrong number must not lock a store.
const LEASE_MS: std::ops::RangeInclusive<u32> = 1_000..=600_000;

/// Random identity of a node's installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstallationId(pub [u8; 16]);

/// 32 lower-case hex digits.
impl std::fmt::Display for InstallationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Name of the lease file that an installation keeps in each directory with LUs of its own.
pub fn lease_file_name(owner: &InstallationId) -> String {
    format!(".stmf-lease.{owner}")
}

/// An ownership record or the content of a lease file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The owner gave the store up.
    pub released: bool,
    /// Liveness is in the owner's lease file in the same directory, not in `counter`.
    pub lease_in_directory: bool,
    /// The LU; zeros in a lease file.
    pub guid: Guid,
    /// Who owns, or owned, the store.
    pub owner: InstallationId,
    /// Incarnation of the owner's framework.
    pub incarnation: u64,
    /// +1 at every claim, never reset; 0 in a lease file.
    pub generation: u64,
    /// +1 at every renewal.
    pub counter: u64,
    /// Lease length in ms, 1 s to 10 minutes.
    pub lease_ms: u32,
    /// Node id of the owner.
    pub node: NodeId,
    /// Wall clock of the last write, ns since 1970. For people only.
    pub written_ns: u64,
    /// Generation for which handover data is valid, 0 none.
    pub handover: u64,
}

/// What the first block of a store (or a lease file) holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No record: an old or foreign LU. Counts as released, generation 0.
    Blank,
    /// In use by something else (a disk label): the store cannot hold a record, the exclusive lock alone decides.
    Foreign,
    /// Our magic with a wrong checksum or impossible fields. Somebody may own the store.
    Damaged,
    /// Written by a newer version; not understood.
    Newer(u32),
    /// A record.
    Valid(Record),
}

/// Identity of one claim: what must still be in the record for its owner to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// This installation.
    pub owner: InstallationId,
    /// This life of the framework.
    pub incarnation: u64,
    /// Generation claimed.
    pub generation: u64,
}

/// One look at a store that somebody may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The record.
    pub record: Found,
    /// The owner's lease file, if the record says that the lease is there; `None` also when it is missing.
    pub lease: Option<Found>,
    /// When it was read.
    pub at: Duration,
}

/// May this node claim the store?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Write the record.
    Grant,
    /// Keep the exclusive lock, look again not later than `until`, and decide again with the same first sighting.
    WaitAndWatch {
        /// The lease has stood still long enough at this moment.
        until: Duration,
    },
    /// `STMF_ERROR_ACCESS_STATE_SET`.
    Refuse,
}

/// Outcome of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Write this. The lease counts from the moment before the record was read.
    Write(Record),
    /// Somebody else has the store: OwnershipLost, and nothing is written.
    Lost,
}

/// The decision table of 6.6. `first` is the look that began the claim, `latest` the newest one (the same at first);
/// the exclusive lock is held.
pub fn decide(me: &InstallationId, peer: &PeerView, first: &Sighting, latest: &Sighting) -> Decision {
    let lease = match latest.record {
        Found::Blank | Found::Foreign => return Decision::Grant,
        Found::Newer(_) => return Decision::Refuse,
        Found::Damaged => LEASE,
        Found::Valid(record) if record.released || record.owner == *me => return Decision::Grant,
        // Its owner lost it without another one, and says so. Of this claim only: it may have made a new one since.
        Found::Valid(record) if peer.given_up == Some(record.generation) => return Decision::Grant,
        Found::Valid(record) => record.lease(),
    };
    // Says Active, or is importing itself: the caller has the order wrong.
    let claims = matches!(peer.says, Some(AccessState::Active | AccessState::TransitionToActive));
    if peer.reachable && claims && !peer.original {
        return Decision::Refuse;
    }
    if peer.fenced && !peer.reachable {
        return Decision::Grant;
    }
    // "Not Active" may be old news: the LUN_ACTIVE after it can be lost or late. So it is believed only with a lease
    // that stands still.
    // Whoever renews its lease is alive.
    if (first.record, first.lease) != (latest.record, latest.lease) {
        return Decision::Refuse;
    }
    let until = first.at + lease + TAKEOVER_MARGIN;
    if latest.at >= until {
        Decision::Grant
    } else {
        Decision::WaitAndWatch { until }
    }
}

/// What the owner does every [`RENEWAL`]: `found` is the record of a device, or the lease file of a directory. With a
/// lease file, the record of an LU is read again ([`Claim::holds`]) after each renewal that came too late
/// ([`Fence::lapsed`]), before its waiting writes go on.
pub fn renew(claim: &Claim, found: &Found, written_ns: u64) -> Renewal {
    match found {
        Found::Valid(record) if claim.holds(found) => Renewal::Write(Record {
            counter: record.counter.wrapping_add(1),
            written_ns,
            ..*record
        }),
        _ => Renewal::Lost,
    }
}

/// Decides whether the owner may touch its store. That is reads as well, answered from a cache or not: after a takeover
/// they would return old data (I2). And it is everything that reaches the store later, cached writes and flushes
/// included: what the kernel writes back after the lease lands on the new owner's data (I1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    /// When the last successful renewal (or the claim) began: before its record was read, not when its write was done.
    pub renewed: Duration,
    /// Lease length that the record states.
    pub lease: Duration,
}

impl Fence {
    /// A write, read or flush may start now. When not: it waits for a renewal, and fails when ownership is lost.
    pub fn may_start(&self, now: Duration) -> bool {
        now < self.renewed + self.lease.saturating_sub(SAFETY_MARGIN)
    }

    /// The lease ended: another node may have claimed the store meanwhile.
    pub fn lapsed(&self, now: Duration) -> bool {
        now >= self.renewed + self.lease
    }
}

impl Claim {
    /// The record still names this claim, and it is not released.
    pub fn holds(&self, found: &Found) -> bool {
        matches!(found, Found::Valid(record) if !record.released
            && (record.owner, record.incarnation, record.generation)
                == (self.owner, self.incarnation, self.generation))
    }
}

impl Record {
    /// A lease file: the generation is 0 and there is no LU.
    pub fn lease_file(owner: InstallationId, incarnation: u64, node: NodeId) -> Record {
        Record {
            released: false,
            lease_in_directory: false,
            guid: Guid([0; 16]),
            owner,
            incarnation,
            generation: 0,
            counter: 1,
            lease_ms: LEASE.as_millis() as u32,
            node,
            written_ns: 0,
            handover: 0,
        }
    }

    /// The record to write after a grant: `mine` with the next generation. Look, decision and write are one for other nodes
    /// only because of the exclusive lock. To undo the claim after a failed load, write the previous block back.
    pub fn claimed(mine: Record, previous: &Found) -> Record {
        let (generation, counter) = match previous {
            Found::Valid(record) => (record.generation, record.counter),
            _ => (0, 0),
        };
        Record {
            released: false,
            generation: generation.saturating_add(1),
            counter: counter.wrapping_add(1),
            handover: 0,
            ..mine
        }
    }

    /// The record to write at release. `handover`: the reservation state was saved for the next owner.
    pub fn released(self, handover: bool, written_ns: u64) -> Record {
        Record {
            released: true,
            handover: if handover { self.generation } else { 0 },
            written_ns,
            ..self
        }
    }

    /// Handover data is loaded only by the next owner after a planned release, never at a cold start (6.5). Asked of the
    /// record that the claim replaces.
    pub fn handover_valid(&self) -> bool {
        self.released && self.handover != 0 && self.handover == self.generation
    }

    /// This claim's identity.
    pub fn claim(&self) -> Claim {
        Claim {
            owner: self.owner,
            incarnation: self.incarnation,
            generation: self.generation,
        }
    }

    /// Lease length.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms.into())
    }

    /// The byte table of 6.6, all integers big-endian, with its CRC-32C.
    pub fn encode(&self) -> [u8; RECORD_SIZE] {
        let flags = if self.released { FLAG_RELEASED } else { 0 }
            | if self.lease_in_directory {
                FLAG_LEASE_IN_DIRECTORY
            } else {
                0
            };
        let mut bytes = [0; RECORD_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, &MAGIC);
        put(8, &VERSION.to_be_bytes());
        put(12, &flags.to_be_bytes());
        put(16, &self.guid.0);
        put(32, &self.owner.0);
        put(48, &self.incarnation.to_be_bytes());
        put(56, &self.generation.to_be_bytes());
        put(64, &self.counter.to_be_bytes());
        put(72, &self.lease_ms.to_be_bytes());
        put(76, &[self.node.get()]);
        put(80, &self.written_ns.to_be_bytes());
        put(88, &self.handover.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..508]);
        bytes[508..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

impl Found {
    /// Reads the first [`RECORD_SIZE`] bytes of a block; what follows is not looked at. A shorter block is damaged.
    pub fn decode(block: &[u8]) -> Found {
        let Some(bytes) = block.first_chunk::<RECORD_SIZE>() else {
            return Found::Damaged;
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return Found::Blank;
        }
        if bytes[..8] != MAGIC {
            return Found::Foreign;
        }
        if be32(bytes, 508) != crc32c::crc32c(&bytes[..508]) {
            return Found::Damaged;
        }
        match be32(bytes, 8) {
            VERSION => Record::decode(bytes).map_or(Found::Damaged, Found::Valid),
            newer => Found::Newer(newer),
        }
    }

    /// Ownership generation; 0 without a record.
    pub fn generation(&self) -> u64 {
        match self {
            Found::Valid(record) => record.generation,
            _ => 0,
        }
    }
}

impl Record {
    /// Unknown flags and the reserved bytes are ignored.
    fn decode(bytes: &[u8; RECORD_SIZE]) -> Option<Record> {
        let flags = be32(bytes, 12);
        let lease_ms = be32(bytes, 72);
        Some(Record {
            released: flags & FLAG_RELEASED != 0,
            lease_in_directory: flags & FLAG_LEASE_IN_DIRECTORY != 0,
            guid: Guid(field(bytes, 16)),
            owner: InstallationId(field(bytes, 32)),
            incarnation: be64(bytes, 48),
            generation: be64(bytes, 56),
            counter: be64(bytes, 64),
            lease_ms: LEASE_MS.contains(&lease_ms).then_some(lease_ms)?,
            node: NodeId::new(bytes[76])?,
            written_ns: be64(bytes, 80),
            handover: be64(bytes, 88),
        })
    }
}

fn field<const N: usize>(bytes: &[u8; RECORD_SIZE], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("every field lies inside the record")
}

fn be32(bytes: &[u8; RECORD_SIZE], at: usize) -> u32 {
    u32::from_be_bytes(field(bytes, at))
}

fn be64(bytes: &[u8; RECORD_SIZE], at: usize) -> u64 {
    u64::from_be_bytes(field(bytes, at))
}

#[cfg(test)]
mod tests;
