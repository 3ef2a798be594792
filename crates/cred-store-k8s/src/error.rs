//! Error mapping: answers of Kubernetes and failures of the connection as storage errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, Wrote, connection, said};
use hyper_util::client::legacy;

/// A failed write, with what the provider needs to react to it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) meaning: Meaning,
    pub(crate) error: StorageError,
}

/// What a failed write means in addition to its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing more.
    Plain,
    /// Another writer has created, changed or deleted the secret since it was read.
    Changed,
    /// The secret to delete does not exist any more.
    Gone,
    /// The secret can be deleted, but not changed.
    Immutable,
}

impl Failure {
    pub(crate) fn changed(reason: &'static str) -> Self {
        Self { meaning: Meaning::Changed, error: StorageError::conflict(reason) }
    }

    pub(crate) fn gone() -> Self {
        Self { meaning: Meaning::Gone, error: StorageErrorKind::NotFound.into() }
    }

    pub(crate) fn immutable(place: &Place<'_>) -> Self {
        let error = StorageError::invalid_request(format!(
            "the secret is marked as immutable, which forbids {place}; delete the credential and store it again, or \
             set `replace_immutable`"
        ));
        Self { meaning: Meaning::Immutable, error }
    }
}

impl AttemptError for Failure {
    fn storage_error(&self) -> &StorageError {
        &self.error
    }

    /// Every meaning but `Plain` is a refusal before anything was written.
    fn wrote(&self) -> Wrote {
        match self.meaning {
            Meaning::Plain => self.error.wrote(),
            Meaning::Changed | Meaning::Gone | Meaning::Immutable => Wrote::No,
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self { meaning: Meaning::Plain, error }
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The verb and the resource of a call, as a Role names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The verb that the call needs.
    pub(crate) verb: &'static str,
    pub(crate) namespace: &'a str,
    /// `None`: all secrets of the namespace.
    pub(crate) name: Option<&'a str>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` on `secrets`", self.verb)?;
        if let Some(name) = self.name {
            write!(f, " `{name}`")?;
        }
        write!(f, " in the namespace `{}`", self.namespace)
    }
}

/// An answer with an error status.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The `reason` of a `Status` of Kubernetes; `None`: the answer is not one.
    pub(crate) reason: Option<String>,
    /// Its `message`, or a description of an answer that is not one.
    pub(crate) message: String,
    /// The kind of the absent object, such as `secrets`.
    pub(crate) kind: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    fn is(&self, status: u16, reason: &str) -> bool {
        self.status == status && self.reason.as_deref() == Some(reason)
    }

    /// Whether it is Kubernetes' answer for an absent secret.
    pub(crate) fn is_absence(&self) -> bool {
        self.is(404, "NotFound") && self.kind.as_deref() == Some("secrets")
    }

    /// Whether a secret of that name exists already.
    pub(crate) fn is_presence(&self) -> bool {
        self.is(409, "AlreadyExists")
    }

    /// Whether the secret is not the one that the request expects.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is(409, "Conflict")
    }

    /// Whether the rest of a list is no longer available, because etcd has compacted its revision.
    pub(crate) fn is_expiry(&self) -> bool {
        self.is(410, "Expired") || self.is(410, "Gone")
    }

    /// Whether the secret is immutable: it can be deleted, but not changed. Kubernetes has no code
    /// for it; a test on the real server pins the text.
    pub(crate) fn is_immutable(&self) -> bool {
        self.is(422, "Invalid") && self.message.contains("field is immutable when `immutable` is set")
    }

    /// The storage error of a refused call. `hide` are secrets that the text must not repeat.
    pub(crate) fn explain(&self, place: &Place<'_>, hide: &[&str]) -> StorageError {
        let said = self.said(hide);
        let status = self.status;
        let kind = match status {
            401 => StorageErrorKind::AuthenticationFailed {
                reason: format!("Kubernetes refuses the token or certificate for {place} ({said}); renew it if it has expired")
                    .into(),
            },
            403 => StorageErrorKind::PermissionDenied {
                reason: format!("Kubernetes refuses {place} ({said})").into(),
            },
            // From the API server's priority and fairness, before the request is executed.
            429 => StorageErrorKind::Throttled { retry_after: self.retry_after },
            404 if self.kind.as_deref() == Some("namespaces") => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "the namespace `{}` does not exist ({said}); create it, or correct `namespace`",
                    place.namespace
                )
                .into(),
            },
            404 | 405 | 410 if self.reason.is_none() => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "the server that answered {place} with status {status} is not an API server of Kubernetes ({said}); \
                     correct the cluster's address"
                )
                .into(),
            },
            410 if self.is_expiry() => StorageErrorKind::Unavailable {
                reason: format!("the list expired before {place} was complete ({said}); try again").into(),
                retry_after: self.retry_after,
            },
            413 => StorageErrorKind::InvalidRequest {
                reason: format!("the API server does not accept a request of this size ({said}); store a smaller credential").into(),
            },
            300..=399 => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "the server that answered {place} redirects (status {status}), which an API server does not do; \
                     correct the cluster's address"
                )
                .into(),
            },
            400..=499 => StorageErrorKind::InvalidRequest {
                reason: format!("Kubernetes refuses {place} with status {status} ({said})").into(),
            },
            _ => StorageErrorKind::Unavailable {
                reason: format!("Kubernetes answered {place} with status {status} ({said})").into(),
                retry_after: self.retry_after,
            },
        };
        kind.into()
    }

    /// Kubernetes' own text in one short line, or that there is none.
    fn said(&self, hide: &[&str]) -> String {
        match self.reason {
            Some(_) => said(&self.message, hide, |_| false),
            None => self.message.clone(),
        }
    }
}

/// The error if the name belongs to a secret that another store or another program has written.
pub(crate) fn in_the_way(place: &Place<'_>) -> StorageError {
    StorageError::invalid_request(format!(
        "a secret that this store has not written has the name, which prevents {place}; remove it, or set another \
         `secret_prefix`"
    ))
}

/// The storage error of a call without a complete answer.
pub(crate) fn broken(cause: &(dyn Error + 'static), address: Option<&str>) -> StorageError {
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
    connection::no_answer(cause, !unsent, connection::Way { address, trust })
}
