//! The contract of a storage backend.

use std::ops::Deref;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, SoftDelete, StorageError, StorageMetrics, Wrapper,
};

/// A credential as a provider stores it: exactly what was given to [`StorageProvider::store`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The sealed value.
    pub data: EncryptedData,
    /// What is known of the credential without its key.
    pub metadata: CredentialMetadata,
}

impl Sealed {
    /// Joins both parts.
    #[must_use]
    pub const fn new(data: EncryptedData, metadata: CredentialMetadata) -> Self {
        Self { data, metadata }
    }
}

/// A backend that keeps sealed credentials.
///
/// Each method's documentation is a list of numbered clauses; the `cred-conformance` crate has a
/// test for each, by the clause's name. What holds for all of them:
///
/// - **scope-1.** `ctx.scope_id` alone says where: the same id in two scopes is two credentials.
/// - **scope-2.** No operation reads, lists or changes another scope's credentials: not a parent's,
///   a child's, a sibling's or one whose name merely begins alike (`org:a`, `org:ab`).
/// - **scope-3.** No two paths share a place in the backend, whatever their case, their `_` and
///   `-`, their length or the names that the backend reserves.
/// - **scope-4.** Every [`CredentialId`] and every [`ScopeId`](crate::ScopeId) can be used, up to
///   their full lengths.
/// - **error-1.** An error names the provider, the operation and the path.
/// - **error-2.** [`may_have_written`](StorageError::may_have_written) is false only where nothing
///   was written.
/// - **error-3.** What the backend gives back broken is
///   [`Corrupted`](crate::StorageErrorKind::Corrupted), naming the path and never the bytes.
/// - **error-4.** No `Debug` and no error of the provider prints what it was given to keep, or its
///   own backend credentials.
/// - **cancel-1.** A future may be dropped at any point: afterwards the old or the new value is
///   there, whole, never neither and never a mix.
/// - **cancel-2.** A write that was given up, by an error that leaves it in doubt or by dropping
///   its future, takes effect within [`in_doubt`](Description::in_doubt) or never.
/// - **describe-1.** Constructors validate and touch no network; a `connect()` of the provider or
///   the first use does.
#[async_trait]
pub trait StorageProvider: Send + Sync {
    /// What this provider promises.
    ///
    /// - **describe-2.** The answer is the same in all the provider's life.
    /// - **describe-3.** Every operation ends within
    ///   [`operation_timeout`](Description::operation_timeout): where the backend does not answer,
    ///   in an error that is [transient](crate::StorageErrorKind::is_transient), or in doubt.
    /// - **describe-4.** No operation blocks the thread that polls it: whatever else runs there
    ///   goes on.
    fn describe(&self) -> &Description;

    /// Stores a credential, in the place of the one that may be there.
    ///
    /// - **store-1.** What was stored is given back exactly: every byte of the data, every field of
    ///   the metadata, unknown fields included.
    /// - **store-2.** It replaces atomically: a reader sees the old value or the new one, never a
    ///   mix, never none.
    /// - **store-3.** Of several concurrent writers, one value remains whole.
    /// - **store-4.** After a [`delete`](Self::delete), a store of the same id works.
    /// - **store-5.** A payload of exactly [`max_payload_len`](crate::Limits) encoded bytes is
    ///   taken; one byte more is [`TooLarge`](crate::StorageErrorKind::TooLarge), nothing is sent
    ///   and the old value remains.
    /// - **store-6.** Tags at the limits are taken; one that does not fit is refused as
    ///   [`InvalidRequest`](crate::StorageErrorKind::InvalidRequest), never dropped or cut.
    /// - **store-7.** Storing the same value twice is no error.
    ///
    /// # Errors
    /// Any kind but [`NotFound`](crate::StorageErrorKind::NotFound). Once one attempt was
    /// ambiguous, the operation ends `Ok` or [`InDoubt`](crate::StorageErrorKind::InDoubt), never
    /// in a definite refusal.
    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError>;

