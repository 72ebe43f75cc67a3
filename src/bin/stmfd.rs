//! `stmfd`: the framework as a daemon, behind a door (ruling 14 of the specification).

use nix::unistd::{Gid, Pid, Uid};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use stmf::door::Credentials;
use stmf::iscsi::directory::Patience;
use stmf::service::{Options, Request, Response, Service};
use stmf::{changes, door, logging, signals, systemd, web};

#[global_allocator]
static ALLOCATOR: stmf::allocator::LineAligned = stmf::allocator::LineAligned;

const USAGE: &str = "Usage: stmfd [--foreground] [--state-dir DIR] [--door PATH] [--read-by-all] [--iscsi-portal ADDR:PORT]... [--idle-timeout SECONDS] [--task-timeout SECONDS] [--web [ADDR:]PORT] [--metrics [ADDR:]PORT]";

/// Wrong usage or configuration. Do not restart.
const EXIT_USAGE: u8 = 96;
/// The service could not start: directory in use, port in use, store damaged.
const EXIT_START: u8 = 1;

/// Members of this group, if it exists, may use the service without being root.
const DOOR_GROUP: &str = "stmf";

struct Flags {
    foreground: bool,
    state_dir: PathBuf,
    door: PathBuf,
    read_by_all: bool,
    portals: Vec<SocketAddr>,
    patience: Patience,
    web: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
}

fn parse() -> Result<Option<Flags>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut flags = Flags {
        foreground: false,
        state_dir: "/var/lib/stmf".into(),
        door: stmf::client::DEFAULT_DOOR.into(),
        read_by_all: false,
        portals: Vec::new(),
        patience: Patience::default(),
        web: None,
        metrics: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("foreground") | Short('f') => flags.foreground = true,
            Long("state-dir") => flags.state_dir = parser.value()?.into(),
            Long("door") => flags.door = parser.value()?.into(),
            Long("read-by-all") => flags.read_by_all = true,
            Long("iscsi-portal") => flags.portals.push(parser.value()?.parse()?),
            Long("idle-timeout") => flags.patience.idle = parser.value()?.parse_with(seconds)?,
            Long("task-timeout") => flags.patience.task = parser.value()?.parse_with(seconds)?,
            Long("web") => flags.web = Some(parser.value()?.parse_with(web::address)?),
            Long("metrics") => flags.metrics = Some(parser.value()?.parse_with(web::address)?),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if flags.portals.is_empty() {
        flags
            .portals
            .push(SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 3260)));
    }
    Ok(Some(flags))
}

/// A time that sessions, which look at the clock once a second, can keep.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 3..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("3 to 86400 seconds are possible".to_owned()),
    }
}

fn main() -> ExitCode {
    let flags = match parse() {
        Ok(Some(flags)) => flags,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("stmfd: {error}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if flags.foreground {
        logging::init_stderr("stmfd", log::LevelFilter::Info);
    } else {
        logging::init_syslog("stmfd", log::LevelFilter::Info);
    }
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error}");
            eprintln!("stmfd: {error}");
            ExitCode::from(EXIT_START)
        }
    }
}

/// Serves until a signal asks to stop. Everything is restored before the door exists.
fn run(flags: Flags) -> Result<(), Box<dyn std::error::Error>> {
    stmf::iscsi::keep_buffers();
    raise_descriptor_limit();
    let stop = signals::block_termination()?;
    changes::share()?;
    let group = nix::unistd::Group::from_name(DOOR_GROUP)?.map(|group| group.gid);
    let service = Service::start(Options {
        state_dir: Some(flags.state_dir),
        iscsi_portals: flags.portals,
        serve_iscsi: true,
        patience: flags.patience,
        door_group: group.map(Gid::as_raw),
        read_by_all: flags.read_by_all,
    })?;
    let door = {
        let service = service.clone();
        door::Server::create(0, move |call| {
            let (data, descriptors) = service.handle_bytes(call.data, call.descriptors, call.caller);
            door::Reply { data, descriptors }
        })?
    };
    if let Some(directory) = flags.door.parent() {
        std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    // Who may connect; what each may ask is the service's decision.
    let mode = if flags.read_by_all { 0o666 } else { 0o660 };
    door.attach(&flags.door, mode)
        .map_err(|e| format!("door {}: {e}", flags.door.display()))?;
    if group.is_some() {
        nix::unistd::chown(&flags.door, None, group)?;
    }
    let servers = serve_views(&service, flags.web, flags.metrics)?;
    eprintln!("stmfd: ready");
    systemd::notify("READY=1");
    systemd::keep_alive({
        let service = service.clone();
        move || answers(&service)
    })?;

    let signal = stop.wait()?;
    log::info!("stopping on {signal}");
    systemd::notify("STOPPING=1");
    drop(servers);
    door.revoke();
    changes::end();
    service.stop();
    Ok(())
}

/// One server for both where the address is the same.
fn serve_views(
    service: &Service,
    page: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
) -> Result<Vec<web::Server>, String> {
    let mut wanted = Vec::new();
    for address in page.into_iter().chain(metrics.filter(|address| Some(*address) != page)) {
        let views = web::Views {
            page: page == Some(address),
            metrics: metrics == Some(address),
        };
        wanted.push((views, address));
    }
    wanted
        .into_iter()
        .map(|(views, address)| {
            web::Server::start(service.framework(), views, address).map_err(|e| format!("HTTP at {address}: {e}"))
        })
        .collect()
}

/// Does the service answer requests? One that hangs does not come back.
fn answers(service: &Service) -> bool {
    let myself = Credentials {
        pid: Pid::this().as_raw(),
        uid: Uid::effective().as_raw(),
        gid: Gid::effective().as_raw(),
    };
    let (answer, _) = service.dispatch(Request::GetState, Vec::new(), myself);
    matches!(answer, Response::State(_))
}

/// Every LU keeps two files open and every session a socket; the usual soft limit of 1024 is for programs that use select(2).
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        log::warn!("the limit of open files stays as it is: {error}");
    }
}
