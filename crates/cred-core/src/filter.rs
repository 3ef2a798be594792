//! Filters of lists.

use std::collections::BTreeMap;

use crate::{CredentialMetadata, Timestamp};

/// A filter for the credentials of a list. A credential matches if all conditions hold; an empty
/// filter matches every credential. The filter is applied to the stored metadata, not to tags that
/// the backend itself keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CredentialFilter {
    /// Tags that the credential must have, with exactly these values.
    pub tags: BTreeMap<String, String>,
    /// Matches only credentials created after this moment; `None`: no bound.
    pub created_after: Option<Timestamp>,
    /// Matches only credentials created before this moment; `None`: no bound.
    pub created_before: Option<Timestamp>,
}

impl CredentialFilter {
    /// Creates a filter that matches every credential.
    #[must_use]
    pub const fn new() -> Self {
        Self { tags: BTreeMap::new(), created_after: None, created_before: None }
    }

    /// Requires another tag.
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

    /// Returns whether the filter has no conditions, so that a list need not read any contents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::new()
    }

    /// Returns whether a credential with this metadata matches.
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
        let matches = |filter: CredentialFilter| filter.matches(&metadata);

        assert!(matches(CredentialFilter::new()));
        assert!(matches(CredentialFilter::new().with_tag("env", "prod").with_tag("team", "a")));
        assert!(!matches(CredentialFilter::new().with_tag("env", "prod").with_tag("team", "b")));
        assert!(!matches(CredentialFilter::new().with_tag("owner", "")));
        assert!(matches(CredentialFilter::new().with_created_after(at(9)).with_created_before(at(11))));
        assert!(!matches(CredentialFilter::new().with_created_after(at(10))));
        assert!(!matches(CredentialFilter::new().with_created_before(at(10))));
        assert!(CredentialFilter::new().is_empty());
        assert!(!CredentialFilter::new().with_created_after(at(0)).is_empty());
    }
}
