//! Encoding of credential paths as secret names, and decoding.

use std::collections::BTreeMap;

use cred_core::{CredentialPath, PathRef, StorageError, StorageResult, Tags};
use cred_provider_kit::naming::{Decoded, Names};
use cred_provider_kit::tags;

use crate::client::ListedSecret;

/// Key prefix of the tags that contain the path of a hashed name; a number follows.
pub(crate) const PATH_TAG: &str = "cred-path-";

/// Maximum length of the value of a path tag in bytes.
const PATH_TAG_LEN: usize = 256;

/// Maximum number of path tags: the longest path has a scope of 512 bytes, a slash and an id of
/// 255 bytes.
const MAX_PATH_TAGS: usize = 3;

/// The names and the tags of secrets.
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

    /// Returns the maximum number of tags that the provider sets itself.
    pub(super) fn max_own_tags(&self) -> usize {
        self.default_tags.len() + MAX_PATH_TAGS
    }

    pub(super) fn name(&self, path: PathRef<'_>) -> String {
        self.names.encode(path).text
    }

    /// Returns the name and all tags of a secret.
    ///
    /// # Errors
    /// A tag of the credential is invalid in Azure, or reserved for the provider.
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
            for (number, part) in text.as_bytes().chunks(PATH_TAG_LEN).enumerate() {
                own.insert(format!("{PATH_TAG}{number}"), String::from_utf8_lossy(part).into_owned());
            }
        }
        Ok((name.text, tags::AZURE.project(credentials, &own)?))
    }

    /// Returns the path of a listed secret; `None` if the secret does not belong to this provider.
    ///
    /// # Errors
    /// `Corrupted` if the name is hashed and the tags do not contain its path.
    pub(super) fn path(&self, secret: &ListedSecret) -> StorageResult<Option<CredentialPath>> {
        match self.names.decode(&secret.name) {
            Decoded::Exact(path) => Ok(Some(path)),
            Decoded::Foreign => Ok(None),
            Decoded::Hashed => {
                let parts =
                    (0..MAX_PATH_TAGS).map_while(|number| secret.tags.get(&format!("{PATH_TAG}{number}")));
                let text: String = parts.map(String::as_str).collect();
                let path = text.parse::<CredentialPath>().ok();
                let path =
                    path.filter(|path| self.name(path.as_path_ref()).eq_ignore_ascii_case(&secret.name));
                path.map(Some).ok_or_else(|| {
                    StorageError::corrupted(format!(
                        "the `{PATH_TAG}*` tags of the secret `{}` do not contain its path",
                        secret.name
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
    fn the_longest_path_is_restored_from_its_tags() {
        let path = longest();
        let (name, tags) = naming().tagged(path.as_path_ref(), &Tags::new()).unwrap();
        assert!(name.len() <= 127, "{name}");
        assert_eq!(tags.len(), naming().max_own_tags());
        assert!(tags.values().all(|value| value.len() <= PATH_TAG_LEN));
        let secret = ListedSecret { name: name.to_uppercase(), tags };
        assert_eq!(naming().path(&secret).unwrap(), Some(path));
    }

    #[test]
    fn a_hashed_name_without_its_path_tags_is_an_error() {
        let path = longest();
        let (name, mut tags) = naming().tagged(path.as_path_ref(), &Tags::new()).unwrap();
        tags.insert("cred-path-1".to_owned(), "x".to_owned());
        for tags in [tags, BTreeMap::new()] {
            let error = naming().path(&ListedSecret { name: name.clone(), tags }).unwrap_err();
            assert!(error.to_string().contains(&name), "{error}");
        }
    }

    #[test]
    fn names_of_other_programs_are_ignored() {
        for name in ["other-key", "app-", "app--", "app-A_B"] {
            let secret = ListedSecret { name: name.to_owned(), tags: BTreeMap::new() };
            assert_eq!(naming().path(&secret).unwrap(), None, "{name}");
        }
    }

    #[test]
    fn a_tag_that_the_provider_sets_is_refused() {
        let mut tags = Tags::new();
        tags.insert("team", "other").unwrap();
        let path: CredentialPath = "key".parse().unwrap();
        assert!(naming().tagged(path.as_path_ref(), &tags).unwrap_err().to_string().contains("`team`"));
    }
}
