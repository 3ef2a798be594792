//! Error mapping: from responses of Vault and connection failures to storage errors.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use cred_core::{StorageError, StorageErrorKind};
use cred_provider_kit::{AttemptError, WriteEffect, connection, quote_message};

/// A failed call, with the information that the provider needs to react to it.
#[derive(Debug, Clone)]
pub(crate) struct CallFailure {
    pub(crate) cause: FailureCause,
    pub(crate) error: StorageError,
}

/// The cause of a failed call, if the provider reacts to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureCause {
    /// Any other cause.
    Other,
    /// Vault refused before it did anything; the same call may succeed later.
    NotExecuted,
    /// The token is expired, revoked or invalid.
    TokenInvalid,
    /// Vault refuses the login, and counts it.
    LoginRefused,
    /// The mount or the secret accepts only conditional writes.
    CasRequired,
    /// Another version is the current one.
    CasMismatch,
}

impl CallFailure {
    pub(crate) fn new(cause: FailureCause, error: impl Into<StorageError>) -> Self {
        Self { cause, error: error.into() }
    }
}

impl AttemptError for CallFailure {
    fn storage_error(&self) -> &StorageError {
        &self.error
    }

    /// Every cause but `Other` is a refusal before anything was written.
    fn write_effect(&self) -> WriteEffect {
        match self.cause {
            FailureCause::Other => self.error.write_effect(),
            _ => WriteEffect::NotWritten,
        }
    }
}

impl From<StorageError> for CallFailure {
    fn from(error: StorageError) -> Self {
        Self::new(FailureCause::Other, error)
    }
}

impl From<CallFailure> for StorageError {
    fn from(failure: CallFailure) -> Self {
        failure.error
    }
}

/// The path and the capability of a call, as a Vault policy names them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Action<'a> {
    /// The capability that the call needs.
    pub(crate) capability: &'static str,
    pub(crate) mount: &'a str,
    /// `data`, `metadata`, ... below the mount.
    pub(crate) section: &'static str,
    pub(crate) name: &'a str,
}

impl fmt::Display for Action<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.mount, self.section, self.name];
        let mut parts = parts.iter().filter(|part| !part.is_empty());
        if let Some(first) = parts.next() {
            f.write_str(first)?;
        }
        parts.try_for_each(|part| write!(f, "/{part}"))
    }
}

/// A response with an error status.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: u16,
    /// The `errors` of Vault, or a description of a response that is not from Vault.
    pub(crate) reasons: Result<Vec<String>, String>,
    pub(crate) retry_after: Option<Duration>,
}

impl ErrorResponse {
    /// Whether it reports an absent secret: 404 without a reason.
    pub(crate) fn is_absent_secret(&self) -> bool {
        self.status == 404 && self.reasons.as_ref().is_ok_and(Vec::is_empty)
    }

