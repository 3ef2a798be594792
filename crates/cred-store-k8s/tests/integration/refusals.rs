//! Requests that a real API server refuses, and the errors they become.

use std::time::Duration;

use cred_core::{Sealed, StorageError, StorageErrorKind, StorageProvider};
use cred_store_k8s::{KubernetesSecretsConfig, KubernetesSecretsProvider};
use cred_testing::value::{fresh, id, store, unscoped, value};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::admin::{Admin, kubeconfig};

// not prose: the name of the unprivileged user that `cargo xtask test-integration` creates
const USER: &str = "nobody";

const VERBS: [&str; 5] = ["get", "list", "create", "update", "delete"];

/// Creates the Role from the crate's documentation, unchanged, for the unprivileged user.
async fn grant(admin: &Admin, namespace: &str, without: Option<&str>) {
    let role = include_str!("../../role.yaml").to_owned();
    let base = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}");
    // Only a dry run: if the Role lost a verb later, the server might still use the old version.
    let read = format!("{base}/roles?dryRun=All");
    let (status, mut role) = admin.send("POST", &read, "application/yaml", role).await;
    assert_eq!(status, 201, "{role}");
    assert_eq!(role["rules"][0]["verbs"], json!(VERBS));
    role["rules"][0]["verbs"]
        .as_array_mut()
        .unwrap()
        .retain(|verb| without.is_none_or(|without| verb != without));
    let role = json!({"metadata": {"name": "cred"}, "rules": role["rules"]});
    admin.done("POST", &format!("{base}/roles"), Some(role)).await;
    let group = "rbac.authorization.k8s.io";
    let binding = json!({
        "metadata": {"name": "cred"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "cred"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER}],
    });
    admin.done("POST", &format!("{base}/rolebindings"), Some(binding)).await;
}

