//! The checks of how a remote provider handles network faults.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cred_core::{
    CredentialContext, CredentialId, CredentialMetadata, EncryptedData, KeyId, Sealed, StorageError,
    StorageErrorKind, StorageProvider, Timestamp,
};
use tokio::time::{Instant, timeout};

use crate::{Fault, Proxy};

/// A server, and a provider that connects to it through a proxy.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Returns the address at which the server listens.
    fn server(&self) -> SocketAddr;

    /// Creates a provider that connects to the server only through this address, over an empty
    /// namespace. It must have a timeout of one second for an attempt, an operation timeout of five
    /// seconds, at least three retries, and delays of at most 200 ms between them.
    async fn provider(&self, through: SocketAddr) -> Arc<dyn StorageProvider>;

    /// Returns the number of requests that a store over an existing credential sends before the
    /// request that writes. Default: 0.
    fn requests_before_write(&self) -> usize {
        0
    }

    /// Returns the body of a transient error in the server's own format, used for the statuses 503
    /// and 429.
    fn refusal(&self) -> String;

    /// Returns the status and body of a permanent error in the server's own format, which a retry
    /// would not change. Default: 403 with the body of [`refusal`](Self::refusal).
    fn denial(&self) -> (u16, String) {
        (403, self.refusal())
    }
}

/// A test of one guarantee.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    name: &'static str,
    check: fn(Trial) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Check {
    /// Returns every check.
    #[must_use]
    pub fn all() -> &'static [Self] {
        CHECKS
    }

    /// Returns the name, such as `latency_below_the_timeout_is_tolerated`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

macro_rules! checks {
    ($($name:ident)*) => {
        static CHECKS: &[Check] =
            &[$(Check { name: stringify!($name), check: |trial| Box::pin($name(trial)) }),*];
    };
}

checks! {
    latency_below_the_timeout_is_tolerated
    a_stalled_read_times_out
    a_stalled_write_times_out_with_an_unknown_outcome
    an_answer_that_stalls_midway_times_out
    an_answer_that_is_reset_midway_is_retried
    a_truncated_answer_is_retried
    truncated_answers_are_not_reported_as_corruption
    a_retry_after_header_is_respected
    a_retry_after_beyond_the_deadline_fails_at_once
    an_unavailable_server_is_retried
    a_permanent_refusal_is_not_retried
    an_unreachable_server_means_nothing_was_written
    a_store_whose_answer_is_lost_is_retried
    a_store_whose_answers_are_all_lost_has_an_unknown_outcome
    a_store_refused_after_a_lost_answer_has_an_unknown_outcome
    a_conditional_store_whose_answer_is_lost_succeeds
    a_delete_whose_answer_is_lost_succeeds
}

/// The body of each test of a suite.
#[doc(hidden)]
#[expect(clippy::panic, reason = "it reports to the test runner")]
pub fn run<R: Remote + 'static>(name: &str, remote: impl Future<Output = R>) {
    let Some(check) = Check::all().iter().find(|check| check.name == name) else {
        panic!("unknown check `{name}`");
    };
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let trial = Trial::open(Arc::new(remote.await)).await;
            (check.check)(trial).await;
        }),
        Err(error) => panic!("could not build a tokio runtime: {error}"),
    }
}

/// The timeout of an attempt, as [`Remote::provider`] requires.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that an operation may take in addition to its timeout, to allow for a busy machine.
const MARGIN: Duration = Duration::from_secs(2);

struct Trial {
    remote: Arc<dyn Remote>,
    proxy: Proxy,
    provider: Arc<dyn StorageProvider>,
    id: CredentialId,
    ctx: CredentialContext,
}

impl Trial {
    /// Opens a provider and stores a first credential, so that logins and initial requests are
    /// done.
    async fn open(remote: Arc<dyn Remote>) -> Self {
        let proxy = must(Proxy::start(remote.server()).await, "starting the proxy");
        let provider = remote.provider(proxy.address()).await;
        let id = must("key".parse(), "parsing an id");
        let ctx = CredentialContext::from(Some(must("org:faults".parse(), "parsing a scope")));
        let trial = Self { remote, proxy, provider, id, ctx };
        must(trial.store(0).await, "the first store, through a proxy without faults");
        trial
    }

    async fn store(&self, number: u8) -> Result<(), StorageError> {
        let Sealed { data, metadata } = value(number);
        self.in_time(self.provider.store(&self.id, data, metadata, &self.ctx)).await
    }

    async fn retrieve(&self) -> Result<Sealed, StorageError> {
        self.in_time(self.provider.retrieve(&self.id, &self.ctx)).await
    }

    /// Removes the faults and checks that this value is stored.
    async fn holds(&self, number: u8) {
        self.proxy.heal();
        let stored = must(self.retrieve().await, "a read after the faults were removed");
        assert!(stored == value(number), "the stored value is not number {number}");
    }

    async fn in_time<T>(&self, operation: impl Future<Output = T>) -> T {
        let limit = self.provider.describe().operation_timeout;
        match timeout(limit + MARGIN, operation).await {
            Ok(answer) => answer,
            Err(_) => fail(&format!("the operation did not end within its timeout of {limit:?}")),
        }
    }
}

