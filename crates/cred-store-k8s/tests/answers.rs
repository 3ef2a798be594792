//! Responses that a real API server does not send on demand, and the error that each one becomes.
#![cfg(test)]

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cred_core::{
    CredentialContext, CredentialId, RetryPolicy, Revision, Sealed, StorageError, StorageErrorKind,
    StorageProvider,
};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::{KUBERNETES, Names, digest};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use cred_testing::http::{Answer, Request, Server};
use cred_testing::value::{hasty, id, store, unscoped, value};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

const TOKEN: &str = "hunter2hunter2";

fn status(code: u16, reason: &str, message: &str) -> Answer {
    let kind = if reason == "NotFound" { "secrets" } else { "" };
    let details = json!({"kind": kind});
    Answer::new(
        code,
        json!({"kind": "Status", "reason": reason, "message": message, "code": code, "details": details}),
    )
}

fn absent() -> Answer {
    status(404, "NotFound", "secrets \"nebula-cred-key\" not found")
}

/// A server that sends scripted responses, and a provider that uses it.
struct Scripted {
    server: Server,
    provider: KubernetesSecretsProvider,
    folder: TempDir,
}

impl Scripted {
    async fn answering(script: impl IntoIterator<Item = Answer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), TOKEN).unwrap();
        let server = Server::answering(script).await;
        let text = kubeconfig(&server.url(), &json!({"tokenFile": "token"})).to_string();
        std::fs::write(folder.path().join("kubeconfig"), text).unwrap();
        let provider = provider(&folder, |config| config);
        Self { server, provider, folder }
    }

    async fn store(&self) -> Result<(), StorageError> {
        store(&self.provider, "key", 1).await
    }

    async fn retrieve(&self) -> Result<Sealed, StorageError> {
        self.provider.retrieve(&id("key"), &unscoped()).await
    }

    /// A conditional store of the first value.
    async fn store_if(&self, expected: Option<&str>) -> Result<Revision, StorageError> {
        store_if(&self.provider, expected).await
    }

    /// Creates another provider with other settings.
    fn with(
        &self,
        change: impl FnOnce(KubernetesSecretsConfig) -> KubernetesSecretsConfig,
    ) -> KubernetesSecretsProvider {
        provider(&self.folder, change)
    }

    /// The requests so far, with headers and bodies.
    fn requests(&self) -> Vec<String> {
        self.server.requests().iter().map(Request::text).collect()
    }
}

async fn store_if(
    provider: &KubernetesSecretsProvider,
    expected: Option<&str>,
) -> Result<Revision, StorageError> {
    let (Sealed { data, metadata }, expected) = (value(1), expected.map(Revision::new));
    let cas = provider.compare_and_set().unwrap();
    cas.store_if(&id("key"), data, metadata, expected.as_ref(), &unscoped()).await
}

fn kubeconfig(server: &str, user: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    })
}

fn provider(
    folder: &TempDir,
    change: impl FnOnce(KubernetesSecretsConfig) -> KubernetesSecretsConfig,
) -> KubernetesSecretsProvider {
    let config = KubernetesSecretsConfig::default()
        .with_kubeconfig_path(folder.path().join("kubeconfig"))
        .with_operation_timeout(Duration::from_secs(10))
        .with_retry_policy(hasty());
    KubernetesSecretsProvider::new(change(config)).unwrap()
}

fn metadata(path: &str, version: u32) -> Value {
    let names = Names::new(KUBERNETES, "secret_prefix", "nebula-cred-").unwrap();
    json!({
        "name": names.encode(path.parse::<cred_core::CredentialPath>().unwrap().as_path_ref()).text,
        "uid": "u",
        "resourceVersion": version.to_string(),
        "labels": {"cred-rs.github.io/store": digest("nebula-cred-")},
        "annotations": {"cred-rs.github.io/path": path},
    })
}

/// A Secret as this library writes it.
fn secret(name: &str, version: u32, number: u8) -> Answer {
    let Sealed { data, metadata: credential } = value(number);
    let envelope = BASE64_STANDARD.encode(CredentialFile::new(data, credential).encode().unwrap());
    Answer::new(200, json!({"metadata": metadata(name, version), "data": {"envelope": envelope}}))
}

