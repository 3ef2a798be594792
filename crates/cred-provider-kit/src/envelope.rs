//! The bytes that a backend holds for one credential: the outer form of a sealed credential.
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
//! There is one way to write a credential: no white space, keys in this order, tags by key, `extra`
//! by number, moments in integer milliseconds, bytes in padded base64. What is absent or empty is
//! left out; integers always stand. The rotation policy is `{"periodic_ms":n}`,
//! `{"before_expiry_ms":n}`, `{"at":ms}` or `"manual"`. The passphrase salt of the sealed data
//! stands in `salt` alone, metadata fields of a newer writer in `extra`.
//!
//! Reading decodes, encodes again and compares: a backend's garbage, an edit by hand or a flipped
//! bit that JSON would forgive is [`Corrupted`](cred_core::StorageErrorKind::Corrupted).

mod wire;

#[cfg(test)]
mod tests;

use cred_core::{
    CredentialMetadata, CredentialPath, Description, EncryptedData, PathRef, Sealed, StorageError,
    StorageResult,
};

use self::wire::{Agrees, Envelope};
use crate::limits;

/// A sealed credential as a backend keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CredentialFile {
    /// The version of this outer form: 1 to [`CredentialFile::CURRENT_VERSION`].
    pub version: u32,
    /// The sealed credential. Its `kdf_salt` is moved to [`salt`](Self::salt) and is `None` here.
    pub encrypted_data: EncryptedData,
    /// What is known of it without its key.
    pub metadata: CredentialMetadata,
    /// Salt of the passphrase derivation; `None` where the key is no passphrase.
    pub salt: Option<[u8; 16]>,
    /// Where it belongs: there exactly where the physical name is hashed and cannot tell; `None`
    /// where it can.
    pub path: Option<CredentialPath>,
    /// Random bytes that tell this store of the path from every other, where the backend has no
    /// revisions of its own (local files); `None` where it has.
    pub mark: Option<[u8; 16]>,
}

impl CredentialFile {
    /// The version that is written. Older ones are read, newer ones refused.
    pub const CURRENT_VERSION: u32 = 1;

    /// A credential in the current version, under a physical name that tells its path.
    #[must_use]
    pub fn new(mut encrypted_data: EncryptedData, metadata: CredentialMetadata) -> Self {
        let salt = encrypted_data.kdf_salt.take();
        Self { version: Self::CURRENT_VERSION, encrypted_data, metadata, salt, path: None, mark: None }
    }

    /// Sets [`path`](Self::path): pass the path where the physical name is hashed, else `None`.
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

    /// Whether it was written in an older version and should be stored anew.
    #[must_use]
    pub const fn needs_migration(&self) -> bool {
        self.version < Self::CURRENT_VERSION
    }

    /// What was given to [`CredentialFile::new`].
    #[must_use]
    pub fn into_sealed(self) -> Sealed {
        let Self { encrypted_data, metadata, salt, .. } = self;
        let kdf_salt = salt.or(encrypted_data.kdf_salt);
        Sealed::new(encrypted_data.with_kdf_salt(kdf_salt), metadata)
    }

    /// Its canonical bytes: about 4/3 of the ciphertext and 400 bytes more. One allocation as a
    /// rule.
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) for a rotation policy of a
    /// newer `cred-core` than this crate was written for.
    pub fn encode(&self) -> StorageResult<Vec<u8>> {
        let envelope = Envelope::of(self)?;
        let mut bytes = Vec::with_capacity(envelope.len_hint());
        serde_json::to_writer(&mut bytes, &envelope)
            .map_err(|_| StorageError::invalid_request("the credential cannot be written as JSON"))?;
        Ok(bytes)
    }

    /// As [`encode`](Self::encode), as text: for a backend that keeps text. JSON is always that.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode).
    pub fn encode_text(&self) -> StorageResult<String> {
        String::from_utf8(self.encode()?)
            .map_err(|_| StorageError::invalid_request("the envelope is no text"))
    }

    /// Its canonical bytes, to be stored under `path`, where they and the tags fit into the limits
    /// of the provider: for a backend that counts the bytes as they are. Logs a warning where they
    /// are larger than recommended, as [`limits::check_payload_len`] does. Call it once for each
    /// write, before its first attempt.
    ///
    /// # Errors
    /// Those of [`encode`](Self::encode), [`limits::check_tags`] and [`limits::check_payload_len`].
    /// Nothing was written.
    pub fn encode_within(&self, description: &Description, path: PathRef<'_>) -> StorageResult<Vec<u8>> {
        limits::check_tags(&description.limits, &self.metadata)?;
        let bytes = self.encode()?;
        limits::check_payload_len(description, path, bytes.len())?;
        Ok(bytes)
    }

    /// Reads canonical bytes, and nothing else.
    ///
    /// # Errors
    /// [`Corrupted`](cred_core::StorageErrorKind::Corrupted), with a reason of its own for a newer
    /// version. It holds none of the bytes.
    pub fn decode(bytes: &[u8]) -> StorageResult<Self> {
        // The parser's own error is not passed on: it repeats parts of what it read.
        let parsed = serde_json::from_slice::<Envelope<'_>>(bytes).ok();
        let envelope = match (parsed, wire::version(bytes)) {
            (_, Some(version)) if version > Self::CURRENT_VERSION => return Err(newer()),
            (Some(envelope), Some(1..)) => envelope,
            (Some(_), _) => {
                return Err(StorageError::corrupted("its version is not one that was ever written"));
            }
            (None, _) => return Err(StorageError::corrupted("it is no envelope of a sealed credential")),
        };
        if !Agrees::with(bytes, &envelope) {
            return Err(StorageError::corrupted("it is not in canonical form, so it was edited or damaged"));
        }
        envelope.into_file()
    }
}

/// Damage can look so too, hence no kind of its own.
fn newer() -> StorageError {
    StorageError::corrupted(
        "it says that it was written by a newer version of this library; upgrade this one, if so",
    )
}
