//! A worker: one thread that owns sessions with their connections, and executes their commands inline.

mod hosted;

use super::directory::{Directory, LoginStatus, SessionKey};
use super::engine::mailbox::{Local, Mailbox};
use super::engine::socket::{SLICES_MAX, receive_into, send};
use super::engine::{Epoll, Event, Interest, Poller};
use super::janitor::Job;
use super::node::Node;
use super::session::{Connection, ConnectionId, Fate, Pool, Session};
use super::table::Table;
use crate::framework::watch::{self, Source, Watcher};
use crate::framework::{Nexus, Outcome, ReadyTask, TmResponse};
use hosted::{Hosted, Link};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Token of the mailbox; connections have their ids, which never come up to these.
const MAILBOX: u64 = u64::MAX;
/// Token of the descriptor that is watched for somebody else.
const SOURCE: u64 = u64::MAX - 1;
/// Bytes of one receive, besides what goes straight into a task's buffer.
const SCRATCH: usize = 128 << 10;
/// Receives from one connection before the next one gets its turn.
const TURN: usize = 4;
/// Answers are sent when there is nothing more to be done, or when they come to this many bytes: as many as the processor's
/// cache keeps.
const FLUSH: usize = 256 << 10;
/// Time step of the sessions.
const TICK: Duration = Duration::from_secs(1);
/// How long initiators may take to log out when the provider stops.
const STOP_TIME: Duration = Duration::from_secs(3);
const READ: Interest = Interest {
    read: true,
    write: false,
};

/// A session that is registered.
#[derive(Debug)]
pub struct Established {
    /// Its handle.
    pub tsih: u16,
    /// What names it; `None` for discovery.
    pub key: Option<SessionKey>,
    /// Its nexus; `None` for discovery.
    pub nexus: Option<Arc<Nexus>>,
}

/// A connection on its way to the worker of the session that it joins.
#[derive(Debug)]
pub struct Transfer {
    stream: TcpStream,
    peer: String,
    connection: Connection,
    home: ConnectionId,
}

/// What a worker is told. A session is named by its leading connection.
#[derive(Debug)]
pub enum Mail {
    /// A new connection, and its local address.
    Accept(TcpStream, SocketAddr),
    /// The answer to a login.
    Established(ConnectionId, Result<Established, LoginStatus>),
    /// The RADIUS server's answer about a login.
    Verified(ConnectionId, Result<(), LoginStatus>),
    /// The other answer to a login: this connection goes to that session.
    Join(ConnectionId, ConnectionId),
    /// A connection comes.
    Adopt(Box<Transfer>),
    /// A command of a session ended.
    Finished(ConnectionId, u32, Outcome),
    /// A part of one ended well: data for the initiator, and what is left.
    Part(ConnectionId, u32, Vec<u8>, Box<ReadyTask>),
    /// Task management of a session ended.
    Managed(ConnectionId, u32, TmResponse),
    /// Close this session.
    CloseSession(ConnectionId, &'static str),
    /// Ask the initiators of a target to log out.
    LogoutTarget(String),
    /// Close the sessions of a target.
    CloseTarget(String),
    /// Watch this for somebody else.
    Watch(Arc<dyn Source>),
    /// Ask all initiators to log out, and end.
    Stop,
}

thread_local!(static OWN: RefCell<(u64, VecDeque<Mail>)> = const { RefCell::new((0, VecDeque::new())) });

impl Local for Mail {
    fn with<R>(body: impl FnOnce(&RefCell<(u64, VecDeque<Mail>)>) -> R) -> R {
        OWN.with(body)
    }
}

impl Watcher for Mailbox<Mail> {
    fn watch(&self, source: Arc<dyn Source>) {
        self.post(Mail::Watch(source));
    }
}

/// The thread's state.
pub struct Worker<P: Poller> {
    number: usize,
    node: Arc<Node>,
    mailbox: Arc<Mailbox<Mail>>,
    poller: P,
    /// What is watched for somebody else.
    source: Option<Arc<dyn Source>>,
    /// By the leading connection.
    sessions: Table<ConnectionId, Hosted>,
    /// The sessions of the other connections.
    homes: Table<ConnectionId, ConnectionId>,
    /// Sessions that may have something to send, or have ended.
    dirty: Vec<ConnectionId>,
    pool: Rc<Pool>,
    next: u64,
    scratch: Vec<u8>,
    now: Instant,
    ticked: Instant,
    stopping: Option<Instant>,
}

impl<P: Poller> Worker<P> {
    /// Worker number `number` of the node.
    pub fn new(number: usize, node: Arc<Node>, poller: P) -> std::io::Result<Worker<P>> {
        let mailbox = node.workers[number].clone();
        poller.add(mailbox.wake(), MAILBOX, READ)?;
        let now = Instant::now();
        let pool = Pool::new(node.memory_max / node.workers.len() as u64);
        Ok(Worker {
            number,
            node,
            mailbox,
            poller,
            source: None,
            sessions: Table::default(),
            homes: Table::default(),
            dirty: Vec::new(),
            pool,
            next: 1,
            scratch: vec![0; SCRATCH],
            now,
            ticked: now,
            stopping: None,
        })
    }

