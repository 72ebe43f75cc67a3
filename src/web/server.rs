//! The listener: one thread that accepts, and one for each of a few connections.

use super::Views;
use super::http::{self, MAX_HEAD, Refusal, Request, Response};
use super::routes::Routes;
use crate::framework::Framework;
use nix::sys::socket::{Shutdown, shutdown};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Connections at once; a browser uses up to six.
const MAX_CONNECTIONS: usize = 16;
/// For a whole request to come, and for a whole response to go.
const PATIENCE: Duration = Duration::from_secs(5);
/// For the other side to close after the response, and how much it may still send until then.
const LINGER: Duration = Duration::from_secs(1);
const MAX_REST: u64 = 64 << 10;
/// After an accept that failed, so that a lack of descriptors does not become a busy loop.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub struct Server {
    listener: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at the address.
    pub fn start(framework: &Arc<Framework>, views: Views, address: SocketAddr) -> io::Result<Server> {
        let listener = Arc::new(TcpListener::bind(address)?);
        let bound = listener.local_addr()?;
        let routes = Arc::new(Routes::new(Arc::clone(framework), views));
        let accepting = Arc::clone(&listener);
        let thread = thread::Builder::new()
            .name("web".to_owned())
            .spawn(move || accept(&accepting, &routes))?;
        let what = if views.page { "status page" } else { "metrics" };
        log::info!("{what} at http://{bound}/{}", if views.page { "" } else { "metrics" });
        if !bound.ip().is_loopback() {
            log::warn!("the {what} is not on loopback: whoever reaches {bound} can read it");
        }
        Ok(Server {
            listener,
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    /// Connections that are being answered end by themselves.
    fn drop(&mut self) {
        // accept(2) returns with EINVAL.
        if let Err(error) = shutdown(self.listener.as_raw_fd(), Shutdown::Both) {
            log::warn!("the status page cannot be stopped: {error}");
            return;
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread of the status page has panicked");
        }
    }
}

fn accept(listener: &TcpListener, routes: &Arc<Routes>) {
    let connections = Arc::new(());
    loop {
        match listener.accept() {
            Ok((stream, peer)) => serve(stream, peer, routes, &connections),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => return,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::debug!("status page: {error}");
                thread::sleep(PAUSE);
            }
        }
    }
}

/// The holders of `connections` beside the listener's own are the connections that are open.
fn serve(stream: TcpStream, peer: SocketAddr, routes: &Arc<Routes>, connections: &Arc<()>) {
    if Arc::strong_count(connections) > MAX_CONNECTIONS {
        refuse(stream);
        return;
    }
    let (routes, open) = (Arc::clone(routes), Arc::clone(connections));
    let started = thread::Builder::new().name("web-connection".to_owned()).spawn(move || {
        if let Err(error) = converse(stream, &routes) {
            log::debug!("status page: {peer}: {error}");
        }
        drop(open);
    });
    if let Err(error) = started {
        log::warn!("status page: {peer}: no thread: {error}");
    }
}

/// On the listener's thread: what does not fit into the socket's buffer at once is lost.
fn refuse(mut stream: TcpStream) {
    let sent = stream
        .set_nonblocking(true)
        .and_then(|()| stream.write_all(&Response::from(Refusal::Busy).encode(false)));
    if let Err(error) = sent {
        log::debug!("status page: {error}");
    }
}

fn converse(mut stream: TcpStream, routes: &Routes) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let (head_only, response) = match receive(&mut stream)? {
        Ok(request) => (request.head_only, routes.answer(&request)),
        Err(refusal) => (false, refusal.into()),
    };
    stream.write_all(&response.encode(head_only))?;
    linger(&mut stream)
}

/// Closing with bytes unread would reset the connection, and the other side could lose the response (RFC 9112 9.6).
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(std::net::Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    let mut rest = stream.take(MAX_REST);
    io::copy(&mut rest, &mut io::sink()).map(drop)
}

/// The request; what is wrong with it is told to the other side.
fn receive(stream: &mut TcpStream) -> io::Result<Result<Request, Refusal>> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = Vec::new();
    let mut piece = [0; MAX_HEAD];
    loop {
        match http::parse(&bytes) {
            Ok(Some(request)) => return Ok(Ok(request)),
            Ok(None) => {}
            Err(refusal) => return Ok(Err(refusal)),
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Err(Refusal::Timeout));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
