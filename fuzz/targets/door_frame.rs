//! Frames and names of doors (`src/door/{frame,label}.rs`): no bytes from the other end of a socket panic.
#![no_main]
use stmf::door::frame::{Description, FRAME_LENGTH, Frame, Request};
use stmf::door::label::Label;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((head, payload)) = bytes.split_first_chunk::<FRAME_LENGTH>()
        && let Some(frame) = Frame::decode(head, payload.len())
    {
        assert_eq!(frame.encode(), *head, "a frame has one encoding");
    }
    let _ = (Request::decode(bytes), Description::decode(bytes), Label::parse(bytes));
});
