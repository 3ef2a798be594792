//! Parses the responses of Vault.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{SecretString, StorageError, Zeroizing};
use cred_provider_kit::ForeignResponse;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::{Token, TokenGrant};
use crate::VaultVersions;
use crate::error::{Action, CallFailure, ConnectionFailure, ErrorResponse, wrapped};

/// The largest response body that is read: a list of about 500,000 names, or twice the largest
/// value.
const MAX_BODY_LEN: usize = 64 * 1_024 * 1_024;

/// The state of a secret.
#[derive(Debug)]
pub(crate) enum SecretState {
    /// It does not exist.
    Absent,
    /// The latest version can be read.
    Live(Secret),
    /// The latest version is marked as deleted and can be recovered.
    Deleted { version: u64 },
    /// The value of the latest version was removed permanently.
    Destroyed { version: u64 },
}

impl SecretState {
    /// Returns the latest version if it can be read.
    pub(crate) fn live(self) -> Option<Secret> {
        match self {
            Self::Live(secret) => Some(secret),
            Self::Absent | Self::Deleted { .. } | Self::Destroyed { .. } => None,
        }
    }
}

/// A version with its value.
#[derive(Debug)]
pub(crate) struct Secret {
    pub(crate) version: Version,
    /// `None`: the secret was not written by this library.
    pub(crate) envelope: Option<String>,
}

/// The number and time of a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Version {
    #[serde(rename = "version")]
    pub(crate) number: u64,
    /// Numbers start again after a permanent deletion; the time distinguishes such versions.
    #[serde(rename = "created_time")]
    pub(crate) created: String,
}

/// The kind of engine at a mount.
#[derive(Deserialize)]
pub(super) struct Engine {
    #[serde(rename = "type")]
    kind: String,
    options: Option<HashMap<String, String>>,
}

impl Engine {
    pub(super) fn is(&self, kind: &str, version: &str) -> bool {
        let found = self.options.as_ref().and_then(|options| options.get("version"));
        self.kind == kind && found.map_or("1", String::as_str) == version
    }
}

/// A response with its body.
pub(crate) struct ApiResponse {
    pub(super) status: u16,
    retry_after: Option<Duration>,
    /// Host and port of the server.
    address: Option<Arc<str>>,
    content_type: Option<HeaderValue>,
    /// Wiped on drop, since some responses contain tokens.
    body: Zeroizing<Vec<u8>>,
}

impl ApiResponse {
    /// A response that no server sent.
    #[cfg(fuzzing)]
    pub(crate) fn fabricated(status: u16, body: &[u8]) -> Self {
        let body = Zeroizing::new(body.to_vec());
        Self { status, retry_after: None, address: None, content_type: None, body }
    }

