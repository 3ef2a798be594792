//! Copies tags to a backend's own tags or labels, where they only pre-select credentials: filters
//! are decided on the envelope.

use std::collections::BTreeMap;

use cred_core::{Limits, StorageError, StorageResult, Tags};

/// The tags that a backend accepts: those of [`AWS`], [`AZURE`], [`VAULT`], [`KUBERNETES`], or of
/// another backend, by [`TagRules::custom`].
#[derive(Debug, Clone, Copy)]
pub struct TagRules {
    /// Maximum number of tags on one credential, including the provider's own.
    max_count: usize,
    /// Maximum length of a key, in bytes.
    max_key_len: usize,
    /// Maximum length of a value, in bytes.
    max_value_len: usize,
    key: fn(&str) -> bool,
    value: fn(&str) -> bool,
    /// The allowed keys and values, in words.
    allowed: &'static str,
}

/// AWS: 50 tags, keys of 128 and values of 256 characters, no key that begins with `aws:` ([service
/// quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html)), of
/// letters, digits, spaces and `_.:/=+-@`
/// ([tags](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Tag.html)).
pub const AWS: TagRules = TagRules {
    max_count: 50,
    max_key_len: 128,
    max_value_len: 256,
    key: |key| is_aws_text(key) && !key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")),
    value: is_aws_text,
    allowed: "letters, digits, spaces and _ . : / = + - @, and no key that begins with `aws:`",
};

/// Azure Key Vault: 15 tags, keys and values of 256 characters ([secret
/// tags](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets)). A principal that can
/// list secrets can read them.
pub const AZURE: TagRules = TagRules {
    max_count: 15,
    max_key_len: 256,
    max_value_len: 256,
    key: |_| true,
    value: |_| true,
    allowed: "any text",
};

/// Vault: 64 pairs of custom metadata, keys of 128 and values of 512 bytes
/// ([KV v2](https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2)).
pub const VAULT: TagRules = TagRules {
    max_count: 64,
    max_key_len: 128,
    max_value_len: 512,
    key: |_| true,
    value: |_| true,
    allowed: "any text",
};

/// Kubernetes labels: keys and values of 63 characters that begin and end with a letter or digit,
/// with `-`, `_` and `.` between; a key may have a DNS prefix and a slash, all in the 63; a value
/// may be empty
/// ([labels](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/), which
/// allow a longer prefix). Their number is only bounded by the size of the object.
pub const KUBERNETES: TagRules = TagRules {
    max_count: usize::MAX,
    max_key_len: 63,
    max_value_len: 63,
    key: |key| match key.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label(name),
        None => is_label(key),
    },
    value: |value| value.is_empty() || is_label(value),
    allowed: "A-Z a-z 0-9 - _ . that begin and end with a letter or digit (a key may have a DNS prefix and `/`)",
};

impl TagRules {
    /// Creates the rules of a backend without a constant: the maximum number of tags on one
    /// credential, including the provider's own, and the maximum length of keys and values in
    /// bytes. Keys and values may be any text.
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use cred_core::Tags;
    /// use cred_provider_kit::tags::TagRules;
    ///
    /// let lower = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase());
    /// let rules = TagRules::custom(10, 32, 64).with_texts(lower, |_| true, "a-z in keys");
    /// let mut tags = Tags::new();
    /// tags.insert("env", "prod")?;
    /// assert!(rules.project(&tags, &BTreeMap::new()).is_ok());
    /// tags.insert("Owner", "me")?;
    /// assert!(rules.project(&tags, &BTreeMap::new()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn custom(max_count: usize, max_key_len: usize, max_value_len: usize) -> Self {
        let any = |_: &str| true;
        Self { max_count, max_key_len, max_value_len, key: any, value: any, allowed: "any text" }
    }

    /// Allows only the keys and the values for which these functions return true. `allowed`
    /// describes them in errors.
    #[must_use]
    pub const fn with_texts(
        mut self,
        key: fn(&str) -> bool,
        value: fn(&str) -> bool,
        allowed: &'static str,
    ) -> Self {
        (self.key, self.value, self.allowed) = (key, value, allowed);
        self
    }

    /// Returns `limits` with the bounds that remain for callers if the provider adds `own` tags.
    #[must_use]
    pub fn bound(&self, limits: Limits, own: usize) -> Limits {
        // Above the bounds of `Tags`, no bound is needed.
        let count = self.max_count.saturating_sub(own).min(Tags::MAX_COUNT);
        let key_len = self.max_key_len.min(Tags::MAX_KEY_LEN);
        limits.with_max_tags(count, key_len, self.max_value_len.min(Tags::MAX_VALUE_LEN))
    }

    /// Reports whether the backend accepts a tag with this key and this value.
    ///
    /// ```
    /// use cred_provider_kit::tags;
    ///
    /// assert!(tags::KUBERNETES.accepts("owner", "alice"));
    /// assert!(!tags::KUBERNETES.accepts("owner", "alice@example.com"));
    /// ```
    #[must_use]
    pub fn accepts(&self, key: &str, value: &str) -> bool {
        self.accepts_key(key) && self.accepts_value(value)
    }

    fn accepts_key(&self, key: &str) -> bool {
        key.len() <= self.max_key_len && (self.key)(key)
    }

    fn accepts_value(&self, value: &str) -> bool {
        value.len() <= self.max_value_len && (self.value)(value)
    }

    /// Returns the tags of a credential together with the provider's own. Returns all of them or an
    /// error: no tag is dropped or cut.
    ///
    /// # Errors
    /// [`InvalidRequest`](cred_core::StorageErrorKind::InvalidRequest) naming the key of the first
    /// tag that does not fit or is one of the provider's own, never a value.
    pub fn project(
        &self,
        tags: &Tags,
        own: &BTreeMap<String, String>,
    ) -> StorageResult<BTreeMap<String, String>> {
        let refuse = |reason: String| Err(StorageError::invalid_request(reason));
        let mut projected = own.clone();
        for (key, value) in tags.iter() {
            let allowed = self.allowed;
            if own.contains_key(key) {
                return refuse(format!("tag `{key}` is one that the provider sets itself; use another key"));
            }
            if !self.accepts_key(key) {
                let limit = self.max_key_len;
                return refuse(format!(
                    "the key of tag `{key}` does not fit; use at most {limit} bytes of {allowed}"
                ));
            }
            if !self.accepts_value(value) {
                let limit = self.max_value_len;
                return refuse(format!(
                    "the value of tag `{key}` does not fit; use at most {limit} bytes of {allowed}"
                ));
            }
            projected.insert(key.clone(), value.clone());
        }
        match projected.len() > self.max_count {
            false => Ok(projected),
            true => {
                let (count, limit) = (tags.len(), self.max_count.saturating_sub(own.len()));
                refuse(format!("it has {count} tags; use at most {limit}"))
            }
        }
    }
}

