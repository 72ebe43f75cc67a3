//! One TCP connection to the peer's daemon: options, greeting, frames in, frames out.
#![forbid(unsafe_code)]

use super::framework::Stream;
use super::queue::Queue;
use super::tls::Tls;
use super::transport::Transport;
use crate::proxy::stream::{self, Decoder};
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The peer must have greeted after this time, the handshake of TLS included.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Data that is not acknowledged for this long ends the connection (`alua-proxy.md` chapter 9), as the framework's own
/// probe would.
const USER_TIMEOUT_MS: u32 = 6000;

const READ_BUFFER: usize = 256 << 10;

/// A connection, shared by its reader, its writer and the senders.
pub struct Connection {
    transport: Transport,
    /// Where the peer is.
    pub address: SocketAddr,
    /// Frames to be written.
    pub queue: Queue,
}

impl Connection {
    /// Sets the options of a fresh stream. With `tls` everything on it goes through TLS.
    pub fn new(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Connection> {
        let address = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &2)?;
        setsockopt(&stream, sockopt::TcpKeepInterval, &1)?;
        setsockopt(&stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS)?;
        Ok(Connection {
            transport: Transport::new(stream, tls)?,
            address,
            queue: Queue::default(),
        })
    }

    /// Sends our greeting, behind the handshake of TLS, and waits for the peer's, which it returns. What came behind that is
    /// in the decoder.
    pub fn greet(&self, greeting: &[u8], decoder: &mut Decoder) -> io::Result<Vec<u8>> {
        let deadline = Instant::now() + GREETING_TIMEOUT;
        decoder.set_limit(stream::MAX_GREETING);
        self.transport.handshake(decoder, deadline)?;
        self.transport
            .send(vec![stream::encode(greeting).map_err(io::Error::other)?])?;
        let greeting = loop {
            if let Some(greeting) = decoder.next_message().map_err(not_a_greeting)? {
                break greeting.to_vec();
            }
            self.transport.wait_until(deadline)?;
            self.transport.receive(&mut [0; 4096], |bytes| decoder.push(bytes))?;
        };
        self.transport.wait_for_ever()?;
        decoder.set_limit(stream::MAX_MESSAGE);
        Ok(greeting)
    }

    /// Hands every message to `message` in order, until the connection ends or `message` says so. Never returns `Ok`
    /// before the peer closed the stream between two frames.
    pub fn read(&self, decoder: &mut Decoder, mut message: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            while let Some(bytes) = decoder.next_message().map_err(io::Error::other)? {
                message(bytes)?;
            }
            match self.transport.receive(&mut buffer, |bytes| decoder.push(bytes)) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !decoder.is_partial() => return Ok(()),
                received => received?,
            }
        }
    }

    /// Writes what is queued until the connection is closed. A frame is written whole, or it is the last one.
    pub fn write(&self) -> io::Result<()> {
        while let Some(frames) = self.queue.take() {
            self.transport.send(frames)?;
        }
        Ok(())
    }

    /// Lends the connection to `carry`, which reads and writes the frames until it ends, an error number or 0. The connection
    /// is closed then. The outer error is that of `carry`; the inner one, why the connection ended.
    pub fn lend<E>(&self, carry: impl FnOnce(Stream<'_>) -> Result<i32, E>) -> Result<io::Result<()>, E> {
        let ended = match self.transport.lend() {
            Ok(stream) => carry(stream),
            Err(error) => {
                self.close();
                return Ok(Err(error));
            }
        };
        self.close();
        ended.map(|error| match error {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        })
    }

    /// Ends it for everybody: reader, writer, senders, and the peer.
    pub fn close(&self) {
        self.queue.close();
        self.transport.close();
    }
}

/// The first bytes of a TLS handshake, read as a length.
const TLS_HANDSHAKE: usize = 0x1603;

fn not_a_greeting(error: stream::InvalidLength) -> io::Error {
    let text = if error.0 >> 16 == TLS_HANDSHAKE {
        "the peer speaks TLS, but this node is run with --plain or a node name".to_owned()
    } else {
        format!("{error} instead of a greeting")
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The system error number of an error, 0 for a stream that ended: as the log lines of `cli.md` 6.3 tell it.
pub fn number(error: &io::Error) -> i32 {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => number,
        (None, io::ErrorKind::UnexpectedEof) => 0,
        (None, io::ErrorKind::TimedOut) => libc::ETIMEDOUT,
        (None, io::ErrorKind::WriteZero) => libc::EPIPE,
        (None, _) => libc::EPROTO,
    }
}
