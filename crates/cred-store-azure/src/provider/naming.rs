//! What the vault calls a credential, and the way back.

use std::collections::BTreeMap;

use cred_core::{CredentialPath, PathRef, StorageError, StorageResult, Tags};
use cred_provider_kit::naming::{Decoded, Names};
use cred_provider_kit::tags;

use crate::client::Item;

/// The tags that hold the path of a hashed name begin so; a number follows.
pub(crate) const PATH_TAG: &str = "cred-path-";

/// Bytes of a tag's value.
const TAG_LEN: usize = 256;

/// The longest path has 512 bytes of scope, a slash and 255 of id.
const PATH_TAGS: usize = 3;

/// Names and the provider's own tags.
pub(super) struct Naming {
    names: Names,
    default_tags: BTreeMap<String, String>,
}

impl Naming {
    pub(super) fn new(names: Names, default_tags: BTreeMap<String, String>) -> Self {
        Self { names, default_tags }
    }

    pub(super) fn prefix(&self) -> &str {
        self.names.prefix()
    }

    /// How many tags are the provider's at the most.
    pub(super) fn own_tags(&self) -> usize {
        self.default_tags.len() + PATH_TAGS
    }

    pub(super) fn name(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    /// A name with all tags of the secret.
    ///
    /// # Errors
    /// A tag that Azure does not take, or that is the provider's own.
    pub(super) fn tagged(
        &self,
        path: PathRef<'_>,
        credentials: &Tags,
    ) -> StorageResult<(String, BTreeMap<String, String>)> {
        let name = self.names.encode(path);
        let mut own = self.default_tags.clone();
        if name.hashed {
            let text = path.to_string();
            // Paths are ASCII.
            for (number, part) in text.as_bytes().chunks(TAG_LEN).enumerate() {
                own.insert(format!("{PATH_TAG}{number}"), String::from_utf8_lossy(part).into_owned());
            }
        }
        Ok((name.text, tags::AZURE.project(credentials, &own)?))
    }

    /// What a secret of a list stands for; `None`: it is somebody else's.
    ///
    /// # Errors
    /// `Corrupted` where the tags of a hashed name do not tell its path.
    pub(super) fn path(&self, item: &Item) -> StorageResult<Option<CredentialPath>> {
        match self.names.decode(&item.name) {
            Decoded::Exact(path) => Ok(Some(path)),
            Decoded::Foreign => Ok(None),
            Decoded::Hashed => {
                let parts = (0..PATH_TAGS).map_while(|number| item.tags.get(&format!("{PATH_TAG}{number}")));
                let text: String = parts.map(String::as_str).collect();
                let path = text.parse::<CredentialPath>().ok();
                let path = path.filter(|path| self.name(path.as_path_ref()).eq_ignore_ascii_case(&item.name));
                path.map(Some).ok_or_else(|| {
                    StorageError::corrupted(format!(
                        "the tags `{PATH_TAG}0` and following of the secret `{}` do not tell its path",
                        item.name
                    ))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use cred_core::{CredentialId, ScopeId};
    use cred_provider_kit::naming::AZURE;

    use super::*;

    fn naming() -> Naming {
        let default_tags = BTreeMap::from([("team".to_owned(), "payments".to_owned())]);
        Naming::new(Names::new(AZURE, "secret_prefix", "app-").unwrap(), default_tags)
    }

    fn longest() -> CredentialPath {
        let id: CredentialId = "i".repeat(255).parse().unwrap();
        let scope: ScopeId = format!("{}:{}", "l".repeat(255), "v".repeat(256)).parse().unwrap();
        CredentialPath { scope: Some(scope), id }
    }

    #[test]
    fn the_longest_path_comes_back_from_its_tags() {
        let path = longest();
        let (name, tags) = naming().tagged(path.as_path_ref(), &Tags::new()).unwrap();
        assert!(name.len() <= 127, "{name}");
        assert_eq!(tags.len(), naming().own_tags());
        assert!(tags.values().all(|value| value.len() <= TAG_LEN));
        let item = Item { name: name.to_uppercase(), tags };
        assert_eq!(naming().path(&item).unwrap(), Some(path));
    }

    #[test]
    fn a_hashed_name_without_its_tags_is_an_error_and_not_passed_over() {
        let path = longest();
        let (name, mut tags) = naming().tagged(path.as_path_ref(), &Tags::new()).unwrap();
        tags.insert("cred-path-1".to_owned(), "x".to_owned());
        for tags in [tags, BTreeMap::new()] {
            let error = naming().path(&Item { name: name.clone(), tags }).unwrap_err();
            assert!(error.to_string().contains(&name), "{error}");
        }
    }

    #[test]
    fn what_is_somebody_elses_is_passed_over() {
        for name in ["other-key", "app-", "app--", "app-A_B"] {
            let item = Item { name: name.to_owned(), tags: BTreeMap::new() };
            assert_eq!(naming().path(&item).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn a_tag_of_the_providers_own_is_refused() {
        let mut tags = Tags::new();
        tags.insert("team", "other").unwrap();
        let path: CredentialPath = "key".parse().unwrap();
        assert!(naming().tagged(path.as_path_ref(), &tags).unwrap_err().to_string().contains("`team`"));
    }
}
