//! What can be chosen.

use cred_core::{ConfigError, Limits, ProviderConfig};

/// How a [`MemoryStorageProvider`](crate::MemoryStorageProvider) behaves. The default takes everything and deletes for
/// good.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MemoryStorageConfig {
    /// Whether deleted credentials can be recovered; default false.
    pub soft_delete: bool,
    /// What is taken at most; default: no limits.
    pub limits: Limits,
}

impl MemoryStorageConfig {
    /// Sets [`soft_delete`](Self::soft_delete).
    #[must_use]
    pub const fn with_soft_delete(mut self, soft_delete: bool) -> Self {
        self.soft_delete = soft_delete;
        self
    }

    /// Sets [`limits`](Self::limits).
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl ProviderConfig for MemoryStorageConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        match self.limits.max_payload_len {
            Some(0) => Err(ConfigError::invalid(
                self.provider_name(),
                "limits.max_payload_len",
                "is 0, which nothing fits; set at least one byte, or none for no limit",
            )),
            _ => Ok(()),
        }
    }

    fn provider_name(&self) -> &'static str {
        "memory"
    }
}
