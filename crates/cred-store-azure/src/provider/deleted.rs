//! Recovery and purging. Azure answers at once and goes on for seconds.

use cred_core::{CredentialPath, PathRef, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{Reach, Recoverable, Wire};

use super::KeyVault;
use super::writing::Pauses;
use crate::client::Shelf;
use crate::error::Blocked;

impl Recoverable for KeyVault {
    /// Brings a deleted secret back, and waits until it can be read. Joins a recovery that is still
    /// going.
    async fn recover(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &self.naming.name(path);
        let mut pauses = Pauses::new();
        loop {
            let error = match wire.write(|_| self.client.recover(name)).await {
                Ok(_) => return self.until_readable(wire, name).await,
                Err(error) => error,
            };
            match Blocked::of(&error) {
                Some(what @ Blocked::BeingDeleted) => pauses.wait(wire, what).await?,
                // Where an attempt went unanswered, what is there may be its work.
                Some(Blocked::BeingRecovered) => {
                    return match self.is_there(wire, name).await? {
                        true if wire.in_doubt() => Ok(()),
                        true => Err(StorageErrorKind::NotFound.into()),
                        false => self.until_readable(wire, name).await,
                    };
                }
                _ if error.is_not_found() && wire.in_doubt() && self.is_there(wire, name).await? => {
                    return Ok(());
                }
                _ => return Err(error),
            }
        }
    }

    async fn purge(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.purge_secret(wire, &self.naming.name(path)).await
    }

    async fn deleted(&self, wire: &mut Wire<'_>, _: Reach<'_>) -> StorageResult<Vec<CredentialPath>> {
        self.listed(wire, Shelf::Deleted, None).await
    }
}

impl KeyVault {
    /// Removes a deleted secret for good, after its deletion. What is not deleted stays.
    pub(super) async fn purge_secret(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        loop {
            let error = match wire.write(|_| self.client.purge(name)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match Blocked::of(&error) {
                Some(what @ Blocked::BeingDeleted) => pauses.wait(wire, what).await?,
                Some(Blocked::BeingRecovered) => return Ok(()),
                _ if error.is_not_found() => return Ok(()),
                _ => return Err(self.unpurged(wire, name, error).await),
            }
        }
    }

    async fn until_readable(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        while !self.is_there(wire, name).await? {
            pauses.wait(wire, Blocked::BeingRecovered).await?;
        }
        Ok(())
    }

    /// The error of a refused purge: the identity lacks the right, or purge protection is on.
    /// Without the right to read the deleted secret, it is Azure's own error.
    async fn unpurged(&self, wire: &mut Wire<'_>, name: &str, error: StorageError) -> StorageError {
        if !matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }) {
            return error;
        }
        let retention = match wire.read(|_| self.client.retention(name)).await {
            Ok(retention) if !retention.is_purgeable => retention,
            _ => return error,
        };
        let when = match retention.ends {
            Some(moment) => format!("on {} (UTC)", moment.date()),
            None => "at the end of the vault's retention period".to_owned(),
        };
        let reason = format!(
            "purge protection is on for this vault, so no identity can purge the secret; Azure purges it \
             {when}; recover it to use the name before then, as a store does with `over_deleted` = `recover`"
        );
        error.with_kind(StorageErrorKind::PermissionDenied { reason: reason.into() })
    }
}
