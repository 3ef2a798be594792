//! Which credentials a list should name.

use std::collections::BTreeMap;

use crate::{CredentialMetadata, Timestamp};

/// Which credentials a list should name. Every condition must hold; an empty filter admits
/// everything. It is decided on the stored metadata, whatever a backend's own tags say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CredentialFilter {
    /// Tags that must be there with exactly these values.
    pub tags: BTreeMap<String, String>,
    /// Only what was created later than this; `None`: no bound.
    pub created_after: Option<Timestamp>,
    /// Only what was created earlier than this; `None`: no bound.
    pub created_before: Option<Timestamp>,
}

impl CredentialFilter {
    /// Admits everything.
    #[must_use]
    pub const fn new() -> Self {
        Self { tags: BTreeMap::new(), created_after: None, created_before: None }
    }

    /// Asks for a tag besides the others.
    #[must_use]
    pub fn with_tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }

    /// Sets [`created_after`](Self::created_after).
    #[must_use]
    pub const fn with_created_after(mut self, moment: Timestamp) -> Self {
        self.created_after = Some(moment);
        self
    }

    /// Sets [`created_before`](Self::created_before).
    #[must_use]
    pub const fn with_created_before(mut self, moment: Timestamp) -> Self {
        self.created_before = Some(moment);
        self
    }

    /// Whether it admits everything, so that a list can skip reading contents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::new()
    }

    /// Whether it admits a credential with this metadata.
    #[must_use]
    pub fn matches(&self, metadata: &CredentialMetadata) -> bool {
        self.tags.iter().all(|(key, value)| metadata.tags.get(key) == Some(value))
            && self.created_after.is_none_or(|bound| metadata.created_at > bound)
            && self.created_before.is_none_or(|bound| metadata.created_at < bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tags;

    #[test]
    fn tags_are_anded_and_bounds_exclusive() {
        let at = Timestamp::from_unix_millis;
        let mut tags = Tags::new();
        tags.insert("env", "prod").unwrap();
        tags.insert("team", "a").unwrap();
        let metadata = CredentialMetadata::new(at(10)).with_tags(tags);
        let admits = |filter: CredentialFilter| filter.matches(&metadata);

        assert!(admits(CredentialFilter::new()));
        assert!(admits(CredentialFilter::new().with_tag("env", "prod").with_tag("team", "a")));
        assert!(!admits(CredentialFilter::new().with_tag("env", "prod").with_tag("team", "b")));
        assert!(!admits(CredentialFilter::new().with_tag("owner", "")));
        assert!(admits(CredentialFilter::new().with_created_after(at(9)).with_created_before(at(11))));
        assert!(!admits(CredentialFilter::new().with_created_after(at(10))));
        assert!(!admits(CredentialFilter::new().with_created_before(at(10))));
        assert!(CredentialFilter::new().is_empty());
        assert!(!CredentialFilter::new().with_created_after(at(0)).is_empty());
    }
}
