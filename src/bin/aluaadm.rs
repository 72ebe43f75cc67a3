//! `aluaadm`.
fn main() {}
