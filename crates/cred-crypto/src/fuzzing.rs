//! Access to the sealed content without a key, only for the fuzz targets.

use cred_core::{CredentialMetadata, Zeroizing};

use crate::inner;

/// Decodes sealed content. Returns the metadata and the offset of the secret.
///
/// # Errors
/// A description of the malformed part.
pub fn decode(content: &[u8]) -> Result<(CredentialMetadata, usize), &'static str> {
    inner::decode(content)
}

/// Encodes sealed content.
///
/// # Errors
/// A description of the part that does not fit.
pub fn encode(metadata: &CredentialMetadata, secret: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    inner::encode(metadata, secret)
}
