//! Error mapping: from responses of AWS and connection failures to storage errors.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{connection, quote_message};

/// The operation and the secret of a call, as policies name them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    /// The operation. The permission has the same name.
    pub(crate) operation: &'static str,
    /// The name of the secret, or `*` for all.
    pub(crate) secret_name: &'a str,
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`secretsmanager:{}` on `{}`", self.operation, self.secret_name)
    }
}

/// A response with an error status.
#[derive(Debug)]
pub(crate) struct ErrorResponse<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    /// The header, unparsed.
    pub(crate) retry_after: Option<&'a str>,
}

impl ErrorResponse<'_> {
    /// Returns the storage error for AWS's code, or for the status if no code is known.
    ///
    /// [`NotFound`](StorageErrorKind::NotFound) means that the secret does not exist,
    /// [`Conflict`](StorageErrorKind::Conflict) that it exists already.
    ///
    /// The codes are those of [each
    /// operation](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Operations.html)
    /// and the [common
    /// ones](https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html).
    pub(crate) fn storage_error(&self, action: &Action<'_>) -> StorageError {
        let error = self.classify(action);
        match self.code {
            Some(code) => error.with_source(Arc::new(Code::new(code)) as Arc<_>),
            None => error,
        }
    }

    fn classify(&self, action: &Action<'_>) -> StorageError {
        let reason = || without_secrets(self.message.unwrap_or_default());
        let retry_after = self.retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        match self.code.unwrap_or_default() {
            "ResourceNotFoundException" => StorageErrorKind::NotFound.into(),
            "ResourceExistsException" => StorageError::conflict(format!(
                "AWS already has a secret or a version of that name ({})",
                reason()
            )),
            "DecryptionFailure" | "EncryptionFailure" => denied(format!(
                "AWS cannot use the KMS key for {action} ({}); enable the key, and allow `kms:Decrypt`, \
                 `kms:GenerateDataKey` and `kms:Encrypt` in its policy and in that of this identity",
                reason()
            )),
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => {
                denied(format!("AWS refuses {action} ({})", reason()))
            }
            // Authentication errors do not quote AWS's message, which may repeat the request with
            // the session token.
            "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" => unauthenticated(
                format!("AWS refuses {action}: it does not know this access key or session token"),
            ),
            "ExpiredTokenException" | "ExpiredToken" => {
                unauthenticated(format!("AWS refuses {action}: the session token has expired; renew it"))
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "RequestExpired"
            | "RequestTimeTooSkewed" => unauthenticated(format!(
                "AWS refuses the signature of {action}; check the secret access key and this machine's clock"
            )),
            "MissingAuthenticationToken" | "MissingAuthenticationTokenException" | "OptInRequired" => {
                unauthenticated(format!("AWS refuses these credentials for {action}"))
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
            | "ServiceUnavailableException" => self.unavailable(action, retry_after),
            "LimitExceededException" => StorageError::invalid_request(format!(
                "an AWS quota is exhausted for {action} ({}); new versions of a secret are limited to a sustained rate of \
                 one in ten minutes",
                reason()
            )),
            code => match self.status {
                429 => StorageErrorKind::Throttled { retry_after }.into(),
                500.. => self.unavailable(action, retry_after),
                401 => unauthenticated(format!("AWS refuses these credentials for {action}")),
                403 => denied(format!("AWS refuses {action} with status 403 ({})", reason())),
                status => {
                    let code = if code.is_empty() { format!("status {status}") } else { Code::new(code).0 };
                    StorageError::invalid_request(format!("AWS refuses {action} with {code} ({})", reason()))
                }
            },
        }
    }

    fn unavailable(&self, action: &Action<'_>, retry_after: Option<Duration>) -> StorageError {
        let (status, message) = (self.status, without_secrets(self.message.unwrap_or_default()));
        let reason = format!("AWS responded to {action} with status {status} ({message})").into();
        StorageErrorKind::Unavailable { reason, retry_after }.into()
    }
}

/// The error code of AWS, which is the source of the storage error.
#[derive(Debug, thiserror::Error)]
#[error("AWS returned the error code {0}")]
struct Code(String);

impl Code {
    const INVALID_REQUEST: &str = "InvalidRequestException";

    fn new(code: &str) -> Self {
        Self(code.chars().filter(char::is_ascii_alphanumeric).take(80).collect())
    }
}

/// Whether AWS refused a call because of the state of the secret, usually because it is scheduled
/// for deletion.
pub(crate) fn is_state_refusal(error: &StorageError) -> bool {
    let code = error.source().and_then(|source| source.downcast_ref::<Code>());
    code.is_some_and(|code| code.0 == Code::INVALID_REQUEST)
}

fn denied(reason: String) -> StorageError {
    StorageErrorKind::PermissionDenied { reason: reason.into() }.into()
}

fn unauthenticated(reason: String) -> StorageError {
    StorageErrorKind::AuthenticationFailed { reason: reason.into() }.into()
}

/// The error for a secret that this library did not write.
pub(crate) fn binary_value_error() -> StorageError {
    StorageError::corrupted("the secret's value is binary and not text, so this library did not write it")
}

/// Returns AWS's message, shortened. Words that look like a key or a token are removed, in case a
/// server repeats one.
fn without_secrets(message: &str) -> String {
    quote_message(message, &[], is_secret)
}

/// Whether a word looks like a key or a token. Access keys begin with `AKIA` or `ASIA`. Secret keys
/// have 40 characters, more if they are percent-encoded or escaped; session tokens have hundreds.
/// Names of secrets can look like them, but the error names the path anyway.
fn is_secret(word: &str) -> bool {
    const SHORTEST: usize = 40;
    let plain = |c: char| c.is_ascii_alphanumeric() || "+/=_-%\\".contains(c);
    let id = |text: &str| text.chars().take_while(char::is_ascii_alphanumeric).count() >= 16;
    let found = |mark: &str| word.match_indices(mark).any(|(at, _)| word.get(at..).is_some_and(id));
    let run = word.split(|c| !plain(c)).map(str::len).max().unwrap_or_default();
    found("AKIA") || found("ASIA") || (run >= SHORTEST && !word.contains("arn:"))
}

/// A call without a complete response.
pub(crate) struct IncompleteResponse<'a> {
    /// The error for a response that could not be parsed; `None`: not even the head of a response
    /// arrived.
    pub(crate) parse_error: Option<StorageError>,
    /// Host and port of the endpoint.
    pub(crate) address: Option<&'a str>,
    pub(crate) cause: &'a (dyn Error + 'static),
}

