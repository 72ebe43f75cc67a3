//! One TCP connection to the peer's daemon: options, greeting, frames in, frames out.
#![forbid(unsafe_code)]

use super::frame::{self, Decoder};
use super::queue::Queue;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The peer must have greeted after this time.
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Data that is not acknowledged for this long ends the connection (`alua-proxy.md` chapter 9), as the framework's own
/// probe would.
const USER_TIMEOUT_MS: u32 = 6000;

const READ_BUFFER: usize = 256 << 10;

/// A connection, shared by its reader, its writer and the senders.
pub struct Connection {
    stream: TcpStream,
    /// Where the peer is.
    pub address: SocketAddr,
    /// Frames to be written.
    pub queue: Queue,
}

impl Connection {
    /// Sets the options of a fresh stream.
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        let address = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &2)?;
        setsockopt(&stream, sockopt::TcpKeepInterval, &1)?;
        setsockopt(&stream, sockopt::TcpUserTimeout, &USER_TIMEOUT_MS)?;
        Ok(Connection {
            stream,
            address,
            queue: Queue::default(),
        })
    }

    /// Sends our greeting and waits for the peer's. Returns the peer's name; what came behind is in the decoder.
    pub fn greet(&self, greeting: &[u8], decoder: &mut Decoder) -> io::Result<String> {
        let frame = frame::encode(greeting).map_err(io::Error::other)?;
        (&self.stream).write_all(&frame)?;
        decoder.set_limit(frame::MAX_GREETING);
        let deadline = Instant::now() + GREETING_TIMEOUT;
        let name = loop {
            if let Some(greeting) = decoder.next_message().map_err(io::Error::other)? {
                break frame::greeting_name(greeting);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            self.receive(decoder, &mut [0; 4096])?;
        };
        self.stream.set_read_timeout(None)?;
        decoder.set_limit(frame::MAX_MESSAGE);
        Ok(name)
    }

    /// Hands every message to `message` in order, until the connection ends or `message` says so. Never returns `Ok`
    /// before the peer closed the stream between two frames.
    pub fn read(&self, decoder: &mut Decoder, mut message: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; READ_BUFFER];
        loop {
            while let Some(bytes) = decoder.next_message().map_err(io::Error::other)? {
                message(bytes)?;
            }
            match self.receive(decoder, &mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !decoder.is_partial() => return Ok(()),
                received => received?,
            }
        }
    }

    /// At least one byte more; a stream that ends is `UnexpectedEof`.
    fn receive(&self, decoder: &mut Decoder, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match (&self.stream).read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    decoder.push(&buffer[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes what is queued until the connection is closed. A frame is written whole, or it is the last one.
    pub fn write(&self) -> io::Result<()> {
        while let Some(frames) = self.queue.take() {
            let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
            write_all(&self.stream, &mut slices)?;
        }
        Ok(())
    }

    /// Ends it for everybody: reader, writer, senders, and the peer.
    pub fn close(&self) {
        self.queue.close();
        // Fails only when the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn write_all(mut stream: &TcpStream, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut slices, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
