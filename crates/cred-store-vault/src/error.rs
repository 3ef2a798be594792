//! What Vault or the way to it said, as what it means for a credential.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, Wrote, connection, said};

/// A failed call, and what a provider does about it.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) meaning: Meaning,
    pub(crate) error: StorageError,
}

/// What a failed call means besides its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing more.
    Plain,
    /// Vault refused before it did anything, though it may do it a little later.
    NothingDone,
    /// The token is expired, revoked or was never one.
    TokenInvalid,
    /// Vault takes no login with these: it counts them.
    LoginRefused,
    /// The mount or the key takes conditional writes alone.
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

    /// Whatever has a meaning of its own was refused before anything was done.
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

/// Where a call went, as Vault's policies spell it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// What a policy calls the right to do this.
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

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// Vault's `errors`, or a description of an answer that is not Vault's.
    pub(crate) reasons: Result<Vec<String>, String>,
    pub(crate) retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether it is how KV says that nothing is there: 404 without a reason.
    pub(crate) fn is_absence(&self) -> bool {
        self.status == 404 && self.reasons.as_ref().is_ok_and(Vec::is_empty)
    }

    /// What the refusal of a call means. `hide` is what may not be repeated, whoever echoes it.
    pub(crate) fn explain(&self, place: &Place<'_>, hide: &str) -> Failure {
        let said = self.said(hide);
        let right = place.right;
        let has = |text: &str| self.reasons.iter().flatten().any(|reason| reason.contains(text));
        let unavailable = |reason: String| StorageErrorKind::Unavailable {
            reason: reason.into(),
            retry_after: self.retry_after,
        };
        match self.status {
            // Vault's own texts: it has no codes. Pinned by the tests on a real server.
            400 if has("check-and-set parameter required") => Failure::new(
                Meaning::CasRequired,
                StorageError::invalid_request(format!("`{place}` takes conditional writes alone ({said})")),
            ),
            400 if has("check-and-set parameter did not match") => Failure::new(
                Meaning::CasMismatch,
                StorageError::conflict("another version is stored there"),
            ),
            403 if self.refuses_the_token() => Failure::new(
                Meaning::TokenInvalid,
                StorageErrorKind::AuthenticationFailed {
                    reason: format!(
                        "the token has expired, was revoked or is none, as Vault says of `{place}` ({said})"
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
                "Vault's engine at `{place}` cannot `{right}` ({said}); is `mount_path` KV version 2?"
            ))),
            307 | 308 => Failure::new(
                Meaning::NothingDone,
                unavailable(
                    "this node is a standby that redirects; give the address of the active node or of a load \
                     balancer in front of all"
                        .to_owned(),
                ),
            ),
            412 => Failure::new(
                Meaning::NothingDone,
                unavailable(format!("this node has not caught up with the active one yet ({said})")),
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
                unavailable(format!("this node is a standby without an active one ({said})")),
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
            // Of the listener, its reader of JSON, and the storage; the last two come as errors of the server.
            status if status == 413 || has("being too large") || has("exceeds allowed length") => {
                Failure::from(StorageError::invalid_request(format!(
                    "Vault takes no value of this size (status {status}: {said}); lower `max_payload_len`, or raise \
                     Vault's limits"
                )))
            }
            status @ 400..=499 => Failure::from(StorageError::invalid_request(format!(
                "Vault refuses `{right}` on `{place}` with status {status} ({said})"
            ))),
            status => Failure::from(StorageError::from(unavailable(format!(
                "Vault answers `{right}` on `{place}` with status {status} ({said})"
            )))),
        }
    }

    /// Whether the token itself is refused, and not an operation of its owner.
    ///
    /// Vault says so in words. OpenBao answers the bare text for a token that it does not know, and
    /// a policy's refusal as a list: `1 error occurred:\n\t* permission denied`. Pinned by the tests
    /// on both servers.
    fn refuses_the_token(&self) -> bool {
        self.reasons.iter().flatten().any(|reason| {
            reason == "permission denied" || reason.contains("invalid token") || reason.contains("bad token")
        })
    }

    /// Vault's own words in one short line, or that there are none.
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

/// An engine that takes the call and means something else by it.
pub(crate) fn kv1(mount: &str) -> StorageError {
    StorageError::invalid_request(format!(
        "`{mount}` is a KV version 1 engine, which has no versions and no atomic writes; upgrade it with `vault kv \
         enable-versioning {mount}`, or give a version 2 mount as `mount_path`"
    ))
}

/// Why no whole answer came: the phrase, and whether a connection was there at all.
pub(crate) struct Broken<'a> {
    pub(crate) connected: bool,
    /// Host and port.
    pub(crate) address: Option<&'a str>,
    pub(crate) cause: &'a (dyn Error + 'static),
}

impl From<Broken<'_>> for StorageError {
    fn from(broken: Broken<'_>) -> Self {
        let way = connection::Way { address: broken.address, trust: "give that authority as `ca_cert`" };
        connection::no_answer(broken.cause, broken.connected, way)
    }
}
