//! `stmfproxy`.
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(stmf::cli::stmfproxy::run(std::env::args_os().skip(1)))
}
