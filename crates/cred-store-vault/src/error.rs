//! Error mapping: answers of Vault and failures of the connection as storage errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, Wrote, connection, said};

/// A failed call, with what the provider needs to react to it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) meaning: Meaning,
    pub(crate) error: StorageError,
}

/// What a failed call means in addition to its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing more.
    Plain,
    /// Vault refused before it did anything; the same call may succeed later.
    NothingDone,
    /// The token is expired, revoked or invalid.
    TokenInvalid,
    /// Vault refuses the login, and counts it.
    LoginRefused,
    /// The mount or the secret accepts only conditional writes.
    CasRequired,
    /// Another version is the current one.
    CasMismatch,
}

impl Failure {
    pub(crate) fn new(meaning: Meaning, error: impl Into<StorageError>) -> Self {
        Self { meaning, error: error.into() }
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
            _ => Wrote::No,
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::new(Meaning::Plain, error)
    }
}

impl From<Failure> for StorageError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

/// The path and the capability of a call, as a Vault policy names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The capability that the call needs.
    pub(crate) right: &'static str,
    pub(crate) mount: &'a str,
    /// `data`, `metadata`, ... below the mount.
    pub(crate) section: &'static str,
    pub(crate) name: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.mount, self.section, self.name];
        let mut parts = parts.iter().filter(|part| !part.is_empty());
        if let Some(first) = parts.next() {
            f.write_str(first)?;
        }
        parts.try_for_each(|part| write!(f, "/{part}"))
    }
}

/// An answer with an error status.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Vault's `errors`, or a description of an answer that is not Vault's.
    pub(crate) reasons: Result<Vec<String>, String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether it is KV's answer for an absent secret: 404 without a reason.
    pub(crate) fn is_absence(&self) -> bool {
        self.status == 404 && self.reasons.as_ref().is_ok_and(Vec::is_empty)
    }

    /// The failure of a refused call. `hide` is a secret that the text must not repeat.
    pub(crate) fn explain(&self, place: &Place<'_>, hide: &str) -> Failure {
        let said = self.said(hide);
        let right = place.right;
        let has = |text: &str| self.reasons.iter().flatten().any(|reason| reason.contains(text));
        let unavailable = |reason: String| StorageErrorKind::Unavailable {
            reason: reason.into(),
            retry_after: self.retry_after,
        };
        match self.status {
            // Vault has no error codes, only texts. The tests on a real server pin them.
            400 if has("check-and-set parameter required") => Failure::new(
                Meaning::CasRequired,
                StorageError::invalid_request(format!("`{place}` accepts only conditional writes ({said})")),
            ),
            400 if has("check-and-set parameter did not match") => {
                Failure::new(Meaning::CasMismatch, StorageError::conflict("another version is stored"))
            }
            403 if self.refuses_the_token() => Failure::new(
                Meaning::TokenInvalid,
                StorageErrorKind::AuthenticationFailed {
                    reason: format!(
                        "Vault refuses the token for `{place}`: it is expired, revoked or invalid ({said})"
                    )
                    .into(),
                },
            ),
            403 => Failure::from(StorageError::from(StorageErrorKind::PermissionDenied {
                reason: format!("Vault refuses `{right}` on `{place}` ({said})").into(),
            })),
            404 if has("no handler for route") || has("unsupported path") => {
                Failure::from(StorageError::invalid_request(format!(
                    "Vault has no KV version 2 engine at `{place}` ({said}); mount one, or correct `mount_path`"
                )))
            }
            405 => Failure::from(StorageError::invalid_request(format!(
                "Vault's engine at `{place}` does not support `{right}` ({said}); if that is not KV version 2, set `mount_path` to a mount that is"
            ))),
            307 | 308 => Failure::new(
                Meaning::NothingDone,
                unavailable(
                    "this node is a standby that redirects; set `address` to the active node or to a load \
                     balancer in front of all nodes"
                        .to_owned(),
                ),
            ),
            412 => Failure::new(
                Meaning::NothingDone,
                unavailable(format!(
                    "this node has not yet received the latest writes of the active one ({said})"
                )),
            ),
            429 => Failure::from(StorageError::from(StorageErrorKind::Throttled {
                retry_after: self.retry_after,
            })),
            _ if has("Vault is sealed") || has("Vault is not initialized") => Failure::new(
                Meaning::NothingDone,
                unavailable(format!("this node is sealed ({said}); unseal it")),
            ),
            _ if has("node not active") || has("in standby mode") => Failure::new(
                Meaning::NothingDone,
                unavailable(format!("this node is a standby, and the cluster has no active node ({said})")),
            ),
            // Right after `vault kv enable-versioning`, on the active node and on the others.
            _ if has("Upgrading from non-versioned to versioned data")
                || has("upgrade from non-versioned to versioned data") =>
            {
                Failure::new(
                    Meaning::NothingDone,
                    unavailable(format!("Vault is upgrading `{place}` to KV version 2 ({said}); try again")),
                )
            }
            // From the listener, its JSON reader and the storage; the last two have a 5xx status.
            status if status == 413 || has("being too large") || has("exceeds allowed length") => {
                Failure::from(StorageError::invalid_request(format!(
                    "Vault does not accept a value of this size (status {status}: {said}); lower `max_payload_len`, or \
                     raise Vault's limits"
                )))
            }
            status @ 400..=499 => Failure::from(StorageError::invalid_request(format!(
                "Vault refuses `{right}` on `{place}` with status {status} ({said})"
            ))),
            status => Failure::from(StorageError::from(unavailable(format!(
                "Vault answered `{right}` on `{place}` with status {status} ({said})"
            )))),
        }
    }

    /// Whether the token itself is refused, and not an operation of its owner.
    ///
    /// Vault reports it as a text. OpenBao answers the bare text for an unknown token, and a
    /// policy's refusal as a list: `1 error occurred:\n\t* permission denied`. Pinned by the tests
    /// on both servers.
    fn refuses_the_token(&self) -> bool {
        self.reasons.iter().flatten().any(|reason| {
            reason == "permission denied" || reason.contains("invalid token") || reason.contains("bad token")
        })
    }

    /// Vault's own text in one short line, or that there is none.
    pub(crate) fn said(&self, hide: &str) -> String {
        match &self.reasons {
            Ok(reasons) => said(&reasons.join("; "), &[hide], |_| false),
            Err(described) => described.clone(),
        }
    }
}

