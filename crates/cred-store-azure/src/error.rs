//! Maps error responses of Azure and connection failures to storage errors.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{ForeignResponse, connection, quote_message};
use serde::Deserialize;

/// Why a name cannot be used now, or why a secret cannot be read. It is the source of an error that
/// the provider reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// A deleted secret has the name.
    Deleted,
    /// A deletion or a purge is in progress.
    BeingDeleted,
    /// A recovery is in progress.
    BeingRecovered,
    /// The secret is disabled.
    Disabled,
}

impl Blocked {
    /// Returns the reason for an error, if it is one of these.
    pub(crate) fn of(error: &StorageError) -> Option<Self> {
        error.source()?.downcast_ref().copied()
    }

    /// Adds this to an error as its source.
    pub(crate) fn add_to(self, error: StorageError) -> StorageError {
        error.with_source(Arc::new(self) as Arc<_>)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "a deleted secret has the name",
            Self::BeingDeleted => "a deletion or purge of that name is in progress",
            Self::BeingRecovered => "a recovery of that name is in progress",
            Self::Disabled => "the secret is disabled",
        })
    }
}

impl Error for Blocked {}

/// The required right and the secret of a request, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The right that the request needs, as named in Azure's access policies.
    pub(crate) right: &'static str,
    /// The name of the secret; empty: all secrets.
    pub(crate) name: &'a str,
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            "" => write!(f, "`{}`", self.right),
            name => write!(f, "`{}` of secret `{name}`", self.right),
        }
    }
}

/// A response of the vault with an error status.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The parsed error, or the description of a response that is not from Azure.
    error: Result<AzureError, String>,
}

/// The error in a response body of Azure. The innermost code is the most specific.
#[derive(Debug, Default, Deserialize)]
struct AzureError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Box<AzureError>>,
}

impl Refusal {
    /// Parses an error response, which may be from another service.
    pub(crate) fn parse(status: u16, retry_after: Option<Duration>, response: &ForeignResponse<'_>) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: AzureError,
        }
        // The parser of the SDK fails at every escape in a message.
        let body = serde_json::from_slice::<Body>(response.body.unwrap_or_default());
        let error = body.map(|body| body.error).map_err(|_| response.to_string());
        Self { status, retry_after, error }
    }

    /// Returns the storage error of a refused request.
    pub(crate) fn to_storage_error(&self, call: &Call<'_>) -> StorageError {
        let reason = self.summary();
        let unavailable = |reason: String| {
            StorageError::from(StorageErrorKind::Unavailable {
                reason: reason.into(),
                retry_after: self.retry_after,
            })
        };
        match self.status {
            401 => authentication(format!("Key Vault refuses the token ({reason})")),
            403 if self.has("SecretDisabled") => {
                Blocked::Disabled.add_to(denied(format!("the secret is disabled ({reason}); enable it")))
            }
            403 => denied(format!("Azure refuses {call} ({reason})")),
            404 if self.has("SecretNotFound") => StorageErrorKind::NotFound.into(),
            404 => StorageError::invalid_request(format!(
                "the server has no endpoint for {call} ({reason}); set `vault_url` to the address of a vault"
            )),
            409 => match self.blocked() {
                Some(blocked) => blocked.add_to(StorageError::conflict(format!("{blocked} ({reason})"))),
                None => StorageError::conflict(format!("Azure refuses {call} at present ({reason})")),
            },
            429 => StorageErrorKind::Throttled { retry_after: self.retry_after }.into(),
            301..=308 => StorageError::invalid_request(format!(
                "the response to {call} is a redirect, which is never followed; correct `vault_url`"
            )),
            408 => unavailable(format!("Azure timed out on {call} ({reason})")),
            status @ 400..=499 => {
                StorageError::invalid_request(format!("Azure refuses {call} with status {status} ({reason})"))
            }
            status => unavailable(format!("Azure responded to {call} with status {status} ({reason})")),
        }
    }

    /// Returns the storage error of a refusal by the token endpoint, whose body has another form.
    /// Without a token no write was sent.
    pub(crate) fn token_error(
        status: u16,
        retry_after: Option<Duration>,
        response: &ForeignResponse<'_>,
    ) -> StorageError {
        #[derive(Deserialize)]
        struct Entra {
            error: Option<String>,
            error_description: Option<String>,
            /// Sent by the local token endpoint of App Service.
            message: Option<String>,
        }
        let entra = serde_json::from_slice::<Entra>(response.body.unwrap_or_default()).ok();
        // The lines after the first are for Microsoft's support.
        let description =
            entra.as_ref().and_then(|entra| entra.error_description.as_ref().or(entra.message.as_ref()));
        let first_line = description.and_then(|text| text.lines().next()).map(quote);
        let reason = first_line.or_else(|| entra.and_then(|entra| entra.error).map(|error| quote(&error)));
        let reason = reason.unwrap_or_else(|| response.to_string());
        match status {
            429 => StorageErrorKind::Throttled { retry_after }.into(),
            408 | 410 | 500..=599 => StorageErrorKind::Unreachable {
                reason: format!("the token endpoint failed with status {status} ({reason})").into(),
            }
            .into(),
            status => authentication(format!(
                "the token endpoint refused the request with status {status} ({reason})"
            )),
        }
    }

    fn has(&self, code: &str) -> bool {
        self.codes().any(|found| found == code)
    }

    fn codes(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.error.as_ref().ok(), |error| error.innererror.as_deref())
            .map(|error| error.code.as_str())
    }

    fn blocked(&self) -> Option<Blocked> {
        self.codes().find_map(|code| match code {
            "ObjectIsDeletedButRecoverable" => Some(Blocked::Deleted),
            "ObjectIsBeingDeleted" => Some(Blocked::BeingDeleted),
            "ObjectIsBeingRecovered" => Some(Blocked::BeingRecovered),
            _ => None,
        })
    }

    /// Quotes Azure's message in one short line, with the innermost code first.
    fn summary(&self) -> String {
        let error = match &self.error {
            Ok(error) => error,
            Err(description) => return description.clone(),
        };
        let code = quote(self.codes().filter(|code| !code.is_empty()).last().unwrap_or("no code"));
        // A refusal by RBAC is long; these two of its lines name the principal and the action.
        let lines = || error.message.lines().map(str::trim);
        let facts = ["Caller:", "Action:"].map(|fact| lines().find(|line| line.starts_with(fact)));
        match facts {
            [Some(caller), Some(action)] => format!("{code}: {}; {}", quote(action), quote(caller)),
            _ => format!("{code}: {}", quote(&error.message)),
        }
    }
}

