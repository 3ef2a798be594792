//! The wire calls of one operation: attempts, their timeouts, and the waits between them.

use std::time::Duration;

use cred_core::{CredentialPath, Description, Operation, StorageError, StorageErrorKind, StorageResult};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Span;

use super::doubt::Written;
use super::{AttemptError, Executor, span};
use crate::RetryBudget;
use crate::budget::Reserved;

/// The wire calls of one operation, given to each method of a [`Backend`](crate::Backend).
#[derive(Debug)]
pub struct Wire<'e> {
    executor: &'e Executor,
    operation: Operation,
    pub(super) started: Instant,
    /// When the operation ends at the latest.
    deadline: Instant,
    /// When its wire calls end at the latest: earlier where time is held back.
    cutoff: Instant,
    attempts: u32,
    pub(super) written: Written,
    pub(super) span: Span,
}

/// Which attempt of a wire call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// Whether an earlier write attempt of the operation was ambiguous, so that this one may meet
    /// what that one wrote.
    pub in_doubt: bool,
    /// How long it may take, at its begin. What it waits for, such as a lock, it gives up a little
    /// earlier, as [`Busy`](StorageErrorKind::Busy): after the whole time the executor must call a
    /// write in doubt.
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
            written: Written::Nothing,
            span,
        }
    }

    /// What the provider promises.
    #[must_use]
    pub fn description(&self) -> &'e Description {
        &self.executor.description
    }

    /// Names the credential that an error is about, in an operation on several: a list, as a rule.
    /// In an operation on one credential the executor does it.
    #[must_use]
    pub fn locate(&self, error: StorageError, path: CredentialPath) -> StorageError {
        error.at(self.executor.description.name.clone(), self.operation, path)
    }

    /// Makes a wire call that changes nothing in the backend, whatever the operation is.
    ///
    /// # Errors
    /// What the last attempt gave, as it is.
    pub async fn read<T, E, F, Fut>(&mut self, attempt: F) -> Result<T, E>
    where
        E: AttemptError,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call(Access::Read, attempt).await
    }

    /// Makes a wire call that changes something: its attempts take twice the timeout, and leave
    /// doubt when they fail without a definite answer. It must bear being sent twice: an ambiguous
    /// attempt that a later one made good may still take effect, so give the backend what makes
    /// both one write (a request token, a revision) where it takes that.
    ///
    /// # Errors
    /// What the last attempt gave, as it is, a definite refusal after an ambiguous attempt
    /// included: the body may still look what became of it ([`Wire::in_doubt`], [`Wire::settle`]).
    /// The operation's result is judged when it ends.
    pub async fn write<T, E, F, Fut>(&mut self, attempt: F) -> Result<T, E>
    where
        E: AttemptError,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.call(Access::Write, attempt).await
    }

    /// Waits, as between two looks at something that the backend does in its own time.
    ///
    /// # Errors
    /// [`Timeout`](StorageErrorKind::Timeout), at once, if the wait would not end in time. A body
    /// that knows what it was waiting for gives that error instead.
    pub async fn pause(&self, duration: Duration) -> StorageResult<()> {
        let end = later(Instant::now(), duration);
        if end >= self.cutoff {
            return Err(self.out_of_time());
        }
        sleep_until(end).await;
        Ok(())
    }

    /// The time that wire calls and pauses still have.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.cutoff.saturating_duration_since(Instant::now())
    }

    /// Holds time back for what must be done if the next calls fail: they now end `reserve` before
    /// the deadline, but keep at least half of what remains. Zero gives it all back.
    ///
    /// A store that recovers a deleted credential first holds back the time to delete it again.
    pub fn hold_back(&mut self, reserve: Duration) {
        let most = self.deadline.saturating_duration_since(Instant::now()) / 2;
        self.cutoff = self.deadline.checked_sub(reserve.min(most)).unwrap_or(self.deadline);
    }

    /// Whether a write attempt so far was ambiguous.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.written.is_unknown()
    }

    /// Says that what the write calls so far have done, or may have done, is known not to be the
    /// write that was asked for, and that it cannot land any more: a read-back has shown it, or
    /// they only prepared it. A definite refusal may stand again.
    ///
    /// ```
    /// # use cred_core::{StorageErrorKind, StorageResult};
    /// # use cred_provider_kit::Wire;
    /// # struct Client;
    /// # impl Client {
    /// #     async fn put_if(&self, _: &str, _: u64) -> StorageResult<u64> { Ok(1) }
    /// #     async fn head(&self, _: &str) -> StorageResult<(u64, bool)> { Ok((1, true)) }
    /// # }
    /// /// Revisions of this backend count up and never come back. Where the one after `expected` is
    /// /// somebody else's, ours was not written and can no longer be. A later one may stand over ours,
    /// /// so it leaves the doubt.
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
    ///     if wire.in_doubt() {
    ///         let (revision, is_ours) = wire.read(|_| client.head(name)).await?;
    ///         if is_ours {
    ///             return Ok(revision);
    ///         }
    ///         if revision == expected + 1 {
    ///             wire.settle();
    ///         }
    ///     }
    ///     Err(conflict)
    /// }
    /// ```
    pub fn settle(&mut self) {
        self.written = Written::Nothing;
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs the body of a sequence. Its wire calls and pauses end in time by themselves; this
    /// bounds what else it awaits.
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
        let attempt = attempt(Attempt { number: retry + 1, in_doubt: self.in_doubt(), limit: left });
        let before = (access == Access::Write).then(|| self.written.send());
        let result = match timeout_at(end, attempt).await {
            Ok(result) => result,
            Err(_) => Err(StorageError::from(StorageErrorKind::Timeout { limit }).into()),
        };
        if let Some(before) = before {
            self.written.note(before, self.attempts, &result);
        }
        result
    }

    /// When the next attempt is to be made, and what it spends; `None`: there is none.
    fn next_attempt(&self, retry: u32, error: &StorageError) -> Option<(Instant, Reserved<'e>)> {
        let Executor { policy, budget, random, .. } = self.executor;
        if retry >= policy.max_retries {
            return None;
        }
        let asked = error.retry_after().filter(|delay| !delay.is_zero());
        let delay = asked.unwrap_or_else(|| policy.delay(retry, random()));
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

/// An instant that cannot be told is farther than any wait: ten years.
fn later(now: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    now + duration.min(FAR)
}