    /// Serves until [`Mail::Stop`].
    pub fn run(mut self) {
        self.mailbox.adopt();
        watch::adopt(self.mailbox.clone());
        let mut events: Vec<Event> = Vec::new();
        loop {
            let idle = self.sessions.is_empty() && self.stopping.is_none();
            watch::perform_left();
            events.clear();
            if let Err(error) = self.poller.wait(&mut events, (!idle).then_some(TICK)) {
                log::error!("iSCSI worker {}: {error}", self.number);
                std::thread::sleep(TICK);
            }
            self.now = Instant::now();
            for event in &events {
                if event.token == MAILBOX {
                    for mail in self.mailbox.take() {
                        self.mail(mail);
                    }
                    self.take_local();
                } else if event.token == SOURCE {
                    self.serve_source();
                } else {
                    self.serve(event.token);
                }
                watch::perform_left();
                self.settle();
            }
            if self.now.saturating_duration_since(self.ticked) >= TICK {
                self.tick();
                self.settle();
            }
            if self
                .stopping
                .is_some_and(|since| self.sessions.is_empty() || self.now > since + STOP_TIME)
            {
                return;
            }
        }
    }

    /// What is watched for somebody else is readable: commands of the own sessions may end by it.
    fn serve_source(&mut self) {
        if self.source.as_ref().is_some_and(|source| !source.serve()) {
            self.unwatch_source();
        }
        self.take_local();
    }

    fn watch_source(&mut self, source: Arc<dyn Source>) {
        self.unwatch_source();
        match self.poller.add(source.descriptor(), SOURCE, READ) {
            Ok(()) => self.source = Some(source),
            Err(error) => log::error!("iSCSI worker {}: {source:?}: {error}", self.number),
        }
    }

    fn unwatch_source(&mut self) {
        if let Some(source) = self.source.take()
            && let Err(error) = self.poller.remove(source.descriptor())
        {
            log::error!("iSCSI worker {}: {source:?}: {error}", self.number);
        }
    }

    fn tick(&mut self) {
        self.ticked = self.now;
        for (&id, hosted) in &mut self.sessions {
            hosted.core.tick(self.now);
            hosted.reap_aborted();
            self.dirty.push(id);
        }
    }

    /// The session of a connection.
    fn home(&self, id: ConnectionId) -> ConnectionId {
        self.homes.get(&id).copied().unwrap_or(id)
    }

    /// A socket is ready: what it has is taken in and executed.
    fn serve(&mut self, id: ConnectionId) {
        let home = self.home(id);
        for _ in 0..TURN {
            let Some(Hosted { core, links, .. }) = self.sessions.get_mut(&home) else {
                return;
            };
            self.dirty.push(home);
            let Some(link) = links.iter_mut().find(|link| link.id == id) else {
                return;
            };
            link.full = false;
            if !link.interest.read || core.fate(id) != Some(&Fate::Open) || core.paused(id) {
                return;
            }
            let mut empty = Vec::new();
            let (vector, missing) = core.wanted(id).unwrap_or((&mut empty, 0));
            let count = match receive_into(&link.stream, vector, missing, &mut self.scratch) {
                Ok(0) => return core.fail(id, "closed by the initiator".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return core.fail(id, error.to_string()),
            };
            core.receive(id, &self.scratch[..count.saturating_sub(missing)], self.now);
            self.pump(home);
            // A short read: the socket is empty, most likely.
            if count < missing + SCRATCH {
                return;
            }
        }
    }

    /// Performs the actions of a session and takes in what ended inline, until both are exhausted.
    fn pump(&mut self, id: ConnectionId) {
        loop {
            let Some(hosted) = self.sessions.get_mut(&id) else {
                return;
            };
            let action = hosted.core.next_action();
            let acted = action.is_some();
            if let Some(action) = action {
                hosted.perform(&self.node, &self.mailbox, action);
            }
            if self.take_local() {
                self.flush(id, FLUSH);
            } else if !acted {
                return;
            }
        }
    }

    /// Takes in what has ended on this thread.
    fn take_local(&mut self) -> bool {
        let mut any = false;
        while let Some(mail) = self.mailbox.next_local() {
            self.mail(mail);
            any = true;
        }
        any
    }

    fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Accept(stream, local) => self.accept(stream, local),
            Mail::Established(id, result) => self.established(id, result),
            Mail::Verified(id, verdict) => self.with(id, |hosted, _| hosted.core.verified(verdict)),
            Mail::Join(id, home) => self.leave(id, home),
            Mail::Adopt(transfer) => self.adopt(*transfer),
            Mail::Finished(id, itt, outcome) => self.with(id, |hosted, _| hosted.finished(itt, outcome)),
            Mail::Part(id, itt, data, rest) => self.with(id, |hosted, _| hosted.part(itt, data, rest)),
            Mail::Managed(id, itt, response) => self.with(id, |hosted, _| hosted.core.managed(itt, response)),
            Mail::CloseSession(id, reason) => self.with(id, |hosted, _| hosted.core.close(reason)),
            Mail::LogoutTarget(name) => self.each_of(&name, |core, now| core.request_logout(now)),
            Mail::CloseTarget(name) => self.each_of(&name, |core, _| core.drop_session()),
            Mail::Watch(source) => self.watch_source(source),
            Mail::Stop => {
                self.stopping = Some(self.now);
                for (&id, hosted) in &mut self.sessions {
                    hosted.core.request_logout(self.now);
                    self.dirty.push(id);
                }
            }
        }
    }

