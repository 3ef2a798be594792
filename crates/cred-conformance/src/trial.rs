//! A provider under test: every operation with a deadline, and the checks that most clauses use.

use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CompareAndSet, CredentialContext, CredentialFilter, CredentialId, CredentialPath, Description, Operation,
    Revision, ScopeId, Sealed, SoftDelete, StorageError, Versioned,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clauses::alive_tasks;
use crate::patience::Patience;
use crate::rule::{expect_ok, fail};
use crate::value::{context, difference};
use crate::wording::{mismatch, moved, short, spell};
use crate::{Effort, Harness, Offers, Subject};

/// The time that an operation may take in addition to its `operation_timeout`, to allow for a busy
/// machine.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);

/// The maximum number of concurrent writes of one clause.
const CONCURRENT_WRITES: usize = 16;

#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) harness: Arc<dyn Harness>,
    pub(crate) provider: Arc<dyn Subject>,
    pub(crate) description: Description,
    pub(crate) effort: Effort,
    pub(crate) declared: Offers,
    /// Number of tasks of the runtime before the provider was opened.
    pub(crate) tasks_before_open: usize,
}

impl Trial {
    pub(crate) async fn open(harness: Arc<dyn Harness>, declared: Offers) -> Self {
        let before = alive_tasks();
        let provider = harness.open().await;
        Self::of(harness, provider, declared, before)
    }

    /// Opens a trial with another client over the same data.
    pub(crate) async fn reopen(&self) -> Self {
        let Some(provider) = self.harness.reopen().await else {
            fail(
                "offers: `reopen` is declared, but `Harness::reopen` returns None",
                "implement it, or remove the word from `offers`",
            );
        };
        Self::of(Arc::clone(&self.harness), provider, self.declared, self.tasks_before_open)
    }

    fn of(
        harness: Arc<dyn Harness>,
        provider: Arc<dyn Subject>,
        declared: Offers,
        tasks_before_open: usize,
    ) -> Self {
        let description = provider.describe().clone();
        let effort = harness.effort();
        Self { harness, provider, description, effort, declared, tasks_before_open }
    }
}

/// The operations, each with a deadline.
impl Trial {
    pub(crate) async fn store(&self, path: &CredentialPath, value: &Sealed) -> Result<(), StorageError> {
        let Sealed { data, metadata } = value.clone();
        let ctx = context(path);
        self.in_time(Operation::Store, of(path), self.provider.store(&path.id, data, metadata, &ctx)).await
    }

    pub(crate) async fn retrieve(&self, path: &CredentialPath) -> Result<Sealed, StorageError> {
        let ctx = context(path);
        self.in_time(Operation::Retrieve, of(path), self.provider.retrieve(&path.id, &ctx)).await
    }

    pub(crate) async fn delete(&self, path: &CredentialPath) -> Result<(), StorageError> {
        let ctx = context(path);
        self.in_time(Operation::Delete, of(path), self.provider.delete(&path.id, &ctx)).await
    }

    pub(crate) async fn exists(&self, path: &CredentialPath) -> Result<bool, StorageError> {
        let ctx = context(path);
        self.in_time(Operation::Exists, of(path), self.provider.exists(&path.id, &ctx)).await
    }

    pub(crate) async fn list(
        &self,
        scope: Option<&ScopeId>,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let ctx = CredentialContext::from(scope.cloned());
        self.in_time(Operation::List, spell(scope, filter), self.provider.list(filter, &ctx)).await
    }

    pub(crate) async fn list_tree(
        &self,
        scope: Option<&ScopeId>,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let ctx = CredentialContext::from(scope.cloned());
        self.in_time(Operation::ListTree, spell(scope, filter), self.provider.list_tree(filter, &ctx)).await
    }

