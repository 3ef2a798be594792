//! Error mapping: answers of Azure and failures of the connection as storage errors.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{Foreign, connection, said};
use serde::Deserialize;

/// Why a name cannot be used now, or why a secret cannot be read: the source of a refusal that the
/// provider reacts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// A deleted secret holds the name.
    Deleted,
    /// A deletion or a purge is in progress.
    BeingDeleted,
    /// A recovery is in progress.
    BeingRecovered,
    /// The secret is disabled.
    Disabled,
}

impl Blocked {
    /// The reason of a refusal, if it is one of these.
    pub(crate) fn of(error: &StorageError) -> Option<Self> {
        error.source()?.downcast_ref().copied()
    }

    /// Adds this as the source of an error.
    pub(crate) fn beneath(self, error: StorageError) -> StorageError {
        error.with_source(Arc::new(self) as Arc<_>)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "a deleted secret holds the name",
            Self::BeingDeleted => "a deletion or purge of that name is in progress",
            Self::BeingRecovered => "a recovery of that name is in progress",
            Self::Disabled => "the secret is disabled",
        })
    }
}

impl Error for Blocked {}

/// The right and the secret of a call, for errors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The right that the call needs, as Azure's access policies name it.
    pub(crate) right: &'static str,
    /// Empty: all secrets.
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

/// An answer of the vault with an error status.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// A description of an answer that is not Azure's.
    said: Result<Said, String>,
}

/// The error in Azure's body. The innermost code is the most specific.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Box<Said>>,
}

impl Refusal {
    /// Parses a refusal, which may be from another service.
    pub(crate) fn read(status: u16, retry_after: Option<Duration>, answer: &Foreign<'_>) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: Said,
        }
        // Not by the SDK: its own parser fails at every escape in a message.
        let said = serde_json::from_slice::<Body>(answer.body.unwrap_or_default());
        let said = said.map(|body| body.error).map_err(|_| answer.to_string());
        Self { status, retry_after, said }
    }

    /// The storage error of a refused call.
    pub(crate) fn explain(&self, call: &Call<'_>) -> StorageError {
        let said = self.words();
        let unavailable = |reason: String| {
            StorageError::from(StorageErrorKind::Unavailable {
                reason: reason.into(),
                retry_after: self.retry_after,
            })
        };
        match self.status {
            401 => authentication(format!("Key Vault refuses the token ({said})")),
            403 if self.has("SecretDisabled") => {
                Blocked::Disabled.beneath(denied(format!("the secret is disabled ({said}); enable it")))
            }
            403 => denied(format!("Azure refuses {call} ({said})")),
            404 if self.has("SecretNotFound") => StorageErrorKind::NotFound.into(),
            404 => StorageError::invalid_request(format!(
                "the server does not know the address of {call} ({said}); set `vault_url` to a vault"
            )),
            409 => match self.blocked() {
                Some(blocked) => blocked.beneath(StorageError::conflict(format!("{blocked} ({said})"))),
                None => StorageError::conflict(format!("Azure refuses {call} at present ({said})")),
            },
            429 => StorageErrorKind::Throttled { retry_after: self.retry_after }.into(),
            301..=308 => StorageError::invalid_request(format!(
                "the answer to {call} is a redirect, which is never followed; correct `vault_url`"
            )),
            408 => unavailable(format!("Azure timed out on {call} ({said})")),
            status @ 400..=499 => {
                StorageError::invalid_request(format!("Azure refuses {call} with status {status} ({said})"))
            }
            status => unavailable(format!("Azure answered {call} with status {status} ({said})")),
        }
    }

    /// The storage error of a refusal by the token endpoint, whose body has another form. Without a
    /// token no write was sent.
    pub(crate) fn explain_token(
        status: u16,
        retry_after: Option<Duration>,
        answer: &Foreign<'_>,
    ) -> StorageError {
        #[derive(Deserialize)]
        struct Entra {
            error: Option<String>,
            error_description: Option<String>,
            /// From the local token endpoint of App Service.
            message: Option<String>,
        }
        let entra = serde_json::from_slice::<Entra>(answer.body.unwrap_or_default()).ok();
        // The lines after the first are for Microsoft's support.
        let described =
            entra.as_ref().and_then(|entra| entra.error_description.as_ref().or(entra.message.as_ref()));
        let first = described.and_then(|text| text.lines().next()).map(short);
        let said = first.or_else(|| entra.and_then(|entra| entra.error).map(|error| short(&error)));
        let said = said.unwrap_or_else(|| answer.to_string());
        match status {
            429 => StorageErrorKind::Throttled { retry_after }.into(),
            408 | 410 | 500..=599 => StorageErrorKind::Unreachable {
                reason: format!("the token endpoint failed with status {status} ({said})").into(),
            }
            .into(),
            status => authentication(format!("the token endpoint refused with status {status} ({said})")),
        }
    }

    fn has(&self, code: &str) -> bool {
        self.codes().any(|found| found == code)
    }

    fn codes(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.said.as_ref().ok(), |said| said.innererror.as_deref())
            .map(|said| said.code.as_str())
    }

    fn blocked(&self) -> Option<Blocked> {
        self.codes().find_map(|code| match code {
            "ObjectIsDeletedButRecoverable" => Some(Blocked::Deleted),
            "ObjectIsBeingDeleted" => Some(Blocked::BeingDeleted),
            "ObjectIsBeingRecovered" => Some(Blocked::BeingRecovered),
            _ => None,
        })
    }

    /// Azure's own text in one short line, with the innermost code first.
    fn words(&self) -> String {
        let said = match &self.said {
            Ok(said) => said,
            Err(described) => return described.clone(),
        };
        let code = short(self.codes().filter(|code| !code.is_empty()).last().unwrap_or("no code"));
        // A refusal by RBAC is long; these lines of it name the principal and the action.
        let lines = || said.message.lines().map(str::trim);
        let facts = ["Caller:", "Action:"].map(|fact| lines().find(|line| line.starts_with(fact)));
        match facts {
            [Some(caller), Some(action)] => format!("{code}: {}; {}", short(action), short(caller)),
            _ => format!("{code}: {}", short(&said.message)),
        }
    }
}

