//! A provider over memory that lags, refuses, loses responses and hangs.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{Call, Description, StorageError, StorageErrorKind, StorageProvider, Wrapper};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};
use tokio::time::sleep;

const OPERATION_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) struct Faulty {
    memory: Arc<MemoryStorageProvider>,
    description: Description,
}

fn chance(one_in: u32) -> bool {
    fastrand::u32(0..one_in) == 0
}

impl Faulty {
    pub(crate) fn memory() -> Arc<MemoryStorageProvider> {
        Arc::new(MemoryStorageProvider::new(MemoryStorageConfig::default()).unwrap())
    }

    pub(crate) fn over(memory: Arc<MemoryStorageProvider>) -> Self {
        let description =
            Description::new("faulty", OPERATION_TIMEOUT).with_in_doubt(Duration::from_millis(20));
        Self { memory, description }
    }
}

impl Wrapper for Faulty {
    fn inner(&self) -> impl Deref<Target: StorageProvider> + Send + Sync {
        &*self.memory
    }

    fn description(&self) -> &Description {
        &self.description
    }

    async fn around<T: Send + 'static>(
        &self,
        _: Call<'_>,
        answer: impl Future<Output = Result<T, StorageError>> + Send,
    ) -> Result<T, StorageError> {
        if chance(4) {
            sleep(Duration::from_micros(fastrand::u64(0..3_000))).await;
        }
        match () {
            () if chance(100) => return Err(StorageErrorKind::Throttled { retry_after: None }.into()),
            () if chance(20_000) => return std::future::pending().await,
            () => {}
        }
        let answer = answer.await;
        if chance(100) { Err(StorageError::unavailable("the response is lost")) } else { answer }
    }

    fn splits_many(&self) -> bool {
        true
    }
}