    /// The deadline allows one `operation_timeout` for each id, as the default implementation
    /// needs.
    pub(crate) async fn retrieve_many(
        &self,
        scope: Option<&ScopeId>,
        ids: &[CredentialId],
    ) -> Vec<Result<Sealed, StorageError>> {
        let ctx = CredentialContext::from(scope.cloned());
        let calls = u32::try_from(ids.len().max(1)).unwrap_or(u32::MAX);
        let limit = self.description.operation_timeout.saturating_mul(calls);
        let answer = self.provider.retrieve_many(ids, &ctx);
        within(limit, "retrieve_many", &spell(scope, None), answer).await
    }

    pub(crate) async fn shutdown(&self) {
        within(self.description.operation_timeout, "shutdown", "", self.provider.shutdown()).await;
    }

    pub(crate) async fn retrieve_versioned(
        &self,
        path: &CredentialPath,
    ) -> Result<Versioned<Sealed>, StorageError> {
        let ctx = context(path);
        let read = self.compare_and_set().retrieve_versioned(&path.id, &ctx);
        self.in_time(Operation::RetrieveVersioned, of(path), read).await
    }

    pub(crate) async fn store_if(
        &self,
        path: &CredentialPath,
        value: &Sealed,
        expected: Option<&Revision>,
    ) -> Result<Revision, StorageError> {
        let Sealed { data, metadata } = value.clone();
        let ctx = context(path);
        let write = self.compare_and_set().store_if(&path.id, data, metadata, expected, &ctx);
        self.in_time(Operation::StoreIf, of(path), write).await
    }

    pub(crate) async fn recover(&self, path: &CredentialPath) -> Result<(), StorageError> {
        let ctx = context(path);
        self.in_time(Operation::Recover, of(path), self.soft_delete().recover(&path.id, &ctx)).await
    }

    pub(crate) async fn purge(&self, path: &CredentialPath) -> Result<(), StorageError> {
        let ctx = context(path);
        self.in_time(Operation::Purge, of(path), self.soft_delete().purge(&path.id, &ctx)).await
    }

    pub(crate) async fn list_deleted(
        &self,
        scope: Option<&ScopeId>,
    ) -> Result<Vec<CredentialId>, StorageError> {
        let ctx = CredentialContext::from(scope.cloned());
        self.in_time(Operation::ListDeleted, spell(scope, None), self.soft_delete().list_deleted(&ctx)).await
    }

    pub(crate) fn compare_and_set(&self) -> &dyn CompareAndSet {
        self.provider.compare_and_set().unwrap_or_else(|| {
            fail(
                "offers: `compare_and_set` is declared, but the provider does not support it",
                "remove the word from `offers`",
            )
        })
    }

    pub(crate) fn soft_delete(&self) -> &dyn SoftDelete {
        self.provider.soft_delete().unwrap_or_else(|| {
            fail(
                "offers: `soft_delete` is declared, but the provider does not support it",
                "remove the word from `offers`",
            )
        })
    }

    pub(crate) async fn in_time<T>(
        &self,
        operation: Operation,
        what: String,
        answer: impl Future<Output = T>,
    ) -> T {
        within(self.description.operation_timeout, operation.as_str(), &what, answer).await
    }
}

/// The checks that most clauses use. Each check is repeated until the bound that the provider
/// declares has passed, unless documented otherwise.
impl Trial {
    pub(crate) async fn put(&self, path: &CredentialPath, value: &Sealed) {
        let problem = "a plain store, which the clause needs, failed";
        expect_ok(
            self.store(path, value).await,
            format_args!("{problem}: `{}` could not be stored", short(path)),
            "accept every id, scope and value; fix the clauses of `store` first",
        );
    }

    pub(crate) async fn remove(&self, path: &CredentialPath) {
        if let Err(error) = self.delete(path).await {
            let rule = if error.is_not_found() { "delete-2: " } else { "" };
            fail(
                &format!("{rule}`{}` could not be deleted: {error}", short(path)),
                "return Ok from delete whether or not the credential exists",
            );
        }
    }

    /// Stores a value and reads it back.
    pub(crate) async fn put_and_check(&self, path: &CredentialPath, value: &Sealed) {
        self.put(path, value).await;
        self.holds(path, value, "return the stored value").await;
    }

