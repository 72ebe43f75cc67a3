//! `--json` of the lists (`cli.md` 10.1).

use super::*;
use crate::cli::document;
use crate::iscsi::admin::{Auth, DefaultsInfo, GroupInfo, InitiatorInfo, TargetInfo};
use serde::Serialize;
use std::net::SocketAddr;

/// Prints the document of a list.
pub fn list(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> u8 {
    let failure = match print(parsed, service, console) {
        Ok(()) => return 0,
        Err(failure) => failure,
    };
    let exit = failed(parsed, &failure, console);
    print_nothing(parsed, service, console);
    exit
}

/// The document of a list that could not be made.
pub fn print_nothing(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) {
    let name = parsed.subcommand.name();
    if parsed.subcommand == Subcommand::ListDefaults {
        document::print(name, None::<Defaults>, service, console);
    } else {
        document::print(name, [(); 0], service, console);
    }
}

fn print(parsed: &Parsed, service: &dyn Service, console: &mut Console<'_>) -> Result<(), Failure> {
    let Listing {
        targets,
        groups,
        initiators,
        defaults,
    } = listing(parsed, service)?;
    let name = parsed.subcommand.name();
    match parsed.subcommand {
        Subcommand::ListTpg => {
            let groups = group::wanted(parsed, groups)?;
            let data: Vec<Group> = groups.into_iter().map(Group::from).collect();
            document::print(name, data, service, console);
        }
        Subcommand::ListInitiator => {
            let initiators = initiator::wanted(parsed, initiators)?;
            let data: Vec<Initiator> = initiators.into_iter().map(Initiator::from).collect();
            document::print(name, data, service, console);
        }
        Subcommand::ListDefaults => document::print(name, Some(Defaults::from(defaults)), service, console),
        _ => {
            let targets = target::wanted(parsed, targets)?;
            let data: Vec<Target> = targets
                .into_iter()
                .map(|target| Target::new(target, &defaults))
                .collect();
            document::print(name, data, service, console);
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct Target {
    name: String,
    /// `null` when the framework does not know it.
    state: Option<&'static str>,
    sessions: u32,
    alias: Option<String>,
    auth: &'static str,
    /// It is that of the defaults.
    auth_inherited: bool,
    target_chap_user: Option<String>,
    target_chap_secret_set: bool,
    tpgs: Vec<Binding>,
}

#[derive(Serialize)]
struct Binding {
    name: String,
    tag: u16,
}

impl Target {
    fn new(target: TargetInfo, defaults: &DefaultsInfo) -> Target {
        Target {
            name: target.name,
            state: target.online.map(|online| if online { "online" } else { "offline" }),
            sessions: target.sessions,
            alias: target.alias.or_else(|| defaults.alias.clone()),
            auth: target.auth.or(defaults.auth).unwrap_or(Auth::None).name(),
            auth_inherited: target.auth.is_none(),
            target_chap_user: target.chap_user,
            target_chap_secret_set: target.secret,
            tpgs: target
                .groups
                .into_iter()
                .map(|(name, tag)| Binding { name, tag })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Group {
    name: String,
    portals: Vec<String>,
}

impl From<GroupInfo> for Group {
    fn from(group: GroupInfo) -> Self {
        Group {
            name: group.name,
            portals: group.portals.iter().map(SocketAddr::to_string).collect(),
        }
    }
}

#[derive(Serialize)]
struct Initiator {
    name: String,
    chap_user: Option<String>,
    chap_secret_set: bool,
}

impl From<InitiatorInfo> for Initiator {
    fn from(initiator: InitiatorInfo) -> Self {
        Initiator {
            name: initiator.name,
            chap_user: initiator.chap_user,
            chap_secret_set: initiator.secret,
        }
    }
}

#[derive(Serialize)]
struct Defaults {
    alias: Option<String>,
    /// `null` until it is set for the first time.
    auth: Option<&'static str>,
    radius_server: Option<String>,
    radius_secret_set: bool,
    isns: bool,
    isns_servers: Vec<String>,
}

impl From<DefaultsInfo> for Defaults {
    fn from(defaults: DefaultsInfo) -> Self {
        Defaults {
            alias: defaults.alias,
            auth: defaults.auth.map(Auth::name),
            radius_server: defaults.radius_server,
            radius_secret_set: defaults.radius_secret,
            isns: defaults.isns,
            isns_servers: defaults.isns_servers,
        }
    }
}
