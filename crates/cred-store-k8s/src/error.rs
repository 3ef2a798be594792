//! Error mapping: from responses of Kubernetes and connection failures to storage errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, WriteEffect, connection, quote_message};
use hyper_util::client::legacy;

/// A failed write, with the information that the provider needs to react to it.
#[derive(Debug)]
pub(crate) struct WriteFailure {
    pub(crate) cause: FailureCause,
    pub(crate) error: StorageError,
}

/// The cause of a failed write, if the provider reacts to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureCause {
    /// Any other cause.
    Other,
    /// Another writer has created, changed or deleted the Secret since it was read.
    Changed,
    /// The Secret to delete no longer exists.
    Gone,
    /// The Secret can be deleted, but not changed.
    Immutable,
}

impl WriteFailure {
    pub(crate) fn changed(reason: &'static str) -> Self {
        Self { cause: FailureCause::Changed, error: StorageError::conflict(reason) }
    }

    pub(crate) fn gone() -> Self {
        Self { cause: FailureCause::Gone, error: StorageErrorKind::NotFound.into() }
    }

    pub(crate) fn immutable(action: &Action<'_>) -> Self {
        let error = StorageError::invalid_request(format!(
            "the Secret is marked as immutable, which forbids {action}; delete the credential and store it again, or \
             set `replace_immutable`"
        ));
        Self { cause: FailureCause::Immutable, error }
    }
}

impl AttemptError for WriteFailure {
    fn storage_error(&self) -> &StorageError {
        &self.error
    }

    /// Every cause but `Other` is a refusal before anything was written.
    fn write_effect(&self) -> WriteEffect {
        match self.cause {
            FailureCause::Other => self.error.write_effect(),
            FailureCause::Changed | FailureCause::Gone | FailureCause::Immutable => WriteEffect::NotWritten,
        }
    }
}

impl From<StorageError> for WriteFailure {
    fn from(error: StorageError) -> Self {
        Self { cause: FailureCause::Other, error }
    }
}

impl From<WriteFailure> for StorageError {
    fn from(failure: WriteFailure) -> Self {
        failure.error
    }
}

/// The verb and the resource of a request, as a Role names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    /// The verb that the request needs.
    pub(crate) verb: &'static str,
    pub(crate) namespace: &'a str,
    /// `None`: all Secrets of the namespace.
    pub(crate) name: Option<&'a str>,
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on `secrets`", self.verb)?;
        if let Some(name) = self.name {
            write!(f, " `{name}`")?;
        }
        write!(f, " in the namespace `{}`", self.namespace)
    }
}

/// A response with an error status.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: u16,
    /// The `reason` in the `Status` object of Kubernetes; `None`: the response is not a `Status`.
    pub(crate) reason: Option<String>,
    /// The `message` of the `Status`, or a description of a response that is not one.
    pub(crate) message: String,
    /// The kind of the absent object, such as `secrets`.
    pub(crate) kind: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl ErrorResponse {
    fn is(&self, status: u16, reason: &str) -> bool {
        self.status == status && self.reason.as_deref() == Some(reason)
    }

    /// Whether it reports that the Secret does not exist.
    pub(crate) fn is_absent_secret(&self) -> bool {
        self.is(404, "NotFound") && self.kind.as_deref() == Some("secrets")
    }

    /// Whether a Secret with that name already exists.
    pub(crate) fn is_existing_secret(&self) -> bool {
        self.is(409, "AlreadyExists")
    }

    /// Whether the Secret is not in the version that the request expects.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is(409, "Conflict")
    }

    /// Whether the rest of a list is no longer available, because etcd has compacted its revision.
    pub(crate) fn is_expired_list(&self) -> bool {
        self.is(410, "Expired") || self.is(410, "Gone")
    }

    /// Whether the Secret is immutable: it can be deleted, but not changed. Kubernetes has no code
    /// for this; a test on a real server pins the text.
    pub(crate) fn is_immutable(&self) -> bool {
        self.is(422, "Invalid") && self.message.contains("field is immutable when `immutable` is set")
    }

    /// Returns the storage error of the response. `hide` are secrets that the text must not repeat.
    pub(crate) fn explain(&self, action: &Action<'_>, hide: &[&str]) -> StorageError {
        let message = self.server_message(hide);
        let status = self.status;
        let kind = match status {
            401 => StorageErrorKind::AuthenticationFailed {
                reason: format!("Kubernetes refuses the token or certificate for {action} ({message}); renew it if it has expired")
                    .into(),
            },
            403 => StorageErrorKind::PermissionDenied {
                reason: format!("Kubernetes refuses {action} ({message})").into(),
            },
            // From the API server's priority and fairness, before the request is executed.
            429 => StorageErrorKind::Throttled { retry_after: self.retry_after },
            404 if self.kind.as_deref() == Some("namespaces") => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "the namespace `{}` does not exist ({message}); create it, or correct `namespace`",
                    action.namespace
                )
                .into(),
            },
            404 | 405 | 410 if self.reason.is_none() => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "the server that answered {action} with status {status} is not a Kubernetes API server ({message}); correct the \
                     cluster's address"
                )
                .into(),
            },
            410 if self.is_expired_list() => StorageErrorKind::Unavailable {
                reason: format!("the list expired before {action} was complete ({message}); try again").into(),
                retry_after: self.retry_after,
            },
            413 => StorageErrorKind::InvalidRequest {
                reason: format!("the API server does not accept a request of this size ({message}); store a smaller credential").into(),
            },
            300..=399 => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "the server that answered {action} sent a redirect (status {status}), which an API server never does; \
                     correct the cluster's address"
                )
                .into(),
            },
            400..=499 => StorageErrorKind::InvalidRequest {
                reason: format!("Kubernetes refuses {action} with status {status} ({message})").into(),
            },
            _ => StorageErrorKind::Unavailable {
                reason: format!("Kubernetes answered {action} with status {status} ({message})").into(),
                retry_after: self.retry_after,
            },
        };
        kind.into()
    }

    /// Returns the message of Kubernetes in one short line, or a description of the response.
    fn server_message(&self, hide: &[&str]) -> String {
        match self.reason {
            Some(_) => quote_message(&self.message, hide, |_| false),
            None => self.message.clone(),
        }
    }
}

/// The error if another store or another program has written the Secret with this name.
pub(crate) fn name_taken(action: &Action<'_>) -> StorageError {
    StorageError::invalid_request(format!(
        "a Secret with this name exists and does not belong to this store, which prevents {action}; remove it, or set \
         another `secret_prefix`"
    ))
}

/// The storage error of a request without a complete response.
pub(crate) fn connection_error(cause: &(dyn Error + 'static), address: Option<&str>) -> StorageError {
    if connection::cause::<kube::client::AuthError>(cause).is_some() {
        // Its text may contain the output of the program, and so the token.
        return StorageErrorKind::AuthenticationFailed {
            reason: "the program in the kubeconfig returned no usable token; run `kubectl` with this kubeconfig to see why"
                .into(),
        }
        .into();
    }
    let unsent = connection::cause::<legacy::Error>(cause).is_some_and(legacy::Error::is_connect);
    let trust = "set `certificate-authority` of the cluster in the kubeconfig to that authority";
    connection::connection_error(cause, !unsent, connection::Server { address, trust })
}
