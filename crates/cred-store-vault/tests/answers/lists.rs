//! Lists in which some requests fail.

use std::time::Duration;

use cred_core::{CredentialFilter, CredentialId, StorageError, StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultDeleteMode};
use cred_testing::http::Answer;
use cred_testing::value::unscoped;

use crate::TOKEN;
use crate::script::{Script, denied, respond};

const LIVE: &str =
    r#"{"data":{"current_version":1,"versions":{"1":{"deletion_time":"","destroyed":false}}}}"#;

/// Lists `a`, `b` and `c`, and with soft deletion reads the state of each.
async fn list(server: &Script) -> Result<Vec<CredentialId>, StorageError> {
    let config = server
        .config()
        .with_timeout(Duration::from_secs(1))
        .with_delete_mode(VaultDeleteMode::Soft)
        .with_auth_method(VaultAuthMethod::token(TOKEN.into()));
    let provider = HashiCorpVaultProvider::new(config).unwrap();
    provider.list(None::<&CredentialFilter>, &unscoped()).await
}

fn is_list(asked: &str) -> bool {
    asked.starts_with("LIST") || asked.contains("list=true")
}

#[tokio::test]
async fn a_stalled_request_does_not_repeat_the_others() {
    let server = Script::start(|asked, times| match asked.rsplit('/').next() {
        _ if is_list(asked) => respond(200, r#"{"data":{"keys":["a","b","c"]}}"#),
        Some("c") if times == 0 => Answer::never(),
        Some("a" | "b" | "c") => respond(200, LIVE),
        _ => denied(),
    })
    .await;
    assert_eq!(list(&server).await.unwrap().len(), 3);
    let asked = ["/a", "/b", "/c"].map(|name| server.asked("GET", name));
    assert_eq!(asked, [1, 1, 2], "requests with a response are not repeated");
}

#[tokio::test]
async fn a_refusal_is_reported_although_another_request_stalls() {
    let server = Script::start(|asked, _| match asked.rsplit('/').next() {
        _ if is_list(asked) => respond(200, r#"{"data":{"keys":["a","b","c"]}}"#),
        Some("a") => respond(200, LIVE),
        Some("b") => denied(),
        Some("c") => Answer::never(),
        _ => denied(),
    })
    .await;
    let error = list(&server).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert_eq!(server.asked("GET", "/b"), 1);
}
