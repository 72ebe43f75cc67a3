//! Which commands a reservation refuses (SPC-4 table 71, SBC-3 table 13, `scsi-sbd.md` 2.9.5 and 2.8.11).

use super::Kind;

/// What a reservation sees in a nexus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Holds the reservation.
    Holder,
    /// Registered.
    Registered,
    /// Neither.
    Other,
}

enum Class {
    /// Refused to nobody; or an unknown command, for which the LU has its own answer.
    Allowed,
    /// Reads the medium, or no more harmful.
    Read,
    /// Changes medium or LU, or tells of its state.
    Write,
    /// RESERVE(6), RELEASE(6).
    Reserve,
}

/// Does a persistent reservation refuse this command? PERSISTENT RESERVE OUT judges itself ([`super::apply`]).
pub fn conflicts(kind: Kind, standing: Standing, cdb: &[u8; 16]) -> bool {
    let class = class(cdb);
    if let Class::Reserve = class {
        return true;
    }
    let access = match standing {
        Standing::Holder => true,
        Standing::Registered => kind.for_registrants(),
        Standing::Other => false,
    };
    match class {
        Class::Allowed | Class::Reserve => false,
        Class::Read => !access && kind.exclusive_access(),
        Class::Write => !access,
    }
}

fn class(cdb: &[u8; 16]) -> Class {
    let action = cdb[1] & 0x1f;
    match cdb[0] {
        0x16 | 0x17 => Class::Reserve,
        // READ, VERIFY, PRE-FETCH, READ DEFECT DATA
        0x08 | 0x28 | 0xa8 | 0x88 | 0x2f | 0xaf | 0x8f | 0x34 | 0x90 | 0x37 | 0xb7 => Class::Read,
        // GET LBA STATUS
        0x9e if action == 0x12 => Class::Read,
        // REPORT SUPPORTED OPERATION CODES, ... TASK MANAGEMENT FUNCTIONS
        0xa3 if matches!(action, 0x0c | 0x0d) => Class::Read,
        // PREVENT ALLOW MEDIUM REMOVAL, START STOP UNIT: only where they do something
        0x1e if cdb[4] & 0x03 != 0 => Class::Write,
        0x1b if cdb[4] & 0xf1 != 0 => Class::Write,
        // WRITE, WRITE AND VERIFY, ORWRITE, COMPARE AND WRITE, WRITE ATOMIC, WRITE SAME, UNMAP
        0x0a | 0x2a | 0xaa | 0x8a | 0x2e | 0xae | 0x8e | 0x8b | 0x89 | 0x9c | 0x41 | 0x93 | 0x42 => Class::Write,
        // SYNCHRONIZE CACHE, MODE SENSE, MODE SELECT, EXTENDED COPY, RECEIVE COPY RESULTS
        0x35 | 0x91 | 0x1a | 0x5a | 0x15 | 0x55 | 0x83 | 0x84 => Class::Write,
        _ => Class::Allowed,
    }
}

/// Does a reservation of another nexus by RESERVE(6) refuse this command?
pub fn conflicts_with_reserve(cdb: &[u8; 16]) -> bool {
    let action = cdb[1] & 0x1f;
    match cdb[0] {
        // INQUIRY, REPORT LUNS, REQUEST SENSE, RELEASE(6), LOG SENSE, READ CAPACITY(10)
        0x12 | 0xa0 | 0x03 | 0x17 | 0x4d | 0x25 => false,
        0x9e => action != 0x10,
        // PREVENT ALLOW MEDIUM REMOVAL
        0x1e => cdb[4] & 0x03 != 0,
        // START STOP UNIT
        0x1b => cdb[4] & 0x01 != 0,
        // REPORT IDENTIFYING INFORMATION, REPORT TARGET PORT GROUPS
        0xa3 => !matches!(action, 0x05 | 0x0a),
        _ => true,
    }
}
