//! The stored data, in the encoded form that a backend would store.

use std::collections::BTreeMap;
use std::sync::Arc;

use cred_core::{CredentialPath, PathRef, Revision};
use cred_provider_kit::ListRange;

/// The credentials of all scopes.
#[derive(Default)]
pub(crate) struct State {
    live: BTreeMap<CredentialPath, Entry>,
    /// Payloads of deleted credentials that can be recovered. Contains no path that is live.
    deleted: BTreeMap<CredentialPath, Arc<[u8]>>,
    writes: u64,
}

/// One stored value.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) payload: Arc<[u8]>,
    pub(crate) revision: Revision,
}

impl State {
    pub(crate) fn get(&self, path: PathRef<'_>) -> Option<&Entry> {
        self.live.get(&path.to_path())
    }

    /// Stores a payload under a revision that was never used before, and removes a deleted value.
    pub(crate) fn put(&mut self, path: PathRef<'_>, payload: Arc<[u8]>) -> Revision {
        self.writes = self.writes.saturating_add(1);
        let revision = Revision::new(self.writes.to_string());
        self.purge(path);
        self.live.insert(path.to_path(), Entry { payload, revision: revision.clone() });
        revision
    }

    /// Deletes the live value. If `soft`, it can be recovered.
    pub(crate) fn delete(&mut self, path: PathRef<'_>, soft: bool) {
        if let Some((path, entry)) = self.live.remove_entry(&path.to_path()).filter(|_| soft) {
            self.deleted.insert(path, entry.payload);
        }
    }

    /// Restores the deleted value under a new revision. Returns false if none exists.
    pub(crate) fn recover(&mut self, path: PathRef<'_>) -> bool {
        match self.deleted.remove(&path.to_path()) {
            Some(payload) => {
                self.put(path, payload);
                true
            }
            None => false,
        }
    }

    /// Removes the deleted value.
    pub(crate) fn purge(&mut self, path: PathRef<'_>) {
        self.deleted.remove(&path.to_path());
    }

    /// The paths of the live values in reach.
    pub(crate) fn paths(&self, reach: ListRange<'_>) -> Vec<CredentialPath> {
        self.live.keys().filter(|path| reach.contains(path)).cloned().collect()
    }

    /// The paths of the deleted values in reach.
    pub(crate) fn deleted(&self, reach: ListRange<'_>) -> Vec<CredentialPath> {
        self.deleted.keys().filter(|path| reach.contains(path)).cloned().collect()
    }
}
