//! Lists: pages of names, and values where neither name nor description contains the path.

use cred_core::{CredentialPath, ScopeId, StorageError, StorageResult};
use cred_provider_kit::Wire;
use cred_provider_kit::naming::{Decoded, Names};

use super::{SecretsManager, decode};
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
/// ([Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html)), and
/// of the longest name.
const LONGEST_FILTER: usize = 512;

impl SecretsManager {
    /// The paths in this scope and below it. Those of hashed names may be of any scope.
    pub(super) async fn listed(
        &self,
        wire: &mut Wire<'_>,
        scope: Option<&ScopeId>,
        which: Which,
    ) -> StorageResult<Vec<CredentialPath>> {
        let mut entries = Vec::new();
        match scope {
            None => self.entries(wire, self.names.prefix(), which, &mut entries).await?,
            // Hashed names tell nothing of their scopes. AWS does not say what a filter of two
            // values means.
            Some(_) => {
                let prefix = self.names.scope_prefix(scope);
                // Where no name has room behind it all are hashed, and AWS takes no longer value of
                // a filter.
                if prefix.len() < LONGEST_FILTER {
                    self.entries(wire, &prefix, which, &mut entries).await?;
                }
                self.entries(wire, &self.names.hashed_prefix(), which, &mut entries).await?;
            }
        }
        let (mut paths, lost) = paths_of(&self.names, entries);
        match which {
            Which::Live => paths.extend(self.lost(wire, &lost).await?),
            // The value of what is scheduled for deletion cannot be read.
            Which::Scheduled => lost.first().map_or(Ok(()), |name| Err(nameless(name)))?,
        }
        Ok(paths)
    }

    /// All secrets whose names begin so: every page, or an error.
    async fn entries(
        &self,
        wire: &mut Wire<'_>,
        prefix: &str,
        which: Which,
        all: &mut Vec<Entry>,
    ) -> StorageResult<()> {
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

    /// The paths of hashed names whose description somebody has changed: their values hold them
    /// too.
    async fn lost(&self, wire: &mut Wire<'_>, names: &[String]) -> StorageResult<Vec<CredentialPath>> {
        let mut paths = Vec::new();
        for (name, value) in names.iter().zip(self.values(wire, names).await) {
            match decode(value) {
                // Deleted since the names were read.
                Ok(None) => {}
                // An outage does not show what the value holds.
                Err(error) if !error.is_corrupted() => return Err(error),
                file => {
                    let path = file.ok().flatten().and_then(|file| file.path);
                    let path = path.filter(|path| self.names.encode(path.as_path_ref()).text == *name);
                    paths.push(path.ok_or_else(|| nameless(name))?);
                }
            }
        }
        Ok(paths)
    }
}

/// The paths of listed secrets, and the names of hashed ones whose description is not their path.
pub(super) fn paths_of(names: &Names, entries: Vec<Entry>) -> (Vec<CredentialPath>, Vec<String>) {
    let (mut paths, mut lost) = (Vec::new(), Vec::new());
    for entry in entries {
        match names.decode(&entry.name) {
            Decoded::Exact(path) => paths.push(path),
            Decoded::Foreign => {}
            Decoded::Hashed => {
                let path = entry.description.as_deref().and_then(|text| text.parse::<CredentialPath>().ok());
                match path.filter(|path| names.encode(path.as_path_ref()).text == entry.name) {
                    Some(path) => paths.push(path),
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
