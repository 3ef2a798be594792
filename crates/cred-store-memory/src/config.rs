//! The configuration of the provider.

use cred_core::{ConfigError, Limits, ProviderConfig};
use cred_provider_kit::setters;

/// The configuration of a [`MemoryStorageProvider`](crate::MemoryStorageProvider). The default has
/// no limits, and deletes permanently.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct MemoryStorageConfig {
    /// Whether deleted credentials can be recovered. Default: false.
    pub soft_delete: bool,
    /// Limits on payloads and tags, and the recommended payload size. Default: no limits, and no
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
                "is 0, so nothing fits; set at least one byte, or `None` for no limit",
            )),
            _ => Ok(()),
        }
    }

    fn provider_name(&self) -> &'static str {
        "memory"
    }
}
