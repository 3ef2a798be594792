//! A store whose writers block their thread while they wait for a lock, like embedded databases and
//! synchronous SDKs. Of three ways to call it, on real threads, two are wrong, and the clauses that
//! stall the backend detect both.

#![cfg(test)]

use std::sync::{Arc, Condvar, Mutex, Weak};
use std::time::Duration;

use cred_conformance::doubles::Reference;
use cred_conformance::{Clause, Harness, Offers, Subject};
use cred_core::{
    CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath, Description,
    EncryptedData, Operation, Sealed, StorageError, StorageProvider, async_trait,
};
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallStyle {
    /// On the thread that polls the future.
    Runtime,
    /// On another thread, which always writes.
    Thread,
    /// On another thread, which writes only if the caller still waits when it gets the lock.
    ThreadThatChecksTheCaller,
}

#[derive(Debug, Default)]
struct Lock {
    held: Mutex<bool>,
    released: Condvar,
}

impl Lock {
    fn set(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }

    fn wait(&self) {
        drop(self.released.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
    }
}

#[derive(Debug, Clone)]
struct Blocking {
    style: CallStyle,
    lock: Arc<Lock>,
    store: Reference,
    description: Description,
}

impl Blocking {
    fn new(style: CallStyle) -> Self {
        let description = Description::new(Reference::NAME, Duration::from_secs(2));
        Self {
            style,
            lock: Arc::default(),
            store: Reference::new().without_abilities(),
            description: description.with_in_doubt(Duration::from_millis(100)),
        }
    }

    async fn write<F>(
        &self,
        operation: Operation,
        path: CredentialPath,
        commit: impl FnOnce(Reference) -> F + Send + 'static,
    ) -> Result<(), StorageError>
    where
        F: Future<Output = Result<(), StorageError>> + Send,
    {
        let (lock, store) = (Arc::clone(&self.lock), self.store.clone());
        if self.style == CallStyle::Runtime {
            lock.wait();
            return commit(store).await;
        }
        let caller = Arc::new(());
        let (caller_alive, checks) =
            (Arc::downgrade(&caller), self.style == CallStyle::ThreadThatChecksTheCaller);
        let runtime = Handle::current();
        let thread = tokio::task::spawn_blocking(move || {
            lock.wait();
            if checks && Weak::upgrade(&caller_alive).is_none() {
                return Err(StorageError::in_doubt("the caller no longer waits"));
            }
            runtime.block_on(commit(store))
        });
        match timeout(self.description.operation_timeout, thread).await {
            Ok(ended) => ended.unwrap(),
            Err(_) => {
                Err(StorageError::in_doubt("the store did not answer").at(Reference::NAME, operation, path))
            }
        }
    }
}

#[async_trait]
impl StorageProvider for Blocking {
    fn describe(&self) -> &Description {
        &self.description
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        let (path, id, ctx) = (ctx.path(id).to_path(), id.clone(), ctx.clone());
        let commit = move |store: Reference| async move { store.store(&id, data, metadata, &ctx).await };
        self.write(Operation::Store, path, commit).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Sealed, StorageError> {
        self.store.retrieve(id, ctx).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let (path, id, ctx) = (ctx.path(id).to_path(), id.clone(), ctx.clone());
        let commit = move |store: Reference| async move { store.delete(&id, &ctx).await };
        self.write(Operation::Delete, path, commit).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        self.store.exists(id, ctx).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        self.store.list(filter, ctx).await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        self.store.list_tree(filter, ctx).await
    }

    async fn shutdown(&self) {
        self.store.shutdown().await;
    }
}

#[async_trait]
impl Harness for Blocking {
    async fn open(&self) -> Arc<dyn Subject> {
        Arc::new(self.clone())
    }

    async fn stall(&self, held: bool) -> bool {
        self.lock.set(held);
        true
    }
}

/// The first line of the message of each stall clause that fails. The clauses run concurrently,
/// each like its test in a suite.
fn failures(style: CallStyle) -> Vec<String> {
    let (mut offers, mut threads) = (Offers::NONE, Vec::new());
    offers.stall = true;
    for clause in Clause::all().iter().filter(|clause| clause.needs() == offers) {
        threads.push(std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(clause.check(Arc::new(Blocking::new(style)), offers));
        }));
    }
    assert_eq!(threads.len(), 4);
    let panics = threads.into_iter().filter_map(|clause| clause.join().err());
    panics.map(|panic| panic.downcast_ref::<String>().unwrap().lines().next().unwrap().to_owned()).collect()
}

#[test]
fn a_call_that_blocks_the_runtime_is_detected() {
    let problem = "describe-4 is broken: while the backend did not answer, the thread that waited for it could not \
                   run other tasks";
    assert_eq!(failures(CallStyle::Runtime), [problem; 4]);
}

#[test]
fn a_thread_that_writes_after_the_caller_stopped_waiting_is_detected() {
    let failures = failures(CallStyle::Thread);
    assert_eq!(failures.len(), 1, "{failures:#?}");
    assert!(
        failures[0].starts_with("cancel-2 is broken: ") && failures[0].contains(" after the stall, though "),
        "{failures:#?}"
    );
}

#[test]
fn a_thread_that_checks_whether_the_caller_waits_passes() {
    assert_eq!(failures(CallStyle::ThreadThatChecksTheCaller), [""; 0]);
}
