//! `stmfd`.
fn main() {}
