//! A provider whose writes become visible late.

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

/// Wraps any provider and makes its own writes visible late, like a replicated backend: to reads of
/// one credential after one delay, to lists after another. Conditional stores and the list of
/// deleted ids see every write at once.
///
/// Only writes through this wrapper lag. The delays use tokio's clock, so a test can control them
/// with a paused clock.
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
    inner: VersionLog<P>,
    description: Description,
    point: Duration,
    list: Duration,
}

/// Forwards every call, and records the stored value before and after each write.
struct VersionLog<P> {
    inner: P,
    /// The longest lag: an older write is visible everywhere.
    longest: Duration,
    /// The values read at each path just before and after each recent write, oldest first.
    recent: Mutex<BTreeMap<CredentialPath, Vec<Version>>>,
}

struct Version {
    /// `None` if it is older than the first recorded write.
    since: Option<Instant>,
    read: Result<Sealed, StorageError>,
}

/// Prints the wrapped provider and the delays, without the recorded values.
impl<P: fmt::Debug> fmt::Debug for Lagging<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lagging")
            .field("inner", &self.inner.inner)
            .field("point", &self.point)
            .field("list", &self.list)
            .finish_non_exhaustive()
    }
}

impl<P> VersionLog<P> {
    fn recent(&self) -> MutexGuard<'_, BTreeMap<CredentialPath, Vec<Version>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: StorageProvider> Wrapper for VersionLog<P> {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &self.inner
    }

    fn description(&self) -> &Description {
        self.inner.describe()
    }

    /// The two reads are not atomic with the write, so some values of concurrent writes never
    /// become visible.
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
        // Drop versions that are too old to be returned.
        while versions.get(1).is_some_and(|version| is_visible(version, self.longest, now)) {
            versions.remove(0);
        }
        answer
    }
}

impl<P: StorageProvider> Lagging<P> {
    /// Wraps a provider. Writes become visible to reads after `point` and to lists after `list`;
    /// its description declares these bounds.
    #[must_use]
    pub fn new(inner: P, point: Duration, list: Duration) -> Self {
        let description = inner.describe().clone().with_consistency(Consistency::Eventual { point, list });
        let inner = VersionLog { inner, longest: point.max(list), recent: Mutex::default() };
        Self { inner, description, point, list }
    }

    /// Declares another consistency than it has, to test wrong declarations.
    #[must_use]
    pub fn claiming(mut self, consistency: Consistency) -> Self {
        self.description.consistency = consistency;
        self
    }

    /// The result of a lagging read; `None` if all writes are visible, so the wrapped provider must
    /// be called.
    fn lagging(versions: &[Version], lag: Duration, now: Instant) -> Option<&Result<Sealed, StorageError>> {
        match versions.last() {
            Some(last) if !is_visible(last, lag, now) => {
                let visible = versions.iter().rev().find(|version| is_visible(version, lag, now));
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

    /// Replaces the current names by those that a lagging list contains.
    fn apply_lag(
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

fn is_visible(version: &Version, lag: Duration, now: Instant) -> bool {
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
        self.apply_lag(filter, |path| path.scope == ctx.scope_id, &mut names)?;
        Ok(names.into_iter().map(|path| path.id).collect())
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let mut names = self.inner.list_tree(filter, ctx).await?;
        self.apply_lag(filter, |path| path.is_within(ctx.scope_id.as_ref()), &mut names)?;
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
        // Without recorded versions, reads reach the wrapped provider, which refuses them now.
        self.inner.recent().clear();
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        // The wrapped provider also counts the wrapper's own reads, so its metrics are wrong for
        // this one.
        None
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.inner.compare_and_set()
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.inner.soft_delete()
    }
}
