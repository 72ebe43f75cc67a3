//! Listeners, and the thread that accepts connections and deals them to the workers.

use super::engine::{Epoll, Event, Interest, Poller, thread};
use super::node::Node;
use super::worker::Mail;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// Token of the stop event.
const STOP: u64 = u64::MAX;
/// How often a portal is tried again whose address this host does not have.
const RETRY: Duration = Duration::from_secs(2);
/// Pause when the process has no descriptor left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A portal could not be opened.
#[derive(Debug)]
pub struct PortalError {
    /// Its address.
    pub address: SocketAddr,
    /// Why.
    pub error: io::Error,
}

impl std::fmt::Display for PortalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "iSCSI portal {}: {}", self.address, self.error)
    }
}

impl std::error::Error for PortalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// The open portals, and those whose address is absent: an address of a cluster moves between nodes, and the listener must
/// follow it without a restart (`iscsi-target.md` 1.1).
pub struct Portals {
    open: Vec<TcpListener>,
    absent: Vec<SocketAddr>,
}

impl Portals {
    /// Opens listeners. A port in use is an error, an absent address is not.
    pub fn open(addresses: &[SocketAddr]) -> Result<Portals, PortalError> {
        let mut portals = Portals {
            open: Vec::new(),
            absent: Vec::new(),
        };
        for &address in addresses {
            match listen(address) {
                Ok(listener) => portals.open.push(listener),
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                    log::warn!("iSCSI portal {address}: this host does not have the address; waiting for it");
                    portals.absent.push(address);
                }
                Err(error) => return Err(PortalError { address, error }),
            }
        }
        Ok(portals)
    }

    /// The addresses that are open.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.open
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address);
    // A host without IPv6: its wildcard stands for IPv4 as well, so that is what is left of it.
    let no_ipv6 = |error: &io::Error| error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    let listener = match bound {
        Err(error) if no_ipv6(&error) && address.ip() == Ipv6Addr::UNSPECIFIED => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port()))?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The accepting thread.
pub struct Acceptor {
    stop: Arc<EventFd>,
    thread: JoinHandle<()>,
}

impl Acceptor {
    /// Starts accepting.
    pub fn start(portals: Portals, node: Arc<Node>, connections_max: usize) -> io::Result<Acceptor> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let poller = Epoll::new()?;
        let read = Interest {
            read: true,
            write: false,
        };
        poller.add(stop.as_fd(), STOP, read)?;
        for (token, listener) in (0u64..).zip(&portals.open) {
            poller.add(listener.as_fd(), token, read)?;
        }
        let mut state = Accepting {
            portals,
            node,
            connections_max,
            next: 0,
            refused: 0,
        };
        let kept = stop.clone();
        let thread = thread::spawn("iscsi-accept", move || {
            state.run(poller);
            drop(kept);
        })?;
        Ok(Acceptor { stop, thread })
    }

    /// Closes the listeners.
    pub fn stop(self) {
        if let Err(error) = self.stop.write(1) {
            log::error!("stopping the iSCSI listeners: {error}");
        }
        if self.thread.join().is_err() {
            log::error!("the iSCSI accepting thread has panicked");
        }
    }
}

struct Accepting {
    portals: Portals,
    node: Arc<Node>,
    connections_max: usize,
    next: usize,
    refused: u64,
}

impl Accepting {
    fn run(&mut self, mut poller: Epoll) {
        let mut events: Vec<Event> = Vec::new();
        loop {
            events.clear();
            let timeout = (!self.portals.absent.is_empty()).then_some(RETRY);
            if let Err(error) = poller.wait(&mut events, timeout) {
                log::error!("iSCSI listeners: {error}");
                std::thread::sleep(EXHAUSTED);
            }
            for event in &events {
                if event.token == STOP {
                    return;
                }
                self.accept(event.token);
            }
            self.retry(&poller);
        }
    }

    fn accept(&mut self, token: u64) {
        let Some(listener) = usize::try_from(token)
            .ok()
            .and_then(|index| self.portals.open.get(index))
        else {
            return;
        };
        let (stream, peer) = match listener.accept() {
            Ok(accepted) => accepted,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) => return,
            Err(error) => {
                log::error!("accepting an iSCSI connection: {error}");
                return std::thread::sleep(EXHAUSTED);
            }
        };
        if self.node.connections.load(Ordering::Acquire) >= self.connections_max {
            self.refused += 1;
            // Once per power of two: a flood does not flood the log.
            if self.refused.is_power_of_two() {
                log::warn!(
                    "{peer}: refused, {} connections are open ({} refused so far)",
                    self.connections_max,
                    self.refused
                );
            }
            return;
        }
        let prepared = stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true));
        let local = match prepared.and_then(|()| stream.local_addr()) {
            Ok(local) => SocketAddr::new(local.ip().to_canonical(), local.port()),
            Err(error) => return log::debug!("{peer}: {error}"),
        };
        self.node.connections.fetch_add(1, Ordering::AcqRel);
        self.next = (self.next + 1) % self.node.workers.len();
        self.node.workers[self.next].post(Mail::Accept(stream, local));
    }

    fn retry(&mut self, poller: &Epoll) {
        let absent = std::mem::take(&mut self.portals.absent);
        for address in absent {
            let opened = listen(address).and_then(|listener| {
                poller.add(
                    listener.as_fd(),
                    self.portals.open.len() as u64,
                    Interest {
                        read: true,
                        write: false,
                    },
                )?;
                Ok(listener)
            });
            match opened {
                Ok(listener) => {
                    log::info!("iSCSI portal {address}: open");
                    self.portals.open.push(listener);
                    *self.node.portals.write() = self.portals.addresses();
                }
                Err(error) => {
                    if error.kind() != ErrorKind::AddrNotAvailable {
                        log::error!("iSCSI portal {address}: {error}");
                    }
                    self.portals.absent.push(address);
                }
            }
        }
    }
}
