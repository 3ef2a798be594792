//! Runs operations for every backend: timeouts, retries, `InDoubt` errors, error context, metrics
//! and spans.

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

pub use self::attempt_error::{AttemptError, WriteEffect};
pub use self::target::TargetRef;
pub use self::wire::{Attempt, Wire};
use crate::RetryBudget;

/// Runs the operations of a provider. It is the only retry layer: the retries of SDKs are turned
/// off.
///
/// An *operation* is a request of the caller. It consists of one or more *wire calls*
/// ([`Wire::read`], [`Wire::write`]), and a wire call consists of one or more *attempts*. A
/// [`Provider`](crate::Provider) makes each of its operations one [`Executor::sequence`].
///
/// ```
/// use std::time::Duration;
///
/// use cred_core::{Description, Operation, StorageResult};
/// use cred_provider_kit::{Executor, TargetRef};
///
/// # struct Client;
/// # impl Client { async fn ping(&self) -> StorageResult<u32> { Ok(200) } }
/// # async fn run(client: &Client) -> StorageResult<()> {
/// // 30 s for an operation with all its attempts, 5 s for one attempt.
/// let description = Description::new("mine", Duration::from_secs(30));
/// let executor = Executor::new(description, Duration::from_secs(5));
///
/// let status = executor
///     .sequence(Operation::Connect, TargetRef::Backend, async |wire| wire.read(|_| client.ping()).await)
///     .await?;
/// assert_eq!(status, 200);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run(&Client)).unwrap();
/// ```
///
/// # Timeouts
/// - An attempt takes at most the attempt timeout, which is doubled for writes.
/// - An operation takes at most `operation_timeout`, including all attempts and waits, counted from
///   its first poll.
///
/// Both are accurate to the timer resolution of the runtime (1 ms).
///
/// # Retries
/// - Only [transient](cred_core::StorageErrorKind::is_transient) failures are retried: each wire
///   call up to [`RetryPolicy::max_retries`] times, after [`RetryPolicy::delay`].
/// - If the backend requests a delay (`retry_after` above zero), the executor waits exactly that
///   long instead.
/// - A wait that would not end before the deadline is not started. The last error is returned at
///   once, with the requested delay in it.
/// - If the [`RetryBudget`] is exhausted, the last error is also returned at once.
///
/// # Unknown outcomes
/// An attempt of a write is *ambiguous* if its error [may have
/// written](cred_core::StorageErrorKind::may_have_written). From then on, the operation ends with
/// `Ok` or [`InDoubt`](cred_core::StorageErrorKind::InDoubt), whose source is the last error, and
/// never with a definite refusal. The same holds if a write call succeeded and a later call of the
/// sequence fails.
///
/// Exceptions:
///
/// - [`NotDurable`](cred_core::StorageErrorKind::NotDurable) and
///   [`RecoveredNotWritten`](cred_core::StorageErrorKind::RecoveredNotWritten) are more precise,
///   and are returned unchanged.
/// - A provider that has read the stored value back and knows the outcome calls
///   [`Wire::mark_not_written`].
/// - Operations that are not [writes](Operation::is_write) never end with `InDoubt` because of
///   their write calls.
///
/// If the time runs out before a write was sent, the error is
/// [`Timeout`](cred_core::StorageErrorKind::Timeout). Its `may_have_written` is true although
/// nothing was written: that errs on the safe side.
///
/// # Errors, metrics and spans
/// - Provider, operation and target are added to the error once.
/// - One operation is one record in the [`StorageMetrics`], with its total time. `NotFound` does
///   not count as a failure.
/// - At debug level, each operation has a `tracing` span `operation` with the target
///   `cred::storage` and the fields `provider`, `operation`, `scope`, `id`, `attempts` and
///   `outcome`, and each retry is an event. They contain no values, no metadata and no text of the
///   backend.
///
/// # Cancellation
/// - Dropping the future of an operation drops its current attempt, so a write may or may not have
///   happened.
/// - The operation is not counted in the metrics, since no caller received a result. Its span has
///   no outcome. The tokens of a retry that was not yet sent are returned to the budget.
/// - No task is spawned, and nothing else remains.
/// - A panic of an attempt propagates, with the same effects.
pub struct Executor {
    description: Description,
    timeout: Duration,
    policy: RetryPolicy,
    metrics: Arc<StorageMetrics>,
    budget: RetryBudget,
    random: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Executor {
    /// Creates an executor for the provider with this `description`. Its name appears in errors and
    /// spans, and its `operation_timeout` bounds all attempts and waits of an operation together.
    /// `timeout` bounds one attempt of a read, and is doubled for writes.
    ///
    /// The retry policy, the metrics and the budget have their defaults until they are set.
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

    /// Sets how often, and after which delays, transient failures are retried.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the metrics in which operations are recorded.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<StorageMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Sets the retry budget.
    #[must_use]
    pub fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets the source of the random numbers, 0.0 to 1.0, that vary the delays. Default:
    /// `fastrand`, with one generator per thread.
    #[must_use]
    pub fn with_random(mut self, random: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        self.random = Box::new(random);
        self
    }

    /// Returns the description of the provider.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Returns the metrics in which operations are recorded.
    #[must_use]
    pub fn metrics(&self) -> &Arc<StorageMetrics> {
        &self.metrics
    }

    /// Returns the retry budget.
    #[must_use]
    pub fn budget(&self) -> &RetryBudget {
        &self.budget
    }

    /// Runs an operation. `body` makes its wire calls through the [`Wire`] that it receives. They
    /// share one deadline, one record, one span and one error context. The deadline also applies to
    /// everything else that `body` awaits.
    ///
    /// If nothing fails and no subscriber is interested in the span, it allocates nothing.
    ///
    /// # Panics
    /// Panics outside a tokio runtime with its timer enabled.
    ///
    /// # Errors
    /// The error of `body`, converted as the docs of this type describe, or
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
            let error = if operation.is_write() { wire.write_state.classify(error) } else { error };
            error.at(self.description.name.clone(), operation, target)
        });
        span::close(&wire.span, &result);
        self.record(operation, wire.elapsed(), &result);
        result
    }

    /// Runs a [`retrieve_many`](cred_core::StorageProvider::retrieve_many). `body` makes the wire
    /// calls for all `ids` of one scope, and returns their results in the order of `ids`. Returns
    /// exactly `ids.len()` results.
    ///
    /// - Each id is recorded as one retrieve, with the time of the whole call, since each result
    ///   took that long.
    /// - If `body` fails, its error is the result of every id.
    /// - If `body` returns more or fewer results than ids, every id fails, since the results cannot
    ///   be assigned to ids.
    /// - If `ids` is empty, `body` is not called.
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
        let results = wire.in_time(body).instrument(span).await.and_then(|results| match results.len() {
            count if count == ids.len() => Ok(results),
            count => Err(StorageError::other(format!(
                "the backend returned {count} results for {} ids",
                ids.len()
            ))),
        });
        span::close(&wire.span, &results);
        let results = results.unwrap_or_else(|error| ids.iter().map(|_| Err(error.clone())).collect());
        let elapsed = wire.elapsed();
        let finish = |(result, id): (StorageResult<T>, &CredentialId)| {
            let result = result.map_err(|error| {
                error.at(self.description.name.clone(), OPERATION, TargetRef::from(ctx.path(id)))
            });
            self.record(Operation::Retrieve, elapsed, &result);
            result
        };
        results.into_iter().zip(ids).map(finish).collect()
    }

    fn record<T>(&self, operation: Operation, elapsed: Duration, result: &StorageResult<T>) {
        let succeeded = result.as_ref().err().is_none_or(StorageError::is_not_found);
        self.metrics.record_operation(operation.as_str(), elapsed, succeeded);
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
