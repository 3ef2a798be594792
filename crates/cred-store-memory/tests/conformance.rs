//! The contract of a storage provider, clause by clause, in both configurations that change its
//! guarantees.

#![cfg(test)]

use std::sync::Arc;

use cred_conformance::{Edit, Harness, Subject};
use cred_core::{CredentialPath, Limits, async_trait};
use cred_store_memory::{MemoryStorageConfig, MemoryStorageProvider};

/// One store, whose clones are the clients. Memory cannot fail and needs no login, so the harness
/// offers neither an outage nor backend secrets.
struct Memory(MemoryStorageProvider);

impl Memory {
    fn new(config: MemoryStorageConfig) -> Self {
        Self(MemoryStorageProvider::new(config).unwrap())
    }
}

#[async_trait]
impl Harness for Memory {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(self.0.clone())
    }

    async fn reopen(&self) -> Option<Arc<dyn Subject>> {
        Some(self.open().await)
    }

    async fn edit_raw(&self, path: &CredentialPath, edit: Edit<'_>) -> bool {
        self.0.edit_payload(path.as_path_ref(), |payload| *payload = edit(std::mem::take(payload)))
    }
}

mod by_default {
    use super::*;

    cred_conformance::suite!(
        Memory::new(MemoryStorageConfig::default()),
        offers: [compare_and_set, metrics, reopen, raw_edit]
    );
}

mod with_recovery_and_limits {
    use super::*;

    const LIMITS: Limits = Limits::none().with_max_payload_len(64 * 1_024).with_max_tags(10, 100, 200);

    cred_conformance::suite!(
        Memory::new(MemoryStorageConfig::default().with_soft_delete(true).with_limits(LIMITS)),
        offers: [compare_and_set, soft_delete, metrics, payload_limit, tag_limits, reopen, raw_edit]
    );
}
