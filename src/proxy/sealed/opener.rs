//! Records in, plaintext out.

use super::keys::Direction;
use super::{HEADER, SEALED, VERSION};
use rustls::crypto::cipher::{InboundOpaqueMessage, MessageDecrypter};
use rustls::{AlertDescription, ContentType, Error, HandshakeType, InvalidMessage, ProtocolVersion, Tls13CipherSuite};

/// Bytes received at once, at most.
const AT_ONCE: usize = 128 << 10;

pub(super) struct Opener {
    suite: &'static Tls13CipherSuite,
    keys: Direction,
    decrypter: Box<dyn MessageDecrypter>,
    buffer: Vec<u8>,
    /// What stands before this was opened.
    start: usize,
    /// What stands behind this is room.
    end: usize,
    /// The peer has said that nothing more comes.
    closed: bool,
    /// The peer wants us to take our next key.
    asked: bool,
    failed: Option<Error>,
}

impl Opener {
    /// `unopened` was received before.
    pub fn new(suite: &'static Tls13CipherSuite, keys: Direction, unopened: &[u8]) -> Result<Opener, Error> {
        let mut buffer = vec![0; AT_ONCE + HEADER + SEALED];
        let Some(room) = buffer.get_mut(..unopened.len()) else {
            return Err(InvalidMessage::MessageTooLarge.into());
        };
        room.copy_from_slice(unopened);
        Ok(Opener {
            suite,
            decrypter: keys.decrypter(suite)?,
            keys,
            buffer,
            start: 0,
            end: unopened.len(),
            closed: false,
            asked: false,
            failed: None,
        })
    }

    /// The keys, and what was received and not opened, to go on elsewhere. `None`: the stream has ended.
    pub fn into_keys(self) -> Option<(Direction, Vec<u8>)> {
        let goes_on = !self.closed && self.failed.is_none();
        goes_on.then(|| (self.keys, self.buffer[self.start..self.end].to_vec()))
    }

    /// Where the next bytes are to be received after [`Opener::open`]; then [`Opener::received`].
    pub fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            // Less than a record.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes are in the room now.
    pub fn received(&mut self, count: usize) {
        self.end = self.buffer.len().min(self.end + count);
    }

    /// True in the middle of a record: a stream must not end here.
    pub fn is_partial(&self) -> bool {
        self.start < self.end
    }

    /// Nothing comes any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// True once for requests of the peer that we take our next key.
    pub fn take_request(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Hands the plaintext of all records that are whole to `sink`, one by one. What is before a record that is refused is
    /// handed out first; after the error nothing more is.
    pub fn open(&mut self, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        while !self.closed && self.failed.is_none() {
            match self.open_record(&mut sink) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.failed = Some(error),
            }
        }
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// The next record; false: it is not whole.
    fn open_record(&mut self, sink: &mut impl FnMut(&[u8])) -> Result<bool, Error> {
        let received = &mut self.buffer[self.start..self.end];
        let Some((header, rest)) = received.split_first_chunk_mut::<HEADER>() else {
            return Ok(false);
        };
        let length = length(*header)?;
        let Some(sealed) = rest.get_mut(..length) else {
            return Ok(false);
        };
        self.start += HEADER + length;
        let record = InboundOpaqueMessage::new(ContentType::ApplicationData, ProtocolVersion::TLSv1_2, sealed);
        let opened = self.decrypter.decrypt(record, self.keys.count()?)?;
        match opened.typ {
            ContentType::ApplicationData => sink(opened.payload),
            ContentType::Alert => self.closed = closes(opened.payload)?,
            ContentType::Handshake => {
                if let Some(request) = key_update(opened.payload)? {
                    self.keys.advance();
                    self.decrypter = self.keys.decrypter(self.suite)?;
                    self.asked |= request;
                }
            }
            _ => return Err(InvalidMessage::InvalidContentType.into()),
        }
        Ok(true)
    }
}

/// Bytes behind this header.
fn length(header: [u8; HEADER]) -> Result<usize, Error> {
    let [kind, major, minor, high, low] = header;
    if kind != u8::from(ContentType::ApplicationData) {
        return Err(InvalidMessage::InvalidContentType.into());
    }
    if [major, minor] != VERSION {
        return Err(InvalidMessage::UnknownProtocolVersion.into());
    }
    match usize::from(u16::from_be_bytes([high, low])) {
        length if length > SEALED => Err(InvalidMessage::MessageTooLarge.into()),
        length => Ok(length),
    }
}

/// Whether an alert says that the peer has said all (RFC 8446 6.1). An error: the one that it tells.
fn closes(alert: &[u8]) -> Result<bool, Error> {
    let [_, description] = alert else {
        return Err(InvalidMessage::MissingData("Alert").into());
    };
    match AlertDescription::from(*description) {
        AlertDescription::CloseNotify => Ok(true),
        // close_notify follows.
        AlertDescription::UserCanceled => Ok(false),
        other => Err(Error::AlertReceived(other)),
    }
}

/// Whether a handshake record says that the next one is sealed with the next key, and if so whether it asks for the same.
/// Tickets are passed over: no session is resumed.
fn key_update(mut messages: &[u8]) -> Result<Option<bool>, Error> {
    loop {
        let [kind, a, b, c, rest @ ..] = messages else {
            return Err(InvalidMessage::MissingData("Handshake").into());
        };
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((body, rest)) = rest.split_at_checked(length) else {
            return Err(InvalidMessage::MissingData("Handshake").into());
        };
        match (HandshakeType::from(*kind), body) {
            // Nothing may stand behind it under the old key.
            (HandshakeType::KeyUpdate, [request @ (0 | 1)]) if rest.is_empty() => return Ok(Some(*request == 1)),
            (HandshakeType::KeyUpdate, _) => return Err(InvalidMessage::InvalidKeyUpdate.into()),
            (HandshakeType::NewSessionTicket, _) if rest.is_empty() => return Ok(None),
            (HandshakeType::NewSessionTicket, _) => messages = rest,
            _ => return Err(InvalidMessage::UnexpectedMessage("Handshake").into()),
        }
    }
}
