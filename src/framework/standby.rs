//! Commands on a Standby LU: which of them go to the peer (`alua-proxy.md` 7.4), and the handler that sends them there.

use super::{Cdb, Done, Framework, Handler, Nexus, Outcome, Start, Task};
use crate::scsi::Sense;
use crate::types::Guid;
use std::sync::Weak;

/// PERSISTENT RESERVE OUT parameter lists must be shorter (`alua-proxy.md` 5.8).
const MAX_PARAMETER_LIST: u32 = 256 * 1024;
/// Data of one forwarded write. An LU moves no more with one command, and says so in VPD page B0h.
const MAX_WRITE: u32 = 64 << 20;

/// What the table says about a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To the peer.
    Forward,
    /// 02/04/0B.
    Refuse,
}

/// READ (6), (10), (12), (16).
const READS: [u8; 4] = [0x08, 0x28, 0xa8, 0x88];

/// True for a command that every Standby LU forwards: it changes no data of the medium. Whoever gets any other one from a
/// peer wants proof that it did not linger on its way (`alua-proxy.md` 7.7).
pub fn forwarded_by_default(cdb: &[u8]) -> bool {
    let second = cdb.get(1).copied().unwrap_or(0);
    match cdb.first().copied().unwrap_or(0) {
        // INQUIRY, TEST UNIT READY, REQUEST SENSE, MODE SENSE, MODE SELECT, RESERVE, RELEASE, PERSISTENT RESERVE IN/OUT,
        // READ CAPACITY (10), START STOP UNIT
        0x12 | 0x00 | 0x03 | 0x1a | 0x5a | 0x15 | 0x55 | 0x16 | 0x17 | 0x5e | 0x5f | 0x25 | 0x1b => true,
        // READ CAPACITY (16)
        0x9e => second == 0x10,
        // REPORT IDENTIFYING INFORMATION; REPORT TARGET PORT GROUPS, REPORT LUNS by an original peer
        0xa3 => matches!(second & 0x1f, 0x05 | 0x0a),
        0xa0 => true,
        read => READS.contains(&read),
    }
}

/// True for one of those that changes something else: reservations, mode pages, the state of the unit. Such a command must not
/// linger on its way either, but an original peer sends and takes it without proof.
pub fn changes_settings(cdb: &[u8]) -> bool {
    // MODE SELECT, RESERVE, RELEASE, PERSISTENT RESERVE OUT, START STOP UNIT
    matches!(cdb.first(), Some(0x15 | 0x55 | 0x16 | 0x17 | 0x5f | 0x1b))
}

/// The table. REPORT LUNS and REPORT TARGET PORT GROUPS do not come here. `reads`: setting `alua/standby-reads`; `all`:
/// the policy `non-optimized` is in effect.
pub(super) fn filter(cdb: &Cdb, reads: bool, all: bool) -> Verdict {
    let head = cdb.head();
    let refused = READS.contains(&head[0]) && !reads;
    match all || forwarded_by_default(head) && !refused {
        true => Verdict::Forward,
        false => Verdict::Refuse,
    }
}

/// Sends commands of one LU to the peer.
pub(super) struct Forwarder {
    pub lu: Guid,
    pub framework: Weak<Framework>,
}

impl Handler for Forwarder {
    fn start(&self, task: &Task) -> Start {
        let wanted = match host_data(task) {
            Err(outcome) => return Start::Done(outcome),
            Ok(length) => length,
        };
        if wanted > task.expected.length {
            // Never act on part of a parameter list (`scsi-sbd.md` 2.2).
            return Start::Done(Outcome::check(Sense::PARAMETER_LIST_LENGTH));
        }
        Start::Execute { want: wanted }
    }

    fn execute(&self, task: Task, data: Vec<u8>, done: Done) {
        match self.framework.upgrade().and_then(|f| f.link()) {
            Some(link) => link.forward(self.lu, task, data, done),
            None => done(Outcome::check(Sense::ALUA_UNAVAILABLE)),
        }
    }

    fn abort(&self, nexus: &Nexus, tag: u64) {
        if let Some(link) = self.framework.upgrade().and_then(|f| f.link()) {
            link.abort(nexus, tag);
        }
    }
}

