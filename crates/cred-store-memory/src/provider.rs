//! The storage provider on top of [`State`].

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{
    CompareAndSet, ConfigError, CredentialFilter, CredentialPath, Description, PathRef, ProviderConfig,
    Revision, SoftDelete, StorageError, StorageErrorKind, StorageProvider, StorageResult, Versioned, Wrapper,
};
use cred_provider_kit::{
    Backend, Conditional, CredentialFile, Executor, ListRange, Provider, Recoverable, Wire,
};

use crate::MemoryStorageConfig;
use crate::state::State;

/// No operation waits, so any timeout is sufficient.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(1);

/// Stores credentials in the memory of this process.
///
/// Clones are clients of one store: they share its credentials and its metrics. The credentials are
/// gone when the last clone is dropped. A [`shutdown`](StorageProvider::shutdown) shuts down one
/// client; the other clones remain usable.
///
/// Needs a tokio runtime with its timer enabled.
///
/// ```
/// use std::sync::Arc;
///
/// use cred_core::{CredentialContext, Limits, StorageProvider};
/// use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = MemoryStorageConfig::default()
///     .with_soft_delete(true)
///     .with_limits(Limits::none().with_max_payload_len(64 * 1024));
/// let provider = Arc::new(MemoryStorageProvider::new(config)?);
/// let here = CredentialContext::unscoped();
/// assert!(!provider.exists(&"stripe-api-key".parse()?, &here).await?);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
///
/// # Consistency
/// Strong: every read returns the latest write.
///
/// # Cancellation
/// No operation waits. If its future is dropped, it has either happened or not started.
#[derive(Debug)]
pub struct MemoryStorageProvider(Provider<Memory>);

struct Memory {
    soft_delete: bool,
    state: Arc<Mutex<State>>,
}

impl MemoryStorageProvider {
    /// Creates an empty store.
    ///
    /// # Errors
    /// [`ConfigError`] if `limits.max_payload_len` is 0.
    pub fn new(config: MemoryStorageConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self::of(config))
    }

    fn of(config: MemoryStorageConfig) -> Self {
        let description = Description::new(config.provider_name(), OPERATION_TIMEOUT)
            .with_limits(config.limits)
            .with_in_doubt(Duration::ZERO);
        let memory = Memory { soft_delete: config.soft_delete, state: Arc::default() };
        Self(Provider::new(Executor::new(description, OPERATION_TIMEOUT), memory))
    }

    /// Edits the stored payload of a path, as a hostile or failing backend could. Returns false if
    /// nothing is stored under it. For tests.
    pub fn edit_payload(&self, path: PathRef<'_>, edit: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.0.backend().state();
        let Some(entry) = state.get(path) else { return false };
        let mut payload = entry.payload.to_vec();
        edit(&mut payload);
        state.put(path, payload.into());
        true
    }
}

/// Creates an empty store with the default configuration.
impl Default for MemoryStorageProvider {
    fn default() -> Self {
        Self::of(MemoryStorageConfig::default())
    }
}

impl Clone for MemoryStorageProvider {
    fn clone(&self) -> Self {
        let executor = Executor::new(self.0.describe().clone(), OPERATION_TIMEOUT)
            .with_metrics(self.0.metrics().unwrap_or_default());
        let Memory { soft_delete, ref state } = *self.0.backend();
        Self(Provider::new(executor, Memory { soft_delete, state: Arc::clone(state) }))
    }
}

impl Wrapper for MemoryStorageProvider {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.0
    }

    fn description(&self) -> &Description {
        self.0.describe()
    }
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No requests are sent, so nothing uses the attempts of the [`Wire`].
impl Backend for Memory {
    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let payload = file.encode_within(wire.description(), path)?;
        self.state().put(path, payload.into());
        Ok(())
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        Ok(self.get_versioned(wire, path).await?.map(|found| found.value))
    }

    async fn delete(&self, _: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.state().delete(path, self.soft_delete);
        Ok(())
    }

    async fn exists(&self, _: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        Ok(self.state().get(path).is_some())
    }

    async fn paths(
        &self,
        _: &mut Wire<'_>,
        reach: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        Ok(self.state().paths(reach))
    }

    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        Some(provider)
    }

    fn soft_delete(provider: &Provider<Self>) -> Option<&dyn SoftDelete> {
        provider.backend().soft_delete.then_some(provider)
    }
}

impl Conditional for Memory {
    async fn get_versioned(
        &self,
        _: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        // Cloned, so that the lock is not held during decoding.
        let Some(entry) = self.state().get(path).cloned() else { return Ok(None) };
        Ok(Some(Versioned::new(CredentialFile::decode(&entry.payload)?, entry.revision)))
    }

    async fn put_if(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        expected: Option<&Revision>,
    ) -> StorageResult<Revision> {
        let payload = file.encode_within(wire.description(), path)?;
        let mut state = self.state();
        match (state.get(path).map(|entry| &entry.revision), expected) {
            (stored, expected) if stored == expected => Ok(state.put(path, payload.into())),
            (Some(_), Some(_)) => Err(StorageError::conflict("another revision is stored")),
            (Some(_), None) => Err(StorageError::conflict("something is stored there already")),
            (None, _) => Err(StorageError::conflict("nothing is stored there any more")),
        }
    }
}

impl Recoverable for Memory {
    async fn recover(&self, _: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        match self.state().recover(path) {
            true => Ok(()),
            false => Err(StorageErrorKind::NotFound.into()),
        }
    }

    async fn purge(&self, _: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.state().purge(path);
        Ok(())
    }

    async fn deleted(&self, _: &mut Wire<'_>, reach: ListRange<'_>) -> StorageResult<Vec<CredentialPath>> {
        Ok(self.state().deleted(reach))
    }
}

/// Does not print the store: its contents are sealed, but long and of no use.
impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("soft_delete", &self.soft_delete).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use cred_core::CredentialContext;

    use super::*;

    #[tokio::test]
    async fn a_shutdown_affects_only_one_client_of_the_store() {
        let (client, ctx) = (MemoryStorageProvider::default(), CredentialContext::unscoped());
        let other = client.clone();
        client.shutdown().await;
        let error = client.list(None, &ctx).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::ShutDown), "{error}");
        assert!(other.list(None, &ctx).await.unwrap().is_empty());
        assert!(Arc::ptr_eq(&other.metrics().unwrap(), &client.metrics().unwrap()));
    }
}
