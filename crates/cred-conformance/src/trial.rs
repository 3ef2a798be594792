//! One provider on trial: every operation with its deadline, and the questions that most clauses
//! ask.

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
use crate::rule::{fail, good};
use crate::value::{context, difference};
use crate::wording::{mismatch, moved, short, spell};
use crate::{Effort, Harness, Offers, Subject};

/// What an operation may take over its `operation_timeout` before it counts as late: a busy machine
/// is no defect.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);

/// Writes of one clause in flight.
const IN_FLIGHT: usize = 16;

#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) harness: Arc<dyn Harness>,
    pub(crate) provider: Arc<dyn Subject>,
    pub(crate) description: Description,
    pub(crate) effort: Effort,
    pub(crate) declared: Offers,
    /// Tasks of the runtime before the provider was opened.
    pub(crate) tasks_before_open: usize,
}

impl Trial {
    pub(crate) async fn open(harness: Arc<dyn Harness>, declared: Offers) -> Self {
        let before = alive_tasks();
        let provider = harness.open().await;
        Self::of(harness, provider, declared, before)
    }

    /// A trial of another client over the same data.
    pub(crate) async fn reopen(&self) -> Self {
        let Some(provider) = self.harness.reopen().await else {
            fail(
                "offers: `reopen` is declared, but the harness gives no second provider",
                "write `Harness::reopen`",
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

/// The operations, each with its deadline.
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

    /// Each id has its own `operation_timeout`: that is what the default implementation takes.
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
                "offers: `compare_and_set` is declared, but the provider hands out none",
                "take it from `offers`",
            )
        })
    }

    pub(crate) fn soft_delete(&self) -> &dyn SoftDelete {
        self.provider.soft_delete().unwrap_or_else(|| {
            fail(
                "offers: `soft_delete` is declared, but the provider hands out none",
                "take it from `offers`",
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

/// What most clauses ask. Each question is repeated until the bound that the provider declares has
/// passed.
impl Trial {
    pub(crate) async fn put(&self, path: &CredentialPath, value: &Sealed) {
        let what = "a plain store, which the clause needs, failed";
        good(
            self.store(path, value).await,
            format_args!("{what}: `{}` could not be stored", short(path)),
            "every id, scope and value is to be taken; look at the clauses of `store` first",
        );
    }

    pub(crate) async fn remove(&self, path: &CredentialPath) {
        if let Err(error) = self.delete(path).await {
            let rule = if error.is_not_found() { "delete-2: " } else { "" };
            fail(
                &format!("{rule}`{}` could not be deleted: {error}", short(path)),
                "delete answers Ok, whether something is stored there or not",
            );
        }
    }

    /// Stores a value and reads it back.
    pub(crate) async fn keeps(&self, path: &CredentialPath, value: &Sealed) {
        self.put(path, value).await;
        self.holds(path, value, "give back what was stored").await;
    }

    /// Stores many, some at a time.
    pub(crate) async fn put_all(&self, entries: Vec<(CredentialPath, Sealed)>) {
        let mut tasks = JoinSet::new();
        for (path, value) in entries {
            if tasks.len() >= IN_FLIGHT {
                joined(tasks.join_next().await);
            }
            let trial = self.clone();
            tasks.spawn(async move { trial.put(&path, &value).await });
        }
        all(tasks).await;
    }

    /// The path gives this value.
    pub(crate) async fn holds(&self, path: &CredentialPath, expected: &Sealed, advice: &str) {
        let mut patience = self.patience_for_point();
        loop {
            let problem = match self.retrieve(path).await {
                Ok(actual) if actual == *expected => return,
                Ok(actual) => {
                    format!("`{path}` gives another value: {} differ", difference(expected, &actual))
                }
                Err(error) => format!("`{path}` was stored and cannot be read: {error}"),
            };
            patience.or_fail(&problem, advice).await;
        }
    }

    /// Each path gives its own value; where two paths share a place, both are named.
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
                                hint = "; both have the same id: if the scope is no part of the name yet, begin there";
                            }
                            let (path, other) = (short(path), short(other));
                            format!(
                                "`{path}` and `{other}` share one place: what was stored at one is read at the other"
                            )
                        }
                        None => format!("`{}` gives what nobody stored", short(path)),
                    },
                    Err(error) => format!("`{}` was stored and cannot be read: {error}", short(path)),
                };
                patience.or_fail(&problem, &format!("{advice}{hint}")).await;
            }
        }
    }

    /// What is stored at the path, asked once; absence is an answer. `when` is part of the message.
    pub(crate) async fn found(&self, path: &CredentialPath, when: &str, advice: &str) -> Option<Sealed> {
        match self.retrieve(path).await {
            Err(error) if error.is_not_found() => None,
            read => Some(good(read, format_args!("{when}, `{path}` cannot be read"), advice)),
        }
    }

    /// Nothing is stored at the path, for `retrieve` and `exists`.
    pub(crate) async fn lacks(&self, path: &CredentialPath, advice: &str) {
        let mut patience = self.patience_for_point();
        loop {
            let problem = match (self.retrieve(path).await, self.exists(path).await) {
                (Err(error), Ok(false)) if error.is_not_found() => return,
                (Ok(_), _) => format!("nothing should be stored at `{path}`, but retrieve gives a value"),
                (_, Ok(true)) => format!("nothing should be stored at `{path}`, but exists says true"),
                (Err(error), _) if !error.is_not_found() => {
                    format!(
                        "retrieve-1: nothing is stored at `{path}`, but retrieve fails with something else: {error}"
                    )
                }
                (_, Err(error)) => {
                    format!("exists-1: exists of `{path}` fails where absence is an answer: {error}")
                }
                (Err(_), Ok(false)) => return,
            };
            patience.or_fail(&problem, advice).await;
        }
    }

    /// Whether something is stored at the path, asked once.
    pub(crate) async fn is_there(&self, path: &CredentialPath) -> bool {
        good(self.exists(path).await, format_args!("exists of `{path}` failed"), "absence is no error")
    }

    /// The list of exactly this scope has these ids, each once.
    pub(crate) async fn lists(
        &self,
        scope: Option<&ScopeId>,
        filter: Option<&CredentialFilter>,
        expected: &[CredentialId],
        advice: &str,
    ) {
        let what = format!("the list {}", spell(scope, filter));
        self.gives(&what, expected, advice, || self.list(scope, filter)).await;
    }

    /// The list of the path's scope has its id, once, and no other.
    pub(crate) async fn lists_only(&self, path: &CredentialPath, advice: &str) {
        self.lists(path.scope.as_ref(), None, std::slice::from_ref(&path.id), advice).await;
    }

    /// The tree below this scope has these paths, each once.
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
                        let advice = "give back exactly the scope and the id that were stored";
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

    /// The deleted ids of exactly this scope are these, each once.
    pub(crate) async fn lists_deleted(
        &self,
        scope: Option<&ScopeId>,
        expected: &[CredentialId],
        advice: &str,
    ) {
        let what = format!("the list of deleted ids {}", spell(scope, None));
        self.gives(&what, expected, advice, || self.list_deleted(scope)).await;
    }

    /// A question is answered with these ids, each once.
    async fn gives<A>(&self, what: &str, expected: &[CredentialId], advice: &str, ask: impl Fn() -> A)
    where
        A: Future<Output = Result<Vec<CredentialId>, StorageError>>,
    {
        let mut patience = self.patience_for_list();
        loop {
            let problem = match ask().await {
                Ok(actual) => mismatch(expected, &actual),
                Err(error) => Some(format!("it fails: {error}")),
            };
            let Some(problem) = problem else { return };
            patience.or_fail(&format!("{what} is wrong: {problem}"), advice).await;
        }
    }

    /// Waits until every answered write must show to reads.
    pub(crate) async fn settle(&self) {
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

/// Runs all tasks to their end; the first that failed fails the clause.
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
            "give every wait in the provider a deadline, free locks when a future is dropped, or declare the time that it takes",
        ),
    }
}

/// What an operation was about, as `describe-3` tells it.
fn of(path: &CredentialPath) -> String {
    format!("of `{}`", short(path))
}
