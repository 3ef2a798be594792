//! The sealed credential that providers store.

use std::fmt;

use crate::{KeyId, ParseError};

/// The version of the sealed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SealVersion {
    /// AES-256-GCM with HKDF-SHA-512 keys per message and a key commitment.
    V1 = 1,
}

impl SealVersion {
    /// Returns the version byte of the envelope.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }

    /// Returns the version of a version byte; `None` if it is unknown.
    #[must_use]
    pub const fn from_u8(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::V1),
            _ => None,
        }
    }
}

/// The sealed part of a credential. A provider never sees the secret, only this and the metadata,
/// and must return every byte unchanged.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptedData {
    /// The sealed format.
    pub version: SealVersion,
    /// The key under which it was sealed.
    pub key_id: KeyId,
    /// Salt of the message key.
    pub salt: [u8; 32],
    /// Commitment to the key: proves which key opens the envelope before anything is decrypted.
    pub commitment: [u8; 32],
    /// Nonce of the cipher.
    pub nonce: [u8; 12],
    /// The sealed bytes, without the tag.
    pub ciphertext: Vec<u8>,
    /// The cipher's authentication tag.
    pub tag: [u8; 16],
    /// Salt of the passphrase derivation; `None` if the key is not a passphrase.
    pub kdf_salt: Option<[u8; 16]>,
    /// The message's master key, wrapped by a KMS; `None` if no KMS is used.
    pub wrapped_key: Option<WrappedKey>,
}

impl EncryptedData {
    /// Creates a version 1 envelope without a passphrase salt or a wrapped key.
    #[must_use]
    pub const fn new(
        key_id: KeyId,
        salt: [u8; 32],
        commitment: [u8; 32],
        nonce: [u8; 12],
        ciphertext: Vec<u8>,
        tag: [u8; 16],
    ) -> Self {
        let version = SealVersion::V1;
        Self { version, key_id, salt, commitment, nonce, ciphertext, tag, kdf_salt: None, wrapped_key: None }
    }

    /// Sets [`kdf_salt`](Self::kdf_salt).
    #[must_use]
    pub const fn with_kdf_salt(mut self, kdf_salt: Option<[u8; 16]>) -> Self {
        self.kdf_salt = kdf_salt;
        self
    }

    /// Sets [`wrapped_key`](Self::wrapped_key).
    #[must_use]
    pub fn with_wrapped_key(mut self, wrapped_key: Option<WrappedKey>) -> Self {
        self.wrapped_key = wrapped_key;
        self
    }

    /// Returns the total size of all fields in bytes, before any encoding. The limits of backends
    /// apply to the *encoded* payload, which is about 4/3 of this size.
    #[must_use]
    pub fn total_size(&self) -> usize {
        let fixed = 1 + self.salt.len() + self.commitment.len() + self.nonce.len() + self.tag.len();
        fixed
            + self.key_id.as_str().len()
            + self.ciphertext.len()
            + self.kdf_salt.map_or(0, |salt| salt.len())
            + self.wrapped_key.as_ref().map_or(0, |key| key.as_bytes().len())
    }
}

/// Prints the length of the ciphertext instead of its bytes: they are not secret, but would fill
/// the log.
impl fmt::Debug for EncryptedData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedData")
            .field("version", &self.version)
            .field("key_id", &self.key_id)
            .field("ciphertext_len", &self.ciphertext.len())
            .field("kdf_salt", &self.kdf_salt.is_some())
            .field("wrapped_key", &self.wrapped_key.is_some())
            .finish_non_exhaustive()
    }
}

/// A message's master key, wrapped by a key management service: 1 to [`WrappedKey::MAX_LEN`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey(Vec<u8>);

impl WrappedKey {
    /// The longest wrapped key in bytes.
    pub const MAX_LEN: usize = 1_024;

    /// Creates a wrapped key from its bytes.
    ///
    /// # Errors
    /// [`ParseError`] if the input is empty or longer than [`MAX_LEN`](Self::MAX_LEN).
    pub fn new(bytes: Vec<u8>) -> Result<Self, ParseError> {
        const WHAT: &str = "the wrapped key";
        match bytes.len() {
            0 => Err(ParseError::Empty { what: WHAT }),
            length if length > Self::MAX_LEN => {
                Err(ParseError::TooLong { what: WHAT, length, limit: Self::MAX_LEN })
            }
            _ => Ok(Self(bytes)),
        }
    }

    /// Returns the wrapped bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedKey({} bytes)", self.0.len())
    }
}
