//! Persistent reservations of one logical unit (SPC-4 5.13, `scsi-sbd.md` 2.9), without I/O: state and command give state,
//! unit attentions and result.
//!
//! | file | what |
//! |---|---|
//! | `identity` | who is a registrant |
//! | `parameters` | parameter list of PERSISTENT RESERVE OUT |
//! | `out` | its service actions |
//! | `report` | parameter data of PERSISTENT RESERVE IN |
//! | `conflict` | which commands a reservation refuses |

mod conflict;
mod identity;
mod out;
mod parameters;
mod report;
#[cfg(test)]
mod tests;

pub use conflict::{Standing, conflicts, conflicts_with_reserve};
pub use identity::{ItNexus, same_initiator};
pub use out::{Attention, Change, Refusal, apply};
pub use parameters::{Action, MAX_LIST, Out};
pub use report::{capabilities, full_status, keys, reservation};

use crate::types::{DevId, TransportId};

/// Registrations of one LU, at most. Far more than the metadata can keep with APTPL; bounds memory and answers.
pub const MAX_REGISTRATIONS: usize = 1024;

/// TYPE of a persistent reservation (SPC-4 table 75).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Write Exclusive.
    WriteExclusive = 1,
    /// Exclusive Access.
    ExclusiveAccess = 3,
    /// Write Exclusive - Registrants Only.
    WriteExclusiveRegistrantsOnly = 5,
    /// Exclusive Access - Registrants Only.
    ExclusiveAccessRegistrantsOnly = 6,
    /// Write Exclusive - All Registrants.
    WriteExclusiveAllRegistrants = 7,
    /// Exclusive Access - All Registrants.
    ExclusiveAccessAllRegistrants = 8,
}

impl Kind {
    /// From SCOPE (bits 7-4, only 0 exists) and TYPE (bits 3-0).
    pub const fn from_scope_type(byte: u8) -> Option<Kind> {
        Some(match byte {
            1 => Kind::WriteExclusive,
            3 => Kind::ExclusiveAccess,
            5 => Kind::WriteExclusiveRegistrantsOnly,
            6 => Kind::ExclusiveAccessRegistrantsOnly,
            7 => Kind::WriteExclusiveAllRegistrants,
            8 => Kind::ExclusiveAccessAllRegistrants,
            _ => return None,
        })
    }

    /// Every registrant holds the reservation.
    pub const fn all_registrants(self) -> bool {
        matches!(
            self,
            Kind::WriteExclusiveAllRegistrants | Kind::ExclusiveAccessAllRegistrants
        )
    }

    /// Registrants have access although they do not hold the reservation, or all hold it.
    pub const fn for_registrants(self) -> bool {
        !matches!(self, Kind::WriteExclusive | Kind::ExclusiveAccess)
    }

    /// Reads are refused too.
    pub const fn exclusive_access(self) -> bool {
        matches!(
            self,
            Kind::ExclusiveAccess | Kind::ExclusiveAccessRegistrantsOnly | Kind::ExclusiveAccessAllRegistrants
        )
    }
}

/// One registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Reservation key, never 0.
    pub key: u64,
    /// Initiator port; for iSCSI in format 0 (without ISID) until the first nexus of that name uses it.
    pub initiator: TransportId,
    /// Target port.
    pub port: DevId,
    /// ALL_TG_PT: counts on every target port.
    pub all_ports: bool,
    /// Holds the reservation; false everywhere for the all-registrants kinds and without reservation.
    pub holder: bool,
}

/// The state of an LU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// PRGENERATION.
    pub generation: u32,
    /// In order of registration.
    pub registrations: Vec<Registration>,
    /// The reservation, if there is one. One registration is its holder then, or all are.
    pub reserved: Option<Kind>,
    /// Persists through power loss.
    pub aptpl: bool,
}

impl State {
    /// The registration of a nexus: one that names it exactly before one for any port or any ISID.
    pub fn find(&self, nexus: &ItNexus) -> Option<usize> {
        let exact = |r: &Registration| r.port == nexus.port && r.initiator == nexus.initiator;
        let found = self.registrations.iter().position(exact);
        found.or_else(|| self.registrations.iter().position(|r| r.is(nexus)))
    }

    /// Does registration `at` hold the reservation?
    pub fn holds(&self, at: usize) -> bool {
        match self.reserved {
            Some(kind) if kind.all_registrants() => at < self.registrations.len(),
            Some(_) => self.registrations.get(at).is_some_and(|r| r.holder),
            None => false,
        }
    }

    /// A registration for any ISID belongs to the first nexus that uses it (`scsi-sbd.md` 2.9.2).
    pub fn bind(&mut self, at: usize, nexus: &ItNexus) {
        let registration = &mut self.registrations[at];
        if registration.any_isid() {
            registration.initiator = nexus.initiator.clone();
        }
    }

    /// What the reservation sees in a nexus whose registration is `at`.
    pub fn standing(&self, at: Option<usize>) -> Standing {
        match at {
            Some(at) if self.holds(at) => Standing::Holder,
            Some(_) => Standing::Registered,
            None => Standing::Other,
        }
    }

    /// Nothing that would have to be kept.
    pub fn is_empty(&self) -> bool {
        self.registrations.is_empty()
    }
}

impl Registration {
    /// Made with a TransportID without ISID, and not used yet.
    pub fn any_isid(&self) -> bool {
        identity::any_isid(&self.initiator)
    }

    /// Is this the registration of that nexus?
    pub fn is(&self, nexus: &ItNexus) -> bool {
        (self.all_ports || self.port == nexus.port) && same_initiator(&self.initiator, &nexus.initiator)
    }
}