impl IncompleteResponse<'_> {
    pub(crate) fn storage_error(self, action: &Action<'_>) -> StorageError {
        if let Some(error) = connection::cause::<CredentialsError>(self.cause) {
            return no_credentials(error);
        }
        if let Some(error) = connection::certificate_error(self.cause, self.server()) {
            return error;
        }
        let transport = connection::cause::<hyper_util::client::legacy::Error>(self.cause);
        let io = connection::io_kind(self.cause);
        let seen = io.map_or_else(|| "the connection broke".to_owned(), |kind| kind.to_string());
        if transport.is_some_and(hyper_util::client::legacy::Error::is_connect) {
            return connection::connection_error(self.cause, false, self.server());
        }
        match (connection::cause::<hyper::Error>(self.cause), self.parse_error) {
            (None, Some(parse_error)) if io.is_none() => parse_error,
            (None, None) if transport.is_none() && io.is_none() => StorageError::invalid_request(format!(
                "the request for {action} could not be created ({})",
                error_chain_text(self.cause)
            )),
            _ => StorageError::unavailable(format!(
                "the connection ended before the response was complete ({seen})"
            )),
        }
    }

    fn server(&self) -> connection::Server<'_> {
        connection::Server {
            address: self.address,
            trust: "add that authority to those that this machine trusts",
        }
    }
}

/// Returns the error for a chain without credentials, or with a source that fails.
pub(crate) fn no_credentials(error: &CredentialsError) -> StorageError {
    match error {
        CredentialsError::ProviderTimedOut(_) => StorageErrorKind::Unreachable {
            reason: "the source of AWS credentials did not respond in time".into(),
        }
        .into(),
        CredentialsError::CredentialsNotLoaded(_) => unauthenticated(
            "no AWS credentials were found in the environment, the profile, the container or the instance"
                .to_owned(),
        ),
        _ => unauthenticated(format!("the source of AWS credentials failed ({})", error_chain_text(error))),
    }
}

/// Returns the messages of an error and its causes in one short line, without repetitions.
fn error_chain_text(error: &(dyn Error + 'static)) -> String {
    let mut all: Vec<String> = connection::causes(error).map(ToString::to_string).collect();
    all.dedup();
    without_secrets(&all.join(": "))
}
