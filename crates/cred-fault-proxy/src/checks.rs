//! What a remote provider must do when its network fails.

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

/// A server, and a provider that reaches it through a proxy.
#[async_trait]
pub trait Remote: Send + Sync {
    /// Where the server listens.
    fn server(&self) -> SocketAddr;

    /// A provider that reaches the server through this address and nothing else, over a place that
    /// is empty at first. It has a timeout of one second for an attempt, an operation timeout of
    /// five, three retries or more, and delays of at most 200 ms between them.
    async fn provider(&self, through: SocketAddr) -> Arc<dyn StorageProvider>;

    /// How many requests a store of what is there already makes before the one that writes; 0 by
    /// default.
    fn looks(&self) -> usize {
        0
    }

    /// How the server says "not now" in its own words: a body for the status 503, and for 429.
    fn refusal(&self) -> String;

    /// How the server says "never" in its own words: a status and a body that no attempt would
    /// change. Default: 403 with the body of [`refusal`](Self::refusal).
    fn denial(&self) -> (u16, String) {
        (403, self.refusal())
    }
}

/// One promise, as a test.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    name: &'static str,
    check: fn(Trial) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Check {
    /// All of them.
    #[must_use]
    pub fn all() -> &'static [Self] {
        CHECKS
    }

    /// Its name, such as `latency_below_the_timeout_is_borne`.
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
    latency_below_the_timeout_is_borne
    a_stalled_read_ends_in_its_time
    a_stalled_write_ends_in_its_time_and_in_doubt
    an_answer_that_stalls_in_its_middle_ends_in_its_time
    an_answer_that_is_reset_in_its_middle_is_asked_for_again
    an_answer_that_is_cut_short_is_asked_for_again
    answers_that_are_always_cut_short_are_no_corruption
    too_many_requests_is_waited_out_as_long_as_the_server_says
    a_pause_beyond_the_deadline_is_not_begun
    an_unavailable_server_is_asked_again
    a_definite_refusal_is_not_asked_for_again
    a_server_that_cannot_be_reached_leaves_no_doubt
    a_store_whose_answer_is_lost_is_done_by_another_attempt
    a_store_whose_answers_are_all_lost_is_in_doubt
    a_store_whose_answer_is_lost_and_that_is_refused_then_is_in_doubt
    a_conditional_store_whose_answer_is_lost_is_found_to_be_done
    a_delete_whose_answer_is_lost_is_done
}

/// What each test of a suite does.
#[doc(hidden)]
#[expect(clippy::panic, reason = "it reports to the test runner")]
pub fn run<R: Remote + 'static>(name: &str, remote: impl Future<Output = R>) {
    let Some(check) = Check::all().iter().find(|check| check.name == name) else {
        panic!("there is no check `{name}`");
    };
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            let trial = Trial::open(Arc::new(remote.await)).await;
            (check.check)(trial).await;
        }),
        Err(error) => panic!("no tokio runtime could be built: {error}"),
    }
}

/// The timeout of an attempt, which [`Remote::provider`] asks for.
const ATTEMPT: Duration = Duration::from_secs(1);
/// What an operation may take over its timeout: a busy machine is no defect.
const MARGIN: Duration = Duration::from_secs(2);

struct Trial {
    remote: Arc<dyn Remote>,
    proxy: Proxy,
    provider: Arc<dyn StorageProvider>,
    id: CredentialId,
    ctx: CredentialContext,
}

impl Trial {
    /// With a first credential stored, so that logins and first looks are done.
    async fn open(remote: Arc<dyn Remote>) -> Self {
        let proxy = must(Proxy::start(remote.server()).await, "a proxy");
        let provider = remote.provider(proxy.address()).await;
        let id = must("key".parse(), "an id");
        let ctx = CredentialContext::from(Some(must("org:faults".parse(), "a scope")));
        let trial = Self { remote, proxy, provider, id, ctx };
        must(trial.store(0).await, "the first store, through a proxy that breaks nothing");
        trial
    }

    async fn store(&self, number: u8) -> Result<(), StorageError> {
        let Sealed { data, metadata } = value(number);
        self.in_time(self.provider.store(&self.id, data, metadata, &self.ctx)).await
    }

    async fn retrieve(&self) -> Result<Sealed, StorageError> {
        self.in_time(self.provider.retrieve(&self.id, &self.ctx)).await
    }

    /// Reads past whatever was broken.
    async fn holds(&self, number: u8) {
        self.proxy.heal();
        let stored = must(self.retrieve().await, "a read through a proxy that is healed");
        assert!(stored == value(number), "another value is stored than number {number}");
    }

    async fn in_time<T>(&self, operation: impl Future<Output = T>) -> T {
        let limit = self.provider.describe().operation_timeout;
        match timeout(limit + MARGIN, operation).await {
            Ok(answer) => answer,
            Err(_) => fail(&format!("the operation did not end within its timeout of {limit:?}")),
        }
    }
}

