//! Lists on a real API server: transferred bytes, long lists, and continue tokens that expire.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cred_core::{CredentialContext, CredentialFilter, CredentialId, Sealed, StorageProvider};
use cred_fault_proxy::{Fault, Proxy};
use cred_store_k8s::KubernetesSecretsProvider;
use cred_testing::value::{id, store, unscoped, value, variable};
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::admin::{Admin, kubeconfig};
use crate::relay::{Relay, plain};
use crate::server::ApiServer;

/// A provider that uses plain HTTP, and the relay that counts its bytes.
async fn counted(admin: &Admin) -> (KubernetesSecretsProvider, Relay, tempfile::TempDir) {
    let relay = Relay::start(admin).await;
    let folder = tempfile::tempdir().unwrap();
    let path =
        kubeconfig(folder.path(), &format!("http://{}", relay.address), None, json!({"token": admin.token}));
    let config = admin.config().await.with_kubeconfig_path(path);
    (KubernetesSecretsProvider::new(config).unwrap(), relay, folder)
}

async fn fill(provider: &KubernetesSecretsProvider, count: usize, len: usize) -> BTreeSet<CredentialId> {
    let ids: BTreeSet<_> = (0..count).map(|number| id(&format!("key-{number}"))).collect();
    futures_util::stream::iter(ids.iter().enumerate())
        .for_each_concurrent(16, |(number, id)| async move {
            let Sealed { mut data, mut metadata } = value(1);
            data.ciphertext = vec![7; len];
            let env = if number % 100 == 0 { "rare" } else { "usual" };
            metadata.tags.insert("env", env).unwrap();
            provider.store(id, data, metadata, &unscoped()).await.unwrap();
        })
        .await;
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn labels_limit_the_transferred_bytes_to_the_filter_and_scope() {
    let admin = Admin::new().await;
    let (provider, relay, _folder) = counted(&admin).await;
    fill(&provider, 600, 1_024).await;
    let Sealed { data, metadata } = value(1);
    let tenant = CredentialContext::from(Some("org:acme".parse().unwrap()));
    provider.store(&id("key"), data, metadata, &tenant).await.unwrap();
    let bytes = async |filter: Option<CredentialFilter>, ctx: &CredentialContext, found: usize| {
        let before = relay.answered();
        let listed = provider.list_tree(filter.as_ref(), ctx).await.unwrap();
        assert_eq!(listed.len(), found);
        relay.answered() - before
    };
    let tag = |value: &str| Some(CredentialFilter::new().with_tag("env", value));
    let names = bytes(None, &unscoped(), 601).await;
    let usual = bytes(tag("usual"), &unscoped(), 594).await;
    let rare = bytes(tag("rare"), &unscoped(), 6).await;
    let one_tenant = bytes(None, &tenant, 1).await;
    let point = async {
        let before = relay.answered();
        provider.retrieve(&id("key-0"), &unscoped()).await.unwrap();
        let retrieve = relay.answered() - before;
        assert!(provider.exists(&id("key-0"), &unscoped()).await.unwrap());
        (retrieve, relay.answered() - before - retrieve)
    };
    let (retrieve, exists) = point.await;
    // For docs/performance.md.
    eprintln!(
        "bytes: 601 names {names}, 594 contents {usual}, 6 contents {rare}, a tenant's name {one_tenant}, retrieve {retrieve}, \
         exists {exists}"
    );
    assert!(rare < usual / 50, "6 of 600 Secrets took {rare} bytes, 594 of them {usual}");
    assert!(one_tenant < names / 100, "one tenant's name took {one_tenant} bytes, all names {names}");
    assert!(names < usual, "names took {names} bytes, contents {usual}");
    assert!(exists + 1_024 < retrieve, "exists took {exists} bytes, retrieve {retrieve}");
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn tags_that_are_not_valid_labels_are_annotated_and_found() {
    let admin = Admin::new().await;
    let config = admin.config().await;
    let path = format!("/api/v1/namespaces/{}/secrets/nebula-cred-key", config.namespace);
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    let tagged = async |name: &str, tags: &[(&str, &str)]| {
        let Sealed { data, mut metadata } = value(1);
        tags.iter().for_each(|(key, value)| drop(metadata.tags.insert(*key, *value).unwrap()));
        provider.store(&id(name), data, metadata, &unscoped()).await.unwrap();
    };
    tagged("key", &[("env", "prod"), ("owner", "alice@example.com"), ("cost centre", "7")]).await;
    tagged("other", &[("env", "prod"), ("owner", "bob")]).await;
    let (_, secret) = admin.ask("GET", &path, None).await;
    let labels = &secret["metadata"]["labels"];
    assert_eq!((&labels["env"], labels.get("owner")), (&json!("prod"), None));
    let noted = |secret: &Value| -> Value {
        let text = secret["metadata"]["annotations"]["cred-rs.github.io/metadata"].as_str().unwrap();
        serde_json::from_str(text).unwrap()
    };
    assert_eq!(noted(&secret)["tags"], json!({"owner": "alice@example.com", "cost centre": "7"}));

    let found = async |tags: &[(&str, &str)]| {
        let filter = tags.iter().fold(CredentialFilter::new(), |filter, (k, v)| filter.with_tag(*k, *v));
        let mut found = provider.list(Some(&filter), &unscoped()).await.unwrap();
        found.sort();
        found
    };
    assert_eq!(found(&[("owner", "alice@example.com")]).await, [id("key")]);
    assert_eq!(found(&[("owner", "alice@example.com"), ("env", "prod")]).await, [id("key")]);
    assert_eq!(found(&[("cost centre", "7"), ("env", "dev")]).await, []);
    assert_eq!(found(&[("owner", "bob")]).await, [id("other")]);
    assert_eq!(found(&[("env", "prod")]).await, [id("key"), id("other")]);

    // The tag moves from the annotation to a label.
    tagged("key", &[("owner", "alice")]).await;
    let (_, secret) = admin.ask("GET", &path, None).await;
    assert_eq!(secret["metadata"]["labels"]["owner"], "alice");
    assert_eq!(noted(&secret).get("tags"), None);
    assert_eq!(found(&[("owner", "alice@example.com")]).await, []);
    assert_eq!(found(&[("owner", "alice")]).await, [id("key")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_filter_over_the_largest_credentials_reads_smaller_pages() {
    let admin = Admin::new().await;
    let (provider, _relay, _folder) = counted(&admin).await;
    // About 26 MB on the wire in total, of which at most 8 MiB are read at once.
    let ids = fill(&provider, 20, 740_000).await;
    let filter = CredentialFilter::new().with_created_after(cred_core::Timestamp::from_unix_millis(1));
    let listed: BTreeSet<_> = provider.list(Some(&filter), &unscoped()).await.unwrap().into_iter().collect();
    assert_eq!(listed, ids);
}

/// Removes all old revisions from etcd, as an API server does every five minutes.
async fn compact(admin: &Admin, namespace: &str) {
    let path = format!("/api/v1/namespaces/{namespace}/secrets?limit=1");
    let (_, list) = admin.ask("GET", &path, None).await;
    let revision = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let etcd = kube::Config::new(variable("CRED_TEST_ETCD_ADDR").parse().unwrap());
    let etcd = kube::Client::try_from(etcd).unwrap();
    let body = json!({"revision": revision, "physical": true}).to_string().into_bytes();
    let request = http::Request::post("/v3/kv/compaction").header("Content-Type", "application/json");
    // An error means that another test has already compacted further, which is as good.
    let _ = etcd.send(request.body(kube::client::Body::from(body)).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s (with etcd)"]
async fn a_list_that_is_compacted_is_restarted() {
    // With its cache, a server continues a list from memory for a while, even if etcd has removed
    // the revision.
    let server = ApiServer::start(&["--watch-cache=false"]).await;
    let admin = Admin::of(&server.kubeconfig).await;
    let exit = plain(&admin).await;
    let proxy = Proxy::start(exit.address()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let through = format!("http://{}", proxy.address());
    let path = kubeconfig(folder.path(), &through, None, json!({"token": admin.token}));
    let config = admin.config().await.with_kubeconfig_path(path);
    let namespace = config.namespace.clone();
    let provider = Arc::new(KubernetesSecretsProvider::new(config).unwrap());
    let ids = fill(&provider, 1_100, 16).await;

    let before = proxy.requests();
    assert_eq!(provider.list(None, &unscoped()).await.unwrap().len(), ids.len());
    let undisturbed = proxy.requests() - before;
    // The second page is delayed; meanwhile a Secret is written and the old revisions are removed.
    proxy.fail_after(1, Fault::Latency(Duration::from_secs(3)));
    let before = proxy.requests();
    let lister = Arc::clone(&provider);
    let listed = tokio::spawn(async move { lister.list(None, &unscoped()).await.unwrap() });
    while proxy.requests() < before + 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let another = KubernetesSecretsProvider::new(
        admin.config().await.with_namespace(&namespace).with_kubeconfig_path(admin.kubeconfig.clone()),
    )
    .unwrap();
    store(&another, "one-more", 1).await.unwrap();
    compact(&admin, &namespace).await;
    let listed: BTreeSet<_> = listed.await.unwrap().into_iter().collect();
    let made = proxy.requests() - before;
    assert_eq!(made, undisturbed * 2, "two pages, the refusal of the third, and the whole list again");
    assert!(listed.is_superset(&ids), "{} of {}", listed.len(), ids.len());
    assert!(listed.contains(&id("one-more")), "a list that was restarted is of the later moment");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn ten_thousand_secrets_are_listed_completely_while_others_are_written() {
    let admin = Admin::new().await;
    let provider = Arc::new(KubernetesSecretsProvider::new(admin.config().await).unwrap());
    let ids = fill(&provider, 10_000, 16).await;
    let done = Arc::new(AtomicBool::new(false));
    let (writer, ended) = (Arc::clone(&provider), Arc::clone(&done));
    let writes = tokio::spawn(async move {
        let mut writes = 0_u32;
        while !ended.load(Ordering::SeqCst) {
            let name = format!("churn-{}", writes % 50);
            match writes % 3 {
                2 => writer.delete(&id(&name), &unscoped()).await.unwrap(),
                _ => store(&*writer, &name, 1).await.unwrap(),
            }
            writes += 1;
        }
        writes
    });
    for _ in 0..5 {
        let listed = provider.list(None, &unscoped()).await.unwrap();
        let unique: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(unique.len(), listed.len(), "an id is listed twice");
        assert!(
            unique.is_superset(&ids),
            "{} of {} are listed",
            unique.intersection(&ids).count(),
            ids.len()
        );
        assert!(unique.difference(&ids).all(|id| id.as_str().starts_with("churn-")));
    }
    done.store(true, Ordering::SeqCst);
    let writes = writes.await.unwrap();
    assert!(writes > 50, "only {writes} writes while five lists were read");
}
