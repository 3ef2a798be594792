//! Lists: one request for each scope, and more for each credential whose state is needed.

use cred_core::{CredentialPath, ScopeId};
use cred_provider_kit::naming::{Decoded, Names};
use cred_provider_kit::{ListRange, Wire};

use super::Vault;
use crate::client::SecretState;
use crate::error::CallFailure;
use crate::versions::CurrentVersion;

/// The credentials and scopes directly in the folder of a scope.
pub(super) struct Folder {
    pub(super) paths: Vec<CredentialPath>,
    /// Scopes one level below. Other names do not belong to this store.
    pub(super) scopes: Vec<ScopeId>,
}

/// Credentials by their state.
#[derive(Default)]
pub(super) struct ByState {
    pub(super) live: Vec<CredentialPath>,
    pub(super) deleted: Vec<CredentialPath>,
}

impl Vault {
    /// Lists the names in reach, including those of deleted credentials.
    pub(super) async fn list_names(
        &self,
        wire: &mut Wire<'_>,
        reach: ListRange<'_>,
    ) -> Result<Vec<CredentialPath>, CallFailure> {
        match reach {
            ListRange::Scope(scope) => Ok(self.list_folder(wire, scope).await?.paths),
            ListRange::Tree(scope) => self.list_tree(wire, scope).await,
        }
    }

    async fn list_folder(&self, wire: &mut Wire<'_>, scope: Option<&ScopeId>) -> Result<Folder, CallFailure> {
        let folder = &self.names.scope_prefix(scope);
        let keys =
            self.read(wire, |session| async move { self.client.list(session.token(), folder).await }).await?;
        Ok(sort_keys(&self.names, scope, keys))
    }

    /// Lists each scope with one request, several at the same time.
    async fn list_tree(
        &self,
        wire: &mut Wire<'_>,
        scope: Option<&ScopeId>,
    ) -> Result<Vec<CredentialPath>, CallFailure> {
        let Folder { mut paths, mut scopes } = self.list_folder(wire, scope).await?;
        while !scopes.is_empty() {
            let folders: Vec<_> = scopes.iter().map(|scope| self.names.scope_prefix(Some(scope))).collect();
            let keys = self
                .read_all(wire, &folders, |session, folder| async move {
                    self.client.list(session.token(), folder).await
                })
                .await?;
            let mut below = Vec::new();
            for (scope, keys) in scopes.iter().zip(keys) {
                let folder = sort_keys(&self.names, Some(scope), keys);
                paths.extend(folder.paths);
                below.extend(folder.scopes);
            }
            scopes = below;
        }
        Ok(paths)
    }

    /// Separates existing credentials from deleted ones: by their versions, and by reading those
    /// whose version has a deletion time.
    pub(super) async fn split_by_state(
        &self,
        wire: &mut Wire<'_>,
        paths: Vec<CredentialPath>,
    ) -> Result<ByState, CallFailure> {
        let names = self.names_of(&paths);
        let versions = self
            .read_all(wire, &names, |session, name| async move {
                self.client.versions(session.token(), name).await
            })
            .await?;
        let mut sorted = ByState::default();
        let mut dated = Vec::new();
        for (path, versions) in paths.into_iter().zip(versions) {
            match versions.current() {
                CurrentVersion::Live => sorted.live.push(path),
                CurrentVersion::HasDeletionTime => dated.push(path),
                CurrentVersion::Absent | CurrentVersion::Destroyed => {}
            }
        }
        let found = self.read_states(wire, &dated).await?;
        for (path, found) in dated.into_iter().zip(found) {
            match found {
                SecretState::Live(_) => sorted.live.push(path),
                SecretState::Deleted { .. } => sorted.deleted.push(path),
                SecretState::Absent | SecretState::Destroyed { .. } => {}
            }
        }
        Ok(sorted)
    }

    pub(super) async fn read_states(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> Result<Vec<SecretState>, CallFailure> {
        let names = self.names_of(paths);
        self.read_all(
            wire,
            &names,
            |session, name| async move { self.client.read(session.token(), name).await },
        )
        .await
    }

    fn names_of(&self, paths: &[CredentialPath]) -> Vec<String> {
        paths.iter().map(|path| self.names.encode(path.as_path_ref()).text).collect()
    }
}

/// Sorts the keys of a folder into credentials and scopes. Each is listed once, even if the server
/// repeats a key.
pub(super) fn sort_keys(names: &Names, scope: Option<&ScopeId>, mut keys: Vec<String>) -> Folder {
    keys.sort_unstable();
    keys.dedup();
    let prefix = names.scope_prefix(scope);
    let mut folder = Folder { paths: Vec::new(), scopes: Vec::new() };
    for key in keys {
        match key.strip_suffix('/') {
            Some(part) => {
                let text = scope.map_or_else(|| part.to_owned(), |scope| format!("{scope}/{part}"));
                // A segment without a level and a value is not a scope, such as that of a longer
                // prefix.
                let below = text.parse().ok();
                folder.scopes.extend(below.filter(|below: &ScopeId| below.parent().as_ref() == scope));
            }
            None => match names.decode(&format!("{prefix}{key}")) {
                Decoded::Exact(path) if path.scope.as_ref() == scope => folder.paths.push(path),
                _ => {}
            },
        }
    }
    folder
}

#[cfg(test)]
mod tests {
    use cred_provider_kit::naming::VAULT;

    use super::*;

    #[test]
    fn a_repeated_key_is_listed_once_and_a_deeper_key_is_left_out() {
        let names = Names::new(VAULT, "path_prefix", "nebula/").unwrap();
        let keys = ["key", "org:a/", "key", "org:a/", "org:a/team:x/", "org:a/key"];
        let folder = sort_keys(&names, None, keys.map(str::to_owned).into());
        assert_eq!(folder.paths, ["key".parse().unwrap()]);
        assert_eq!(folder.scopes, ["org:a".parse().unwrap()]);
    }
}
