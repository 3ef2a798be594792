//! A provider that fails on demand.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialMetadata, CredentialPath,
    Description, EncryptedData, Operation, Revision, SoftDelete, StorageError, StorageErrorKind,
    StorageMetrics, StorageProvider, Stored, Target, async_trait,
};
use tokio::time::sleep;

/// Wraps any provider and makes chosen operations fail, wait or answer something else.
///
/// ```
/// # use cred_core::{CredentialContext, CredentialMetadata, EncryptedData, KeyId};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let (id, here) = ("key".parse()?, CredentialContext::unscoped());
/// # let data = EncryptedData::new(KeyId::new("k")?, [0; 32], [0; 32], [0; 12], vec![1], [0; 16]);
/// # let metadata = CredentialMetadata::default();
/// use cred_conformance::doubles::{Fault, Faulty, Reference};
/// use cred_core::{Operation, StorageErrorKind, StorageProvider};
///
/// let provider = Faulty::new(Reference::new());
/// // The store takes effect, and its answer is lost on the way.
/// let timeout = StorageErrorKind::Timeout { limit: std::time::Duration::from_secs(1) };
/// provider.once(Operation::Store, Fault::Lose(timeout));
///
/// let error = provider.store(&id, data.clone(), metadata.clone(), &here).await.unwrap_err();
/// assert!(error.may_have_written());
/// assert_eq!(provider.retrieve(&id, &here).await?, (data, metadata));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Faulty<P> {
    inner: P,
    script: Mutex<Script>,
}

#[derive(Default)]
struct Script {
    next: HashMap<Operation, VecDeque<Fault>>,
    always: HashMap<Operation, Fault>,
}

/// What goes wrong with one operation.
#[derive(Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The wrapped provider is not called; this is the answer.
    Refuse(StorageErrorKind),
    /// The operation takes effect, and its answer is lost: this is the answer instead.
    Lose(StorageErrorKind),
    /// The wrapped provider is called after this time.
    Delay(Duration),
    /// The wrapped provider is never called, and no answer ever comes.
    Hang,
    /// What a read gives is changed by this function. Without effect on operations that give no contents.
    Alter(Alter),
}

/// Changes what was read.
pub type Alter = Arc<dyn Fn(&mut EncryptedData, &mut CredentialMetadata) + Send + Sync>;

impl Fault {
    /// [`Fault::Alter`] by a function.
    #[must_use]
    pub fn alter(
        change: impl Fn(&mut EncryptedData, &mut CredentialMetadata) + Send + Sync + 'static,
    ) -> Self {
        Self::Alter(Arc::new(change))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(kind) => f.debug_tuple("Refuse").field(kind).finish(),
            Self::Lose(kind) => f.debug_tuple("Lose").field(kind).finish(),
            Self::Delay(time) => f.debug_tuple("Delay").field(time).finish(),
            Self::Hang => f.write_str("Hang"),
            Self::Alter(_) => f.write_str("Alter(..)"),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Faulty<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script();
        f.debug_struct("Faulty")
            .field("inner", &self.inner)
            .field("next", &script.next)
            .field("always", &script.always)
            .finish()
    }
}

impl<P: StorageProvider> Faulty<P> {
    /// Wraps a provider; nothing fails yet.
    #[must_use]
    pub fn new(inner: P) -> Self {
        Self { inner, script: Mutex::default() }
    }

    /// The next call of this operation meets the fault, after those that were asked for before.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.script().next.entry(operation).or_default().push_back(fault);
    }

    /// Every call of this operation meets the fault, once those of [`Faulty::once`] are used up.
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.script().always.insert(operation, fault);
    }

    /// Nothing fails any more.
    pub fn clear(&self) {
        *self.script() = Script::default();
    }

    /// The wrapped provider.
    #[must_use]
    pub fn inner(&self) -> &P {
        &self.inner
    }

    async fn run<T>(
        &self,
        operation: Operation,
        target: impl Into<Target>,
        answer: impl Future<Output = Result<T, StorageError>>,
        alter: impl FnOnce(&mut T, &Alter),
    ) -> Result<T, StorageError> {
        let fails =
            |kind| Err(StorageError::from(kind).at(self.describe().name.clone(), operation, target.into()));
        match self.next(operation) {
            None => answer.await,
            Some(Fault::Refuse(kind)) => fails(kind),
            Some(Fault::Lose(kind)) => {
                let _ = answer.await;
                fails(kind)
            }
            Some(Fault::Delay(time)) => {
                sleep(time).await;
                answer.await
            }
            Some(Fault::Hang) => pending().await,
            Some(Fault::Alter(change)) => {
                let mut given = answer.await?;
                alter(&mut given, &change);
                Ok(given)
            }
        }
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        let mut script = self.script();
        let once = script.next.get_mut(&operation).and_then(VecDeque::pop_front);
        once.or_else(|| script.always.get(&operation).cloned())
    }
}

