//! What INQUIRY answers for an LU that cannot be asked: in transition, or Standby with an unreachable peer
//! (`alua-proxy.md` 7.5, 7.6). Answers that passed by earlier are remembered; page 83h, which names the port, is made new.

use super::{Inquiry, Outcome, Port, Task, Unit};
use crate::scsi::vpd::{self, BlockLimits, page};
use crate::scsi::{ScsiStatus, Sense, inquiry};
use crate::types::Guid;
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// INQUIRY.
pub(super) const INQUIRY: u8 = 0x12;
/// Longest INQUIRY answer remembered; longer ones are not a disk's.
const MAX_ANSWER: usize = 4096;

#[derive(Default)]
struct Known {
    /// Complete answers, by EVPD page; `None` is standard INQUIRY.
    answers: BTreeMap<Option<u8>, Vec<u8>>,
    /// From the unit, when it was here.
    inquiry: Option<Inquiry>,
    /// Unit serial number: `Some(None)`, it has none of its own.
    serial: Option<Option<String>>,
}

/// What is known of one LU.
pub(super) struct Identity {
    guid: Guid,
    known: Mutex<Known>,
}

impl Identity {
    pub fn new(guid: Guid) -> Identity {
        Identity {
            guid,
            known: Mutex::default(),
        }
    }

    /// Forgets: the LU may be another one now.
    pub fn reset(&self) {
        *self.known.lock() = Known::default();
    }

    /// The unit's own words, before it goes.
    pub fn know(&self, unit: &dyn Unit) {
        let (inquiry, serial) = (unit.inquiry(), unit.properties().serial);
        let mut known = self.known.lock();
        known.inquiry = Some(inquiry);
        known.serial = Some(serial);
    }

    /// Vendor, product and revision, as far as they are known.
    pub fn words(&self) -> Option<Inquiry> {
        let known = self.known.lock();
        let learned = known.answers.get(&None).and_then(|data| {
            Some(Inquiry {
                vendor: data.get(8..16)?.try_into().ok()?,
                product: data.get(16..32)?.try_into().ok()?,
                revision: data.get(32..36)?.try_into().ok()?,
            })
        });
        learned.or(known.inquiry)
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
            self.known.lock().answers.insert(key, data[..length].to_vec());
        }
    }

    /// Answers INQUIRY.
    pub fn answer(&self, task: &Task) -> Outcome {
        let cdb = task.cdb.head();
        let data = match (cdb[1] & 1, cdb[2]) {
            (0, 0) => Some(self.standard(task.port())),
            (0, _) => None,
            (_, code) => self.page(code, task.port()),
        };
        let Some(data) = data else {
            return Outcome::check(Sense::INVALID_FIELD_IN_CDB);
        };
        let allocation = usize::from(u16::from_be_bytes([cdb[3], cdb[4]]));
        Outcome::data_in(data[..data.len().min(allocation)].to_vec())
    }

    fn standard(&self, port: &Port) -> Vec<u8> {
        let known = self.known.lock();
        if let Some(answer) = known.answers.get(&None) {
            return answer.clone();
        }
        let words = known.inquiry.unwrap_or_default();
        inquiry::standard(&words.vendor, &words.product, &words.revision, port.protocol).to_vec()
    }

    fn page(&self, code: u8, port: &Port) -> Option<Vec<u8>> {
        let known = self.known.lock();
        let unit = vpd::Unit {
            guid: &self.guid,
            serial: known.serial.as_ref().and_then(|serial| serial.as_deref()),
            mgmt_url: None,
            limits: BlockLimits::default(),
        };
        let through = vpd::TargetPort {
            protocol: port.protocol,
            devid: &port.devid,
            rtpid: port.rtpid,
            group: port.group,
        };
        let answer = known.answers.get(&Some(code)).cloned();
        match code {
            page::DEVICE_IDENTIFICATION => vpd::page(code, &unit, &through),
            page::UNIT_SERIAL_NUMBER if known.serial.is_some() => vpd::page(code, &unit, &through),
            page::SUPPORTED => answer.or_else(|| Some(vec![0, code, 0, 2, code, page::DEVICE_IDENTIFICATION])),
            _ => answer,
        }
    }
}
