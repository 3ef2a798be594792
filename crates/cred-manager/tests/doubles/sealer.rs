//! A key ring with a fault.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cred_core::{CredentialMetadata, EncryptedData, KeyId, Opened, PathRef, SealError, Sealer, async_trait};
use cred_manager::crypto::KeyRing;
use tokio::time::{Instant, sleep};

use super::keys;

/// Seals and opens as a ring does, except for its fault.
pub(crate) struct Faulty {
    ring: Arc<KeyRing>,
    fault: Fault,
    opening: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// It never returns.
    Stalls,
    /// It never returns when it opens at an id of one character.
    StallsAtShortIds,
    /// It derives at most this many keys at once, for 10 ms each.
    IsBusyBeyond(usize),
    /// It derives no key before this moment.
    IsBusyUntil(Instant),
    /// It panics while it opens at an id of one character.
    PanicsAtShortIds,
    /// It refuses to open.
    Refuses,
    /// Opening takes this long.
    Takes(Duration),
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Arc<Self> {
        Self::with_ring(fault, keys())
    }

    pub(crate) fn with_ring(fault: Fault, ring: Arc<KeyRing>) -> Arc<Self> {
        Arc::new(Self { ring, fault, opening: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Sealer for Faulty {
    fn active_key_id(&self) -> KeyId {
        self.ring.active_key_id()
    }

    async fn seal(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
        secret: &[u8],
    ) -> Result<EncryptedData, SealError> {
        match self.fault {
            Fault::Stalls => pending().await,
            _ => self.ring.seal(path, metadata, secret).await,
        }
    }

    async fn open(
        &self,
        path: PathRef<'_>,
        data: &EncryptedData,
        metadata: &CredentialMetadata,
    ) -> Result<Opened, SealError> {
        match self.fault {
            Fault::Stalls => pending().await,
            Fault::StallsAtShortIds if path.id.as_str().len() == 1 => pending().await,
            Fault::PanicsAtShortIds if path.id.as_str().len() == 1 => panic!("as a defective sealer might"),
            Fault::StallsAtShortIds | Fault::PanicsAtShortIds => {}
            Fault::IsBusyUntil(moment) if Instant::now() < moment => {
                return Err(SealError::KdfBusy { path: path.to_path() });
            }
            Fault::IsBusyUntil(_) => {}
            Fault::Takes(time) => sleep(time).await,
            Fault::IsBusyBeyond(most) => {
                let opening = self.opening.fetch_add(1, Ordering::SeqCst);
                if opening < most {
                    sleep(Duration::from_millis(10)).await;
                }
                self.opening.fetch_sub(1, Ordering::SeqCst);
                if opening >= most {
                    return Err(SealError::KdfBusy { path: path.to_path() });
                }
            }
            Fault::Refuses => {
                let (path, what) = (path.to_path(), "the key service refuses");
                return Err(SealError::Failed { path, what, transient: false, source: None });
            }
        }
        self.ring.open(path, data, metadata).await
    }
}
