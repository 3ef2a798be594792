//! A load that was begun: it lands with an answer, or ends without one.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{CredentialPath, Timestamp};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Cache, Entry, Loaded};
use crate::windows::later;

/// A value that had expired before it was loaded is handed out, and kept so long at most: somebody is about to replace it.
const EXPIRED_TTL: Duration = Duration::from_secs(1);

/// The one who loads a path. Dropped without [`Load::land`], as by a panic, it wakes its readers without an answer.
pub(crate) struct Load {
    cache: Arc<Cache>,
    path: CredentialPath,
    number: u64,
    sender: watch::Sender<Option<Loaded>>,
    started: Instant,
    started_at: Timestamp,
    /// Whether the value may be kept: the load did not start in a quiet time.
    keep: bool,
    landed: bool,
}

impl Load {
    pub(super) fn new(
        cache: Arc<Cache>,
        path: CredentialPath,
        number: u64,
        sender: watch::Sender<Option<Loaded>>,
        started: Instant,
        keep: bool,
    ) -> Self {
        Self { cache, path, number, sender, started, started_at: Timestamp::now(), keep, landed: false }
    }

    pub(crate) const fn path(&self) -> &CredentialPath {
        &self.path
    }

    /// Keeps the value, if it may be kept, and gives it to everybody who waits.
    pub(crate) fn land(mut self, answer: Loaded) {
        self.landed = true;
        if answer.is_err() {
            self.cache.counters.failure();
        }
        let entry = match &answer {
            Ok(Some(credential)) if self.keep => {
                let deadline = self.deadline(credential.expires_at());
                Some(Entry { credential: credential.clone(), deadline })
            }
            _ => None,
        };
        let outdated = entry.is_some() || matches!(answer, Ok(None));
        let mut evicted = Vec::new();
        let mut load_table = self.cache.load_table();
        let linked =
            load_table.in_flight.get(&self.path).is_some_and(|flight| flight.number() == self.number);
        let unlinked = linked.then(|| load_table.in_flight.remove(&self.path));
        // What a refresh finds replaces what was cached, and so does its absence; a failure leaves it.
        let replaced = (linked && outdated).then(|| self.cache.map.remove(&self.path));
        let unused = match entry {
            Some(entry) if linked => {
                self.cache.map.insert_with_lifecycle(self.path.clone(), entry, &mut evicted);
                None
            }
            unused => unused,
        };
        drop(load_table);
        self.cache.counters.evicted(evicted.len());
        drop((unlinked, replaced, unused, evicted));
        self.sender.send_replace(Some(answer));
    }

    /// Until when the value may be handed out: the cache's time from the start of the load, or its own expiry.
    fn deadline(&self, expires_at: Option<Timestamp>) -> Instant {
        let ttl = match expires_at {
            None => self.cache.rules.ttl,
            Some(expiry) if expiry <= self.started_at => self.cache.rules.ttl.min(EXPIRED_TTL),
            Some(expiry) => self.cache.rules.ttl.min(expiry.saturating_since(self.started_at)),
        };
        later(self.started, ttl)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if !self.landed {
            self.cache.counters.failure();
        }
        let mut load_table = self.cache.load_table();
        let linked =
            load_table.in_flight.get(&self.path).is_some_and(|flight| flight.number() == self.number);
        let unlinked = linked.then(|| load_table.in_flight.remove(&self.path));
        drop(load_table);
        drop(unlinked);
    }
}
