//! `T --version`, and with `--long` behind it what an error report needs (`cli.md` 10.9): the release, and the versions of what
//! travels between programs and of what is kept.
#![forbid(unsafe_code)]

use super::{Console, document, stmfadm};
use crate::framework::alua::ownership;
use crate::proxy::message::Capabilities;
use crate::{service, store};

/// Version of the interface: `cli.md` 1.3.
const INTERFACE: &str = "1.0";

/// `rest` comes after the option.
pub fn print(rest: &[String], console: &mut Console<'_>) {
    let line = format!("{}: Version {INTERFACE}", console.tool());
    console.line(line);
    if rest.first().is_some_and(|word| word == "--long") {
        for (label, value) in long() {
            console.line(format_args!("    {label:<18}: {value}"));
        }
    }
}

fn long() -> [(&'static str, String); 8] {
    let capabilities = Capabilities::ALL.with(Capabilities::SEALED);
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    [
        ("Release", env!("CARGO_PKG_VERSION").to_owned()),
        (
            "Build",
            format!("{} {} {build}", std::env::consts::OS, std::env::consts::ARCH),
        ),
        ("Requests to stmfd", service::PROTOCOL_VERSION.to_string()),
        ("Peer Capabilities", format!("0x{:x}", capabilities.0)),
        ("Stored Config", store::SCHEMA_VERSION.to_string()),
        ("Ownership Record", ownership::VERSION.to_string()),
        ("Exported Config", stmfadm::EXPORT_VERSION.to_string()),
        ("JSON Documents", document::FORMAT.to_string()),
    ]
}
