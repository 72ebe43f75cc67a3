//! Requests and responses of the service (`src/service/wire.rs`): no input panics.
#![no_main]
use stmf::service::{decode_request, decode_response, decode_telling, decode_told};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _request = decode_request(bytes);
    let _telling = decode_telling(bytes);
    let _told = decode_told(bytes);
    let _response = decode_response(bytes);
});
