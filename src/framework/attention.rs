//! Pending unit attentions of one nexus on one LU (`scsi-sbd.md` 3.1): a set, since a code is never queued twice, reported
//! one per command in the order of the table.

use crate::scsi::Sense;
use std::sync::atomic::{AtomicU16, Ordering};

/// The codes of the table, most urgent first. 06/3F/0E belongs to the nexus, not to the pair, and is kept there.
const CODES: [Sense; 10] = [
    Sense::POWER_ON,
    Sense::new(0x6, 0x29, 0x02),
    Sense::new(0x6, 0x29, 0x03),
    Sense::new(0x6, 0x29, 0x07),
    Sense::RESERVATIONS_PREEMPTED,
    Sense::new(0x6, 0x2a, 0x04),
    Sense::new(0x6, 0x2a, 0x05),
    Sense::CAPACITY_CHANGED,
    Sense::MODE_PARAMETERS_CHANGED,
    Sense::ACCESS_STATE_CHANGED,
];
/// 06/2F/00: commands cleared by another initiator.
pub(super) const COMMANDS_CLEARED: Sense = Sense::new(0x6, 0x2f, 0x00);
const COMMANDS_CLEARED_BIT: u16 = 1 << CODES.len();
/// 29/xx: reported before the reservation check.
const RESET_CLASS: u16 = 0b1111;
/// Reset-class codes mean nothing while the LU is not Active here (`alua-proxy.md` 7.4).
const ANY_STATE: u16 = !RESET_CLASS;

fn bit(sense: Sense) -> Option<u16> {
    if (sense.asc, sense.ascq) == (COMMANDS_CLEARED.asc, COMMANDS_CLEARED.ascq) {
        return Some(COMMANDS_CLEARED_BIT);
    }
    let at = CODES.iter().position(|c| (c.asc, c.ascq) == (sense.asc, sense.ascq))?;
    Some(1 << at)
}

/// Which codes a command may receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// 29/xx only: they come before the reservation check (`scsi-sbd.md` 2.1 row 4).
    Reset,
    /// Everything except 29/xx (row 6).
    Other,
    /// Everything (REQUEST SENSE).
    All,
}

/// The set.
#[derive(Debug, Default)]
pub(super) struct Attentions(AtomicU16);

impl Attentions {
    /// Queues a code. One of the reset class discards lower ones queued before it. Codes that are not in the table are a
    /// mistake of the caller; they are logged.
    pub fn raise(&self, sense: Sense) {
        let Some(bit) = bit(sense) else {
            log::error!("unit attention {sense:?} is not one of scsi-sbd 3.1");
            return;
        };
        if bit & RESET_CLASS != 0 {
            // One report of a reset is enough; the newest names the cause.
            self.0.store(bit, Ordering::Release);
        } else {
            self.0.fetch_or(bit, Ordering::AcqRel);
        }
    }

    /// True when nothing is pending; the usual case, one load.
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// Takes the most urgent code of a class. `active`: the LU is Active here.
    pub fn take(&self, class: Class, active: bool) -> Option<Sense> {
        let mut mask = match class {
            Class::Reset => RESET_CLASS,
            Class::Other => !RESET_CLASS,
            Class::All => u16::MAX,
        };
        if !active {
            mask &= ANY_STATE;
        }
        let mut pending = self.0.load(Ordering::Acquire);
        loop {
            let eligible = pending & mask;
            if eligible == 0 {
                return None;
            }
            let first = eligible & eligible.wrapping_neg();
            match self
                .0
                .compare_exchange_weak(pending, pending & !first, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if first == COMMANDS_CLEARED_BIT => return Some(COMMANDS_CLEARED),
                Ok(_) => return CODES.get(first.trailing_zeros() as usize).copied(),
                Err(now) => pending = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_per_command_in_order_and_never_twice() {
        let set = Attentions::default();
        for sense in [
            Sense::ACCESS_STATE_CHANGED,
            COMMANDS_CLEARED,
            Sense::CAPACITY_CHANGED,
            Sense::CAPACITY_CHANGED,
        ] {
            set.raise(sense);
        }
        assert_eq!(set.take(Class::Reset, true), None);
        assert_eq!(set.take(Class::Other, true), Some(Sense::CAPACITY_CHANGED));
        assert_eq!(set.take(Class::Other, true), Some(Sense::ACCESS_STATE_CHANGED));
        assert_eq!(set.take(Class::All, true), Some(COMMANDS_CLEARED));
        assert!(set.is_empty());
    }

    #[test]
    fn a_reset_discards_what_came_before() {
        let set = Attentions::default();
        set.raise(Sense::MODE_PARAMETERS_CHANGED);
        set.raise(Sense::POWER_ON);
        set.raise(Sense::ACCESS_STATE_CHANGED);
        assert_eq!(
            set.take(Class::All, false),
            Some(Sense::ACCESS_STATE_CHANGED),
            "29/00 waits while not Active"
        );
        assert_eq!(set.take(Class::Reset, true), Some(Sense::POWER_ON));
        assert!(set.is_empty());
    }

    #[test]
    fn foreign_codes_are_not_queued() {
        let set = Attentions::default();
        set.raise(Sense::new(6, 0x3f, 0x0e));
        assert!(set.is_empty());
    }
}
