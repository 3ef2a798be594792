//! Answers in Azure's own shape that no vault can be made to give at will, each told as what it is.
#![cfg(test)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, StatusCode, Transport,
};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use cred_core::{Sealed, StorageError, StorageErrorKind, StorageProvider, async_trait};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::{AZURE, Names};
use cred_store_azure::{AzureKeyVaultConfig, AzureKeyVaultProvider, AzureOverDeleted};
use cred_testing::value::{hasty, id, store, unscoped, value};

const TOKEN: &str = "token-hunter2hunter2";
const HOST: &str = "https://my-vault.vault.azure.net";

/// A transport that answers by a script; the last answer stands for all that follow.
#[derive(Debug, Clone)]
struct Script(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<Answer>,
    /// `METHOD path` of each request that had a token.
    asked: Vec<String>,
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    after: Duration,
}

fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), after: Duration::ZERO }
}

/// As Azure writes errors.
fn refusal(status: u16, code: &str, message: &str, inner: Option<&str>) -> Answer {
    let inner = inner.map(|code| serde_json::json!({"code": code}));
    let error = serde_json::json!({"code": code, "message": message, "innererror": inner});
    answer(status, serde_json::json!({"error": error}).to_string())
}

fn conflict(inner: &str) -> Answer {
    refusal(409, "Conflict", "Secret key is not as it should be.\r\nTry again.", Some(inner))
}

fn absent() -> Answer {
    refusal(404, "SecretNotFound", "A secret with (name/id) key was not found in this key vault.", None)
}

fn secret(number: u8) -> Answer {
    version(number, 1)
}

fn version(number: u8, version: u8) -> Answer {
    let Sealed { data, metadata } = value(number);
    let value = String::from_utf8(CredentialFile::new(data, metadata).encode().unwrap()).unwrap();
    answer(
        200,
        serde_json::json!({"value": value, "id": format!("{HOST}/secrets/key/{version}")}).to_string(),
    )
}

#[async_trait]
impl HttpClient for Script {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let authorized = request.headers().iter().any(|(name, _)| name.as_str() == "authorization");
        let mut headers = Headers::new();
        if !authorized {
            let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
            headers.insert("www-authenticate", challenge);
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Vec::new()));
        }
        let path = request.url().path().to_owned();
        let answer = {
            let mut state = self.0.lock().unwrap();
            state.asked.push(format!("{} {path}", request.method()));
            match state.answers.len() {
                1 => state.answers.front().cloned().unwrap(),
                _ => state.answers.pop_front().unwrap(),
            }
        };
        tokio::time::sleep(answer.after).await;
        for (name, value) in answer.headers {
            headers.insert(name, value);
        }
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(answer.status), headers, answer.body.into_bytes()))
    }
}

#[derive(Debug)]
struct Credential;

#[async_trait]
impl TokenCredential for Credential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new(TOKEN, OffsetDateTime::now_utc() + Duration::from_secs(3_600)))
    }
}

struct Scripted {
    script: Script,
    provider: AzureKeyVaultProvider,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::with(AzureOverDeleted::Recover, answers)
    }

    fn with(over_deleted: AzureOverDeleted, answers: impl IntoIterator<Item = Answer>) -> Self {
        let answers = answers.into_iter().collect();
        let script = Script(Arc::new(Mutex::new(State { answers, asked: Vec::new() })));
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(script.clone()))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let options = SecretClientOptions { client_options, ..SecretClientOptions::default() };
        let client = SecretClient::new(HOST, Arc::new(Credential), Some(options)).unwrap();
        let config = AzureKeyVaultConfig::default()
            .with_secret_prefix("")
            .with_timeout(Duration::from_secs(1))
            .with_operation_timeout(Duration::from_secs(3))
            .with_over_deleted(over_deleted)
            .with_retry_policy(hasty());
        Self { script, provider: AzureKeyVaultProvider::with_client(config, client).unwrap() }
    }

    async fn store(&self) -> Result<(), StorageError> {
        store(&self.provider, "key", 1).await
    }

    async fn retrieve(&self) -> Result<cred_core::Sealed, StorageError> {
        self.provider.retrieve(&id("key"), &unscoped()).await
    }

    async fn list(&self) -> Result<Vec<cred_core::CredentialId>, StorageError> {
        self.provider.list(None, &unscoped()).await
    }

    fn asked(&self) -> Vec<String> {
        self.script.0.lock().unwrap().asked.clone()
    }
}

