//! Requests of the other node (`src/framework/node_request.rs`): any bytes are answered, whatever they change.
#![no_main]
use stmf::framework::Framework;
use stmf::store::Store;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let node = Framework::new(Store::volatile());
    node.load().expect("an empty configuration");
    node.set_mirror(true).expect("a volatile setting");
    assert!(!node.answer_node_request(bytes).is_empty());
    // What was taken is whole: it can be told again.
    assert!(!node.answer_node_request(&[1, 1]).is_empty());
});
