//! Lists: one call for each scope, and one more for each credential that must be looked into.

use cred_core::{CredentialPath, ScopeId};
use cred_provider_kit::naming::{Decoded, Names};
use cred_provider_kit::{Reach, Wire};

use super::Vault;
use crate::client::Found;
use crate::error::Failure;
use crate::versions::Current;

/// What is directly in a scope's folder.
pub(super) struct Folder {
    pub(super) paths: Vec<CredentialPath>,
    /// Scopes one level below. Whatever else lies there is not ours.
    pub(super) scopes: Vec<ScopeId>,
}

/// Credentials by what became of them.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) live: Vec<CredentialPath>,
    pub(super) deleted: Vec<CredentialPath>,
}

impl Vault {
    /// The names in reach; those of deleted credentials among them.
    pub(super) async fn names(
        &self,
        wire: &mut Wire<'_>,
        reach: Reach<'_>,
    ) -> Result<Vec<CredentialPath>, Failure> {
        match reach {
            Reach::Scope(scope) => Ok(self.names_in(wire, scope).await?.paths),
            Reach::Tree(scope) => self.names_below(wire, scope).await,
        }
    }

    async fn names_in(&self, wire: &mut Wire<'_>, scope: Option<&ScopeId>) -> Result<Folder, Failure> {
        let folder = &self.names.scope_prefix(scope);
        let keys =
            self.read(wire, |session| async move { self.client.list(session.token(), folder).await }).await?;
        Ok(sort_keys(&self.names, scope, keys))
    }

    /// One call for each scope, some at once.
    async fn names_below(
        &self,
        wire: &mut Wire<'_>,
        scope: Option<&ScopeId>,
    ) -> Result<Vec<CredentialPath>, Failure> {
        let Folder { mut paths, mut scopes } = self.names_in(wire, scope).await?;
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

    /// Tells what is there from what is deleted: by the versions, and by the server's clock where
    /// these name a time.
    pub(super) async fn sort(
        &self,
        wire: &mut Wire<'_>,
        paths: Vec<CredentialPath>,
    ) -> Result<Sorted, Failure> {
        let names = self.names_of(&paths);
        let versions = self
            .read_all(wire, &names, |session, name| async move {
                self.client.versions(session.token(), name).await
            })
            .await?;
        let mut sorted = Sorted::default();
        let mut dated = Vec::new();
        for (path, versions) in paths.into_iter().zip(versions) {
            match versions.current() {
                Current::Live => sorted.live.push(path),
                Current::Dated => dated.push(path),
                Current::Absent | Current::Destroyed => {}
            }
        }
        let found = self.look(wire, &dated).await?;
        for (path, found) in dated.into_iter().zip(found) {
            match found {
                Found::Live(_) => sorted.live.push(path),
                Found::Deleted { .. } => sorted.deleted.push(path),
                Found::Absent | Found::Destroyed { .. } => {}
            }
        }
        Ok(sorted)
    }

    pub(super) async fn look(
        &self,
        wire: &mut Wire<'_>,
        paths: &[CredentialPath],
    ) -> Result<Vec<Found>, Failure> {
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
                // A segment of a prefix below this one has no level and value, and is none.
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
    fn a_repeated_key_is_listed_once_and_a_deeper_one_not_at_all() {
        let names = Names::new(VAULT, "path_prefix", "nebula/").unwrap();
        let keys = ["key", "org:a/", "key", "org:a/", "org:a/team:x/", "org:a/key"];
        let folder = sort_keys(&names, None, keys.map(str::to_owned).into());
        assert_eq!(folder.paths, ["key".parse().unwrap()]);
        assert_eq!(folder.scopes, ["org:a".parse().unwrap()]);
    }
}