fn page(names: &[&str], next: &str) -> Answer {
    let items: Vec<_> = names.iter().map(|name| json!({"metadata": metadata(name, 1)})).collect();
    Answer::new(200, json!({"metadata": {"continue": next}, "items": items}))
}

#[tokio::test]
async fn the_constructor_sends_no_requests() {
    let server = Scripted::answering([absent()]).await;
    let limits = server.provider.describe().limits;
    assert_eq!((limits.max_payload_len, limits.recommended_payload_len), (Some(1_048_576), Some(262_144)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.provider.shutdown().await;
    assert!(server.server.asked().is_empty());
}

#[tokio::test]
async fn an_expired_list_is_restarted_and_drops_earlier_pages() {
    let expired = status(410, "Expired", "The provided continue parameter is too old");
    let script = [page(&["a", "b"], "next/1=="), expired, page(&["b"], "next/2=="), page(&["c"], "")];
    let server = Scripted::answering(script).await;
    let listed = server.provider.list(None, &unscoped()).await.unwrap();
    assert_eq!(listed, ["b", "c"].map(|id| id.parse::<CredentialId>().unwrap()));
    let continued: Vec<_> =
        server.server.asked().iter().map(|line| line.contains("continue=next%2F")).collect();
    assert_eq!(continued, [false, true, false, true]);
}

#[tokio::test]
async fn a_list_that_keeps_expiring_is_restarted_three_times() {
    for reason in ["Expired", "Gone"] {
        let script = [page(&["a"], "next"), status(410, reason, "too old")];
        let server = Scripted::answering(script.iter().cycle().take(20).cloned()).await;
        let error = server.provider.list(None, &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
        assert!(error.to_string().contains("the list expired"), "{error}");
        assert_eq!(server.server.asked().len(), 8, "two pages of four lists");
    }
}

#[tokio::test]
async fn a_410_that_does_not_report_an_expired_list_does_not_restart_it() {
    let page_of_a_proxy = || Answer::new(410, "<html>gone</html>").with_header("Content-Type: text/html");
    for (script, requests) in [
        (vec![page_of_a_proxy()], 1),
        (vec![page(&["a"], "next"), page_of_a_proxy()], 2),
        (vec![page(&["a"], "next"), status(410, "Else", "x")], 2),
        // A first page depends on no earlier list.
        (vec![status(410, "Expired", "too old")], 1),
    ] {
        let server = Scripted::answering(script).await;
        let error = server.provider.list(None, &unscoped()).await.unwrap_err();
        assert_eq!(server.server.asked().len(), requests, "{error}");
    }
    let server = Scripted::answering([page_of_a_proxy()]).await;
    let error = server.provider.list(None, &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error:?}");
    assert!(error.to_string().contains("is not a Kubernetes API server"), "{error}");
}

#[tokio::test]
async fn throttling_reports_the_pause_of_the_header_or_the_body() {
    let in_header = Answer::new(429, "{}").with_header("Retry-After: 3600");
    let body =
        json!({"kind": "Status", "reason": "TooManyRequests", "details": {"retryAfterSeconds": 3_600}});
    for answer in [in_header, Answer::new(429, body)] {
        let server = Scripted::answering([answer]).await;
        let error = server.store().await.unwrap_err();
        let expected = StorageErrorKind::Throttled { retry_after: Some(Duration::from_secs(3_600)) };
        assert_eq!(*error.kind(), expected);
        assert_eq!(server.server.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_server_error_makes_the_outcome_of_a_write_unknown_but_not_of_a_read() {
    for (code, reason) in [(500, "InternalError"), (503, "ServiceUnavailable"), (504, "Timeout")] {
        let server =
            Scripted::answering([absent(), status(code, reason, "etcdserver: request timed out")]).await;
        let error = server.store().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");
        assert!(error.to_string().contains("etcdserver: request timed out"), "{error}");
        let server = Scripted::answering([status(code, reason, "not now")]).await;
        assert!(!matches!(server.store().await.unwrap_err().kind(), StorageErrorKind::InDoubt { .. }));
    }
}

#[tokio::test]
async fn a_write_that_conflicts_reads_again_and_retries() {
    let conflict = status(409, "Conflict", "the object has been modified");
    let script = [secret("key", 1, 0), conflict, secret("key", 2, 0), secret("key", 3, 1)];
    let server = Scripted::answering(script).await;
    server.store().await.unwrap();
    let requests = server.requests();
    let verbs: Vec<_> = requests.iter().map(|request| request.split(' ').next().unwrap()).collect();
    assert_eq!(verbs, ["GET", "PUT", "GET", "PUT"]);
    assert!(requests[1].contains(r#""resourceVersion":"1""#), "{}", requests[1]);
    assert!(requests[3].contains(r#""resourceVersion":"2""#), "{}", requests[3]);
}

#[tokio::test]
async fn a_deletion_removes_only_the_version_that_was_read() {
    let conflict = status(409, "Conflict", "the ResourceVersion in the precondition does not match");
    let script =
        [secret("key", 1, 0), conflict, secret("key", 2, 0), Answer::new(200, json!({"kind": "Status"}))];
    let server = Scripted::answering(script).await;
    server.provider.delete(&id("key"), &unscoped()).await.unwrap();
    let requests = server.requests();
    assert!(requests[1].contains(r#""preconditions":{"resourceVersion":"1","uid":"u"}"#), "{}", requests[1]);
    assert!(requests[3].contains(r#""preconditions":{"resourceVersion":"2","uid":"u"}"#), "{}", requests[3]);
}

#[tokio::test]
async fn a_creation_that_may_still_succeed_is_not_a_conflict() {
    // The first attempt gets no response; then the value of another writer is found. Once that is
    // deleted, the attempt may succeed.
    let exists = status(409, "AlreadyExists", "secrets \"nebula-cred-key\" already exists");
    let script = [Answer::lost(), exists.clone(), secret("key", 7, 9), secret("key", 7, 9)];
    let server = Scripted::answering(script).await;
    let error = server.store_if(None).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");

    let script = [Answer::lost(), exists.clone(), secret("key", 7, 1)];
    let server = Scripted::answering(script).await;
    let revision = server.store_if(None).await.unwrap();
    assert_eq!(revision.as_str(), "7", "the stored value is that of this write");

    let server = Scripted::answering([exists, secret("key", 7, 9)]).await;
    let error = server.store_if(None).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Conflict { .. }), "{error:?}");
}

#[tokio::test]
async fn a_conditional_store_that_may_have_been_overwritten_is_not_a_conflict() {
    // The first attempt gets no response. Another writer may have read its value and replaced it.
    let changed = status(409, "Conflict", "the object has been modified");
    let script = [secret("key", 1, 0), Answer::lost(), changed.clone(), secret("key", 7, 9)];
    let server = Scripted::answering(script).await;
    let error = server.store_if(Some("1")).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");

    let server = Scripted::answering([secret("key", 1, 0), changed, secret("key", 7, 9)]).await;
    let error = server.store_if(Some("1")).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Conflict { .. }), "{error:?}");
}

/// A principal that can edit labels cannot move a credential into the list of another scope.
#[tokio::test]
async fn a_list_trusts_the_path_and_not_the_labels() {
    let names = ["a", "org:x/b", "org:x/team:t/c", "org:xy/d"];
    let server = Scripted::answering([page(&names, "")]).await;
    let paths = |listed: Vec<cred_core::CredentialPath>| -> Vec<String> {
        listed.iter().map(ToString::to_string).collect()
    };
    let ids = |listed: Vec<CredentialId>| -> Vec<String> { listed.iter().map(ToString::to_string).collect() };
    let org = CredentialContext::scoped("org:x".parse().unwrap());
    assert_eq!(ids(server.provider.list(None, &unscoped()).await.unwrap()), ["a"]);
    assert_eq!(ids(server.provider.list(None, &org).await.unwrap()), ["b"]);
    assert_eq!(paths(server.provider.list_tree(None, &org).await.unwrap()), ["org:x/b", "org:x/team:t/c"]);
}

#[tokio::test]
async fn a_store_that_fails_after_deleting_an_immutable_secret_has_an_unknown_outcome() {
    let immutable = status(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set");
    let denied = status(403, "Forbidden", "exceeded quota");
    let script = [secret("key", 1, 0), immutable, Answer::new(200, "{}"), absent(), denied];
    let server = Scripted::answering(script).await;
    let provider = server.with(|config| config.with_replace_immutable(true));
    let error = store(&provider, "key", 1).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "the old value is gone: {error:?}");
}

/// Another writer stores an immutable Secret in its place, and then changes it.
#[tokio::test]
async fn the_outcome_of_a_store_that_deleted_an_immutable_secret_stays_unknown_despite_other_writers() {
    let immutable = status(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set");
    let changed = status(409, "Conflict", "the ResourceVersion in the precondition does not match");
    let denied = status(403, "Forbidden", "exceeded quota");
    let script = [
        secret("key", 1, 0),
        immutable.clone(),
        Answer::new(200, json!({"kind": "Status"})),
        secret("key", 2, 9),
        immutable,
        changed,
        secret("key", 3, 9),
        denied,
    ];
    let server = Scripted::answering(script).await;
    let provider = server.with(|config| config.with_replace_immutable(true));
    let error = store(&provider, "key", 1).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "the old value is gone: {error:?}");
    assert_eq!(server.server.asked().len(), 8);
}

#[tokio::test]
async fn a_conditional_store_does_not_recreate_an_immutable_secret_that_others_deleted() {
    let immutable = status(422, "Invalid", "data: Forbidden: field is immutable when `immutable` is set");
    let changed = status(409, "Conflict", "the ResourceVersion in the precondition does not match");
    for deletion in [absent(), changed] {
        let script = [
            secret("key", 1, 0),
            immutable.clone(),
            deletion,
            Answer::new(201, json!({"metadata": metadata("key", 2)})),
        ];
        let server = Scripted::answering(script).await;
        let provider = server.with(|config| config.with_replace_immutable(true));
        let error = store_if(&provider, Some("1")).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Conflict { .. }), "{error:?}");
        assert_eq!(server.server.asked().len(), 3, "nothing is created");
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_within_the_operation_if_there_is_another() {
    let refused = status(401, "Unauthorized", "Unauthorized");
    let server = Scripted::answering([refused.clone()]).await;
    let error = server.retrieve().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
    assert_eq!(server.server.asked().len(), 1, "the same token again would be refused again");

    let server = Scripted::answering([secret("key", 1, 1), refused, secret("key", 1, 1)]).await;
    server.retrieve().await.unwrap();
    std::fs::write(server.folder.path().join("token"), "another").unwrap();
    server.retrieve().await.unwrap();
    let requests = server.requests();
    let tokens: Vec<_> = requests.iter().map(|request| request.contains("Bearer another")).collect();
    assert_eq!(tokens, [false, false, true]);
}

#[tokio::test]
async fn a_token_that_the_server_repeats_is_redacted() {
    for code in [400, 401, 403, 500] {
        let server =
            Scripted::answering([status(code, "Whatever", &format!("no such thing as {TOKEN}"))]).await;
        for error in [server.retrieve().await.unwrap_err(), server.store().await.unwrap_err()] {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_response_that_is_not_from_kubernetes_names_the_address_and_is_not_corruption() {
    for body in ["<html>welcome</html>", r#"{"metadata":7}"#, r#"{"welcome":{}}"#, ""] {
        let page = || Answer::new(200, body).with_header("Content-Type: text/html");
        for answer in [page(), Answer::new(200, body)] {
            let server = Scripted::answering([answer]).await;
            for error in [
                server.retrieve().await.unwrap_err(),
                server.provider.exists(&id("key"), &unscoped()).await.unwrap_err(),
                server.provider.list(None, &unscoped()).await.unwrap_err(),
            ] {
                assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{body}: {error:?}");
                let text = format!("{error} {error:?}");
                assert!(text.contains(&format!("`{}` sent ", server.server.address())), "{text}");
                assert!(text.contains("not an answer of Kubernetes") && !text.contains("welcome"), "{text}");
            }
        }
        let server = Scripted::answering([page()]).await;
        assert!(server.retrieve().await.unwrap_err().to_string().contains("sent `text/html`"));
        let server = Scripted::answering([absent(), page()]).await;
        let error = server.store().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{body}: {error:?}");
        let server = Scripted::answering([secret("key", 1, 0), page()]).await;
        let error = server.provider.delete(&id("key"), &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{body}: {error:?}");
    }
    // A 404 of a proxy does not mean that the credential is absent, and neither does a missing
    // namespace.
    let namespace = json!({"kind": "Status", "reason": "NotFound", "details": {"kind": "namespaces"}});
    for answer in
        [Answer::new(404, "<html>not found</html>"), Answer::new(404, namespace), Answer::new(301, "")]
    {
        let server = Scripted::answering([answer]).await;
        let error = server.retrieve().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error:?}");
    }
    let server = Scripted::answering([Answer::new(502, "<html>bad gateway</html>")]).await;
    let error = server.retrieve().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_long_reason_is_shortened() {
    let server = Scripted::answering([status(400, "BadRequest", &"\u{e9}".repeat(10_000))]).await;
    assert!(server.retrieve().await.unwrap_err().to_string().len() < 1_500);
}

#[tokio::test]
async fn a_filter_selects_by_labels_and_decides_by_the_envelope() {
    let Sealed { data, metadata: credential } = value(1);
    let envelope = BASE64_STANDARD.encode(CredentialFile::new(data, credential).encode().unwrap());
    // The server returns a Secret whose envelope does not have the tag.
    let item = json!({"metadata": metadata("key", 1), "data": {"envelope": envelope}});
    let server = Scripted::answering([Answer::new(200, json!({"metadata": {}, "items": [item]}))]).await;
    let filter = cred_core::CredentialFilter::new().with_tag("env", "prod");
    assert!(server.provider.list(Some(&filter), &unscoped()).await.unwrap().is_empty());
    let asked = server.server.asked();
    assert!(
        asked[0].contains("%2Cenv%3Dprod") && asked[0].contains("%2C%21cred-rs.github.io%2Fscope-1"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn the_callers_client_is_used_with_its_credentials() {
    let server = Scripted::answering([secret("key", 1, 1)]).await;
    let kubeconfig: kube::config::Kubeconfig =
        serde_json::from_slice::<Value>(&std::fs::read(server.folder.path().join("kubeconfig")).unwrap())
            .map(|mut text| {
                text["users"][0]["user"] = json!({"token": "of-the-caller"});
                serde_json::from_value(text).unwrap()
            })
            .unwrap();
    let mut sdk = kube::Config::try_from(kubeconfig).unwrap();
    sdk.default_retry = false;
    let client = kube::Client::try_from(sdk).unwrap();
    let provider =
        KubernetesSecretsProvider::with_client(KubernetesSecretsConfig::default(), client).unwrap();
    assert_eq!(provider.retrieve(&id("key"), &unscoped()).await.unwrap(), value(1));
    let requests = server.requests();
    assert!(requests[0].to_lowercase().contains("authorization: bearer of-the-caller"), "{}", requests[0]);
    drop(provider);
}

#[tokio::test]
async fn a_stopped_server_is_unreachable_for_the_callers_client_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sdk = kube::Config::new(format!("http://{address}").parse().unwrap());
    sdk.default_retry = false;
    let client = kube::Client::try_from(sdk).unwrap();
    let config = KubernetesSecretsConfig::default()
        .with_retry_budget(77)
        .with_retry_policy(RetryPolicy::default().with_max_retries(1).with_base_delay_ms(10));
    let provider = KubernetesSecretsProvider::with_client(config, client).unwrap();
    assert!(format!("{provider:?}").contains("capacity: 77"), "{provider:?}");
    let error = provider.retrieve(&id("key"), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_missing_credential_program_is_named() {
    let server = Scripted::answering([absent()]).await;
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-plugin-of-cred",
        "interactiveMode": "Never",
    });
    let text = kubeconfig(&server.server.url(), &json!({"exec": exec})).to_string();
    std::fs::write(server.folder.path().join("kubeconfig"), text).unwrap();
    let provider = server.with(|config| config);
    let error = provider.retrieve(&id("key"), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("the program `no-such-plugin-of-cred`"), "{error}");
    assert!(error.to_string().contains("install it"), "{error}");
}
