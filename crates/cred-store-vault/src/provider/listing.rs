//! Lists: one call for each scope, and one more for each credential that must be looked into.

use cred_core::{CredentialFilter, CredentialPath, Operation, ScopeId};
use cred_provider_kit::naming::{Decoded, Names};

use super::calls::Calls;
use super::{Inner, decode};
use crate::client::{Current, Found};
use crate::error::Failure;

/// What is directly in a scope's folder.
pub(super) struct Folder {
    pub(super) paths: Vec<CredentialPath>,
    /// Scopes one level below. Whatever else lies there is not ours.
    pub(super) scopes: Vec<ScopeId>,
}

/// Credentials by what became of them.
#[derive(Default)]
struct Apart {
    live: Vec<CredentialPath>,
    deleted: Vec<CredentialPath>,
}

impl Inner {
    /// The names in exactly this scope; those of deleted credentials among them.
    pub(super) async fn names_in(
        &self,
        calls: &mut Calls<'_, '_>,
        scope: Option<&ScopeId>,
    ) -> Result<Folder, Failure> {
        let folder = &self.names.scope_prefix(scope);
        let keys =
            calls.read(|session| async move { self.client.list(session.token(), folder).await }).await?;
        Ok(sort_keys(&self.names, scope, keys))
    }

    /// The names in this scope and below it: one call for each scope, some at once.
    pub(super) async fn names_below(
        &self,
        calls: &mut Calls<'_, '_>,
        scope: Option<&ScopeId>,
    ) -> Result<Vec<CredentialPath>, Failure> {
        let Folder { mut paths, mut scopes } = self.names_in(calls, scope).await?;
        while !scopes.is_empty() {
            let folders: Vec<_> = scopes.iter().map(|scope| self.names.scope_prefix(Some(scope))).collect();
            let keys = calls
                .read_each(&folders, |session, index| {
                    let folder = folders.get(index).map_or("", String::as_str);
                    async move { self.client.list(session.token(), folder).await }
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

    /// The paths of credentials that are there and that the filter admits.
    pub(super) async fn admitted(
        &self,
        calls: &mut Calls<'_, '_>,
        operation: Operation,
        paths: Vec<CredentialPath>,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, Failure> {
        let filter = filter.filter(|filter| !filter.is_empty());
        match filter {
            None if !self.soft => Ok(paths),
            None => Ok(self.apart(calls, paths).await?.live),
            Some(filter) => {
                let found = self.look(calls, &paths).await?;
                let mut admitted = Vec::new();
                for (path, found) in paths.into_iter().zip(found) {
                    let Found::Live(secret) = found else { continue };
                    match decode(&secret) {
                        Ok(file) if filter.matches(&file.metadata) => admitted.push(path),
                        Ok(_) => {}
                        Err(error) => {
                            return Err(error.at(self.description.name.clone(), operation, path).into());
                        }
                    }
                }
                Ok(admitted)
            }
        }
    }

    /// Those of them that can be recovered.
    pub(super) async fn deleted(
        &self,
        calls: &mut Calls<'_, '_>,
        paths: Vec<CredentialPath>,
    ) -> Result<Vec<CredentialPath>, Failure> {
        Ok(self.apart(calls, paths).await?.deleted)
    }

    /// Tells what is there from what is deleted: by the versions, and by the server's clock where these name a time.
    async fn apart(&self, calls: &mut Calls<'_, '_>, paths: Vec<CredentialPath>) -> Result<Apart, Failure> {
        let names = self.names_of(&paths);
        let versions = calls
            .read_each(&names, |session, index| {
                let name = names.get(index).map_or("", String::as_str);
                async move { self.client.versions(session.token(), name).await }
            })
            .await?;
        let mut apart = Apart::default();
        let mut dated = Vec::new();
        for (path, versions) in paths.into_iter().zip(versions) {
            match versions.current {
                Current::Live => apart.live.push(path),
                Current::Dated => dated.push(path),
                Current::Absent | Current::Destroyed => {}
            }
        }
        let found = self.look(calls, &dated).await?;
        for (path, found) in dated.into_iter().zip(found) {
            match found {
                Found::Live(_) => apart.live.push(path),
                Found::Deleted { .. } => apart.deleted.push(path),
                Found::Absent | Found::Destroyed { .. } => {}
            }
        }
        Ok(apart)
    }

    async fn look(&self, calls: &mut Calls<'_, '_>, paths: &[CredentialPath]) -> Result<Vec<Found>, Failure> {
        let names = self.names_of(paths);
        calls
            .read_each(&names, |session, index| {
                let name = names.get(index).map_or("", String::as_str);
                async move { self.client.read(session.token(), name).await }
            })
            .await
    }

    fn names_of(&self, paths: &[CredentialPath]) -> Vec<String> {
        paths.iter().map(|path| self.names.encode(path.as_ref()).text).collect()
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
