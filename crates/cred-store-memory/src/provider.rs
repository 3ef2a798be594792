//! The storage trait on top of [`State`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cred_core::{
    CompareAndSet, ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Operation, PathRef, ProviderConfig, Revision, SoftDelete,
    StorageError, StorageErrorKind, StorageMetrics, StorageProvider, Stored, Target, async_trait,
};
use cred_provider_kit::CredentialFile;

use crate::MemoryStorageConfig;
use crate::state::{Entry, State};

/// Nothing here waits, so this only has to be more than nothing.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps credentials in this process's memory. Clones share one store; dropping the last one forgets everything.
///
/// Strongly consistent. No operation waits, so a dropped future has either happened or not begun.
#[derive(Clone)]
pub struct MemoryStorageProvider {
    description: Description,
    soft_delete: bool,
    state: Arc<Mutex<State>>,
    metrics: Arc<StorageMetrics>,
}

impl MemoryStorageProvider {
    /// An empty store.
    ///
    /// # Errors
    /// [`ConfigError`] if a limit admits nothing.
    pub fn new(config: MemoryStorageConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let description = Description::new(config.provider_name(), OPERATION_TIMEOUT)
            .with_limits(config.limits)
            .with_in_doubt(Duration::ZERO);
        let soft_delete = config.soft_delete;
        Ok(Self { description, soft_delete, state: Arc::default(), metrics: Arc::default() })
    }

    /// Edits the stored payload of a path, as a hostile or failing backend could; false if nothing is stored there.
    /// For tests.
    pub fn edit_payload(&self, path: PathRef<'_>, edit: impl FnOnce(&mut Vec<u8>)) -> bool {
        let ctx = CredentialContext::from(path.scope.cloned());
        let mut state = self.state();
        let Some(entry) = state.get(path.id, &ctx) else { return false };
        let mut payload = entry.payload.to_vec();
        edit(&mut payload);
        state.put(path.id, &ctx, payload.into());
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one operation: says where it failed, and counts it.
    fn run<T>(
        &self,
        operation: Operation,
        target: impl FnOnce() -> Target,
        work: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let started = Instant::now();
        let answer = work();
        let success = answer.as_ref().err().is_none_or(StorageError::is_not_found);
        self.metrics.record_operation(operation.as_str(), started.elapsed(), success);
        answer.map_err(|error| error.at(self.description.name.clone(), operation, target()))
    }

    fn run_on<T>(
        &self,
        operation: Operation,
        id: &CredentialId,
        ctx: &CredentialContext,
        work: impl FnOnce() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        self.run(operation, || ctx.path(id).to_owned().into(), work)
    }

    /// The payload of a credential that fits the limits.
    fn encode(&self, data: EncryptedData, metadata: CredentialMetadata) -> Result<Arc<[u8]>, StorageError> {
        Ok(CredentialFile::new(data, metadata).encode_within(&self.description.limits)?.into())
    }

    /// The paths of those entries that the filter admits.
    fn admitted(
        &self,
        operation: Operation,
        entries: Vec<(CredentialPath, Entry)>,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let Some(filter) = filter.filter(|filter| !filter.is_empty()) else {
            return Ok(entries.into_iter().map(|(path, _)| path).collect());
        };
        let mut paths = Vec::new();
        for (path, entry) in entries {
            match decode(&entry) {
                Ok((_, metadata)) if filter.matches(&metadata) => paths.push(path),
                Ok(_) => {}
                Err(error) => return Err(error.at(self.description.name.clone(), operation, path)),
            }
        }
        Ok(paths)
    }
}

fn decode(entry: &Entry) -> Result<Stored, StorageError> {
    CredentialFile::decode(&entry.payload).map(CredentialFile::into_stored)
}

fn not_found() -> StorageError {
    StorageErrorKind::NotFound.into()
}

#[async_trait]
impl StorageProvider for MemoryStorageProvider {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        self.run_on(Operation::Store, id, ctx, || {
            let payload = self.encode(data, metadata)?;
            self.state().put(id, ctx, payload);
            Ok(())
        })
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        self.run_on(Operation::Retrieve, id, ctx, || {
            let entry = self.state().get(id, ctx).cloned();
            decode(&entry.ok_or_else(not_found)?)
        })
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.run_on(Operation::Delete, id, ctx, || {
            self.state().delete(id, ctx, self.soft_delete);
            Ok(())
        })
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        self.run_on(Operation::Exists, id, ctx, || Ok(self.state().get(id, ctx).is_some()))
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let target = || Target::Scope(ctx.scope_id.clone());
        self.run(Operation::List, target, || {
            let entries = self.state().scope(ctx);
            let paths = self.admitted(Operation::List, entries, filter)?;
            Ok(paths.into_iter().map(|path| path.id).collect())
        })
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let target = || Target::Scope(ctx.scope_id.clone());
        self.run(Operation::ListTree, target, || {
            let entries = self.state().tree(ctx);
            self.admitted(Operation::ListTree, entries, filter)
        })
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(&self.metrics))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        Some(self)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.soft_delete.then_some(self)
    }
}

#[async_trait]
impl CompareAndSet for MemoryStorageProvider {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        self.run_on(Operation::RetrieveWithRevision, id, ctx, || {
            let entry = self.state().get(id, ctx).cloned().ok_or_else(not_found)?;
            let (data, metadata) = decode(&entry)?;
            Ok((data, metadata, entry.revision))
        })
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        self.run_on(Operation::StoreIf, id, ctx, || {
            let payload = self.encode(data, metadata)?;
            let mut state = self.state();
            match (state.get(id, ctx).map(|entry| &entry.revision), expected) {
                (stored, expected) if stored == expected => Ok(state.put(id, ctx, payload)),
                (Some(_), Some(_)) => Err(StorageError::conflict("another revision is stored")),
                (Some(_), None) => Err(StorageError::conflict("something is stored there already")),
                (None, _) => Err(StorageError::conflict("nothing is stored there any more")),
            }
        })
    }
}

#[async_trait]
impl SoftDelete for MemoryStorageProvider {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.run_on(Operation::Recover, id, ctx, || match self.state().recover(id, ctx) {
            true => Ok(()),
            false => Err(not_found()),
        })
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.run_on(Operation::Purge, id, ctx, || {
            self.state().purge(id, ctx);
            Ok(())
        })
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        let target = || Target::Scope(ctx.scope_id.clone());
        self.run(Operation::ListDeleted, target, || Ok(self.state().deleted_ids(ctx)))
    }
}

/// What is stored is sealed, but a page of it helps nobody.
impl fmt::Debug for MemoryStorageProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorageProvider")
            .field("soft_delete", &self.soft_delete)
            .finish_non_exhaustive()
    }
}
