//! The configuration of the iSCSI targets as provider data (`src/iscsi/config`), stored or set by a program: no data panics, and what
//! is taken survives being stored.
#![no_main]

libfuzzer_sys::fuzz_target!(|packed: &[u8]| stmf::iscsi::fuzz_data(packed));
