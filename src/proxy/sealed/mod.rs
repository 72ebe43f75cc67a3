//! The records of TLS 1.3 (RFC 8446 chapter 5) on the stream to the peer, once somebody else has made the handshake: plaintext
//! in, records out, and back. No cryptography of its own: what opens is that of `rustls`, and so are the keys; what seals is that
//! of `ring`, as in `rustls`, but without a copy of the data.
//!
//! What must stay true:
//! - No sequence number is used twice with one key: it is counted where the key is, and what was sealed is never sealed again.
//! - Nothing of a record that does not open is used, nor anything behind it.

mod cipher;
#[cfg(fuzzing)]
mod fuzzing;
mod key_file;
mod keys;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;

pub use cipher::Cipher;
pub use key_file::{lend, take};
pub use keys::Keys;

/// Bytes in front of each record: content type, version, length.
const HEADER: usize = 5;

/// Longest plaintext of a record, bytes.
const PLAIN: usize = 1 << 14;

/// Longest record without its header, bytes.
const SEALED: usize = PLAIN + 256;

/// The version in each header.
const VERSION: [u8; 2] = [3, 3];

/// For fuzzing: records of any content, and bytes that are none, in any pieces. What is opened is what was sealed as data.
#[cfg(fuzzing)]
pub fn fuzz(data: &[u8]) {
    fuzzing::fuzz(data);
}
