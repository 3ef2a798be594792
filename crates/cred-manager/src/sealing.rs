//! Between credentials and sealed bytes.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    Credential, CredentialMetadata, EncryptedData, PathRef, SealError, Sealer, Stored, Timestamp,
};
use tokio::time::timeout;

use crate::ManagerError;

/// Seals and opens, each within a deadline: a sealer may be a service on the network.
pub(crate) struct Sealing {
    sealer: Arc<dyn Sealer>,
    limit: Duration,
}

impl Sealing {
    pub(crate) fn new(sealer: Arc<dyn Sealer>, limit: Duration) -> Self {
        Self { sealer, limit }
    }

    /// Seals a credential that is stored now, for the first time or in the place of another.
    pub(crate) async fn seal(
        &self,
        path: PathRef<'_>,
        credential: &Credential,
    ) -> Result<(EncryptedData, CredentialMetadata), ManagerError> {
        let metadata = credential.to_metadata(Timestamp::now());
        let secret = credential
            .to_secret_bytes()
            .map_err(|source| ManagerError::Credential { path: path.to_owned(), source })?;
        let sealed = self.in_time(path, self.sealer.seal(path, &metadata, &secret)).await?;
        Ok((sealed, metadata))
    }

    /// Opens what was stored under `path`.
    pub(crate) async fn open(
        &self,
        path: PathRef<'_>,
        (data, metadata): &Stored,
    ) -> Result<Credential, ManagerError> {
        let opened = self.in_time(path, self.sealer.open(path, data, metadata)).await?;
        Credential::from_secret_bytes(&opened.secret, &opened.metadata)
            .map_err(|source| ManagerError::Credential { path: path.to_owned(), source })
    }

    async fn in_time<T>(
        &self,
        path: PathRef<'_>,
        work: impl Future<Output = Result<T, SealError>>,
    ) -> Result<T, SealError> {
        timeout(self.limit, work).await.unwrap_or_else(|_| {
            Err(SealError::Failed {
                path: path.to_owned(),
                what: "the sealer gave no answer in time; try again, and check its health if this lasts",
                transient: true,
                source: None,
            })
        })
    }
}