    /// Sends a request and reads the response to its end.
    pub(super) async fn of(
        http: &reqwest::Client,
        request: reqwest::Request,
        address: Option<Arc<str>>,
    ) -> Result<Self, CallFailure> {
        let broken = |error: &reqwest::Error| {
            let (connected, address) = (!error.is_connect(), address.as_deref());
            StorageError::from(ConnectionFailure { connected, address, cause: error })
        };
        let mut response = http.execute(request).await.map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let header = response.headers().get("Retry-After").and_then(|value| value.to_str().ok());
        // The other form of the header is a date, which Vault does not send and which needs
        // synchronized clocks.
        let retry_after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let room = announced.unwrap_or_default().min(1_024 * 1_024);
        let mut body = Zeroizing::new(Vec::with_capacity(room));
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            if body.len().saturating_add(chunk.len()) > MAX_BODY_LEN {
                return Err(foreign_response(address.as_deref(), content_type.as_ref(), None)
                    .error(SETTING)
                    .into());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, retry_after, address, content_type, body })
    }

    /// The error of a successful response that Vault would not send.
    pub(crate) fn unexpected_error(&self) -> StorageError {
        self.describe().error(SETTING)
    }

    /// The failure of a successful response that lacks the expected contents.
    pub(super) fn unreadable(&self, action: &Action<'_>) -> CallFailure {
        match self.is_wrapped() {
            true => wrapped(action).into(),
            false => self.unexpected_error().into(),
        }
    }

    fn describe(&self) -> ForeignResponse<'_> {
        foreign_response(self.address.as_deref(), self.content_type.as_ref(), Some(&self.body))
    }

    /// The value under `data`.
    fn data<T: DeserializeOwned>(&self) -> Option<T> {
        #[derive(Deserialize)]
        struct Outer<T> {
            data: T,
        }
        serde_json::from_slice::<Outer<T>>(&self.body).ok().map(|outer| outer.data)
    }

    pub(crate) fn secret(&self) -> Option<Secret> {
        #[derive(Deserialize)]
        struct Data {
            data: Fields,
            metadata: Version,
        }
        #[derive(Deserialize)]
        struct Fields {
            envelope: Option<Field>,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Field {
            Text(String),
            Other(IgnoredAny),
        }
        let Data { data, metadata } = self.data()?;
        let envelope = match data.envelope {
            Some(Field::Text(text)) => Some(text),
            Some(Field::Other(_)) | None => None,
        };
        Some(Secret { version: metadata, envelope })
    }

    /// Returns the state of a secret from a 404 response. `None`: the response is about something
    /// else.
    pub(crate) fn missing_state(&self) -> Option<SecretState> {
        #[derive(Deserialize)]
        struct Data {
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            version: u64,
            destroyed: bool,
        }
        match self.data::<Data>() {
            Some(Data { metadata: Metadata { version, destroyed: false } }) => {
                Some(SecretState::Deleted { version })
            }
            Some(Data { metadata: Metadata { version, destroyed: true } }) => {
                Some(SecretState::Destroyed { version })
            }
            None => self.error_response().is_absent_secret().then_some(SecretState::Absent),
        }
    }

    pub(super) fn written(&self) -> Option<Version> {
        self.data()
    }

    pub(super) fn versions(&self) -> Option<VaultVersions> {
        self.data()
    }

    pub(crate) fn keys(&self) -> Option<Vec<String>> {
        #[derive(Deserialize)]
        struct Outer {
            data: Option<Data>,
            request_id: Option<IgnoredAny>,
            warnings: Option<Vec<IgnoredAny>>,
            wrap_info: Option<IgnoredAny>,
        }
        #[derive(Deserialize)]
        struct Data {
            keys: Option<Vec<String>>,
        }
        let Outer { data, request_id, warnings, wrap_info } = serde_json::from_slice(&self.body).ok()?;
        // Vault returns 404 for an empty list, unless it has warnings to report.
        let has_warnings = request_id.is_some() && warnings.is_some_and(|all| !all.is_empty());
        let empty = (has_warnings && wrap_info.is_none()).then(Vec::new);
        data.and_then(|data| data.keys).or(empty)
    }

    pub(super) fn engine(&self) -> Option<Engine> {
        self.data()
    }

    /// Returns the token of a login. The response body is wiped. The buffers of the HTTP client are
    /// not, and neither are the smaller buffers of a body whose length was not announced.
    pub(crate) fn grant(&self) -> Option<TokenGrant> {
        #[derive(Deserialize)]
        struct Outer {
            auth: Auth,
        }
        #[derive(Deserialize)]
        struct Auth {
            client_token: SecretString,
            lease_duration: u64,
            renewable: bool,
        }
        let Auth { client_token, lease_duration, renewable } =
            serde_json::from_slice::<Outer>(&self.body).ok()?.auth;
        let lease = Duration::from_secs(lease_duration);
        // The token is sent in a header, where other characters would make the SDK panic.
        let usable = |token: &SecretString| {
            let text = cred_core::ExposeSecret::expose_secret(token);
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        Some(TokenGrant { token: Some(client_token).filter(usable), lease, renewable })
    }

    /// Returns the remaining lease of a token.
    pub(super) fn remaining_lease(&self) -> Option<TokenGrant> {
        #[derive(Deserialize)]
        struct Data {
            ttl: u64,
            renewable: Option<bool>,
        }
        let Data { ttl, renewable } = self.data()?;
        Some(TokenGrant {
            token: None,
            lease: Duration::from_secs(ttl),
            renewable: renewable.unwrap_or_default(),
        })
    }

    pub(crate) fn error_response(&self) -> ErrorResponse {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<String>,
        }
        let reasons = serde_json::from_slice::<Errors>(&self.body).map(|body| body.errors);
        let reasons = reasons.map_err(|_| self.describe().to_string());
        ErrorResponse { status: self.status, reasons, retry_after: self.retry_after }
    }

    /// Returns the default value if the secret does not exist, or else the failure.
    pub(super) fn default_if_absent<T: Default>(
        &self,
        action: &Action<'_>,
        token: &Token,
    ) -> Result<T, CallFailure> {
        let error_response = self.error_response();
        match error_response.is_absent_secret() {
            true => Ok(T::default()),
            false => Err(error_response.explain(action, token.secret())),
        }
    }

    /// Succeeds if the response confirms the request.
    pub(super) fn expect_done(&self, action: &Action<'_>, token: &Token) -> Result<(), CallFailure> {
        match self.status {
            204 => Ok(()),
            // With warnings.
            200 if self.is_from_vault() && !self.is_wrapped() => Ok(()),
            200 => Err(self.unreadable(action)),
            _ => Err(self.error_response().explain(action, token.secret())),
        }
    }

    /// Whether it contains a wrapping token in place of the contents.
    fn is_wrapped(&self) -> bool {
        #[derive(Deserialize)]
        struct Outer {
            wrap_info: Option<IgnoredAny>,
        }
        serde_json::from_slice::<Outer>(&self.body).is_ok_and(|outer| outer.wrap_info.is_some())
    }

    /// Whether it has the field that each response of Vault with a body has.
    fn is_from_vault(&self) -> bool {
        #[derive(Deserialize)]
        struct Outer {
            #[serde(rename = "request_id")]
            _request_id: IgnoredAny,
        }
        serde_json::from_slice::<Outer>(&self.body).is_ok()
    }
}

/// The setting with the address.
const SETTING: &str = "`address`";

fn foreign_response<'a>(
    address: Option<&'a str>,
    content_type: Option<&'a HeaderValue>,
    body: Option<&'a [u8]>,
) -> ForeignResponse<'a> {
    let content_type = content_type.and_then(|value| value.to_str().ok());
    ForeignResponse { service: "Vault", address, content_type, body }
}
