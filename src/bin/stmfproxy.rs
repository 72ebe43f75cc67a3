//! `stmfproxy`.
fn main() {}
