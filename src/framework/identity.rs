//! What INQUIRY answers for an LU that cannot be asked: in transition, or Standby with an unreachable peer
//! (`alua-proxy.md` 7.5, 7.6). Answers that passed by earlier are remembered; what names the port is made here.

use super::{Inquiry, Outcome, Port, Task};
use crate::scsi::{ScsiStatus, Sense};
use crate::types::{Guid, Protocol};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// INQUIRY.
pub(super) const INQUIRY: u8 = 0x12;
const PAGE_SUPPORTED: u8 = 0x00;
const PAGE_IDENTIFICATION: u8 = 0x83;
/// Longest INQUIRY answer remembered; longer ones are not a disk's.
const MAX_ANSWER: usize = 4096;

/// Remembered answers by (EVPD page, or standard).
pub(super) struct Identity {
    guid: Guid,
    answers: Mutex<BTreeMap<Option<u8>, Vec<u8>>>,
}

impl Identity {
    pub fn new(guid: Guid) -> Identity {
        Identity {
            guid,
            answers: Mutex::default(),
        }
    }

    /// Forgets: the LU may be another one now.
    pub fn reset(&self) {
        self.answers.lock().clear();
    }

    /// Standard INQUIRY from the unit's own words, unless an answer of its own has passed by.
    pub fn know(&self, inquiry: &Inquiry) {
        self.answers.lock().entry(None).or_insert_with(|| standard(inquiry));
    }

    /// Remembers an answer to INQUIRY, if it is complete.
    pub fn learn(&self, cdb: &[u8; 16], outcome: &Outcome) {
        let data = &outcome.data;
        if outcome.status != ScsiStatus::Good || data.len() < 5 || data.len() > MAX_ANSWER {
            return;
        }
        let (key, length) = match cdb[1] & 1 {
            0 => (None, usize::from(data[4]) + 5),
            _ => (Some(cdb[2]), usize::from(u16::from_be_bytes([data[2], data[3]])) + 4),
        };
        if data.len() >= length {
            self.answers.lock().insert(key, data[..length].to_vec());
        }
    }

    /// Answers INQUIRY.
    pub fn answer(&self, task: &Task) -> Outcome {
        let cdb = task.cdb.head();
        let evpd = cdb[1] & 1 != 0;
        if !evpd && cdb[2] != 0 {
            return Outcome::check(Sense::INVALID_FIELD_IN_CDB);
        }
        let key = evpd.then_some(cdb[2]);
        let known = self.answers.lock().get(&key).cloned();
        let data = match (key, known) {
            (Some(PAGE_IDENTIFICATION), known) => self.identification(known.as_deref(), task.port()),
            (_, Some(known)) => known,
            (None, None) => standard(&Inquiry::default()),
            (Some(PAGE_SUPPORTED), None) => vec![0, PAGE_SUPPORTED, 0, 2, PAGE_SUPPORTED, PAGE_IDENTIFICATION],
            (Some(_), None) => return Outcome::check(Sense::INVALID_FIELD_IN_CDB),
        };
        let allocation = usize::from(u16::from_be_bytes([cdb[3], cdb[4]]));
        let length = data.len().min(allocation);
        Outcome::data_in(data[..length].to_vec())
    }

    /// Page 83h: the LU's own designators as remembered, those of the port made new (`alua-proxy.md` 7.2).
    fn identification(&self, known: Option<&[u8]>, port: &Port) -> Vec<u8> {
        let mut designators = known.map_or_else(Vec::new, lu_designators);
        if designators.is_empty() {
            designators.extend([0xf1, 0x03, 0, 16]);
            designators.extend(self.guid.0);
        }
        designators.extend(port_designators(port));
        let mut page = vec![0, PAGE_IDENTIFICATION];
        page.extend(u16::try_from(designators.len()).unwrap_or(u16::MAX).to_be_bytes());
        page.extend(designators);
        page
    }
}

/// The designators of a page 83h whose association is the LU (SPC-4 7.8.6.1: byte 1 bits 5:4 zero).
fn lu_designators(page: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = page.get(4..).unwrap_or_default();
    while let [_, kind, _, length, ..] = rest {
        let Some((designator, after)) = rest.split_at_checked(4 + usize::from(*length)) else {
            break;
        };
        if kind & 0x30 == 0 {
            kept.extend_from_slice(designator);
        }
        rest = after;
    }
    kept
}

/// Target port name, target port group, relative target port.
fn port_designators(port: &Port) -> Vec<u8> {
    // An iSCSI name is a SCSI name string, type 8, UTF-8.
    let (code_set, kind) = match port.protocol {
        Protocol::Iscsi => (3, 0x98),
        _ => (2, 0x90),
    };
    let name = port.devid.as_bytes();
    let length = u8::try_from(name.len()).expect("a devid has at most 255 bytes");
    let mut all = vec![(port.protocol as u8) << 4 | code_set, kind, 0, length];
    all.extend(name);
    all.extend([0x01, 0x15, 0, 4, 0, 0, 0, port.group.get()]);
    all.extend([0x01, 0x14, 0, 4, 0, 0]);
    all.extend(port.rtpid.to_be_bytes());
    all
}

/// Standard INQUIRY data of a disk, 36 bytes, TPGS implicit (`alua-proxy.md` 7.1).
fn standard(inquiry: &Inquiry) -> Vec<u8> {
    let mut data = vec![0x00, 0x00, 0x06, 0x12, 31, 0x10, 0x00, 0x02];
    data.extend(inquiry.vendor);
    data.extend(inquiry.product);
    data.extend(inquiry.revision);
    data
}