impl<P> Faulty<P> {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T>(_: &mut T, _: &Alter) {}

fn change((data, metadata): &mut Stored, alter: &Alter) {
    alter(data, metadata);
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> StorageProvider for Faulty<P> {
    fn describe(&self) -> &Description {
        self.inner.describe()
    }

    async fn store(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        ctx: &CredentialContext,
    ) -> Result<(), StorageError> {
        let answer = self.inner.store(id, data, metadata, ctx);
        self.run(Operation::Store, ctx.path(id).to_owned(), answer, keep).await
    }

    async fn retrieve(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<Stored, StorageError> {
        self.run(Operation::Retrieve, ctx.path(id).to_owned(), self.inner.retrieve(id, ctx), change).await
    }

    async fn delete(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        self.run(Operation::Delete, ctx.path(id).to_owned(), self.inner.delete(id, ctx), keep).await
    }

    async fn exists(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<bool, StorageError> {
        self.run(Operation::Exists, ctx.path(id).to_owned(), self.inner.exists(id, ctx), keep).await
    }

    async fn list(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let here = Target::Scope(ctx.scope_id.clone());
        self.run(Operation::List, here, self.inner.list(filter, ctx), keep).await
    }

    async fn list_tree(
        &self,
        filter: Option<&CredentialFilter>,
        ctx: &CredentialContext,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let here = Target::Scope(ctx.scope_id.clone());
        self.run(Operation::ListTree, here, self.inner.list_tree(filter, ctx), keep).await
    }

    /// A fault of the whole call answers each id.
    async fn retrieve_many(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
    ) -> Vec<Result<Stored, StorageError>> {
        let answers = async { Ok(self.inner.retrieve_many(ids, ctx).await) };
        let here = Target::Scope(ctx.scope_id.clone());
        let alter = |answers: &mut Vec<Result<Stored, StorageError>>, alter: &Alter| {
            answers.iter_mut().flatten().for_each(|stored| change(stored, alter));
        };
        match self.run(Operation::RetrieveMany, here, answers, alter).await {
            Ok(answers) => answers,
            Err(error) => ids
                .iter()
                .map(|id| {
                    let kind = error.kind().clone();
                    let path = ctx.path(id).to_owned();
                    Err(StorageError::from(kind).at(
                        self.describe().name.clone(),
                        Operation::RetrieveMany,
                        path,
                    ))
                })
                .collect(),
        }
    }

    async fn shutdown(&self) {
        self.inner.shutdown().await;
    }

    fn metrics(&self) -> Option<Arc<StorageMetrics>> {
        self.inner.metrics()
    }

    fn compare_and_set(&self) -> Option<&dyn CompareAndSet> {
        self.inner.compare_and_set().map(|_| self as _)
    }

    fn soft_delete(&self) -> Option<&dyn SoftDelete> {
        self.inner.soft_delete().map(|_| self as _)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> CompareAndSet for Faulty<P> {
    async fn retrieve_with_revision(
        &self,
        id: &CredentialId,
        ctx: &CredentialContext,
    ) -> Result<(EncryptedData, CredentialMetadata, Revision), StorageError> {
        let answer = super::compare_and_set(&self.inner)?.retrieve_with_revision(id, ctx);
        let alter = |(data, metadata, _): &mut (EncryptedData, CredentialMetadata, Revision),
                     alter: &Alter| {
            alter(data, metadata);
        };
        self.run(Operation::RetrieveWithRevision, ctx.path(id).to_owned(), answer, alter).await
    }

    async fn store_if(
        &self,
        id: &CredentialId,
        data: EncryptedData,
        metadata: CredentialMetadata,
        expected: Option<&Revision>,
        ctx: &CredentialContext,
    ) -> Result<Revision, StorageError> {
        let answer = super::compare_and_set(&self.inner)?.store_if(id, data, metadata, expected, ctx);
        self.run(Operation::StoreIf, ctx.path(id).to_owned(), answer, keep).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: StorageProvider> SoftDelete for Faulty<P> {
    async fn recover(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let answer = super::soft_delete(&self.inner)?.recover(id, ctx);
        self.run(Operation::Recover, ctx.path(id).to_owned(), answer, keep).await
    }

    async fn purge(&self, id: &CredentialId, ctx: &CredentialContext) -> Result<(), StorageError> {
        let answer = super::soft_delete(&self.inner)?.purge(id, ctx);
        self.run(Operation::Purge, ctx.path(id).to_owned(), answer, keep).await
    }

    async fn list_deleted(&self, ctx: &CredentialContext) -> Result<Vec<CredentialId>, StorageError> {
        let answer = super::soft_delete(&self.inner)?.list_deleted(ctx);
        self.run(Operation::ListDeleted, Target::Scope(ctx.scope_id.clone()), answer, keep).await
    }
}
