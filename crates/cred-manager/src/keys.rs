//! The keys that seal and open credentials. They can be replaced while the manager runs.

use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use cred_core::Sealer;
use futures_util::future::join_all;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::observe::observe;
use crate::{CredentialManager, ManagerError};

impl CredentialManager {
    /// Replaces the keys that seal and open credentials, for every clone and every scoped handle,
    /// while they are in use.
    ///
    /// ```
    /// # use cred_manager::{crypto::KeyRing, CredentialManager, ManagerError};
    /// # async fn example(
    /// #     manager: CredentialManager,
    /// #     both: KeyRing,
    /// #     new_only: KeyRing,
    /// # ) -> Result<(), ManagerError> {
    /// // Seals under the new key, and still opens credentials under the former one.
    /// manager.set_keys(both).await?;
    /// let report = manager.rekey().await?;
    /// assert!(report.is_complete());
    /// // Later, once the conditions under "Before you remove the former keys" are met:
    /// manager.set_keys(new_only).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// To replace a key without downtime:
    ///
    /// 1. Call `set_keys` with a ring in which the new key is the active one and which still has
    ///    the former keys.
    /// 2. Run [`rekey`](Self::rekey) until its report is complete.
    /// 3. Call `set_keys` with a ring without the former keys.
    ///
    /// # Consistency
    /// - Every write that seals after the call uses the new keys.
    /// - It returns once all writes that were sealed under former keys have ended, including those
    ///   from before earlier calls: a re-key that has already passed a credential would miss a
    ///   write to it that takes effect later. New writes and reads do not wait.
    /// - Cached credentials stay cached.
    /// - A re-key that is running may have resealed credentials under the former keys: run it
    ///   again.
    ///
    /// # Before you remove the former keys
    /// A complete re-key does not prove that no credential is left under the former keys:
    ///
    /// - Over an eventually consistent provider, a new credential may not be listed yet
    ///   ([`Consistency`](cred_core::Consistency), `list`).
    /// - A deleted credential that can still be recovered ([`list_deleted`](Self::list_deleted)) is
    ///   not resealed, and [`recover`](Self::recover) restores it under its former key. Recover it
    ///   before the re-key, purge it, or keep the former keys for as long as the backend keeps it.
    /// - A write whose outcome is unknown ([`ManagerError::may_have_written`]) has ended, but may
    ///   still take effect for [`Description::in_doubt`](cred_core::Description::in_doubt). Without
    ///   compare-and-set, the re-key waits for that time before it reseals such a credential. It
    ///   does not wait if the credential is not listed, or is under the active key, or if the
    ///   provider has compare-and-set.
    ///
    /// Where this matters, run the re-key again once these times have passed since `set_keys`
    /// returned.
    ///
    /// A read that is running when the former keys are removed may have read the bytes from before
    /// the re-key. It then fails with [`SealError::UnknownKey`](cred_core::SealError::UnknownKey),
    /// and the next read succeeds. To prevent that, remove the keys only once all reads that began
    /// before the re-key have ended: after the provider's `operation_timeout`.
    ///
    /// # Other processes
    /// Other processes need the new key before the first write under it. First give each of them a
    /// ring that has both keys, then make the new key active in each, and then run the re-key in
    /// one of them.
    ///
    /// # Errors
    /// - [`ManagerError::RootOnly`] on a scoped handle: other tenants use the same keys.
    /// - [`ManagerError::FormerKeysInUse`] if a write under former keys does not end within about
    ///   four times the provider's `operation_timeout`, such as one whose future is kept without
    ///   being polled. The new keys are in use; call it again to wait for the rest.
    /// - [`ManagerError::ShutDown`], also if the shutdown begins while it waits.
    ///
    /// # Cancellation
    /// The first poll replaces the keys. Dropping the future later only ends the wait; call it
    /// again to wait for the rest.
    pub async fn set_keys(&self, sealer: impl Sealer + 'static) -> Result<(), ManagerError> {
        observe("set_keys", self, None, async {
            if let Some(scope) = self.scope() {
                return Err(ManagerError::RootOnly { operation: "set_keys", scope: scope.clone() });
            }
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let former = shared.sealing.keys.replace(Arc::new(sealer));
            // A write of a re-key takes the longest: it seals, waits for the lock, reads again, and
            // writes.
            let limit = shared.task_limit().saturating_mul(2);
            let ended = timeout(limit, join_all(former.iter().map(TaskTracker::wait)));
            let ended = shared.tasks.until_closed(ended).await?;
            ended.map(drop).map_err(|_| ManagerError::FormerKeysInUse { limit })
        })
        .await
    }
}

/// The active sealer, and the running writes that were sealed by it and by the sealers before it.
pub(crate) struct Keys(RwLock<ActiveSealer>);

struct ActiveSealer {
    sealer: Arc<dyn Sealer>,
    /// Counts the running writes of this sealer.
    writes: TaskTracker,
    /// The counts of former sealers that are not zero. They can only decrease.
    former: Vec<TaskTracker>,
}

/// Counts a write from before it is sealed until it has ended.
pub(crate) struct WriteToken {
    _guard: TaskTrackerToken,
}

impl Keys {
    pub(crate) fn new(sealer: Arc<dyn Sealer>) -> Self {
        Self(RwLock::new(ActiveSealer { sealer, writes: TaskTracker::new(), former: Vec::new() }))
    }

    /// The sealer that opens credentials.
    pub(crate) fn sealer(&self) -> Arc<dyn Sealer> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).sealer)
    }

    /// The sealer for a write that begins now, and the token that counts the write.
    pub(crate) fn begin_write(&self) -> (Arc<dyn Sealer>, WriteToken) {
        // Both under the lock: either `replace` counts the write, or the write gets the new sealer.
        let active = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&active.sealer), WriteToken { _guard: active.writes.token() })
    }

    /// Replaces the sealer. Returns the counts of the writes of all former ones.
    fn replace(&self, sealer: Arc<dyn Sealer>) -> Vec<TaskTracker> {
        let mut active = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let former = mem::replace(&mut active.sealer, sealer);
        let writes = mem::take(&mut active.writes);
        // Waiting for a tracker ends at zero only once it is closed.
        writes.close();
        active.former.push(writes);
        active.former.retain(|writes| !writes.is_empty());
        let writes = active.former.clone();
        drop(active);
        // Outside of the lock, and before any wait: dropping it may wipe keys.
        drop(former);
        writes
    }
}
