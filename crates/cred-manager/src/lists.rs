//! Lists, and reads of other scopes.

use std::num::NonZeroUsize;

use cred_core::{Credential, CredentialFilter, CredentialId, CredentialPath, Operation, ScopeId, Target};

use crate::observe::observe;
use crate::{CredentialManager, ManagerError};

/// Which part of a list is returned. `T` is [`CredentialId`] for
/// [`list_with`](CredentialManager::list_with) and [`CredentialPath`] for
/// [`list_tree_with`](CredentialManager::list_tree_with). The default admits everything.
///
/// A list can be read in pages: for the next one, set [`after`](Self::after) to the last of the
/// page before. **Each page is one whole list of the provider**, of which the manager returns a
/// part; pages bound what is returned, not what is read. Each page shows what is stored when it is
/// read.
///
/// ```
/// # async fn all(manager: cred_manager::CredentialManager) -> Result<(), cred_manager::ManagerError> {
/// # use std::num::NonZeroUsize;
/// use cred_core::CredentialFilter;
/// use cred_manager::ListOptions;
///
/// let production = CredentialFilter::new().with_tag("env", "prod");
/// let mut options = ListOptions::default().with_filter(production).with_limit(NonZeroUsize::MIN);
/// loop {
///     let page = manager.list_with(&options).await?;
///     let Some(last) = page.last() else { break };
///     // Use the page.
///     options = options.with_after(last.clone());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions<T> {
    /// Conditions on the stored metadata, which is not proven authentic; `None`: no condition.
    pub filter: Option<CredentialFilter>,
    /// Only those sorted after this one, which need not exist; `None`: from the first.
    pub after: Option<T>,
    /// At most this many; `None`: all.
    pub limit: Option<NonZeroUsize>,
}

impl<T> Default for ListOptions<T> {
    fn default() -> Self {
        Self { filter: None, after: None, limit: None }
    }
}

impl<T> ListOptions<T> {
    /// Sets [`filter`](Self::filter).
    #[must_use]
    pub fn with_filter(mut self, filter: impl Into<Option<CredentialFilter>>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Sets [`after`](Self::after).
    #[must_use]
    pub fn with_after(mut self, after: impl Into<Option<T>>) -> Self {
        self.after = after.into();
        self
    }

    /// Sets [`limit`](Self::limit).
    #[must_use]
    pub fn with_limit(mut self, limit: impl Into<Option<NonZeroUsize>>) -> Self {
        self.limit = limit.into();
        self
    }
}

impl<T: Ord> ListOptions<T> {
    /// The part of a whole list that is returned, sorted.
    fn page(&self, mut list: Vec<T>) -> Vec<T> {
        if let Some(after) = &self.after {
            list.retain(|one| one > after);
        }
        list.sort_unstable();
        if let Some(limit) = self.limit {
            list.truncate(limit.get());
        }
        list
    }
}

impl CredentialManager {
    /// The ids stored in exactly this handle's scope, sorted; for the root those that belong to no
    /// tenant. One call of the provider, never cached.
    ///
    /// # Errors
    /// [`ManagerError::Storage`]; a list is complete or an error. [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list(&self) -> Result<Vec<CredentialId>, ManagerError> {
        self.list_with(&ListOptions::default()).await
    }

    /// As [`list`](Self::list), of the ids that `options` admit.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list_with(
        &self,
        options: &ListOptions<CredentialId>,
    ) -> Result<Vec<CredentialId>, ManagerError> {
        observe("list", self, None, async {
            self.shared.tasks.refuse_when_closed()?;
            let target = || Target::Scope(self.scope().cloned());
            let list = self.shared.provider.list(options.filter.as_ref(), &self.context);
            Ok(options.page(self.shared.read(Operation::List, target, list).await?))
        })
        .await
    }

    /// The paths stored in this handle's scope and below it, sorted; for the root everything. One
    /// call of the provider, never cached. [`at`](Self::at) gives the handle for each of them.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list_tree(&self) -> Result<Vec<CredentialPath>, ManagerError> {
        self.list_tree_with(&ListOptions::default()).await
    }

    /// As [`list_tree`](Self::list_tree), of the paths that `options` admit.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list_tree_with(
        &self,
        options: &ListOptions<CredentialPath>,
    ) -> Result<Vec<CredentialPath>, ManagerError> {
        observe("list_tree", self, None, async {
            self.shared.tasks.refuse_when_closed()?;
            let target = || Target::Scope(self.scope().cloned());
            let list = self.shared.provider.list_tree(options.filter.as_ref(), &self.context);
            Ok(options.page(self.shared.read(Operation::ListTree, target, list).await?))
        })
        .await
    }

    /// Reads a credential of another scope inside this handle's; `None`: nothing is stored there.
    /// As [`scoped`](Self::scoped) and [`retrieve`](Self::retrieve) in one.
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] outside this handle's scope, whatever is stored there:
    /// nobody learns what other tenants hold. Else as [`retrieve`](Self::retrieve).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn retrieve_scoped(
        &self,
        id: &CredentialId,
        scope: &ScopeId,
    ) -> Result<Option<Credential>, ManagerError> {
        match self.scoped(scope.clone()) {
            Ok(handle) => handle.retrieve(id).await,
            Err(refused) => observe("retrieve_scoped", self, Some(id), async { Err(refused) }).await,
        }
    }

    /// The ids stored in a scope inside this handle's and below it, sorted, each once, in whichever
    /// scopes it is. Use [`list_tree`](Self::list_tree) on a scoped handle to know where. One call
    /// of the provider.
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] outside this handle's scope. Else as [`list`](Self::list).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list_scoped(&self, scope: &ScopeId) -> Result<Vec<CredentialId>, ManagerError> {
        let paths = match self.scoped(scope.clone()) {
            Ok(handle) => handle.list_tree().await?,
            Err(refused) => observe("list_scoped", self, None, async { Err(refused) }).await?,
        };
        let mut ids: Vec<CredentialId> = paths.into_iter().map(|path| path.id).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}
