//! The command line of `stmfproxy` (`cli.md` 6.1, 10.10; README ruling 14).
#![forbid(unsafe_code)]

use crate::types::NodeId;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// TCP port of the demo daemon.
pub const PORT: u16 = 6543;

/// Where `stmfproxy pair` keeps what TLS needs.
pub const TLS_DIR: &str = "/etc/stmf/proxy";

/// What the service's property says until the administrator sets it.
const NOT_SET: &str = "no:host:set";

/// Printed on standard error for wrong usage; the first two lines are the original's.
pub const USAGE: &str = "\
Usage: stmfproxy [-d][-f][-n nodeid] nodename
Note: nodename must be the same on both nodes
       stmfproxy [-d][-f] [--tls-dir DIR] --listen ADDR:PORT | --connect ADDR:PORT
       stmfproxy [-d][-f][-n nodeid] --plain --listen ADDR:PORT | --connect ADDR:PORT
       stmfproxy pair [--tls-dir DIR] --init --cluster NAME -n nodeid
       stmfproxy pair [--tls-dir DIR] --accept FILE
";

/// Who opens the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Waits at these addresses (anything that resolves).
    Listen(String),
    /// Calls one of these addresses; `ipv4` for the demo daemon's lookup.
    Connect {
        /// `HOST:PORT`, anything that resolves.
        address: String,
        /// Only IPv4 addresses, as the demo daemon.
        ipv4: bool,
    },
}

/// A checked command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Debug messages too.
    pub debug: bool,
    /// Do not daemonise.
    pub foreground: bool,
    /// ALUA node number, if it was given.
    pub given_node: Option<NodeId>,
    /// Listening or connecting.
    pub role: Role,
    /// Directory of the node's key and the certificates; `None`: a plain channel.
    pub tls_dir: Option<PathBuf>,
}

impl Options {
    /// From the arguments after `argv[0]`, on the host of this name. The error is for people.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>, host: &str) -> Result<Options, String> {
        let given = Given::scan(arguments).map_err(|error| error.to_string())?;
        let role = given.role(host)?;
        let tls_dir = given.tls_dir()?;
        Ok(Options {
            debug: given.debug,
            foreground: given.foreground,
            given_node: given.node.as_deref().map(node_id).transpose()?,
            role,
            tls_dir,
        })
    }

    /// ALUA node number of a daemon without TLS: by its role, unless it was given.
    pub fn plain_node(&self) -> NodeId {
        let by_role = match self.role {
            Role::Listen(_) => NodeId::new(1),
            Role::Connect { .. } => NodeId::new(0),
        };
        self.given_node.or(by_role).expect("0 and 1 are node numbers")
    }
}

/// The value of `-n`.
pub fn node_id(text: &str) -> Result<NodeId, String> {
    let node = match text {
        "0" => NodeId::new(0),
        "1" => NodeId::new(1),
        _ => None,
    };
    node.ok_or_else(|| format!("-n {text}: node ID must be 0 or 1"))
}

/// The words as they stand.
#[derive(Default)]
struct Given {
    debug: bool,
    foreground: bool,
    plain: bool,
    node: Option<String>,
    listen: Option<String>,
    connect: Option<String>,
    tls_dir: Option<PathBuf>,
    names: Vec<String>,
}

impl Given {
    fn scan(arguments: impl IntoIterator<Item = OsString>) -> Result<Given, lexopt::Error> {
        let mut given = Given::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Short('d') => given.debug = true,
                Short('f') => given.foreground = true,
                Short('n') => given.node = Some(parser.value()?.string()?),
                Long("plain") => given.plain = true,
                Long("listen") => given.listen = Some(parser.value()?.string()?),
                Long("connect") => given.connect = Some(parser.value()?.string()?),
                Long("tls-dir") => given.tls_dir = Some(parser.value()?.into()),
                Value(name) => given.names.push(name.string()?),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(given)
    }

    fn role(&self, host: &str) -> Result<Role, String> {
        match (&self.listen, &self.connect, self.names.as_slice()) {
            (None, None, [name]) => named(name, host),
            (None, None, []) => Err("nodename missing".to_owned()),
            (Some(address), None, []) => explicit("--listen", address).map(Role::Listen),
            (None, Some(address), []) => {
                explicit("--connect", address).map(|address| Role::Connect { address, ipv4: false })
            }
            _ => Err("give one of nodename, --listen and --connect, once".to_owned()),
        }
    }

