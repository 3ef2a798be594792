//! The configuration of the memory store, whose own type cannot be deserialized.

use cred_core::Limits;
use cred_store_memory::MemoryStorageConfig;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MemorySettings {
    soft_delete: bool,
    limits: LimitSettings,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct LimitSettings {
    max_payload_len: Option<usize>,
    recommended_payload_len: Option<usize>,
    max_tags: Option<usize>,
    max_tag_key_len: Option<usize>,
    max_tag_value_len: Option<usize>,
}

impl From<MemorySettings> for MemoryStorageConfig {
    fn from(settings: MemorySettings) -> Self {
        let mut limits = Limits::none();
        limits.max_payload_len = settings.limits.max_payload_len;
        limits.recommended_payload_len = settings.limits.recommended_payload_len;
        limits.max_tags = settings.limits.max_tags;
        limits.max_tag_key_len = settings.limits.max_tag_key_len;
        limits.max_tag_value_len = settings.limits.max_tag_value_len;
        Self::default().with_soft_delete(settings.soft_delete).with_limits(limits)
    }
}
