//! The keys that seal and open, which can be exchanged while the manager runs.

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
    /// Exchanges what seals and opens credentials, for every clone and every scoped handle, while
    /// they are in use. To replace a key without downtime:
    ///
    /// 1. `set_keys` with a ring that has the new key as the active one and still has the former
    ///    keys.
    /// 2. [`rekey`](Self::rekey), until its report is complete.
    /// 3. `set_keys` with a ring without the former keys.
    ///
    /// Every write that seals after this was called uses the new keys. It returns once all writes
    /// that were sealed under former keys have ended, those of earlier exchanges included: a write
    /// that took effect later would not be found by a re-key that has already passed it. New writes
    /// and reads do not wait.
    ///
    /// Cached credentials stay. A re-key that is under way may have resealed credentials under the
    /// former keys: run it again.
    ///
    /// # Before the former keys are dropped
    /// A complete re-key does not prove that nothing is left under the former keys:
    ///
    /// - Over an eventually consistent provider, a new credential may not be listed yet
    ///   ([`Consistency`](cred_core::Consistency), `list`).
    /// - A deleted credential that can still be recovered ([`list_deleted`](Self::list_deleted)) is
    ///   not resealed, and [`recover`](Self::recover) brings it back under the key of its time.
    ///   Recover it before the re-key, purge it, or keep the former keys for as long as the backend
    ///   keeps it.
    /// - A write whose outcome is unknown ([`ManagerError::may_have_written`]) has ended, but may
    ///   still take effect for [`Description::in_doubt`](cred_core::Description::in_doubt). Without
    ///   compare-and-set, the re-key waits for that time before it reseals such a credential. It
    ///   does not wait if the credential is not listed, or is under the active key, or if the
    ///   provider has compare-and-set.
    ///
    /// Where this matters, run the re-key again once these times have passed since `set_keys`
    /// returned.
    ///
    /// A read that is under way when they are dropped may have read the bytes from before the
    /// re-key. It then fails with [`SealError::UnknownKey`](cred_core::SealError::UnknownKey), and
    /// the next read succeeds. To prevent that, drop them only once a read that began before the
    /// re-key has ended: after the provider's `operation_timeout`.
    ///
    /// # Other processes
    /// They need the new key before the first write under it: give each of them a ring that has
    /// both keys, then make the new key active in each, and then run the re-key in one of them.
    ///
    /// # Errors
    /// [`ManagerError::RootOnly`] on a scoped handle: other tenants use the same keys.
    /// [`ManagerError::FormerKeysInUse`] if a write under former keys does not end in about four
    /// times the provider's `operation_timeout`, such as one whose future is kept without being
    /// polled: the new keys are in use, and another call waits for the rest.
    /// [`ManagerError::ShutDown`], also if the shutdown begins while it waits.
    ///
    /// # Cancellation
    /// Once polled, the keys are exchanged. Dropped later, it only no longer waits; another call
    /// waits for the rest.
    pub async fn set_keys(&self, sealer: impl Sealer + 'static) -> Result<(), ManagerError> {
        observe("set_keys", self, None, async {
            if let Some(scope) = self.scope() {
                return Err(ManagerError::RootOnly { operation: "set_keys", scope: scope.clone() });
            }
            let shared = &self.shared;
            shared.tasks.refuse_when_closed()?;
            let former = shared.sealing.keys.exchange(Arc::new(sealer));
            // A re-key takes the longest: it seals, waits for the lock, reads again, and writes.
            let limit = shared.task_limit().saturating_mul(2);
            let ended = timeout(limit, join_all(former.iter().map(TaskTracker::wait)));
            let ended = shared.tasks.until_closed(ended).await?;
            ended.map(drop).map_err(|_| ManagerError::FormerKeysInUse { limit })
        })
        .await
    }
}

/// The sealer in use, and the writes that it and its predecessors have sealed and that are under
/// way.
pub(crate) struct Keys(RwLock<InUse>);

struct InUse {
    sealer: Arc<dyn Sealer>,
    /// Counts the writes of this sealer.
    writes: TaskTracker,
    /// The counts of its predecessors that are not zero, each of which only falls.
    former: Vec<TaskTracker>,
}

/// Counts a write from before it is sealed until it has ended.
pub(crate) struct WriteToken {
    _counted: TaskTrackerToken,
}

impl Keys {
    pub(crate) fn new(sealer: Arc<dyn Sealer>) -> Self {
        Self(RwLock::new(InUse { sealer, writes: TaskTracker::new(), former: Vec::new() }))
    }

    /// What opens.
    pub(crate) fn sealer(&self) -> Arc<dyn Sealer> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).sealer)
    }

    /// What seals a write that begins now.
    pub(crate) fn begin_write(&self) -> (Arc<dyn Sealer>, WriteToken) {
        // Both under the lock: an exchange sees the write, or the write sees the exchange.
        let in_use = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&in_use.sealer), WriteToken { _counted: in_use.writes.token() })
    }

    /// Exchanges the sealer. Returns the counts of the writes of all former ones.
    fn exchange(&self, sealer: Arc<dyn Sealer>) -> Vec<TaskTracker> {
        let mut in_use = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let former = mem::replace(&mut in_use.sealer, sealer);
        let writes = mem::take(&mut in_use.writes);
        // Waiting for a count ends at zero only once it is closed.
        writes.close();
        in_use.former.push(writes);
        in_use.former.retain(|writes| !writes.is_empty());
        let writes = in_use.former.clone();
        drop(in_use);
        // Outside of the lock, and before anything is waited for: it may wipe keys.
        drop(former);
        writes
    }
}