async fn latency_below_the_timeout_is_tolerated(t: Trial) {
    const DELAY: Duration = Duration::from_millis(300);
    t.proxy.fail_always(Fault::Latency(DELAY));
    let started = Instant::now();
    must(t.store(1).await, "a store that takes 300 ms");
    assert!(started.elapsed() >= DELAY, "the proxy did not delay the store");
    must(t.retrieve().await, "a read that takes 300 ms");
    t.holds(1).await;
}

async fn a_stalled_read_times_out(t: Trial) {
    t.proxy.fail_always(Fault::Stall);
    let error = refused(t.retrieve().await, "a read without an answer");
    is(&error, matches!(error.kind(), StorageErrorKind::Timeout { .. }), "Timeout");
    t.holds(0).await;
}

async fn a_stalled_write_times_out_with_an_unknown_outcome(t: Trial) {
    t.proxy.fail_all_after(t.remote.requests_before_write(), Fault::Stall);
    let error = refused(t.store(1).await, "a store without an answer");
    is(&error, matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "InDoubt");
    // The proxy has forwarded nothing.
    t.holds(0).await;
}

async fn an_answer_that_stalls_midway_times_out(t: Trial) {
    // In the head, and in the body.
    for after in [30, 400] {
        t.proxy.fail_always(Fault::StallAfter(after));
        let error = refused(t.retrieve().await, "a read whose answer never ends");
        is(&error, matches!(error.kind(), StorageErrorKind::Timeout { .. }), "Timeout");
        is_retried(&t, Fault::StallAfter(after)).await;
    }
    // A write may have taken effect.
    t.proxy.fail_all_after(t.remote.requests_before_write(), Fault::StallAfter(30));
    let error = refused(t.store(1).await, "a store whose answer never ends");
    is(&error, matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "InDoubt");
}

async fn an_answer_that_is_reset_midway_is_retried(t: Trial) {
    is_retried(&t, Fault::Reset(40)).await;
    is_retried(&t, Fault::Reset(0)).await;
}

async fn a_truncated_answer_is_retried(t: Trial) {
    // In the head and, since answers with a value are longer than that, in the body.
    is_retried(&t, Fault::Truncate(30)).await;
    is_retried(&t, Fault::Truncate(400)).await;
}

/// Checks that a read whose first answer has this fault is retried once.
async fn is_retried(t: &Trial, fault: Fault) {
    let sent = Sent::counted_by(&t.proxy);
    t.proxy.fail_once(fault.clone());
    let stored = must(t.retrieve().await, &format!("a read whose first answer ends in {fault:?}"));
    assert!(stored == value(0), "the read returned another value after {fault:?}");
    sent.are(2, &format!("a read whose first answer ends in {fault:?}"));
}

/// Counts the requests of one operation.
struct Sent<'a> {
    proxy: &'a Proxy,
    before: usize,
    started: Instant,
}

impl<'a> Sent<'a> {
    fn counted_by(proxy: &'a Proxy) -> Self {
        Self { proxy, before: proxy.requests(), started: Instant::now() }
    }

    /// Checks the number of requests. More than `expected` are correct only if an attempt may have
    /// timed out on a busy machine.
    fn are(&self, expected: usize, what: &str) {
        let (requests, took) = (self.proxy.requests() - self.before, self.started.elapsed());
        let is_correct = requests == expected || requests > expected && took >= ATTEMPT_TIMEOUT;
        assert!(is_correct, "{what}: sent {requests} requests within {took:?}, expected {expected}");
    }
}

async fn truncated_answers_are_not_reported_as_corruption(t: Trial) {
    t.proxy.fail_always(Fault::Truncate(400));
    let error = refused(t.retrieve().await, "a read whose answers are all truncated");
    is(&error, error.is_transient(), "transient, since the stored value is complete");
    t.holds(0).await;
}

async fn a_retry_after_header_is_respected(t: Trial) {
    t.proxy.fail_once(Fault::answer(429, &["Retry-After: 1"], &t.remote.refusal()));
    let started = Instant::now();
    must(t.store(1).await, "a store that is throttled once");
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(1), "the store waited {waited:?}, but the server asked for 1 s");
    t.holds(1).await;
}

async fn a_retry_after_beyond_the_deadline_fails_at_once(t: Trial) {
    let sent = Sent::counted_by(&t.proxy);
    t.proxy.fail_always(Fault::answer(429, &["Retry-After: 3600"], &t.remote.refusal()));
    let error = refused(t.store(1).await, "a store that is throttled for an hour");
    let expected = StorageErrorKind::Throttled { retry_after: Some(Duration::from_secs(3_600)) };
    is(&error, *error.kind() == expected, "Throttled with the server's `retry_after`");
    is(&error, !error.may_have_written(), "one after which nothing was written");
    sent.are(1, "a store that is throttled for an hour");
    t.holds(0).await;
}

