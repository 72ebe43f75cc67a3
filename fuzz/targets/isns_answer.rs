//! Answers of iSNS servers (`src/iscsi/isns/message.rs`): none panics, and each attribute lies where it says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stmf::iscsi::fuzz_answer(bytes));