#[tokio::test]
async fn absence_is_told_by_its_code_alone() {
    let vault = Scripted::answering([absent()]);
    assert!(vault.retrieve().await.unwrap_err().is_not_found());
    // Nobody is told that a credential is absent by something that knows no secrets.
    for body in ["<html>not found</html>", "", r#"{"error":{"code":"ResourceNotFound","message":"no"}}"#] {
        let error = Scripted::answering([answer(404, body)]).retrieve().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_missing_role_is_told_with_action_and_principal() {
    // The line ends are Azure's, and break the SDK's own reading of the code.
    let message = "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
                   definitions were changed recently, please observe propagation time.\r\nCaller: \
                   appid=aaaa;oid=bbbb;iss=https://sts.windows.net/cccc/\r\nAction: \
                   'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: \
                   '/subscriptions/s/resourcegroups/r/providers/microsoft.keyvault/vaults/v/secrets/key'\r\nAssignment: (not \
                   found)\r\nDenyAssignmentId: null\r\nVault: v;location=westeurope\r\n";
    let vault = Scripted::answering([refusal(403, "Forbidden", message, Some("ForbiddenByRbac"))]);
    let error = vault.retrieve().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["`get` of secret `key`", "ForbiddenByRbac", "getSecret/action", "appid=aaaa;oid=bbbb"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("propagation") && !text.contains('\r'), "{text}");
    assert_eq!(vault.asked().len(), 1, "it is not asked for twice");
    assert!(!vault.store().await.unwrap_err().may_have_written());
}

#[tokio::test]
async fn a_missing_access_policy_is_told_with_principal_and_right() {
    let message = "The user, group or application 'appid=aaaa;oid=bbbb;numgroups=1' does not have secrets set permission on \
                   key vault 'v;location=westeurope'. For help resolving this issue, please see https://go.microsoft.com";
    let error = Scripted::answering([refusal(403, "Forbidden", message, Some("AccessDenied"))]);
    let text = error.store().await.unwrap_err().to_string();
    assert!(
        text.contains("AccessDenied") && text.contains("appid=aaaa") && text.contains("set permission"),
        "{text}"
    );
}

#[tokio::test]
async fn a_disabled_secret_is_not_a_missing_right() {
    let disabled = refusal(
        403,
        "Forbidden",
        "Operation get is not allowed on a disabled secret.",
        Some("SecretDisabled"),
    );
    let vault = Scripted::answering([disabled]);
    let error = vault.retrieve().await.unwrap_err();
    assert!(error.to_string().contains("the secret is disabled"), "{error}");
    assert!(vault.provider.exists(&id("key"), &unscoped()).await.unwrap());
}

#[tokio::test]
async fn exists_is_one_request_and_needs_the_right_of_a_read() {
    for (answer, exists) in [(secret(1), true), (absent(), false)] {
        let vault = Scripted::answering([answer]);
        assert_eq!(vault.provider.exists(&id("key"), &unscoped()).await.unwrap(), exists);
        assert_eq!(vault.asked(), ["GET /secrets/key/"]);
    }
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let vault = Scripted::answering([denied]);
    let error = vault.provider.exists(&id("key"), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("`get` of secret `key`"), "{error}");
    assert_eq!(vault.asked().len(), 1, "no other request is tried");
}

#[tokio::test]
async fn a_purge_that_the_vault_forbids_names_the_day_of_azures_own_purge() {
    let denied = || refusal(403, "Forbidden", "Operation \"purge\" is not allowed.", None);
    let deleted = |level: &str, date: Option<u64>| {
        let attributes = serde_json::json!({"recoveryLevel": level, "recoverableDays": 90});
        let body = serde_json::json!({
            "id": format!("{HOST}/secrets/key/1"), "attributes": attributes, "scheduledPurgeDate": date,
        });
        answer(200, body.to_string())
    };
    let purge = async |answers: [Answer; 2]| {
        let vault = Scripted::answering(answers);
        let error = vault.provider.soft_delete().unwrap().purge(&id("key"), &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
        assert_eq!(vault.asked(), ["DELETE /deletedsecrets/key", "GET /deletedsecrets/key"]);
        error.to_string()
    };
    for level in ["Recoverable", "CustomizedRecoverable", "Recoverable+ProtectedSubscription"] {
        let text = purge([denied(), deleted(level, Some(1_893_456_000))]).await;
        for part in ["purge protection is on", "Azure purges it on 2030-01-01", "recover"] {
            assert!(text.contains(part), "{level}: {part}: {text}");
        }
        let text = purge([denied(), deleted(level, None)]).await;
        assert!(text.contains("at the end of the vault's retention period"), "{text}");
    }
    let text = purge([denied(), deleted("CustomizedRecoverable+Purgeable", Some(1_893_456_000))]).await;
    assert!(text.contains("`purge` of secret `key`") && !text.contains("purge protection"), "{text}");
    let text = purge([denied(), denied()]).await;
    assert!(text.contains("`purge` of secret `key`") && !text.contains("purge protection"), "{text}");
}

#[tokio::test]
async fn what_is_on_its_way_is_not_there() {
    for inner in ["ObjectIsBeingDeleted", "ObjectIsBeingRecovered", "ObjectIsDeletedButRecoverable"] {
        let vault = Scripted::answering([conflict(inner)]);
        assert!(vault.retrieve().await.unwrap_err().is_not_found(), "{inner}");
        assert!(!vault.provider.exists(&id("key"), &unscoped()).await.unwrap(), "{inner}");
    }
}

#[tokio::test]
async fn a_store_waits_out_what_is_on_its_way_and_no_longer_than_its_time() {
    for inner in ["ObjectIsBeingDeleted", "ObjectIsBeingRecovered"] {
        let vault = Scripted::answering([conflict(inner), conflict(inner), secret(1)]);
        vault.store().await.unwrap();
        assert_eq!(vault.asked().len(), 3);
        let vault = Scripted::answering([conflict(inner)]);
        let error = vault.store().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }), "{error:?}");
        assert!(error.to_string().contains("in progress") && !error.may_have_written(), "{error}");
    }
}

