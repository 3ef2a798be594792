//! The versions of a secret in Vault.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The versions of a credential that Vault keeps, without their values.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct VaultVersions {
    /// The number of the latest version, deleted or not. A store adds one. Numbers start again at 1
    /// after a deletion with [`VaultDeleteMode::Metadata`](crate::VaultDeleteMode::Metadata).
    pub current_version: u64,
    /// The versions by their numbers: as many as the mount's or the secret's `max_versions`, by
    /// default 10.
    pub versions: BTreeMap<u64, VaultVersion>,
}

/// One version of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[non_exhaustive]
pub struct VaultVersion {
    /// When it was written, in RFC 3339 by Vault's clock, with up to nine decimals of a second.
    #[serde(default)]
    pub created_time: String,
    /// When it was or will be marked as deleted, as [`created_time`](Self::created_time) is
    /// written. Empty: never. It is in the future on a mount with `delete_version_after`.
    pub deletion_time: String,
    /// Whether its value was removed permanently.
    pub destroyed: bool,
}

/// The state of the latest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CurrentVersion {
    Absent,
    Live,
    /// It has a deletion time, which may be in the future: only the server's clock decides.
    HasDeletionTime,
    Destroyed,
}

impl VaultVersions {
    pub(crate) fn current(&self) -> CurrentVersion {
        match self.versions.get(&self.current_version) {
            None => CurrentVersion::Absent,
            Some(version) if version.destroyed => CurrentVersion::Destroyed,
            Some(version) if version.deletion_time.is_empty() => CurrentVersion::Live,
            Some(_) => CurrentVersion::HasDeletionTime,
        }
    }
}
