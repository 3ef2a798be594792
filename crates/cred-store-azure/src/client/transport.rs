//! The HTTP transport of the SDK. It connects to one host, limits the size of responses, and
//! removes secrets from errors.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::Bytes;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode};
use cred_core::{ExposeSecret, SecretString, StorageError, StorageResult, async_trait};
use cred_provider_kit::{ForeignResponse, redact};
use reqwest::Url;
use reqwest::header::{HeaderValue as WireValue, RETRY_AFTER};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::host_and_port;
use crate::auth::TokenCache;
use crate::error::{Refusal, no_response};

/// Maximum size of a response in bytes: many times a page of 25 secrets, or the largest value.
const MAX_RESPONSE_LEN: usize = 4 * 1_024 * 1_024;

/// The transport to the vault. It refuses other hosts, even if a response refers to them.
pub(crate) struct VaultTransport {
    pub(crate) http: reqwest::Client,
    pub(crate) vault: Url,
    pub(crate) tokens: Arc<TokenCache>,
}

/// The transport to the token endpoint.
pub(crate) struct TokenTransport {
    pub(crate) http: reqwest::Client,
    /// Removed from errors, in case a server repeats it.
    pub(crate) client_secret: Option<SecretString>,
}

#[async_trait]
impl HttpClient for VaultTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        if request.url().origin() != self.vault.origin() {
            return Err(sdk_error(StorageError::other(
                "a response refers to another host, which would receive the token; the request was not sent",
            )));
        }
        let bearer = request.headers().get_optional_str(&AUTHORIZATION);
        let mut response = HttpResponse::fetch(&self.http, request).await.map_err(sdk_error)?;
        if let (401, Some(bearer)) = (response.status, bearer) {
            self.tokens.discard(bearer);
        }
        if response.status >= 400 {
            response.redact(bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")).unwrap_or_default());
        }
        Ok(response.into_sdk_response())
    }
}

#[async_trait]
impl HttpClient for TokenTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // Without a token no write was sent, so no outcome is unknown.
        let mut response = HttpResponse::fetch(&self.http, request)
            .await
            .map_err(|error| sdk_error(no_token_error(error)))?;
        // Parsed here, because the parser of the SDK fails at line breaks, which each refusal of
        // Entra has.
        if response.status >= 400 {
            response.redact(self.client_secret.as_ref().map_or("", |secret| secret.expose_secret()));
            let foreign = response.foreign("a token endpoint");
            return Err(sdk_error(Refusal::token_error(response.status, response.retry_after, &foreign)));
        }
        if !response.has_token() {
            let error = response.foreign("a token endpoint").error("`authority_host`");
            return Err(sdk_error(no_token_error(error)));
        }
        Ok(response.into_sdk_response())
    }
}

/// Converts the failure of a token request to an error that shows that nothing was written.
fn no_token_error(error: StorageError) -> StorageError {
    use cred_core::StorageErrorKind::{Unavailable, Unreachable};
    match error.kind() {
        Unavailable { reason, .. } => {
            Unreachable { reason: format!("no token could be obtained: {reason}").into() }.into()
        }
        Unreachable { reason } => {
            Unreachable { reason: format!("no token could be obtained: {reason}").into() }.into()
        }
        _ => error,
    }
}

/// Wraps an error for the SDK, which passes it on.
fn sdk_error(error: StorageError) -> azure_core::Error {
    azure_core::Error::new(ErrorKind::Other, error)
}

/// A complete response.
struct HttpResponse {
    status: u16,
    headers: Headers,
    retry_after: Option<Duration>,
    /// Host and port of the server.
    address: String,
    body: Vec<u8>,
}

impl HttpResponse {
    async fn fetch(http: &reqwest::Client, request: &Request) -> StorageResult<Self> {
        let address = host_and_port(request.url());
        let request = to_reqwest(http, request)?;
        let mut response =
            http.execute(request).await.map_err(|error| no_response(&error, Some(&address)))?;
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(64 * 1_024));
        while let Some(chunk) = response.chunk().await.map_err(|error| no_response(&error, Some(&address)))? {
            if body.len().saturating_add(chunk.len()) > MAX_RESPONSE_LEN {
                let foreign = ForeignResponse {
                    service: "Azure",
                    address: Some(&address),
                    content_type: content_type(&response),
                    body: None,
                };
                return Err(foreign.error("`vault_url`"));
            }
            body.extend_from_slice(&chunk);
        }
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        // The other form of the header is a date. Azure does not send it, and it would require
        // synchronized clocks.
        let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                headers
                    .insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
            }
        }
        Ok(Self { status: response.status().as_u16(), headers, retry_after, address, body })
    }

    fn foreign<'a>(&'a self, service: &'a str) -> ForeignResponse<'a> {
        let content_type = self.headers.get_optional_str(&CONTENT_TYPE);
        ForeignResponse { service, address: Some(&self.address), content_type, body: Some(&self.body) }
    }

    /// Returns whether the body has the member that the SDK expects from a token endpoint.
    fn has_token(&self) -> bool {
        #[derive(Deserialize)]
        struct Token {
            #[serde(rename = "access_token")]
            _access_token: IgnoredAny,
        }
        serde_json::from_slice::<Token>(&self.body).is_ok()
    }

    /// Removes a secret from the body of a refusal.
    fn redact(&mut self, secret: &str) {
        if let Cow::Owned(clean) = redact(&String::from_utf8_lossy(&self.body), &[secret]) {
            self.body = clean.into_bytes();
        }
    }

    fn into_sdk_response(self) -> AsyncRawResponse {
        AsyncRawResponse::from_bytes(StatusCode::from(self.status), self.headers, Bytes::from(self.body))
    }
}

fn content_type(response: &reqwest::Response) -> Option<&str> {
    response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// Converts a request of the SDK to one of `reqwest`.
fn to_reqwest(http: &reqwest::Client, request: &Request) -> StorageResult<reqwest::Request> {
    let method = match request.method() {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Patch => reqwest::Method::PATCH,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        _ => return Err(StorageError::other("the SDK uses an unsupported HTTP method")),
    };
    let mut builder = http.request(method, request.url().clone());
    for (name, value) in request.headers().iter() {
        let mut header = WireValue::from_str(value.as_str()).map_err(|_| {
            StorageError::invalid_request(
                "a header contains an invalid character; check the settings for line breaks",
            )
        })?;
        // Hides the token from code that prints requests.
        header.set_sensitive(*name == AUTHORIZATION);
        builder = builder.header(name.as_str(), header);
    }
    let Body::Bytes(body) = request.body() else {
        return Err(StorageError::other("the SDK sends the body as a stream, which is not supported"));
    };
    builder.body(body.clone()).build().map_err(|_| StorageError::other("the HTTP request could not be built"))
}

impl fmt::Debug for VaultTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultTransport").finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenTransport").finish_non_exhaustive()
    }
}
