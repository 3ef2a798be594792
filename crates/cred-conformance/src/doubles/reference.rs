//! A correct in-memory provider.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Limits, Operation, Revision, Sealed, SoftDelete, StorageError,
    StorageErrorKind, StorageMetrics, StorageProvider, Target, Versioned, async_trait,
};

use tokio::sync::watch;
use tokio::time::timeout;

use super::encoding::encode;

/// An in-memory provider that fulfils the whole contract: the reference for the clauses, and a
/// replacement for a backend in tests.
///
/// - It is strongly consistent and has every ability.
/// - Each operation completes at its first poll, except in a stall.
/// - Clones share the data, like two clients of one backend. A shutdown ends one client, not its
///   clones.
/// - It is for tests only: values stay in memory until it is dropped, deleted ones until they are
///   purged, and nothing is wiped.
///
/// ```
/// # use cred_core::{CredentialContext, CredentialMetadata, EncryptedData, KeyId};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let (id, here) = ("key".parse()?, CredentialContext::unscoped());
/// # let data = EncryptedData::new(KeyId::new("k")?, [0; 32], [0; 32], [0; 12], vec![1], [0; 16]);
/// # let metadata = CredentialMetadata::default();
/// use cred_conformance::doubles::Reference;
/// use cred_core::StorageProvider;
///
/// let provider = Reference::new();
/// let other_client = provider.clone();
/// provider.store(&id, data, metadata, &here).await?;
/// assert!(other_client.exists(&id, &here).await?);
///
/// provider.set_outage(true);
/// assert!(other_client.exists(&id, &here).await.unwrap_err().is_transient());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reference {
    description: Description,
    abilities: bool,
    is_shut_down: AtomicBool,
    shared: Arc<Shared>,
}

impl Clone for Reference {
    fn clone(&self) -> Self {
        Self {
            description: self.description.clone(),
            abilities: self.abilities,
            is_shut_down: AtomicBool::default(),
            shared: Arc::clone(&self.shared),
        }
    }
}

#[derive(Default)]
struct Shared {
    data: Mutex<Data>,
    down: AtomicBool,
    stalled: watch::Sender<bool>,
    metrics: Arc<StorageMetrics>,
}

#[derive(Default)]
struct Data {
    live: BTreeMap<CredentialPath, Entry>,
    deleted: BTreeMap<CredentialPath, Entry>,
    writes: u64,
}

#[derive(Clone)]
struct Entry {
    stored: Sealed,
    /// The bytes that a backend would store. After an edit, they are not the encoding of `stored`.
    bytes: Vec<u8>,
    revision: u64,
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

/// Prints the number of credentials, without the stored data.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("description", &self.description)
            .field("credentials", &self.data().live.len())
            .finish_non_exhaustive()
    }
}

impl Reference {
    /// The name of the provider in errors.
    pub const NAME: &'static str = "reference";

    /// Creates an empty provider without limits. Its `operation_timeout` is 5 seconds, but it never
    /// waits outside a stall.
    #[must_use]
    pub fn new() -> Self {
        let description = Description::new(Self::NAME, Duration::from_secs(5)).with_in_doubt(Duration::ZERO);
        Self { description, abilities: true, is_shut_down: AtomicBool::default(), shared: Arc::default() }
    }

