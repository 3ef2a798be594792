//! What Azure Key Vault answers, through the SDK, and its configuration.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::headers::Headers;
use azure_core::http::{
    AsyncRawResponse, ClientOptions, HttpClient, Request, RetryOptions, StatusCode, Transport,
};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use cred_core::ProviderConfig as _;
use cred_fuzz::{Backend, CANARY, Script, TIMEOUT, once, silent, silent_text};
use cred_provider_kit::naming::{AZURE as RULES, Names};
use cred_store_azure::{AzureCredentialType, AzureKeyVaultConfig, AzureKeyVaultProvider};
use libfuzzer_sys::fuzz_target;

/// In the shape by which it is known where the client, and so the token, is the caller's.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJmdXp6IjoiZnV6eiJ9.fuzzfuzzfuzzfuzz";
const VAULT: &str = "https://my-vault.vault.azure.net";
const PREFIX: &str = "nebula-";

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names::new(RULES, "secret_prefix", PREFIX).expect("a prefix"));

static AZURE: LazyLock<Backend> = LazyLock::new(|| {
    let named = |path: &cred_core::CredentialPath, text: &str| {
        let name = NAMES.encode(path.as_ref()).text.to_ascii_lowercase();
        text.to_ascii_lowercase().contains(&name)
    };
    Backend::within(TOKEN, named, |script| {
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(Answering(script)))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let options = SecretClientOptions { client_options, ..SecretClientOptions::default() };
        let client = SecretClient::new(VAULT, Arc::new(Credential), Some(options)).expect("a client");
        let config = AzureKeyVaultConfig::default()
            .with_secret_prefix(PREFIX)
            .with_timeout(TIMEOUT)
            .with_operation_timeout(TIMEOUT)
            .with_retry_policy(once());
        Box::new(AzureKeyVaultProvider::with_client(config, client).expect("a valid configuration"))
    })
});

fuzz_target!(|input: &[u8]| {
    config(input);
    AZURE.judge(input);
});

/// No secret of a configuration is printed.
fn config(input: &[u8]) {
    let Ok(config) = serde_json::from_slice::<AzureKeyVaultConfig>(input) else { return };
    assert_eq!(config.validate(), config.validate());
    if String::from_utf8_lossy(input).contains(CANARY) {
        return;
    }
    let secret = AzureCredentialType::service_principal("tenant", "client", CANARY.into());
    let config = config.with_credential_type(secret);
    silent_text(&format!("{config:?}"));
    if let Err(error) = config.validate() {
        silent(&error);
    }
}

/// A transport that answers what the script says, once it was given a token.
#[derive(Debug)]
struct Answering(Script);

#[async_trait]
impl HttpClient for Answering {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        if !request.headers().iter().any(|(name, _)| name.as_str() == "authorization") {
            let challenge = r#"Bearer authorization="https://login.microsoftonline.com/t", resource="https://vault.azure.net""#;
            headers.insert("www-authenticate", challenge);
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Vec::new()));
        }
        let (status, body) = self.0.answer(request.method().as_str());
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), headers, body))
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
