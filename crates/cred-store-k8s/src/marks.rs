//! The labels and annotations that identify the Secrets of a store and select them in lists.

use std::collections::BTreeMap;

use cred_core::{
    CredentialFilter, CredentialMetadata, CredentialPath, PathRef, ScopeId, StorageError, StorageResult,
};
use cred_provider_kit::naming::{Names, digest};
use cred_provider_kit::tags;
use serde_json::{Map, Value, json};

use crate::client::SecretIdentity;

/// The prefix of the keys of this library's labels and annotations.
const DOMAIN: &str = "cred-rs.github.io/";
/// The label that identifies the store of a Secret: the digest of the prefix of its names.
pub(crate) const STORE: &str = "cred-rs.github.io/store";
/// The annotation with the exact path.
pub(crate) const PATH: &str = "cred-rs.github.io/path";
/// The annotation with the metadata of the credential, for people that inspect the Secret: times,
/// version, creator and the tags that cannot be labels. The provider does not use it.
const METADATA: &str = "cred-rs.github.io/metadata";

/// The annotation that differs in each write: Kubernetes ignores a write that changes nothing, and
/// the Secret would keep its resource version.
const WRITE: &str = "cred-rs.github.io/write";

/// Whether a key is reserved for this library.
pub(crate) fn is_own(key: &str) -> bool {
    key.starts_with(DOMAIN)
}

/// Creates and checks the labels and annotations of one store's Secrets.
#[derive(Debug)]
pub(crate) struct StoreMarks {
    names: Names,
    store: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// The labels and annotations of one Secret.
#[derive(Debug)]
pub(crate) struct SecretMarks {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl StoreMarks {
    pub(crate) fn new(
        names: Names,
        labels: &BTreeMap<String, String>,
        annotations: &BTreeMap<String, String>,
    ) -> Self {
        let store = digest(names.prefix());
        Self { names, store, labels: labels.clone(), annotations: annotations.clone() }
    }

