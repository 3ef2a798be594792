//! What AWS or the way to it said, as what it means for a credential.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{connection, said};

/// Where a call went, as policies spell it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The operation, which is the name of the right to do it.
    pub(crate) action: &'static str,
    /// The secret's name.
    pub(crate) name: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`secretsmanager:{}` on `{}`", self.action, self.name)
    }
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    /// The header, as it came.
    pub(crate) retry_after: Option<&'a str>,
}

impl Refusal<'_> {
    /// What the refusal of a call means: by AWS's code, else by the status.
    ///
    /// [`NotFound`](StorageErrorKind::NotFound) says that there is no such secret, [`Conflict`](StorageErrorKind::Conflict)
    /// that there is one already.
    ///
    /// The codes are those of [each operation](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html)
    /// and the [common ones](https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html).
    pub(crate) fn explain(&self, place: &Place<'_>) -> StorageError {
        let error = self.meaning(place);
        match self.code {
            Some(code) => error.with_source(Arc::new(Code::new(code)) as Arc<_>),
            None => error,
        }
    }

    fn meaning(&self, place: &Place<'_>) -> StorageError {
        let said = || without_secrets(self.message.unwrap_or_default());
        let retry_after = self.retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        match self.code.unwrap_or_default() {
            "ResourceNotFoundException" => StorageErrorKind::NotFound.into(),
            "ResourceExistsException" => {
                StorageError::conflict(format!("AWS has a secret or a version of that name ({})", said()))
            }
            "DecryptionFailure" | "EncryptionFailure" => denied(format!(
                "AWS cannot use the KMS key for {place} ({}); see that the key is enabled, and that its policy and this \
                 identity's allow `kms:Decrypt` and `kms:GenerateDataKey`",
                said()
            )),
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => {
                denied(format!("AWS refuses {place} ({})", said()))
            }
            // Their words may repeat the request, with a session token in it.
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => unauthenticated(
                format!("AWS does not know the access key or session token, as it says of {place}"),
            ),
            "ExpiredTokenException" | "ExpiredToken" => {
                unauthenticated(format!("the session token has expired, as AWS says of {place}"))
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "RequestExpired"
            | "RequestTimeTooSkewed" => unauthenticated(format!(
                "AWS does not take the signature of {place}; check the secret access key and this machine's clock"
            )),
            "MissingAuthenticationToken" | "MissingAuthenticationTokenException" | "OptInRequired" => {
                unauthenticated(format!("AWS does not take these credentials for {place}"))
            }
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestThrottledException"
            | "RequestThrottled"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "SlowDown" => StorageErrorKind::Throttled { retry_after }.into(),
            "InternalServiceError"
            | "InternalFailure"
            | "InternalError"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => self.unavailable(place, retry_after),
            "LimitExceededException" => StorageError::invalid_request(format!(
                "a quota of AWS is used up for {place} ({}); of new versions it is one in ten minutes, sustained",
                said()
            )),
            code => match self.status {
                429 => StorageErrorKind::Throttled { retry_after }.into(),
                500.. => self.unavailable(place, retry_after),
                401 => unauthenticated(format!("AWS does not take these credentials for {place}")),
                403 => denied(format!("AWS refuses {place} with status 403 ({})", said())),
                status => {
                    let code = if code.is_empty() { format!("status {status}") } else { Code::new(code).0 };
                    StorageError::invalid_request(format!("AWS refuses {place} with {code} ({})", said()))
                }
            },
        }
    }

    fn unavailable(&self, place: &Place<'_>, retry_after: Option<Duration>) -> StorageError {
        let (status, said) = (self.status, without_secrets(self.message.unwrap_or_default()));
        let reason = format!("AWS answers {place} with status {status} ({said})").into();
        StorageErrorKind::Unavailable { reason, retry_after }.into()
    }
}

/// What AWS calls a refusal: the source of its error.
#[derive(Debug, thiserror::Error)]
#[error("AWS's code is {0}")]
struct Code(String);

impl Code {
    const INVALID_REQUEST: &str = "InvalidRequestException";

