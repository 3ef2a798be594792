//! The private parsers of Secrets Manager responses, for the fuzz targets only. They take values,
//! because the SDK parses the body.

use std::collections::BTreeSet;

use cred_core::{CredentialPath, StorageError, StorageResult};
use cred_provider_kit::CredentialFile;
use cred_provider_kit::naming::Names;

use super::listing;
use crate::client::ListedSecret;
use crate::error::{Action, ErrorResponse};

/// Reads the value of a secret.
///
/// # Errors
/// The value is not a credential.
pub fn read(value: &str) -> StorageResult<CredentialFile> {
    CredentialFile::decode(value.as_bytes())
}

/// Returns the paths of listed secrets, given by name and description.
#[must_use]
pub fn list<'a>(
    names: &Names,
    secrets: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) -> BTreeSet<CredentialPath> {
    let entries = secrets.into_iter().map(|(name, description)| ListedSecret {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        scheduled: false,
    });
    listing::paths_of(names, entries.collect()).0.into_iter().collect()
}

/// Reads an error response.
#[must_use]
pub fn refusal(status: u16, code: Option<&str>, message: Option<&str>) -> StorageError {
    let action = Action { operation: "GetSecretValue", secret_name: "key" };
    ErrorResponse { status, code, message, retry_after: None }.storage_error(&action)
}
