//! The readers of Vault's answers, which are private, for the fuzz targets only.

use cred_core::{CredentialPath, ScopeId, SecretString, StorageError, StorageResult};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::Names;

use super::{decode, listing};
use crate::client::Answer;
use crate::error::Place;

const PLACE: Place<'_> = Place { right: "read", mount: "secret", section: "data", name: "key" };

/// Reads the body of a secret.
///
/// # Errors
/// The answer is not a secret, or the secret is not a credential.
pub fn read(body: &[u8]) -> StorageResult<CredentialFile> {
    let answer = Answer::made_up(200, body);
    let secret = answer.secret().ok_or_else(|| answer.foreign())?;
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
        listing::sort_keys(names, scope, Answer::made_up(200, body).keys()?);
    Some((paths, scopes))
}

/// Reads the token of a login.
#[must_use]
pub fn login(body: &[u8]) -> Option<SecretString> {
    Answer::made_up(200, body).grant()?.token
}

/// Reads a refusal, without repeating `hide`.
#[must_use]
pub fn refusal(status: u16, body: &[u8], hide: &str) -> StorageError {
    let answer = Answer::made_up(status, body);
    // The other reader of a 404 must not panic.
    drop(answer.gone());
    answer.refusal().explain(&PLACE, hide).error
}
