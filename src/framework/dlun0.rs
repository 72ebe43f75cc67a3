//! What the framework answers itself: REPORT LUNS, and everything on a LUN without an LU (`scsi-sbd.md` 1.7, 1.8).

use super::{Inquiry, LunMap, Outcome, Task};
use crate::scsi::Sense;
use crate::types::Lun;

pub(super) const REQUEST_SENSE: u8 = 0x03;
pub(super) const INQUIRY: u8 = super::identity::INQUIRY;
pub(super) const REPORT_LUNS: u8 = 0xa0;

/// REPORT LUNS. The list length is never cut by the allocation length.
pub(super) fn report_luns(task: &Task, map: &LunMap) -> Outcome {
    let cdb = task.cdb.head();
    let allocation = u32::from_be_bytes([cdb[6], cdb[7], cdb[8], cdb[9]]);
    if allocation < 16 {
        return Outcome::check(Sense::INVALID_FIELD_IN_CDB);
    }
    let mut luns: Vec<Lun> = match cdb[2] {
        0x00 | 0x02 => map.itls().map(|itl| itl.lun).collect(),
        // Well-known units only, and administrative ones: there are none.
        0x01 | 0x11 => Vec::new(),
        _ => return Outcome::check(Sense::INVALID_FIELD_IN_CDB),
    };
    if luns.is_empty() && matches!(cdb[2], 0x00 | 0x02) {
        // LUN 0 is always addressable.
        luns.extend(Lun::new(0));
    }
    let length = u32::try_from(luns.len() * 8).expect("at most 16384 LUNs");
    let mut data = Vec::with_capacity(8 + luns.len() * 8);
    data.extend(length.to_be_bytes());
    data.extend([0; 4]);
    luns.iter().for_each(|lun| data.extend(lun.to_sam()));
    data.truncate(allocation as usize);
    Outcome::data_in(data)
}

/// A command on a LUN without an LU.
pub(super) fn unmapped(task: &Task) -> Outcome {
    match task.cdb.opcode() {
        INQUIRY => inquiry(task),
        REQUEST_SENSE => sense_data(task, Sense::LUN_NOT_SUPPORTED),
        _ => Outcome::check(Sense::LUN_NOT_SUPPORTED),
    }
}

/// Qualifier 001b on LUN 0, where a unit could be, 011b elsewhere; type 1Fh.
fn inquiry(task: &Task) -> Outcome {
    let cdb = task.cdb.head();
    let qualifier = match Lun::from_sam(&task.lun).map(Lun::get) {
        Some(0) => 0x3f,
        _ => 0x7f,
    };
    let data = match (cdb[1] & 1, cdb[2]) {
        (0, 0) if cdb[5] == 0 => {
            let Inquiry {
                vendor,
                product,
                revision,
            } = Inquiry::default();
            let mut data = vec![qualifier, 0x00, 0x05, 0x12, 31, 0x00, 0x80, 0x00];
            data.extend(vendor);
            data.extend(product);
            data.extend(revision);
            data
        }
        (1, 0) => vec![qualifier, 0, 0, 1, 0],
        _ => return Outcome::check(Sense::INVALID_FIELD_IN_CDB),
    };
    let allocation = usize::from(u16::from_be_bytes([cdb[3], cdb[4]]));
    Outcome::data_in(data[..data.len().min(allocation)].to_vec())
}

/// The answer to REQUEST SENSE: GOOD, sense data as data, in the format that DESC asks for (SPC-4 6.39).
pub(super) fn sense_data(task: &Task, sense: Sense) -> Outcome {
    let cdb = task.cdb.head();
    let data = match cdb[1] & 1 {
        0 => sense.to_fixed().to_vec(),
        _ => vec![0x72, sense.key, sense.asc, sense.ascq, 0, 0, 0, 0],
    };
    Outcome::data_in(data[..data.len().min(usize::from(cdb[4]))].to_vec())
}
