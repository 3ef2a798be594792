//! The labels and annotations by which a secret is known to be ours, and found.

use std::collections::BTreeMap;

use cred_core::{
    CredentialFilter, CredentialMetadata, CredentialPath, PathRef, ScopeId, StorageError, StorageResult, Tags,
};
use cred_provider_kit::naming::{Names, digest};
use cred_provider_kit::tags;
use serde_json::json;

use crate::client::Identity;

/// What the keys of this library's own labels and annotations begin with.
const DOMAIN: &str = "cred-rs.github.io/";
/// The label that says in which store a secret is: the digest of the prefix of its names.
pub(crate) const STORE: &str = "cred-rs.github.io/store";
/// The annotation with the exact path.
pub(crate) const PATH: &str = "cred-rs.github.io/path";
/// The annotation with what the envelope says of the credential, for who looks at the secret. Nothing is decided by it.
const METADATA: &str = "cred-rs.github.io/metadata";

/// The annotation that no two writes have in common: Kubernetes takes a write that changes nothing for none, and its secret would keep
/// its version.
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

    /// The labels and annotations of a credential. Tags become labels, all of them or none.
    pub(crate) fn of(&self, path: PathRef<'_>, metadata: &CredentialMetadata) -> StorageResult<Marked> {
        // One beside those that this credential has would make it another scope's for a selector.
        if let Some(key) = metadata.tags.keys().find(|key| is_own(key)) {
            return Err(StorageError::invalid_request(format!(
                "tag `{key}` begins with `{DOMAIN}`, which is this library's own; use another key"
            )));
        }
        let mut own = self.labels.clone();
        own.insert(STORE.to_owned(), self.store.clone());
        if let Some(scope) = path.scope {
            own.extend(levels(scope).map(|(level, scope)| (level_key(level), digest(scope))));
        }
        let labels = tags::KUBERNETES.project(&metadata.tags, &own)?;
        let mut annotations = self.annotations.clone();
        annotations.insert(PATH.to_owned(), path.to_string());
        annotations.insert(METADATA.to_owned(), summary(metadata));
        annotations.insert(WRITE.to_owned(), format!("{:016x}", fastrand::u64(..)));
        Ok(Marked { labels, annotations })
    }

    /// Whether a secret that lies under the name of a path is the credential of that path. Whatever else lies there is
    /// somebody else's.
    pub(crate) fn owns(&self, secret: &Identity, path: PathRef<'_>) -> bool {
        let labelled = secret.store() == Some(self.store.as_str());
        labelled && secret.path().is_some_and(|text| text == path.to_string())
    }

    /// Which credential a listed secret is; `None`: none of this store's, or one that is on its way out.
    pub(crate) fn path_of(&self, secret: &Identity) -> Option<CredentialPath> {
        let path: CredentialPath = secret.path()?.parse().ok()?;
        let ours = !secret.is_terminating()
            && secret.store() == Some(self.store.as_str())
            && self.name(path.as_ref()) == secret.name();
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

/// Narrows a selector by the tags that a filter asks for, those that can be labels. What it lets through is still to be looked at.
pub(crate) fn narrowed(mut selector: String, filter: &CredentialFilter) -> String {
    for (key, value) in &filter.tags {
        let one = Tags::try_from(BTreeMap::from([(key.clone(), value.clone())]));
        if !is_own(key) && one.is_ok_and(|one| tags::KUBERNETES.project(&one, &BTreeMap::new()).is_ok()) {
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

fn summary(metadata: &CredentialMetadata) -> String {
    let mut summary = json!({
        "created_at": metadata.created_at.as_unix_millis(),
        "last_modified": metadata.last_modified.as_unix_millis(),
        "version": metadata.version,
    });
    if let (Some(expires_at), Some(fields)) = (metadata.expires_at, summary.as_object_mut()) {
        fields.insert("expires_at".to_owned(), expires_at.as_unix_millis().into());
    }
    summary.to_string()
}

#[cfg(test)]
mod tests {
    use cred_core::Timestamp;
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
            marks.of(path.as_ref(), &tagged("env", "prod")).unwrap().labels
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
            let error = marks().of(path.as_ref(), &tagged(key, "x")).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn the_deepest_scope_has_labels_that_kubernetes_takes() {
        let scope = vec!["a:b"; 128].join("/");
        let path: CredentialPath = format!("{scope}/key").parse().unwrap();
        let labels = marks().of(path.as_ref(), &tagged("env", "prod")).unwrap().labels;
        assert_eq!(labels.len(), 128 + 3);
        let name_len = |key: &str| key.split_once('/').map_or(key.len(), |(_, name)| name.len());
        assert!(labels.iter().all(|(key, value)| name_len(key) <= 63 && value.len() <= 63));
    }
}
