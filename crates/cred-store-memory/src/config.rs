//! What can be chosen.

use cred_core::{ConfigError, Limits, ProviderConfig};
use cred_provider_kit::setters;

/// How a [`MemoryStorageProvider`](crate::MemoryStorageProvider) behaves. The default takes
/// everything and deletes for good.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MemoryStorageConfig {
    /// Whether deleted credentials can be recovered; default false.
    pub soft_delete: bool,
    /// What is taken at most, and the size that is recommended; default: no limits, and no
    /// recommendation.
    pub limits: Limits,
}

impl MemoryStorageConfig {
    setters! {
        const with_soft_delete(soft_delete: bool);
        const with_limits(limits: Limits);
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