#[tokio::test]
async fn a_store_over_a_deleted_name_recovers_and_writes() {
    let answers =
        [conflict("ObjectIsDeletedButRecoverable"), secret(9), conflict("ObjectIsBeingRecovered"), secret(1)];
    let vault = Scripted::answering(answers);
    vault.store().await.unwrap();
    let asked =
        ["PUT /secrets/key", "POST /deletedsecrets/key/recover", "PUT /secrets/key", "PUT /secrets/key"];
    assert_eq!(vault.asked(), asked);
}

#[tokio::test]
async fn a_store_over_a_deleted_name_purges_and_writes() {
    let answers = [
        conflict("ObjectIsDeletedButRecoverable"),
        answer(204, ""),
        conflict("ObjectIsBeingDeleted"),
        secret(1),
    ];
    let vault = Scripted::with(AzureOverDeleted::Purge, answers);
    vault.store().await.unwrap();
    let asked = ["PUT /secrets/key", "DELETE /deletedsecrets/key", "PUT /secrets/key", "PUT /secrets/key"];
    assert_eq!(vault.asked(), asked);
}

#[tokio::test]
async fn what_was_recovered_and_not_written_is_deleted_again_and_said_so() {
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let deleted = answer(200, format!(r#"{{"id":"{HOST}/secrets/key/1"}}"#));
    let found = conflict("ObjectIsDeletedButRecoverable");
    let vault = Scripted::answering([found, secret(9), denied, secret(9), deleted]);
    let error = vault.store().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::RecoveredNotWritten { .. }), "{error:?}");
    assert!(error.to_string().contains("deleted again") && error.may_have_written(), "{error}");
    assert_eq!(vault.asked().last().unwrap(), "DELETE /secrets/key");
}

