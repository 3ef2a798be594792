//! A provider whose writes show late.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{
    Call, CompareAndSet, Consistency, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata,
    CredentialPath, Description, EncryptedData, Sealed, SoftDelete, StorageError, StorageErrorKind,
    StorageMetrics, StorageProvider, Wrapper, async_trait,
};
use tokio::time::Instant;

/// Wraps any provider and shows its own writes late: to reads of one credential after one time, to
/// lists after another, as replicated backends do. Conditional stores and the list of deleted ids
/// see every write at once.
///
/// Only writes through this wrapper lag. The times run on tokio's clock, so a paused one steers
/// them.
///
/// ```
/// # use cred_core::{CredentialContext, CredentialMetadata, EncryptedData, KeyId};
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// # let (id, here) = ("key".parse()?, CredentialContext::unscoped());
/// # let data = EncryptedData::new(KeyId::new("k")?, [0; 32], [0; 32], [0; 12], vec![1], [0; 16]);
/// # let metadata = CredentialMetadata::default();
/// use std::time::Duration;
///
/// use cred_conformance::doubles::{Lagging, Reference};
/// use cred_core::StorageProvider;
///
/// let (point, list) = (Duration::from_millis(50), Duration::from_secs(1));
/// let provider = Lagging::new(Reference::new(), point, list);
/// provider.store(&id, data, metadata, &here).await?;
/// assert!(!provider.exists(&id, &here).await?);
/// tokio::time::sleep(point).await;
/// assert!(provider.exists(&id, &here).await?);
/// assert!(provider.list(None, &here).await?.is_empty());
/// tokio::time::sleep(list).await;
/// assert_eq!(provider.list(None, &here).await?, [id]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Lagging<P> {
    inner: Noting<P>,
    description: Description,
    point: Duration,
    list: Duration,
}

/// Passes everything on, and remembers what could be read before and after each write.
struct Noting<P> {
    inner: P,
    /// The longest lag: a write from before it is visible everywhere.
    longest: Duration,
    /// What was read at each path just before and after each recent write, oldest first.
    recent: Mutex<BTreeMap<CredentialPath, Vec<Version>>>,
}

struct Version {
    /// `None`: from before the first write that was noted.
    since: Option<Instant>,
    read: Result<Sealed, StorageError>,
}

/// The wrapped provider and the times; what was written is left out.
impl<P: fmt::Debug> fmt::Debug for Lagging<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lagging")
            .field("inner", &self.inner.inner)
            .field("point", &self.point)
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

impl<P> Noting<P> {
    fn recent(&self) -> MutexGuard<'_, BTreeMap<CredentialPath, Vec<Version>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: StorageProvider> Wrapper for Noting<P> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.inner
    }

    fn description(&self) -> &Description {
        self.inner.describe()
    }

    /// The two reads are not one step with the write: of concurrent writes, some values are never
    /// shown.
    async fn around<T: Send + 'static>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        let Some(path) = call.path().filter(|_| call.operation.is_write()) else { return answer.await };
        let before = self.inner.retrieve(path.id, call.ctx).await;
        let answer = answer.await;
        if matches!(&answer, Err(error) if *error.kind() == StorageErrorKind::ShutDown) {
            return answer;
        }
        let after = self.inner.retrieve(path.id, call.ctx).await;
        let now = Instant::now();
        let mut recent = self.recent();
        let versions = recent.entry(path.to_path()).or_default();
        if versions.is_empty() {
            versions.push(Version { since: None, read: before });
        }
        versions.push(Version { since: Some(now), read: after });
        // Versions that no lag reaches back to are dropped.
        while versions.get(1).is_some_and(|version| shows(version, self.longest, now)) {
            versions.remove(0);
        }
        answer
    }
}

impl<P: StorageProvider> Lagging<P> {
    /// Shows writes to reads after `point` and to lists after `list`, as its description says.
    #[must_use]
    pub fn new(inner: P, point: Duration, list: Duration) -> Self {
        let description = inner.describe().clone().with_consistency(Consistency::Eventual { point, list });
        let inner = Noting { inner, longest: point.max(list), recent: Mutex::default() };
        Self { inner, description, point, list }
    }

    /// Claims another consistency than it has: for tests of what happens then.
    #[must_use]
    pub fn claiming(mut self, consistency: Consistency) -> Self {
        self.description.consistency = consistency;
        self
    }

    /// What a lagging read gives; `None`: all writes show, the wrapped provider is to be asked.
    fn lagging(versions: &[Version], lag: Duration, now: Instant) -> Option<&Result<Sealed, StorageError>> {
        match versions.last() {
            Some(last) if !shows(last, lag, now) => {
                let visible = versions.iter().rev().find(|version| shows(version, lag, now));
                visible.or(versions.first()).map(|version| &version.read)
            }
            _ => None,
        }
    }

    fn read(&self, id: &CredentialId, ctx: &CredentialContext) -> Option<Result<Sealed, StorageError>> {
        let recent = self.inner.recent();
        let versions = recent.get(&ctx.path(id).to_path())?;
        Self::lagging(versions, self.point, Instant::now()).cloned()
    }

    /// Puts the names that a list shows late in the place of those that it would show now.
    fn as_of_late(
        &self,
        filter: Option<&CredentialFilter>,
        belongs: impl Fn(&CredentialPath) -> bool,
        names: &mut Vec<CredentialPath>,
    ) -> Result<(), StorageError> {
        let now = Instant::now();
        let recent = self.inner.recent();
        for (path, versions) in recent.iter().filter(|(path, _)| belongs(path)) {
            let Some(read) = Self::lagging(versions, self.list, now) else { continue };
            names.retain(|name| name != path);
            let admitted = match (read, filter.filter(|filter| !filter.is_empty())) {
                (Err(error), _) if error.is_not_found() => false,
                (_, None) => true,
                (Ok(read), Some(filter)) => filter.matches(&read.metadata),
                (Err(error), Some(_)) => return Err(error.clone()),
            };
            if admitted {
                names.push(path.clone());
            }
        }
        Ok(())
    }
}

fn shows(version: &Version, lag: Duration, now: Instant) -> bool {
    version.since.is_none_or(|since| since + lag <= now)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> StorageProvider for Lagging<P> {
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
        self.inner.store(id, data, metadata, ctx).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        match self.read(id, ctx) {
            Some(late) => late,
            None => self.inner.retrieve(id, ctx).await,
        }
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.inner.delete(id, ctx).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        match self.read(id, ctx) {
            Some(Err(error)) => Ok(!error.is_not_found()),
            Some(Ok(_)) => Ok(true),
            None => self.inner.exists(id, ctx).await,
        }
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let now = self.inner.list(filter, ctx).await?;
        let mut names = now.iter().map(|id| ctx.path(id).to_path()).collect();
        self.as_of_late(filter, |path| path.scope == ctx.scope_id, &mut names)?;
        Ok(names.into_iter().map(|path| path.id).collect())
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let mut names = self.inner.list_tree(filter, ctx).await?;
        self.as_of_late(filter, |path| path.is_within(ctx.scope_id.as_ref()), &mut names)?;
        Ok(names)
    }

    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Sealed, StorageError>> {
        let now = self.inner.retrieve_many(ids, ctx).await;
        ids.iter().zip(now).map(|(id, now)| self.read(id, ctx).unwrap_or(now)).collect()
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
        // Reads are refused by the wrapped provider from now on.
        self.inner.recent().clear();
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        // The wrapped provider counts the wrapper's own reads as well, so its numbers say nothing
        // of this one.
        None
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.inner.compare_and_set()
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.inner.soft_delete()
    }
}
