//! The two roles: waiting for the peer, and calling it.
#![forbid(unsafe_code)]

use super::backoff::Backoff;
use super::connection::number;
use super::lobby::Lobby;
use super::relay::{End, Relay};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections at a time: the one that carries messages, those in the [`Lobby`], and those that are ending.
const MAX_CONNECTIONS: usize = 64;

/// An address that does not answer is given up after this time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that lived this long ends a series of failures.
const STABLE: Duration = Duration::from_secs(5);

/// Accepts for ever: each connection gets a thread, a new one of the peer replaces the old one. Returns only when it
/// cannot go on; `refused` is called when the framework refuses this node.
pub fn listen(address: &str, relay: &Arc<Relay>, refused: fn()) -> io::Result<()> {
    let listener =
        TcpListener::bind(address).inspect_err(|error| log::warn!("bind() call failed: {}", number(error)))?;
    log::info!("listening on {address}");
    let (connections, lobby) = (Arc::new(AtomicUsize::new(0)), Arc::new(Lobby::default()));
    loop {
        relay.wait_until_attached();
        let (stream, caller) = match listener.accept() {
            Ok(accepted) => accepted,
            // The caller has gone again (accept(2): errors of the new socket come here, too).
            Err(error) if is_the_callers(&error) => continue,
            Err(error) => {
                log::warn!("accept failed: {}", number(&error));
                return Err(error);
            }
        };
        if connections.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
            connections.fetch_sub(1, Ordering::AcqRel);
            relay.warn(format!("too many connections, closing one from {}", caller.ip()));
            continue;
        }
        let guest = match lobby.enter(&stream) {
            Ok((guest, evicted)) => {
                if evicted {
                    relay.warn("too many connections without a greeting, closing the oldest of them".to_owned());
                }
                guest
            }
            Err(error) => {
                connections.fetch_sub(1, Ordering::AcqRel);
                relay.warn(format!("accept failed: {}", number(&error)));
                continue;
            }
        };
        let (relay, count) = (Arc::clone(relay), Arc::clone(&connections));
        let serve = move || {
            let end = relay.serve(stream, || drop(guest));
            count.fetch_sub(1, Ordering::AcqRel);
            if end == End::Refused {
                refused();
            }
        };
        if let Err(error) = thread::Builder::new().name("peer-reader".to_owned()).spawn(serve) {
            connections.fetch_sub(1, Ordering::AcqRel);
            log::warn!("pthread_create() call failed: {}", number(&error));
        }
    }
}

fn is_the_callers(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable | TimedOut
    ) || error.raw_os_error() == Some(libc::EPROTO)
}

/// Calls for ever. Returns when the framework refuses this node.
pub fn connect(address: &str, ipv4: bool, relay: &Relay) {
    let mut backoff = Backoff::default();
    let mut told = None;
    loop {
        relay.wait_until_attached();
        if told.is_none() {
            log::info!("connecting to {address}");
        }
        let started = Instant::now();
        match call(address, ipv4) {
            Ok(stream) => {
                match relay.serve(stream, || ()) {
                    End::Refused => return,
                    End::Lost => told = None,
                    // Why has been told; the next attempt is the same event.
                    End::Stranger => told = Some(String::new()),
                }
                if started.elapsed() >= STABLE {
                    backoff = Backoff::default();
                }
            }
            // One line for a series of the same failure; a peer that is not up yet is no failure.
            Err(error) if told != Some(error.to_string()) => {
                let level = if error.kind() == io::ErrorKind::ConnectionRefused {
                    log::Level::Info
                } else {
                    log::Level::Error
                };
                log::log!(
                    level,
                    "Cannot connect {address} - {} ({error}); trying again",
                    number(&error)
                );
                told = Some(error.to_string());
            }
            Err(_) => {}
        }
        thread::sleep(backoff.next_wait());
    }
}

fn call(address: &str, ipv4: bool) -> io::Result<TcpStream> {
    let found = address.to_socket_addrs().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("Cannot get IP address for {}: {error}", host(address)),
        )
    })?;
    let mut last = io::Error::new(
        io::ErrorKind::NotFound,
        format!("Cannot get IP address for {}", host(address)),
    );
    for candidate in found.filter(|found| !ipv4 || matches!(found, SocketAddr::V4(_))) {
        match TcpStream::connect_timeout(&candidate, CONNECT_TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}
