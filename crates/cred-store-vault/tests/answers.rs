//! Responses that a real Vault does not send on demand, and the error that each one becomes.
#![cfg(test)]

#[path = "answers/lists.rs"]
mod lists;
// not prose: the name of a file
#[path = "answers/doubt.rs"]
mod lost_responses;
#[path = "answers/noting.rs"]
mod noting;
#[path = "answers/rare.rs"]
mod rare;
#[path = "answers/script.rs"]
mod script;
#[path = "answers/tokens.rs"]
mod tokens;

use std::time::{Duration, Instant};

use cred_core::{StorageError, StorageErrorKind, StorageProvider};
use cred_fault_proxy::{Fault, Proxy};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultConfig, VaultDeleteMode};
use cred_testing::http::{Answer, Server};
use cred_testing::value::{hasty, id, store, unscoped};
use tokio::net::TcpListener;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

const TOKEN: &str = "hvs.hunter2hunter2";

/// A server that sends the same response to every request.
struct Scripted {
    proxy: Proxy,
    provider: HashiCorpVaultProvider,
    _upstream: TcpListener,
}

impl Scripted {
    async fn answering(status: u16, headers: &[&str], body: &str) -> Self {
        Self::with(VaultAuthMethod::token(TOKEN.into()), status, headers, body).await
    }

    async fn with(method: VaultAuthMethod, status: u16, headers: &[&str], body: &str) -> Self {
        // It accepts connections, but gets no requests.
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::start(upstream.local_addr().unwrap()).await.unwrap();
        proxy.fail_always(Fault::answer(status, headers, body));
        let config = VaultConfig::default()
            .with_address(format!("http://{}", proxy.address()))
            .with_auth_method(method)
            .with_timeout(Duration::from_secs(5))
            .with_operation_timeout(Duration::from_secs(10))
            .with_retry_policy(hasty());
        Self { proxy, provider: HashiCorpVaultProvider::new(config).unwrap(), _upstream: upstream }
    }

    async fn store(&self) -> StorageError {
        store(&self.provider, "key", 1).await.unwrap_err()
    }

    async fn retrieve(&self) -> StorageError {
        self.provider.retrieve(&id("key"), &unscoped()).await.unwrap_err()
    }
}

