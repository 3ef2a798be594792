//! Optional abilities of backends.

use std::fmt;

use async_trait::async_trait;

use crate::{CredentialContext, CredentialId, CredentialMetadata, EncryptedData, Sealed, StorageError};

/// Conditional writes: a store succeeds only if no other write happened since the read.
///
/// Returned by [`StorageProvider::compare_and_set`](crate::StorageProvider::compare_and_set).
#[async_trait]
pub trait CompareAndSet: Send + Sync {
    /// Reads a credential with its revision.
    ///
    /// - **cas-1.** Data and metadata are those of [`retrieve`](crate::StorageProvider::retrieve).
    ///   If nothing is stored, the error is [`NotFound`](crate::StorageErrorKind::NotFound).
    /// - **cas-2.** Every store of the path, conditional or not, creates a new revision. A store
    ///   after a delete does not reuse an earlier revision.
    ///
    /// # Errors
    /// As [`retrieve`](crate::StorageProvider::retrieve).
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Versioned<Sealed>, StorageError>;

    /// Stores a credential only if the stored revision is `expected`, or, with `None`, only if
    /// nothing is stored. Returns the new revision.
    ///
    /// - **cas-3.** If `expected` is the stored revision, it writes as
    ///   [`store`](crate::StorageProvider::store) does. The next conditional store must expect the
    ///   returned revision.
    /// - **cas-4.** If `expected` is any other revision, or `None` although a credential is stored,
    ///   the error is [`Conflict`](crate::StorageErrorKind::Conflict) and nothing is written.
    /// - **cas-5.** If `expected` is a revision and nothing is stored, the error is a conflict too.
    /// - **cas-6.** `None` writes if nothing is stored. A soft-deleted credential counts as not
    ///   stored.
    /// - **cas-7.** Of several concurrent calls with the same revision, exactly one succeeds.
    ///
    /// The stored credential need not be readable: a backend that compares revisions without
    /// reading may overwrite a corrupted credential; one that must read it returns
    /// [`Corrupted`](crate::StorageErrorKind::Corrupted).
    ///
    /// # Errors
    /// [`Conflict`](crate::StorageErrorKind::Conflict) as above, otherwise as
    /// [`store`](crate::StorageProvider::store). If the outcome of an attempt is unknown, the
    /// provider reads the credential back before it reports a conflict.
    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError>;
}

/// Identifies the stored write of a path, in the format of the backend. It is opaque: it can only
/// be compared and passed back. It is not secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Revision(Box<str>);

impl Revision {
    /// Creates a revision from its text. In a provider, this is the backend's version identifier;
    /// in an HTTP handler, the `If-Match` of a request without its double quotes.
    ///
    /// Any text is accepted. With a text that is not the stored revision, a conditional store
    /// fails with [`Conflict`](crate::StorageErrorKind::Conflict).
    #[must_use]
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// Returns the text, which [`new`](Self::new) accepts; `Display` writes the same. In an HTTP
    /// handler, put it in double quotes to get the `ETag` of a response.
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

/// A value with its stored revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Identifies the write that stored the value.
    pub revision: Revision,
}

impl<T> Versioned<T> {
    /// Creates a versioned value.
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
/// Returned by [`StorageProvider::soft_delete`](crate::StorageProvider::soft_delete). With this
/// ability, a [`delete`](crate::StorageProvider::delete) hides the credential and the backend keeps
/// it recoverable for a time that the backend sets.
#[async_trait]
pub trait SoftDelete: Send + Sync {
    /// Recovers a deleted credential.
    ///
    /// - **soft-1.** Afterwards reads and lists find it again, with unchanged data and metadata.
    /// - **soft-2.** If the credential is not deleted, or never existed, the error is
    ///   [`NotFound`](crate::StorageErrorKind::NotFound) and nothing changes.
    ///
    /// # Errors
    /// [`NotFound`](crate::StorageErrorKind::NotFound) as in soft-2, or an error of the backend.
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError>;

    /// Removes a deleted credential permanently.
    ///
    /// - **soft-3.** Afterwards it cannot be recovered and is not listed as deleted.
    /// - **soft-4.** It is idempotent, and never changes a credential that is not deleted.
    ///
    /// # Errors
    /// [`PermissionDenied`](crate::StorageErrorKind::PermissionDenied) if the backend protects
    /// deleted credentials from purging, or another error of the backend.
    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError>;

    /// Lists the deleted ids of exactly this scope that can still be recovered.
    ///
    /// - **soft-5.** The list is complete and contains each id once. It does not contain an id that
    ///   was stored again.
    ///
    /// # Errors
    /// An error of the backend.
    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError>;
}
