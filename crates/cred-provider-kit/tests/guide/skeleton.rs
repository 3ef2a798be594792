use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath, Description,
    EncryptedData, Operation, StorageError, StorageErrorKind, StorageMetrics, StorageProvider, Stored,
    async_trait,
};
use cred_provider_kit::{CredentialFile, Executor};

/// Your SDK's client. Here it is a map, whose names may be any text.
#[derive(Default)]
struct Client(Mutex<BTreeMap<String, Vec<u8>>>);

impl Client {
    async fn put(&self, name: &str, envelope: &[u8]) -> Result<(), StorageError> {
        self.names().insert(name.to_owned(), envelope.to_owned());
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StorageError> {
        Ok(self.names().get(name).cloned())
    }

    async fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.names().remove(name);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<String>, StorageError> {
        Ok(self.names().keys().cloned().collect())
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct MyProvider {
    description: Description,
    executor: Executor,
    client: Client,
}

impl MyProvider {
    pub(crate) fn new() -> Self {
        let (attempt, operation) = (Duration::from_secs(5), Duration::from_secs(30));
        Self {
            description: Description::new("mine", operation),
            executor: Executor::new("mine", attempt, operation),
            client: Client::default(),
        }
    }

    /// The paths in and below the context's scope that the filter admits.
    async fn paths(
        &self,
        operation: Operation,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.executor
            .sequence(operation, ctx, async |wire| {
                let names = wire.read(|_| self.client.list()).await?;
                // What is no path of ours is somebody else's.
                let mut paths: Vec<CredentialPath> =
                    names.iter().filter_map(|name| name.parse().ok()).collect();
                paths.retain(|path| path.is_within(ctx.scope_id.as_ref()));
                let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(paths) };
                let mut admitted = Vec::new();
                for path in paths {
                    let name = path.to_string();
                    // Deleted since the names were read: not there.
                    let Some(envelope) = wire.read(|_| self.client.get(&name)).await? else { continue };
                    match CredentialFile::decode(&envelope) {
                        Ok(file) if filter.matches(&file.metadata) => admitted.push(path),
                        Ok(_) => {}
                        // The executor names the list; the one that is broken is named here.
                        Err(error) => return Err(error.at("mine", operation, path)),
                    }
                }
                Ok(admitted)
            })
            .await
    }
}

#[async_trait]
impl StorageProvider for MyProvider {
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
        let name = &ctx.path(id).to_string();
        self.executor
            .sequence(Operation::Store, ctx.path(id), async |wire| {
                // Inside, so that a refusal is counted, and named, like any failure; once, so that all attempts write the same.
                let limits = &self.description.limits;
                let envelope = &CredentialFile::new(data, metadata).encode_within(limits)?;
                wire.write(|_| self.client.put(name, envelope)).await
            })
            .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let name = &ctx.path(id).to_string();
        let get = async |_| {
            let envelope = self.client.get(name).await?.ok_or(StorageErrorKind::NotFound)?;
            CredentialFile::decode(&envelope).map(CredentialFile::into_stored)
        };
        self.executor.run(Operation::Retrieve, ctx.path(id), get).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let name = &ctx.path(id).to_string();
        self.executor.run(Operation::Delete, ctx.path(id), |_| self.client.delete(name)).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let name = &ctx.path(id).to_string();
        let get = async |_| Ok(self.client.get(name).await?.is_some());
        self.executor.run(Operation::Exists, ctx.path(id), get).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let paths = self.paths(Operation::List, filter, ctx).await?;
        Ok(paths.into_iter().filter(|path| path.scope == ctx.scope_id).map(|path| path.id).collect())
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.paths(Operation::ListTree, filter, ctx).await
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.executor.metrics()))
    }
}

/// Neither what it keeps nor what it logs in with.
impl fmt::Debug for MyProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MyProvider").finish_non_exhaustive()
    }
}
