//! A load that has begun: it completes with a result, or is dropped without one.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{Credential, CredentialPath, Timestamp};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::call_queue::CallRight;
use super::{Cache, Entry, Loaded};
use crate::ManagerError;
use crate::windows::{LastWrite, Seal, later};

/// The longest time for which a value that had expired before it was loaded is cached: it will
/// probably be replaced soon.
const EXPIRED_TTL: Duration = Duration::from_secs(1);

/// Values that are loaded together should not expire together. So each TTL is shortened by a random
/// part of up to one over this number.
const JITTER: u32 = 10;

/// The load of one path. If it is dropped without [`Load::complete`], for example by a panic, its
/// readers wake up without a result.
pub(crate) struct Load {
    cache: Arc<Cache>,
    path: CredentialPath,
    number: u64,
    sender: watch::Sender<Option<Loaded>>,
    /// `None`: it calls together with another load.
    call_right: Option<CallRight>,
    started: Instant,
    started_at: Timestamp,
    /// The last write in the path's no-cache window, if the load has started in one.
    last_write: Option<LastWrite>,
    completed: bool,
}

/// A credential that a load has read and opened, with the seal that decides whether it is cached.
pub(crate) struct Cacheable {
    pub(crate) credential: Credential,
    pub(crate) seal: Seal,
}

impl Load {
    pub(super) fn new(
        cache: Arc<Cache>,
        path: CredentialPath,
        number: u64,
        sender: watch::Sender<Option<Loaded>>,
        call_right: Option<CallRight>,
        started: Instant,
        last_write: Option<LastWrite>,
    ) -> Self {
        let started_at = Timestamp::now();
        let completed = false;
        Self { cache, path, number, sender, call_right, started, started_at, last_write, completed }
    }

    pub(crate) const fn path(&self) -> &CredentialPath {
        &self.path
    }

    /// Waits until the load may call the provider. `false`: it may not, because the maximum number
    /// of loads was calling for all of `limit`, or because the manager was shut down.
    pub(crate) async fn may_call(&mut self, limit: Duration) -> bool {
        match self.call_right.take() {
            Some(CallRight::Waiting(granted)) => matches!(timeout(limit, granted).await, Ok(Ok(()))),
            Some(CallRight::Refused) => false,
            Some(CallRight::Granted) | None => true,
        }
    }

    /// Caches the value, if that is allowed, and sends it to every reader.
    pub(crate) fn complete(mut self, found: Result<Option<Cacheable>, ManagerError>) {
        self.completed = true;
        let entry = match &found {
            Ok(Some(found)) if self.may_cache(found) => Some(Entry {
                credential: found.credential.clone(),
                deadline: self.deadline(found.credential.expires_at()),
                number: self.number,
            }),
            _ => None,
        };
        // The result of a refresh replaces the cached value, even if the credential no longer
        // exists, has expired and is refused, or may not be cached. A failure does not.
        let replaces = matches!(found, Ok(_) | Err(ManagerError::Expired { .. }));
        if !replaces {
            self.cache.counters.failure();
        }
        let mut evicted = Vec::new();
        let mut table = self.cache.table();
        let unlinked = table.end(self.path.as_path_ref(), self.number);
        let is_linked = unlinked.is_some();
        let replaced =
            (is_linked && replaces).then(|| self.cache.remove(&mut table, self.path.as_path_ref()));
        let unused = match entry {
            Some(entry) if is_linked => {
                table.cached.insert(self.path.as_path_ref());
                self.cache.map.insert_with_lifecycle(self.path.clone(), entry, &mut evicted);
                for (path, _) in &evicted {
                    table.cached.remove(path.as_path_ref());
                }
                None
            }
            unused => unused,
        };
        drop(table);
        self.cache.counters.evicted(evicted.len());
        self.cache.meter.evicted(evicted.len());
        self.cache.size_changed();
        drop((unlinked, replaced, unused, evicted));
        self.sender.send_replace(Some(found.map(|found| found.map(|found| found.credential))));
    }

    fn may_cache(&self, found: &Cacheable) -> bool {
        match self.last_write {
            None => true,
            Some(LastWrite::Stored(seal)) => seal == found.seal,
            Some(LastWrite::Deleted | LastWrite::Recovered | LastWrite::Unknown) => false,
        }
    }

    /// The time after which the value is not returned any more: the start of the load plus the TTL,
    /// or the expiry of the credential if that is earlier. A credential that had expired before is
    /// returned for [`EXPIRED_TTL`] at most.
    fn deadline(&self, expires_at: Option<Timestamp>) -> Instant {
        let ttl = self.cache.rules.ttl;
        let random = u32::try_from(self.cache.jitter.hash_one(self.number) >> 32).unwrap_or(0);
        let ttl = ttl.saturating_sub((ttl / JITTER).mul_f64(f64::from(random) / f64::from(u32::MAX)));
        let ttl = match expires_at {
            None => ttl,
            Some(expiry) if expiry <= self.started_at => ttl.min(EXPIRED_TTL),
            Some(expiry) => ttl.min(expiry.saturating_since(self.started_at)),
        };
        later(self.started, ttl)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.completed {
            self.cache.counters.failure();
            let unlinked = self.cache.table().end(self.path.as_path_ref(), self.number);
            drop(unlinked);
        }
    }
}
