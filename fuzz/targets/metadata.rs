//! The metadata area of a store (`src/disk/metadata`), its reservations included: no area panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|area: &[u8]| {
    stmf::disk::fuzz_metadata(area);
});
