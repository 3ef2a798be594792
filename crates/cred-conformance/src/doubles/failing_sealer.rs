//! A sealer that can fail.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use cred_core::{CredentialMetadata, EncryptedData, KeyId, Opened, PathRef, SealError, Sealer, async_trait};

/// Wraps any sealer and fails during a simulated outage with a transient [`SealError::Failed`],
/// like a key service that is down.
///
/// ```
/// use cred_conformance::doubles::FailingSealer;
/// # fn with(keys: impl cred_core::Sealer) {
/// let sealer = FailingSealer::new(keys);
/// sealer.set_outage(true);
/// # }
/// ```
pub struct FailingSealer<S> {
    inner: S,
    is_down: AtomicBool,
}

impl<S: Sealer> FailingSealer<S> {
    /// Wraps a sealer. It works until an outage is started by [`set_outage`](Self::set_outage).
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner, is_down: AtomicBool::new(false) }
    }

    /// Starts (`true`) or ends (`false`) an outage, in which every `seal` and `open` fails.
    pub fn set_outage(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    fn check(&self, path: PathRef<'_>) -> Result<(), SealError> {
        match self.is_down.load(Ordering::SeqCst) {
            false => Ok(()),
            true => Err(SealError::Failed {
                path: path.to_path(),
                what: "the test simulates an outage",
                transient: true,
                source: None,
            }),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: Sealer> Sealer for FailingSealer<S> {
    fn active_key_id(&self) -> KeyId {
        self.inner.active_key_id()
    }

    fn is_current(&self, data: &EncryptedData) -> bool {
        self.inner.is_current(data)
    }

    async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError> {
        self.check(path)?;
        self.inner.seal(path, metadata, secret).await
    }

    async fn open(
        &self,
        path: PathRef<'_>,
        data: &EncryptedData,
        metadata: &CredentialMetadata,
    ) -> Result<Opened, SealError> {
        self.check(path)?;
        self.inner.open(path, data, metadata).await
    }
}

/// Leaves out the wrapped sealer, which holds keys.
impl<S> fmt::Debug for FailingSealer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailingSealer").field("is_down", &self.is_down).finish_non_exhaustive()
    }
}
