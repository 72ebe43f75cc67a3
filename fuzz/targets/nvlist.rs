//! Packed XDR nvlists (`src/nvlist`): no input panics, and what is accepted survives packing.
#![no_main]
use stmf::nvlist::{Limits, NvList};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = NvList::unpack(bytes, &Limits::MESSAGE) {
        let again = NvList::unpack(&list.pack(), &Limits::MESSAGE).expect("what was packed here is well-formed");
        assert_eq!(again, list);
    }
});
