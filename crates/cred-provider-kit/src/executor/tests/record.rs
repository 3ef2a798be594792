use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use cred_core::{Operation, Target};
use tracing::field::{Field, Visit};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, span};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn an_error_names_provider_operation_and_target_once() {
    let fail = async |operation, target: TargetRef<'_>| {
        let script = Script::new([denied()]);
        executor().run(operation, target, |_| script.call()).await.unwrap_err()
    };
    let error =
        fail(Operation::Store, TargetRef::from(&path())).await.at("outer", Operation::List, Target::Backend);
    assert_eq!((error.provider(), error.operation()), (Some("double"), Some(Operation::Store)));
    assert_eq!(error.path(), Some(&path()));
    let scope = CredentialContext::scoped("org:acme".parse().unwrap());
    assert_eq!(
        fail(Operation::List, TargetRef::from(&scope)).await.target(),
        Some(&Target::Scope(Some("org:acme".parse().unwrap())))
    );
    let unscoped = CredentialContext::unscoped();
    assert_eq!(fail(Operation::List, TargetRef::from(&unscoped)).await.target(), Some(&Target::Scope(None)));
    assert_eq!(fail(Operation::Connect, TargetRef::Backend).await.target(), Some(&Target::Backend));
}

#[tokio::test(start_paused = true)]
async fn an_error_with_an_unknown_outcome_names_them_too() {
    let script = Script::new([Reply::Hang]);
    let error = no_retries(executor()).run(Operation::Store, &path(), |_| script.call()).await.unwrap_err();
    assert_eq!((error.provider(), error.path()), (Some("double"), Some(&path())));
}

#[tokio::test(start_paused = true)]
async fn an_operation_is_one_record_with_its_total_time() {
    let executor = executor();
    let script = Script::new([unreachable(), unreachable(), Reply::After(7 * MS, Box::new(Reply::Ok))]);
    executor
        .sequence(Operation::Store, &path(), async |wire| {
            wire.write(|_| script.call()).await?;
            wire.pause(S).await?;
            wire.write(|_| script.call()).await
        })
        .await
        .unwrap();
    let metrics = executor.metrics();
    assert_eq!((count(&metrics.store_count), count(&metrics.error_count)), (1, 0));
    assert_eq!(count(&metrics.store_latency_sum_ms), 100 + 200 + 7 + 1_000 + 7);
    assert_eq!(count(&metrics.retry_count), 2);
}

#[tokio::test(start_paused = true)]
async fn not_found_counts_as_success_and_a_refusal_as_failure() {
    let executor = executor();
    let run = async |operation, answer| {
        let script = Script::new([answer]);
        let _ = executor.run(operation, &path(), |_| script.call()).await;
    };
    run(Operation::Retrieve, Reply::Fail(StorageErrorKind::NotFound)).await;
    let metrics = executor.metrics();
    assert_eq!((count(&metrics.retrieve_count), count(&metrics.error_count)), (1, 0));
    run(Operation::Retrieve, denied()).await;
    run(Operation::StoreIf, Reply::Fail(StorageErrorKind::Conflict { reason: "newer".into() })).await;
    assert_eq!((count(&metrics.retrieve_count), count(&metrics.error_count)), (2, 2));
    run(Operation::Connect, denied()).await;
    assert_eq!(count(&metrics.error_count), 2, "an operation without a counter is not counted");
}

fn ids<const COUNT: usize>(names: [&str; COUNT]) -> Vec<CredentialId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_id_of_many_is_one_retrieve_with_its_own_result() {
    let (executor, ctx) = (executor(), CredentialContext::scoped("org:acme".parse().unwrap()));
    let script = Script::new([unreachable(), Reply::Ok]);
    let answers = executor
        .run_many(&ids(["a", "b", "c"]), &ctx, async |wire| {
            wire.read(|_| script.call()).await?;
            Ok(vec![Ok(1), Err(StorageErrorKind::NotFound.into()), Err(StorageError::corrupted("not ours"))])
        })
        .await;
    let [Ok(1), Err(absent), Err(broken)] = answers.as_slice() else { panic!("{answers:?}") };
    assert_eq!(absent.path().unwrap().to_string(), "org:acme/b");
    assert_eq!(
        broken.to_string(),
        "could not retrieve credential `org:acme/c` in double: the stored data is corrupted: not ours; \
         restore it from a backup, or store the credential again if you still have its value"
    );
    let metrics = executor.metrics();
    assert_eq!((count(&metrics.retrieve_count), count(&metrics.error_count)), (3, 1));
    assert_eq!(
        count(&metrics.retrieve_latency_sum_ms),
        3 * 100,
        "each result took the time of the whole call"
    );
    assert_eq!(count(&metrics.retry_count), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_fails_every_id() {
    let (executor, ctx) = (executor(), CredentialContext::unscoped());
    let script = Script::new([denied()]);
    let answers = executor
        .run_many(&ids(["a", "a"]), &ctx, async |wire| {
            wire.read(|_| script.call()).await?;
            Ok(vec![Ok(1), Ok(2)])
        })
        .await;
    assert_eq!(answers.len(), 2);
    for error in answers.into_iter().map(Result::unwrap_err) {
        assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }));
        assert_eq!(error.path().unwrap().to_string(), "a");
    }
    assert_eq!(count(&executor.metrics().error_count), 2);
}

