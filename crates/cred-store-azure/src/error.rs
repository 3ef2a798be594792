//! What Azure or the way to it said, as what it means for a credential.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{Foreign, connection, said};
use serde::Deserialize;

/// Why a name cannot be used now, or a secret not be read: the source of a refusal that a provider does something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// A deleted secret holds the name.
    Deleted,
    /// A deletion or a purge is still going.
    BeingDeleted,
    /// A recovery is still going.
    BeingRecovered,
    /// Somebody has disabled the secret.
    Disabled,
}

impl Blocked {
    /// What a refusal is about, where it is one of these.
    pub(crate) fn of(error: &StorageError) -> Option<Self> {
        error.source()?.downcast_ref().copied()
    }

    /// The error with this as its source.
    pub(crate) fn beneath(self, error: StorageError) -> StorageError {
        error.with_source(Arc::new(self) as Arc<_>)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "a deleted secret holds the name",
            Self::BeingDeleted => "a deletion or purge under that name is still going",
            Self::BeingRecovered => "a recovery under that name is still going",
            Self::Disabled => "the secret is disabled",
        })
    }
}

impl Error for Blocked {}

/// What was asked of Azure, for whoever reads the refusal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// As Azure's access policies call the right to do this.
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

/// An answer of the vault that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// A description of an answer that is not Azure's.
    said: Result<Said, String>,
}

/// The error in Azure's body. The innermost code tells most.
#[derive(Debug, Default, Deserialize)]
struct Said {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    innererror: Option<Box<Said>>,
}

impl Refusal {
    /// Reads a refusal, which may not be Azure's.
    pub(crate) fn read(status: u16, retry_after: Option<Duration>, answer: &Foreign<'_>) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: Said,
        }
        // Not by the SDK, whose own reading fails at every escape in a message.
        let said = serde_json::from_slice::<Body>(answer.body.unwrap_or_default());
        let said = said.map(|body| body.error).map_err(|_| answer.to_string());
        Self { status, retry_after, said }
    }

    /// What the refusal of a call means.
    pub(crate) fn explain(&self, call: &Call<'_>) -> StorageError {
        let said = self.words();
        let unavailable = |reason: String| {
            StorageError::from(StorageErrorKind::Unavailable {
                reason: reason.into(),
                retry_after: self.retry_after,
            })
        };
        match self.status {
            401 => authentication(format!("Key Vault does not take the token ({said})")),
            403 if self.has("SecretDisabled") => {
                Blocked::Disabled.beneath(denied(format!("the secret is disabled ({said}); enable it")))
            }
            403 => denied(format!("Azure refuses {call} ({said})")),
            404 if self.has("SecretNotFound") => StorageErrorKind::NotFound.into(),
            404 => StorageError::invalid_request(format!(
                "there is no such place as {call} asked for ({said}); is `vault_url` a vault?"
            )),
            409 => match self.blocked() {
                Some(blocked) => blocked.beneath(StorageError::conflict(format!("{blocked} ({said})"))),
                None => StorageError::conflict(format!("Azure refuses {call} for now ({said})")),
            },
            429 => StorageErrorKind::Throttled { retry_after: self.retry_after }.into(),
            301..=308 => StorageError::invalid_request(format!(
                "the answer to {call} is a redirect, which is never followed; correct `vault_url`"
            )),
            408 => unavailable(format!("Azure gave up {call} ({said})")),
            status @ 400..=499 => {
                StorageError::invalid_request(format!("Azure refuses {call} with status {status} ({said})"))
            }
            status => unavailable(format!("Azure answers {call} with status {status} ({said})")),
        }
    }

    /// A refusal of the token endpoint, whose words are other ones. No write was sent before there was a token.
    pub(crate) fn explain_token(
        status: u16,
        retry_after: Option<Duration>,
        answer: &Foreign<'_>,
    ) -> StorageError {
        #[derive(Deserialize)]
        struct Entra {
            error: Option<String>,
            error_description: Option<String>,
            /// Where the machine itself is asked, on App Service.
            message: Option<String>,
        }
        let entra = serde_json::from_slice::<Entra>(answer.body.unwrap_or_default()).ok();
        // What follows the first line are numbers for Microsoft's support.
        let described =
            entra.as_ref().and_then(|entra| entra.error_description.as_ref().or(entra.message.as_ref()));
        let first = described.and_then(|text| text.lines().next()).map(short);
        let said = first.or_else(|| entra.and_then(|entra| entra.error).map(|error| short(&error)));
        let said = said.unwrap_or_else(|| answer.to_string());
        match status {
            429 => StorageErrorKind::Throttled { retry_after }.into(),
            408 | 410 | 500..=599 => StorageErrorKind::Unreachable {
                reason: format!("no token was to be had, with status {status} ({said})").into(),
            }
            .into(),
            status => authentication(format!("no token was given, with status {status} ({said})")),
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

    /// Azure's own words in one short line, with the innermost code first.
    fn words(&self) -> String {
        let said = match &self.said {
            Ok(said) => said,
            Err(described) => return described.clone(),
        };
        let code = short(self.codes().filter(|code| !code.is_empty()).last().unwrap_or("no code"));
        // A refusal by role is long; these lines of it say who was refused what.
        let lines = || said.message.lines().map(str::trim);
        let facts = ["Caller:", "Action:"].map(|fact| lines().find(|line| line.starts_with(fact)));
        match facts {
            [Some(caller), Some(action)] => format!("{code}: {}; {}", short(action), short(caller)),
            _ => format!("{code}: {}", short(&said.message)),
        }
    }
}

/// A backend's words. What looks like a token is left out, should a server repeat it: of a client of the caller's, the token is not
/// known.
fn short(text: &str) -> String {
    said(text, &[], is_token)
}

/// Each of Entra's begins with a JSON object in base64 (RFC 7519), and has many characters after it.
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

/// What the SDK (azure_core 1.1) says where a call has been given a token, and finds none: the refusal of another call, such as
/// the challenge that each of a cold burst gets, has emptied the place that all share. Nothing was sent.
const THROWN_AWAY: &str = "error while fetching the access token";

/// What an error of the SDK means that is no refusal of the vault.
pub(crate) fn failed(error: &azure_core::Error) -> StorageError {
    use azure_core::error::ErrorKind;
    // What our own transport and credential have told already.
    if let Some(ours) = connection::cause::<StorageError>(error) {
        return ours.clone();
    }
    if let Some(broken) = connection::cause::<reqwest::Error>(error) {
        return unanswered(broken, None);
    }
    match error.kind() {
        ErrorKind::Connection => {
            StorageErrorKind::Unreachable { reason: "no connection was made".into() }.into()
        }
        ErrorKind::Io => StorageError::unavailable("the connection broke"),
        ErrorKind::Credential if error.to_string().contains(THROWN_AWAY) => StorageErrorKind::Unreachable {
            reason: "the SDK threw the token away on the way, since another call was refused".into(),
        }
        .into(),
        ErrorKind::Credential => {
            authentication(format!("no token was given ({})", short(&error.to_string())))
        }
        _ => authentication(format!("the vault's challenge was not met ({})", short(&error.to_string()))),
    }
}

/// Why no whole answer came.
pub(crate) fn unanswered(error: &reqwest::Error, address: Option<&str>) -> StorageError {
    let way = connection::Way { address, trust: "give that authority as `ca_cert`" };
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
