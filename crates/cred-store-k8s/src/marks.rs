//! The labels and annotations by which a secret is known to be ours, and found.

use std::collections::BTreeMap;

use cred_core::{
    CredentialFilter, CredentialMetadata, CredentialPath, PathRef, ScopeId, StorageError, StorageResult,
};
use cred_provider_kit::naming::{Names, digest};
use cred_provider_kit::tags;
use serde_json::{Map, Value, json};

use crate::client::Identity;

/// What the keys of this library's own labels and annotations begin with.
const DOMAIN: &str = "cred-rs.github.io/";
/// The label that says in which store a secret is: the digest of the prefix of its names.
pub(crate) const STORE: &str = "cred-rs.github.io/store";
/// The annotation with the exact path.
pub(crate) const PATH: &str = "cred-rs.github.io/path";
/// The annotation with what the envelope says of the credential, for whoever looks at the secret:
/// times, version, creator and the tags that cannot be labels. Nothing is decided by it.
const METADATA: &str = "cred-rs.github.io/metadata";

/// The annotation that no two writes have in common: Kubernetes takes a write that changes nothing
/// for none, and its secret would keep its version.
const WRITE: &str = "cred-rs.github.io/write";

/// Whether a key is one of this library's own.
pub(crate) fn is_own(key: &str) -> bool {
    key.starts_with(DOMAIN)
}

/// How the secrets of one store are marked.
#[derive(Debug)]
pub(crate) struct Marks {
    names: Names,
    store: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// What a secret is given when it is written.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Marks {
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

    /// The labels and annotations of a credential. A tag becomes a label, or a part of the
    /// [metadata](METADATA) annotation if Kubernetes does not take it as a label.
    pub(crate) fn of(&self, path: PathRef<'_>, metadata: &CredentialMetadata) -> StorageResult<Marked> {
        let mut labels = self.labels.clone();
        labels.insert(STORE.to_owned(), self.store.clone());
        if let Some(scope) = path.scope {
            labels.extend(levels(scope).map(|(level, scope)| (level_key(level), digest(scope))));
        }
        let mut others = Map::new();
        for (key, value) in metadata.tags.iter() {
            // A scope's label beside those of this credential would make it another scope's for a
            // selector.
            if is_own(key) {
                return Err(StorageError::invalid_request(format!(
                    "tag `{key}` begins with `{DOMAIN}`, which is this library's own; use another key"
                )));
            }
            if self.labels.contains_key(key) {
                return Err(StorageError::invalid_request(format!(
                    "tag `{key}` has the key of a default label of this store; use another key"
                )));
            }
            match tags::KUBERNETES.takes(key, value) {
                true => drop(labels.insert(key.clone(), value.clone())),
                false => drop(others.insert(key.clone(), value.as_str().into())),
            }
        }
        let mut annotations = self.annotations.clone();
        annotations.insert(PATH.to_owned(), path.to_string());
        annotations.insert(METADATA.to_owned(), summary(metadata, others));
        annotations.insert(WRITE.to_owned(), format!("{:016x}", fastrand::u64(..)));
        Ok(Marked { labels, annotations })
    }

    /// Whether a secret that lies under the name of a path is the credential of that path. Whatever
    /// else lies there is somebody else's.
    pub(crate) fn owns(&self, secret: &Identity, path: PathRef<'_>) -> bool {
        let labelled = secret.store() == Some(self.store.as_str());
        labelled && secret.path().is_some_and(|text| text == path.to_string())
    }

    /// Which credential a listed secret is; `None`: none of this store's, or one that is on its way
    /// out.
    pub(crate) fn path_of(&self, secret: &Identity) -> Option<CredentialPath> {
        let path: CredentialPath = secret.path()?.parse().ok()?;
        let ours = !secret.is_terminating()
            && secret.store() == Some(self.store.as_str())
            && self.name(path.as_path_ref()) == secret.name();
        ours.then_some(path)
    }

    /// Selects what is in exactly this scope.
    pub(crate) fn in_scope(&self, scope: Option<&ScopeId>) -> String {
        let deeper = scope.map_or(1, |scope| levels(scope).count() + 1);
        format!("{},!{}", self.below(scope), level_key(deeper))
    }

    /// Selects what is in this scope or below it.
    pub(crate) fn below(&self, scope: Option<&ScopeId>) -> String {
        let store = format!("{STORE}={}", self.store);
        match scope.and_then(|scope| levels(scope).last()) {
            Some((level, scope)) => format!("{store},{}={}", level_key(level), digest(scope)),
            None => store,
        }
    }
}

/// Narrows a selector by the tags that a filter asks for, those that can be labels. What it lets
/// through is still to be looked at.
pub(crate) fn narrowed(mut selector: String, filter: &CredentialFilter) -> String {
    for (key, value) in &filter.tags {
        if !is_own(key) && tags::KUBERNETES.takes(key, value) {
            selector.push_str(&format!(",{key}={value}"));
        }
    }
    selector
}

/// A scope and those above it, from the top, each with its depth.
fn levels(scope: &ScopeId) -> impl Iterator<Item = (usize, &str)> {
    let text = scope.as_str();
    let ends = text.match_indices('/').map(|(at, _)| at).chain([text.len()]);
    (1..).zip(ends.map(|end| text.get(..end).unwrap_or_default()))
}

fn level_key(level: usize) -> String {
    format!("{DOMAIN}scope-{level}")
}

