//! A worker: one thread that owns connections and executes their commands inline.

use super::connection::{Action, Command, Connection, Fate};
use super::directory::{Directory, LoginStatus, SessionKey};
use super::engine::mailbox::{Local, Mailbox};
use super::engine::socket::{SLICES_MAX, receive_into, send};
use super::engine::{Epoll, Event, Interest, Poller};
use super::janitor::Job;
use super::node::Node;
use super::sessions::{Applicant, ConnectionId};
use crate::framework::{Nexus, Origin, Outcome, ReadyTask, Started, Task, TaskHandle, TmRequest, TmResponse};
use crate::scsi::ScsiStatus;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{ErrorKind, IoSlice};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Token of the mailbox; connections have their ids, which never come up to it.
const MAILBOX: u64 = u64::MAX;
/// Bytes of one receive, besides what goes straight into a task's buffer.
const SCRATCH: usize = 128 << 10;
/// Receives from one connection before the next one gets its turn.
const TURN: usize = 4;
/// Answers are sent when there is nothing more to be read, or when they come to this many bytes.
const FLUSH: usize = 256 << 10;
/// Time step of the connections.
const TICK: Duration = Duration::from_secs(1);
/// How long initiators may take to log out when the provider stops.
const STOP_TIME: Duration = Duration::from_secs(3);

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

/// What a worker is told.
#[derive(Debug)]
pub enum Mail {
    /// A new connection, and its local address.
    Accept(TcpStream, SocketAddr),
    /// The answer to a login.
    Established(ConnectionId, Result<Established, LoginStatus>),
    /// A command ended.
    Finished(ConnectionId, u32, Outcome),
    /// Task management ended.
    Managed(ConnectionId, u32, TmResponse),
    /// Close this connection.
    Close(ConnectionId, &'static str),
    /// Ask the initiators of a target to log out.
    LogoutTarget(String),
    /// Close the connections of a target.
    CloseTarget(String),
    /// Ask all initiators to log out, and end.
    Stop,
}

thread_local!(static OWN: RefCell<(u64, Vec<Mail>)> = const { RefCell::new((0, Vec::new())) });

impl Local for Mail {
    fn with<R>(body: impl FnOnce(&RefCell<(u64, Vec<Mail>)>) -> R) -> R {
        OWN.with(body)
    }
}

/// A command in the framework's hands.
enum Running {
    /// Its data is being collected.
    Ready(Box<ReadyTask>),
    /// It is being executed.
    Executing(TaskHandle),
}

struct Client {
    stream: TcpStream,
    core: Connection,
    interest: Interest,
    nexus: Option<Arc<Nexus>>,
    session: Option<(SessionKey, u16)>,
    running: HashMap<u32, Running>,
    peer: String,
}

/// The thread's state.
pub struct Worker<P: Poller> {
    number: usize,
    node: Arc<Node>,
    mailbox: Arc<Mailbox<Mail>>,
    poller: P,
    clients: HashMap<ConnectionId, Client>,
    /// Connections that may have something to send, or have ended.
    dirty: Vec<ConnectionId>,
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
        poller.add(
            mailbox.wake(),
            MAILBOX,
            Interest {
                read: true,
                write: false,
            },
        )?;
        let now = Instant::now();
        Ok(Worker {
            number,
            node,
            mailbox,
            poller,
            clients: HashMap::new(),
            dirty: Vec::new(),
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
        let mut events: Vec<Event> = Vec::new();
        loop {
            let idle = self.clients.is_empty() && self.stopping.is_none();
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
                    self.pump_local();
                } else {
                    self.serve(event.token);
                }
                self.settle();
            }
            if self.now.saturating_duration_since(self.ticked) >= TICK {
                self.tick();
                self.settle();
            }
            if self
                .stopping
                .is_some_and(|since| self.clients.is_empty() || self.now > since + STOP_TIME)
            {
                return;
            }
        }
    }

    fn tick(&mut self) {
        self.ticked = self.now;
        let ids: Vec<_> = self.clients.keys().copied().collect();
        for id in ids {
            if let Some(client) = self.clients.get_mut(&id) {
                client.core.tick(self.now);
                reap_aborted(client);
            }
            self.dirty.push(id);
        }
    }

