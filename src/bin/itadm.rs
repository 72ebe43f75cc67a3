//! `itadm`.
fn main() {}