async fn latency_below_the_timeout_is_borne(t: Trial) {
    const DELAY: Duration = Duration::from_millis(300);
    t.proxy.fail_always(Fault::Latency(DELAY));
    let begun = Instant::now();
    must(t.store(1).await, "a store that takes 300 ms");
    assert!(begun.elapsed() >= DELAY, "the proxy did not delay it");
    must(t.retrieve().await, "a read that takes 300 ms");
    t.holds(1).await;
}

async fn a_stalled_read_ends_in_its_time(t: Trial) {
    t.proxy.fail_always(Fault::Stall);
    let error = refused(t.retrieve().await, "a read without an answer");
    is(&error, matches!(error.kind(), StorageErrorKind::Timeout { .. }), "a Timeout");
    t.holds(0).await;
}

async fn a_stalled_write_ends_in_its_time_and_in_doubt(t: Trial) {
    t.proxy.fail_all_after(t.remote.looks(), Fault::Stall);
    let error = refused(t.store(1).await, "a store without an answer");
    is(&error, matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "in doubt");
    // The proxy has passed nothing on.
    t.holds(0).await;
}

async fn an_answer_that_stalls_in_its_middle_ends_in_its_time(t: Trial) {
    // In the head, and in the body.
    for after in [30, 400] {
        t.proxy.fail_always(Fault::StallAfter(after));
        let error = refused(t.retrieve().await, "a read whose answer never ends");
        is(&error, matches!(error.kind(), StorageErrorKind::Timeout { .. }), "a Timeout");
        again(&t, Fault::StallAfter(after)).await;
    }
    // Of a write, something may have come of it.
    t.proxy.fail_all_after(t.remote.looks(), Fault::StallAfter(30));
    let error = refused(t.store(1).await, "a store whose answer never ends");
    is(&error, matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "in doubt");
}

async fn an_answer_that_is_reset_in_its_middle_is_asked_for_again(t: Trial) {
    again(&t, Fault::Reset(40)).await;
    again(&t, Fault::Reset(0)).await;
}

async fn an_answer_that_is_cut_short_is_asked_for_again(t: Trial) {
    // In the head and, since answers with a value are longer than that, in the body.
    again(&t, Fault::Truncate(30)).await;
    again(&t, Fault::Truncate(400)).await;
}

async fn again(t: &Trial, fault: Fault) {
    let sent = Sent::counted_by(&t.proxy);
    t.proxy.fail_once(fault.clone());
    let stored = must(t.retrieve().await, &format!("a read whose first answer ends by {fault:?}"));
    assert!(stored == value(0), "it gave another value after {fault:?}");
    sent.are(2, &format!("a read whose first answer ends by {fault:?}"));
}

/// Counts the requests of one operation.
struct Sent<'a> {
    proxy: &'a Proxy,
    before: usize,
    begun: Instant,
}

impl<'a> Sent<'a> {
    fn counted_by(proxy: &'a Proxy) -> Self {
        Self { proxy, before: proxy.requests(), begun: Instant::now() }
    }

    /// More than `expected` are right only where a busy machine let an attempt time out.
    fn are(&self, expected: usize, what: &str) {
        let (requests, took) = (self.proxy.requests() - self.before, self.begun.elapsed());
        let is_right = requests == expected || requests > expected && took >= ATTEMPT;
        assert!(is_right, "{what}: {requests} requests within {took:?}, and should be {expected}");
    }
}

async fn answers_that_are_always_cut_short_are_no_corruption(t: Trial) {
    t.proxy.fail_always(Fault::Truncate(400));
    let error = refused(t.retrieve().await, "a read whose answers are always cut short");
    is(&error, error.is_transient(), "transient: what is stored is whole");
    t.holds(0).await;
}

async fn too_many_requests_is_waited_out_as_long_as_the_server_says(t: Trial) {
    t.proxy.fail_once(Fault::answer(429, &["Retry-After: 1"], &t.remote.refusal()));
    let begun = Instant::now();
    must(t.store(1).await, "a store that is throttled once");
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(1), "it waited {waited:?}, and the server had said 1 s");
    t.holds(1).await;
}

async fn a_pause_beyond_the_deadline_is_not_begun(t: Trial) {
    let sent = Sent::counted_by(&t.proxy);
    t.proxy.fail_always(Fault::answer(429, &["Retry-After: 3600"], &t.remote.refusal()));
    let error = refused(t.store(1).await, "a store that is throttled for an hour");
    let told = StorageErrorKind::Throttled { retry_after: Some(Duration::from_secs(3_600)) };
    is(&error, *error.kind() == told, "Throttled with the server's pause");
    is(&error, !error.may_have_written(), "sure that nothing was written");
    sent.are(1, "a store that is throttled for an hour");
    t.holds(0).await;
}

