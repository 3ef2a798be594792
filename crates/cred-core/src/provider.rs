//! The contract that a storage backend implements.

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, SoftDelete, StorageError, StorageMetrics, Wrapper,
};

/// A credential as a provider stores it: exactly the arguments of [`StorageProvider::store`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The sealed value.
    pub data: EncryptedData,
    /// The part of the credential that is readable without its key.
    pub metadata: CredentialMetadata,
}

impl Sealed {
    /// Creates a sealed credential from its data and metadata.
    #[must_use]
    pub const fn new(data: EncryptedData, metadata: CredentialMetadata) -> Self {
        Self { data, metadata }
    }
}

/// A backend that stores sealed credentials.
///
/// The documentation of each method is a list of numbered clauses. The `cred-conformance` crate has
/// a test for each clause, named after it. These clauses apply to all methods:
///
/// - **scope-1.** Only `ctx.scope_id` selects the scope: the same id in two scopes is two
///   credentials.
/// - **scope-2.** No operation reads, lists or changes credentials of another scope: not of a
///   parent, a child, a sibling, or a scope whose name only has the same prefix (`org:a`,
///   `org:ab`). Only [`list_tree`](Self::list_tree) includes the scopes below its own.
/// - **scope-3.** Two paths never share a location in the backend, whatever their case, their `_`
///   and `-`, their length or the names that the backend reserves.
/// - **scope-4.** Every [`CredentialId`] and every [`ScopeId`](crate::ScopeId) can be used, up to
///   their maximum lengths.
/// - **error-1.** An error names the provider, the operation and the path.
/// - **error-2.** [`may_have_written`](StorageError::may_have_written) is false only if nothing was
///   written.
/// - **error-3.** If the backend returns damaged data, the error is
///   [`Corrupted`](crate::StorageErrorKind::Corrupted). It names the path and never contains the
///   data.
/// - **error-4.** No `Debug` output and no error of the provider contains the data that it was
///   given to store, or its own backend credentials.
/// - **cancel-1.** A future may be dropped at any point. Afterwards either the complete old value
///   or the complete new value is stored, never neither and never a mix.
/// - **cancel-2.** A write that was abandoned, because it failed with an unknown outcome or because
///   its future was dropped, takes effect within [`in_doubt`](Description::in_doubt) or not at all.
/// - **describe-1.** Constructors validate and do not use the network; the provider's `connect()`
///   or the first operation does.
#[async_trait]
pub trait StorageProvider: Send + Sync {
    /// Returns the guarantees and limits of this provider.
    ///
    /// - **describe-2.** The description is the same for the lifetime of the provider.
    /// - **describe-3.** Every operation ends within
    ///   [`operation_timeout`](Description::operation_timeout). If the backend does not respond,
    ///   the error is [transient](crate::StorageErrorKind::is_transient) or
    ///   [`InDoubt`](crate::StorageErrorKind::InDoubt).
    /// - **describe-4.** No operation blocks the thread that polls it: other tasks on that thread
    ///   keep running.
    fn describe(&self) -> &Description;

    /// Stores a credential, replacing any existing one at its path.
    ///
    /// - **store-1.** Reads return exactly the stored credential: every byte of the data and every
    ///   field of the metadata, including unknown fields.
    /// - **store-2.** Replacement is atomic: a reader sees the old value or the new one, never a
    ///   mix and never nothing.
    /// - **store-3.** After several concurrent stores, the complete value of one of them is stored.
    /// - **store-4.** An id can be stored again after a [`delete`](Self::delete).
    /// - **store-5.** A payload of exactly [`max_payload_len`](crate::Limits) encoded bytes is
    ///   accepted. One byte more is [`TooLarge`](crate::StorageErrorKind::TooLarge): nothing is
    ///   sent and the old value remains.
    /// - **store-6.** Tags at the limits are accepted. A tag that does not fit is refused as
    ///   [`InvalidRequest`](crate::StorageErrorKind::InvalidRequest), never dropped or truncated.
    /// - **store-7.** Storing the same value twice is not an error.
    ///
    /// # Errors
    /// Any kind except [`NotFound`](crate::StorageErrorKind::NotFound). Once the outcome of one
    /// attempt is unknown, the operation returns `Ok` or
    /// [`InDoubt`](crate::StorageErrorKind::InDoubt), never an error that claims that nothing was
    /// written.
    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError>;

