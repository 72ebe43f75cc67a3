//! Plaintext in, records out.

use super::keys::Direction;
use super::{HEADER, PLAIN};
use crate::buffers;
use crate::proxy::outgoing::{Outgoing, Seams};
use ring::aead::{Aad, LessSafeKey, Nonce};
use rustls::crypto::cipher::{self, Iv};
use rustls::{ContentType, Error, HandshakeType, Tls13CipherSuite};

/// Bytes behind the plaintext of each record: its content type, sealed like the plaintext, and the tag.
const TRAILER: usize = 1 + TAG;

/// Bytes of the tag of either cipher suite.
const TAG: usize = 16;

/// Plaintext of fewer bytes is copied, so that a record of some messages is made of it.
const SMALL: usize = 8 << 10;

/// Records of one key that rustls would not go beyond either.
const SEQUENCE_LIMIT: u64 = u64::MAX - (1 << 16);

pub(super) struct Sealer {
    suite: &'static Tls13CipherSuite,
    keys: Direction,
    key: LessSafeKey,
    iv: Iv,
    /// Plaintext of the next record, behind the room for its header.
    small: Vec<u8>,
    /// Records that one key may seal.
    pub limit: u64,
}

impl Sealer {
    pub fn new(suite: &'static Tls13CipherSuite, keys: Direction) -> Result<Sealer, Error> {
        let (key, iv) = keys.seals(suite)?;
        Ok(Sealer {
            suite,
            keys,
            key,
            iv,
            small: vec![0; HEADER],
            limit: suite.common.confidentiality_limit.min(SEQUENCE_LIMIT),
        })
    }

    /// The number of the cipher suite, and the keys, to go on elsewhere. `None`: plaintext is left.
    pub fn into_keys(self) -> Option<(u16, Direction)> {
        let suite = self.suite.common.suite.into();
        (self.unsealed() == 0).then_some((suite, self.keys))
    }

    /// Seals data where they are. Small ones wait for others, or for [`Sealer::finish`]. To be sent in this order, and the
    /// connection is to end after an error.
    pub fn seal(&mut self, data: Vec<u8>, outgoing: &mut Outgoing) -> Result<(), Error> {
        if data.len() < SMALL {
            if self.unsealed() + data.len() > PLAIN {
                self.finish(outgoing)?;
            }
            self.small.extend_from_slice(&data);
            buffers::give(data);
            return Ok(());
        }
        self.finish(outgoing)?;
        self.seal_in_place(data, outgoing)
    }

    /// Bytes that wait for others.
    pub fn unsealed(&self) -> usize {
        self.small.len() - HEADER
    }

    /// Nothing waits any more.
    pub fn finish(&mut self, outgoing: &mut Outgoing) -> Result<(), Error> {
        if self.unsealed() == 0 {
            return Ok(());
        }
        self.leave_room(1, outgoing)?;
        let record = std::mem::replace(&mut self.small, vec![0; HEADER]);
        self.push(ContentType::ApplicationData, record, outgoing)
    }

    /// The next records are sealed with the next key; tells the peer, without asking for the same.
    pub fn update(&mut self, outgoing: &mut Outgoing) -> Result<(), Error> {
        // update_not_requested
        let message = [HandshakeType::KeyUpdate.into(), 0, 0, 1, 0];
        let record = [&[0; HEADER], &message[..]].concat();
        self.push(ContentType::Handshake, record, outgoing)?;
        self.keys.advance();
        (self.key, self.iv) = self.keys.seals(self.suite)?;
        Ok(())
    }

    /// Seals what stands behind the room for a header.
    pub fn push(&mut self, typ: ContentType, mut record: Vec<u8>, outgoing: &mut Outgoing) -> Result<(), Error> {
        record.push(typ.into());
        let (header, tag) = self.seal_record(&mut record[HEADER..])?;
        record[..HEADER].copy_from_slice(&header);
        record.extend(tag);
        outgoing.push(record);
        Ok(())
    }

    fn seal_in_place(&mut self, mut data: Vec<u8>, outgoing: &mut Outgoing) -> Result<(), Error> {
        let length = data.len();
        let records = length.div_ceil(PLAIN);
        self.leave_room(records, outgoing)?;
        let mut seams = Vec::with_capacity(records * (HEADER + TRAILER));
        data.push(0);
        for start in (0..length).step_by(PLAIN) {
            let end = length.min(start + PLAIN);
            // The content type takes the place of what comes next as long as it is sealed.
            let next = std::mem::replace(&mut data[end], ContentType::ApplicationData.into());
            let (header, tag) = self.seal_record(&mut data[start..=end])?;
            seams.extend(header);
            seams.push(std::mem::replace(&mut data[end], next));
            seams.extend(tag);
        }
        data.truncate(length);
        outgoing.push_parts(
            data,
            Seams {
                part: PLAIN,
                before: HEADER,
                behind: TRAILER + HEADER,
                bytes: seams,
            },
        );
        Ok(())
    }

    /// Seals plaintext and its content type; what is sent before and behind them.
    fn seal_record(&mut self, inner: &mut [u8]) -> Result<([u8; HEADER], [u8; TAG]), Error> {
        let header = cipher::make_tls13_aad(inner.len() + TAG);
        let nonce = cipher::Nonce::new(&self.iv, self.keys.count()?);
        let nonce = Nonce::assume_unique_for_key(nonce.0);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), inner);
        let tag = tag.ok().and_then(|tag| tag.as_ref().try_into().ok());
        Ok((header, tag.ok_or(Error::EncryptError)?))
    }

    /// The present key, or else the next one, has numbers for so many records, and for the KeyUpdate behind its last one.
    fn leave_room(&mut self, records: usize, outgoing: &mut Outgoing) -> Result<(), Error> {
        match self.keys.sequence.saturating_add(records as u64) >= self.limit {
            true => self.update(outgoing),
            false => Ok(()),
        }
    }
}
