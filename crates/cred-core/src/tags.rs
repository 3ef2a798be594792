//! Tags of a credential, which are readable without its key.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// Key-value labels of a credential, sorted by key.
///
/// Tags are **not secret**: backends store them unencrypted so that lists can be filtered. Sealing
/// only detects changes to them.
///
/// A credential has at most [`Tags::MAX_COUNT`] tags. Keys have 1 to [`Tags::MAX_KEY_LEN`] bytes
/// and values at most [`Tags::MAX_VALUE_LEN`] bytes, without control characters. These limits of
/// AWS Secrets Manager apply on every backend, so that tags do not exceed them when a credential is
/// moved to AWS. AWS also restricts the characters, and counts the provider's `default_tags`.
/// A backend with lower limits (Azure: 12 tags) refuses a credential that does not fit; it never
/// drops a tag.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "BTreeMap<String, String>", try_from = "BTreeMap<String, String>")]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// The maximum number of tags on one credential ([AWS:
    /// 50](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html)).
    pub const MAX_COUNT: usize = 50;
    /// The maximum length of a key in bytes.
    pub const MAX_KEY_LEN: usize = 128;
    /// The maximum length of a value in bytes.
    pub const MAX_VALUE_LEN: usize = 256;

    /// Creates an empty set of tags.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Creates tags from pairs, such as an array, a `Vec` or a map. Of two pairs with the same key,
    /// the later one is used.
    ///
    /// ```
    /// use cred_core::{Credential, Tags};
    ///
    /// let tags = Tags::from_pairs([("env", "prod"), ("team", "payments")])?;
    /// let credential = Credential::api_key("sk_live_example").with_tags(tags);
    /// assert_eq!(credential.tags()["team"], "payments");
    /// # Ok::<(), cred_core::ParseError>(())
    /// ```
    ///
    /// # Errors
    /// [`ParseError`] if a key or a value breaks the rules, or there are more than
    /// [`MAX_COUNT`](Self::MAX_COUNT).
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ParseError> {
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        Self::try_from(pairs.collect::<BTreeMap<_, _>>())
    }

    /// Sets a tag and returns its previous value.
    ///
    /// # Errors
    /// [`ParseError`] if the key or the value breaks the rules, or there are too many tags; nothing
    /// is changed then.
    pub fn insert(
        &mut self,
        key: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Option<String>, ParseError> {
        let (key, value) = (key.into(), value.into());
        check_tag(&key, &value)?;
        if !self.0.contains_key(&key) {
            check_count(self.0.len().saturating_add(1))?;
        }
        Ok(self.0.insert(key, value))
    }

    /// Removes a tag and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }
}

/// Read access; to set a tag, use [`Tags::insert`].
impl Deref for Tags {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Tags {
    type Error = ParseError;

    fn try_from(tags: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        check_count(tags.len())?;
        tags.iter().try_for_each(|(key, value)| check_tag(key, value))?;
        Ok(Self(tags))
    }
}

impl From<Tags> for BTreeMap<String, String> {
    fn from(tags: Tags) -> Self {
        tags.0
    }
}

fn check_count(count: usize) -> Result<(), ParseError> {
    match count > Tags::MAX_COUNT {
        true => Err(ParseError::TooMany { what: "tags", count, limit: Tags::MAX_COUNT }),
        false => Ok(()),
    }
}

fn check_tag(key: &str, value: &str) -> Result<(), ParseError> {
    if key.is_empty() {
        return Err(ParseError::Empty { what: "a tag's key" });
    }
    for (what, text, limit) in
        [("a tag's key", key, Tags::MAX_KEY_LEN), ("a tag's value", value, Tags::MAX_VALUE_LEN)]
    {
        if text.len() > limit {
            return Err(ParseError::TooLong { what, length: text.len(), limit });
        }
        if let Some((position, _)) = text.char_indices().find(|(_, character)| character.is_control()) {
            return Err(ParseError::Character { what, position, allowed: "text without control characters" });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constructor_checks_the_limits() {
        let mut tags = Tags::new();
        assert!(tags.insert("k".repeat(128), "v".repeat(256)).is_ok());
        assert!(tags.insert("", "v").is_err());
        assert!(tags.insert("k".repeat(129), "").is_err());
        assert!(tags.insert("k", "v".repeat(257)).is_err());
        assert!(tags.insert("k\n", "v").is_err());
        assert!(serde_json::from_str::<Tags>(r#"{"":"v"}"#).is_err());
    }

    #[test]
    fn the_fifty_first_tag_is_refused_but_a_changed_value_is_not() {
        let mut tags = Tags::new();
        for number in 0..50 {
            tags.insert(number.to_string(), "").unwrap();
        }
        assert!(tags.insert("another", "").is_err());
        assert_eq!(tags.insert("7", "new").unwrap().as_deref(), Some(""));
        assert_eq!(tags.len(), 50);
    }
}
