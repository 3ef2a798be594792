//! Tokens that expire and API servers that are restarted, while requests run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cred_core::{StorageErrorKind, StorageProvider};
use cred_store_k8s::KubernetesSecretsProvider;
use cred_testing::value::{id, store, unscoped, value};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::admin::{Admin, kubeconfig};
use crate::server::ApiServer;

/// How long after its expiry the API server still accepts a token: the leeway for clocks, and the
/// time for which it caches a token that it has seen.
const LEEWAY: u64 = 60;
const CACHED: u64 = 10;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s (with etcd)"]
async fn service_account_tokens_that_are_replaced_on_disk_before_expiry_keep_working() {
    let server = ApiServer::start(&[]).await;
    let admin = Admin::of(&server.kubeconfig).await;
    let namespace = admin.namespace().await;
    let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    let account = admin.done("POST", &accounts, Some(json!({"metadata": {"name": "app"}}))).await;
    let group = "rbac.authorization.k8s.io";
    let base = format!("/apis/{group}/v1/namespaces/{namespace}");
    let role = include_str!("../../role.yaml").to_owned();
    let (status, _) = admin.send("POST", &format!("{base}/roles"), "application/yaml", role).await;
    assert_eq!(status, 201);
    let binding = json!({
        "metadata": {"name": "cred"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "cred"},
        "subjects": [{"kind": "ServiceAccount", "name": "app", "namespace": namespace}],
    });
    admin.done("POST", &format!("{base}/rolebindings"), Some(binding)).await;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    // Like a kubelet: a new file that is renamed over the old one.
    let put = |token: &str| {
        let next = folder.path().join("next");
        std::fs::write(&next, format!("{token}\n")).unwrap();
        std::fs::rename(&next, &file).unwrap();
    };
    let first = server.token(&account, now() - LEEWAY + 6);
    put(&first);
    let url = format!("https://{}", admin.server);
    let path = kubeconfig(folder.path(), &url, Some(&server.ca()), json!({"tokenFile": file.to_str()}));
    let config = admin.config().await.with_namespace(&namespace).with_kubeconfig_path(path);
    let provider = Arc::new(KubernetesSecretsProvider::new(config).unwrap());
    let begun = Instant::now();
    while let Err(error) = store(&*provider, "key", 0).await {
        // The server notices the binding after a moment.
        assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{error}");
        sleep(Duration::from_millis(50)).await;
    }

    // Each token expires within seconds and is replaced before that. The token in use is refused
    // long before the minute after which the client reads the file again.
    let done = AtomicBool::new(false);
    let operations = tokio::join!(
        async {
            for _ in 0..4 {
                put(&server.token(&account, now() - LEEWAY + 8));
                sleep(Duration::from_secs(CACHED - 4)).await;
            }
            done.store(true, Ordering::SeqCst);
        },
        async {
            let mut operations = 0_u32;
            while !done.load(Ordering::SeqCst) {
                provider.retrieve(&id("key"), &unscoped()).await.unwrap();
                store(&*provider, "key", 1).await.unwrap();
                operations += 1;
                sleep(Duration::from_millis(20)).await;
            }
            operations
        }
    )
    .1;
    assert!(operations > 20, "only {operations} operations");

    // The counter-check: without a replacement, the last token expires.
    let begun = Instant::now();
    let error = loop {
        match provider.exists(&id("key"), &unscoped()).await {
            Ok(_) => assert!(begun.elapsed() < Duration::from_secs(60), "the token is still accepted"),
            Err(error) => break error,
        }
        sleep(Duration::from_millis(200)).await;
    };
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
    let raw = Admin::of(&server.kubeconfig).await;
    let review =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": first}});
    let review = raw.done("POST", "/apis/authentication.k8s.io/v1/tokenreviews", Some(review)).await;
    assert_ne!(review["status"]["authenticated"], true, "the first token has expired as well");
    put(&server.token(&account, now() + 60));
    provider.exists(&id("key"), &unscoped()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s (with etcd)"]
async fn an_api_server_that_is_killed_and_restarted_loses_no_writes() {
    let mut server = ApiServer::start(&[]).await;
    let admin = Admin::of(&server.kubeconfig).await;
    let config = admin.config().await.with_operation_timeout(Duration::from_secs(120));
    // Patient enough for a restart.
    let config = config.with_retry_policy(
        cred_core::RetryPolicy::default()
            .with_max_retries(10)
            .with_base_delay_ms(1_000)
            .with_max_delay_ms(5_000),
    );
    let provider = Arc::new(KubernetesSecretsProvider::new(config).unwrap());
    let done = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for worker in 0..4_u8 {
        let (provider, done) = (Arc::clone(&provider), Arc::clone(&done));
        workers.spawn(async move {
            let name = format!("key-{worker}");
            let (mut rounds, mut uncertain) = (0_u32, 0_u32);
            while !done.load(Ordering::SeqCst) {
                let number = u8::try_from(rounds % 200).unwrap();
                match store(&*provider, &name, number).await {
                    Ok(()) => {
                        let stored = provider.retrieve(&id(&name), &unscoped()).await.unwrap();
                        assert!(stored == value(number), "{name} is not what was stored last");
                    }
                    // The only correct error for a write that the killed server has begun.
                    Err(error) if matches!(error.kind(), StorageErrorKind::InDoubt { .. }) => uncertain += 1,
                    Err(error) => panic!("{error}"),
                }
                rounds += 1;
                sleep(Duration::from_millis(5)).await;
            }
            (rounds, uncertain)
        });
    }
    for _ in 0..2 {
        sleep(Duration::from_secs(2)).await;
        server.kill().await;
        sleep(Duration::from_millis(500)).await;
        server.restart().await;
    }
    sleep(Duration::from_secs(1)).await;
    done.store(true, Ordering::SeqCst);
    let ended = workers.join_all().await;
    let rounds: u32 = ended.iter().map(|(rounds, _)| rounds).sum();
    assert!(rounds > 20, "only {rounds} rounds");
    assert!(
        ended.iter().all(|(_, uncertain)| *uncertain <= 2),
        "a retried write has an unknown outcome: {ended:?}"
    );
    assert_eq!(provider.list(None, &unscoped()).await.unwrap().len(), 4);
    assert!(
        provider.metrics().unwrap().retry_count.load(Ordering::SeqCst) > 0,
        "no operation was affected by the restarts"
    );
}
