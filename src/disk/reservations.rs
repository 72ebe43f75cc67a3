//! The reservations of an LU in force: persistent ones ([`crate::scsi::reservation`] decides) and that of RESERVE(6)
//! (SPC-2 7.21, `scsi-sbd.md` 2.8.11). Here is what the pure core lacks: who asks, the metadata, who is told.
#![forbid(unsafe_code)]

use super::lu::Lu;
use super::metadata::reservations::{HANDOVER, PGR_INFO, decode, decode_handover, encode, encode_handover};
use super::metadata::{Metadata, MetadataError};
use crate::framework::{LuNexuses, Nexus};
use crate::scsi::Sense;
use crate::scsi::reservation::{Change, ItNexus, Out, Refusal, State, apply, conflicts, conflicts_with_reserve};
use crate::types::DevId;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::sync::Arc;

/// RESERVE(6) and RELEASE(6).
const RESERVE: std::ops::RangeInclusive<u8> = 0x16..=0x17;

#[derive(Default, Clone)]
struct Current {
    persistent: State,
    /// Nexus that holds the LU by RESERVE(6).
    reserved_by: Option<u64>,
}

/// All that reserves an LU. Read for every command, so reading takes no lock.
#[derive(Default)]
pub struct Reservations {
    current: ArcSwap<Current>,
    /// One PERSISTENT RESERVE OUT at a time, its write of the metadata included.
    changing: Mutex<()>,
}

/// The nexus as reservations know it.
fn identity(nexus: &Nexus) -> ItNexus {
    ItNexus {
        initiator: nexus.transport_id.clone(),
        port: nexus.port.devid.clone(),
    }
}

impl Reservations {
    /// From the metadata of a store that was claimed: what the former owner handed over (its ownership generation is
    /// `handover`), else what persists through power loss.
    pub fn load(metadata: &Metadata, handover: Option<u64>) -> Result<Reservations, MetadataError> {
        let section = |id| metadata.others.iter().find(|section| section.id == id);
        let mut persistent = match section(PGR_INFO).map(decode).transpose()? {
            Some(state) if state.aptpl => state,
            _ => State::default(),
        };
        if let (Some(section), Some(generation)) = (section(HANDOVER), handover) {
            let (of, state) = decode_handover(section)?;
            if of == generation {
                persistent = state;
            }
        }
        Ok(Reservations {
            current: ArcSwap::from_pointee(Current {
                persistent,
                reserved_by: None,
            }),
            changing: Mutex::default(),
        })
    }

    /// A snapshot.
    pub fn state(&self) -> State {
        self.current.load().persistent.clone()
    }

    /// RESERVATION CONFLICT for this command of this nexus?
    pub fn refuse(&self, nexus: &Nexus, cdb: &[u8; 16]) -> bool {
        let current = self.current.load();
        if let Some(holder) = current.reserved_by {
            return holder != nexus.id && conflicts_with_reserve(cdb);
        }
        let persistent = &current.persistent;
        // CRH is 0 (SPC-4 5.13.3): registrations exclude RESERVE(6), reserved or not.
        if RESERVE.contains(&cdb[0]) {
            return !persistent.is_empty();
        }
        let Some(kind) = persistent.reserved else { return false };
        let nexus = identity(nexus);
        let at = persistent.find(&nexus);
        if at.is_some_and(|at| persistent.registrations[at].any_isid()) {
            self.bind(&nexus);
        }
        conflicts(kind, persistent.standing(at), cdb)
    }

    /// The nexus uses a registration for any ISID. Not made durable: nobody waits for a store here, and whoever comes first
    /// after a loss of power has the same right.
    fn bind(&self, nexus: &ItNexus) {
        // What is being changed comes into force without this; then the next command binds.
        let Some(_changing) = self.changing.try_lock() else {
            return;
        };
        self.current.rcu(|current| {
            let mut next = Current::clone(current);
            if let Some(at) = next.persistent.find(nexus) {
                next.persistent.bind(at, nexus);
            }
            next
        });
    }