    /// Reads a credential.
    ///
    /// - **retrieve-1.** If nothing is stored, the error is
    ///   [`NotFound`](crate::StorageErrorKind::NotFound).
    /// - **retrieve-2.** It returns the latest stored value, once
    ///   [`Consistency::point`](crate::Consistency::point) has passed since the store returned.
    /// - **retrieve-3.** It changes nothing, not even metadata.
    ///
    /// # Errors
    /// [`NotFound`](crate::StorageErrorKind::NotFound),
    /// [`Corrupted`](crate::StorageErrorKind::Corrupted), or an error of the backend.
    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError>;

    /// Deletes a credential. It can be recovered only if the backend has [`SoftDelete`].
    ///
    /// - **delete-1.** Afterwards [`retrieve`](Self::retrieve), [`exists`](Self::exists) and the
    ///   lists no longer find it.
    /// - **delete-2.** It is idempotent: deleting a credential that does not exist is `Ok`, also in
    ///   a scope that was never used.
    /// - **delete-3.** Other credentials remain, including those with the same id in other scopes.
    /// - **delete-4.** A corrupted credential can be deleted.
    ///
    /// # Errors
    /// An error of the backend, but never [`NotFound`](crate::StorageErrorKind::NotFound).
    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError>;

    /// Returns whether a credential is stored.
    ///
    /// - **exists-1.** It is true after a store, and false before it and after a delete.
    /// - **exists-2.** It changes nothing and ignores other scopes.
    /// - **exists-3.** The contents need not be readable: a corrupted credential exists.
    ///
    /// # Errors
    /// An error of the backend. A missing credential is not an error.
    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError>;

    /// Lists the ids stored in exactly this scope; without a scope, the unscoped ones.
    ///
    /// - **list-1.** It returns each id once, in no particular order, and none of other scopes.
    /// - **list-2.** For a scope that was never used, it returns an empty list, not an error.
    /// - **list-3.** The list is complete or the call fails; it is never only a first page. It
    ///   contains every credential whose store returned at least
    ///   [`Consistency::list`](crate::Consistency::list) before the call, however many there are
    ///   and whatever is written during the call.
    /// - **list-4.** A filter is applied to the stored metadata. All its tags must match, and its
    ///   bounds are exclusive.
    /// - **list-5.** With a filter, a corrupted credential is an error that names it. Without a
    ///   filter, its id is listed.
    ///
    /// # Errors
    /// An error of the backend, and [`Corrupted`](crate::StorageErrorKind::Corrupted) as in list-5.
    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError>;

    /// Lists the paths stored in this scope and below it; without a scope, all paths.
    ///
    /// - **tree-1.** It returns each path once, exactly as it was stored, in no particular order.
    /// - **tree-2.** A scope contains another only at a `/` boundary: `org:a` does not contain
    ///   `org:ab`.
    /// - **tree-3.** Without a scope, it returns the unscoped credentials and those of every scope.
    /// - **tree-4.** Completeness and filters are those of [`list`](Self::list).
    ///
    /// # Errors
    /// As [`list`](Self::list).
    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError>;

    /// Reads several credentials of one scope.
    ///
    /// - **many-1.** It returns exactly `ids.len()` results, in the order of `ids`; an empty vector
    ///   for no ids.
    /// - **many-2.** An id that is given twice gets two results.
    /// - **many-3.** A missing or corrupted credential fails alone, with the error of
    ///   [`retrieve`](Self::retrieve).
    ///
    /// The default implementation reads one credential after another, each with its own
    /// `operation_timeout`. If [`Description::batch`](crate::Description) is above 1, a call with
    /// at most that many ids ends within one `operation_timeout`.
    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Sealed, StorageError>> {
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push(self.retrieve(id, ctx).await);
        }
        results
    }

    /// Ends background tasks and releases resources of the backend, such as a login or a lease.
    ///
    /// - **shutdown-1.** It can be called twice.
    /// - **shutdown-2.** Dropping the provider without it does not leak a task.
    /// - **shutdown-3.** Afterwards every operation is refused as
    ///   [`ShutDown`](crate::StorageErrorKind::ShutDown). An operation in progress may complete.
    async fn shutdown(&self);

    /// Returns counters of this provider's operations; `None`: it does not count them.
    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        None
    }

    /// Returns the compare-and-set ability; `None`: the backend does not have it.
    ///
    /// - **ability-1.** Whether a provider has an ability never changes during its lifetime.
    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        None
    }

    /// Returns the ability to recover deleted credentials; `None`: the backend does not have it.
    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        None
    }
}

impl<P: StorageProvider + ?Sized> Wrapper for Arc<P> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &**self
    }

    fn description(&self) -> &Description {
        (**self).describe()
    }
}

impl<P: StorageProvider + ?Sized> Wrapper for Box<P> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &**self
    }

    fn description(&self) -> &Description {
        (**self).describe()
    }
}
