//! Error mapping and recovery with scripted responses, which a real vault does not return on
//! demand.
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

/// A transport with scripted responses. It repeats the last one.
#[derive(Debug, Clone)]
struct ScriptedTransport(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    responses: VecDeque<ScriptedResponse>,
    /// `METHOD path` of each request with a token.
    requests: Vec<String>,
}

#[derive(Debug, Clone)]
struct ScriptedResponse {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

fn response(status: u16, body: impl Into<String>) -> ScriptedResponse {
    ScriptedResponse { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
}

/// An error response in the format of Azure.
fn refusal(status: u16, code: &str, message: &str, inner: Option<&str>) -> ScriptedResponse {
    let inner = inner.map(|code| serde_json::json!({"code": code}));
    let error = serde_json::json!({"code": code, "message": message, "innererror": inner});
    response(status, serde_json::json!({"error": error}).to_string())
}

fn conflict(inner: &str) -> ScriptedResponse {
    refusal(409, "Conflict", "Secret key is not as it should be.\r\nTry again.", Some(inner))
}

fn absent() -> ScriptedResponse {
    refusal(404, "SecretNotFound", "A secret with (name/id) key was not found in this key vault.", None)
}

fn secret(number: u8) -> ScriptedResponse {
    version(number, 1)
}

fn version(number: u8, version: u8) -> ScriptedResponse {
    let Sealed { data, metadata } = value(number);
    let value = String::from_utf8(CredentialFile::new(data, metadata).encode().unwrap()).unwrap();
    response(
        200,
        serde_json::json!({"value": value, "id": format!("{HOST}/secrets/key/{version}")}).to_string(),
    )
}

#[async_trait]
impl HttpClient for ScriptedTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let authorized = request.headers().iter().any(|(name, _)| name.as_str() == "authorization");
        let mut headers = Headers::new();
        if !authorized {
            let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
            headers.insert("www-authenticate", challenge);
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Vec::new()));
        }
        let path = request.url().path().to_owned();
        let response = {
            let mut state = self.0.lock().unwrap();
            state.requests.push(format!("{} {path}", request.method()));
            match state.responses.len() {
                1 => state.responses.front().cloned().unwrap(),
                _ => state.responses.pop_front().unwrap(),
            }
        };
        tokio::time::sleep(response.delay).await;
        for (name, value) in response.headers {
            headers.insert(name, value);
        }
        let status = StatusCode::from(response.status);
        Ok(AsyncRawResponse::from_bytes(status, headers, response.body.into_bytes()))
    }
}

#[derive(Debug)]
struct FixedCredential;

#[async_trait]
impl TokenCredential for FixedCredential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new(TOKEN, OffsetDateTime::now_utc() + Duration::from_secs(3_600)))
    }
}

/// A provider whose vault returns scripted responses.
struct ScriptedVault {
    transport: ScriptedTransport,
    provider: AzureKeyVaultProvider,
}

impl ScriptedVault {
    fn responding(responses: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        Self::with(AzureOverDeleted::Recover, responses)
    }

    fn with(over_deleted: AzureOverDeleted, responses: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        let responses = responses.into_iter().collect();
        let state = State { responses, requests: Vec::new() };
        let transport = ScriptedTransport(Arc::new(Mutex::new(state)));
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(transport.clone()))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let options = SecretClientOptions { client_options, ..SecretClientOptions::default() };
        let client = SecretClient::new(HOST, Arc::new(FixedCredential), Some(options)).unwrap();
        let config = AzureKeyVaultConfig::default()
            .with_secret_prefix("")
            .with_timeout(Duration::from_secs(1))
            .with_operation_timeout(Duration::from_secs(3))
            .with_over_deleted(over_deleted)
            .with_retry_policy(hasty());
        Self { transport, provider: AzureKeyVaultProvider::with_client(config, client).unwrap() }
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

    fn requests(&self) -> Vec<String> {
        self.transport.0.lock().unwrap().requests.clone()
    }
}