#[tokio::test(start_paused = true)]
async fn results_that_cannot_be_assigned_to_ids_are_not_returned() {
    let (executor, ctx) = (executor(), CredentialContext::unscoped());
    for given in [0, 1, 3] {
        let answers =
            executor.run_many(&ids(["a", "b"]), &ctx, async |_| Ok((0..given).map(Ok).collect())).await;
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(Result::is_err));
    }
}

#[tokio::test(start_paused = true)]
async fn run_many_without_ids_makes_no_call() {
    let (executor, ctx) = (executor(), CredentialContext::unscoped());
    let answers: Vec<Result<(), _>> = executor.run_many(&[], &ctx, async |_| panic!("called")).await;
    assert!(answers.is_empty());
}

/// Records the fields of each span and event, in order.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: tracing::Subscriber> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, _: &span::Id, _: Context<'_, S>) {
        let metadata = attributes.metadata();
        let mut fields =
            BTreeMap::from([("target", metadata.target().into()), ("span", metadata.name().into())]);
        attributes.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().push(fields);
    }

    fn on_record(&self, _: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        values.record(&mut Fields(&mut self.0.lock().unwrap()[0]));
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut fields = BTreeMap::from([("target", event.metadata().target().into())]);
        event.record(&mut Fields(&mut fields));
        self.0.lock().unwrap().push(fields);
    }
}

/// Records the spans and events of this thread until the guard is dropped.
fn listen(recorder: &Recorder) -> impl Drop + use<> {
    // With a single dispatcher, tracing asks whichever thread reaches a span first, and caches the
    // answer. That may be the thread of another test, which has no subscriber. With two, it asks
    // both.
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
    LazyLock::force(&SECOND);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(recorder.clone()))
}

/// Returns the spans and events of an operation on `target` with the replies of `script`.
async fn recorded(
    operation: Operation,
    target: TargetRef<'_>,
    script: Script,
) -> Vec<BTreeMap<&'static str, String>> {
    let recorder = Recorder::default();
    let _listening = listen(&recorder);
    let _ = executor().run(operation, target, |_| script.call()).await;
    std::mem::take(&mut recorder.0.lock().unwrap())
}

fn fields<const COUNT: usize>(fields: [(&'static str, &str); COUNT]) -> BTreeMap<&'static str, String> {
    fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_span_records_names_and_numbers_and_nothing_else() {
    const CANARY: &str = "hunter2";
    let refused = StorageErrorKind::Unavailable { reason: CANARY.into(), retry_after: None };
    let corrupted = StorageErrorKind::Corrupted { reason: CANARY.into() };
    let script = Script::new([Reply::Fail(refused), Reply::Fail(corrupted)]);
    let recorded = recorded(Operation::Store, TargetRef::from(&path()), script).await;
    let span = fields([
        ("target", "cred::storage"),
        ("span", "operation"),
        ("provider", "double"),
        ("operation", "store"),
        ("scope", "org:acme"),
        ("id", "stripe"),
        ("attempts", "2"),
        ("outcome", "in_doubt"),
    ]);
    let retry = fields([
        ("target", "cred::storage"),
        ("message", "retry"),
        ("error", "unavailable"),
        ("delay", "100ms"),
    ]);
    assert_eq!(recorded, [span, retry]);
}

#[tokio::test(start_paused = true)]
async fn a_span_without_scope_and_id_has_no_such_fields() {
    let recorded = recorded(Operation::ListTree, TargetRef::Scope(None), Script::new([Reply::Ok])).await;
    let span = fields([
        ("target", "cred::storage"),
        ("span", "operation"),
        ("provider", "double"),
        ("operation", "list_tree"),
        ("attempts", "1"),
        ("outcome", "ok"),
    ]);
    assert_eq!(recorded, [span]);
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_dropped_operation_has_no_outcome() {
    let recorder = Recorder::default();
    let _listening = listen(&recorder);
    let script = Script::new([Reply::Hang]);
    let executor = executor();
    let operation = executor.run(Operation::Store, TargetRef::Backend, |_| script.call());
    tokio::time::timeout(S, operation).await.unwrap_err();
    let recorded = recorder.0.lock().unwrap();
    assert_eq!(recorded[0]["attempts"], "1");
    assert!(!recorded[0].contains_key("outcome"));
}

#[test]
fn debug_prints_the_provider_and_the_timeout() {
    let printed = format!("{:?}", executor());
    assert!(printed.contains("double") && printed.contains("60s"), "{printed}");
}
