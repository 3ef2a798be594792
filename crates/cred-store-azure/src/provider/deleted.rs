//! Recovery and purging. Azure responds at once and completes them seconds later.

use cred_core::{CredentialPath, PathRef, StorageError, StorageErrorKind, StorageResult};
use cred_provider_kit::{ListRange, Recoverable, Wire};

use super::KeyVault;
use super::writing::Pauses;
use crate::client::SecretList;
use crate::error::Blocked;

impl Recoverable for KeyVault {
    /// Recovers a deleted secret, and waits until it can be read. If a recovery is in progress,
    /// waits for that one.
    async fn recover(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        let name = &self.naming.name(path);
        let mut pauses = Pauses::new();
        loop {
            let error = match wire.write(|_| self.client.recover(name)).await {
                Ok(_) => return self.wait_until_readable(wire, name).await,
                Err(error) => error,
            };
            match Blocked::of(&error) {
                Some(blocked @ Blocked::BeingDeleted) => pauses.wait(wire, blocked).await?,
                // If an earlier attempt got no response, it may have recovered the secret.
                Some(Blocked::BeingRecovered) => {
                    return match self.secret_exists(wire, name).await? {
                        true if wire.outcome_unknown() => Ok(()),
                        true => Err(StorageErrorKind::NotFound.into()),
                        false => self.wait_until_readable(wire, name).await,
                    };
                }
                _ if error.is_not_found()
                    && wire.outcome_unknown()
                    && self.secret_exists(wire, name).await? =>
                {
                    return Ok(());
                }
                _ => return Err(error),
            }
        }
    }

    async fn purge(&self, wire: &mut Wire<'_>, path: PathRef<'_>) -> StorageResult<()> {
        self.purge_secret(wire, &self.naming.name(path)).await
    }

    async fn deleted(&self, wire: &mut Wire<'_>, _: ListRange<'_>) -> StorageResult<Vec<CredentialPath>> {
        self.list_paths(wire, SecretList::Deleted, None).await
    }
}

impl KeyVault {
    /// Removes a deleted secret permanently, and waits for a deletion in progress. A secret that is
    /// not deleted stays.
    pub(super) async fn purge_secret(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        loop {
            let error = match wire.write(|_| self.client.purge(name)).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match Blocked::of(&error) {
                Some(blocked @ Blocked::BeingDeleted) => pauses.wait(wire, blocked).await?,
                Some(Blocked::BeingRecovered) => return Ok(()),
                _ if error.is_not_found() => return Ok(()),
                _ => return Err(self.purge_error(wire, name, error).await),
            }
        }
    }

    async fn wait_until_readable(&self, wire: &mut Wire<'_>, name: &str) -> StorageResult<()> {
        let mut pauses = Pauses::new();
        while !self.secret_exists(wire, name).await? {
            pauses.wait(wire, Blocked::BeingRecovered).await?;
        }
        Ok(())
    }

    /// Finds the reason of a refused purge: the identity lacks the right, or purge protection is
    /// on. Without the right to read the deleted secret, returns the error unchanged.
    async fn purge_error(&self, wire: &mut Wire<'_>, name: &str, error: StorageError) -> StorageError {
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
             {when}; to use the name before then, recover the secret or store with `over_deleted` = `recover`"
        );
        error.with_kind(StorageErrorKind::PermissionDenied { reason: reason.into() })
    }
}