/// Quotes a text of the backend, shortened. Removes words that look like a token, in case a server
/// repeats one: the token of a client that the caller passed is not known here.
fn quote(text: &str) -> String {
    quote_message(text, &[], is_token)
}

/// Returns whether a word looks like a token. Entra's tokens begin with a JSON object in base64
/// (RFC 7519), followed by many characters.
fn is_token(word: &str) -> bool {
    const MIN_LEN: usize = 40;
    word.find("eyJ").and_then(|at| word.get(at..)).is_some_and(|token| token.len() >= MIN_LEN)
}

pub(crate) fn authentication(reason: impl Into<Cow<'static, str>>) -> StorageError {
    StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
}

fn denied(reason: String) -> StorageError {
    StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
}

/// The message of the SDK (azure_core 1.1) for a request that finds no token after one was fetched
/// for it. The refusal of another request, such as the challenge to each request of a cold burst,
/// has cleared the shared token. Nothing was sent.
const TOKEN_CLEARED: &str = "error while fetching the access token";

/// Returns the storage error of an SDK error that is not a refusal by the vault.
pub(crate) fn sdk_failure(error: &azure_core::Error) -> StorageError {
    use azure_core::error::ErrorKind;
    // An error of this crate's transport or credential, wrapped by the SDK.
    if let Some(own_error) = connection::cause::<StorageError>(error) {
        return own_error.clone();
    }
    if let Some(http_error) = connection::cause::<reqwest::Error>(error) {
        return no_response(http_error, None);
    }
    match error.kind() {
        ErrorKind::Connection => {
            StorageErrorKind::Unreachable { reason: "no connection could be established".into() }.into()
        }
        ErrorKind::Io => StorageError::unavailable("the connection was lost"),
        ErrorKind::Credential if error.to_string().contains(TOKEN_CLEARED) => StorageErrorKind::Unreachable {
            reason:
                "the SDK dropped the token before the request was sent, because another request was refused"
                    .into(),
        }
        .into(),
        ErrorKind::Credential => {
            authentication(format!("no token could be obtained ({})", quote(&error.to_string())))
        }
        _ => authentication(format!(
            "the authentication challenge of the vault could not be answered ({})",
            quote(&error.to_string())
        )),
    }
}

/// Returns the storage error of a request without a complete response.
pub(crate) fn no_response(error: &reqwest::Error, address: Option<&str>) -> StorageError {
    let server = connection::Server { address, trust: "set `ca_cert` to that authority" };
    connection::connection_error(error, !error.is_connect(), server)
}

#[cfg(test)]
mod tests {
    use azure_core::error::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_token_that_a_server_repeats_is_redacted() {
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}", "x".repeat(40));
        let quoted = quote(&format!("Bearer={token} is not for eyJ of vault"));
        assert_eq!(quoted, "[redacted] is not for eyJ of vault");
        // Also where a code is expected.
        let body = format!(r#"{{"error":{{"code":"{token}\n"}}}}"#);
        let response = ForeignResponse {
            service: "Key Vault",
            address: None,
            content_type: None,
            body: Some(body.as_bytes()),
        };
        assert_eq!(Refusal::parse(400, None, &response).summary(), "[redacted]: without a reason");
    }

    #[test]
    fn a_token_that_the_sdk_cleared_is_a_transient_error() {
        let message_of_the_sdk = "The request failed due to an error while fetching the access token.";
        let error = sdk_failure(&Error::with_message(ErrorKind::Credential, message_of_the_sdk));
        assert!(error.is_transient() && !error.may_have_written(), "{error:?}");
        let error = sdk_failure(&Error::with_message(ErrorKind::Credential, "no Azure CLI"));
        assert!(!error.is_transient(), "{error:?}");
    }
}