/// Waits until the API server has noticed a new binding, which takes a moment.
async fn wait_until_granted(what: &str, mut may: impl AsyncFnMut() -> Result<(), StorageError>) {
    let begun = Instant::now();
    while let Err(error) = may().await {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {error}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn unprivileged(config: &KubernetesSecretsConfig) -> KubernetesSecretsProvider {
    KubernetesSecretsProvider::new(config.clone().with_context(USER)).unwrap()
}

/// Runs every operation of a provider, with the verb that each one needs.
async fn run_all_operations(
    provider: &KubernetesSecretsProvider,
) -> [(&'static str, Option<StorageError>); 6] {
    let key = id("key");
    let looked = provider.retrieve(&key, &unscoped()).await.err().filter(|error| !error.is_not_found());
    let listed = provider.list(None, &unscoped()).await.err();
    let Sealed { data, metadata } = value(1);
    let cas = provider.compare_and_set().unwrap();
    let fresh = id(&fresh());
    let created = cas.store_if(&fresh, data, metadata, None, &unscoped()).await.err();
    let updated = store(provider, "key", 2).await.err();
    let deleted = provider.delete(&key, &unscoped()).await.err();
    let connected = provider.connect().await.err();
    [
        ("get", looked),
        ("list", listed),
        ("create", created),
        ("update", updated),
        ("delete", deleted),
        ("list", connected),
    ]
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn the_documented_role_is_sufficient() {
    let admin = Admin::new().await;
    let config = admin.config().await;
    grant(&admin, &config.namespace, None).await;
    let provider = unprivileged(&config);
    wait_until_granted("the role", async || provider.connect().await).await;
    store(&provider, "key", 1).await.unwrap();
    for (verb, error) in run_all_operations(&provider).await {
        assert!(error.is_none(), "{verb}: {error:?}");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_missing_verb_is_reported_with_resource_namespace_and_user() {
    let admin = Admin::new().await;
    for missing in VERBS {
        let config = admin.config().await;
        let owner = KubernetesSecretsProvider::new(config.clone()).unwrap();
        store(&owner, "key", 1).await.unwrap();
        grant(&admin, &config.namespace, Some(missing)).await;
        let provider = unprivileged(&config);
        wait_until_granted(missing, async || match missing {
            "list" => provider.exists(&id("key"), &unscoped()).await.map(drop),
            _ => provider.connect().await,
        })
        .await;
        let mut refused = 0;
        for (verb, error) in run_all_operations(&provider).await {
            // Operations that begin with a read fail there.
            let needs = [verb, if verb == "list" || verb == "create" { verb } else { "get" }];
            let Some(error) = error else {
                assert!(!needs.contains(&missing), "`{verb}` succeeded without `{missing}`");
                continue;
            };
            refused += 1;
            assert!(needs.contains(&missing), "without `{missing}`, `{verb}`: {error}");
            assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error}");
            let (text, user) = (error.to_string(), format!("User \"{USER}\""));
            for word in [missing, "secrets", &config.namespace, &user] {
                assert!(text.contains(word), "`{word}` is not in: {text}");
            }
            assert!(!error.may_have_written(), "{error}");
        }
        assert!(refused > 0, "nothing needs `{missing}`");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_missing_namespace_is_reported_by_stores() {
    let admin = Admin::new().await;
    let namespace = format!("nowhere-{}", fresh());
    let config = admin.config().await.with_namespace(&namespace);
    let provider = KubernetesSecretsProvider::new(config).unwrap();
    let error = store(&provider, "key", 1).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error}");
    assert!(error.to_string().contains(&format!("the namespace `{namespace}` does not exist")), "{error}");
    assert!(provider.retrieve(&id("key"), &unscoped()).await.unwrap_err().is_not_found());
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn an_invalid_token_is_an_authentication_failure_and_is_not_repeated() {
    let admin = Admin::new().await;
    let config = admin.config().await;
    let folder = tempfile::tempdir().unwrap();
    let server = format!("https://{}", admin.server);
    let file = folder.path().join("token");
    std::fs::write(&file, "hunter2-hunter2\n").unwrap();
    for user in [json!({"token": "hunter2-hunter2"}), json!({"tokenFile": file.to_str()})] {
        let path = kubeconfig(folder.path(), &server, Some(&admin.ca), user);
        let provider = KubernetesSecretsProvider::new(config.clone().with_kubeconfig_path(path)).unwrap();
        let error = store(&provider, "key", 1).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
        let text = format!("{error} {error:?} {provider:?}");
        assert!(!error.may_have_written() && !text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn an_unknown_authority_is_not_trusted() {
    let admin = Admin::new().await;
    let folder = tempfile::tempdir().unwrap();
    let server = format!("https://{}", admin.server);
    let path = kubeconfig(folder.path(), &server, None, json!({"token": admin.token}));
    let config = admin.config().await.with_kubeconfig_path(path);
    match KubernetesSecretsProvider::new(config) {
        Ok(provider) => {
            let error = store(&provider, "key", 1).await.unwrap_err();
            assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
            assert!(error.to_string().contains("not signed by an authority that is trusted"), "{error}");
        }
        // On a machine without any authorities, the constructor fails.
        Err(error) => assert!(error.to_string().contains("authorities"), "{error}"),
    }
}

#[tokio::test]
#[ignore = "needs a real server: cargo xtask test-integration k8s"]
async fn a_credential_program_provides_the_token_and_its_failure_is_reported() {
    let admin = Admin::new().await;
    let config = admin.config().await;
    let folder = tempfile::tempdir().unwrap();
    let server = format!("https://{}", admin.server);
    let credential = |token: &str| -> Value {
        json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}})
    };
    let program = |script: &str| {
        let exec = json!({
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script],
            "interactiveMode": "Never",
        });
        let path = kubeconfig(folder.path(), &server, Some(&admin.ca), json!({"exec": exec}));
        KubernetesSecretsProvider::new(config.clone().with_kubeconfig_path(path)).unwrap()
    };
    store(&program(&format!("echo '{}'", credential(&admin.token))), "key", 1).await.unwrap();
    for script in ["echo hunter2; exit 1", "echo hunter2", "exec /does/not/exist"] {
        let error = store(&program(script), "key", 1).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error}");
        assert!(
            error.to_string().contains("program") && !format!("{error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}
