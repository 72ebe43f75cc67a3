//! A CHAP secret: bytes that are never shown.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// A secret of [`Secret::MIN`] to [`Secret::MAX`] bytes. `Debug` does not show it, and it is compared in constant time.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "serde_bytes::ByteBuf", into = "serde_bytes::ByteBuf")]
pub struct Secret(Vec<u8>);

/// Why bytes are no secret (`iscsi-target.md` 13.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretLength {
    /// Fewer than [`Secret::MIN`] bytes.
    Short,
    /// More than [`Secret::MAX`] bytes.
    Long,
}

impl Secret {
    /// Shortest secret, bytes.
    pub const MIN: usize = 12;
    /// Longest secret, bytes.
    pub const MAX: usize = 255;

    /// Checks the length.
    pub fn new(bytes: Vec<u8>) -> Result<Secret, SecretLength> {
        match bytes.len() {
            ..Self::MIN => Err(SecretLength::Short),
            Self::MIN..=Self::MAX => Ok(Secret(bytes)),
            _ => Err(SecretLength::Long),
        }
    }

    /// The bytes, for digests and for the store.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl std::fmt::Display for SecretLength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SecretLength::Short => "secret too short",
            SecretLength::Long => "secret too long",
        })
    }
}

impl std::error::Error for SecretLength {}

impl TryFrom<serde_bytes::ByteBuf> for Secret {
    type Error = SecretLength;
    fn try_from(bytes: serde_bytes::ByteBuf) -> Result<Secret, SecretLength> {
        Secret::new(bytes.into_vec())
    }
}

impl From<Secret> for serde_bytes::ByteBuf {
    fn from(secret: Secret) -> Self {
        serde_bytes::ByteBuf::from(secret.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_checked_also_when_decoded() {
        assert_eq!(Secret::new(vec![b'a'; 11]), Err(SecretLength::Short));
        assert_eq!(Secret::new(vec![b'a'; 256]), Err(SecretLength::Long));
        let secret = Secret::new(vec![b'a'; 12]).unwrap();
        let bytes = postcard::to_stdvec(&secret).unwrap();
        assert_eq!(postcard::from_bytes::<Secret>(&bytes).unwrap(), secret);
        assert!(postcard::from_bytes::<Secret>(&[1, b'a']).is_err());
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret::new(b"correct horse".to_vec()).unwrap();
        assert_eq!(format!("{:?}", Some(secret)), "Some(Secret)");
    }
}