/// `tags` are those that are not labels.
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

    fn marks() -> Marks {
        let names = Names::new(KUBERNETES, "secret_prefix", "app-").unwrap();
        Marks::new(names, &BTreeMap::from([("team".to_owned(), "a".to_owned())]), &BTreeMap::new())
    }

    fn tagged(key: &str, value: &str) -> CredentialMetadata {
        let mut tags = Tags::new();
        tags.insert(key, value).unwrap();
        CredentialMetadata::new(Timestamp::from_unix_millis(7)).with_tags(tags)
    }

    /// What Kubernetes makes of a selector of `key=value` and `!key`.
    fn selects(selector: &str, labels: &BTreeMap<String, String>) -> bool {
        selector.split(',').all(|term| match (term.strip_prefix('!'), term.split_once('=')) {
            (Some(key), _) => !labels.contains_key(key),
            (None, Some((key, value))) => labels.get(key).is_some_and(|found| found == value),
            (None, None) => false,
        })
    }

    #[test]
    fn a_selector_finds_exactly_a_scope_and_another_its_tree() {
        let marks = marks();
        let paths = ["key", "org:a/key", "org:a/team:x/key", "org:a/team:x/role:r/key", "org:ab/key"];
        let labels = paths.map(|path| {
            let path: CredentialPath = path.parse().unwrap();
            marks.of(path.as_path_ref(), &tagged("env", "prod")).unwrap().labels
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
    fn a_filter_narrows_by_what_can_be_a_label_and_by_nothing_else() {
        let filter = CredentialFilter::new().with_tag("env", "prod").with_tag("a b", "c").with_tag("x", "*");
        let filter = filter.with_tag("cred-rs.github.io/scope-1", "x").with_tag("empty", "");
        assert_eq!(narrowed("s=1".to_owned(), &filter), "s=1,empty=,env=prod");
    }

    #[test]
    fn a_tag_that_is_a_mark_or_a_default_label_is_refused() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        for key in ["cred-rs.github.io/scope-2", "cred-rs.github.io/store", "team"] {
            let error = marks().of(path.as_path_ref(), &tagged(key, "x")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn a_tag_that_cannot_be_a_label_is_in_the_annotation_and_others_are_not() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        for (key, value) in [("owner", "alice@example.com"), ("cost centre", "7"), ("url", &"u".repeat(64))] {
            let Marked { labels, annotations } = marks().of(path.as_path_ref(), &tagged(key, value)).unwrap();
            assert!(!labels.contains_key(key), "{labels:?}");
            let summary: Value = serde_json::from_str(&annotations[METADATA]).unwrap();
            assert_eq!(summary["tags"], json!({key: value}));
        }
        let Marked { labels, annotations } = marks().of(path.as_path_ref(), &tagged("env", "prod")).unwrap();
        assert_eq!(labels["env"], "prod");
        let summary: Value = serde_json::from_str(&annotations[METADATA]).unwrap();
        assert_eq!(summary.get("tags"), None);
    }

    #[test]
    fn a_tag_with_the_key_of_a_mark_or_a_default_label_is_refused_whatever_its_value() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        for key in ["cred-rs.github.io/scope-2", "cred-rs.github.io/any thing", "team"] {
            let error = marks().of(path.as_path_ref(), &tagged(key, "not a label")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert!(!error.to_string().contains("not a label"), "{error}");
        }
    }

    #[test]
    fn the_annotation_names_the_creator_where_one_is_recorded() {
        let path: CredentialPath = "org:a/key".parse().unwrap();
        let summary = |metadata: &CredentialMetadata| -> Value {
            let marked = marks().of(path.as_path_ref(), metadata).unwrap();
            serde_json::from_str(&marked.annotations[METADATA]).unwrap()
        };
        let metadata = tagged("env", "prod");
        assert_eq!(summary(&metadata).get("created_by"), None);
        let metadata = metadata.with_created_by(CreatedBy::from_static("payments"));
        assert_eq!(summary(&metadata)["created_by"], "payments");
    }

    /// Half of Kubernetes' 256 KiB is left to other users of the secret.
    #[test]
    fn the_most_tags_and_annotations_need_half_of_what_kubernetes_takes() {
        let tag = |n: usize| (format!("{n:02}{}", "\"".repeat(126)), "\\".repeat(Tags::MAX_VALUE_LEN));
        let tags: BTreeMap<_, _> = (0..Tags::MAX_COUNT).map(tag).collect();
        let metadata = tagged("env", "prod").with_tags(Tags::try_from(tags).unwrap());
        let defaults = BTreeMap::from([("a".to_owned(), "x".repeat(64 * 1_024 - 1))]);
        let names = Names::new(KUBERNETES, "secret_prefix", "app-").unwrap();
        let scope = vec!["a:b"; 128].join("/");
        let path: CredentialPath = format!("{scope}/{}", "k".repeat(255)).parse().unwrap();
        let marks = Marks::new(names, &BTreeMap::new(), &defaults);
        let annotations = marks.of(path.as_path_ref(), &metadata).unwrap().annotations;
        let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
        assert!((100_000..128 * 1_024).contains(&bytes), "{bytes}");
    }

    #[test]
    fn the_deepest_scope_has_labels_that_kubernetes_takes() {
        let scope = vec!["a:b"; 128].join("/");
        let path: CredentialPath = format!("{scope}/key").parse().unwrap();
        let labels = marks().of(path.as_path_ref(), &tagged("env", "prod")).unwrap().labels;
        assert_eq!(labels.len(), 128 + 3);
        let name_len = |key: &str| key.split_once('/').map_or(key.len(), |(_, name)| name.len());
        assert!(labels.iter().all(|(key, value)| name_len(key) <= 63 && value.len() <= 63));
    }
}
