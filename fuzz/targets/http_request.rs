//! Requests to the status page (`src/web/http.rs`): none panics.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stmf::web::fuzz_request(bytes));