/// Asserts that the error is `Unavailable`, so nothing was written, and contains these words.
fn assert_unavailable(error: &StorageError, words: &str) {
    assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn a_sealed_vault_is_unavailable_and_nothing_is_written() {
    let vault = Scripted::answering(503, &[], r#"{"errors":["Vault is sealed"]}"#).await;
    assert_unavailable(&vault.store().await, "this node is sealed");
    assert_unavailable(&vault.retrieve().await, "this node is sealed");
}

#[tokio::test]
async fn a_standby_that_redirects_is_not_followed() {
    let target = Scripted::answering(200, &[], "{}").await;
    let location = format!("Location: http://{}/v1/secret/data/x", target.proxy.address());
    let vault = Scripted::answering(307, &[&location], "").await;
    assert_unavailable(&vault.store().await, "standby that redirects");
    assert_eq!(target.proxy.requests(), 0, "the redirect would have received the token");
}

#[tokio::test]
async fn a_standby_without_an_active_node_is_unavailable() {
    let body = r#"{"errors":["local node not active but active cluster node not found"]}"#;
    let vault = Scripted::answering(500, &[], body).await;
    assert_unavailable(&vault.store().await, "the cluster has no active node");
}

#[tokio::test]
async fn a_request_to_a_node_that_lags_is_retried() {
    let body = r#"{"errors":["required index state not present"]}"#;
    let vault = Scripted::answering(412, &[], body).await;
    assert_unavailable(&vault.store().await, "has not yet received the latest writes");
    // They may include the lookup of the token by the background task.
    assert!(vault.proxy.requests() >= 3, "{}", vault.proxy.requests());
}

#[tokio::test]
async fn a_server_error_makes_the_outcome_of_a_write_unknown() {
    // The first operation also checks the mount, until that gets a definite response.
    let vault = Scripted::answering(404, &[], r#"{"errors":[]}"#).await;
    assert!(vault.retrieve().await.is_not_found());
    vault.proxy.fail_always(Fault::answer(500, &[], r#"{"errors":["internal error"]}"#));
    let error = vault.store().await;
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");
    assert!(error.to_string().contains("internal error"), "{error}");
}

#[tokio::test]
async fn a_value_that_is_too_large_for_vault_is_refused_without_retries() {
    // Vault 1.21 with integrated storage, and its listener.
    let storage = "1 error occurred:\\n\\t* put failed due to value being too large; got 1048619 bytes, max: 1048576 bytes";
    for (status, reason) in [(500, storage), (500, "JSON string value exceeds allowed length"), (413, "")] {
        let vault = Scripted::answering(404, &[], r#"{"errors":[]}"#).await;
        assert!(vault.retrieve().await.is_not_found());
        let before = vault.proxy.requests();
        vault.proxy.fail_always(Fault::answer(status, &[], &format!(r#"{{"errors":["{reason}"]}}"#)));
        let error = vault.store().await;
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{error:?}");
        assert!(error.to_string().contains("`max_payload_len`"), "{error}");
        assert_eq!(vault.proxy.requests(), before + 1);
    }
}

#[tokio::test]
async fn a_missing_capability_is_not_retried() {
    let vault =
        Scripted::answering(403, &[], r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#).await;
    let first = vault.retrieve().await;
    assert!(matches!(first.kind(), StorageErrorKind::PermissionDenied { .. }), "{first:?}");
    let before = vault.proxy.requests();
    let error = vault.store().await;
    assert!(error.to_string().contains("`secret/data/nebula/credentials/key`"), "{error}");
    assert!(error.to_string().contains("(1 error occurred: * permission denied)"), "{error}");
    assert_eq!(vault.proxy.requests(), before + 1);
}

#[tokio::test]
async fn a_token_unknown_to_openbao_is_an_authentication_failure() {
    let vault = Scripted::answering(403, &[], r#"{"errors":["permission denied"]}"#).await;
    let error = vault.retrieve().await;
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
}

#[tokio::test]
async fn a_version_1_engine_is_detected_by_its_response_if_the_mount_cannot_be_read() {
    let vault =
        Scripted::answering(403, &[], r#"{"errors":["1 error occurred:\n\t* permission denied\n\n"]}"#).await;
    let _ = vault.retrieve().await;
    vault.proxy.fail_always(Fault::Answer(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_vec()));
    let error = vault.store().await;
    assert!(error.to_string().contains("KV version 1"), "{error}");
}

/// Successful responses of servers other than Vault, and how an error describes them.
const FOREIGN: [(&[&str], &str, &str); 5] = [
    (&["Content-Type: text/html; charset=utf-8"], "<html>welcome</html>", "`text/html`"),
    (&[], "<html>welcome</html>", "text that is not JSON"),
    (&["Content-Type: application/json"], r#"{"data":{"data":7}}"#, "JSON of another form"),
    (&["Content-Type: application/json"], r#"{"welcome":true}"#, "JSON of another form"),
    (&[], "", "an empty body"),
];

#[tokio::test]
async fn a_response_that_is_not_from_vault_names_the_address_and_is_not_corruption() {
    for (headers, body, description) in FOREIGN {
        let vault = Scripted::answering(200, headers, body).await;
        let address = vault.proxy.address();
        let ctx = unscoped();
        for error in [
            vault.retrieve().await,
            vault.provider.exists(&id("key"), &ctx).await.unwrap_err(),
            vault.provider.list(None, &ctx).await.unwrap_err(),
        ] {
            assert_unavailable(
                &error,
                &format!("`{address}` sent {description}, which is not an answer of Vault"),
            );
            let text = format!("{error} {error:?}");
            assert!(text.contains("host and port of `address`") && !text.contains("welcome"), "{text}");
        }
    }
    // A proxy that does not know Vault does not report that a credential is absent.
    let vault = Scripted::answering(404, &[], "<html>not found</html>").await;
    let error = vault.retrieve().await;
    assert!(!error.is_not_found(), "{error}");
    assert!(error.to_string().contains(&vault.proxy.address().to_string()), "{error}");
    let vault = Scripted::answering(502, &[], "<html>bad gateway</html>").await;
    assert_unavailable(&vault.retrieve().await, "not an answer of Vault");
}

#[tokio::test]
async fn a_write_with_a_response_that_is_not_from_vault_has_an_unknown_outcome() {
    for mode in [VaultDeleteMode::Metadata, VaultDeleteMode::Soft] {
        for (headers, body, _) in FOREIGN {
            let vault = Scripted::answering(200, headers, body).await;
            let config = VaultConfig::default()
                .with_address(format!("http://{}", vault.proxy.address()))
                .with_auth_method(VaultAuthMethod::token(TOKEN.into()))
                .with_delete_mode(mode)
                .with_retry_policy(hasty());
            let provider = HashiCorpVaultProvider::new(config).unwrap();
            for error in [
                store(&provider, "key", 1).await.unwrap_err(),
                provider.delete(&id("key"), &unscoped()).await.unwrap_err(),
            ] {
                assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{body}: {error:?}");
                assert!(error.to_string().contains("not an answer of Vault"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_the_server_repeats_is_redacted() {
    for status in [400, 403, 500] {
        let body = format!(r#"{{"errors":["no such thing as {TOKEN}, from the proxy"]}}"#);
        let vault = Scripted::answering(status, &[], &body).await;
        for error in [vault.retrieve().await, vault.store().await] {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hunter2") && text.contains("[redacted]"), "{text}");
        }
    }
    let secret_id = "s-hunter2-s";
    let body = format!(r#"{{"errors":["{secret_id} is wrong"]}}"#);
    let method = VaultAuthMethod::app_role("role", secret_id.into());
    let vault = Scripted::with(method, 400, &[], &body).await;
    let error = vault.retrieve().await;
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn an_escaped_token_is_redacted_and_control_characters_are_escaped() {
    for token in [r"hvs.hunter2\r\n  hunter2", "hvs%2Ehunter2hunter%32", r"hvs.hunter2\u200bhunter2"] {
        let body = format!(r#"{{"errors":["no\u001b[2J \u202e such token as {token}"]}}"#);
        let vault = Scripted::answering(400, &[], &body).await;
        let text = format!("{}", vault.retrieve().await);
        assert!(!text.contains("hunter") && text.contains("token as [redacted]"), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.contains("\\u{202e}"), "{text}");
    }
}

#[tokio::test]
async fn a_long_reason_is_shortened() {
    let body = format!(r#"{{"errors":["{}"]}}"#, "é".repeat(10_000));
    let vault = Scripted::answering(400, &[], &body).await;
    assert!(vault.retrieve().await.to_string().len() < 1_500);
}

#[tokio::test]
async fn a_refused_login_is_shared_by_all_waiting_operations() {
    let method = VaultAuthMethod::app_role("role", "s-1234".into());
    let vault = Scripted::with(method, 400, &[], r#"{"errors":["invalid role or secret ID"]}"#).await;
    let begun = Instant::now();
    let reads = (0..32).map(|_| async { vault.retrieve().await });
    for error in futures_util::future::join_all(reads).await {
        assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
        assert!(error.to_string().contains("invalid role or secret ID"), "{error}");
    }
    let error = vault.store().await;
    assert!(!error.may_have_written(), "a write whose login failed was never sent");
    let (logins, seconds) = (vault.proxy.requests(), begun.elapsed().as_secs());
    assert!(logins as u64 <= 1 + seconds, "{logins} logins within {seconds} s, more than one per second");
}

#[test]
fn the_recommended_size_is_256_kib_or_a_lower_limit() {
    let recommended = |config: VaultConfig| {
        let config = config.with_auth_method(VaultAuthMethod::token(TOKEN.into()));
        HashiCorpVaultProvider::new(config).unwrap().describe().limits.recommended_payload_len
    };
    let config = VaultConfig::default().with_address("https://127.0.0.1:8200");
    assert_eq!(recommended(config.clone()), Some(256 * 1_024));
    assert_eq!(recommended(config.with_max_payload_len(64 * 1_024)), Some(64 * 1_024));
}

#[tokio::test]
async fn the_constructor_sends_no_requests() {
    let vault = Scripted::answering(200, &[], "{}").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(vault.proxy.requests(), 0);
    vault.provider.shutdown().await;
    assert_eq!(vault.proxy.requests(), 0, "no token exists that could be revoked");
}

/// The headers of all requests of a read, each answered as Vault does for an absent secret.
async fn heads(provider: impl FnOnce(String) -> HashiCorpVaultProvider) -> Vec<String> {
    let server = Server::answering([Answer::new(404, r#"{"errors":[]}"#)]).await;
    let read = provider(server.url()).retrieve(&id("key"), &unscoped()).await;
    drop(read);
    server.requests().iter().map(|request| request.head.to_lowercase()).collect()
}

#[tokio::test]
async fn every_request_has_the_namespace_and_a_login_has_no_token() {
    let heads = heads(|address| {
        let config = VaultConfig::default()
            .with_address(address)
            .with_namespace("org1/team-a/")
            .with_auth_method(VaultAuthMethod::app_role("role", "s-1234".into()));
        HashiCorpVaultProvider::new(config).unwrap()
    })
    .await;
    let login = heads.first().unwrap();
    assert!(login.starts_with("post /v1/auth/approle/login "), "{login}");
    assert!(login.contains("x-vault-namespace: org1/team-a\r\n"), "{login}");
    assert!(!login.contains("x-vault-token"), "{login}");
}

#[tokio::test]
async fn the_callers_client_provides_the_connection_but_not_the_token() {
    let heads = heads(|address| {
        let settings = VaultClientSettingsBuilder::default()
            .address(address)
            .token("another-token")
            .namespace(Some("org2".to_owned()))
            .verify(true)
            .build();
        let config = VaultConfig::default()
            .with_address("http://127.0.0.1:9")
            .with_namespace("org1")
            .with_auth_method(VaultAuthMethod::token(TOKEN.into()));
        let client = VaultClient::new(settings.unwrap()).unwrap();
        HashiCorpVaultProvider::with_client(config, client).unwrap()
    })
    .await;
    assert!(heads.len() >= 2, "the check of the mount and the read");
    for head in heads {
        assert!(head.contains("x-vault-namespace: org2\r\n"), "{head}");
        assert!(head.contains(&format!("x-vault-token: {TOKEN}\r\n")), "{head}");
    }
}
