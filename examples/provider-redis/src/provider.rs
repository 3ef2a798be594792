//! The storage trait, with one hash for each credential.

use std::fmt;
use std::num::NonZeroUsize;

use cred_core::{
    CompareAndSet, ConfigError, CredentialFilter, CredentialPath, Description, Limits, PathRef,
    ProviderConfig, Revision, StorageError, StorageResult, Versioned,
};
use cred_provider_kit::naming::Names;
use cred_provider_kit::{Backend, Conditional, CredentialFile, Executor, ListRange, Provider, Wire};

use crate::{RedisConfig, client::Client};

/// Credentials that one request reads.
const BATCH: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99);

cred_provider_kit::storage_provider! {
    /// Stores sealed credentials in Redis. Clones share one connection. Needs a tokio runtime with
    /// timer and I/O enabled; the connection's task ends with the last clone. A write whose future
    /// is dropped may or may not happen, whole.
    pub struct RedisProvider(Redis);
}

struct Redis {
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
        let description = Description::new(config.provider_name(), config.operation_timeout)
            .with_limits(Limits::none().with_max_payload_len(config.max_payload_len))
            .with_batch(BATCH);
        let redis = Redis { client: Client::new(&config)?, names: config.names()? };
        Ok(Self(Provider::new(Executor::new(description, config.timeout), redis)))
    }
}

impl Backend for Redis {
    async fn put(&self, wire: &mut Wire<'_>, path: PathRef<'_>, file: CredentialFile) -> StorageResult<()> {
        let (key, envelope, revision) =
            (&self.key(path), &file.encode_within(wire.description(), path)?, &new_revision());
        wire.write(|_| self.client.set(key, envelope, revision)).await
    }

    async fn get(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<Option<CredentialFile>> {
        let key = &self.key(path);
        decode(wire.read(|_| self.client.get(key)).await?.0)
    }

    async fn delete(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let key = &self.key(path);
        wire.write(|_| self.client.delete(key)).await
    }

    async fn exists(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<bool> {
        let key = &self.key(path);
        wire.read(|_| self.client.exists(key)).await
    }

    async fn paths(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
        _: Option<&CredentialFilter>,
    ) -> StorageResult<Vec<CredentialPath>> {
        let prefix = &self.names.scope_prefix(reach.scope());
        let (mut paths, mut cursor) = (Vec::new(), 0);
        loop {
            let (next, keys) = wire.read(|_| self.client.scan(cursor, prefix)).await?;
            paths.extend(keys.iter().filter_map(|key| self.path(key)));
            match next {
                0 => return Ok(paths),
                _ => cursor = next,
            }
        }
    }

    async fn get_each(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> StorageResult<Vec<StorageResult<Option<CredentialFile>>>> {
        let keys: Vec<_> = paths.iter().map(|path| self.key(path.as_path_ref())).collect();
        let mut files = Vec::with_capacity(keys.len());
        for keys in keys.chunks(BATCH.get()) {
            files.extend(wire.read(|_| self.client.get_each(keys)).await?.into_iter().map(decode));
        }
        Ok(files)
    }

    async fn shutdown(&self, _: &mut Wire<'_>) -> StorageResult<()> {
        self.client.close();
        Ok(())
    }

    fn compare_and_set(provider: &Provider<Self>) -> Option<&dyn CompareAndSet> {
        Some(provider)
    }
}

impl Conditional for Redis {
    async fn get_versioned(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
    ) -> StorageResult<Option<Versioned<CredentialFile>>> {
        let key = &self.key(path);
        let (envelope, revision) = wire.read(|_| self.client.get(key)).await?;
        let Some(file) = decode(envelope)? else { return Ok(None) };
        let revision = revision.ok_or_else(|| StorageError::corrupted("it has no revision"))?;
        Ok(Some(Versioned::new(file, Revision::new(revision))))
    }

    async fn put_if(
        &self,
        wire: &mut Wire<'_>,
        path: PathRef<'_>,
        file: CredentialFile,
        expected: Option<&Revision>,
    ) -> StorageResult<Revision> {
        let (key, envelope, revision) =
            (&self.key(path), &file.encode_within(wire.description(), path)?, &new_revision());
        let expected = expected.map_or("", Revision::as_str);
        // Refused by the attempt itself: a request that was answered well has written.
        wire.write(async |_| match self.client.set_if(key, envelope, revision, expected).await? {
            true => Ok(Revision::new(revision.as_str())),
            false => Err(StorageError::conflict("the stored revision differs, or nothing is stored")),
        })
        .await
    }
}

impl Redis {
    fn key(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    /// The path, if the key is one of ours.
    fn path(&self, key: &[u8]) -> Option<CredentialPath> {
        self.names.decode(std::str::from_utf8(key).ok()?).exact()
    }
}

fn decode(envelope: Option<Vec<u8>>) -> StorageResult<Option<CredentialFile>> {
    envelope.map(|envelope| CredentialFile::decode(&envelope)).transpose()
}

/// A revision that no other write has.
fn new_revision() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// Prints neither stored data nor the password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("prefix", &self.names.prefix()).finish_non_exhaustive()
    }
}
