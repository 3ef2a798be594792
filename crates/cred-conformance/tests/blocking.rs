//! A store whose writers wait for a lock by blocking their thread, as embedded databases and
//! synchronous SDKs do, called in three ways, on real threads: of the two that are wrong, the
//! clauses of a stall say so.

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
enum Way {
    /// Where it is polled.
    OnTheRuntime,
    /// On a thread that writes, whoever waits for it.
    OnAThread,
    /// On a thread that looks, once it has the lock, whether anybody waits.
    WhileSomebodyWaits,
}

#[derive(Debug, Default)]
struct Lock {
    held: Mutex<bool>,
    let_go: Condvar,
}

impl Lock {
    fn set(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.let_go.notify_all();
    }

    fn wait(&self) {
        drop(self.let_go.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
    }
}

#[derive(Debug, Clone)]
struct Blocking {
    way: Way,
    lock: Arc<Lock>,
    store: Reference,
    description: Description,
}

impl Blocking {
    fn new(way: Way) -> Self {
        let description = Description::new(Reference::NAME, Duration::from_secs(2));
        Self {
            way,
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
        if self.way == Way::OnTheRuntime {
            lock.wait();
            return commit(store).await;
        }
        let waits = Arc::new(());
        let (waiting, looks) = (Arc::downgrade(&waits), self.way == Way::WhileSomebodyWaits);
        let runtime = Handle::current();
        let thread = tokio::task::spawn_blocking(move || {
            lock.wait();
            let nobody = Weak::upgrade(&waiting).is_none();
            if looks && nobody {
                return Err(StorageError::in_doubt("nobody waits"));
            }
            runtime.block_on(commit(store))
        });
        match timeout(self.description.operation_timeout, thread).await {
            Ok(ended) => ended.unwrap(),
            Err(_) => Err(StorageError::in_doubt("it gave no answer").at(Reference::NAME, operation, path)),
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

/// What each clause of a stall that is red says first, all at once, each as its test in a suite
/// runs.
fn told(way: Way) -> Vec<String> {
    let (mut offers, mut threads) = (Offers::NONE, Vec::new());
    offers.stall = true;
    for clause in Clause::all().iter().filter(|clause| clause.needs() == offers) {
        threads.push(std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(clause.check(Arc::new(Blocking::new(way)), offers));
        }));
    }
    assert_eq!(threads.len(), 4);
    let red = threads.into_iter().filter_map(|clause| clause.join().err());
    red.map(|panic| panic.downcast_ref::<String>().unwrap().lines().next().unwrap().to_owned()).collect()
}

#[test]
fn a_call_that_blocks_the_runtime_is_told_so() {
    let problem = "describe-4 is broken: while the backend gave no answer, the thread that waited for it ran nothing else";
    assert_eq!(told(Way::OnTheRuntime), [problem; 4]);
}

#[test]
fn a_thread_that_writes_when_nobody_waits_any_more_is_told_so() {
    let told = told(Way::OnAThread);
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(
        told[0].starts_with("cancel-2 is broken: ") && told[0].contains(" after the stall, though "),
        "{told:#?}"
    );
}

#[test]
fn a_thread_that_looks_whether_anybody_waits_is_right() {
    assert_eq!(told(Way::WhileSomebodyWaits), [""; 0]);
}
