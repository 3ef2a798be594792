//! Remembers which directories are known to survive a power cut.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cred_core::StorageResult;
use rustix::fs::Stat;

/// Maximum number of remembered directories: about 2 MiB with names of 60 bytes. When it is
/// reached, all are forgotten, which costs one more sync for each.
const MAX_REMEMBERED: usize = 16 * 1_024;

/// The device and the inode number of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        #[allow(clippy::useless_conversion, reason = "the types differ among systems")]
        Self(u64::try_from(stat.st_dev).unwrap_or_default(), u64::from(stat.st_ino))
    }
}

/// A directory entry: the parent directory and a name in it.
pub(super) type EntryKey = (Identity, Box<str>);

/// The directories whose entry in their parent was synced by this process. That a directory exists
/// does not prove it durable: the process that created it may not have synced the parent yet, or
/// was killed before it did.
#[derive(Debug, Default)]
pub(super) struct DurableDirectories(Mutex<HashMap<EntryKey, Identity>>);

impl DurableDirectories {
    /// Runs `sync` unless it already succeeded for this entry and directory. Two threads may both
    /// run it.
    pub(super) fn sync_once(
        &self,
        key: EntryKey,
        directory: Identity,
        sync: impl FnOnce() -> StorageResult<()>,
    ) -> StorageResult<()> {
        if self.known().get(&key) == Some(&directory) {
            return Ok(());
        }
        sync()?;
        let mut known = self.known();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(key, directory);
        Ok(())
    }

    /// Forgets an entry that no longer exists. Must be called before a new directory is created
    /// there: the new one may get the inode number of the removed one and be mistaken for it.
    pub(super) fn forget(&self, key: &EntryKey) {
        self.known().remove(key);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<EntryKey, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cred_core::StorageError;

    use super::*;

    fn synced(durable: &DurableDirectories, key: &EntryKey, directory: Identity) -> bool {
        let mut synced = false;
        let sync = || {
            synced = true;
            Ok(())
        };
        durable.sync_once(key.clone(), directory, sync).unwrap();
        synced
    }

    #[test]
    fn a_directory_is_synced_once_and_synced_again_after_it_was_recreated() {
        let durable = DurableDirectories::default();
        let (base, first, second) = (Identity(1, 1), Identity(1, 2), Identity(1, 3));
        let [first_entry, second_entry] = ["org=a", "org=b"].map(|name| (base, name.into()));
        assert!(synced(&durable, &first_entry, first) && !synced(&durable, &first_entry, first));
        assert!(synced(&durable, &second_entry, first), "another entry with a reused inode number");
        assert!(synced(&durable, &first_entry, second), "another directory under the same name");
        durable.forget(&first_entry);
        assert!(synced(&durable, &first_entry, second), "recreated with the same inode number");
    }

    #[test]
    fn a_failed_sync_is_not_remembered() {
        let durable = DurableDirectories::default();
        let (key, directory) = ((Identity(1, 1), "org=a".into()), Identity(1, 2));
        let failed = || Err(StorageError::unavailable("no"));
        assert!(durable.sync_once((Identity(1, 1), "org=a".into()), directory, failed).is_err());
        assert!(synced(&durable, &key, directory));
    }
}