    /// Stores many values, up to [`CONCURRENT_WRITES`] at a time.
    pub(crate) async fn put_all(&self, entries: Vec<(CredentialPath, Sealed)>) {
        let mut tasks = JoinSet::new();
        for (path, value) in entries {
            if tasks.len() >= CONCURRENT_WRITES {
                joined(tasks.join_next().await);
            }
            let trial = self.clone();
            tasks.spawn(async move { trial.put(&path, &value).await });
        }
        all(tasks).await;
    }

    /// Checks that this value is stored at the path.
    pub(crate) async fn holds(&self, path: &CredentialPath, expected: &Sealed, advice: &str) {
        let mut patience = self.patience_for_point();
        loop {
            let problem = match self.retrieve(path).await {
                Ok(actual) if actual == *expected => return,
                Ok(actual) => {
                    format!(
                        "a read of `{path}` returns another value: {} differ",
                        difference(expected, &actual)
                    )
                }
                Err(error) => format!("`{path}` was stored and cannot be read: {error}"),
            };
            patience.or_fail(&problem, advice).await;
        }
    }

    /// Checks that each path has its own value. If two paths share a physical name, the message
    /// names both.
    pub(crate) async fn all_hold(&self, entries: &[(CredentialPath, Sealed)], advice: &str) {
        for (path, expected) in entries {
            let mut patience = self.patience_for_point();
            loop {
                let mut hint = "";
                let problem = match self.retrieve(path).await {
                    Ok(actual) if actual == *expected => break,
                    Ok(actual) => match entries.iter().find(|(_, value)| *value == actual) {
                        Some((other, _)) => {
                            if other.id == path.id {
                                hint = "; both have the same id: first make the scope a part of the physical name";
                            }
                            let (path, other) = (short(path), short(other));
                            format!(
                                "`{path}` and `{other}` share one physical name: a value stored at one is read at the \
                                 other"
                            )
                        }
                        None => format!("a read of `{}` returns a value that was never stored", short(path)),
                    },
                    Err(error) => format!("`{}` was stored and cannot be read: {error}", short(path)),
                };
                patience.or_fail(&problem, &format!("{advice}{hint}")).await;
            }
        }
    }

    /// Reads the path once, without repeating; `None` if nothing is stored. `when` is part of the
    /// message.
    pub(crate) async fn read_once(&self, path: &CredentialPath, when: &str, advice: &str) -> Option<Sealed> {
        match self.retrieve(path).await {
            Err(error) if error.is_not_found() => None,
            read => Some(expect_ok(read, format_args!("{when}, `{path}` cannot be read"), advice)),
        }
    }

    /// Checks that nothing is stored at the path, with `retrieve` and `exists`.
    pub(crate) async fn lacks(&self, path: &CredentialPath, advice: &str) {
        let mut patience = self.patience_for_point();
        loop {
            let problem = match (self.retrieve(path).await, self.exists(path).await) {
                (Err(error), Ok(false)) if error.is_not_found() => return,
                (Ok(_), _) => format!("nothing should be stored at `{path}`, but retrieve returns a value"),
                (_, Ok(true)) => format!("nothing should be stored at `{path}`, but exists returns true"),
                (Err(error), _) if !error.is_not_found() => {
                    format!(
                        "retrieve-1: nothing is stored at `{path}`, but retrieve fails with another error than \
                         NotFound: {error}"
                    )
                }
                (_, Err(error)) => {
                    format!(
                        "exists-1: exists of the absent `{path}` fails instead of returning false: {error}"
                    )
                }
                (Err(_), Ok(false)) => return,
            };
            patience.or_fail(&problem, advice).await;
        }
    }

    /// Returns whether a credential exists at the path, without repeating.
    pub(crate) async fn exists_now(&self, path: &CredentialPath) -> bool {
        expect_ok(
            self.exists(path).await,
            format_args!("exists of `{path}` failed"),
            "return `Ok(false)` for an absent credential",
        )
    }

