//! The configuration of the store in memory, which has no form in files of its own.

use cred_core::Limits;
use cred_store_memory::MemoryStorageConfig;
use serde::Deserialize;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    soft_delete: bool,
    limits: Bounds,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Bounds {
    max_payload_len: Option<usize>,
    recommended_payload_len: Option<usize>,
    max_tags: Option<usize>,
    max_tag_key_len: Option<usize>,
    max_tag_value_len: Option<usize>,
}

impl From<Settings> for MemoryStorageConfig {
    fn from(settings: Settings) -> Self {
        let mut limits = Limits::none();
        limits.max_payload_len = settings.limits.max_payload_len;
        limits.recommended_payload_len = settings.limits.recommended_payload_len;
        limits.max_tags = settings.limits.max_tags;
        limits.max_tag_key_len = settings.limits.max_tag_key_len;
        limits.max_tag_value_len = settings.limits.max_tag_value_len;
        Self::default().with_soft_delete(settings.soft_delete).with_limits(limits)
    }
}
