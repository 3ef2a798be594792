//! Implements the storage trait with the file operations of `client`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cred_core::{
    CompareAndSet, ConfigError, CredentialFilter, CredentialPath, Description, PathRef, ProviderConfig,
    RetryPolicy, Revision, StorageError, StorageResult, Versioned,
};
use cred_provider_kit::{Backend, Conditional, CredentialFile, Executor, ListRange, Provider, Wire};

use crate::LocalStorageConfig;
use crate::client::{Client, Condition, Deadline};
use crate::error::WriteError;

cred_provider_kit::storage_provider! {
    /// A storage provider that stores sealed credentials in local files. Clones share one set of
    /// counters. Several providers, also in several processes, can use the same directory.
    ///
    /// Reads are strongly consistent. Operations need a Tokio runtime with its timer enabled. No
    /// background task outlives the work of its operation.
    pub struct LocalStorageProvider(Local);

    /// Opens the directory and removes files that crashed writers left. Creates a missing directory
    /// if [`create_dir`](LocalStorageConfig::create_dir) is set.
    ///
    /// Calling it is optional: the first operation opens the directory too, but only a store
    /// creates it.
    ///
    /// # Errors
    /// [`Unavailable`](cred_core::StorageErrorKind::Unavailable) if the directory is missing and
    /// must not be created, or the error of the file system.
    connect
}

#[derive(Debug)]
struct Local {
    client: Arc<Client>,
    locking: bool,
}

impl LocalStorageProvider {
    /// Creates a provider for a directory. Checks the configuration and the directory, and changes
    /// nothing: the directory is created on first use.
    ///
    /// # Errors
    /// [`ConfigError`] names the invalid field.
    ///
    /// # Examples
    /// ```
    /// use cred_core::{CredentialContext, StorageProvider as _};
    /// use cred_store_local::{LocalStorageConfig, LocalStorageProvider};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let scratch = tempfile::tempdir()?;
    /// # let folder = scratch.path();
    /// let config = LocalStorageConfig::default().with_base_path(folder.join("credentials"));
    /// let provider = LocalStorageProvider::new(config)?;
    /// let ids = provider.list(None, &CredentialContext::unscoped()).await?;
    /// assert!(ids.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(config: LocalStorageConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let LocalStorageConfig { enable_locking: locking, operation_timeout, .. } = config;
        let description =
            Description::new(config.provider_name(), operation_timeout).with_limits(config.limits());
        // No retries: an error of a local disk does not go away, and taking the lock has its own
        // retries.
        let no_retries = RetryPolicy::default().with_max_retries(0);
        let executor = Executor::new(description, operation_timeout).with_retry_policy(no_retries);
        let client = Arc::new(Client::new(config)?);
        Ok(Self(Provider::new(executor, Local { client, locking })))
    }
}

impl Backend for Local {
    async fn connect(&self, wire: &mut Wire<'_>) -> StorageResult<()> {
        self.read(wire, |client, _| client.connect()).await
    }

    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        self.store(wire, path, file, Condition::Always).await.map(drop)
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        let path = path.to_path();
        self.read(wire, move |client, _| client.retrieve(path.as_path_ref())).await
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let path = path.to_path();
        self.write(wire, move |client, deadline| client.delete(path.as_path_ref(), deadline)).await
    }

    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        let path = path.to_path();
        self.read(wire, move |client, _| client.exists(path.as_path_ref())).await
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list(wire, reach, None).await
    }

    /// Reads the files in the same walk that lists the directories.
    async fn matching(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        filter: &CredentialFilter,
    ) -> StorageResult<Vec<CredentialPath>> {
        self.list(wire, reach, Some(filter)).await
    }

    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        provider.backend().locking.then_some(provider)
    }
}

impl Conditional for Local {
    async fn get_versioned(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        let path = path.to_path();
        self.read(wire, move |client, _| client.retrieve_versioned(path.as_path_ref())).await
    }

    async fn put_if(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        expected: Option<&Revision>,
    ) -> StorageResult<Revision> {
        let condition =
            expected.map_or(Condition::Absent, |revision| Condition::AtRevision(revision.clone()));
        self.store(wire, path, file, condition).await
    }
}

