//! Listeners, and the thread that accepts connections and deals them to the workers.

use super::engine::{Epoll, Event, Interest, Poller, thread};
use super::node::Node;
use super::worker::Mail;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// Token of the event that something has changed.
const WAKE: u64 = u64::MAX;
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
#[derive(Default)]
pub struct Portals {
    open: Vec<Open>,
    absent: Vec<Absent>,
    next_token: u64,
}

/// A listener.
struct Open {
    token: u64,
    listener: TcpListener,
    /// The portal of an explicit group as configured; `None`: of the default group, which stays open.
    explicit: Option<SocketAddr>,
}

/// A portal that could not be opened, and the last reason.
struct Absent {
    address: SocketAddr,
    explicit: bool,
    reason: Option<ErrorKind>,
}

impl Portals {
    /// Opens listeners of the default group. A port in use is an error, an absent address is not.
    pub fn open(addresses: &[SocketAddr]) -> Result<Portals, PortalError> {
        let mut portals = Portals::default();
        for &address in addresses {
            match listen(address) {
                Ok(listener) => portals.add(listener, None),
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                    log::warn!("iSCSI portal {address}: this host does not have the address; waiting for it");
                    portals.absent.push(Absent {
                        address,
                        explicit: false,
                        reason: Some(error.kind()),
                    });
                }
                Err(error) => return Err(PortalError { address, error }),
            }
        }
        Ok(portals)
    }

    /// The addresses of the default group that are open.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let default = self.open.iter().filter(|open| open.explicit.is_none());
        default.filter_map(|open| open.listener.local_addr().ok()).collect()
    }

    fn add(&mut self, listener: TcpListener, explicit: Option<SocketAddr>) {
        self.open.push(Open {
            token: self.next_token,
            listener,
            explicit,
        });
        self.next_token += 1;
    }

    /// Closes explicit portals that are not wanted any more; those that are wanted and not open become absent.
    fn want(&mut self, wanted: &[SocketAddr]) {
        let keeps = |explicit: Option<SocketAddr>| explicit.is_none_or(|address| wanted.contains(&address));
        self.open.retain(|open| {
            if !keeps(open.explicit) {
                log::info!("iSCSI portal {:?}: closed", open.explicit);
            }
            keeps(open.explicit)
        });
        self.absent
            .retain(|absent| keeps(absent.explicit.then_some(absent.address)));
        for &address in wanted {
            let open = self.open.iter().any(|open| open.explicit == Some(address));
            let absent = self
                .absent
                .iter()
                .any(|absent| absent.explicit && absent.address == address);
            if !open && !absent {
                self.absent.push(Absent {
                    address,
                    explicit: true,
                    reason: None,
                });
            }
        }
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
    node: Arc<Node>,
    thread: JoinHandle<()>,
}

const READ: Interest = Interest {
    read: true,
    write: false,
};

impl Acceptor {
    /// Starts accepting.
    pub fn start(portals: Portals, node: Arc<Node>, connections_max: usize) -> io::Result<Acceptor> {
        let poller = Epoll::new()?;
        poller.add(node.acceptor.as_fd(), WAKE, READ)?;
        for open in &portals.open {
            poller.add(open.listener.as_fd(), open.token, READ)?;
        }
        node.accepting.store(true, Ordering::Release);
        let mut state = Accepting {
            portals,
            node: node.clone(),
            connections_max,
            next: 0,
            refused: 0,
        };
        let thread = thread::spawn("iscsi-accept", move || state.run(poller))?;
        Ok(Acceptor { node, thread })
    }

    /// Closes the listeners.
    pub fn stop(self) {
        self.node.accepting.store(false, Ordering::Release);
        self.node.portals_changed();
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
        while self.node.accepting.load(Ordering::Acquire) {
            self.portals.want(&self.node.explicit_portals());
            self.retry(&poller);
            events.clear();
            let timeout = (!self.portals.absent.is_empty()).then_some(RETRY);
            if let Err(error) = poller.wait(&mut events, timeout) {
                log::error!("iSCSI listeners: {error}");
                std::thread::sleep(EXHAUSTED);
            }
            for event in &events {
                if event.token == WAKE {
                    // Only says that there is something to look at; an error means that somebody has read it already.
                    let _ = self.node.acceptor.read();
                } else {
                    self.accept(event.token);
                }
            }
        }
    }

    fn accept(&mut self, token: u64) {
        let Some(open) = self.portals.open.iter().find(|open| open.token == token) else {
            return;
        };
        let (stream, peer) = match open.listener.accept() {
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

    /// Tries what is not open.
    fn retry(&mut self, poller: &Epoll) {
        for mut absent in std::mem::take(&mut self.portals.absent) {
            let address = absent.address;
            let token = self.portals.next_token;
            let opened = listen(address).and_then(|listener| {
                poller.add(listener.as_fd(), token, READ)?;
                Ok(listener)
            });
            match opened {
                Ok(listener) => {
                    log::info!("iSCSI portal {address}: open");
                    self.portals.add(listener, absent.explicit.then_some(address));
                    *self.node.portals.write() = self.portals.addresses();
                }
                Err(error) => {
                    // Once for each reason: it is tried again every few seconds.
                    if absent.reason != Some(error.kind()) {
                        log::warn!("iSCSI portal {address}: {error}; trying again until it opens");
                    }
                    absent.reason = Some(error.kind());
                    self.portals.absent.push(absent);
                }
            }
        }
    }
}
