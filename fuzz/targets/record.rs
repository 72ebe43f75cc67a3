//! Records of TLS on the stream to the peer (`src/proxy/sealed`): no bytes panic, and only what was sealed as data comes out.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stmf::proxy::sealed::fuzz(bytes));