/// A text of the backend, shortened. Words that look like a token are removed, in case a server
/// repeats one: the token of a caller's own client is not known here.
fn short(text: &str) -> String {
    said(text, &[], is_token)
}

/// Entra's tokens begin with a JSON object in base64 (RFC 7519), followed by many characters.
fn is_token(word: &str) -> bool {
    const SHORTEST: usize = 40;
    word.find("eyJ").and_then(|at| word.get(at..)).is_some_and(|token| token.len() >= SHORTEST)
}

pub(crate) fn authentication(reason: impl Into<Cow<'static, str>>) -> StorageError {
    StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
}

fn denied(reason: String) -> StorageError {
    StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
}

/// The SDK's (azure_core 1.1) text for a call that finds no token after one was fetched for it: the
/// refusal of another call, such as the challenge to each call of a cold burst, has cleared the
/// shared token. Nothing was sent.
const THROWN_AWAY: &str = "error while fetching the access token";

/// The storage error of an SDK error that is not a refusal by the vault.
pub(crate) fn failed(error: &azure_core::Error) -> StorageError {
    use azure_core::error::ErrorKind;
    // An error of this crate's transport or credential, which the SDK has wrapped.
    if let Some(ours) = connection::cause::<StorageError>(error) {
        return ours.clone();
    }
    if let Some(broken) = connection::cause::<reqwest::Error>(error) {
        return unanswered(broken, None);
    }
    match error.kind() {
        ErrorKind::Connection => {
            StorageErrorKind::Unreachable { reason: "no connection could be made".into() }.into()
        }
        ErrorKind::Io => StorageError::unavailable("the connection broke"),
        ErrorKind::Credential if error.to_string().contains(THROWN_AWAY) => StorageErrorKind::Unreachable {
            reason: "the SDK dropped the token before the call was sent, because another call was refused"
                .into(),
        }
        .into(),
        ErrorKind::Credential => {
            authentication(format!("no token could be obtained ({})", short(&error.to_string())))
        }
        _ => authentication(format!(
            "the vault's challenge could not be answered ({})",
            short(&error.to_string())
        )),
    }
}

/// The storage error of a call without a complete answer.
pub(crate) fn unanswered(error: &reqwest::Error, address: Option<&str>) -> StorageError {
    let way = connection::Way { address, trust: "set `ca_cert` to that authority" };
    connection::no_answer(error, !error.is_connect(), way)
}

#[cfg(test)]
mod tests {
    use azure_core::error::{Error, ErrorKind};

    use super::*;

    #[test]
    fn a_token_that_a_server_repeats_is_left_out() {
        let token = format!("eyJhbGciOiJIUzI1NiJ9.{}", "x".repeat(40));
        let said = short(&format!("Bearer={token} is not for eyJ of vault"));
        assert_eq!(said, "[redacted] is not for eyJ of vault");
        // In the place of a code too.
        let body = format!(r#"{{"error":{{"code":"{token}\n"}}}}"#);
        let answer =
            Foreign { service: "Key Vault", address: None, content_type: None, body: Some(body.as_bytes()) };
        assert_eq!(Refusal::read(400, None, &answer).words(), "[redacted]: without a reason");
    }

    #[test]
    fn a_token_that_was_thrown_away_on_the_way_is_asked_for_again_and_no_refusal() {
        let as_the_sdk_says = "The request failed due to an error while fetching the access token.";
        let error = failed(&Error::with_message(ErrorKind::Credential, as_the_sdk_says));
        assert!(error.is_transient() && !error.may_have_written(), "{error:?}");
        let error = failed(&Error::with_message(ErrorKind::Credential, "no Azure CLI"));
        assert!(!error.is_transient(), "{error:?}");
    }
}
