//! The SDK's way to the wire: one host, a bound for answers, and nothing secret in what is told.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::Bytes;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode};
use cred_core::{ExposeSecret, SecretString, StorageError, StorageResult, async_trait};
use cred_provider_kit::{Foreign, redact};
use reqwest::Url;
use reqwest::header::{HeaderValue as WireValue, RETRY_AFTER};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::host_and_port;
use crate::auth::Tokens;
use crate::error::{Refusal, unanswered};

/// The longest answer that is read: many times a page of 25 secrets, or the longest value.
const LONGEST: usize = 4 * 1_024 * 1_024;

/// To the vault and nowhere else, whatever an answer says about where to go on.
pub(crate) struct ToVault {
    pub(crate) http: reqwest::Client,
    pub(crate) vault: Url,
    pub(crate) tokens: Arc<Tokens>,
}

/// To whoever gives tokens.
pub(crate) struct ToTokens {
    pub(crate) http: reqwest::Client,
    /// What no error may repeat, whoever echoes it.
    pub(crate) hidden: Option<SecretString>,
}

#[async_trait]
impl HttpClient for ToVault {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        if request.url().origin() != self.vault.origin() {
            return Err(told(StorageError::other(
                "an answer said to go on at another host, which would be given the token",
            )));
        }
        let bearer = request.headers().get_optional_str(&AUTHORIZATION);
        let mut answer = Answer::of(&self.http, request).await.map_err(told)?;
        if let (401, Some(bearer)) = (answer.status, bearer) {
            self.tokens.refused(bearer);
        }
        if answer.status >= 400 {
            answer.hide(bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")).unwrap_or_default());
        }
        Ok(answer.into_sdks())
    }
}

#[async_trait]
impl HttpClient for ToTokens {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // No write has been sent before there is a token, so none is in doubt.
        let mut answer = Answer::of(&self.http, request).await.map_err(|error| told(unsent(error)))?;
        // Read here: the SDK's own reading of a refusal fails at the line ends that every one of
        // Entra's has.
        if answer.status >= 400 {
            answer.hide(self.hidden.as_ref().map_or("", |secret| secret.expose_secret()));
            let foreign = answer.foreign("a token endpoint");
            return Err(told(Refusal::explain_token(answer.status, answer.retry_after, &foreign)));
        }
        if !answer.gives_a_token() {
            let error = answer.foreign("a token endpoint").error("`authority_host`");
            return Err(told(unsent(error)));
        }
        Ok(answer.into_sdks())
    }
}

/// A failure on the way to a token, of which nobody can think that it has written.
fn unsent(error: StorageError) -> StorageError {
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

/// As the SDK passes errors on.
fn told(error: StorageError) -> azure_core::Error {
    azure_core::Error::new(ErrorKind::Other, error)
}

/// A whole answer.
struct Answer {
    status: u16,
    headers: Headers,
    retry_after: Option<Duration>,
    /// Host and port of what answered.
    address: String,
    body: Vec<u8>,
}

impl Answer {
    async fn of(http: &reqwest::Client, request: &Request) -> StorageResult<Self> {
        let address = host_and_port(request.url());
        let request = wired(http, request)?;
        let mut response = http.execute(request).await.map_err(|error| unanswered(&error, Some(&address)))?;
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::with_capacity(announced.unwrap_or_default().min(64 * 1_024));
        while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(&error, Some(&address)))? {
            if body.len().saturating_add(chunk.len()) > LONGEST {
                let foreign = Foreign {
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
        // The other form of the header is a date, which Azure does not give and which needs clocks
        // that agree.
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

    fn foreign<'a>(&'a self, service: &'a str) -> Foreign<'a> {
        let content_type = self.headers.get_optional_str(&CONTENT_TYPE);
        Foreign { service, address: Some(&self.address), content_type, body: Some(&self.body) }
    }

    /// Whether it has what the SDK looks for in the answer of a token endpoint.
    fn gives_a_token(&self) -> bool {
        #[derive(Deserialize)]
        struct Token {
            #[serde(rename = "access_token")]
            _access_token: IgnoredAny,
        }
        serde_json::from_slice::<Token>(&self.body).is_ok()
    }

    /// Takes what is secret from the body of a refusal.
    fn hide(&mut self, secret: &str) {
        if let Cow::Owned(clean) = redact(&String::from_utf8_lossy(&self.body), &[secret]) {
            self.body = clean.into_bytes();
        }
    }

    fn into_sdks(self) -> AsyncRawResponse {
        AsyncRawResponse::from_bytes(StatusCode::from(self.status), self.headers, Bytes::from(self.body))
    }
}

fn content_type(response: &reqwest::Response) -> Option<&str> {
    response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
}

/// The SDK's request as that of `reqwest`.
fn wired(http: &reqwest::Client, request: &Request) -> StorageResult<reqwest::Request> {
    let method = match request.method() {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Patch => reqwest::Method::PATCH,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        _ => return Err(StorageError::other("the SDK asks by a method that is not known")),
    };
    let mut wired = http.request(method, request.url().clone());
    for (name, value) in request.headers().iter() {
        let mut header = WireValue::from_str(value.as_str()).map_err(|_| {
            StorageError::invalid_request("a header cannot be sent; does a setting hold a line end?")
        })?;
        // Of whatever prints requests.
        header.set_sensitive(*name == AUTHORIZATION);
        wired = wired.header(name.as_str(), header);
    }
    let Body::Bytes(body) = request.body() else {
        return Err(StorageError::other("the SDK sends a stream where none is known"));
    };
    wired.body(body.clone()).build().map_err(|_| StorageError::other("no request could be made"))
}

impl fmt::Debug for ToVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToVault").finish_non_exhaustive()
    }
}

impl fmt::Debug for ToTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToTokens").finish_non_exhaustive()
    }
}