/// Bytes that the host is asked for. What they mean, only the owner of the LU knows: of a write all that the host has.
fn host_data(task: &Task) -> Result<u32, Outcome> {
    if forwarded_by_default(task.cdb.head()) {
        return parameter_list(&task.cdb);
    }
    let length = if task.expected.write { task.expected.length } else { 0 };
    if length > MAX_WRITE {
        return Err(Outcome::check(Sense::INVALID_FIELD_IN_CDB));
    }
    Ok(length)
}

/// Length of the parameter list that goes with the command, after the checks of `alua-proxy.md` 5.8.
fn parameter_list(cdb: &Cdb) -> Result<u32, Outcome> {
    let head = cdb.head();
    let length = match head[0] {
        0x5f => {
            let length = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            if head[1] & 0x1f > 0x07 {
                return Err(Outcome::check(Sense::INVALID_FIELD_IN_CDB));
            }
            if length == 0 || length >= MAX_PARAMETER_LIST {
                return Err(Outcome::check(Sense::PARAMETER_LIST_LENGTH));
            }
            return Ok(length);
        }
        0x15 => u32::from(head[4]),
        0x55 => u32::from(u16::from_be_bytes([head[7], head[8]])),
        _ => return Ok(0),
    };
    if head[1] & !1 != 0x10 {
        return Err(Outcome::check(Sense::INVALID_FIELD_IN_CDB));
    }
    if length == 0 {
        return Err(Outcome::good());
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cdb(bytes: &[u8]) -> Cdb {
        Cdb::new(bytes).unwrap()
    }

    #[test]
    fn the_table_of_7_4() {
        for opcode in 0..=255u8 {
            let forwarded = [
                0xa0, 0x12, 0x00, 0x03, 0x1a, 0x5a, 0x15, 0x55, 0x16, 0x17, 0x5e, 0x5f, 0x25, 0x1b, 0x08, 0x28, 0xa8,
                0x88,
            ];
            let expected = if forwarded.contains(&opcode) {
                Verdict::Forward
            } else {
                Verdict::Refuse
            };
            assert_eq!(filter(&cdb(&[opcode]), true, false), expected, "{opcode:#x}");
        }
        assert_eq!(filter(&cdb(&[0x9e, 0x10]), true, false), Verdict::Forward);
        assert_eq!(filter(&cdb(&[0x9e, 0x12]), true, false), Verdict::Refuse);
        assert_eq!(filter(&cdb(&[0xa3, 0x05]), true, false), Verdict::Forward);
        assert_eq!(filter(&cdb(&[0xa3, 0x0c]), true, false), Verdict::Refuse);
        for opcode in [0x08, 0x28, 0xa8, 0x88] {
            assert_eq!(filter(&cdb(&[opcode]), false, false), Verdict::Refuse);
        }
        for opcode in 0..=255u8 {
            assert_eq!(
                filter(&cdb(&[opcode]), false, true),
                Verdict::Forward,
                "7.7: {opcode:#x}"
            );
        }
    }

    #[test]
    fn parameter_lists_are_checked_before_data_is_asked_for() {
        let refused = |sense| Err(Outcome::check(sense));
        assert_eq!(
            parameter_list(&cdb(&[0x5f, 0x08, 0, 0, 0, 0, 0, 0, 24])),
            refused(Sense::INVALID_FIELD_IN_CDB)
        );
        assert_eq!(
            parameter_list(&cdb(&[0x5f, 0x00, 0, 0, 0, 0, 0, 0, 0])),
            refused(Sense::PARAMETER_LIST_LENGTH)
        );
        assert_eq!(
            parameter_list(&cdb(&[0x5f, 0x00, 0, 0, 0, 0, 4, 0, 0])),
            refused(Sense::PARAMETER_LIST_LENGTH)
        );
        assert_eq!(parameter_list(&cdb(&[0x5f, 0x00, 0, 0, 0, 0, 0, 0, 24])), Ok(24));
        assert_eq!(
            parameter_list(&cdb(&[0x15, 0x00, 0, 0, 24])),
            refused(Sense::INVALID_FIELD_IN_CDB)
        );
        assert_eq!(parameter_list(&cdb(&[0x15, 0x11, 0, 0, 24])), Ok(24));
        assert_eq!(parameter_list(&cdb(&[0x55, 0x10, 0, 0, 0, 0, 0, 1, 0])), Ok(256));
        assert_eq!(parameter_list(&cdb(&[0x55, 0x10])), Err(Outcome::good()));
        assert_eq!(parameter_list(&cdb(&[0x28])), Ok(0));
    }
}
