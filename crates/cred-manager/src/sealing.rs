//! Sealing credentials to bytes, and opening them.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{Credential, CredentialMetadata, EncryptedData, Opened, PathRef, SealError, Sealed, Sealer};
use tokio::time::{Instant, sleep, timeout};

use crate::ManagerError;
use crate::keys::{Keys, WriteToken};
use crate::windows::later;

/// A sealer derives a few keys from passphrases at once, which takes a second or two, and refuses
/// the others. An opening that it refuses is tried again for this long, with pauses in between.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Seals and opens, each within a deadline: a sealer may be a service on the network.
pub(crate) struct Sealing {
    pub(crate) keys: Keys,
    limit: Duration,
}

/// A sealed credential that is about to be written.
pub(crate) struct SealedWrite {
    pub(crate) sealed: Sealed,
    /// Kept until the write has ended.
    pub(crate) token: WriteToken,
}

impl Sealing {
    pub(crate) fn new(sealer: Arc<dyn Sealer>, limit: Duration) -> Self {
        Self { keys: Keys::new(sealer), limit }
    }

    /// Seals a credential with the metadata that will be stored beside it.
    pub(crate) async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: CredentialMetadata,
        credential: &Credential,
    ) -> Result<SealedWrite, ManagerError> {
        let secret = credential
            .to_secret_bytes()
            .map_err(|source| ManagerError::Credential { path: path.to_path(), source })?;
        Ok(self.seal_bytes(path, metadata, &secret).await?)
    }

    async fn seal_bytes(
        &self,
        path: PathRef<'_>,
        metadata: CredentialMetadata,
        secret: &[u8],
    ) -> Result<SealedWrite, SealError> {
        let (sealer, token) = self.keys.begin_write();
        let data = self.with_timeout(path, sealer.seal(path, &metadata, secret)).await?;
        Ok(SealedWrite { sealed: Sealed { data, metadata }, token })
    }

    /// Opens a credential that was stored under `path`.
    pub(crate) async fn open(&self, path: PathRef<'_>, stored: &Sealed) -> Result<Credential, ManagerError> {
        decode(path, &self.open_bytes(path, stored).await?)
    }

    /// As [`open`](Self::open), but does not decode the secret bytes.
    pub(crate) async fn open_bytes(
        &self,
        path: PathRef<'_>,
        Sealed { data, metadata }: &Sealed,
    ) -> Result<Opened, SealError> {
        let sealer = self.keys.sealer();
        let open = async {
            let busy_until = later(Instant::now(), BUSY_LIMIT);
            loop {
                let opened = sealer.open(path, data, metadata).await;
                let is_busy = matches!(opened, Err(SealError::KdfBusy { .. }));
                if !is_busy || busy_until < Instant::now() {
                    return opened;
                }
                sleep(BUSY_PAUSE).await;
            }
        };
        self.with_timeout(path, open).await
    }

    /// Opens a credential and seals it again under the active key, with unchanged contents. The
    /// sealed metadata becomes the metadata that is stored beside it.
    pub(crate) async fn reseal(&self, path: PathRef<'_>, stored: &Sealed) -> Result<SealedWrite, SealError> {
        let Opened { metadata, secret, .. } = self.open_bytes(path, stored).await?;
        self.seal_bytes(path, metadata, &secret).await
    }

    /// Whether a credential has the same secret as an opened one.
    pub(crate) fn is_value_of(&self, credential: &Credential, opened: &Opened) -> bool {
        credential.to_secret_bytes().is_ok_and(|secret| *secret == *opened.secret)
    }

    /// Whether it is sealed under the active key, so that a re-key can skip it.
    pub(crate) fn is_current(&self, data: &EncryptedData) -> bool {
        self.keys.sealer().is_current(data)
    }

    async fn with_timeout<T>(
        &self,
        path: PathRef<'_>,
        work: impl Future<Output = Result<T, SealError>>,
    ) -> Result<T, SealError> {
        timeout(self.limit, work).await.unwrap_or_else(|_| {
            Err(SealError::Failed {
                path: path.to_path(),
                what: "the sealer did not answer in time; try again, and check its health if this lasts",
                transient: true,
                source: None,
            })
        })
    }
}

/// Decodes an opened credential.
pub(crate) fn decode(path: PathRef<'_>, opened: &Opened) -> Result<Credential, ManagerError> {
    Credential::from_secret_bytes(&opened.secret, &opened.metadata)
        .map_err(|source| ManagerError::Credential { path: path.to_path(), source })
}
