//! Plaintext in, records out.

use super::PLAIN;
use super::keys::Direction;
use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ContentType, Error, HandshakeType, ProtocolVersion, Tls13CipherSuite};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Plaintext sealed at once, bytes: the peer opens the first part while this node seals the next one, and the memory of sent
/// records is still in the cache when the next ones are put there.
const AT_ONCE: usize = 64 << 10;

/// Records sent at once, at most: far below IOV_MAX.
const RECORDS: usize = 64;

/// Records of one key that rustls would not go beyond either.
const SEQUENCE_LIMIT: u64 = u64::MAX - (1 << 16);

pub(super) struct Sealer {
    suite: &'static Tls13CipherSuite,
    keys: Direction,
    encrypter: Box<dyn MessageEncrypter>,
    /// Sealed and not sent, in order.
    records: VecDeque<Record>,
    /// Bytes of the first record that are gone.
    gone: usize,
    /// Plaintext in `records`, bytes.
    ahead: usize,
    /// Records that one key may seal.
    pub limit: u64,
}

struct Record {
    bytes: Vec<u8>,
    /// Bytes of its plaintext that are data.
    plain: usize,
}

impl Sealer {
    pub fn new(suite: &'static Tls13CipherSuite, keys: Direction) -> Result<Sealer, Error> {
        Ok(Sealer {
            suite,
            encrypter: keys.encrypter(suite)?,
            keys,
            records: VecDeque::new(),
            gone: 0,
            ahead: 0,
            limit: suite.common.confidentiality_limit.min(SEQUENCE_LIMIT),
        })
    }

    /// The number of the cipher suite, and the keys, to go on elsewhere. `None`: something is not sent.
    pub fn into_keys(self) -> Option<(u16, Direction)> {
        let suite = self.suite.common.suite.into();
        self.records.is_empty().then_some((suite, self.keys))
    }

    /// Seals a part of these pieces, which begin with what [`Sealer::sent`] has not yet told of.
    pub fn seal(&mut self, pieces: &[IoSlice<'_>]) -> Result<(), Error> {
        let chunks: Vec<&[u8]> = pieces.iter().map(|piece| &**piece).collect();
        let (_, mut plain) = OutboundChunks::new(&chunks).split_at(self.ahead);
        while !plain.is_empty() && self.ahead < AT_ONCE {
            // One number is left for the KeyUpdate itself.
            if self.keys.sequence.saturating_add(1) >= self.limit {
                self.update()?;
            }
            let (payload, rest) = plain.split_at(PLAIN);
            let length = payload.len();
            self.push(ContentType::ApplicationData, payload, length)?;
            plain = rest;
        }
        Ok(())
    }

    /// The next records are sealed with the next key; tells the peer, without asking for the same.
    pub fn update(&mut self) -> Result<(), Error> {
        // update_not_requested
        let message = [HandshakeType::KeyUpdate.into(), 0, 0, 1, 0];
        self.push(ContentType::Handshake, message[..].into(), 0)?;
        self.keys.advance();
        self.encrypter = self.keys.encrypter(self.suite)?;
        Ok(())
    }

    /// Seals one record, of which so many bytes are data.
    pub fn push(&mut self, typ: ContentType, payload: OutboundChunks<'_>, plain: usize) -> Result<(), Error> {
        let message = OutboundPlainMessage {
            typ,
            version: ProtocolVersion::TLSv1_2,
            payload,
        };
        let bytes = self.encrypter.encrypt(message, self.keys.count()?)?.encode();
        self.records.push_back(Record { bytes, plain });
        self.ahead += plain;
        Ok(())
    }

    /// What is to be sent.
    pub fn records(&self) -> Vec<IoSlice<'_>> {
        let mut gone = self.gone;
        let bytes = self.records.iter().take(RECORDS).map(|record| &record.bytes);
        bytes
            .map(|bytes| IoSlice::new(&bytes[std::mem::take(&mut gone)..]))
            .collect()
    }

    /// So many bytes of it are gone, and with them so many bytes of plaintext: of records that are gone as a whole.
    pub fn sent(&mut self, count: usize) -> usize {
        self.gone += count;
        let mut plain = 0;
        while let Some(record) = self.records.front()
            && self.gone >= record.bytes.len()
        {
            self.gone -= record.bytes.len();
            plain += record.plain;
            self.records.pop_front();
        }
        self.ahead -= plain;
        plain
    }
}
