//! The seam between the manager and whoever holds the keys.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{CredentialMetadata, CredentialPath, EncryptedData, ErrorClass, KeyId, PathRef, Zeroizing};

/// Seals credentials and opens them again. The key ring of `cred-crypto` is one; a key management
/// service can stand in its place.
///
/// Sealing binds path, metadata and key id: an envelope that was moved, or whose metadata was
/// edited, does not open.
#[async_trait]
pub trait Sealer: Send + Sync {
    /// The key that [`seal`](Self::seal) uses now.
    fn active_key_id(&self) -> KeyId;

    /// Whether `data` is sealed as [`seal`](Self::seal) would seal it now, so that a re-key can
    /// leave it alone. The default compares the key ids.
    fn is_current(&self, data: &EncryptedData) -> bool {
        data.key_id == self.active_key_id()
    }

    /// Seals `secret` for this path, with this metadata, under the active key.
    ///
    /// # Errors
    /// [`SealError`]; nothing was sealed.
    ///
    /// # Cancellation
    /// Dropping the future leaves nothing behind.
    async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError>;

    /// Opens what was sealed for this path; `metadata` is the copy that stood beside it, in clear.
    ///
    /// The metadata in the answer is the sealed one: sealing it again with the same secret re-seals
    /// the credential with nothing lost, the fields of a newer writer included.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`], [`SealError::WrongKey`], [`SealError::Tampered`],
    /// [`SealError::KdfBusy`] or [`SealError::Failed`].
    ///
    /// # Cancellation
    /// Dropping the future leaves nothing behind.
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
    /// The metadata from inside the seal.
    pub metadata: CredentialMetadata,
    /// The secret.
    pub secret: Zeroizing<Vec<u8>>,
}

impl Opened {
    /// Joins both parts.
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

/// Why a credential could not be sealed or opened. Never holds key or secret bytes.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The ring has no key of this id.
    #[error("credential `{path}` is sealed under key `{key_id}`, which is not in the key ring; add that key")]
    UnknownKey {
        /// The credential.
        path: CredentialPath,
        /// The key that is missing.
        key_id: KeyId,
    },
    /// The ring's key of this id is not the one that it was sealed under: other key bytes, another
    /// passphrase, other Argon2id parameters, or a damaged salt or commitment.
    #[error(
        "credential `{path}` was not sealed under the key that the ring knows as `{key_id}` (or its salts are \
         damaged); configure the right key under that id"
    )]
    WrongKey {
        /// The credential.
        path: CredentialPath,
        /// The id that stands in the envelope.
        key_id: KeyId,
    },
    /// It was sealed under the right key, but not as it stands here: moved from another path,
    /// edited, or corrupt.
    #[error(
        "credential `{path}` does not open: {what}; it was moved, edited or damaged since it was sealed, restore it \
         or store it anew"
    )]
    Tampered {
        /// The credential.
        path: CredentialPath,
        /// What gave it away.
        what: &'static str,
    },
    /// Too many passphrase derivations are waiting. Transient.
    #[error(
        "credential `{path}` was not sealed or opened: too many passphrase derivations are under way; try again in a moment"
    )]
    KdfBusy {
        /// The credential.
        path: CredentialPath,
    },
    /// The credential cannot be put into the sealed format.
    #[error("credential `{path}` cannot be sealed: {what}")]
    Unsealable {
        /// The credential.
        path: CredentialPath,
        /// What does not fit and what would.
        what: &'static str,
    },
    /// Whoever holds the keys failed: the system's random source, the derivation thread, a key
    /// management service.
    #[error("credential `{path}` could not be sealed or opened: {what}")]
    Failed {
        /// The credential.
        path: CredentialPath,
        /// What failed.
        what: &'static str,
        /// Whether trying again may help.
        transient: bool,
        /// The cause. Its `Display` must print no secret, and neither must that of its own causes.
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
    /// The credential that it is about.
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

    /// What a caller can do about it.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Unsealable { .. } => ErrorClass::InvalidRequest,
            _ if self.is_transient() => ErrorClass::Transient,
            _ => ErrorClass::Broken,
        }
    }

    /// Whether the same call may succeed a little later.
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
