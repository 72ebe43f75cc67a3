//! INQUIRY (SPC-4 6.6).

use super::{Action, Call, Command, atomic, cut, write_same};
use crate::scsi::provisioning::{MAX_UNMAP_BLOCKS, MAX_UNMAP_DESCRIPTORS};
use crate::scsi::vpd::{self, BlockLimits, UnmapLimits};
use crate::scsi::{Sense, cdb, inquiry};

pub const COMMANDS: &[Command] = &[Command {
    usage: &[0x12, 0x01, 0xff, 0xff, 0xff, 4],
    service_action: None,
    writes: false,
    medium: false,
    fields,
    action: Action::Data(answer),
}];

const EVPD: u8 = 0x01;
const CMDDT: u8 = 0x02;

/// CMDDT is obsolete; a page code needs EVPD; for standard data nothing in CONTROL.
fn fields(call: &Call<'_>) -> Result<(), Sense> {
    const CONTROL: u16 = 5;
    let standard = call.cdb[1] & EVPD == 0;
    let wrong = match call.cdb {
        cdb if cdb[1] & CMDDT != 0 => 1,
        cdb if standard && cdb[2] != 0 => 2,
        cdb if standard && cdb[5] != 0 => CONTROL,
        _ => return Ok(()),
    };
    Err(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(wrong))
}

fn answer(call: &Call<'_>) -> Result<Vec<u8>, Sense> {
    let data = if call.cdb[1] & EVPD == 0 {
        let id = call.lu.inquiry_id();
        inquiry::standard(&id.vendor, &id.product, &id.revision, call.port.protocol).to_vec()
    } else {
        vpd_page(call)?
    };
    Ok(cut(data, u32::from(cdb::be16(call.cdb, 3))))
}

fn vpd_page(call: &Call<'_>) -> Result<Vec<u8>, Sense> {
    /// Page cache granularity, bytes: smaller writes read first.
    const PAGE: u32 = 4096;
    let lu = call.lu;
    let granularity = (PAGE >> lu.block_shift()).max(1);
    let info = lu.info();
    let mgmt_url = lu.mgmt_url();
    let unit = vpd::Unit {
        guid: &info.guid,
        serial: info.serial.as_deref(),
        mgmt_url: mgmt_url.as_deref(),
        limits: BlockLimits {
            optimal_granularity: u16::try_from(granularity).expect("at most 8"),
            max_compare_and_write: atomic::MAX_COMPARE_AND_WRITE,
            max_write_same: write_same::MAX_BYTES >> lu.block_shift(),
            unmap: lu.thin().then_some(UnmapLimits {
                max_blocks: MAX_UNMAP_BLOCKS,
                max_descriptors: MAX_UNMAP_DESCRIPTORS,
                granularity,
            }),
        },
    };
    vpd::page(call.cdb[2], &unit, &call.port).ok_or(Sense::INVALID_FIELD_IN_CDB.at_cdb_byte(2))
}
