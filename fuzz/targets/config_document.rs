//! Documents of `stmfadm import-config` (`src/cli/stmfadm/config`): from the bytes to the steps of an import, nothing panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    stmf::cli::stmfadm::fuzz_import(bytes);
});
