//! Frames of the peer (`src/proxy/assembler.rs`): in any pieces they hold what they hold in one, and mean the same.
#![no_main]
use stmf::proxy::assembler::Assembler;
use stmf::proxy::message::{Integrity, MAX_MESSAGE, Message};
use stmf::proxy::stream::Decoder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((size, stream)) = bytes.split_first() else { return };
    let (mut assembler, mut decoder) = (Assembler::default(), Decoder::new(MAX_MESSAGE));
    decoder.push(stream);
    for mut piece in stream.chunks(1 + usize::from(*size)) {
        loop {
            let Ok(next) = assembler.next(&mut piece) else {
                assert!(decoder.next_message().is_err());
                return;
            };
            let Some((head, raw)) = next else { break };
            let whole = decoder.next_message().expect("in step").expect("as many");
            assert_eq!([head, &raw].concat(), whole);
            let message = Message::from_parts(head, raw, Integrity::Checksum);
            assert_eq!(message, Message::decode(whole));
        }
    }
    assert_eq!(assembler.is_partial(), decoder.is_partial());
});
