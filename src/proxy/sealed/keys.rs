//! What the two directions of a connection are sealed with.

use ring::aead::{self, LessSafeKey, UnboundKey};
use rustls::crypto::cipher::{AeadKey, Iv, MessageDecrypter, NONCE_LEN};
use rustls::crypto::ring::ALL_CIPHER_SUITES;
use rustls::kernel::KernelConnection;
use rustls::{CipherSuite, ConnectionTrafficSecrets, Error, ExtractedSecrets, Tls13CipherSuite};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroize;

/// Keys of either direction, one after another. One of AES-GCM is good for 2^24 records (RFC 8446 5.5), so all of them for
/// 2^33: ten days of 10,000 records a second. Then the connection ends, and another one is made.
pub(super) const GENERATIONS: usize = 512;

/// Bytes of an AEAD key; a cipher suite with shorter ones is not used.
const KEY: usize = 32;

/// Both directions, as one end has them: what stmfproxy takes out of a connection whose handshake is over, and stmfd gets.
#[derive(Serialize, Deserialize)]
pub struct Keys {
    /// The number of the cipher suite.
    pub(super) suite: u16,
    pub(super) seals: Direction,
    pub(super) opens: Direction,
    /// Bytes of the stream that were received and not opened.
    #[serde(with = "serde_bytes")]
    pub(super) unopened: Vec<u8>,
}

/// One direction.
#[derive(Serialize, Deserialize)]
pub(super) struct Direction {
    /// Of the next record under the present key.
    pub sequence: u64,
    /// The last one first, the present one last.
    keys: Vec<Key>,
}

/// An AEAD key and its initialisation vector. Never shown, and wiped when dropped.
struct Key([u8; KEY + NONCE_LEN]);

impl Keys {
    /// Those of a connection that has nothing left to send. Bytes behind what it has opened come along.
    pub fn new<Data>(
        secrets: ExtractedSecrets,
        mut connection: KernelConnection<Data>,
        unopened: Vec<u8>,
    ) -> Result<Keys, Error> {
        let suite = connection.negotiated_cipher_suite().suite().into();
        let seals = Direction::new(secrets.tx, || connection.update_tx_secret())?;
        let opens = Direction::new(secrets.rx, || connection.update_rx_secret())?;
        Ok(Keys {
            suite,
            seals,
            opens,
            unopened,
        })
    }

    pub(super) fn suite(&self) -> Result<&'static Tls13CipherSuite, Error> {
        let mut suites = ALL_CIPHER_SUITES.iter().filter_map(|suite| suite.tls13());
        suites
            .find(|suite| u16::from(suite.common.suite) == self.suite && suite.aead_alg.key_len() == KEY)
            .ok_or_else(|| Error::General(format!("cipher suite {:#06x}", self.suite)))
    }
}

impl Direction {
    fn new(
        (sequence, first): (u64, ConnectionTrafficSecrets),
        mut next: impl FnMut() -> Result<(u64, ConnectionTrafficSecrets), Error>,
    ) -> Result<Direction, Error> {
        let mut keys = Vec::with_capacity(GENERATIONS);
        keys.push(Key::new(first)?);
        for _ in 1..GENERATIONS {
            keys.push(Key::new(next()?.1)?);
        }
        keys.reverse();
        Ok(Direction { sequence, keys })
    }

    /// The present key, to seal with.
    pub fn seals(&self, suite: &Tls13CipherSuite) -> Result<(LessSafeKey, Iv), Error> {
        let algorithm = match suite.common.suite {
            CipherSuite::TLS13_AES_256_GCM_SHA384 => &aead::AES_256_GCM,
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => &aead::CHACHA20_POLY1305,
            other => return Err(Error::General(format!("cipher suite {other:?}"))),
        };
        let (key, iv) = self.keys.last().ok_or_else(used_up)?.split();
        let key = UnboundKey::new(algorithm, key.as_ref()).map_err(|_| Error::EncryptError)?;
        Ok((LessSafeKey::new(key), iv))
    }

    /// The present key, to open with.
    pub fn decrypter(&self, suite: &Tls13CipherSuite) -> Result<Box<dyn MessageDecrypter>, Error> {
        let (key, iv) = self.keys.last().ok_or_else(used_up)?.split();
        Ok(suite.aead_alg.decrypter(key, iv))
    }

    /// The next key is the present one.
    pub fn advance(&mut self) {
        self.keys.pop();
        self.sequence = 0;
    }

    /// A record's number, which no other one gets.
    pub fn count(&mut self) -> Result<u64, Error> {
        let next = self.sequence.checked_add(1).ok_or_else(used_up)?;
        Ok(std::mem::replace(&mut self.sequence, next))
    }
}

fn used_up() -> Error {
    Error::General("all keys of this connection are used up".to_owned())
}

impl Key {
    fn new(secrets: ConnectionTrafficSecrets) -> Result<Key, Error> {
        let (key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => return Err(Error::General("a cipher suite with short keys".to_owned())),
        };
        let mut both = Key([0; KEY + NONCE_LEN]);
        both.0[..KEY].copy_from_slice(key.as_ref());
        both.0[KEY..].copy_from_slice(iv.as_ref());
        Ok(both)
    }

    fn split(&self) -> (AeadKey, Iv) {
        let (mut key, mut iv) = ([0; KEY], [0; NONCE_LEN]);
        key.copy_from_slice(&self.0[..KEY]);
        iv.copy_from_slice(&self.0[KEY..]);
        let pair = (AeadKey::from(key), Iv::from(iv));
        key.zeroize();
        pair
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let bytes: &serde_bytes::Bytes = Deserialize::deserialize(deserializer)?;
        let bytes = <[u8; KEY + NONCE_LEN]>::try_from(&**bytes);
        bytes
            .map(Key)
            .map_err(|_| serde::de::Error::custom("the length of a key"))
    }
}

#[cfg(any(test, fuzzing))]
impl Keys {
    /// Both ends of a connection that nobody made, with so many keys each.
    pub(in crate::proxy) fn made_up(generations: u8) -> [Keys; 2] {
        let suite = rustls::CipherSuite::TLS13_AES_256_GCM_SHA384.into();
        let direction = |first: u8| Direction {
            sequence: 3,
            keys: (0..generations)
                .rev()
                .map(|n| Key([first ^ n; KEY + NONCE_LEN]))
                .collect(),
        };
        [(0x80, 0x40), (0x40, 0x80)].map(|(seals, opens)| Keys {
            suite,
            seals: direction(seals),
            opens: direction(opens),
            unopened: Vec::new(),
        })
    }
}
