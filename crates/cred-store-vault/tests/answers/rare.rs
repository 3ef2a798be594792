//! Rare responses of Vault that could be taken for those of another server.

use cred_core::{StorageError, StorageErrorKind, StorageProvider};
use cred_store_vault::{HashiCorpVaultProvider, VaultAuthMethod, VaultDeleteMode};
use cred_testing::value::{id, store, unscoped};

use crate::TOKEN;
use crate::script::{Script, denied, respond};

/// The response of a control group, which holds a request back until it is authorized.
const WRAPPED: &str = r#"{"request_id":"","lease_id":"","renewable":false,"lease_duration":0,"data":null,
    "wrap_info":{"token":"hvs.wrapping","accessor":"a","ttl":60,"creation_time":"t","creation_path":"p"},
    "warnings":["held back"],"auth":null}"#;

/// A server that sends the same response to every request for a secret or a list.
async fn answering(status: u16, body: &'static str) -> Script {
    Script::start(move |asked, _| match asked.contains("/secret/") && !asked.contains("/mounts/") {
        true => respond(status, body),
        false => denied(),
    })
    .await
}

fn provider(server: &Script, mode: VaultDeleteMode) -> HashiCorpVaultProvider {
    let method = VaultAuthMethod::token(TOKEN.into());
    HashiCorpVaultProvider::new(server.config().with_auth_method(method).with_delete_mode(mode)).unwrap()
}

#[tokio::test]
async fn a_list_without_data_but_with_warnings_is_empty() {
    for data in ["null", "{}", r#"{"keys":null}"#] {
        let body = format!(r#"{{"request_id":"1","data":{data},"warnings":["odd"],"wrap_info":null}}"#);
        let server = answering(200, body.leak()).await;
        let listed = provider(&server, VaultDeleteMode::Metadata).list(None, &unscoped()).await;
        assert!(listed.unwrap().is_empty());
    }
    for body in [r#"{"data":null,"warnings":["odd"]}"#, r#"{"request_id":"1","data":null,"warnings":null}"#] {
        let server = answering(200, body).await;
        let error = provider(&server, VaultDeleteMode::Metadata).list(None, &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_wrapped_response_is_permission_denied_and_not_retried() {
    for mode in [VaultDeleteMode::Metadata, VaultDeleteMode::Soft] {
        let server = answering(200, WRAPPED).await;
        let (provider, ctx) = (provider(&server, mode), unscoped());
        let is_denied = |error: StorageError| {
            assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
            assert!(error.to_string().contains("control group"), "{error}");
            assert!(!format!("{error} {error:?}").contains("hvs.wrapping"), "{error:?}");
            assert!(!error.may_have_written(), "{error:?}");
        };
        is_denied(provider.retrieve(&id("key"), &ctx).await.unwrap_err());
        assert_eq!(server.asked("GET", "/data/nebula/credentials/key"), 1);
        is_denied(provider.exists(&id("key"), &ctx).await.unwrap_err());
        is_denied(provider.list(None, &ctx).await.unwrap_err());
        is_denied(store(&provider, "key", 1).await.unwrap_err());
        assert_eq!(server.asked("POST", "/key"), 1);
        is_denied(provider.delete(&id("key"), &ctx).await.unwrap_err());
        assert_eq!(server.asked("DELETE", "/key"), 1);
    }
}

#[tokio::test]
async fn an_engine_during_an_upgrade_is_unavailable_and_nothing_is_written() {
    for reason in [
        r#"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}"#,
        r#"{"errors":["Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable."]}"#,
    ] {
        let server = answering(400, reason).await;
        let provider = provider(&server, VaultDeleteMode::Metadata);
        let stored = store(&provider, "key", 1).await.unwrap_err();
        let attempts = server.asked("POST", "/key");
        assert!(attempts > 1, "{attempts}");
        for error in [stored, provider.retrieve(&id("key"), &unscoped()).await.unwrap_err()] {
            assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
            assert!(error.to_string().contains("is upgrading"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_envelope_that_is_not_text_belongs_to_another_program() {
    for field in ["7", "null", r#"{"a":"b"}"#, "[]", "true"] {
        let body = format!(
            r#"{{"data":{{"data":{{"envelope":{field}}},"metadata":{{"version":1,"created_time":"t"}}}}}}"#
        );
        let server = answering(200, body.leak()).await;
        let provider = provider(&server, VaultDeleteMode::Metadata);
        let error = provider.retrieve(&id("key"), &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{field}: {error:?}");
        assert!(error.to_string().contains("`envelope`"), "{error}");
    }
}
