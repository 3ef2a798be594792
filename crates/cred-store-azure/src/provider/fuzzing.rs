//! Access for the fuzz targets to the private parsers of Key Vault's responses. The parser of
//! secrets takes values, because the SDK parses the body.

use std::collections::BTreeMap;

use cred_core::{CredentialPath, StorageError, StorageResult};
use cred_provider_kit::ForeignResponse;
use cred_provider_kit::naming::Names;

use super::Naming;
use crate::client::ListedSecret;
use crate::error::{Call, Refusal};

/// Returns the path of a listed secret.
///
/// # Errors
/// The name is hashed, and the tags do not contain its path.
pub fn list(
    names: &Names,
    id: &str,
    tags: impl IntoIterator<Item = (String, String)>,
) -> StorageResult<Option<CredentialPath>> {
    let naming = Naming::new(names.clone(), BTreeMap::new());
    ListedSecret::new(Some(id.to_owned()), Some(tags)).map_or(Ok(None), |secret| naming.path(&secret))
}

/// Parses an error response of the vault.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> StorageError {
    Refusal::parse(status, None, &response(body)).to_storage_error(&Call { right: "get", name: "key" })
}

/// Parses an error response of the token endpoint.
#[must_use]
pub fn token_refusal(status: u16, body: &[u8]) -> StorageError {
    Refusal::token_error(status, None, &response(body))
}

fn response(body: &[u8]) -> ForeignResponse<'_> {
    ForeignResponse { service: "Azure", address: None, content_type: None, body: Some(body) }
}
