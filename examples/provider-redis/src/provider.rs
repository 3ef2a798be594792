//! The storage trait on top of one hash a credential.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use cred_core::{
    CompareAndSet, ConfigError, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Limits, Operation, PathRef, ProviderConfig, Revision,
    StorageError, StorageErrorKind, StorageMetrics, StorageProvider, Stored, async_trait,
};
use cred_provider_kit::{CredentialFile, Executor, Wire, naming::Names};

use crate::{RedisConfig, client::Client};

/// Ids of one request of `retrieve_many`, and envelopes of one request of a filtered list.
const BATCH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99);

/// Keeps sealed credentials in Redis. Needs a tokio runtime with timer and I/O enabled; the connection's task ends when it is
/// dropped. A write whose future is dropped may or may not happen, whole.
pub struct RedisProvider {
    description: Description,
    executor: Executor,
    client: Client,
    names: Names,
}

impl RedisProvider {
    /// Touches no network before the first operation.
    ///
    /// # Errors
    /// [`ConfigError`] names the field that cannot be used.
    pub fn new(config: RedisConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        let name = config.provider_name();
        Ok(Self {
            description: Description::new(name, config.operation_timeout)
                .with_limits(Limits::none().with_max_payload_len(config.max_payload_len))
                .with_batch(BATCH),
            executor: Executor::new(name, config.timeout, config.operation_timeout),
            client: Client::new(&config)?,
            names: config.names()?,
        })
    }

    fn key(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    /// Where the key is one of ours.
    fn path(&self, key: &[u8]) -> Option<CredentialPath> {
        self.names.decode(std::str::from_utf8(key).ok()?).exact()
    }

    /// The envelope, if it fits, and a revision that no other write has.
    fn encode(
        &self,
        data: EncryptedData,
        metadata: CredentialMetadata,
    ) -> Result<(Vec<u8>, String), StorageError> {
        let envelope = CredentialFile::new(data, metadata).encode_within(&self.description.limits)?;
        Ok((envelope, format!("{:032x}", fastrand::u128(..))))
    }

    /// The paths in and below a scope that the filter admits.
    async fn paths(
        &self,
        operation: Operation,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let below = &self.names.scope_prefix(ctx.scope_id.as_ref());
        let work = async |wire: &mut Wire<'_>| {
            let (mut found, mut cursor) = (BTreeSet::new(), Some(0));
            while let Some(begin) = cursor {
                let (next, keys) = wire.read(|_| self.client.scan(begin, below)).await?;
                found.extend(keys);
                cursor = (next != 0).then_some(next);
            }
            let paths = found.iter().filter_map(|key| self.path(key)).collect();
            match filter.filter(|filter| !filter.is_empty()) {
                Some(filter) => self.admitted(wire, operation, paths, filter).await,
                None => Ok(paths),
            }
        };
        self.executor.sequence(operation, ctx, work).await
    }

    async fn admitted(
        &self,
        wire: &mut Wire<'_>,
        operation: Operation,
        paths: Vec<CredentialPath>,
        filter: &CredentialFilter,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let keys: Vec<_> = paths.iter().map(|path| self.key(path.as_ref())).collect();
        let mut envelopes = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH.get()) {
            envelopes.extend(wire.read(|_| self.client.get_each(keys)).await?);
        }
        let mut admitted = Vec::new();
        for (path, envelope) in paths.into_iter().zip(envelopes) {
            match envelope.map(|envelope| CredentialFile::decode(&envelope)) {
                Some(Ok(file)) if filter.matches(&file.metadata) => admitted.push(path),
                Some(Ok(_)) | None => {} // not admitted, or deleted meanwhile
                Some(Err(error)) => return Err(error.at(self.description.name.clone(), operation, path)),
            }
        }
        Ok(admitted)
    }
}

fn decode(envelope: Option<Vec<u8>>) -> Result<Stored, StorageError> {
    let envelope = envelope.ok_or(StorageErrorKind::NotFound)?;
    CredentialFile::decode(&envelope).map(CredentialFile::into_stored)
}

#[async_trait]
impl StorageProvider for RedisProvider {
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
        let key = &self.key(ctx.path(id));
        self.executor
            .sequence(Operation::Store, ctx.path(id), async |wire| {
                let (envelope, revision) = &self.encode(data, metadata)?;
                wire.write(|_| self.client.set(key, envelope, revision)).await
            })
            .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        let key = &self.key(ctx.path(id));
        let get = async |_| decode(self.client.get(key).await?.0);
        self.executor.run(Operation::Retrieve, ctx.path(id), get).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let key = &self.key(ctx.path(id));
        self.executor.run(Operation::Delete, ctx.path(id), |_| self.client.delete(key)).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let key = &self.key(ctx.path(id));
        self.executor.run(Operation::Exists, ctx.path(id), |_| self.client.exists(key)).await
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

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Stored, StorageError>> {
        self.executor
            .run_many(ids, ctx, async |wire| {
                let keys: Vec<_> = ids.iter().map(|id| self.key(ctx.path(id))).collect();
                let mut answers = Vec::with_capacity(ids.len());
                for keys in keys.chunks(BATCH.get()) {
                    answers.extend(wire.read(|_| self.client.get_each(keys)).await?.into_iter().map(decode));
                }
                Ok(answers)
            })
            .await
    }

    async fn shutdown(&self) {
        self.client.close();
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(self.executor.metrics()))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        Some(self)
    }
}

#[async_trait]
impl CompareAndSet for RedisProvider {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        let key = &self.key(ctx.path(id));
        let get = async |_| {
            let (envelope, revision) = self.client.get(key).await?;
            let (data, metadata) = decode(envelope)?;
            let revision = revision.ok_or_else(|| StorageError::corrupted("it has no revision"))?;
            Ok((data, metadata, Revision::new(revision)))
        };
        self.executor.run(Operation::RetrieveWithRevision, ctx.path(id), get).await
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let key = &self.key(ctx.path(id));
        self.executor
            .sequence(Operation::StoreIf, ctx.path(id), async |wire| {
                let (envelope, revision) = &self.encode(data, metadata)?;
                let expected = expected.map_or("", Revision::as_str);
                // Refused by the attempt itself: a request that was answered well has written.
                wire.write(async |_| match self.client.set_if(key, envelope, revision, expected).await? {
                    true => Ok(Revision::new(revision.as_str())),
                    false => Err(StorageError::conflict("another revision is stored, or none")),
                })
                .await
            })
            .await
    }
}

/// Neither what is stored nor the password.
impl fmt::Debug for RedisProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisProvider").field("prefix", &self.names.prefix()).finish_non_exhaustive()
    }
}