async fn an_unavailable_server_is_retried(t: Trial) {
    t.proxy.fail_times(Fault::answer(503, &[], &t.remote.refusal()), 2);
    must(t.store(1).await, "a store after two answers of 503");
    t.holds(1).await;
    t.proxy.fail_always(Fault::answer(503, &[], &t.remote.refusal()));
    let error = refused(t.retrieve().await, "a read that is always answered with 503");
    is(&error, matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "Unavailable");
}

async fn a_permanent_refusal_is_not_retried(t: Trial) {
    let (status, body) = t.remote.denial();
    t.proxy.fail_always(Fault::answer(status, &[], &body));
    let sent = Sent::counted_by(&t.proxy);
    let error = refused(t.retrieve().await, "a read that is refused");
    is(&error, !error.is_transient(), "permanent");
    sent.are(1, "a read that is refused");
    let sent = Sent::counted_by(&t.proxy);
    let error = refused(t.store(1).await, "a store that is refused");
    is(
        &error,
        !error.is_transient() && !error.may_have_written(),
        "permanent, and one after which nothing was written",
    );
    sent.are(1, "a store that is refused");
    t.holds(0).await;
}

async fn an_unreachable_server_means_nothing_was_written(t: Trial) {
    t.proxy.refuse().await;
    // A connection that is still open in the client's pool may take one attempt with it.
    let _ = t.retrieve().await;
    let error = refused(t.store(1).await, "a store without a server");
    is(&error, matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "Unreachable");
    is(&error, !error.may_have_written(), "one after which nothing was written");
    must(t.proxy.admit(), "reopening the proxy");
    t.holds(0).await;
}

async fn a_store_whose_answer_is_lost_is_retried(t: Trial) {
    t.proxy.fail_once(Fault::LoseAnswer);
    must(t.store(1).await, "a store whose first answer is lost");
    t.holds(1).await;
}

async fn a_store_whose_answers_are_all_lost_has_an_unknown_outcome(t: Trial) {
    t.proxy.fail_all_after(t.remote.requests_before_write(), Fault::LoseAnswer);
    let error = refused(t.store(1).await, "a store whose answers are all lost");
    is(&error, matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "InDoubt");
    // The store took effect, but the provider cannot know that.
    t.holds(1).await;
}

async fn a_store_refused_after_a_lost_answer_has_an_unknown_outcome(t: Trial) {
    let (status, body) = t.remote.denial();
    t.proxy.fail_once_then(Fault::LoseAnswer, Fault::answer(status, &[], &body));
    let error = refused(t.store(1).await, "a store that is refused after a lost answer");
    t.proxy.heal();
    let stored = must(t.retrieve().await, "a read after the faults were removed");
    // If the store reads before it writes, the lost answer was that of the read.
    let has_written = stored == value(1);
    is(&error, !has_written || error.may_have_written(), "InDoubt, since the value is stored");
    is(&error, !error.is_transient(), "permanent");
}

async fn a_conditional_store_whose_answer_is_lost_succeeds(t: Trial) {
    let Some(cas) = t.provider.compare_and_set() else {
        fail("`compare_and_set` is offered, but the provider does not support it")
    };
    // A provider may read before it writes, so the answer to the first request is lost in one round
    // and the answer to the second in the other.
    for (skipped, number) in [(0, 1), (1, 2)] {
        let revision = must(cas.retrieve_versioned(&t.id, &t.ctx).await, "a read").revision;
        let Sealed { data, metadata } = value(number);
        t.proxy.fail_after(skipped, Fault::LoseAnswer);
        let stored = t.in_time(cas.store_if(&t.id, data, metadata, Some(&revision), &t.ctx)).await;
        let revision = must(stored, "a conditional store whose answer is lost");
        t.holds(number).await;
        let now = must(cas.retrieve_versioned(&t.id, &t.ctx).await, "a read").revision;
        assert!(now == revision, "the returned revision is not the stored one");
    }
}

async fn a_delete_whose_answer_is_lost_succeeds(t: Trial) {
    t.proxy.fail_once(Fault::LoseAnswer);
    must(t.in_time(t.provider.delete(&t.id, &t.ctx)).await, "a delete whose answer is lost");
    t.proxy.heal();
    let error = refused(t.retrieve().await, "a read of the deleted credential");
    is(&error, error.is_not_found(), "NotFound");
}

fn value(number: u8) -> Sealed {
    let key_id: KeyId = must("key".parse(), "parsing a key id");
    let data = EncryptedData::new(key_id, [number; 32], [2; 32], [3; 12], vec![number; 1_024], [5; 16]);
    Sealed::new(data, CredentialMetadata::new(Timestamp::from_unix_millis(1_700_000_000_000)))
}

#[expect(clippy::panic, reason = "this is how a test reports")]
fn fail(problem: &str) -> ! {
    panic!("{problem}");
}

fn must<T, E: std::fmt::Display>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(&format!("{what} failed: {error}")),
    }
}

fn refused<T>(result: Result<T, StorageError>, what: &str) -> StorageError {
    match result {
        Ok(_) => fail(&format!("{what} succeeded, but must fail")),
        Err(error) => error,
    }
}

fn is(error: &StorageError, so: bool, what: &str) {
    assert!(so, "the error should be {what}: {error:?}");
}
