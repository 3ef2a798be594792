//! For the fuzz targets alone: the sealed content, which nobody else reaches without a key.

use cred_core::{CredentialMetadata, Zeroizing};

use crate::inner;

/// Reads sealed content: the metadata, and where the secret begins.
///
/// # Errors
/// What is malformed.
pub fn decode(content: &[u8]) -> Result<(CredentialMetadata, usize), &'static str> {
    inner::decode(content)
}

/// Writes sealed content.
///
/// # Errors
/// What does not fit.
pub fn encode(metadata: &CredentialMetadata, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    inner::encode(metadata, secret)
}
