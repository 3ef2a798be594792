//! Directories that are known to survive a power cut.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cred_core::StorageResult;
use rustix::fs::Stat;

/// Directories that are remembered: some 2 MiB, with names of 60 bytes. Beyond it all are
/// forgotten, which costs a sync each.
const MOST: usize = 16 * 1_024;

/// The device and the number of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        #[allow(clippy::useless_conversion, reason = "the types differ among systems")]
        Self(u64::try_from(stat.st_dev).unwrap_or_default(), u64::from(stat.st_ino))
    }
}

/// Where a directory is: its name in the one that holds it.
pub(super) type Place = (Identity, Box<str>);

/// The directories whose entries in those above them were synced in this process. That a directory
/// is there proves nothing: who made it may be about to sync it, or was killed before.
#[derive(Debug, Default)]
pub(super) struct Anchored(Mutex<HashMap<Place, Identity>>);

impl Anchored {
    /// Syncs where that was not done yet. Two threads may both do so.
    pub(super) fn once(
        &self,
        place: Place,
        directory: Identity,
        sync: impl FnOnce() -> StorageResult<()>,
    ) -> StorageResult<()> {
        if self.known().get(&place) == Some(&directory) {
            return Ok(());
        }
        sync()?;
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(place, directory);
        Ok(())
    }

    /// Nothing is there any more. Called before another directory is made there: it may get the
    /// number of the one that was removed, and would be taken for it.
    pub(super) fn forget(&self, place: &Place) {
        self.known().remove(place);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Place, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cred_core::StorageError;

    use super::*;

    fn synced(anchored: &Anchored, place: &Place, directory: Identity) -> bool {
        let mut synced = false;
        let sync = || {
            synced = true;
            Ok(())
        };
        anchored.once(place.clone(), directory, sync).unwrap();
        synced
    }

    #[test]
    fn a_directory_is_synced_once_and_one_that_took_its_number_again() {
        let anchored = Anchored::default();
        let (base, first, second) = (Identity(1, 1), Identity(1, 2), Identity(1, 3));
        let [here, there] = ["org=a", "org=b"].map(|name| (base, name.into()));
        assert!(synced(&anchored, &here, first) && !synced(&anchored, &here, first));
        assert!(synced(&anchored, &there, first), "the number of a directory that was removed elsewhere");
        assert!(synced(&anchored, &here, second), "another directory at the same place");
        anchored.forget(&here);
        assert!(synced(&anchored, &here, second), "removed, and made again with the same number");
    }

    #[test]
    fn a_failed_sync_is_not_remembered() {
        let anchored = Anchored::default();
        let (place, directory) = ((Identity(1, 1), "org=a".into()), Identity(1, 2));
        let failed = || Err(StorageError::unavailable("no"));
        assert!(anchored.once((Identity(1, 1), "org=a".into()), directory, failed).is_err());
        assert!(synced(&anchored, &place, directory));
    }
}
