//! Messages between the local framework and the peer, over one connection at a time. Usually the framework gets the stream
//! and carries its messages itself ([`Framework::carry`]). For a log of each message (`-d`) they go one by one through the
//! door and `stmfPostProxyMsg`.
//!
//! What must stay true:
//! - At most one connection carries messages. A new one replaces the old one, and begins only after the old one's reader
//!   has posted its last message: messages are never reordered.
//! - A connection begins with greetings, then ALUA is enabled again, so that both frameworks announce everything anew.
//! - What was accepted for a connection is never sent on another one.
//! - With TLS, only the pinned peer gets as far as to replace a connection, and only as the other node of the same cluster.
#![forbid(unsafe_code)]

use super::complaints::Complaints;
use super::connection::{Connection, number};
use super::framework::{Framework, Stream};
use super::greeting;
use super::tls::Tls;
use crate::proxy::stream::{self, Decoder};
use crate::types::{NodeId, Status};
use parking_lot::{Condvar, Mutex, RwLock};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

/// Why a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// The peer or the network; another connection may come.
    Lost,
    /// It was not the peer, or it went before it had greeted. Nothing has changed.
    Stranger,
    /// The framework refuses this node for good; the daemon must end with status 1.
    Refused,
}

/// The relay of one daemon.
pub struct Relay {
    framework: Arc<dyn Framework>,
    node: NodeId,
    greeting: Vec<u8>,
    tls: RwLock<Option<Arc<Tls>>>,
    singly: bool,
    complaints: Complaints,
    state: Mutex<State>,
    attached: Condvar,
    /// Held by the connection that carries messages.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The door's handle while it is installed.
    handle: Option<i32>,
    /// The newest connection that has been greeted.
    current: Option<Arc<Connection>>,
    /// Messages of the door may be sent on `current`.
    open: bool,
}

impl Relay {
    /// Not attached yet. `host` is the name this node greets with; without `tls` the channel is plain. `singly`: each message
    /// passes through this program.
    pub fn new(framework: Arc<dyn Framework>, node: NodeId, host: &str, tls: Option<Tls>, singly: bool) -> Relay {
        Relay {
            framework,
            node,
            greeting: greeting::encode(host, tls.as_ref().map(|tls| &tls.own)),
            tls: RwLock::new(tls.map(Arc::new)),
            singly,
            complaints: Complaints::default(),
            state: Mutex::default(),
            attached: Condvar::new(),
            turn: Mutex::new(()),
        }
    }

    /// The door is installed.
    pub fn attach(&self, handle: i32) {
        self.state.lock().handle = Some(handle);
        self.attached.notify_all();
    }

    /// The service that had the door is gone. The connection ends too: the peer must learn that everything begins anew.
    pub fn detach(&self) {
        let mut state = self.state.lock();
        state.handle = None;
        state.open = false;
        if let Some(connection) = state.current.take() {
            connection.close();
        }
    }

    /// Waits until the door is installed: a connection made before would carry nothing.
    pub fn wait_until_attached(&self) {
        let mut state = self.state.lock();
        while state.handle.is_none() {
            self.attached.wait(&mut state);
        }
    }

    /// Comes back as long as what every connection and every call of the door needs is held by nobody for good.
    pub fn is_alive(&self) -> bool {
        drop(self.state.lock());
        drop(self.tls.read());
        true
    }

    /// The framework's message, from the door: 0, or the errno that the door answers with.
    pub fn send(&self, message: &[u8], with_descriptors: bool) -> i32 {
        if with_descriptors {
            log::warn!("descriptor passed to door");
            return libc::EINVAL;
        }
        let frame = match stream::encode(message) {
            Ok(frame) => frame,
            Err(error) if message.is_empty() => {
                log::warn!("empty message passed to door: {error}");
                return libc::EINVAL;
            }
            Err(error) => {
                log::error!("message passed to door: {error}");
                return libc::EMSGSIZE;
            }
        };
        let connection = {
            let state = self.state.lock();
            if !state.open {
                return libc::ENOTCONN;
            }
            state.current.clone()
        };
        match connection.map(|connection| connection.queue.push(frame)) {
            Some(Ok(())) => 0,
            Some(Err(_)) => libc::EPIPE,
            None => libc::ENOTCONN,
        }
    }

    /// Greets on a fresh stream and carries messages until it ends; `greeted` is called in between. Before the door is
    /// installed nobody is greeted: a peer that has our greeting sends what it has to say once, and it would be lost.
    pub fn serve(&self, stream: TcpStream, greeted: impl FnOnce()) -> End {
        self.wait_until_attached();
        let tls = self.tls.read().clone();
        let connection = match Connection::new(stream, tls.as_deref()) {
            Ok(connection) => Arc::new(connection),
            Err(error) => {
                log::warn!("setsockopt() failed: {} ({error})", number(&error));
                return End::Stranger;
            }
        };
        let mut decoder = Decoder::new(stream::MAX_GREETING);
        let name = match self.greet(&connection, tls.as_deref(), &mut decoder) {
            Ok(name) => name,
            Err(error) => {
                connection.close();
                self.complain(&connection, &error);
                return End::Stranger;
            }
        };
        greeted();
        if !self.replace(&connection, tls.as_deref()) {
            return End::Stranger;
        }
        let _turn = self.turn.lock();
        let Some(handle) = self.begin(&connection) else {
            return End::Lost;
        };
        log::info!("connected to {name} ({})", connection.address);
        let end = match self.singly {
            true => self.carry(&connection, &mut decoder, handle),
            false => self.lend(&connection, &decoder, handle),
        };
        self.finish(&connection);
        log::info!("peer {name} ({}) lost", connection.address);
        end
    }