#[tokio::test]
async fn what_somebody_else_wrote_after_a_recovery_is_not_deleted() {
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let found = conflict("ObjectIsDeletedButRecoverable");
    let vault = Scripted::answering([found, version(9, 1), denied, version(7, 2)]);
    let error = vault.store().await.unwrap_err();
    // Not that it should be deleted once more.
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");
    assert_eq!(vault.asked().last().unwrap(), "GET /secrets/key/");

    // It comes while the recovery still goes on.
    let [found, denied, going] = [
        conflict("ObjectIsDeletedButRecoverable"),
        refusal(403, "Forbidden", "no", Some("AccessDenied")),
        conflict("ObjectIsBeingRecovered"),
    ];
    let vault = Scripted::answering([found, version(9, 1), denied, version(9, 1), going, version(7, 2)]);
    vault.store().await.unwrap_err();
    let asked = vault.asked();
    assert_eq!(asked.last().unwrap(), "GET /secrets/key/");
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("DELETE")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_write_after_a_recovery_that_lost_its_answer_is_found_to_be_done() {
    let lost = || answer(502, "<html>");
    let found = conflict("ObjectIsDeletedButRecoverable");
    let vault = Scripted::answering([found, version(9, 1), lost(), lost(), lost(), version(1, 2)]);
    vault.store().await.unwrap();
    assert_eq!(vault.asked().last().unwrap(), "GET /secrets/key/");
}

#[tokio::test]
async fn a_recovery_that_is_refused_leaves_no_doubt() {
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let vault = Scripted::answering([conflict("ObjectIsDeletedButRecoverable"), denied]);
    let error = vault.store().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert!(!error.may_have_written());
}

#[tokio::test]
async fn throttling_has_azures_pause() {
    let mut throttled =
        refusal(429, "Throttled", "Request was not processed because too many requests were received.", None);
    throttled.headers.push(("retry-after", "17".to_owned()));
    let error = Scripted::answering([throttled]).store().await.unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Throttled { retry_after: Some(Duration::from_secs(17)) });
}

#[tokio::test]
async fn a_token_that_is_refused_is_no_missing_right() {
    let message =
        "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com.";
    let error = Scripted::answering([refusal(401, "Unauthorized", message, None)]).store().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("AKV10022") && !error.may_have_written(), "{error}");
}

