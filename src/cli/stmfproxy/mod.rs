//! `stmfproxy`, the peer daemon: carries messages between the local framework and the same daemon on the other node
//! (`cli.md` chapter 6, `alua-proxy.md` chapters 4 and 9).
//!
//! Framing, roles and greetings are those of the demo daemon, so an original peer can be at the other end of a plain channel.
//! Unlike it, this one reconnects, accepts always, bounds everything, never reorders, and between two of ours the channel is
//! TLS with one pinned certificate on each side (`pair` makes and exchanges them).

mod attachment;
mod backoff;
mod complaints;
mod connection;
mod daemonise;
mod framework;
mod greeting;
mod handshake;
mod identity;
mod lobby;
mod options;
mod pair;
mod pairing;
mod peer;
mod queue;
mod relay;
mod tls;
mod transport;

#[cfg(test)]
mod handshake_tests;
#[cfg(test)]
mod relay_tests;
#[cfg(test)]
mod tls_tests;

use self::daemonise::OnHangUp;
use self::framework::{Framework, Local};
use self::identity::Identity;
use self::options::{Options, Role};
use self::relay::Relay;
use self::tls::Tls;
use crate::door::{Call, Reply, Server};
use crate::types::NodeId;
use crate::{client, logging, systemd};
use log::LevelFilter;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::thread;

const NAME: &str = "stmfproxy";

/// Connection or protocol failure, or anything else: restart.
const EXIT_FAILED: u8 = 1;
/// Could not attach to the framework: do not restart.
const EXIT_FATAL: u8 = 95;
/// Wrong usage: do not restart.
const EXIT_CONFIG: u8 = 96;

/// Runs the daemon; `arguments` come after `argv[0]`. Returns the exit status.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let host = match nix::unistd::gethostname() {
        Ok(host) => host.to_string_lossy().into_owned(),
        Err(error) => {
            eprintln!("{NAME}: cannot get the host's name: {error}");
            return EXIT_FAILED;
        }
    };
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // Alone it is the name of a host.
    if let [command, rest @ ..] = arguments.as_slice()
        && command == "pair"
        && !rest.is_empty()
    {
        return pair::run(rest, &host);
    }
    let options = match Options::parse(arguments, &host) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            eprint!("{}", options::USAGE);
            return EXIT_CONFIG;
        }
    };
    if let Err(error) = client::require_daemon() {
        eprintln!("{NAME}: {error}");
        return EXIT_CONFIG;
    }
    let identity = options.tls_dir.as_deref().map(Identity::load).transpose();
    let secured = identity.and_then(|identity| security(&options, identity.as_ref()).map(|made| (identity, made)));
    let (identity, (node, tls)) = match secured {
        Ok(secured) => secured,
        Err(error) => {
            eprintln!("{NAME}: {error}");
            return EXIT_CONFIG;
        }
    };
    let level = if options.debug {
        LevelFilter::Debug
    } else {
        LevelFilter::Info
    };
    if options.foreground {
        logging::init_stderr(NAME, level);
    } else {
        logging::init_syslog(NAME, level);
        if let Err(error) = daemonise::daemonise() {
            log::error!("{error}");
            return EXIT_FAILED;
        }
    }
    let on_hang_up = match daemonise::handle_signals() {
        Ok(on_hang_up) => on_hang_up,
        Err(error) => {
            log::error!("cannot handle signals: {error}");
            return EXIT_FAILED;
        }
    };
    if let Some(identity) = &identity {
        tls::warn_of_validity(identity);
    }
    serve(&options, &host, node, tls, &on_hang_up)
}

/// HUP: certificates, keys and pins are read again.
fn reload(relay: &Relay, options: &Options, dir: &Path) {
    let renewed = Identity::load(dir).and_then(|identity| {
        let (_, tls) = security(options, Some(&identity))?;
        tls::warn_of_validity(&identity);
        tls.map_or(Ok(()), |tls| relay.renew(tls))
    });
    match renewed {
        Ok(()) => log::info!("{}: read again", dir.display()),
        Err(error) => log::error!("{error}; going on with what was read before"),
    }
}

/// The node's number, and what protects the channel.
fn security(options: &Options, identity: Option<&Identity>) -> Result<(NodeId, Option<Tls>), String> {
    let Some(identity) = identity else {
        return Ok((options.plain_node(), None));
    };
    let node = identity.own.member.node;
    if options.given_node.is_some_and(|given| given != node) {
        return Err(format!(
            "-n differs from the pairing, by which this is {}",
            identity.own.member
        ));
    }
    let tls = Tls::new(identity, matches!(options.role, Role::Listen(_)))?;
    Ok((node, Some(tls)))
}

fn serve(options: &Options, host: &str, node: NodeId, tls: Option<Tls>, on_hang_up: &OnHangUp) -> u8 {
    log::debug!("aluaNode {host}");
    let framework: Arc<dyn Framework> = Arc::new(Local);
    let relay = Arc::new(Relay::new(Arc::clone(&framework), node, host, tls, options.debug));
    if let Some(dir) = options.tls_dir.clone() {
        let (relay, options) = (Arc::clone(&relay), options.clone());
        on_hang_up.get_or_init(|| Box::new(move || reload(&relay, &options, &dir)));
    }
    let sender = Arc::clone(&relay);
    let door = match Server::create(0, move |call| answer(&sender, &call)) {
        Ok(door) => door,
        Err(error) => {
            log::error!("could not create door: {error}");
            return EXIT_FATAL;
        }
    };
    let handle = match attachment::first(&*framework, door.descriptor()) {
        Ok(handle) => handle,
        Err(status) => {
            log::error!("could not install door: {status}");
            return EXIT_FATAL;
        }
    };
    relay.attach(handle);
    systemd::notify("READY=1");
    let watched = Arc::clone(&relay);
    if let Err(error) = systemd::keep_alive(move || watched.is_alive()) {
        log::error!("pthread_create() call failed: {error}");
        return EXIT_FAILED;
    }
    let keeper = Arc::clone(&relay);
    let keep = move || attachment::keep(&*framework, door.descriptor(), &keeper, handle);
    if let Err(error) = thread::Builder::new()
        .name("attachment".to_owned())
        .spawn(move || -> () { keep() })
    {
        log::error!("pthread_create() call failed: {error}");
        return EXIT_FAILED;
    }
    match &options.role {
        // The line that tells why has been logged.
        Role::Listen(address) => drop(peer::listen(address, &relay, || std::process::exit(EXIT_FAILED.into()))),
        Role::Connect { address, ipv4 } => peer::connect(address, *ipv4, &relay),
    }
    EXIT_FAILED
}

/// The door's procedure: 4 bytes, 0 or an errno, in host byte order (`alua-proxy.md` 2.2).
fn answer(relay: &Relay, call: &Call<'_>) -> Reply {
    Reply {
        data: relay
            .send(call.data, !call.descriptors.is_empty())
            .to_ne_bytes()
            .to_vec(),
        descriptors: Vec::new(),
    }
}
