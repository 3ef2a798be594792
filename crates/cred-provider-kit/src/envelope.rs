//! The bytes that a backend stores for one credential: the outer form of a sealed credential.
//!
//! ```text
//! {"version":1,
//!  "encrypted_data":{"version":1,"key_id":"main","salt":"..","commitment":"..","nonce":"..",
//!                    "ciphertext":"..","tag":"..","wrapped_key":".."},
//!  "metadata":{"created_at":1767225600000,"last_modified":1767225600000,"version":1,"tags":{"env":"prod"},
//!              "expires_at":..,"rotation":{"periodic_ms":3600000},"created_by":"payments-service",
//!              "extra":{"8":".."}},
//!  "salt":"..","path":"org:acme/stripe","mark":".."}
//! ```
//!
//! The encoding is canonical: each credential has exactly one.
//!
//! - It contains no white space. Keys are in this order, tags are sorted by key and `extra` by
//!   number.
//! - Times are integers in milliseconds. Bytes are in padded base64.
//! - Absent and empty fields are left out. Integers are always written.
//! - The rotation policy is `{"periodic_ms":n}`, `{"before_expiry_ms":n}`, `{"at":ms}` or
//!   `"manual"`.
//! - The passphrase salt of the sealed data is only in `salt`.
//! - Metadata fields of a newer writer are in `extra`.
//!
//! Decoding encodes the result again and compares it with the input. Garbage from a backend, and
//! a change that JSON ignores (white space, the order of keys, another spelling of a value), is
//! therefore [`Corrupted`](cred_core::StorageErrorKind::Corrupted). A change that gives another
//! canonical encoding decodes; opening the credential detects it.

mod wire;

#[cfg(test)]
mod tests;

use cred_core::{
    CredentialMetadata, CredentialPath, Description, EncryptedData, PathRef, Sealed, StorageError,
    StorageResult,
};

use self::wire::{Envelope, is_canonical};
use crate::limits;

/// A sealed credential in the form that a backend stores.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialFile {
    /// Version of this outer form: 1 to [`CredentialFile::CURRENT_VERSION`].
    pub version: u32,
    /// The sealed credential. Its `kdf_salt` is moved to [`salt`](Self::salt) and is `None` here.
    pub encrypted_data: EncryptedData,
    /// The metadata, which can be read without the key.
    pub metadata: CredentialMetadata,
    /// Salt of the passphrase derivation; `None` if the key is not derived from a passphrase.
    pub salt: Option<[u8; 16]>,
    /// Path of the credential if its physical name is hashed and so cannot be decoded; otherwise
    /// `None`.
    pub path: Option<CredentialPath>,
    /// Random bytes that distinguish this write of the path from every other write, if the backend
    /// has no revisions (local files); otherwise `None`.
    pub mark: Option<[u8; 16]>,
}

impl CredentialFile {
    /// The version that is written. Older versions are read, newer ones are rejected.
    pub const CURRENT_VERSION: u32 = 1;

    /// Creates a credential in the current version, for a physical name that decodes to its path.
    #[must_use]
    pub fn new(mut encrypted_data: EncryptedData, metadata: CredentialMetadata) -> Self {
        let salt = encrypted_data.kdf_salt.take();
        Self { version: Self::CURRENT_VERSION, encrypted_data, metadata, salt, path: None, mark: None }
    }

    /// Sets [`path`](Self::path): pass the path if the physical name is hashed, otherwise `None`.
    #[must_use]
    pub fn with_path(mut self, path: Option<CredentialPath>) -> Self {
        self.path = path;
        self
    }

    /// Sets [`mark`](Self::mark).
    #[must_use]
    pub const fn with_mark(mut self, mark: Option<[u8; 16]>) -> Self {
        self.mark = mark;
        self
    }

    /// Reports whether it was written in an older version and should be stored again.
    #[must_use]
    pub const fn needs_migration(&self) -> bool {
        self.version < Self::CURRENT_VERSION
    }

    /// Returns the sealed credential that was passed to [`CredentialFile::new`].
    #[must_use]
    pub fn into_sealed(self) -> Sealed {
        let Self { encrypted_data, metadata, salt, .. } = self;
        let kdf_salt = salt.or(encrypted_data.kdf_salt);
        Sealed::new(encrypted_data.with_kdf_salt(kdf_salt), metadata)
    }

    /// Encodes the credential to canonical bytes: about 4/3 of the ciphertext's length plus 400
    /// bytes. Usually needs one allocation.
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) for a rotation policy that
    /// was added to `cred-core` after this crate was written.
    pub fn encode(&self) -> StorageResult<Vec<u8>> {
        let envelope = Envelope::of(self)?;
        let mut bytes = Vec::with_capacity(envelope.len_hint());
        serde_json::to_writer(&mut bytes, &envelope)
            .map_err(|_| StorageError::invalid_request("the credential cannot be written as JSON"))?;
        Ok(bytes)
    }

    /// Like [`encode`](Self::encode), but returns text, for a backend that stores text. JSON is
    /// always valid text.
    ///
    /// # Errors
    /// Errors of [`encode`](Self::encode).
    pub fn encode_text(&self) -> StorageResult<String> {
        String::from_utf8(self.encode()?)
            .map_err(|_| StorageError::invalid_request("the envelope is not text"))
    }

    /// Encodes the credential to canonical bytes that will be stored under `path`, and checks the
    /// bytes and the tags against the limits of the provider. For a backend that counts these bytes
    /// unchanged. Logs a warning if they are larger than recommended, as
    /// [`limits::check_payload_len`] does. Call it once for each write, before the first attempt.
    ///
    /// # Errors
    /// Errors of [`encode`](Self::encode), [`limits::check_tags`] and
    /// [`limits::check_payload_len`]. Nothing was written.
    pub fn encode_within(&self, description: &Description, path: PathRef<'_>) -> StorageResult<Vec<u8>> {
        limits::check_tags(&description.limits, &self.metadata)?;
        let bytes = self.encode()?;
        limits::check_payload_len(description, path, bytes.len())?;
        Ok(bytes)
    }

    /// Decodes canonical bytes, and rejects all others.
    ///
    /// # Errors
    /// [`Corrupted`](cred_core::StorageErrorKind::Corrupted), with a separate reason for a newer
    /// version. It contains none of the bytes.
    pub fn decode(bytes: &[u8]) -> StorageResult<Self> {
        // The parser's own error is not passed on: it repeats parts of the input.
        let parsed = serde_json::from_slice::<Envelope<'_>>(bytes).ok();
        let envelope = match (parsed, wire::version(bytes)) {
            (_, Some(version)) if version > Self::CURRENT_VERSION => return Err(newer()),
            (Some(envelope), Some(1..)) => envelope,
            (Some(_), _) => {
                return Err(StorageError::corrupted("its format version does not exist"));
            }
            (None, _) => return Err(StorageError::corrupted("it is not an envelope of a sealed credential")),
        };
        if !is_canonical(bytes, &envelope) {
            return Err(StorageError::corrupted("it is not in canonical form, so it was edited or damaged"));
        }
        envelope.into_file()
    }
}

/// Damaged data can look like this too, so it has no separate error kind.
fn newer() -> StorageError {
    StorageError::corrupted(
        "its format version is newer than this library supports; if a newer release wrote it, upgrade this one",
    )
}
