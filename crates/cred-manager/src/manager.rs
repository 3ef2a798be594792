//! The handle that services use.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    Credential, CredentialContext, CredentialId, Operation, PathRef, ScopeId, Sealer, StorageError,
    StorageErrorKind, StorageProvider, Target,
};
use tokio::time::timeout;

use crate::sealing::Sealing;
use crate::writes::{Turn, Writes};
use crate::{CredentialManagerBuilder, ManagerError};

/// What a provider gets beyond its own `operation_timeout` before the manager answers for it: enough for a busy
/// runtime to deliver an answer that was just in time.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// Sealed, scoped and ordered access to a storage provider. Cheap to clone; clones and scoped handles share everything.
///
/// The builder's handle is the root: it contains every scope, and its own credentials are those that belong to no
/// tenant. [`CredentialManager::scoped`] gives the same API inside one tenant.
#[derive(Clone)]
pub struct CredentialManager {
    shared: Arc<Shared>,
    context: CredentialContext,
}

struct Shared {
    provider: Arc<dyn StorageProvider>,
    sealing: Sealing,
    writes: Writes,
    /// The longest that a call of the provider is waited for.
    limit: Duration,
}

impl CredentialManager {
    /// Begins with nothing: storage and keys are needed before `build` compiles.
    pub const fn builder() -> CredentialManagerBuilder {
        CredentialManagerBuilder::new()
    }

    pub(crate) fn new(provider: Arc<dyn StorageProvider>, sealer: Arc<dyn Sealer>) -> Self {
        let limit = provider.describe().operation_timeout.saturating_add(ANSWER_MARGIN);
        let sealing = Sealing::new(sealer, limit);
        let shared = Arc::new(Shared { provider, sealing, writes: Writes::default(), limit });
        Self { shared, context: CredentialContext::unscoped() }
    }

    /// The tenant that this handle is limited to; `None`: it is the root and contains every scope.
    #[must_use]
    pub const fn scope(&self) -> Option<&ScopeId> {
        self.context.scope_id.as_ref()
    }

