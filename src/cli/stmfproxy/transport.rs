//! Bytes to and from the peer over one TCP stream, plain or inside TLS.
//!
//! After the handshake one thread reads and one writes, and neither waits for the other. Or the stream is lent to the
//! framework, with TLS together with the keys.
#![forbid(unsafe_code)]

use super::framework::Stream;
use super::handshake::Handshake;
use super::tls::{self, Tls};
use crate::proxy::outgoing::Outgoing;
use crate::proxy::sealed::Cipher;
use crate::proxy::stream::Decoder;
use parking_lot::{Mutex, RwLock};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long, and for how many bytes, a refused peer is listened to: closing at once could destroy the alert that tells it why.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 << 10;

/// One stream.
pub struct Transport {
    stream: TcpStream,
    tls: Option<Sealed>,
}

/// What TLS has come to.
struct Sealed {
    /// Until it is over, or has failed.
    handshake: Mutex<Option<Handshake>>,
    /// From then on, until it is lent.
    cipher: RwLock<Option<Cipher>>,
}

impl Transport {
    /// Nothing is sent yet.
    pub fn new(stream: TcpStream, tls: Option<&Tls>) -> io::Result<Transport> {
        let handshake = tls.map(Tls::handshake).transpose().map_err(io::Error::other)?;
        Ok(Transport {
            stream,
            tls: handshake.map(|handshake| Sealed {
                handshake: Mutex::new(Some(handshake)),
                cipher: RwLock::new(None),
            }),
        })
    }

    /// The handshake, which must be over at the deadline; nothing for a plain stream. Bytes that came behind it are in the
    /// decoder. To be called once, before anything else.
    pub fn handshake(&self, decoder: &mut Decoder, deadline: Instant) -> io::Result<()> {
        let Some(sealed) = &self.tls else { return Ok(()) };
        let mut handshake = sealed.handshake.lock().take().ok_or(io::ErrorKind::NotConnected)?;
        let (mut buffer, mut count) = ([0; 4096], 0);
        loop {
            let mut reply = Vec::new();
            let over = handshake.advance(&buffer[..count], &mut reply);
            match over {
                Ok(over) => {
                    self.stream.set_write_timeout(Some(left(deadline)?))?;
                    (&self.stream).write_all(&reply)?;
                    if over {
                        break;
                    }
                }
                Err(error) => {
                    self.refuse(&reply, deadline);
                    return Err(refused(&error));
                }
            }
            self.wait_until(deadline)?;
            count = read(&self.stream, &mut buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let (keys, plain) = handshake.finish().map_err(|error| refused(&error))?;
        decoder.push(&plain);
        *sealed.cipher.write() = Some(Cipher::new(keys)?);
        Ok(())
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

    /// Waits for bytes and gives `sink` what they hold, in pieces, which may be nothing yet; a stream that ends is
    /// `UnexpectedEof`. A plain one is received into the buffer.
    pub fn receive(&self, buffer: &mut [u8], mut sink: impl FnMut(&[u8])) -> io::Result<()> {
        let goes_on = match &self.tls {
            None => {
                let count = read(&self.stream, buffer)?;
                sink(&buffer[..count]);
                count > 0
            }
            Some(sealed) => {
                let cipher = sealed.cipher.read();
                let cipher = cipher.as_ref().ok_or(io::ErrorKind::NotConnected)?;
                let received = cipher.receive(|room| read(&self.stream, room), sink);
                received.map_err(explained)?
            }
        };
        match goes_on {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Writes whole frames, in order. After an error the stream is of no use any more.
    pub fn send(&self, frames: Vec<Vec<u8>>) -> io::Result<()> {
        let mut outgoing = Outgoing::default();
        match &self.tls {
            None => frames.into_iter().for_each(|frame| outgoing.push(frame)),
            Some(sealed) => {
                let cipher = sealed.cipher.read();
                let cipher = cipher.as_ref().ok_or(io::ErrorKind::NotConnected)?;
                let mut frames = frames.into_iter();
                let sealed = frames.try_for_each(|frame| cipher.seal(frame, &mut outgoing));
                sealed.and_then(|()| cipher.finish(&mut outgoing)).map_err(explained)?;
            }
        }
        outgoing.send(|slices| write(&self.stream, slices))
    }

    /// The stream, and with TLS its keys, for somebody else to go on with. Nothing goes through here any more.
    pub fn lend(&self) -> io::Result<Stream<'_>> {
        let keys = match &self.tls {
            None => None,
            Some(sealed) => {
                let cipher = sealed.cipher.write().take();
                let keys = cipher.and_then(Cipher::into_keys);
                Some(keys.ok_or_else(|| io::Error::other("the peer did not wait for the greeting"))?)
            }
        };
        Ok(Stream {
            socket: self.stream.as_fd(),
            keys,
        })
    }

    /// Ends it in both directions.
    pub fn close(&self) {
        // Fails only when the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Tells the peer why, as far as it listens. Whether it does changes nothing here: the handshake has failed.
    fn refuse(&self, alert: &[u8], deadline: Instant) {
        let until = deadline.min(Instant::now() + LINGER);
        let tell = || -> io::Result<()> {
            self.stream.set_write_timeout(Some(left(until)?))?;
            (&self.stream).write_all(alert)?;
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

fn refused(error: &rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, tls::explain(error))
}

/// A refused record, in words for people.
fn explained(error: io::Error) -> io::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map(refused).unwrap_or(error)
}

fn read(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            other => return other,
        }
    }
}

fn write(mut stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match stream.write_vectored(slices) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