    pub(crate) fn name(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    pub(crate) fn prefix(&self) -> &str {
        self.names.prefix()
    }

    /// Returns the labels and annotations of a credential. A tag becomes a label, or a part of the
    /// [metadata](METADATA) annotation if Kubernetes does not accept it as a label.
    pub(crate) fn for_credential(
        &self,
        path: PathRef<'_>,
        metadata: &CredentialMetadata,
    ) -> StorageResult<SecretMarks> {
        let mut labels = self.labels.clone();
        labels.insert(STORE.to_owned(), self.store.clone());
        if let Some(scope) = path.scope {
            labels.extend(levels(scope).map(|(level, scope)| (level_key(level), digest(scope))));
        }
        let mut others = Map::new();
        for (key, value) in metadata.tags.iter() {
            // A tag with the key of a scope label would make selectors find this credential in
            // another scope.
            if is_own(key) {
                return Err(StorageError::invalid_request(format!(
                    "the tag `{key}` begins with `{DOMAIN}`, which is reserved for this library; use another key"
                )));
            }
            if self.labels.contains_key(key) {
                return Err(StorageError::invalid_request(format!(
                    "the tag `{key}` has the same key as a default label of this store; use another key"
                )));
            }
            match tags::KUBERNETES.accepts(key, value) {
                true => drop(labels.insert(key.clone(), value.clone())),
                false => drop(others.insert(key.clone(), value.as_str().into())),
            }
        }
        let mut annotations = self.annotations.clone();
        annotations.insert(PATH.to_owned(), path.to_string());
        annotations.insert(METADATA.to_owned(), summary(metadata, others));
        annotations.insert(WRITE.to_owned(), format!("{:016x}", fastrand::u64(..)));
        Ok(SecretMarks { labels, annotations })
    }

    /// Whether a Secret with the name of a path is the credential of that path. Any other Secret
    /// with that name belongs to another owner.
    pub(crate) fn owns(&self, secret: &SecretIdentity, path: PathRef<'_>) -> bool {
        let labelled = secret.store() == Some(self.store.as_str());
        labelled && secret.path().is_some_and(|text| text == path.to_string())
    }

    /// Returns the path of a listed Secret. `None`: it does not belong to this store, or it is
    /// being deleted.
    pub(crate) fn path_of(&self, secret: &SecretIdentity) -> Option<CredentialPath> {
        let path: CredentialPath = secret.path()?.parse().ok()?;
        let ours = !secret.is_terminating()
            && secret.store() == Some(self.store.as_str())
            && self.name(path.as_path_ref()) == secret.name();
        ours.then_some(path)
    }

    /// Returns the selector of the credentials in exactly this scope.
    pub(crate) fn in_scope(&self, scope: Option<&ScopeId>) -> String {
        let deeper = scope.map_or(1, |scope| levels(scope).count() + 1);
        format!("{},!{}", self.below(scope), level_key(deeper))
    }

    /// Returns the selector of the credentials in this scope or below it.
    pub(crate) fn below(&self, scope: Option<&ScopeId>) -> String {
        let store = format!("{STORE}={}", self.store);
        match scope.and_then(|scope| levels(scope).last()) {
            Some((level, scope)) => format!("{store},{}={}", level_key(level), digest(scope)),
            None => store,
        }
    }
}

/// Narrows a selector by those tags of a filter that can be labels. The caller still has to apply
/// the filter to the selected Secrets.
pub(crate) fn narrow_by_tags(mut selector: String, filter: &CredentialFilter) -> String {
    for (key, value) in &filter.tags {
        if !is_own(key) && tags::KUBERNETES.accepts(key, value) {
            selector.push_str(&format!(",{key}={value}"));
        }
    }
    selector
}

/// Returns a scope and the scopes above it, from the top, each with its depth.
fn levels(scope: &ScopeId) -> impl Iterator<Item = (usize, &str)> {
    let text = scope.as_str();
    let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
    (1..).zip(ends.map(|end| text.get(..end).unwrap_or_default()))
}

fn level_key(level: usize) -> String {
    format!("{DOMAIN}scope-{level}")
}

/// Returns the text of the [metadata](METADATA) annotation. `tags` are those that are not labels.
fn summary(metadata: &CredentialMetadata, tags: Map<String, Value>) -> String {
    let mut summary = json!({
        "created_at": metadata.created_at.as_unix_millis(),
        "last_modified": metadata.last_modified.as_unix_millis(),
        "version": metadata.version,
    });
    if let Some(fields) = summary.as_object_mut() {
        fields.extend(metadata.expires_at.map(|at| ("expires_at".to_owned(), at.as_unix_millis().into())));
        let created_by = metadata.created_by.as_ref().map(|name| name.as_str().into());
        fields.extend(created_by.map(|name| ("created_by".to_owned(), name)));
        fields.extend((!tags.is_empty()).then(|| ("tags".to_owned(), tags.into())));
    }
    summary.to_string()
}

#[cfg(test)]
mod tests {
    use cred_core::{CreatedBy, Tags, Timestamp};
    use cred_provider_kit::naming::KUBERNETES;

    use super::*;

    fn marks() -> StoreMarks {
        let names = Names::new(KUBERNETES, "secret_prefix", "app-").unwrap();
        StoreMarks::new(names, &BTreeMap::from([("team".to_owned(), "a".to_owned())]), &BTreeMap::new())
    }

    fn tagged(key: &str, value: &str) -> CredentialMetadata {
        let mut tags = Tags::new();
        tags.insert(key, value).unwrap();
        CredentialMetadata::new(Timestamp::from_unix_millis(7)).with_tags(tags)
    }

    /// Evaluates a selector of `key=value` and `!key` as Kubernetes does.
    fn selects(selector: &str, labels: &BTreeMap<String, String>) -> bool {
        selector.split(',').all(|term| match (term.strip_prefix('!'), term.split_once('=')) {
            (Some(key), _) => !labels.contains_key(key),
            (None, Some((key, value))) => labels.get(key).is_some_and(|found| found == value),
            (None, None) => false,
        })
    }

    #[test]
    fn selectors_match_exactly_a_scope_or_its_tree() {
        let marks = marks();
        let paths = ["key", "org:a/key", "org:a/team:x/key", "org:a/team:x/role:r/key", "org:ab/key"];
        let labels = paths.map(|path| {
            let path: CredentialPath = path.parse().unwrap();
            marks.for_credential(path.as_path_ref(), &tagged("env", "prod")).unwrap().labels
        });
        let found =
            |selector: String| labels.iter().map(|labels| selects(&selector, labels)).collect::<Vec<_>>();
        let scope: ScopeId = "org:a/team:x".parse().unwrap();
        assert_eq!(found(marks.in_scope(None)), [true, false, false, false, false]);
        assert_eq!(found(marks.below(None)), [true; 5]);
        assert_eq!(found(marks.in_scope(scope.parent().as_ref())), [false, true, false, false, false]);
        assert_eq!(found(marks.below(scope.parent().as_ref())), [false, true, true, true, false]);
        assert_eq!(found(marks.in_scope(Some(&scope))), [false, false, true, false, false]);
        assert_eq!(found(marks.below(Some(&scope))), [false, false, true, true, false]);
    }