fn is_aws_text(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c))
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes().all(inner) && has_alphanumeric_ends(text)
}

fn is_subdomain(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.split('.').all(|label| label.bytes().all(inner) && has_alphanumeric_ends(label))
}

fn has_alphanumeric_ends(text: &str) -> bool {
    let is_one = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_one) && text.ends_with(is_one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(all: &[(&str, &str)]) -> Tags {
        Tags::try_from(all.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>())
            .unwrap()
    }

    fn accepts(rules: &TagRules, key: &str, value: &str) -> bool {
        rules.project(&tags(&[(key, value)]), &BTreeMap::new()).is_ok()
    }

    #[test]
    fn every_tag_is_projected_unchanged_with_the_providers_own() {
        let own = BTreeMap::from([("managed".to_owned(), "cred".to_owned())]);
        let projected = AZURE.project(&tags(&[("env", "prod"), ("ümlaut !", "x")]), &own).unwrap();
        assert_eq!(projected.len(), 3);
        assert_eq!(
            (&*projected["managed"], &*projected["env"], &*projected["ümlaut !"]),
            ("cred", "prod", "x")
        );
    }

    #[test]
    fn a_refusal_names_the_key_of_a_tag_and_not_its_value() {
        let own = BTreeMap::from([("managed".to_owned(), "cred".to_owned())]);
        for (rules, key) in [(KUBERNETES, "env"), (AWS, "env"), (AZURE, "managed")] {
            let error = rules.project(&tags(&[(key, "hunter2!")]), &own).unwrap_err();
            assert!(matches!(error.kind(), cred_core::StorageErrorKind::InvalidRequest { .. }));
            assert!(error.to_string().contains(key) && !error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn kubernetes_labels_are_validated() {
        for key in ["a", "A-b_c.9", "app.kubernetes.io/name", &"k".repeat(63)] {
            assert!(accepts(&KUBERNETES, key, ""), "{key}");
        }
        for key in ["-a", "a-", "a b", "/a", "a/", "a/b/c", "App/x", "a..b/c", "-a/b", &"k".repeat(64)] {
            assert!(!accepts(&KUBERNETES, key, ""), "{key}");
        }
        assert!(accepts(&KUBERNETES, "k", &"v".repeat(63)));
        for value in [".v", "v_", "é", &"v".repeat(64)] {
            assert!(!accepts(&KUBERNETES, "k", value), "{value}");
        }
    }

    #[test]
    fn the_number_of_kubernetes_labels_is_not_limited() {
        let own = (0..200).map(|number| (format!("own-{number}"), String::new())).collect();
        let most = (0..Tags::MAX_COUNT).map(|number| (format!("t{number}"), String::new()));
        let most = Tags::try_from(most.collect::<BTreeMap<_, _>>()).unwrap();
        assert_eq!(KUBERNETES.project(&most, &own).unwrap().len(), 200 + Tags::MAX_COUNT);
        assert_eq!(KUBERNETES.bound(Limits::none(), own.len()).max_tags, Some(Tags::MAX_COUNT));
    }

    #[test]
    fn aws_tags_are_limited_to_its_characters_and_exclude_its_prefix() {
        assert!(accepts(&AWS, "cost centre:é_.:/=+-@", ""));
        for key in ["aws:x", "AWS:x", "a!", "a,b"] {
            assert!(!accepts(&AWS, key, ""), "{key}");
        }
    }

    #[test]
    fn the_providers_own_tags_count() {
        let own = BTreeMap::from([("managed".to_owned(), String::new())]);
        let numbered = |count: usize| {
            Tags::try_from((0..count).map(|n| (format!("t{n}"), String::new())).collect::<BTreeMap<_, _>>())
                .unwrap()
        };
        assert!(AZURE.project(&numbered(14), &own).is_ok());
        assert!(AZURE.project(&numbered(15), &own).is_err());
        assert_eq!(AZURE.bound(Limits::none(), own.len()).max_tags, Some(14));
        assert_eq!(VAULT.bound(Limits::none(), 0).max_tag_value_len, Some(Tags::MAX_VALUE_LEN));
    }
}
