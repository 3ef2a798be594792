//! The interface between the manager and the holder of the keys.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{CredentialMetadata, CredentialPath, EncryptedData, ErrorClass, KeyId, PathRef, Zeroizing};

/// Seals (encrypts and authenticates) credentials, and opens (decrypts) them again. The key ring of
/// `cred-crypto` implements it; a key management service can be used instead.
///
/// Sealing authenticates the path, the metadata and the key id: an envelope that was moved, or
/// whose metadata was edited, cannot be opened.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// Returns the id of the key that [`seal`](Self::seal) currently uses.
    fn active_key_id(&self) -> KeyId;

    /// Returns whether `data` is sealed as [`seal`](Self::seal) would seal it now, so a re-key can
    /// skip it. The default compares the key ids.
    fn is_current(&self, data: &EncryptedData) -> bool {
        data.key_id == self.active_key_id()
    }

    /// Seals `secret` and `metadata` for this path under the active key.
    ///
    /// # Errors
    /// [`SealError`]; nothing was sealed then.
    ///
    /// # Cancellation
    /// Dropping the future cancels the call without side effects.
    async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError>;

    /// Opens a credential that was sealed for this path. `metadata` is the unencrypted copy that
    /// the backend stores with it.
    ///
    /// The returned metadata is the sealed copy: sealing it again with the same secret loses
    /// nothing, including fields of a newer version of the writer.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`], [`SealError::WrongKey`], [`SealError::Tampered`],
    /// [`SealError::KdfBusy`] or [`SealError::Failed`].
    ///
    /// # Cancellation
    /// Dropping the future cancels the call without side effects.
    async fn open(
        &self,
        path: PathRef<'_>,
        data: &EncryptedData,
        metadata: &CredentialMetadata,
    ) -> Result<Opened, SealError>;
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Sealer + ?Sized> Sealer for Arc<S> {
    fn active_key_id(&self) -> KeyId {
        (**self).active_key_id()
    }

    fn is_current(&self, data: &EncryptedData) -> bool {
        (**self).is_current(data)
    }

    async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError> {
        (**self).seal(path, metadata, secret).await
    }

    async fn open(
        &self,
        path: PathRef<'_>,
        data: &EncryptedData,
        metadata: &CredentialMetadata,
    ) -> Result<Opened, SealError> {
        (**self).open(path, data, metadata).await
    }
}

/// An opened credential: the metadata that was sealed, and the secret, wiped when dropped.
#[derive(Clone)]
#[non_exhaustive]
pub struct Opened {
    /// The sealed metadata.
    pub metadata: CredentialMetadata,
    /// The secret.
    pub secret: Zeroizing<Vec<u8>>,
}

impl Opened {
    /// Creates an opened credential from its metadata and secret.
    #[must_use]
    pub const fn new(metadata: CredentialMetadata, secret: Zeroizing<Vec<u8>>) -> Self {
        Self { metadata, secret }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("metadata", &self.metadata).field("secret", &"[REDACTED]").finish()
    }
}

/// The error when a credential cannot be sealed or opened. It never contains key or secret bytes.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key ring has no key with this id.
    #[error("credential `{path}` is sealed under key `{key_id}`, which is not in the key ring; add that key")]
    UnknownKey {
        /// The credential.
        path: CredentialPath,
        /// The missing key.
        key_id: KeyId,
    },
    /// The ring's key with this id is not the one under which the credential was sealed: the key
    /// bytes, the passphrase or the Argon2id parameters differ, or a salt or the commitment is
    /// damaged.
    #[error(
        "credential `{path}` was not sealed under the key that the ring knows as `{key_id}`, or its salts or \
         commitment are damaged; configure the right key under that id"
    )]
    WrongKey {
        /// The credential.
        path: CredentialPath,
        /// The key id in the envelope.
        key_id: KeyId,
    },
    /// The credential was moved from another path, edited or damaged after it was sealed.
    #[error(
        "credential `{path}` cannot be opened: {what}; it was moved, edited or damaged after it was sealed, \
         restore it from a backup, or store it again if you still have its value"
    )]
    Tampered {
        /// The credential.
        path: CredentialPath,
        /// The difference that was found.
        what: &'static str,
    },
    /// Too many passphrase derivations are waiting. Transient.
    #[error(
        "credential `{path}` was not sealed or opened: too many passphrase derivations are in progress; try \
         again in a moment"
    )]
    KdfBusy {
        /// The credential.
        path: CredentialPath,
    },
    /// The credential cannot be encoded in the sealed format.
    #[error("credential `{path}` cannot be sealed: {what}")]
    Unsealable {
        /// The credential.
        path: CredentialPath,
        /// The part that does not fit, and how to correct it.
        what: &'static str,
    },
    /// A component of the sealer failed: the system's random source, the derivation thread, a key
    /// management service.
    #[error("credential `{path}` could not be sealed or opened: {what}")]
    Failed {
        /// The credential.
        path: CredentialPath,
        /// The failure.
        what: &'static str,
        /// Whether trying again may help.
        transient: bool,
        /// The cause. Neither its `Display` nor that of its causes may print a secret.
        #[source]
        source: Option<Arc<dyn Error + Send + Sync>>,
    },
}

impl fmt::Debug for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::fmt_report(self, f)
    }
}

impl SealError {
    /// Returns the path of the credential.
    #[must_use]
    pub const fn path(&self) -> &CredentialPath {
        match self {
            Self::UnknownKey { path, .. }
            | Self::WrongKey { path, .. }
            | Self::Tampered { path, .. }
            | Self::KdfBusy { path }
            | Self::Unsealable { path, .. }
            | Self::Failed { path, .. } => path,
        }
    }

    /// Returns what the caller can do about the error.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Unsealable { .. } => ErrorClass::InvalidRequest,
            _ if self.is_transient() => ErrorClass::Transient,
            _ => ErrorClass::Broken,
        }
    }

    /// Returns whether the same call may succeed a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::KdfBusy { .. } | Self::Failed { transient: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_printed_by_its_display() {
        #[derive(Debug, thiserror::Error)]
        #[error("the service answered 500")]
        struct Foreign(#[allow(dead_code, reason = "its `Debug` prints it")] &'static str);
        let source = Some(Arc::new(Foreign("hunter2")) as Arc<dyn Error + Send + Sync>);
        let path = "org:a/id".parse().unwrap();
        let error = SealError::Failed { path, what: "the key service failed", transient: true, source };
        let printed = format!("{error:?}");
        assert!(printed.contains(&error.to_string()) && printed.ends_with("answered 500"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
