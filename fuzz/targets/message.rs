//! Messages of the peer (`src/proxy/message`): no input panics, and what is accepted survives encoding.
#![no_main]
use stmf::proxy::message::Message;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::decode(bytes) {
        let again = Message::decode(&message.encode()).expect("what was encoded here is well-formed");
        assert_eq!(again, message);
    }
});
