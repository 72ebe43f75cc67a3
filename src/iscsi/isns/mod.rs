//! The iSNS client: one thread that keeps the servers informed of what there is (`iscsi-target.md` chapter 15). A server
//! that fails delays nobody else: not logins, not commands, and not the stop of the provider beyond [`STOP_TIME`].

mod message;
mod registration;

use super::engine::thread;
use super::node::Node;
use message::{AnswerHeader, HEADER, MESSAGE_MAX, Message, Status, parse_answer};
use registration::Registration;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// From the start of the service to the first message.
const FIRST: Duration = Duration::from_secs(5);
/// Changes that follow one another within this time are told together.
const GATHER: Duration = Duration::from_millis(200);
/// A sign of life is sent this often.
const PERIOD: Duration = Duration::from_secs(900);
/// Periods without contact until everything is registered again, and until the server forgets us.
const MISSED: u32 = 3;
/// How often servers are looked at again that could not be reached.
const MONITOR: Duration = Duration::from_secs(60);
/// Connect, send and receive, each.
const IO_TIME: Duration = Duration::from_secs(5);
/// Tries of one message.
const TRIES: u32 = 3;
/// Longest the goodbye to all servers may take.
const STOP_TIME: Duration = Duration::from_secs(5);
/// PDUs of one answer.
const ANSWER_MAX: usize = 16;

pub use registration::Node as Record;

enum Event {
    Changed,
    Stop,
}

/// The running client.
pub struct Client {
    events: Sender<Event>,
    ended: Receiver<()>,
}

impl Client {
    /// Starts it. It does nothing until servers are configured.
    pub fn start(node: &Arc<Node>) -> io::Result<Client> {
        let (events, queue) = channel();
        let bell = events.clone();
        *node.isns.lock() = Some(Box::new(move || bell.send(Event::Changed).is_ok()));
        let node = Arc::downgrade(node);
        let (ending, ended) = channel();
        thread::spawn("iscsi-isns", move || {
            run(&node, &queue);
            // Nobody waits when the time to stop is over.
            let _ = ending.send(());
        })?;
        Ok(Client { events, ended })
    }

    /// Deregisters from the servers and ends it. A server that hangs is not waited for: the thread ends by itself later.
    pub fn stop(self, node: &Node) {
        *node.isns.lock() = None;
        if self.events.send(Event::Stop).is_err() {
            log::error!("the iSNS client has panicked");
        } else if self.ended.recv_timeout(STOP_TIME).is_err() {
            log::warn!("the iSNS client still waits for a server and is left alone");
        }
    }
}

/// One server and what it was told.
struct Server {
    address: SocketAddr,
    told: Option<Registration>,
    contact: Instant,
    /// The last attempt failed: said once.
    failing: bool,
    transaction: u16,
}

fn run(node: &Weak<Node>, events: &Receiver<Event>) {
    let mut servers: Vec<Server> = Vec::new();
    let (mut next, mut started) = (Instant::now() + FIRST, false);
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        match events.recv_timeout(wait) {
            Ok(Event::Changed) => {
                if started {
                    next = next.min(Instant::now() + GATHER);
                }
                continue;
            }
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return say_goodbye(&mut servers),
            Err(RecvTimeoutError::Timeout) => {}
        }
        started = true;
        let Some(node) = node.upgrade() else { return };
        let wanted = node.config.load().isns();
        let registration = registration(&node);
        drop(node);
        servers.retain_mut(|server| {
            let keep = wanted.contains(&server.address);
            if !keep {
                server.update(None);
            }
            keep
        });
        for address in wanted {
            if servers.iter().all(|server| server.address != address) {
                servers.push(Server::new(address));
            }
        }
        for server in &mut servers {
            server.update(registration.as_ref());
        }
        next = Instant::now() + MONITOR;
    }
}

/// What the servers are to know; `None`: no target is online.
fn registration(node: &Node) -> Option<Registration> {
    let nodes = node.isns_records();
    let entity = match nix::unistd::gethostname() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => "localhost".to_owned(),
    };
    (!nodes.is_empty()).then_some(Registration { entity, nodes })
}

fn say_goodbye(servers: &mut [Server]) {
    let end = Instant::now() + STOP_TIME;
    for server in servers {
        let Some(told) = server.told.take() else { continue };
        let left = end.saturating_duration_since(Instant::now()).min(IO_TIME);
        if left.is_zero() {
            return;
        }
        if let Err(error) = server.exchange(&told.deregister(), left) {
            log::warn!("iSNS server {}: deregistering: {error}", server.address);
        }
    }
}