    #[test]
    fn a_selector_contains_only_tags_that_are_valid_labels() {
        let filter = CredentialFilter::new().with_tag("env", "prod").with_tag("a b", "c").with_tag("x", "*");
        let filter = filter.with_tag("cred-rs.github.io/scope-1", "x").with_tag("empty", "");
        assert_eq!(narrow_by_tags("s=1".to_owned(), &filter), "s=1,empty=,env=prod");
    }

    #[test]
    fn a_tag_with_a_reserved_or_default_key_is_refused() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        for key in ["cred-rs.github.io/scope-2", "cred-rs.github.io/store", "team"] {
            let error = marks().for_credential(path.as_path_ref(), &tagged(key, "x")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn only_tags_that_are_not_valid_labels_are_in_the_annotation() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        for (key, value) in [("owner", "alice@example.com"), ("cost centre", "7"), ("url", &"u".repeat(64))] {
            let SecretMarks { labels, annotations } =
                marks().for_credential(path.as_path_ref(), &tagged(key, value)).unwrap();
            assert!(!labels.contains_key(key), "{labels:?}");
            let summary: Value = serde_json::from_str(&annotations[METADATA]).unwrap();
            assert_eq!(summary["tags"], json!({key: value}));
        }
        let SecretMarks { labels, annotations } =
            marks().for_credential(path.as_path_ref(), &tagged("env", "prod")).unwrap();
        assert_eq!(labels["env"], "prod");
        let summary: Value = serde_json::from_str(&annotations[METADATA]).unwrap();
        assert_eq!(summary.get("tags"), None);
    }

    #[test]
    fn a_tag_with_a_reserved_or_default_key_is_refused_even_if_it_is_not_a_valid_label() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        for key in ["cred-rs.github.io/scope-2", "cred-rs.github.io/any thing", "team"] {
            let error = marks().for_credential(path.as_path_ref(), &tagged(key, "not a label")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert!(!error.to_string().contains("not a label"), "{error}");
        }
    }

    #[test]
    fn the_annotation_contains_the_creator_if_one_is_recorded() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        let summary = |metadata: &CredentialMetadata| -> Value {
            let marked = marks().for_credential(path.as_path_ref(), metadata).unwrap();
            serde_json::from_str(&marked.annotations[METADATA]).unwrap()
        };
        let metadata = tagged("env", "prod");
        assert_eq!(summary(&metadata).get("created_by"), None);
        let metadata = metadata.with_created_by(CreatedBy::from_static("payments"));
        assert_eq!(summary(&metadata)["created_by"], "payments");
    }

    /// Half of the 256 KiB of Kubernetes is left to other users of the Secret.
    #[test]
    fn the_largest_annotations_need_at_most_half_of_the_kubernetes_limit() {
        let tag = |n: usize| (format!("{n:02}{}", "\"".repeat(126)), "\\".repeat(Tags::MAX_VALUE_LEN));
        let tags: BTreeMap<_, _> = (0..Tags::MAX_COUNT).map(tag).collect();
        let metadata = tagged("env", "prod").with_tags(Tags::try_from(tags).unwrap());
        let defaults = BTreeMap::from([("a".to_owned(), "x".repeat(64 * 1_024 - 1))]);
        let names = Names::new(KUBERNETES, "secret_prefix", "app-").unwrap();
        let scope = vec!["a:b"; 128].join("/");
        let path: CredentialPath = format!("{scope}/{}", "k".repeat(255)).parse().unwrap();
        let marks = StoreMarks::new(names, &BTreeMap::new(), &defaults);
        let annotations = marks.for_credential(path.as_path_ref(), &metadata).unwrap().annotations;
        let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!((100_000..128 * 1_024).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_deepest_scope_has_valid_labels() {
        let scope = vec!["a:b"; 128].join("/");
        let path: CredentialPath = format!("{scope}/key").parse().unwrap();
        let labels = marks().for_credential(path.as_path_ref(), &tagged("env", "prod")).unwrap().labels;
        assert_eq!(labels.len(), 128 + 3);
        let name_len = |key: &str| key.split_once('/').map_or(key.len(), |(_, name)| name.len());
        assert!(labels.iter().all(|(key, value)| name_len(key) <= 63 && value.len() <= 63));
    }
}