    /// Checks that the list of exactly this scope has these ids, each once.
    pub(crate) async fn lists(
        &self,
        scope: Option<&ScopeId>,
        filter: Option<&CredentialFilter>,
        expected: &[CredentialId],
        advice: &str,
    ) {
        let what = format!("the list {}", spell(scope, filter));
        self.check_ids(&what, expected, advice, || self.list(scope, filter)).await;
    }

    /// Checks that the list of the path's scope has its id, once, and no other.
    pub(crate) async fn lists_only(&self, path: &CredentialPath, advice: &str) {
        self.lists(path.scope.as_ref(), None, std::slice::from_ref(&path.id), advice).await;
    }

    /// Checks that the tree below this scope has these paths, each once.
    pub(crate) async fn has_tree(
        &self,
        scope: Option<&ScopeId>,
        filter: Option<&CredentialFilter>,
        expected: &[CredentialPath],
        advice: &str,
    ) {
        let mut patience = self.patience_for_list();
        loop {
            let problem = match self.list_tree(scope, filter).await {
                Ok(actual) => match moved(expected, &actual) {
                    Some((stored, listed)) => {
                        let (stored, listed) = (short(stored), short(listed));
                        let problem = format!("tree-1: `{stored}` is listed as `{listed}`");
                        let advice = "return exactly the scope and the id that were stored";
                        patience.or_fail(&problem, advice).await;
                        continue;
                    }
                    None => mismatch(expected, &actual),
                },
                Err(error) => Some(format!("it fails: {error}")),
            };
            let Some(problem) = problem else { return };
            patience.or_fail(&format!("the tree {} is wrong: {problem}", spell(scope, filter)), advice).await;
        }
    }

    /// Checks that the deleted ids of exactly this scope are these, each once.
    pub(crate) async fn lists_deleted(
        &self,
        scope: Option<&ScopeId>,
        expected: &[CredentialId],
        advice: &str,
    ) {
        let what = format!("the list of deleted ids {}", spell(scope, None));
        self.check_ids(&what, expected, advice, || self.list_deleted(scope)).await;
    }

    /// Checks that a list request returns these ids, each once.
    async fn check_ids<A>(&self, what: &str, expected: &[CredentialId], advice: &str, request: impl Fn() -> A)
    where
        A: Future<Output = Result<Vec<CredentialId>, StorageError>>,
    {
        let mut patience = self.patience_for_list();
        loop {
            let problem = match request().await {
                Ok(actual) => mismatch(expected, &actual),
                Err(error) => Some(format!("it fails: {error}")),
            };
            let Some(problem) = problem else { return };
            patience.or_fail(&format!("{what} is wrong: {problem}"), advice).await;
        }
    }

    /// Waits until every completed write must be visible to reads.
    pub(crate) async fn wait_until_visible(&self) {
        let point = self.description.consistency.point();
        if !point.is_zero() {
            sleep(point).await;
        }
    }

    pub(crate) fn patience_for_point(&self) -> Patience {
        Patience::new(self.description.consistency, self.description.consistency.point())
    }

    pub(crate) fn patience_for_list(&self) -> Patience {
        Patience::new(self.description.consistency, self.description.consistency.list())
    }
}

/// Runs all tasks to their end. The first task that fails also fails the clause.
pub(crate) async fn all<T: Send + 'static>(mut tasks: JoinSet<T>) -> Vec<T> {
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(result) = joined(tasks.join_next().await) {
        results.push(result);
    }
    results
}

fn joined<T>(ended: Option<Result<T, tokio::task::JoinError>>) -> Option<T> {
    match ended? {
        Ok(value) => Some(value),
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn within<T>(limit: Duration, operation: &str, what: &str, answer: impl Future<Output = T>) -> T {
    match timeout(limit.saturating_add(MARGIN), answer).await {
        Ok(answer) => answer,
        Err(_) => fail(
            &format!("describe-3: {operation} {what} did not end within the operation_timeout of {limit:?}"),
            "give every wait in the provider a deadline, release locks when a future is dropped, or declare a longer \
             `operation_timeout`",
        ),
    }
}

/// Names the path of an operation, in the messages of describe-3.
fn of(path: &CredentialPath) -> String {
    format!("of `{}`", short(path))
}
