//! Bytes to and from the peer over one TCP stream, plain or inside TLS.
//!
//! After the handshake one thread reads and one writes. Only the writer writes to the socket, so TLS records leave in the
//! order in which they were sealed. The lock of the session is held for work on buffers, never while the socket blocks: a
//! peer that does not read cannot keep this node from reading. A plain stream may be lent to the framework instead.
#![forbid(unsafe_code)]

use super::tls::{self, Tls};
use crate::proxy::stream::Decoder;
use parking_lot::Mutex;
use rustls::Connection as Session;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Plain bytes sealed in one piece, so that the reader gets the session in between.
const PIECE: usize = 256 << 10;

/// Plain bytes taken from the session at once: one record.
const RECORD: usize = 16 << 10;

/// How long, and for how many bytes, a refused peer is listened to: closing at once could destroy the alert that tells it why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

/// Bytes pumped at once.
const BUFFER: usize = 256 << 10;

/// One stream.
pub struct Transport {
    stream: TcpStream,
    session: Option<Mutex<Session>>,
}

impl Transport {
    /// Nothing is sent yet.
    pub fn new(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Transport> {
        let session = tls.map(Tls::session).transpose().map_err(io::Error::other)?;
        Ok(Transport {
            stream,
            session: session.map(Mutex::new),
        })
    }

    /// The handshake, which must be over at the deadline; nothing for a plain stream. Bytes that came behind it are in the
    /// decoder. To be called once, before anything else.
    pub fn handshake(&self, decoder: &mut Decoder, deadline: Instant) -> io::Result<()> {
        let Some(session) = &self.session else { return Ok(()) };
        let mut buffer = [0; 4096];
        loop {
            self.flush(session, deadline)?;
            if !session.lock().is_handshaking() {
                return Ok(());
            }
            self.wait_until(deadline)?;
            if let Err(error) = self.receive(&mut buffer, |bytes| decoder.push(bytes)) {
                self.refuse(session, deadline);
                return Err(error);
            }
        }
    }

    /// What arrives must have arrived at the deadline.
    pub fn wait_until(&self, deadline: Instant) -> io::Result<()> {
        self.stream.set_read_timeout(Some(left(deadline)?))
    }

    /// From now on there is no deadline.
    pub fn wait_for_ever(&self) -> io::Result<()> {
        self.stream.set_read_timeout(None)?;
        self.stream.set_write_timeout(None)
    }

    /// Waits for bytes and gives `sink` what they hold, which may be nothing yet; a stream that ends is `UnexpectedEof`.
    pub fn receive(&self, buffer: &mut [u8], mut sink: impl FnMut(&[u8])) -> io::Result<()> {
        let count = loop {
            match (&self.stream).read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
                Err(error) => return Err(error),
            }
        };
        match &self.session {
            None => sink(&buffer[..count]),
            Some(session) => open(&mut session.lock(), &buffer[..count], &mut sink)?,
        }
        Ok(())
    }

    /// Writes whole frames, in order.
    pub fn send(&self, frames: &[impl AsRef<[u8]>]) -> io::Result<()> {
        let Some(session) = &self.session else {
            let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame.as_ref())).collect();
            return write_all(&self.stream, &mut slices);
        };
        let mut sealed = Vec::new();
        for piece in frames.iter().flat_map(|frame| frame.as_ref().chunks(PIECE)) {
            seal(&mut session.lock(), piece, &mut sealed)?;
            if sealed.len() >= PIECE {
                (&self.stream).write_all(&sealed)?;
                sealed.clear();
            }
        }
        (&self.stream).write_all(&sealed)
    }

    /// The stream itself, if what is on it is not sealed. `None`: see [`Transport::pump_in`].
    pub fn plain(&self) -> Option<BorrowedFd<'_>> {
        self.session.is_none().then(|| self.stream.as_fd())
    }

    /// Carries the bytes of the peer to `inside`, until either side ends.
    pub fn pump_in(&self, mut inside: &UnixStream) -> io::Result<()> {
        let (mut buffer, mut plain) = (vec![0; BUFFER], Vec::new());
        loop {
            self.receive(&mut buffer, |bytes| plain.extend_from_slice(bytes))?;
            inside.write_all(&plain)?;
            plain.clear();
        }
    }

    /// Carries what comes from `inside` to the peer, until either side ends.
    pub fn pump_out(&self, mut inside: &UnixStream) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            match inside.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.send(&[&buffer[..count]])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends it in both directions.
    pub fn close(&self) {
        // Fails only when the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    fn flush(&self, session: &Mutex<Session>, deadline: Instant) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut session = session.lock();
        while session.wants_write() {
            session.write_tls(&mut bytes)?;
        }
        drop(session);
        self.stream.set_write_timeout(Some(left(deadline)?))?;
        (&self.stream).write_all(&bytes)
    }

    /// Tells the peer why, as far as it listens. Whether it does changes nothing here: the handshake has failed.
    fn refuse(&self, session: &Mutex<Session>, deadline: Instant) {
        let until = deadline.min(Instant::now() + LINGER);
        let tell = || -> io::Result<()> {
            self.flush(session, until)?;
            self.stream.shutdown(Shutdown::Write)?;
            let (mut buffer, mut count) = ([0; 4096], 0);
            while count < LINGER_BYTES {
                self.wait_until(until)?;
                match (&self.stream).read(&mut buffer)? {
                    0 => break,
                    more => count += more,
                }
            }
            Ok(())
        };
        if let Err(error) = tell() {
            log::debug!("alert not delivered: {error}");
        }
    }
}

/// What is left until the deadline: never zero, which would mean for ever.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// Plain bytes of the peer's records.
fn open(session: &mut Session, mut records: &[u8], sink: &mut impl FnMut(&[u8])) -> io::Result<()> {
    let mut plain = [0; RECORD];
    while !records.is_empty() {
        session.read_tls(&mut records)?;
        session
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, tls::explain(&error)))?;
        loop {
            match session.reader().read(&mut plain) {
                // The peer has closed the session; what comes behind is not its.
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => sink(&plain[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Our records of plain bytes, with whatever the session itself has to say before them.
fn seal(session: &mut Session, mut plain: &[u8], records: &mut Vec<u8>) -> io::Result<()> {
    while !plain.is_empty() {
        let count = session.writer().write(plain)?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        plain = &plain[count..];
        while session.wants_write() {
            session.write_tls(records)?;
        }
    }
    Ok(())
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
