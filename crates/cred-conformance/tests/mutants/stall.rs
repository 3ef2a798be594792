//! The behaviour of a flawed provider during a stall of its backend.

use std::sync::Arc;
use std::time::Duration;

use cred_conformance::doubles::Reference;
use cred_core::{CredentialPath, Operation, Sealed, StorageError, StorageProvider as _, Target};
use tokio::time::timeout;

use crate::bench::{Flawed, Shared, context, other};
use crate::flaw::Flaw;

impl Flawed {
    pub(crate) fn is_stalled(&self) -> bool {
        *self.shared.stalled.borrow()
    }

    /// Waits for the end of a stall, up to the `operation_timeout`.
    pub(crate) async fn wait_for_stall(
        &self,
        operation: Operation,
        target: impl Into<Target>,
    ) -> Result<(), StorageError> {
        match self.stall_ends_in_time().await {
            true => Ok(()),
            false => Err(self.stall_error(operation).at(Reference::NAME, operation, target)),
        }
    }

    /// Like [`Flawed::wait_for_stall`], for a write that stores `wanted`. Some flaws execute the
    /// write later although the operation failed.
    pub(crate) async fn wait_for_stall_before_write(
        &self,
        operation: Operation,
        path: &CredentialPath,
        wanted: Option<Sealed>,
    ) -> Result<(), StorageError> {
        let late = match self.flaw {
            _ if !self.is_stalled() => None,
            Some(
                Flaw::WritesAfterItTimedOut | Flaw::WritesAfterItWasDropped | Flaw::WritesAfterItWasRefused,
            ) => Some(tokio::spawn(write_after_stall(
                Arc::clone(&self.shared),
                self.inner.clone(),
                path.clone(),
                wanted,
            ))),
            // It waits for less time than the `operation_timeout`, so it has ended if the caller
            // waits that long.
            Some(Flaw::WritesAfterItWasDroppedEarly) => {
                let late =
                    write_after_stall(Arc::clone(&self.shared), self.inner.clone(), path.clone(), wanted);
                let patience = self.description.operation_timeout * 9 / 10;
                tokio::spawn(async move { _ = timeout(patience, late).await });
                None
            }
            _ => None,
        };
        let waited = self.wait_for_stall(operation, path.clone()).await;
        if let (Some(late), Some(Flaw::WritesAfterItWasDropped)) = (late, self.flaw) {
            late.abort();
        }
        waited
    }

    async fn stall_ends_in_time(&self) -> bool {
        match self.flaw {
            Some(Flaw::HangsInAStall) => {
                stall_end(&self.shared).await;
                true
            }
            Some(Flaw::BlocksTheRuntime) => {
                while self.is_stalled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                true
            }
            _ => timeout(self.description.operation_timeout, stall_end(&self.shared)).await.is_ok(),
        }
    }

    fn stall_error(&self, operation: Operation) -> StorageError {
        match self.flaw {
            Some(Flaw::StallIsOther) => other("it took too long").into(),
            Some(Flaw::WritesAfterItTimedOut) if operation.is_write() => {
                StorageError::in_doubt("the backend did not answer")
            }
            _ => StorageError::busy("the backend is stalled"),
        }
    }
}

async fn stall_end(shared: &Shared) {
    let _ = shared.stalled.subscribe().wait_for(|held| !held).await;
}

/// Writes after the end of the stall, whether or not the caller still waits.
async fn write_after_stall(
    shared: Arc<Shared>,
    inner: Reference,
    path: CredentialPath,
    wanted: Option<Sealed>,
) {
    stall_end(&shared).await;
    let here = context(&path);
    let _ = match wanted {
        Some(Sealed { data, metadata }) => inner.store(&path.id, data, metadata, &here).await,
        None => inner.delete(&path.id, &here).await,
    };
}