    /// Sets the limits. The payload size is that of this provider's own encoding.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.description.limits = limits;
        self
    }

    /// Disables compare-and-set and soft delete; a delete is then permanent.
    #[must_use]
    pub fn without_abilities(mut self) -> Self {
        self.abilities = false;
        self
    }

    /// Starts (`true`) or ends (`false`) an outage, in which every operation fails with
    /// [`Unavailable`](StorageErrorKind::Unavailable) and has no effect.
    pub fn set_outage(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Starts (`true`) or ends (`false`) a stall, in which every operation waits.
    ///
    /// An operation that has waited for its `operation_timeout` fails with
    /// [`Busy`](StorageErrorKind::Busy) and has no effect. Waiting needs a tokio runtime with time
    /// enabled.
    pub fn set_stall(&self, held: bool) {
        self.shared.stalled.send_replace(held);
    }

    /// Replaces the stored bytes of a path; returns `false` if nothing is stored there. A read of
    /// bytes that differ from the original ones fails as corrupted.
    pub fn edit_raw(&self, path: &CredentialPath, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> bool {
        let mut data = self.data();
        let Some(entry) = data.live.get_mut(path) else { return false };
        entry.bytes = edit(std::mem::take(&mut entry.bytes));
        true
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        // A panic cannot leave the maps half changed: no code between two changes can panic.
        self.shared.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation, with the outage, stall, metrics and error context that all of them share.
    async fn run<T>(
        &self,
        operation: Operation,
        target: impl Into<Target>,
        work: impl FnOnce(&mut Data) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let started = Instant::now();
        let result = match self.wait_for_stall_end().await {
            _ if self.is_shut_down.load(Ordering::SeqCst) => Err(StorageErrorKind::ShutDown.into()),
            _ if self.shared.down.load(Ordering::SeqCst) => {
                Err(StorageError::unavailable("the test simulates an outage"))
            }
            false => Err(StorageError::busy("the test simulates a stall")),
            true => work(&mut self.data()),
        };
        let success = result.as_ref().map_or_else(StorageError::is_not_found, |_| true);
        self.shared.metrics.record_operation(operation.as_str(), started.elapsed(), success);
        result.map_err(|error| error.at(Self::NAME, operation, target))
    }

    /// Waits for the end of a stall; `false` if the `operation_timeout` has passed.
    async fn wait_for_stall_end(&self) -> bool {
        let mut stalled = self.shared.stalled.subscribe();
        let is_running = !*stalled.borrow();
        // Outside a stall no timer is created, so the runtime needs no time driver.
        is_running
            || timeout(self.description.operation_timeout, stalled.wait_for(|held| !held))
                .await
                .is_ok_and(|changed| changed.is_ok())
    }

    fn checked(
        &self,
        data: EncryptedData,
        metadata: CredentialMetadata,
    ) -> Result<(Sealed, Vec<u8>), StorageError> {
        let limits = self.description.limits;
        let over = |limit: Option<usize>, len: usize| limit.is_some_and(|limit| len > limit);
        let tags = &metadata.tags;
        if over(limits.max_tags, tags.len())
            || tags.iter().any(|(key, value)| {
                over(limits.max_tag_key_len, key.len()) || over(limits.max_tag_value_len, value.len())
            })
        {
            return Err(StorageError::invalid_request(
                "the tags exceed the limits of this backend; use fewer or shorter ones",
            ));
        }
        let stored = Sealed { data, metadata };
        let bytes = encode(&stored).ok_or_else(|| {
            StorageError::invalid_request(
                "the metadata has a newer version than this crate supports; update cred-conformance",
            )
        })?;
        match limits.max_payload_len {
            Some(limit) if bytes.len() > limit => {
                Err(StorageErrorKind::TooLarge { size: bytes.len(), limit }.into())
            }
            _ => Ok((stored, bytes)),
        }
    }

    async fn names(
        &self,
        operation: Operation,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
        belongs: impl Fn(&CredentialPath) -> bool,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.run(operation, Target::Scope(ctx.scope_id.clone()), |stored| {
            let mut names = Vec::new();
            for (path, entry) in stored.live.iter().filter(|(path, _)| belongs(path)) {
                let admitted = match filter.filter(|filter| !filter.is_empty()) {
                    None => true,
                    Some(filter) => {
                        let read =
                            read(entry).map_err(|error| error.at(Self::NAME, operation, path.clone()))?;
                        filter.matches(&read.metadata)
                    }
                };
                if admitted {
                    names.push(path.clone());
                }
            }
            Ok(names)
        })
        .await
    }
}

fn read(entry: &Entry) -> Result<Sealed, StorageError> {
    match encode(&entry.stored) {
        Some(bytes) if bytes == entry.bytes => Ok(entry.stored.clone()),
        _ => Err(StorageError::corrupted("the stored bytes are not in this provider's encoding")),
    }
}

fn absent() -> StorageError {
    StorageErrorKind::NotFound.into()
}

impl Data {
    fn write(&mut self, path: CredentialPath, (stored, bytes): (Sealed, Vec<u8>)) -> Revision {
        self.writes += 1;
        self.deleted.remove(&path);
        self.live.insert(path, Entry { stored, bytes, revision: self.writes });
        Revision::new(self.writes.to_string())
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl StorageProvider for Reference {
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
        let path = ctx.path(id).to_path();
        self.run(Operation::Store, path.clone(), |stored| {
            stored.write(path, self.checked(data, metadata)?);
            Ok(())
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Retrieve, path.clone(), |stored| read(stored.live.get(&path).ok_or_else(absent)?))
            .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Delete, path.clone(), |stored| {
            if let Some(entry) = stored.live.remove(&path).filter(|_| self.abilities) {
                stored.deleted.insert(path, entry);
            }
            Ok(())
        })
        .await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Exists, path.clone(), |stored| Ok(stored.live.contains_key(&path))).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let here = |path: &CredentialPath| path.scope == ctx.scope_id;
        let names = self.names(Operation::List, filter, ctx, here).await?;
        Ok(names.into_iter().map(|path| path.id).collect())
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.names(Operation::ListTree, filter, ctx, |path| path.is_within(ctx.scope_id.as_ref())).await
    }

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

    async fn shutdown(&self) {
        self.is_shut_down.store(true, Ordering::SeqCst);
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        Some(Arc::clone(&self.shared.metrics))
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.abilities.then_some(self as _)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.abilities.then_some(self as _)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl CompareAndSet for Reference {
    async fn retrieve_versioned(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<Versioned<Sealed>, StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::RetrieveVersioned, path.clone(), |stored| {
            let entry = stored.live.get(&path).ok_or_else(absent)?;
            Ok(Versioned::new(read(entry)?, Revision::new(entry.revision.to_string())))
        })
        .await
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::StoreIf, path.clone(), |stored| {
            let value = self.checked(data, metadata)?;
            let current = stored.live.get(&path).map(|entry| entry.revision.to_string());
            if current.as_deref() != expected.map(Revision::as_str) {
                return Err(StorageError::conflict("another revision is stored"));
            }
            Ok(stored.write(path, value))
        })
        .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SoftDelete for Reference {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Recover, path.clone(), |stored| {
            let entry = stored.deleted.remove(&path).ok_or_else(absent)?;
            stored.write(path, (entry.stored, entry.bytes));
            Ok(())
        })
        .await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Purge, path.clone(), |stored| {
            stored.deleted.remove(&path);
            Ok(())
        })
        .await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        self.run(Operation::ListDeleted, Target::Scope(ctx.scope_id.clone()), |stored| {
            let here = stored.deleted.keys().filter(|path| path.scope == ctx.scope_id);
            Ok(here.map(|path| path.id.clone()).collect())
        })
        .await
    }
}
