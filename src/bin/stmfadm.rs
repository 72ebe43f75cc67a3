//! `stmfadm`.
fn main() {}
