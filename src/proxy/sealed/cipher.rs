use super::Keys;
use super::opener::Opener;
use super::sealer::Sealer;
use crate::proxy::outgoing::Outgoing;
use parking_lot::Mutex;
use rustls::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// Seals and opens what goes over a stream, for one thread that sends and one that receives.
pub struct Cipher {
    sealer: Mutex<Sealer>,
    opener: Mutex<Opener>,
    /// The peer wants us to take our next key.
    asked: AtomicBool,
}

impl Cipher {
    /// Goes on where the keys come from.
    pub fn new(keys: Keys) -> io::Result<Cipher> {
        let suite = keys.suite().map_err(refused)?;
        Ok(Cipher {
            sealer: Mutex::new(Sealer::new(suite, keys.seals).map_err(refused)?),
            opener: Mutex::new(Opener::new(suite, keys.opens, &keys.unopened).map_err(refused)?),
            asked: AtomicBool::new(false),
        })
    }

    /// The keys, to go on elsewhere. `None`: data wait to be sealed, a request for a new key for its answer, or the stream has
    /// ended.
    pub fn into_keys(self) -> Option<Keys> {
        if self.asked.load(Ordering::Relaxed) {
            return None;
        }
        let (suite, seals) = self.sealer.into_inner().into_keys()?;
        let (opens, unopened) = self.opener.into_inner().into_keys()?;
        Some(Keys {
            suite,
            seals,
            opens,
            unopened,
        })
    }

    /// Receives once, as a rule, and hands the plaintext that this completes to `sink`, in pieces; false at the end. `receive`
    /// is called at most once, for bytes of the stream, of which 0 are its end. `InvalidData`, with the [`Error`] in it: a
    /// record is refused, or the peer tells of an error; nothing more is received.
    pub fn receive(
        &self,
        receive: impl FnOnce(&mut [u8]) -> io::Result<usize>,
        mut sink: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        let opener = &mut *self.opener.lock();
        // Bytes that came with the keys.
        let mut any = false;
        let open = self.open(opener, |plain| {
            any = true;
            sink(plain);
        })?;
        if any || !open {
            return Ok(open);
        }
        match receive(opener.room())? {
            0 if opener.is_partial() => Err(io::ErrorKind::UnexpectedEof.into()),
            0 => Ok(false),
            count => {
                opener.received(count);
                self.open(opener, sink)
            }
        }
    }

    /// True while more may come.
    fn open(&self, opener: &mut Opener, sink: impl FnMut(&[u8])) -> io::Result<bool> {
        let opened = opener.open(sink).map_err(refused);
        if opener.take_request() {
            self.asked.store(true, Ordering::Relaxed);
        }
        opened.map(|()| !opener.is_closed())
    }

    /// Seals data; small ones wait for others, or for [`Cipher::finish`]. What is in `outgoing` is to be sent in this order. After
    /// an error the connection is to end.
    pub fn seal(&self, data: Vec<u8>, outgoing: &mut Outgoing) -> io::Result<()> {
        let mut sealer = self.sealer.lock();
        if self.asked.swap(false, Ordering::Relaxed) {
            sealer
                .finish(outgoing)
                .and_then(|()| sealer.update(outgoing))
                .map_err(refused)?;
        }
        sealer.seal(data, outgoing).map_err(refused)
    }

    /// Bytes that wait for others.
    pub fn unsealed(&self) -> usize {
        self.sealer.lock().unsealed()
    }

    /// All that was given to be sealed is sealed.
    pub fn finish(&self, outgoing: &mut Outgoing) -> io::Result<()> {
        self.sealer.lock().finish(outgoing).map_err(refused)
    }
}

fn refused(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
