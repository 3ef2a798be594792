//! What Kubernetes or the way to it said, as what it means for a credential.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, Wrote, connection, said};
use hyper_util::client::legacy;

/// A failed write, and what the provider does about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) meaning: Meaning,
    pub(crate) error: StorageError,
}

/// What a failed write means besides its error.
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
            "somebody has made the secret immutable, which forbids {place}; delete the credential and store it anew, \
             or set `replace_immutable`"
        ));
        Self { meaning: Meaning::Immutable, error }
    }
}

impl AttemptError for Failure {
    fn storage_error(&self) -> &StorageError {
        &self.error
    }

    /// Whatever has its own meaning was refused before anything was written.
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

/// Where a call went, as a Role spells it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// What a Role calls the right to do this.
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

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The `reason` of a `Status` of Kubernetes; `None`: the answer is not one.
    pub(crate) reason: Option<String>,
    /// Its `message`, or a description of an answer that is not one.
    pub(crate) message: String,
    /// What the absent thing is, as in `secrets`.
    pub(crate) kind: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    fn is(&self, status: u16, reason: &str) -> bool {
        self.status == status && self.reason.as_deref() == Some(reason)
    }

    /// Whether it is how Kubernetes says that there is no secret of that name.
    pub(crate) fn is_absence(&self) -> bool {
        self.is(404, "NotFound") && self.kind.as_deref() == Some("secrets")
    }

    /// Whether a secret of that name is there already.
    pub(crate) fn is_presence(&self) -> bool {
        self.is(409, "AlreadyExists")
    }

    /// Whether the secret is another one than the request expects.
    pub(crate) fn is_conflict(&self) -> bool {
        self.is(409, "Conflict")
    }

    /// Whether the rest of a list can no longer be had: etcd has compacted its moment.
    pub(crate) fn is_expiry(&self) -> bool {
        self.is(410, "Expired") || self.is(410, "Gone")
    }

    /// Whether the secret may not be changed, only deleted. Kubernetes has no code for it; the text is pinned by a test on
    /// the real server.
    pub(crate) fn is_immutable(&self) -> bool {
        self.is(422, "Invalid") && self.message.contains("field is immutable when `immutable` is set")
    }

    /// What the refusal of a call means. `hide` is what may not be repeated, whoever echoes it.
    pub(crate) fn explain(&self, place: &Place<'_>, hide: &[&str]) -> StorageError {
        let said = self.said(hide);
        let status = self.status;
        let kind = match status {
            401 => StorageErrorKind::AuthenticationFailed {
                reason: format!("Kubernetes does not know who asks for {place} ({said}); is the token or certificate expired?")
                    .into(),
            },
            403 => StorageErrorKind::PermissionDenied {
                reason: format!("Kubernetes refuses {place} ({said})").into(),
            },
            // Of the API server's priority and fairness, which has not begun with it.
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
                    "what answers {place} with status {status} is no API server of Kubernetes ({said}); correct the \
                     cluster's address"
                )
                .into(),
            },
            410 if self.is_expiry() => StorageErrorKind::Unavailable {
                reason: format!("the list expired before {place} was complete ({said}); try again").into(),
                retry_after: self.retry_after,
            },
            413 => StorageErrorKind::InvalidRequest {
                reason: format!("the API server takes no request of this size ({said}); store less").into(),
            },
            300..=399 => StorageErrorKind::InvalidRequest {
                reason: format!(
                    "what answers {place} redirects (status {status}), which an API server does not; correct the cluster's \
                     address"
                )
                .into(),
            },
            400..=499 => StorageErrorKind::InvalidRequest {
                reason: format!("Kubernetes refuses {place} with status {status} ({said})").into(),
            },
            _ => StorageErrorKind::Unavailable {
                reason: format!("Kubernetes answers {place} with status {status} ({said})").into(),
                retry_after: self.retry_after,
            },
        };
        kind.into()
    }

    /// Kubernetes' own words in one short line, or that there are none.
    fn said(&self, hide: &[&str]) -> String {
        match self.reason {
            Some(_) => said(&self.message, hide, |_| false),
            None => self.message.clone(),
        }
    }
}

/// A secret lies under the name that was not written by this library, or not by this store.
pub(crate) fn in_the_way(place: &Place<'_>) -> StorageError {
    StorageError::invalid_request(format!(
        "a secret that this store has not written is in the way of {place}; remove it, or give another `secret_prefix`"
    ))
}

/// Why no whole answer came.
pub(crate) fn broken(cause: &(dyn Error + 'static), address: Option<&str>) -> StorageError {
    if connection::cause::<kube::client::AuthError>(cause).is_some() {
        // Its text may hold what the program printed, the token among it.
        return StorageErrorKind::AuthenticationFailed {
            reason: "the program of the kubeconfig gave no usable token; run `kubectl` with it to see why"
                .into(),
        }
        .into();
    }
    let unsent = connection::cause::<legacy::Error>(cause).is_some_and(legacy::Error::is_connect);
    let trust = "give that authority as `certificate-authority` of the cluster in the kubeconfig";
    connection::no_answer(cause, !unsent, connection::Way { address, trust })
}
