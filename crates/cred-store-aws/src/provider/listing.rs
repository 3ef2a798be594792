//! Lists: pages of names, and values if neither name nor description contains the path.

use cred_core::{CredentialPath, ScopeId, StorageError, StorageResult};
use cred_provider_kit::Wire;
use cred_provider_kit::naming::{Decoded, Names};

use super::{SecretsManager, decode};
use crate::client::ListedSecret;

/// How often a list is started before it fails, if AWS no longer accepts its page token.
const MAX_LIST_STARTS: u32 = 3;

/// The state of the secrets to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListedState {
    Live,
    /// Those that are scheduled for deletion.
    Scheduled,
}

/// The maximum length in bytes of the value in a list filter
/// ([Filter](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html)), and
/// of a name.
const MAX_FILTER_LEN: usize = 512;

impl SecretsManager {
    /// Lists the paths in this scope and below it. Paths with hashed names may be of any scope.
    pub(super) async fn list_paths(
        &self,
        wire: &mut Wire<'_>,
        scope: Option<&ScopeId>,
        listed: ListedState,
    ) -> StorageResult<Vec<CredentialPath>> {
        let mut secrets = Vec::new();
        match scope {
            None => self.list_secrets(wire, self.names.prefix(), listed, &mut secrets).await?,
            // Two lists, because hashed names do not show their scopes, and AWS does not document
            // the meaning of a filter with two values.
            Some(_) => {
                let prefix = self.names.scope_prefix(scope);
                // If the prefix leaves no room for a name, all names are hashed, and AWS does not
                // accept a filter value of that length.
                if prefix.len() < MAX_FILTER_LEN {
                    self.list_secrets(wire, &prefix, listed, &mut secrets).await?;
                }
                self.list_secrets(wire, &self.names.hashed_prefix(), listed, &mut secrets).await?;
            }
        }
        let (mut paths, without_path) = paths_of(&self.names, secrets);
        match listed {
            ListedState::Live => paths.extend(self.paths_from_values(wire, &without_path).await?),
            // The value of a secret that is scheduled for deletion cannot be read.
            ListedState::Scheduled => {
                without_path.first().map_or(Ok(()), |name| Err(unknown_path_error(name)))?
            }
        }
        Ok(paths)
    }

    /// Appends all secrets with this prefix to `all`: every page, or an error.
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
        Err(StorageError::unavailable("AWS has rejected the page token of every attempt to list the secrets"))
    }

    /// Reads the paths of secrets with hashed names from their values, because another user has
    /// changed the descriptions.
    async fn paths_from_values(
        &self,
        wire: &mut Wire<'_>,
        names: &[String],
    ) -> StorageResult<Vec<CredentialPath>> {
        let mut paths = Vec::new();
        for (name, value) in names.iter().zip(self.values(wire, names).await) {
            match decode(value) {
                // Deleted since the names were listed.
                Ok(None) => {}
                // During an outage, it is unknown whether the value contains the path.
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

/// Returns the paths of listed secrets, and the hashed names whose description is not the path.
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
        "neither the description nor the value of the secret `{name}` contains its path; set the description to the path"
    ))
}