    /// Whoever comes through is the peer; its name.
    fn greet(&self, connection: &Connection, tls: Option<&Tls>, decoder: &mut Decoder) -> io::Result<String> {
        let theirs = connection.greet(&self.greeting, decoder)?;
        if let Some(tls) = tls {
            greeting::member(&theirs)
                .and_then(|member| tls.own.accepts(&member))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        Ok(greeting::name_in(&theirs))
    }

    fn complain(&self, connection: &Connection, error: &io::Error) {
        let reason = match error.kind() {
            // Without TLS that is everyday life: a peer that is going away, somebody who looks whether the port is open.
            io::ErrorKind::UnexpectedEof if self.tls.read().is_none() => {
                log::debug!("{}: closed before the greeting", connection.address);
                return;
            }
            io::ErrorKind::UnexpectedEof => "closed before the greeting".to_owned(),
            io::ErrorKind::TimedOut => "no greeting in time".to_owned(),
            _ => error.to_string(),
        };
        self.complaints
            .warn(format!("no channel with {}: {reason}", connection.address.ip()));
    }

    /// Tells something that strangers can cause over and over.
    pub fn warn(&self, text: String) {
        self.complaints.warn(text);
    }

    /// Connections prove themselves by this from now on. The present one goes on if its peer is still the pinned one.
    /// Refused when this node is another one than before: what it has greeted with, and its ALUA number, would not hold.
    pub fn renew(&self, tls: Tls) -> Result<(), String> {
        let state = self.state.lock();
        let mut present = self.tls.write();
        let Some(old) = present.as_ref().filter(|old| old.own == tls.own) else {
            return Err(format!("this is {} now, which takes a restart", tls.own));
        };
        if old.pinned != tls.pinned
            && let Some(connection) = &state.current
        {
            log::warn!("{}: the peer is not the pinned one any more", connection.address);
            connection.close();
        }
        *present = Some(Arc::new(tls));
        Ok(())
    }

    /// This connection, proved by `tls`, is the one from now on. False if another peer was pinned meanwhile.
    fn replace(&self, connection: &Arc<Connection>, tls: Option<&Tls>) -> bool {
        let mut state = self.state.lock();
        if self.tls.read().as_ref().map(|tls| &tls.pinned) != tls.map(|tls| &tls.pinned) {
            connection.close();
            return false;
        }
        state.open = false;
        if let Some(old) = state.current.replace(Arc::clone(connection)) {
            log::info!("a new connection replaces the one to {}", old.address);
            old.close();
        }
        true
    }

    /// Opens it for the door; `None` if it was replaced or the service went meanwhile.
    fn begin(&self, connection: &Arc<Connection>) -> Option<i32> {
        let mut state = self.state.lock();
        let current = state
            .current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, connection));
        let handle = state.handle.filter(|_| current);
        state.open = handle.is_some() && self.singly;
        if handle.is_none() {
            connection.close();
        }
        handle
    }

    fn finish(&self, connection: &Arc<Connection>) {
        connection.close();
        let mut state = self.state.lock();
        if state
            .current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, connection))
        {
            state.current = None;
            state.open = false;
        }
    }

    fn carry(&self, connection: &Connection, decoder: &mut Decoder, handle: i32) -> End {
        thread::scope(|scope| {
            let writer = thread::Builder::new()
                .name("peer-writer".to_owned())
                .spawn_scoped(scope, || {
                    if let Err(error) = connection.write() {
                        log::error!("send() call failed: {}", number(&error));
                    }
                    connection.close();
                });
            let end = match writer {
                Ok(_) => self.receive(connection, decoder, handle),
                Err(error) => {
                    log::warn!("pthread_create() call failed: {}", number(&error));
                    End::Lost
                }
            };
            connection.close();
            end
        })
    }

    /// The framework carries the messages.
    fn lend(&self, connection: &Connection, decoder: &Decoder, handle: i32) -> End {
        let carry = |stream: Stream<'_>| self.framework.carry(handle, self.node, stream, decoder.rest());
        match connection.lend(carry) {
            Ok(ended) => tell_end(ended),
            Err(status) => return refused(status),
        }
        End::Lost
    }

    fn receive(&self, connection: &Connection, decoder: &mut Decoder, handle: i32) -> End {
        if let Err(status) = self.framework.enable(self.node) {
            return refused(status);
        }
        let mut refused: u64 = 0;
        let read = connection.read(decoder, |message| {
            log::debug!("recvMsg: size of buffer - {}", message.len());
            match self.framework.post(handle, message) {
                Ok(()) => {}
                // The handle has gone with its service.
                Err(Status::InvalidArg) => return Err(io::Error::from_raw_os_error(libc::ECANCELED)),
                Err(status) => {
                    refused += 1;
                    let level = if refused == 1 {
                        log::Level::Error
                    } else {
                        log::Level::Debug
                    };
                    log::log!(level, "ioctl failed - {} ({status})", status.code());
                }
            }
            Ok(())
        });
        tell_end(read);
        if refused > 1 {
            log::error!("{refused} messages of the peer were refused by the local framework");
        }
        End::Lost
    }
}

/// The framework does not take this node.
fn refused(status: Status) -> End {
    log::error!("stmf ioctl failed - {:x} ({status})", status.code());
    // These do not change by themselves; the rest is a service that comes or goes.
    match status {
        Status::InvalidArg | Status::Perm => End::Refused,
        _ => End::Lost,
    }
}

fn tell_end(ended: io::Result<()>) {
    match ended {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
            log::warn!("recv() call failed: {} ({error})", number(&error));
        }
        _ => log::warn!("recv() call failed: 0 (the peer closed the connection)"),
    }
}