/// The error of an answer with a wrapping token in place of the contents. Vault sends one for a
/// request that a control group holds back, which was then not carried out. This library never asks
/// for a wrapped answer, and a proxy must not: Vault would carry a write out and wrap its answer.
pub(crate) fn wrapped(place: &Place<'_>) -> StorageError {
    let right = place.right;
    StorageErrorKind::PermissionDenied {
        reason: format!(
            "Vault answers `{right}` on `{place}` with a wrapping token in place of the contents, as for \
             a control group; exempt this token's policy from control groups and response wrapping there"
        )
        .into(),
    }
    .into()
}

/// The error of a KV version 1 mount, which accepts some of the same calls.
pub(crate) fn kv1(mount: &str) -> StorageError {
    StorageError::invalid_request(format!(
        "`{mount}` is a KV version 1 engine, which has no versions and no atomic writes; upgrade it with `vault kv \
         enable-versioning {mount}`, or set `mount_path` to a version 2 mount"
    ))
}

/// Why a call has no complete answer.
pub(crate) struct Broken<'a> {
    /// Whether the connection was established.
    pub(crate) connected: bool,
    /// Host and port.
    pub(crate) address: Option<&'a str>,
    pub(crate) cause: &'a (dyn Error + 'static),
}

impl From<Broken<'_>> for StorageError {
    fn from(broken: Broken<'_>) -> Self {
        let way = connection::Way { address: broken.address, trust: "set `ca_cert` to that authority" };
        connection::no_answer(broken.cause, broken.connected, way)
    }
}