    /// A socket is ready: what it has is taken in and executed.
    fn serve(&mut self, id: ConnectionId) {
        for _ in 0..TURN {
            let Some(client) = self.clients.get_mut(&id) else {
                return;
            };
            self.dirty.push(id);
            if !client.interest.read || *client.core.fate() != Fate::Open || client.core.paused() {
                return;
            }
            let mut empty = Vec::new();
            let (vector, missing) = client.core.wanted().unwrap_or((&mut empty, 0));
            let count = match receive_into(&client.stream, vector, missing, &mut self.scratch) {
                Ok(0) => return client.core.fail("closed by the initiator".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return client.core.fail(error.to_string()),
            };
            client
                .core
                .receive(&self.scratch[..count.saturating_sub(missing)], self.now);
            self.pump(id);
            let Some(client) = self.clients.get_mut(&id) else {
                return;
            };
            if client.core.output().len() >= FLUSH {
                self.flush(id);
            }
            // A short read: the socket is empty, most likely.
            if count < missing + SCRATCH {
                return;
            }
        }
    }

    /// Performs the actions of a connection and takes in what ended inline, until both are exhausted.
    fn pump(&mut self, id: ConnectionId) {
        while let Some(client) = self.clients.get_mut(&id) {
            if let Some(action) = client.core.next_action() {
                perform(&self.node, &self.mailbox, id, client, action);
            } else if !self.take_local() {
                return;
            }
        }
    }

    fn pump_local(&mut self) {
        while self.take_local() {}
    }

    fn take_local(&mut self) -> bool {
        let mail = self.mailbox.take_local();
        let any = !mail.is_empty();
        mail.into_iter().for_each(|mail| self.mail(mail));
        any
    }

    fn mail(&mut self, mail: Mail) {
        match mail {
            Mail::Accept(stream, local) => self.accept(stream, local),
            Mail::Finished(id, itt, outcome) => {
                let Some(client) = self.clients.get_mut(&id) else {
                    return;
                };
                let aborted = matches!(client.running.remove(&itt), Some(Running::Executing(task)) if task.aborted());
                if aborted && outcome.status == ScsiStatus::TaskAborted {
                    client.core.aborted(itt);
                } else {
                    client.core.finished(itt, outcome);
                }
                self.dirty.push(id);
            }
            Mail::Managed(id, itt, response) => {
                let Some(client) = self.clients.get_mut(&id) else {
                    return;
                };
                client.core.managed(itt, response);
                self.dirty.push(id);
            }
            Mail::Established(id, result) => self.established(id, result),
            Mail::Close(id, reason) => {
                if let Some(client) = self.clients.get_mut(&id) {
                    client.core.fail(reason.into());
                    self.dirty.push(id);
                }
            }
            Mail::LogoutTarget(name) => self.each_of(&name, |core, now| core.request_logout(now)),
            Mail::CloseTarget(name) => self.each_of(&name, |core, _| core.drop_session()),
            Mail::Stop => {
                self.stopping = Some(self.now);
                for (&id, client) in &mut self.clients {
                    client.core.request_logout(self.now);
                    self.dirty.push(id);
                }
            }
        }
    }

    fn each_of(&mut self, target: &str, action: impl Fn(&mut Connection, Instant)) {
        for (&id, client) in &mut self.clients {
            if client
                .core
                .identity()
                .is_some_and(|identity| identity.key.target == target)
            {
                action(&mut client.core, self.now);
                self.dirty.push(id);
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, local: SocketAddr) {
        let id = Node::connection_id(self.number, self.next);
        self.next += 1;
        let peer = stream
            .peer_addr()
            .map_or_else(|_| "?".into(), |address| address.to_string());
        let interest = Interest {
            read: true,
            write: false,
        };
        if let Err(error) = self.poller.add(stream.as_fd(), id, interest) {
            log::error!("{peer}: {error}");
            return self.node.connection_closed();
        }
        let directory: Arc<dyn Directory> = self.node.clone();
        let core = Connection::new(local, directory, self.now);
        let client = Client {
            stream,
            core,
            interest,
            nexus: None,
            session: None,
            running: HashMap::new(),
            peer,
        };
        self.clients.insert(id, client);
    }

    fn established(&mut self, id: ConnectionId, result: Result<Established, LoginStatus>) {
        let client = self.clients.get_mut(&id);
        match (client, result) {
            (Some(client), Ok(session)) => {
                client.core.established(Ok(session.tsih));
                client.session = session.key.map(|key| (key, session.tsih));
                client.nexus = session.nexus;
            }
            (Some(client), Err(status)) => client.core.established(Err(status)),
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

    /// Sends what there is to send, and closes what has ended.
    fn settle(&mut self) {
        // A connection stands here once for each thing that happened to it; once is enough.
        self.dirty.sort_unstable();
        self.dirty.dedup();
        while let Some(id) = self.dirty.pop() {
            self.pump(id);
            self.flush(id);
            let Some(client) = self.clients.get_mut(&id) else {
                continue;
            };
            match client.core.fate() {
                Fate::Open => {}
                Fate::Drain if !client.core.output().is_empty() => {}
                Fate::Drain => {
                    self.close(id, "logged out");
                    continue;
                }
                Fate::Closed(reason) => {
                    let reason = reason.clone();
                    self.close(id, &reason);
                    continue;
                }
            }
            let wanted = Interest {
                read: *client.core.fate() == Fate::Open && !client.core.paused(),
                write: !client.core.output().is_empty(),
            };
            if wanted != client.interest {
                client.interest = wanted;
                if let Err(error) = self.poller.change(client.stream.as_fd(), id, wanted) {
                    self.close(id, &error.to_string());
                }
            }
        }
    }

    /// Sends until everything is sent or the socket is full.
    fn flush(&mut self, id: ConnectionId) {
        loop {
            let Some(client) = self.clients.get_mut(&id) else {
                return;
            };
            if client.core.output().is_empty() || matches!(client.core.fate(), Fate::Closed(_)) {
                return;
            }
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(64);
            client.core.output().slices(&mut slices, SLICES_MAX);
            match send(&client.stream, &slices) {
                Ok(count) => {
                    drop(slices);
                    client.core.sent(count);
                    self.pump(id);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return client.core.fail(error.to_string()),
            }
        }
    }

    fn close(&mut self, id: ConnectionId, reason: &str) {
        let Some(client) = self.clients.remove(&id) else { return };
        // Who only knocks (discovery, port scans, floods) shall not fill the log.
        let level = if client.session.is_some() {
            log::Level::Info
        } else {
            log::Level::Debug
        };
        log::log!(level, "{}: connection closed: {reason}", client.peer);
        self.node.connection_closed();
        // Tasks that collect data end here; those that execute end with the nexus.
        drop(client.running);
        if let Some((key, tsih)) = client.session {
            self.node.job(Job::End(key, tsih));
        }
    }
}

impl<P: Poller> Drop for Worker<P> {
    /// Also when the thread unwinds: its sessions end, their tasks with them.
    fn drop(&mut self) {
        let ids: Vec<_> = self.clients.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id, "the worker has ended"));
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

/// Does what a connection asks for.
fn perform(node: &Arc<Node>, mailbox: &Arc<Mailbox<Mail>>, id: ConnectionId, client: &mut Client, action: Action) {
    match action {
        Action::Establish(identity) => {
            node.job(Job::Establish(Applicant {
                identity,
                connection: id,
            }));
        }
        Action::Start(command) => start(node, client, command),
        Action::Execute { itt, data } => {
            let Some(Running::Ready(task)) = client.running.remove(&itt) else {
                return;
            };
            client.running.insert(itt, Running::Executing(task.handle()));
            let mailbox = mailbox.clone();
            task.execute(
                data,
                Box::new(move |outcome| mailbox.post(Mail::Finished(id, itt, outcome))),
            );
        }
        Action::Abandon { itt } => {
            client.running.remove(&itt);
        }
        Action::Abort { itt } => {
            if let Some(Running::Executing(handle)) = client.running.get(&itt) {
                handle.abort();
            }
        }
        Action::Manage {
            itt,
            function,
            lun,
            referenced,
        } => {
            let Some(nexus) = client.nexus.clone() else { return };
            let request = TmRequest {
                nexus,
                lun,
                function,
                referenced_tag: u64::from(referenced),
                origin: Origin::Local,
            };
            let mailbox = mailbox.clone();
            let done = Box::new(move |response| mailbox.post(Mail::Managed(id, itt, response)));
            node.framework.task_management(request, done);
        }
    }
}

fn start(node: &Arc<Node>, client: &mut Client, command: Command) {
    let itt = command.itt;
    let Some(nexus) = client.nexus.clone() else { return };
    let task = Task {
        nexus,
        lun: command.lun,
        cdb: command.cdb,
        tag: u64::from(itt),
        attribute: command.attribute,
        expected: command.expected,
        origin: Origin::Local,
    };
    match node.framework.start(task) {
        Started::Done(outcome) => client.core.finished(itt, outcome),
        Started::Ready(ready) => {
            let want = ready.want();
            client.running.insert(itt, Running::Ready(ready));
            client.core.ready(itt, want);
        }
    }
}

/// A task that was aborted from elsewhere while its data was on the way is ended without waiting for the data.
fn reap_aborted(client: &mut Client) {
    let aborted = |running: &Running| matches!(running, Running::Ready(task) if task.handle().aborted());
    let tags: Vec<u32> = client
        .running
        .iter()
        .filter(|(_, running)| aborted(running))
        .map(|(&itt, _)| itt)
        .collect();
    for itt in tags {
        client.running.remove(&itt);
        client
            .core
            .finished(itt, Outcome::status(crate::scsi::ScsiStatus::TaskAborted));
    }
}