    /// Returns the failure of the call. `hide` is a secret that the text must not repeat.
    pub(crate) fn explain(&self, action: &Action<'_>, hide: &str) -> CallFailure {
        let message = self.server_message(hide);
        let capability = action.capability;
        let has = |text: &str| self.reasons.iter().flatten().any(|reason| reason.contains(text));
        let unavailable = |reason: String| StorageErrorKind::Unavailable {
            reason: reason.into(),
            retry_after: self.retry_after,
        };
        match self.status {
            // Vault has no error codes, only texts. The tests on a real server pin them.
            400 if has("check-and-set parameter required") => CallFailure::new(
                FailureCause::CasRequired,
                StorageError::invalid_request(format!("`{action}` accepts only conditional writes ({message})")),
            ),
            400 if has("check-and-set parameter did not match") => {
                CallFailure::new(FailureCause::CasMismatch, StorageError::conflict("another version is stored"))
            }
            403 if self.is_refused_token() => CallFailure::new(
                FailureCause::TokenInvalid,
                StorageErrorKind::AuthenticationFailed {
                    reason: format!(
                        "Vault refuses the token for `{action}`: it is expired, revoked or invalid ({message}); replace it"
                    )
                    .into(),
                },
            ),
            403 => CallFailure::from(StorageError::from(StorageErrorKind::PermissionDenied {
                reason: format!("Vault refuses `{capability}` on `{action}` ({message})").into(),
            })),
            404 if has("no handler for route") || has("unsupported path") => {
                CallFailure::from(StorageError::invalid_request(format!(
                    "Vault has no KV version 2 engine at `{action}` ({message}); mount one, or correct `mount_path`"
                )))
            }
            405 => CallFailure::from(StorageError::invalid_request(format!(
                "Vault's engine at `{action}` does not support `{capability}` ({message}); if it is not KV version 2, set `mount_path` to a mount that is"
            ))),
            307 | 308 => CallFailure::new(
                FailureCause::NotExecuted,
                unavailable(
                    "this node is a standby that redirects requests; set `address` to the active node or to a load \
                     balancer in front of all nodes"
                        .to_owned(),
                ),
            ),
            412 => CallFailure::new(
                FailureCause::NotExecuted,
                unavailable(format!(
                    "this node has not yet received the latest writes of the active node ({message}); try again"
                )),
            ),
            429 => CallFailure::from(StorageError::from(StorageErrorKind::Throttled {
                retry_after: self.retry_after,
            })),
            _ if has("Vault is sealed") || has("Vault is not initialized") => CallFailure::new(
                FailureCause::NotExecuted,
                unavailable(format!("this node is sealed ({message}); unseal it")),
            ),
            _ if has("node not active") || has("in standby mode") => CallFailure::new(
                FailureCause::NotExecuted,
                unavailable(format!("this node is a standby, and the cluster has no active node ({message})")),
            ),
            // Right after `vault kv enable-versioning`, on the active node and on the others.
            _ if has("Upgrading from non-versioned to versioned data")
                || has("upgrade from non-versioned to versioned data") =>
            {
                CallFailure::new(
                    FailureCause::NotExecuted,
                    unavailable(format!("Vault is upgrading `{action}` to KV version 2 ({message}); try again")),
                )
            }
            // From the listener, its JSON reader and the storage; the last two have a 5xx status.
            status if status == 413 || has("being too large") || has("exceeds allowed length") => {
                CallFailure::from(StorageError::invalid_request(format!(
                    "Vault does not accept a value of this size (status {status}: {message}); lower `max_payload_len`, or \
                     raise Vault's limits"
                )))
            }
            status @ 400..=499 => CallFailure::from(StorageError::invalid_request(format!(
                "Vault refuses `{capability}` on `{action}` with status {status} ({message})"
            ))),
            status => CallFailure::from(StorageError::from(unavailable(format!(
                "Vault answered `{capability}` on `{action}` with status {status} ({message})"
            )))),
        }
    }

    /// Whether the token itself is refused, and not an operation of its owner.
    ///
    /// Vault reports it as text. OpenBao returns the bare text for an unknown token, and the
    /// refusal of a policy as a list: `1 error occurred:\n\t* permission denied`. Tests on both
    /// servers pin this.
    fn is_refused_token(&self) -> bool {
        self.reasons.iter().flatten().any(|reason| {
            reason == "permission denied" || reason.contains("invalid token") || reason.contains("bad token")
        })
    }

    /// Returns the message of Vault in one short line, or a description of the response.
    pub(crate) fn server_message(&self, hide: &str) -> String {
        match &self.reasons {
            Ok(reasons) => quote_message(&reasons.join("; "), &[hide], |_| false),
            Err(description) => description.clone(),
        }
    }
}

/// The error of a response with a wrapping token in place of the contents. Vault sends one for a
/// request that a control group holds back and that was not executed. This library never requests a
/// wrapped response, and a proxy must not: Vault would execute a write and wrap its response.
pub(crate) fn wrapped(action: &Action<'_>) -> StorageError {
    let capability = action.capability;
    StorageErrorKind::PermissionDenied {
        reason: format!(
            "Vault answered `{capability}` on `{action}` with a wrapping token in place of the contents, as for a \
             control group; exempt this token's policy from control groups and response wrapping there"
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

/// Why a call has no complete response.
pub(crate) struct ConnectionFailure<'a> {
    /// Whether the connection was established.
    pub(crate) connected: bool,
    /// Host and port.
    pub(crate) address: Option<&'a str>,
    pub(crate) cause: &'a (dyn Error + 'static),
}

impl From<ConnectionFailure<'_>> for StorageError {
    fn from(broken: ConnectionFailure<'_>) -> Self {
        let server = connection::Server { address: broken.address, trust: "set `ca_cert` to that authority" };
        connection::connection_error(broken.cause, broken.connected, server)
    }
}
