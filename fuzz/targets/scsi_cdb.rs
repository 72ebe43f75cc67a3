//! CDBs (`src/scsi`): extents, conflicts with reservations.
#![no_main]
use stmf::scsi::reservation::{Kind, Standing, conflicts, conflicts_with_reserve};
use stmf::scsi::{Extent, mode};

libfuzzer_sys::fuzz_target!(|input: (u8, [u8; 16])| {
    let (scope_type, cdb) = input;
    if let Some(extent) = Extent::from_cdb(&cdb)
        && extent.check(1 << 21).is_ok()
    {
        assert!(extent.lba + u64::from(extent.blocks) <= 1 << 21);
    }
    if let Some(kind) = Kind::from_scope_type(scope_type) {
        let refused = |standing| conflicts(kind, standing, &cdb);
        // More rights never refuse more.
        assert!(!refused(Standing::Holder) || refused(Standing::Registered));
        assert!(!refused(Standing::Registered) || refused(Standing::Other));
    }
    conflicts_with_reserve(&cdb);
    let medium = mode::Medium {
        blocks: u64::from(cdb[15]) << cdb[14] % 48,
        block_length: 512,
        write_cache: true,
        write_cache_saved: true,
        write_protected: false,
        software_protected: false,
    };
    let control = mode::PageControl::from_bits(cdb[2] >> 6);
    let _ = mode::sense(&medium, cdb[0] & 1 != 0, control, cdb[2] & 0x3f, cdb[3]);
});
