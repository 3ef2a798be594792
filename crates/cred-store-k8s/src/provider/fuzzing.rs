//! The private parsers of API server responses, for the fuzz targets only.

use std::collections::BTreeMap;

use cred_core::{ConfigError, CredentialPath, StorageError, StorageResult};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::Names;

use super::decode;
use crate::KubernetesSecretsConfig;
use crate::client::{ApiResponse, Secret};
use crate::error::Action;
use crate::marks::StoreMarks;

const ACTION: Action<'_> = Action { verb: "get", namespace: "default", name: Some("key") };

/// A path with its credential.
pub type Contents = (CredentialPath, StorageResult<CredentialFile>);

/// Reads a Secret.
///
/// # Errors
/// The response is not a Secret, or the Secret is not a credential.
pub fn read(body: &[u8]) -> StorageResult<CredentialFile> {
    let response = ApiResponse::fabricated(200, body);
    let secret = response.secret().ok_or_else(|| response.unexpected_error())?;
    decode(&secret)
}

/// Reads a page of a listing without the data of the Secrets.
#[must_use]
pub fn list(names: &Names, body: &[u8]) -> Option<Vec<CredentialPath>> {
    let marks = StoreMarks::new(names.clone(), &BTreeMap::new(), &BTreeMap::new());
    let page = ApiResponse::fabricated(200, body).metadata_page()?;
    Some(page.items.iter().filter_map(|identity| marks.path_of(identity)).collect())
}

/// Reads a page of a listing with the data of the Secrets.
#[must_use]
pub fn list_contents(names: &Names, body: &[u8]) -> Option<Vec<Contents>> {
    let marks = StoreMarks::new(names.clone(), &BTreeMap::new(), &BTreeMap::new());
    let page = ApiResponse::fabricated(200, body).secret_page()?;
    let contents = |secret: Secret| Some((marks.path_of(&secret.identity)?, decode(&secret)));
    Some(page.items.into_iter().filter_map(contents).collect())
}

/// Reads an error response, without repeating `hide`.
#[must_use]
pub fn refusal(status: u16, body: &[u8], hide: &str) -> StorageError {
    let response = ApiResponse::fabricated(status, body).error_response();
    response.explain(&ACTION, &[hide])
}

/// Checks a configuration, without its kubeconfig.
///
/// # Errors
/// A field that cannot be used.
pub fn check(config: &KubernetesSecretsConfig) -> Result<(), ConfigError> {
    config.check()
}
