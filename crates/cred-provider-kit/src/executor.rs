//! Running operations: timeouts, retries, doubt, context, metrics and spans, for every backend in
//! one place.

mod attempt_error;
mod doubt;
mod read_each;
mod span;
mod target;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{
    CredentialContext, CredentialId, Description, Operation, RetryPolicy, StorageError, StorageMetrics,
    StorageResult,
};
use tracing::Instrument;

pub use self::attempt_error::{AttemptError, Wrote};
pub use self::target::TargetRef;
pub use self::wire::{Attempt, Wire};
use crate::RetryBudget;

/// Runs a provider's operations. The only retry layer: SDKs' own retries are off.
///
/// An *operation* is what the caller asked for. It consists of one or more *wire calls*
/// ([`Wire::read`], [`Wire::write`]), and a wire call of one or more *attempts*. A
/// [`Provider`](crate::Provider) makes each of its operations one [`Executor::sequence`].
///
/// # Time
/// An attempt takes at most the attempt timeout, doubled for writes. The operation takes at most
/// `operation_timeout`, all attempts and waits together, counted from the first poll. Both are kept
/// to the runtime's timer resolution (1 ms).
///
/// # Retries
/// Only [transient](cred_core::StorageErrorKind::is_transient) failures are tried again, each wire
/// call up to [`RetryPolicy::max_retries`] times, after [`RetryPolicy::delay`]. Where the backend
/// says how long to wait (`retry_after` above zero), exactly that is waited instead. A wait that
/// would not end before the deadline is not begun: the last error is returned at once, with the
/// backend's delay in it. So it is when the [`RetryBudget`] is empty.
///
/// # Doubt
/// An attempt of a write is *ambiguous* when it fails in a way that [may have
/// written](cred_core::StorageErrorKind::may_have_written). From then on the operation ends `Ok` or
/// [`InDoubt`](cred_core::StorageErrorKind::InDoubt), whose source is the last error, never in a
/// definite refusal. The same holds after a write call that succeeded, when a later call of the
/// sequence fails. Two kinds say something more precise and stand:
/// [`NotDurable`](cred_core::StorageErrorKind::NotDurable) and
/// [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten). A provider that has
/// read back and knows better calls [`Wire::settle`]. Operations that are no
/// [writes](Operation::is_write) are never in doubt.
///
/// When the time runs out before a write was sent, the error is
/// [`Timeout`](cred_core::StorageErrorKind::Timeout). Its `may_have_written` is true although
/// nothing was written: doubt too many is the safe side.
///
/// # Errors and records
/// Provider, operation and target are added to the error once. One operation is one record in the
/// [`StorageMetrics`], with its total time; absence is an answer, not a failure. At debug level
/// each operation has a `tracing` span `operation` with the target `cred::storage` and the fields
/// `provider`, `operation`, `scope`, `id`, `attempts` and `outcome`, and each retry an event. No
/// value, no metadata and no text of the backend is in them.
///
/// # Dropped futures
/// Dropping the future of an operation drops the attempt in flight, so a write may or may not have
/// happened. It is counted nowhere (nobody was answered), its span has no outcome, and tokens of a
/// retry that was not yet sent go back. No task is spawned and nothing else stays behind. A panic
/// of an attempt passes through in the same way.
pub struct Executor {
    description: Description,
    timeout: Duration,
    policy: RetryPolicy,
    metrics: Arc<StorageMetrics>,
    budget: RetryBudget,
    random: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Executor {
    /// For the provider that `description` is of: its name stands in errors and spans, and its
    /// `operation_timeout` bounds all attempts and waits of an operation together. `timeout` is
    /// that of one attempt of a read, and doubled for writes.
    ///
    /// The retry policy, the metrics and the budget are their defaults until set.
    #[must_use]
    pub fn new(description: Description, timeout: Duration) -> Self {
        Self {
            description,
            timeout,
            policy: RetryPolicy::default(),
            metrics: Arc::default(),
            budget: RetryBudget::default(),
            random: Box::new(fastrand::f64),
        }
    }

    /// Sets how often and how patiently transient failures are tried again.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the counters that operations are recorded in.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<StorageMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets the budget of retries.
    #[must_use]
    pub fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the source of the numbers, 0.0 to 1.0, that vary the delays; by default `fastrand`'s,
    /// one generator a thread.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// What the provider promises.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The counters that operations are recorded in.
    #[must_use]
    pub fn metrics(&self) -> &Arc<StorageMetrics> {
        &self.metrics
    }

    /// The budget of retries.
    #[must_use]
    pub fn budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// Runs an operation, whose wire calls `body` makes through the [`Wire`] that it is given. One
    /// deadline, one record, one span and one context cover them all, and whatever else `body`
    /// awaits is under the deadline too.
    ///
    /// Where nothing fails and nobody listens to the span, it allocates nothing. Needs a tokio
    /// runtime with its timer enabled, and panics without one.
    ///
    /// # Errors
    /// What `body` gave, judged as the type's docs say, or
    /// [`Timeout`](cred_core::StorageErrorKind::Timeout) if it did not end in time.
    pub async fn sequence<'t, T, F>(
        &self,
        operation: Operation,
        target: impl Into<TargetRef<'t>>,
        body: F,
    ) -> StorageResult<T>
    where
        F: AsyncFnOnce(&mut Wire<'_>) -> StorageResult<T>,
    {
        let target = target.into();
        let span = span::open(&self.description.name, operation, target);
        let mut wire = Wire::new(self, operation, span.clone());
        let result = wire.in_time(body).instrument(span).await;
        let result = result.map_err(|error| {
            let error = if operation.is_write() { wire.written.judge(error) } else { error };
            error.at(self.description.name.clone(), operation, target)
        });
        span::close(&wire.span, &result);
        self.record(operation, wire.elapsed(), &result);
        result
    }

    /// Runs a [`retrieve_many`](cred_core::StorageProvider::retrieve_many): `body` makes the wire
    /// calls for all `ids` of one scope and gives their answers in the order of `ids`. Gives
    /// exactly `ids.len()` answers.
    ///
    /// Each id is recorded as one retrieve, with the time that the whole took, since that is what
    /// its answer took. An error of `body` answers every id; so does a number of answers other than
    /// that of the ids, since nobody can tell then which is whose. For no ids, `body` is not
    /// called.
    pub async fn run_many<T, F>(
        &self,
        ids: &[CredentialId],
        ctx: &CredentialContext,
        body: F,
    ) -> Vec<StorageResult<T>>
    where
        F: AsyncFnOnce(&mut Wire<'_>) -> StorageResult<Vec<StorageResult<T>>>,
    {
        const OPERATION: Operation = Operation::RetrieveMany;
        if ids.is_empty() {
            return Vec::new();
        }
        let span = span::open(&self.description.name, OPERATION, TargetRef::from(ctx));
        let mut wire = Wire::new(self, OPERATION, span.clone());
        let answers = wire.in_time(body).instrument(span).await.and_then(|answers| match answers.len() {
            count if count == ids.len() => Ok(answers),
            count => Err(StorageError::other(format!("{count} answers came for {} ids", ids.len()))),
        });
        span::close(&wire.span, &answers);
        let answers = answers.unwrap_or_else(|error| ids.iter().map(|_| Err(error.clone())).collect());
        let elapsed = wire.elapsed();
        let finish = |(answer, id): (StorageResult<T>, &CredentialId)| {
            let answer = answer.map_err(|error| {
                error.at(self.description.name.clone(), OPERATION, TargetRef::from(ctx.path(id)))
            });
            self.record(Operation::Retrieve, elapsed, &answer);
            answer
        };
        answers.into_iter().zip(ids).map(finish).collect()
    }

    fn record<T>(&self, operation: Operation, elapsed: Duration, result: &StorageResult<T>) {
        let answered = result.as_ref().err().is_none_or(StorageError::is_not_found);
        self.metrics.record_operation(operation.as_str(), elapsed, answered);
    }
}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("description", &self.description)
            .field("timeout", &self.timeout)
            .field("policy", &self.policy)
            .field("metrics", &self.metrics)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}
