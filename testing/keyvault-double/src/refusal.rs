//! Error responses in the format of Azure.

use serde_json::{Value, json};

/// An error response.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        let body = json!({"error": {"code": code, "message": message.into()}});
        Self { status, body, headers: Vec::new() }
    }

    pub(crate) fn inner(mut self, code: &str) -> Self {
        if let Some(error) = self.body.get_mut("error").and_then(Value::as_object_mut) {
            error.insert("innererror".to_owned(), json!({"code": code}));
        }
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadParameter", message)
    }

    pub(crate) fn absent(name: &str) -> Self {
        let message = format!(
            "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you \
             may be able to recover it using the correct recovery command. For help resolving this issue, please see \
             https://go.microsoft.com/fwlink/?linkid=2125182"
        );
        Self::new(404, "SecretNotFound", message)
    }

    pub(crate) fn not_deleted(name: &str) -> Self {
        Self::new(404, "SecretNotFound", format!("Deleted Secret not found: {name}"))
    }

    pub(crate) fn being_deleted(name: &str) -> Self {
        Self::new(409, "Conflict", format!("Secret {name} is currently being deleted."))
            .inner("ObjectIsBeingDeleted")
    }

    pub(crate) fn being_recovered(name: &str) -> Self {
        Self::new(409, "Conflict", format!("Secret {name} is currently being recovered."))
            .inner("ObjectIsBeingRecovered")
    }

    pub(crate) fn deleted(name: &str) -> Self {
        let message = format!(
            "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this \
             state, the secret can only be recovered or purged."
        );
        Self::new(409, "Conflict", message).inner("ObjectIsDeletedButRecoverable")
    }

    pub(crate) fn protected() -> Self {
        let message = "Operation \"purge\" is not allowed because purge protection is enabled for this vault. Key \
                       Vault service will automatically purge it after the retention period has passed.\r\nVault: \
                       double;location=loopback";
        Self::new(403, "Forbidden", message)
    }

    pub(crate) fn disabled() -> Self {
        Self::new(403, "Forbidden", "Operation get is not allowed on a disabled secret.")
            .inner("SecretDisabled")
    }

    pub(crate) fn throttled(retry_after: Option<u64>) -> Self {
        let refusal = Self::new(
            429,
            "Throttled",
            "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
        );
        match retry_after {
            Some(seconds) => refusal.header("Retry-After", seconds.to_string()),
            None => refusal,
        }
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "The service is unavailable.")
    }
}