    /// A handle for one tenant. `scope` is absolute and must lie in this handle's scope: handles only ever narrow.
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`].
    pub fn scoped(&self, scope: ScopeId) -> Result<Self, ManagerError> {
        match self.scope() {
            Some(own) if !own.contains(&scope) => {
                Err(ManagerError::ScopeViolation { actual: own.clone(), requested: scope })
            }
            _ => Ok(Self { shared: Arc::clone(&self.shared), context: CredentialContext::scoped(scope) }),
        }
    }

    /// Seals a credential and stores it, in the place of the one that may be there. One call of the provider.
    ///
    /// It starts at version 1, created now, whatever was there before.
    ///
    /// # Errors
    /// [`ManagerError::Seal`] and [`ManagerError::Credential`]: nothing was written. [`ManagerError::Storage`]: ask
    /// [`ManagerError::may_have_written`]; a write without an answer is
    /// [`InDoubt`](cred_core::StorageErrorKind::InDoubt). [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropped before its turn has come, or while the credential is sealed, nothing is written. Dropped later, the
    /// write goes on to its end.
    pub async fn store(&self, id: &CredentialId, credential: Credential) -> Result<(), ManagerError> {
        self.shared.writes.refuse_when_closed()?;
        let turn = self.shared.writes.turn(self.path(id).to_owned()).await;
        let (data, metadata) = self.shared.sealing.seal(self.path(id), &credential).await?;
        let (provider, context, owned_id) =
            (Arc::clone(&self.shared.provider), self.context.clone(), id.clone());
        let write = async move { provider.store(&owned_id, data, metadata, &context).await };
        self.write(Operation::Store, id, turn, write).await
    }

    /// Reads a credential and opens it; `None`: nothing is stored under that id. One call of the provider.
    ///
    /// # Errors
    /// [`ManagerError::Storage`]; [`ManagerError::Seal`] if it does not open, and the message says why;
    /// [`ManagerError::Credential`] if what was opened is no credential; [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn retrieve(&self, id: &CredentialId) -> Result<Option<Credential>, ManagerError> {
        self.shared.writes.refuse_when_closed()?;
        let target = || self.path(id).to_owned().into();
        let read = self.shared.provider.retrieve(id, &self.context);
        match self.shared.read(Operation::Retrieve, target, read).await {
            Ok(stored) => self.shared.sealing.open(self.path(id), &stored).await.map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a credential; deleting what is not there is `Ok`. One call of the provider.
    ///
    /// # Errors
    /// [`ManagerError::Storage`], as for [`store`](Self::store); [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropped before its turn has come, nothing is deleted. Dropped later, the deletion goes on to its end.
    pub async fn delete(&self, id: &CredentialId) -> Result<(), ManagerError> {
        self.shared.writes.refuse_when_closed()?;
        let turn = self.shared.writes.turn(self.path(id).to_owned()).await;
        let (provider, context, owned_id) =
            (Arc::clone(&self.shared.provider), self.context.clone(), id.clone());
        let write = async move { provider.delete(&owned_id, &context).await };
        self.write(Operation::Delete, id, turn, write).await
    }

    /// The ids stored in exactly this handle's scope, sorted; for the root those that belong to no tenant. One call of
    /// the provider, never cached.
    ///
    /// # Errors
    /// [`ManagerError::Storage`]; a list is complete or an error. [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list(&self) -> Result<Vec<CredentialId>, ManagerError> {
        self.shared.writes.refuse_when_closed()?;
        let target = || Target::Scope(self.scope().cloned());
        let list = self.shared.provider.list(None, &self.context);
        let mut ids = self.shared.read(Operation::List, target, list).await?;
        ids.sort_unstable();
        Ok(ids)
    }

    /// Refuses what comes from now on, waits for the writes that run, and shuts the provider down. For every clone and
    /// every scoped handle; it can be called again.
    ///
    /// # Errors
    /// [`ManagerError::RootOnly`] on a scoped handle: other tenants use the same manager. [`StorageErrorKind::Timeout`]
    /// if the provider does not come to an end.
    ///
    /// # Cancellation
    /// Dropped half-way, the manager stays closed; call it again to wait for the rest.
    pub async fn shutdown(&self) -> Result<(), ManagerError> {
        if let Some(scope) = self.scope() {
            return Err(ManagerError::RootOnly { operation: "shutdown", scope: scope.clone() });
        }
        self.shared.writes.close().await;
        let ended = timeout(self.shared.limit, self.shared.provider.shutdown()).await;
        ended.map_err(|_| {
            let error = StorageErrorKind::Timeout { limit: self.shared.limit }.into();
            self.shared.at(error, Operation::Shutdown, Target::Backend).into()
        })
    }

    /// The path of `id` in this handle's scope.
    fn path<'a>(&'a self, id: &'a CredentialId) -> PathRef<'a> {
        self.context.path(id)
    }

    /// Runs a write whose turn has come and says where it failed.
    async fn write<W>(
        &self,
        operation: Operation,
        id: &CredentialId,
        turn: Turn,
        write: W,
    ) -> Result<(), ManagerError>
    where
        W: Future<Output = Result<(), StorageError>> + Send + 'static,
    {
        self.shared.writes.run(turn, self.shared.limit, write).await.map_err(|error| match error {
            ManagerError::Storage(error) => self.shared.at(error, operation, self.path(id).to_owned()).into(),
            other => other,
        })
    }
}

impl Shared {
    /// A read that ends in time, with an answer or an error that says where.
    async fn read<T>(
        &self,
        operation: Operation,
        target: impl FnOnce() -> Target,
        read: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, StorageError> {
        let answer = timeout(self.limit, read).await;
        let answer = answer.unwrap_or_else(|_| Err(StorageErrorKind::Timeout { limit: self.limit }.into()));
        answer.map_err(|error| self.at(error, operation, target()))
    }

    /// Names the place, where the provider has not done so itself.
    fn at(&self, error: StorageError, operation: Operation, target: impl Into<Target>) -> StorageError {
        error.at(self.provider.describe().name.clone(), operation, target)
    }
}

impl fmt::Debug for CredentialManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialManager")
            .field("provider", &self.shared.provider.describe().name)
            .field("scope", &self.scope())
            .finish_non_exhaustive()
    }
}