    /// Reads a credential.
    ///
    /// - **retrieve-1.** Absence is [`NotFound`](crate::StorageErrorKind::NotFound).
    /// - **retrieve-2.** It gives the latest value stored, once
    ///   [`Consistency::point`](crate::Consistency::point) has passed since the store was answered.
    /// - **retrieve-3.** It changes nothing, not even metadata.
    ///
    /// # Errors
    /// [`NotFound`](crate::StorageErrorKind::NotFound),
    /// [`Corrupted`](crate::StorageErrorKind::Corrupted), or what the backend refuses.
    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError>;

    /// Deletes a credential. Whether it can be recovered is the backend's [`SoftDelete`].
    ///
    /// - **delete-1.** Afterwards it is gone for [`retrieve`](Self::retrieve),
    ///   [`exists`](Self::exists) and the lists.
    /// - **delete-2.** It is idempotent: deleting what is not there is `Ok`, in a scope never used
    ///   as well.
    /// - **delete-3.** Other credentials remain, those of the same id in other scopes included.
    /// - **delete-4.** A corrupted credential can be deleted.
    ///
    /// # Errors
    /// What the backend refuses; never [`NotFound`](crate::StorageErrorKind::NotFound).
    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError>;

    /// Whether a credential is stored.
    ///
    /// - **exists-1.** True after a store, false before it and after a delete.
    /// - **exists-2.** It changes nothing, and does not tell of other scopes.
    /// - **exists-3.** It needs no readable contents: a corrupted credential exists.
    ///
    /// # Errors
    /// What the backend refuses; absence is no error.
    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError>;

    /// The ids stored in exactly this scope; without a scope, those that belong to no tenant.
    ///
    /// - **list-1.** It gives each id once, in no promised order, and nothing of other scopes.
    /// - **list-2.** A scope never used is an empty list, no error.
    /// - **list-3.** It is complete or an error, never a silent first page: what ended before
    ///   [`Consistency::list`](crate::Consistency::list) is in it, however many there are and
    ///   whatever is written meanwhile.
    /// - **list-4.** A filter is decided on the stored metadata; its tags are ANDed, its bounds
    ///   exclusive.
    /// - **list-5.** A filter that meets a corrupted credential is an error that names it; without
    ///   a filter its name is listed.
    ///
    /// # Errors
    /// What the backend refuses, and [`Corrupted`](crate::StorageErrorKind::Corrupted) as list-5
    /// says.
    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError>;

    /// The paths stored in this scope and below it; without a scope, everything.
    ///
    /// - **tree-1.** It gives each path once and exactly as it was stored, in no promised order.
    /// - **tree-2.** A scope contains another on a `/` boundary only: `org:a` is no parent of
    ///   `org:ab`.
    /// - **tree-3.** Without a scope it holds the unscoped credentials and those of every scope.
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
    /// - **many-1.** It gives exactly `ids.len()` answers, in their order; none for none.
    /// - **many-2.** An id that is given twice is answered twice.
    /// - **many-3.** One that is missing or broken fails alone, as in [`retrieve`](Self::retrieve).
    ///
    /// The default reads one after another, each with its own `operation_timeout`. Where
    /// [`Description::batch`](crate::Description) is above 1, a call of up to so many ids ends
    /// within one `operation_timeout`.
    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Sealed, StorageError>> {
        let mut answers = Vec::with_capacity(ids.len());
        for id in ids {
            answers.push(self.retrieve(id, ctx).await);
        }
        answers
    }

    /// Ends background tasks and gives back what the provider took (a login, a lease).
    ///
    /// - **shutdown-1.** It can be called twice.
    /// - **shutdown-2.** Dropping the provider instead leaks no task either.
    /// - **shutdown-3.** After it every operation is refused as
    ///   [`ShutDown`](crate::StorageErrorKind::ShutDown). One that is under way may end.
    async fn shutdown(&self);

    /// Counters of this provider's operations; `None`: it keeps none.
    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        None
    }

    /// Compare-and-set, where the backend has it.
    ///
    /// - **ability-1.** Whether an ability is there never changes in the provider's life.
    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        None
    }

    /// Recovery of deleted credentials, where the backend has it.
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
