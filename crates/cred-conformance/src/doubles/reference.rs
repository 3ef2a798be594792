//! A provider that does all that the contract asks, in memory.

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

/// A provider that does all that the contract asks, in memory: the measure of the clauses, and a
/// stand-in for a backend in tests.
///
/// It is strongly consistent and has every ability. Each operation is done at its first poll,
/// except in a stall. Clones share the data, as two clients of one backend do. It is made for
/// tests: values are kept until it is dropped, a deleted one until it is purged, and nothing is
/// wiped. A shutdown ends the one client, not its clones.
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
    places: Mutex<Places>,
    down: AtomicBool,
    stalled: watch::Sender<bool>,
    metrics: Arc<StorageMetrics>,
}

#[derive(Default)]
struct Places {
    live: BTreeMap<CredentialPath, Entry>,
    deleted: BTreeMap<CredentialPath, Entry>,
    writes: u64,
}

#[derive(Clone)]
struct Entry {
    stored: Sealed,
    /// What a backend would keep of it. Edited, it is no longer what `stored` is encoded as.
    bytes: Vec<u8>,
    revision: u64,
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

/// Counts only: what it keeps is nobody's business.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("description", &self.description)
            .field("credentials", &self.places().live.len())
            .finish_non_exhaustive()
    }
}

impl Reference {
    /// Its name in errors.
    pub const NAME: &'static str = "reference";

    /// An empty one without limits. Its `operation_timeout` is 5 seconds, though nothing in it
    /// waits outside a stall.
    #[must_use]
    pub fn new() -> Self {
        let description = Description::new(Self::NAME, Duration::from_secs(5)).with_in_doubt(Duration::ZERO);
        Self { description, abilities: true, is_shut_down: AtomicBool::default(), shared: Arc::default() }
    }

    /// Takes no more than this. The payload is counted in this provider's own encoding.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.description.limits = limits;
        self
    }

    /// Hands out neither compare-and-set nor recovery; a delete is final.
    #[must_use]
    pub fn without_abilities(mut self) -> Self {
        self.abilities = false;
        self
    }

    /// Makes every operation fail as [`Unavailable`](StorageErrorKind::Unavailable) and without
    /// effect, or work again.
    pub fn set_outage(&self, down: bool) {
        self.shared.down.store(down, Ordering::SeqCst);
    }

    /// Makes every operation wait, or go on again. One that has waited for its `operation_timeout`
    /// fails as [`Busy`](StorageErrorKind::Busy) and without effect; waiting needs a tokio runtime
    /// with time enabled.
    pub fn set_stall(&self, held: bool) {
        self.shared.stalled.send_replace(held);
    }

    /// Replaces the bytes kept for a path, past the provider; false where nothing is stored. Other
    /// bytes than the original ones are corrupted for a reader.
    pub fn edit_raw(&self, path: &CredentialPath, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> bool {
        let mut places = self.places();
        let Some(entry) = places.live.get_mut(path) else { return false };
        entry.bytes = edit(std::mem::take(&mut entry.bytes));
        true
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        // A panic elsewhere cannot leave the maps half changed: no step between two changes can
        // panic.
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs an operation: outage, stall, metrics and the error's context are the same for all.
    async fn run<T>(
        &self,
        operation: Operation,
        target: impl Into<Target>,
        work: impl FnOnce(&mut Places) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let started = Instant::now();
        let result = match self.is_let_go().await {
            _ if self.is_shut_down.load(Ordering::SeqCst) => Err(StorageErrorKind::ShutDown.into()),
            _ if self.shared.down.load(Ordering::SeqCst) => {
                Err(StorageError::unavailable("an outage was asked for"))
            }
            false => Err(StorageError::busy("a stall was asked for")),
            true => work(&mut self.places()),
        };
        let success = result.as_ref().map_or_else(StorageError::is_not_found, |_| true);
        self.shared.metrics.record_operation(operation.as_str(), started.elapsed(), success);
        result.map_err(|error| error.at(Self::NAME, operation, target))
    }

    /// Waits in a stall for its end; false: the time is over.
    async fn is_let_go(&self) -> bool {
        let mut stalled = self.shared.stalled.subscribe();
        let goes_on = !*stalled.borrow();
        // No timer where there is nothing to wait for, so that none is needed.
        goes_on
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
            StorageError::invalid_request("the metadata is of a newer version; update this one")
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
        self.run(operation, Target::Scope(ctx.scope_id.clone()), |places| {
            let mut names = Vec::new();
            for (path, entry) in places.live.iter().filter(|(path, _)| belongs(path)) {
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
        _ => Err(StorageError::corrupted("it is not in this provider's encoding")),
    }
}

fn absent() -> StorageError {
    StorageErrorKind::NotFound.into()
}

impl Places {
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
        self.run(Operation::Store, path.clone(), |places| {
            places.write(path, self.checked(data, metadata)?);
            Ok(())
        })
        .await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Retrieve, path.clone(), |places| read(places.live.get(&path).ok_or_else(absent)?))
            .await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Delete, path.clone(), |places| {
            if let Some(entry) = places.live.remove(&path).filter(|_| self.abilities) {
                places.deleted.insert(path, entry);
            }
            Ok(())
        })
        .await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Exists, path.clone(), |places| Ok(places.live.contains_key(&path))).await
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
        self.run(Operation::RetrieveVersioned, path.clone(), |places| {
            let entry = places.live.get(&path).ok_or_else(absent)?;
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
        self.run(Operation::StoreIf, path.clone(), |places| {
            let value = self.checked(data, metadata)?;
            let stored = places.live.get(&path).map(|entry| entry.revision.to_string());
            if stored.as_deref() != expected.map(Revision::as_str) {
                return Err(StorageError::conflict("another revision is stored"));
            }
            Ok(places.write(path, value))
        })
        .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SoftDelete for Reference {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Recover, path.clone(), |places| {
            let entry = places.deleted.remove(&path).ok_or_else(absent)?;
            places.write(path, (entry.stored, entry.bytes));
            Ok(())
        })
        .await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let path = ctx.path(id).to_path();
        self.run(Operation::Purge, path.clone(), |places| {
            places.deleted.remove(&path);
            Ok(())
        })
        .await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        self.run(Operation::ListDeleted, Target::Scope(ctx.scope_id.clone()), |places| {
            let here = places.deleted.keys().filter(|path| path.scope == ctx.scope_id);
            Ok(here.map(|path| path.id.clone()).collect())
        })
        .await
    }
}
