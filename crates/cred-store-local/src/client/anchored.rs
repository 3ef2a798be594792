//! Directories that are known to survive a power cut.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use cred_core::StorageError;
use rustix::fs::Stat;

/// Directories that are remembered: some 2 MiB. Beyond it all are forgotten, which costs a sync each.
const MOST: usize = 64 * 1_024;

/// The device and the number of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(u64, u64);

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        #[allow(clippy::useless_conversion, reason = "the types differ among systems")]
        Self(u64::try_from(stat.st_dev).unwrap_or_default(), u64::from(stat.st_ino))
    }
}

/// The directories whose entries in those above them were synced in this process. That a directory is there proves
/// nothing: who made it may be about to sync it, or was killed before.
#[derive(Debug, Default)]
pub(super) struct Anchored(Mutex<HashSet<Identity>>);

impl Anchored {
    /// Syncs where that was not done yet. Two threads may both do so.
    pub(super) fn once(
        &self,
        directory: Identity,
        sync: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&directory) {
            return Ok(());
        }
        sync()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(directory);
        Ok(())
    }
}