    /// A channel is plain only where that was asked for, by `--plain` or by the demo daemon's command line.
    fn tls_dir(&self) -> Result<Option<PathBuf>, String> {
        let plain = self.plain || !self.names.is_empty();
        match &self.tls_dir {
            Some(_) if plain => Err("--tls-dir goes with --listen or --connect and without --plain".to_owned()),
            _ if plain => Ok(None),
            Some(dir) => Ok(Some(dir.clone())),
            None => Ok(Some(PathBuf::from(TLS_DIR))),
        }
    }
}

fn explicit(option: &str, address: &str) -> Result<String, String> {
    let port = address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
        return Err(format!(
            "{option} {address}: expected ADDR:PORT, an IPv6 address in brackets"
        ));
    }
    Ok(address.to_owned())
}

/// The demo daemon's way: the node that has the name listens on all IPv4 addresses, the other one calls it.
fn named(name: &str, host: &str) -> Result<Role, String> {
    if name.is_empty() || name == NOT_SET {
        return Err("nodename is not set".to_owned());
    }
    if name.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "{name}: an address is no nodename; name the role with --listen or --connect"
        ));
    }
    if name == host {
        return Ok(Role::Listen(format!("0.0.0.0:{PORT}")));
    }
    Ok(Role::Connect {
        address: format!("{name}:{PORT}"),
        ipv4: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(OsString::from), "san-a")
    }

    fn node(line: &str) -> u8 {
        parse(line).unwrap().plain_node().get()
    }

    #[test]
    fn roles_by_host_name() {
        let options = parse("san-a").unwrap();
        assert_eq!(options.role, Role::Listen("0.0.0.0:6543".into()));
        assert_eq!(
            (options.debug, options.foreground, options.plain_node().get()),
            (false, false, 1)
        );
        let options = parse("-dfn1 san-b").unwrap();
        let role = Role::Connect {
            address: "san-b:6543".into(),
            ipv4: true,
        };
        assert_eq!(options.role, role);
        assert_eq!(
            (options.debug, options.foreground, options.plain_node().get()),
            (true, true, 1)
        );
        assert_eq!((node("san-b"), node("-n 0 san-a"), node("--plain san-a")), (0, 0, 1));
        // Exact comparison.
        assert!(matches!(parse("SAN-A").unwrap().role, Role::Connect { .. }));
    }

    #[test]
    fn explicit_roles() {
        assert_eq!(
            parse("--plain --listen [::1]:7000").unwrap().role,
            Role::Listen("[::1]:7000".into())
        );
        assert_eq!(node("--plain --listen 127.0.0.1:7000"), 1);
        assert_eq!(node("--connect=127.0.0.1:7000 --plain"), 0);
        assert_eq!(parse("--plain --listen 127.0.0.1:7000").unwrap().tls_dir, None);
        assert_eq!(parse("san-b").unwrap().tls_dir, None);
    }

    #[test]
    fn explicit_roles_mean_tls() {
        for line in ["--listen 127.0.0.1:7000", "--connect peer:7000 -f"] {
            let options = parse(line).unwrap();
            assert_eq!((options.tls_dir, options.given_node), (Some(TLS_DIR.into()), None));
        }
        let options = parse("--listen [::]:7000 --tls-dir /x -n 0").unwrap();
        assert_eq!(
            (options.tls_dir, options.given_node),
            (Some("/x".into()), NodeId::new(0))
        );
    }

    #[test]
    fn wrong_usage() {
        for line in [
            "",
            "a b",
            "-x a",
            "-n",
            "-n 2 a",
            "-n x a",
            "--plain",
            "192.0.2.1",
            "::1",
            "no:host:set",
            "--plain --listen 127.0.0.1",
            "--plain --listen :6543",
            "--plain --listen 127.0.0.1:x",
            "--plain --listen 127.0.0.1:1 a",
            "--plain --listen 127.0.0.1:1 --connect 127.0.0.1:1",
            "--plain=1 a",
            "--plain --tls-dir /x --listen 127.0.0.1:1",
            "--tls-dir /x a",
            "--tls-dir",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
