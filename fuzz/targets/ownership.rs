//! Ownership records and lease files (`src/framework/alua/ownership.rs`): no block panics.
#![no_main]
use stmf::framework::alua::ownership::Found;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Found::Valid(record) = Found::decode(bytes) {
        assert_eq!(Found::decode(&record.encode()), Found::Valid(record));
    }
});
