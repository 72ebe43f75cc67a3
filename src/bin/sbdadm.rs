//! `sbdadm`.
use std::process::ExitCode;

fn main() -> ExitCode {
    stmf::cli::program::run(stmf::cli::sbdadm::run)
}