    /// RESERVE(6). False: RESERVATION CONFLICT.
    pub fn reserve(&self, nexus: u64) -> bool {
        let before = self.current.rcu(|current| {
            let mut next = Current::clone(current);
            if next.persistent.is_empty() {
                next.reserved_by.get_or_insert(nexus);
            }
            next
        });
        before.persistent.is_empty() && before.reserved_by.is_none_or(|holder| holder == nexus)
    }

    /// RELEASE(6), or the nexus ended.
    pub fn nexus_lost(&self, nexus: u64) {
        if self.current.load().reserved_by == Some(nexus) {
            self.current.rcu(|current| Current {
                reserved_by: current.reserved_by.filter(|holder| *holder != nexus),
                ..Current::clone(current)
            });
        }
    }

    /// A reset ends a reservation by RESERVE(6), whose holder is returned; it never touches persistent ones.
    pub fn reset(&self) -> Option<u64> {
        let before = self.current.rcu(|current| Current {
            reserved_by: None,
            ..Current::clone(current)
        });
        before.reserved_by
    }
}

/// PERSISTENT RESERVE OUT: decides, makes durable what must be, puts it into force, and tells the nexuses. Blocks. The
/// caller sees to the tasks of `aborted`.
pub fn persistent_reserve_out(lu: &Lu, nexus: &Nexus, out: &Out) -> Result<Change, Refusal> {
    let ports = ports(lu);
    let port_of = |rtpid| ports.iter().find(|(_, id)| *id == rtpid).map(|(port, _)| port.clone());
    let reservations = lu.reservations();
    let changing = reservations.changing.lock();
    let before = reservations.current.load_full();
    let change = apply(&before.persistent, out, &identity(nexus), &port_of)?;
    // Without APTPL, before and after, the store has nothing of it.
    if change.state != before.persistent && (change.state.aptpl || before.persistent.aptpl) {
        lu.save(|metadata| put(metadata, &change.state, None))
            .map_err(|error| {
                log::error!("{}: saving persistent reservations: {error}", lu.medium().path());
                Sense::INSUFFICIENT_REGISTRATION_RESOURCES
            })?;
    }
    reservations.current.rcu(|current| Current {
        persistent: change.state.clone(),
        reserved_by: current.reserved_by,
    });
    drop(changing);
    for attention in &change.attentions {
        lu.attention(attention.sense, &|other| {
            other.id != nexus.id && attention.to.is(&identity(other))
        });
    }
    Ok(change)
}

/// Target ports with their relative identifiers.
pub fn ports(lu: &Lu) -> Vec<(DevId, u16)> {
    lu.nexuses().map(|nexuses| nexuses.ports()).unwrap_or_default()
}

/// PREEMPT AND ABORT: aborts the tasks of the preempted nexuses, but not this one; `gone` when none can touch the store.
pub fn abort(nexuses: Option<Arc<dyn LuNexuses>>, task: (u64, u64), change: &Change, gone: Box<dyn FnOnce() + Send>) {
    let Some(nexuses) = nexuses else { return gone() };
    let of = |nexus: &Nexus| change.aborted.iter().any(|r| r.is(&identity(nexus)));
    nexuses.abort_tasks(task, &of, gone);
}

/// Puts reservations into the metadata: with APTPL for everybody, and as `handover` for the owner after this generation.
pub fn put(metadata: &mut Metadata, state: &State, handover: Option<u64>) {
    let order = metadata.order;
    metadata
        .others
        .retain(|section| !matches!(section.id, PGR_INFO | HANDOVER));
    if state.aptpl {
        metadata.others.push(encode(state, order));
    }
    if let Some(generation) = handover {
        metadata.others.push(encode_handover(state, generation, order));
    }
}

/// For READ FULL STATUS.
pub fn rtpid_of(ports: &[(DevId, u16)], port: &DevId) -> u16 {
    ports
        .iter()
        .find(|(devid, _)| devid == port)
        .map_or(0, |(_, rtpid)| *rtpid)
}

/// Shared by source and destination of a copy: may this nexus do that to the LU?
pub fn refuses(lu: &Arc<Lu>, nexus: &Nexus, opcode: u8) -> bool {
    let mut cdb = [0; 16];
    cdb[0] = opcode;
    lu.reservations().refuse(nexus, &cdb)
}