async fn an_unavailable_server_is_asked_again(t: Trial) {
    t.proxy.fail_times(Fault::answer(503, &[], &t.remote.refusal()), 2);
    must(t.store(1).await, "a store after two answers of 503");
    t.holds(1).await;
    t.proxy.fail_always(Fault::answer(503, &[], &t.remote.refusal()));
    let error = refused(t.retrieve().await, "a read that is always answered with 503");
    is(&error, matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "Unavailable");
}

async fn a_definite_refusal_is_not_asked_for_again(t: Trial) {
    let (status, body) = t.remote.denial();
    t.proxy.fail_always(Fault::answer(status, &[], &body));
    let sent = Sent::counted_by(&t.proxy);
    let error = refused(t.retrieve().await, "a read that is refused");
    is(&error, !error.is_transient(), "a definite one");
    sent.are(1, "a read that is refused");
    let sent = Sent::counted_by(&t.proxy);
    let error = refused(t.store(1).await, "a store that is refused");
    is(
        &error,
        !error.is_transient() && !error.may_have_written(),
        "a definite one, sure that nothing was written",
    );
    sent.are(1, "a store that is refused");
    t.holds(0).await;
}

async fn a_server_that_cannot_be_reached_leaves_no_doubt(t: Trial) {
    t.proxy.refuse().await;
    // A connection that is still open in the client's pool may take one attempt with it.
    let _ = t.retrieve().await;
    let error = refused(t.store(1).await, "a store without a server");
    is(&error, matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "Unreachable");
    is(&error, !error.may_have_written(), "sure that nothing was written");
    must(t.proxy.admit(), "the proxy, opened again");
    t.holds(0).await;
}

async fn a_store_whose_answer_is_lost_is_done_by_another_attempt(t: Trial) {
    t.proxy.fail_once(Fault::LoseAnswer);
    must(t.store(1).await, "a store whose first answer is lost");
    t.holds(1).await;
}

async fn a_store_whose_answers_are_all_lost_is_in_doubt(t: Trial) {
    t.proxy.fail_all_after(t.remote.looks(), Fault::LoseAnswer);
    let error = refused(t.store(1).await, "a store whose answers are all lost");
    is(&error, matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "in doubt");
    // It had its effect, which the provider cannot know.
    t.holds(1).await;
}

async fn a_store_whose_answer_is_lost_and_that_is_refused_then_is_in_doubt(t: Trial) {
    let (status, body) = t.remote.denial();
    t.proxy.fail_once_then(Fault::LoseAnswer, Fault::answer(status, &[], &body));
    let error = refused(t.store(1).await, "a store whose answer is lost and that is refused then");
    t.proxy.heal();
    let stored = must(t.retrieve().await, "a read through a proxy that is healed");
    // Where the store looks before it writes, what was lost was the look.
    let has_written = stored == value(1);
    is(&error, !has_written || error.may_have_written(), "in doubt, since the value is there");
    is(&error, !error.is_transient(), "no invitation to try again");
}

async fn a_conditional_store_whose_answer_is_lost_is_found_to_be_done(t: Trial) {
    let Some(cas) = t.provider.compare_and_set() else { fail("the provider has no compare-and-set") };
    // A provider may look before it writes: once the answer to its first request is lost, once that
    // to its second.
    for (skipped, number) in [(0, 1), (1, 2)] {
        let revision = must(cas.retrieve_versioned(&t.id, &t.ctx).await, "a read").revision;
        let Sealed { data, metadata } = value(number);
        t.proxy.fail_after(skipped, Fault::LoseAnswer);
        let stored = t.in_time(cas.store_if(&t.id, data, metadata, Some(&revision), &t.ctx)).await;
        let revision = must(stored, "a conditional store whose answer is lost");
        t.holds(number).await;
        let now = must(cas.retrieve_versioned(&t.id, &t.ctx).await, "a read").revision;
        assert!(now == revision, "the revision that was given is not the stored one");
    }
}

async fn a_delete_whose_answer_is_lost_is_done(t: Trial) {
    t.proxy.fail_once(Fault::LoseAnswer);
    must(t.in_time(t.provider.delete(&t.id, &t.ctx)).await, "a delete whose answer is lost");
    t.proxy.heal();
    let error = refused(t.retrieve().await, "a read of what was deleted");
    is(&error, error.is_not_found(), "NotFound");
}

fn value(number: u8) -> Sealed {
    let key_id: KeyId = must("key".parse(), "a key id");
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
        Ok(_) => fail(&format!("{what} succeeded")),
        Err(error) => error,
    }
}

fn is(error: &StorageError, so: bool, what: &str) {
    assert!(so, "the error should be {what}: {error:?}");
}
