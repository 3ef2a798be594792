//! The readers of what the API server answers, which are private, for the fuzz targets only.

use std::collections::BTreeMap;

use cred_core::{ConfigError, CredentialPath, StorageError, StorageResult};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::Names;

use super::decode;
use crate::KubernetesSecretsConfig;
use crate::client::{Answer, Secret};
use crate::error::Place;
use crate::marks::Marks;

const PLACE: Place<'_> = Place { verb: "get", namespace: "default", name: Some("key") };

/// A path with its credential.
pub type Contents = (CredentialPath, StorageResult<CredentialFile>);

/// Reads a secret.
///
/// # Errors
/// The answer is not a secret, or the secret is not a credential.
pub fn read(body: &[u8]) -> StorageResult<CredentialFile> {
    let answer = Answer::made_up(200, body);
    let secret = answer.secret().ok_or_else(|| answer.foreign())?;
    decode(&secret)
}

/// Reads a page of a listing without the data of the secrets.
#[must_use]
pub fn list(names: &Names, body: &[u8]) -> Option<Vec<CredentialPath>> {
    let marks = Marks::new(names.clone(), &BTreeMap::new(), &BTreeMap::new());
    let page = Answer::made_up(200, body).names()?;
    Some(page.items.iter().filter_map(|identity| marks.path_of(identity)).collect())
}

/// Reads a page of a listing with the data of the secrets.
#[must_use]
pub fn list_contents(names: &Names, body: &[u8]) -> Option<Vec<Contents>> {
    let marks = Marks::new(names.clone(), &BTreeMap::new(), &BTreeMap::new());
    let page = Answer::made_up(200, body).contents()?;
    let contents = |secret: Secret| Some((marks.path_of(&secret.identity)?, decode(&secret)));
    Some(page.items.into_iter().filter_map(contents).collect())
}

/// Reads a refusal, without repeating `hide`.
#[must_use]
pub fn refusal(status: u16, body: &[u8], hide: &str) -> StorageError {
    let refusal = Answer::made_up(status, body).refusal();
    refusal.explain(&PLACE, &[hide])
}

/// Checks a configuration, without its kubeconfig.
///
/// # Errors
/// A field that cannot be used.
pub fn check(config: &KubernetesSecretsConfig) -> Result<(), ConfigError> {
    config.check()
}
