//! Lists: pages of names, and values where neither name nor description contains the path.

use cred_core::{CredentialPath, ScopeId, StorageError, StorageResult};
use cred_provider_kit::Wire;
use cred_provider_kit::naming::{Decoded, Names};

use super::{SecretsManager, decode};
use crate::client::ListedSecret;

/// How often a listing begins anew whose token no longer counts.
const MAX_LIST_STARTS: u32 = 3;

/// Which secrets are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListedState {
    Live,
    /// Those that are scheduled for deletion.
    Scheduled,
}

/// Bytes of a value that a list is filtered by
/// ([Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html)), and
/// of the longest name.
const MAX_FILTER_LEN: usize = 512;

impl SecretsManager {
    /// The paths in this scope and below it. Those of hashed names may be of any scope.
    pub(super) async fn list_paths(
        &self,
        wire: &mut Wire<'_>,
        scope: Option<&ScopeId>,
        listed: ListedState,
    ) -> StorageResult<Vec<CredentialPath>> {
        let mut secrets = Vec::new();
        match scope {
            None => self.list_secrets(wire, self.names.prefix(), listed, &mut secrets).await?,
            // Hashed names tell nothing of their scopes. AWS does not say what a filter of two
            // values means.
            Some(_) => {
                let prefix = self.names.scope_prefix(scope);
                // Where no name has room behind it all are hashed, and AWS takes no longer value of
                // a filter.
                if prefix.len() < MAX_FILTER_LEN {
                    self.list_secrets(wire, &prefix, listed, &mut secrets).await?;
                }
                self.list_secrets(wire, &self.names.hashed_prefix(), listed, &mut secrets).await?;
            }
        }
        let (mut paths, without_path) = paths_of(&self.names, secrets);
        match listed {
            ListedState::Live => paths.extend(self.paths_from_values(wire, &without_path).await?),
            // The value of what is scheduled for deletion cannot be read.
            ListedState::Scheduled => {
                without_path.first().map_or(Ok(()), |name| Err(unknown_path_error(name)))?
            }
        }
        Ok(paths)
    }

    /// All secrets whose names begin so: every page, or an error.
    async fn list_secrets(
        &self,
        wire: &mut Wire<'_>,
        prefix: &str,
        listed: ListedState,
        all: &mut Vec<ListedSecret>,
    ) -> StorageResult<()> {
        let scheduled = listed == ListedState::Scheduled;
        for _ in 0..MAX_LIST_STARTS {
            let mut secrets = Vec::new();
            let mut next = None;
            while let Some(page) = wire.read(|_| self.client.list(prefix, scheduled, next.as_deref())).await?
            {
                secrets.extend(page.secrets);
                next = page.next_token;
                if next.is_none() {
                    all.extend(secrets.into_iter().filter(|secret| secret.scheduled == scheduled));
                    return Ok(());
                }
            }
        }
        Err(StorageError::unavailable("AWS forgets a listing before it has ended"))
    }

    /// The paths of hashed names whose description somebody has changed: their values hold them
    /// too.
    async fn paths_from_values(
        &self,
        wire: &mut Wire<'_>,
        names: &[String],
    ) -> StorageResult<Vec<CredentialPath>> {
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
                    paths.push(path.ok_or_else(|| unknown_path_error(name))?);
                }
            }
        }
        Ok(paths)
    }
}

/// The paths of listed secrets, and the names of hashed ones whose description is not their path.
pub(super) fn paths_of(names: &Names, secrets: Vec<ListedSecret>) -> (Vec<CredentialPath>, Vec<String>) {
    let (mut paths, mut without_path) = (Vec::new(), Vec::new());
    for secret in secrets {
        match names.decode(&secret.name) {
            Decoded::Exact(path) => paths.push(path),
            Decoded::Foreign => {}
            Decoded::Hashed => {
                let path = secret.description.as_deref().and_then(|text| text.parse::<CredentialPath>().ok());
                match path.filter(|path| names.encode(path.as_path_ref()).text == secret.name) {
                    Some(path) => paths.push(path),
                    None => without_path.push(secret.name),
                }
            }
        }
    }
    (paths, without_path)
}

fn unknown_path_error(name: &str) -> StorageError {
    StorageError::corrupted(format!(
        "neither the description nor the value of the secret `{name}` tells its path; set the description to the path"
    ))
}