#[tokio::test]
async fn an_error_of_the_server_leaves_a_write_in_doubt() {
    for (status, body) in
        [(500, r#"{"error":{"code":"InternalServerError","message":"no\r\nno"}}"#), (502, "<html>")]
    {
        let vault = Scripted::answering([answer(status, body)]);
        let error = vault.store().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");
        assert_eq!(vault.asked().len(), 3, "tried again by the provider alone");
        let error = vault.retrieve().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_page_instead_of_an_answer_of_key_vault_names_the_address_and_is_not_corruption() {
    for body in ["<html>welcome</html>", "{}", r#"{"value":null}"#, r#"{"value":"password"}"#, "[7]", ""] {
        let page = || Answer { headers: vec![("content-type", "text/html".to_owned())], ..answer(200, body) };
        for error in [
            Scripted::answering([page()]).retrieve().await.unwrap_err(),
            Scripted::answering([answer(200, body)]).retrieve().await.unwrap_err(),
        ] {
            assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{body}: {error:?}");
            let text = format!("{error} {error:?}");
            assert!(text.contains("`my-vault.vault.azure.net:443` sent "), "{text}");
            assert!(text.contains("host and port of `vault_url`"), "{text}");
            assert!(!text.contains("welcome") && !text.contains("password"), "{text}");
        }
        let error = Scripted::answering([page()]).retrieve().await.unwrap_err();
        assert!(error.to_string().contains("sent `text/html`"), "{error}");
        let vault = Scripted::answering([page()]);
        for error in [
            vault.store().await.unwrap_err(),
            vault.provider.delete(&id("key"), &unscoped()).await.unwrap_err(),
        ] {
            assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{body}: {error:?}");
        }
    }
    for body in ["<html>welcome</html>", "{}", "[7]", ""] {
        let error = Scripted::answering([answer(200, body)]).list().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_secret_whose_value_is_not_a_credential_is_corrupted() {
    let id = format!("{HOST}/secrets/key/1");
    let body = serde_json::json!({"id": id, "value": "password"}).to_string();
    let error = Scripted::answering([answer(200, body)]).retrieve().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("password"), "{error:?}");
}

/// A page of secrets with these names.
fn page(names: &[&str], next: Option<&str>) -> Answer {
    let items: Vec<_> =
        names.iter().map(|name| serde_json::json!({"id": format!("{HOST}/secrets/{name}")})).collect();
    answer(200, serde_json::json!({"value": items, "nextLink": next}).to_string())
}

#[tokio::test]
async fn pages_are_followed_to_the_last_though_some_are_empty() {
    let next = format!("{HOST}:443/secrets?api-version=7.6&$skiptoken=");
    let links: Vec<_> = (1..4).map(|number| format!("{next}{number}")).collect();
    let pages = [
        page(&["a", "b"], Some(links.first().unwrap())),
        page(&[], Some(links.get(1).unwrap())),
        page(&["b", "C"], Some(links.get(2).unwrap())),
        page(&["d"], Some("")),
    ];
    let mut ids = Scripted::answering(pages).list().await.unwrap();
    ids.sort();
    assert_eq!(ids, ["a", "b", "c", "d"].map(id), "each once");
}

/// The answers to a filter's look at each value are kept, though one of them comes too late.
#[tokio::test]
async fn what_was_answered_in_time_is_not_asked_for_again() {
    let late = Answer { after: Duration::from_millis(1_500), ..secret(2) };
    let vault = Scripted::answering([page(&["a", "b"], None), secret(1), late, secret(2)]);
    let filter =
        cred_core::CredentialFilter::new().with_created_after(cred_core::Timestamp::from_unix_millis(1));
    let ctx = unscoped();
    assert_eq!(vault.provider.list(Some(&filter), &ctx).await.unwrap().len(), 2);
    let asked = vault.asked();
    let values: Vec<_> = asked.iter().filter(|asked| asked.starts_with("GET /secrets/")).collect();
    assert_eq!(values.len(), 3, "{asked:?}");
}

#[tokio::test]
async fn a_filter_of_tags_reads_only_the_values_of_secrets_with_these_tags() {
    let items = [("a", "prod"), ("b", "test")]
        .map(|(name, env)| serde_json::json!({"id": format!("{HOST}/secrets/{name}"), "tags": {"env": env}}));
    let page = answer(200, serde_json::json!({"value": items, "nextLink": null}).to_string());
    let vault = Scripted::answering([page, secret(1)]);
    let filter = cred_core::CredentialFilter::new().with_tag("env", "prod");
    let ids = vault.provider.list(Some(&filter), &unscoped()).await.unwrap();
    assert!(ids.is_empty(), "the sealed credential does not have the tag: {ids:?}");
    assert_eq!(vault.asked(), ["GET /secrets", "GET /secrets/a/"]);
}

#[tokio::test]
async fn a_hashed_name_that_has_lost_its_tags_fails_every_list() {
    let path = cred_core::CredentialPath { scope: None, id: id(&"i".repeat(255)) };
    let name = Names::new(AZURE, "secret_prefix", "").unwrap().encode(path.as_path_ref()).text;
    let filter = cred_core::CredentialFilter::new().with_tag("env", "prod");
    for filter in [None, Some(&filter)] {
        let vault = Scripted::answering([page(&["a", &name], None)]);
        let error = vault.provider.list(filter, &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error:?}");
        assert!(error.to_string().contains(&name), "{error}");
        assert_eq!(vault.asked().len(), 1, "no value is read");
    }
}

#[tokio::test]
async fn no_page_of_another_host_is_asked_for() {
    for next in [
        "https://evil.example/secrets?$skiptoken=1",
        "https://my-vault.vault.azure.net.evil.example/",
        "https://my-vault.vault.azure.net:8443/secrets",
        "http://my-vault.vault.azure.net/secrets",
        "//evil.example/secrets",
    ] {
        let vault = Scripted::answering([page(&["a"], Some(next)), page(&["b"], None)]);
        let error = vault.list().await.unwrap_err();
        assert!(error.to_string().contains("another host"), "{next}: {error}");
        assert_eq!(vault.asked().len(), 1, "{next}");
    }
}

#[tokio::test]
async fn a_list_never_ends_early_without_an_error() {
    let next = format!("{HOST}/secrets?$skiptoken=1");
    let broken = [
        refusal(403, "Forbidden", "no", Some("AccessDenied")),
        answer(500, ""),
        answer(200, "<html>"),
        answer(200, r#"{"value":[{"id":null}]}"#),
        answer(200, r#"{"value":[{"id":"https://my-vault.vault.azure.net/keys/a"}]}"#),
        page(&["b"], Some(&next)),
    ];
    for second in broken {
        let vault = Scripted::answering([page(&["a"], Some(&next)), second.clone()]);
        assert!(vault.list().await.is_err(), "{second:?}");
    }
}

#[tokio::test]
async fn nothing_that_is_too_long_is_sent() {
    let vault = Scripted::answering([secret(1)]);
    let limits = vault.provider.describe().limits;
    assert_eq!((limits.max_payload_len, limits.recommended_payload_len), (Some(25_600), Some(10_240)));
    let Sealed { mut data, metadata } = value(1);
    data.ciphertext = vec![0; 25 * 1_024];
    let error = vault.provider.store(&id("key"), data, metadata, &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::TooLarge { limit: 25_600, .. }), "{error:?}");
    assert!(vault.asked().is_empty());
}
