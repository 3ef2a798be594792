//! The private parsers of Vault's responses, for the fuzz targets only.

use cred_core::{CredentialPath, ScopeId, SecretString, StorageError, StorageResult};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::Names;

use super::{decode, listing};
use crate::client::ApiResponse;
use crate::error::Action;

const ACTION: Action<'_> = Action { capability: "read", mount: "secret", section: "data", name: "key" };

/// Reads the body of a secret.
///
/// # Errors
/// The response is not a secret, or the secret is not a credential.
pub fn read(body: &[u8]) -> StorageResult<CredentialFile> {
    let response = ApiResponse::fabricated(200, body);
    let secret = response.secret().ok_or_else(|| response.unexpected_error())?;
    decode(secret)
}

/// Reads the listing of a scope's folder: the credentials in it, and the scopes one level below.
#[must_use]
pub fn list(
    names: &Names,
    scope: Option<&ScopeId>,
    body: &[u8],
) -> Option<(Vec<CredentialPath>, Vec<ScopeId>)> {
    let listing::Folder { paths, scopes } =
        listing::sort_keys(names, scope, ApiResponse::fabricated(200, body).keys()?);
    Some((paths, scopes))
}

/// Reads the token of a login.
#[must_use]
pub fn login(body: &[u8]) -> Option<SecretString> {
    ApiResponse::fabricated(200, body).grant()?.token
}

/// Reads an error response, without repeating `hide`.
#[must_use]
pub fn refusal(status: u16, body: &[u8], hide: &str) -> StorageError {
    let response = ApiResponse::fabricated(status, body);
    // The other parser of a 404 must not panic.
    drop(response.missing_state());
    response.error_response().explain(&ACTION, hide).error
}