impl Local {
    async fn store(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        condition: Condition,
    ) -> StorageResult<Revision> {
        let (path, description) = (path.to_path(), wire.description().clone());
        let request = Arc::new((self.client.address(file, path.as_path_ref()), condition));
        self.write(wire, move |client, deadline| {
            let (file, condition) = &*request;
            client.store(path.as_path_ref(), file, condition, &description, deadline)
        })
        .await
    }

    async fn list(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        filter: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let (scope, filter) = (reach.scope().cloned(), filter.cloned());
        let is_tree = matches!(reach, ListRange::Tree(_));
        self.read(wire, move |client, deadline| {
            let reach =
                if is_tree { ListRange::Tree(scope.as_ref()) } else { ListRange::Scope(scope.as_ref()) };
            client.list(reach, filter.as_ref(), deadline)
        })
        .await
    }

    async fn read<T: Send + 'static>(
        &self,
        wire: &mut Wire<'_>,
        work: impl FnOnce(&Client, Deadline) -> StorageResult<T> + Clone + Send + 'static,
    ) -> StorageResult<T> {
        let limit = wire.description().operation_timeout;
        wire.read(|attempt| self.run_blocking(deadline(attempt.limit, limit), work.clone())).await
    }

    async fn write<T: Send + 'static>(
        &self,
        wire: &mut Wire<'_>,
        work: impl FnOnce(&Client, Deadline) -> Result<T, WriteError> + Clone + Send + 'static,
    ) -> StorageResult<T> {
        let limit = wire.description().operation_timeout;
        Ok(wire.write(|attempt| self.run_blocking(deadline(attempt.limit, limit), work.clone())).await?)
    }

    /// Runs the work of one operation on a blocking thread. It runs to completion even if the
    /// caller's future is dropped.
    async fn run_blocking<T: Send + 'static, E: From<StorageError> + Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl FnOnce(&Client, Deadline) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        let client = Arc::clone(&self.client);
        match tokio::task::spawn_blocking(move || work(&client, deadline)).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => Err(StorageError::other("the file operation panicked").into()),
            Err(_) => Err(StorageError::other("the runtime is shutting down").into()),
        }
    }
}

/// The deadline of the file operation: nine tenths of the operation timeout, of which `left`
/// remains. A write thus stops before its caller does, and the caller learns its outcome.
fn deadline(left: Duration, operation_timeout: Duration) -> Deadline {
    let at = Instant::now() + left.saturating_sub(operation_timeout / 10);
    Deadline { at, limit: operation_timeout }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use cred_core::{Operation, StorageErrorKind};
    use cred_provider_kit::TargetRef;

    use super::*;

    #[test]
    fn a_write_stops_at_nine_tenths_of_the_operation_timeout() {
        const S: Duration = Duration::from_secs(1);
        let before = Instant::now();
        let deadline = deadline(7 * S, 10 * S);
        assert!(before + 6 * S <= deadline.at && deadline.at <= Instant::now() + 6 * S);
        assert_eq!(deadline.limit, 10 * S);
    }

    #[tokio::test]
    async fn a_failed_write_has_an_unknown_outcome_unless_it_reports_that_nothing_was_written() {
        const LIMIT: Duration = Duration::from_millis(200);
        let base = tempfile::tempdir().unwrap();
        let config = LocalStorageConfig::default().with_base_path(base.path());
        let local = Local { client: Arc::new(Client::new(config).unwrap()), locking: true };
        let executor = Executor::new(Description::new("local", LIMIT), LIMIT);
        let failed = async |work: fn(&Client, Deadline) -> Result<(), WriteError>| {
            let write = async |wire: &mut Wire<'_>| local.write(wire, work).await;
            let error = executor.sequence(Operation::Store, TargetRef::Backend, write).await.unwrap_err();
            matches!(error.kind(), StorageErrorKind::InDoubt { .. })
        };
        assert!(!failed(|_, _| Err(WriteError::NothingWritten(StorageError::other("refused")))).await);
        assert!(failed(|_, _| Err(WriteError::OutcomeUnknown(StorageError::other("lost")))).await);
        assert!(failed(|_, _| panic!("during a write")).await);
        let hangs = |_: &Client, _| {
            sleep(LIMIT * 2);
            Ok(())
        };
        assert!(failed(hangs).await);
    }
}