impl Server {
    fn new(address: SocketAddr) -> Server {
        Server {
            address,
            told: None,
            contact: Instant::now(),
            failing: false,
            transaction: 0,
        }
    }

    /// Makes the server know this, and lets it know that we are there.
    fn update(&mut self, wanted: Option<&Registration>) {
        match self.bring(wanted) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    log::info!("iSNS server {}: answers again", self.address);
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    log::error!("iSNS server {}: {error}; trying again", self.address);
                }
                if self.contact.elapsed() > PERIOD * MISSED {
                    self.told = None;
                }
            }
        }
    }

    fn bring(&mut self, wanted: Option<&Registration>) -> io::Result<()> {
        match (self.told.take(), wanted) {
            (None, None) => return Ok(()),
            (Some(told), None) => {
                let status = self.say(&told.deregister());
                return self.settle(status, Some(told), None);
            }
            (Some(told), Some(wanted)) if told == *wanted => {
                if self.contact.elapsed() < PERIOD {
                    self.told = Some(told);
                    return Ok(());
                }
                let status = self.say(&told.query());
                match status {
                    Ok(Status::NO_SUCH_ENTRY | Status::SOURCE_UNKNOWN) => {
                        log::warn!("iSNS server {}: has forgotten this node", self.address);
                    }
                    status => return self.settle(status, Some(told.clone()), Some(told)),
                }
            }
            (Some(told), Some(wanted)) => {
                // Some servers keep what a replacing registration leaves out.
                if let Some(message) = told.deregister_missing(wanted) {
                    let status = self.say(&message);
                    self.settle(status, Some(told), None)?;
                }
            }
            (None, Some(_)) => {}
        }
        let Some(wanted) = wanted else { return Ok(()) };
        let period = u32::try_from((PERIOD * MISSED).as_secs()).unwrap_or(u32::MAX);
        let status = self.say(&wanted.register(period));
        self.settle(status, None, Some(wanted.clone()))?;
        log::info!(
            "iSNS server {}: {} targets registered",
            self.address,
            wanted.nodes.len()
        );
        Ok(())
    }

    /// Notes what the server knows after an exchange: this if it failed, that if not.
    fn settle(
        &mut self,
        status: io::Result<Status>,
        failed: Option<Registration>,
        done: Option<Registration>,
    ) -> io::Result<()> {
        match status {
            Ok(Status::SUCCESS | Status::NO_SUCH_ENTRY | Status::SOURCE_UNKNOWN) => {
                self.told = done;
                Ok(())
            }
            Ok(status) => {
                self.told = failed;
                Err(io::Error::other(status.to_string()))
            }
            Err(error) => {
                self.told = failed;
                Err(error)
            }
        }
    }

    fn say(&mut self, message: &Message) -> io::Result<Status> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for _ in 0..TRIES {
            match self.exchange(message, IO_TIME) {
                Ok(status) => {
                    self.contact = Instant::now();
                    return Ok(status);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// One request and its answer over a connection of their own.
    fn exchange(&mut self, message: &Message, time: Duration) -> io::Result<Status> {
        self.transaction = self.transaction.wrapping_add(1);
        let bytes = message
            .encode(self.transaction)
            .ok_or_else(|| io::Error::other("more targets than fit into a message"))?;
        let mut stream = TcpStream::connect_timeout(&self.address, time)?;
        stream.set_write_timeout(Some(time))?;
        stream.set_read_timeout(Some(time))?;
        stream.write_all(&bytes)?;
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let mut body = Vec::new();
        for _ in 0..ANSWER_MAX {
            let mut header = [0; HEADER];
            stream.read_exact(&mut header)?;
            let header = AnswerHeader::parse(&header).ok_or_else(malformed)?;
            let mut part = vec![0; header.length];
            stream.read_exact(&mut part)?;
            if (header.function, header.transaction) != (message.answer(), self.transaction) {
                continue;
            }
            body.extend_from_slice(&part);
            if !header.more {
                return parse_answer(&body).map(|(status, _)| status).ok_or_else(malformed);
            }
            if body.len() > MESSAGE_MAX {
                break;
            }
        }
        Err(malformed())
    }
}

/// For fuzzing: what a server may answer.
#[cfg(fuzzing)]
pub fn fuzz_answer(bytes: &[u8]) {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
        return;
    };
    let _ = AnswerHeader::parse(header);
    if let Some((_, attributes)) = parse_answer(body) {
        let told: usize = attributes.iter().map(|(_, value)| 8 + value.len()).sum();
        assert_eq!(4 + told, body.len(), "no byte is read twice or left out");
    }
}
