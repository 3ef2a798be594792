//! What some backends can do besides storing.

use std::fmt;

use async_trait::async_trait;

use crate::{CredentialContext, CredentialId, CredentialMetadata, EncryptedData, Sealed, StorageError};

/// Writing only where nobody else has written since.
///
/// Handed out by [`StorageProvider::compare_and_set`](crate::StorageProvider::compare_and_set).
#[async_trait]
pub trait CompareAndSet: Send + Sync {
    /// Reads a credential with its revision.
    ///
    /// - **cas-1.** Data and metadata are those of [`retrieve`](crate::StorageProvider::retrieve),
    ///   absence is [`NotFound`](crate::StorageErrorKind::NotFound).
    /// - **cas-2.** Every store of the path, conditional or not, makes another revision; so do a
    ///   delete and a store after it.
    ///
    /// # Errors
    /// As [`retrieve`](crate::StorageProvider::retrieve).
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Versioned<Sealed>, StorageError>;

    /// Stores only if the stored revision is `expected`; with `None`, only if nothing is stored.
    /// Gives the new revision.
    ///
    /// - **cas-3.** With the stored revision it writes as [`store`](crate::StorageProvider::store)
    ///   does, and the revision that it gives is the one that the next conditional store expects.
    /// - **cas-4.** With any other revision, or `None` where something is stored, it is
    ///   [`Conflict`](crate::StorageErrorKind::Conflict) and nothing is written.
    /// - **cas-5.** With a revision where nothing is stored, it is a conflict as well.
    /// - **cas-6.** `None` writes where nothing is stored; a soft-deleted name counts as nothing
    ///   stored.
    /// - **cas-7.** Of several concurrent calls with one revision, exactly one succeeds.
    ///
    /// What is stored need not be readable: a backend that compares revisions without reading may
    /// write over what is corrupted; one that must read it says
    /// [`Corrupted`](crate::StorageErrorKind::Corrupted).
    ///
    /// # Errors
    /// [`Conflict`](crate::StorageErrorKind::Conflict) as above, else as
    /// [`store`](crate::StorageProvider::store). After an ambiguous attempt the provider reads back
    /// before it says conflict.
    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError>;
}

/// Which write of a path is stored, in the backend's own terms. Opaque: it can be compared and
/// handed back, no more. It is not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision(Box<str>);

impl Revision {
    /// Wraps a revision's text: in a provider the backend's own mark, in an HTTP handler the
    /// `If-Match` of a request without its double quotes. Any text is taken, and one that is not
    /// the stored revision is a [`Conflict`](crate::StorageErrorKind::Conflict) of a conditional
    /// store.
    #[must_use]
    pub fn new(mark: impl Into<Box<str>>) -> Self {
        Self(mark.into())
    }

    /// The text, which [`new`](Self::new) takes: in a provider the backend's own mark, in an HTTP
    /// handler the `ETag` of a response, in double quotes. `Display` writes the same.
    ///
    /// ```
    /// use cred_core::Revision;
    ///
    /// let revision = Revision::new("7");
    /// let etag = format!("\"{revision}\"");
    /// assert_eq!(Revision::new(etag.trim_matches('"')), revision);
    /// ```
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value and the revision under which it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Which write of the path it comes from.
    pub revision: Revision,
}

impl<T> Versioned<T> {
    /// Joins both parts.
    #[must_use]
    pub const fn new(value: T, revision: Revision) -> Self {
        Self { value, revision }
    }

    /// Replaces the value and keeps the revision.
    #[must_use]
    pub fn map<U>(self, replace: impl FnOnce(T) -> U) -> Versioned<U> {
        Versioned { value: replace(self.value), revision: self.revision }
    }
}

/// Recovery of deleted credentials.
///
/// Handed out by [`StorageProvider::soft_delete`](crate::StorageProvider::soft_delete). Where it
/// is, a [`delete`](crate::StorageProvider::delete) keeps the credential out of sight for a time
/// that the backend sets.
#[async_trait]
pub trait SoftDelete: Send + Sync {
    /// Brings a deleted credential back, as it was.
    ///
    /// - **soft-1.** Afterwards it is there again for reads and lists, data and metadata unchanged.
    /// - **soft-2.** Of a credential that is not deleted, or never was, it is
    ///   [`NotFound`](crate::StorageErrorKind::NotFound) and changes nothing.
    ///
    /// # Errors
    /// As soft-2 says, or what the backend refuses.
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError>;

    /// Removes a deleted credential for good.
    ///
    /// - **soft-3.** Afterwards it can neither be recovered nor listed as deleted.
    /// - **soft-4.** It is idempotent, and never touches a credential that is not deleted.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::StorageErrorKind::PermissionDenied) where the backend protects
    /// from purging, or what else it refuses.
    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError>;

    /// The deleted ids of exactly this scope that can still be recovered.
    ///
    /// - **soft-5.** It is complete and gives each id once; what is stored again is not in it.
    ///
    /// # Errors
    /// What the backend refuses.
    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError>;
}
