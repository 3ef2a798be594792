//! The wire calls of one operation: attempts, their timeouts, and the waits between them.

use std::time::Duration;

use cred_core::{CredentialPath, Description, Operation, StorageError, StorageErrorKind, StorageResult};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Span;

use super::doubt::WriteState;
use super::{AttemptError, Executor, span};
use crate::RetryBudget;
use crate::budget::Reserved;

/// Makes the wire calls of one operation. Each method of a [`Backend`](crate::Backend) receives
/// one.
#[derive(Debug)]
pub struct Wire<'e> {
    executor: &'e Executor,
    operation: Operation,
    pub(super) started: Instant,
    /// Latest end of the operation.
    deadline: Instant,
    /// Latest end of the wire calls: before the deadline if time is held back.
    cutoff: Instant,
    attempts: u32,
    pub(super) write_state: WriteState,
    pub(super) span: Span,
}

/// One attempt of a wire call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Number of the attempt within its wire call, counted from 1.
    pub number: u32,
    /// Whether an earlier write attempt of the operation was ambiguous. If so, this attempt may
    /// find data that the earlier one wrote.
    pub in_doubt: bool,
    /// Time limit of the attempt, from its start. If the attempt waits, such as for a lock, end the
    /// wait a little earlier with [`Busy`](StorageErrorKind::Busy). After the whole time, the
    /// executor must treat the outcome of a write as unknown.
    pub limit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl<'e> Wire<'e> {
    pub(super) fn new(executor: &'e Executor, operation: Operation, span: Span) -> Self {
        let started = Instant::now();
        let deadline = later(started, executor.description.operation_timeout);
        Self {
            executor,
            operation,
            started,
            deadline,
            cutoff: deadline,
            attempts: 0,
            write_state: WriteState::Nothing,
            span,
        }
    }

    /// Returns the description of the provider.
    #[must_use]
    pub fn description(&self) -> &'e Description {
        &self.executor.description
    }

    /// Adds the path of a credential to an error. Use it in an operation on several credentials,
    /// usually a list. In an operation on one credential, the executor adds the path.
    #[must_use]
    pub fn locate(&self, error: StorageError, path: CredentialPath) -> StorageError {
        error.at(self.executor.description.name.clone(), self.operation, path)
    }

    /// Makes a wire call that changes nothing in the backend. The operation itself may be a write.
    ///
    /// # Errors
    /// The error of the last attempt, unchanged.
    pub async fn read<T, E, F, Fut>(&mut self, attempt: F) -> Result<T, E>
    where
        E: AttemptError,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call(Access::Read, attempt).await
    }

    /// Makes a wire call that changes something in the backend. Its attempts take up to twice the
    /// timeout. If an attempt fails without a definite answer, its outcome is unknown.
    ///
    /// The call must tolerate that it is sent twice: an ambiguous attempt may still take effect
    /// after a later one succeeded. If the backend supports it, send something that makes both the
    /// same write (a request token, a revision).
    ///
    /// # Errors
    /// The error of the last attempt, unchanged. It may be a definite refusal after an ambiguous
    /// attempt: the body can still find out the outcome ([`Wire::outcome_unknown`],
    /// [`Wire::mark_not_written`]). The executor converts the result of the operation when it ends.
    pub async fn write<T, E, F, Fut>(&mut self, attempt: F) -> Result<T, E>
    where
        E: AttemptError,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call(Access::Write, attempt).await
    }

    /// Waits, such as between two checks of a change that the backend makes in the background.
    ///
    /// # Errors
    /// [`Timeout`](StorageErrorKind::Timeout), at once, if the wait would not end in time. If the
    /// body knows what it was waiting for, it should return a more specific error.
    pub async fn pause(&self, duration: Duration) -> StorageResult<()> {
        let end = later(Instant::now(), duration);
        if end >= self.cutoff {
            return Err(self.out_of_time());
        }
        sleep_until(end).await;
        Ok(())
    }

    /// Returns the time that is left for wire calls and pauses.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.cutoff.saturating_duration_since(Instant::now())
    }

    /// Reserves time for the cleanup after a failure of the next calls: they now end `reserve`
    /// before the deadline, but keep at least half of the remaining time. Zero releases the
    /// reserved time.
    ///
    /// For example, a store that must first recover a deleted credential reserves the time to
    /// delete it again.
    pub fn hold_back(&mut self, reserve: Duration) {
        let most = self.deadline.saturating_duration_since(Instant::now()) / 2;
        self.cutoff = self.deadline.checked_sub(reserve.min(most)).unwrap_or(self.deadline);
    }

    /// Reports whether a write attempt so far was ambiguous.
    #[must_use]
    pub fn outcome_unknown(&self) -> bool {
        self.write_state.is_unknown()
    }

    /// Declares that the write calls so far have not made the requested write, and that they can no
    /// longer take effect: the value was read back, or the calls only prepared the write. The
    /// operation may then end with a definite refusal again.
    ///
    /// ```
    /// # use cred_core::{StorageErrorKind, StorageResult};
    /// # use cred_provider_kit::Wire;
    /// # struct Client;
    /// # impl Client {
    /// #     async fn put_if(&self, _: &str, _: u64) -> StorageResult<u64> { Ok(1) }
    /// #     async fn head(&self, _: &str) -> StorageResult<(u64, bool)> { Ok((1, true)) }
    /// # }
    /// /// Revisions of this backend count up and are never reused. If the revision after `expected`
    /// /// is from another client, ours was not written and no longer can be. A later revision may
    /// /// have replaced ours, so the outcome stays unknown.
    /// async fn put_if(
    ///     client: &Client,
    ///     wire: &mut Wire<'_>,
    ///     name: &str,
    ///     expected: u64,
    /// ) -> StorageResult<u64> {
    ///     let conflict = match wire.write(|_| client.put_if(name, expected)).await {
    ///         Err(error) if matches!(error.kind(), StorageErrorKind::Conflict { .. }) => error,
    ///         other => return other,
    ///     };
    ///     if wire.outcome_unknown() {
    ///         let (revision, is_ours) = wire.read(|_| client.head(name)).await?;
    ///         if is_ours {
    ///             return Ok(revision);
    ///         }
    ///         if revision == expected + 1 {
    ///             wire.mark_not_written();
    ///         }
    ///     }
    ///     Err(conflict)
    /// }
    /// ```
    pub fn mark_not_written(&mut self) {
        self.write_state = WriteState::Nothing;
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs the body of a sequence. Its wire calls and pauses end in time by themselves; this
    /// bounds everything else that it awaits.
    pub(super) async fn in_time<T, F>(&mut self, body: F) -> StorageResult<T>
    where
        F: AsyncFnOnce(&mut Wire<'_>) -> StorageResult<T>,
    {
        match timeout_at(self.deadline, body(self)).await {
            Ok(result) => result,
            Err(_) => Err(self.out_of_time()),
        }
    }

    async fn call<T, E, F, Fut>(&mut self, access: Access, mut attempt: F) -> Result<T, E>
    where
        E: AttemptError,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let mut now = Instant::now();
        if now >= self.cutoff {
            return Err(self.out_of_time().into());
        }
        let mut refund = RetryBudget::REGAINED;
        let mut retry = 0;
        loop {
            let error = match self.attempt(access, now, retry, &mut attempt).await {
                Err(error) if error.storage_error().is_transient() => error,
                answer => {
                    self.executor.budget.refill(refund);
                    return answer;
                }
            };
            let Some((next, reserved)) = self.next_attempt(retry, error.storage_error()) else {
                return Err(error);
            };
            sleep_until(next).await;
            now = Instant::now();
            // The timer is coarse, and the runtime may have been busy.
            if now >= self.cutoff {
                return Err(error);
            }
            refund = reserved.spend();
            self.executor.metrics.record_retry();
            retry += 1;
        }
    }

    async fn attempt<T, E, F, Fut>(
        &mut self,
        access: Access,
        now: Instant,
        retry: u32,
        attempt: &mut F,
    ) -> Result<T, E>
    where
        E: AttemptError,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let limit = match access {
            Access::Read => self.executor.timeout,
            Access::Write => self.executor.timeout.saturating_mul(2),
        };
        let end = later(now, limit);
        let (end, limit) = match end <= self.cutoff {
            true => (end, limit),
            false => (self.cutoff, self.executor.description.operation_timeout),
        };
        self.attempts += 1;
        span::attempts(&self.span, self.attempts);
        let left = end.saturating_duration_since(now);
        let attempt = attempt(Attempt { number: retry + 1, in_doubt: self.outcome_unknown(), limit: left });
        let before = (access == Access::Write).then(|| self.write_state.begin_attempt());
        let result = match timeout_at(end, attempt).await {
            Ok(result) => result,
            Err(_) => Err(StorageError::from(StorageErrorKind::Timeout { limit }).into()),
        };
        if let Some(before) = before {
            self.write_state.record(before, self.attempts, &result);
        }
        result
    }

    /// Returns the start of the next attempt and the tokens that it spends; `None` if the call is
    /// not retried.
    fn next_attempt(&self, retry: u32, error: &StorageError) -> Option<(Instant, Reserved<'e>)> {
        let Executor { policy, budget, random, .. } = self.executor;
        if retry >= policy.max_retries {
            return None;
        }
        let requested = error.retry_after().filter(|delay| !delay.is_zero());
        let delay = requested.unwrap_or_else(|| policy.delay(retry, random()));
        let end = later(Instant::now(), delay);
        if end >= self.cutoff {
            return None;
        }
        let reserved = budget.reserve(match error.kind() {
            StorageErrorKind::Timeout { .. } => RetryBudget::TIMEOUT_RETRY_COST,
            _ => RetryBudget::RETRY_COST,
        })?;
        span::retry(error, delay);
        Some((end, reserved))
    }

    fn out_of_time(&self) -> StorageError {
        StorageErrorKind::Timeout { limit: self.executor.description.operation_timeout }.into()
    }
}

/// Adds a duration, capped at ten years: longer than any wait, and an instant can represent it.
fn later(now: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    now + duration.min(FAR)
}