#[tokio::test]
async fn only_the_code_secret_not_found_means_absence() {
    let vault = ScriptedVault::responding([absent()]);
    assert!(vault.retrieve().await.unwrap_err().is_not_found());
    // A server that is not a vault does not prove that a credential is absent.
    for body in ["<html>not found</html>", "", r#"{"error":{"code":"ResourceNotFound","message":"no"}}"#] {
        let error = ScriptedVault::responding([response(404, body)]).retrieve().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InvalidRequest { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_missing_role_is_reported_with_action_and_principal() {
    // The line ends are those of Azure. The parser of the SDK fails at them.
    let message = "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
                   definitions were changed recently, please observe propagation time.\r\nCaller: \
                   appid=aaaa;oid=bbbb;iss=https://sts.windows.net/cccc/\r\nAction: \
                   'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\nResource: \
                   '/subscriptions/s/resourcegroups/r/providers/microsoft.keyvault/vaults/v/secrets/key'\r\nAssignment: (not \
                   found)\r\nDenyAssignmentId: null\r\nVault: v;location=westeurope\r\n";
    let vault = ScriptedVault::responding([refusal(403, "Forbidden", message, Some("ForbiddenByRbac"))]);
    let error = vault.retrieve().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    let text = error.to_string();
    for part in ["`get` of secret `key`", "ForbiddenByRbac", "getSecret/action", "appid=aaaa;oid=bbbb"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("propagation") && !text.contains('\r'), "{text}");
    assert_eq!(vault.requests().len(), 1, "the request is not repeated");
    assert!(!vault.store().await.unwrap_err().may_have_written());
}

#[tokio::test]
async fn a_missing_access_policy_is_reported_with_principal_and_right() {
    let message = "The user, group or application 'appid=aaaa;oid=bbbb;numgroups=1' does not have secrets set permission on \
                   key vault 'v;location=westeurope'. For help resolving this issue, please see https://go.microsoft.com";
    let error = ScriptedVault::responding([refusal(403, "Forbidden", message, Some("AccessDenied"))]);
    let text = error.store().await.unwrap_err().to_string();
    assert!(
        text.contains("AccessDenied") && text.contains("appid=aaaa") && text.contains("set permission"),
        "{text}"
    );
}

#[tokio::test]
async fn a_disabled_secret_exists_but_cannot_be_read() {
    let disabled = refusal(
        403,
        "Forbidden",
        "Operation get is not allowed on a disabled secret.",
        Some("SecretDisabled"),
    );
    let vault = ScriptedVault::responding([disabled]);
    let error = vault.retrieve().await.unwrap_err();
    assert!(error.to_string().contains("the secret is disabled"), "{error}");
    assert!(vault.provider.exists(&id("key"), &unscoped()).await.unwrap());
}

#[tokio::test]
async fn exists_makes_one_request_and_needs_the_get_right() {
    for (response, exists) in [(secret(1), true), (absent(), false)] {
        let vault = ScriptedVault::responding([response]);
        assert_eq!(vault.provider.exists(&id("key"), &unscoped()).await.unwrap(), exists);
        assert_eq!(vault.requests(), ["GET /secrets/key/"]);
    }
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let vault = ScriptedVault::responding([denied]);
    let error = vault.provider.exists(&id("key"), &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert!(error.to_string().contains("`get` of secret `key`"), "{error}");
    assert_eq!(vault.requests().len(), 1, "no other request is made");
}

#[tokio::test]
async fn a_purge_refused_by_purge_protection_reports_the_scheduled_date() {
    let denied = || refusal(403, "Forbidden", "Operation \"purge\" is not allowed.", None);
    let deleted = |level: &str, date: Option<u64>| {
        let attributes = serde_json::json!({"recoveryLevel": level, "recoverableDays": 90});
        let body = serde_json::json!({
            "id": format!("{HOST}/secrets/key/1"), "attributes": attributes, "scheduledPurgeDate": date,
        });
        response(200, body.to_string())
    };
    let purge = async |responses: [ScriptedResponse; 2]| {
        let vault = ScriptedVault::responding(responses);
        let error = vault.provider.soft_delete().unwrap().purge(&id("key"), &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
        assert_eq!(vault.requests(), ["DELETE /deletedsecrets/key", "GET /deletedsecrets/key"]);
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
async fn secrets_being_deleted_or_recovered_do_not_exist() {
    for inner in ["ObjectIsBeingDeleted", "ObjectIsBeingRecovered", "ObjectIsDeletedButRecoverable"] {
        let vault = ScriptedVault::responding([conflict(inner)]);
        assert!(vault.retrieve().await.unwrap_err().is_not_found(), "{inner}");
        assert!(!vault.provider.exists(&id("key"), &unscoped()).await.unwrap(), "{inner}");
    }
}

#[tokio::test]
async fn a_store_waits_for_deletions_and_recoveries_until_its_timeout() {
    for inner in ["ObjectIsBeingDeleted", "ObjectIsBeingRecovered"] {
        let vault = ScriptedVault::responding([conflict(inner), conflict(inner), secret(1)]);
        vault.store().await.unwrap();
        assert_eq!(vault.requests().len(), 3);
        let vault = ScriptedVault::responding([conflict(inner)]);
        let error = vault.store().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Busy { .. }), "{error:?}");
        assert!(error.to_string().contains("in progress") && !error.may_have_written(), "{error}");
    }
}

#[tokio::test]
async fn a_store_over_a_deleted_name_recovers_and_writes() {
    let responses =
        [conflict("ObjectIsDeletedButRecoverable"), secret(9), conflict("ObjectIsBeingRecovered"), secret(1)];
    let vault = ScriptedVault::responding(responses);
    vault.store().await.unwrap();
    let expected =
        ["PUT /secrets/key", "POST /deletedsecrets/key/recover", "PUT /secrets/key", "PUT /secrets/key"];
    assert_eq!(vault.requests(), expected);
}

#[tokio::test]
async fn a_store_over_a_deleted_name_purges_and_writes() {
    let responses = [
        conflict("ObjectIsDeletedButRecoverable"),
        response(204, ""),
        conflict("ObjectIsBeingDeleted"),
        secret(1),
    ];
    let vault = ScriptedVault::with(AzureOverDeleted::Purge, responses);
    vault.store().await.unwrap();
    let expected = ["PUT /secrets/key", "DELETE /deletedsecrets/key", "PUT /secrets/key", "PUT /secrets/key"];
    assert_eq!(vault.requests(), expected);
}

#[tokio::test]
async fn a_recovered_secret_that_was_not_written_is_deleted_again() {
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let deleted = response(200, format!(r#"{{"id":"{HOST}/secrets/key/1"}}"#));
    let found = conflict("ObjectIsDeletedButRecoverable");
    let vault = ScriptedVault::responding([found, secret(9), denied, secret(9), deleted]);
    let error = vault.store().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::RecoveredNotWritten { .. }), "{error:?}");
    assert!(error.to_string().contains("deleted again") && error.may_have_written(), "{error}");
    assert_eq!(vault.requests().last().unwrap(), "DELETE /secrets/key");
}

#[tokio::test]
async fn a_version_of_another_process_after_a_recovery_is_not_deleted() {
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let found = conflict("ObjectIsDeletedButRecoverable");
    let vault = ScriptedVault::responding([found, version(9, 1), denied, version(7, 2)]);
    let error = vault.store().await.unwrap_err();
    // Not `RecoveredNotWritten`, which asks the caller to delete the secret again.
    assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");
    assert_eq!(vault.requests().last().unwrap(), "GET /secrets/key/");

    // The other process writes while the recovery is in progress.
    let [found, denied, in_progress] = [
        conflict("ObjectIsDeletedButRecoverable"),
        refusal(403, "Forbidden", "no", Some("AccessDenied")),
        conflict("ObjectIsBeingRecovered"),
    ];
    let vault =
        ScriptedVault::responding([found, version(9, 1), denied, version(9, 1), in_progress, version(7, 2)]);
    vault.store().await.unwrap_err();
    let requests = vault.requests();
    assert_eq!(requests.last().unwrap(), "GET /secrets/key/");
    let deletions = requests.iter().filter(|request| request.starts_with("DELETE"));
    assert_eq!(deletions.count(), 1, "{requests:?}");
}

#[tokio::test]
async fn a_write_after_a_recovery_with_a_lost_response_is_detected() {
    let lost = || response(502, "<html>");
    let found = conflict("ObjectIsDeletedButRecoverable");
    let vault = ScriptedVault::responding([found, version(9, 1), lost(), lost(), lost(), version(1, 2)]);
    vault.store().await.unwrap();
    assert_eq!(vault.requests().last().unwrap(), "GET /secrets/key/");
}

#[tokio::test]
async fn a_refused_recovery_has_a_known_outcome() {
    let denied = refusal(403, "Forbidden", "no", Some("AccessDenied"));
    let vault = ScriptedVault::responding([conflict("ObjectIsDeletedButRecoverable"), denied]);
    let error = vault.store().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::PermissionDenied { .. }), "{error:?}");
    assert!(!error.may_have_written());
}

#[tokio::test]
async fn throttling_reports_the_requested_pause() {
    let mut throttled =
        refusal(429, "Throttled", "Request was not processed because too many requests were received.", None);
    throttled.headers.push(("retry-after", "17".to_owned()));
    let error = ScriptedVault::responding([throttled]).store().await.unwrap_err();
    assert_eq!(*error.kind(), StorageErrorKind::Throttled { retry_after: Some(Duration::from_secs(17)) });
}

#[tokio::test]
async fn a_refused_token_is_an_authentication_failure() {
    let message =
        "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com.";
    let error =
        ScriptedVault::responding([refusal(401, "Unauthorized", message, None)]).store().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::AuthenticationFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("AKV10022") && !error.may_have_written(), "{error}");
}

#[tokio::test]
async fn a_server_error_makes_the_outcome_of_a_write_unknown() {
    for (status, body) in
        [(500, r#"{"error":{"code":"InternalServerError","message":"no\r\nno"}}"#), (502, "<html>")]
    {
        let vault = ScriptedVault::responding([response(status, body)]);
        let error = vault.store().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{error:?}");
        assert_eq!(vault.requests().len(), 3, "only the provider retries, not the SDK");
        let error = vault.retrieve().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_response_from_another_server_is_unavailable_with_its_address() {
    for body in ["<html>welcome</html>", "{}", r#"{"value":null}"#, r#"{"value":"password"}"#, "[7]", ""] {
        let page = || ScriptedResponse {
            headers: vec![("content-type", "text/html".to_owned())],
            ..response(200, body)
        };
        for error in [
            ScriptedVault::responding([page()]).retrieve().await.unwrap_err(),
            ScriptedVault::responding([response(200, body)]).retrieve().await.unwrap_err(),
        ] {
            assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{body}: {error:?}");
            let text = format!("{error} {error:?}");
            assert!(text.contains("`my-vault.vault.azure.net:443` sent "), "{text}");
            assert!(text.contains("host and port of `vault_url`"), "{text}");
            assert!(!text.contains("welcome") && !text.contains("password"), "{text}");
        }
        let error = ScriptedVault::responding([page()]).retrieve().await.unwrap_err();
        assert!(error.to_string().contains("sent `text/html`"), "{error}");
        let vault = ScriptedVault::responding([page()]);
        for error in [
            vault.store().await.unwrap_err(),
            vault.provider.delete(&id("key"), &unscoped()).await.unwrap_err(),
        ] {
            assert!(matches!(error.kind(), StorageErrorKind::InDoubt { .. }), "{body}: {error:?}");
        }
    }
    for body in ["<html>welcome</html>", "{}", "[7]", ""] {
        let error = ScriptedVault::responding([response(200, body)]).list().await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Unavailable { .. }), "{body}: {error:?}");
    }
}

#[tokio::test]
async fn a_secret_whose_value_is_not_a_credential_is_corrupted() {
    let id = format!("{HOST}/secrets/key/1");
    let body = serde_json::json!({"id": id, "value": "password"}).to_string();
    let error = ScriptedVault::responding([response(200, body)]).retrieve().await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("password"), "{error:?}");
}

/// A page of secrets with these names.
fn page(names: &[&str], next: Option<&str>) -> ScriptedResponse {
    let items: Vec<_> =
        names.iter().map(|name| serde_json::json!({"id": format!("{HOST}/secrets/{name}")})).collect();
    response(200, serde_json::json!({"value": items, "nextLink": next}).to_string())
}

#[tokio::test]
async fn all_pages_are_read_even_if_some_are_empty() {
    let next = format!("{HOST}:443/secrets?api-version=7.6&$skiptoken=");
    let links: Vec<_> = (1..4).map(|number| format!("{next}{number}")).collect();
    let pages = [
        page(&["a", "b"], Some(links.first().unwrap())),
        page(&[], Some(links.get(1).unwrap())),
        page(&["b", "C"], Some(links.get(2).unwrap())),
        page(&["d"], Some("")),
    ];
    let mut ids = ScriptedVault::responding(pages).list().await.unwrap();
    ids.sort();
    assert_eq!(ids, ["a", "b", "c", "d"].map(id), "each once");
}

/// A filter reads each value. If one response is too late, the others are kept.
#[tokio::test]
async fn values_that_were_read_in_time_are_not_read_again() {
    let late = ScriptedResponse { delay: Duration::from_millis(1_500), ..secret(2) };
    let vault = ScriptedVault::responding([page(&["a", "b"], None), secret(1), late, secret(2)]);
    let filter =
        cred_core::CredentialFilter::new().with_created_after(cred_core::Timestamp::from_unix_millis(1));
    let ctx = unscoped();
    assert_eq!(vault.provider.list(Some(&filter), &ctx).await.unwrap().len(), 2);
    let requests = vault.requests();
    let reads: Vec<_> = requests.iter().filter(|request| request.starts_with("GET /secrets/")).collect();
    assert_eq!(reads.len(), 3, "{requests:?}");
}

#[tokio::test]
async fn a_tag_filter_reads_only_secrets_with_these_tags() {
    let items = [("a", "prod"), ("b", "test")]
        .map(|(name, env)| serde_json::json!({"id": format!("{HOST}/secrets/{name}"), "tags": {"env": env}}));
    let page = response(200, serde_json::json!({"value": items, "nextLink": null}).to_string());
    let vault = ScriptedVault::responding([page, secret(1)]);
    let filter = cred_core::CredentialFilter::new().with_tag("env", "prod");
    let ids = vault.provider.list(Some(&filter), &unscoped()).await.unwrap();
    assert!(ids.is_empty(), "the sealed credential does not have the tag: {ids:?}");
    assert_eq!(vault.requests(), ["GET /secrets", "GET /secrets/a/"]);
}

#[tokio::test]
async fn a_hashed_name_without_its_path_tags_fails_every_list() {
    let path = cred_core::CredentialPath { scope: None, id: id(&"i".repeat(255)) };
    let name = Names::new(AZURE, "secret_prefix", "").unwrap().encode(path.as_path_ref()).text;
    let filter = cred_core::CredentialFilter::new().with_tag("env", "prod");
    for filter in [None, Some(&filter)] {
        let vault = ScriptedVault::responding([page(&["a", &name], None)]);
        let error = vault.provider.list(filter, &unscoped()).await.unwrap_err();
        assert!(matches!(error.kind(), StorageErrorKind::Corrupted { .. }), "{error:?}");
        assert!(error.to_string().contains(&name), "{error}");
        assert_eq!(vault.requests().len(), 1, "no value is read");
    }
}

#[tokio::test]
async fn no_page_is_requested_from_another_host() {
    for next in [
        "https://evil.example/secrets?$skiptoken=1",
        "https://my-vault.vault.azure.net.evil.example/",
        "https://my-vault.vault.azure.net:8443/secrets",
        "http://my-vault.vault.azure.net/secrets",
        "//evil.example/secrets",
    ] {
        let vault = ScriptedVault::responding([page(&["a"], Some(next)), page(&["b"], None)]);
        let error = vault.list().await.unwrap_err();
        assert!(error.to_string().contains("another host"), "{next}: {error}");
        assert_eq!(vault.requests().len(), 1, "{next}");
    }
}

#[tokio::test]
async fn an_incomplete_list_is_an_error() {
    let next = format!("{HOST}/secrets?$skiptoken=1");
    let broken = [
        refusal(403, "Forbidden", "no", Some("AccessDenied")),
        response(500, ""),
        response(200, "<html>"),
        response(200, r#"{"value":[{"id":null}]}"#),
        response(200, r#"{"value":[{"id":"https://my-vault.vault.azure.net/keys/a"}]}"#),
        page(&["b"], Some(&next)),
    ];
    for second in broken {
        let vault = ScriptedVault::responding([page(&["a"], Some(&next)), second.clone()]);
        assert!(vault.list().await.is_err(), "{second:?}");
    }
}

#[tokio::test]
async fn an_oversized_value_is_never_sent() {
    let vault = ScriptedVault::responding([secret(1)]);
    let limits = vault.provider.describe().limits;
    assert_eq!((limits.max_payload_len, limits.recommended_payload_len), (Some(25_600), Some(10_240)));
    let Sealed { mut data, metadata } = value(1);
    data.ciphertext = vec![0; 25 * 1_024];
    let error = vault.provider.store(&id("key"), data, metadata, &unscoped()).await.unwrap_err();
    assert!(matches!(error.kind(), StorageErrorKind::TooLarge { limit: 25_600, .. }), "{error:?}");
    assert!(vault.requests().is_empty());
}
