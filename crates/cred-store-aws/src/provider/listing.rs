//! Lists: pages of names, and the values where a filter needs them.

use std::collections::BTreeSet;

use cred_core::{CredentialFilter, CredentialPath, Operation, ScopeId, StorageError};
use cred_provider_kit::Wire;
use cred_provider_kit::naming::{Decoded, Names};

use super::{Inner, decode};
use crate::client::Entry;

/// How often a listing begins anew whose token no longer counts.
const BEGINNINGS: u32 = 3;

/// Which secrets are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Live,
    /// Those that are scheduled for deletion.
    Scheduled,
}

/// Bytes of a value that a list is filtered by
/// ([Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html)), and of the longest name.
const LONGEST_FILTER: usize = 512;

impl Inner {
    /// The paths in this scope and below it, each once.
    pub(super) async fn paths(
        &self,
        wire: &mut Wire<'_>,
        scope: Option<&ScopeId>,
        which: Which,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let mut entries = Vec::new();
        match scope {
            None => self.entries(wire, self.names.prefix(), which, &mut entries).await?,
            // Hashed names tell nothing of their scopes. AWS does not say what a filter of two values means.
            Some(_) => {
                let prefix = self.names.scope_prefix(scope);
                // Where no name has room behind it all are hashed, and AWS takes no longer value of a filter.
                if prefix.len() < LONGEST_FILTER {
                    self.entries(wire, &prefix, which, &mut entries).await?;
                }
                self.entries(wire, &self.names.hashed_prefix(), which, &mut entries).await?;
            }
        }
        let within = |path: &CredentialPath| path.is_within(scope);
        let (mut paths, lost) = paths_of(&self.names, entries);
        paths.retain(within);
        let found = match which {
            Which::Live => self.lost(wire, &lost).await?,
            // The value of what is scheduled for deletion cannot be read.
            Which::Scheduled => lost.first().map_or(Ok(Vec::new()), |name| Err(nameless(name)))?,
        };
        paths.extend(found.into_iter().filter(within));
        Ok(paths.into_iter().collect())
    }

    /// The paths of credentials that are there and that the filter admits.
    pub(super) async fn admitted(
        &self,
        wire: &mut Wire<'_>,
        operation: Operation,
        paths: Vec<CredentialPath>,
        filter: Option<&CredentialFilter>,
    ) -> Result<Vec<CredentialPath>, StorageError> {
        let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(paths) };
        let names: Vec<_> = paths.iter().map(|path| self.names.encode(path.as_ref()).text).collect();
        let mut admitted = Vec::new();
        for (path, value) in paths.into_iter().zip(self.values(wire, &names).await) {
            match value.and_then(|value| decode(&value)) {
                Ok(file) if filter.matches(&file.metadata) => admitted.push(path),
                Ok(_) => {}
                // Deleted since.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.at(self.description.name.clone(), operation, path)),
            }
        }
        Ok(admitted)
    }

    /// All secrets whose names begin so: every page, or an error.
    async fn entries(
        &self,
        wire: &mut Wire<'_>,
        prefix: &str,
        which: Which,
        all: &mut Vec<Entry>,
    ) -> Result<(), StorageError> {
        let scheduled = which == Which::Scheduled;
        for _ in 0..BEGINNINGS {
            let mut entries = Vec::new();
            let mut next = None;
            while let Some(page) = wire.read(|_| self.client.list(prefix, scheduled, next.as_deref())).await?
            {
                entries.extend(page.entries);
                next = page.next;
                if next.is_none() {
                    all.extend(entries.into_iter().filter(|entry| entry.scheduled == scheduled));
                    return Ok(());
                }
            }
        }
        Err(StorageError::unavailable("AWS forgets a listing before it has ended"))
    }

    /// The paths of hashed names whose description somebody has changed: their values hold them too.
    async fn lost(&self, wire: &mut Wire<'_>, names: &[String]) -> Result<Vec<CredentialPath>, StorageError> {
        let mut paths = Vec::new();
        for (name, value) in names.iter().zip(self.values(wire, names).await) {
            match value.and_then(|value| decode(&value)) {
                Err(error) if error.is_not_found() => {}
                file => {
                    let path = file.ok().and_then(|file| file.path);
                    let path = path.filter(|path| self.names.encode(path.as_ref()).text == *name);
                    paths.push(path.ok_or_else(|| nameless(name))?);
                }
            }
        }
        Ok(paths)
    }
}

/// The paths of listed secrets, and the names of hashed ones whose description is not their path.
pub(super) fn paths_of(names: &Names, entries: Vec<Entry>) -> (BTreeSet<CredentialPath>, Vec<String>) {
    let (mut paths, mut lost) = (BTreeSet::new(), Vec::new());
    for entry in entries {
        match names.decode(&entry.name) {
            Decoded::Exact(path) => drop(paths.insert(path)),
            Decoded::Foreign => {}
            Decoded::Hashed => {
                let path = entry.description.as_deref().and_then(|text| text.parse::<CredentialPath>().ok());
                match path.filter(|path| names.encode(path.as_ref()).text == entry.name) {
                    Some(path) => drop(paths.insert(path)),
                    None => lost.push(entry.name),
                }
            }
        }
    }
    (paths, lost)
}

fn nameless(name: &str) -> StorageError {
    StorageError::corrupted(format!(
        "neither the description nor the value of the secret `{name}` tells its path; set the description to the path"
    ))
}