    fn with(&mut self, id: ConnectionId, body: impl FnOnce(&mut Hosted, Instant)) {
        if let Some(hosted) = self.sessions.get_mut(&id) {
            body(hosted, self.now);
            self.mark(id);
        }
    }

    fn mark(&mut self, id: ConnectionId) {
        if self.dirty.last() != Some(&id) {
            self.dirty.push(id);
        }
    }

    fn each_of(&mut self, target: &str, action: impl Fn(&mut Session, Instant)) {
        for (&id, hosted) in &mut self.sessions {
            if hosted
                .core
                .identity()
                .is_some_and(|identity| identity.key.target == target)
            {
                action(&mut hosted.core, self.now);
                self.dirty.push(id);
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, local: SocketAddr) {
        let peer = stream
            .peer_addr()
            .map_or_else(|_| "?".into(), |address| address.to_string());
        if let Some(link) = self.watch(stream, peer) {
            let directory: Arc<dyn Directory> = self.node.clone();
            let core = Session::new(link.id, local, directory, self.pool.clone(), self.now);
            self.sessions.insert(link.id, Hosted::new(core, link));
        }
    }

    /// Gives a socket an id and watches it.
    fn watch(&mut self, stream: TcpStream, peer: String) -> Option<Link> {
        let id = Node::connection_id(self.number, self.next);
        self.next += 1;
        if let Err(error) = self.poller.add(stream.as_fd(), id, READ) {
            log::error!("{peer}: {error}");
            self.node.connection_closed();
            return None;
        }
        Some(Link {
            id,
            stream,
            interest: READ,
            full: false,
            peer,
        })
    }

    fn established(&mut self, id: ConnectionId, result: Result<Established, LoginStatus>) {
        match (self.sessions.get_mut(&id), result) {
            (Some(hosted), Ok(session)) => hosted.established(session),
            (Some(hosted), Err(status)) => hosted.core.established(Err(status)),
            // The connection went away meanwhile.
            (None, Ok(session)) => {
                if let Some(key) = session.key {
                    self.node.job(Job::End(key, session.tsih));
                }
            }
            (None, Err(_)) => {}
        }
        self.dirty.push(id);
    }

    /// A connection leaves for the worker of its session, socket and all.
    fn leave(&mut self, id: ConnectionId, home: ConnectionId) {
        let Some(connection) = self.sessions.get_mut(&id).and_then(|hosted| hosted.core.leave()) else {
            return;
        };
        let Some(link) = self.sessions.remove(&id).and_then(|mut hosted| hosted.links.pop()) else {
            return;
        };
        if let Err(error) = self.poller.remove(link.stream.as_fd()) {
            log::error!("{}: {error}", link.peer);
            return self.node.connection_closed();
        }
        let transfer = Transfer {
            stream: link.stream,
            peer: link.peer,
            connection,
            home,
        };
        self.node.post(home, Mail::Adopt(Box::new(transfer)));
    }

    /// A connection has come; if its session is gone meanwhile, it is told so.
    fn adopt(&mut self, transfer: Transfer) {
        let Transfer {
            stream,
            peer,
            mut connection,
            home,
        } = transfer;
        let Some(link) = self.watch(stream, peer) else { return };
        connection.rename(link.id);
        if let Some(hosted) = self.sessions.get_mut(&home) {
            self.homes.insert(link.id, home);
            hosted.links.push(link);
            hosted.core.join(connection, self.now);
            self.dirty.push(home);
        } else {
            let directory: Arc<dyn Directory> = self.node.clone();
            let core = Session::stranded(connection, directory, self.pool.clone());
            self.dirty.push(link.id);
            self.sessions.insert(link.id, Hosted::new(core, link));
        }
    }

    /// Sends what there is to send, and closes what has ended.
    fn settle(&mut self) {
        // A session stands here once for each thing that happened to it; once is enough.
        self.dirty.sort_unstable();
        self.dirty.dedup();
        while let Some(id) = self.dirty.pop() {
            self.settle_session(id);
        }
    }

    fn settle_session(&mut self, id: ConnectionId) {
        loop {
            self.pump(id);
            self.flush(id, 1);
            match self.sessions.get(&id).and_then(Hosted::ended) {
                Some((connection, reason)) => self.close(id, connection, &reason),
                None if self.sessions.get(&id).is_some_and(|hosted| hosted.core.has_actions()) => {}
                None => break,
            }
        }
        let Some(hosted) = self.sessions.get_mut(&id) else {
            return;
        };
        if hosted.core.over(self.now) {
            return self.end(id);
        }
        for link in &mut hosted.links {
            let wanted = Interest {
                read: hosted.core.fate(link.id) == Some(&Fate::Open) && !hosted.core.paused(link.id),
                write: hosted.core.output(link.id).is_some_and(|out| !out.is_empty()),
            };
            if wanted != link.interest {
                link.interest = wanted;
                if let Err(error) = self.poller.change(link.stream.as_fd(), link.id, wanted) {
                    hosted.core.fail(link.id, error.to_string());
                    self.dirty.push(id);
                }
            }
        }
    }

    /// Sends on every connection of a session that has `least` bytes to be sent or more, until everything is sent or the
    /// socket is full.
    fn flush(&mut self, id: ConnectionId, least: usize) {
        let Some(Hosted { core, links, .. }) = self.sessions.get_mut(&id) else {
            return;
        };
        for link in links {
            let mut least = least;
            while !link.full && matches!(core.fate(link.id), Some(Fate::Open | Fate::Drain)) {
                let Some(out) = core.output(link.id).filter(|out| out.len() >= least) else {
                    break;
                };
                least = 1;
                let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(64);
                out.slices(&mut slices, SLICES_MAX);
                match send(&link.stream, &slices) {
                    Ok(count) => core.sent(link.id, count),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => link.full = true,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => core.fail(link.id, error.to_string()),
                }
            }
        }
    }

    /// Closes the socket of a connection.
    fn close(&mut self, id: ConnectionId, connection: ConnectionId, reason: &str) {
        let Some(hosted) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(at) = hosted.links.iter().position(|link| link.id == connection) else {
            return;
        };
        let link = hosted.links.swap_remove(at);
        // Who only knocks (discovery, port scans, floods) shall not fill the log.
        let level = if hosted.entry.is_some() {
            log::Level::Info
        } else {
            log::Level::Debug
        };
        log::log!(level, "{}: connection closed: {reason}", link.peer);
        hosted.core.lost(connection, self.now);
        self.homes.remove(&connection);
        self.node.connection_closed();
    }

    /// Forgets a session. Tasks that collect data end here; those that execute end with the nexus.
    fn end(&mut self, id: ConnectionId) {
        let Some(hosted) = self.sessions.remove(&id) else {
            return;
        };
        for link in &hosted.links {
            self.homes.remove(&link.id);
            self.node.connection_closed();
        }
        let entry = hosted.entry.clone();
        drop(hosted);
        if let Some((key, tsih)) = entry {
            self.node.job(Job::End(key, tsih));
        }
    }
}

impl<P: Poller> Drop for Worker<P> {
    /// Also when the thread unwinds: its sessions end, their tasks with them.
    fn drop(&mut self) {
        let ids: Vec<_> = self.sessions.keys().copied().collect();
        ids.into_iter().for_each(|id| self.end(id));
        watch::perform_left();
    }
}

/// The body of a worker's thread. A panic, which is a bug, costs the connections of this worker and nothing else: their
/// initiators log in again, and what was acknowledged to them is on the LUs.
pub fn run(number: usize, node: &Arc<Node>) {
    loop {
        let worker = match Epoll::new().and_then(|poller| Worker::new(number, node.clone(), poller)) {
            Ok(worker) => worker,
            Err(error) => {
                log::error!("iSCSI worker {number}: {error}");
                std::thread::sleep(TICK);
                continue;
            }
        };
        match catch_unwind(AssertUnwindSafe(|| worker.run())) {
            Ok(()) => return,
            Err(_) => log::error!("iSCSI worker {number} has panicked; its connections are closed and it starts again"),
        }
    }
}
