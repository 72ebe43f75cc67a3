//! `stmfproxy pair`: makes this node's certificate, and pins the other node's.
#![forbid(unsafe_code)]

use super::greeting::Member;
use super::identity;
use super::options::{TLS_DIR, USAGE, node_id};
use super::{EXIT_CONFIG, EXIT_FAILED, NAME};
use lexopt::prelude::*;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Runs it; `arguments` come after `pair`. Returns the exit status.
pub fn run(arguments: &[OsString], host: &str) -> u8 {
    let command = match Command::parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{NAME} pair: {error}");
            eprint!("{USAGE}");
            return EXIT_CONFIG;
        }
    };
    let done = match &command.action {
        Action::Init(member) => init(&command.dir, member, host),
        Action::Accept(file) => accept(&command.dir, file),
    };
    match done {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("{NAME} pair: {error}");
            EXIT_FAILED
        }
    }
}

/// The pairing file goes to standard output, what to do with it to standard error.
fn init(dir: &Path, member: &Member, host: &str) -> Result<(), String> {
    let text = identity::create(dir, member, host)?;
    eprintln!(
        "{NAME} pair: this is {member}. Take the file below, also kept as {}, to the other node and run there:\n\
         stmfproxy pair --accept FILE",
        dir.join("node.pair").display()
    );
    let mut out = io::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| format!("standard output: {error}"))
}

fn accept(dir: &Path, file: &Path) -> Result<(), String> {
    let at = |error: io::Error| format!("{}: {error}", file.display());
    let text = if file == Path::new("-") {
        identity::bounded(io::stdin()).map_err(at)?
    } else {
        File::open(file).and_then(identity::bounded).map_err(at)?
    };
    let (own, peer) = identity::pin(dir, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    for (whose, node) in [("this node: ", own), ("the peer:  ", peer)] {
        let told = writeln!(
            io::stdout(),
            "{whose} {} ({}), SHA-256 {}",
            node.member,
            node.host,
            node.fingerprint()
        );
        told.map_err(|error| format!("standard output: {error}"))?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Command {
    dir: PathBuf,
    action: Action,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Init(Member),
    Accept(PathBuf),
}

impl Command {
    fn parse(arguments: &[OsString]) -> Result<Command, String> {
        let given = Given::scan(arguments).map_err(|error| error.to_string())?;
        let action = match (given.init, given.accept) {
            (true, None) => {
                let cluster = given
                    .cluster
                    .ok_or("--init needs --cluster NAME, the same on both nodes")?;
                let node = given
                    .node
                    .ok_or("--init needs -n 0 or -n 1, another one on each node")?;
                Action::Init(Member::new(&cluster, node_id(&node)?)?)
            }
            (false, Some(file)) if given.cluster.is_none() && given.node.is_none() => Action::Accept(file),
            (false, Some(_)) => return Err("--accept takes the cluster and the node from the file".to_owned()),
            _ => return Err("give one of --init and --accept FILE".to_owned()),
        };
        Ok(Command {
            dir: given.dir.unwrap_or_else(|| PathBuf::from(TLS_DIR)),
            action,
        })
    }
}

/// The words as they stand.
#[derive(Default)]
struct Given {
    init: bool,
    accept: Option<PathBuf>,
    cluster: Option<String>,
    node: Option<String>,
    dir: Option<PathBuf>,
}

impl Given {
    fn scan(arguments: &[OsString]) -> Result<Given, lexopt::Error> {
        let mut given = Given::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("init") => given.init = true,
                Long("accept") => given.accept = Some(parser.value()?.into()),
                Long("cluster") => given.cluster = Some(parser.value()?.string()?),
                Short('n') => given.node = Some(parser.value()?.string()?),
                Long("tls-dir") => given.dir = Some(parser.value()?.into()),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn parse(line: &str) -> Result<Command, String> {
        Command::parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn commands() {
        let member = Member::new("san", NodeId::new(1).unwrap()).unwrap();
        assert_eq!(
            parse("--init --cluster san -n 1"),
            Ok(Command {
                dir: TLS_DIR.into(),
                action: Action::Init(member)
            })
        );
        assert_eq!(
            parse("--tls-dir /x --accept -"),
            Ok(Command {
                dir: "/x".into(),
                action: Action::Accept("-".into())
            })
        );
        for wrong in [
            "",
            "--init",
            "--init --cluster san",
            "--init -n 1",
            "--init --cluster san -n 2",
            "--init --cluster s/n -n 1",
            "--init --cluster san -n 1 --accept f",
            "--accept",
            "--accept f -n 1",
            "--accept f --cluster san",
            "--init --cluster san -n 1 more",
            "--plain",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
