//! Which framework this process talks to (`STMF_ENDPOINT`).

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Name of the environment variable.
pub const ENDPOINT_VARIABLE: &str = "STMF_ENDPOINT";

/// Where `stmfd` listens unless told otherwise.
pub const DEFAULT_DOOR: &str = "/run/stmf/stmfd.door";

/// Set by [`require_daemon`].
static DAEMON_REQUIRED: AtomicBool = AtomicBool::new(false);

/// For programs that administer a service or connect it with others: without a daemon there is nothing to do, and a volatile
/// framework of their own would lose the change it reported. An unset endpoint means `daemon` from now on; to be called
/// before the first call into the library. A bad value of [`ENDPOINT_VARIABLE`] is told here.
pub fn require_daemon() -> Result<(), InvalidEndpoint> {
    DAEMON_REQUIRED.store(true, Ordering::Relaxed);
    Endpoint::of_process().map(drop)
}

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `stmfd` at its default door if it answers, else this process, volatile.
    Auto,
    /// `stmfd` at this door.
    Daemon(PathBuf),
    /// This process; with a directory the configuration persists there.
    Embedded(Option<PathBuf>),
}

/// The text names no endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidEndpoint(pub String);

impl fmt::Display for InvalidEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "{ENDPOINT_VARIABLE}='{text}': expected daemon, daemon:PATH, embedded or embedded:DIR"
        )
    }
}

impl std::error::Error for InvalidEndpoint {}

impl Endpoint {
    /// From the value of [`ENDPOINT_VARIABLE`]; unset and empty mean [`Endpoint::Auto`].
    pub fn parse(value: Option<&OsStr>) -> Result<Endpoint, InvalidEndpoint> {
        let value = value.unwrap_or_default().as_bytes();
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        match value {
            b"" => Ok(Endpoint::Auto),
            b"daemon" => Ok(Endpoint::Daemon(DEFAULT_DOOR.into())),
            b"embedded" => Ok(Endpoint::Embedded(None)),
            _ => match (value.strip_prefix(b"daemon:"), value.strip_prefix(b"embedded:")) {
                (Some(door), _) if !door.is_empty() => Ok(Endpoint::Daemon(path(door))),
                (_, Some(directory)) if !directory.is_empty() => Ok(Endpoint::Embedded(Some(path(directory)))),
                _ => Err(InvalidEndpoint(String::from_utf8_lossy(value).into_owned())),
            },
        }
    }

    /// The endpoint of this process. The environment of a set-user-id program belongs to its caller, who must not choose
    /// the service that the program trusts: there the variable is ignored.
    pub fn of_process() -> Result<Endpoint, InvalidEndpoint> {
        let endpoint = if secure_execution() {
            Endpoint::Auto
        } else {
            Endpoint::parse(std::env::var_os(ENDPOINT_VARIABLE).as_deref())?
        };
        if endpoint == Endpoint::Auto && DAEMON_REQUIRED.load(Ordering::Relaxed) {
            return Ok(Endpoint::Daemon(DEFAULT_DOOR.into()));
        }
        Ok(endpoint)
    }
}

fn secure_execution() -> bool {
    // SAFETY: getauxval reads the process's auxiliary vector and has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_architecture() {
        let parse = |text: &str| Endpoint::parse(Some(OsStr::new(text)));
        assert_eq!(Endpoint::parse(None), Ok(Endpoint::Auto));
        assert_eq!(parse(""), Ok(Endpoint::Auto));
        assert_eq!(parse("daemon"), Ok(Endpoint::Daemon(DEFAULT_DOOR.into())));
        assert_eq!(parse("daemon:/tmp/a:b"), Ok(Endpoint::Daemon("/tmp/a:b".into())));
        assert_eq!(parse("embedded"), Ok(Endpoint::Embedded(None)));
        assert_eq!(parse("embedded:/var/x"), Ok(Endpoint::Embedded(Some("/var/x".into()))));
        for bad in ["deamon", "daemon:", "embedded:", "Embedded", "embedded/var", " daemon"] {
            assert_eq!(parse(bad), Err(InvalidEndpoint(bad.to_owned())), "{bad}");
        }
    }
}