    fn new(code: &str) -> Self {
        Self(code.chars().filter(char::is_ascii_alphanumeric).take(80).collect())
    }
}

/// Whether AWS refused something because of the state that the secret is in: above all, scheduled for deletion.
pub(crate) fn is_about_state(error: &StorageError) -> bool {
    let code = error.source().and_then(|source| source.downcast_ref::<Code>());
    code.is_some_and(|code| code.0 == Code::INVALID_REQUEST)
}

fn denied(reason: String) -> StorageError {
    StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
}

fn unauthenticated(reason: String) -> StorageError {
    StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
}

/// A secret that this library did not write.
pub(crate) fn no_text() -> StorageError {
    StorageError::corrupted("the secret's value is no text, so it is not one of this library")
}

/// AWS's own words. What looks like a key or a token is left out, should a server repeat it.
fn without_secrets(message: &str) -> String {
    said(message, &[], is_secret)
}

/// Access keys begin with `AKIA` or `ASIA`; secret keys have 40 characters, more
/// if they are percent-encoded or escaped, session tokens hundreds. Names of secrets can
/// look so too; the error names the path.
fn is_secret(word: &str) -> bool {
    const SHORTEST: usize = 40;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+/=_-%\\".contains(c);
    let id = |text: &str| text.chars().take_while(char::is_ascii_alphanumeric).count() >= 16;
    let found = |mark: &str| word.match_indices(mark).any(|(at, _)| word.get(at..).is_some_and(id));
    let run = word.split(|c| !plain(c)).map(str::len).max().unwrap_or_default();
    found("AKIA") || found("ASIA") || (run >= SHORTEST && !word.contains("arn:"))
}

/// Why no whole answer came.
pub(crate) struct Broken<'a> {
    /// The error if an answer came that could not be read; `None`: no head of an answer came.
    pub(crate) foreign: Option<StorageError>,
    /// Host and port of the endpoint.
    pub(crate) address: Option<&'a str>,
    pub(crate) cause: &'a (dyn Error + 'static),
}

impl Broken<'_> {
    pub(crate) fn explain(self, place: &Place<'_>) -> StorageError {
        if let Some(error) = connection::cause::<CredentialsError>(self.cause) {
            return no_credentials(error);
        }
        if let Some(error) = connection::untrusted(self.cause, self.way()) {
            return error;
        }
        let on_the_way = connection::cause::<hyper_util::client::legacy::Error>(self.cause);
        let io = connection::io_kind(self.cause);
        let seen = io.map_or_else(|| "the connection broke".to_owned(), |kind| kind.to_string());
        if on_the_way.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return connection::no_answer(self.cause, false, self.way());
        }
        match (connection::cause::<hyper::Error>(self.cause), self.foreign) {
            (None, Some(foreign)) if io.is_none() => foreign,
            (None, None) if on_the_way.is_none() && io.is_none() => StorageError::invalid_request(format!(
                "no request could be made for {place} ({})",
                words(self.cause)
            )),
            _ => StorageError::unavailable(format!("the connection ended before the answer did ({seen})")),
        }
    }
}

impl Broken<'_> {
    fn way(&self) -> connection::Way<'_> {
        connection::Way { address: self.address, trust: "only those that this machine trusts count" }
    }
}

/// AWS's chain has no credentials, or the source of them fails.
pub(crate) fn no_credentials(error: &CredentialsError) -> StorageError {
    match error {
        CredentialsError::ProviderTimedOut(_) => StorageErrorKind::Unreachable {
            reason: "the source of AWS credentials did not answer in time".into(),
        }
        .into(),
        CredentialsError::CredentialsNotLoaded(_) => unauthenticated(
            "no AWS credentials were found in the environment, the profile, the container or the instance"
                .to_owned(),
        ),
        _ => unauthenticated(format!("the source of AWS credentials failed ({})", words(error))),
    }
}

/// What a chain of errors says, each once, in one short line.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut all: Vec<String> = connection::causes(error).map(ToString::to_string).collect();
    all.dedup();
    without_secrets(&all.join(": "))
}
