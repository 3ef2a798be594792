//! The readers of what Key Vault answers, which are private, for the fuzz targets only. Those of
//! secrets take values, since the SDK has parsed the body.

use std::collections::BTreeMap;

use cred_core::{CredentialPath, StorageError, StorageResult};
use cred_provider_kit::Foreign;
use cred_provider_kit::naming::Names;

use super::Naming;
use crate::client::Item;
use crate::error::{Call, Refusal};

/// The path of a listed secret.
///
/// # Errors
/// The name is hashed, and the tags are not those of its path.
pub fn list(
    names: &Names,
    id: &str,
    tags: impl IntoIterator<Item = (String, String)>,
) -> StorageResult<Option<CredentialPath>> {
    let naming = Naming::new(names.clone(), BTreeMap::new());
    Item::new(Some(id.to_owned()), Some(tags)).map_or(Ok(None), |item| naming.path(&item))
}

/// Reads a refusal of the vault.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> StorageError {
    Refusal::read(status, None, &answer(body)).explain(&Call { right: "get", name: "key" })
}

/// Reads a refusal of the token endpoint.
#[must_use]
pub fn token_refusal(status: u16, body: &[u8]) -> StorageError {
    Refusal::explain_token(status, None, &answer(body))
}

fn answer(body: &[u8]) -> Foreign<'_> {
    Foreign { service: "Azure", address: None, content_type: None, body: Some(body) }
}
