//! What a flawed provider does while its backend is held.

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

    /// Waits for the end of a stall, for as long as an operation may take.
    pub(crate) async fn turn(
        &self,
        operation: Operation,
        target: impl Into<Target>,
    ) -> Result<(), StorageError> {
        match self.waits().await {
            true => Ok(()),
            false => Err(self.given_up(operation).at(Reference::NAME, operation, target)),
        }
    }

    /// As [`Flawed::turn`], for a write that leaves `wanted`: here are the flaws by which it
    /// happens all the same.
    pub(crate) async fn turn_to_write(
        &self,
        operation: Operation,
        path: &CredentialPath,
        wanted: Option<Sealed>,
    ) -> Result<(), StorageError> {
        let late = match self.flaw {
            _ if !self.is_stalled() => None,
            Some(
                Flaw::LandsAfterItWasGivenUp | Flaw::LandsAfterItWasDropped | Flaw::LandsAfterItWasDenied,
            ) => {
                Some(tokio::spawn(lands(Arc::clone(&self.shared), self.inner.clone(), path.clone(), wanted)))
            }
            // It waits for less time than the operation has, so it is gone where the caller waits
            // to the end.
            Some(Flaw::LandsWhenDroppedEarly) => {
                let lands = lands(Arc::clone(&self.shared), self.inner.clone(), path.clone(), wanted);
                let patience = self.description.operation_timeout * 9 / 10;
                tokio::spawn(async move { _ = timeout(patience, lands).await });
                None
            }
            _ => None,
        };
        let turn = self.turn(operation, path.clone()).await;
        if let (Some(late), Some(Flaw::LandsAfterItWasDropped)) = (late, self.flaw) {
            late.abort();
        }
        turn
    }

    async fn waits(&self) -> bool {
        match self.flaw {
            Some(Flaw::HangsInAStall) => {
                let_go(&self.shared).await;
                true
            }
            Some(Flaw::BlocksTheRuntime) => {
                while self.is_stalled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                true
            }
            _ => timeout(self.description.operation_timeout, let_go(&self.shared)).await.is_ok(),
        }
    }

    fn given_up(&self, operation: Operation) -> StorageError {
        match self.flaw {
            Some(Flaw::StallIsOther) => other("it took too long").into(),
            Some(Flaw::LandsAfterItWasGivenUp) if operation.is_write() => {
                StorageError::in_doubt("there was no answer")
            }
            _ => StorageError::busy("it is held"),
        }
    }
}

async fn let_go(shared: &Shared) {
    let _ = shared.stalled.subscribe().wait_for(|held| !held).await;
}

/// A thread that waits for the lock and writes, whoever waits for it.
async fn lands(shared: Arc<Shared>, inner: Reference, path: CredentialPath, wanted: Option<Sealed>) {
    let_go(&shared).await;
    let here = context(&path);
    let _ = match wanted {
        Some(Sealed { data, metadata }) => inner.store(&path.id, data, metadata, &here).await,
        None => inner.delete(&path.id, &here).await,
    };
}
