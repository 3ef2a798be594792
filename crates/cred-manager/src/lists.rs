//! Lists, and reads of other scopes.

use std::num::NonZeroUsize;

use cred_core::{Credential, CredentialFilter, CredentialId, CredentialPath, Operation, ScopeId, Target};

use crate::observe::observe;
use crate::{CredentialManager, ManagerError};

/// Selects which part of a list is returned. `T` is [`CredentialId`] for
/// [`list_with`](CredentialManager::list_with) and [`CredentialPath`] for
/// [`list_tree_with`](CredentialManager::list_tree_with). By default, everything is returned.
///
/// A list can be read in pages: for the next one, set [`after`](Self::after) to the last item of
/// the page before. **Each page is one whole list of the provider**, of which the manager returns a
/// part: a limit bounds the result, not the amount that is read. Each page shows the state at the
/// time when it is read.
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
    /// Only items sorted after this one, which need not exist; `None`: from the first.
    pub after: Option<T>,
    /// At most this many items; `None`: all.
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
    /// Returns the selected part of a whole list, sorted.
    fn page(&self, mut list: Vec<T>) -> Vec<T> {
        if let Some(after) = &self.after {
            list.retain(|item| item > after);
        }
        list.sort_unstable();
        if let Some(limit) = self.limit {
            list.truncate(limit.get());
        }
        list
    }
}

impl CredentialManager {
    /// Returns the ids stored in exactly this handle's scope, sorted; for the root, those that
    /// belong to no tenant. One call of the provider, never cached.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let tenant = manager.scoped("org:acme".parse()?)?;
    /// for id in tenant.list().await? {
    ///     println!("{id}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManagerError::Storage`]: a list is never incomplete. [`ManagerError::ShutDown`].
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list(&self) -> Result<Vec<CredentialId>, ManagerError> {
        self.list_with(&ListOptions::default()).await
    }

    /// As [`list`](Self::list), for the ids that `options` select.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// use cred_core::CredentialFilter;
    /// use cred_manager::ListOptions;
    ///
    /// let production = CredentialFilter::new().with_tag("env", "prod");
    /// let ids = manager.list_with(&ListOptions::default().with_filter(production)).await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Returns the paths stored in this handle's scope and below it, sorted; for the root, all
    /// paths. One call of the provider, never cached. [`at`](Self::at) returns the handle for each
    /// of them.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// for path in manager.list_tree().await? {
    ///     println!("{path}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`list`](Self::list).
    ///
    /// # Cancellation
    /// Dropping the future changes nothing.
    pub async fn list_tree(&self) -> Result<Vec<CredentialPath>, ManagerError> {
        self.list_tree_with(&ListOptions::default()).await
    }

    /// As [`list_tree`](Self::list_tree), for the paths that `options` select.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// use std::num::NonZeroUsize;
    ///
    /// use cred_manager::ListOptions;
    ///
    /// let first = ListOptions::default().with_limit(NonZeroUsize::MIN);
    /// let paths = manager.list_tree_with(&first).await?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Reads a credential of another scope inside this handle's scope; `None`: nothing is stored
    /// there. Combines [`scoped`](Self::scoped) and [`retrieve`](Self::retrieve).
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let key = manager.retrieve_scoped(&"stripe-api-key".parse()?, &"org:acme".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] outside this handle's scope, whether or not a credential is
    /// stored there: the error reveals nothing about other tenants. Otherwise as
    /// [`retrieve`](Self::retrieve).
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

    /// Returns the ids stored in a scope inside this handle's scope and below it, sorted, each
    /// once, even if it is stored in several scopes. To get their scopes as well, use
    /// [`list_tree`](Self::list_tree) on a scoped handle. One call of the provider.
    ///
    /// ```
    /// # use cred_manager::{CredentialManager, ManagerError};
    /// # async fn example(manager: CredentialManager) -> Result<(), ManagerError> {
    /// let ids = manager.list_scoped(&"org:acme".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ManagerError::ScopeViolation`] outside this handle's scope. Otherwise as
    /// [`list`](Self::list).
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
